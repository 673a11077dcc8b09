/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sorasrc's way from the worker's frames to buffers: the frame that is due is taken, live by the clock, converted and stamped. */
#include "gstsoraerror.h"
#include "gstsorasrcprivate.h"

/* Makes the frame at the content's present time the one that is shown. GST_FLOW_CUSTOM_SUCCESS: it is not there yet. */
static GstFlowReturn
take_frame (GstSoraSrc *self, gboolean wait)
{
  g_autoptr (GError) error = NULL;
  guint64 frame = gst_sora_frame_at (gst_sora_timeline_get_time (&self->content, 0), self->rate_n, self->rate_d);
  SoraBlock *block;
  GstFlowReturn ret;

  if (self->length > 0)
    frame = MIN (frame, self->length - 1);
  if (frame == self->frame)
    return GST_FLOW_OK;
  ret = gst_sora_worker_take (self->worker, frame, wait, &block, &self->index, &error);
  if (ret == GST_FLOW_ERROR)
    gst_sora_post_error (GST_ELEMENT (self), error);
  if (ret != GST_FLOW_OK)
    return ret;

  if (self->frame != G_MAXUINT64 && frame > self->frame + 1) {
    g_mutex_lock (&self->lock);
    self->dropped += frame - self->frame - 1;
    g_mutex_unlock (&self->lock);
  }
  g_clear_pointer (&self->block, sora_block_unref);
  self->block = block;
  self->frame = frame;
  gst_clear_buffer (&self->last);
  return GST_FLOW_OK;
}

static gboolean
ensure_convert (GstSoraSrc *self)
{
  GstSoraSrcFit fit;

  g_mutex_lock (&self->lock);
  fit = self->settings.fit;
  g_mutex_unlock (&self->lock);
  if (self->convert && gst_sora_convert_get_fit (self->convert) == fit)
    return TRUE;

  gst_clear_buffer (&self->last);
  g_clear_pointer (&self->convert, gst_sora_convert_free);
  self->convert = gst_sora_convert_new (sora_block_get_width (self->block), sora_block_get_height (self->block),
      &self->info, fit);
  if (self->convert == NULL)
    GST_ELEMENT_ERROR (self, CORE, NEGOTIATION, (NULL), ("no conversion from RGB to the negotiated caps"));
  return self->convert != NULL;
}

/* Whether the next buffer can show the same frame: a live source never knows. */
static gboolean
may_repeat (GstSoraSrc *self)
{
  GstClockTime next = gst_sora_timeline_get_time (&self->content, 1);

  if (gst_base_src_is_live (GST_BASE_SRC (self)))
    return TRUE;
  return gst_sora_frame_at (next, self->rate_n, self->rate_d) == self->frame || self->frame + 1 == self->length;
}

/* The frame shown, converted; or, where it is the same as before, the same memory again. */
static GstFlowReturn
make_buffer (GstSoraSrc *self, GstBuffer **buffer)
{
  GstBaseSrc *src = GST_BASE_SRC (self);
  GstFlowReturn ret;

  if (!ensure_convert (self))
    return GST_FLOW_NOT_NEGOTIATED;
  g_mutex_lock (&self->lock);
  self->buffers++;
  self->repeated += self->last != NULL;
  g_mutex_unlock (&self->lock);
  if (self->last) {
    *buffer = gst_buffer_copy (self->last);
    return GST_FLOW_OK;
  }

  *buffer = NULL;
  ret = GST_BASE_SRC_GET_CLASS (src)->alloc (src, 0, GST_VIDEO_INFO_SIZE (&self->info), buffer);
  if (ret != GST_FLOW_OK)
    return ret;
  if (!gst_sora_convert_frame (self->convert, sora_block_get_rgb (self->block, self->index), *buffer)) {
    GST_ELEMENT_ERROR (self, RESOURCE, WRITE, (NULL), ("a buffer from downstream's pool could not be written"));
    gst_clear_buffer (buffer);
    return GST_FLOW_ERROR;
  }
  /* only then, as what is kept cannot be written in place downstream */
  if (self->may_keep_last && may_repeat (self))
    self->last = gst_buffer_ref (*buffer);
  return GST_FLOW_OK;
}

