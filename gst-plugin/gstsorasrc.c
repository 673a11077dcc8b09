/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sorasrc: video generated from a prompt, and from a picture if one is given. The element's class: negotiation, seeking, queries, states. */

/**
 * SECTION:element-sorasrc
 * @title: sorasrc
 *
 * Runs a text-to-video diffusion model in OpenCL and emits raw video of any format, size and frame rate. A picture can be given
 * that the video begins with.
 *
 * ## Example
 * |[
 * gst-launch-1.0 sorasrc prompt="a red balloon flies up over a city" ! videoconvert ! autovideosink
 * ]|
 *
 * The worker (gstsoraworker.c) generates blocks of RGB frames at the model's size and rate. The frame that is due at each
 * buffer's time is taken from it (gstsorasrcbuffers.c), converted (gstsoraconvert.c) and stamped (gstsoratimeline.c).
 */
#include "gstsoracaps.h"
#include "gstsorasrcprivate.h"

GST_DEBUG_CATEGORY (gst_sora_src_debug);

G_DEFINE_TYPE_WITH_CODE (GstSoraSrc, gst_sora_src, GST_TYPE_PUSH_SRC, G_IMPLEMENT_INTERFACE (GST_TYPE_PRESET, NULL)
    GST_DEBUG_CATEGORY_INIT (gst_sora_src_debug, "sorasrc", 0, "text to video"))

static GstStaticPadTemplate src_template = GST_STATIC_PAD_TEMPLATE ("src", GST_PAD_SRC, GST_PAD_ALWAYS,
    GST_STATIC_CAPS (GST_SORA_CAPS_TEMPLATE));

/* ---- negotiation ---- */

static GstCaps *
gst_sora_src_fixate (GstBaseSrc *src, GstCaps *caps)
{
  GstSoraSrc *self = GST_SORA_SRC (src);

  return GST_BASE_SRC_CLASS (gst_sora_src_parent_class)->fixate (src,
      gst_sora_caps_fixate (self->model, self->aspect_ratio, caps));
}

static void
set_rate (GstSoraSrc *self)
{
  gint n = GST_VIDEO_INFO_FPS_N (&self->info), d = GST_VIDEO_INFO_FPS_D (&self->info);

  self->variable_rate = n <= 0;
  if (self->variable_rate) {
    n = self->rate_n;
    d = self->rate_d;
  }
  gst_sora_timeline_set_rate (&self->content, n, d);
  gst_sora_timeline_set_rate (&self->line, n, d);
  if (self->variable_rate)
    gst_sora_timeline_align (&self->content);
}

/* The base class only says that caps were not negotiated, not why. */
static gboolean
parse_caps (GstSoraSrc *self, GstCaps *caps, GstVideoInfo *info)
{
  if (!gst_video_info_from_caps (info, caps)) {
    GST_ELEMENT_ERROR (self, CORE, NEGOTIATION, ("No frames can be made of the size and format that downstream asks for."),
        ("%" GST_PTR_FORMAT, caps));
    return FALSE;
  }
  if (GST_VIDEO_INFO_INTERLACE_MODE (info) != GST_VIDEO_INTERLACE_MODE_PROGRESSIVE) {
    GST_ELEMENT_ERROR (self, CORE, NEGOTIATION, ("Only progressive video can be made; let downstream ask for interlace-mode=progressive."),
        ("%" GST_PTR_FORMAT, caps));
    return FALSE;
  }
  return TRUE;
}

static gboolean
gst_sora_src_set_caps (GstBaseSrc *src, GstCaps *caps)
{
  GstSoraSrc *self = GST_SORA_SRC (src);
  gboolean first = GST_VIDEO_INFO_FORMAT (&self->info) == GST_VIDEO_FORMAT_UNKNOWN;
  GstVideoInfo info;

  if (!parse_caps (self, caps, &info))
    return FALSE;
  g_mutex_lock (&self->lock);
  self->info = info;
  g_mutex_unlock (&self->lock);
  g_clear_pointer (&self->convert, gst_sora_convert_free);
  gst_clear_buffer (&self->last);
  set_rate (self);
  if (gst_base_src_is_live (src))
    gst_element_post_message (GST_ELEMENT (self), gst_message_new_latency (GST_OBJECT (self)));
  return first ? gst_sora_src_start_worker (self) : TRUE;
}

