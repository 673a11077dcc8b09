/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Causal checkpoints as single files: how they are told, and a stream of one past its window's end against PyTorch
 * (tests/reference/causal.py). */
#include <glib/gstdio.h>
#include <string.h>

#include "model-private.h"
#include "stream-support.h"

#define WIDTH 48
#define HEIGHT 32
#define BLOCK 3
#define BLOCKS 9                /* the window holds 7 of them */
#define SEED_OF_WEIGHTS 1000

static gchar *scratch;          /* a folder of this run: the parts that every checkpoint is opened with, and checkpoints */

/* --- checkpoints ----------------------------------------------------------------------------------------------- */

/* In Wan's spelling; longer names before those in them, and what norm2 and norm3 change places by */
static const gchar *const spellings[][2] = {
  { "condition_embedder.text_embedder.linear_1", "text_embedding.0" }, { "condition_embedder.text_embedder.linear_2", "text_embedding.2" },
  { "condition_embedder.time_embedder.linear_1", "time_embedding.0" }, { "condition_embedder.time_embedder.linear_2", "time_embedding.2" },
  { "condition_embedder.time_proj", "time_projection.1" }, { "proj_out", "head.head" }, { "attn1", "self_attn" }, { "attn2", "cross_attn" },
  { "to_out.0", "o" }, { "to_q", "q" }, { "to_k", "k" }, { "to_v", "v" }, { "norm2", "norm3" }, { "ffn.net.0.proj", "ffn.0" },
  { "ffn.net.2", "ffn.2" },
};

/* (transfer full): @name behind @prefix */
static gchar *
spell (const gchar *prefix, const gchar *name)
{
  g_autoptr (GString) spelled = g_string_new (name);

  for (guint i = 0; i < G_N_ELEMENTS (spellings); i++)
    g_string_replace (spelled, spellings[i][0], spellings[i][1], 0);
  g_string_replace (spelled, "scale_shift_table", g_str_has_prefix (name, "blocks.") ? "modulation" : "head.modulation", 0);
  return g_strconcat (prefix, spelled->str, NULL);
}

static gchar *
rename_as_generator (const gchar *name)
{
  return spell ("generator_ema.model.", name);
}

static gchar *
rename_as_plain (const gchar *name)
{
  return spell ("", name);
}

/* (transfer full): a file of the drawn weights */
static gchar *
put_checkpoint (const gchar *name, gchar *(*rename) (const gchar *name))
{
  g_autofree gchar *shapes = golden_path ("wan-causal.json");
  gchar *path = g_build_filename (scratch, name, NULL);

  sora_test_draw_weights_from (shapes, SEED_OF_WEIGHTS, path, rename);
  return path;
}

static void
put_vae (void)
{
  g_autofree gchar *shapes = golden_path ("wan-vae.json"), *folder = g_build_filename (scratch, "vae", NULL), *config = NULL;
  g_autofree gchar *target = g_build_filename (folder, "config.json", NULL);
  g_autofree gchar *weights = g_build_filename (folder, "diffusion_pytorch_model.safetensors", NULL);

  g_assert_cmpint (g_mkdir (folder, 0700), ==, 0);
  g_assert_true (g_file_get_contents (shapes, &config, NULL, NULL));
  g_assert_true (g_file_set_contents (target, config, -1, NULL));
  sora_test_draw_weights (shapes, weights, NULL);
}

static SoraModel *
open_checkpoint (const gchar *path, gboolean causal, GError **error)
{
  g_autofree gchar *vae = g_build_filename (scratch, "vae", NULL), *encoder = golden_path ("tiny-model/text_encoder");
  g_autofree gchar *tokenizer = golden_path ("tiny-model/tokenizer/spiece.model");
  const SoraModelFiles files = { .path = path, .vae = vae, .text_encoder = encoder, .tokenizer = tokenizer, .causal = causal };

  return sora_model_open_files (&files, error);
}

static void
assert_self_forcing (SoraModel *model)
{
  const SoraStreamingConfig *streaming = &model->streaming;

  g_assert_true (streaming->causal);
  g_assert_cmpuint (streaming->block_latents, ==, BLOCK);
  g_assert_cmpuint (streaming->window_latents, ==, 21);
  g_assert_cmpfloat (streaming->context_timestep, ==, 0);
  g_assert_cmpfloat (streaming->context_noise, ==, 0);
  g_assert_cmpint (streaming->sampler, ==, SORA_SAMPLER_RENOISE);
  g_assert_cmpuint (streaming->steps, ==, 4);
  g_assert_cmpfloat (streaming->shift, ==, 5);
  g_assert_cmpfloat (streaming->guidance_scale, ==, 1);
  g_assert_cmpuint (streaming->text_length, ==, 512);
  g_assert_cmpuint (sora_model_get_clip_frames (model), ==, 0);
}

/* --- against PyTorch ------------------------------------------------------------------------------------------- */

typedef struct {
  SoraWeightFile *golden;
  guint n_latents;              /* seen so far */
} Comparison;

static void
on_latents (const gchar *name, const gfloat *data, const gint64 *shape, guint n_dims, gpointer user_data)
{
  Comparison *comparison = user_data;

  if (!g_str_equal (name, "latents"))
    return;
  assert_golden_latents (comparison->golden, "golden.latents", comparison->n_latents, data, shape);
  comparison->n_latents += shape[1];
}

/* Nine blocks; the window is full after seven, and one wider by a block would change those beyond by 2 % or more. Four frames a latent, but one of
 * the first. */
