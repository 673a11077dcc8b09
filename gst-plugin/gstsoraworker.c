/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The thread that loads the model and generates blocks into a bounded queue, ahead of whoever takes their frames. */
#include "gstsoraworker.h"

#include <math.h>

#include "gstsoraloras.h"

GST_DEBUG_CATEGORY_EXTERN (gst_sora_src_debug);
#define GST_CAT_DEFAULT gst_sora_src_debug

/* What holds from a block on, until the next entry of the log. */
typedef struct {
  guint64 block;
  gchar *prompt;
  gchar *loras; /* as the element's property has them */
  gdouble guidance_scale;
} Direction;

struct _GstSoraWorker
{
  SoraModel *model;
  SoraDevice *device;
  guint queue_size;
  GstSoraWorkerEvents events;
  gpointer user_data;
  GThread *thread;

  /* the thread's own */
  SoraStreamOptions *options;
  SoraStream *stream;
  Direction first;         /* that of sora_stream_new() */
  Direction applied;       /* what the stream was told; guidance NaN: unknown */
  gchar *held_loras;       /* that the block before was generated with */

  GMutex lock;
  GCond changed;
  /* all below is guarded by lock */
  gboolean flushing, quit, restart, ended;
  GError *error;
  GCancellable *cancellable;
  SoraBlock *current;      /* the block whose frames are being taken */
  GQueue blocks;           /* done, not begun to be taken */
  guint64 next_block, next_frame; /* the first of what is not generated yet */
  GArray *log;             /* of Direction, by block; the first is for block 0 */
  Direction wanted;        /* to be logged at the next block; NULL and NaN: nothing */
  GstSoraWorkerStats stats;
};

static void
direction_clear (gpointer direction)
{
  g_free (((Direction *) direction)->prompt);
  g_free (((Direction *) direction)->loras);
}

static Direction
direction_copy (const Direction *direction)
{
  return (Direction) { direction->block, g_strdup (direction->prompt), g_strdup (direction->loras), direction->guidance_scale };
}

static void
replace (gchar **text, const gchar *by)
{
  g_free (*text);
  *text = g_strdup (by);
}

GstSoraWorker *
gst_sora_worker_new (SoraModel *model, SoraDevice *device, guint queue_size, const GstSoraWorkerEvents *events,
    gpointer user_data)
{
  GstSoraWorker *worker = g_new0 (GstSoraWorker, 1);

  worker->model = sora_model_ref (model);
  worker->device = sora_device_ref (device);
  worker->queue_size = MAX (queue_size, 1);
  worker->events = *events;
  worker->user_data = user_data;
  g_mutex_init (&worker->lock);
  g_cond_init (&worker->changed);
  g_queue_init (&worker->blocks);
  worker->cancellable = g_cancellable_new ();
  worker->log = g_array_new (FALSE, FALSE, sizeof (Direction));
  g_array_set_clear_func (worker->log, direction_clear);
  worker->wanted.guidance_scale = NAN;
  return worker;
}

static void
drop_blocks (GstSoraWorker *worker)
{
  g_clear_pointer (&worker->current, sora_block_unref);
  g_queue_clear_full (&worker->blocks, (GDestroyNotify) sora_block_unref);
}

void
gst_sora_worker_free (GstSoraWorker *worker)
{
  if (worker == NULL)
    return;

  g_mutex_lock (&worker->lock);
  worker->quit = TRUE;
  g_cancellable_cancel (worker->cancellable);
  g_cond_broadcast (&worker->changed);
  g_mutex_unlock (&worker->lock);
  if (worker->thread)
    g_thread_join (worker->thread);

  drop_blocks (worker);
  g_clear_pointer (&worker->options, sora_stream_options_free);
  direction_clear (&worker->first);
  direction_clear (&worker->applied);
  direction_clear (&worker->wanted);
  g_free (worker->held_loras);
  g_array_unref (worker->log);
  g_clear_error (&worker->error);
  g_object_unref (worker->cancellable);
  g_mutex_clear (&worker->lock);
  g_cond_clear (&worker->changed);
  sora_device_unref (worker->device);
  sora_model_unref (worker->model);
  g_free (worker);
}

/* The log's entry that holds for @block, and its place. With the lock. */
static Direction *
find_direction (GstSoraWorker *worker, guint64 block, guint *place)
{
  guint i = worker->log->len - 1;

  while (i > 0 && g_array_index (worker->log, Direction, i).block > block)
    i--;
  if (place)
    *place = i;
  return &g_array_index (worker->log, Direction, i);
}

/* Logs what is wanted at @block. It holds for all later blocks too, whatever was logged for them before a seek back. With
 * the lock. */