/* Asks for one buffer more than downstream holds, for the frame that may be sent again. */
static gboolean
gst_sora_src_decide_allocation (GstBaseSrc *src, GstQuery *query)
{
  GstSoraSrc *self = GST_SORA_SRC (src);
  g_autoptr (GstBufferPool) pool = NULL;
  gboolean listed = gst_query_get_n_allocation_pools (query) > 0;
  guint size = GST_VIDEO_INFO_SIZE (&self->info), pool_size = 0, min = 0, max = 0;
  GstStructure *config;

  if (listed)
    gst_query_parse_nth_allocation_pool (query, 0, &pool, &pool_size, &min, &max);
  if (pool == NULL)
    pool = gst_video_buffer_pool_new ();
  self->may_keep_last = max == 0 || max > min;
  if (self->may_keep_last)
    min++;
  size = MAX (size, pool_size);

  config = gst_buffer_pool_get_config (pool);
  if (gst_query_find_allocation_meta (query, GST_VIDEO_META_API_TYPE, NULL))
    gst_buffer_pool_config_add_option (config, GST_BUFFER_POOL_OPTION_VIDEO_META);
  gst_buffer_pool_set_config (pool, config);

  if (listed)
    gst_query_set_nth_allocation_pool (query, 0, pool, size, min, max);
  else
    gst_query_add_allocation_pool (query, pool, size, min, max);
  return GST_BASE_SRC_CLASS (gst_sora_src_parent_class)->decide_allocation (src, query);
}

/* ---- seeking, queries, states ---- */

/* Sets what the streaming thread waits for free, or not any more: @flag is one of flushing and paused. */
static void
set_interrupted (GstSoraSrc *self, gboolean *flag, gboolean value)
{
  g_mutex_lock (&self->lock);
  *flag = value;
  if (self->worker)
    gst_sora_worker_set_flushing (self->worker, self->flushing || self->paused);
  if (value && self->clock_id)
    gst_clock_id_unschedule (self->clock_id);
  g_mutex_unlock (&self->lock);
}

static gboolean
gst_sora_src_unlock (GstBaseSrc *src)
{
  set_interrupted (GST_SORA_SRC (src), &GST_SORA_SRC (src)->flushing, TRUE);
  return TRUE;
}

static gboolean
gst_sora_src_unlock_stop (GstBaseSrc *src)
{
  set_interrupted (GST_SORA_SRC (src), &GST_SORA_SRC (src)->flushing, FALSE);
  return TRUE;
}

static gboolean
gst_sora_src_is_seekable (GstBaseSrc *src)
{
  return !gst_base_src_is_live (src);
}

static gboolean
gst_sora_src_do_seek (GstBaseSrc *src, GstSegment *segment)
{
  GstSoraSrc *self = GST_SORA_SRC (src);
  GstClockTime time;

  segment->time = segment->start;
  gst_sora_timeline_seek (&self->content, segment->position);
  if (self->variable_rate)
    gst_sora_timeline_align (&self->content);
  time = gst_sora_timeline_get_time (&self->content, 0);
  gst_sora_worker_seek (self->worker, gst_sora_frame_at (time, self->rate_n, self->rate_d));
  self->frame = G_MAXUINT64;
  return TRUE;
}

/* Video is generated forwards only. To be refused before the base class flushes, which it does before it asks do_seek. */
static gboolean
is_backward_seek (GstEvent *event)
{
  gdouble rate = 1;

  if (GST_EVENT_TYPE (event) == GST_EVENT_SEEK)
    gst_event_parse_seek (event, &rate, NULL, NULL, NULL, NULL, NULL, NULL);
  return rate < 0;
}

static gboolean
gst_sora_src_event (GstBaseSrc *src, GstEvent *event)
{
  if (is_backward_seek (event))
    return FALSE;
  return GST_BASE_SRC_CLASS (gst_sora_src_parent_class)->event (src, event);
}

static gboolean
gst_sora_src_send_event (GstElement *element, GstEvent *event)
{
  if (is_backward_seek (event)) {
    gst_event_unref (event);
    return FALSE;
  }
  return GST_ELEMENT_CLASS (gst_sora_src_parent_class)->send_event (element, event);
}

/* Queries come in any thread. FALSE: nothing is negotiated. */
static gboolean
copy_info (GstSoraSrc *self, GstVideoInfo *info)
{
  g_mutex_lock (&self->lock);
  *info = self->info;
  g_mutex_unlock (&self->lock);
  return GST_VIDEO_INFO_FORMAT (info) != GST_VIDEO_FORMAT_UNKNOWN;
}

static gboolean
query_duration (GstSoraSrc *self, GstQuery *query)
{
  GstVideoInfo info;
  GstFormat format;
  gint n, d;

  if (!copy_info (self, &info))
    return FALSE;
  n = GST_VIDEO_INFO_FPS_N (&info);
  d = GST_VIDEO_INFO_FPS_D (&info);
  gst_query_parse_duration (query, &format, NULL);
  if (format != GST_FORMAT_DEFAULT || n <= 0 || !GST_CLOCK_TIME_IS_VALID (self->end))
    return FALSE;
  gst_query_set_duration (query, format, gst_util_uint64_scale_ceil (self->end, n, d * GST_SECOND));
  return TRUE;
}

static gboolean
query_convert (GstSoraSrc *self, GstQuery *query)
{
  GstVideoInfo info;
  GstFormat from, to;
  gint64 value, result;

  gst_query_parse_convert (query, &from, &value, &to, NULL);
  if (!copy_info (self, &info) || !gst_video_info_convert (&info, from, value, to, &result))
    return FALSE;
  gst_query_set_convert (query, from, value, to, result);
  return TRUE;
}

