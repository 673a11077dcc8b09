/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The queue: order, sticky errors, cancellation, throttling, streamed memory, profile. */

#include "test-support.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
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

/* Nothing is done after the first failure, until it has been reported. */
static void
test_sticky (void)
{
  g_autoptr (SoraQueue) queue = sora_test_queue_new ();
  g_autofree gfloat *before = sora_test_random (2, N, 1), *after = NULL;
  g_autoptr (GError) error = NULL;
  cl_mem x = sora_test_upload (queue, before, N);

  g_assert_true (sora_queue_check (queue, &error));
  launch (queue, "broken", "broken", x, 1);
  launch (queue, "simple", "no_such_kernel", x, 1);
  launch (queue, "simple", "add", x, 1);
  sora_queue_zero (queue, x, 0, N * sizeof (gfloat));
  g_assert_null (sora_queue_alloc (queue, 4));
  g_assert_true (sora_queue_has_failed (queue));
  g_assert_false (sora_queue_finish (queue, &error));
  g_assert_error (error, SORA_DEVICE_ERROR, SORA_DEVICE_ERROR_BUILD);
  g_assert_nonnull (strstr (error->message, "no_such_thing"));
  g_clear_error (&error);

  g_assert_true (sora_queue_check (queue, &error));
  after = sora_test_download (queue, x, N);
  sora_test_assert_same (after, before, N, "untouched");
  clReleaseMemObject (x);
}

/* Waits until some thread has built "simple", which nobody launches meanwhile. */
static void
wait_for_simple (SoraDevice *device)
{
  gboolean built = FALSE;

  while (!built) {
    g_usleep (1000);
    g_mutex_lock (&device->lock);
    built = g_hash_table_contains (device->programs, "simple|");
    g_mutex_unlock (&device->lock);
  }
}

/* What is expected is built without a launch; what does not build is an error only of who launches it. */
static void
test_expect (void)
{
  g_autoptr (SoraQueue) queue = sora_test_queue_new ();
  SoraDevice *device = sora_queue_get_device (queue);
  g_autofree gfloat *before = sora_test_random (3, N, 1), *after = NULL;
  g_autoptr (GError) error = NULL;
  cl_mem x = sora_test_upload (queue, before, N);

  g_hash_table_remove_all (device->programs);
  sora_queue_expect (queue, "missing", NULL);
  sora_queue_expect (queue, "broken", NULL);
  sora_queue_expect (queue, "simple", NULL);
  sora_queue_expect (queue, "simple", "");
  wait_for_simple (device);
  g_assert_true (sora_queue_check (queue, NULL));
  launch (queue, "simple", "scale", x, 2);
  after = sora_test_download (queue, x, N);
  for (guint i = 0; i < N; i++)
    g_assert_cmpfloat (after[i], ==, before[i] * 2);
  launch (queue, "broken", "broken", x, 1);
  g_assert_false (sora_queue_check (queue, &error));
  g_assert_error (error, SORA_DEVICE_ERROR, SORA_DEVICE_ERROR_BUILD);
  clReleaseMemObject (x);
}

/* A launch while the program is being built waits for it; a queue that goes does not leave a thread behind. */
static void
test_expect_and_go (void)
{
  for (guint i = 0; i < 8; i++) {
    g_autoptr (SoraQueue) queue = sora_test_queue_new ();
    const gfloat zero = 0;
    g_autofree gfloat *after = NULL;
    cl_mem x = i % 2 ? sora_test_upload (queue, &zero, 1) : NULL;
    const SoraLaunch add = { .program = "simple", .kernel = "add", .dims = 1, .global = { 1 }, .local = { 1 } };
    cl_float value = i;

    g_hash_table_remove_all (sora_queue_get_device (queue)->programs);
    sora_queue_expect (queue, "simple", NULL);
    sora_queue_expect (queue, "broken", NULL);
    if (!x)
      continue;
    SORA_LAUNCH (queue, &add, SORA_ARG (x), SORA_ARG (value));
    after = sora_test_download (queue, x, 1);
    g_assert_cmpfloat (after[0], ==, i);
    clReleaseMemObject (x);
  }
}

/* What nobody wrote is not a number. */
static void
test_poison (void)
{
  g_autoptr (SoraQueue) queue = sora_test_queue_new ();
  g_autofree gchar *before = g_strdup (g_getenv ("SORA_DEBUG"));
  g_autofree gfloat *data = NULL;
  cl_mem x;

  g_setenv ("SORA_DEBUG", "poison", TRUE);
  x = sora_queue_alloc (queue, N * sizeof (gfloat));
  if (before)
    g_setenv ("SORA_DEBUG", before, TRUE);
  else
    g_unsetenv ("SORA_DEBUG");
  data = sora_test_download (queue, x, N);
  for (guint i = 0; i < N; i++)
    g_assert_true (isnan (data[i]));
  clReleaseMemObject (x);
}

