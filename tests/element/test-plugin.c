/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The built plugin with the engine itself, a small model and whatever OpenCL device there is. */
#include <gst/check/gstcheck.h>
#include <gst/video/video.h>
#include <gdk-pixbuf/gdk-pixbuf.h>
#include <gio/gio.h>
#include <glib/gstdio.h>

#define FRAMES 24

static GstElement *
make_pipeline_to (const gchar *properties, const gchar *sink)
{
  g_autofree gchar *description = g_strdup_printf ("sorasrc name=source model=%s seed=4 prompt=\"a red balloon\" %s ! "
      "video/x-raw,format=RGB ! %s", TEST_MODEL, properties, sink);
  g_autoptr (GError) error = NULL;
  GstElement *pipeline = gst_parse_launch (description, &error);

  fail_unless (error == NULL, "%s", error ? error->message : "");
  return pipeline;
}

static GstElement *
make_pipeline (const gchar *properties)
{
  return make_pipeline_to (properties, "appsink name=sink sync=false max-buffers=2");
}

static void
stop (GstElement *pipeline)
{
  fail_unless_equals_int (gst_element_set_state (pipeline, GST_STATE_NULL), GST_STATE_CHANGE_SUCCESS);
  gst_object_unref (pipeline);
}

/* The next frame's time and the hash of its bytes; NULL after the last. */
static gchar *
pull (GstElement *pipeline, GstClockTime *time)
{
  g_autoptr (GstElement) sink = gst_bin_get_by_name (GST_BIN (pipeline), "sink");
  g_autoptr (GstSample) sample = NULL;
  GstMapInfo map;
  gchar *hash;
  gboolean ended;

  g_signal_emit_by_name (sink, "try-pull-sample", (guint64) 60 * GST_SECOND, &sample);
  g_object_get (sink, "eos", &ended, NULL);
  fail_unless (sample != NULL || ended, "neither a frame nor EOS in 60 s");
  if (sample == NULL)
    return NULL;
  fail_unless (gst_buffer_map (gst_sample_get_buffer (sample), &map, GST_MAP_READ));
  hash = g_compute_checksum_for_data (G_CHECKSUM_SHA256, map.data, map.size);
  gst_buffer_unmap (gst_sample_get_buffer (sample), &map);
  *time = GST_BUFFER_PTS (gst_sample_get_buffer (sample));
  return hash;
}

/* The hashes of the first FRAMES frames. */
static GPtrArray *
generate (const gchar *properties)
{
  g_autofree gchar *all = g_strdup_printf ("num-buffers=%d %s", FRAMES, properties);
  GPtrArray *hashes = g_ptr_array_new_with_free_func (g_free);
  GstElement *pipeline = make_pipeline (all);
  GstClockTime time;
  gchar *hash;

  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  while ((hash = pull (pipeline, &time)))
    g_ptr_array_add (hashes, hash);
  stop (pipeline);
  fail_unless_equals_int (hashes->len, FRAMES);
  return hashes;
}

static gboolean
equal (GPtrArray *a, GPtrArray *b)
{
  for (guint i = 0; i < a->len; i++) {
    if (!g_str_equal (a->pdata[i], b->pdata[i]))
      return FALSE;
  }
  return TRUE;
}

GST_START_TEST (test_same_seed_same_frames)
{
  g_autoptr (GPtrArray) once = generate (""), again = generate ("queue-size=5"), other = generate ("seed=5");

  fail_unless (equal (once, again));
  fail_if (equal (once, other));
  /* it moves */
  fail_if (g_str_equal (once->pdata[0], once->pdata[FRAMES - 1]));
}
GST_END_TEST;

