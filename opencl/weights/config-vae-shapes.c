/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The configuration of a VAE, a TAEHV or Wan's own, told by the shapes of its tensors, and the statistics of Wan's latents. */

#include "weights/config-shapes-private.h"

#include <string.h>

/* Of the latents that Wan's transformers work on, constants of its code: 2.1 and 2.2 A14B have 16 channels, 2.2 TI2V has 48. */
static const gfloat wan21_mean[] = {
  -0.7571f, -0.7089f, -0.9113f, 0.1075f, -0.1745f, 0.9653f, -0.1517f, 1.5508f, 0.4134f, -0.0715f, 0.5517f, -0.3632f, -0.1922f, -0.9497f,
  0.2503f, -0.2921f,
};
static const gfloat wan21_std[] = {
  2.8184f, 1.4541f, 2.3275f, 2.6558f, 1.2196f, 1.7708f, 2.6052f, 2.0743f, 3.2687f, 2.1526f, 2.8652f, 1.5579f, 1.6382f, 1.1253f, 2.8251f,
  1.9160f,
};
static const gfloat wan22_mean[] = {
  -0.2289f, -0.0052f, -0.1323f, -0.2339f, -0.2799f, 0.0174f, 0.1838f, 0.1557f, -0.1382f, 0.0542f, 0.2813f, 0.0891f, 0.1570f, -0.0098f,
  0.0375f, -0.1825f, -0.2246f, -0.1207f, -0.0698f, 0.5109f, 0.2665f, -0.2108f, -0.2158f, 0.2502f, -0.2055f, -0.0322f, 0.1109f, 0.1567f,
  -0.0729f, 0.0899f, -0.2799f, -0.1230f, -0.0313f, -0.1649f, 0.0117f, 0.0723f, -0.2839f, -0.2083f, -0.0520f, 0.3748f, 0.0152f, 0.1957f,
  0.1433f, -0.2944f, 0.3573f, -0.0548f, -0.1681f, -0.0667f,
};
static const gfloat wan22_std[] = {
  0.4765f, 1.0364f, 0.4514f, 1.1677f, 0.5313f, 0.4990f, 0.4818f, 0.5013f, 0.8158f, 1.0344f, 0.5894f, 1.0901f, 0.6885f, 0.6165f, 0.8454f,
  0.4978f, 0.5759f, 0.3523f, 0.7135f, 0.6804f, 0.5833f, 1.4146f, 0.8986f, 0.5659f, 0.7069f, 0.5338f, 0.4889f, 0.4917f, 0.4069f, 0.4999f,
  0.6866f, 0.4093f, 0.5709f, 0.6065f, 0.6415f, 0.4944f, 0.5726f, 1.2042f, 0.5458f, 1.6887f, 0.3971f, 1.0600f, 0.3943f, 0.5537f, 0.5444f,
  0.4089f, 0.7468f, 0.7744f,
};

static const struct {
  guint channels;
  const gfloat *mean, *std;     /* [channels] */
} statistics[] = {
  { G_N_ELEMENTS (wan21_mean), wan21_mean, wan21_std },
  { G_N_ELEMENTS (wan22_mean), wan22_mean, wan22_std },
};

static gboolean
has (SoraWeightFile *file, const gchar *name)
{
  return sora_weight_file_peek (file, name) != NULL;
}

/* Those of Wan's latents with as many channels; FALSE if there are none */
static gboolean
set_wan_statistics (SoraVaeConfig *config)
{
  for (guint i = 0; i < G_N_ELEMENTS (statistics); i++) {
    gsize size = config->latent_channels * sizeof (gfloat);
    if (statistics[i].channels != config->latent_channels)
      continue;
    config->latents_mean = g_memdup2 (statistics[i].mean, size);
    config->latents_std = g_memdup2 (statistics[i].std, size);
    return TRUE;
  }
  return FALSE;
}

/* TAEHV */

static gchar *
module_name (const gchar *half, guint module, const gchar *suffix)
{
  return g_strdup_printf ("%s.%u.%s", half, module, suffix);
}

static gboolean
has_module (SoraWeightFile *file, const gchar *half, guint module, const gchar *suffix)
{
  g_autofree gchar *name = module_name (half, module, suffix);

  return has (file, name);
}

