/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A whole stream of a tiny model: against PyTorch, against itself, and through its options, cancellation and errors. */
#include <glib/gstdio.h>
#include <sora/sora.h>
#include <string.h>

#include "runtime/device-private.h"
#include "stages/noise.h"
#include "test-support.h"
#include "weights/weight-file.h"

#define PROMPT "a red ball bounces"
#define SEED 42

/* fp32 against fp32 with other orders of summation, through up to 6 blocks of 3 guided steps of 2 layers each on activations of
 * the order of 1: rounding (6e-8) grows by a few hundred. */
#define TOLERANCE 1e-4

static gchar *
golden_path (const gchar *name)
{
  return g_build_filename (g_getenv ("SORA_TEST_GOLDEN"), name, NULL);
}

static SoraDevice *
open_device (void)
{
  g_autoptr (GError) error = NULL;
  SoraDevice *device = sora_device_open (g_getenv ("SORA_TEST_DEVICE"), &error);

  g_assert_no_error (error);
  return device;
}

static SoraModel *
open_tiny_model (void)
{
  g_autoptr (GError) error = NULL;
  g_autofree gchar *path = golden_path ("tiny-model");
  SoraModel *model = sora_model_open (path, &error);

  g_assert_no_error (error);
  return model;
}

static SoraStream *
open_stream (SoraModel *model, SoraStreamOptions *options)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (SoraDevice) device = open_device ();
  SoraStream *stream = sora_stream_new (model, device, options, NULL, NULL, NULL, &error);

  g_assert_no_error (error);
  return stream;
}

static SoraStreamOptions *
default_options (void)
{
  SoraStreamOptions *options = sora_stream_options_new ();

  sora_stream_options_set_prompt (options, PROMPT);
  sora_stream_options_set_seed (options, SEED);
  return options;
}

static SoraBlock *
pull (SoraStream *stream)
{
  g_autoptr (GError) error = NULL;
  SoraBlock *block = sora_stream_next_block (stream, NULL, &error);

  g_assert_no_error (error);
  g_assert_nonnull (block);
  return block;
}

static gboolean
same_frames (SoraBlock *a, SoraBlock *b)
{
  gsize size = (gsize) sora_block_get_n_frames (a) * 3 * sora_block_get_width (a) * sora_block_get_height (a);

  return sora_block_get_n_frames (a) == sora_block_get_n_frames (b)
      && memcmp (sora_block_get_rgb (a, 0), sora_block_get_rgb (b, 0), size) == 0;
}

static void
assert_same_blocks (SoraStream *a, SoraStream *b, guint n)
{
  for (guint i = 0; i < n; i++) {
    g_autoptr (SoraBlock) x = pull (a);
    g_autoptr (SoraBlock) y = pull (b);
    g_assert_cmpuint (sora_block_get_index (x), ==, sora_block_get_index (y));
    g_assert_true (same_frames (x, y));
  }
}

/* --- against PyTorch ------------------------------------------------------------------------------------------- */

typedef struct {
  SoraWeightFile *golden;
  guint n_latents;              /* seen so far */
  guint n_embeddings;
} Comparison;

static gfloat *
golden_floats (SoraWeightFile *file, const gchar *name, const SoraTensor **tensor)
{
  *tensor = sora_weight_file_peek (file, name);
  g_assert_nonnull (*tensor);
  gfloat *data = g_new (gfloat, (*tensor)->n_elements);
  sora_tensor_to_float (*tensor, 0, (*tensor)->n_elements, data);
  return data;
}

/* Latents [channels, n, h, w] of a block against the same ones of the whole stream's [channels, all, h, w]. */
static void
compare_latents (Comparison *comparison, const gfloat *data, const gint64 *shape)
{
  const SoraTensor *tensor;
  g_autofree gfloat *all = golden_floats (comparison->golden, "latents", &tensor);
  gsize n_pixels = shape[2] * shape[3], n_block = shape[1] * n_pixels;
  g_autofree gfloat *expected = g_new (gfloat, shape[0] * n_block);

  for (gint64 c = 0; c < shape[0]; c++)
    memcpy (expected + c * n_block, all + (c * tensor->shape[1] + comparison->n_latents) * n_pixels,
        n_block * sizeof (gfloat));
  sora_test_assert_close (data, expected, shape[0] * n_block, TOLERANCE, "latents from %u", comparison->n_latents);
  comparison->n_latents += shape[1];
}

