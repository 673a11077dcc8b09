/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Launches pixel-shuffle.cl, one work-item a pixel. */
#include "ops/pixel-shuffle.h"

#include "ops/rows.h"

static SoraByteWindow
get_window (const SoraFeatureMap *map, const SoraByteFrames *rgb)
{
  guint width = map->width * rgb->patch, height = map->height * rgb->patch;

  return rgb->window.width > 0 ? rgb->window : (SoraByteWindow) { 0, 0, width, height, 0, 0, width, height };
}

static SoraLaunch
make_launch (SoraQueue *queue, const gchar *kernel, const SoraByteWindow *window, guint frames)
{
  SoraLaunch launch = { SORA_ROWS_PROGRAM, sora_rows_options (sora_queue_get_device (queue)), kernel, 3 };

  launch.global[0] = window->width;
  launch.global[1] = window->height;
  launch.global[2] = frames;
  launch.local[0] = sora_feature_map_local (launch.global[0]);
  launch.local[1] = launch.local[2] = 1;
  return launch;
}

void
sora_pixel_shuffle_run (SoraQueue *queue, const SoraFeatureMap *map, const SoraByteFrames *rgb, guint frames)
{
  SoraByteWindow w = get_window (map, rgb);
  SoraLaunch launch = make_launch (queue, "pixel_shuffle", &w, frames);
  cl_int4 strides = sora_feature_map_strides (map), window = { { w.x, w.y, w.left, w.top } };
  cl_int2 size = { { w.frame_width, w.frame_height } };
  cl_int patch = rgb->patch, first = rgb->first, channels = rgb->image_channels;
  cl_float low = rgb->low;

  SORA_LAUNCH (queue, &launch, SORA_ARG (map->mem), SORA_ARG (strides), SORA_ARG (patch), SORA_ARG (rgb->mem),
      SORA_ARG (first), SORA_ARG (channels), SORA_ARG (low), SORA_ARG (window), SORA_ARG (size));
}

void
sora_pixel_unshuffle_run (SoraQueue *queue, const SoraByteFrames *rgb, const SoraFeatureMap *map, guint frames)
{
  SoraByteWindow w = get_window (map, rgb);
  SoraLaunch launch = make_launch (queue, "pixel_unshuffle", &w, frames);
  cl_int4 strides = sora_feature_map_strides (map), window = { { w.x, w.y, w.left, w.top } };
  cl_int2 size = { { w.frame_width, w.frame_height } };
  cl_int patch = rgb->patch, first = rgb->first, channels = rgb->image_channels;
  cl_float low = rgb->low;

  SORA_LAUNCH (queue, &launch, SORA_ARG (rgb->mem), SORA_ARG (first), SORA_ARG (channels), SORA_ARG (map->mem),
      SORA_ARG (strides), SORA_ARG (patch), SORA_ARG (low), SORA_ARG (window), SORA_ARG (size));
}
