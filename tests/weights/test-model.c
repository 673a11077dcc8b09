/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Opening a model directory: what a sound one says of itself, where the embedded one is looked for, a table of single faults that must each
 * be refused with the file named, and weights shared between streams. */

#include <gio/gio.h>
#include <glib/gstdio.h>
#include <string.h>

#include "model-private.h"
#include "test-support.h"
#include "weights/tensor-writer.h"

static gchar *scratch;          /* a folder of this run, holding "model" */
static gchar *model_path;

static const gchar *const files[] = {
  "model_index.json", "sora.json", "tokenizer/spiece.model", "text_encoder/config.json", "text_encoder/model.safetensors",
  "transformer/config.json", "transformer/diffusion_pytorch_model.safetensors", "scheduler/scheduler_config.json",
  "vae/config.json", "vae/diffusion_pytorch_model.safetensors",
};

static gchar *
tiny_path (void)
{
  return g_build_filename (g_getenv ("SORA_TEST_GOLDEN"), "tiny-model", NULL);
}

static void
copy_file (const gchar *from, const gchar *to, const gchar *name)
{
  g_autofree gchar *source = g_build_filename (from, name, NULL), *target = g_build_filename (to, name, NULL);
  g_autofree gchar *folder = g_path_get_dirname (target), *data = NULL;
  g_autoptr (GError) error = NULL;
  gsize length;

  g_assert_cmpint (g_mkdir_with_parents (folder, 0700), ==, 0);
  g_file_get_contents (source, &data, &length, &error);
  g_assert_no_error (error);
  g_file_set_contents (target, data, length, &error);
  g_assert_no_error (error);
}

static void
copy_model (const gchar *to)
{
  g_autofree gchar *tiny = tiny_path ();
  for (guint i = 0; i < G_N_ELEMENTS (files); i++)
    copy_file (tiny, to, files[i]);
}

static void
test_sound (void)
{
  g_autofree gchar *path = tiny_path (), *text = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (SoraModel) model = sora_model_open (path, &error);
  gint numerator, denominator;
  guint width, height;

  g_assert_no_error (error);
  g_assert_cmpstr (sora_model_get_path (model), ==, path);
  g_assert_cmpstr (sora_model_get_name (model), ==, "tiny");
  g_assert_true (sora_model_is_causal (model));
  g_assert_cmpuint (sora_model_get_clip_frames (model), ==, 0);
  g_assert_cmpuint (sora_model_get_steps (model), ==, 3);
  g_assert_cmpfloat (sora_model_get_guidance_scale (model), ==, 2);
  sora_model_get_frame_rate (model, &numerator, &denominator);
  g_assert_cmpint (numerator, ==, 16);
  g_assert_cmpint (denominator, ==, 1);
  sora_model_get_best_size (model, 0, &width, &height);
  g_assert_cmpuint (width, ==, 96);
  sora_model_get_best_size (model, 16.0 / 9, &width, &height);
  g_assert_cmpuint (width, ==, 96);
  g_assert_cmpuint (height, ==, 64);
  sora_model_get_best_size (model, 0.9, &width, &height);
  g_assert_cmpuint (width, ==, 64);
  g_assert_cmpuint (height, ==, 96);
  text = sora_model_describe (model);
  g_assert_nonnull (strstr (text, "UMT5"));
  g_assert_nonnull (strstr (text, "BF16"));
  g_assert_nonnull (strstr (text, "96x64"));
}

static void
assert_opens (const gchar *path, const gchar *found)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (SoraModel) model = sora_model_open (path, &error);

  g_assert_no_error (error);
  g_assert_cmpstr (sora_model_get_path (model), ==, found);
}

