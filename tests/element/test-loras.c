/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* LoRAs: how the property is read, that it holds from the start, while playing and after a seek, and that a bad file changes nothing. */
#include "element-test.h"

#include "gstsoraloras.h"

#define MAX_PATHS 3

static const struct {
  const gchar *text;
  const gchar *paths[MAX_PATHS];
  gdouble weights[MAX_PATHS];
} texts[] = {
  { "", { NULL }, { 0 } },
  { NULL, { NULL }, { 0 } },
  { ",,", { NULL }, { 0 } },
  { "a.safetensors", { "a.safetensors" }, { 1 } },
  { "a.safetensors:0.5", { "a.safetensors" }, { 0.5 } },
  { "a:-1.25e-1,/b/c.pt", { "a", "/b/c.pt" }, { -0.125, 1 } },
  { "a:0.5,b:2", { "a", "b" }, { 0.5, 2 } },
  { "C:\\loras\\a.safetensors:3", { "C:\\loras\\a.safetensors" }, { 3 } },
  { "a:b", { "a:b" }, { 1 } },
  { "a:b:2", { "a:b" }, { 2 } },
  { "a:2:1", { "a:2" }, { 1 } },
  { "a:", { "a:" }, { 1 } },
  { ":0.5", { ":0.5" }, { 1 } },
  { "a: 2", { "a: 2" }, { 1 } },
  { "a:nan,b:inf,c:1e999", { "a:nan", "b:inf", "c:1e999" }, { 1, 1, 1 } },
  { "one\\,two:2,three", { "one,two", "three" }, { 2, 1 } },
  { "back\\\\slash,end\\", { "back\\slash", "end\\" }, { 1, 1 } },
};

GST_START_TEST (test_parse)
{
  g_autofree gdouble *weights = NULL;
  g_auto (GStrv) paths = gst_sora_loras_parse (texts[__i__].text, &weights);
  guint n = 0;

  while (n < MAX_PATHS && texts[__i__].paths[n])
    n++;
  fail_unless_equals_int (g_strv_length (paths), n);
  for (guint i = 0; i < n; i++) {
    fail_unless_equals_string (paths[i], texts[__i__].paths[i]);
    fail_unless_equals_float (weights[i], texts[__i__].weights[i]);
  }
}
GST_END_TEST;

/* Blue with the LoRAs of @text */
static guint8
mood_of (const gchar *text)
{
  g_autofree gdouble *weights = NULL;
  g_auto (GStrv) paths = gst_sora_loras_parse (text, &weights);

  return fake_sora_colour (0, 9, "one", -1) + fake_sora_lora_mood ((const gchar *const *) paths, weights);
}

static void
assert_loras (ElementTest *fixture, const gchar *expected)
{
  g_autofree gchar *loras = NULL;

  g_object_get (fixture->source, "loras", &loras, NULL);
  fail_unless_equals_string (loras, expected);
}

/* From the start, then others, then none; and the same again after a seek back. */
GST_START_TEST (test_while_playing)
{
  ElementTest fixture = element_test_play ("prompt=one loras=\"a.safetensors:0.5,b.safetensors\"");
  guint8 moods[60];

  for (guint frame = 0; frame < 60; frame++) {
    moods[frame] = element_test_pull_mood (&fixture);
    if (frame == 10)
      g_object_set (fixture.source, "loras", "c.safetensors:2", NULL);
    else if (frame == 30)
      g_object_set (fixture.source, "loras", NULL, NULL);
  }
  fail_unless_equals_int (moods[0], mood_of ("a.safetensors:0.5,b.safetensors"));
  fail_unless_equals_int (moods[29], mood_of ("c.safetensors:2"));
  fail_unless_equals_int (moods[59], mood_of (""));
  assert_loras (&fixture, "");
  for (guint i = 0; i < 2; i++) {
    fail_unless (gst_element_seek_simple (fixture.pipeline, GST_FORMAT_TIME, GST_SEEK_FLAG_FLUSH, 0));
    for (guint frame = 0; frame < 60; frame++)
      fail_unless_equals_int (element_test_pull_mood (&fixture), moods[frame]);
  }
  element_test_end (&fixture);
}
GST_END_TEST;

