/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What sorasrc tells of its worker: progress, blocks that are done, and what was refused. */
#include "gstsoraerror.h"
#include "gstsorasrcprivate.h"

void
gst_sora_src_post_progress (GstSoraSrc *self, GstProgressType type, const gchar *text)
{
  gst_element_post_message (GST_ELEMENT (self), gst_message_new_progress (GST_OBJECT (self), type, "load", text));
}

/* A message for every 5 %, so that a bus is not flooded. */
static void
on_loading (gdouble fraction, const gchar *what, gpointer user_data)
{
  GstSoraSrc *self = user_data;
  gint percent = (gint) (100 * fraction);
  g_autofree gchar *text = NULL;

  if (percent >= self->told_percent && percent < self->told_percent + 5)
    return;
  self->told_percent = percent;
  text = g_strdup_printf ("%s, %d %%", what, percent);
  gst_sora_src_post_progress (self, GST_PROGRESS_TYPE_CONTINUE, text);
}

static void
on_loaded (gpointer user_data)
{
  gst_sora_src_post_progress (user_data, GST_PROGRESS_TYPE_COMPLETE, "model loaded");
}

static void
on_load_failed (const GError *error, gpointer user_data)
{
  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    gst_sora_src_post_progress (user_data, GST_PROGRESS_TYPE_CANCELED, "loading was cancelled");
  else
    gst_sora_src_post_progress (user_data, GST_PROGRESS_TYPE_ERROR, error->message);
}

static void
on_block_begins (guint64 first_frame, gpointer user_data)
{
  GstSoraSrc *self = user_data;

  gst_object_sync_values (GST_OBJECT (self), gst_sora_frame_time (first_frame, self->rate_n, self->rate_d));
}

static void
on_block_done (SoraBlock *block, gpointer user_data)
{
  GstSoraSrc *self = user_data;
  guint64 first = sora_block_get_first_frame (block);
  guint frames = sora_block_get_n_frames (block);
  GstStructure *structure = gst_structure_new ("sora-block",
      "index", G_TYPE_UINT64, sora_block_get_index (block), "first-frame", G_TYPE_UINT64, first,
      "frames", G_TYPE_UINT, frames,
      "timestamp", G_TYPE_UINT64, gst_sora_frame_time (first, self->rate_n, self->rate_d),
      "block-time", G_TYPE_UINT64, (guint64) (sora_block_get_seconds (block) * GST_SECOND),
      "prompt", G_TYPE_STRING, sora_block_get_prompt (block), NULL);

  if (self->length > 0)
    gst_structure_set (structure, "percent", G_TYPE_DOUBLE, MIN (100.0, 100.0 * (first + frames) / self->length), NULL);
  gst_element_post_message (GST_ELEMENT (self), gst_message_new_element (GST_OBJECT (self), structure));
}

/* The property @name, whose value is *@text, goes back to what holds. */
static void
take_back (GstSoraSrc *self, const gchar *name, gchar **text, const gchar *refused, const gchar *kept, const GError *error)
{
  g_mutex_lock (&self->lock);
  if (g_str_equal (*text, refused)) {
    g_free (*text);
    *text = g_strdup (kept);
  }
  g_mutex_unlock (&self->lock);
  gst_sora_post_warning (GST_ELEMENT (self), error);
  g_object_notify (G_OBJECT (self), name);
}

static void
on_prompt_refused (const gchar *refused, const gchar *kept, const GError *error, gpointer user_data)
{
  GstSoraSrc *self = user_data;

  take_back (self, "prompt", &self->settings.prompt, refused, kept, error);
}

static void
on_loras_refused (const gchar *refused, const gchar *kept, const GError *error, gpointer user_data)
{
  GstSoraSrc *self = user_data;

  take_back (self, "loras", &self->settings.loras, refused, kept, error);
}

const GstSoraWorkerEvents gst_sora_src_worker_events = {
  .loading = on_loading,
  .loaded = on_loaded,
  .load_failed = on_load_failed,
  .block_begins = on_block_begins,
  .block_done = on_block_done,
  .prompt_refused = on_prompt_refused,
  .loras_refused = on_loras_refused,
};
