/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads TAEHV's convolutions from a weight file by their module numbers, or only checks that they are there. */
#include "stages/taehv-weights.h"

/* The named tensor [out, in, kernel, kernel] or, with in = 0, [out], as floats: (transfer full). @data stays NULL if only checking. */
static gboolean
read_tensor (SoraTaehvReader *reader, const gchar *name, guint out, guint in, guint kernel, gfloat **data, GError **error)
{
  const SoraTensor *tensor = in == 0 ? sora_weight_file_find (reader->file, error, name, 1, out)
      : sora_weight_file_find (reader->file, error, name, 4, out, in, kernel, kernel);

  if (tensor == NULL)
    return FALSE;
  if (reader->queue != NULL) {
    *data = g_new (gfloat, tensor->n_elements);
    sora_tensor_to_float (tensor, 0, tensor->n_elements, *data);
    if (in != 0)
      reader->parts[reader->n_parts++] = tensor;
  }
  return TRUE;
}

/* The same of the last @rows [rows, in, 1, 1] of a 1x1 convolution that may have more: a file for more frames gives its last ones. */
static gboolean
read_last_rows (SoraTaehvReader *reader, const gchar *name, guint rows, guint in, gfloat **data, GError **error)
{
  const SoraTensor *found = sora_weight_file_peek (reader->file, name);
  gboolean is_wider = found != NULL && found->n_dims == 4 && found->shape[0] > rows && found->shape[0] % rows == 0;
  const SoraTensor *tensor = sora_weight_file_find (reader->file, error, name, 4, is_wider ? 0 : rows, in, 1, 1);

  if (tensor == NULL)
    return FALSE;
  if (reader->queue != NULL) {
    gsize n = (gsize) rows * in;

    *data = g_new (gfloat, n);
    sora_tensor_to_float (tensor, tensor->n_elements - n, n, *data);
    reader->parts[reader->n_parts++] = tensor;
  }
  return TRUE;
}

/* Uploads what was read since the last time, unless only checking. */
static gboolean
make_convolution (SoraTaehvReader *reader, const SoraConvolutionShape *shape, const gfloat *weight, const gfloat *bias,
    SoraConvolution **convolution, GError **error)
{
  SoraConvolutionPrecision precision;

  if (reader->queue == NULL)
    return TRUE;
  precision = sora_convolution_choose_precision (reader->precision, reader->n_parts, reader->parts);
  reader->n_parts = 0;
  *convolution = sora_convolution_new (reader->queue, shape, precision, weight, bias, error);
  if (*convolution == NULL)
    return FALSE;
  reader->size += sora_convolution_get_size (*convolution);
  return TRUE;
}

/* output row r = (row r - mean[r]) / std[r], for rows of @columns */
static void
normalise_rows (gfloat *values, guint rows, guint columns, const gfloat *mean, const gfloat *std)
{
  for (guint r = 0; r < rows; r++)
    for (guint c = 0; c < columns; c++)
      values[r * columns + c] = (values[r * columns + c] - (mean != NULL ? mean[r] : 0)) / std[r];
}

/* A 3x3 convolution with bias: HALF.MODULE[SUFFIX].weight and .bias. @normalise: (nullable): folds the latents' normalisation in */
static gboolean
read_plain (SoraTaehvReader *reader, const gchar *suffix, guint in, guint out, guint kernel_time, const SoraVaeConfig *normalise,
    SoraConvolution **convolution, GError **error)
{
  const SoraConvolutionShape shape = { in, out, kernel_time, 3, 3 };
  g_autofree gchar *weight_name = g_strdup_printf ("%s.%u%s.weight", reader->half, reader->module, suffix);
  g_autofree gchar *bias_name = g_strdup_printf ("%s.%u%s.bias", reader->half, reader->module, suffix);
  g_autofree gfloat *weight = NULL, *bias = NULL;

  if (!read_tensor (reader, weight_name, out, in * kernel_time, 3, &weight, error)
      || !read_tensor (reader, bias_name, out, 0, 0, &bias, error))
    return FALSE;
  if (normalise != NULL && weight != NULL) {
    normalise_rows (weight, out, in * 9, NULL, normalise->latents_std);
    normalise_rows (bias, out, 1, normalise->latents_mean, normalise->latents_std);
  }
  return make_convolution (reader, &shape, weight, bias, convolution, error);
}