/* A live buffer leaves at its time; converting it is what may take long, for which a frame's duration is allowed. Nothing
 * is lost however late downstream takes it. */
static gboolean
query_latency (GstSoraSrc *self, GstQuery *query)
{
  GstVideoInfo info;
  gint n = self->rate_n, d = self->rate_d;

  if (copy_info (self, &info) && GST_VIDEO_INFO_FPS_N (&info) > 0) {
    n = GST_VIDEO_INFO_FPS_N (&info);
    d = GST_VIDEO_INFO_FPS_D (&info);
  }
  if (!gst_base_src_is_live (GST_BASE_SRC (self)) || n <= 0)
    return FALSE;
  gst_query_set_latency (query, TRUE, gst_sora_frame_time (1, n, d), GST_CLOCK_TIME_NONE);
  return TRUE;
}

static gboolean
gst_sora_src_query (GstBaseSrc *src, GstQuery *query)
{
  GstSoraSrc *self = GST_SORA_SRC (src);
  gboolean done = FALSE;

  switch (GST_QUERY_TYPE (query)) {
    case GST_QUERY_DURATION:
      done = query_duration (self, query);
      break;
    case GST_QUERY_CONVERT:
      done = query_convert (self, query);
      break;
    case GST_QUERY_LATENCY:
      done = query_latency (self, query);
      break;
    default:
      break;
  }
  return done || GST_BASE_SRC_CLASS (gst_sora_src_parent_class)->query (src, query);
}

/* The base class does not unlock a live source that is paused, and the state change waits for create to return. */
static GstStateChangeReturn
gst_sora_src_change_state (GstElement *element, GstStateChange transition)
{
  GstSoraSrc *self = GST_SORA_SRC (element);
  gboolean pausing = transition == GST_STATE_CHANGE_PLAYING_TO_PAUSED && gst_base_src_is_live (GST_BASE_SRC (self));
  GstStateChangeReturn ret;

  if (pausing)
    set_interrupted (self, &self->paused, TRUE);
  ret = GST_ELEMENT_CLASS (gst_sora_src_parent_class)->change_state (element, transition);
  if (pausing)
    set_interrupted (self, &self->paused, FALSE);
  return ret;
}

/* ---- the class ---- */

static void
gst_sora_src_finalize (GObject *object)
{
  GstSoraSrc *self = GST_SORA_SRC (object);

  gst_sora_src_clear_settings (&self->settings);
  g_mutex_clear (&self->lock);
  G_OBJECT_CLASS (gst_sora_src_parent_class)->finalize (object);
}

static void
gst_sora_src_class_init (GstSoraSrcClass *class)
{
  GObjectClass *object_class = G_OBJECT_CLASS (class);
  GstElementClass *element_class = GST_ELEMENT_CLASS (class);
  GstBaseSrcClass *base_class = GST_BASE_SRC_CLASS (class);

  object_class->finalize = gst_sora_src_finalize;
  gst_sora_src_install_properties (object_class);

  element_class->send_event = GST_DEBUG_FUNCPTR (gst_sora_src_send_event);
  element_class->change_state = GST_DEBUG_FUNCPTR (gst_sora_src_change_state);
  gst_element_class_add_static_pad_template (element_class, &src_template);
  gst_element_class_set_static_metadata (element_class, "Sora source", "Source/Video",
      "Generates video from text, and from a picture to begin with, by a diffusion model in OpenCL", "gst-sora");

  base_class->start = GST_DEBUG_FUNCPTR (gst_sora_src_start);
  base_class->stop = GST_DEBUG_FUNCPTR (gst_sora_src_stop);
  base_class->fixate = GST_DEBUG_FUNCPTR (gst_sora_src_fixate);
  base_class->set_caps = GST_DEBUG_FUNCPTR (gst_sora_src_set_caps);
  base_class->decide_allocation = GST_DEBUG_FUNCPTR (gst_sora_src_decide_allocation);
  base_class->unlock = GST_DEBUG_FUNCPTR (gst_sora_src_unlock);
  base_class->unlock_stop = GST_DEBUG_FUNCPTR (gst_sora_src_unlock_stop);
  base_class->is_seekable = GST_DEBUG_FUNCPTR (gst_sora_src_is_seekable);
  base_class->do_seek = GST_DEBUG_FUNCPTR (gst_sora_src_do_seek);
  base_class->event = GST_DEBUG_FUNCPTR (gst_sora_src_event);
  base_class->query = GST_DEBUG_FUNCPTR (gst_sora_src_query);
  GST_PUSH_SRC_CLASS (class)->create = GST_DEBUG_FUNCPTR (gst_sora_src_create);
}

static void
gst_sora_src_init (GstSoraSrc *self)
{
  g_mutex_init (&self->lock);
  gst_sora_src_init_settings (&self->settings);
  self->used_seed = -1;
  gst_sora_src_reset_stream (self);
  gst_base_src_set_format (GST_BASE_SRC (self), GST_FORMAT_TIME);
}
