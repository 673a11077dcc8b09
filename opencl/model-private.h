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

/* A part's weights on a device, there while somebody uses them. The model's lock guards it. */
typedef struct {
  gpointer loaded;              /* NULL: not there */
  guint users;
} SoraResident;

/* What every stream needs of a model's weights on one device, shared by the streams there that want them alike. Reference-counted. */
typedef struct {
  gatomicrefcount ref_count;
  SoraModel *model;             /* owned */
  SoraDevice *device;           /* owned */
  SoraWeightType text_type, transformer_type;   /* of matrices; auto: of each by its own numbers */
  SoraResident text_encoder, transformer;       /* SoraTextEncoder, SoraTransformer */
  SoraVae *vae;                 /* the decoder */
} SoraModelWeights;

/* How a stream wants a model's weights, and who is told about loading. */
typedef struct {
  SoraWeightType type;          /* auto: by the rule of weights/weight-type.h */
  guint64 max_memory;           /* bytes of the device's memory that weights and all else may take */
  guint64 max_bytes;            /* that the part which is asked for may take of them; what does not fit is streamed */
  SoraProgressFunc progress;    /* (nullable) */
  gpointer progress_data;
  GCancellable *cancellable;    /* (nullable) */
} SoraWeightRequest;

/**
 * sora_model_get_weights:
 * @queue: of the device; uploads go through it
 *
 * Returns: (transfer full): the weights on @queue's device, of which the VAE's are there; or %NULL with @error. Any thread: a second caller
 *   waits for the first.
 */
SoraModelWeights *sora_model_get_weights (SoraModel *model, SoraQueue *queue, const SoraWeightRequest *request, GError **error);
/* Frees them with the last holder. */
void sora_model_weights_unref (SoraModelWeights *weights);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SoraModelWeights, sora_model_weights_unref)

/**
 * sora_model_weights_take_text_encoder:
 *
 * Returns: (transfer none): the text encoder, uploaded unless another stream uses it already, until
 *   sora_model_weights_release_text_encoder(); or %NULL with @error. Any thread, as above.
 */
SoraTextEncoder *sora_model_weights_take_text_encoder (SoraModelWeights *weights, SoraQueue *queue, const SoraWeightRequest *request,
    GError **error);
/* What was enqueued with it has ended. Its memory is freed with the last user. */
void sora_model_weights_release_text_encoder (SoraModelWeights *weights);
/* The same of the transformer. */
SoraTransformer *sora_model_weights_take_transformer (SoraModelWeights *weights, SoraQueue *queue, const SoraWeightRequest *request,
    GError **error);
void sora_model_weights_release_transformer (SoraModelWeights *weights);

/* bytes on the device now */
guint64 sora_model_weights_get_size (SoraModelWeights *weights);

G_END_DECLS
