/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The layers of Wan's VAE from its configuration: their shapes, and their names in a weight file. */
#include "stages/wan-vae-private.h"

/* Diffusers' name, the original one */
static const gchar *const in_names[] = { "conv_in", "conv1" }, *const out_names[] = { "conv_out", "head.2" };
static const gchar *const out_norm_names[] = { "norm_out.gamma", "head.0.gamma" };
static const gchar *const quant_names[] = { "quant_conv", "conv1" }, *const post_quant_names[] = { "post_quant_conv", "conv2" };
static const gchar *const middle_names[][2] = {
  { "mid_block.resnets.0.", "middle.0." }, { "mid_block.attentions.0.", "middle.1." }, { "mid_block.resnets.1.", "middle.2." },
};
static const gchar *const block_names[][2] = { { "conv1", "residual.2" }, { "conv2", "residual.6" }, { "conv_shortcut", "shortcut" } };
static const gchar *const block_norm_names[][2] = { { "norm1.gamma", "residual.0.gamma" }, { "norm2.gamma", "residual.3.gamma" } };

/* Where adding layers stands. */
typedef struct {
  SoraWanVaeHalf *half;
  guint dialect;                /* index of the names */
  const gchar *prefix;          /* "decoder." or "encoder." */
  guint n_items;                /* blocks and changes of size so far: the flat numbering */
} Builder;

static SoraWanLayer *
add_layer (Builder *b, SoraWanLayerType type)
{
  SoraWanLayer *layer;

  b->half->layers = g_renew (SoraWanLayer, b->half->layers, b->half->n_layers + 1);
  layer = &b->half->layers[b->half->n_layers++];
  *layer = (SoraWanLayer) { type };
  return layer;
}

/* @norm: (nullable) */
static void
set_convolution (SoraWanConvolution *conv, const gchar *prefix, const gchar *name, const gchar *norm, SoraConvolutionShape shape)
{
  conv->name = g_strconcat (prefix, name, NULL);
  conv->norm_name = norm ? g_strconcat (prefix, norm, NULL) : NULL;
  conv->silu = norm != NULL;
  conv->shape = shape;
}

static void
add_quant (Builder *b, const gchar *const *names, guint in, guint out, SoraWanFold fold)
{
  SoraWanLayer *layer = add_layer (b, SORA_WAN_POINTWISE);

  set_convolution (&layer->conv[0], "", names[b->dialect], NULL, (SoraConvolutionShape) { in, out, 1, 1, 1 });
  layer->conv[0].fold = fold;
}

static void
add_causal (Builder *b, const gchar *name, const gchar *norm, guint in, guint out, SoraWanFold fold)
{
  SoraWanLayer *layer = add_layer (b, SORA_WAN_CAUSAL);

  set_convolution (&layer->conv[0], b->prefix, name, norm, (SoraConvolutionShape) { in, out, 3, 3, 3 });
  layer->conv[0].fold = fold;
}

static void
add_block (Builder *b, const gchar *prefix, guint in, guint out)
{
  SoraWanConvolution *conv = add_layer (b, SORA_WAN_BLOCK)->conv;
  guint d = b->dialect;

  set_convolution (&conv[0], prefix, block_names[0][d], block_norm_names[0][d], (SoraConvolutionShape) { in, out, 3, 3, 3 });
  set_convolution (&conv[1], prefix, block_names[1][d], block_norm_names[1][d], (SoraConvolutionShape) { out, out, 3, 3, 3 });
  if (in != out)
    set_convolution (&conv[2], prefix, block_names[2][d], NULL, (SoraConvolutionShape) { in, out, 1, 1, 1 });
}

static void
add_attention (Builder *b, const gchar *prefix, guint channels)
{
  SoraWanConvolution *conv = add_layer (b, SORA_WAN_ATTENTION)->conv;

  set_convolution (&conv[0], prefix, "to_qkv", "norm.gamma", (SoraConvolutionShape) { channels, 3 * channels, 1, 1, 1 });
  set_convolution (&conv[1], prefix, "proj", NULL, (SoraConvolutionShape) { channels, channels, 1, 1, 1 });
  conv[0].silu = FALSE;
  conv[0].flat = conv[1].flat = TRUE;
}

static void
add_middle (Builder *b, guint channels)
{
  for (guint i = 0; i < 3; i++) {
    g_autofree gchar *prefix = g_strconcat (b->prefix, middle_names[i][b->dialect], NULL);

    if (i == 1)
      add_attention (b, prefix, channels);
    else
      add_block (b, prefix, channels, channels);
  }
}

static void
add_resample (Builder *b, const gchar *prefix, gboolean in_time, guint in, guint out)
{
  gboolean up = b->half->decodes;
  SoraWanLayer *layer = add_layer (b, up ? SORA_WAN_UP : SORA_WAN_DOWN);
  const SoraConvolutionShape grow = { in, out, 1, 3, 3, 1, 1, 2 }, shrink = { in, out, 1, 3, 3, 2, 1, 1, 1, 1 };
  const SoraConvolutionShape grow_time = { in, in, 3, 1, 1, 1, 1, 1, 2 }, shrink_time = { out, out, 3, 1, 1, 1, 2 };

  layer->in_time = in_time;
  set_convolution (&layer->conv[0], prefix, "resample.1", NULL, up ? grow : shrink);
  layer->conv[0].flat = TRUE;
  if (in_time)
    set_convolution (&layer->conv[1], prefix, "time_conv", NULL, up ? grow_time : shrink_time);
}

