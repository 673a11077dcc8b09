/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Launches coring.cl, one work-group a pixel. */
#include "ops/elementwise.h"

#include "ops/rows.h"

void
sora_coring_run (SoraQueue *queue, cl_mem before, guint before_offset, cl_mem latents, guint offset, guint frames, guint pixels,
    guint channels, gfloat threshold)
{
  SoraLaunch launch = sora_rows_launch (queue, "coring", pixels, 1, 6 * (guint64) frames * pixels * channels);
  cl_uint before_first = before_offset, first = offset, n_frames = frames, n_channels = channels;

  if (frames == 0)
    return;
  SORA_LAUNCH (queue, &launch, SORA_ARG (before), SORA_ARG (before_first), SORA_ARG (latents), SORA_ARG (first), SORA_ARG (n_frames),
      SORA_ARG (n_channels), SORA_ARG (threshold));
}
