/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Launches coring.cl, frame after frame, one work-group a pixel. */
#include "ops/elementwise.h"

#include "ops/rows.h"

/* One frame, from float @offset of @latents on, against the one at @before_offset of @before. */
static void
core_frame (SoraQueue *queue, const SoraCoring *coring, cl_mem before, cl_uint before_offset, cl_uint offset)
{
  cl_uint height = coring->height, width = coring->width, channels = coring->channels;
  guint64 floats = (guint64) height * width * channels;
  SoraLaunch change = sora_rows_launch (queue, "coring_change", height * width, 1, 3 * floats);
  SoraLaunch core = sora_rows_launch (queue, "coring", height * width, 1, 3 * floats);

  SORA_LAUNCH (queue, &change, SORA_ARG (before), SORA_ARG (before_offset), SORA_ARG (coring->latents), SORA_ARG (offset), SORA_ARG (channels),
      SORA_ARG (coring->changes));
  SORA_LAUNCH (queue, &core, SORA_ARG (coring->changes), SORA_ARG (height), SORA_ARG (width), SORA_ARG (before), SORA_ARG (before_offset),
      SORA_ARG (coring->latents), SORA_ARG (offset), SORA_ARG (channels), SORA_ARG (coring->threshold));
}

void
sora_coring_run (SoraQueue *queue, const SoraCoring *coring, cl_mem before, guint before_offset, guint offset, guint frames)
{
  guint frame = coring->height * coring->width * coring->channels;

  for (guint t = 0; t < frames; t++) {
    core_frame (queue, coring, before, before_offset, offset);
    before = coring->latents;
    before_offset = offset;
    offset += frame;
  }
}
