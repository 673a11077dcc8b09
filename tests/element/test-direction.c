/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is directed while it runs: prompts and guidance, refused ones, tags, messages, and all of it again after a seek. */
#include "element-test.h"

#include <gst/controller/gstdirectcontrolbinding.h>
#include <gst/controller/gsttimedvaluecontrolsource.h>
#include <gst/controller/gstinterpolationcontrolsource.h>

/* Long enough for the worker to fill its queue. */
#define SETTLE_US 30000

static guint8
mood_of (const gchar *prompt)
{
  return fake_sora_colour (0, 9, prompt, -1) & 0xff;
}

static void
assert_prompt (ElementTest *fixture, const gchar *expected)
{
  g_autofree gchar *prompt = NULL;

  g_object_get (fixture->source, "prompt", &prompt, NULL);
  fail_unless_equals_string (prompt, expected);
}

/* A new prompt shows with the next block that is generated, which is the one after those ahead, and not within a block. */
GST_START_TEST (test_prompt_while_playing)
{
  ElementTest fixture = element_test_play ("prompt=one");

  /* block 0 is one frame, block 1 four; with one taken, block 1 is queued and block 2 not begun before frame 1 is taken */
  fail_unless_equals_int (element_test_pull_mood (&fixture), mood_of ("one"));
  g_usleep (SETTLE_US);
  g_object_set (fixture.source, "prompt", "two", NULL);
  assert_prompt (&fixture, "two");
  /* the source is two buffers ahead of us, so it has taken block 1 and block 2 is done too */
  for (guint frame = 1; frame < 9; frame++)
    fail_unless_equals_int (element_test_pull_mood (&fixture), mood_of ("one"));
  for (guint frame = 9; frame < 30; frame++)
    fail_unless_equals_int (element_test_pull_mood (&fixture), mood_of ("two"));
  element_test_end (&fixture);
}
GST_END_TEST;

/* Two changes, then back: the same moods frame by frame. */
GST_START_TEST (test_replay)
{
  ElementTest fixture = element_test_play ("prompt=one");
  guint8 moods[60];

  for (guint frame = 0; frame < 60; frame++) {
    moods[frame] = element_test_pull_mood (&fixture);
    if (frame == 10)
      g_object_set (fixture.source, "prompt", "two", "guidance-scale", 3.0, NULL);
    else if (frame == 30)
      g_object_set (fixture.source, "prompt", "three", NULL);
  }
  fail_unless_equals_int (moods[0], fake_sora_colour (0, 9, "one", -1) & 0xff);
  fail_unless_equals_int (moods[29], fake_sora_colour (0, 9, "two", 3) & 0xff);
  fail_unless_equals_int (moods[59], fake_sora_colour (0, 9, "three", 3) & 0xff);
  for (guint i = 0; i < 2; i++) {
    fail_unless (gst_element_seek_simple (fixture.pipeline, GST_FORMAT_TIME, GST_SEEK_FLAG_FLUSH, 0));
    for (guint frame = 0; frame < 60; frame++)
      fail_unless_equals_int (element_test_pull_mood (&fixture), moods[frame]);
  }
  assert_prompt (&fixture, "three");
  element_test_end (&fixture);
}
GST_END_TEST;

/* A change after a seek back holds for all that follows, whatever was there before. */
GST_START_TEST (test_change_in_replay)
{
  ElementTest fixture = element_test_play ("prompt=one");

  for (guint frame = 0; frame < 40; frame++) {
    element_test_pull_mood (&fixture);
    if (frame == 20)
      g_object_set (fixture.source, "prompt", "two", NULL);
  }
  fail_unless (gst_element_seek_simple (fixture.pipeline, GST_FORMAT_TIME, GST_SEEK_FLAG_FLUSH, 0));
  fail_unless_equals_int (element_test_pull_mood (&fixture), mood_of ("one"));
  g_object_set (fixture.source, "prompt", "four", NULL);
  for (guint frame = 1; frame < 9; frame++)
    element_test_pull_mood (&fixture);
  for (guint frame = 9; frame < 60; frame++)
    fail_unless_equals_int (element_test_pull_mood (&fixture), mood_of ("four"));
  element_test_end (&fixture);
}
GST_END_TEST;

/* One that the stream had before the seek back: it holds from block 0 too, where the stream begins with its first prompt. */
GST_START_TEST (test_same_prompt_after_restart)
{
  ElementTest fixture = element_test_play ("prompt=one");

  for (guint frame = 0; frame < 40; frame++) {
    element_test_pull_mood (&fixture);
    if (frame == 10)
      g_object_set (fixture.source, "prompt", "two", NULL);
  }
  /* the queue is full, so neither is taken before the seek */
  g_usleep (SETTLE_US);
  g_object_set (fixture.source, "prompt", "three", NULL);
  g_object_set (fixture.source, "prompt", "two", NULL);
  fail_unless (gst_element_seek_simple (fixture.pipeline, GST_FORMAT_TIME, GST_SEEK_FLAG_FLUSH, 0));
  for (guint frame = 0; frame < 30; frame++)
    fail_unless_equals_int (element_test_pull_mood (&fixture), mood_of ("two"));
  element_test_end (&fixture);
}
GST_END_TEST;

