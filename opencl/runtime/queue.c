/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An in-order command queue with its kernels, a sticky first error, cancellation, throttling and a profile. */

#include "runtime/queue.h"

#include <math.h>
#include <string.h>
#include "runtime/builder.h"
#include "runtime/peak.h"
#include "runtime/profile.h"
#include "runtime/program.h"

/* Every MARK_COMMANDS commands or MARK_FLOPS of work (20 ms at 200 GFLOP/s) an event is kept, and the one MARKS before it is
 * waited for. So (MARKS + 1) times as much is in flight at most: enough that no device starves, little enough that
 * cancelling does not take long. */
#define MARK_COMMANDS 8
#define MARK_FLOPS G_GUINT64_CONSTANT (4000000000)
#define MARKS 2

/* Up to this many bytes are copied and written without waiting for the device. */
#define STAGING_MAX (1 << 20)

/* Enough that one of them is not disturbed. */
#define PEAK_SAMPLES 20

/* A kernel object is not thread-safe (its arguments), so each queue has its own. */
typedef struct {
  SoraProfileEntry profile;
  gchar *program, *options, *kernel;    /* the key; program is "" for work that is not ours */
  cl_kernel handle;
} Kernel;

/* A command whose end has a consequence: a row of the profile, or host memory to free. */
typedef struct {
  cl_event event;
  Kernel *kernel;               /* NULL unless profiling */
  guint64 flops;
  gpointer staging;             /* freed once the device has read it; or NULL */
} Pending;

/* Memory that is filled from the host each time that it is used. */
typedef struct {
  cl_mem mem;                   /* NULL until asked for */
  gsize size;                   /* bytes */
  cl_event used;                /* of what used it last; NULL: nothing has */
} Slot;

#define SLOTS 2

struct _SoraQueue {
  SoraDevice *device;
  cl_command_queue handle;
  gboolean profile;
  GCancellable *cancellable;
  gboolean atomic;              /* cancellation waits */
  GError *error;                /* the first failure, until it is reported */
  GHashTable *kernels;          /* Kernel → itself */
  SoraBuilder *builder;         /* NULL until a program is expected */
  GQueue pending;               /* Pending, in the order of the commands */
  cl_event marks[MARKS];
  guint n_marks;                /* ever taken */
  guint commands;               /* since the last mark */
  guint64 flops;                /* likewise */
  guint64 work;                 /* FLOPs ever enqueued */
  cl_mem scratch[SORA_N_SCRATCHES];     /* NULL until asked for */
  gsize scratch_size[SORA_N_SCRATCHES]; /* bytes */
  cl_command_queue transfer;    /* that fills the slots; NULL until asked for */
  Slot slots[SLOTS];
  guint slot;                   /* the one that was begun last */
};

static guint
kernel_hash (gconstpointer data)
{
  const Kernel *kernel = data;

  return (g_str_hash (kernel->program) * 31 + g_str_hash (kernel->options)) * 31 + g_str_hash (kernel->kernel);
}

static gboolean
kernel_equal (gconstpointer a, gconstpointer b)
{
  const Kernel *x = a, *y = b;

  return strcmp (x->kernel, y->kernel) == 0 && strcmp (x->program, y->program) == 0 && strcmp (x->options, y->options) == 0;
}

static void
kernel_free (gpointer data)
{
  Kernel *kernel = data;

  g_clear_pointer (&kernel->handle, clReleaseKernel);
  g_free (kernel->profile.name);
  g_free (kernel->program);
  g_free (kernel->options);
  g_free (kernel->kernel);
  g_free (kernel);
}

SoraQueue *
sora_queue_new (SoraDevice *device, gboolean profile, GError **error)
{
  cl_int status;
  cl_command_queue handle = clCreateCommandQueue (device->context, device->id, profile ? CL_QUEUE_PROFILING_ENABLE : 0,
      &status);
  SoraQueue *queue;

  if (!handle) {
    sora_cl_set_error (error, status, "clCreateCommandQueue");
    return NULL;
  }
  queue = g_new0 (SoraQueue, 1);
  queue->device = sora_device_ref (device);
  queue->handle = handle;
  queue->profile = profile;
  queue->kernels = g_hash_table_new_full (kernel_hash, kernel_equal, NULL, kernel_free);
  g_queue_init (&queue->pending);
  return queue;
}

