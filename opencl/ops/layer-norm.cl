/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* LayerNorm with a gain and a shift, each shared by all rows or one a latent frame: a work-group a row. Follows vector.cl. */

/* where the vector of @row begins; frames: offset, stride, rows a frame, number of frames */
static inline size_t
frame_vector (uint4 frames, uint row)
{
  return frames.x + (size_t) (row / frames.z % frames.w) * frames.y;
}

/* y = norm (x) * (factors.x + factors.y * gain) + factors.z * shift, so that what is absent costs no branch; *_row: offset, stride, in floats; y
 * may be x. The mean comes first and the variance is taken
 * around it, so that a large mean costs no accuracy. */
__attribute__ ((reqd_work_group_size (GROUP, 1, 1)))
kernel void
layer_norm (global const float *x, uint2 x_row, global float *y, uint2 y_row, uint columns, float eps, global const float *gain,
    uint4 gain_frames, global const float *shift, uint4 shift_frames, float4 factors)
{
  local float scratch[GROUP];
  const uint row = get_group_id (0), whole = columns / WIDTH * WIDTH;
  const uint first = get_local_id (0) * WIDTH, rest = whole + get_local_id (0);

  x += x_row.x + (size_t) row * x_row.y;
  y += y_row.x + (size_t) row * y_row.y;
  gain += frame_vector (gain_frames, row);
  shift += frame_vector (shift_frames, row);

  vec sums = 0.0f;
#pragma unroll 1
  for (uint c = first; c < whole; c += GROUP * WIDTH)
    sums += LOAD (0, x + c);
  float sum = sum_elements (sums);
REST_LOOP
  for (uint c = rest; c < columns; c += GROUP)
    sum += x[c];
  const float mean = sum_group (sum, scratch) / columns;

  vec squares = 0.0f;
#pragma unroll 1
  for (uint c = first; c < whole; c += GROUP * WIDTH) {
    const vec v = LOAD (0, x + c) - mean;
    squares = fma (v, v, squares);
  }
  sum = sum_elements (squares);
REST_LOOP
  for (uint c = rest; c < columns; c += GROUP)
    sum = fma (x[c] - mean, x[c] - mean, sum);
  const float factor = 1.0f / sqrt (sum_group (sum, scratch) / columns + eps);

#pragma unroll 1
  for (uint c = first; c < whole; c += GROUP * WIDTH) {
    const vec v = (LOAD (0, x + c) - mean) * factor;
    STORE (fma (v, factors.x + factors.y * LOAD (0, gain + c), factors.z * LOAD (0, shift + c)), 0, y + c);
  }
REST_LOOP
  for (uint c = rest; c < columns; c += GROUP)
    y[c] = fma ((x[c] - mean) * factor, factors.x + factors.y * gain[c], factors.z * shift[c]);
}
