/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A packed RGB frame at the model's size into a buffer of the negotiated format and size. */
#include "gstsoraconvert.h"

struct _GstSoraConvert
{
  GstVideoInfo in, out;
  GstSoraSrcFit fit;
  GstVideoConverter *converter;
};

GType
gst_sora_src_fit_get_type (void)
{
  static gsize type = 0;
  static const GEnumValue values[] = {
    { GST_SORA_SRC_FIT_CROP, "Fill the output, cut what sticks out", "crop" },
    { GST_SORA_SRC_FIT_LETTERBOX, "Show the whole picture, with black bars", "letterbox" },
    { GST_SORA_SRC_FIT_STRETCH, "Fill the output with the whole picture, out of proportion", "stretch" },
    { 0, NULL, NULL },
  };

  if (g_once_init_enter (&type))
    g_once_init_leave (&type, g_enum_register_static ("GstSoraSrcFit", values));
  return type;
}

/* The largest subsampling of any component, as a power of two: bars begin on whole chroma samples. */
static void
get_alignment (const GstVideoFormatInfo *format, gint *horizontal, gint *vertical)
{
  *horizontal = *vertical = 0;
  for (guint i = 0; i < GST_VIDEO_FORMAT_INFO_N_COMPONENTS (format); i++) {
    *horizontal = MAX (*horizontal, (gint) GST_VIDEO_FORMAT_INFO_W_SUB (format, i));
    *vertical = MAX (*vertical, (gint) GST_VIDEO_FORMAT_INFO_H_SUB (format, i));
  }
}

/* @part of @whole, in the middle, on multiples of 2^@shift where there is room for one */
static void
centre (gint whole, gint part, gint shift, gint *start, gint *length)
{
  gint mask = ~((1 << shift) - 1);

  part = CLAMP (part, 1, whole);
  *start = ((whole - part) / 2) & mask;
  *length = whole - 2 * *start;
}

void
gst_sora_convert_rectangles (guint width, guint height, const GstVideoInfo *out, GstSoraSrcFit fit,
    GstVideoRectangle *source, GstVideoRectangle *target)
{
  gint w = width, h = height, out_w = GST_VIDEO_INFO_WIDTH (out), out_h = GST_VIDEO_INFO_HEIGHT (out);
  /* display proportions of both, cross-multiplied: in : out = across : down */
  guint64 across = (guint64) w * out_h * GST_VIDEO_INFO_PAR_D (out);
  guint64 down = (guint64) h * out_w * GST_VIDEO_INFO_PAR_N (out);
  gint shift_w, shift_h;

  *source = (GstVideoRectangle) { 0, 0, w, h };
  *target = (GstVideoRectangle) { 0, 0, out_w, out_h };
  get_alignment (out->finfo, &shift_w, &shift_h);

  if (fit == GST_SORA_SRC_FIT_CROP && across > down)
    centre (w, gst_util_uint64_scale_round (w, down, across), 0, &source->x, &source->w);
  else if (fit == GST_SORA_SRC_FIT_CROP)
    centre (h, gst_util_uint64_scale_round (h, across, down), 0, &source->y, &source->h);
  else if (fit == GST_SORA_SRC_FIT_LETTERBOX && across > down)
    centre (out_h, gst_util_uint64_scale_round (out_h, down, across), shift_h, &target->y, &target->h);
  else if (fit == GST_SORA_SRC_FIT_LETTERBOX)
    centre (out_w, gst_util_uint64_scale_round (out_w, across, down), shift_w, &target->x, &target->w);
}