/* (transfer full): the path of a temporary picture file */
static gchar *
draw_picture (void)
{
  g_autoptr (GdkPixbuf) picture = gdk_pixbuf_new (GDK_COLORSPACE_RGB, FALSE, 8, 120, 80);
  gchar *path;

  g_close (g_file_open_tmp ("sora-test-XXXXXX.png", &path, NULL), NULL);
  gdk_pixbuf_fill (picture, 0x2060c0ff);
  fail_unless (gdk_pixbuf_save (picture, path, "png", NULL, NULL));
  return path;
}

/* The first frame is the picture's under every seed; the others are not. */
GST_START_TEST (test_image)
{
  g_autofree gchar *path = draw_picture (), *given = g_strdup_printf ("image=%s", path), *other = g_strdup_printf ("image=%s seed=5", path);
  g_autoptr (GPtrArray) plain = generate (""), one = generate (given), reseeded = generate (other);

  g_unlink (path);
  fail_if (g_str_equal (plain->pdata[0], one->pdata[0]));
  fail_unless_equals_string (one->pdata[0], reseeded->pdata[0]);
  fail_if (g_str_equal (one->pdata[FRAMES - 1], reseeded->pdata[FRAMES - 1]));
}
GST_END_TEST;

/* Without a picture, and with one, whose file is gone by then. */
GST_START_TEST (test_seek)
{
  g_autofree gchar *path = draw_picture (), *given = g_strdup_printf ("image=%s", path);
  GstElement *pipeline = make_pipeline (__i__ == 1 ? given : "");
  gchar *hashes[FRAMES];
  gint n, d;
  g_autoptr (GstElement) source = gst_bin_get_by_name (GST_BIN (pipeline), "source");
  g_autoptr (GstStructure) stats = NULL;
  GstClockTime times[FRAMES], time;

  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  for (guint i = 0; i < FRAMES; i++)
    hashes[i] = pull (pipeline, &times[i]);
  g_unlink (path);
  g_object_get (source, "stats", &stats, NULL);
  fail_unless (gst_structure_get_fraction (stats, "model-rate", &n, &d));
  for (guint start = 0; start < FRAMES; start += 9) {
    fail_unless (gst_element_seek_simple (pipeline, GST_FORMAT_TIME, GST_SEEK_FLAG_FLUSH, times[start]));
    for (guint i = start; i < FRAMES; i++) {
      g_autofree gchar *hash = pull (pipeline, &time);
      fail_unless_equals_uint64 (time, times[i]);
      fail_unless_equals_uint64 (time, gst_util_uint64_scale (i, d * GST_SECOND, n));
      fail_unless_equals_string (hash, hashes[i]);
    }
  }
  stop (pipeline);
  for (guint i = 0; i < FRAMES; i++)
    g_free (hashes[i]);
}
GST_END_TEST;

/* Another prompt while playing changes the frames; going back shows both again. */
GST_START_TEST (test_prompt_change)
{
  GstElement *pipeline = make_pipeline ("");
  g_autoptr (GstElement) source = gst_bin_get_by_name (GST_BIN (pipeline), "source");
  g_autoptr (GPtrArray) unchanged = generate (""), changed = g_ptr_array_new_with_free_func (g_free);
  GstClockTime time;

  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  for (guint i = 0; i < FRAMES; i++) {
    g_ptr_array_add (changed, pull (pipeline, &time));
    if (i == 0)
      g_object_set (source, "prompt", "a blue fish swims in the sea", NULL);
  }
  fail_unless_equals_string (changed->pdata[0], unchanged->pdata[0]);
  fail_if (g_str_equal (changed->pdata[FRAMES - 1], unchanged->pdata[FRAMES - 1]));
  fail_unless (gst_element_seek_simple (pipeline, GST_FORMAT_TIME, GST_SEEK_FLAG_FLUSH, 0));
  for (guint i = 0; i < FRAMES; i++) {
    g_autofree gchar *hash = pull (pipeline, &time);
    fail_unless_equals_string (hash, changed->pdata[i]);
  }
  stop (pipeline);
}
GST_END_TEST;