/* SORA_MODEL_PATH itself, "embedded" in it, then XDG_DATA_HOME (set in main); else an error that lists them */
static void
test_places (void)
{
  g_autofree gchar *inside = g_build_filename (scratch, "path", "embedded", NULL), *outside = g_path_get_dirname (inside);
  g_autofree gchar *home = g_build_filename (scratch, "data", "sora", "models", "embedded", NULL);
  g_autofree gchar *home_index = g_build_filename (home, "model_index.json", NULL);
  g_autoptr (GError) error = NULL;

  g_setenv ("SORA_MODEL_PATH", "/nonexistent", TRUE);
  g_assert_null (sora_model_open (NULL, &error));
  g_assert_error (error, SORA_MODEL_ERROR, SORA_MODEL_ERROR_NOT_FOUND);
  g_assert_nonnull (strstr (error->message, "/nonexistent/embedded"));
  g_assert_nonnull (strstr (error->message, home));
  /* in the order in which they are looked in */
  g_assert_true (strstr (error->message, "/nonexistent/embedded") < strstr (error->message, home));
  g_assert_nonnull (strstr (strstr (error->message, home), "gst-sora/models/embedded"));

  copy_model (inside);
  copy_model (home);
  assert_opens (NULL, home);
  g_setenv ("SORA_MODEL_PATH", outside, TRUE);
  assert_opens (NULL, inside);
  g_setenv ("SORA_MODEL_PATH", inside, TRUE);
  assert_opens ("", inside);
  g_unsetenv ("SORA_MODEL_PATH");
  g_unlink (home_index);
}

static void
assert_refused (gint code, const gchar *words)
{
  g_autoptr (GError) error = NULL;
  SoraModel *model = sora_model_open (model_path, &error);

  if (model)
    g_error ("opened; expected \"%s\"", words);
  g_test_message ("%s", error->message);
  g_assert_error (error, SORA_MODEL_ERROR, code);
  if (!strstr (error->message, words) || !strstr (error->message, model_path))
    g_error ("expected the model's path and \"%s\" in \"%s\"", words, error->message);
}

/* @from replaced by @to, in bytes, in a fresh copy of the model's file @name. No @from: the file is removed; @to NULL: it is cut in
 * half. */
typedef struct {
  const gchar *name, *from, *to;
  gint code;
  const gchar *words;
} Fault;

static const Fault faults[] = {
  { "tokenizer/spiece.model", NULL, "", SORA_MODEL_ERROR_NOT_FOUND, "tokenizer/spiece.model" },
  { "text_encoder/config.json", NULL, "", SORA_MODEL_ERROR_NOT_FOUND, "text_encoder/config.json" },
  { "text_encoder/model.safetensors", NULL, "", SORA_MODEL_ERROR_NOT_FOUND, "neither model.safetensors nor" },
  { "transformer/config.json", NULL, "", SORA_MODEL_ERROR_NOT_FOUND, "transformer/config.json" },
  { "transformer/diffusion_pytorch_model.safetensors", NULL, "", SORA_MODEL_ERROR_NOT_FOUND, "neither diffusion_pytorch_model" },
  { "vae/config.json", NULL, "", SORA_MODEL_ERROR_NOT_FOUND, "vae/config.json" },
  { "vae/diffusion_pytorch_model.safetensors", NULL, "", SORA_MODEL_ERROR_NOT_FOUND, "neither diffusion_pytorch_model" },
  { "model_index.json", "WanPipeline", "WanVACEPipeline", SORA_MODEL_ERROR_UNSUPPORTED, "WanVACEPipeline" },
  { "model_index.json", "{", "{\"transformer_2\": [\"diffusers\", \"WanTransformer3DModel\"],", SORA_MODEL_ERROR_FORMAT,
    "\"boundary_ratio\" is missing" },
  { "model_index.json", "{", "", SORA_MODEL_ERROR_FORMAT, "model_index.json" },
  { "sora.json", "96", "97", SORA_MODEL_ERROR_FORMAT, "97x64 is not a multiple of 32x32" },
  { "tokenizer/spiece.model", "", NULL, SORA_MODEL_ERROR_FORMAT, "spiece.model" },
  { "text_encoder/model.safetensors", "", NULL, SORA_MODEL_ERROR_FORMAT, "text_encoder/model.safetensors" },
  { "transformer/diffusion_pytorch_model.safetensors", "", NULL, SORA_MODEL_ERROR_FORMAT, "transformer/diffusion" },
  { "vae/diffusion_pytorch_model.safetensors", "", NULL, SORA_MODEL_ERROR_FORMAT, "vae/diffusion" },
  { "text_encoder/model.safetensors", "\"shared.weight\"", "\"shored.weight\"", SORA_MODEL_ERROR_WEIGHT,
    "text_encoder/model.safetensors: tensor \"shared.weight\": expected [38, 24], found none" },
  { "transformer/diffusion_pytorch_model.safetensors", "\"blocks.1.attn2.to_q.weight\"", "\"blocks.1.attn2.to_Q.weight\"",
    SORA_MODEL_ERROR_WEIGHT, "tensor \"blocks.1.attn2.to_q.weight\": expected [32, 32], found none" },
  { "transformer/config.json", "\"ffn_dim\": 72", "\"ffn_dim\": 80", SORA_MODEL_ERROR_WEIGHT, "expected [80, 32], found [72, 32]" },
  { "vae/config.json", "\"latent_channels\": 4", "\"latent_channels\": 5", SORA_MODEL_ERROR_FORMAT, "\"latents_mean\"" },
  { "vae/diffusion_pytorch_model.safetensors", "\"decoder.1.weight\"", "\"decoder.l.weight\"", SORA_MODEL_ERROR_WEIGHT,
    "tensor \"decoder.1.weight\"" },
};

