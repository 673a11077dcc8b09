/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The queue: order, sticky errors, cancellation, throttling, profile. */

#include "test-support.h"

#include <string.h>
#include "runtime/arena.h"
#include "runtime/program.h"

/* Stands in for the engine's table, so that these tests have kernels of their own. */
const SoraProgramSource sora_program_sources[] = {
  { "simple",
    "__kernel void add (__global float *x, float value) { x[get_global_id (0)] += value; }\n"
    "__kernel void scale (__global float *x, float value) { x[get_global_id (0)] *= value; }\n"
    "__kernel void spin (__global float *x, int n)\n"
    "{\n"
    "  float a = x[get_global_id (0)];\n"
    "  for (int i = 0; i < n; i++)\n"
    "    a = sqrt (a * 1.5f + 1.0f);\n"
    "  x[get_global_id (0)] = a;\n"
    "}\n" },
  { "broken", "__kernel void broken (__global float *x) { x[0] = no_such_thing; }\n" },
  { NULL, NULL }
};

#define N 1000

static void
launch (SoraQueue *queue, const gchar *program, const gchar *kernel, cl_mem x, cl_float value)
{
  const SoraLaunch launch = { .program = program, .kernel = kernel, .dims = 1, .global = { N }, .local = { 1 }, .flops = N };

  SORA_LAUNCH (queue, &launch, SORA_ARG (x), SORA_ARG (value));
}

static void
test_order (void)
{
  g_autoptr (SoraQueue) queue = sora_test_queue_new ();
  g_autofree gfloat *before = sora_test_random (1, N, 1), *after = NULL;
  cl_mem x = sora_test_upload (queue, before, N);
  gfloat value;

  for (guint i = 0; i < 50; i++) {
    launch (queue, "simple", "add", x, 1);
    launch (queue, "simple", "scale", x, 0.5f);
  }
  after = sora_test_download (queue, x, N);
  for (guint i = 0; i < N; i++) {
    value = before[i];
    for (guint j = 0; j < 50; j++)
      value = (value + 1) * 0.5f;
    before[i] = value;
  }
  sora_test_assert_close (after, before, N, 1e-6, "50 x (add, scale)");
  clReleaseMemObject (x);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/queue/order", test_order);
  return g_test_run ();
}
