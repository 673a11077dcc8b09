/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* States in any order, ends while loading, faults of every kind, and that nothing waits for what cannot be aborted. */
#include "element-test.h"

/* ms; generous for a loaded machine, far below the seconds that the work below would take */
#define PROMPT_MS 1000

static gint64
now_ms (void)
{
  return g_get_monotonic_time () / 1000;
}

static const GstState states[] = { GST_STATE_NULL, GST_STATE_READY, GST_STATE_PAUSED, GST_STATE_PLAYING };

/* A hundred random changes, at random moments. */
GST_START_TEST (test_cycles)
{
  GstElement *pipeline = element_test_pipeline (__i__ == 0 ? "sorasrc ! fakesink" : "sorasrc is-live=true ! fakesink");
  GRand *random = g_rand_new_with_seed (__i__ + 1);

  fake_sora.load_ms = 10;
  fake_sora.block_ms = 3;
  for (guint i = 0; i < 100; i++) {
    GstState state = states[g_rand_int_range (random, 0, 4)];
    fail_if (gst_element_set_state (pipeline, state) == GST_STATE_CHANGE_FAILURE);
    if (g_rand_int_range (random, 0, 3) == 0)
      fail_if (gst_element_get_state (pipeline, NULL, NULL, 5 * GST_SECOND) == GST_STATE_CHANGE_FAILURE);
    else
      g_usleep (g_rand_int_range (random, 0, 10000));
  }
  g_rand_free (random);
  element_test_stop (pipeline);
  element_test_assert_all_freed ();
}
GST_END_TEST;

static GstPadProbeReturn
note_first_time (GstPad *pad, GstPadProbeInfo *info, gpointer first_time)
{
  if (!GST_CLOCK_TIME_IS_VALID (*(GstClockTime *) first_time))
    *(GstClockTime *) first_time = GST_BUFFER_PTS (GST_PAD_PROBE_INFO_BUFFER (info));
  return GST_PAD_PROBE_OK;
}

/* Whole runs one after another: each begins at frame 0, and a random seed is drawn anew. */
GST_START_TEST (test_reuse)
{
  GstElement *pipeline = element_test_pipeline ("sorasrc name=source duration=500000000 ! fakesink");
  g_autoptr (GstElement) source = gst_bin_get_by_name (GST_BIN (pipeline), "source");
  g_autoptr (GstPad) pad = gst_element_get_static_pad (source, "src");
  GstClockTime first_time;
  gint64 seeds[6];

  gst_pad_add_probe (pad, GST_PAD_PROBE_TYPE_BUFFER, note_first_time, &first_time, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (seeds); i++) {
    gint64 idle_seed;
    first_time = GST_CLOCK_TIME_NONE;
    gst_element_set_state (pipeline, GST_STATE_PLAYING);
    gst_message_unref (element_test_wait (pipeline, GST_MESSAGE_EOS, 5));
    fail_unless_equals_uint64 (first_time, 0);
    g_object_get (source, "seed", &seeds[i], NULL);
    fail_unless (seeds[i] >= 0);
    fail_unless_equals_uint64 (fake_sora_calls.seed, seeds[i]);
    fail_if (i > 0 && seeds[i] == seeds[i - 1]);
    gst_element_set_state (pipeline, i % 2 ? GST_STATE_READY : GST_STATE_NULL);
    g_object_get (source, "seed", &idle_seed, NULL);
    fail_unless_equals_int64 (idle_seed, -1);
  }
  element_test_stop (pipeline);
  element_test_assert_all_freed ();
}
GST_END_TEST;

/* The stream takes its size and its settings from the run, not from the one before. */
GST_START_TEST (test_reuse_with_other_caps)
{
  GstElement *pipeline = element_test_pipeline ("sorasrc name=source num-buffers=2 ! capsfilter name=filter ! fakesink");
  g_autoptr (GstElement) filter = gst_bin_get_by_name (GST_BIN (pipeline), "filter");
  g_autoptr (GstElement) source = gst_bin_get_by_name (GST_BIN (pipeline), "source");

  for (guint i = 0; i < 4; i++) {
    gst_util_set_object_arg (G_OBJECT (filter), "caps", i % 2 ? "video/x-raw,width=640,height=360" : "video/x-raw");
    g_object_set (source, "steps", i, "seed", (gint64) 100 + i, "negative-prompt", i % 2 ? "blurred" : "", NULL);
    gst_element_set_state (pipeline, GST_STATE_PLAYING);
    gst_message_unref (element_test_wait (pipeline, GST_MESSAGE_EOS, 5));
    fail_unless_equals_int (fake_sora_calls.width, i % 2 ? 64 : 32);
    fail_unless_equals_int (fake_sora_calls.steps, i);
    fail_unless_equals_uint64 (fake_sora_calls.seed, 100 + i);
    fail_unless_equals_string (fake_sora_calls.negative_prompt, i % 2 ? "blurred" : "");
    gst_element_set_state (pipeline, GST_STATE_READY);
  }
  element_test_stop (pipeline);
}
GST_END_TEST;