static void
on_tensor (const gchar *name, const gfloat *data, const gint64 *shape, guint n_dims, gpointer user_data)
{
  Comparison *comparison = user_data;
  const SoraTensor *tensor;

  if (g_str_equal (name, "latents")) {
    compare_latents (comparison, data, shape);
  } else if (g_str_equal (name, "text_embeddings")) {
    g_autofree gfloat *expected = golden_floats (comparison->golden, name, &tensor);
    g_assert_cmpint (shape[0], ==, tensor->shape[0]);
    sora_test_assert_close (data, expected, tensor->n_elements, TOLERANCE, "text embeddings");
    comparison->n_embeddings++;
  }
}

/* @expected: [3, height, width] in 0 ... 1. A byte may round the other way where the float lies at a half. */
static void
compare_frame (SoraBlock *block, guint i, const gfloat *expected)
{
  gsize n = (gsize) sora_block_get_width (block) * sora_block_get_height (block);
  const guint8 *rgb = sora_block_get_rgb (block, i);

  for (gsize p = 0; p < n; p++)
    for (guint c = 0; c < 3; c++)
      g_assert_cmpfloat_with_epsilon (rgb[3 * p + c], 255 * expected[c * n + p], 0.52);
}

static void
test_golden (void)
{
  g_autofree gchar *path = golden_path ("stream.safetensors");
  g_autoptr (GError) error = NULL;
  g_autoptr (SoraWeightFile) golden = sora_weight_file_open (path, &error);
  g_assert_no_error (error);
  Comparison comparison = { .golden = golden };
  const SoraTensor *noise_tensor, *frames_tensor;
  g_autofree gfloat *noise = golden_floats (golden, "noise", &noise_tensor);
  g_autofree gfloat *frames = golden_floats (golden, "frames", &frames_tensor);
  gsize frame = frames_tensor->n_elements / 3;
  guint n_blocks = noise_tensor->shape[1] / 2;
  g_autoptr (SoraModel) model = open_tiny_model ();
  g_autoptr (SoraStreamOptions) options = default_options ();
  sora_stream_options_set_noise (options, noise, noise_tensor->n_elements);
  g_autoptr (SoraStream) stream = open_stream (model, options);

  sora_stream_set_tap (stream, on_tensor, &comparison);
  for (guint i = 0; i < n_blocks; i++) {
    g_autoptr (SoraBlock) block = pull (stream);
    g_assert_cmpuint (sora_block_get_n_frames (block), ==, i == 0 ? 5 : 8);
    if (i == 0)
      compare_frame (block, 0, frames);
    if (i == 1)
      compare_frame (block, 0, frames + frame);
    if (i == n_blocks - 1)
      compare_frame (block, 7, frames + 2 * frame);
  }
  g_assert_cmpuint (comparison.n_latents, ==, noise_tensor->shape[1]);
  g_assert_cmpuint (comparison.n_embeddings, ==, 1);
}

/* --- against itself -------------------------------------------------------------------------------------------- */

static void
test_repeatable (void)
{
  g_autoptr (SoraModel) model = open_tiny_model ();
  g_autoptr (SoraStreamOptions) options = default_options ();
  g_autoptr (SoraStream) a = open_stream (model, options);
  g_autoptr (SoraStream) b = open_stream (model, options);

  assert_same_blocks (a, b, 5);
  sora_stream_restart (a);
  sora_stream_restart (b);
  assert_same_blocks (a, b, 2);

  g_autoptr (SoraStream) fresh = open_stream (model, options);
  sora_stream_restart (a);
  assert_same_blocks (a, fresh, 4);
}

static void
test_seed (void)
{
  g_autoptr (SoraModel) model = open_tiny_model ();
  g_autoptr (SoraStreamOptions) options = default_options ();
  g_autoptr (SoraStream) a = open_stream (model, options);
  sora_stream_options_set_seed (options, 43);
  g_autoptr (SoraStream) b = open_stream (model, options);
  g_autoptr (SoraBlock) x = pull (a);
  g_autoptr (SoraBlock) y = pull (b);

  g_assert_false (same_frames (x, y));
}

