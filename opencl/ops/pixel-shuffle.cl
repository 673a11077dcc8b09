/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Pixel shuffle: channels (image channel, y, x) of a small map to pixels of frames of bytes, and back; an item is one pixel. */

/* The feature of image channel 0 at this item's pixel, in floats from the map's beginning; map: offset, frame, row, pixel; window: the first
 * item's pixel (x, y) in the map, and in the frame. */
int
feature_at (int4 map, int patch, int4 window)
{
  int x = window.x + get_global_id (0), y = window.y + get_global_id (1), frame = get_global_id (2);
  return map.x + frame * map.y + y / patch * map.z + x / patch * map.w + y % patch * patch + x % patch;
}

/* size: of a frame, width and height */
size_t
byte_at (int first, int channels, int4 window, int2 size)
{
  size_t row = (first + get_global_id (2)) * size.y + window.w + get_global_id (1);
  return (row * size.x + window.z + get_global_id (0)) * channels;
}

kernel void
pixel_shuffle (global const float *restrict features, int4 map, int patch, global uchar *restrict rgb, int first, int channels,
    float low, int4 window, int2 size)
{
  features += feature_at (map, patch, window);
  rgb += byte_at (first, channels, window, size);
#pragma clang loop vectorize(disable) interleave(disable) unroll(disable)
  for (int c = 0; c < channels; c++)
    rgb[c] = (uchar) rint (255.0f * clamp ((features[c * patch * patch] - low) / (1.0f - low), 0.0f, 1.0f));
}

kernel void
pixel_unshuffle (global const uchar *restrict rgb, int first, int channels, global float *restrict features, int4 map, int patch,
    float low, int4 window, int2 size)
{
  features += feature_at (map, patch, window);
  rgb += byte_at (first, channels, window, size);
#pragma clang loop vectorize(disable) interleave(disable) unroll(disable)
  for (int c = 0; c < channels; c++)
    features[c * patch * patch] = low + (1.0f - low) * (rgb[c] / 255.0f);
}
