/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Rotary position embedding, written plainly, from positions rather than from a table. */
#include "reference-rope.h"

#include <math.h>

/* The angle by which pair @pair of a head turns at @token: the first pairs by time, then by row, then by column. */
static gdouble
angle (guint token, guint pair, guint height, guint width, guint head_dim, gdouble theta)
{
  guint side = head_dim / 6, time = head_dim / 2 - 2 * side;    /* in pairs */

  if (pair < time)
    return token / (height * width) * pow (theta, -(gdouble) pair / time);
  if (pair < time + side)
    return token / width % height * pow (theta, -(gdouble) (pair - time) / side);
  return token % width * pow (theta, -(gdouble) (pair - time - side) / side);
}

gfloat *
sora_reference_rope (const gfloat *x, guint first, guint period, guint height, guint width, guint rows, guint heads,
    guint head_dim, gdouble theta)
{
  gfloat *y = g_new (gfloat, (gsize) rows * heads * head_dim);

  for (gsize i = 0; i < (gsize) rows * heads * head_dim; i += 2) {
    guint row = i / (heads * head_dim), pair = i % head_dim / 2;
    gdouble turn = angle (first + row % period, pair, height, width, head_dim, theta);

    y[i] = x[i] * cos (turn) - x[i + 1] * sin (turn);
    y[i + 1] = x[i] * sin (turn) + x[i + 1] * cos (turn);
  }
  return y;
}
