/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A model on disk, opened and validated; not yet on any device. */
#pragma once

#include <sora/error.h>

G_BEGIN_DECLS

/**
 * SoraModel:
 *
 * A model with its weight files mapped. Immutable to its users, reference-counted, safe to share between
 * threads. The weights on a device are shared by all streams there, and freed with the last of them.
 */
typedef struct _SoraModel SoraModel;

/**
 * sora_model_open:
 * @path: (nullable): a model; the name of one in the usual places, see sora_catalogue_new(); or %NULL or "" for the embedded model, looked for
 *   in each entry of SORA_MODEL_PATH (or as the entry), XDG_DATA_HOME/sora/models and the installed data directory, in that order
 *
 * As sora_model_open_parts(), with everything found beside the transformer.
 */
SORA_API SoraModel *sora_model_open (const gchar *path, GError **error);

/**
 * sora_model_open_parts:
 *
 * As sora_model_open_files() with these files.
 */
SORA_API SoraModel *sora_model_open_parts (const gchar *path, const gchar *text_encoder, const gchar *vae, const gchar *tokenizer,
    GError **error);

/**
 * SoraModelFiles:
 * @path: as above: a directory in diffusers' layout or in Wan's own, a transformer's file (of two experts the one for high noise, or either if
 *   both are called alike), or a name, which is one without a "/" of nothing that exists as a path
 * @transformer_2: the expert for low noise, a weight file or a folder
 * @text_encoder: a UMT5 weight file, or a folder with config.json and weights
 * @vae: likewise the VAE
 * @tokenizer: UMT5's sentencepiece model, or a folder with it as spiece.model
 * @image_encoder: CLIP's image encoder of an image-to-video model, likewise
 * @causal: whether the transformer is causal, distilled to few steps block after block as by Self-Forcing, where nothing beside it says so
 *
 * Where the parts of a model are. What is %NULL or "" is found beside the transformer, where the model needs it; so { 0 } is the embedded
 * model.
 */
typedef struct {
  const gchar *path, *transformer_2, *text_encoder, *vae, *tokenizer, *image_encoder;
  gboolean causal;
} SoraModelFiles;

/**
 * sora_model_open_files:
 *
 * Maps and validates every file: each tensor that the configuration asks for is present, with the expected shape and a
 * known type, and the parts fit each other. Where no JSON file says how a part is built, its tensors do. Touches no device, and reads
 * no weights beyond their headers.
 *
 * Returns: (transfer full): the model, or %NULL with a #SoraModelError. Any thread.
 */
SORA_API SoraModel *sora_model_open_files (const SoraModelFiles *files, GError **error);

SORA_API SoraModel *sora_model_ref (SoraModel *model);
SORA_API void sora_model_unref (SoraModel *model);

SORA_API const gchar *sora_model_get_path (SoraModel *model);
SORA_API const gchar *sora_model_get_name (SoraModel *model);
/* whether it generates block after block without end */
SORA_API gboolean sora_model_is_causal (SoraModel *model);
/* frames a second, as a fraction */
SORA_API void sora_model_get_frame_rate (SoraModel *model, gint *numerator, gint *denominator);
/* the model's own defaults for a #SoraStreamOptions */
SORA_API guint sora_model_get_steps (SoraModel *model);
SORA_API gdouble sora_model_get_guidance_scale (SoraModel *model);
/* that counts where none is set: Wan's usual one, or "" of a model that was trained without */
SORA_API const gchar *sora_model_get_negative_prompt (SoraModel *model);
/* frames of the clip that a non-causal model makes by default; 0 for a causal one */
SORA_API guint sora_model_get_clip_frames (SoraModel *model);

/**
 * sora_model_get_best_size:
 * @aspect_ratio: wanted display width over height; 0 = the model's first choice
 *
 * Sets @width and @height (pixels) to the one of the model's own sizes whose aspect ratio is nearest.
 */
SORA_API void sora_model_get_best_size (SoraModel *model, gdouble aspect_ratio, guint *width, guint *height);

/**
 * sora_model_describe:
 *
 * Returns: (transfer full): several lines of text for a person: family, stages with sizes, types and bytes, defaults.
 */
SORA_API gchar *sora_model_describe (SoraModel *model);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (SoraModel, sora_model_unref)

G_END_DECLS
