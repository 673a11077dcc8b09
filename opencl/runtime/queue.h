/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An in-order command queue with its kernels, a sticky first error, cancellation, throttling and a profile. */
#pragma once

#include <gio/gio.h>
#include "runtime/device-private.h"

G_BEGIN_DECLS

/**
 * SoraQueue:
 *
 * For one thread at a time. The first failure (a kernel that does not build, an OpenCL error, cancellation) sticks: every later
 * call does nothing until sora_queue_check() has reported it. So operations enqueue without checking, and whoever
 * waits for results checks once. At most a few launches are in flight, which bounds the time to cancel.
 */
typedef struct _SoraQueue SoraQueue;

SoraQueue *sora_queue_new (SoraDevice *device, gboolean profile, GError **error);
void sora_queue_free (SoraQueue *queue);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SoraQueue, sora_queue_free)

SoraDevice *sora_queue_get_device (SoraQueue *queue);
cl_command_queue sora_queue_get_cl (SoraQueue *queue);

/* FLOPs enqueued since the queue was made */
guint64 sora_queue_get_work (SoraQueue *queue);

/* Watched between enqueues until the next call; (nullable). */
void sora_queue_set_cancellable (SoraQueue *queue, GCancellable *cancellable);

/* Between begin and end a cancellation is not looked at, so that a few small commands run all or not at all. */
void sora_queue_begin_atomic (SoraQueue *queue);
void sora_queue_end_atomic (SoraQueue *queue);

typedef struct {
  gsize size;
  const void *value;            /* NULL for local memory of @size bytes */
} SoraArg;

/* @lvalue: a cl_mem, cl_int, cl_uint or cl_float variable */
#define SORA_ARG(lvalue) { sizeof (lvalue), &(lvalue) }
#define SORA_ARG_LOCAL(bytes) { (bytes), NULL }

typedef struct {
  const gchar *program;         /* .cl file */
  const gchar *options;         /* compiler options, or NULL; must be a string that is equal for equal programs */
  const gchar *kernel;          /* function in it */
  guint dims;                   /* 1 to 3 */
  gsize global[3], local[3];    /* work-items; global must be a multiple of local */
  guint64 flops;                /* work, for the profile: 2 × multiply-adds */
} SoraLaunch;

void sora_queue_launch (SoraQueue *queue, const SoraLaunch *launch, guint n_args, const SoraArg *args);

/* Kernels of this program will be launched: it is built meanwhile. What is launched without having been expected is built then. */
void sora_queue_expect (SoraQueue *queue, const gchar *program, const gchar *options);

/* SORA_LAUNCH (queue, &launch, SORA_ARG (a), SORA_ARG (b)): the arguments in the kernel's order */
#define SORA_LAUNCH(queue, launch, ...) \
  G_STMT_START { \
    const SoraArg sora_args_[] = { __VA_ARGS__ }; \
    sora_queue_launch ((queue), (launch), G_N_ELEMENTS (sora_args_), sora_args_); \
  } G_STMT_END

/* Device memory in bytes; NULL with a sticky error. The caller releases it with clReleaseMemObject(). */
cl_mem sora_queue_alloc (SoraQueue *queue, gsize size);
/* An operation may use one of each at a time. */
typedef enum {
  SORA_SCRATCH_RESULT,
  SORA_SCRATCH_WEIGHT,
  SORA_SCRATCH_INPUT,
  SORA_N_SCRATCHES
} SoraScratch;

/* (transfer none): at least @size bytes that belong to one operation until the next one asks; kept, so that only growth allocates.
 * NULL with a sticky error. */
cl_mem sora_queue_scratch (SoraQueue *queue, SoraScratch which, gsize size);
/* bytes of all three; and bytes that they would grow by if each had as many as @sizes says */
guint64 sora_queue_get_scratch_size (SoraQueue *queue);
guint64 sora_queue_predict_scratch (SoraQueue *queue, const gsize sizes[SORA_N_SCRATCHES]);
/* Lets each grow to what @sizes says now, so that none does while products run. */
gboolean sora_queue_reserve_scratch (SoraQueue *queue, const gsize sizes[SORA_N_SCRATCHES], GError **error);
/**
 * sora_queue_begin_stream:
 * @size: bytes
 *
 * For memory that is filled from the host each time that it is used. There are two such places for each queue, which take turns: one is filled,
 * through a second OpenCL queue, while kernels that use the other one run. After this and sora_queue_stream_write() launches may use it; then
 * sora_queue_end_stream() is called.
 *
 * Returns: (transfer none): the place, or %NULL with a sticky error.
 */
cl_mem sora_queue_begin_stream (SoraQueue *queue, gsize size);
/* Makes both places at least @size bytes large, so that they need not grow while what uses them runs. FALSE: the queue has failed */
gboolean sora_queue_reserve_streams (SoraQueue *queue, gsize size);
/* Copies to the place that was begun, and waits for that, as for what used it the time before. */
void sora_queue_stream_write (SoraQueue *queue, gsize offset, gsize size, const void *data);
void sora_queue_end_stream (SoraQueue *queue);
/* bytes of both places */
guint64 sora_queue_get_stream_size (SoraQueue *queue);
/* Gives the two places' memory back until they are asked for again. */
void sora_queue_clear_streams (SoraQueue *queue);

/* Copies from the host (which may reuse @data at once), to the host (blocking), within the device, and fills with zero bytes. */
void sora_queue_write (SoraQueue *queue, cl_mem mem, gsize offset, gsize size, const void *data);
gboolean sora_queue_read (SoraQueue *queue, cl_mem mem, gsize offset, gsize size, void *data, GError **error);
void sora_queue_copy (SoraQueue *queue, cl_mem source, gsize source_offset, cl_mem target, gsize target_offset, gsize size);
void sora_queue_zero (SoraQueue *queue, cl_mem mem, gsize offset, gsize size);

/* Records a foreign failure (CLBlast, say), if it is the first. Takes @error. */
void sora_queue_fail (SoraQueue *queue, GError *error);
gboolean sora_queue_has_failed (SoraQueue *queue);
/* For work enqueued by others on the raw queue: counts @event's time (profiling) and throttles. Takes @event. */
void sora_queue_account (SoraQueue *queue, const gchar *kernel, guint64 flops, cl_event event);

/* Reports and clears the sticky error. Does not wait. */
gboolean sora_queue_check (SoraQueue *queue, GError **error);
/* Waits for all that is enqueued, then the same. */
gboolean sora_queue_finish (SoraQueue *queue, GError **error);

/* (transfer full): a table: kernel, calls, ms, share of time, GFLOP/s and their share
 * of the device's peak, measured now; most costly first; NULL unless profiling */
gchar *sora_queue_format_profile (SoraQueue *queue);

G_END_DECLS