/* Set while the model loads: it holds from block 0. */
GST_START_TEST (test_prompt_while_loading)
{
  ElementTest fixture;

  fake_sora.load_ms = 100;
  fixture = element_test_play ("prompt=one");
  g_object_set (fixture.source, "prompt", "two", NULL);
  fail_unless_equals_int (element_test_pull_mood (&fixture), mood_of ("two"));
  element_test_end (&fixture);
}
GST_END_TEST;

static void
assert_warning (ElementTest *fixture)
{
  g_autoptr (GstMessage) message = element_test_wait (fixture->pipeline, GST_MESSAGE_WARNING, 5);
  g_autoptr (GError) error = NULL;

  gst_message_parse_warning (message, &error, NULL);
  fail_unless (g_error_matches (error, GST_LIBRARY_ERROR, GST_LIBRARY_ERROR_SETTINGS), "%s", error->message);
}

/* Neither text that is not UTF-8 nor 1 MB of it stops the stream, or replaces the prompt. */
GST_START_TEST (test_bad_prompt_while_playing)
{
  ElementTest fixture = element_test_play ("prompt=one");
  g_autofree gchar *megabyte = g_strnfill (1 << 20, 'a');

  element_test_pull_mood (&fixture);
  g_object_set (fixture.source, "prompt", "\xff\xfe", NULL);
  assert_warning (&fixture);
  assert_prompt (&fixture, "one");
  g_object_set (fixture.source, "prompt", megabyte, NULL);
  for (guint frame = 1; frame < 20; frame++)
    fail_unless_equals_int (element_test_pull_mood (&fixture), mood_of ("one"));
  assert_warning (&fixture);
  assert_prompt (&fixture, "one");
  g_object_set (fixture.source, "prompt", "", NULL);
  for (guint frame = 20; frame < 40; frame++)
    element_test_pull_mood (&fixture);
  fail_unless_equals_int (element_test_pull_mood (&fixture), mood_of (""));
  assert_prompt (&fixture, "");
  element_test_end (&fixture);
}
GST_END_TEST;

/* Before the start: one is refused when it is set, the other when the model would begin with it. */
GST_START_TEST (test_bad_prompt_before_start)
{
  g_autofree gchar *megabyte = g_strnfill (1 << 20, 'a');
  GstElement *pipeline = element_test_pipeline ("sorasrc name=source prompt=one ! fakesink");
  ElementTest fixture = { pipeline, gst_bin_get_by_name (GST_BIN (pipeline), "source") };
  g_autoptr (GstMessage) message = NULL;
  g_autoptr (GError) error = NULL;

  g_object_set (fixture.source, "prompt", "\xc3(", NULL);
  assert_warning (&fixture);
  assert_prompt (&fixture, "one");
  g_object_set (fixture.source, "prompt", megabyte, NULL);
  gst_element_set_state (pipeline, GST_STATE_PAUSED);
  message = element_test_wait (pipeline, GST_MESSAGE_ERROR, 5);
  gst_message_parse_error (message, &error, NULL);
  fail_unless (g_error_matches (error, GST_LIBRARY_ERROR, GST_LIBRARY_ERROR_SETTINGS), "%s", error->message);
  gst_element_set_state (pipeline, GST_STATE_NULL);
  /* and a good one runs */
  g_object_set (fixture.source, "prompt", NULL, NULL);
  assert_prompt (&fixture, "");
  gst_element_set_state (pipeline, GST_STATE_PAUSED);
  fail_unless_equals_int (gst_element_get_state (pipeline, NULL, NULL, 5 * GST_SECOND), GST_STATE_CHANGE_SUCCESS);
  element_test_end (&fixture);
}
GST_END_TEST;

/* The control source's value at each block's time is what the block is generated with. */
GST_START_TEST (test_controlled_guidance)
{
  GstElement *pipeline = element_test_pipeline ("sorasrc name=source seed=9 prompt=one ! "
      "video/x-raw,format=RGB,framerate=16/1 ! appsink name=sink sync=false max-buffers=1");
  ElementTest fixture = { pipeline, gst_bin_get_by_name (GST_BIN (pipeline), "source") };
  GstControlSource *control = gst_interpolation_control_source_new ();

  g_object_set (control, "mode", GST_INTERPOLATION_MODE_NONE, NULL);
  for (guint second = 0; second < 10; second++)
    gst_timed_value_control_source_set (GST_TIMED_VALUE_CONTROL_SOURCE (control), second * GST_SECOND, second);
  gst_object_add_control_binding (GST_OBJECT (fixture.source), gst_direct_control_binding_new_absolute
      (GST_OBJECT (fixture.source), "guidance-scale", control));
  gst_object_unref (control);

  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  for (guint again = 0; again < 2; again++) {
    for (guint frame = 0; frame < 80; frame++) {
      guint begin = frame == 0 ? 0 : 1 + (frame - 1) / 4 * 4; /* of its block */
      fail_unless_equals_int (element_test_pull_mood (&fixture), fake_sora_colour (0, 9, "one", begin / 16) & 0xff);
    }
    fail_unless (gst_element_seek_simple (pipeline, GST_FORMAT_TIME, GST_SEEK_FLAG_FLUSH, 0));
  }
  element_test_end (&fixture);
}
GST_END_TEST;

