/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The image property: what of a picture file reaches the engine, at which size, and what is refused. */
#include "element-test.h"

#include <gdk-pixbuf/gdk-pixbuf.h>
#include <glib/gstdio.h>

#define RED 0xff0000
#define WHITE 0xffffff
#define BLACK 0x000000

static gchar *folder;

/* A temporary file's path, (transfer full): a white picture of @width x @height pixels with a red edge of a quarter on the left and right. */
static gchar *
draw_picture (guint width, guint height)
{
  gchar *path = g_build_filename (folder, "picture.png", NULL);
  g_autoptr (GdkPixbuf) picture = gdk_pixbuf_new (GDK_COLORSPACE_RGB, FALSE, 8, width, height);
  g_autoptr (GdkPixbuf) middle = gdk_pixbuf_new_subpixbuf (picture, width / 4, 0, width / 2, height);

  gdk_pixbuf_fill (picture, 0xff0000ff);
  gdk_pixbuf_fill (middle, 0xffffffff);
  fail_unless (gdk_pixbuf_save (picture, path, "png", NULL, NULL));
  return path;
}

/* The double's model is 32x32, 64x32 or 32x64. */
static const struct {
  guint width, height;          /* of the picture */
  const gchar *caps, *fit;
  guint stream_width, stream_height;
  guint32 corner, top, left;
} table[] = {
  { 80, 40, NULL, "crop", 64, 32, RED, WHITE, RED },
  { 40, 80, NULL, "crop", 32, 64, RED, WHITE, RED },
  { 50, 50, NULL, "crop", 32, 32, RED, WHITE, RED },
  { 80, 40, "video/x-raw,format=RGB", "stretch", 64, 32, RED, WHITE, RED },
  /* what downstream asks for goes before the picture's proportions: its middle, all of it between bars, all of it */
  { 80, 40, "video/x-raw,width=100,height=100", "crop", 32, 32, WHITE, WHITE, WHITE },
  { 80, 40, "video/x-raw,width=100,height=100", "letterbox", 32, 32, BLACK, BLACK, RED },
  { 80, 40, "video/x-raw,width=100,height=100", "stretch", 32, 32, RED, WHITE, RED },
  { 80, 40, "video/x-raw,width=100,height=200", "letterbox", 32, 64, BLACK, BLACK, RED },
};

GST_START_TEST (test_reaches_the_engine)
{
  g_autofree gchar *path = draw_picture (table[__i__].width, table[__i__].height);
  g_autofree gchar *properties = g_strdup_printf ("image=%s fit=%s", path, table[__i__].fit);
  GstHarness *harness = element_test_harness (properties, table[__i__].caps);
  const FakeSoraImage *image = &fake_sora_calls.image;

  gst_buffer_unref (gst_harness_pull (harness));
  fail_unless_equals_int (fake_sora_calls.width, table[__i__].stream_width);
  fail_unless_equals_int (fake_sora_calls.height, table[__i__].stream_height);
  fail_unless_equals_int (image->width, table[__i__].stream_width);
  fail_unless_equals_int (image->height, table[__i__].stream_height);
  fail_unless_equals_int_hex (image->corner, table[__i__].corner);
  fail_unless_equals_int_hex (image->top, table[__i__].top);
  fail_unless_equals_int_hex (image->left, table[__i__].left);
  gst_harness_teardown (harness);
  element_test_assert_all_freed ();
}
GST_END_TEST;

/* The last one goes the same way, and has no say in the size. */
GST_START_TEST (test_last_image)
{
  g_autofree gchar *path = draw_picture (80, 40);
  g_autofree gchar *properties = g_strdup_printf ("last-image=%s fit=letterbox", path);
  GstHarness *harness = element_test_harness (properties, NULL);
  const FakeSoraImage *image = &fake_sora_calls.last_image;

  gst_buffer_unref (gst_harness_pull (harness));
  fail_unless_equals_int (fake_sora_calls.image.width, 0);
  fail_unless_equals_int (image->width, 32);
  fail_unless_equals_int (image->height, 32);
  fail_unless_equals_int_hex (image->corner, BLACK);
  fail_unless_equals_int_hex (image->left, RED);
  gst_harness_teardown (harness);
  element_test_assert_all_freed ();
}
GST_END_TEST;

