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
#include "weights/lora.h"

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

/* LoRAs that fit a model, each with its weight. Immutable, reference-counted, any thread; must not outlive the model. */
typedef struct {
  gatomicrefcount ref_count;
  gchar *id;                    /* the same for what adds the same to the same */
  SoraWeightFile *text_encoder_file, *transformer_file; /* the model's with the LoRAs merged; NULL: they do not concern it */
} SoraModelLoras;

/**
 * sora_model_loras_new:
 * @paths: (nullable) (array zero-terminated=1): LoRA files; %NULL or none: the model as it is
 * @weights: (nullable): one for each; %NULL: 1
 *
 * Returns: (transfer full) (nullable): %NULL without an error if there is nothing to add; %NULL with a #SoraModelError that names file and key,
 *   or SORA_STREAM_ERROR_OPTION for a weight that is out of range. Any thread.
 */
SoraModelLoras *sora_model_loras_new (SoraModel *model, const gchar *const *paths, const gdouble *weights, GError **error);
/* Both take %NULL. */
SoraModelLoras *sora_model_loras_ref (SoraModelLoras *loras);
void sora_model_loras_unref (SoraModelLoras *loras);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SoraModelLoras, sora_model_loras_unref)
/* Whether both are the same, or %NULL both */
gboolean sora_model_loras_equal (const SoraModelLoras *a, const SoraModelLoras *b);

/* Parts that are loaded each on its own */
typedef enum {
  SORA_MODEL_TEXT_ENCODER,
  SORA_MODEL_TRANSFORMER,
  SORA_MODEL_VAE,               /* the decoder */
  SORA_MODEL_N_PARTS
} SoraModelPartType;

/* A part's weights, which several of those below hold if their LoRAs do not concern it */
typedef struct _SoraModelStage SoraModelStage;

/* A part's weights on a device, there while somebody uses them. The model's lock guards stage and users. */
typedef struct {
  SoraWeightType type;          /* of matrices; auto: of each by its own numbers */
  SoraModelStage *stage;        /* NULL: not there */
  guint users;
} SoraResident;

/* What a stream needs of a model's weights on one device, shared by the streams there that want them alike. Of those that differ in LoRAs, the
 * parts that these do not concern are shared too, and of the other parts the linears. Reference-counted. */
typedef struct {
  gatomicrefcount ref_count;
  SoraModel *model;             /* owned */
  SoraDevice *device;           /* owned */
  SoraModelLoras *loras;        /* NULL: none */
  SoraResident parts[SORA_MODEL_N_PARTS];
  SoraVae *vae;                 /* that of its part, which is always there */
} SoraModelWeights;

/* How a stream wants a model's weights, and who is told about loading. */
typedef struct {
  SoraModelLoras *loras;        /* (nullable): what is added to them; sora_model_get_weights() alone looks at it */
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