static void
test_errors (void)
{
  g_autoptr (SoraQueue) queue = sora_test_queue_new ();
  SoraLaunch wrong_group = { .program = "simple", .kernel = "add", .dims = 1, .global = { 10 }, .local = { 3 } };
  g_autoptr (GError) error = NULL;
  cl_mem x = sora_queue_alloc (queue, N * sizeof (gfloat));
  cl_float value = 1;

  launch (queue, "simple", "no_such_kernel", x, 1);
  g_assert_false (sora_queue_check (queue, &error));
  g_assert_error (error, SORA_DEVICE_ERROR, SORA_DEVICE_ERROR_FAILED);
  g_assert_nonnull (strstr (error->message, "no_such_kernel"));
  g_clear_error (&error);

  SORA_LAUNCH (queue, &wrong_group, SORA_ARG (x), SORA_ARG (value), SORA_ARG (value));
  g_assert_false (sora_queue_check (queue, &error));
  g_assert_error (error, SORA_DEVICE_ERROR, SORA_DEVICE_ERROR_FAILED);
  g_assert_nonnull (strstr (error->message, "clSetKernelArg (add, 2)"));
  g_clear_error (&error);

  SORA_LAUNCH (queue, &wrong_group, SORA_ARG (x), SORA_ARG (value));
  g_assert_false (sora_queue_check (queue, &error));
  g_assert_error (error, SORA_DEVICE_ERROR, SORA_DEVICE_ERROR_FAILED);
  g_assert_nonnull (strstr (error->message, "CL_INVALID_WORK_GROUP_SIZE"));
  g_clear_error (&error);

  g_assert_null (sora_queue_alloc (queue, G_MAXSIZE / 2));
  g_assert_false (sora_queue_check (queue, &error));
  g_assert_error (error, SORA_DEVICE_ERROR, SORA_DEVICE_ERROR_NO_MEMORY);
  g_clear_error (&error);

  sora_queue_fail (queue, g_error_new_literal (SORA_STREAM_ERROR, SORA_STREAM_ERROR_NUMERIC, "first"));
  sora_queue_fail (queue, g_error_new_literal (SORA_STREAM_ERROR, SORA_STREAM_ERROR_OPTION, "second"));
  g_assert_false (sora_queue_check (queue, &error));
  g_assert_error (error, SORA_STREAM_ERROR, SORA_STREAM_ERROR_NUMERIC);
  clReleaseMemObject (x);
}

static void
test_transfers (void)
{
  const gsize large = 700000;   /* floats: more than is copied aside */
  g_autoptr (SoraQueue) queue = sora_test_queue_new ();
  g_autofree gfloat *data = sora_test_random (3, large, 1), *result = NULL;
  cl_mem x = sora_test_alloc (queue, large), y = sora_test_alloc (queue, large);
  g_autofree guint8 *bytes = NULL;
  gfloat value[100];

  sora_queue_write (queue, x, 0, large * sizeof (gfloat), data);
  sora_queue_copy (queue, x, 0, y, 0, large * sizeof (gfloat));
  result = sora_test_download (queue, y, large);
  sora_test_assert_same (result, data, large, "large write and copy");
  g_clear_pointer (&result, g_free);

  /* The host's array changes as soon as the call has returned. */
  for (guint i = 0; i < 1000; i++) {
    for (guint j = 0; j < G_N_ELEMENTS (value); j++)
      value[j] = data[i * G_N_ELEMENTS (value) + j] = i;
    sora_queue_write (queue, y, i * sizeof value, sizeof value, value);
  }
  result = sora_test_download (queue, y, 1000 * G_N_ELEMENTS (value));
  sora_test_assert_same (result, data, 1000 * G_N_ELEMENTS (value), "1000 writes from one array");

  sora_queue_zero (queue, y, 4, 8);
  sora_queue_zero (queue, y, 17, 3);
  bytes = (guint8 *) sora_test_download (queue, y, 10);
  for (guint i = 0; i < 40; i++)
    g_assert_cmpint (bytes[i], ==, (i >= 4 && i < 12) || (i >= 17 && i < 20) ? 0 : ((guint8 *) data)[i]);
  clReleaseMemObject (x);
  clReleaseMemObject (y);
}

