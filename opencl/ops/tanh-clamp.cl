/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tanh clamp with de-normalisation, from one feature map to another; an item is one channel of one pixel. */

int
at (int4 map, int height)
{
  int row = get_global_id (2), frame = row / height;
  return map.x + frame * map.y + (row - frame * height) * map.z + get_global_id (1) * map.w + get_global_id (0);
}

kernel void
tanh_clamp (global const float *restrict x, int4 x_map, global const float *restrict mean, global const float *restrict std,
    global float *restrict y, int4 y_map, int height)
{
  int c = get_global_id (0);
  y[at (y_map, height)] = 3 * tanh ((x[at (x_map, height)] * std[c] + mean[c]) / 3);
}
