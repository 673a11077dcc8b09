/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Finds a model's parts on disk, in the layouts that users have: which file is the transformer, the text encoder, the VAE, the tokenizer. */
#pragma once

#include <sora/model.h>
#include "weights/config-shapes.h"

G_BEGIN_DECLS

typedef enum {
  SORA_LAYOUT_DIFFUSERS,        /* model_index.json and a folder for each part */
  SORA_LAYOUT_WAN,              /* Wan's own folder: config.json beside the transformer */
  SORA_LAYOUT_FILES,            /* one file for each part, as ComfyUI and GGUF's users have them */
} SoraLayout;

typedef struct {
  gchar *weights;               /* a weight file, or an index of shards; NULL: missing */
  gchar *config;                /* the JSON that describes them; NULL: their shapes do */
} SoraModelPart;

/* What was found. Plain data, of no file that is open. */
typedef struct {
  SoraLayout layout;
  gchar *path;                  /* of the model: a folder, or the transformer's file */
  gchar *folder;                /* where model_index.json, scheduler and the like are; NULL: nowhere */
  gchar *streaming;             /* sora.json, or NAME.sora.json beside a transformer's file; NULL: there is none */
  gboolean causal;              /* whether the transformer is said to be causal */
  SoraModelPart transformer, text_encoder, vae;
  SoraModelPart image_encoder;  /* CLIP's, which only some models need */
  SoraModelPart transformer_2;  /* of two experts the one for low noise, transformer being the other; no weights: there is one transformer */
  gchar *tokenizer;             /* a sentencepiece model, or the text encoder's weights, which have one in them; NULL: missing */
} SoraModelParts;

/**
 * sora_model_parts_find:
 * @files: what is named; the rest is looked for
 *
 * Looks at what files hold: a file is a part if its tensors are. Beside a transformer the first by name of the text encoders and VAEs that
 * fit it is taken. What is not found stays %NULL, see sora_model_parts_check().
 *
 * Returns: %FALSE, with nothing to clear and a #SoraModelError, if there is no transformer, or one of a kind that cannot be run.
 */
gboolean sora_model_parts_find (SoraModelParts *parts, const SoraModelFiles *files, GError **error);
/* Whether all parts are there; the error says which is missing, and where it may be put. */
gboolean sora_model_parts_check (const SoraModelParts *parts, GError **error);
void sora_model_parts_clear (SoraModelParts *parts);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (SoraModelParts, sora_model_parts_clear)

/* "diffusers folder" */
const gchar *sora_layout_name (SoraLayout layout);
/* (transfer full): lines for a person: layout, and each part with family, size, types and path, or that it is missing. */
gchar *sora_model_parts_describe (const SoraModelParts *parts);

G_END_DECLS
