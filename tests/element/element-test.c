/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the element's tests have in common: a runner that speaks TAP, harnesses, pixels, messages. */
#include "element-test.h"

/* The elements beside ours; nothing else is scanned, which would take longer than the tests. */
static void
load_plugins (void)
{
  static const gchar *const names[] = { "coreelements", "videotestsrc", "videoconvertscale", "compositor", "app" };

  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    g_autofree gchar *file = g_strdup_printf ("%s/libgst%s.so", GST_PLUGINS_DIR, names[i]);
    GstPlugin *plugin = gst_plugin_load_file (file, NULL);
    if (plugin)
      gst_registry_add_plugin (gst_registry_get (), plugin);
    gst_clear_object (&plugin);
  }
}

int
element_test_run (int *argc, char ***argv, Suite *suite)
{
  SRunner *runner;
  int failed;

  gst_check_init (argc, argv);
  load_plugins ();
  gst_element_register (NULL, "sorasrc", GST_RANK_NONE, GST_TYPE_SORA_SRC);
  runner = srunner_create (suite);
  srunner_set_tap (runner, "-");
  srunner_run_all (runner, CK_SILENT);
  failed = srunner_ntests_failed (runner);
  srunner_free (runner);
  return failed > 0;
}

GstHarness *
element_test_harness (const gchar *properties, const gchar *caps)
{
  g_autofree gchar *description = g_strdup_printf ("sorasrc %s", properties ? properties : "");
  GstHarness *harness = gst_harness_new_parse (description);

  gst_harness_set_blocking_push_mode (harness);
  if (caps)
    gst_harness_set_sink_caps_str (harness, caps);
  gst_harness_play (harness);
  return harness;
}

guint32
element_test_pixel (GstBuffer *buffer, GstCaps *caps, guint x, guint y)
{
  GstVideoInfo info, rgb;
  GstVideoConverter *converter;
  GstVideoFrame in, out;
  g_autoptr (GstBuffer) copy = NULL;
  const guint8 *pixel;
  guint32 colour;

  fail_unless (gst_video_info_from_caps (&info, caps));
  gst_video_info_set_format (&rgb, GST_VIDEO_FORMAT_RGB, GST_VIDEO_INFO_WIDTH (&info), GST_VIDEO_INFO_HEIGHT (&info));
  rgb.fps_n = info.fps_n;
  rgb.fps_d = info.fps_d;
  copy = gst_buffer_new_allocate (NULL, GST_VIDEO_INFO_SIZE (&rgb), NULL);
  converter = gst_video_converter_new (&info, &rgb, NULL);
  fail_unless (gst_video_frame_map (&in, &info, buffer, GST_MAP_READ));
  fail_unless (gst_video_frame_map (&out, &rgb, copy, GST_MAP_WRITE));
  gst_video_converter_frame (converter, &in, &out);
  pixel = (guint8 *) GST_VIDEO_FRAME_PLANE_DATA (&out, 0) + y * GST_VIDEO_FRAME_PLANE_STRIDE (&out, 0) + 3 * x;
  colour = pixel[0] << 16 | pixel[1] << 8 | pixel[2];
  gst_video_frame_unmap (&out);
  gst_video_frame_unmap (&in);
  gst_video_converter_free (converter);
  return colour;
}

static guint32
corner (GstHarness *harness, GstBuffer *buffer)
{
  g_autoptr (GstCaps) caps = gst_pad_get_current_caps (harness->sinkpad);

  return element_test_pixel (buffer, caps, 0, 0);
}

guint
element_test_frame (GstHarness *harness, GstBuffer *buffer)
{
  guint32 colour = corner (harness, buffer);

  return colour >> 16 | (colour >> 8 & 0xff) << 8;
}

guint8
element_test_mood (GstHarness *harness, GstBuffer *buffer)
{
  return corner (harness, buffer) & 0xff;
}

GstElement *
element_test_pipeline (const gchar *description)
{
  g_autoptr (GError) error = NULL;
  GstElement *pipeline = gst_parse_launch (description, &error);

  fail_unless (error == NULL, "%s", error ? error->message : "");
  return pipeline;
}

GstMessage *
element_test_wait (GstElement *pipeline, GstMessageType types, guint seconds)
{
  g_autoptr (GstBus) bus = gst_element_get_bus (pipeline);
  GstMessage *message = gst_bus_timed_pop_filtered (bus, seconds * GST_SECOND, types | GST_MESSAGE_ERROR);

  fail_unless (message != NULL, "no message in %u s", seconds);
  if (GST_MESSAGE_TYPE (message) == GST_MESSAGE_ERROR && !(types & GST_MESSAGE_ERROR)) {
    g_autoptr (GError) error = NULL;
    gst_message_parse_error (message, &error, NULL);
    fail ("unexpected error: %s", error->message);
  }
  return message;
}

GstSample *
element_test_pull (GstElement *pipeline)
{
  g_autoptr (GstElement) sink = gst_bin_get_by_name (GST_BIN (pipeline), "sink");
  GstSample *sample = NULL;

  g_signal_emit_by_name (sink, "try-pull-sample", (guint64) 5 * GST_SECOND, &sample);
  fail_unless (sample != NULL, "no sample in 5 s");
  return sample;
}

void
element_test_stop (GstElement *pipeline)
{
  fail_unless_equals_int (gst_element_set_state (pipeline, GST_STATE_NULL), GST_STATE_CHANGE_SUCCESS);
  gst_object_unref (pipeline);
}

void
element_test_assert_all_freed (void)
{
  fail_unless_equals_int (fake_sora_calls.streams, 0);
  fail_unless_equals_int (fake_sora_calls.blocks, 0);
  fail_unless_equals_int (fake_sora_calls.models, 0);
  fail_unless_equals_int (fake_sora_calls.devices, 0);
}

ElementTest
element_test_play (const gchar *properties)
{
  g_autofree gchar *description = g_strdup_printf ("sorasrc name=source seed=9 %s ! video/x-raw,format=RGB,framerate=16/1"
      " ! appsink name=sink sync=false max-buffers=1", properties);
  ElementTest test = { element_test_pipeline (description), NULL };

  test.source = gst_bin_get_by_name (GST_BIN (test.pipeline), "source");
  gst_element_set_state (test.pipeline, GST_STATE_PLAYING);
  return test;
}

void
element_test_end (ElementTest *test)
{
  gst_object_unref (test->source);
  element_test_stop (test->pipeline);
  element_test_assert_all_freed ();
}

guint8
element_test_pull_mood (ElementTest *test)
{
  g_autoptr (GstSample) sample = element_test_pull (test->pipeline);

  return element_test_pixel (gst_sample_get_buffer (sample), gst_sample_get_caps (sample), 0, 0) & 0xff;
}
