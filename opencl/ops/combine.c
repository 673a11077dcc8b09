/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Launches combine.cl, one work-group a chunk. */
#include "ops/elementwise.h"

#include "ops/rows.h"

/* floats a work-group, as in combine.cl */
#define CHUNK 1024

void
sora_combine_run (SoraQueue *queue, const SoraCombine *combine, guint count)
{
  SoraLaunch launch = sora_rows_launch (queue, "combine", (count + CHUNK - 1) / CHUNK, 1, 7 * (guint64) count);
  cl_uint4 offset = { { combine->x_offset, combine->p ? combine->p_offset : combine->x_offset,
      combine->n ? combine->n_offset : combine->x_offset, combine->e ? combine->e_offset : combine->x_offset } };
  cl_float4 weight = { { combine->a, combine->p ? combine->b : 0, combine->n ? combine->c : 0, combine->e ? combine->d : 0 } };
  cl_mem p = combine->p ? combine->p : combine->x, n = combine->n ? combine->n : combine->x;
  cl_mem e = combine->e ? combine->e : combine->x;
  cl_uint total = count;

  if (count == 0)
    return;
  SORA_LAUNCH (queue, &launch, SORA_ARG (combine->x), SORA_ARG (p), SORA_ARG (n), SORA_ARG (e), SORA_ARG (combine->y),
      SORA_ARG (offset), SORA_ARG (combine->y_offset), SORA_ARG (weight), SORA_ARG (total));
}
