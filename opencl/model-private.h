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
  SoraTransformerConfig transformer, transformer_2;     /* the same, but for numbers that only the weights' use depends on */
  gdouble boundary_ratio;       /* of model_index.json; 0: it has none */
  SoraVaeConfig vae;
  SoraClipConfig image_encoder; /* if there is a file of it */
  SoraTokenizer *tokenizer;
  SoraWeightFile *text_encoder_file, *transformer_file, *vae_file;
  SoraWeightFile *transformer_2_file;   /* NULL: there is one transformer */
  SoraWeightFile *image_encoder_file;   /* NULL: the transformer does not attend to an image */
  GMutex lock;                  /* guards all below */
  GCond changed;                /* a load has ended */
  gboolean loading;
  GPtrArray *weights;           /* SoraModelWeights, not owned: those that streams hold at present */
};

/* Channels that the transformer is given with the latents, in which an image-to-video model has its image: a mask for each frame of a latent, and
 * latents. 0: it is given the latents alone. */
guint sora_model_get_condition_channels (SoraModel *model);
/* Rows of an image's embeddings, or of two images', that the transformer attends to; 0: it does not */
guint sora_model_get_image_tokens (SoraModel *model);

/* What says that a causal model is one, in a few words */
const gchar *sora_model_get_causal_reason (SoraModel *model);

/* One of a model's transformers on a device. */
typedef struct {
  SoraTransformer *transformer; /* NULL: not on the device */
  guint users;                  /* streams that evaluate it at present */
} SoraModelExpert;

/* What every stream needs of a model's weights on one device, shared by the streams there. Immutable once loaded, but for the experts;
 * reference-counted. */
typedef struct {
  gatomicrefcount ref_count;
  SoraModel *model;             /* owned */
  SoraDevice *device;           /* owned */
  SoraTextEncoder *text_encoder;
  SoraVae *vae;                 /* the decoder */
  GMutex lock;                  /* guards the experts, also while one is loaded */
  SoraModelExpert experts[2];   /* of a model with one transformer the first is it */
  gboolean keeps_experts;       /* whether one that nobody uses stays: if both take at most half of the device's memory */
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
/**
 * sora_model_weights_take_expert:
 * @index: 0, or 1 of a model with two transformers
 *
 * Returns: (transfer none): the transformer, loaded through @queue unless it is on the device, until
 *   sora_model_weights_release_expert(); or %NULL with @error. Any thread; waits while another one loads.
 */
SoraTransformer *sora_model_weights_take_expert (SoraModelWeights *weights, guint index, SoraQueue *queue, GError **error);
void sora_model_weights_release_expert (SoraModelWeights *weights, guint index);
/* bytes on the device */
guint64 sora_model_weights_get_size (SoraModelWeights *weights);

G_END_DECLS
