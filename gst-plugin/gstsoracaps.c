/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which caps are chosen among those that downstream accepts, and which of the model's sizes fits them. */
#include "gstsoracaps.h"

#include <math.h>

/* The frames' own layout, then others that keep every colour, then those that every player decodes. */
static const gchar *const preferred_formats[] = {
  "RGB", "BGR", "RGBx", "BGRx", "xRGB", "xBGR", "RGBA", "BGRA", "ARGB", "ABGR", "I420", "YV12", "NV12", "NV21", "YUY2",
  "UYVY",
};

static gboolean
has_choice (const GstStructure *structure, const gchar *field, const gchar *choice)
{
  const GValue *value = gst_structure_get_value (structure, field);
  g_auto (GValue) wanted = G_VALUE_INIT;

  g_value_init (&wanted, G_TYPE_STRING);
  g_value_set_static_string (&wanted, choice);
  return value && gst_value_is_subset (&wanted, value);
}

/* Fixes the format to the first preferred one that is among the choices; else it stays open. */
static void
fixate_format (GstStructure *structure)
{
  for (guint i = 0; i < G_N_ELEMENTS (preferred_formats); i++) {
    if (has_choice (structure, "format", preferred_formats[i])) {
      gst_structure_set (structure, "format", G_TYPE_STRING, preferred_formats[i], NULL);
      return;
    }
  }
}

/* Returns: width over height of a pixel */
static gdouble
fixate_pixel_aspect_ratio (GstStructure *structure)
{
  gint n = 1, d = 1;

  if (gst_structure_has_field (structure, "pixel-aspect-ratio"))
    gst_structure_fixate_field_nearest_fraction (structure, "pixel-aspect-ratio", 1, 1);
  else
    gst_structure_set (structure, "pixel-aspect-ratio", GST_TYPE_FRACTION, 1, 1, NULL);
  gst_structure_get_fraction (structure, "pixel-aspect-ratio", &n, &d);
  return n > 0 && d > 0 ? (gdouble) n / d : 1.0;
}

static gint
to_length (gdouble length)
{
  return (gint) CLAMP (round (length), 1, G_MAXINT);
}

/* A side that is open follows the other one, so that the model's picture keeps its proportions. */
static void
fixate_size (GstStructure *structure, guint model_width, guint model_height, gdouble pixel_aspect_ratio)
{
  gdouble ratio = model_width / (model_height * pixel_aspect_ratio); /* of the pixel grid */
  gint width, height;

  if (gst_structure_get_int (structure, "width", &width)) {
    gst_structure_fixate_field_nearest_int (structure, "height", to_length (width / ratio));
  } else if (gst_structure_get_int (structure, "height", &height)) {
    gst_structure_fixate_field_nearest_int (structure, "width", to_length (height * ratio));
  } else {
    gst_structure_fixate_field_nearest_int (structure, "width", to_length (model_height * ratio));
    gst_structure_get_int (structure, "width", &width);
    gst_structure_fixate_field_nearest_int (structure, "height", to_length (width / ratio));
  }
}

GstCaps *
gst_sora_caps_fixate (SoraModel *model, gdouble aspect_ratio, GstCaps *caps)
{
  GstStructure *structure;
  guint width, height;
  gint rate_n, rate_d;

  caps = gst_caps_make_writable (gst_caps_truncate (caps));
  structure = gst_caps_get_structure (caps, 0);
  sora_model_get_best_size (model, aspect_ratio, &width, &height);
  sora_model_get_frame_rate (model, &rate_n, &rate_d);

  fixate_format (structure);
  fixate_size (structure, width, height, fixate_pixel_aspect_ratio (structure));
  gst_structure_fixate_field_nearest_fraction (structure, "framerate", rate_n, rate_d);
  if (has_choice (structure, "interlace-mode", "progressive"))
    gst_structure_set (structure, "interlace-mode", G_TYPE_STRING, "progressive", NULL);
  return caps;
}

void
gst_sora_caps_get_model_size (SoraModel *model, const GstVideoInfo *info, guint *width, guint *height)
{
  gdouble across = (gdouble) GST_VIDEO_INFO_WIDTH (info) * GST_VIDEO_INFO_PAR_N (info);
  gdouble down = (gdouble) GST_VIDEO_INFO_HEIGHT (info) * GST_VIDEO_INFO_PAR_D (info);

  sora_model_get_best_size (model, across / down, width, height);
}