/* Takes what has ended off the front of the pending commands; all of them if @wait (the device must be idle). */
static void
collect_pending (SoraQueue *queue, gboolean wait)
{
  Pending *pending;

  while ((pending = g_queue_peek_head (&queue->pending))) {
    cl_int state = CL_COMPLETE;
    cl_ulong start = 0, end = 0;

    clGetEventInfo (pending->event, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof state, &state, NULL);
    if (state > CL_COMPLETE && !wait)
      return;
    if (pending->kernel
        && clGetEventProfilingInfo (pending->event, CL_PROFILING_COMMAND_START, sizeof start, &start, NULL) == CL_SUCCESS
        && clGetEventProfilingInfo (pending->event, CL_PROFILING_COMMAND_END, sizeof end, &end, NULL) == CL_SUCCESS) {
      pending->kernel->profile.calls++;
      pending->kernel->profile.nanoseconds += end - start;
      pending->kernel->profile.flops += pending->flops;
    }
    clReleaseEvent (pending->event);
    g_free (pending->staging);
    g_free (g_queue_pop_head (&queue->pending));
  }
}

void
sora_queue_free (SoraQueue *queue)
{
  g_clear_pointer (&queue->builder, sora_builder_free);
  clFinish (queue->handle);
  collect_pending (queue, TRUE);
  for (guint i = 0; i < MARKS; i++)
    g_clear_pointer (&queue->marks[i], clReleaseEvent);
  for (guint i = 0; i < SORA_N_SCRATCHES; i++)
    g_clear_pointer (&queue->scratch[i], clReleaseMemObject);
  sora_queue_clear_streams (queue);
  g_clear_pointer (&queue->transfer, clReleaseCommandQueue);
  g_hash_table_unref (queue->kernels);
  clReleaseCommandQueue (queue->handle);
  g_clear_object (&queue->cancellable);
  g_clear_error (&queue->error);
  sora_device_unref (queue->device);
  g_free (queue);
}

SoraDevice *
sora_queue_get_device (SoraQueue *queue)
{
  return queue->device;
}

cl_command_queue
sora_queue_get_cl (SoraQueue *queue)
{
  return queue->handle;
}

guint64
sora_queue_get_work (SoraQueue *queue)
{
  return queue->work;
}

void
sora_queue_set_cancellable (SoraQueue *queue, GCancellable *cancellable)
{
  g_set_object (&queue->cancellable, cancellable);
}

void
sora_queue_begin_atomic (SoraQueue *queue)
{
  queue->atomic = TRUE;
}

void
sora_queue_end_atomic (SoraQueue *queue)
{
  queue->atomic = FALSE;
}

void
sora_queue_fail (SoraQueue *queue, GError *error)
{
  if (queue->error)
    g_error_free (error);
  else
    queue->error = error;
}

static void
fail_status (SoraQueue *queue, cl_int status, const gchar *call)
{
  if (!queue->error)
    sora_cl_set_error (&queue->error, status, call);
}

gboolean
sora_queue_has_failed (SoraQueue *queue)
{
  return queue->error != NULL;
}

/* Whether a command may be enqueued: nothing failed, nobody cancelled. */
static gboolean
is_ready (SoraQueue *queue)
{
  return !queue->error && (queue->atomic || !g_cancellable_set_error_if_cancelled (queue->cancellable, &queue->error));
}

static void
wait_for_mark (SoraQueue *queue, cl_event mark)
{
  cl_int status = clWaitForEvents (1, &mark);

  if (status == CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST)
    clGetEventInfo (mark, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof status, &status, NULL);
  if (status != CL_SUCCESS)
    fail_status (queue, status, "a kernel");
  clReleaseEvent (mark);
  collect_pending (queue, FALSE);
}

