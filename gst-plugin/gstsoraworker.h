/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The thread that loads the model and generates blocks into a bounded queue, ahead of whoever takes their frames. */
#pragma once

#include <gst/gst.h>
#include <sora/sora.h>

G_BEGIN_DECLS

/**
 * GstSoraWorker:
 *
 * One generation. Every function may be called from any thread and none waits for a kernel, save gst_sora_worker_take()
 * when asked to wait and gst_sora_worker_free(), which joins the thread.
 *
 * What is directed while it runs (prompt, LoRAs, guidance scale) is logged with the block that it took effect in, so that a
 * seek back generates the same frames again.
 */
typedef struct _GstSoraWorker GstSoraWorker;

/* All are called in the worker's thread, with no lock held, and may call the worker. */
typedef struct {
  void (*loading) (gdouble fraction, const gchar *what, gpointer user_data);
  void (*loaded) (gpointer user_data);
  /* neither follows the other: the stream could not be made, or was cancelled */
  void (*load_failed) (const GError *error, gpointer user_data);
  /* last chance to direct the block that begins with @first_frame */
  void (*block_begins) (guint64 first_frame, gpointer user_data);
  void (*block_done) (SoraBlock *block, gpointer user_data);
  /* the stream goes on with @kept */
  void (*prompt_refused) (const gchar *refused, const gchar *kept, const GError *error, gpointer user_data);
  void (*loras_refused) (const gchar *refused, const gchar *kept, const GError *error, gpointer user_data);
} GstSoraWorkerEvents;

typedef struct {
  guint64 blocks, frames;                                  /* generated, also again after a seek */
  guint restarts;
  guint queued_blocks;                                     /* done, none of their frames taken yet */
  gdouble load_seconds, last_block_seconds, block_seconds; /* the last: of all blocks */
  guint width, height;                                     /* of the model's frames; 0 before loading has ended */
  guint64 stream_bytes, weight_bytes;                      /* on the device */
} GstSoraWorkerStats;

/* @queue_size: blocks that may be done or under way beyond the one whose frames are being taken; at least 1 */
GstSoraWorker *gst_sora_worker_new (SoraModel *model, SoraDevice *device, guint queue_size,
    const GstSoraWorkerEvents *events, gpointer user_data);
/* Cancels, waits for the kernels in flight and frees. */
void gst_sora_worker_free (GstSoraWorker *worker);

/**
 * gst_sora_worker_start:
 * @options: (transfer full): all but prompt, LoRAs and guidance scale
 * @loras: as the element's property has them
 *
 * Begins to load, once; later calls only free @options.
 */
gboolean gst_sora_worker_start (GstSoraWorker *worker, SoraStreamOptions *options, const gchar *prompt, const gchar *loras,
    gdouble guidance_scale, GError **error);

/* All hold from the next block that is begun. */
void gst_sora_worker_set_prompt (GstSoraWorker *worker, const gchar *prompt);
void gst_sora_worker_set_loras (GstSoraWorker *worker, const gchar *loras);
void gst_sora_worker_set_guidance_scale (GstSoraWorker *worker, gdouble scale);

/* Whether gst_sora_worker_take() must return at once. */
void gst_sora_worker_set_flushing (GstSoraWorker *worker, gboolean flushing);

/* The next frame to be taken will be @frame: starts again from block 0 if that has been given away already. */
void gst_sora_worker_seek (GstSoraWorker *worker, guint64 frame);

/**
 * gst_sora_worker_take:
 * @frame: of the stream, not before the last one taken
 * @wait: whether to wait for it
 * @block: (out) (transfer full): the block that has it
 * @index: (out): its place in @block
 *
 * Gives up all blocks before that of @frame, so that others can be generated.
 *
 * Returns: %GST_FLOW_OK; %GST_FLOW_CUSTOM_SUCCESS where it is not there yet and @wait is not set; %GST_FLOW_EOS after the
 *   stream's last frame; %GST_FLOW_FLUSHING; or %GST_FLOW_ERROR with @error set.
 */
GstFlowReturn gst_sora_worker_take (GstSoraWorker *worker, guint64 frame, gboolean wait, SoraBlock **block,
    guint *index, GError **error);

void gst_sora_worker_get_stats (GstSoraWorker *worker, GstSoraWorkerStats *stats);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (GstSoraWorker, gst_sora_worker_free)

G_END_DECLS