static GstStructure *
make_config (const GstVideoRectangle *source, const GstVideoRectangle *target)
{
  return gst_structure_new ("GstVideoConverterConfig",
      GST_VIDEO_CONVERTER_OPT_SRC_X, G_TYPE_INT, source->x, GST_VIDEO_CONVERTER_OPT_SRC_Y, G_TYPE_INT, source->y,
      GST_VIDEO_CONVERTER_OPT_SRC_WIDTH, G_TYPE_INT, source->w,
      GST_VIDEO_CONVERTER_OPT_SRC_HEIGHT, G_TYPE_INT, source->h,
      GST_VIDEO_CONVERTER_OPT_DEST_X, G_TYPE_INT, target->x, GST_VIDEO_CONVERTER_OPT_DEST_Y, G_TYPE_INT, target->y,
      GST_VIDEO_CONVERTER_OPT_DEST_WIDTH, G_TYPE_INT, target->w,
      GST_VIDEO_CONVERTER_OPT_DEST_HEIGHT, G_TYPE_INT, target->h,
      GST_VIDEO_CONVERTER_OPT_FILL_BORDER, G_TYPE_BOOLEAN, TRUE,
      GST_VIDEO_CONVERTER_OPT_BORDER_ARGB, G_TYPE_UINT, 0xff000000u, NULL);
}

GstSoraConvert *
gst_sora_convert_new (guint width, guint height, const GstVideoInfo *out, GstSoraSrcFit fit)
{
  g_autoptr (GstSoraConvert) convert = g_new0 (GstSoraConvert, 1);
  GstVideoRectangle source, target;

  convert->out = *out;
  convert->fit = fit;
  if (!gst_video_info_set_format (&convert->in, GST_VIDEO_FORMAT_RGB, width, height))
    return NULL;
  /* the converter insists on equal rates */
  GST_VIDEO_INFO_FPS_N (&convert->in) = GST_VIDEO_INFO_FPS_N (out);
  GST_VIDEO_INFO_FPS_D (&convert->in) = GST_VIDEO_INFO_FPS_D (out);

  gst_sora_convert_rectangles (width, height, out, fit, &source, &target);
  convert->converter = gst_video_converter_new (&convert->in, out, make_config (&source, &target));
  return convert->converter ? g_steal_pointer (&convert) : NULL;
}

void
gst_sora_convert_free (GstSoraConvert *convert)
{
  if (convert == NULL)
    return;
  g_clear_pointer (&convert->converter, gst_video_converter_free);
  g_free (convert);
}

GstSoraSrcFit
gst_sora_convert_get_fit (const GstSoraConvert *convert)
{
  return convert->fit;
}

/* libsora's rows are not padded to 4 bytes as GstVideoInfo's are, which a video meta tells. */
static GstBuffer *
wrap_rgb (const GstVideoInfo *info, const guint8 *rgb)
{
  gint width = GST_VIDEO_INFO_WIDTH (info), height = GST_VIDEO_INFO_HEIGHT (info);
  gsize offset[GST_VIDEO_MAX_PLANES] = { 0 }, size = (gsize) 3 * width * height;
  gint stride[GST_VIDEO_MAX_PLANES] = { 3 * width };
  GstBuffer *buffer =
      gst_buffer_new_wrapped_full (GST_MEMORY_FLAG_READONLY, (gpointer) rgb, size, 0, size, NULL, NULL);

  gst_buffer_add_video_meta_full (buffer, GST_VIDEO_FRAME_FLAG_NONE, GST_VIDEO_FORMAT_RGB, width, height, 1, offset,
      stride);
  return buffer;
}

gboolean
gst_sora_convert_frame (GstSoraConvert *convert, const guint8 *rgb, GstBuffer *buffer)
{
  g_autoptr (GstBuffer) wrapped = wrap_rgb (&convert->in, rgb);
  GstVideoFrame in, out;

  if (!gst_video_frame_map (&in, &convert->in, wrapped, GST_MAP_READ))
    return FALSE;
  if (!gst_video_frame_map (&out, &convert->out, buffer, GST_MAP_WRITE)) {
    gst_video_frame_unmap (&in);
    return FALSE;
  }
  gst_video_converter_frame (convert->converter, &in, &out);
  gst_video_frame_unmap (&out);
  gst_video_frame_unmap (&in);
  return TRUE;
}