static void
log_wanted (GstSoraWorker *worker, guint64 block)
{
  guint i;
  Direction *now = find_direction (worker, block, &i), *wanted = &worker->wanted;

  if (wanted->guidance_scale == now->guidance_scale)
    wanted->guidance_scale = NAN;
  if (wanted->prompt == NULL && wanted->loras == NULL && isnan (wanted->guidance_scale))
    return;
  if (now->block != block) {
    Direction entry = direction_copy (now);
    entry.block = block;
    g_array_insert_val (worker->log, ++i, entry);
  }
  for (; i < worker->log->len; i++) {
    Direction *entry = &g_array_index (worker->log, Direction, i);
    if (wanted->prompt)
      replace (&entry->prompt, wanted->prompt);
    if (wanted->loras)
      replace (&entry->loras, wanted->loras);
    if (!isnan (wanted->guidance_scale))
      entry->guidance_scale = wanted->guidance_scale;
  }
  direction_clear (wanted);
  *wanted = (Direction) { .guidance_scale = NAN };
}

/* Puts @kept wherever the log says @refused. @offset: of the text in a Direction */
static void
forget (GstSoraWorker *worker, gsize offset, const gchar *refused, const gchar *kept)
{
  g_mutex_lock (&worker->lock);
  for (guint i = 0; i < worker->log->len; i++) {
    gchar **text = G_STRUCT_MEMBER_P (&g_array_index (worker->log, Direction, i), offset);
    if (g_str_equal (*text, refused))
      replace (text, kept);
  }
  g_mutex_unlock (&worker->lock);
}

static void
apply_prompt (GstSoraWorker *worker, const gchar *prompt)
{
  g_autoptr (GError) error = NULL;

  if (g_str_equal (prompt, worker->applied.prompt))
    return;
  if (sora_stream_set_prompt (worker->stream, prompt, &error)) {
    replace (&worker->applied.prompt, prompt);
    return;
  }
  forget (worker, G_STRUCT_OFFSET (Direction, prompt), prompt, worker->applied.prompt);
  worker->events.prompt_refused (prompt, worker->applied.prompt, error, worker->user_data);
}

/* @kept: those that the stream has */
static void
refuse_loras (GstSoraWorker *worker, const gchar *refused, const gchar *kept, const GError *error)
{
  forget (worker, G_STRUCT_OFFSET (Direction, loras), refused, kept);
  worker->events.loras_refused (refused, kept, error, worker->user_data);
}

static void
apply_loras (GstSoraWorker *worker, const gchar *loras)
{
  g_autoptr (GError) error = NULL;
  g_autofree gdouble *weights = NULL;
  g_auto (GStrv) paths = NULL;

  if (g_str_equal (loras, worker->applied.loras))
    return;
  paths = gst_sora_loras_parse (loras, &weights);
  if (sora_stream_set_loras (worker->stream, (const gchar *const *) paths, weights, &error)) {
    replace (&worker->applied.loras, loras);
    return;
  }
  refuse_loras (worker, loras, worker->applied.loras, error);
}

/* Gives the stream what the log says for the next block. */
static void
direct_block (GstSoraWorker *worker)
{
  Direction direction;
  guint64 first_frame;

  g_mutex_lock (&worker->lock);
  first_frame = worker->next_frame;
  g_mutex_unlock (&worker->lock);
  worker->events.block_begins (first_frame, worker->user_data);

  g_mutex_lock (&worker->lock);
  log_wanted (worker, worker->next_block);
  direction = direction_copy (find_direction (worker, worker->next_block, NULL));
  g_mutex_unlock (&worker->lock);

  if (direction.guidance_scale != worker->applied.guidance_scale)
    sora_stream_set_guidance_scale (worker->stream, direction.guidance_scale);
  worker->applied.guidance_scale = direction.guidance_scale;
  apply_prompt (worker, direction.prompt);
  apply_loras (worker, direction.loras);
  direction_clear (&direction);
}

/* Whether what has just been generated is of no use any more. With the lock. */
static gboolean
is_obsolete (GstSoraWorker *worker)
{
  return worker->quit || worker->restart;
}

static void
queue_block (GstSoraWorker *worker, SoraBlock *block)
{
  guint frames = sora_block_get_n_frames (block);

  worker->next_block = sora_block_get_index (block) + 1;
  worker->next_frame = sora_block_get_first_frame (block) + frames;
  worker->stats.blocks++;
  worker->stats.frames += frames;
  worker->stats.last_block_seconds = sora_block_get_seconds (block);
  worker->stats.block_seconds += worker->stats.last_block_seconds;
  sora_stream_get_memory (worker->stream, &worker->stats.stream_bytes, &worker->stats.weight_bytes);
  g_queue_push_tail (&worker->blocks, sora_block_ref (block));
}

/* Keeps what came of a call for a block: the block, an error, the stream's end, or nothing where it was cancelled. The
 * block is told of before anybody can take its frames. */
