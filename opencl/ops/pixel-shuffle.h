/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Pixel shuffle between feature maps and frames of bytes, with the clamp and the rounding to 8 bits. */
#pragma once

#include "ops/feature-map.h"

G_BEGIN_DECLS

/* A part of a map, in its pixels after the shuffle, and where that part's first pixel lies in frames of their own size. */
typedef struct {
  guint x, y, width, height;    /* in the map; width 0: all of it, and the next three do not count */
  guint left, top;              /* in the frame */
  guint frame_width, frame_height;
} SoraByteWindow;

/* Frames of bytes [first + frames, height · patch, width · patch, image_channels], 0 ... 255 for low ... 1; height and width are
 * the map's, whose channels are image_channels · patch², in PyTorch's order (image channel, y, x), or the window's. */
typedef struct {
  cl_mem mem;
  guint first;                  /* frame that the map's frame 0 is */
  guint image_channels, patch;
  gfloat low;                   /* the feature that byte 0 is: 0 or -1 */
  SoraByteWindow window;
} SoraByteFrames;

/* Features to bytes, those of the window only. Enqueues only. */
void sora_pixel_shuffle_run (SoraQueue *queue, const SoraFeatureMap *map, const SoraByteFrames *rgb, guint frames);
/* Bytes to features in low ... 1, likewise. Enqueues only. */
void sora_pixel_unshuffle_run (SoraQueue *queue, const SoraByteFrames *rgb, const SoraFeatureMap *map, guint frames);

G_END_DECLS