static gboolean
is_mark_due (SoraQueue *queue, guint64 flops)
{
  return queue->commands + 1 >= MARK_COMMANDS || queue->flops + flops >= MARK_FLOPS;
}

/* Whether the next command needs an event. */
static gboolean
wants_event (SoraQueue *queue, guint64 flops)
{
  return queue->profile || is_mark_due (queue, flops);
}

/* Counts an enqueued command. Takes @event (nullable) and @staging (nullable; needs an event). */
static void
count_command (SoraQueue *queue, Kernel *kernel, guint64 flops, cl_event event, gpointer staging)
{
  gboolean mark = event && is_mark_due (queue, flops);

  queue->commands++;
  queue->flops += flops;
  queue->work += flops;
  if (mark) {
    cl_event *slot = &queue->marks[queue->n_marks++ % MARKS];
    cl_event old = *slot;

    clRetainEvent (event);
    *slot = event;
    queue->commands = 0;
    queue->flops = 0;
    clFlush (queue->handle);
    if (old)
      wait_for_mark (queue, old);
  }
  if (event && (queue->profile || staging)) {
    Pending pending = { event, queue->profile ? kernel : NULL, flops, staging };

    g_queue_push_tail (&queue->pending, g_memdup2 (&pending, sizeof pending));
  } else if (event) {
    clReleaseEvent (event);
  }
}

static Kernel *
kernel_new (const Kernel *key)
{
  Kernel *kernel = g_new0 (Kernel, 1);

  kernel->program = g_strdup (key->program);
  kernel->options = g_strdup (key->options);
  kernel->kernel = g_strdup (key->kernel);
  kernel->profile.name = *key->options ? g_strdup_printf ("%s %s", key->kernel, key->options) : g_strdup (key->kernel);
  return kernel;
}

/* The kernel of this name, built if need be; NULL with a sticky error. */
static Kernel *
get_kernel (SoraQueue *queue, const gchar *program, const gchar *options, const gchar *name)
{
  Kernel key = { .program = (gchar *) program, .options = (gchar *) (options ? options : ""), .kernel = (gchar *) name };
  Kernel *kernel = g_hash_table_lookup (queue->kernels, &key);
  cl_program built;
  cl_int status;

  if (kernel)
    return kernel;
  kernel = kernel_new (&key);
  if (*program) {
    built = sora_program_get (queue->device, program, key.options, &queue->error);
    if (built) {
      kernel->handle = clCreateKernel (built, name, &status);
      if (!kernel->handle) {
        g_autofree gchar *call = g_strdup_printf ("clCreateKernel (%s in %s.cl)", name, program);

        fail_status (queue, status, call);
      }
    }
    if (!kernel->handle) {
      kernel_free (kernel);
      return NULL;
    }
  }
  g_hash_table_add (queue->kernels, kernel);
  return kernel;
}

/* The row of the profile for commands that are not our kernels; NULL unless profiling. */
static Kernel *
get_row (SoraQueue *queue, const gchar *name)
{
  return queue->profile ? get_kernel (queue, "", NULL, name) : NULL;
}

static gboolean
set_args (SoraQueue *queue, Kernel *kernel, guint n_args, const SoraArg *args)
{
  for (guint i = 0; i < n_args; i++) {
    cl_int status = clSetKernelArg (kernel->handle, i, args[i].size, args[i].value);

    if (status != CL_SUCCESS) {
      g_autofree gchar *call = g_strdup_printf ("clSetKernelArg (%s, %u)", kernel->kernel, i);

      fail_status (queue, status, call);
      return FALSE;
    }
  }
  return TRUE;
}

