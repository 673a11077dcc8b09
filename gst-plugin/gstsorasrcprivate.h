/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What sorasrc's files share: the element's settings and fields, and what one file does for another. */
#pragma once

#include "gstsorasrc.h"

#include <gst/video/video.h>
#include <sora/sora.h>

#include "gstsoraconvert.h"
#include "gstsoratimeline.h"
#include "gstsoraworker.h"
#include "picture.h"

G_BEGIN_DECLS

GST_DEBUG_CATEGORY_EXTERN (gst_sora_src_debug);
#define GST_CAT_DEFAULT gst_sora_src_debug

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
} GstSoraSrcSettings;

struct _GstSoraSrc
{
  GstPushSrc parent;

  GMutex lock;
  /* guarded by lock */
  GstSoraSrcSettings settings;
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
  GstVideoInfo info;           /* of format unknown before the first caps; changed with the lock, so that queries can read it */
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

/* gstsorasrcproperties.c */
void gst_sora_src_install_properties (GObjectClass *class);
void gst_sora_src_init_settings (GstSoraSrcSettings *settings);
void gst_sora_src_clear_settings (GstSoraSrcSettings *settings);

/* gstsorasrcevents.c: with the element as their user data; and a progress message */
extern const GstSoraWorkerEvents gst_sora_src_worker_events;
void gst_sora_src_post_progress (GstSoraSrc *self, GstProgressType type, const gchar *text);

/* gstsorasrcstart.c */
gboolean gst_sora_src_start (GstBaseSrc *src);
gboolean gst_sora_src_stop (GstBaseSrc *src);
/* Begins to load, now that the proportions asked for are known. */
gboolean gst_sora_src_start_worker (GstSoraSrc *self);
/* The streaming thread's fields as they are before the first buffer */
void gst_sora_src_reset_stream (GstSoraSrc *self);

/* gstsorasrcbuffers.c */
GstFlowReturn gst_sora_src_create (GstPushSrc *src, GstBuffer **buffer);

G_END_DECLS