static void
test_golden (void)
{
  g_autoptr (SoraWeightFile) golden = open_golden ("wan-causal.safetensors");
  g_autofree gchar *path = put_checkpoint ("self_forcing_dmd.safetensors", rename_as_generator);
  g_autoptr (GError) error = NULL;
  g_autoptr (SoraModel) model = open_checkpoint (path, FALSE, &error);
  const SoraTensor *tensor;
  g_autofree gfloat *noise = golden_floats (golden, "golden.noise", &tensor);
  g_autoptr (SoraStreamOptions) options = default_options ();
  Comparison comparison = { .golden = golden };
  guint64 n_frames = 0;

  g_assert_no_error (error);
  assert_self_forcing (model);
  sora_stream_options_set_noise (options, noise, tensor->n_elements);
  sora_stream_options_set_size (options, WIDTH, HEIGHT);
  g_autoptr (SoraStream) stream = open_stream (model, options);
  sora_stream_set_tap (stream, on_latents, &comparison);
  for (guint i = 0; i < BLOCKS; i++) {
    g_autoptr (SoraBlock) block = pull (stream);
    g_assert_cmpuint (sora_block_get_first_frame (block), ==, n_frames);
    n_frames += sora_block_get_n_frames (block);
  }
  g_assert_cmpuint (comparison.n_latents, ==, BLOCKS * BLOCK);
  g_assert_cmpuint (n_frames, ==, BLOCKS * BLOCK * 4 - 3);
}

/* --- how they are told ----------------------------------------------------------------------------------------- */

static void
assert_described (SoraModel *model, const gchar *words)
{
  g_autofree gchar *text = sora_model_describe (model);

  if (!strstr (text, words))
    g_error ("expected \"%s\" in \"%s\"", words, text);
}

/* The same weights under plain names are a clip's, unless the caller says otherwise. */
static void
test_said (void)
{
  g_autofree gchar *path = put_checkpoint ("plain.safetensors", rename_as_plain);
  g_autofree gchar *generator = put_checkpoint ("generator.safetensors", rename_as_generator);
  g_autoptr (GError) error = NULL;
  g_autoptr (SoraModel) clip = open_checkpoint (path, FALSE, &error);
  g_autoptr (SoraModel) said = open_checkpoint (path, TRUE, &error);
  g_autoptr (SoraModel) named = open_checkpoint (generator, FALSE, &error);

  g_assert_no_error (error);
  g_assert_false (sora_model_is_causal (clip));
  g_assert_cmpuint (clip->streaming.steps, ==, 50);
  assert_described (clip, "kind          text to video\n");
  assert_self_forcing (said);
  assert_described (said, "kind          text to video, causal\n              by request\n");
  assert_self_forcing (named);
  assert_described (named, "kind          text to video, causal\n              by the names of its tensors, generator ...\n");
  assert_described (named, "length        endless, in blocks of 12 frames, each seeing 72 frames back\n");
}

/* A file beside the checkpoint that has its name says all, even of one whose names say otherwise; another one's says nothing. */
static void
test_beside (void)
{
  static const gchar text[] = "{\"format\": \"sora\", \"version\": 1, \"name\": \"beside\", \"causal\": false, \"default_latents\": 5,"
      "\"text_length\": 16, \"frame_rate\": [8, 1], \"sizes\": [[48, 32]], \"sampler\": \"unipc\", \"steps\": 7, \"shift\": 3,"
      "\"guidance_scale\": 2, \"prediction_type\": \"flow\"}";
  g_autofree gchar *path = put_checkpoint ("beside.safetensors", rename_as_generator);
  g_autofree gchar *beside = g_build_filename (scratch, "beside.sora.json", NULL), *others = g_build_filename (scratch, "sora.json", NULL);
  g_autofree gchar *plain = put_checkpoint ("unlike.safetensors", rename_as_plain);
  g_autoptr (GError) error = NULL;
  g_autoptr (SoraModel) model = NULL, other = NULL;

  g_assert_true (g_file_set_contents (others, "not even JSON", -1, NULL));
  g_assert_true (g_file_set_contents (beside, text, -1, NULL));
  model = open_checkpoint (path, FALSE, &error);
  g_assert_no_error (error);
  g_assert_false (sora_model_is_causal (model));
  g_assert_cmpuint (model->streaming.steps, ==, 7);
  g_assert_cmpstr (sora_model_get_name (model), ==, "beside");
  other = open_checkpoint (plain, FALSE, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (other->streaming.steps, ==, 50);

  g_assert_null (open_checkpoint (path, TRUE, &error));
  g_assert_error (error, SORA_MODEL_ERROR, SORA_MODEL_ERROR_UNSUPPORTED);
  g_assert_nonnull (strstr (error->message, "beside.sora.json says that the model is not causal"));
  g_clear_error (&error);
  g_assert_true (g_file_set_contents (beside, "{}", -1, NULL));
  g_assert_null (open_checkpoint (path, FALSE, &error));
  g_assert_error (error, SORA_MODEL_ERROR, SORA_MODEL_ERROR_FORMAT);
  g_assert_nonnull (strstr (error->message, "beside.sora.json"));
}

int
main (int argc, char **argv)
{
  int status;

  g_test_init (&argc, &argv, NULL);
  scratch = g_dir_make_tmp ("sora-test-XXXXXX", NULL);
  put_vae ();
  g_test_add_func ("/causal/golden", test_golden);
  g_test_add_func ("/causal/said", test_said);
  g_test_add_func ("/causal/beside", test_beside);
  status = g_test_run ();
  remove_tree (scratch);
  g_free (scratch);
  return status;
}
