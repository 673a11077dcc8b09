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

/* Stages that are loaded each on its own, since LoRAs concern only some */
typedef enum {
  SORA_MODEL_STAGE_TEXT_ENCODER,
  SORA_MODEL_STAGE_TRANSFORMER,
  SORA_MODEL_STAGE_VAE,
  SORA_MODEL_N_STAGES
} SoraModelStageType;

typedef struct _SoraModelStage SoraModelStage;

/* What a stream needs of a model's weights on one device, shared by the streams there that have the same LoRAs; others share the stages that
 * their LoRAs do not concern, and of the others the linears. Immutable once loaded; reference-counted. */
typedef struct {
  gatomicrefcount ref_count;
  SoraModel *model;             /* owned */
  SoraDevice *device;           /* owned */
  SoraModelLoras *loras;        /* NULL: none */
  SoraModelStage *stages[SORA_MODEL_N_STAGES];  /* hold those below */
  SoraTextEncoder *text_encoder;
  SoraTransformer *transformer;
  SoraVae *vae;                 /* the decoder */
} SoraModelWeights;

/**
 * sora_model_get_weights:
 * @loras: (nullable): what is added to them
 * @queue: of the device; uploads go through it
 *
 * Returns: (transfer full): the weights on @queue's device, uploaded as far as no other stream holds them already; or %NULL
 *   with @error. Any thread: a second caller waits for the first.
 */
SoraModelWeights *sora_model_get_weights (SoraModel *model, SoraModelLoras *loras, SoraQueue *queue, SoraProgressFunc progress,
    gpointer user_data, GCancellable *cancellable, GError **error);
/* Frees them with the last holder. */
void sora_model_weights_unref (SoraModelWeights *weights);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SoraModelWeights, sora_model_weights_unref)
/* bytes on the device */
guint64 sora_model_weights_get_size (SoraModelWeights *weights);

G_END_DECLS
