/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Times, ends, seeks, flushes and queries of the stream. */
#include "element-test.h"

static const struct { gint n, d; } rates[] = {
  { 16, 1 }, { 8, 1 }, { 24, 1 }, { 30000, 1001 }, { 25, 1 }, { 60, 1 }, { 1, 1 }, { 5, 2 },
};

/* Every buffer's time, length and number, and that it shows the model's frame of that time. */
GST_START_TEST (test_times)
{
  gint n = rates[__i__].n, d = rates[__i__].d;
  g_autofree gchar *caps = g_strdup_printf ("video/x-raw,format=RGB,framerate=%d/%d", n, d);
  GstHarness *harness = element_test_harness (NULL, caps);

  for (guint64 k = 0; k < 50; k++) {
    g_autoptr (GstBuffer) buffer = gst_harness_pull (harness);
    GstClockTime start = gst_util_uint64_scale (k, d * GST_SECOND, n);

    fail_unless_equals_uint64 (GST_BUFFER_PTS (buffer), start);
    fail_unless_equals_uint64 (GST_BUFFER_DURATION (buffer), gst_util_uint64_scale (k + 1, d * GST_SECOND, n) - start);
    fail_unless_equals_uint64 (GST_BUFFER_OFFSET (buffer), k);
    fail_unless_equals_uint64 (GST_BUFFER_OFFSET_END (buffer), k + 1);
    fail_unless_equals_int (element_test_frame (harness, buffer), k * 16 * d / n);
  }
  gst_harness_teardown (harness);
  element_test_assert_all_freed ();
}
GST_END_TEST;

static guint64
get_stat (GstElement *element, const gchar *name)
{
  g_autoptr (GstStructure) stats = NULL;
  guint64 value;

  g_object_get (element, "stats", &stats, NULL);
  fail_unless (gst_structure_get_uint64 (stats, name, &value), "no field %s", name);
  return value;
}

/* Counts the buffers until EOS; checks that the last one ends at @end. */
static guint
count_to_end (GstHarness *harness, GstClockTime end)
{
  GstBuffer *buffer;
  GstClockTime last_end = 0;
  guint n = 0;

  /* without blocking, so that the source comes to its end by itself */
  while ((buffer = gst_harness_pull (harness))) {
    last_end = GST_BUFFER_PTS (buffer) + GST_BUFFER_DURATION (buffer);
    gst_buffer_unref (buffer);
    n++;
    if (last_end >= end)
      break;
  }
  fail_unless_equals_uint64 (last_end, end);
  for (;;) {
    g_autoptr (GstEvent) event = gst_harness_pull_event (harness);
    fail_unless (event != NULL, "no EOS");
    if (GST_EVENT_TYPE (event) == GST_EVENT_EOS)
      return n;
  }
}

static const struct {
  const gchar *properties, *caps;
  guint clip_frames, buffers;
  GstClockTime end;
  guint64 length; /* frames that the model is asked for */
} ends[] = {
  { "num-buffers=5", "video/x-raw,format=RGB", 0, 5, 5 * GST_SECOND / 16, 0 },
  { "duration=1000000000", "video/x-raw,format=RGB", 0, 16, GST_SECOND, 16 },
  /* within a frame: the last one is cut short */
  { "duration=1001000000", "video/x-raw,format=RGB", 0, 17, 1001 * GST_MSECOND, 17 },
  { "duration=1", "video/x-raw,format=RGB", 0, 1, 1, 1 },
  { "duration=1000000000", "video/x-raw,format=RGB,framerate=30/1", 0, 30, GST_SECOND, 16 },
  { "duration=1000000000", "video/x-raw,format=RGB,framerate=4/1", 0, 4, GST_SECOND, 16 },
  { "duration=1000000000", "video/x-raw,format=RGB,framerate=0/1", 0, 16, GST_SECOND, 16 },
  /* a model that makes clips, and one longer and one shorter than its own */
  { "", "video/x-raw,format=RGB", 21, 21, 21 * GST_SECOND / 16, 21 },
  { "duration=500000000", "video/x-raw,format=RGB", 21, 8, GST_SECOND / 2, 8 },
  { "duration=2000000000", "video/x-raw,format=RGB", 21, 32, 2 * GST_SECOND, 32 },
};

