/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Launches rms-norm.cl, one work-group a row. */
#include "ops/norm.h"

#include "ops/rows.h"

void
sora_rms_norm_run (SoraQueue *queue, SoraMatrix x, cl_mem weight, SoraMatrix y, guint rows, guint columns, gfloat eps)
{
  SoraLaunch launch = sora_rows_launch (queue, "rms_norm", rows, 1, 4 * (guint64) rows * columns);
  cl_uint2 x_row = { { x.offset, x.stride } }, y_row = { { y.offset, y.stride } };
  cl_uint n = columns;

  SORA_LAUNCH (queue, &launch, SORA_ARG (x.mem), SORA_ARG (x_row), SORA_ARG (weight), SORA_ARG (y.mem), SORA_ARG (y_row),
      SORA_ARG (n), SORA_ARG (eps));
}
