/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The operand type of the picture operations: a channels-last map of features for each of several frames. */
#pragma once

#include "runtime/queue.h"

G_BEGIN_DECLS

/**
 * SoraFeatureMap:
 *
 * Floats [past + frames, border + height + border, border + width + border, channels]. The border is zero and stays so: operations
 * write inside it only, so a 3x3 convolution reads its padding instead of testing for it. The @past frames lie before
 * frame 0, for what looks back in time. border 0 and past 0 is a plain [frames, height, width, channels].
 */
typedef struct {
  cl_mem mem;
  guint past;                   /* frames before frame 0 */
  guint border;                 /* pixels on each side */
  guint height, width, channels;
} SoraFeatureMap;

/* floats from one row to the next, and from one frame to the next */
static inline guint
sora_feature_map_row (const SoraFeatureMap *map)
{
  return (map->width + 2 * map->border) * map->channels;
}

static inline guint
sora_feature_map_frame (const SoraFeatureMap *map)
{
  return (map->height + 2 * map->border) * sora_feature_map_row (map);
}

/* floats that @frames frames take, the past ones included */
static inline gsize
sora_feature_map_floats (const SoraFeatureMap *map, guint frames)
{
  return (gsize) (map->past + frames) * sora_feature_map_frame (map);
}

/* Strides as kernels take them, in floats: offset of frame 0, pixel (0, 0); frame; row; pixel. */
static inline cl_int4
sora_feature_map_strides (const SoraFeatureMap *map)
{
  gint row = sora_feature_map_row (map), frame = sora_feature_map_frame (map);

  return (cl_int4) { { map->past * frame + map->border * (row + map->channels), frame, row, map->channels } };
}

/* Work-items a group along a dimension of @n: the largest power of two up to 64 that divides it. */
static inline gsize
sora_feature_map_local (gsize n)
{
  return MIN (n & -n, 64);
}

G_END_DECLS
