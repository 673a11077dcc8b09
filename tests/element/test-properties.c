/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Properties: what each promises, what it takes, and that it reaches the engine. */
#include "element-test.h"

static const struct {
  const gchar *name;
  guint flags;       /* of these that are looked at */
  const gchar *value; /* one that is not the default */
} table[] = {
  { "model", GST_PARAM_MUTABLE_READY, "/models/some" },
  { "transformer-2", GST_PARAM_MUTABLE_READY, "/models/low.gguf" },
  { "text-encoder", GST_PARAM_MUTABLE_READY, "/models/umt5.gguf" },
  { "image-encoder", GST_PARAM_MUTABLE_READY, "/models/clip.pth" },
  { "causal", GST_PARAM_MUTABLE_READY, "true" },
  { "vae", GST_PARAM_MUTABLE_READY, "/models/taew2_1.pth" },
  { "vae-tile", GST_PARAM_MUTABLE_READY, "256" },
  { "weight-type", GST_PARAM_MUTABLE_READY, "bf16" },
  { "precision", GST_PARAM_MUTABLE_READY, "fp32" },
  { "text-encoder-policy", GST_PARAM_MUTABLE_READY, "release" },
  { "max-memory", GST_PARAM_MUTABLE_READY, "6000000000" },
  { "device", GST_PARAM_MUTABLE_READY, "gpu" },
  { "prompt", GST_PARAM_MUTABLE_PLAYING, "a red balloon" },
  { "negative-prompt", GST_PARAM_MUTABLE_READY, "blurred" },
  { "image", GST_PARAM_MUTABLE_READY, "/pictures/one.png" },
  { "last-image", GST_PARAM_MUTABLE_READY, "/pictures/two.png" },
  { "loras", GST_PARAM_MUTABLE_PLAYING, "/loras/style.safetensors:0.8,/loras/motion.pt" },
  { "guidance-scale", GST_PARAM_MUTABLE_PLAYING | GST_PARAM_CONTROLLABLE, "3.5" },
  { "guidance-scale-2", GST_PARAM_MUTABLE_READY, "3" },
  { "guidance-begin", GST_PARAM_MUTABLE_READY, "0.25" },
  { "guidance-end", GST_PARAM_MUTABLE_READY, "0.75" },
  { "sampler", GST_PARAM_MUTABLE_READY, "dpmpp-2m" },
  { "steps", GST_PARAM_MUTABLE_READY, "12" },
  { "shift", GST_PARAM_MUTABLE_READY, "5" },
  { "seed", GST_PARAM_MUTABLE_READY, "9223372036854775807" },
  { "duration", GST_PARAM_MUTABLE_READY, "5000000000" },
  { "fit", GST_PARAM_MUTABLE_PLAYING, "letterbox" },
  { "queue-size", GST_PARAM_MUTABLE_READY, "3" },
  { "is-live", GST_PARAM_MUTABLE_READY, "true" },
};

GST_START_TEST (test_each)
{
  g_autoptr (GstElement) element = gst_object_ref_sink (gst_element_factory_make ("sorasrc", NULL));
  GParamSpec *spec = g_object_class_find_property (G_OBJECT_GET_CLASS (element), table[__i__].name);
  guint looked_at = GST_PARAM_MUTABLE_READY | GST_PARAM_MUTABLE_PAUSED | GST_PARAM_MUTABLE_PLAYING | GST_PARAM_CONTROLLABLE;
  g_auto (GValue) before = G_VALUE_INIT, after = G_VALUE_INIT, wanted = G_VALUE_INIT;

  fail_unless (spec != NULL);
  fail_unless_equals_int (spec->flags & looked_at, table[__i__].flags);
  fail_unless (spec->flags & GST_PARAM_DOC_SHOW_DEFAULT);
  fail_unless (strlen (g_param_spec_get_blurb (spec)) > 20);

  g_object_get_property (G_OBJECT (element), table[__i__].name, &before);
  fail_unless (g_param_value_defaults (spec, &before), "not the default that is told");
  gst_util_set_object_arg (G_OBJECT (element), table[__i__].name, table[__i__].value);
  g_object_get_property (G_OBJECT (element), table[__i__].name, &after);
  g_value_init (&wanted, spec->value_type);
  fail_unless (gst_value_deserialize (&wanted, table[__i__].value));
  fail_unless_equals_int (gst_value_compare (&after, &wanted), GST_VALUE_EQUAL);
}
GST_END_TEST;

/* The table names every property of ours but the statistics. */
GST_START_TEST (test_table_is_whole)
{
  GObjectClass *class = g_type_class_ref (GST_TYPE_SORA_SRC);
  guint n, ours = 0;
  g_autofree GParamSpec **specs = g_object_class_list_properties (class, &n);

  for (guint i = 0; i < n; i++)
    ours += specs[i]->owner_type == GST_TYPE_SORA_SRC;
  fail_unless_equals_int (ours, G_N_ELEMENTS (table) + 1);
  g_type_class_unref (class);
}
GST_END_TEST;

