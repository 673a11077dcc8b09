/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The configuration of a CLIP image encoder: from the JSON beside its weights, or from their shapes. */
#include "weights/config-shapes-private.h"

#include "weights/json.h"

#define HEAD_DIM 80             /* of ViT-H/14 */
#define MAX_LAYERS 256
#define MAX_SIZE (1 << 14)      /* of a width, and of an image's patches, so that no activation has 2^32 numbers */
#define MAX_HIDDEN (1 << 16)
#define MAX_PATCH 256           /* pixels of a side */
#define MAX_IMAGE 1024

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
  if (sora_clip_config_count_tokens (config) > MAX_SIZE + 1)
    return "its image has more than 16384 patches";
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
  sora_json_read_uint (&reader, "intermediate_size", SORA_JSON_REQUIRED, 1, MAX_HIDDEN, &config->intermediate_size);
  sora_json_read_uint (&reader, "num_hidden_layers", SORA_JSON_REQUIRED, 1, MAX_LAYERS, &config->num_hidden_layers);
  sora_json_read_uint (&reader, "num_attention_heads", SORA_JSON_REQUIRED, 1, 1024, &config->num_attention_heads);
  sora_json_read_uint (&reader, "image_size", SORA_JSON_REQUIRED, 1, MAX_IMAGE, &config->image_size);
  sora_json_read_uint (&reader, "patch_size", SORA_JSON_REQUIRED, 1, MAX_PATCH, &config->patch_size);
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

/* Of a square */
static guint
round_root (guint n)
{
  guint root = 0;

  while ((root + 1) * (root + 1) <= n)
    root++;
  return root;
}

/* Why no CLIP image encoder has these shapes; NULL: one may */
static const gchar *
find_shape_fault (const guint *patch, const guint *positions, const guint *hidden)
{
  guint side = round_root (positions[0] - 1);

  if (patch[0] > MAX_SIZE || patch[1] != 3 || patch[2] != patch[3] || patch[2] > MAX_PATCH || positions[0] < 2 || positions[0] > MAX_SIZE + 1
      || hidden[0] > MAX_HIDDEN)
    return "the shapes of this image encoder are none of CLIP's";
  if (side * side + 1 != positions[0])
    return "the places of this image encoder are no square";
  if (side * patch[2] > MAX_IMAGE)
    return "its image is larger than 1024 pixels";
  if (patch[0] % HEAD_DIM != 0)
    return "the width of this image encoder is no whole number of heads of 80 dimensions; a folder with its weights and config.json can be named "
        "instead";
  return NULL;
}

gboolean
sora_clip_config_from_shapes (SoraClipConfig *config, SoraWeightFile *file, GError **error)
{
  guint patch[4], positions[2], hidden[2];
  const gchar *fault;

  if (!sora_clip_config_matches (file))
    return sora_shapes_fail (file, SORA_MODEL_ERROR_UNSUPPORTED, error,
        "not a CLIP image encoder (as Wan's image-to-video models need: ViT-H/14 of XLM-RoBERTa CLIP)");
  if (!sora_shapes_get (file, "embeddings.patch_embedding.weight", 4, patch, error)
      || !sora_shapes_get (file, "embeddings.position_embedding.weight", 2, positions, error)
      || !sora_shapes_get (file, "encoder.layers.0.mlp.fc1.weight", 2, hidden, error))
    return FALSE;
  fault = find_shape_fault (patch, positions, hidden);
  if (fault)
    return sora_shapes_fail (file, SORA_MODEL_ERROR_UNSUPPORTED, error, fault);
  *config = (SoraClipConfig) {
    .hidden_size = patch[0], .intermediate_size = hidden[0], .num_hidden_layers = count_layers (file),
    .num_attention_heads = patch[0] / HEAD_DIM, .patch_size = patch[2], .image_size = round_root (positions[0] - 1) * patch[2],
    .layer_norm_eps = 1e-5,
  };
  fault = find_fault (config);
  return !fault || sora_shapes_fail (file, SORA_MODEL_ERROR_UNSUPPORTED, error, fault);
}