/* The engine either takes 1 MB of prompt, or refuses it with a message; either way it runs with the next one. */
GST_START_TEST (test_prompts)
{
  GstElement *pipeline = make_pipeline ("");
  g_autoptr (GstElement) source = gst_bin_get_by_name (GST_BIN (pipeline), "source");
  g_autofree gchar *megabyte = g_strnfill (1 << 20, 'a'), *kept = NULL;
  const gchar *prompts[] = { "", megabyte, "\xff\xff", "ein rotes Fahrrad \xf0\x9f\x9a\xb2" };
  GstClockTime time;

  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  for (guint i = 0; i < 4 * 16; i++) {
    g_autofree gchar *hash = NULL;
    if (i % 16 == 1)
      g_object_set (source, "prompt", prompts[i / 16], NULL);
    hash = pull (pipeline, &time);
    fail_unless (hash != NULL);
  }
  g_object_get (source, "prompt", &kept, NULL);
  fail_unless_equals_string (kept, prompts[3]);
  stop (pipeline);
}
GST_END_TEST;

GST_START_TEST (test_cycles)
{
  /* an appsink that nobody pulls from may block a state change itself */
  GstElement *pipeline = make_pipeline_to ("", "fakesink");
  GRand *random = g_rand_new_with_seed (3);

  for (guint i = 0; i < 100; i++) {
    GstState state = g_rand_int_range (random, GST_STATE_NULL, GST_STATE_PLAYING + 1);
    fail_if (gst_element_set_state (pipeline, state) == GST_STATE_CHANGE_FAILURE);
    g_usleep (g_rand_int_range (random, 0, 15000));
  }
  g_rand_free (random);
  stop (pipeline);
}
GST_END_TEST;

GST_START_TEST (test_two_in_one_pipeline)
{
  g_autofree gchar *description = g_strdup_printf ("sorasrc model=%s num-buffers=12 ! compositor name=mix ! fakesink "
      "sorasrc model=%s num-buffers=12 ! mix.", TEST_MODEL, TEST_MODEL);
  GstElement *pipeline = gst_parse_launch (description, NULL);
  g_autoptr (GstBus) bus = gst_element_get_bus (pipeline);
  g_autoptr (GstMessage) message = NULL;

  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  message = gst_bus_timed_pop_filtered (bus, 60 * GST_SECOND, GST_MESSAGE_EOS | GST_MESSAGE_ERROR);
  fail_unless (message != NULL);
  fail_unless_equals_int (GST_MESSAGE_TYPE (message), GST_MESSAGE_EOS);
  stop (pipeline);
}
GST_END_TEST;

/* The frames of two sources are those. */
static void
pull_both (GstElement *pipeline, GPtrArray *const *hashes)
{
  static const gchar *const names[] = { "first", "second" };

  for (guint i = 0; i < 2; i++) {
    g_autoptr (GstElement) sink = gst_bin_get_by_name (GST_BIN (pipeline), names[i]);
    for (guint frame = 0; frame < FRAMES; frame++) {
      g_autoptr (GstSample) sample = NULL;
      g_autofree gchar *hash = NULL;
      GstMapInfo map;
      g_signal_emit_by_name (sink, "try-pull-sample", (guint64) 60 * GST_SECOND, &sample);
      fail_unless (sample != NULL, "no frame in 60 s");
      fail_unless (gst_buffer_map (gst_sample_get_buffer (sample), &map, GST_MAP_READ));
      hash = g_compute_checksum_for_data (G_CHECKSUM_SHA256, map.data, map.size);
      gst_buffer_unmap (gst_sample_get_buffer (sample), &map);
      fail_unless_equals_string (hash, hashes[i]->pdata[frame]);
    }
  }
}

