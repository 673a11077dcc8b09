/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Launches shortcut.cl, one work-item a value. */
#include "ops/shortcut.h"

/* @n: what the last of the kernel's arguments says */
static void
launch (SoraQueue *queue, const gchar *kernel, const SoraShortcut *shortcut, const SoraFeatureMap *x, const SoraFeatureMap *other,
    cl_int offset, cl_int n, const SoraFeatureMap *y, guint frames)
{
  SoraLaunch launch = { "shortcut", NULL, kernel, 3, { y->channels, y->width, frames * y->height },
    { sora_feature_map_local (y->channels), 1, 1 } };
  cl_int4 x_map = sora_feature_map_strides (x), other_map = sora_feature_map_strides (other), y_map = sora_feature_map_strides (y);
  cl_int2 factor = { { shortcut->time, shortcut->space } };
  cl_int height = y->height;

  SORA_LAUNCH (queue, &launch, SORA_ARG (x->mem), SORA_ARG (x_map), SORA_ARG (other->mem), SORA_ARG (other_map), SORA_ARG (y->mem),
      SORA_ARG (y_map), SORA_ARG (height), SORA_ARG (factor), SORA_ARG (offset), SORA_ARG (n));
}

static guint
count_parts (const SoraShortcut *shortcut, guint channels)
{
  return channels * shortcut->time * shortcut->space * shortcut->space;
}

void
sora_shortcut_grow_run (SoraQueue *queue, const SoraShortcut *shortcut, const SoraFeatureMap *x, const SoraFeatureMap *small,
    guint first, const SoraFeatureMap *y, guint frames)
{
  launch (queue, "shortcut_grow", shortcut, x, small, first, count_parts (shortcut, y->channels) / small->channels, y, frames);
}

void
sora_shortcut_shrink_run (SoraQueue *queue, const SoraShortcut *shortcut, const SoraFeatureMap *x, const SoraFeatureMap *large,
    guint missing, const SoraFeatureMap *y, guint frames)
{
  launch (queue, "shortcut_shrink", shortcut, x, large, missing, count_parts (shortcut, large->channels) / y->channels, y, frames);
}
