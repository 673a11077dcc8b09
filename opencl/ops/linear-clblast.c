/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Linear for GPUs: CLBlast multiplies into the queue's scratch memory, then linear-epilogue.cl writes the result. */
#include "ops/linear-private.h"

#include <clblast_c.h>

/* Columns that a work-group of the epilogue handles, where the device allows it */
#define GROUP 64

/* CLBlast keeps its compiled kernels in one cache for the process; its routines are called by one thread at a time. */
static GMutex clblast_lock;

/* Scratch memory: CLBlast's own (copies of operands, padded), then the product [m, n], whose place is returned in floats. Asked with
 * an offset of 1 for the product, CLBlast counts a copy of it, which it needs wherever the product does not begin at 0. */
static cl_mem
get_scratch (SoraQueue *queue, const SoraLinear *linear, SoraMatrix x, cl_uint m, cl_ulong *product_offset)
{
  cl_command_queue handle = sora_queue_get_cl (queue);
  gsize bytes = 0;
  CLBlastStatusCode status = CLBlastSGemmTempBufferSize (CLBlastLayoutRowMajor, CLBlastTransposeNo, CLBlastTransposeYes, m,
      linear->n, linear->k, x.offset, x.stride, 0, linear->k, 1, linear->n, &handle, &bytes);

  if (status != CLBlastSuccess)
    bytes = 0;                  /* the product's call reports what is wrong */
  *product_offset = (bytes + sizeof (gfloat) - 1) / sizeof (gfloat);
  return sora_queue_scratch (queue, (*product_offset + (gsize) m * linear->n) * sizeof (gfloat));
}

static gboolean
multiply (SoraQueue *queue, const SoraLinear *linear, SoraMatrix x, cl_uint m, cl_mem *product, cl_ulong *product_offset)
{
  cl_command_queue handle = sora_queue_get_cl (queue);
  CLBlastStatusCode status = CLBlastSuccess;
  cl_event event = NULL;
  GError *error = NULL;

  g_mutex_lock (&clblast_lock);
  *product = get_scratch (queue, linear, x, m, product_offset);
  if (*product)
    status = CLBlastSgemmWithTempBuffer (CLBlastLayoutRowMajor, CLBlastTransposeNo, CLBlastTransposeYes, m, linear->n,
        linear->k, 1.0f, x.mem, x.offset, x.stride, linear->weight, 0, linear->k, 0.0f, *product, *product_offset, linear->n,
        &handle, &event, *product);
  g_mutex_unlock (&clblast_lock);

  if (status != CLBlastSuccess) {
    sora_cl_set_error (&error, status, "CLBlastSgemm");
    sora_queue_fail (queue, error);
  } else if (*product) {
    sora_queue_account (queue, "clblast-sgemm", (guint64) 2 * m * linear->n * linear->k, event);
  }
  return !sora_queue_has_failed (queue);
}

void
sora_linear_clblast_run (SoraQueue *queue, const SoraLinear *linear, SoraMatrix x, SoraMatrix y, cl_uint m,
    const SoraEpilogueArgs *epilogue)
{
  gsize group = MIN (GROUP, sora_queue_get_device (queue)->max_work_group_size);
  cl_ulong product_offset, bias_offset = (cl_ulong) linear->n * linear->k;
  SoraLaunch launch = {
    .program = "linear-epilogue", .kernel = "linear_epilogue",
    .dims = 2, .global = { (linear->n + group - 1) / group * group, m }, .local = { group, 1 },
  };
  cl_mem product;

  if (sora_queue_has_failed (queue) || !multiply (queue, linear, x, m, &product, &product_offset))
    return;
  SORA_LAUNCH (queue, &launch, SORA_ARG (product), SORA_ARG (product_offset), SORA_ARG (linear->weight), SORA_ARG (bias_offset),
      SORA_ARG (linear->n), SORA_ARG (y.mem), SORA_ARG (y.offset), SORA_ARG (y.stride), SORA_EPILOGUE_ARGS (*epilogue));
}
