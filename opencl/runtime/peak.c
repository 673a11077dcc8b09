/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The peak of a device, in fp32 or of its matrix unit, from a kernel that touches nothing but registers. */
#include "runtime/peak.h"

#include "runtime/matrix-unit.h"
#include "runtime/program.h"

/* Independent chains of fused multiply-adds: more than latency times units of a CPU (4 cycles · 2 units), and enough for a GPU with many
 * work-items in flight. The values approach 1, so none becomes infinite or denormal. */
#define CHAINS 12
/* Of peak-bf16.cl: floating-point operations of a loop, which is 16 vectors of 16 pairs, or 4 tiles of 16 x 16 pairs for 16 columns */
static const guint bf16_loop_flops[] = { [SORA_MATRIX_UNIT_AVX512_BF16] = 16 * 16 * 2 * 2, [SORA_MATRIX_UNIT_AMX_BF16] = 4 * 16 * 16 * 16 * 2 * 2 };
/* A millisecond and more on a CPU, beside which the few microseconds of a launch are nothing. */
#define LOOPS 30000
/* Short, so that some samples of many meet an undisturbed machine. */
#define SAMPLE_SECONDS 0.01

static gdouble
now (void)
{
  return g_get_monotonic_time () * 1e-6;
}

struct _SoraPeak {
  SoraDevice *device;
  SoraMatrixUnit unit;          /* none: fp32 */
  cl_command_queue queue;
  cl_kernel kernel;
  cl_mem out;
  guint width;                  /* floats a vector */
  gsize global, local;
  guint launches;               /* in a sample */
  gdouble best;                 /* GFLOP/s */
};

/* seconds that @launches take; negative with @error */
static gdouble
measure (SoraPeak *peak, guint launches, GError **error)
{
  gdouble start = now ();
  cl_int status = CL_SUCCESS;

  for (guint i = 0; i < launches && status == CL_SUCCESS; i++)
    status = clEnqueueNDRangeKernel (peak->queue, peak->kernel, 1, NULL, &peak->global, &peak->local, 0, NULL, NULL);
  if (status == CL_SUCCESS)
    status = clFinish (peak->queue);
  if (status == CL_SUCCESS)
    return now () - start;
  sora_cl_set_error (error, status, "the peak kernel");
  return -1;
}

static gboolean
build (SoraPeak *peak, GError **error)
{
  g_autofree gchar *options = g_strdup_printf ("-DWIDTH=%u", peak->width);
  cl_program program = peak->unit ? sora_program_get (peak->device, "bf16+peak-bf16", sora_matrix_unit_option (peak->unit), error)
      : sora_program_get (peak->device, "peak", options, error);
  cl_int status;

  if (!program)
    return FALSE;
  peak->queue = clCreateCommandQueue (peak->device->context, peak->device->id, 0, &status);
  if (status == CL_SUCCESS)
    peak->out = clCreateBuffer (peak->device->context, CL_MEM_READ_WRITE, peak->global * peak->width * sizeof (gfloat), NULL,
        &status);
  if (status == CL_SUCCESS)
    peak->kernel = clCreateKernel (program, peak->unit ? "peak_bf16" : "peak", &status);
  if (status != CL_SUCCESS)
    sora_cl_set_error (error, status, "building the peak kernel");
  return status == CL_SUCCESS;
}

static gboolean
set_args (SoraPeak *peak, GError **error)
{
  const cl_float factor = 0.999f, term = 0.001f, seed = 0.5f;
  const cl_uint loops = LOOPS;
  cl_uint next = 0;
  cl_int status = CL_SUCCESS;

  if (!peak->unit) {
    status |= clSetKernelArg (peak->kernel, next++, sizeof factor, &factor);
    status |= clSetKernelArg (peak->kernel, next++, sizeof term, &term);
    status |= clSetKernelArg (peak->kernel, next++, sizeof seed, &seed);
  }
  status |= clSetKernelArg (peak->kernel, next++, sizeof loops, &loops);
  status |= clSetKernelArg (peak->kernel, next++, sizeof peak->out, &peak->out);
  if (status != CL_SUCCESS)
    sora_cl_set_error (error, CL_INVALID_ARG_VALUE, "clSetKernelArg (peak)");
  return status == CL_SUCCESS;
}

SoraPeak *
sora_peak_new (SoraDevice *device, SoraMatrixUnit unit, GError **error)
{
  g_autoptr (SoraPeak) peak = g_new0 (SoraPeak, 1);
  gboolean cpu = device->type & CL_DEVICE_TYPE_CPU;
  gdouble seconds;

  peak->device = sora_device_ref (device);
  peak->unit = unit;
  peak->width = cpu ? MIN (device->vector_width, 16) : 1;
  peak->local = cpu ? 1 : MIN (device->max_work_group_size, 256);
  peak->global = (gsize) device->compute_units * (cpu ? 16 : 64) * peak->local;
  if (!build (peak, error) || !set_args (peak, error) || measure (peak, 1, error) < 0)
    return NULL;
  seconds = measure (peak, 1, error);
  if (seconds < 0)
    return NULL;
  peak->launches = CLAMP (SAMPLE_SECONDS / MAX (seconds, 1e-6), 1, 1000);
  return g_steal_pointer (&peak);
}

void
sora_peak_free (SoraPeak *peak)
{
  g_clear_pointer (&peak->kernel, clReleaseKernel);
  g_clear_pointer (&peak->out, clReleaseMemObject);
  g_clear_pointer (&peak->queue, clReleaseCommandQueue);
  sora_device_unref (peak->device);
  g_free (peak);
}

gboolean
sora_peak_sample (SoraPeak *peak, GError **error)
{
  gdouble loop_flops = peak->unit ? bf16_loop_flops[peak->unit] : 2.0 * CHAINS * peak->width;
  gdouble flops = loop_flops * LOOPS * peak->global * peak->launches;
  gdouble seconds = measure (peak, peak->launches, error);

  if (seconds < 0)
    return FALSE;
  peak->best = MAX (peak->best, flops / seconds * 1e-9);
  return TRUE;
}

gdouble
sora_peak_get_best (SoraPeak *peak)
{
  return peak->best;
}
