/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Launches patchify.cl in both directions, one work-group a token. */
#include "ops/elementwise.h"

#include "ops/rows.h"

void
sora_patchify_run (SoraQueue *queue, cl_mem latents, guint latents_offset, SoraMatrix tokens, guint frames, guint height,
    guint width, guint channels, guint ph, guint pw)
{
  SoraLaunch launch = sora_rows_launch (queue, "patchify", frames * (height / ph) * (width / pw), 1, 0);
  cl_uint2 token_row = { { tokens.offset, tokens.stride } };
  cl_uint4 size = { { height, width, ph, pw } };
  cl_uint offset = latents_offset, n = channels;

  SORA_LAUNCH (queue, &launch, SORA_ARG (latents), SORA_ARG (offset), SORA_ARG (tokens.mem), SORA_ARG (token_row),
      SORA_ARG (size), SORA_ARG (n));
}

void
sora_unpatchify_run (SoraQueue *queue, SoraMatrix tokens, cl_mem latents, guint latents_offset, guint frames, guint height,
    guint width, guint channels, guint ph, guint pw)
{
  SoraLaunch launch = sora_rows_launch (queue, "unpatchify", frames * (height / ph) * (width / pw), 1, 0);
  cl_uint2 token_row = { { tokens.offset, tokens.stride } };
  cl_uint4 size = { { height, width, ph, pw } };
  cl_uint offset = latents_offset, n = channels;

  SORA_LAUNCH (queue, &launch, SORA_ARG (tokens.mem), SORA_ARG (token_row), SORA_ARG (latents), SORA_ARG (offset),
      SORA_ARG (size), SORA_ARG (n));
}
