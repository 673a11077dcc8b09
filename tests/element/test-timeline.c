/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Times of buffers, and frames at times, against exact fractions. */
#include "element-test.h"
#include "gstsoratimeline.h"

static const struct { gint n, d; } rates[] = {
  { 1, 1 }, { 12, 1 }, { 16, 1 }, { 24, 1 }, { 24000, 1001 }, { 25, 1 }, { 30000, 1001 }, { 60, 1 }, { 1, 60 }, { 999, 7 },
};

GST_START_TEST (test_frame_at_its_own_time)
{
  for (guint64 frame = 0; frame < 100000; frame = frame * 3 / 2 + 1) {
    GstClockTime time = gst_sora_frame_time (frame, rates[__i__].n, rates[__i__].d);
    fail_unless_equals_uint64 (gst_sora_frame_at (time, rates[__i__].n, rates[__i__].d), frame);
    /* up to 1 ns early still counts as the frame's own time */
    if (frame > 0)
      fail_unless_equals_uint64 (gst_sora_frame_at (time - 2, rates[__i__].n, rates[__i__].d), frame - 1);
  }
}
GST_END_TEST;

GST_START_TEST (test_frame_at_other_rate)
{
  /* buffer k of 24 a second shows frame floor (k * 16 / 24) of 16 a second */
  for (guint k = 0; k < 1000; k++)
    fail_unless_equals_uint64 (gst_sora_frame_at (gst_sora_frame_time (k, 24, 1), 16, 1), k * 2 / 3);
}
GST_END_TEST;

GST_START_TEST (test_seek_to_own_time)
{
  GstSoraTimeline line = { 0, 1, 0, 0, 0 };

  gst_sora_timeline_set_rate (&line, rates[__i__].n, rates[__i__].d);
  for (guint64 k = 0; k < 1000; k += 37) {
    GstClockTime time = gst_sora_frame_time (k, rates[__i__].n, rates[__i__].d);
    gst_sora_timeline_seek (&line, time);
    fail_unless_equals_uint64 (gst_sora_timeline_get_time (&line, 0), time);
    fail_unless_equals_uint64 (gst_sora_timeline_get_offset (&line), k);
  }
}
GST_END_TEST;

GST_START_TEST (test_seek_between)
{
  GstSoraTimeline line = { 0, 1, 0, 0, 0 };

  gst_sora_timeline_set_rate (&line, 16, 1);
  gst_sora_timeline_seek (&line, GST_SECOND + 1);
  fail_unless_equals_uint64 (gst_sora_timeline_get_time (&line, 0), GST_SECOND);
  gst_sora_timeline_align (&line);
  fail_unless_equals_uint64 (gst_sora_timeline_get_time (&line, 0), GST_SECOND);
  fail_unless_equals_uint64 (gst_sora_timeline_get_time (&line, 1), GST_SECOND + GST_SECOND / 16);
}
GST_END_TEST;

GST_START_TEST (test_seek_before_rate)
{
  GstSoraTimeline line = { 0, 1, 0, 0, 0 };

  gst_sora_timeline_seek (&line, 2 * GST_SECOND + 5);
  gst_sora_timeline_set_rate (&line, 10, 1);
  fail_unless_equals_uint64 (gst_sora_timeline_get_time (&line, 0), 2 * GST_SECOND);
  fail_unless_equals_uint64 (gst_sora_timeline_get_offset (&line), 20);
}
GST_END_TEST;

GST_START_TEST (test_rate_change)
{
  GstSoraTimeline line = { 0, 1, 0, 0, 0 };

  gst_sora_timeline_set_rate (&line, 10, 1);
  line.n = 5;
  gst_sora_timeline_set_rate (&line, 4, 1);
  fail_unless_equals_uint64 (gst_sora_timeline_get_time (&line, 0), GST_SECOND / 2);
  fail_unless_equals_uint64 (gst_sora_timeline_get_time (&line, 1), GST_SECOND * 3 / 4);
  fail_unless_equals_uint64 (gst_sora_timeline_get_offset (&line), 5);
  line.n = 1;
  fail_unless_equals_uint64 (gst_sora_timeline_get_offset (&line), 6);
  gst_sora_timeline_set_rate (&line, 16, 1);
  gst_sora_timeline_align (&line);
  fail_unless_equals_uint64 (gst_sora_timeline_get_time (&line, 0), GST_SECOND * 3 / 4);
}
GST_END_TEST;

int
main (int argc, char **argv)
{
  Suite *suite = suite_create ("timeline");
  TCase *tcase = tcase_create ("all");

  suite_add_tcase (suite, tcase);
  tcase_add_loop_test (tcase, test_frame_at_its_own_time, 0, G_N_ELEMENTS (rates));
  tcase_add_test (tcase, test_frame_at_other_rate);
  tcase_add_loop_test (tcase, test_seek_to_own_time, 0, G_N_ELEMENTS (rates));
  tcase_add_test (tcase, test_seek_between);
  tcase_add_test (tcase, test_seek_before_rate);
  tcase_add_test (tcase, test_rate_change);
  return element_test_run (&argc, &argv, suite);
}
