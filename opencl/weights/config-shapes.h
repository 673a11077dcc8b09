/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a weight file is, told by its tensors, and the configuration that their shapes give where no JSON does. */
#pragma once

#include "weights/config.h"
#include "weights/config-clip.h"
#include "weights/weight-file.h"

G_BEGIN_DECLS

typedef enum {
  SORA_WEIGHTS_UNKNOWN,
  SORA_WEIGHTS_TRANSFORMER,     /* Wan's, in any dialect */
  SORA_WEIGHTS_TEXT_ENCODER,    /* UMT5 */
  SORA_WEIGHTS_TAEHV,
  SORA_WEIGHTS_WAN_VAE,         /* with Wan's own or diffusers' names */
  SORA_WEIGHTS_IMAGE_ENCODER,   /* CLIP's, with Wan's own or transformers' names */
  SORA_WEIGHTS_LORA,            /* no part of a model: what changes one */
} SoraWeightsKind;

SoraWeightsKind sora_weights_recognise (SoraWeightFile *file);
/* "a Wan transformer" */
const gchar *sora_weights_kind_name (SoraWeightsKind kind);
/* FALSE with an error that names both kinds if @file is of another one */
gboolean sora_weights_expect (SoraWeightFile *file, SoraWeightsKind expected, GError **error);
/* of a VAE's latents; 0 if @file is no VAE */
guint sora_weights_get_latent_channels (SoraWeightFile *file);

/* Each fills in a whole configuration; FALSE with a SoraModelError that names the file, and nothing to clear. What shapes do not tell is as
 * in every published Wan model: heads of 128, eps 1e-6, distances up to 128; a TAEHV that halves space at every level and trims the
 * frames that its start yields too many; mean and deviation of Wan's latents of 16 or 48 channels for Wan's VAE, and a TAEHV whose file's
 * name has "lighttae" in it. VACE models are SORA_MODEL_ERROR_UNSUPPORTED. */
gboolean sora_transformer_config_from_shapes (SoraTransformerConfig *config, SoraWeightFile *file, GError **error);
gboolean sora_text_encoder_config_from_shapes (SoraTextEncoderConfig *config, SoraWeightFile *file, GError **error);
gboolean sora_vae_config_from_shapes (SoraVaeConfig *config, SoraWeightFile *file, GError **error);

/**
 * sora_transformer_config_read_wan:
 * @config: from the shapes of @file; its heads are changed to those of the JSON, which shapes do not tell
 * @path: the config.json of Wan's own folders
 * @text_length: set to "text_len" if that is there
 *
 * Returns: whether all that the JSON says is what the shapes say; if not, the error names file, field and both values.
 */
gboolean sora_transformer_config_read_wan (SoraTransformerConfig *config, SoraWeightFile *file, const gchar *path, guint *text_length,
    GError **error);
/* Whether a config.json is one of Wan's own transformers. */
gboolean sora_transformer_config_is_wan (const gchar *path);

/* What a transformer's weights and the JSON at @path say: Wan's own or diffusers', or %NULL, where the shapes alone do. @text_length: as
 * above */
gboolean sora_transformer_config_read (SoraTransformerConfig *config, SoraWeightFile *file, const gchar *path, guint *text_length,
    GError **error);

G_END_DECLS
