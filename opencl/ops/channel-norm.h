/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* RMSNorm over the channels of each pixel, with SiLU, or only a copy, into a map whose border it sets to zero. */
#pragma once

#include "ops/feature-map.h"

G_BEGIN_DECLS

/**
 * sora_channel_norm_run:
 * @weight: (nullable): [channels]; y = x / sqrt (mean (x²)) · weight, or 0 where all of x is 0. %NULL: y = x
 * @silu: y / (1 + exp (-y)) at last
 * @y: as large as @x; its border is written too, so that its memory may have held anything. Must not overlap @x
 *
 * Enqueues only. Past frames of @y stay as they are.
 */
void sora_channel_norm_run (SoraQueue *queue, const SoraFeatureMap *x, cl_mem weight, gboolean silu, const SoraFeatureMap *y,
    guint frames);

G_END_DECLS