GST_START_TEST (test_ends)
{
  GstHarness *harness;
  GstElement *element;
  gint64 duration;

  fake_sora.clip_frames = ends[__i__].clip_frames;
  harness = element_test_harness (ends[__i__].properties, ends[__i__].caps);
  element = gst_harness_find_element (harness, "sorasrc");
  fail_unless_equals_int (count_to_end (harness, ends[__i__].end), ends[__i__].buffers);
  fail_unless_equals_uint64 (fake_sora_calls.length, ends[__i__].length);
  fail_unless_equals_uint64 (get_stat (element, "buffers"), ends[__i__].buffers);
  if (ends[__i__].length > 0) {
    fail_unless (gst_element_query_duration (element, GST_FORMAT_TIME, &duration));
    fail_unless_equals_uint64 (duration, ends[__i__].end);
  }
  gst_object_unref (element);
  gst_harness_teardown (harness);
  element_test_assert_all_freed ();
}
GST_END_TEST;

GST_START_TEST (test_duration_zero)
{
  GstElement *pipeline = element_test_pipeline ("sorasrc duration=0 ! fakesink");

  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  gst_message_unref (element_test_wait (pipeline, GST_MESSAGE_EOS, 5));
  element_test_stop (pipeline);
}
GST_END_TEST;

GST_START_TEST (test_queries)
{
  GstHarness *harness = element_test_harness ("duration=2500000000", "video/x-raw,format=RGB,framerate=24/1");
  GstElement *element = gst_harness_find_element (harness, "sorasrc");
  g_autoptr (GstQuery) seeking = gst_query_new_seeking (GST_FORMAT_TIME), latency = gst_query_new_latency ();
  gint64 value, start, stop;
  gboolean flag;

  gst_buffer_unref (gst_harness_pull (harness));
  fail_unless (gst_element_query_duration (element, GST_FORMAT_TIME, &value));
  fail_unless_equals_uint64 (value, 2500 * GST_MSECOND);
  fail_unless (gst_element_query_duration (element, GST_FORMAT_DEFAULT, &value));
  fail_unless_equals_uint64 (value, 60);
  fail_unless (gst_element_query_convert (element, GST_FORMAT_DEFAULT, 48, GST_FORMAT_TIME, &value));
  fail_unless_equals_uint64 (value, 2 * GST_SECOND);
  fail_unless (gst_element_query (element, seeking));
  gst_query_parse_seeking (seeking, NULL, &flag, &start, &stop);
  fail_unless (flag);
  fail_unless_equals_uint64 (start, 0);
  fail_unless_equals_uint64 (stop, 2500 * GST_MSECOND);
  fail_unless (gst_element_query (element, latency));
  gst_query_parse_latency (latency, &flag, NULL, NULL);
  fail_if (flag);
  gst_object_unref (element);
  gst_harness_teardown (harness);
}
GST_END_TEST;

/* Nothing is negotiated yet; a critical would end the test. */
GST_START_TEST (test_early_queries)
{
  GstElement *element = gst_element_factory_make ("sorasrc", NULL);
  gint64 value;

  for (GstState state = GST_STATE_NULL; state <= GST_STATE_READY; state++) {
    fail_if (gst_element_set_state (element, state) == GST_STATE_CHANGE_FAILURE);
    fail_if (gst_element_query_convert (element, GST_FORMAT_DEFAULT, 48, GST_FORMAT_TIME, &value));
    fail_if (gst_element_query_convert (element, GST_FORMAT_BYTES, 48, GST_FORMAT_TIME, &value));
  }
  gst_element_set_state (element, GST_STATE_NULL);
  gst_object_unref (element);
}
GST_END_TEST;

GST_START_TEST (test_endless_queries)
{
  GstHarness *harness = element_test_harness (NULL, NULL);
  GstElement *element = gst_harness_find_element (harness, "sorasrc");
  gint64 duration = 0;

  gst_buffer_unref (gst_harness_pull (harness));
  if (gst_element_query_duration (element, GST_FORMAT_TIME, &duration))
    fail_unless_equals_int64 (duration, -1);
  gst_object_unref (element);
  gst_harness_teardown (harness);
}
GST_END_TEST;

