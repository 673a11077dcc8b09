/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The models that are found on this machine, what each can do, and what it lacks. */
#pragma once

#include <sora/error.h>

G_BEGIN_DECLS

/**
 * SoraCatalogue:
 *
 * A list of models as they were on disk when it was made. Immutable, reference-counted, safe to share between threads.
 */
typedef struct _SoraCatalogue SoraCatalogue;

/**
 * SoraCatalogueModel:
 *
 * One model of a catalogue, which owns it. Immutable, and safe to read from several threads.
 */
typedef struct _SoraCatalogueModel SoraCatalogueModel;

/**
 * SoraAbilities:
 * @SORA_ABILITY_TEXT: video from text alone
 * @SORA_ABILITY_IMAGE: was trained to go on from a picture, the first frame, or streams, and takes it as its past
 * @SORA_ABILITY_LAST_IMAGE: takes a picture for the last frame
 * @SORA_ABILITY_STREAM: video without end, block after block
 */
typedef enum {
  SORA_ABILITY_TEXT = 1 << 0,
  SORA_ABILITY_IMAGE = 1 << 1,
  SORA_ABILITY_LAST_IMAGE = 1 << 2,
  SORA_ABILITY_STREAM = 1 << 3,
} SoraAbilities;

/**
 * sora_catalogue_new:
 * @places: (nullable): folders, or single models, to look in, ended by %NULL; or %NULL for the usual ones: every entry of
 *   SORA_MODEL_PATH (separated as in PATH), XDG_DATA_HOME/sora/models and the installed data directory
 *
 * Looks at most 6 folders deep for models of every layout: folders of diffusers' and Wan's, and transformers' files, in a folder with
 * ComfyUI's "diffusion_models" or "unet" only there and in their like. Hidden folders are left out; symbolic links are followed, and what
 * several lead to is listed once. Of the weight files only headers are read, and tokenizers not at all; no device is touched.
 *
 * What cannot be read, is not complete or is of no kind that can be run is listed too, and says so.
 *
 * Returns: (transfer full): models in the order of their places, there by path. Any thread.
 */
SORA_API SoraCatalogue *sora_catalogue_new (const gchar *const *places);
SORA_API SoraCatalogue *sora_catalogue_ref (SoraCatalogue *catalogue);
SORA_API void sora_catalogue_unref (SoraCatalogue *catalogue);

SORA_API guint sora_catalogue_get_n_models (SoraCatalogue *catalogue);
/* @index: below the number of models */
SORA_API const SoraCatalogueModel *sora_catalogue_get_model (SoraCatalogue *catalogue, guint index);

/**
 * sora_catalogue_find_model:
 * @name: a model's name, in any case
 *
 * As with PATH, the first place that has a model of that name decides.
 *
 * Returns: the model, which may be one that cannot be run; or %NULL with %SORA_MODEL_ERROR_NOT_FOUND if there is none, with the names that
 *   are near, or if there are several in one place, with their paths.
 */
SORA_API const SoraCatalogueModel *sora_catalogue_find_model (SoraCatalogue *catalogue, const gchar *name, GError **error);

/* of the folder, or of the file without its ending; sora_model_open() takes it */
SORA_API const gchar *sora_catalogue_model_get_name (const SoraCatalogueModel *model);
SORA_API const gchar *sora_catalogue_model_get_path (const SoraCatalogueModel *model);
/* "Wan 2.1 T2V-1.3B", "embedded"; "unknown" if the transformer cannot be read */
SORA_API const gchar *sora_catalogue_model_get_family (const SoraCatalogueModel *model);
/* of all parts that were found */
SORA_API guint64 sora_catalogue_model_get_n_parameters (const SoraCatalogueModel *model);
/* bytes that the weights of the parts that were found take on a device at once, stored as is the default: a large text encoder is there
 * before the others, not with them. What a stream needs besides depends on its size; weights for which there is too little memory are
 * streamed, or take turns */
SORA_API guint64 sora_catalogue_model_get_memory (const SoraCatalogueModel *model);
/* the types of the weights on disk, the transformer's first, ended by NULL: "BF16", "Q4_K" */
SORA_API const gchar *const *sora_catalogue_model_get_types (const SoraCatalogueModel *model);
/* 0 if nothing says it */
SORA_API guint sora_catalogue_model_get_n_sizes (const SoraCatalogueModel *model);
/* Sets the size in pixels number @index, the best first. */
SORA_API void sora_catalogue_model_get_size (const SoraCatalogueModel *model, guint index, guint *width, guint *height);
/* none if the transformer is of no kind that can be run */
SORA_API SoraAbilities sora_catalogue_model_get_abilities (const SoraCatalogueModel *model);
/* a sentence for each part that is missing, which says what to do, ended by NULL */
SORA_API const gchar *const *sora_catalogue_model_get_missing (const SoraCatalogueModel *model);
/* why it cannot be run; NULL: nothing, unless something is missing */
SORA_API const GError *sora_catalogue_model_get_error (const SoraCatalogueModel *model);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (SoraCatalogue, sora_catalogue_unref)

G_END_DECLS
