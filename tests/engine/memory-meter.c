/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Counts the bytes of all OpenCL buffers that the engine has, and refuses what goes beyond a limit. */
#include "memory-meter.h"

#include "runtime/device-private.h"

cl_mem __real_clCreateBuffer (cl_context context, cl_mem_flags flags, size_t size, void *host, cl_int *status);
cl_mem __wrap_clCreateBuffer (cl_context context, cl_mem_flags flags, size_t size, void *host, cl_int *status);
cl_int __real_clReleaseMemObject (cl_mem mem);
cl_int __wrap_clReleaseMemObject (cl_mem mem);

#define LEAVING_TIME (20 * G_TIME_SPAN_MILLISECOND)

static GMutex lock;
static guint64 bytes, peak, limit = G_MAXUINT64;
static guint made;
static GHashTable *leaving;     /* buffers that are released, and that the driver still has */

/* Called by the driver when nothing uses the buffer any more. */
static void CL_CALLBACK
count_out (cl_mem mem, void *size)
{
  g_mutex_lock (&lock);
  bytes -= GPOINTER_TO_SIZE (size);
  if (mem && leaving)
    g_hash_table_remove (leaving, mem);
  g_mutex_unlock (&lock);
}

/* The engine retains nothing, so this is the last release of a buffer; parts of one stand for themselves. */
cl_int
__wrap_clReleaseMemObject (cl_mem mem)
{
  cl_mem whole = NULL;

  clGetMemObjectInfo (mem, CL_MEM_ASSOCIATED_MEMOBJECT, sizeof whole, &whole, NULL);
  g_mutex_lock (&lock);
  if (!leaving)
    leaving = g_hash_table_new (NULL, NULL);
  if (!whole)
    g_hash_table_add (leaving, mem);
  g_mutex_unlock (&lock);
  return __real_clReleaseMemObject (mem);
}

/* A driver's thread lets go of a command's buffers a moment after it has said that the command is done: that is not the engine's memory. */
static void
wait_for_leaving (void)
{
  gint64 end = g_get_monotonic_time () + LEAVING_TIME;
  gboolean any;

  do {
    g_mutex_lock (&lock);
    any = leaving && g_hash_table_size (leaving) > 0;
    g_mutex_unlock (&lock);
    if (any)
      g_usleep (100);
  } while (any && g_get_monotonic_time () < end);
}

static gboolean
count_in (gsize size)
{
  gboolean fits;

  g_mutex_lock (&lock);
  fits = bytes + size <= limit;
  if (fits) {
    bytes += size;
    made++;
  }
  peak = MAX (peak, bytes);
  g_mutex_unlock (&lock);
  return fits;
}

cl_mem
__wrap_clCreateBuffer (cl_context context, cl_mem_flags flags, size_t size, void *host, cl_int *status)
{
  cl_mem mem;

  wait_for_leaving ();
  if (!count_in (size)) {
    *status = CL_MEM_OBJECT_ALLOCATION_FAILURE;
    return NULL;
  }
  mem = __real_clCreateBuffer (context, flags, size, host, status);
  if (mem)
    g_assert_cmpint (clSetMemObjectDestructorCallback (mem, count_out, GSIZE_TO_POINTER (size)), ==, CL_SUCCESS);
  else
    count_out (NULL, GSIZE_TO_POINTER (size));
  return mem;
}

guint64
memory_meter_get_bytes (void)
{
  guint64 now;

  g_mutex_lock (&lock);
  now = bytes;
  g_mutex_unlock (&lock);
  return now;
}

guint
memory_meter_get_made (void)
{
  guint now;

  g_mutex_lock (&lock);
  now = made;
  g_mutex_unlock (&lock);
  return now;
}

void
memory_meter_wait (void)
{
  gint64 end = g_get_monotonic_time () + 20 * G_TIME_SPAN_SECOND;

  while (memory_meter_get_bytes () > 0 && g_get_monotonic_time () < end)
    g_usleep (1000);
  g_assert_cmpuint (memory_meter_get_bytes (), ==, 0);
}

guint64
memory_meter_take_peak (void)
{
  guint64 most;

  g_mutex_lock (&lock);
  most = peak;
  peak = bytes;
  g_mutex_unlock (&lock);
  return most;
}

void
memory_meter_set_limit (guint64 most)
{
  g_mutex_lock (&lock);
  limit = most;
  g_mutex_unlock (&lock);
}