/* ---- seeks ---- */

static GstElement *
seek_pipeline (const gchar *properties)
{
  g_autofree gchar *description = g_strdup_printf ("sorasrc name=source %s ! video/x-raw,format=RGB,framerate=16/1 ! "
      "appsink name=sink sync=false max-buffers=1", properties);
  GstElement *pipeline = element_test_pipeline (description);

  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  return pipeline;
}

/* Pulls a frame and checks its time; returns the colour at its corner. */
static guint32
pull_frame (GstElement *pipeline, guint frame)
{
  g_autoptr (GstSample) sample = element_test_pull (pipeline);
  GstBuffer *buffer = gst_sample_get_buffer (sample);
  guint32 colour = element_test_pixel (buffer, gst_sample_get_caps (sample), 0, 0);

  fail_unless_equals_uint64 (GST_BUFFER_PTS (buffer), frame * GST_SECOND / 16);
  fail_unless_equals_int (colour >> 16, frame);
  return colour;
}

static void
seek (GstElement *pipeline, GstClockTime start, GstClockTime stop)
{
  fail_unless (gst_element_seek (pipeline, 1.0, GST_FORMAT_TIME, GST_SEEK_FLAG_FLUSH, GST_SEEK_TYPE_SET, start,
          GST_CLOCK_TIME_IS_VALID (stop) ? GST_SEEK_TYPE_SET : GST_SEEK_TYPE_NONE, stop));
}

static const struct {
  guint before; /* buffers taken before the seek */
  GstClockTime to;
  guint frame;
  guint restarts;
} seeks[] = {
  { 10, 5 * GST_SECOND, 80, 0 },                  /* forwards: goes on */
  { 60, 0, 0, 1 },                                /* back to the start: again from block 0 */
  { 60, GST_SECOND, 16, 1 },
  { 60, GST_SECOND + 1, 16, 1 },                  /* within a frame */
  { 60, 2 * GST_SECOND + GST_SECOND / 32, 32, 1 },
  { 1, 3 * GST_SECOND, 48, 0 },
};

GST_START_TEST (test_seek)
{
  GstElement *pipeline = seek_pipeline ("seed=5 prompt=abc");
  g_autoptr (GstElement) source = gst_bin_get_by_name (GST_BIN (pipeline), "source");

  for (guint i = 0; i < seeks[__i__].before; i++)
    pull_frame (pipeline, i);
  seek (pipeline, seeks[__i__].to, GST_CLOCK_TIME_NONE);
  for (guint frame = seeks[__i__].frame; frame < seeks[__i__].frame + 20; frame++)
    fail_unless_equals_int (pull_frame (pipeline, frame), fake_sora_colour (frame, 5, "abc", -1));
  fail_unless_equals_int (fake_sora_calls.restarts, seeks[__i__].restarts);
  /* what a seek passes over was not dropped */
  fail_unless_equals_uint64 (get_stat (source, "dropped"), 0);
  element_test_stop (pipeline);
  element_test_assert_all_freed ();
}
GST_END_TEST;

/* Many seeks on end, while blocks take time and are cancelled. */
GST_START_TEST (test_seek_storm)
{
  GstElement *pipeline;
  GRand *random = g_rand_new_with_seed (7);

  fake_sora.block_ms = 5;
  pipeline = seek_pipeline ("");
  pull_frame (pipeline, 0);
  for (guint i = 0; i < 30; i++) {
    guint frame = g_rand_int_range (random, 0, 60);
    seek (pipeline, frame * GST_SECOND / 16, GST_CLOCK_TIME_NONE);
    if (i % 3 > 0)
      pull_frame (pipeline, frame);
  }
  fail_unless (fake_sora_calls.cancelled > 0);
  g_rand_free (random);
  element_test_stop (pipeline);
  element_test_assert_all_freed ();
}
GST_END_TEST;