/* Two that share a model, each with its own LoRA, beside each other: the frames of each alone. */
GST_START_TEST (test_loras)
{
#define SOURCE "sorasrc model=%s seed=4 prompt=\"a red balloon\" num-buffers=%d loras=%s ! video/x-raw,format=RGB ! appsink sync=false name="
  static const gchar style[] = "loras=" TEST_LORAS "/tiny-style.safetensors:0.8", motion[] = "loras=" TEST_LORAS "/tiny-motion.safetensors";
  GPtrArray *hashes[] = { generate (style), generate (motion) };
  g_autoptr (GPtrArray) none = generate ("");
  g_autofree gchar *description = g_strdup_printf (SOURCE "first " SOURCE "second", TEST_MODEL, FRAMES, style + strlen ("loras="), TEST_MODEL,
      FRAMES, motion + strlen ("loras="));
  g_autoptr (GError) error = NULL;
  GstElement *pipeline = gst_parse_launch (description, &error);

  fail_unless (error == NULL, "%s", error ? error->message : "");
  fail_if (equal (hashes[0], hashes[1]) || equal (hashes[0], none) || equal (hashes[1], none));
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  pull_both (pipeline, hashes);
  stop (pipeline);
  for (guint i = 0; i < 2; i++)
    g_ptr_array_unref (hashes[i]);
}
GST_END_TEST;

/* ---- what fails to start ---- */

static void
assert_fails_to_start (GstElement *pipeline, GQuark domain, gint code, const gchar *part_of_text)
{
  g_autoptr (GstBus) bus = gst_element_get_bus (pipeline);
  g_autoptr (GstMessage) message = NULL;
  g_autoptr (GError) error = NULL;

  fail_unless_equals_int (gst_element_set_state (pipeline, GST_STATE_PLAYING), GST_STATE_CHANGE_FAILURE);
  message = gst_bus_timed_pop_filtered (bus, GST_SECOND, GST_MESSAGE_ERROR);
  fail_unless (message != NULL);
  gst_message_parse_error (message, &error, NULL);
  fail_unless (g_error_matches (error, domain, code), "%s", error->message);
  fail_unless (strstr (error->message, part_of_text) != NULL, "no '%s' in: %s", part_of_text, error->message);
  stop (pipeline);
}

GST_START_TEST (test_missing_model)
{
  assert_fails_to_start (make_pipeline ("model=/nonexistent/model"), GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NOT_FOUND,
      "/nonexistent/model");
}
GST_END_TEST;

GST_START_TEST (test_no_driver)
{
  /* this test runs in a process of its own that has not called OpenCL yet */
  g_setenv ("OCL_ICD_VENDORS", "/nonexistent", TRUE);
  g_setenv ("OCL_ICD_FILENAMES", "", TRUE);
  assert_fails_to_start (make_pipeline (""), GST_LIBRARY_ERROR, GST_LIBRARY_ERROR_INIT, "pocl-opencl-icd");
}
GST_END_TEST;

GST_START_TEST (test_unknown_device)
{
  assert_fails_to_start (make_pipeline ("device=\"no such device\""), GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NOT_FOUND,
      "no such device");
}
GST_END_TEST;

static const gchar *const model_files[] = {
  "model_index.json", "sora.json", "scheduler/scheduler_config.json", "tokenizer/spiece.model",
  "tokenizer/tokenizer_config.json", "text_encoder/config.json", "text_encoder/model.safetensors",
  "transformer/config.json", "transformer/diffusion_pytorch_model.safetensors", "vae/config.json",
  "vae/diffusion_pytorch_model.safetensors",
};

/* Copies the model to a new directory; the file of number @short_one loses its second half. */
static gchar *
copy_model (guint short_one)
{
  gchar *copy = g_dir_make_tmp ("sorasrc-test-XXXXXX", NULL);

  fail_unless (copy != NULL);
  for (guint i = 0; i < G_N_ELEMENTS (model_files); i++) {
    g_autofree gchar *from = g_build_filename (TEST_MODEL, model_files[i], NULL);
    g_autofree gchar *to = g_build_filename (copy, model_files[i], NULL);
    g_autofree gchar *folder = g_path_get_dirname (to);
    g_autofree gchar *data = NULL;
    gsize size;
    g_mkdir_with_parents (folder, 0700);
    fail_unless (g_file_get_contents (from, &data, &size, NULL), "%s", from);
    fail_unless (g_file_set_contents (to, data, i == short_one ? size / 2 : size, NULL));
  }
  return copy;
}