static gboolean
get_module (SoraWeightFile *file, const gchar *half, guint module, const gchar *suffix, guint *sizes, GError **error)
{
  g_autofree gchar *name = module_name (half, module, suffix);

  return sora_shapes_get (file, name, 4, sizes, error);
}

static guint
count_blocks (SoraWeightFile *file, const gchar *half, guint *module)
{
  guint n = 0;

  while (n < 64 && has_module (file, half, *module, "conv.0.weight")) {
    n++;
    (*module)++;
  }
  return n;
}

/* A change of time at *@module, and the convolution behind it, which leads to the next width. @grows: the frames become more */
static gboolean
read_resample (SoraVaeLevels *levels, SoraWeightFile *file, const gchar *half, guint *module, gboolean grows, GError **error)
{
  guint mix[4], conv[4], level = levels->n_levels, factor;

  if (!get_module (file, half, *module, "conv.weight", mix, error) || !get_module (file, half, *module + 1, "weight", conv, error))
    return FALSE;
  *module += 2;
  factor = grows ? mix[0] / mix[1] : mix[1] / mix[0];
  if (factor < 1 || factor > 2)
    return sora_shapes_fail (file, SORA_MODEL_ERROR_UNSUPPORTED, error,
        "a TAEHV that changes time by other than a factor of 1 or 2 is not supported");
  levels->time[level] = factor == 2;
  levels->space[level] = TRUE;
  levels->widths[level + 1] = conv[0];
  levels->n_levels++;
  return TRUE;
}

static gboolean
check_level (const SoraVaeLevels *levels, SoraWeightFile *file, GError **error)
{
  return levels->n_levels < SORA_VAE_MAX_LEVELS
      || sora_shapes_fail (file, SORA_MODEL_ERROR_UNSUPPORTED, error, "a TAEHV of more than 4 levels is not supported");
}

/* conv, ReLU, levels of (pool, conv, blocks), conv */
static gboolean
read_encoder (SoraVaeConfig *config, SoraWeightFile *file, GError **error)
{
  SoraVaeLevels *levels = &config->encoder;
  guint sizes[4], module = 2;

  if (!get_module (file, "encoder", 0, "weight", sizes, error))
    return FALSE;
  levels->widths[0] = sizes[0];
  while (config->patch_size < 16 && config->image_channels * config->patch_size * config->patch_size < sizes[1])
    config->patch_size++;
  while (has_module (file, "encoder", module, "conv.weight")) {
    if (!check_level (levels, file, error) || !read_resample (levels, file, "encoder", &module, FALSE, error))
      return FALSE;
    levels->blocks[levels->n_levels - 1] = count_blocks (file, "encoder", &module);
  }
  return TRUE;
}

/* clamp, conv, ReLU, levels of (blocks, up-sampling, growth, conv), ReLU, conv */
static gboolean
read_decoder (SoraVaeConfig *config, SoraWeightFile *file, GError **error)
{
  SoraVaeLevels *levels = &config->decoder;
  guint sizes[4], module = 3, n_blocks = 0;

  if (!get_module (file, "decoder", 1, "weight", sizes, error))
    return FALSE;
  levels->widths[0] = sizes[0];
  config->latent_channels = sizes[1];
  while (n_blocks = count_blocks (file, "decoder", &module), has_module (file, "decoder", module + 1, "conv.weight")) {
    module++;
    if (!check_level (levels, file, error) || !read_resample (levels, file, "decoder", &module, TRUE, error))
      return FALSE;
    levels->blocks[levels->n_levels - 1] = n_blocks;
  }
  return TRUE;
}

static guint
count_doublings (const SoraVaeLevels *levels)
{
  guint n = 0;

  for (guint i = 0; i < levels->n_levels; i++)
    n += levels->time[i];
  return n;
}

/* Growth that the encoder has no counterpart to is not used: of a first level's weights for two frames those for the last are. */
static void
drop_excess_growth (SoraVaeLevels *decoder, guint n)
{
  for (guint i = 0; i < decoder->n_levels && n > 0; i++) {
    n -= decoder->time[i];
    decoder->time[i] = FALSE;
  }
}