/* Set while the model loads: it holds from block 0. */
GST_START_TEST (test_while_loading)
{
  ElementTest fixture;

  fake_sora.load_ms = 100;
  fixture = element_test_play ("prompt=one loras=a");
  g_object_set (fixture.source, "loras", "b", NULL);
  fail_unless_equals_int (element_test_pull_mood (&fixture), mood_of ("b"));
  element_test_end (&fixture);
}
GST_END_TEST;

/* What does not fit posts a warning; the stream goes on with what it had, as the property tells. */
GST_START_TEST (test_refused)
{
  ElementTest fixture = element_test_play ("prompt=one loras=a");
  g_autoptr (GstMessage) message = NULL;
  g_autoptr (GError) error = NULL;

  element_test_pull_mood (&fixture);
  g_object_set (fixture.source, "loras", "a," FAKE_SORA_BAD_LORA ":0.5", NULL);
  for (guint frame = 1; frame < 30; frame++)
    fail_unless_equals_int (element_test_pull_mood (&fixture), mood_of ("a"));
  message = element_test_wait (fixture.pipeline, GST_MESSAGE_WARNING, 5);
  gst_message_parse_warning (message, &error, NULL);
  fail_unless (g_error_matches (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_READ), "%s", error->message);
  assert_loras (&fixture, "a");
  element_test_end (&fixture);
}
GST_END_TEST;

/* The same with what has no room on the device, which shows only when the next block begins; another one comes after it. */
GST_START_TEST (test_no_room)
{
  ElementTest fixture = element_test_play ("prompt=one loras=a");
  g_autoptr (GstMessage) message = NULL;
  g_autoptr (GError) error = NULL;
  guint8 mood = 0;

  element_test_pull_mood (&fixture);
  g_object_set (fixture.source, "loras", FAKE_SORA_LARGE_LORA ",b", NULL);
  for (guint frame = 1; frame < 30; frame++)
    fail_unless_equals_int (element_test_pull_mood (&fixture), mood_of ("a"));
  message = element_test_wait (fixture.pipeline, GST_MESSAGE_WARNING, 5);
  gst_message_parse_warning (message, &error, NULL);
  fail_unless (g_error_matches (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NO_SPACE_LEFT), "%s", error->message);
  assert_loras (&fixture, "a");
  g_object_set (fixture.source, "loras", "b", NULL);
  for (guint frame = 30; frame < 60; frame++)
    mood = element_test_pull_mood (&fixture);
  fail_unless_equals_int (mood, mood_of ("b"));
  fail_unless (gst_element_seek_simple (fixture.pipeline, GST_FORMAT_TIME, GST_SEEK_FLAG_FLUSH, 0));
  fail_unless_equals_int (element_test_pull_mood (&fixture), mood_of ("a"));
  element_test_end (&fixture);
}
GST_END_TEST;

/* At the start it is an error, after which a good one runs. */
GST_START_TEST (test_refused_at_start)
{
  GstElement *pipeline = element_test_pipeline ("sorasrc name=source loras=" FAKE_SORA_BAD_LORA " ! fakesink");
  ElementTest fixture = { pipeline, gst_bin_get_by_name (GST_BIN (pipeline), "source") };
  g_autoptr (GstMessage) message = NULL;
  g_autoptr (GError) error = NULL;

  gst_element_set_state (pipeline, GST_STATE_PAUSED);
  message = element_test_wait (pipeline, GST_MESSAGE_ERROR, 5);
  gst_message_parse_error (message, &error, NULL);
  fail_unless (g_error_matches (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_READ), "%s", error->message);
  gst_element_set_state (pipeline, GST_STATE_NULL);
  g_object_set (fixture.source, "loras", "a", NULL);
  gst_element_set_state (pipeline, GST_STATE_PAUSED);
  fail_unless_equals_int (gst_element_get_state (pipeline, NULL, NULL, 5 * GST_SECOND), GST_STATE_CHANGE_SUCCESS);
  element_test_end (&fixture);
}
GST_END_TEST;

int
main (int argc, char **argv)
{
  Suite *suite = suite_create ("loras");
  TCase *tcase = tcase_create ("all");

  suite_add_tcase (suite, tcase);
  tcase_add_loop_test (tcase, test_parse, 0, G_N_ELEMENTS (texts));
  tcase_add_test (tcase, test_while_playing);
  tcase_add_test (tcase, test_while_loading);
  tcase_add_test (tcase, test_refused);
  tcase_add_test (tcase, test_no_room);
  tcase_add_test (tcase, test_refused_at_start);
  return element_test_run (&argc, &argv, suite);
}
