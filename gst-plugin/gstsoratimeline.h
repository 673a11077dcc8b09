/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The times of output buffers at a frame rate that may change, and the model's frame that each time shows. */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

/* Buffer n since the last change of rate starts at base + n * fps_d / fps_n seconds. For one thread at a time. */
typedef struct {
  gint fps_n, fps_d; /* 0/1 until a rate is set */
  GstClockTime base; /* ns */
  guint64 n;
  guint64 base_offset; /* buffers before base */
} GstSoraTimeline;

/* Continues at the present time with another rate; @fps_n above 0. */
void gst_sora_timeline_set_rate (GstSoraTimeline *line, gint fps_n, gint fps_d);
/* Goes to the last buffer of a constant rate since 0 that starts at @position or before. */
void gst_sora_timeline_seek (GstSoraTimeline *line, GstClockTime position);
/* Goes to the first buffer of a constant rate since 0 that starts at the present time or after. */
void gst_sora_timeline_align (GstSoraTimeline *line);
/* ns; the start of the @ahead-th buffer from the present one */
GstClockTime gst_sora_timeline_get_time (const GstSoraTimeline *line, guint64 ahead);
guint64 gst_sora_timeline_get_offset (const GstSoraTimeline *line);

/* the frame that is shown at @time (ns) by something of @rate_n / @rate_d frames a second */
guint64 gst_sora_frame_at (GstClockTime time, gint rate_n, gint rate_d);
/* ns; the start of @frame */
GstClockTime gst_sora_frame_time (guint64 frame, gint rate_n, gint rate_d);

G_END_DECLS
