/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The times of output buffers at a frame rate that may change, and the model's frame that each time shows. */
#include "gstsoratimeline.h"

/* Times are rounded down to ns, so that the ns after the start of frame n is surely within frame n. */
guint64
gst_sora_frame_at (GstClockTime time, gint rate_n, gint rate_d)
{
  return gst_util_uint64_scale (time + 1, rate_n, rate_d * GST_SECOND);
}

GstClockTime
gst_sora_frame_time (guint64 frame, gint rate_n, gint rate_d)
{
  return gst_util_uint64_scale (frame, rate_d * GST_SECOND, rate_n);
}

GstClockTime
gst_sora_timeline_get_time (const GstSoraTimeline *line, guint64 ahead)
{
  if (line->fps_n == 0)
    return line->base;
  return line->base + gst_sora_frame_time (line->n + ahead, line->fps_n, line->fps_d);
}

guint64
gst_sora_timeline_get_offset (const GstSoraTimeline *line)
{
  return line->base_offset + line->n;
}

void
gst_sora_timeline_set_rate (GstSoraTimeline *line, gint fps_n, gint fps_d)
{
  gboolean at_start = line->base_offset + line->n == 0;

  line->base = gst_sora_timeline_get_time (line, 0);
  line->base_offset += line->n;
  line->n = 0;
  line->fps_n = fps_n;
  line->fps_d = fps_d;
  if (at_start)
    gst_sora_timeline_seek (line, line->base);
}

void
gst_sora_timeline_seek (GstSoraTimeline *line, GstClockTime position)
{
  line->base = line->fps_n == 0 ? position : 0;
  line->base_offset = 0;
  line->n = line->fps_n == 0 ? 0 : gst_sora_frame_at (position, line->fps_n, line->fps_d);
}

void
gst_sora_timeline_align (GstSoraTimeline *line)
{
  GstClockTime time = gst_sora_timeline_get_time (line, 0);

  gst_sora_timeline_seek (line, time);
  if (gst_sora_timeline_get_time (line, 0) < time)
    line->n++;
}
