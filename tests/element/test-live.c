/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* is-live: buffers by the clock, and what is shown where generation or downstream is slow. */
#include "element-test.h"

#define FRAME (GST_SECOND / 16)

static GstHarness *
play (const gchar *properties, const gchar *caps)
{
  g_autofree gchar *description = g_strdup_printf ("sorasrc is-live=true %s", properties);
  GstHarness *harness = gst_harness_new_parse (description);

  gst_harness_use_testclock (harness);
  gst_harness_set_blocking_push_mode (harness);
  gst_harness_set_sink_caps_str (harness, caps);
  return harness;
}

/* Pulls a buffer and checks its time. */
static guint
pull (GstHarness *harness, GstClockTime time)
{
  g_autoptr (GstBuffer) buffer = gst_harness_pull (harness);

  fail_unless (buffer != NULL);
  fail_unless_equals_uint64 (GST_BUFFER_PTS (buffer), time);
  return element_test_frame (harness, buffer);
}

/* Waits until what the test will show is generated, so that it does not depend on how fast the machine is. */
static void
wait_for_blocks (GstHarness *harness, guint blocks)
{
  GstElement *element = gst_harness_find_element (harness, "sorasrc");
  guint level = 0;

  while (level < blocks) {
    g_autoptr (GstStructure) stats = NULL;
    g_object_get (element, "stats", &stats, NULL);
    fail_unless (gst_structure_get_uint (stats, "queue-level", &level));
    g_usleep (1000);
  }
  gst_object_unref (element);
}

GST_START_TEST (test_by_the_clock)
{
  GstHarness *harness = play ("queue-size=10", "video/x-raw,format=RGB,framerate=16/1");

  gst_harness_set_time (harness, 5 * GST_SECOND);
  gst_harness_play (harness);
  /* the first buffer has the running time at which its frame was there */
  fail_unless_equals_int (pull (harness, 5 * GST_SECOND), 0);
  wait_for_blocks (harness, 10);
  for (guint k = 1; k < 40; k++) {
    fail_unless (gst_harness_crank_single_clock_wait (harness));
    fail_unless_equals_int (pull (harness, 5 * GST_SECOND + k * FRAME), k);
  }
  gst_harness_teardown (harness);
  element_test_assert_all_freed ();
}
GST_END_TEST;

GST_START_TEST (test_other_rate)
{
  GstHarness *harness = play ("queue-size=10", "video/x-raw,format=RGB,framerate=32/1");

  gst_harness_play (harness);
  fail_unless_equals_int (pull (harness, 0), 0);
  wait_for_blocks (harness, 10);
  for (guint k = 1; k < 20; k++) {
    fail_unless (gst_harness_crank_single_clock_wait (harness));
    fail_unless_equals_int (pull (harness, k * FRAME / 2), k / 2);
  }
  gst_harness_teardown (harness);
}
GST_END_TEST;

/* Blocks of 4 frames that take far longer than the clock is made to run: frames are shown again, none is left out. */
GST_START_TEST (test_slow_generation)
{
  GstHarness *harness = play ("", "video/x-raw,format=RGB,framerate=16/1");
  GstElement *element = gst_harness_find_element (harness, "sorasrc");
  g_autoptr (GstStructure) stats = NULL;
  guint64 repeated, dropped;
  guint last = 0, shown_again = 0;

  fake_sora.block_ms = 60;
  gst_harness_play (harness);
  pull (harness, 0);
  for (guint k = 1; k < 80; k++) {
    guint frame;
    fail_unless (gst_harness_crank_single_clock_wait (harness));
    frame = pull (harness, k * FRAME);
    fail_unless (frame == last || frame == last + 1);
    shown_again += frame == last;
    last = frame;
    g_usleep (5000);
  }
  fail_unless (shown_again > 10, "%u", shown_again);
  fail_unless (last > 4, "%u", last);
  g_object_get (element, "stats", &stats, NULL);
  fail_unless (gst_structure_get (stats, "repeated", G_TYPE_UINT64, &repeated, "dropped", G_TYPE_UINT64, &dropped, NULL));
  fail_unless (repeated >= shown_again);
  fail_unless_equals_uint64 (dropped, 0);
  gst_object_unref (element);
  gst_harness_teardown (harness);
}
GST_END_TEST;

