/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Shortcuts past a change of size: what is smaller takes the larger map's pixels and frames as channels. */
#pragma once

#include "ops/feature-map.h"

G_BEGIN_DECLS

/* The larger map has @time times the frames, and @space times the height and width, of the smaller one. */
typedef struct {
  guint time, space;
} SoraShortcut;

/* Channel c of frame f · time + t, pixel (h · space + i, w · space + j) of y is that of x plus channel
 * (((c · time + t) · space + i) · space + j) / repeats of frame f, pixel (h, w) of @small, where repeats · small's channels =
 * time · space² · y's channels. y begins with t = @first. @frames: of x and y, which must not overlap the others. Enqueues only. */
void sora_shortcut_grow_run (SoraQueue *queue, const SoraShortcut *shortcut, const SoraFeatureMap *x, const SoraFeatureMap *small,
    guint first, const SoraFeatureMap *y, guint frames);

/* Channel c of y is that of x plus the mean of numbers c · group ... (c + 1) · group - 1 of the large map's (channel, t, i, j) there, where
 * group · y's channels = time · space² · large's channels. The large map's first frame is t = @missing; those before it are zeros. */
void sora_shortcut_shrink_run (SoraQueue *queue, const SoraShortcut *shortcut, const SoraFeatureMap *x, const SoraFeatureMap *large,
    guint missing, const SoraFeatureMap *y, guint frames);

G_END_DECLS
