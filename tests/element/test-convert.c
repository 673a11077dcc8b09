/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Fitting and converting: rectangles against hand-made numbers, pixels of every raw format against the picture. */
#include "element-test.h"
#include "gstsoraconvert.h"

#define CROP GST_SORA_SRC_FIT_CROP
#define LETTERBOX GST_SORA_SRC_FIT_LETTERBOX
#define STRETCH GST_SORA_SRC_FIT_STRETCH

static const struct {
  guint width, height;
  gint out_width, out_height, par_n, par_d;
  GstVideoFormat format;
  GstSoraSrcFit fit;
  GstVideoRectangle source, target;
} fits[] = {
  { 256, 256, 256, 256, 1, 1, GST_VIDEO_FORMAT_RGB, CROP, { 0, 0, 256, 256 }, { 0, 0, 256, 256 } },
  { 256, 256, 256, 256, 1, 1, GST_VIDEO_FORMAT_RGB, LETTERBOX, { 0, 0, 256, 256 }, { 0, 0, 256, 256 } },
  { 256, 256, 1280, 720, 1, 1, GST_VIDEO_FORMAT_I420, CROP, { 0, 56, 256, 144 }, { 0, 0, 1280, 720 } },
  { 256, 256, 1280, 720, 1, 1, GST_VIDEO_FORMAT_I420, LETTERBOX, { 0, 0, 256, 256 }, { 280, 0, 720, 720 } },
  { 256, 256, 1280, 720, 1, 1, GST_VIDEO_FORMAT_I420, STRETCH, { 0, 0, 256, 256 }, { 0, 0, 1280, 720 } },
  { 256, 256, 360, 640, 1, 1, GST_VIDEO_FORMAT_I420, CROP, { 56, 0, 144, 256 }, { 0, 0, 360, 640 } },
  { 256, 256, 360, 640, 1, 1, GST_VIDEO_FORMAT_I420, LETTERBOX, { 0, 0, 256, 256 }, { 0, 140, 360, 360 } },
  /* PAL, 16:9 on display: 720 pixels of 64/45 stand for 1024 */
  { 256, 256, 720, 576, 64, 45, GST_VIDEO_FORMAT_I420, CROP, { 0, 56, 256, 144 }, { 0, 0, 720, 576 } },
  { 256, 256, 720, 576, 64, 45, GST_VIDEO_FORMAT_RGB, LETTERBOX, { 0, 0, 256, 256 }, { 157, 0, 406, 576 } },
  /* the same with chroma of half the width: the bars are even */
  { 256, 256, 720, 576, 64, 45, GST_VIDEO_FORMAT_I420, LETTERBOX, { 0, 0, 256, 256 }, { 156, 0, 408, 576 } },
  /* square pixels that are twice as wide */
  { 64, 32, 32, 32, 2, 1, GST_VIDEO_FORMAT_RGB, CROP, { 0, 0, 64, 32 }, { 0, 0, 32, 32 } },
  { 256, 256, 1, 1000, 1, 1, GST_VIDEO_FORMAT_RGB, CROP, { 127, 0, 2, 256 }, { 0, 0, 1, 1000 } },
  { 256, 256, 1000, 1, 1, 1, GST_VIDEO_FORMAT_I420, LETTERBOX, { 0, 0, 256, 256 }, { 498, 0, 4, 1 } },
};

static void
assert_rectangle (const GstVideoRectangle *actual, const GstVideoRectangle *expected)
{
  fail_unless_equals_int (actual->x, expected->x);
  fail_unless_equals_int (actual->y, expected->y);
  fail_unless_equals_int (actual->w, expected->w);
  fail_unless_equals_int (actual->h, expected->h);
}

GST_START_TEST (test_rectangles)
{
  GstVideoRectangle source, target;
  GstVideoInfo out;

  gst_video_info_set_format (&out, fits[__i__].format, fits[__i__].out_width, fits[__i__].out_height);
  out.par_n = fits[__i__].par_n;
  out.par_d = fits[__i__].par_d;
  gst_sora_convert_rectangles (fits[__i__].width, fits[__i__].height, &out, fits[__i__].fit, &source, &target);
  assert_rectangle (&source, &fits[__i__].source);
  assert_rectangle (&target, &fits[__i__].target);
}
GST_END_TEST;

/* Compares with what @format can say of @expected; grey keeps the luma alone. */
static void
assert_colour (const GstVideoFormatInfo *format, guint32 actual, guint32 expected, gint tolerance)
{
  if (GST_VIDEO_FORMAT_INFO_IS_GRAY (format)) {
    gdouble luma = 0.299 * (expected >> 16) + 0.587 * (expected >> 8 & 0xff) + 0.114 * (expected & 0xff);
    expected = (guint) luma * 0x010101;
  }
  for (guint shift = 0; shift < 24; shift += 8) {
    gint difference = (gint) (actual >> shift & 0xff) - (gint) (expected >> shift & 0xff);
    fail_unless (ABS (difference) <= tolerance, "%s: %06x instead of %06x", GST_VIDEO_FORMAT_INFO_NAME (format), actual,
        expected);
  }
}