/* Launches "spin" for about @iterations on one work-item, declaring @flops. */
static void
spin (SoraQueue *queue, cl_mem x, cl_int iterations, guint64 flops)
{
  const SoraLaunch launch = { .program = "simple", .kernel = "spin", .dims = 1, .global = { 1 }, .local = { 1 },
    .flops = flops };

  SORA_LAUNCH (queue, &launch, SORA_ARG (x), SORA_ARG (iterations));
}

/* Seconds of @launches spins: until the last one is enqueued, and until it has ended. */
static void
time_spins (SoraQueue *queue, cl_mem x, guint launches, guint64 flops, gdouble *enqueued, gdouble *ended)
{
  g_autoptr (GError) error = NULL;
  gint64 start = g_get_monotonic_time ();

  for (guint i = 0; i < launches; i++)
    spin (queue, x, sora_test_is_small () ? 2000 : 1000000, flops);
  *enqueued = (g_get_monotonic_time () - start) * 1e-6;
  sora_queue_finish (queue, &error);
  *ended = (g_get_monotonic_time () - start) * 1e-6;
  g_assert_no_error (error);
}

/* A disturbed machine lengthens what it likes, so what must be short has several tries: without the bound none of them would do. */
#define TRIES 8

/* Whether at most @in_flight of @launches, and a margin of 10 %, remain to be done once the last is enqueued. */
static gboolean
is_bounded (SoraQueue *queue, cl_mem x, guint launches, guint64 flops, gdouble in_flight)
{
  for (guint i = 0; i < TRIES; i++) {
    gdouble enqueued, ended;

    time_spins (queue, x, launches, flops, &enqueued, &ended);
    g_test_message ("%u launches: enqueued %.3f s, ended %.3f s", launches, enqueued, ended);
    if (ended - enqueued <= (in_flight / launches + 0.1) * ended)
      return TRUE;
  }
  return FALSE;
}

/* What is in flight once the last launch is enqueued: of short kernels at most 24 (here of 120), of heavy ones at most 3
 * (here of 30). */
static void
test_throttle (void)
{
  g_autoptr (SoraQueue) queue = sora_test_queue_new ();
  const gfloat one = 1;
  cl_mem x = sora_test_upload (queue, &one, 1);
  gdouble enqueued, ended;

  time_spins (queue, x, 3, 1, &enqueued, &ended);       /* compiles */
  g_assert_true (is_bounded (queue, x, 120, 1, 24));
  g_assert_true (is_bounded (queue, x, 30, G_GUINT64_CONSTANT (10000000000), 3));
  clReleaseMemObject (x);
}

