/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The configuration of a CLIP image encoder: from the JSON beside its weights, or from their shapes. */
#include "weights/config-clip.h"

#include "weights/json.h"

#define HEAD_DIM 80             /* of ViT-H/14 */
#define MAX_LAYERS 256
#define MAX_SIZE (1 << 14)      /* of anything */

/* The first name is of CLIP in general, the second, misspelled as everywhere, of its image half. */
gboolean
sora_clip_config_matches (SoraWeightFile *file)
{
  return sora_weight_file_peek (file, "embeddings.class_embedding") && sora_weight_file_peek (file, "pre_layrnorm.weight");
}

guint
sora_clip_config_count_tokens (const SoraClipConfig *config)
{
  guint side = config->image_size / config->patch_size;

  return side * side + 1;
}

/* The penultimate layer's output is what is wanted, so there must be two. */
static const gchar *
find_fault (const SoraClipConfig *config)
{
  if (config->num_hidden_layers < 2)
    return "it has fewer than 2 layers";
  if (config->num_attention_heads == 0 || config->hidden_size % config->num_attention_heads != 0)
    return "its width is no whole number of heads";
  if (config->image_size % config->patch_size != 0)
    return "its image is no whole number of patches";
  return NULL;
}

gboolean
sora_clip_config_load (SoraClipConfig *config, const gchar *path, GError **error)
{
  SoraJsonReader reader;
  const gchar *activation = "quick_gelu", *type = "clip_vision_model";

  *config = (SoraClipConfig) { .layer_norm_eps = 1e-5 };
  sora_json_reader_open (&reader, path);
  sora_json_read_string (&reader, "model_type", SORA_JSON_OPTIONAL, &type);
  sora_json_read_string (&reader, "hidden_act", SORA_JSON_OPTIONAL, &activation);
  sora_json_read_uint (&reader, "hidden_size", SORA_JSON_REQUIRED, 1, MAX_SIZE, &config->hidden_size);
  sora_json_read_uint (&reader, "intermediate_size", SORA_JSON_REQUIRED, 1, 1 << 16, &config->intermediate_size);
  sora_json_read_uint (&reader, "num_hidden_layers", SORA_JSON_REQUIRED, 1, MAX_LAYERS, &config->num_hidden_layers);
  sora_json_read_uint (&reader, "num_attention_heads", SORA_JSON_REQUIRED, 1, 1024, &config->num_attention_heads);
  sora_json_read_uint (&reader, "image_size", SORA_JSON_REQUIRED, 1, 1024, &config->image_size);
  sora_json_read_uint (&reader, "patch_size", SORA_JSON_REQUIRED, 1, 256, &config->patch_size);
  sora_json_read_double (&reader, "layer_norm_eps", SORA_JSON_OPTIONAL, 0, 1, &config->layer_norm_eps);
  config->quick_gelu = g_strcmp0 (activation, "quick_gelu") == 0;
  if (!reader.error && !g_str_equal (type, "clip_vision_model"))
    sora_json_reader_fail (&reader, SORA_MODEL_ERROR_UNSUPPORTED, "\"model_type\": only \"clip_vision_model\" is supported, found \"%s\"", type);
  if (!reader.error && !config->quick_gelu && !g_str_equal (activation, "gelu"))
    sora_json_reader_fail (&reader, SORA_MODEL_ERROR_UNSUPPORTED, "\"hidden_act\": only \"gelu\" and \"quick_gelu\" are supported, found \"%s\"",
        activation);
  if (!reader.error && find_fault (config))
    sora_json_reader_fail (&reader, SORA_MODEL_ERROR_FORMAT, "%s", find_fault (config));
  return sora_json_reader_close (&reader, error);
}

static gboolean
fail (SoraWeightFile *file, GError **error, const gchar *what)
{
  g_set_error (error, SORA_MODEL_ERROR, SORA_MODEL_ERROR_UNSUPPORTED, "%s: %s", sora_weight_file_get_path (file), what);
  return FALSE;
}

static guint
count_layers (SoraWeightFile *file)
{
  for (guint n = 0; n < MAX_LAYERS; n++) {
    g_autofree gchar *name = g_strdup_printf ("encoder.layers.%u.layer_norm1.weight", n);
    if (!sora_weight_file_peek (file, name))
      return n;
  }
  return MAX_LAYERS;
}

static guint
round_root (guint64 n)
{
  guint root = 0;

  while (((guint64) root + 1) * (root + 1) <= n)
    root++;
  return root;
}

gboolean
sora_clip_config_from_shapes (SoraClipConfig *config, SoraWeightFile *file, GError **error)
{
  const guint any = 0;
  const SoraTensor *patch, *positions, *hidden;
  guint side;

  if (!sora_clip_config_matches (file))
    return fail (file, error, "not a CLIP image encoder (as Wan's image-to-video models need: ViT-H/14 of XLM-RoBERTa CLIP)");
  patch = sora_weight_file_find (file, error, "embeddings.patch_embedding.weight", 4, any, 3, any, any);
  positions = patch ? sora_weight_file_find (file, error, "embeddings.position_embedding.weight", 2, any, any) : NULL;
  hidden = positions ? sora_weight_file_find (file, error, "encoder.layers.0.mlp.fc1.weight", 2, any, any) : NULL;
  if (!hidden)
    return FALSE;
  if (patch->shape[0] > MAX_SIZE || patch->shape[2] != patch->shape[3] || patch->shape[2] > 256 || positions->shape[0] < 2
      || positions->shape[0] > MAX_SIZE || hidden->shape[0] > 1 << 16)
    return fail (file, error, "the shapes of this image encoder are none of CLIP's");
  side = round_root (positions->shape[0] - 1);
  *config = (SoraClipConfig) {
    .hidden_size = patch->shape[0], .intermediate_size = hidden->shape[0], .num_hidden_layers = count_layers (file),
    .num_attention_heads = patch->shape[0] / HEAD_DIM, .patch_size = patch->shape[2], .image_size = side * patch->shape[2],
    .layer_norm_eps = 1e-5,
  };
  if (side * side + 1 != positions->shape[0])
    return fail (file, error, "the places of this image encoder are no square");
  if (config->hidden_size % HEAD_DIM != 0)
    return fail (file, error, "the width of this image encoder is no whole number of heads of 80 dimensions; a folder with its weights and "
        "config.json can be named instead");
  return !find_fault (config) || fail (file, error, find_fault (config));
}