void
sora_queue_launch (SoraQueue *queue, const SoraLaunch *launch, guint n_args, const SoraArg *args)
{
  Kernel *kernel;
  cl_event event = NULL;
  cl_int status;

  if (!is_ready (queue))
    return;
  kernel = get_kernel (queue, launch->program, launch->options, launch->kernel);
  if (!kernel || !set_args (queue, kernel, n_args, args))
    return;
  status = clEnqueueNDRangeKernel (queue->handle, kernel->handle, launch->dims, NULL, launch->global, launch->local, 0, NULL,
      wants_event (queue, launch->flops) ? &event : NULL);
  if (status != CL_SUCCESS) {
    g_autofree gchar *call = g_strdup_printf ("clEnqueueNDRangeKernel (%s)", launch->kernel);

    fail_status (queue, status, call);
    return;
  }
  count_command (queue, kernel, launch->flops, event, NULL);
}

void
sora_queue_expect (SoraQueue *queue, const gchar *program, const gchar *options)
{
  if (!queue->builder)
    queue->builder = sora_builder_new (queue->device);
  sora_builder_add (queue->builder, program, options);
}

void
sora_queue_account (SoraQueue *queue, const gchar *kernel, guint64 flops, cl_event event)
{
  count_command (queue, get_row (queue, kernel), flops, event, NULL);
}

/* SORA_DEBUG=poison: memory begins as NaN, and as bytes of 255, so that what nobody wrote shows in the result. */
static gboolean
wants_poison (void)
{
  static const GDebugKey keys[] = { { "poison", 1 } };

  return g_parse_debug_string (g_getenv ("SORA_DEBUG"), keys, G_N_ELEMENTS (keys)) != 0;
}

static void
poison (SoraQueue *queue, cl_mem mem, gsize size)
{
  const guint8 pattern = 0xff;
  cl_int status = clEnqueueFillBuffer (queue->handle, mem, &pattern, 1, 0, size, 0, NULL, NULL);

  if (status != CL_SUCCESS)
    fail_status (queue, status, "clEnqueueFillBuffer");
}

cl_mem
sora_queue_alloc (SoraQueue *queue, gsize size)
{
  cl_int status;
  cl_mem mem;

  if (queue->error)
    return NULL;
  if (size > queue->device->max_allocation) {
    g_set_error (&queue->error, SORA_DEVICE_ERROR, SORA_DEVICE_ERROR_NO_MEMORY,
        "%" G_GSIZE_FORMAT " MiB are needed in one piece, and %s allocates at most %" G_GUINT64_FORMAT " MiB", size >> 20,
        queue->device->name, queue->device->max_allocation >> 20);
    return NULL;
  }
  mem = clCreateBuffer (queue->device->context, CL_MEM_READ_WRITE, size, NULL, &status);
  if (!mem) {
    g_autofree gchar *call = g_strdup_printf ("clCreateBuffer (%" G_GSIZE_FORMAT " bytes)", size);

    fail_status (queue, status, call);
  } else if (wants_poison ()) {
    poison (queue, mem, size);
  }
  return mem;
}

cl_mem
sora_queue_scratch (SoraQueue *queue, SoraScratch which, gsize size)
{
  if (size > queue->scratch_size[which]) {
    /* Commands in flight keep the old memory alive. */
    g_clear_pointer (&queue->scratch[which], clReleaseMemObject);
    queue->scratch[which] = sora_queue_alloc (queue, size);
    queue->scratch_size[which] = queue->scratch[which] ? size : 0;
  }
  return queue->error ? NULL : queue->scratch[which];
}

guint64
sora_queue_get_scratch_size (SoraQueue *queue)
{
  guint64 size = 0;

  for (guint i = 0; i < SORA_N_SCRATCHES; i++)
    size += queue->scratch_size[i];
  return size;
}

guint64
sora_queue_predict_scratch (SoraQueue *queue, const gsize sizes[SORA_N_SCRATCHES])
{
  guint64 size = 0;

  for (guint i = 0; i < SORA_N_SCRATCHES; i++)
    size += MAX (sizes[i], queue->scratch_size[i]) - queue->scratch_size[i];
  return size;
}

