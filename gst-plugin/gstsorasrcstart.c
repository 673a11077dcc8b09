/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sorasrc's start and stop: model, device and pictures are opened, and once the size is known the worker begins. */
#include "gstsoracaps.h"
#include "gstsoraerror.h"
#include "gstsoramodels.h"
#include "gstsorasrcprivate.h"

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
copy_files (const GstSoraSrcSettings *settings)
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

void
gst_sora_src_reset_stream (GstSoraSrc *self)
{
  g_mutex_lock (&self->lock);
  gst_video_info_init (&self->info);
  g_mutex_unlock (&self->lock);
  self->content = self->line = (GstSoraTimeline) { 0, 1, 0, 0, 0 };
  self->line_started = self->variable_rate = FALSE;
  self->frame = G_MAXUINT64;
  g_clear_pointer (&self->convert, gst_sora_convert_free);
  g_clear_pointer (&self->block, sora_block_unref);
  gst_clear_buffer (&self->last);
  g_clear_pointer (&self->tagged_prompt, g_free);
}

gboolean
gst_sora_src_start (GstBaseSrc *src)
{
  GstSoraSrc *self = GST_SORA_SRC (src);
  gint64 duration;

  if (!open_files_and_device (self))
    return FALSE;

  g_mutex_lock (&self->lock);
  self->worker = gst_sora_worker_new (self->model, self->device, self->settings.queue_size, &gst_sora_src_worker_events, self);
  self->used_seed = self->settings.seed >= 0 ? self->settings.seed : (gint64) g_random_int ();
  self->buffers = self->repeated = self->dropped = 0;
  duration = self->settings.duration;
  g_mutex_unlock (&self->lock);

  gst_sora_src_reset_stream (self);
  set_length (self, duration);
  g_object_notify (G_OBJECT (self), "seed");
  return TRUE;
}

gboolean
gst_sora_src_stop (GstBaseSrc *src)
{
  GstSoraSrc *self = GST_SORA_SRC (src);
  GstSoraWorker *worker;

  g_mutex_lock (&self->lock);
  worker = g_steal_pointer (&self->worker);
  self->used_seed = -1;
  g_mutex_unlock (&self->lock);

  gst_sora_worker_free (worker);
  gst_sora_src_reset_stream (self);
  g_clear_object (&self->picture);
  g_clear_object (&self->last_picture);
  g_clear_pointer (&self->device, sora_device_unref);
  g_clear_pointer (&self->model, gst_sora_models_release);
  return TRUE;
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

gboolean
gst_sora_src_start_worker (GstSoraSrc *self)
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
  gst_sora_src_post_progress (self, GST_PROGRESS_TYPE_START, "loading the model");
  if (gst_sora_worker_start (self->worker, options, prompt, loras, guidance_scale, &error))
    return TRUE;
  GST_ELEMENT_ERROR (self, CORE, THREAD, (NULL), ("%s", error->message));
  return FALSE;
}