/* The size that is negotiated where nothing is asked for, and again once the caps are opened after others. */
GST_START_TEST (test_caps)
{
  g_autofree gchar *path = draw_picture (80, 40);
  g_autofree gchar *properties = g_strdup_printf ("image=%s", path);
  GstHarness *harness = element_test_harness (properties, "video/x-raw,format=RGB");
  static const gchar *const caps[] = { "video/x-raw,format=RGB,width=10,height=10", "video/x-raw,format=RGB" };

  for (guint i = 0; i < 3; i++) {
    g_autoptr (GstCaps) now = NULL;
    GstVideoInfo info;
    gst_buffer_unref (gst_harness_pull (harness));
    now = gst_pad_get_current_caps (harness->sinkpad);
    fail_unless (gst_video_info_from_caps (&info, now));
    fail_unless_equals_int (GST_VIDEO_INFO_WIDTH (&info), i == 1 ? 10 : 64);
    fail_unless_equals_int (GST_VIDEO_INFO_HEIGHT (&info), i == 1 ? 10 : 32);
    if (i == 2)
      break;
    gst_harness_set_sink_caps_str (harness, caps[i]);
    gst_harness_push_upstream_event (harness, gst_event_new_reconfigure ());
    gst_buffer_unref (gst_harness_pull (harness));      /* that which was on its way */
  }
  gst_harness_teardown (harness);
}
GST_END_TEST;

/* One run with a picture, one without, one with another. */
GST_START_TEST (test_changed_between_runs)
{
  g_autofree gchar *path = draw_picture (40, 80);
  GstElement *pipeline = element_test_pipeline ("sorasrc name=source num-buffers=2 ! fakesink");
  g_autoptr (GstElement) source = gst_bin_get_by_name (GST_BIN (pipeline), "source");
  const gchar *const images[] = { path, "", path, NULL };

  for (guint i = 0; i < G_N_ELEMENTS (images); i++) {
    g_object_set (source, "image", images[i], NULL);
    gst_element_set_state (pipeline, GST_STATE_PLAYING);
    gst_message_unref (element_test_wait (pipeline, GST_MESSAGE_EOS, 5));
    fail_unless_equals_int (fake_sora_calls.image.height, i % 2 ? 0 : 64);
    fail_unless_equals_int (fake_sora_calls.height, i % 2 ? 32 : 64);
    gst_element_set_state (pipeline, i == 0 ? GST_STATE_NULL : GST_STATE_READY);
  }
  element_test_stop (pipeline);
  element_test_assert_all_freed ();
}
GST_END_TEST;

static void
assert_refused (const gchar *property, const gchar *path, GQuark domain, gint code)
{
  GstElement *pipeline = element_test_pipeline ("sorasrc name=source ! fakesink");
  g_autoptr (GstElement) source = gst_bin_get_by_name (GST_BIN (pipeline), "source");
  g_autofree gchar *name = g_path_get_basename (path);
  g_autoptr (GstMessage) message = NULL;
  g_autoptr (GError) error = NULL;

  g_object_set (source, property, path, NULL);
  fail_unless_equals_int (gst_element_set_state (pipeline, GST_STATE_PAUSED), GST_STATE_CHANGE_FAILURE);
  message = element_test_wait (pipeline, GST_MESSAGE_ERROR, 5);
  gst_message_parse_error (message, &error, NULL);
  fail_unless (g_error_matches (error, domain, code), "%s %d", g_quark_to_string (error->domain), error->code);
  fail_unless (strstr (error->message, name) != NULL, "%s", error->message);
  gst_element_set_state (pipeline, GST_STATE_NULL);
  element_test_assert_all_freed ();

  g_object_set (source, property, NULL, NULL);
  gst_element_set_state (pipeline, GST_STATE_PAUSED);
  fail_unless_equals_int (gst_element_get_state (pipeline, NULL, NULL, 5 * GST_SECOND), GST_STATE_CHANGE_SUCCESS);
  element_test_stop (pipeline);
}

/* A file that is missing, none at all, or no picture fails the change to PAUSED; the element can be used again. */
GST_START_TEST (test_refused)
{
  g_autofree gchar *missing = g_build_filename (folder, "missing.png", NULL), *text = g_build_filename (folder, "text.txt", NULL);

  fail_unless (g_file_set_contents (text, "no picture", -1, NULL));
  assert_refused ("image", missing, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NOT_FOUND);
  assert_refused ("image", folder, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_READ);
  assert_refused ("image", text, GST_STREAM_ERROR, GST_STREAM_ERROR_DECODE);
  assert_refused ("last-image", missing, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NOT_FOUND);
}
GST_END_TEST;

static void
remove_folder (void)
{
  static const gchar *const names[] = { "picture.png", "text.txt" };

  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    g_autofree gchar *path = g_build_filename (folder, names[i], NULL);
    g_unlink (path);
  }
  g_rmdir (folder);
  g_free (folder);
}

int
main (int argc, char **argv)
{
  Suite *suite = suite_create ("image");
  TCase *tcase = tcase_create ("all");
  int status;

  folder = g_dir_make_tmp ("sora-test-XXXXXX", NULL);
  suite_add_tcase (suite, tcase);
  tcase_add_loop_test (tcase, test_reaches_the_engine, 0, G_N_ELEMENTS (table));
  tcase_add_test (tcase, test_last_image);
  tcase_add_test (tcase, test_caps);
  tcase_add_test (tcase, test_changed_between_runs);
  tcase_add_test (tcase, test_refused);
  status = element_test_run (&argc, &argv, suite);
  remove_folder ();
  return status;
}
