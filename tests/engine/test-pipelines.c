/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Clips of whole models against diffusers' pipelines (tests/reference/pipelines.py): two experts that share the steps, and image to video.
 * The weights are drawn, text encoder and tokenizer are the tiny model's, the VAE is that of tests/reference/wan_vae.py, the image encoder that
 * of clip_encoder.py. */
#include <glib/gstdio.h>
#include <string.h>

#include "memory-meter.h"
#include "model-private.h"
#include "stream-image.h"
#include "stream-support.h"

#define WIDTH 96
#define HEIGHT 64
#define FRAMES 9
#define STEPS 4
#define LATENTS 3
#define CHANNELS 4
#define FIRST_SEED 1000         /* of the transformer's weights */
#define SECOND_SEED 5000        /* of the second expert's */

#define WEIGHTS "diffusion_pytorch_model.safetensors"

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
put_part (const gchar *model, const gchar *name, const gchar *file, const gchar *shapes, guint32 seed)
{
  g_autofree gchar *source = golden_path (shapes), *config = NULL, *config_name = g_build_filename (name, "config.json", NULL);
  g_autofree gchar *weights = g_build_filename (model, name, file, NULL);

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
  put_part (path, "vae", WEIGHTS, "wan-vae.json", FIRST_SEED);
  put_part (path, "transformer", WEIGHTS, transformer, FIRST_SEED);
  if (two)
    put_part (path, "transformer_2", WEIGHTS, transformer, SECOND_SEED);
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

static const gchar image_index[] = "{\"_class_name\": \"WanImageToVideoPipeline\", \"transformer_2\": [null, null]}";
static const gchar image_experts_index[] = "{\"_class_name\": \"WanImageToVideoPipeline\", \"boundary_ratio\": 0.9,"
    "\"transformer_2\": [\"diffusers\", \"WanTransformer3DModel\"], \"image_encoder\": [null, null]}";

/* From image to video: with CLIP, or two experts without */
static SoraModel *
open_image_model (const gchar *transformer, gboolean two)
{
  g_autofree gchar *path = make_model (two ? image_experts_index : image_index, transformer, two);
  SoraModel *model;

  if (!two)
    put_part (path, "image_encoder", "model.safetensors", "clip-encoder.json", FIRST_SEED);
  model = open_model (path);
  remove_tree (path);
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

/* So much memory that there is room for so many experts; for less than one, some of its weights are streamed. */
static void
limit_memory (SoraModel *model, SoraStreamOptions *options, gdouble room)
{
  guint64 stream_bytes, weight_bytes;
  gint64 expert;

  sora_stream_options_set_weight_type (options, SORA_WEIGHT_TYPE_FP32);
  sora_stream_options_set_text_encoder_policy (options, SORA_TEXT_ENCODER_POLICY_KEEP);
  g_autoptr (SoraStream) stream = open_stream (model, options);
  sora_stream_get_memory (stream, &stream_bytes, &weight_bytes);
  expert = sora_resident_get_size (find_resident (model, SORA_PART_TRANSFORMER));
  sora_stream_options_set_max_memory (options, stream_bytes + weight_bytes + (gint64) ((room - 1) * expert));
}

/* Where only one has room, the other one's memory is free, the weights are as many, and the frames the same, again and again. */
static void
test_swap (void)
{
  g_autoptr (SoraWeightFile) golden = open_golden ("pipelines.safetensors");
  g_autoptr (SoraModel) model = open_experts ();
  g_autoptr (SoraStreamOptions) options = clip_options (golden);
  sora_stream_options_set_guidance_scale (options, 4);
  limit_memory (model, options, 1.5);
  g_autoptr (SoraStream) stream = open_stream (model, options);
  guint64 bytes, before, after;

  sora_stream_get_memory (stream, &bytes, &before);
  for (guint i = 0; i < 2; i++) {
    check_clip (stream, golden, "golden.experts");
    g_assert_null (find_resident (model, SORA_PART_TRANSFORMER));
    g_assert_nonnull (find_resident (model, SORA_PART_TRANSFORMER_2));
    sora_stream_get_memory (stream, &bytes, &after);
    g_assert_cmpuint (after, ==, before);
    sora_stream_restart (stream);
  }
  /* another stream that is at the first expert keeps it */
  g_autoptr (SoraStream) other = open_stream (model, options);
  g_assert_cmpuint (find_resident (model, SORA_PART_TRANSFORMER)->users, ==, 1);
  check_clip (stream, golden, "golden.experts");
  g_assert_nonnull (find_resident (model, SORA_PART_TRANSFORMER));
  check_clip (other, golden, "golden.experts");
  g_assert_null (find_resident (model, SORA_PART_TRANSFORMER));
  g_assert_cmpuint (find_resident (model, SORA_PART_TRANSFORMER_2)->users, ==, 2);
}

static void
test_keep (void)
{
  g_autoptr (SoraWeightFile) golden = open_golden ("pipelines.safetensors");
  g_autoptr (SoraModel) model = open_experts ();
  g_autoptr (SoraStreamOptions) options = clip_options (golden);
  sora_stream_options_set_guidance_scale (options, 4);
  limit_memory (model, options, 3);
  g_autoptr (SoraStream) stream = open_stream (model, options);
  SoraResident *first = find_resident (model, SORA_PART_TRANSFORMER);

  check_clip (stream, golden, "golden.experts");
  sora_stream_restart (stream);
  check_clip (stream, golden, "golden.experts");
  g_assert_true (find_resident (model, SORA_PART_TRANSFORMER) == first);
  g_assert_nonnull (find_resident (model, SORA_PART_TRANSFORMER_2));
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
  limit_memory (model, options, keeps ? 3 : 1.5);
  g_autoptr (SoraStream) stream = open_stream (model, options);

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

/* --- image to video -------------------------------------------------------------------------------------------- */

/* (transfer full): triangle waves, as tests/reference/common.py's frames (); the last frame is the first one upside down */
static guint8 *
draw_picture (gboolean last)
{
  guint8 *rgb = g_malloc (3 * WIDTH * HEIGHT);

  for (guint y = 0; y < HEIGHT; y++)
    for (guint x = 0; x < WIDTH; x++)
      for (guint c = 0; c < 3; c++) {
        guint v = (x * 3 + (last ? HEIGHT - 1 - y : y) * 5 * (c + 1)) & 511;
        rgb[(y * WIDTH + x) * 3 + c] = v < 256 ? v : 511 - v;
      }
  return rgb;
}

static SoraStreamOptions *
image_options (SoraWeightFile *golden, gboolean last)
{
  SoraStreamOptions *options = clip_options (golden);
  g_autofree guint8 *first_rgb = draw_picture (FALSE), *last_rgb = draw_picture (TRUE);

  sora_stream_options_set_guidance_scale (options, 3.5);
  sora_stream_options_set_image (options, first_rgb, WIDTH, HEIGHT, 3 * WIDTH);
  if (last)
    sora_stream_options_set_last_image (options, last_rgb, WIDTH, HEIGHT, 3 * WIDTH);
  return options;
}

typedef struct {
  const gchar *transformer;
  gboolean two, last;
  const gchar *name;            /* of the golden latents */
  const gchar *kind;            /* as the description has it */
} ImageCase;

static const ImageCase image_cases[] = {
  { "wan-i2v.json", FALSE, FALSE, "golden.image", "kind          image to video\n" },
  { "wan-flf2v.json", FALSE, TRUE, "golden.images", "kind          first and last image to video\n" },
  { "wan-i2v-experts.json", TRUE, FALSE, "golden.image_experts", "kind          image to video, two experts\n" },
  { "wan-i2v-experts.json", TRUE, TRUE, "golden.images_experts", "kind          image to video, two experts\n" },
};

/* Again after a restart; and within the memory that the image's encoders need, which in so small a model is more than the rest does, below
 * which there is an error that says so. */
static void
test_image (gconstpointer data)
{
  const ImageCase *c = data;
  g_autoptr (SoraWeightFile) golden = open_golden ("pipelines.safetensors");
  g_autoptr (SoraModel) model = open_image_model (c->transformer, c->two);
  g_autoptr (SoraStreamOptions) options = image_options (golden, c->last);
  g_autoptr (SoraDevice) device = open_device ();
  memory_meter_wait ();
  memory_meter_take_peak ();
  g_autoptr (SoraStream) stream = open_stream (model, options);
  g_autofree gchar *text = sora_model_describe (model);
  g_autoptr (GError) error = NULL;
  guint64 limit;

  g_assert_nonnull (strstr (text, c->kind));
  check_clip (stream, golden, c->name);
  sora_stream_restart (stream);
  check_clip (stream, golden, c->name);
  limit = memory_meter_take_peak ();
  for (guint i = 0; i < 2; i++) {
    g_clear_pointer (&stream, sora_stream_free);
    memory_meter_wait ();
    memory_meter_take_peak ();
    sora_stream_options_set_max_memory (options, limit);
    stream = sora_stream_new (model, device, options, NULL, NULL, NULL, &error);
    if (i == 0) {
      g_assert_no_error (error);
      check_clip (stream, golden, c->name);
    }
    g_assert_cmpuint (memory_meter_take_peak (), <=, limit);
    limit -= 4096;
  }
  g_assert_error (error, SORA_DEVICE_ERROR, SORA_DEVICE_ERROR_NO_MEMORY);
  g_assert_nonnull (strstr (error->message, "encode the image"));
}

/* The condition, channels last, against the pipeline's [channels, latents, height, width] */
static void
check_condition (SoraModel *model, gboolean last, guint tile, const gchar *name)
{
  g_autoptr (SoraWeightFile) golden = open_golden ("pipelines.safetensors");
  g_autoptr (SoraQueue) queue = sora_test_queue_new ();
  g_autoptr (SoraArena) arena = sora_arena_new (sora_queue_get_device (queue));
  g_autoptr (GError) error = NULL;
  g_autofree guint8 *first_rgb = draw_picture (FALSE), *last_rgb = draw_picture (TRUE);
  SoraStreamImage *image = sora_stream_image_new (model, SORA_PRECISION_FP32, queue, &error);
  cl_mem frames = sora_queue_alloc (queue, 4 * 3 * WIDTH * HEIGHT);
  guint n_channels = 4 + CHANNELS, n_pixels = LATENTS * HEIGHT / 8 * WIDTH / 8;
  g_autofree gfloat *actual = NULL, *planes = g_new (gfloat, n_channels * n_pixels), *expected = NULL;
  const SoraTensor *tensor;

  g_assert_no_error (error);
  sora_stream_image_plan (image, HEIGHT / 8, WIDTH / 8, LATENTS, tile, arena);
  g_assert_true (sora_arena_commit (arena, &error));
  sora_stream_image_encode (image, queue, first_rgb, last ? last_rgb : NULL, frames, G_MAXUINT64, &error);
  g_assert_no_error (error);
  g_assert_null (sora_stream_image_get_latent (image));
  actual = sora_test_download (queue, sora_stream_image_get_condition (image), n_channels * n_pixels);
  for (guint p = 0; p < n_pixels; p++)
    for (guint c = 0; c < n_channels; c++)
      planes[c * n_pixels + p] = actual[p * n_channels + c];
  expected = golden_floats (golden, name, &tensor);
  g_assert_cmpuint (tensor->n_elements, ==, n_channels * n_pixels);
  sora_test_assert_same (planes, expected, 4 * n_pixels, "mask of %s", name);
  sora_test_assert_close (planes, expected, n_channels * n_pixels, TOLERANCE, "%s", name);
  clReleaseMemObject (frames);
  sora_stream_image_free (image);
}

static void
test_condition (void)
{
  g_autoptr (SoraModel) model = open_image_model ("wan-i2v-experts.json", TRUE);

  for (guint tile = 0; tile <= 32; tile += 16) {
    check_condition (model, FALSE, tile, "golden.condition");
    check_condition (model, TRUE, tile, "golden.condition_2");
  }
}

/* A TAEHV has the nearest byte for grey: as frames of that byte are encoded, and none of those that lie there. */
static void
test_grey (void)
{
  g_autoptr (SoraModel) model = open_tiny_model ();
  g_autoptr (SoraQueue) queue = sora_test_queue_new ();
  g_autoptr (GError) error = NULL;
  g_autofree guint8 *rgb = draw_picture (FALSE), *frames = g_malloc (4 * 3 * WIDTH * HEIGHT);
  guint n = HEIGHT / model->vae.spatial_scale * WIDTH / model->vae.spatial_scale * model->vae.latent_channels;
  cl_mem mem = sora_queue_alloc (queue, 4 * 3 * WIDTH * HEIGHT), latent = sora_test_alloc (queue, n);
  SoraVae *vae = sora_vae_new (&model->vae, model->vae_file, SORA_VAE_ENCODER, SORA_PRECISION_FP32, queue, &error);
  gfloat *latents[2];

  g_assert_no_error (error);
  g_assert_cmpuint (model->vae.time_scale, ==, 4);
  for (guint i = 0; i < 2; i++) {
    g_autoptr (SoraArena) arena = sora_arena_new (sora_queue_get_device (queue));
    SoraVaeEncoderState *state = sora_vae_encoder_state_new (vae, HEIGHT / model->vae.spatial_scale, WIDTH / model->vae.spatial_scale, 1,
        FALSE, NULL, arena);
    g_assert_true (sora_arena_commit (arena, &error));
    memset (frames, i == 0 ? 7 : 128, 4 * 3 * WIDTH * HEIGHT);
    memcpy (frames + 3 * 3 * WIDTH * HEIGHT, rgb, 3 * WIDTH * HEIGHT);
    sora_queue_write (queue, mem, 0, 4 * 3 * WIDTH * HEIGHT, frames);
    if (i == 0)
      sora_vae_encode_greyed (vae, state, queue, mem, 3, latent);
    else
      sora_vae_encode (vae, state, queue, mem, 1, latent);
    latents[i] = sora_test_download (queue, latent, n);
    sora_vae_encoder_state_free (state);
  }
  sora_test_assert_same (latents[0], latents[1], n, "a latent with three grey frames");
  g_free (latents[0]);
  g_free (latents[1]);
  sora_vae_free (vae);
  clReleaseMemObject (mem);
  clReleaseMemObject (latent);
}

static void
assert_refused (SoraModel *model, SoraStreamOptions *options, const gchar *words)
{
  g_autoptr (SoraDevice) device = open_device ();
  g_autoptr (GError) error = NULL;

  g_assert_null (sora_stream_new (model, device, options, NULL, NULL, NULL, &error));
  g_assert_error (error, SORA_STREAM_ERROR, SORA_STREAM_ERROR_OPTION);
  g_test_message ("%s", error->message);
  g_assert_nonnull (strstr (error->message, words));
}

static void
test_image_options (void)
{
  g_autoptr (SoraWeightFile) golden = open_golden ("pipelines.safetensors");
  g_autoptr (SoraModel) with_clip = open_image_model ("wan-i2v.json", FALSE), experts = open_image_model ("wan-i2v-experts.json", TRUE);
  g_autoptr (SoraModel) pair = open_image_model ("wan-flf2v.json", FALSE), text = open_experts ();
  g_autoptr (SoraStreamOptions) none = clip_options (golden), one = image_options (golden, FALSE), two = image_options (golden, TRUE);

  assert_refused (with_clip, none, "none is given");
  assert_refused (experts, none, "none is given");
  assert_refused (pair, one, "no last image is given");
  assert_refused (with_clip, two, "takes no last image");
  assert_refused (text, two, "takes no last image");
  sora_stream_options_set_length (two, FRAMES - 1);
  assert_refused (pair, two, "one more than a multiple of 4");
  sora_stream_options_set_length (two, 1);
  assert_refused (pair, two, "one more than a multiple of 4");
  sora_stream_options_set_length (two, FRAMES);
  sora_stream_options_set_last_image (two, (const guint8 *) "\0\0\0\0\0\0", 2, 1, 6);
  assert_refused (pair, two, "the last image has 2x1 pixels");
}

static void
assert_model_refused (const gchar *path, gint code, const gchar *words)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (sora_model_open (path, &error));
  g_assert_error (error, SORA_MODEL_ERROR, code);
  g_test_message ("%s", error->message);
  g_assert_nonnull (strstr (error->message, words));
}

/* What image-to-video models need more: CLIP, of the width that they are made for, and the channels. */
static void
test_image_models (void)
{
  g_autofree gchar *path = make_model (image_index, "wan-i2v.json", FALSE), *config = g_build_filename (path, "transformer", "config.json", NULL);
  g_autofree gchar *streaming = g_build_filename (path, "sora.json", NULL), *clip = g_build_filename (path, "image_encoder", NULL);
  SoraModelFiles files = { .path = path, .image_encoder = clip };
  g_autoptr (SoraModel) model = NULL;
  g_autoptr (GError) error = NULL;

  assert_model_refused (path, SORA_MODEL_ERROR_NOT_FOUND, "image_encoder has neither model.safetensors");
  put_part (path, "image_encoder", "model.safetensors", "clip-encoder.json", FIRST_SEED);
  model = sora_model_open_files (&files, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (sora_model_get_image_tokens (model), ==, 17);
  replace_in_file (path, "image_encoder/config.json", "\"patch_size\": 7", "\"patch_size\": 14");
  assert_model_refused (path, SORA_MODEL_ERROR_WEIGHT, "embeddings.patch_embedding.weight");
  put_part (path, "image_encoder", "model.safetensors", "clip-encoder.json", FIRST_SEED);
  replace_in_file (path, "image_encoder/config.json", "\"hidden_act\": \"gelu\"", "\"hidden_act\": \"relu\"");
  assert_model_refused (path, SORA_MODEL_ERROR_UNSUPPORTED, "\"hidden_act\"");
  put_part (path, "image_encoder", "model.safetensors", "clip-encoder.json", FIRST_SEED);
  put_text (path, "sora.json", "{\"format\": \"sora\", \"version\": 1, \"causal\": true, \"block_latents\": 1, \"window_latents\": 2,"
      "\"context_timestep\": 0, \"context_noise\": 0, \"text_length\": 16, \"frame_rate\": [16, 1], \"sizes\": [[96, 64]],"
      "\"sampler\": \"euler\", \"steps\": 4, \"shift\": 3, \"guidance_scale\": 1, \"prediction_type\": \"flow\"}");
  assert_model_refused (path, SORA_MODEL_ERROR_UNSUPPORTED, "whole clips only");
  g_assert_cmpint (g_unlink (streaming), ==, 0);
  put_part (path, "vae", WEIGHTS, "wan-vae-residual.json", FIRST_SEED);
  assert_model_refused (path, SORA_MODEL_ERROR_UNSUPPORTED, "in_channels is 12");
  remove_tree (path);
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
  for (guint i = 0; i < G_N_ELEMENTS (image_cases); i++) {
    g_autofree gchar *path = g_strconcat ("/pipelines/image/", image_cases[i].name + strlen ("golden."), NULL);
    g_test_add_data_func (path, &image_cases[i], test_image);
  }
  g_test_add_func ("/pipelines/image/condition", test_condition);
  g_test_add_func ("/pipelines/image/grey", test_grey);
  g_test_add_func ("/pipelines/image/options", test_image_options);
  g_test_add_func ("/pipelines/image/models", test_image_models);
  return g_test_run ();
}