static void
finish_block (GstSoraWorker *worker, SoraBlock *block, const GError *error)
{
  gboolean obsolete;

  g_mutex_lock (&worker->lock);
  obsolete = is_obsolete (worker);
  g_mutex_unlock (&worker->lock);
  if (block && !obsolete)
    worker->events.block_done (block, worker->user_data);

  g_mutex_lock (&worker->lock);
  if (is_obsolete (worker) || g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    GST_DEBUG ("a block was given up");
  else if (block)
    queue_block (worker, block);
  else if (error)
    worker->error = g_error_copy (error);
  else
    worker->ended = TRUE;
  g_cond_broadcast (&worker->changed);
  g_mutex_unlock (&worker->lock);
}

/* The stream goes on with what it had. */
static void
take_back_loras (GstSoraWorker *worker, const GError *error)
{
  g_autofree gchar *refused = g_steal_pointer (&worker->applied.loras);

  worker->applied.loras = g_strdup (worker->held_loras);
  refuse_loras (worker, refused, worker->held_loras, error);
}

static void
generate_block (GstSoraWorker *worker)
{
  g_autoptr (GCancellable) cancellable = NULL;
  g_autoptr (SoraBlock) block = NULL;
  g_autoptr (GError) error = NULL;

  direct_block (worker);
  g_mutex_lock (&worker->lock);
  cancellable = g_object_ref (worker->cancellable);
  g_mutex_unlock (&worker->lock);
  block = sora_stream_next_block (worker->stream, cancellable, &error);
  if (g_error_matches (error, SORA_STREAM_ERROR, SORA_STREAM_ERROR_LORAS)) {
    take_back_loras (worker, error);
    g_clear_error (&error);
    block = sora_stream_next_block (worker->stream, cancellable, &error);
  }
  if (block)
    replace (&worker->held_loras, worker->applied.loras);
  finish_block (worker, block, error);
}

/* Takes the stream back to block 0, as a seek asked for. */
static void
restart_stream (GstSoraWorker *worker)
{
  sora_stream_restart (worker->stream);
  direction_clear (&worker->applied);
  worker->applied = direction_copy (&worker->first);
}

/* Forgets a seek's wish to start again; whether there was one. With the lock. */
static gboolean
clear_restart (GstSoraWorker *worker)
{
  if (!worker->restart)
    return FALSE;
  worker->restart = worker->ended = FALSE;
  worker->stats.restarts++;
  g_object_unref (worker->cancellable);
  worker->cancellable = g_cancellable_new ();
  return TRUE;
}

/* Waits until a block is wanted, @restarted: from block 0; FALSE where the thread must end. */
static gboolean
wait_for_turn (GstSoraWorker *worker, gboolean *restarted)
{
  gboolean go;

  *restarted = FALSE;
  g_mutex_lock (&worker->lock);
  for (;;) {
    go = !worker->quit && worker->error == NULL;
    if (!go)
      break;
    *restarted |= clear_restart (worker);
    if (!worker->ended && g_queue_get_length (&worker->blocks) < worker->queue_size)
      break;
    g_cond_wait (&worker->changed, &worker->lock);
  }
  g_mutex_unlock (&worker->lock);
  return go;
}

static void
report_loading (gdouble fraction, const gchar *what, gpointer user_data)
{
  GstSoraWorker *worker = user_data;

  worker->events.loading (fraction, what, worker->user_data);
}

static gboolean
load (GstSoraWorker *worker)
{
  g_autoptr (GError) error = NULL;
  gint64 start = g_get_monotonic_time ();

  worker->stream = sora_stream_new (worker->model, worker->device, worker->options, report_loading, worker,
      worker->cancellable, &error);
  if (worker->stream == NULL) {
    worker->events.load_failed (error, worker->user_data);
    finish_block (worker, NULL, error);
    return FALSE;
  }

  g_mutex_lock (&worker->lock);
  worker->stats.load_seconds = (g_get_monotonic_time () - start) / 1e6;
  sora_stream_get_size (worker->stream, &worker->stats.width, &worker->stats.height);
  sora_stream_get_memory (worker->stream, &worker->stats.stream_bytes, &worker->stats.weight_bytes);
  g_mutex_unlock (&worker->lock);
  worker->events.loaded (worker->user_data);
  return TRUE;
}

static gpointer
worker_main (gpointer user_data)
{
  GstSoraWorker *worker = user_data;
  gboolean go = load (worker), restarted;

  while (go && wait_for_turn (worker, &restarted)) {
    if (restarted)
      restart_stream (worker);
    generate_block (worker);
  }
  g_clear_pointer (&worker->stream, sora_stream_free);
  return NULL;
}

gboolean
gst_sora_worker_start (GstSoraWorker *worker, SoraStreamOptions *options, const gchar *prompt, const gchar *loras,
    gdouble guidance_scale, GError **error)
{
  g_autofree gdouble *weights = NULL;
  g_auto (GStrv) paths = NULL;
  Direction first;

  if (worker->thread) {
    sora_stream_options_free (options);
    return TRUE;
  }
  paths = gst_sora_loras_parse (loras, &weights);
  sora_stream_options_set_loras (options, (const gchar *const *) paths, weights);
  sora_stream_options_set_prompt (options, prompt);
  sora_stream_options_set_guidance_scale (options, guidance_scale);
  worker->options = options;
  worker->first = (Direction) { 0, g_strdup (prompt), g_strdup (loras), NAN };
  worker->applied = direction_copy (&worker->first);
  worker->held_loras = g_strdup (loras);
  first = direction_copy (&worker->first);
  first.guidance_scale = guidance_scale;
  g_array_append_val (worker->log, first);
  worker->thread = g_thread_try_new ("sora-worker", worker_main, worker, error);
  return worker->thread != NULL;
}

void
gst_sora_worker_set_prompt (GstSoraWorker *worker, const gchar *prompt)
{
  g_mutex_lock (&worker->lock);
  replace (&worker->wanted.prompt, prompt);
  g_mutex_unlock (&worker->lock);
}

void
gst_sora_worker_set_loras (GstSoraWorker *worker, const gchar *loras)
{
  g_mutex_lock (&worker->lock);
  replace (&worker->wanted.loras, loras);
  g_mutex_unlock (&worker->lock);
}

void
gst_sora_worker_set_guidance_scale (GstSoraWorker *worker, gdouble scale)
{
  g_mutex_lock (&worker->lock);
  worker->wanted.guidance_scale = scale;
  g_mutex_unlock (&worker->lock);
}

void
gst_sora_worker_set_flushing (GstSoraWorker *worker, gboolean flushing)
{
  g_mutex_lock (&worker->lock);
  worker->flushing = flushing;
  g_cond_broadcast (&worker->changed);
  g_mutex_unlock (&worker->lock);
}

/* The first frame that has not been given away. With the lock. */
static guint64
get_oldest_frame (GstSoraWorker *worker)
{
  SoraBlock *oldest = worker->current ? worker->current : g_queue_peek_head (&worker->blocks);

  return oldest ? sora_block_get_first_frame (oldest) : worker->next_frame;
}

void
gst_sora_worker_seek (GstSoraWorker *worker, guint64 frame)
{
  g_mutex_lock (&worker->lock);
  if (frame < get_oldest_frame (worker)) {
    drop_blocks (worker);
    worker->next_block = worker->next_frame = 0;
    worker->restart = TRUE;
    g_cancellable_cancel (worker->cancellable);
    g_cond_broadcast (&worker->changed);
  }
  g_mutex_unlock (&worker->lock);
}

/* Moves current on to the block of @frame; FALSE where that is not done yet. With the lock. */
static gboolean
advance_to (GstSoraWorker *worker, guint64 frame)
{
  for (;;) {
    SoraBlock *block = worker->current;
    if (block && frame < sora_block_get_first_frame (block) + sora_block_get_n_frames (block))
      return TRUE;
    if (g_queue_is_empty (&worker->blocks))
      return FALSE;
    g_clear_pointer (&worker->current, sora_block_unref);
    worker->current = g_queue_pop_head (&worker->blocks);
    g_cond_broadcast (&worker->changed);
  }
}

GstFlowReturn
gst_sora_worker_take (GstSoraWorker *worker, guint64 frame, gboolean wait, SoraBlock **block, guint *index,
    GError **error)
{
  GstFlowReturn ret = GST_FLOW_CUSTOM_SUCCESS;

  g_mutex_lock (&worker->lock);
  while (ret == GST_FLOW_CUSTOM_SUCCESS) {
    if (worker->flushing)
      ret = GST_FLOW_FLUSHING;
    else if (advance_to (worker, frame))
      ret = GST_FLOW_OK;
    else if (worker->error)
      ret = GST_FLOW_ERROR;
    else if (worker->ended && !worker->restart)
      ret = GST_FLOW_EOS;
    else if (wait)
      g_cond_wait (&worker->changed, &worker->lock);
    else
      break;
  }
  if (ret == GST_FLOW_OK) {
    guint64 first = sora_block_get_first_frame (worker->current);
    *block = sora_block_ref (worker->current);
    *index = frame > first ? frame - first : 0;
  } else if (ret == GST_FLOW_ERROR) {
    g_propagate_error (error, g_error_copy (worker->error));
  }
  g_mutex_unlock (&worker->lock);
  return ret;
}

void
gst_sora_worker_get_stats (GstSoraWorker *worker, GstSoraWorkerStats *stats)
{
  g_mutex_lock (&worker->lock);
  *stats = worker->stats;
  stats->queued_blocks = g_queue_get_length (&worker->blocks);
  g_mutex_unlock (&worker->lock);
}