/* Tells downstream the prompt of what follows, ahead of the next buffer. */
static void
send_tags (GstSoraSrc *self)
{
  const gchar *prompt = sora_block_get_prompt (self->block);
  g_autofree gchar *encoder = NULL;
  GstTagList *tags;

  if (g_strcmp0 (prompt, self->tagged_prompt) == 0)
    return;
  g_free (self->tagged_prompt);
  self->tagged_prompt = g_strdup (prompt);
  encoder = g_strdup_printf ("sorasrc %s, model %s, seed %" G_GINT64_FORMAT, PACKAGE_VERSION,
      sora_model_get_name (self->model), self->used_seed);
  tags = gst_tag_list_new (GST_TAG_APPLICATION_NAME, "gst-sora", GST_TAG_COMMENT, encoder, NULL);
  if (*prompt)
    gst_tag_list_add (tags, GST_TAG_MERGE_REPLACE, GST_TAG_TITLE, prompt, NULL);
  /* the base class keeps it until the segment has been sent; gst_element_send_event() would take the state lock */
  GST_ELEMENT_GET_CLASS (self)->send_event (GST_ELEMENT (self), gst_event_new_tag (tags));
}

/* ns since the pipeline began to play; NONE without a clock */
static GstClockTime
get_running_time (GstSoraSrc *self)
{
  return gst_element_get_current_running_time (GST_ELEMENT (self));
}

static GstFlowReturn
wait_until (GstSoraSrc *self, GstClockTime running_time)
{
  g_autoptr (GstClock) clock = gst_element_get_clock (GST_ELEMENT (self));
  gboolean interrupted;

  if (clock == NULL)
    return GST_FLOW_OK;
  g_mutex_lock (&self->lock);
  interrupted = self->flushing || self->paused;
  if (!interrupted)
    self->clock_id =
        gst_clock_new_single_shot_id (clock, gst_element_get_base_time (GST_ELEMENT (self)) + running_time);
  g_mutex_unlock (&self->lock);
  if (interrupted)
    return GST_FLOW_FLUSHING;

  gst_clock_id_wait (self->clock_id, NULL);
  g_mutex_lock (&self->lock);
  interrupted = self->flushing || self->paused;
  g_clear_pointer (&self->clock_id, gst_clock_id_unref);
  g_mutex_unlock (&self->lock);
  return interrupted ? GST_FLOW_FLUSHING : GST_FLOW_OK;
}

/* Takes the frame when its buffer is due. Where it is not there in time the one before is shown again and the content
 * waits, so that slow generation shows as slow motion and not as gaps. */
static GstFlowReturn
take_live_frame (GstSoraSrc *self)
{
  GstClockTime now;
  GstFlowReturn ret = GST_FLOW_OK;

  if (self->line_started)
    ret = wait_until (self, gst_sora_timeline_get_time (&self->line, 0));
  if (ret == GST_FLOW_OK)
    ret = take_frame (self, !self->line_started || self->variable_rate);
  if (ret != GST_FLOW_OK && ret != GST_FLOW_CUSTOM_SUCCESS)
    return ret;

  now = get_running_time (self);
  if (GST_CLOCK_TIME_IS_VALID (now)
      && (!self->line_started || now >= gst_sora_timeline_get_time (&self->line, 1))) {
    self->line.base = now;
    self->line.base_offset += self->line.n;
    self->line.n = 0;
  }
  self->line_started = TRUE;
  return ret;
}

static void
stamp (GstSoraSrc *self, GstBuffer *buffer, const GstSoraTimeline *line)
{
  GstClockTime start = gst_sora_timeline_get_time (line, 0), end = gst_sora_timeline_get_time (line, 1);

  if (line == &self->content)
    end = MIN (end, self->end);
  GST_BUFFER_PTS (buffer) = start;
  GST_BUFFER_DURATION (buffer) = end - start;
  GST_BUFFER_OFFSET (buffer) = gst_sora_timeline_get_offset (line);
  GST_BUFFER_OFFSET_END (buffer) = GST_BUFFER_OFFSET (buffer) + 1;
}

GstFlowReturn
gst_sora_src_create (GstPushSrc *src, GstBuffer **buffer)
{
  GstSoraSrc *self = GST_SORA_SRC (src);
  gboolean live = gst_base_src_is_live (GST_BASE_SRC (src));
  GstFlowReturn taken, ret;

  if (gst_sora_timeline_get_time (&self->content, 0) >= self->end)
    return GST_FLOW_EOS;
  taken = live ? take_live_frame (self) : take_frame (self, TRUE);
  if (taken != GST_FLOW_OK && taken != GST_FLOW_CUSTOM_SUCCESS)
    return taken;

  ret = make_buffer (self, buffer);
  if (ret != GST_FLOW_OK)
    return ret;
  send_tags (self);
  stamp (self, *buffer, live ? &self->line : &self->content);
  self->line.n++;
  if (taken == GST_FLOW_OK)
    self->content.n++;
  return GST_FLOW_OK;
}
