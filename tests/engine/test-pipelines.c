/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Clips of whole models against diffusers' pipelines (tests/reference/pipelines.py): two experts that share the steps. The weights are drawn,
 * text encoder and tokenizer are the tiny model's, the VAE is that of tests/reference/wan_vae.py. */
#include <glib/gstdio.h>

#include "model-private.h"
#include "stream-support.h"

#define WIDTH 96
#define HEIGHT 64
#define FRAMES 9
#define STEPS 4
#define FIRST_SEED 1000         /* of the transformer's weights */
#define SECOND_SEED 5000        /* of the second expert's */

/* --- models ---------------------------------------------------------------------------------------------------- */

static void
put_text (const gchar *model, const gchar *name, const gchar *text)
{
  g_autofree gchar *path = g_build_filename (model, name, NULL), *folder = g_path_get_dirname (path);

  g_assert_cmpint (g_mkdir_with_parents (folder, 0700), ==, 0);
  g_assert_true (g_file_set_contents (path, text, -1, NULL));
}

/* A part in diffusers' layout: @shapes is its config.json too. */
static void
put_part (const gchar *model, const gchar *name, const gchar *shapes, guint32 seed)
{
  g_autofree gchar *source = golden_path (shapes), *config = NULL, *config_name = g_build_filename (name, "config.json", NULL);
  g_autofree gchar *weights = g_build_filename (model, name, "diffusion_pytorch_model.safetensors", NULL);

  g_assert_true (g_file_get_contents (source, &config, NULL, NULL));
  put_text (model, config_name, config);
  sora_test_draw_weights_from (source, seed, weights, NULL);
}

/* (transfer full): a folder in diffusers' layout, with Wan's defaults; to be removed with remove_tree() */
static gchar *
make_model (const gchar *index, const gchar *transformer, gboolean two)
{
  gchar *path = copy_model ();
  g_autofree gchar *streaming = g_build_filename (path, "sora.json", NULL);

  g_assert_cmpint (g_unlink (streaming), ==, 0);
  put_text (path, "model_index.json", index);
  put_text (path, "scheduler/scheduler_config.json", "{\"_class_name\": \"UniPCMultistepScheduler\", \"use_flow_sigmas\": true,"
      "\"prediction_type\": \"flow_prediction\", \"flow_shift\": 3.0}");
  put_part (path, "vae", "wan-vae.json", FIRST_SEED);
  put_part (path, "transformer", transformer, FIRST_SEED);
  if (two)
    put_part (path, "transformer_2", transformer, SECOND_SEED);
  return path;
}

static const gchar experts_index[] = "{\"_class_name\": \"WanPipeline\", \"boundary_ratio\": 0.875,"
    "\"transformer_2\": [\"diffusers\", \"WanTransformer3DModel\"]}";

static SoraModel *
open_experts (void)
{
  g_autofree gchar *path = make_model (experts_index, "wan-t2v.json", TRUE);
  SoraModel *model = open_model (path);

  remove_tree (path);           /* weights stay mapped */
  return model;
}

/* --- against diffusers ----------------------------------------------------------------------------------------- */

typedef struct {
  SoraWeightFile *golden;
  const gchar *name;            /* of the golden latents */
  guint n_blocks;
} Comparison;

static void
on_latents (const gchar *name, const gfloat *data, const gint64 *shape, guint n_dims, gpointer user_data)
{
  Comparison *comparison = user_data;

  if (!g_str_equal (name, "latents"))
    return;
  assert_golden_latents (comparison->golden, comparison->name, 0, data, shape);
  comparison->n_blocks++;
}

static SoraStreamOptions *
clip_options (SoraWeightFile *golden)
{
  SoraStreamOptions *options = default_options ();
  const SoraTensor *tensor;
  g_autofree gfloat *noise = golden_floats (golden, "golden.noise", &tensor);

  sora_stream_options_set_noise (options, noise, tensor->n_elements);
  sora_stream_options_set_size (options, WIDTH, HEIGHT);
  sora_stream_options_set_length (options, FRAMES);
  sora_stream_options_set_steps (options, STEPS);
  return options;
}

/* The clip's latents are those of the golden tensor @name. */
static void
check_clip (SoraStream *stream, SoraWeightFile *golden, const gchar *name)
{
  Comparison comparison = { golden, name };

  sora_stream_set_tap (stream, on_latents, &comparison);
  g_autoptr (SoraBlock) block = pull (stream);
  g_assert_cmpuint (sora_block_get_n_frames (block), ==, FRAMES);
  g_assert_cmpuint (comparison.n_blocks, ==, 1);
  sora_stream_set_tap (stream, NULL, NULL);
}

/* --- two experts ----------------------------------------------------------------------------------------------- */

