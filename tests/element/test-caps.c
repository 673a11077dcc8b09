/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Negotiation: what is chosen for what downstream asks, the model's size for it, and changes while running. */
#include "element-test.h"

/* The double: 32 x 32 at 16 frames a second; 64 x 32 and 32 x 64 for wide and high pictures. */
static const struct {
  const gchar *asked;
  const gchar *chosen;
  guint model_width, model_height;
} table[] = {
  { "ANY", "format=RGB,width=32,height=32,framerate=16/1,pixel-aspect-ratio=1/1", 32, 32 },
  { "video/x-raw", "format=RGB,width=32,height=32,framerate=16/1,pixel-aspect-ratio=1/1", 32, 32 },
  { "video/x-raw,format=I420", "format=I420,width=32,height=32,framerate=16/1,pixel-aspect-ratio=1/1", 32, 32 },
  /* of what many encoders take, what players know; not the first */
  { "video/x-raw,format={Y444,Y42B,I420,NV12}", "format=I420,width=32,height=32,framerate=16/1", 32, 32 },
  { "video/x-raw,format={AYUV64,BGRx,I420}", "format=BGRx,width=32,height=32,framerate=16/1", 32, 32 },
  { "video/x-raw,format={Y444_16LE,GRAY8}", "format=Y444_16LE,width=32,height=32,framerate=16/1", 32, 32 },
  { "video/x-raw,width=640,height=480", "width=640,height=480,framerate=16/1", 32, 32 },
  { "video/x-raw,width=640,height=360", "width=640,height=360,framerate=16/1", 64, 32 },
  { "video/x-raw,width=360,height=640", "width=360,height=640,framerate=16/1", 32, 64 },
  { "video/x-raw,width=100", "width=100,height=100,framerate=16/1", 32, 32 },
  { "video/x-raw,height=48", "width=48,height=48,framerate=16/1", 32, 32 },
  { "video/x-raw,width=[1,20]", "width=20,height=20,framerate=16/1", 32, 32 },
  { "video/x-raw,width=[100,200],height=[50,1000]", "width=100,height=100,framerate=16/1", 32, 32 },
  { "video/x-raw,width={16,31,64}", "width=31,height=31", 32, 32 },
  /* 720 pixels of 64/45 stand for 1024, so the picture is wide */
  { "video/x-raw,width=720,height=576,pixel-aspect-ratio=64/45",
      "width=720,height=576,pixel-aspect-ratio=64/45,framerate=16/1", 64, 32 },
  { "video/x-raw,pixel-aspect-ratio=2/1", "width=16,height=32,pixel-aspect-ratio=2/1", 32, 32 },
  { "video/x-raw,width=32,pixel-aspect-ratio=2/1", "width=32,height=64,pixel-aspect-ratio=2/1", 32, 32 },
  { "video/x-raw,pixel-aspect-ratio={4/3,1/1}", "width=32,height=32,pixel-aspect-ratio=1/1", 32, 32 },
  { "video/x-raw,framerate=30000/1001", "framerate=30000/1001,width=32", 32, 32 },
  { "video/x-raw,framerate=[20/1,60/1]", "framerate=20/1,width=32", 32, 32 },
  { "video/x-raw,framerate={5/1,15/1,25/1}", "framerate=15/1,width=32", 32, 32 },
  { "video/x-raw,framerate=0/1", "framerate=0/1,width=32", 32, 32 },
  { "video/x-raw,framerate=[0/1,10/1]", "framerate=10/1,width=32", 32, 32 },
  { "video/x-raw,interlace-mode={interleaved,progressive}", "interlace-mode=progressive,width=32", 32, 32 },
  { "video/x-raw,colorimetry={bt709,bt601}", "colorimetry=bt709,width=32", 32, 32 },
};

GST_START_TEST (test_choice)
{
  g_autofree gchar *text = g_strdup_printf ("video/x-raw,%s", table[__i__].chosen);
  g_autoptr (GstCaps) expected = gst_caps_from_string (text), caps = NULL;
  GstHarness *harness = element_test_harness (NULL, table[__i__].asked);
  GstBuffer *buffer = gst_harness_pull (harness);

  fail_unless (buffer != NULL);
  gst_buffer_unref (buffer);
  caps = gst_pad_get_current_caps (harness->sinkpad);
  fail_unless (gst_caps_is_subset (caps, expected), "%s instead of %s", gst_caps_to_string (caps), text);
  fail_unless_equals_int (fake_sora_calls.width, table[__i__].model_width);
  fail_unless_equals_int (fake_sora_calls.height, table[__i__].model_height);
  gst_harness_teardown (harness);
  element_test_assert_all_freed ();
}
GST_END_TEST;

static const struct {
  const gchar *caps;
  const gchar *said; /* of the first error; NULL: refused when linked, as the pad's template rules it out */
} refused[] = {
  { "audio/x-raw", NULL },
  { "video/x-raw(memory:GLMemory)", NULL },
  { "video/x-raw,format=ENCODED", NULL },
  { "video/x-raw,interlace-mode=interleaved", "progressive" },
  { "video/x-raw,format=RGB,width=100000,height=100000", "size" },
};