/* LightX2V's decoders and encoders of the name (lighttaew2_1) are TAEHV's but for the latents, which are not normalised; nothing in the
 * file says so. */
static gboolean
has_raw_latents (SoraWeightFile *file)
{
  g_autofree gchar *name = g_path_get_basename (sora_weight_file_get_path (file)), *lower = g_ascii_strdown (name, -1);

  return strstr (lower, "lighttae") != NULL;
}

/* TAEHV else works on latents as the transformer has them: mean 0, deviation 1. */
static void
set_taehv_statistics (SoraVaeConfig *config, SoraWeightFile *file)
{
  if (has_raw_latents (file) && set_wan_statistics (config))
    return;
  config->latents_mean = g_new0 (gfloat, config->latent_channels);
  config->latents_std = g_new (gfloat, config->latent_channels);
  for (guint i = 0; i < config->latent_channels; i++)
    config->latents_std[i] = 1;
}

static gboolean
complete_taehv (SoraVaeConfig *config, SoraWeightFile *file, GError **error)
{
  guint levels = config->decoder.n_levels, shrinks = count_doublings (&config->encoder), grows = count_doublings (&config->decoder);

  if (levels == 0 || levels != config->encoder.n_levels || grows < shrinks)
    return sora_shapes_fail (file, SORA_MODEL_ERROR_UNSUPPORTED, error,
        "encoder and decoder of this TAEHV differ in scale; a folder with its weights and a config.json that says how can be named "
        "instead");
  if (config->latent_channels > 1024)
    return sora_shapes_fail (file, SORA_MODEL_ERROR_UNSUPPORTED, error, "a TAEHV of more than 1024 latent channels is not supported");
  drop_excess_growth (&config->decoder, grows - shrinks);
  config->spatial_scale = config->patch_size << levels;
  config->time_scale = 1 << shrinks;
  config->frames_to_trim = config->time_scale - 1;
  set_taehv_statistics (config, file);
  return TRUE;
}

/* Wan's own */

/* Where reading the encoder's items, blocks and changes of size, stands. */
typedef struct {
  SoraWeightFile *file;
  gboolean is_original;         /* names as in Wan's checkpoints, else diffusers' */
  gboolean is_residual;         /* items are numbered within levels, else through */
  guint level, item;            /* the next one's numbers */
} Items;

/* (transfer full): what the next item's names begin with, if it is a block, or a change of size */
static gchar *
item_prefix (const Items *items, gboolean is_resample)
{
  if (items->is_original && items->is_residual)
    return g_strdup_printf ("encoder.downsamples.%u.downsamples.%u.", items->level, items->item);
  if (items->is_original)
    return g_strdup_printf ("encoder.downsamples.%u.", items->item);
  if (!items->is_residual)
    return g_strdup_printf ("encoder.down_blocks.%u.", items->item);
  return is_resample ? g_strdup_printf ("encoder.down_blocks.%u.downsampler.", items->level)
      : g_strdup_printf ("encoder.down_blocks.%u.resnets.%u.", items->level, items->item);
}

/* The tensor @name of the next item, or NULL */
static const SoraTensor *
peek_item (const Items *items, gboolean is_resample, const gchar *name)
{
  g_autofree gchar *prefix = item_prefix (items, is_resample), *whole = g_strconcat (prefix, name, NULL);

  return sora_weight_file_peek (items->file, whole);
}

/* Blocks up to the next change of size, and the channels that come out of them */
static guint
pass_blocks (Items *items, guint64 *channels)
{
  const SoraTensor *weight;
  guint n = 0;

  while (n < 64 && (weight = peek_item (items, FALSE, items->is_original ? "residual.2.weight" : "conv1.weight"))) {
    *channels = weight->shape[0];
    items->item++;
    n++;
  }
  return n;
}

