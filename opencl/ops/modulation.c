/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Launches modulation.cl, one work-group a layer and latent frame, for as many frames at a time as the kernel's argument holds. */
#include "ops/elementwise.h"

#include "ops/rows.h"

/* elements of a uint16 */
#define FRAMES 16

void
sora_modulation_run (SoraQueue *queue, cl_mem table, SoraMatrix embedding, const guint *rows, cl_mem out, guint layers,
    guint n_frames, guint columns)
{
  cl_uint2 embedding_row = { { embedding.offset, embedding.stride } };
  cl_uint total = n_frames, n = columns;

  for (cl_uint first = 0; first < n_frames; first += FRAMES) {
    guint frames = MIN (n_frames - first, FRAMES);
    SoraLaunch launch = sora_rows_launch (queue, "modulation", frames, layers, (guint64) frames * layers * columns);
    cl_uint16 picked = { 0 };

    for (guint f = 0; f < frames; f++)
      picked.s[f] = rows[first + f];
    SORA_LAUNCH (queue, &launch, SORA_ARG (table), SORA_ARG (embedding.mem), SORA_ARG (embedding_row), SORA_ARG (picked),
        SORA_ARG (first), SORA_ARG (total), SORA_ARG (out), SORA_ARG (n));
  }
}
