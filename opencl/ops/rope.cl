/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Rotary position embedding: a work-group a row of all heads. Follows vector.cl. */

/* (x0, x1) turns to (x0 cos - x1 sin, x0 sin + x1 cos); table: [.., head_dim / 2] pairs of cosine and sine; *_row: offset, stride, in
 * floats; y may be x */
__attribute__ ((reqd_work_group_size (GROUP, 1, 1)))
kernel void
rope (global const float *x, uint2 x_row, global const float *table, uint first_row, uint period, global float *y, uint2 y_row,
    uint heads, uint head_dim)
{
  const uint row = get_group_id (0), chunks = head_dim / WIDTH, pairs = (head_dim - chunks * WIDTH) / 2;

  x += x_row.x + (size_t) row * x_row.y;
  y += y_row.x + (size_t) row * y_row.y;
  table += (size_t) (first_row + row % period) * head_dim;
#pragma unroll 1
  for (uint i = get_local_id (0); i < heads * chunks; i += GROUP) {
    const uint d = i % chunks * WIDTH, c = i / chunks * head_dim + d;
    const vec v = LOAD (0, x + c), turn = LOAD (0, table + d);
    vec turned;
    turned.even = v.even * turn.even - v.odd * turn.odd;
    turned.odd = v.even * turn.odd + v.odd * turn.even;
    STORE (turned, 0, y + c);
  }
REST_LOOP
  for (uint i = get_local_id (0); i < heads * pairs; i += GROUP) {
    const uint d = chunks * WIDTH + i % pairs * 2, c = i / pairs * head_dim + d;
    const float x0 = x[c], x1 = x[c + 1];
    y[c] = x0 * table[d] - x1 * table[d + 1];
    y[c + 1] = x0 * table[d + 1] + x1 * table[d];
  }
}
