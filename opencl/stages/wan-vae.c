/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The weights of Wan's VAE: checked, brought into the engine's order, put on a device, released. */
#include "stages/wan-vae-private.h"

/* Where reading stands. Without a queue nothing but names and shapes is looked at. */
typedef struct {
  SoraWeightFile *file;
  SoraQueue *queue;             /* (nullable) */
  const SoraVaeConfig *config;
  SoraPrecision precision;
  guint64 size;                 /* bytes on the device so far */
} Reader;

/* Rows of the file's weight, of which the last fold keeps a half. */
static guint
file_rows (const SoraWanConvolution *conv)
{
  guint rows = conv->shape.out_channels * MAX (conv->shape.time_scale, 1);

  return conv->fold == SORA_WAN_LATENTS_OUT ? 2 * rows : rows;
}

/* (transfer full): as floats */
static gfloat *
to_floats (const SoraTensor *tensor)
{
  gfloat *data = g_new (gfloat, tensor->n_elements);

  sora_tensor_to_float (tensor, 0, tensor->n_elements, data);
  return data;
}

static const SoraTensor *
find_weight (Reader *reader, const SoraWanConvolution *conv, GError **error)
{
  const SoraConvolutionShape *s = &conv->shape;
  g_autofree gchar *name = g_strconcat (conv->name, ".weight", NULL);

  if (conv->flat)
    return sora_weight_file_find (reader->file, error, name, 4, file_rows (conv), s->in_channels, s->kernel_height, s->kernel_width);
  return sora_weight_file_find (reader->file, error, name, 5, file_rows (conv), s->in_channels, s->kernel_time, s->kernel_height,
      s->kernel_width);
}

static const SoraTensor *
find_bias (Reader *reader, const SoraWanConvolution *conv, GError **error)
{
  g_autofree gchar *name = g_strconcat (conv->name, ".bias", NULL);

  return sora_weight_file_find (reader->file, error, name, 1, file_rows (conv));
}

static const SoraTensor *
find_norm (Reader *reader, const SoraWanConvolution *conv, GError **error)
{
  guint n = conv->shape.in_channels;

  if (conv->flat)
    return sora_weight_file_find (reader->file, error, conv->norm_name, 3, n, 1, 1);
  return sora_weight_file_find (reader->file, error, conv->norm_name, 4, n, 1, 1, 1);
}

/* W (std · z + mean) + b as one product: @weight [n, n], @bias [n] */
static void
fold_latents_in (const SoraVaeConfig *c, gfloat *weight, gfloat *bias)
{
  guint n = c->latent_channels;

  for (guint o = 0; o < n; o++)
    for (guint i = 0; i < n; i++) {
      bias[o] += weight[o * n + i] * c->latents_mean[i];
      weight[o * n + i] *= c->latents_std[i];
    }
}

/* (W z + b - mean) / std as one product: the first n rows of @weight [2n, 2n] and @bias [2n], the others being the variance */
static void
fold_latents_out (const SoraVaeConfig *c, gfloat *weight, gfloat *bias)
{
  guint n = c->latent_channels;

  for (guint o = 0; o < n; o++) {
    for (guint i = 0; i < 2 * n; i++)
      weight[o * 2 * n + i] /= c->latents_std[o];
    bias[o] = (bias[o] - c->latents_mean[o]) / c->latents_std[o];
  }
}

/* Channels (image channel, x, y) of a patch to (image channel, y, x): @data [outer, image_channels, patch, patch, inner] */
static void
turn_patches (const SoraVaeConfig *c, gfloat *data, gsize outer, gsize inner)
{
  guint patch = c->patch_size;
  gsize n = (gsize) patch * patch * inner;
  g_autofree gfloat *copy = g_new (gfloat, n);

  for (gsize o = 0; o < outer * c->image_channels; o++, data += n) {
    memcpy (copy, data, n * sizeof (gfloat));
    for (guint y = 0; y < patch; y++)
      for (guint x = 0; x < patch; x++)
        memcpy (data + (y * patch + x) * inner, copy + (x * patch + y) * inner, inner * sizeof (gfloat));
  }
}

static void
fold (Reader *reader, const SoraWanConvolution *conv, gfloat *weight, gfloat *bias)
{
  const SoraConvolutionShape *s = &conv->shape;
  gsize taps = (gsize) s->kernel_time * s->kernel_height * s->kernel_width;

  switch (conv->fold) {
    case SORA_WAN_LATENTS_IN:
      fold_latents_in (reader->config, weight, bias);
      break;
    case SORA_WAN_LATENTS_OUT:
      fold_latents_out (reader->config, weight, bias);
      break;
    case SORA_WAN_PATCH_IN:
      turn_patches (reader->config, weight, s->out_channels, taps);
      break;
    case SORA_WAN_PATCH_OUT:
      turn_patches (reader->config, weight, 1, s->in_channels * taps);
      turn_patches (reader->config, bias, 1, 1);
      break;
    default:
      break;
  }
}

