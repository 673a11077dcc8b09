/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A picture as a CLIP image encoder is given it: square, with CLIP's mean and deviation, patch by patch. On the host. */
#include "stages/clip-image.h"

#include <math.h>

#define TAPS 4
#define A (-0.75)               /* PyTorch's coefficient of the bicubic kernel (Keys, 1981) */

/* of CLIP's training pictures, R, G, B in 0 ... 1 */
static const gdouble mean[3] = { 0.48145466, 0.4578275, 0.40821073 };
static const gdouble deviation[3] = { 0.26862954, 0.26130258, 0.27577711 };

/* What one new pixel takes of the old ones along a dimension. */
typedef struct {
  guint index[TAPS];            /* beyond an edge, the pixel at the edge */
  gdouble weight[TAPS];
} Taps;

/* The kernel at distance @t of at most 1, and from 1 to 2 */
static gdouble
near (gdouble t)
{
  return ((A + 2) * t - (A + 3)) * t * t + 1;
}

static gdouble
far (gdouble t)
{
  return ((A * t - 5 * A) * t + 8 * A) * t - 4 * A;
}

/* Pixels are areas, so their middles are what is mapped. */
static void
set_taps (Taps *taps, guint i, guint from, guint to)
{
  gdouble place = (i + 0.5) * from / to - 0.5, whole = floor (place), t = place - whole;
  const gdouble weights[TAPS] = { far (t + 1), near (t), near (1 - t), far (2 - t) };

  for (guint k = 0; k < TAPS; k++) {
    taps->index[k] = CLAMP ((gint) whole + (gint) k - 1, 0, (gint) from - 1);
    taps->weight[k] = weights[k];
  }
}

static gdouble
interpolate (const guint8 *rgb, guint width, const Taps *x, const Taps *y, guint channel)
{
  gdouble sum = 0;

  for (guint j = 0; j < TAPS; j++) {
    const guint8 *row = rgb + (gsize) 3 * width * y->index[j] + channel;
    for (guint i = 0; i < TAPS; i++)
      sum += y->weight[j] * x->weight[i] * row[3 * x->index[i]];
  }
  return sum;
}

gfloat *
sora_clip_image_prepare (const guint8 *rgb, guint width, guint height, guint size, guint patch)
{
  guint side = size / patch, area = patch * patch;
  gfloat *rows = g_new (gfloat, (gsize) 3 * size * size);
  g_autofree Taps *columns = g_new (Taps, size);
  Taps line;

  for (guint x = 0; x < size; x++)
    set_taps (&columns[x], x, width, size);
  for (guint y = 0; y < size; y++) {
    set_taps (&line, y, height, size);
    for (guint x = 0; x < size; x++)
      for (guint c = 0; c < 3; c++) {
        gsize row = (gsize) y / patch * side + x / patch, column = c * area + y % patch * patch + x % patch;
        rows[row * 3 * area + column] = (interpolate (rgb, width, &columns[x], &line, c) / 255 - mean[c]) / deviation[c];
      }
  }
  return rows;
}