/* A second passes while the source is kept from sending: the next buffer has the present time, and the next frame. */
GST_START_TEST (test_slow_downstream)
{
  GstHarness *harness = play ("queue-size=10", "video/x-raw,format=RGB,framerate=16/1");

  gst_harness_play (harness);
  pull (harness, 0);
  wait_for_blocks (harness, 10);
  fail_unless (gst_harness_crank_single_clock_wait (harness));
  fail_unless_equals_int (pull (harness, FRAME), 1);
  gst_harness_wait_for_clock_id_waits (harness, 1, 5);
  gst_harness_set_time (harness, GST_SECOND + 7);
  fail_unless (gst_harness_crank_single_clock_wait (harness));
  fail_unless_equals_int (pull (harness, GST_SECOND + 7), 2);
  fail_unless (gst_harness_crank_single_clock_wait (harness));
  fail_unless_equals_int (pull (harness, GST_SECOND + 7 + FRAME), 3);
  gst_harness_teardown (harness);
}
GST_END_TEST;

GST_START_TEST (test_end)
{
  GstHarness *harness = play ("duration=250000000 queue-size=10", "video/x-raw,format=RGB,framerate=16/1");

  gst_harness_play (harness);
  for (guint k = 0; k < 4; k++) {
    if (k == 1)
      wait_for_blocks (harness, 1);
    if (k > 0)
      fail_unless (gst_harness_crank_single_clock_wait (harness));
    fail_unless_equals_int (pull (harness, k * FRAME), k);
  }
  for (;;) {
    g_autoptr (GstEvent) event = gst_harness_pull_event (harness);
    fail_unless (event != NULL, "no EOS");
    if (GST_EVENT_TYPE (event) == GST_EVENT_EOS)
      break;
  }
  gst_harness_teardown (harness);
}
GST_END_TEST;

GST_START_TEST (test_queries)
{
  GstElement *pipeline = element_test_pipeline ("sorasrc name=source is-live=true ! video/x-raw,framerate=25/1 ! fakesink");
  g_autoptr (GstQuery) latency = gst_query_new_latency (), seeking = gst_query_new_seeking (GST_FORMAT_TIME);
  g_autoptr (GstBus) bus = gst_element_get_bus (pipeline);
  g_autoptr (GstElement) source = gst_bin_get_by_name (GST_BIN (pipeline), "source");
  g_autoptr (GstMessage) message = NULL;
  GstClockTime min;
  gboolean flag;

  fail_unless_equals_int (gst_element_set_state (pipeline, GST_STATE_PAUSED), GST_STATE_CHANGE_NO_PREROLL);
  message = gst_bus_timed_pop_filtered (bus, 5 * GST_SECOND, GST_MESSAGE_LATENCY);
  fail_unless (message != NULL);
  fail_unless (gst_element_query (source, latency));
  gst_query_parse_latency (latency, &flag, &min, NULL);
  fail_unless (flag);
  fail_unless_equals_uint64 (min, 40 * GST_MSECOND);
  fail_unless (gst_element_query (source, seeking));
  gst_query_parse_seeking (seeking, NULL, &flag, NULL, NULL);
  fail_if (flag);
  element_test_stop (pipeline);
}
GST_END_TEST;

/* Frames of a minute: the wait for the next is broken off by a pause, by EOS and by the end. */
GST_START_TEST (test_interrupted_wait)
{
  GstElement *pipeline = element_test_pipeline ("sorasrc is-live=true ! video/x-raw,framerate=1/60 ! fakesink");
  gint64 start;

  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  g_usleep (100000);
  start = g_get_monotonic_time ();
  gst_element_set_state (pipeline, GST_STATE_PAUSED);
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  g_usleep (50000);
  if (__i__ == 0) {
    gst_element_send_event (pipeline, gst_event_new_eos ());
    gst_message_unref (element_test_wait (pipeline, GST_MESSAGE_EOS, 5));
  }
  element_test_stop (pipeline);
  fail_unless (g_get_monotonic_time () - start < 2 * G_USEC_PER_SEC);
}
GST_END_TEST;

int
main (int argc, char **argv)
{
  Suite *suite = suite_create ("live");
  TCase *tcase = tcase_create ("all");

  suite_add_tcase (suite, tcase);
  tcase_add_test (tcase, test_by_the_clock);
  tcase_add_test (tcase, test_other_rate);
  tcase_add_test (tcase, test_slow_generation);
  tcase_add_test (tcase, test_slow_downstream);
  tcase_add_test (tcase, test_end);
  tcase_add_test (tcase, test_queries);
  tcase_add_loop_test (tcase, test_interrupted_wait, 0, 2);
  return element_test_run (&argc, &argv, suite);
}