/* EOS from outside while the model loads, or a block is under way: it comes at once. */
GST_START_TEST (test_eos_while_busy)
{
  GstElement *pipeline = element_test_pipeline ("sorasrc name=source ! fakesink async=false");
  gint64 start;

  fake_sora.load_ms = __i__ == 0 ? 20000 : 0;
  fake_sora.block_ms = 20000;
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  g_usleep (50000);
  start = now_ms ();
  fail_unless (gst_element_send_event (pipeline, gst_event_new_eos ()));
  gst_message_unref (element_test_wait (pipeline, GST_MESSAGE_EOS, 5));
  fail_unless (now_ms () - start < PROMPT_MS);
  start = now_ms ();
  element_test_stop (pipeline);
  fail_unless (now_ms () - start < PROMPT_MS);
  fail_unless_equals_int (fake_sora_calls.cancelled, 1);
  element_test_assert_all_freed ();
}
GST_END_TEST;

/* A live source that waits for its first frame lets itself be paused and stopped. */
GST_START_TEST (test_pause_live_while_busy)
{
  GstElement *pipeline = element_test_pipeline ("sorasrc is-live=true ! fakesink");
  gint64 start;

  fake_sora.load_ms = __i__ == 0 ? 20000 : 0;
  fake_sora.block_ms = 20000;
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  g_usleep (50000);
  start = now_ms ();
  gst_element_set_state (pipeline, GST_STATE_PAUSED);
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  gst_element_set_state (pipeline, GST_STATE_PAUSED);
  element_test_stop (pipeline);
  fail_unless (now_ms () - start < PROMPT_MS);
  element_test_assert_all_freed ();
}
GST_END_TEST;

static void
count_cancel (GstBus *bus, GstMessage *message, gpointer count)
{
  GstProgressType type;

  gst_message_parse_progress (message, &type, NULL, NULL);
  *(gint *) count += type == GST_PROGRESS_TYPE_CANCELED;
}

GST_START_TEST (test_cancel_is_told)
{
  GstElement *pipeline = element_test_pipeline ("sorasrc ! fakesink");
  g_autoptr (GstBus) bus = gst_element_get_bus (pipeline);
  gint cancels = 0;

  fake_sora.load_ms = 20000;
  gst_bus_enable_sync_message_emission (bus);
  g_signal_connect (bus, "sync-message::progress", G_CALLBACK (count_cancel), &cancels);
  gst_element_set_state (pipeline, GST_STATE_PAUSED);
  g_usleep (20000);
  element_test_stop (pipeline);
  fail_unless_equals_int (cancels, 1);
}
GST_END_TEST;

/* ---- faults ---- */

typedef enum { IN_MODEL, IN_DEVICE, IN_LOAD, IN_BLOCK } Place;

static const struct {
  Place place;
  GQuark (*domain) (void);
  gint code;
  GQuark (*gst_domain) (void);
  gint gst_code;
} faults[] = {
  { IN_MODEL, sora_model_error_quark, SORA_MODEL_ERROR_NOT_FOUND, gst_resource_error_quark,
      GST_RESOURCE_ERROR_NOT_FOUND },
  { IN_MODEL, sora_model_error_quark, SORA_MODEL_ERROR_FORMAT, gst_resource_error_quark, GST_RESOURCE_ERROR_READ },
  { IN_MODEL, sora_model_error_quark, SORA_MODEL_ERROR_WEIGHT, gst_resource_error_quark, GST_RESOURCE_ERROR_READ },
  { IN_MODEL, sora_model_error_quark, SORA_MODEL_ERROR_UNSUPPORTED, gst_stream_error_quark,
      GST_STREAM_ERROR_NOT_IMPLEMENTED },
  { IN_DEVICE, sora_device_error_quark, SORA_DEVICE_ERROR_NO_DRIVER, gst_library_error_quark,
      GST_LIBRARY_ERROR_INIT },
  { IN_DEVICE, sora_device_error_quark, SORA_DEVICE_ERROR_NOT_FOUND, gst_resource_error_quark,
      GST_RESOURCE_ERROR_NOT_FOUND },
  { IN_LOAD, sora_device_error_quark, SORA_DEVICE_ERROR_NO_MEMORY, gst_resource_error_quark,
      GST_RESOURCE_ERROR_NO_SPACE_LEFT },
  { IN_LOAD, sora_device_error_quark, SORA_DEVICE_ERROR_BUILD, gst_library_error_quark, GST_LIBRARY_ERROR_FAILED },
  { IN_LOAD, sora_stream_error_quark, SORA_STREAM_ERROR_OPTION, gst_library_error_quark,
      GST_LIBRARY_ERROR_SETTINGS },
  { IN_BLOCK, sora_stream_error_quark, SORA_STREAM_ERROR_NUMERIC, gst_stream_error_quark, GST_STREAM_ERROR_FAILED },
  { IN_BLOCK, sora_device_error_quark, SORA_DEVICE_ERROR_FAILED, gst_resource_error_quark, GST_RESOURCE_ERROR_FAILED },
};

