/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sorasrc: video generated from a prompt, and from a picture if one is given. Properties, negotiation, and the way from the worker's frames to buffers. */

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
 * The worker (gstsoraworker.c) generates blocks of RGB frames at the model's size and rate. Here the frame that is due at
 * each buffer's time is taken from it, converted (gstsoraconvert.c) and stamped (gstsoratimeline.c).
 */
#include "gstsorasrc.h"

#include <gst/video/video.h>
#include <sora/sora.h>

#include "gstsoracaps.h"
#include "gstsoraconvert.h"
#include "gstsoraerror.h"
#include "gstsoramodels.h"
#include "gstsoratimeline.h"
#include "gstsoraworker.h"
#include "picture.h"

GST_DEBUG_CATEGORY (gst_sora_src_debug);
#define GST_CAT_DEFAULT gst_sora_src_debug

enum
{
  PROP_0,
  PROP_MODEL,
  PROP_TRANSFORMER_2,
  PROP_TEXT_ENCODER,
  PROP_VAE,
  PROP_VAE_TILE,
  PROP_IMAGE_ENCODER,
  PROP_CAUSAL,
  PROP_WEIGHT_TYPE,
  PROP_PRECISION,
  PROP_TEXT_ENCODER_POLICY,
  PROP_MAX_MEMORY,
  PROP_DEVICE,
  PROP_PROMPT,
  PROP_NEGATIVE_PROMPT,
  PROP_IMAGE,
  PROP_LAST_IMAGE,
  PROP_LORAS,
  PROP_GUIDANCE_SCALE,
  PROP_GUIDANCE_SCALE_2,
  PROP_GUIDANCE_BEGIN,
  PROP_GUIDANCE_END,
  PROP_SAMPLER,
  PROP_STEPS,
  PROP_SHIFT,
  PROP_SEED,
  PROP_DURATION,
  PROP_FIT,
  PROP_QUEUE_SIZE,
  PROP_IS_LIVE,
  PROP_STATS,
};

#define DEFAULT_WEIGHT_TYPE SORA_WEIGHT_TYPE_AUTO
#define DEFAULT_PRECISION SORA_PRECISION_AUTO
#define DEFAULT_TEXT_ENCODER_POLICY SORA_TEXT_ENCODER_POLICY_AUTO
#define DEFAULT_MAX_MEMORY 0
#define DEFAULT_GUIDANCE_SCALE -1.0
#define DEFAULT_GUIDANCE_BEGIN 0.0
#define DEFAULT_GUIDANCE_END 1.0
#define DEFAULT_SAMPLER SORA_SAMPLER_DEFAULT
#define DEFAULT_STEPS 0
#define DEFAULT_SHIFT -1.0
#define DEFAULT_VAE_TILE -1
#define DEFAULT_SEED -1
#define DEFAULT_DURATION -1
#define DEFAULT_FIT GST_SORA_SRC_FIT_CROP
#define DEFAULT_QUEUE_SIZE 1
#define DEFAULT_IS_LIVE FALSE

typedef struct {
  gchar *model, *transformer_2, *text_encoder, *vae, *image_encoder, *device, *prompt, *negative_prompt, *image, *last_image, *loras;
  gboolean causal;
  SoraWeightType weight_type;
  SoraPrecision precision;
  SoraTextEncoderPolicy text_encoder_policy;
  guint64 max_memory; /* bytes; 0: the device's */
  gdouble guidance_scale, guidance_scale_2, guidance_begin, guidance_end;
  SoraSamplerType sampler;
  guint steps;
  gdouble shift;
  gint vae_tile;
  gint64 seed;     /* -1: random */
  gint64 duration; /* ns; -1: endless */
  GstSoraSrcFit fit;
  guint queue_size; /* blocks */
} Settings;

struct _GstSoraSrc
{
  GstPushSrc parent;

  GMutex lock;
  /* guarded by lock */
  Settings settings;
  GstSoraWorker *worker;       /* between start and stop */
  gint64 used_seed;            /* likewise, else -1 */
  guint64 buffers, repeated, dropped;
  gboolean flushing, paused;
  GstClockID clock_id;         /* what a live source's streaming thread waits for */

  /* set in start */
  SoraModel *model;
  SoraDevice *device;
  GdkPixbuf *picture, *last_picture;   /* what the video begins and ends with, until the worker has it; NULL: none */
  gdouble aspect_ratio;        /* the picture's; 0: none */
  gint rate_n, rate_d;         /* the model's frames a second */
  guint64 length;              /* model's frames; 0: endless */
  GstClockTime end;            /* ns; GST_CLOCK_TIME_NONE: endless */

  /* the streaming thread's */
  GstVideoInfo info;
  gboolean variable_rate;
  GstSoraTimeline content;     /* what time of the generated video each buffer shows */
  GstSoraTimeline line;        /* live: the buffers' running times */
  gboolean line_started;
  GstSoraConvert *convert;     /* to info; NULL: to be made */
  SoraBlock *block;            /* that of the frame shown last, and its place there */
  guint index;
  guint64 frame;
  GstBuffer *last;             /* the buffer of that frame, to be sent again */
  gboolean may_keep_last;
  gchar *tagged_prompt;

  /* the worker's */
  gint told_percent;
};

G_DEFINE_TYPE_WITH_CODE (GstSoraSrc, gst_sora_src, GST_TYPE_PUSH_SRC, G_IMPLEMENT_INTERFACE (GST_TYPE_PRESET, NULL)
    GST_DEBUG_CATEGORY_INIT (gst_sora_src_debug, "sorasrc", 0, "text to video"))

static GstStaticPadTemplate src_template = GST_STATIC_PAD_TEMPLATE ("src", GST_PAD_SRC, GST_PAD_ALWAYS,
    GST_STATIC_CAPS (GST_SORA_CAPS_TEMPLATE));

