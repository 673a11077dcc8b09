/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the engine sees of an opened model: configurations, mapped weight files, tokenizer, and the weights on a device. */
#pragma once

#include <sora/model.h>
#include <sora/stream.h>
#include "model-layout.h"
#include "stages/text-encoder.h"
#include "stages/tokenizer.h"
#include "stages/transformer.h"
#include "stages/vae.h"

G_BEGIN_DECLS

struct _SoraModel {
  gatomicrefcount ref_count;
  SoraModelParts parts;
  SoraStreamingConfig streaming;
  SoraTextEncoderConfig text_encoder;
  SoraTransformerConfig transformer;
  SoraVaeConfig vae;
  SoraTokenizer *tokenizer;
  SoraWeightFile *text_encoder_file, *transformer_file, *vae_file;
  GMutex lock;                  /* guards all below */
  GCond changed;                /* a load has ended */
  gboolean loading;
  GPtrArray *weights;           /* SoraModelWeights, not owned: those that streams hold at present */
};

/* Takes @parts over, also if it fails: a model without its tokenizer, which can be described, but not run. Files are opened through the
 * cache of @parts, if they have one. */
SoraModel *sora_model_open_headers (SoraModelParts *parts, GError **error);
/* Whether diffusers' index, which only says which pipeline it is, says one that can be run; other layouts have none. */
gboolean sora_model_parts_check_index (const SoraModelParts *parts, GError **error);
/* sora.json; without it Wan's defaults, as the layout has them. @latent_channels: the VAE's; @text_length: 0 = nothing says it */
gboolean sora_model_parts_load_streaming (const SoraModelParts *parts, SoraStreamingConfig *config, guint latent_channels,
    guint text_length, GError **error);

/* What every stream needs of a model's weights on one device, shared by the streams there. Immutable once loaded; reference-counted. */
typedef struct {
  gatomicrefcount ref_count;
  SoraModel *model;             /* owned */
  SoraDevice *device;           /* owned */
  SoraTextEncoder *text_encoder;
  SoraTransformer *transformer;
  SoraVae *vae;                 /* the decoder */
} SoraModelWeights;

/**
 * sora_model_get_weights:
 * @queue: of the device; uploads go through it
 *
 * Returns: (transfer full): the weights on @queue's device, uploaded unless another stream holds them already; or %NULL
 *   with @error. Any thread: a second caller waits for the first.
 */
SoraModelWeights *sora_model_get_weights (SoraModel *model, SoraQueue *queue, SoraProgressFunc progress, gpointer user_data,
    GCancellable *cancellable, GError **error);
/* Frees them with the last holder. */
void sora_model_weights_unref (SoraModelWeights *weights);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SoraModelWeights, sora_model_weights_unref)
/* bytes on the device */
guint64 sora_model_weights_get_size (SoraModelWeights *weights);

G_END_DECLS