/* -1 and GST_CLOCK_TIME_NONE are the same endless duration. */
GST_START_TEST (test_endless)
{
  g_autoptr (GstElement) element = gst_object_ref_sink (gst_element_factory_make ("sorasrc", NULL));
  gint64 duration;

  g_object_set (element, "duration", GST_CLOCK_TIME_NONE, NULL);
  g_object_get (element, "duration", &duration, NULL);
  fail_unless_equals_int64 (duration, -1);
}
GST_END_TEST;

/* Without a negative prompt the model's own counts, with an empty one nothing; without a prompt it is empty. */
GST_START_TEST (test_unset_prompts)
{
  g_autoptr (GstElement) element = gst_object_ref_sink (gst_element_factory_make ("sorasrc", NULL));
  g_autofree gchar *prompt = NULL, *none = NULL, *empty = NULL;

  g_object_set (element, "prompt", NULL, "negative-prompt", "blurred", NULL);
  g_object_set (element, "negative-prompt", NULL, NULL);
  g_object_get (element, "prompt", &prompt, "negative-prompt", &none, NULL);
  fail_unless_equals_string (prompt, "");
  fail_unless (none == NULL);
  g_object_set (element, "negative-prompt", "", NULL);
  g_object_get (element, "negative-prompt", &empty, NULL);
  fail_unless_equals_string (empty, "");
}
GST_END_TEST;

/* What is set arrives in the engine's options. */
GST_START_TEST (test_reach_the_engine)
{
  GstHarness *harness = element_test_harness ("prompt=\"a b\" negative-prompt=c steps=7 seed=42 guidance-scale=2 "
      "guidance-scale-2=1.5 transformer-2=t image-encoder=i causal=true guidance-begin=0.25 guidance-end=0.5 sampler=unipc shift=8 "
      "vae-tile=128 weight-type=q8 precision=bf16 text-encoder-policy=keep max-memory=8000000000 duration=3000000000", "video/x-raw,format=RGB");
  GstBuffer *buffer = gst_harness_pull (harness);

  fail_unless_equals_string (fake_sora_calls.prompt, "a b");
  fail_unless_equals_string (fake_sora_calls.negative_prompt, "c");
  fail_unless_equals_int (fake_sora_calls.steps, 7);
  fail_unless_equals_int (fake_sora_calls.sampler, SORA_SAMPLER_UNIPC);
  fail_unless_equals_int (fake_sora_calls.weight_type, SORA_WEIGHT_TYPE_Q8);
  fail_unless_equals_int (fake_sora_calls.precision, SORA_PRECISION_BF16);
  fail_unless_equals_int (fake_sora_calls.text_encoder_policy, SORA_TEXT_ENCODER_POLICY_KEEP);
  fail_unless_equals_uint64 (fake_sora_calls.max_memory, 8000000000);
  fail_unless_equals_float (fake_sora_calls.shift, 8);
  fail_unless_equals_int (fake_sora_calls.vae_tile, 128);
  fail_unless_equals_float (fake_sora_calls.guidance_scale_2, 1.5);
  fail_unless_equals_string (fake_sora_calls.parts, "ti+");
  fail_unless_equals_float (fake_sora_calls.guidance_begin, 0.25);
  fail_unless_equals_float (fake_sora_calls.guidance_end, 0.5);
  fail_unless_equals_uint64 (fake_sora_calls.seed, 42);
  fail_unless_equals_uint64 (fake_sora_calls.length, 48);
  fail_unless_equals_int (element_test_mood (harness, buffer), fake_sora_colour (0, 42, "a b", 2) & 0xff);
  gst_buffer_unref (buffer);
  gst_harness_teardown (harness);
}
GST_END_TEST;

/* Nothing set: all is left to the model, and every step is guided. */
GST_START_TEST (test_defaults_reach_the_engine)
{
  GstHarness *harness = element_test_harness ("", "video/x-raw,format=RGB");

  gst_buffer_unref (gst_harness_pull (harness));
  fail_unless_equals_int (fake_sora_calls.steps, 0);
  fail_unless_equals_int (fake_sora_calls.sampler, SORA_SAMPLER_DEFAULT);
  fail_unless_equals_int (fake_sora_calls.weight_type, SORA_WEIGHT_TYPE_AUTO);
  fail_unless_equals_int (fake_sora_calls.precision, SORA_PRECISION_AUTO);
  fail_unless_equals_int (fake_sora_calls.text_encoder_policy, SORA_TEXT_ENCODER_POLICY_AUTO);
  fail_unless_equals_uint64 (fake_sora_calls.max_memory, 0);
  fail_unless_equals_float (fake_sora_calls.shift, -1);
  fail_unless_equals_int (fake_sora_calls.vae_tile, -1);
  fail_unless_equals_float (fake_sora_calls.guidance_scale_2, -1);
  fail_unless_equals_float (fake_sora_calls.guidance_begin, 0);
  fail_unless_equals_float (fake_sora_calls.guidance_end, 1);
  fail_unless (fake_sora_calls.negative_prompt == NULL);
  gst_harness_teardown (harness);
}
GST_END_TEST;

