/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A packed RGB frame at the model's size into a buffer of the negotiated format and size. */
#pragma once

#include <gst/video/video.h>

G_BEGIN_DECLS

/**
 * GstSoraSrcFit:
 * @GST_SORA_SRC_FIT_CROP: fill the output, cut what sticks out
 * @GST_SORA_SRC_FIT_LETTERBOX: show the whole picture, with black bars
 * @GST_SORA_SRC_FIT_STRETCH: fill the output with the whole picture, whatever its proportions become
 */
typedef enum {
  GST_SORA_SRC_FIT_CROP,
  GST_SORA_SRC_FIT_LETTERBOX,
  GST_SORA_SRC_FIT_STRETCH,
} GstSoraSrcFit;

#define GST_TYPE_SORA_SRC_FIT (gst_sora_src_fit_get_type ())
GType gst_sora_src_fit_get_type (void);

/* For one thread at a time. */
typedef struct _GstSoraConvert GstSoraConvert;

/* From @width x @height square pixels to @out; %NULL where GstVideoConverter knows no way. */
GstSoraConvert *gst_sora_convert_new (guint width, guint height, const GstVideoInfo *out, GstSoraSrcFit fit);
void gst_sora_convert_free (GstSoraConvert *convert);
GstSoraSrcFit gst_sora_convert_get_fit (const GstSoraConvert *convert);

/* @rgb: width * height packed R, G, B bytes; @buffer: writable, of the output's size. %FALSE where it cannot be mapped. */
gboolean gst_sora_convert_frame (GstSoraConvert *convert, const guint8 *rgb, GstBuffer *buffer);

/* The rectangles (pixels) that @fit takes from the input and fills in the output. */
void gst_sora_convert_rectangles (guint width, guint height, const GstVideoInfo *out, GstSoraSrcFit fit,
    GstVideoRectangle *source, GstVideoRectangle *target);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (GstSoraConvert, gst_sora_convert_free)

G_END_DECLS
