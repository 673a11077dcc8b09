/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The convolution, written plainly: up-samples, pads and sums in double, one output value after the other. */
#include "reference-convolution.h"

typedef struct {
  const SoraConvolutionShape *s;
  const gfloat *x, *weight;
  guint height, width;
} Input;

/* x at row and column of the up-sampled frame, or the padding's zero */
static gdouble
pixel (const Input *in, guint frame, gint row, gint column, guint channel)
{
  guint scale = in->s->scale;

  if (row < 0 || column < 0 || row >= (gint) (in->height * scale) || column >= (gint) (in->width * scale))
    return 0;
  return in->x[((frame * in->height + row / scale) * in->width + column / scale) * in->s->in_channels + channel];
}

/* @frame: first that the kernel sees; @row, @column: of the kernel's centre in the up-sampled frame */
static gdouble
product (const Input *in, const gfloat *weight, guint frame, gint row, gint column)
{
  const SoraConvolutionShape *s = in->s;
  gdouble sum = 0;

  for (guint c = 0; c < s->in_channels; c++)
    for (guint t = 0; t < s->kernel_time; t++)
      for (guint y = 0; y < s->kernel_height; y++)
        for (guint x = 0; x < s->kernel_width; x++)
          sum += *weight++ * pixel (in, frame + t, row + (gint) y - (gint) s->kernel_height / 2,
              column + (gint) x - (gint) s->kernel_width / 2, c);
  return sum;
}

gfloat *
sora_reference_convolution (const SoraConvolutionShape *s, const gfloat *x, guint frames, guint height, guint width,
    const gfloat *weight, const gfloat *bias, const gfloat *residual, gboolean relu)
{
  Input in = { s, x, weight, height, width };
  guint rows = (height * s->scale + s->stride - 1) / s->stride, columns = (width * s->scale + s->stride - 1) / s->stride;
  guint out_frames = frames / s->time_stride * s->time_scale;
  guint kernel = s->in_channels * s->kernel_time * s->kernel_height * s->kernel_width;
  gfloat *result = g_new (gfloat, (gsize) out_frames * rows * columns * s->out_channels), *y = result;

  for (guint t = 0; t < out_frames; t++)
    for (guint row = 0; row < rows; row++)
      for (guint column = 0; column < columns; column++)
        for (guint n = 0; n < s->out_channels; n++, y++) {
          guint part = t % s->time_scale * s->out_channels + n;
          gdouble sum = product (&in, weight + (gsize) part * kernel, t / s->time_scale * s->time_stride, row * s->stride + s->shift,
              column * s->stride + s->shift);

          sum += (bias != NULL ? bias[part] : 0) + (residual != NULL ? residual[y - result] : 0);
          *y = relu ? MAX (sum, 0) : sum;
        }
  return result;
}
