/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Temporal coring: small changes from frame to frame are dropped, a work-group a pixel. Follows vector.cl. */

/* pixels that the window around a pixel reaches to each side */
#define REACH 3

/* changes [pixels]: the mean square over channels of what latents [pixels, channels] are other than before. Groups: pixels. */
__attribute__ ((reqd_work_group_size (GROUP, 1, 1)))
kernel void
coring_change (global const float *before, uint before_offset, global const float *latents, uint offset, uint channels, global float *changes)
{
  local float scratch[GROUP];
  const uint pixel = get_group_id (0), whole = channels / WIDTH * WIDTH, first = get_local_id (0) * WIDTH, rest = whole + get_local_id (0);
  global const float *x = before + before_offset + pixel * channels, *y = latents + offset + pixel * channels;
  vec squares = 0.0f;

#pragma unroll 1
  for (uint c = first; c < whole; c += GROUP * WIDTH) {
    const vec d = LOAD (0, y + c) - LOAD (0, x + c);
    squares = fma (d, d, squares);
  }
  float sum = sum_elements (squares);
REST_LOOP
  for (uint c = rest; c < channels; c += GROUP)
    sum = fma (y[c] - x[c], y[c] - x[c], sum);
  sum = sum_group (sum, scratch);
  if (get_local_id (0) == 0)
    changes[pixel] = sum / channels;
}

/* The mean of changes [height, width] over the part of the window around a pixel that is in the picture */
static inline float
mean_of_window (global const float *changes, uint pixel, uint height, uint width)
{
  const uint row = pixel / width, column = pixel % width;
  const uint top = row - min (row, (uint) REACH), bottom = min (row + REACH, height - 1);
  const uint left = column - min (column, (uint) REACH), right = min (column + REACH, width - 1);
  float sum = 0.0f;

#pragma unroll 1
  for (uint i = top; i <= bottom; i++)
#pragma unroll 1
    for (uint j = left; j <= right; j++)
      sum += changes[i * width + j];
  return sum / ((bottom - top + 1) * (right - left + 1));
}

/* latents [height * width, channels] become x + (y - x) clamp (2 (1 - threshold / change), 0, 1), x being those before; change is the root of the
 * mean over the window, or half of the pixel's own where that is more. Groups: pixels. */
__attribute__ ((reqd_work_group_size (GROUP, 1, 1)))
kernel void
coring (global const float *changes, uint height, uint width, global const float *before, uint before_offset, global float *latents, uint offset,
    uint channels, float threshold)
{
  const uint pixel = get_group_id (0), whole = channels / WIDTH * WIDTH, first = get_local_id (0) * WIDTH, rest = whole + get_local_id (0);
  global const float *x = before + before_offset + pixel * channels;
  global float *y = latents + offset + pixel * channels;
  const float own = 0.25f * changes[pixel], around = mean_of_window (changes, pixel, height, width);
  const float change = own > around ? own : around;
  /* compared so that a NaN stays */
  const float kept = change <= threshold * threshold ? 0.0f : change >= 4.0f * threshold * threshold ? 1.0f : 2.0f - 2.0f * threshold / sqrt (change);

#pragma unroll 1
  for (uint c = first; c < whole; c += GROUP * WIDTH)
    STORE (kept * LOAD (0, y + c) + (1.0f - kept) * LOAD (0, x + c), 0, y + c);
REST_LOOP
  for (uint c = rest; c < channels; c += GROUP)
    y[c] = kept * y[c] + (1.0f - kept) * x[c];
}