GST_START_TEST (test_refusal)
{
  g_autofree gchar *description = g_strdup_printf ("sorasrc ! %s ! fakesink", refused[__i__].caps);
  g_autoptr (GError) error = NULL;
  GstElement *pipeline = gst_parse_launch (description, &error);
  g_autoptr (GstMessage) message = NULL;

  fail_unless_equals_int (error != NULL, refused[__i__].said == NULL);
  if (refused[__i__].said) {
    gst_element_set_state (pipeline, GST_STATE_PLAYING);
    message = element_test_wait (pipeline, GST_MESSAGE_ERROR, 5);
    gst_message_parse_error (message, &error, NULL);
    fail_unless (g_error_matches (error, GST_CORE_ERROR, GST_CORE_ERROR_NEGOTIATION), "%s", error->message);
    fail_unless (strstr (error->message, refused[__i__].said) != NULL, "%s", error->message);
  }
  if (pipeline)
    element_test_stop (pipeline);
}
GST_END_TEST;

/* Format, size and rate change in mid-stream: frames and times go on where they were, the model is not touched. */
GST_START_TEST (test_renegotiation)
{
  static const gchar *const changes[] = {
    "video/x-raw,format=BGRx,width=200,height=50,framerate=8/1", "video/x-raw,format=RGBA,width=7,height=9,framerate=32/1",
    "video/x-raw,format=RGB,width=64,height=64,framerate=16/1",
  };
  GstElement *pipeline = element_test_pipeline ("sorasrc ! capsfilter name=filter ! appsink name=sink sync=false "
      "max-buffers=1");
  g_autoptr (GstElement) filter = gst_bin_get_by_name (GST_BIN (pipeline), "filter");
  g_autoptr (GstCaps) last = NULL;
  GstClockTime expected = 0;
  guint seen = 0;

  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  for (guint i = 0; i < 60; i++) {
    g_autoptr (GstSample) sample = element_test_pull (pipeline);
    GstBuffer *buffer = gst_sample_get_buffer (sample);
    GstCaps *caps = gst_sample_get_caps (sample);

    fail_unless_equals_uint64 (GST_BUFFER_PTS (buffer), expected);
    fail_unless_equals_uint64 (GST_BUFFER_OFFSET (buffer), i);
    fail_unless_equals_int (element_test_pixel (buffer, caps, 0, 0) >> 16, (expected + 1) * 16 / GST_SECOND);
    expected += GST_BUFFER_DURATION (buffer);
    seen += last == NULL || !gst_caps_is_equal (last, caps);
    gst_caps_replace (&last, caps);
    if (i % 15 == 10 && i / 15 < G_N_ELEMENTS (changes))
      gst_util_set_object_arg (G_OBJECT (filter), "caps", changes[i / 15]);
  }
  fail_unless_equals_int (seen, 1 + G_N_ELEMENTS (changes));
  fail_unless_equals_int (fake_sora_calls.width, 32);
  fail_unless_equals_int (fake_sora_calls.height, 32);
  fail_unless_equals_int (fake_sora_calls.restarts, 0);
  element_test_stop (pipeline);
  element_test_assert_all_freed ();
}
GST_END_TEST;

/* Fixed rate to variable: the frames' own times from the next one on. */
GST_START_TEST (test_to_variable_rate)
{
  GstHarness *harness = element_test_harness (NULL, "video/x-raw,format=RGB,framerate=24/1");
  GstClockTime last = 0;

  for (guint i = 0; i < 20; i++) {
    GstBuffer *buffer = gst_harness_pull (harness);
    if (i > 7)
      fail_unless_equals_uint64 (GST_BUFFER_PTS (buffer) % (GST_SECOND / 16), 0);
    if (i > 8)
      fail_unless_equals_uint64 (GST_BUFFER_PTS (buffer), last + GST_SECOND / 16);
    last = GST_BUFFER_PTS (buffer);
    fail_unless_equals_int (element_test_frame (harness, buffer), (last + 1) * 16 / GST_SECOND);
    gst_buffer_unref (buffer);
    if (i == 4)
      gst_harness_set_sink_caps_str (harness, "video/x-raw,format=RGB,framerate=0/1");
  }
  gst_harness_teardown (harness);
}
GST_END_TEST;

/* A pool from downstream with memory that is larger than asked, and with another stride. */
GST_START_TEST (test_downstream_pool)
{
  GstHarness *harness = element_test_harness (NULL, "video/x-raw,format=RGB,width=30,height=10,framerate=64/1");
  GstAllocationParams params;
  GstBuffer *kept[12];

  gst_allocation_params_init (&params);
  params.align = 63;
  gst_harness_set_propose_allocator (harness, NULL, &params);
  gst_harness_add_propose_allocation_meta (harness, GST_VIDEO_META_API_TYPE, NULL);
  /* frames that are sent again share memory and must not be written to by a later one */
  for (guint i = 0; i < G_N_ELEMENTS (kept); i++)
    kept[i] = gst_harness_pull (harness);
  for (guint i = 0; i < G_N_ELEMENTS (kept); i++) {
    fail_unless_equals_int (element_test_frame (harness, kept[i]), i / 4);
    gst_buffer_unref (kept[i]);
  }
  gst_harness_teardown (harness);
}
GST_END_TEST;

int
main (int argc, char **argv)
{
  Suite *suite = suite_create ("caps");
  TCase *tcase = tcase_create ("all");

  suite_add_tcase (suite, tcase);
  tcase_add_loop_test (tcase, test_choice, 0, G_N_ELEMENTS (table));
  tcase_add_loop_test (tcase, test_refusal, 0, G_N_ELEMENTS (refused));
  tcase_add_test (tcase, test_renegotiation);
  tcase_add_test (tcase, test_to_variable_rate);
  tcase_add_test (tcase, test_downstream_pool);
  return element_test_run (&argc, &argv, suite);
}