static void
delete_model (const gchar *copy)
{
  static const gchar *const folders[] = { "scheduler", "tokenizer", "text_encoder", "transformer", "vae", "" };

  for (guint i = 0; i < G_N_ELEMENTS (model_files); i++) {
    g_autofree gchar *file = g_build_filename (copy, model_files[i], NULL);
    g_unlink (file);
  }
  for (guint i = 0; i < G_N_ELEMENTS (folders); i++) {
    g_autofree gchar *folder = g_build_filename (copy, folders[i], NULL);
    g_rmdir (folder);
  }
}

/* Each file in turn cut in half fails the state change, and the message names it; two say nothing that sora.json and the
 * tokenizer itself do not. */
GST_START_TEST (test_truncated_model)
{
  g_autofree gchar *copy = copy_model (__i__);
  g_autofree gchar *property = g_strdup_printf ("model=%s", copy);
  g_autofree gchar *name = g_path_get_basename (model_files[__i__]);

  if (g_str_equal (name, "tokenizer_config.json") || g_str_equal (name, "scheduler_config.json")) {
    GstElement *pipeline = make_pipeline (property);
    g_autofree gchar *hash = NULL;
    GstClockTime time;
    fail_if (gst_element_set_state (pipeline, GST_STATE_PLAYING) == GST_STATE_CHANGE_FAILURE);
    hash = pull (pipeline, &time);
    fail_unless (hash != NULL);
    stop (pipeline);
  } else {
    assert_fails_to_start (make_pipeline (property), GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_READ, name);
  }
  delete_model (copy);
}
GST_END_TEST;

int
main (int argc, char **argv)
{
  Suite *suite = suite_create ("plugin");
  TCase *tcase = tcase_create ("all");
  SRunner *runner;
  int failed;

  static const gchar *const plugins[] = { TEST_PLUGIN, GST_PLUGINS_DIR "/libgstcoreelements.so",
    GST_PLUGINS_DIR "/libgstapp.so", GST_PLUGINS_DIR "/libgstcompositor.so", GST_PLUGINS_DIR "/libgstvideoconvertscale.so" };

  suite_add_tcase (suite, tcase);
  tcase_set_timeout (tcase, 120);
  tcase_add_test (tcase, test_same_seed_same_frames);
  tcase_add_test (tcase, test_image);
  tcase_add_loop_test (tcase, test_seek, 0, 2);
  tcase_add_test (tcase, test_prompt_change);
  tcase_add_test (tcase, test_prompts);
  tcase_add_test (tcase, test_cycles);
  tcase_add_test (tcase, test_two_in_one_pipeline);
  tcase_add_test (tcase, test_loras);
  tcase_add_test (tcase, test_missing_model);
  tcase_add_test (tcase, test_no_driver);
  tcase_add_test (tcase, test_unknown_device);
  tcase_add_loop_test (tcase, test_truncated_model, 0, G_N_ELEMENTS (model_files));

  gst_check_init (&argc, &argv);
  for (guint i = 0; i < G_N_ELEMENTS (plugins); i++) {
    GstPlugin *plugin = gst_plugin_load_file (plugins[i], NULL);
    if (plugin)
      gst_registry_add_plugin (gst_registry_get (), plugin);
    gst_clear_object (&plugin);
  }
  runner = srunner_create (suite);
  srunner_set_tap (runner, "-");
  srunner_run_all (runner, CK_SILENT);
  failed = srunner_ntests_failed (runner);
  srunner_free (runner);
  return failed > 0;
}