static void
test_prompt_change (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (SoraModel) model = open_tiny_model ();
  g_autoptr (SoraStreamOptions) options = default_options ();
  g_autoptr (SoraStream) changed = open_stream (model, options);
  g_autoptr (SoraStream) steady = open_stream (model, options);

  assert_same_blocks (changed, steady, 2);
  g_assert_true (sora_stream_set_prompt (changed, "the ball moves left", &error));
  g_assert_no_error (error);
  g_autoptr (SoraBlock) x = pull (changed);
  g_autoptr (SoraBlock) y = pull (steady);
  g_assert_false (same_frames (x, y));
  g_assert_cmpstr (sora_block_get_prompt (x), ==, "the ball moves left");
  g_assert_cmpstr (sora_block_get_prompt (y), ==, PROMPT);

  sora_stream_restart (changed);
  sora_stream_restart (steady);
  assert_same_blocks (changed, steady, 2);
}

static void
test_bad_prompt (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (SoraModel) model = open_tiny_model ();
  g_autoptr (SoraStreamOptions) options = default_options ();
  g_autoptr (SoraStream) a = open_stream (model, options);
  g_autoptr (SoraStream) b = open_stream (model, options);

  g_assert_false (sora_stream_set_prompt (a, "\xff\xfe", &error));
  g_assert_error (error, SORA_STREAM_ERROR, SORA_STREAM_ERROR_PROMPT);
  assert_same_blocks (a, b, 2);
}

/* --- cancellation ---------------------------------------------------------------------------------------------- */

static gpointer
cancel_later (gpointer data)
{
  g_usleep (g_random_int_range (0, 20000));
  g_cancellable_cancel (data);
  return NULL;
}

/* Wherever a cancellation hits, the call repeated gives the frames that an undisturbed stream gives. */
static void
test_cancel (void)
{
  g_autoptr (SoraModel) model = open_tiny_model ();
  g_autoptr (SoraStreamOptions) options = default_options ();
  g_autoptr (SoraStream) disturbed = open_stream (model, options);
  g_autoptr (SoraStream) steady = open_stream (model, options);
  guint n_cancelled = 0;

  for (guint i = 0; i < 24; i++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (GCancellable) cancellable = g_cancellable_new ();
    g_autoptr (GThread) thread = NULL;
    g_autoptr (SoraBlock) x = NULL;
    g_autoptr (SoraBlock) y = pull (steady);

    if (i == 0)
      g_cancellable_cancel (cancellable);
    else
      thread = g_thread_new ("cancel", cancel_later, cancellable);
    x = sora_stream_next_block (disturbed, cancellable, &error);
    if (thread)
      g_thread_join (g_steal_pointer (&thread));
    if (!x) {
      g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
      n_cancelled++;
      x = pull (disturbed);
    }
    g_assert_true (same_frames (x, y));
  }
  g_assert_cmpuint (n_cancelled, >=, 1);
}