GST_START_TEST (test_seek_with_stop)
{
  GstElement *pipeline = seek_pipeline ("");

  pull_frame (pipeline, 0);
  seek (pipeline, GST_SECOND, GST_SECOND + GST_SECOND / 4);
  for (guint frame = 16; frame < 20; frame++)
    pull_frame (pipeline, frame);
  gst_message_unref (element_test_wait (pipeline, GST_MESSAGE_EOS, 5));
  element_test_stop (pipeline);
}
GST_END_TEST;

/* Back from the end: EOS is not the last word. */
GST_START_TEST (test_seek_after_end)
{
  GstElement *pipeline = element_test_pipeline ("sorasrc duration=500000000 ! fakesink name=sink");

  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  for (guint i = 0; i < 5; i++) {
    gst_message_unref (element_test_wait (pipeline, GST_MESSAGE_EOS, 5));
    fail_unless (gst_element_seek_simple (pipeline, GST_FORMAT_TIME, GST_SEEK_FLAG_FLUSH, i * 100 * GST_MSECOND));
  }
  gst_message_unref (element_test_wait (pipeline, GST_MESSAGE_EOS, 5));
  fail_unless_equals_int (fake_sora_calls.restarts > 0, TRUE);
  element_test_stop (pipeline);
  element_test_assert_all_freed ();
}
GST_END_TEST;

/* Backwards: refused, and nothing is lost by asking. */
GST_START_TEST (test_seek_refused)
{
  GstElement *pipeline = seek_pipeline ("");
  g_autoptr (GstElement) source = gst_bin_get_by_name (GST_BIN (pipeline), "source");

  pull_frame (pipeline, 0);
  fail_if (gst_element_seek (pipeline, -1.0, GST_FORMAT_TIME, GST_SEEK_FLAG_FLUSH, GST_SEEK_TYPE_SET, 0,
          GST_SEEK_TYPE_SET, GST_SECOND));
  pull_frame (pipeline, 1);
  fail_if (gst_element_seek (source, -1.0, GST_FORMAT_TIME, GST_SEEK_FLAG_FLUSH, GST_SEEK_TYPE_SET, 0,
          GST_SEEK_TYPE_SET, GST_SECOND));
  pull_frame (pipeline, 2);
  element_test_stop (pipeline);
}
GST_END_TEST;

/* A flush that is no seek: the stream goes on. */
GST_START_TEST (test_flush)
{
  GstElement *pipeline = seek_pipeline ("");
  g_autoptr (GstElement) source = gst_bin_get_by_name (GST_BIN (pipeline), "source");
  g_autoptr (GstSample) sample = NULL;

  for (guint i = 0; i < 5; i++)
    pull_frame (pipeline, i);
  fail_unless (gst_element_send_event (source, gst_event_new_flush_start ()));
  fail_unless (gst_element_send_event (source, gst_event_new_flush_stop (TRUE)));
  sample = element_test_pull (pipeline);
  fail_unless (GST_BUFFER_PTS (gst_sample_get_buffer (sample)) >= 5 * GST_SECOND / 16);
  fail_unless_equals_int (fake_sora_calls.restarts, 0);
  element_test_stop (pipeline);
  element_test_assert_all_freed ();
}
GST_END_TEST;

/* No more is generated than the queue's blocks beyond the one that is shown. */
GST_START_TEST (test_queue_bound)
{
  guint queue_size = 1 + 2 * __i__;
  g_autofree gchar *properties = g_strdup_printf ("queue-size=%u", queue_size);
  GstHarness *harness = element_test_harness (properties, "video/x-raw,format=RGB,framerate=16/1");

  /* blocks of 1 and then 4 frames: the last of these is of block 2 */
  for (guint i = 0; i < 7; i++)
    gst_buffer_unref (gst_harness_pull (harness));
  g_usleep (50000);
  /* the source is one buffer ahead of us, still in block 2 */
  fail_unless_equals_int (fake_sora_calls.generated, 3 + queue_size);
  gst_harness_teardown (harness);
}
GST_END_TEST;