static gchar *
find_bytes (gchar *data, gsize length, const gchar *bytes)
{
  gsize n = strlen (bytes);

  for (gsize i = 0; i + n <= length; i++) {
    if (memcmp (data + i, bytes, n) == 0)
      return data + i;
  }
  g_error ("no %s", bytes);
}

static void
inject (const Fault *fault)
{
  g_autofree gchar *path = g_build_filename (model_path, fault->name, NULL), *data = NULL;
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  gchar *place;
  gsize length;

  if (!fault->from) {
    g_assert_cmpint (g_unlink (path), ==, 0);
    return;
  }
  g_assert_true (g_file_get_contents (path, &data, &length, NULL));
  if (!fault->to) {
    g_assert_true (g_file_set_contents (path, data, length / 2, NULL));
    return;
  }
  place = find_bytes (data, length, fault->from);
  g_byte_array_append (bytes, (guint8 *) data, place - data);
  g_byte_array_append (bytes, (const guint8 *) fault->to, strlen (fault->to));
  place += strlen (fault->from);
  g_byte_array_append (bytes, (guint8 *) place, data + length - place);
  g_assert_true (g_file_set_contents (path, (gchar *) bytes->data, bytes->len, NULL));
}

static void
test_faults (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (faults); i++) {
    copy_model (model_path);
    assert_opens (model_path, model_path);
    inject (&faults[i]);
    assert_refused (faults[i].code, faults[i].words);
  }
}

static void
test_no_directory (void)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (sora_model_open ("/nonexistent", &error));
  g_assert_error (error, SORA_MODEL_ERROR, SORA_MODEL_ERROR_NOT_FOUND);
  g_assert_nonnull (strstr (error->message, "/nonexistent"));
  g_clear_error (&error);
  g_assert_null (sora_model_open (scratch, &error));
  g_assert_error (error, SORA_MODEL_ERROR, SORA_MODEL_ERROR_NOT_FOUND);
  g_assert_nonnull (strstr (error->message, "model_index.json"));
}

