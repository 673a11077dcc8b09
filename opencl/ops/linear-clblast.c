/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Linear for GPUs: CLBlast multiplies into the queue's scratch memory, then linear-epilogue.cl writes the result. A weight that is not
 * stored as fp32 is unpacked before, as many rows at a time as fit a second scratch: CLBlast knows fp32 and, on few devices, fp16 only. */
#include "ops/linear-private.h"

#include <clblast_c.h>

/* Columns that a work-group of the other kernels handles, where the device allows it */
#define GROUP 64

/* Unpacked weights at a time, unless one row has more: enough to fill a GPU, little beside what the types save. Bytes. */
#define SLAB (64 << 20)

/* CLBlast keeps its compiled kernels in one cache for the process; its routines are called by one thread at a time. */
static GMutex clblast_lock;

/* Rows of the weight that are multiplied in one call, and the product that they are columns of. */
typedef struct {
  cl_mem weight;                /* fp32 [n, k] from 0 on */
  cl_uint first, n;
  cl_mem product;               /* the scratch: CLBlast's own, then [m, n of all] */
  cl_ulong product_offset;      /* floats */
} Part;

/* Bytes that CLBlast itself takes for @n rows of the weight (copies of operands, padded). Asked with an offset of 1 for the product, it counts
 * a copy of it, which it needs wherever the product does not begin at 0. */
static gsize
count_temp (SoraQueue *queue, const SoraLinear *linear, SoraMatrix x, cl_uint m, cl_uint n)
{
  cl_command_queue handle = sora_queue_get_cl (queue);
  gsize bytes = 0;
  CLBlastStatusCode status;

  if (n == 0)
    return 0;
  g_mutex_lock (&clblast_lock);
  status = CLBlastSGemmTempBufferSize (CLBlastLayoutRowMajor, CLBlastTransposeNo, CLBlastTransposeYes, m, n, linear->k, x.offset,
      x.stride, 0, linear->k, 1, linear->n, &handle, &bytes);
  g_mutex_unlock (&clblast_lock);
  return status == CLBlastSuccess ? bytes : 0;  /* the product's call reports what is wrong */
}

/* Scratch memory for CLBlast, called with @part->n rows of the weight at a time and at last with the rest, and behind it for the product
 * [m, n], whose place is kept in @part. */
static void
get_scratch (SoraQueue *queue, const SoraLinear *linear, SoraMatrix x, cl_uint m, Part *part)
{
  gsize bytes = MAX (count_temp (queue, linear, x, m, part->n), count_temp (queue, linear, x, m, linear->n % part->n));

  part->product_offset = (bytes + sizeof (gfloat) - 1) / sizeof (gfloat);
  part->product = sora_queue_scratch (queue, SORA_SCRATCH_RESULT, (part->product_offset + (gsize) m * linear->n) * sizeof (gfloat));
}

/* Rows of the weight that are multiplied at a time: unpacked ones fill a slab. */
static cl_uint
count_step (const SoraLinear *linear)
{
  gsize row = linear->k * sizeof (gfloat);

  return linear->type == SORA_WEIGHT_TYPE_FP32 ? linear->n : MIN (linear->n, MAX (SLAB / row, 1));
}

/* Of an input that does not begin at 0, which CLBlast may have to copy */
void
sora_linear_clblast_predict (SoraQueue *queue, const SoraLinear *linear, cl_uint m, gsize sizes[SORA_N_SCRATCHES])
{
  const SoraMatrix x = { .offset = 1, .stride = linear->k };
  cl_uint step = count_step (linear);
  gsize bytes = MAX (count_temp (queue, linear, x, m, step), count_temp (queue, linear, x, m, linear->n % step));

  sizes[SORA_SCRATCH_RESULT] = bytes + sizeof (gfloat) + (gsize) m * linear->n * sizeof (gfloat);
  sizes[SORA_SCRATCH_WEIGHT] = linear->type == SORA_WEIGHT_TYPE_FP32 ? 0 : step * (gsize) linear->k * sizeof (gfloat);
}