gboolean
sora_queue_reserve_scratch (SoraQueue *queue, const gsize sizes[SORA_N_SCRATCHES], GError **error)
{
  for (guint i = 0; i < SORA_N_SCRATCHES; i++) {
    if (sizes[i] > 0)
      sora_queue_scratch (queue, i, sizes[i]);
  }
  return !sora_queue_has_failed (queue) || sora_queue_check (queue, error);
}

static gboolean
ensure_transfer (SoraQueue *queue)
{
  cl_int status;

  if (queue->transfer)
    return TRUE;
  queue->transfer = clCreateCommandQueue (queue->device->context, queue->device->id, 0, &status);
  if (!queue->transfer)
    fail_status (queue, status, "clCreateCommandQueue");
  return queue->transfer != NULL;
}

/* The next write to @slot waits for all that has been enqueued until now. */
static void
mark_used (SoraQueue *queue, Slot *slot)
{
  cl_int status;

  g_clear_pointer (&slot->used, clReleaseEvent);
  status = clEnqueueMarkerWithWaitList (queue->handle, 0, NULL, &slot->used);
  if (status != CL_SUCCESS)
    fail_status (queue, status, "clEnqueueMarkerWithWaitList");
}

static void
grow_slot (SoraQueue *queue, Slot *slot, gsize size)
{
  if (size <= slot->size)
    return;
  g_clear_pointer (&slot->mem, clReleaseMemObject);
  slot->mem = sora_queue_alloc (queue, size);
  slot->size = slot->mem ? size : 0;
  mark_used (queue, slot);      /* the memory may be being poisoned */
}

gboolean
sora_queue_reserve_streams (SoraQueue *queue, gsize size)
{
  for (guint i = 0; i < SLOTS; i++)
    grow_slot (queue, &queue->slots[i], size);
  return !queue->error;
}

/* The kernels that the write waits for must be on their way, hence the flush. */
cl_mem
sora_queue_begin_stream (SoraQueue *queue, gsize size)
{
  Slot *slot;

  if (!is_ready (queue) || !ensure_transfer (queue))
    return NULL;
  queue->slot = (queue->slot + 1) % SLOTS;
  slot = &queue->slots[queue->slot];
  grow_slot (queue, slot, size);
  clFlush (queue->handle);
  return slot->mem;
}

/* Not a blocking write: that may return as soon as @data may be reused, before the kernels of the other queue find it in the place. */
void
sora_queue_stream_write (SoraQueue *queue, gsize offset, gsize size, const void *data)
{
  Slot *slot = &queue->slots[queue->slot];
  cl_event event = NULL;
  cl_int status;

  if (size == 0 || !is_ready (queue))
    return;
  status = clEnqueueWriteBuffer (queue->transfer, slot->mem, CL_FALSE, offset, size, data, slot->used ? 1 : 0,
      slot->used ? &slot->used : NULL, &event);
  if (status == CL_SUCCESS)
    status = clWaitForEvents (1, &event);
  if (status != CL_SUCCESS)
    fail_status (queue, status, "clEnqueueWriteBuffer");
  g_clear_pointer (&event, clReleaseEvent);
}

void
sora_queue_end_stream (SoraQueue *queue)
{
  mark_used (queue, &queue->slots[queue->slot]);
}

guint64
sora_queue_get_stream_size (SoraQueue *queue)
{
  guint64 size = 0;

  for (guint i = 0; i < SLOTS; i++)
    size += queue->slots[i].size;
  return size;
}

void
sora_queue_clear_streams (SoraQueue *queue)
{
  for (guint i = 0; i < SLOTS; i++) {
    g_clear_pointer (&queue->slots[i].mem, clReleaseMemObject);
    g_clear_pointer (&queue->slots[i].used, clReleaseEvent);
    queue->slots[i].size = 0;
  }
}

/* Ends the enqueueing of a transfer: the error, or the count. Takes @staging and @event. */
static void
finish_transfer (SoraQueue *queue, cl_int status, const gchar *call, const gchar *row, cl_event event, gpointer staging)
{
  if (status != CL_SUCCESS) {
    fail_status (queue, status, call);
    g_free (staging);
    return;
  }
  count_command (queue, get_row (queue, row), 0, event, staging);
}