/* without sora.json: Wan 2.1's clip of 81 frames, named after its folder */
static void
test_bidirectional (void)
{
  g_autofree gchar *path = g_build_filename (model_path, "sora.json", NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (SoraModel) model = NULL;

  copy_model (model_path);
  g_unlink (path);
  model = sora_model_open (model_path, &error);
  g_assert_no_error (error);
  g_assert_false (sora_model_is_causal (model));
  g_assert_cmpuint (sora_model_get_clip_frames (model), ==, 81);
  g_assert_cmpstr (sora_model_get_name (model), ==, "model");
}

/* Replaced in names, in this order: from ours to Wan's */
typedef struct {
  const gchar *ours, *wans;
} Spelling;

static const Spelling transformer_spellings[] = {
  { "condition_embedder.text_embedder.linear_1", "text_embedding.0" }, { "condition_embedder.text_embedder.linear_2", "text_embedding.2" },
  { "condition_embedder.time_embedder.linear_1", "time_embedding.0" }, { "condition_embedder.time_embedder.linear_2", "time_embedding.2" },
  { "condition_embedder.time_proj", "time_projection.1" }, { "proj_out", "head.head" }, { ".attn1.", ".self_attn." },
  { ".attn2.", ".cross_attn." }, { ".to_q.", ".q." }, { ".to_k.", ".k." }, { ".to_v.", ".v." }, { ".to_out.0.", ".o." },
  { ".norm2.", ".norm3." }, { ".ffn.net.0.proj.", ".ffn.0." }, { ".ffn.net.2.", ".ffn.2." }, { ".scale_shift_table", ".modulation" },
  { "scale_shift_table", "head.modulation" }, { NULL }
};

static const Spelling encoder_spellings[] = {
  { "shared", "token_embedding" }, { "encoder.final_layer_norm", "norm" }, { "encoder.block.", "blocks." },
  { "layer.0.SelfAttention.relative_attention_bias", "pos_embedding.embedding" }, { "layer.0.SelfAttention.", "attn." },
  { "layer.0.layer_norm", "norm1" }, { "layer.1.layer_norm", "norm2" }, { "layer.1.DenseReluDense.wi_0", "ffn.gate.0" },
  { "layer.1.DenseReluDense.wi_1", "ffn.fc1" }, { "layer.1.DenseReluDense.wo", "ffn.fc2" }, { NULL }
};

/* Writes the model's file @name anew, its tensors in F32 and spelled as Wan does after @prefix. */
static void
respell (const gchar *name, const Spelling *spellings, const gchar *prefix)
{
  g_autofree gchar *tiny = tiny_path (), *from = g_build_filename (tiny, name, NULL), *to = g_build_filename (model_path, name, NULL);
  g_autoptr (SoraTensorWriter) writer = sora_tensor_writer_new ();
  g_autoptr (GError) error = NULL;
  g_autoptr (SoraWeightFile) file = sora_weight_file_open (from, &error);
  g_autoptr (GPtrArray) names = NULL;

  g_assert_no_error (error);
  names = sora_weight_file_get_names (file);
  for (guint i = 0; i < names->len; i++) {
    const SoraTensor *tensor = sora_weight_file_peek (file, names->pdata[i]);
    g_autofree gfloat *values = g_new (gfloat, tensor->n_elements);
    GString *spelled = g_string_new (names->pdata[i]);
    gint64 shape[SORA_TENSOR_MAX_DIMS];
    for (const Spelling *spelling = spellings; spelling->ours; spelling++)
      g_string_replace (spelled, spelling->ours, spelling->wans, 0);
    g_string_prepend (spelled, prefix);
    memcpy (shape, tensor->shape, sizeof (shape));
    sora_tensor_to_float (tensor, 0, tensor->n_elements, values);
    sora_tensor_writer_add (writer, spelled->str, values, shape, tensor->n_dims);
    g_string_free (spelled, TRUE);
  }
  g_assert_true (sora_tensor_writer_save (writer, to, &error));
}

/* A model whose weights have Wan's own names has all that the stages ask for, and misses a tensor by that name. */
static void
test_wan_names (void)
{
  const gchar *transformer = "transformer/diffusion_pytorch_model.safetensors";
  const Fault fault = { transformer, "blocks.1.cross_attn.o.weight", "blocks.1.cross_attn.O.weight" };

  copy_model (model_path);
  respell (transformer, transformer_spellings, "model.diffusion_model.");
  respell ("text_encoder/model.safetensors", encoder_spellings, "");
  assert_opens (model_path, model_path);
  inject (&fault);
  assert_refused (SORA_MODEL_ERROR_WEIGHT, "tensor \"model.diffusion_model.blocks.1.cross_attn.o.weight\": expected [32, 32], found none");
}

typedef struct {
  SoraModel *model;
  SoraQueue *queue;
  SoraResident *transformer;
} Load;

static gpointer
load_weights (gpointer data)
{
  const SoraWeightRequest request = { .precision = SORA_PRECISION_FP32, .max_memory = G_MAXUINT64, .limits = { .max_bytes = G_MAXUINT64, .max_new_bytes = G_MAXUINT64 } };
  Load *load = data;
  g_autoptr (GError) error = NULL;

  load->transformer = sora_model_take (load->model, SORA_PART_TRANSFORMER, load->queue, &request, &error);
  g_assert_no_error (error);
  return NULL;
}

static void
count_progress (gdouble fraction, const gchar *what, gpointer count)
{
  g_assert_cmpfloat (fraction, >=, 0);
  g_assert_cmpfloat (fraction, <=, 1);
  ++*(guint *) count;
}

/* Two threads get the same weights; with the last of them they go, and a cancelled load gives none. */
static void
test_shared_weights (void)
{
  g_autofree gchar *path = tiny_path ();
  g_autoptr (SoraModel) model = sora_model_open (path, NULL);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GError) error = NULL;
  Load loads[2];
  GThread *threads[2];
  SoraResident *parts[SORA_PART_TRANSFORMER + 1];
  guint n_progress = 0;
  SoraWeightRequest request = { .precision = SORA_PRECISION_FP32, .max_memory = G_MAXUINT64, .limits = { .max_bytes = G_MAXUINT64, .max_new_bytes = G_MAXUINT64 }, .progress = count_progress,
    .progress_data = &n_progress };

  for (guint i = 0; i < 2; i++) {
    loads[i] = (Load) { .model = model, .queue = sora_test_queue_new () };
    threads[i] = g_thread_new ("load", load_weights, &loads[i]);
  }
  for (guint i = 0; i < 2; i++)
    g_thread_join (threads[i]);
  g_assert_true (loads[0].transformer == loads[1].transformer);
  g_assert_cmpuint (sora_resident_get_size (loads[0].transformer), >, 100000);
  g_assert_cmpuint (model->residents->len, ==, 1);
  sora_model_release (model, loads[0].transformer);
  g_assert_cmpuint (model->residents->len, ==, 1);
  sora_model_release (model, loads[1].transformer);
  g_assert_cmpuint (model->residents->len, ==, 0);

  for (guint i = 0; i < G_N_ELEMENTS (parts); i++) {
    parts[i] = sora_model_take (model, i, loads[0].queue, &request, &error);
    g_assert_no_error (error);
    g_assert_nonnull (parts[i]);
  }
  g_assert_cmpuint (n_progress, ==, 3);
  for (guint i = 0; i < G_N_ELEMENTS (parts); i++)
    sora_model_release (model, parts[i]);
  g_cancellable_cancel (cancellable);
  request.cancellable = cancellable;
  g_assert_null (sora_model_take (model, SORA_PART_TRANSFORMER, loads[0].queue, &request, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_assert_cmpuint (model->residents->len, ==, 0);
  for (guint i = 0; i < 2; i++)
    sora_queue_free (loads[i].queue);
}

static void
remove_tree (const gchar *path)
{
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  const gchar *name;

  while (dir && (name = g_dir_read_name (dir))) {
    g_autofree gchar *inner = g_build_filename (path, name, NULL);
    remove_tree (inner);
  }
  g_remove (path);
}

int
main (int argc, char **argv)
{
  g_autofree gchar *home = NULL;
  int status;

  scratch = g_dir_make_tmp ("sora-test-XXXXXX", NULL);
  model_path = g_build_filename (scratch, "model", NULL);
  home = g_build_filename (scratch, "data", NULL);
  g_setenv ("XDG_DATA_HOME", home, TRUE);
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/model/sound", test_sound);
  g_test_add_func ("/model/places", test_places);
  g_test_add_func ("/model/faults", test_faults);
  g_test_add_func ("/model/no-directory", test_no_directory);
  g_test_add_func ("/model/bidirectional", test_bidirectional);
  g_test_add_func ("/model/wan-names", test_wan_names);
  g_test_add_func ("/model/shared-weights", test_shared_weights);
  status = g_test_run ();
  remove_tree (scratch);
  g_free (model_path);
  g_free (scratch);
  return status;
}