/* Each becomes one error message that keeps libsora's sentence; the element can be used again. */
GST_START_TEST (test_faults)
{
  GstElement *pipeline = element_test_pipeline ("sorasrc ! fakesink");
  Place place = faults[__i__].place;
  FakeSora sound = fake_sora;
  GstStateChangeReturn ret;
  g_autoptr (GstMessage) message = NULL;
  g_autoptr (GError) error = NULL;

  fake_sora.fail_domain = faults[__i__].domain ();
  fake_sora.fail_code = faults[__i__].code;
  fake_sora.fail_model = place == IN_MODEL;
  fake_sora.fail_device = place == IN_DEVICE;
  fake_sora.fail_load = place == IN_LOAD;
  fake_sora.fail_block = place == IN_BLOCK ? 3 : -1;
  ret = gst_element_set_state (pipeline, GST_STATE_PLAYING);
  /* files and device fail the state change itself */
  fail_unless_equals_int (ret, place <= IN_DEVICE ? GST_STATE_CHANGE_FAILURE : GST_STATE_CHANGE_ASYNC);
  message = element_test_wait (pipeline, GST_MESSAGE_ERROR, 5);
  gst_message_parse_error (message, &error, NULL);
  fail_unless (g_error_matches (error, faults[__i__].gst_domain (), faults[__i__].gst_code), "%s",
      g_quark_to_string (error->domain));
  fail_unless_equals_string (error->message, "an ordered failure");
  gst_element_set_state (pipeline, GST_STATE_NULL);
  element_test_assert_all_freed ();

  fake_sora = sound;
  gst_element_set_state (pipeline, GST_STATE_PAUSED);
  fail_unless_equals_int (gst_element_get_state (pipeline, NULL, NULL, 5 * GST_SECOND), GST_STATE_CHANGE_SUCCESS);
  element_test_stop (pipeline);
  element_test_assert_all_freed ();
}
GST_END_TEST;

/* What was generated before the fault is shown first: blocks 0 to 2 have 9 frames. */
GST_START_TEST (test_frames_before_fault)
{
  GstElement *pipeline = element_test_pipeline ("sorasrc name=source ! fakesink");
  g_autoptr (GstElement) source = gst_bin_get_by_name (GST_BIN (pipeline), "source");
  g_autoptr (GstStructure) stats = NULL;
  guint64 buffers;

  fake_sora.fail_block = 3;
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  gst_message_unref (element_test_wait (pipeline, GST_MESSAGE_ERROR, 5));
  g_object_get (source, "stats", &stats, NULL);
  fail_unless (gst_structure_get_uint64 (stats, "buffers", &buffers));
  fail_unless_equals_uint64 (buffers, 9);
  element_test_stop (pipeline);
}
GST_END_TEST;

GST_START_TEST (test_two_in_one_pipeline)
{
  GstElement *pipeline = element_test_pipeline ("sorasrc num-buffers=20 prompt=one ! compositor name=mix ! fakesink "
      "sorasrc num-buffers=20 prompt=two ! mix.");

  fake_sora.block_ms = 2;
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  gst_message_unref (element_test_wait (pipeline, GST_MESSAGE_EOS, 10));
  element_test_stop (pipeline);
  element_test_assert_all_freed ();
}
GST_END_TEST;