/* Cancels after 100 of 1000 launches: the share of the time until then that it takes until the device is idle. */
static gdouble
time_cancellation (SoraQueue *queue, cl_mem x)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GError) error = NULL;
  gint64 start = g_get_monotonic_time (), cancelled = start;

  sora_queue_set_cancellable (queue, cancellable);
  for (guint i = 0; i < 1000; i++) {
    if (i == 100) {
      cancelled = g_get_monotonic_time ();
      g_cancellable_cancel (cancellable);
    }
    spin (queue, x, sora_test_is_small () ? 2000 : 1000000, 1);
  }
  g_assert_false (sora_queue_finish (queue, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_test_message ("enqueued for %.3f s, idle %.3f s after the cancellation", (cancelled - start) * 1e-6,
      (g_get_monotonic_time () - cancelled) * 1e-6);
  return (g_get_monotonic_time () - cancelled) / (gdouble) (cancelled - start);
}

/* From the cancellation to the idle device: what was in flight, 24 short kernels of 76 or more that were done, and not the 900 that the
 * loop still wants. */
static void
test_cancel (void)
{
  g_autoptr (SoraQueue) queue = sora_test_queue_new ();
  g_autoptr (GError) error = NULL;
  const gfloat one = 1;
  cl_mem x = sora_test_upload (queue, &one, 1);
  gdouble enqueued, ended, share = G_MAXDOUBLE;

  time_spins (queue, x, 3, 1, &enqueued, &ended);
  for (guint i = 0; i < TRIES && share > 0.5; i++)
    share = time_cancellation (queue, x);
  g_assert_cmpfloat (share, <=, 0.5);

  /* It stays cancelled until it gets another. */
  spin (queue, x, 1, 1);
  g_assert_false (sora_queue_check (queue, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_error (&error);
  sora_queue_set_cancellable (queue, NULL);
  spin (queue, x, 1, 1);
  g_assert_true (sora_queue_finish (queue, &error));
  clReleaseMemObject (x);
}

static void
test_profile (void)
{
  g_autoptr (SoraQueue) plain = sora_test_queue_new ();
  g_autoptr (GError) error = NULL;
  g_autoptr (SoraQueue) queue = sora_queue_new (sora_queue_get_device (plain), TRUE, &error);
  g_autofree gfloat *data = sora_test_random (4, N, 1);
  g_autofree gchar *table = NULL;
  g_auto (GStrv) rows = NULL;
  cl_mem x = sora_test_upload (queue, data, N);
  guint seen = 0;

  g_assert_null (sora_queue_format_profile (plain));
  for (guint i = 0; i < 500; i++)
    launch (queue, "simple", i % 5 ? "add" : "scale", x, 1);
  table = sora_queue_format_profile (queue);
  g_test_message ("\n%s", table);
  rows = g_strsplit (table, "\n", -1);
  for (guint i = 0; rows[i]; i++) {
    gchar name[64];
    guint calls;
    gdouble ms;

    if (sscanf (rows[i], "%63s %u %lf", name, &calls, &ms) != 3)
      continue;
    if (g_str_equal (name, "add") || g_str_equal (name, "scale") || g_str_equal (name, "(write)")) {
      seen++;
      g_assert_cmpuint (calls, ==, name[0] == 'a' ? 400 : name[0] == 's' ? 100 : 1);
      g_assert_cmpfloat (ms, >=, 0);
    }
  }
  g_assert_cmpuint (seen, ==, 3);
  clReleaseMemObject (x);
}

/* Each place is written in pieces, from memory that is reused at once; what follows finds all of them. */
static void
test_streams (void)
{
  enum { ROUNDS = 50, PIECES = 4 };
  g_autoptr (SoraQueue) queue = sora_test_queue_new ();
  g_autofree gfloat *piece = g_new (gfloat, N), *result = NULL;
  cl_mem x = sora_test_alloc (queue, ROUNDS * PIECES * N);
  gsize size = N * sizeof (gfloat);

  for (guint round = 0; round < ROUNDS; round++) {
    cl_mem place = sora_queue_begin_stream (queue, PIECES * size);

    for (guint i = 0; i < PIECES; i++) {
      for (guint j = 0; j < N; j++)
        piece[j] = round * PIECES + i;
      sora_queue_stream_write (queue, i * size, size, piece);
    }
    sora_queue_copy (queue, place, 0, x, round * PIECES * size, PIECES * size);
    sora_queue_end_stream (queue);
  }
  result = sora_test_download (queue, x, ROUNDS * PIECES * N);
  for (guint i = 0; i < ROUNDS * PIECES * N; i++)
    g_assert_cmpfloat (result[i], ==, i / N);
  g_assert_cmpuint (sora_queue_get_stream_size (queue), ==, 2 * PIECES * size);
  sora_queue_clear_streams (queue);
  g_assert_cmpuint (sora_queue_get_stream_size (queue), ==, 0);
  clReleaseMemObject (x);
}

/* Two threads, each with a queue of its own on one device, build and run at once. */
static gpointer
run_thread (gpointer data)
{
  gfloat step = GPOINTER_TO_UINT (data);
  g_autoptr (SoraQueue) queue = sora_test_queue_new ();
  g_autofree gfloat *zeros = g_new0 (gfloat, N), *result = NULL;
  cl_mem x = sora_test_upload (queue, zeros, N);

  for (guint i = 0; i < 300; i++)
    launch (queue, "simple", "add", x, step);
  result = sora_test_download (queue, x, N);
  for (guint i = 0; i < N; i++)
    g_assert_cmpfloat (result[i], ==, 300 * step);
  clReleaseMemObject (x);
  return NULL;
}

static void
test_threads (void)
{
  g_autoptr (SoraQueue) queue = sora_test_queue_new ();
  GThread *one, *two;

  if (strstr (sora_device_get_platform (sora_queue_get_device (queue)), "Oclgrind")) {
    g_test_skip ("Oclgrind takes one kernel at a time");
    return;
  }
  one = g_thread_new ("one", run_thread, GUINT_TO_POINTER (1));
  two = g_thread_new ("two", run_thread, GUINT_TO_POINTER (2));

  g_thread_join (one);
  g_thread_join (two);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/queue/order", test_order);
  g_test_add_func ("/queue/sticky", test_sticky);
  g_test_add_func ("/queue/expect", test_expect);
  g_test_add_func ("/queue/expect-and-go", test_expect_and_go);
  g_test_add_func ("/queue/poison", test_poison);
  g_test_add_func ("/queue/errors", test_errors);
  g_test_add_func ("/queue/transfers", test_transfers);
  g_test_add_func ("/queue/streams", test_streams);
  g_test_add_func ("/queue/throttle", test_throttle);
  g_test_add_func ("/queue/cancel", test_cancel);
  g_test_add_func ("/queue/profile", test_profile);
  g_test_add_func ("/queue/threads", test_threads);
  return g_test_run ();
}
