/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The configuration of a CLIP image encoder: from the JSON beside its weights, or from their shapes. */
#pragma once

#include "weights/weight-file.h"

G_BEGIN_DECLS

/* image_encoder/config.json, CLIPVisionModel */
typedef struct {
  guint hidden_size, intermediate_size, num_hidden_layers, num_attention_heads;
  guint image_size, patch_size; /* pixels, of a square; patches of the whole image and one more row are its tokens */
  gboolean quick_gelu;          /* x sigmoid (1.702 x) for the exact GELU */
  gdouble layer_norm_eps;
} SoraClipConfig;

/* Whether @file has the tensors of a CLIP image encoder, in the names of transformers or Wan's. */
gboolean sora_clip_config_matches (SoraWeightFile *file);

/* Each fills in the whole configuration; FALSE with a SoraModelError naming file and field. What shapes do not tell is as in ViT-H/14, the one
 * that Wan uses: heads of 80, the exact GELU, eps 1e-5. */
gboolean sora_clip_config_load (SoraClipConfig *config, const gchar *path, GError **error);
gboolean sora_clip_config_from_shapes (SoraClipConfig *config, SoraWeightFile *file, GError **error);

/* rows of an image's embeddings: its patches, and one for the whole */
guint sora_clip_config_count_tokens (const SoraClipConfig *config);

G_END_DECLS