/* Two elements with one path have one model; it is let go with the last of them. */
GST_START_TEST (test_shared_model)
{
  GstElement *one = element_test_pipeline ("sorasrc ! fakesink"), *other = element_test_pipeline ("sorasrc ! fakesink");

  gst_element_set_state (one, GST_STATE_PAUSED);
  gst_element_set_state (other, GST_STATE_PAUSED);
  fail_unless_equals_int (gst_element_get_state (other, NULL, NULL, 5 * GST_SECOND), GST_STATE_CHANGE_SUCCESS);
  fail_unless_equals_int (fake_sora_calls.models, 1);
  element_test_stop (one);
  fail_unless_equals_int (fake_sora_calls.models, 1);
  element_test_stop (other);
  element_test_assert_all_freed ();
}
GST_END_TEST;

/* With another part, or taken in another way, it is another model. */
GST_START_TEST (test_models_of_other_parts)
{
  GstElement *one = element_test_pipeline ("sorasrc ! fakesink"), *other = element_test_pipeline ("sorasrc text-encoder=a ! fakesink");
  GstElement *third = element_test_pipeline ("sorasrc vae=a text-encoder=\"\" ! fakesink");
  GstElement *fourth = element_test_pipeline ("sorasrc transformer-2=a ! fakesink"), *fifth = element_test_pipeline ("sorasrc causal=true ! fakesink");
  GstElement *all[] = { one, other, third, fourth, fifth };

  for (guint i = 0; i < G_N_ELEMENTS (all); i++) {
    gst_element_set_state (all[i], GST_STATE_PAUSED);
    fail_unless_equals_int (gst_element_get_state (all[i], NULL, NULL, 5 * GST_SECOND), GST_STATE_CHANGE_SUCCESS);
    fail_unless_equals_int (fake_sora_calls.models, i + 1);
    fail_unless_equals_string (fake_sora_calls.parts, i == 0 ? "" : i == 4 ? "+" : "a");
  }
  for (guint i = 0; i < G_N_ELEMENTS (all); i++)
    element_test_stop (all[i]);
  element_test_assert_all_freed ();
}
GST_END_TEST;

/* Properties are read and written from other threads while it all runs. */
static gpointer
fiddle (gpointer source)
{
  for (guint i = 0; i < 300; i++) {
    g_autoptr (GstStructure) stats = NULL;
    g_autofree gchar *prompt = g_strdup_printf ("prompt %u", i);
    gint64 seed;
    g_object_set (source, "prompt", prompt, "guidance-scale", i / 100.0, "fit", i % 3, NULL);
    g_object_get (source, "stats", &stats, "seed", &seed, NULL);
    g_usleep (500);
  }
  return NULL;
}

GST_START_TEST (test_properties_from_other_threads)
{
  GstElement *pipeline = element_test_pipeline ("sorasrc name=source ! video/x-raw,width=50,height=20 ! fakesink");
  g_autoptr (GstElement) source = gst_bin_get_by_name (GST_BIN (pipeline), "source");
  GThread *threads[2];

  for (guint i = 0; i < 2; i++)
    threads[i] = g_thread_new (NULL, fiddle, source);
  for (guint i = 0; i < 30; i++) {
    gst_element_set_state (pipeline, i % 2 ? GST_STATE_NULL : GST_STATE_PLAYING);
    g_usleep (5000);
  }
  for (guint i = 0; i < 2; i++)
    g_thread_join (threads[i]);
  element_test_stop (pipeline);
  element_test_assert_all_freed ();
}
GST_END_TEST;

int
main (int argc, char **argv)
{
  Suite *suite = suite_create ("states");
  TCase *tcase = tcase_create ("all");

  suite_add_tcase (suite, tcase);
  tcase_add_loop_test (tcase, test_cycles, 0, 2);
  tcase_add_test (tcase, test_reuse);
  tcase_add_test (tcase, test_reuse_with_other_caps);
  tcase_add_loop_test (tcase, test_eos_while_busy, 0, 2);
  tcase_add_loop_test (tcase, test_pause_live_while_busy, 0, 2);
  tcase_add_test (tcase, test_cancel_is_told);
  tcase_add_loop_test (tcase, test_faults, 0, G_N_ELEMENTS (faults));
  tcase_add_test (tcase, test_frames_before_fault);
  tcase_add_test (tcase, test_two_in_one_pipeline);
  tcase_add_test (tcase, test_shared_model);
  tcase_add_test (tcase, test_models_of_other_parts);
  tcase_add_test (tcase, test_properties_from_other_threads);
  return element_test_run (&argc, &argv, suite);
}
