/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Temporal coring: small changes from frame to frame are dropped, a work-group a pixel. Follows vector.cl. */

/* One pixel's channels y become x + (y − x) clamp (1.5 (1 − threshold / rms (y − x)), 0, 1), x being those of the frame before */
static inline void
core_pixel (global const float *x, global float *y, uint channels, float threshold, local float *scratch)
{
  const uint whole = channels / WIDTH * WIDTH, first = get_local_id (0) * WIDTH, rest = whole + get_local_id (0);
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
  const float mean = sum_group (sum, scratch) / channels;
  /* compared so that a NaN stays */
  const float kept = mean <= threshold * threshold ? 0.0f : mean >= 9.0f * threshold * threshold ? 1.0f : 1.5f - 1.5f * threshold / sqrt (mean);
#pragma unroll 1
  for (uint c = first; c < whole; c += GROUP * WIDTH) {
    const vec before = LOAD (0, x + c);
    STORE (kept * LOAD (0, y + c) + (1.0f - kept) * before, 0, y + c);
  }
REST_LOOP
  for (uint c = rest; c < channels; c += GROUP)
    y[c] = kept * y[c] + (1.0f - kept) * x[c];
}

/* before: [pixels, channels], what the first frame is compared with; latents: [frames, pixels, channels], changed one frame after the other,
 * each compared with what has become of the one before it. Groups: pixels. */
__attribute__ ((reqd_work_group_size (GROUP, 1, 1)))
kernel void
coring (global const float *before, uint before_offset, global float *latents, uint offset, uint frames, uint channels, float threshold)
{
  local float scratch[GROUP];
  const uint pixel = get_group_id (0) * channels, frame = get_num_groups (0) * channels;
  global const float *x = before + before_offset + pixel;
  global float *y = latents + offset + pixel;

#pragma unroll 1
  for (uint t = 0; t < frames; t++) {
    core_pixel (x, y, channels, threshold, scratch);
    x = y;
    y += frame;
  }
}
