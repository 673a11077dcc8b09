/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Counts the bytes of all OpenCL buffers that the engine has, and refuses what goes beyond a limit. */
#include "memory-meter.h"

#include "runtime/device-private.h"

cl_mem __real_clCreateBuffer (cl_context context, cl_mem_flags flags, size_t size, void *host, cl_int *status);
cl_mem __wrap_clCreateBuffer (cl_context context, cl_mem_flags flags, size_t size, void *host, cl_int *status);

static GMutex lock;
static guint64 bytes, peak, limit = G_MAXUINT64;
static guint made;

/* Called by the driver when nothing uses the buffer any more. */
static void CL_CALLBACK
count_out (cl_mem mem, void *size)
{
  g_mutex_lock (&lock);
  bytes -= GPOINTER_TO_SIZE (size);
  g_mutex_unlock (&lock);
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