/* The names of the samplers are those that sora.json has. */
GST_START_TEST (test_samplers)
{
  static const gchar *const names[] = { "default", "euler", "unipc", "dpmpp-2m", "renoise" };
  GObjectClass *class = g_type_class_ref (GST_TYPE_SORA_SRC);
  GParamSpec *spec = g_object_class_find_property (class, "sampler");
  GEnumClass *samplers = G_PARAM_SPEC_ENUM (spec)->enum_class;

  fail_unless_equals_int (samplers->n_values, G_N_ELEMENTS (names));
  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    fail_unless_equals_int (g_enum_get_value_by_nick (samplers, names[i])->value, i);
  g_type_class_unref (class);
}
GST_END_TEST;

/* Every preset that is installed with the plugin sets a prompt. */
GST_START_TEST (test_presets)
{
  g_autoptr (GstElement) element = gst_object_ref_sink (gst_element_factory_make ("sorasrc", NULL));
  g_auto (GStrv) names = gst_preset_get_preset_names (GST_PRESET (element));

  fail_unless (names != NULL);
  fail_unless (g_strv_length (names) >= 6);
  for (guint i = 0; names[i]; i++) {
    g_autofree gchar *prompt = NULL;
    g_object_set (element, "prompt", "", NULL);
    fail_unless (gst_preset_load_preset (GST_PRESET (element), names[i]));
    g_object_get (element, "prompt", &prompt, NULL);
    fail_unless (strlen (prompt) > 10, "%s", names[i]);
  }
}
GST_END_TEST;

/* Two random seeds in a row differ, a chosen one stays. */
GST_START_TEST (test_same_seed_same_frames)
{
  guint8 moods[3];

  for (guint i = 0; i < 3; i++) {
    GstHarness *harness = element_test_harness (i < 2 ? "seed=77" : "seed=78", "video/x-raw,format=RGB");
    GstBuffer *buffer = gst_harness_pull (harness);
    moods[i] = element_test_mood (harness, buffer);
    gst_buffer_unref (buffer);
    gst_harness_teardown (harness);
  }
  fail_unless_equals_int (moods[0], moods[1]);
  fail_if (moods[0] == moods[2]);
}
GST_END_TEST;

GST_START_TEST (test_stats_fields)
{
  static const gchar *const fields[] = { "blocks", "frames", "buffers", "repeated", "dropped", "restarts", "queue-level",
    "load-time", "last-block-time", "mean-block-time", "generation-rate", "width", "height", "seed", "stream-memory",
    "weight-memory", "model", "device", "model-rate" };
  GstHarness *harness = element_test_harness ("seed=3", "video/x-raw,format=RGB");
  GstElement *element = gst_harness_find_element (harness, "sorasrc");
  g_autoptr (GstStructure) stats = NULL;
  gint n, d;

  gst_buffer_unref (gst_harness_pull (harness));
  g_object_get (element, "stats", &stats, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (fields); i++)
    fail_unless (gst_structure_has_field (stats, fields[i]), "%s", fields[i]);
  fail_unless_equals_int (gst_structure_n_fields (stats), G_N_ELEMENTS (fields));
  fail_unless (gst_structure_get_fraction (stats, "model-rate", &n, &d));
  fail_unless_equals_int (n, 16);
  gst_object_unref (element);
  gst_harness_teardown (harness);
}
GST_END_TEST;

int
main (int argc, char **argv)
{
  Suite *suite = suite_create ("properties");
  TCase *tcase = tcase_create ("all");

  suite_add_tcase (suite, tcase);
  tcase_add_loop_test (tcase, test_each, 0, G_N_ELEMENTS (table));
  tcase_add_test (tcase, test_table_is_whole);
  tcase_add_test (tcase, test_endless);
  tcase_add_test (tcase, test_unset_prompts);
  tcase_add_test (tcase, test_reach_the_engine);
  tcase_add_test (tcase, test_defaults_reach_the_engine);
  tcase_add_test (tcase, test_samplers);
  tcase_add_test (tcase, test_presets);
  tcase_add_test (tcase, test_same_seed_same_frames);
  tcase_add_test (tcase, test_stats_fields);
  return element_test_run (&argc, &argv, suite);
}
