/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Shortcuts past a change of size: what is smaller takes the larger map's pixels and frames as channels. An item is one channel of one
 * pixel of the result. */

/* floats to channel 0 of pixel (y, x) of a map whose strides (offset, frame, row, pixel) are @map */
static inline int
locate (int4 map, int frame, int y, int x)
{
  return map.x + frame * map.y + y * map.z + x * map.w;
}

/* y = x + the small map, of which each channel stands for @repeats of (channel, frame, row, column) of the result.
 * factor: in time, in space; the result's first frame is number @first of those that the small map stands for */
kernel void
shortcut_grow (global const float *restrict x, int4 x_map, global const float *restrict small, int4 small_map, global float *restrict y,
    int4 y_map, int height, int2 factor, int first, int repeats)
{
  const int c = get_global_id (0), column = get_global_id (1), row = get_global_id (2) % height, frame = get_global_id (2) / height;
  const int time = frame + first;
  const int part = ((c * factor.x + time % factor.x) * factor.y + row % factor.y) * factor.y + column % factor.y;
  const int source = locate (small_map, time / factor.x, row / factor.y, column / factor.y) + part / repeats;
  y[locate (y_map, frame, row, column) + c] = x[locate (x_map, frame, row, column) + c] + small[source];
}

/* y = x + means of @group of (channel, frame, row, column) of the large map, which has @missing frames of zeros before its first. */
kernel void
shortcut_shrink (global const float *restrict x, int4 x_map, global const float *restrict large, int4 large_map, global float *restrict y,
    int4 y_map, int height, int2 factor, int missing, int group)
{
  const int c = get_global_id (0), column = get_global_id (1), row = get_global_id (2) % height, frame = get_global_id (2) / height;
  float sum = 0;
  for (int part = c * group; part < (c + 1) * group; part++) {
    const int across = part % factor.y, down = part / factor.y % factor.y, later = part / (factor.y * factor.y) % factor.x;
    const int time = frame * factor.x + later - missing, channel = part / (factor.y * factor.y * factor.x);
    if (time >= 0)
      sum += large[locate (large_map, time, row * factor.y + down, column * factor.y + across) + channel];
  }
  y[locate (y_map, frame, row, column) + c] = x[locate (x_map, frame, row, column) + c] + sum / group;
}