/* ---- what the worker tells ---- */

static void
post_progress (GstSoraSrc *self, GstProgressType type, const gchar *text)
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
  post_progress (self, GST_PROGRESS_TYPE_CONTINUE, text);
}

static void
on_loaded (gpointer user_data)
{
  post_progress (user_data, GST_PROGRESS_TYPE_COMPLETE, "model loaded");
}

static void
on_load_failed (const GError *error, gpointer user_data)
{
  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    post_progress (user_data, GST_PROGRESS_TYPE_CANCELED, "loading was cancelled");
  else
    post_progress (user_data, GST_PROGRESS_TYPE_ERROR, error->message);
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

static const GstSoraWorkerEvents worker_events = {
  .loading = on_loading,
  .loaded = on_loaded,
  .load_failed = on_load_failed,
  .block_begins = on_block_begins,
  .block_done = on_block_done,
  .prompt_refused = on_prompt_refused,
  .loras_refused = on_loras_refused,
};

/* ---- start and stop ---- */

/* Sets how long the video is: by the property, else by a model that makes clips. */
static void
set_length (GstSoraSrc *self, gint64 duration)
{
  self->length = sora_model_is_causal (self->model) ? 0 : sora_model_get_clip_frames (self->model);
  self->end = GST_CLOCK_TIME_NONE;
  if (duration >= 0) {
    self->length = gst_util_uint64_scale_ceil (duration, self->rate_n, self->rate_d * GST_SECOND);
    self->end = duration;
  } else if (self->length > 0) {
    self->end = gst_sora_frame_time (self->length, self->rate_n, self->rate_d);
  }

  GST_OBJECT_LOCK (self);
  GST_BASE_SRC (self)->segment.duration = self->end;
  GST_OBJECT_UNLOCK (self);
}

static gboolean
load_picture (GdkPixbuf **picture, const gchar *path, GError **error)
{
  if (path == NULL || *path == '\0')
    return TRUE;
  *picture = sora_picture_load (path, error);
  return *picture != NULL;
}

static gboolean
load_pictures (GstSoraSrc *self, const gchar *first, const gchar *last, GError **error)
{
  if (!load_picture (&self->picture, first, error) || !load_picture (&self->last_picture, last, error))
    return FALSE;
  self->aspect_ratio = self->picture ? sora_picture_get_aspect_ratio (self->picture) : 0;
  return TRUE;
}

/* A copy of what tells the model's files, to be given to clear_files() */
static SoraModelFiles
copy_files (const Settings *settings)
{
  return (SoraModelFiles) {
    .path = g_strdup (settings->model), .transformer_2 = g_strdup (settings->transformer_2),
    .text_encoder = g_strdup (settings->text_encoder), .vae = g_strdup (settings->vae),
    .image_encoder = g_strdup (settings->image_encoder), .causal = settings->causal,
  };
}

static void
clear_files (SoraModelFiles *files)
{
  const gchar *const paths[] = { files->path, files->transformer_2, files->text_encoder, files->vae, files->image_encoder };

  for (guint i = 0; i < G_N_ELEMENTS (paths); i++)
    g_free ((gchar *) paths[i]);
}

static gboolean
open_files_and_device (GstSoraSrc *self)
{
  SoraModelFiles files;
  g_autofree gchar *image = NULL;
  g_autofree gchar *last_image = NULL;
  g_autofree gchar *selector = NULL;
  g_autoptr (GError) error = NULL;

  g_mutex_lock (&self->lock);
  files = copy_files (&self->settings);
  selector = g_strdup (self->settings.device);
  image = g_strdup (self->settings.image);
  last_image = g_strdup (self->settings.last_image);
  g_mutex_unlock (&self->lock);

  self->model = gst_sora_models_acquire (&files, &error);
  clear_files (&files);
  if (self->model && load_pictures (self, image, last_image, &error))
    self->device = sora_device_open (selector, &error);
  if (self->device == NULL) {
    gst_sora_post_error (GST_ELEMENT (self), error);
    g_clear_object (&self->picture);
    g_clear_object (&self->last_picture);
    g_clear_pointer (&self->model, gst_sora_models_release);
    return FALSE;
  }
  sora_model_get_frame_rate (self->model, &self->rate_n, &self->rate_d);
  return TRUE;
}

static void
reset_stream (GstSoraSrc *self)
{
  gst_video_info_init (&self->info);
  self->content = self->line = (GstSoraTimeline) { 0, 1, 0, 0, 0 };
  self->line_started = self->variable_rate = FALSE;
  self->frame = G_MAXUINT64;
  g_clear_pointer (&self->convert, gst_sora_convert_free);
  g_clear_pointer (&self->block, sora_block_unref);
  gst_clear_buffer (&self->last);
  g_clear_pointer (&self->tagged_prompt, g_free);
}

static gboolean
gst_sora_src_start (GstBaseSrc *src)
{
  GstSoraSrc *self = GST_SORA_SRC (src);
  gint64 duration;

  if (!open_files_and_device (self))
    return FALSE;

  g_mutex_lock (&self->lock);
  self->worker = gst_sora_worker_new (self->model, self->device, self->settings.queue_size, &worker_events, self);
  self->used_seed = self->settings.seed >= 0 ? self->settings.seed : (gint64) g_random_int ();
  self->buffers = self->repeated = self->dropped = 0;
  duration = self->settings.duration;
  g_mutex_unlock (&self->lock);

  reset_stream (self);
  set_length (self, duration);
  g_object_notify (G_OBJECT (self), "seed");
  return TRUE;
}

static gboolean
gst_sora_src_stop (GstBaseSrc *src)
{
  GstSoraSrc *self = GST_SORA_SRC (src);
  GstSoraWorker *worker;

  g_mutex_lock (&self->lock);
  worker = g_steal_pointer (&self->worker);
  self->used_seed = -1;
  g_mutex_unlock (&self->lock);

  gst_sora_worker_free (worker);
  reset_stream (self);
  g_clear_object (&self->picture);
  g_clear_object (&self->last_picture);
  g_clear_pointer (&self->device, sora_device_unref);
  g_clear_pointer (&self->model, gst_sora_models_release);
  return TRUE;
}

/* ---- negotiation ---- */

static GstCaps *
gst_sora_src_fixate (GstBaseSrc *src, GstCaps *caps)
{
  GstSoraSrc *self = GST_SORA_SRC (src);

  return GST_BASE_SRC_CLASS (gst_sora_src_parent_class)->fixate (src,
      gst_sora_caps_fixate (self->model, self->aspect_ratio, caps));
}

/* The names of the property and of what a picture is fitted by mean the same. */
static SoraPictureFit
get_picture_fit (GstSoraSrc *self)
{
  GstSoraSrcFit fit;

  g_mutex_lock (&self->lock);
  fit = self->settings.fit;
  g_mutex_unlock (&self->lock);
  switch (fit) {
    case GST_SORA_SRC_FIT_LETTERBOX:
      return SORA_PICTURE_FIT_LETTERBOX;
    case GST_SORA_SRC_FIT_STRETCH:
      return SORA_PICTURE_FIT_STRETCH;
    default:
      return SORA_PICTURE_FIT_CROP;
  }
}

/* Gives *@picture to the options, by @set, at the size of the model's frames; it is not needed any more then. */
static gboolean
set_image (GstSoraSrc *self, GdkPixbuf **picture, SoraStreamOptions *options, guint width, guint height,
    void (*set) (SoraStreamOptions *options, const guint8 *rgb, guint width, guint height, gsize stride), GError **error)
{
  g_autoptr (GdkPixbuf) frame = NULL;

  if (*picture == NULL)
    return TRUE;
  frame = sora_picture_fit (*picture, width, height, get_picture_fit (self), error);
  if (frame == NULL)
    return FALSE;
  set (options, gdk_pixbuf_read_pixels (frame), width, height, gdk_pixbuf_get_rowstride (frame));
  g_clear_object (picture);
  return TRUE;
}

/* Starts to load, now that the proportions asked for are known. */
static gboolean
start_worker (GstSoraSrc *self)
{
  g_autofree gchar *prompt = NULL;
  g_autofree gchar *loras = NULL;
  g_autoptr (GError) error = NULL;
  SoraStreamOptions *options = sora_stream_options_new ();
  gdouble guidance_scale;
  guint width, height;

  gst_sora_caps_get_model_size (self->model, &self->info, &width, &height);
  if (!set_image (self, &self->picture, options, width, height, sora_stream_options_set_image, &error)
      || !set_image (self, &self->last_picture, options, width, height, sora_stream_options_set_last_image, &error)) {
    sora_stream_options_free (options);
    gst_sora_post_error (GST_ELEMENT (self), error);
    return FALSE;
  }
  sora_stream_options_set_size (options, width, height);
  sora_stream_options_set_length (options, self->length);
  g_mutex_lock (&self->lock);
  sora_stream_options_set_negative_prompt (options, self->settings.negative_prompt);
  sora_stream_options_set_weight_type (options, self->settings.weight_type);
  sora_stream_options_set_precision (options, self->settings.precision);
  sora_stream_options_set_text_encoder_policy (options, self->settings.text_encoder_policy);
  sora_stream_options_set_max_memory (options, self->settings.max_memory);
  sora_stream_options_set_guidance_scale_2 (options, self->settings.guidance_scale_2);
  sora_stream_options_set_guidance_interval (options, self->settings.guidance_begin, self->settings.guidance_end);
  sora_stream_options_set_sampler (options, self->settings.sampler);
  sora_stream_options_set_steps (options, self->settings.steps);
  sora_stream_options_set_shift (options, self->settings.shift);
  sora_stream_options_set_vae_tile (options, self->settings.vae_tile);
  sora_stream_options_set_seed (options, self->used_seed);
  prompt = g_strdup (self->settings.prompt);
  loras = g_strdup (self->settings.loras);
  guidance_scale = self->settings.guidance_scale;
  g_mutex_unlock (&self->lock);

  self->told_percent = 0;
  post_progress (self, GST_PROGRESS_TYPE_START, "loading the model");
  if (gst_sora_worker_start (self->worker, options, prompt, loras, guidance_scale, &error))
    return TRUE;
  GST_ELEMENT_ERROR (self, CORE, THREAD, (NULL), ("%s", error->message));
  return FALSE;
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

static gboolean
gst_sora_src_set_caps (GstBaseSrc *src, GstCaps *caps)
{
  GstSoraSrc *self = GST_SORA_SRC (src);
  gboolean first = GST_VIDEO_INFO_FORMAT (&self->info) == GST_VIDEO_FORMAT_UNKNOWN;
  GstVideoInfo info;

  if (!gst_video_info_from_caps (&info, caps)
      || GST_VIDEO_INFO_INTERLACE_MODE (&info) != GST_VIDEO_INTERLACE_MODE_PROGRESSIVE) {
    GST_WARNING_OBJECT (self, "only progressive raw video can be made, not %" GST_PTR_FORMAT, caps);
    return FALSE;
  }
  self->info = info;
  g_clear_pointer (&self->convert, gst_sora_convert_free);
  gst_clear_buffer (&self->last);
  set_rate (self);
  if (gst_base_src_is_live (src))
    gst_element_post_message (GST_ELEMENT (self), gst_message_new_latency (GST_OBJECT (self)));
  return first ? start_worker (self) : TRUE;
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

/* ---- from frames to buffers ---- */

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
  ret = GST_BASE_SRC_CLASS (gst_sora_src_parent_class)->alloc (src, 0, GST_VIDEO_INFO_SIZE (&self->info), buffer);
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
  GST_ELEMENT_CLASS (gst_sora_src_parent_class)->send_event (GST_ELEMENT (self), gst_event_new_tag (tags));
}

/* ---- live: the clock ---- */

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

/* ---- a buffer ---- */

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

static GstFlowReturn
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

/* ---- seeking, queries, states ---- */

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

static gboolean
query_duration (GstSoraSrc *self, GstQuery *query)
{
  GstFormat format;
  gint n = GST_VIDEO_INFO_FPS_N (&self->info), d = GST_VIDEO_INFO_FPS_D (&self->info);

  gst_query_parse_duration (query, &format, NULL);
  if (format != GST_FORMAT_DEFAULT || n <= 0 || !GST_CLOCK_TIME_IS_VALID (self->end))
    return FALSE;
  gst_query_set_duration (query, format, gst_util_uint64_scale_ceil (self->end, n, d * GST_SECOND));
  return TRUE;
}

static gboolean
query_convert (GstSoraSrc *self, GstQuery *query)
{
  GstFormat from, to;
  gint64 value, result;

  gst_query_parse_convert (query, &from, &value, &to, NULL);
  if (!gst_video_info_convert (&self->info, from, value, to, &result))
    return FALSE;
  gst_query_set_convert (query, from, value, to, result);
  return TRUE;
}

/* A live buffer leaves at its time; converting it is what may take long, for which a frame's duration is allowed. Nothing
 * is lost however late downstream takes it. */
static gboolean
query_latency (GstSoraSrc *self, GstQuery *query)
{
  gint n = GST_VIDEO_INFO_FPS_N (&self->info), d = GST_VIDEO_INFO_FPS_D (&self->info);

  if (n <= 0) {
    n = self->rate_n;
    d = self->rate_d;
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

/* ---- properties ---- */

static GstStructure *
make_stats (GstSoraSrc *self)
{
  GstSoraWorkerStats stats = { 0 };
  GstStructure *structure;

  g_mutex_lock (&self->lock);
  if (self->worker)
    gst_sora_worker_get_stats (self->worker, &stats);
  structure = gst_structure_new ("sora-stats",
      "blocks", G_TYPE_UINT64, stats.blocks, "frames", G_TYPE_UINT64, stats.frames,
      "buffers", G_TYPE_UINT64, self->buffers, "repeated", G_TYPE_UINT64, self->repeated,
      "dropped", G_TYPE_UINT64, self->dropped, "restarts", G_TYPE_UINT, stats.restarts,
      "queue-level", G_TYPE_UINT, stats.queued_blocks,
      "load-time", G_TYPE_UINT64, (guint64) (stats.load_seconds * GST_SECOND),
      "last-block-time", G_TYPE_UINT64, (guint64) (stats.last_block_seconds * GST_SECOND),
      "mean-block-time", G_TYPE_UINT64, (guint64) (stats.block_seconds / MAX (stats.blocks, 1) * GST_SECOND),
      "generation-rate", G_TYPE_DOUBLE, stats.block_seconds > 0 ? stats.frames / stats.block_seconds : 0.0,
      "width", G_TYPE_UINT, stats.width, "height", G_TYPE_UINT, stats.height,
      "seed", G_TYPE_INT64, self->used_seed,
      "stream-memory", G_TYPE_UINT64, stats.stream_bytes, "weight-memory", G_TYPE_UINT64, stats.weight_bytes, NULL);
  if (self->worker)
    gst_structure_set (structure, "model", G_TYPE_STRING, sora_model_get_name (self->model),
        "device", G_TYPE_STRING, sora_device_get_name (self->device),
        "model-rate", GST_TYPE_FRACTION, self->rate_n, self->rate_d, NULL);
  g_mutex_unlock (&self->lock);
  return structure;
}

/* Takes LoRAs from @value; whether they can be loaded, the worker tells. */
static void
set_loras (GstSoraSrc *self, const GValue *value)
{
  const gchar *wanted = g_value_get_string (value) ? g_value_get_string (value) : "";

  if (g_str_equal (self->settings.loras, wanted))
    return;
  g_free (self->settings.loras);
  self->settings.loras = g_strdup (wanted);
  if (self->worker)
    gst_sora_worker_set_loras (self->worker, wanted);
}

/* Takes a prompt from @value; a text that is not UTF-8 changes nothing but posts a warning. */
static void
set_text (GstSoraSrc *self, gchar **text, const GValue *value, GstSoraWorker **worker)
{
  const gchar *wanted = g_value_get_string (value) ? g_value_get_string (value) : "";

  if (!g_utf8_validate (wanted, -1, NULL)) {
    GST_ELEMENT_WARNING (self, LIBRARY, SETTINGS, ("The prompt is not UTF-8 text; the one before is kept."), (NULL));
    return;
  }
  g_mutex_lock (&self->lock);
  if (!g_str_equal (*text, wanted)) {
    g_free (*text);
    *text = g_strdup (wanted);
    if (worker && *worker)
      gst_sora_worker_set_prompt (*worker, wanted);
  }
  g_mutex_unlock (&self->lock);
}

static void
gst_sora_src_set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  GstSoraSrc *self = GST_SORA_SRC (object);
  Settings *settings = &self->settings;

  if (id == PROP_PROMPT) {
    set_text (self, &settings->prompt, value, &self->worker);
    return;
  } else if (id == PROP_NEGATIVE_PROMPT) {
    set_text (self, &settings->negative_prompt, value, NULL);
    return;
  } else if (id == PROP_IS_LIVE) {
    gst_base_src_set_live (GST_BASE_SRC (self), g_value_get_boolean (value));
    return;
  }

  g_mutex_lock (&self->lock);
  switch (id) {
    case PROP_MODEL:
      g_free (settings->model);
      settings->model = g_value_dup_string (value);
      break;
    case PROP_TRANSFORMER_2:
      g_free (settings->transformer_2);
      settings->transformer_2 = g_value_dup_string (value);
      break;
    case PROP_TEXT_ENCODER:
      g_free (settings->text_encoder);
      settings->text_encoder = g_value_dup_string (value);
      break;
    case PROP_VAE:
      g_free (settings->vae);
      settings->vae = g_value_dup_string (value);
      break;
    case PROP_IMAGE_ENCODER:
      g_free (settings->image_encoder);
      settings->image_encoder = g_value_dup_string (value);
      break;
    case PROP_CAUSAL:
      settings->causal = g_value_get_boolean (value);
      break;
    case PROP_WEIGHT_TYPE:
      settings->weight_type = g_value_get_enum (value);
      break;
    case PROP_PRECISION:
      settings->precision = g_value_get_enum (value);
      break;
    case PROP_TEXT_ENCODER_POLICY:
      settings->text_encoder_policy = g_value_get_enum (value);
      break;
    case PROP_MAX_MEMORY:
      settings->max_memory = g_value_get_uint64 (value);
      break;
    case PROP_DEVICE:
      g_free (settings->device);
      settings->device = g_value_dup_string (value);
      break;
    case PROP_IMAGE:
      g_free (settings->image);
      settings->image = g_value_dup_string (value);
      break;
    case PROP_LAST_IMAGE:
      g_free (settings->last_image);
      settings->last_image = g_value_dup_string (value);
      break;
    case PROP_LORAS:
      set_loras (self, value);
      break;
    case PROP_GUIDANCE_SCALE:
      settings->guidance_scale = g_value_get_double (value);
      if (self->worker)
        gst_sora_worker_set_guidance_scale (self->worker, settings->guidance_scale);
      break;
    case PROP_GUIDANCE_SCALE_2:
      settings->guidance_scale_2 = g_value_get_double (value);
      break;
    case PROP_GUIDANCE_BEGIN:
      settings->guidance_begin = g_value_get_double (value);
      break;
    case PROP_GUIDANCE_END:
      settings->guidance_end = g_value_get_double (value);
      break;
    case PROP_SAMPLER:
      settings->sampler = g_value_get_enum (value);
      break;
    case PROP_STEPS:
      settings->steps = g_value_get_uint (value);
      break;
    case PROP_SHIFT:
      settings->shift = g_value_get_double (value);
      break;
    case PROP_VAE_TILE:
      settings->vae_tile = g_value_get_int (value);
      break;
    case PROP_SEED:
      settings->seed = g_value_get_int64 (value);
      break;
    case PROP_DURATION:
      settings->duration = g_value_get_int64 (value);
      break;
    case PROP_FIT:
      settings->fit = g_value_get_enum (value);
      break;
    case PROP_QUEUE_SIZE:
      settings->queue_size = g_value_get_uint (value);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
      break;
  }
  g_mutex_unlock (&self->lock);
}

static void
gst_sora_src_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  GstSoraSrc *self = GST_SORA_SRC (object);
  Settings *settings = &self->settings;

  if (id == PROP_STATS) {
    g_value_take_boxed (value, make_stats (self));
    return;
  } else if (id == PROP_IS_LIVE) {
    g_value_set_boolean (value, gst_base_src_is_live (GST_BASE_SRC (self)));
    return;
  }

  g_mutex_lock (&self->lock);
  switch (id) {
    case PROP_MODEL:
      g_value_set_string (value, settings->model);
      break;
    case PROP_TRANSFORMER_2:
      g_value_set_string (value, settings->transformer_2);
      break;
    case PROP_TEXT_ENCODER:
      g_value_set_string (value, settings->text_encoder);
      break;
    case PROP_VAE:
      g_value_set_string (value, settings->vae);
      break;
    case PROP_IMAGE_ENCODER:
      g_value_set_string (value, settings->image_encoder);
      break;
    case PROP_CAUSAL:
      g_value_set_boolean (value, settings->causal);
      break;
    case PROP_WEIGHT_TYPE:
      g_value_set_enum (value, settings->weight_type);
      break;
    case PROP_PRECISION:
      g_value_set_enum (value, settings->precision);
      break;
    case PROP_TEXT_ENCODER_POLICY:
      g_value_set_enum (value, settings->text_encoder_policy);
      break;
    case PROP_MAX_MEMORY:
      g_value_set_uint64 (value, settings->max_memory);
      break;
    case PROP_DEVICE:
      g_value_set_string (value, settings->device);
      break;
    case PROP_PROMPT:
      g_value_set_string (value, settings->prompt);
      break;
    case PROP_NEGATIVE_PROMPT:
      g_value_set_string (value, settings->negative_prompt);
      break;
    case PROP_IMAGE:
      g_value_set_string (value, settings->image);
      break;
    case PROP_LAST_IMAGE:
      g_value_set_string (value, settings->last_image);
      break;
    case PROP_LORAS:
      g_value_set_string (value, settings->loras);
      break;
    case PROP_GUIDANCE_SCALE:
      g_value_set_double (value, settings->guidance_scale);
      break;
    case PROP_GUIDANCE_SCALE_2:
      g_value_set_double (value, settings->guidance_scale_2);
      break;
    case PROP_GUIDANCE_BEGIN:
      g_value_set_double (value, settings->guidance_begin);
      break;
    case PROP_GUIDANCE_END:
      g_value_set_double (value, settings->guidance_end);
      break;
    case PROP_SAMPLER:
      g_value_set_enum (value, settings->sampler);
      break;
    case PROP_STEPS:
      g_value_set_uint (value, settings->steps);
      break;
    case PROP_SHIFT:
      g_value_set_double (value, settings->shift);
      break;
    case PROP_VAE_TILE:
      g_value_set_int (value, settings->vae_tile);
      break;
    case PROP_SEED:
      g_value_set_int64 (value, self->used_seed >= 0 ? self->used_seed : settings->seed);
      break;
    case PROP_DURATION:
      g_value_set_int64 (value, settings->duration);
      break;
    case PROP_FIT:
      g_value_set_enum (value, settings->fit);
      break;
    case PROP_QUEUE_SIZE:
      g_value_set_uint (value, settings->queue_size);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
      break;
  }
  g_mutex_unlock (&self->lock);
}

#define READY_FLAGS (G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_READY | GST_PARAM_DOC_SHOW_DEFAULT)
#define PLAYING_FLAGS (G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_PLAYING | GST_PARAM_DOC_SHOW_DEFAULT)

static void
install_text_properties (GObjectClass *class)
{
  g_object_class_install_property (class, PROP_MODEL, g_param_spec_string ("model", "Model",
      "Model directory in diffusers' or Wan's own layout, a transformer's file, or a name that \"sora models\" lists (NULL: the embedded "
      "model, looked for in SORA_MODEL_PATH, XDG_DATA_HOME and the data directory)", NULL, READY_FLAGS));
  g_object_class_install_property (class, PROP_TRANSFORMER_2, g_param_spec_string ("transformer-2", "Second transformer",
      "Of a model with two experts (Wan 2.2 A14B) the one for low noise (NULL or empty: found in the model, or beside it under its name "
      "with low for high)", NULL, READY_FLAGS));
  g_object_class_install_property (class, PROP_TEXT_ENCODER, g_param_spec_string ("text-encoder", "Text encoder",
      "UMT5 weight file, or folder with config.json and weights (NULL or empty: the model's own, found beside it)", NULL, READY_FLAGS));
  g_object_class_install_property (class, PROP_VAE, g_param_spec_string ("vae", "VAE",
      "VAE weight file, or folder with config.json and weights (NULL or empty: the model's own, found beside it)", NULL, READY_FLAGS));
  g_object_class_install_property (class, PROP_VAE_TILE, g_param_spec_int ("vae-tile", "VAE tile",
      "Pixels of the side, at most, of the parts of the picture that Wan's VAE decodes one by one to save memory; the frames are the same "
      "(0: the whole picture at once, -1: by the device's memory)", -1, 16384, DEFAULT_VAE_TILE, READY_FLAGS));
  g_object_class_install_property (class, PROP_IMAGE_ENCODER, g_param_spec_string ("image-encoder", "Image encoder",
      "CLIP weight file of a model from image to video, or folder with config.json and weights (NULL or empty: the model's own, found "
      "beside it)", NULL, READY_FLAGS));
  g_object_class_install_property (class, PROP_DEVICE, g_param_spec_string ("device", "Device",
      "OpenCL device: gpu, cpu, accelerator, an index of 'sora devices' or a part of \"platform: name\" (NULL: the first "
      "GPU, else a CPU)", NULL, READY_FLAGS));
  g_object_class_install_property (class, PROP_PROMPT, g_param_spec_string ("prompt", "Prompt",
      "What the video shows, UTF-8 text; while playing it takes effect with the next block that is generated (empty: "
      "anything)", "", PLAYING_FLAGS));
  g_object_class_install_property (class, PROP_NEGATIVE_PROMPT, g_param_spec_string ("negative-prompt",
      "Negative prompt", "What the video must not show, UTF-8 text; used where the guidance scale is not 1", "",
      READY_FLAGS));
  g_object_class_install_property (class, PROP_IMAGE, g_param_spec_string ("image", "Image",
      "Picture file that the video begins with, fitted to the model's size as 'fit' says; where no size is asked for, the model's "
      "size that is nearest to the picture's proportions is taken (NULL or empty: none)", NULL, READY_FLAGS));
  g_object_class_install_property (class, PROP_LAST_IMAGE, g_param_spec_string ("last-image", "Last image",
      "Picture file that the clip ends with, which only some models from image to video take (NULL or empty: none)", NULL, READY_FLAGS));
  g_object_class_install_property (class, PROP_LORAS, g_param_spec_string ("loras", "LoRAs",
      "LoRA files that change the model, and their weights (1 where none is given): PATH[:WEIGHT],PATH[:WEIGHT], with a backslash before commas "
      "in a path; while playing it takes effect with the next block that is generated (empty: none)", "", PLAYING_FLAGS));
}

#define GST_TYPE_SORA_SRC_SAMPLER (gst_sora_src_sampler_get_type ())

static GType
gst_sora_src_sampler_get_type (void)
{
  static gsize type = 0;
  static const GEnumValue values[] = {
    { SORA_SAMPLER_DEFAULT, "The model's own", "default" },
    { SORA_SAMPLER_EULER, "Euler steps along the flow", "euler" },
    { SORA_SAMPLER_UNIPC, "UniPC of order 2, as Wan models are mostly run", "unipc" },
    { SORA_SAMPLER_DPMPP_2M, "DPM-Solver++ (2M)", "dpmpp-2m" },
    { SORA_SAMPLER_RENOISE, "Fresh noise after each step, for models distilled to few steps", "renoise" },
    { 0, NULL, NULL },
  };

  if (g_once_init_enter (&type))
    g_once_init_leave (&type, g_enum_register_static ("GstSoraSrcSampler", values));
  return type;
}

#define GST_TYPE_SORA_SRC_WEIGHT_TYPE (gst_sora_src_weight_type_get_type ())

static GType
gst_sora_src_weight_type_get_type (void)
{
  static gsize type = 0;
  static const GEnumValue values[] = {
    { SORA_WEIGHT_TYPE_AUTO, "By the file's type and the model's size, so that nothing is lost that the file has", "auto" },
    { SORA_WEIGHT_TYPE_FP32, "4 bytes a weight", "fp32" },
    { SORA_WEIGHT_TYPE_FP16, "2 bytes a weight, exact for files in F16", "fp16" },
    { SORA_WEIGHT_TYPE_BF16, "2 bytes a weight, exact for files in BF16", "bf16" },
    { SORA_WEIGHT_TYPE_Q8, "A little more than a byte a weight, exact for files in Q8_0, Q5_0 and Q4_0", "q8" },
    { 0, NULL, NULL },
  };

  if (g_once_init_enter (&type))
    g_once_init_leave (&type, g_enum_register_static ("GstSoraSrcWeightType", values));
  return type;
}

#define GST_TYPE_SORA_SRC_PRECISION (gst_sora_src_precision_get_type ())

static GType
gst_sora_src_precision_get_type (void)
{
  static gsize type = 0;
  static const GEnumValue values[] = {
    { SORA_PRECISION_AUTO, "Matrices whose numbers are bf16 in bf16, others in fp32, so that no weight is rounded", "auto" },
    { SORA_PRECISION_FP32, "All in fp32", "fp32" },
    { SORA_PRECISION_BF16, "All in bf16, for which more precise weights are rounded", "bf16" },
    { 0, NULL, NULL },
  };

  if (g_once_init_enter (&type))
    g_once_init_leave (&type, g_enum_register_static ("GstSoraSrcPrecision", values));
  return type;
}

#define GST_TYPE_SORA_SRC_TEXT_ENCODER_POLICY (gst_sora_src_text_encoder_policy_get_type ())

static GType
gst_sora_src_text_encoder_policy_get_type (void)
{
  static gsize type = 0;
  static const GEnumValue values[] = {
    { SORA_TEXT_ENCODER_POLICY_AUTO, "Release a large text encoder, keep a small one", "auto" },
    { SORA_TEXT_ENCODER_POLICY_RELEASE, "On the device only while a prompt is encoded", "release" },
    { SORA_TEXT_ENCODER_POLICY_KEEP, "On the device as long as the element runs", "keep" },
    { 0, NULL, NULL },
  };

  if (g_once_init_enter (&type))
    g_once_init_leave (&type, g_enum_register_static ("GstSoraSrcTextEncoderPolicy", values));
  return type;
}

static void
install_memory_properties (GObjectClass *class)
{
  g_object_class_install_property (class, PROP_WEIGHT_TYPE, g_param_spec_enum ("weight-type", "Weight type",
      "What the model's matrices are stored as on the device, which its memory depends on", GST_TYPE_SORA_SRC_WEIGHT_TYPE,
      DEFAULT_WEIGHT_TYPE, READY_FLAGS));
  g_object_class_install_property (class, PROP_PRECISION, g_param_spec_enum ("precision", "Precision",
      "What the model's matrices are multiplied in, on a device that has instructions for bf16; others use fp32", GST_TYPE_SORA_SRC_PRECISION,
      DEFAULT_PRECISION, READY_FLAGS));
  g_object_class_install_property (class, PROP_TEXT_ENCODER_POLICY, g_param_spec_enum ("text-encoder-policy", "Text encoder policy",
      "When the text encoder's weights are on the device: released they leave their memory to the rest, but are loaded again for each "
      "new prompt", GST_TYPE_SORA_SRC_TEXT_ENCODER_POLICY, DEFAULT_TEXT_ENCODER_POLICY, READY_FLAGS));
  g_object_class_install_property (class, PROP_MAX_MEMORY, g_param_spec_uint64 ("max-memory", "Maximum memory",
      "Bytes of the device's memory that may be used; weights that do not fit are streamed to it whenever they are used (0: nine tenths "
      "of what it has)", 0, G_MAXUINT64, DEFAULT_MAX_MEMORY, READY_FLAGS));
}

static void
install_guidance_properties (GObjectClass *class)
{
  g_object_class_install_property (class, PROP_GUIDANCE_SCALE, g_param_spec_double ("guidance-scale",
      "Guidance scale", "How strictly the prompt is followed, a factor; while playing it takes effect with the next block "
      "(-1: the model's own, 1: no guidance, and none later if it is 1 at the start)", -1, 100, DEFAULT_GUIDANCE_SCALE,
      PLAYING_FLAGS | GST_PARAM_CONTROLLABLE));
  g_object_class_install_property (class, PROP_GUIDANCE_SCALE_2, g_param_spec_double ("guidance-scale-2",
      "Guidance scale 2", "That of the second of two experts (-1: guidance-scale, or the model's own if that is)", -1, 100,
      DEFAULT_GUIDANCE_SCALE, READY_FLAGS));
  g_object_class_install_property (class, PROP_GUIDANCE_BEGIN, g_param_spec_double ("guidance-begin", "Guidance begin",
      "Share of the denoising steps before which there is no guidance, which makes them cost half", 0, 1, DEFAULT_GUIDANCE_BEGIN,
      READY_FLAGS));
  g_object_class_install_property (class, PROP_GUIDANCE_END, g_param_spec_double ("guidance-end", "Guidance end",
      "Share of the denoising steps after which there is no guidance, not below guidance-begin", 0, 1, DEFAULT_GUIDANCE_END,
      READY_FLAGS));
}

static void
install_sampling_properties (GObjectClass *class)
{
  g_object_class_install_property (class, PROP_SAMPLER, g_param_spec_enum ("sampler", "Sampler",
      "The way from noise to frames", GST_TYPE_SORA_SRC_SAMPLER, DEFAULT_SAMPLER, READY_FLAGS));
  g_object_class_install_property (class, PROP_STEPS, g_param_spec_uint ("steps", "Steps",
      "Denoising steps for each block (0: the model's own)", 0, 1000, DEFAULT_STEPS, READY_FLAGS));
  g_object_class_install_property (class, PROP_SHIFT, g_param_spec_double ("shift", "Shift",
      "Flow-matching time shift: the higher, the more of the steps are at high noise (-1: the model's own)", -1, 100, DEFAULT_SHIFT,
      READY_FLAGS));
  g_object_class_install_property (class, PROP_SEED, g_param_spec_int64 ("seed", "Seed",
      "Number that the noise is drawn from: the same seed gives the same frames (-1: random; from PAUSED on the number "
      "drawn can be read)", -1, G_MAXINT64, DEFAULT_SEED, READY_FLAGS));
}

static void
install_stream_properties (GObjectClass *class)
{
  g_object_class_install_property (class, PROP_CAUSAL, g_param_spec_boolean ("causal", "Causal",
      "Take the transformer for one that streams in few steps, as by Self-Forcing, though nothing beside it says so", FALSE, READY_FLAGS));
  g_object_class_install_property (class, PROP_DURATION, g_param_spec_int64 ("duration", "Duration",
      "Length of the video in nanoseconds, then EOS (-1: endless, or one clip of a model that makes clips)", -1,
      G_MAXINT64, DEFAULT_DURATION, READY_FLAGS));
  g_object_class_install_property (class, PROP_FIT, g_param_spec_enum ("fit", "Fit",
      "How the model's picture is fitted into other proportions, and at the start the image into the model's", GST_TYPE_SORA_SRC_FIT, DEFAULT_FIT, PLAYING_FLAGS));
  g_object_class_install_property (class, PROP_QUEUE_SIZE, g_param_spec_uint ("queue-size", "Queue size",
      "Blocks that may be generated ahead of the one being shown; more hide uneven generation, but delay a new prompt",
      1, 64, DEFAULT_QUEUE_SIZE, READY_FLAGS));
  g_object_class_install_property (class, PROP_IS_LIVE, g_param_spec_boolean ("is-live", "Is live",
      "Send buffers at their time by the pipeline's clock, repeating a frame where the next one is not ready",
      DEFAULT_IS_LIVE, READY_FLAGS));
  g_object_class_install_property (class, PROP_STATS, g_param_spec_boxed ("stats", "Statistics",
      "What has been generated and sent since start, and how fast: a structure, times in nanoseconds",
      GST_TYPE_STRUCTURE, G_PARAM_READABLE | G_PARAM_STATIC_STRINGS));
}

static void
gst_sora_src_finalize (GObject *object)
{
  GstSoraSrc *self = GST_SORA_SRC (object);

  g_free (self->settings.model);
  g_free (self->settings.transformer_2);
  g_free (self->settings.text_encoder);
  g_free (self->settings.vae);
  g_free (self->settings.device);
  g_free (self->settings.prompt);
  g_free (self->settings.negative_prompt);
  g_free (self->settings.image_encoder);
  g_free (self->settings.image);
  g_free (self->settings.last_image);
  g_free (self->settings.loras);
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
  object_class->set_property = gst_sora_src_set_property;
  object_class->get_property = gst_sora_src_get_property;
  install_text_properties (object_class);
  install_memory_properties (object_class);
  install_guidance_properties (object_class);
  install_sampling_properties (object_class);
  install_stream_properties (object_class);
  gst_type_mark_as_plugin_api (GST_TYPE_SORA_SRC_FIT, 0);
  gst_type_mark_as_plugin_api (GST_TYPE_SORA_SRC_SAMPLER, 0);
  gst_type_mark_as_plugin_api (GST_TYPE_SORA_SRC_WEIGHT_TYPE, 0);
  gst_type_mark_as_plugin_api (GST_TYPE_SORA_SRC_PRECISION, 0);
  gst_type_mark_as_plugin_api (GST_TYPE_SORA_SRC_TEXT_ENCODER_POLICY, 0);

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
  self->settings = (Settings) {
    .prompt = g_strdup (""),
    .negative_prompt = g_strdup (""),
    .loras = g_strdup (""),
    .weight_type = DEFAULT_WEIGHT_TYPE,
    .precision = DEFAULT_PRECISION,
    .text_encoder_policy = DEFAULT_TEXT_ENCODER_POLICY,
    .max_memory = DEFAULT_MAX_MEMORY,
    .guidance_scale = DEFAULT_GUIDANCE_SCALE,
    .guidance_scale_2 = DEFAULT_GUIDANCE_SCALE,
    .guidance_begin = DEFAULT_GUIDANCE_BEGIN,
    .guidance_end = DEFAULT_GUIDANCE_END,
    .sampler = DEFAULT_SAMPLER,
    .steps = DEFAULT_STEPS,
    .shift = DEFAULT_SHIFT,
    .vae_tile = DEFAULT_VAE_TILE,
    .seed = DEFAULT_SEED,
    .duration = DEFAULT_DURATION,
    .fit = DEFAULT_FIT,
    .queue_size = DEFAULT_QUEUE_SIZE,
  };
  self->used_seed = -1;
  reset_stream (self);
  gst_base_src_set_format (GST_BASE_SRC (self), GST_FORMAT_TIME);
  gst_base_src_set_live (GST_BASE_SRC (self), DEFAULT_IS_LIVE);
}
