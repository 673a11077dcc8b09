/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Launches tanh-clamp.cl, one work-item a value. */
#include "ops/tanh-clamp.h"

#include "ops/rows.h"

void
sora_tanh_clamp_run (SoraQueue *queue, const SoraFeatureMap *x, cl_mem mean, cl_mem std, const SoraFeatureMap *y,
    guint frames)
{
  SoraLaunch launch = { SORA_ROWS_PROGRAM, sora_rows_options (sora_queue_get_device (queue)), "tanh_clamp", 3,
    { x->channels, x->width, frames * x->height },
    { sora_feature_map_local (x->channels), 1, 1 } };
  cl_int4 x_map = sora_feature_map_strides (x), y_map = sora_feature_map_strides (y);
  cl_int height = x->height;

  SORA_LAUNCH (queue, &launch, SORA_ARG (x->mem), SORA_ARG (x_map), SORA_ARG (mean), SORA_ARG (std), SORA_ARG (y->mem),
      SORA_ARG (y_map), SORA_ARG (height));
}