/* Cancelled between blocks: the restarted stream begins as a new one does. */
static void
test_cancel_restart (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (SoraModel) model = open_tiny_model ();
  g_autoptr (SoraStreamOptions) options = default_options ();
  g_autoptr (SoraStream) restarted = open_stream (model, options);
  g_autoptr (SoraStream) fresh = open_stream (model, options);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (SoraBlock) first = pull (restarted);

  g_cancellable_cancel (cancellable);
  g_assert_null (sora_stream_next_block (restarted, cancellable, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  sora_stream_restart (restarted);
  assert_same_blocks (restarted, fresh, 3);
}

/* Cancels at a block's latents, before they are decoded. */
static void
cancel_at_latents (const gchar *name, const gfloat *data, const gint64 *shape, guint n_dims, gpointer user_data)
{
  if (g_str_equal (name, "latents"))
    g_cancellable_cancel (user_data);
}

static void
cancel_decoding (SoraStream *stream)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();

  sora_stream_set_tap (stream, cancel_at_latents, cancellable);
  g_assert_null (sora_stream_next_block (stream, cancellable, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  sora_stream_set_tap (stream, NULL, NULL);
}

/* Again and again, at the first block too. */
static void
test_cancel_decoding (void)
{
  g_autoptr (SoraModel) model = open_tiny_model ();
  g_autoptr (SoraStreamOptions) options = default_options ();
  g_autoptr (SoraStream) disturbed = open_stream (model, options);
  g_autoptr (SoraStream) steady = open_stream (model, options);
  g_autoptr (GCancellable) cancelled = g_cancellable_new ();

  g_cancellable_cancel (cancelled);
  assert_same_blocks (disturbed, steady, 2);
  sora_stream_restart (disturbed);
  sora_stream_restart (steady);
  for (guint i = 0; i < 4; i++) {
    cancel_decoding (disturbed);
    g_assert_null (sora_stream_next_block (disturbed, cancelled, NULL));
    assert_same_blocks (disturbed, steady, 1);
  }
}

/* A prompt that is set after a block's latents are made holds from the next block, cancelled or not. */
static void
test_prompt_after_cancel (void)
{
  const gchar *prompt = "the ball moves left";
  g_autoptr (SoraModel) model = open_tiny_model ();
  g_autoptr (SoraStreamOptions) options = default_options ();
  g_autoptr (SoraStream) disturbed = open_stream (model, options);
  g_autoptr (SoraStream) steady = open_stream (model, options);

  assert_same_blocks (disturbed, steady, 2);
  cancel_decoding (disturbed);
  g_assert_true (sora_stream_set_prompt (disturbed, prompt, NULL));
  assert_same_blocks (disturbed, steady, 1);
  g_assert_true (sora_stream_set_prompt (steady, prompt, NULL));
  g_autoptr (SoraBlock) x = pull (disturbed);
  g_autoptr (SoraBlock) y = pull (steady);
  g_assert_cmpstr (sora_block_get_prompt (x), ==, prompt);
  g_assert_true (same_frames (x, y));
}

static void
test_cancel_loading (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (SoraModel) model = open_tiny_model ();
  g_autoptr (SoraDevice) device = open_device ();
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();

  g_cancellable_cancel (cancellable);
  g_assert_null (sora_stream_new (model, device, NULL, NULL, NULL, cancellable, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
}

/* --- options --------------------------------------------------------------------------------------------------- */

static void
test_bad_options (void)
{
  static const struct {
    const gchar *what;
    guint width, height, steps;
    gdouble guidance, shift;
  } cases[] = {
    { "width not of whole tokens", 90, 64, 0, -1, -1 },
    { "too large", 32 * 1024, 64, 0, -1, -1 },
    { "no height", 96, 0, 0, -1, -1 },
    { "too many steps", 0, 0, 1001, -1, -1 },
    { "absurd guidance", 0, 0, 0, 1e9, -1 },
    { "shift of 0", 0, 0, 0, -1, 0 },
  };
  g_autoptr (SoraModel) model = open_tiny_model ();
  g_autoptr (SoraDevice) device = open_device ();

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (SoraStreamOptions) options = default_options ();
    g_test_message ("%s", cases[i].what);
    sora_stream_options_set_size (options, cases[i].width, cases[i].height);
    sora_stream_options_set_steps (options, cases[i].steps);
    sora_stream_options_set_guidance_scale (options, cases[i].guidance);
    sora_stream_options_set_shift (options, cases[i].shift);
    g_assert_null (sora_stream_new (model, device, options, NULL, NULL, NULL, &error));
    g_assert_error (error, SORA_STREAM_ERROR, SORA_STREAM_ERROR_OPTION);
  }
}

static void
test_length (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (SoraModel) model = open_tiny_model ();
  g_autoptr (SoraStreamOptions) options = default_options ();
  guint64 next = 0;
  sora_stream_options_set_length (options, 16);
  sora_stream_options_set_size (options, 64, 96);
  sora_stream_options_set_guidance_scale (options, 1);
  g_autoptr (SoraStream) stream = open_stream (model, options);

  for (guint i = 0; i < 3; i++) {
    static const guint n_frames[] = { 5, 8, 3 };
    g_autoptr (SoraBlock) block = pull (stream);
    g_assert_cmpuint (sora_block_get_first_frame (block), ==, next);
    g_assert_cmpuint (sora_block_get_n_frames (block), ==, n_frames[i]);
    g_assert_cmpuint (sora_block_get_width (block), ==, 64);
    g_assert_cmpuint (sora_block_get_height (block), ==, 96);
    next += n_frames[i];
  }
  g_assert_null (sora_stream_next_block (stream, NULL, &error));
  g_assert_no_error (error);
}

/* --- variants of the tiny model ---------------------------------------------------------------------------------- */

static void
copy_file (const gchar *from, const gchar *to, const gchar *name)
{
  g_autofree gchar *source = g_build_filename (from, name, NULL);
  g_autofree gchar *target = g_build_filename (to, name, NULL);
  g_autofree gchar *folder = g_path_get_dirname (target);
  g_autofree gchar *data = NULL;
  gsize size;

  g_mkdir_with_parents (folder, 0700);
  g_assert_true (g_file_get_contents (source, &data, &size, NULL));
  g_assert_true (g_file_set_contents (target, data, size, NULL));
}

static const gchar *model_files[] = {
  "sora.json", "model_index.json", "tokenizer/spiece.model", "tokenizer/tokenizer_config.json", "text_encoder/config.json",
  "text_encoder/model.safetensors", "transformer/config.json", "transformer/diffusion_pytorch_model.safetensors",
  "scheduler/scheduler_config.json", "vae/config.json", "vae/diffusion_pytorch_model.safetensors",
};

/* A copy of the tiny model, (transfer full): remove it with remove_copy(). */
static gchar *
copy_model (void)
{
  g_autofree gchar *source = golden_path ("tiny-model");
  gchar *target = g_dir_make_tmp ("sora-test-XXXXXX", NULL);

  for (guint i = 0; i < G_N_ELEMENTS (model_files); i++)
    copy_file (source, target, model_files[i]);
  return target;
}

static void
remove_copy (const gchar *path)
{
  static const gchar *folders[] = { "tokenizer", "text_encoder", "transformer", "scheduler", "vae", "." };

  for (guint i = 0; i < G_N_ELEMENTS (model_files); i++) {
    g_autofree gchar *file = g_build_filename (path, model_files[i], NULL);
    g_unlink (file);
  }
  for (guint i = 0; i < G_N_ELEMENTS (folders); i++) {
    g_autofree gchar *folder = g_build_filename (path, folders[i], NULL);
    g_rmdir (folder);
  }
  g_rmdir (path);
}

static void
replace_in_file (const gchar *folder, const gchar *name, const gchar *old, const gchar *new)
{
  g_autofree gchar *path = g_build_filename (folder, name, NULL);
  g_autofree gchar *text = NULL;
  g_autoptr (GString) edited = NULL;

  g_assert_true (g_file_get_contents (path, &text, NULL, NULL));
  edited = g_string_new (text);
  g_assert_cmpuint (g_string_replace (edited, old, new, 0), ==, 1);
  g_assert_true (g_file_set_contents (path, edited->str, edited->len, NULL));
}

static void
assert_too_long (SoraModel *model, guint width, guint height, guint64 frames)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (SoraDevice) device = open_device ();
  g_autoptr (SoraStreamOptions) options = default_options ();

  sora_stream_options_set_size (options, width, height);
  sora_stream_options_set_length (options, frames);
  g_assert_null (sora_stream_new (model, device, options, NULL, NULL, NULL, &error));
  g_assert_error (error, SORA_STREAM_ERROR, SORA_STREAM_ERROR_OPTION);
}

static void
test_clip_model (void)
{
  g_autoptr (GError) error = NULL;
  g_autofree gchar *path = copy_model ();
  replace_in_file (path, "sora.json", "\"causal\": true", "\"causal\": false");
  replace_in_file (path, "sora.json", "\"default_latents\": 0", "\"default_latents\": 3");
  g_autoptr (SoraModel) model = sora_model_open (path, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (sora_model_get_clip_frames (model), ==, 9);
  g_autoptr (SoraStreamOptions) options = default_options ();
  g_autoptr (SoraStream) stream = open_stream (model, options);
  g_autoptr (SoraBlock) block = pull (stream);

  g_assert_cmpuint (sora_block_get_n_frames (block), ==, 9);
  g_assert_null (sora_stream_next_block (stream, NULL, &error));
  g_assert_no_error (error);

  sora_stream_options_set_length (options, 15);
  g_autoptr (SoraStream) longer = open_stream (model, options);
  g_autoptr (SoraBlock) clip = pull (longer);
  g_assert_cmpuint (sora_block_get_n_frames (clip), ==, 15);
  assert_too_long (model, 0, 0, G_MAXUINT64);
  assert_too_long (model, 0, 0, 4 * 4096 - 3 + 1);
  assert_too_long (model, 16384, 16384, 4 * 4096 - 3);  /* activations of more than 2^32 numbers */
  remove_copy (path);
}

/* The few-step sampler, worked out from what the network gave. */
typedef struct {
  GHashTable *tensors;          /* name → gfloat array, of the block under way */
  guint n_blocks;               /* seen to their end */
} Steps;

/* Step @step of 3 with shift 3 and guidance 2, from the network's estimates of the clean latents: the guided one, noised again
 * to the next sigma. Shapes: [channels, n_pixels], the noise as the sampler draws it, [n_pixels, channels]. */
static void
check_step (Steps *steps, guint step, guint n_channels, guint n_pixels)
{
  static const gdouble next_sigmas[] = { 6.0 / 7, 3.0 / 5, 0 };
  g_autofree gchar *name = g_strdup_printf ("step_%u_output", step), *negative_name = g_strdup_printf ("step_%u_negative_output", step);
  g_autofree gchar *latents_name = g_strdup_printf ("step_%u_latents", step);
  const gfloat *prompt = g_hash_table_lookup (steps->tensors, name), *negative = g_hash_table_lookup (steps->tensors, negative_name);
  const gfloat *latents = g_hash_table_lookup (steps->tensors, latents_name);
  gsize n = (gsize) n_channels * n_pixels;
  g_autofree gfloat *noise = g_new (gfloat, n), *expected = g_new (gfloat, n);

  sora_noise_fill (SEED, steps->n_blocks, 1 + step, n, noise);
  for (guint c = 0; c < n_channels; c++)
    for (guint p = 0; p < n_pixels; p++) {
      gsize i = (gsize) c * n_pixels + p;
      gdouble x0 = negative[i] + 2 * (prompt[i] - negative[i]);
      expected[i] = (1 - next_sigmas[step]) * x0 + next_sigmas[step] * noise[p * n_channels + c];
    }
  /* a few roundings */
  sora_test_assert_close (latents, expected, n, 1e-6, "step %u", step);
}

static void
on_step_tensor (const gchar *name, const gfloat *data, const gint64 *shape, guint n_dims, gpointer user_data)
{
  Steps *steps = user_data;
  gsize n_pixels;

  if (n_dims != 4)
    return;
  n_pixels = shape[1] * shape[2] * shape[3];
  g_hash_table_insert (steps->tensors, g_strdup (name), g_memdup2 (data, shape[0] * n_pixels * sizeof (gfloat)));
  if (!g_str_equal (name, "latents"))
    return;
  for (guint i = 0; i < 3; i++)
    check_step (steps, i, shape[0], n_pixels);
  steps->n_blocks++;
}

static void
test_few_step (void)
{
  g_autoptr (GError) error = NULL;
  g_autofree gchar *path = copy_model ();
  replace_in_file (path, "sora.json", "\"euler\"", "\"renoise\"");
  replace_in_file (path, "sora.json", "\"flow\"", "\"sample\"");
  g_autoptr (SoraModel) model = sora_model_open (path, &error);
  g_assert_no_error (error);
  g_autoptr (SoraStreamOptions) options = default_options ();
  g_autoptr (SoraStream) stream = open_stream (model, options);
  Steps steps = { .tensors = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free) };

  sora_stream_set_tap (stream, on_step_tensor, &steps);
  for (guint i = 0; i < 2; i++) {
    g_autoptr (SoraBlock) block = pull (stream);
    g_assert_cmpuint (steps.n_blocks, ==, i + 1);
  }
  g_hash_table_unref (steps.tensors);
  remove_copy (path);
}

/* Noise in the context changes nothing before there is one, and comes from the seed. */
static void
test_context_noise (void)
{
  g_autoptr (GError) error = NULL;
  g_autofree gchar *path = copy_model ();
  replace_in_file (path, "sora.json", "\"context_noise\": 0.0", "\"context_noise\": 0.5");
  g_autoptr (SoraModel) noisy_model = sora_model_open (path, &error);
  g_assert_no_error (error);
  g_autoptr (SoraModel) model = open_tiny_model ();
  g_autoptr (SoraStreamOptions) options = default_options ();
  g_autoptr (SoraStream) noisy = open_stream (noisy_model, options);
  g_autoptr (SoraStream) clean = open_stream (model, options);
  g_autoptr (SoraStream) again = open_stream (noisy_model, options);

  assert_same_blocks (noisy, clean, 1);
  g_autoptr (SoraBlock) x = pull (noisy);
  g_autoptr (SoraBlock) y = pull (clean);
  g_assert_false (same_frames (x, y));
  sora_stream_restart (noisy);
  assert_same_blocks (noisy, again, 3);
  remove_copy (path);
}

/* Every weight NaN: the block must be refused, not shown. */
static void
test_not_finite (void)
{
  const gchar *name = "transformer/diffusion_pytorch_model.safetensors";
  g_autoptr (GError) error = NULL;
  g_autofree gchar *path = copy_model ();
  g_autofree gchar *file = g_build_filename (path, name, NULL);
  g_autofree gchar *data = NULL;
  gsize size;
  guint64 header;

  g_assert_true (g_file_get_contents (file, &data, &size, NULL));
  memcpy (&header, data, sizeof header);
  memset (data + 8 + header, 0xff, size - 8 - header);
  g_assert_true (g_file_set_contents (file, data, size, NULL));
  g_autoptr (SoraModel) model = sora_model_open (path, &error);
  g_assert_no_error (error);
  g_autoptr (SoraStream) stream = open_stream (model, NULL);
  g_assert_null (sora_stream_next_block (stream, NULL, &error));
  g_assert_error (error, SORA_STREAM_ERROR, SORA_STREAM_ERROR_NUMERIC);
  remove_copy (path);
}

static void
test_profile (void)
{
  g_autoptr (SoraModel) model = open_tiny_model ();
  g_autoptr (SoraStreamOptions) options = default_options ();
  guint64 stream_bytes, weight_bytes;
  sora_stream_options_set_profile (options, TRUE);
  g_autoptr (SoraStream) stream = open_stream (model, options);
  g_autoptr (SoraBlock) block = pull (stream);
  g_autofree gchar *profile = sora_stream_get_profile (stream);

  g_assert_nonnull (strstr (profile, "attention"));
  sora_stream_get_memory (stream, &stream_bytes, &weight_bytes);
  g_assert_cmpuint (stream_bytes, >, 0);
  g_assert_cmpuint (weight_bytes, >, 0);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/stream/golden", test_golden);
  g_test_add_func ("/stream/repeatable", test_repeatable);
  g_test_add_func ("/stream/seed", test_seed);
  g_test_add_func ("/stream/prompt-change", test_prompt_change);
  g_test_add_func ("/stream/bad-prompt", test_bad_prompt);
  g_test_add_func ("/stream/cancel", test_cancel);
  g_test_add_func ("/stream/cancel-restart", test_cancel_restart);
  g_test_add_func ("/stream/cancel-decoding", test_cancel_decoding);
  g_test_add_func ("/stream/prompt-after-cancel", test_prompt_after_cancel);
  g_test_add_func ("/stream/cancel-loading", test_cancel_loading);
  g_test_add_func ("/stream/bad-options", test_bad_options);
  g_test_add_func ("/stream/length", test_length);
  g_test_add_func ("/stream/clip-model", test_clip_model);
  g_test_add_func ("/stream/few-step", test_few_step);
  g_test_add_func ("/stream/context-noise", test_context_noise);
  g_test_add_func ("/stream/not-finite", test_not_finite);
  g_test_add_func ("/stream/profile", test_profile);
  return g_test_run ();
}
