/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the header of a part's weight file says about it, in numbers and in words. */

#include "part-summary.h"

#include <string.h>

#include "runtime/matrix-unit.h"
#include "weights/weight-type.h"

/* Published sizes of Wan, by width, layers and channels */
static const struct {
  guint dim, n_layers, channels;        /* channels: in */
  gboolean has_image, has_places;       /* attends to an image's embeddings; to those of two, which have places */
  const gchar *name;
} families[] = {
  { 1536, 30, 16, FALSE, FALSE, "Wan 2.1 T2V-1.3B" },
  { 5120, 40, 16, FALSE, FALSE, "Wan T2V-14B" },        /* of Wan 2.2 T2V-A14B each expert */
  { 3072, 30, 48, FALSE, FALSE, "Wan 2.2 TI2V-5B" },
  { 5120, 40, 36, TRUE, FALSE, "Wan 2.1 I2V-14B" },
  { 5120, 40, 36, TRUE, TRUE, "Wan 2.1 FLF2V-14B" },
  { 5120, 40, 36, FALSE, FALSE, "Wan 2.2 I2V-A14B" },
};

static const gchar *
find_family (SoraWeightFile *file, SoraWeightsKind kind)
{
  SoraTransformerConfig config;

  if (kind != SORA_WEIGHTS_TRANSFORMER)
    return sora_weights_kind_name (kind);
  if (!sora_transformer_config_from_shapes (&config, file, NULL))
    return "Wan";
  for (guint i = 0; i < G_N_ELEMENTS (families); i++) {
    if (config.num_attention_heads * config.attention_head_dim == families[i].dim && config.num_layers == families[i].n_layers
        && config.in_channels == families[i].channels && (config.image_dim > 0) == families[i].has_image
        && (config.image_positions > 0) == families[i].has_places)
      return families[i].name;
  }
  return "Wan";
}

/* The text encoder's table of tokens stays on the host, and of a VAE the decoder alone stays on the device. */
static gboolean
is_on_device (SoraWeightsKind kind, const gchar *name)
{
  switch (kind) {
    case SORA_WEIGHTS_TEXT_ENCODER:
      return !g_str_equal (name, "shared.weight") && !g_str_equal (name, "encoder.embed_tokens.weight");
    case SORA_WEIGHTS_TAEHV:
    case SORA_WEIGHTS_WAN_VAE:
      return !g_str_has_prefix (name, "encoder.");
    default:
      return TRUE;
  }
}

/* As the stages store it: matrices as @type says and the processor multiplies best, all else as fp32 */
static SoraWeightType
find_stored_type (const SoraTensor *tensor, SoraWeightsKind kind, SoraWeightType type)
{
  gboolean is_matrix = (kind == SORA_WEIGHTS_TRANSFORMER || kind == SORA_WEIGHTS_TEXT_ENCODER) && tensor->n_dims != 1
      && tensor->n_dims != 3;

  if (!is_matrix)
    return SORA_WEIGHT_TYPE_FP32;
  return sora_weight_type_with_unit (sora_weight_type_for_tensors (type, 1, &tensor), SORA_PRECISION_AUTO,
      sora_matrix_unit_expect () != SORA_MATRIX_UNIT_NONE, 1, &tensor);
}

static guint64
count_bytes (const SoraTensor *tensor, SoraWeightType type)
{
  switch (type) {
    case SORA_WEIGHT_TYPE_FP16:
    case SORA_WEIGHT_TYPE_BF16:
      return 2 * tensor->n_elements;
    case SORA_WEIGHT_TYPE_Q8:
      return tensor->n_elements / SORA_BLOCK_VALUES * (SORA_BLOCK_VALUES + 2);
    case SORA_WEIGHT_TYPE_Q4:
      return tensor->n_elements / SORA_BLOCK_VALUES * SORA_Q4_BYTES;
    default:
      return tensor->n_elements * sizeof (gfloat);
  }
}

void
sora_part_summary_init_file (SoraPartSummary *part, SoraWeightFile *file)
{
  g_autoptr (GPtrArray) names = sora_weight_file_get_names (file);
  SoraWeightsKind kind = sora_weights_recognise (file);
  SoraWeightType type = sora_weight_type_for_file (SORA_WEIGHT_TYPE_AUTO, file, G_MAXUINT64);

  *part = (SoraPartSummary) { .path = g_strdup (sora_weight_file_get_path (file)), .kind = kind, .family = find_family (file, kind),
    .bytes = sora_weight_file_get_bytes (file), .is_large = sora_weight_file_is_large (file, G_MAXUINT64) };
  for (guint i = 0; i < names->len; i++) {
    const SoraTensor *tensor = sora_weight_file_peek (file, names->pdata[i]);
    part->n_parameters += tensor->n_elements;
    part->dtypes[tensor->dtype] = TRUE;
    if (is_on_device (kind, names->pdata[i]))
      part->memory += count_bytes (tensor, find_stored_type (tensor, kind, type));
  }
}

void
sora_part_summary_init (SoraPartSummary *part, const gchar *path, SoraWeightCache *cache)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (SoraWeightFile) file = path ? sora_weight_cache_open (cache, path, &error) : NULL;

  if (file)
    sora_part_summary_init_file (part, file);
  else
    *part = (SoraPartSummary) { .path = g_strdup (path), .error = g_steal_pointer (&error) };
}

void
sora_part_summary_clear (SoraPartSummary *part)
{
  g_free (part->path);
  g_clear_error (&part->error);
  memset (part, 0, sizeof (*part));
}

gchar *
sora_format_parameters (guint64 n)
{
  if (n < 1e6)
    return g_strdup_printf ("%.1f K parameters", n / 1e3);
  return n < 1e9 ? g_strdup_printf ("%.1f M parameters", n / 1e6) : g_strdup_printf ("%.1f G parameters", n / 1e9);
}
