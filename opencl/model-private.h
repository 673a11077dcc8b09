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
  GPtrArray *residents;         /* SoraResident: those that streams use at present */
};

/* Takes @parts over, also if it fails: a model without its tokenizer, which can be described, but not run. Files are opened through the
 * cache of @parts, if they have one. @partial: parts may be missing, and only the transformers, and what they say of generation, are
 * read. */
SoraModel *sora_model_open_headers (SoraModelParts *parts, gboolean partial, GError **error);
/* Whether diffusers' index, which other layouts have none of, says a pipeline that can be run; *@boundary_ratio is set where a second
 * transformer takes over from the first, if it has one. */
gboolean sora_model_parts_read_index (const SoraModelParts *parts, gdouble *boundary_ratio, GError **error);

/* Channels that the transformer is given with the latents, in which an image-to-video model has its image: a mask for each frame of a latent, and
 * latents. 0: it is given the latents alone. */
guint sora_model_get_condition_channels (SoraModel *model);
/* Rows of an image's embeddings, or of two images', that the transformer attends to; 0: it does not */
guint sora_model_get_image_tokens (SoraModel *model);

/* What says that a causal model is one, in a few words */
const gchar *sora_model_get_causal_reason (SoraModel *model);

/* The parts whose weights come to a device, in the order in which a stream that is made asks for them */
typedef enum {
  SORA_PART_VAE,                /* the decoder */
  SORA_PART_TEXT_ENCODER,
  SORA_PART_TRANSFORMER,
  SORA_PART_TRANSFORMER_2,      /* the second of two experts */
  SORA_N_PARTS
} SoraPartType;

/* LoRAs that fit a model, each with its weight. Immutable, reference-counted, any thread; must not outlive the model. */
typedef struct {
  gatomicrefcount ref_count;
  gchar *id;                    /* the same for what adds the same to the same */
  SoraWeightFile *files[SORA_N_PARTS];  /* the model's with the LoRAs merged; NULL: they do not concern it */
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

/* A part's weights on a device, shared by the streams there that want them alike, and there while one of them uses them. */
typedef struct {
  SoraPartType type;
  SoraDevice *device;           /* owned */
  SoraWeightType weight_type;   /* of matrices; auto: of each by its own numbers */
  SoraPrecision precision;
  SoraModelLoras *loras;        /* that concern the part, owned, whose files it may borrow from; NULL: none */
  guint users;                  /* the model's lock guards it */
  SoraVae *vae;                 /* of these three, the one that @type says */
  SoraTextEncoder *text_encoder;
  SoraTransformer *transformer;
} SoraResident;

/* How a stream wants a model's weights, and who is told about loading. */
typedef struct {
  SoraModelLoras *loras;        /* (nullable): what is added to them */
  SoraWeightType type;          /* auto: by the rule of weights/weight-type.h */
  SoraPrecision precision;
  guint64 max_memory;           /* bytes of the device's memory that weights and all else may take */
  SoraStageLimits limits;       /* of them, to the part which is asked for; what does not fit is streamed */
  SoraProgressFunc progress;    /* (nullable) */
  gpointer progress_data;
  GCancellable *cancellable;    /* (nullable) */
} SoraWeightRequest;

/**
 * sora_model_take:
 * @type: a part that the model has
 * @queue: of the device; uploads go through it
 *
 * Returns: (transfer none): the part's weights on @queue's device, uploaded unless another stream uses them already, until
 *   sora_model_release(); or %NULL with @error. Any thread: a second caller waits for the first.
 */
SoraResident *sora_model_take (SoraModel *model, SoraPartType type, SoraQueue *queue, const SoraWeightRequest *request, GError **error);
/* Bytes of @queue's scratch memory once products of all parts but the VAE have been run with the rows of @request: of the largest, not of all together.
 * Any thread. */
guint64 sora_model_predict_scratch (SoraModel *model, SoraQueue *queue, const SoraWeightRequest *request);
/* What was enqueued with it has ended. The memory is freed with the last user. Takes %NULL. */
void sora_model_release (SoraModel *model, SoraResident *resident);
/* bytes on the device; 0 for %NULL */
guint64 sora_resident_get_size (const SoraResident *resident);

G_END_DECLS
