/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* RMSNorm, LayerNorm and the norm over channels, written plainly, in double. */
#include "reference-norm.h"

#include <math.h>

/* mean of (x - centre)^power, power 1 or 2 */
static gdouble
moment (const gfloat *x, guint n, gdouble centre, guint power)
{
  gdouble sum = 0;

  for (guint i = 0; i < n; i++)
    sum += power == 1 ? x[i] - centre : (x[i] - centre) * (x[i] - centre);
  return sum / n;
}

gfloat *
sora_reference_rms_norm (const gfloat *x, const gfloat *weight, guint rows, guint columns, gdouble eps)
{
  gfloat *y = g_new (gfloat, (gsize) rows * columns);

  for (guint r = 0; r < rows; r++) {
    const gfloat *row = x + (gsize) r * columns;
    gdouble rms = sqrt (moment (row, columns, 0, 2) + eps);

    for (guint c = 0; c < columns; c++)
      y[(gsize) r * columns + c] = row[c] / rms * weight[c];
  }
  return y;
}

gfloat *
sora_reference_channel_norm (const gfloat *x, const gfloat *weight, gboolean silu, guint pixels, guint channels)
{
  gfloat *y = g_new (gfloat, (gsize) pixels * channels);

  for (guint p = 0; p < pixels; p++) {
    const gfloat *pixel = x + (gsize) p * channels;
    gdouble rms = sqrt (moment (pixel, channels, 0, 2));

    for (guint c = 0; c < channels; c++) {
      gdouble v = weight == NULL ? pixel[c] : rms > 0 ? pixel[c] / rms * weight[c] : 0;

      y[(gsize) p * channels + c] = silu ? v / (1 + exp (-v)) : v;
    }
  }
  return y;
}

gfloat *
sora_reference_layer_norm (const gfloat *x, const gfloat *gain, const gfloat *shift, guint rows_per_frame, guint n_frames,
    guint rows, guint columns, gdouble eps)
{
  gfloat *y = g_new (gfloat, (gsize) rows * columns);

  for (guint r = 0; r < rows; r++) {
    const gfloat *row = x + (gsize) r * columns;
    gsize frame = (gsize) (r / rows_per_frame % n_frames) * columns;
    gdouble mean = moment (row, columns, 0, 1), deviation = sqrt (moment (row, columns, mean, 2) + eps);

    for (guint c = 0; c < columns; c++)
      y[(gsize) r * columns + c] = (row[c] - mean) / deviation * (gain ? gain[frame + c] : 1) + (shift ? shift[frame + c] : 0);
  }
  return y;
}