GST_START_TEST (test_stats)
{
  GstHarness *harness = element_test_harness ("duration=1000000000", "video/x-raw,format=RGB,framerate=32/1");
  GstElement *element = gst_harness_find_element (harness, "sorasrc");

  fail_unless_equals_int (count_to_end (harness, GST_SECOND), 32);
  fail_unless_equals_uint64 (get_stat (element, "frames"), 16);
  fail_unless_equals_uint64 (get_stat (element, "blocks"), 5);
  fail_unless_equals_uint64 (get_stat (element, "buffers"), 32);
  fail_unless_equals_uint64 (get_stat (element, "repeated"), 16);
  fail_unless_equals_uint64 (get_stat (element, "dropped"), 0);
  fail_unless_equals_uint64 (get_stat (element, "weight-memory"), 2000);
  gst_object_unref (element);
  gst_harness_teardown (harness);

  harness = element_test_harness ("duration=1000000000", "video/x-raw,format=RGB,framerate=8/1");
  element = gst_harness_find_element (harness, "sorasrc");
  fail_unless_equals_int (count_to_end (harness, GST_SECOND), 8);
  fail_unless_equals_uint64 (get_stat (element, "dropped"), 7);
  gst_object_unref (element);
  gst_harness_teardown (harness);
}
GST_END_TEST;

/* Counts begin anew with each start. */
GST_START_TEST (test_stats_of_second_run)
{
  GstElement *pipeline = element_test_pipeline ("sorasrc name=source duration=1000000000 ! video/x-raw,framerate=24/1 ! fakesink");
  g_autoptr (GstElement) source = gst_bin_get_by_name (GST_BIN (pipeline), "source");

  for (guint i = 0; i < 2; i++) {
    gst_element_set_state (pipeline, GST_STATE_PLAYING);
    gst_message_unref (element_test_wait (pipeline, GST_MESSAGE_EOS, 5));
    fail_unless_equals_uint64 (get_stat (source, "frames"), 16);
    fail_unless_equals_uint64 (get_stat (source, "buffers"), 24);
    fail_unless_equals_uint64 (get_stat (source, "repeated"), 8);
    gst_element_set_state (pipeline, GST_STATE_READY);
  }
  element_test_stop (pipeline);
}
GST_END_TEST;

/* A buffer whose frame is not sent again is downstream's alone, which may write to it in place. */
GST_START_TEST (test_writable)
{
  static const gchar *const caps[] = { "video/x-raw,format=RGB,framerate=16/1", "video/x-raw,format=RGB,framerate=0/1" };
  GstHarness *harness = element_test_harness (NULL, caps[__i__]);

  for (guint i = 0; i < 10; i++) {
    GstBuffer *buffer = gst_harness_pull (harness);
    fail_unless (gst_buffer_is_writable (buffer) && gst_buffer_is_all_memory_writable (buffer));
    gst_buffer_unref (buffer);
  }
  gst_harness_teardown (harness);
}
GST_END_TEST;

int
main (int argc, char **argv)
{
  Suite *suite = suite_create ("stream");
  TCase *tcase = tcase_create ("all");

  suite_add_tcase (suite, tcase);
  tcase_add_loop_test (tcase, test_times, 0, G_N_ELEMENTS (rates));
  tcase_add_loop_test (tcase, test_ends, 0, G_N_ELEMENTS (ends));
  tcase_add_test (tcase, test_duration_zero);
  tcase_add_test (tcase, test_queries);
  tcase_add_test (tcase, test_early_queries);
  tcase_add_test (tcase, test_endless_queries);
  tcase_add_loop_test (tcase, test_seek, 0, G_N_ELEMENTS (seeks));
  tcase_add_test (tcase, test_seek_storm);
  tcase_add_test (tcase, test_seek_with_stop);
  tcase_add_test (tcase, test_seek_after_end);
  tcase_add_test (tcase, test_seek_refused);
  tcase_add_test (tcase, test_flush);
  tcase_add_loop_test (tcase, test_queue_bound, 0, 3);
  tcase_add_test (tcase, test_stats);
  tcase_add_test (tcase, test_stats_of_second_run);
  tcase_add_loop_test (tcase, test_writable, 0, 2);
  return element_test_run (&argc, &argv, suite);
}
