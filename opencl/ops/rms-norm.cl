/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* RMSNorm: a work-group a row. Follows vector.cl. */

/* *_row: offset, stride, in floats; y may be x */
__attribute__ ((reqd_work_group_size (GROUP, 1, 1)))
kernel void
rms_norm (global const float *x, uint2 x_row, global const float *weight, global float *y, uint2 y_row, uint columns, float eps)
{
  local float scratch[GROUP];
  const uint row = get_group_id (0), whole = columns / WIDTH * WIDTH;
  const uint first = get_local_id (0) * WIDTH, rest = whole + get_local_id (0);

  x += x_row.x + (size_t) row * x_row.y;
  y += y_row.x + (size_t) row * y_row.y;
  vec squares = 0.0f;
#pragma unroll 1
  for (uint c = first; c < whole; c += GROUP * WIDTH) {
    const vec v = LOAD (0, x + c);
    squares = fma (v, v, squares);
  }
  float sum = sum_elements (squares);
REST_LOOP
  for (uint c = rest; c < columns; c += GROUP)
    sum = fma (x[c], x[c], sum);
  const float factor = 1.0f / sqrt (sum_group (sum, scratch) / columns + eps);
#pragma unroll 1
  for (uint c = first; c < whole; c += GROUP * WIDTH)
    STORE (LOAD (0, x + c) * factor * LOAD (0, weight + c), 0, y + c);
REST_LOOP
  for (uint c = rest; c < columns; c += GROUP)
    y[c] = x[c] * factor * weight[c];
}