/* Levels of blocks, each but the last with a change of size after it, which is one of time too where it has a convolution in time */
static gboolean
read_wan_levels (SoraWanVaeConfig *wan, Items *items)
{
  for (gboolean goes_on = TRUE; goes_on; items->level++) {
    guint64 channels = 0;
    guint n = pass_blocks (items, &channels), level = wan->n_levels;

    if (level == 0)
      wan->num_res_blocks = n;
    if (n == 0 || n != wan->num_res_blocks || level == SORA_VAE_MAX_LEVELS || channels == 0 || channels % wan->base_dim != 0
        || channels / wan->base_dim > 16)
      return FALSE;
    wan->dim_mult[wan->n_levels++] = channels / wan->base_dim;
    goes_on = peek_item (items, TRUE, "resample.1.weight") != NULL;
    if (goes_on)
      wan->temperal_downsample[level] = peek_item (items, TRUE, "time_conv.weight") != NULL;
    items->item = items->is_residual ? 0 : items->item + 1;
  }
  return wan->n_levels >= 2;
}

static gboolean
is_residual (SoraWeightFile *file, gboolean is_original)
{
  return has (file, is_original ? "encoder.downsamples.0.downsamples.0.residual.2.weight" : "encoder.down_blocks.0.resnets.0.conv1.weight");
}

/* The convolutions at both ends of both halves: channels, patches, widths */
static gboolean
read_wan_ends (SoraVaeConfig *config, SoraWeightFile *file, gboolean is_original, guint *decoder_width, GError **error)
{
  guint latents[5], in[5], first[5], last[5];

  if (!sora_shapes_get (file, is_original ? "conv2.weight" : "post_quant_conv.weight", 5, latents, error)
      || !sora_shapes_get (file, is_original ? "encoder.conv1.weight" : "encoder.conv_in.weight", 5, in, error)
      || !sora_shapes_get (file, is_original ? "decoder.conv1.weight" : "decoder.conv_in.weight", 5, first, error)
      || !sora_shapes_get (file, is_original ? "decoder.head.2.weight" : "decoder.conv_out.weight", 5, last, error))
    return FALSE;
  while (config->patch_size < 16 && config->image_channels * config->patch_size * config->patch_size < in[1])
    config->patch_size++;
  if (config->image_channels * config->patch_size * config->patch_size != in[1] || last[0] != in[1])
    return sora_shapes_fail (file, SORA_MODEL_ERROR_UNSUPPORTED, error,
        "a kind of Wan's VAE that takes in or gives out other than colours, in patches of one size, is not supported");
  config->latent_channels = latents[0];
  config->wan.base_dim = in[0];
  *decoder_width = first[0];
  return TRUE;
}

static gboolean
read_wan (SoraVaeConfig *config, SoraWeightFile *file, GError **error)
{
  SoraWanVaeConfig *wan = &config->wan;
  gboolean is_original = has (file, "decoder.middle.0.residual.0.gamma");
  Items items = { file, is_original, is_residual (file, is_original) };
  guint decoder_width = 0;

  config->kind = SORA_VAE_WAN;
  wan->is_residual = items.is_residual;
  if (!read_wan_ends (config, file, is_original, &decoder_width, error))
    return FALSE;
  if (!read_wan_levels (wan, &items) || decoder_width % wan->dim_mult[wan->n_levels - 1] != 0)
    return sora_shapes_fail (file, SORA_MODEL_ERROR_UNSUPPORTED, error, "the layers of its encoder are not those of Wan's VAE");
  wan->decoder_base_dim = decoder_width / wan->dim_mult[wan->n_levels - 1];
  if (sora_vae_config_complete_wan (config))
    return sora_shapes_fail (file, SORA_MODEL_ERROR_UNSUPPORTED, error, "the widths of its layers are not those of Wan's VAE");
  return set_wan_statistics (config) || sora_shapes_fail (file, SORA_MODEL_ERROR_UNSUPPORTED, error,
      "a VAE like Wan's, but with other than 16 or 48 channels, so that mean and deviation of its latents are unknown; name a folder "
      "with a config.json that has them");
}

gboolean
sora_vae_config_from_shapes (SoraVaeConfig *config, SoraWeightFile *file, GError **error)
{
  *config = (SoraVaeConfig) { .image_channels = 3, .patch_size = 1 };
  if (sora_weights_recognise (file) == SORA_WEIGHTS_WAN_VAE)
    return read_wan (config, file, error);
  return sora_weights_expect (file, SORA_WEIGHTS_TAEHV, error) && read_encoder (config, file, error)
      && read_decoder (config, file, error) && complete_taehv (config, file, error);
}