static gchar *
residual_item_prefix (Builder *b, guint level, guint item, gboolean is_resample)
{
  const gchar *way = b->half->decodes ? "up" : "down";

  if (b->dialect == 1)
    return g_strdup_printf ("%s%ssamples.%u.%ssamples.%u.", b->prefix, way, level, way, item);
  if (is_resample)
    return g_strdup_printf ("%s%s_blocks.%u.%ssampler.", b->prefix, way, level, way);
  return g_strdup_printf ("%s%s_blocks.%u.resnets.%u.", b->prefix, way, level, item);
}

/* (transfer full): what the names in item @item of level @level begin with; the change of size is a level's last item. Without
 * shortcuts diffusers numbers the encoder's items through, the original both halves'. */
static gchar *
item_prefix (Builder *b, guint level, guint item, gboolean is_resample)
{
  guint n = b->n_items++;

  if (b->half->config->wan.is_residual)
    return residual_item_prefix (b, level, item, is_resample);
  if (b->dialect == 1)
    return g_strdup_printf ("%s%s.%u.", b->prefix, b->half->decodes ? "upsamples" : "downsamples", n);
  if (!b->half->decodes)
    return g_strdup_printf ("%sdown_blocks.%u.", b->prefix, n);
  if (is_resample)
    return g_strdup_printf ("%sup_blocks.%u.upsamplers.0.", b->prefix, level);
  return g_strdup_printf ("%sup_blocks.%u.resnets.%u.", b->prefix, level, item);
}

static void
add_join (Builder *b, gboolean is_last, gboolean in_time)
{
  add_layer (b, SORA_WAN_JOIN)->shortcut = (SoraShortcut) { in_time ? 2 : 1, is_last ? 1 : 2 };
}

/* @n_blocks blocks from @in to @out channels, then, except in the last level, a change of size to @next channels; all of it beside a
 * shortcut in the residual kind, except the decoder's last level. */
static void
add_level (Builder *b, guint level, guint n_blocks, guint in, guint out, guint next, gboolean is_last, gboolean in_time)
{
  gboolean shortcut = b->half->config->wan.is_residual && !(b->half->decodes && is_last);

  if (shortcut)
    add_layer (b, SORA_WAN_FORK);
  for (guint i = 0; i < n_blocks; i++) {
    g_autofree gchar *prefix = item_prefix (b, level, i, FALSE);

    add_block (b, prefix, i == 0 ? in : out, out);
  }
  if (!is_last) {
    g_autofree gchar *prefix = item_prefix (b, level, n_blocks, TRUE);

    add_resample (b, prefix, in_time, out, next);
  }
  if (shortcut)
    add_join (b, is_last, in_time);
}

static void
add_decoder (Builder *b)
{
  const SoraVaeConfig *c = b->half->config;
  const SoraWanVaeConfig *wan = &c->wan;
  guint n = wan->n_levels, in = wan->decoder_base_dim * wan->dim_mult[n - 1];

  add_quant (b, post_quant_names, c->latent_channels, c->latent_channels, SORA_WAN_LATENTS_IN);
  add_causal (b, in_names[b->dialect], NULL, c->latent_channels, in, SORA_WAN_PLAIN);
  add_middle (b, in);
  for (guint i = 0; i < n; i++) {
    guint out = wan->decoder_base_dim * wan->dim_mult[n - 1 - i], next = wan->is_residual || i + 1 == n ? out : out / 2;
    gboolean is_last = i + 1 == n;

    add_level (b, i, wan->num_res_blocks + 1, in, out, next, is_last, !is_last && wan->temperal_downsample[n - 2 - i]);
    in = next;
  }
  add_causal (b, out_names[b->dialect], out_norm_names[b->dialect], in, c->image_channels * c->patch_size * c->patch_size,
      SORA_WAN_PATCH_OUT);
}

static void
add_encoder (Builder *b)
{
  const SoraVaeConfig *c = b->half->config;
  const SoraWanVaeConfig *wan = &c->wan;
  guint n = wan->n_levels, in = wan->base_dim;

  add_causal (b, in_names[b->dialect], NULL, c->image_channels * c->patch_size * c->patch_size, in, SORA_WAN_PATCH_IN);
  for (guint i = 0; i < n; i++) {
    guint out = wan->base_dim * wan->dim_mult[i];
    gboolean is_last = i + 1 == n;

    add_level (b, i, wan->num_res_blocks, in, out, out, is_last, !is_last && wan->temperal_downsample[i]);
    in = out;
  }
  add_middle (b, in);
  add_causal (b, out_names[b->dialect], out_norm_names[b->dialect], in, 2 * c->latent_channels, SORA_WAN_PLAIN);
  add_quant (b, quant_names, 2 * c->latent_channels, c->latent_channels, SORA_WAN_LATENTS_OUT);
}

void
sora_wan_vae_half_init (SoraWanVaeHalf *half, const SoraVaeConfig *config, gboolean decodes, gboolean original)
{
  Builder builder = { half, original, decodes ? "decoder." : "encoder." };

  *half = (SoraWanVaeHalf) { config, decodes };
  if (decodes)
    add_decoder (&builder);
  else
    add_encoder (&builder);
}

static void
clear_convolution (SoraWanConvolution *conv)
{
  g_free (conv->name);
  g_free (conv->norm_name);
  sora_convolution_free (conv->conv);
  g_clear_pointer (&conv->norm, clReleaseMemObject);
}

void
sora_wan_vae_half_clear (SoraWanVaeHalf *half)
{
  for (guint i = 0; i < half->n_layers; i++)
    for (guint j = 0; j < SORA_WAN_CONVOLUTIONS; j++)
      clear_convolution (&half->layers[i].conv[j]);
  g_clear_pointer (&half->layers, g_free);
  half->n_layers = 0;
}
