/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Launches pixel-shuffle.cl, one work-item a pixel. */
#include "ops/pixel-shuffle.h"

static SoraLaunch
make_launch (const gchar *kernel, const SoraFeatureMap *map, const SoraByteFrames *rgb, guint frames)
{
  SoraLaunch launch = { SORA_PIXEL_PROGRAM, NULL, kernel, 3 };

  launch.global[0] = map->width * rgb->patch;
  launch.global[1] = map->height * rgb->patch;
  launch.global[2] = frames;
  launch.local[0] = sora_feature_map_local (launch.global[0]);
  launch.local[1] = launch.local[2] = 1;
  return launch;
}

void
sora_pixel_shuffle_run (SoraQueue *queue, const SoraFeatureMap *map, const SoraByteFrames *rgb, guint frames)
{
  SoraLaunch launch = make_launch ("pixel_shuffle", map, rgb, frames);
  cl_int4 strides = sora_feature_map_strides (map);
  cl_int patch = rgb->patch, first = rgb->first, channels = rgb->image_channels;
  cl_float low = rgb->low;

  SORA_LAUNCH (queue, &launch, SORA_ARG (map->mem), SORA_ARG (strides), SORA_ARG (patch), SORA_ARG (rgb->mem),
      SORA_ARG (first), SORA_ARG (channels), SORA_ARG (low));
}

void
sora_pixel_unshuffle_run (SoraQueue *queue, const SoraByteFrames *rgb, const SoraFeatureMap *map, guint frames)
{
  SoraLaunch launch = make_launch ("pixel_unshuffle", map, rgb, frames);
  cl_int4 strides = sora_feature_map_strides (map);
  cl_int patch = rgb->patch, first = rgb->first, channels = rgb->image_channels;
  cl_float low = rgb->low;

  SORA_LAUNCH (queue, &launch, SORA_ARG (rgb->mem), SORA_ARG (first), SORA_ARG (channels), SORA_ARG (map->mem),
      SORA_ARG (strides), SORA_ARG (patch), SORA_ARG (low));
}