static void
check_quadrants (const gchar *caps_text, gint width, gint height, gint tolerance)
{
  static const guint32 expected[4] = { 0xff0000, 0x00ff00, 0x0000ff, 0xffffff };
  g_autoptr (GstCaps) caps = gst_caps_from_string (caps_text);
  GstHarness *harness = element_test_harness (NULL, caps_text);
  g_autoptr (GstBuffer) buffer = gst_harness_pull (harness);
  GstVideoInfo info;

  fail_unless (buffer != NULL);
  fail_unless (gst_video_info_from_caps (&info, caps));
  fail_unless_equals_uint64 (gst_buffer_get_size (buffer), GST_VIDEO_INFO_SIZE (&info));
  for (gint i = 0; i < 4; i++)
    assert_colour (info.finfo,
        element_test_pixel (buffer, caps, (1 + 2 * (i % 2)) * width / 4, (1 + 2 * (i / 2)) * height / 4), expected[i],
        tolerance);
  gst_harness_teardown (harness);
}

/* 8-bit YUV rounds to about 3; 5 bits a colour to 8, and the palette's 6 levels a colour have what is saturated. */
GST_START_TEST (test_every_format)
{
  g_autoptr (GstCaps) all = gst_caps_from_string (GST_VIDEO_CAPS_MAKE (GST_VIDEO_FORMATS_ALL));
  const GValue *formats = gst_structure_get_value (gst_caps_get_structure (all, 0), "format");

  fake_sora.quadrants = TRUE;
  for (guint i = 0; i < gst_value_list_get_size (formats); i++) {
    g_autofree gchar *caps = g_strdup_printf ("video/x-raw,format=%s,width=64,height=64,framerate=16/1",
        g_value_get_string (gst_value_list_get_value (formats, i)));
    check_quadrants (caps, 64, 64, 8);
  }
  fail_unless (gst_value_list_get_size (formats) > 100);
}
GST_END_TEST;

static const gchar *const size_formats[] = { "RGB", "I420", "NV12", "YUY2", "BGRx", "I420_10LE", "GRAY8", "Y41B" };
static const struct { gint width, height; } sizes[] = {
  { 32, 32 }, { 33, 35 }, { 64, 36 }, { 1280, 720 }, { 720, 1280 }, { 100, 8 }, { 9, 100 },
};

/* A quarter of the smallest of these sides is one chroma sample away from the next quadrant, so colours bleed by up to a
 * sixth; a wrong quadrant is off by 255. */
GST_START_TEST (test_sizes)
{
  fake_sora.quadrants = TRUE;
  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++) {
    g_autofree gchar *caps = g_strdup_printf ("video/x-raw,format=%s,width=%d,height=%d,framerate=16/1",
        size_formats[__i__], sizes[i].width, sizes[i].height);
    check_quadrants (caps, sizes[i].width, sizes[i].height, 48);
  }
}
GST_END_TEST;

GST_START_TEST (test_one_pixel)
{
  g_autofree gchar *caps = g_strdup_printf ("video/x-raw,format=%s,width=1,height=1", size_formats[__i__]);
  GstHarness *harness = element_test_harness (NULL, caps);
  GstBuffer *buffer = gst_harness_pull (harness);

  fail_unless (buffer != NULL);
  gst_buffer_unref (buffer);
  gst_harness_teardown (harness);
}
GST_END_TEST;

/* A pixel in the bar that is 6 wide, while the property changes. */
GST_START_TEST (test_fit_while_playing)
{
  GstHarness *harness;
  g_autoptr (GstCaps) caps = gst_caps_from_string ("video/x-raw,format=RGB,width=44,height=32,framerate=16/1");
  guint32 corners[3];

  fake_sora.quadrants = TRUE;
  harness = element_test_harness ("fit=letterbox", "video/x-raw,format=RGB,width=44,height=32,framerate=16/1");
  for (gint i = 0; i < 3; i++) {
    GstBuffer *buffer = gst_harness_pull (harness);
    corners[i] = element_test_pixel (buffer, caps, 2, 4);
    gst_buffer_unref (buffer);
    if (i == 0)
      gst_harness_set (harness, "sorasrc", "fit", STRETCH, NULL);
  }
  /* the buffer after the first may have been made before the change */
  fail_unless_equals_int (corners[0], 0x000000);
  fail_unless_equals_int (corners[2], 0xff0000);
  gst_harness_teardown (harness);
}
GST_END_TEST;

int
main (int argc, char **argv)
{
  Suite *suite = suite_create ("convert");
  TCase *tcase = tcase_create ("all");

  suite_add_tcase (suite, tcase);
  tcase_add_loop_test (tcase, test_rectangles, 0, G_N_ELEMENTS (fits));
  tcase_add_test (tcase, test_every_format);
  tcase_add_loop_test (tcase, test_sizes, 0, G_N_ELEMENTS (size_formats));
  tcase_add_loop_test (tcase, test_one_pixel, 0, G_N_ELEMENTS (size_formats));
  tcase_add_test (tcase, test_fit_while_playing);
  return element_test_run (&argc, &argv, suite);
}