static void
multiply (SoraQueue *queue, const SoraLinear *linear, SoraMatrix x, cl_uint m, const Part *part)
{
  cl_command_queue handle = sora_queue_get_cl (queue);
  CLBlastStatusCode status;
  cl_event event = NULL;
  GError *error = NULL;

  if (sora_queue_has_failed (queue))
    return;
  g_mutex_lock (&clblast_lock);
  status = CLBlastSgemmWithTempBuffer (CLBlastLayoutRowMajor, CLBlastTransposeNo, CLBlastTransposeYes, m, part->n, linear->k, 1.0f,
      x.mem, x.offset, x.stride, part->weight, 0, linear->k, 0.0f, part->product, part->product_offset + part->first, linear->n,
      &handle, &event, part->product);
  g_mutex_unlock (&clblast_lock);

  if (status != CLBlastSuccess) {
    sora_cl_set_error (&error, status, "CLBlastSgemm");
    sora_queue_fail (queue, error);
  } else {
    sora_queue_account (queue, "clblast-sgemm", (guint64) 2 * m * part->n * linear->k, event);
  }
}

static gsize
get_group (SoraQueue *queue)
{
  return MIN (GROUP, sora_queue_get_device (queue)->max_work_group_size);
}

/* Unpacks the part's rows to its weight. */
static void
unpack (SoraQueue *queue, const SoraLinear *linear, const Part *part)
{
  gsize group = get_group (queue);
  gchar options[16];
  SoraLaunch launch = {
    .program = "linear-unpack", .kernel = "linear_unpack",
    .dims = 2, .global = { (linear->k + group - 1) / group * group, part->n }, .local = { group, 1 },
  };

  g_snprintf (options, sizeof options, "-DTYPE=%d", linear->type);
  launch.options = g_intern_string (options);
  SORA_LAUNCH (queue, &launch, SORA_ARG (linear->weight), SORA_ARG (part->first), SORA_ARG (linear->k), SORA_ARG (part->weight));
}

/* The product of all rows, unpacked slab by slab. */
static Part
multiply_slabs (SoraQueue *queue, const SoraLinear *linear, SoraMatrix x, cl_uint m)
{
  cl_uint step = count_step (linear);
  Part part = { .n = step, .weight = sora_queue_scratch (queue, SORA_SCRATCH_WEIGHT, step * (gsize) linear->k * sizeof (gfloat)) };

  get_scratch (queue, linear, x, m, &part);
  for (; part.first < linear->n && !sora_queue_has_failed (queue); part.first += step) {
    part.n = MIN (step, linear->n - part.first);
    unpack (queue, linear, &part);
    multiply (queue, linear, x, m, &part);
  }
  return part;
}

void
sora_linear_clblast_run (SoraQueue *queue, const SoraLinear *linear, SoraMatrix x, SoraMatrix y, cl_uint m,
    const SoraEpilogueArgs *epilogue)
{
  gsize group = get_group (queue);
  SoraLaunch launch = {
    .program = "epilogue+linear-epilogue", .kernel = "linear_epilogue",
    .dims = 2, .global = { (linear->n + group - 1) / group * group, m }, .local = { group, 1 },
  };
  Part part = { .weight = linear->weight, .n = linear->n };

  if (sora_queue_has_failed (queue))
    return;
  if (linear->type == SORA_WEIGHT_TYPE_FP32) {
    get_scratch (queue, linear, x, m, &part);
    multiply (queue, linear, x, m, &part);
  } else {
    part = multiply_slabs (queue, linear, x, m);
  }
  SORA_LAUNCH (queue, &launch, SORA_ARG (part.product), SORA_ARG (part.product_offset), SORA_ARG (linear->bias), SORA_ARG (linear->n),
      SORA_ARG (y.mem), SORA_ARG (y.offset), SORA_ARG (y.stride), SORA_EPILOGUE_ARGS (*epilogue));
}