/* [out, 2 · in, 9] over the channels of (this frame, the frame before) to [out, in, 2, 9] over time */
static gfloat *
memory_to_time (const gfloat *weight, guint out, guint in)
{
  gfloat *result = g_new (gfloat, (gsize) out * in * 18);

  for (guint o = 0; o < out; o++)
    for (guint i = 0; i < in; i++) {
      gfloat *target = result + ((gsize) o * in + i) * 18;

      memcpy (target, weight + ((gsize) o * 2 * in + in + i) * 9, 9 * sizeof (gfloat));
      memcpy (target + 9, weight + ((gsize) o * 2 * in + i) * 9, 9 * sizeof (gfloat));
    }
  return result;
}

/* The first convolution of a memory block, over cat (x, past): causal in time. */
static gboolean
read_memory (SoraTaehvReader *reader, guint n, SoraConvolution **convolution, GError **error)
{
  const SoraConvolutionShape shape = { n, n, 2, 3, 3 };
  g_autofree gchar *weight_name = g_strdup_printf ("%s.%u.conv.0.weight", reader->half, reader->module);
  g_autofree gchar *bias_name = g_strdup_printf ("%s.%u.conv.0.bias", reader->half, reader->module);
  g_autofree gfloat *weight = NULL, *bias = NULL, *in_time = NULL;

  if (!read_tensor (reader, weight_name, n, 2 * n, 3, &weight, error)
      || !read_tensor (reader, bias_name, n, 0, 0, &bias, error))
    return FALSE;
  if (weight != NULL)
    in_time = memory_to_time (weight, n, n);
  return make_convolution (reader, &shape, in_time, bias, convolution, error);
}

static gboolean
read_blocks (SoraTaehvReader *reader, guint n_blocks, guint n, SoraTaehvLevel *level, GError **error)
{
  level->n_blocks = n_blocks;
  level->blocks = g_new0 (SoraTaehvBlock, n_blocks);
  for (guint i = 0; i < n_blocks; i++, reader->module++) {
    SoraConvolution **conv = level->blocks[i].conv;

    if (!read_memory (reader, n, &conv[0], error) || !read_plain (reader, ".conv.2", n, n, 1, NULL, &conv[1], error)
        || !read_plain (reader, ".conv.4", n, n, 1, NULL, &conv[2], error))
      return FALSE;
  }
  return TRUE;
}

/* The 9 taps of a kernel, padded to whole vectors */
typedef gfloat Four __attribute__ ((vector_size (16)));
typedef struct {
  Four part[3];
} Taps;

/* result[q, tap] = sum over j of conv[j, tap] · mix[j, q]: one output channel of a 3x3 convolution after a 1x1 one. Exact up to
 * rounding, as neither has a bias. @sum: scratch for columns */
static void
compose (const gfloat *conv, const gfloat *mix, guint n, guint columns, Taps *sum, gfloat *result)
{
  memset (sum, 0, columns * sizeof *sum);
  for (guint j = 0; j < n; j++) {
    Taps taps = { 0 };

    memcpy (&taps, conv + j * 9, 9 * sizeof (gfloat));
    for (guint q = 0; q < columns; q++, mix++) {
      sum[q].part[0] += taps.part[0] * *mix;
      sum[q].part[1] += taps.part[1] * *mix;
      sum[q].part[2] += taps.part[2] * *mix;
    }
  }
  for (guint q = 0; q < columns; q++)
    memcpy (result + q * 9, &sum[q], 9 * sizeof (gfloat));
}

/* Weights of a level's 1x1 convolution over @rows x @columns (this module) and the 3x3 convolution (the next one). */
static gboolean
read_resample_pair (SoraTaehvReader *reader, guint rows, guint columns, guint in, guint out, gfloat **mix, gfloat **conv,
    GError **error)
{
  gboolean grows = g_str_equal (reader->half, "decoder");
  g_autofree gchar *mix_name = g_strdup_printf ("%s.%u.conv.weight", reader->half, reader->module);
  g_autofree gchar *conv_name = g_strdup_printf ("%s.%u.weight", reader->half, reader->module + 1);

  reader->module += 2;
  return (grows ? read_last_rows (reader, mix_name, rows, columns, mix, error)
          : read_tensor (reader, mix_name, rows, columns, 1, mix, error))
      && read_tensor (reader, conv_name, out, in, 3, conv, error);
}

