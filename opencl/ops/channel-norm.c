/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Launches channel-norm.cl: a work-group a row on CPU devices, a pixel on others. */
#include "ops/channel-norm.h"

#include "ops/rows.h"

/* bits of the kernel's mode */
#define NORM 1
#define SILU 2

void
sora_channel_norm_run (SoraQueue *queue, const SoraFeatureMap *x, cl_mem weight, gboolean silu, const SoraFeatureMap *y,
    guint frames)
{
  SoraLaunch launch = sora_rows_launch (queue, "channel_norm", 1, 1, 0);
  guint group = launch.global[0], columns = y->width + 2 * y->border, rows = y->height + 2 * y->border;
  cl_int4 x_map = sora_feature_map_strides (x), y_map = sora_feature_map_strides (y);
  cl_int4 size = { { y->border, y->height, y->width, y->channels } };
  cl_int mode = (weight != NULL ? NORM : 0) | (silu ? SILU : 0);
  cl_mem any = weight != NULL ? weight : x->mem;

  launch.program = "vector+channel-norm";
  launch.dims = 3;
  launch.global[0] = group > 1 ? group * columns : 1;
  launch.global[1] = rows;
  launch.global[2] = frames;
  launch.local[1] = launch.local[2] = 1;
  launch.flops = 8 * (guint64) frames * y->height * y->width * y->channels;
  SORA_LAUNCH (queue, &launch, SORA_ARG (x->mem), SORA_ARG (x_map), SORA_ARG (any), SORA_ARG (mode), SORA_ARG (y->mem),
      SORA_ARG (y_map), SORA_ARG (size));
}