/* ---- what is told ---- */

GST_START_TEST (test_messages)
{
  GstElement *pipeline = element_test_pipeline ("sorasrc prompt=one duration=1000000000 ! fakesink");
  g_autoptr (GstBus) bus = gst_element_get_bus (pipeline);
  guint blocks = 0, frames = 0, starts = 0, completes = 0, last_percent = 0;
  GstMessageType type = GST_MESSAGE_UNKNOWN;

  fake_sora.load_ms = 50;
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  while (type != GST_MESSAGE_EOS) {
    g_autoptr (GstMessage) message = element_test_wait (pipeline, GST_MESSAGE_ANY, 5);
    type = GST_MESSAGE_TYPE (message);
    if (type == GST_MESSAGE_PROGRESS) {
      GstProgressType progress;
      gst_message_parse_progress (message, &progress, NULL, NULL);
      starts += progress == GST_PROGRESS_TYPE_START;
      completes += progress == GST_PROGRESS_TYPE_COMPLETE;
      fail_unless_equals_int (starts, 1);
    } else if (gst_message_has_name (message, "sora-block")) {
      const GstStructure *structure = gst_message_get_structure (message);
      guint64 index, first_frame, time, spent;
      guint n;
      gdouble percent;
      fail_unless (gst_structure_get (structure, "index", G_TYPE_UINT64, &index, "first-frame", G_TYPE_UINT64, &first_frame,
              "frames", G_TYPE_UINT, &n, "timestamp", G_TYPE_UINT64, &time, "block-time", G_TYPE_UINT64, &spent,
              "percent", G_TYPE_DOUBLE, &percent, NULL));
      fail_unless_equals_string (gst_structure_get_string (structure, "prompt"), "one");
      fail_unless_equals_uint64 (index, blocks++);
      fail_unless_equals_uint64 (first_frame, frames);
      fail_unless_equals_uint64 (time, first_frame * GST_SECOND / 16);
      frames += n;
      fail_unless (percent > last_percent);
      last_percent = percent;
    }
  }
  fail_unless_equals_int (completes, 1);
  fail_unless_equals_int (frames, 16);
  fail_unless_equals_int (last_percent, 100);
  element_test_stop (pipeline);
}
GST_END_TEST;

static gchar *
get_title (ElementTest *fixture)
{
  g_autoptr (GstPad) pad = gst_element_get_static_pad (fixture->source, "src");
  g_autoptr (GstEvent) event = gst_pad_get_sticky_event (pad, GST_EVENT_TAG, 0);
  GstTagList *tags;
  gchar *title = NULL, *application = NULL;

  fail_unless (event != NULL);
  gst_event_parse_tag (event, &tags);
  fail_unless (gst_tag_list_get_string (tags, GST_TAG_APPLICATION_NAME, &application));
  g_free (application);
  gst_tag_list_get_string (tags, GST_TAG_TITLE, &title);
  return title;
}

GST_START_TEST (test_tags)
{
  ElementTest fixture = element_test_play ("prompt=one");
  g_autofree gchar *title = NULL;
  g_autofree gchar *later_title = NULL;

  element_test_pull_mood (&fixture);
  title = get_title (&fixture);
  fail_unless_equals_string (title, "one");
  g_object_set (fixture.source, "prompt", "two", NULL);
  for (guint frame = 1; frame < 30; frame++)
    element_test_pull_mood (&fixture);
  later_title = get_title (&fixture);
  fail_unless_equals_string (later_title, "two");
  element_test_end (&fixture);
}
GST_END_TEST;

int
main (int argc, char **argv)
{
  Suite *suite = suite_create ("direction");
  TCase *tcase = tcase_create ("all");

  suite_add_tcase (suite, tcase);
  tcase_add_test (tcase, test_prompt_while_playing);
  tcase_add_test (tcase, test_replay);
  tcase_add_test (tcase, test_change_in_replay);
  tcase_add_test (tcase, test_same_prompt_after_restart);
  tcase_add_test (tcase, test_prompt_while_loading);
  tcase_add_test (tcase, test_bad_prompt_while_playing);
  tcase_add_test (tcase, test_bad_prompt_before_start);
  tcase_add_test (tcase, test_controlled_guidance);
  tcase_add_test (tcase, test_messages);
  tcase_add_test (tcase, test_tags);
  return element_test_run (&argc, &argv, suite);
}
