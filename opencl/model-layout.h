/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Finds a model's parts on disk, in the layouts that users have: which file is the transformer, the text encoder, the VAE, the tokenizer. */
#pragma once

#include <sora/model.h>
#include "weights/config-shapes.h"
#include "weights/weight-cache.h"

G_BEGIN_DECLS

typedef enum {
  SORA_LAYOUT_DIFFUSERS,        /* model_index.json and a folder for each part */
  SORA_LAYOUT_WAN,              /* Wan's own folder: config.json beside the transformer */
  SORA_LAYOUT_FILES,            /* one file for each part, as ComfyUI and GGUF's users have them */
} SoraLayout;

typedef struct {
  gchar *weights;               /* a weight file, or an index of shards; NULL: missing */
  gchar *config;                /* the JSON that describes them; NULL: their shapes do */
  gchar *unreadable;            /* if missing: why the first file that was looked at could not be read; or NULL */
} SoraModelPart;

/* What was found. Plain data, of no file that is open. */
typedef struct {
  SoraWeightCache *cache;       /* borrowed, of files that were looked at; or NULL */
  SoraLayout layout;
  gchar *path;                  /* of the model: a folder, or the transformer's file */
  gchar *folder;                /* where model_index.json, scheduler and the like are; NULL: nowhere */
  gchar *streaming;             /* sora.json, or NAME.sora.json beside a transformer's file; NULL: there is none */
  gboolean causal;              /* whether the transformer is said to be causal */
  SoraModelPart transformer, text_encoder, vae;
  SoraModelPart image_encoder;  /* CLIP's */
  gboolean needs_image_encoder; /* whether the transformer attends to an image's embeddings, as only some do */
  SoraModelPart transformer_2;  /* of two experts the one for low noise, transformer being the other; no weights: there is one transformer */
  gchar *tokenizer;             /* a sentencepiece model, or the text encoder's weights, which have one in them; NULL: missing */
} SoraModelParts;

/**
 * sora_model_parts_find:
 * @files: what is named; the rest is looked for. The path may be a name of the catalogue
 *
 * Looks at what files hold: a file is a part if its tensors are. Of the text encoders and VAEs that fit a transformer the best is taken:
 * of the kinds that can be run the first; then the nearest place (beside the transformer, then ComfyUI's folders in their order); there
 * the most bits a weight, as far as 16; then the first by path. What is not found stays %NULL, see sora_model_parts_check().
 *
 * Returns: %FALSE, with nothing to clear and a #SoraModelError, if there is no transformer, or one of a kind that cannot be run.
 */
gboolean sora_model_parts_find (SoraModelParts *parts, const SoraModelFiles *files, GError **error);
/* The same for a path, with nothing named; files are opened through @cache, which must outlive @parts. */
gboolean sora_model_parts_find_cached (SoraModelParts *parts, const gchar *path, SoraWeightCache *cache, GError **error);
/* Whether all parts are there; the error says which is missing, and where it may be put. */
gboolean sora_model_parts_check (const SoraModelParts *parts, GError **error);
/* (transfer full): a sentence for each part that is missing, which says where it may be put; empty if none is */
gchar **sora_model_parts_list_missing (const SoraModelParts *parts);
/* (transfer full): what the files are called: "wan2.1_t2v_1.3B_fp16" of .../wan2.1_t2v_1.3B_fp16.safetensors; a folder's whole name */
gchar *sora_model_path_make_name (const gchar *path);
void sora_model_parts_clear (SoraModelParts *parts);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (SoraModelParts, sora_model_parts_clear)

/* "diffusers folder" */
const gchar *sora_layout_name (SoraLayout layout);

/* What the search for models shares with that for parts */

/* Where models lie: the entries of SORA_MODEL_PATH, XDG_DATA_HOME/sora/models, the installed data directory. (transfer full) */
gchar **sora_model_places (void);
/* Whether @name is one of a weight file, or of an index of shards, but no shard's */
gboolean sora_is_weight_file_name (const gchar *name);
/* Whether @path is a pipe or something else that is neither file nor folder, and may block whoever opens it; a link to nowhere is none. */
gboolean sora_is_special_file (const gchar *path);
/* Whether @folder is of Wan's own layout: with its config.json, or a folder for each of two experts */
gboolean sora_is_wan_folder (const gchar *folder);
/* ComfyUI's folders for transformers, then NULL */
extern const gchar *const sora_transformer_folders[];
/* (transfer full): lines for a person: layout, and each part with family, size, types and path, or that it is missing. */
gchar *sora_model_parts_describe (const SoraModelParts *parts);

G_END_DECLS