void
sora_queue_write (SoraQueue *queue, cl_mem mem, gsize offset, gsize size, const void *data)
{
  gboolean blocking = size > STAGING_MAX;
  gpointer staging;
  cl_event event = NULL;
  cl_int status;

  if (size == 0 || !is_ready (queue))
    return;
  staging = blocking ? NULL : g_memdup2 (data, size);
  status = clEnqueueWriteBuffer (queue->handle, mem, blocking, offset, size, staging ? staging : data, 0, NULL, &event);
  finish_transfer (queue, status, "clEnqueueWriteBuffer", "(write)", event, staging);
}

gboolean
sora_queue_read (SoraQueue *queue, cl_mem mem, gsize offset, gsize size, void *data, GError **error)
{
  cl_event event = NULL;
  cl_int status;

  if (size > 0 && is_ready (queue)) {
    status = clEnqueueReadBuffer (queue->handle, mem, CL_TRUE, offset, size, data, 0, NULL, &event);
    finish_transfer (queue, status, "clEnqueueReadBuffer", "(read)", event, NULL);
    collect_pending (queue, FALSE);
  }
  return sora_queue_check (queue, error);
}

void
sora_queue_copy (SoraQueue *queue, cl_mem source, gsize source_offset, cl_mem target, gsize target_offset, gsize size)
{
  cl_event event = NULL;
  cl_int status;

  if (size == 0 || !is_ready (queue))
    return;
  status = clEnqueueCopyBuffer (queue->handle, source, target, source_offset, target_offset, size, 0, NULL,
      wants_event (queue, 0) ? &event : NULL);
  finish_transfer (queue, status, "clEnqueueCopyBuffer", "(copy)", event, NULL);
}

void
sora_queue_zero (SoraQueue *queue, cl_mem mem, gsize offset, gsize size)
{
  const guint8 zero[4] = { 0 };
  gsize pattern = (offset | size) % 4 == 0 ? 4 : 1;
  cl_event event = NULL;
  cl_int status;

  if (size == 0 || !is_ready (queue))
    return;
  status = clEnqueueFillBuffer (queue->handle, mem, zero, pattern, offset, size, 0, NULL,
      wants_event (queue, 0) ? &event : NULL);
  finish_transfer (queue, status, "clEnqueueFillBuffer", "(zero)", event, NULL);
}

gboolean
sora_queue_check (SoraQueue *queue, GError **error)
{
  if (!queue->error)
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&queue->error));
  return FALSE;
}

gboolean
sora_queue_finish (SoraQueue *queue, GError **error)
{
  cl_int status = clFinish (queue->handle);

  if (status != CL_SUCCESS)
    fail_status (queue, status, "clFinish");
  collect_pending (queue, TRUE);
  return sora_queue_check (queue, error);
}

/* GFLOP/s; NaN where it cannot be measured */
static gdouble
measure_peak (SoraDevice *device)
{
  g_autoptr (SoraPeak) peak = sora_peak_new (device, SORA_MATRIX_UNIT_NONE, NULL);

  for (guint i = 0; peak && i < PEAK_SAMPLES; i++)
    sora_peak_sample (peak, NULL);
  return peak ? sora_peak_get_best (peak) : NAN;
}

gchar *
sora_queue_format_profile (SoraQueue *queue)
{
  g_autoptr (GPtrArray) entries = g_ptr_array_new ();
  GHashTableIter iter;
  gpointer kernel;

  if (!queue->profile)
    return NULL;
  clFinish (queue->handle);
  collect_pending (queue, TRUE);
  g_hash_table_iter_init (&iter, queue->kernels);
  while (g_hash_table_iter_next (&iter, &kernel, NULL))
    g_ptr_array_add (entries, &((Kernel *) kernel)->profile);
  return sora_profile_format (entries, measure_peak (queue->device));
}