/* Upsample, TGrow (1x1, n to time · n channels: the frames), 3x3 convolution, as one convolution for each output frame. */
static gboolean
read_grow (SoraTaehvReader *reader, guint in, guint out, guint time, guint space, SoraConvolution **convolution, GError **error)
{
  const SoraConvolutionShape shape = { in, out, 1, 3, 3, 1, 1, space, time };
  g_autofree gfloat *mix = NULL, *conv = NULL, *both = NULL;
  g_autofree Taps *sum = g_new (Taps, in);

  reader->module++;
  if (!read_resample_pair (reader, time * in, in, in, out, &mix, &conv, error))
    return FALSE;
  if (mix != NULL) {
    both = g_new (gfloat, (gsize) time * out * in * 9);
    for (guint t = 0; t < time; t++)
      for (guint o = 0; o < out; o++)
        compose (conv + (gsize) o * in * 9, mix + (gsize) t * in * in, in, in, sum, both + ((gsize) t * out + o) * in * 9);
  }
  return make_convolution (reader, &shape, both, NULL, convolution, error);
}

/* TPool (1x1 over the channels of @time frames), then a 3x3 convolution with a stride, as one convolution in time and space. */
static gboolean
read_shrink (SoraTaehvReader *reader, guint in, guint out, guint time, guint space, SoraConvolution **convolution, GError **error)
{
  const SoraConvolutionShape shape = { in, out, time, 3, 3, space, time };
  guint columns = time * in;
  g_autofree gfloat *mix = NULL, *conv = NULL, *both = NULL, *row = g_new (gfloat, columns * 9);
  g_autofree Taps *sum = g_new (Taps, columns);

  if (!read_resample_pair (reader, in, columns, in, out, &mix, &conv, error))
    return FALSE;
  both = g_new (gfloat, (gsize) out * columns * 9);
  for (guint o = 0; o < out && mix != NULL; o++) {
    compose (conv + (gsize) o * in * 9, mix, in, columns, sum, row);
    for (guint t = 0; t < time; t++)    /* [time, in, 9] to [in, time, 9] */
      for (guint i = 0; i < in; i++)
        memcpy (both + (((gsize) o * in + i) * time + t) * 9, row + (t * in + i) * 9, 9 * sizeof (gfloat));
  }
  return make_convolution (reader, &shape, both, NULL, convolution, error);
}

gboolean
sora_taehv_read_decoder (SoraTaehvReader *reader, const SoraVaeConfig *config, SoraTaehvHalf *half, GError **error)
{
  const SoraVaeLevels *levels = &config->decoder;
  const guint *widths = levels->widths;

  half->n_levels = levels->n_levels;
  reader->half = "decoder";
  reader->module = 1;           /* 0 is the clamp */
  if (!read_plain (reader, "", config->latent_channels, widths[0], 1, NULL, &half->first, error))
    return FALSE;
  reader->module += 2;          /* and a ReLU */
  for (guint i = 0; i < levels->n_levels; i++)
    if (!read_blocks (reader, levels->blocks[i], widths[i], &half->levels[i], error)
        || !read_grow (reader, widths[i], widths[i + 1], 1 + levels->time[i], 1 + levels->space[i],
            &half->levels[i].resample, error))
      return FALSE;
  reader->module++;             /* a ReLU */
  return read_plain (reader, "", widths[levels->n_levels], config->image_channels * config->patch_size * config->patch_size, 1,
      NULL, &half->last, error);
}

gboolean
sora_taehv_read_encoder (SoraTaehvReader *reader, const SoraVaeConfig *config, SoraTaehvHalf *half, GError **error)
{
  const SoraVaeLevels *levels = &config->encoder;
  const guint *widths = levels->widths;

  half->n_levels = levels->n_levels;
  reader->half = "encoder";
  reader->module = 0;
  if (!read_plain (reader, "", config->image_channels * config->patch_size * config->patch_size, widths[0], 1, NULL,
          &half->first, error))
    return FALSE;
  reader->module += 2;          /* and a ReLU */
  for (guint i = 0; i < levels->n_levels; i++)
    if (!read_shrink (reader, widths[i], widths[i + 1], 1 + levels->time[i], 1 + levels->space[i],
            &half->levels[i].resample, error)
        || !read_blocks (reader, levels->blocks[i], widths[i + 1], &half->levels[i], error))
      return FALSE;
  return read_plain (reader, "", widths[levels->n_levels], config->latent_channels, 1, config, &half->last, error);
}