/* The timesteps are 999, 899, 749 and 499: two for each. */
static void
test_experts (void)
{
  g_autoptr (SoraWeightFile) golden = open_golden ("pipelines.safetensors");
  g_autoptr (SoraModel) model = open_experts ();
  g_autoptr (SoraStreamOptions) options = clip_options (golden);
  sora_stream_options_set_guidance_scale (options, 4);
  g_autoptr (SoraStream) same = open_stream (model, options);
  sora_stream_options_set_guidance_scale_2 (options, 1.5);
  g_autoptr (SoraStream) own = open_stream (model, options);

  g_assert_cmpfloat (model->streaming.boundary_ratio, ==, 0.875);
  g_assert_cmpfloat (model->streaming.guidance_scale, ==, 4);
  g_assert_cmpfloat (model->streaming.guidance_scale_2, ==, 3);
  check_clip (same, golden, "golden.experts");
  check_clip (own, golden, "golden.experts_2");
}

/* Where only one has room, the other one's memory is free, the weights are as many, and the frames the same, again and again. */
static void
test_swap (void)
{
  g_autoptr (SoraWeightFile) golden = open_golden ("pipelines.safetensors");
  g_autoptr (SoraModel) model = open_experts ();
  g_autoptr (SoraStreamOptions) options = clip_options (golden);
  sora_stream_options_set_guidance_scale (options, 4);
  g_autoptr (SoraStream) stream = open_stream (model, options);
  SoraModelWeights *weights = model->weights->pdata[0];
  guint64 bytes, before, after;

  g_assert_true (weights->keeps_experts);
  weights->keeps_experts = FALSE;
  sora_stream_get_memory (stream, &bytes, &before);
  for (guint i = 0; i < 2; i++) {
    check_clip (stream, golden, "golden.experts");
    g_assert_null (weights->experts[0].transformer);
    g_assert_nonnull (weights->experts[1].transformer);
    sora_stream_get_memory (stream, &bytes, &after);
    g_assert_cmpuint (after, ==, before);
    sora_stream_restart (stream);
  }
  /* another stream that is at the first expert keeps it */
  g_autoptr (SoraStream) other = open_stream (model, options);
  g_assert_cmpuint (weights->experts[0].users, ==, 1);
  check_clip (stream, golden, "golden.experts");
  g_assert_nonnull (weights->experts[0].transformer);
  check_clip (other, golden, "golden.experts");
  g_assert_null (weights->experts[0].transformer);
  g_assert_cmpuint (weights->experts[1].users, ==, 2);
}

static void
test_keep (void)
{
  g_autoptr (SoraWeightFile) golden = open_golden ("pipelines.safetensors");
  g_autoptr (SoraModel) model = open_experts ();
  g_autoptr (SoraStreamOptions) options = clip_options (golden);
  sora_stream_options_set_guidance_scale (options, 4);
  g_autoptr (SoraStream) stream = open_stream (model, options);
  SoraModelWeights *weights = model->weights->pdata[0];
  SoraTransformer *first = weights->experts[0].transformer;

  check_clip (stream, golden, "golden.experts");
  sora_stream_restart (stream);
  check_clip (stream, golden, "golden.experts");
  g_assert_true (weights->experts[0].transformer == first);
  g_assert_nonnull (weights->experts[1].transformer);
}

typedef struct {
  GCancellable *cancellable;
  const gchar *at;              /* the tensor that it is cancelled at */
} Interruption;

static void
cancel_at (const gchar *name, const gfloat *data, const gint64 *shape, guint n_dims, gpointer user_data)
{
  Interruption *interruption = user_data;

  if (g_str_equal (name, interruption->at))
    g_cancellable_cancel (interruption->cancellable);
}

static void
pull_cancelled (SoraStream *stream, GCancellable *cancellable)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (sora_stream_next_block (stream, cancellable, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
}

/* In each step, so before, while and after the experts change; and while they change back. */
static void
test_cancel (gconstpointer keeps)
{
  static const gchar *const places[] = { "negative_text_embeddings", "step_0_output", "step_1_latents", "step_2_output", "step_3_output" };
  g_autoptr (SoraWeightFile) golden = open_golden ("pipelines.safetensors");
  g_autoptr (SoraModel) model = open_experts ();
  g_autoptr (SoraStreamOptions) options = clip_options (golden);
  sora_stream_options_set_guidance_scale (options, 4);
  g_autoptr (SoraStream) stream = open_stream (model, options);

  ((SoraModelWeights *) model->weights->pdata[0])->keeps_experts = keeps != NULL;
  for (guint i = 0; i < G_N_ELEMENTS (places); i++) {
    g_autoptr (GCancellable) cancellable = g_cancellable_new ();
    Interruption interruption = { cancellable, places[i] };
    sora_stream_set_tap (stream, cancel_at, &interruption);
    pull_cancelled (stream, cancellable);
    check_clip (stream, golden, "golden.experts");
    sora_stream_restart (stream);
    pull_cancelled (stream, cancellable);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/pipelines/experts", test_experts);
  g_test_add_func ("/pipelines/experts/swap", test_swap);
  g_test_add_func ("/pipelines/experts/keep", test_keep);
  g_test_add_data_func ("/pipelines/experts/cancel", NULL, test_cancel);
  g_test_add_data_func ("/pipelines/experts/cancel-kept", GUINT_TO_POINTER (1), test_cancel);
  return g_test_run ();
}
