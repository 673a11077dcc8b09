/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Launches check-finite.cl, one work-group a span. */
#include "ops/elementwise.h"

#include "ops/rows.h"

/* floats a work-group, as in check-finite.cl */
#define SPAN 4096

void
sora_check_finite_run (SoraQueue *queue, cl_mem x, guint offset, guint count, cl_mem flag)
{
  SoraLaunch launch = sora_rows_launch (queue, "check_finite", (count + SPAN - 1) / SPAN, 1, 0);
  cl_uint first = offset, total = count;

  if (count == 0)
    return;
  SORA_LAUNCH (queue, &launch, SORA_ARG (x), SORA_ARG (first), SORA_ARG (total), SORA_ARG (flag));
}
