/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table of rotary angles, on the host, and the launch of rope.cl, one work-group a row. */
#include "ops/rope.h"

#include "ops/rows.h"

#include <math.h>

/* Cosine and sine of position · theta^(-2i / dim), i < dim / 2; returns the end. */
static gfloat *
write_angles (gfloat *table, guint position, guint dim, gdouble theta)
{
  for (guint i = 0; i < dim / 2; i++) {
    gdouble angle = position * pow (theta, -2.0 * i / dim);

    *table++ = cos (angle);
    *table++ = sin (angle);
  }
  return table;
}

/* As diffusers' WanRotaryPosEmbed: rows and columns take 2 · (head_dim / 6) each, rounded down, and time the rest, which comes first. */
gfloat *
sora_rope_table (guint first_frame, guint frames, guint height, guint width, guint head_dim, gfloat theta)
{
  guint side = 2 * (head_dim / 6), time = head_dim - 2 * side;
  gfloat *table = g_new (gfloat, (gsize) frames * height * width * head_dim), *end = table;

  for (guint f = 0; f < frames; f++) {
    for (guint y = 0; y < height; y++) {
      for (guint x = 0; x < width; x++) {
        end = write_angles (end, first_frame + f, time, theta);
        end = write_angles (end, y, side, theta);
        end = write_angles (end, x, side, theta);
      }
    }
  }
  return table;
}

void
sora_rope_run (SoraQueue *queue, SoraMatrix x, cl_mem table, guint first_row, guint period, SoraMatrix y, guint rows,
    guint heads, guint head_dim)
{
  SoraLaunch launch = sora_rows_launch (queue, "rope", rows, 1, 3 * (guint64) rows * heads * head_dim);
  cl_uint2 x_row = { { x.offset, x.stride } }, y_row = { { y.offset, y.stride } };
  cl_uint first = first_row, repeat = period, n_heads = heads, dim = head_dim;

  SORA_LAUNCH (queue, &launch, SORA_ARG (x.mem), SORA_ARG (x_row), SORA_ARG (table), SORA_ARG (first), SORA_ARG (repeat),
      SORA_ARG (y.mem), SORA_ARG (y_row), SORA_ARG (n_heads), SORA_ARG (dim));
}
