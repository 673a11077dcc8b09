/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* RMSNorm over the channels of each pixel, with SiLU, or only a copy, into a map whose border it sets to zero. Follows vector.cl. */

/* Bits of mode. */
#define NORM 1
#define SILU 2

/* Keeps a pixel of zeros zero, and is too small to change any other. */
#define EPSILON 1e-24f

#define ACTIVATE(v) (mode & SILU ? (v) / (1.0f + exp (-(v))) : (v))

/* y = activate (x · factor · weight) of one pixel's channels */
static inline void
write_pixel (global const float *x, global const float *weight, int mode, global float *y, int channels, local float *scratch)
{
  const int whole = channels / WIDTH * WIDTH, first = get_local_id (0) * WIDTH, rest = whole + get_local_id (0);
  float factor = 1.0f;

  if (mode & NORM) {
    vec squares = 0.0f;
    for (int c = first; c < whole; c += GROUP * WIDTH) {
      const vec v = LOAD (0, x + c);
      squares = fma (v, v, squares);
    }
    float sum = sum_elements (squares);
    for (int c = rest; c < channels; c += GROUP)
      sum = fma (x[c], x[c], sum);
    factor = 1.0f / sqrt (sum_group (sum, scratch) / channels + EPSILON);
  }
  for (int c = first; c < whole; c += GROUP * WIDTH) {
    const vec v = LOAD (0, x + c) * factor * (mode & NORM ? LOAD (0, weight + c) : (vec) (1.0f));
    STORE (ACTIVATE (v), 0, y + c);
  }
  for (int c = rest; c < channels; c += GROUP) {
    const float v = x[c] * factor * (mode & NORM ? weight[c] : 1.0f);
    y[c] = ACTIVATE (v);
  }
}

/* Groups: of every row of the bordered map as many as divide its pixels among them, rows of the bordered map, frames.
 * x_map, y_map: strides (offset, frame, row, pixel); size: border, height, width, channels */
__attribute__ ((reqd_work_group_size (GROUP, 1, 1)))
kernel void
channel_norm (global const float *x, int4 x_map, global const float *weight, int mode, global float *y, int4 y_map, int4 size)
{
  local float scratch[GROUP];
  const int row = (int) get_group_id (1) - size.x, frame = get_group_id (2);

  x += x_map.x + frame * x_map.y + row * x_map.z;
  y += y_map.x + frame * y_map.y + row * y_map.z;
  for (int column = (int) get_group_id (0) - size.x; column < size.z + size.x; column += get_num_groups (0)) {
    global float *pixel = y + column * y_map.w;
    if (row >= 0 && row < size.y && column >= 0 && column < size.z)
      write_pixel (x + column * x_map.w, weight, mode, pixel, size.w, scratch);
    else
      for (int c = get_local_id (0); c < size.w; c += GROUP)
        pixel[c] = 0.0f;
  }
}