static gboolean
upload_norm (Reader *reader, SoraWanConvolution *conv, const SoraTensor *tensor, GError **error)
{
  gsize size = tensor->n_elements * sizeof (gfloat);
  g_autofree gfloat *data = to_floats (tensor);

  conv->norm = sora_queue_alloc (reader->queue, size);
  if (conv->norm != NULL)
    sora_queue_write (reader->queue, conv->norm, 0, size, data);
  reader->size += size;
  return sora_queue_check (reader->queue, error);
}

static gboolean
upload_convolution (Reader *reader, SoraWanConvolution *conv, const SoraTensor *weight_tensor, const SoraTensor *bias_tensor,
    GError **error)
{
  SoraConvolutionPrecision products = sora_convolution_choose_precision (reader->precision, 1, &weight_tensor);
  g_autofree gfloat *weight = to_floats (weight_tensor), *bias = to_floats (bias_tensor);

  fold (reader, conv, weight, bias);
  conv->conv = sora_convolution_new (reader->queue, &conv->shape, products, weight, bias, error);
  if (conv->conv == NULL)
    return FALSE;
  reader->size += sora_convolution_get_size (conv->conv);
  return TRUE;
}

static gboolean
read_convolution (Reader *reader, SoraWanConvolution *conv, GError **error)
{
  const SoraTensor *norm = conv->norm_name != NULL ? find_norm (reader, conv, error) : NULL, *weight, *bias;

  if (conv->norm_name != NULL && norm == NULL)
    return FALSE;
  weight = find_weight (reader, conv, error);
  bias = weight != NULL ? find_bias (reader, conv, error) : NULL;
  if (bias == NULL)
    return FALSE;
  if (reader->queue == NULL)
    return TRUE;
  return (norm == NULL || upload_norm (reader, conv, norm, error)) && upload_convolution (reader, conv, weight, bias, error);
}

gboolean
sora_wan_vae_half_read (SoraWanVaeHalf *half, SoraWeightFile *file, SoraPrecision precision, SoraQueue *queue, guint64 *size,
    GError **error)
{
  Reader reader = { file, queue, half->config, precision };

  for (guint i = 0; i < half->n_layers; i++)
    for (guint j = 0; j < SORA_WAN_CONVOLUTIONS; j++) {
      SoraWanConvolution *conv = &half->layers[i].conv[j];

      if (conv->name != NULL && !read_convolution (&reader, conv, error))
        return FALSE;
    }
  *size += reader.size;
  return TRUE;
}

/* One name that only Wan's own checkpoints have. */
static gboolean
is_original (SoraWeightFile *file)
{
  return sora_weight_file_peek (file, "decoder.middle.0.residual.0.gamma") != NULL;
}

gboolean
sora_wan_vae_validate (const SoraVaeConfig *config, SoraWeightFile *file, GError **error)
{
  gboolean valid = TRUE;
  guint64 size = 0;

  for (guint decodes = 0; decodes < 2 && valid; decodes++) {
    SoraWanVaeHalf half;

    sora_wan_vae_half_init (&half, config, decodes, is_original (file));
    valid = sora_wan_vae_half_read (&half, file, SORA_PRECISION_AUTO, NULL, &size, error);
    sora_wan_vae_half_clear (&half);
  }
  return valid;
}

SoraWanVae *
sora_wan_vae_new (const SoraVaeConfig *config, SoraWeightFile *file, SoraVaeHalves halves, SoraPrecision precision, SoraQueue *queue, GError **error)
{
  SoraWanVae *vae = g_new0 (SoraWanVae, 1);

  if (halves & SORA_VAE_DECODER) {
    sora_wan_vae_half_init (&vae->decoder, config, TRUE, is_original (file));
    if (!sora_wan_vae_half_read (&vae->decoder, file, precision, queue, &vae->size, error))
      goto fail;
  }
  if (halves & SORA_VAE_ENCODER) {
    sora_wan_vae_half_init (&vae->encoder, config, FALSE, is_original (file));
    if (!sora_wan_vae_half_read (&vae->encoder, file, precision, queue, &vae->size, error))
      goto fail;
  }
  return vae;

fail:
  sora_wan_vae_free (vae);
  return NULL;
}

void
sora_wan_vae_free (SoraWanVae *vae)
{
  if (vae == NULL)
    return;
  sora_wan_vae_half_clear (&vae->decoder);
  sora_wan_vae_half_clear (&vae->encoder);
  g_free (vae);
}

guint64
sora_wan_vae_get_size (SoraWanVae *vae)
{
  return vae->size;
}
