/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A whole stream of a tiny model: against PyTorch, against itself, and through its options, cancellation and errors. */
#include <math.h>
#include <string.h>

#include "../ops/reference-elementwise.h"
#include "stages/noise.h"
#include "stages/scheduler.h"
#include "stream-support.h"

/* --- against PyTorch ------------------------------------------------------------------------------------------- */

typedef struct {
  SoraWeightFile *golden;
  guint n_latents;              /* seen so far */
  guint n_embeddings;
} Comparison;

static void
on_tensor (const gchar *name, const gfloat *data, const gint64 *shape, guint n_dims, gpointer user_data)
{
  Comparison *comparison = user_data;
  const SoraTensor *tensor;

  if (g_str_equal (name, "latents")) {
    assert_golden_latents (comparison->golden, name, comparison->n_latents, data, shape);
    comparison->n_latents += shape[1];
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
  g_autoptr (SoraWeightFile) golden = open_golden ("stream.safetensors");
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

/* "noise" is [channels, latents, height, width], and drawn as [latents, height, width, channels] */
static void
on_noise (const gchar *name, const gfloat *data, const gint64 *shape, guint n_dims, gpointer user_data)
{
  guint64 *block = user_data;
  gsize n_channels, n_rows;
  g_autofree gfloat *drawn = NULL;

  if (!g_str_equal (name, "noise"))
    return;
  n_channels = shape[0];
  n_rows = shape[1] * shape[2] * shape[3];
  drawn = g_new (gfloat, n_channels * n_rows);
  sora_noise_fill (SEED, (*block)++, 0, n_channels * n_rows, drawn);
  for (gsize i = 0; i < n_channels * n_rows; i++)
    g_assert_cmpfloat (data[i % n_channels * n_rows + i / n_channels], ==, drawn[i]);
}

/* A block's noise is that of the seed and its number, after a restart too. */
static void
test_noise (void)
{
  g_autoptr (SoraModel) model = open_tiny_model ();
  g_autoptr (SoraStreamOptions) options = default_options ();
  g_autoptr (SoraStream) stream = open_stream (model, options);

  for (guint i = 0; i < 2; i++) {
    guint64 block = 0;
    sora_stream_set_tap (stream, on_noise, &block);
    for (guint j = 0; j < 3; j++)
      sora_block_unref (pull (stream));
    g_assert_cmpuint (block, ==, 3);
    sora_stream_restart (stream);
  }
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

/* The same for the guidance scale */
static void
test_guidance_change (void)
{
  g_autoptr (SoraModel) model = open_tiny_model ();
  g_autoptr (SoraStreamOptions) options = default_options ();
  g_autoptr (SoraStream) changed = open_stream (model, options);
  g_autoptr (SoraStream) steady = open_stream (model, options);
  g_autoptr (SoraBlock) x = NULL, y = NULL;

  assert_same_blocks (changed, steady, 2);
  sora_stream_set_guidance_scale (changed, 9);
  x = pull (changed);
  y = pull (steady);
  g_assert_false (same_frames (x, y));

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

/* The error says which of the two prompts it is. */
static void
test_bad_negative_prompt (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (SoraModel) model = open_tiny_model ();
  g_autoptr (SoraDevice) device = open_device ();
  g_autoptr (SoraStreamOptions) options = default_options ();

  sora_stream_options_set_negative_prompt (options, "\xff\xfe");
  g_assert_null (sora_stream_new (model, device, options, NULL, NULL, NULL, &error));
  g_assert_error (error, SORA_STREAM_ERROR, SORA_STREAM_ERROR_PROMPT);
  g_assert_true (g_str_has_prefix (error->message, "negative prompt: "));
}

/* --- cancellation ---------------------------------------------------------------------------------------------- */

/* Wherever a cancellation hits, the call repeated gives the frames that an undisturbed stream gives. */
static void
test_cancel (void)
{
  g_autoptr (SoraModel) model = open_tiny_model ();
  g_autoptr (SoraStreamOptions) options = default_options ();
  g_autoptr (SoraStream) disturbed = open_stream (model, options);
  g_autoptr (SoraStream) steady = open_stream (model, options);

  assert_same_though_cancelled (disturbed, steady, 24);
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
    gdouble guidance, shift, begin, end;
    guint sampler;
  } cases[] = {
    { "width not of whole tokens", 90, 64, 0, -1, -1, 0, 1, 0 },
    { "too large", 32 * 1024, 64, 0, -1, -1, 0, 1, 0 },
    { "no height", 96, 0, 0, -1, -1, 0, 1, 0 },
    { "too many steps", 0, 0, 1001, -1, -1, 0, 1, 0 },
    { "absurd guidance", 0, 0, 0, 1e9, -1, 0, 1, 0 },
    { "shift of 0", 0, 0, 0, -1, 0, 0, 1, 0 },
    { "guidance from before the first step", 0, 0, 0, -1, -1, -0.1, 1, 0 },
    { "guidance until after the last step", 0, 0, 0, -1, -1, 0, 1.1, 0 },
    { "guidance that ends before it begins", 0, 0, 0, -1, -1, 0.5, 0.4, 0 },
    { "guidance from no number on", 0, 0, 0, -1, -1, NAN, 1, 0 },
    { "no such sampler", 0, 0, 0, -1, -1, 0, 1, SORA_SAMPLER_RENOISE + 1 },
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
    sora_stream_options_set_guidance_interval (options, cases[i].begin, cases[i].end);
    sora_stream_options_set_sampler (options, cases[i].sampler);
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

#define SINK_BLOCKS 6
#define SINK_FIELDS "\"sink_latents\": 2, \"context_alone\": true"

static void
keep_latents (const gchar *name, const gfloat *data, const gint64 *shape, guint n_dims, gpointer user_data)
{
  if (g_str_equal (name, "latents"))
    g_ptr_array_add (user_data, g_bytes_new (data, shape[0] * shape[1] * shape[2] * shape[3] * sizeof (gfloat)));
}

/* (element-type GBytes): the latents of SINK_BLOCKS blocks, of whose noise that of block @other is another; the prompt changes before block
 * @change. */
static GPtrArray *
sink_latents (SoraModel *model, guint change, guint other)
{
  g_autoptr (SoraWeightFile) golden = open_golden ("stream.safetensors");
  const SoraTensor *tensor;
  g_autofree gfloat *unused = golden_floats (golden, "noise", &tensor);
  guint n_channels = tensor->shape[0], n_pixels = tensor->shape[2] * tensor->shape[3], n_latents = 2 * SINK_BLOCKS;
  gsize n = (gsize) n_channels * n_latents * n_pixels;
  g_autofree gfloat *noise = sora_test_random (1, n, 1.75);
  g_autoptr (SoraStreamOptions) options = default_options ();
  GPtrArray *latents = g_ptr_array_new_with_free_func ((GDestroyNotify) g_bytes_unref);

  for (guint c = 0; c < n_channels; c++)
    for (guint i = 0; i < 2 * n_pixels; i++)
      noise[(c * n_latents + 2 * other) * n_pixels + i] *= -1;
  sora_stream_options_set_noise (options, noise, n);
  g_autoptr (SoraStream) stream = open_stream (model, options);
  sora_stream_set_tap (stream, keep_latents, latents);
  for (guint i = 0; i < SINK_BLOCKS; i++) {
    if (i == change)
      g_assert_true (sora_stream_set_prompt (stream, "the ball moves left", NULL));
    g_autoptr (SoraBlock) block = pull (stream);
  }
  return latents;
}

/* Whether another noise of block @other changes the others, as @differs says. */
static void
check_sink (SoraModel *model, guint change, guint other, const gboolean *differs)
{
  g_autoptr (GPtrArray) a = sink_latents (model, change, SINK_BLOCKS - 1), b = sink_latents (model, change, other);

  for (guint i = 0; i + 1 < SINK_BLOCKS; i++) {
    g_test_message ("prompt %u, noise %u, block %u", change, other, i);
    g_assert_true (g_bytes_equal (a->pdata[i], b->pdata[i]) == !differs[i]);
  }
}

/* First a window with room for nothing but the sink, so that each block depends on one other; then with room for one block more. Where
 * nothing but noise is left of the past when the prompt changes, nothing depends on what was before. */
static void
test_sink (void)
{
  static const struct { guint change, other; gboolean differs[SINK_BLOCKS]; } small[] = {
    { SINK_BLOCKS, 1, { FALSE, TRUE, FALSE, FALSE, FALSE, FALSE } },    /* the sink is block 0 for ever */
    { 2, 1, { FALSE, TRUE, FALSE, FALSE, FALSE, FALSE } },      /* also for the first block of the new prompt */
    { 2, 2, { FALSE, FALSE, TRUE, TRUE, TRUE, TRUE } }, /* which the next one sees */
    { 2, 3, { FALSE, FALSE, FALSE, TRUE, TRUE, TRUE } },        /* and that is the new sink */
    { 2, 4, { FALSE, FALSE, FALSE, FALSE, TRUE, FALSE } },
    { 0, 0, { TRUE, TRUE, TRUE, TRUE, TRUE, TRUE } },   /* before there is any past, the prompt changes nothing */
    { 0, 1, { FALSE, TRUE, FALSE, FALSE, FALSE, FALSE } },
  }, large[] = {
    { SINK_BLOCKS, 0, { TRUE, TRUE, TRUE, TRUE, TRUE, TRUE } },
    { 3, 1, { FALSE, TRUE, TRUE, TRUE, TRUE, TRUE } },  /* by block 2, which the first block of the new prompt sees */
    { 4, 3, { FALSE, FALSE, FALSE, TRUE, TRUE, TRUE } },
  }, cut[] = {
    { SINK_BLOCKS, 3, { FALSE, FALSE, FALSE, TRUE, TRUE, FALSE } },
    { 4, 3, { FALSE, FALSE, FALSE, TRUE, FALSE, FALSE } },
    { 1, 0, { TRUE, FALSE, FALSE, FALSE, FALSE, FALSE } },
  };
  g_autoptr (GError) error = NULL;
  g_autofree gchar *path = copy_model (), *larger_path = copy_model (), *cut_path = copy_model ();
  replace_in_file (path, "sora.json", "\"window_latents\": 6", "\"window_latents\": 4, " SINK_FIELDS);
  replace_in_file (larger_path, "sora.json", "\"window_latents\": 6", "\"window_latents\": 6, " SINK_FIELDS);
  replace_in_file (cut_path, "sora.json", "\"window_latents\": 6", "\"window_latents\": 6, \"change_noise\": 1, " SINK_FIELDS);
  g_autoptr (SoraModel) model = sora_model_open (path, &error);
  g_assert_no_error (error);
  g_autoptr (SoraModel) larger = sora_model_open (larger_path, &error);
  g_assert_no_error (error);
  g_autoptr (SoraModel) cutting = sora_model_open (cut_path, &error);
  g_assert_no_error (error);

  for (guint i = 0; i < G_N_ELEMENTS (small); i++)
    check_sink (model, small[i].change, small[i].other, small[i].differs);
  for (guint i = 0; i < G_N_ELEMENTS (large); i++)
    check_sink (larger, large[i].change, large[i].other, large[i].differs);
  for (guint i = 0; i < G_N_ELEMENTS (cut); i++)
    check_sink (cutting, cut[i].change, cut[i].other, cut[i].differs);
  remove_copy (path);
  remove_copy (larger_path);
  remove_copy (cut_path);
}

/* (element-type GBytes) (transfer full): the latents [channels, 2, height, width] of @n blocks of the tiny model with this threshold */
static GPtrArray *
cored_latents (const gchar *threshold, guint n)
{
  GPtrArray *latents = g_ptr_array_new_with_free_func ((GDestroyNotify) g_bytes_unref);
  g_autofree gchar *path = copy_model (), *fields = g_strdup_printf ("\"window_latents\": 6, \"coring_threshold\": %s", threshold);
  replace_in_file (path, "sora.json", "\"window_latents\": 6", fields);
  g_autoptr (SoraModel) model = open_model (path);
  g_autoptr (SoraStreamOptions) options = default_options ();
  g_autoptr (SoraStream) stream = open_stream (model, options);

  sora_stream_set_tap (stream, keep_latents, latents);
  for (guint i = 0; i < n; i++)
    sora_block_unref (pull (stream));
  sora_stream_restart (stream);
  sora_block_unref (pull (stream));
  g_assert_true (g_bytes_equal (latents->pdata[0], latents->pdata[n]));
  remove_copy (path);
  return latents;
}

/* (transfer full): frame @t of @block, [channels, 2, height, width], as [height, width, channels] */
static gfloat *
latent_frame (GBytes *block, guint t, const SoraReferenceCoring *shape)
{
  const gfloat *latents = g_bytes_get_data (block, NULL);
  gsize n_pixels = (gsize) shape->height * shape->width;
  gfloat *frame = g_new (gfloat, n_pixels * shape->channels);

  for (gsize i = 0; i < n_pixels; i++)
    for (guint c = 0; c < shape->channels; c++)
      frame[i * shape->channels + c] = latents[(2 * c + t) * n_pixels + i];
  return frame;
}

/* The shape of the tiny model's latents */
static SoraReferenceCoring
tiny_coring (void)
{
  g_autoptr (SoraWeightFile) golden = open_golden ("stream.safetensors");
  const SoraTensor *noise;
  g_autofree gfloat *unused = golden_floats (golden, "noise", &noise);

  return (SoraReferenceCoring) { .height = noise->shape[2], .width = noise->shape[3], .channels = noise->shape[0] };
}

/* The second latent frame of a stream, @plain without coring, changes as much as @threshold lets it. Adds to how many floats stay, follow and go. */
static void
check_coring (GBytes *plain, const gchar *threshold, guint kinds[3])
{
  SoraReferenceCoring shape = tiny_coring ();
  shape.threshold = g_ascii_strtod (threshold, NULL);
  g_autoptr (GPtrArray) latents = cored_latents (threshold, 1);
  g_autofree gfloat *first = latent_frame (plain, 0, &shape), *made = latent_frame (plain, 1, &shape);
  g_autofree gfloat *cored = latent_frame (latents->pdata[0], 1, &shape), *expected = sora_reference_coring (first, made, 1, &shape);

  for (gsize i = 0; i < (gsize) shape.height * shape.width * shape.channels; i++) {
    g_assert_cmpfloat_with_epsilon (cored[i], expected[i], 1e-5);
    kinds[expected[i] == first[i] ? 0 : expected[i] == made[i] ? 2 : 1]++;
  }
}

/* As the reference; below a high threshold nothing ever changes, from block to block too. */
static void
test_coring (void)
{
  SoraReferenceCoring shape = tiny_coring ();
  g_autoptr (GPtrArray) plain = cored_latents ("0", 1), all = cored_latents ("10", 3);
  g_autofree gfloat *first = latent_frame (plain->pdata[0], 0, &shape);
  guint kinds[3] = { 0 };

  check_coring (plain->pdata[0], "0.5", kinds);
  check_coring (plain->pdata[0], "1.4", kinds);
  g_test_message ("%u floats stay, %u follow, %u go", kinds[0], kinds[1], kinds[2]);
  for (guint i = 0; i < G_N_ELEMENTS (kinds); i++)
    g_assert_cmpuint (kinds[i], >, 0);
  for (guint i = 0; i < 3; i++)
    for (guint t = 0; t < 2; t++) {
      g_autofree gfloat *still = latent_frame (all->pdata[i], t, &shape);
      g_assert_cmpmem (still, shape.height * shape.width * shape.channels * sizeof *still, first,
          shape.height * shape.width * shape.channels * sizeof *first);
    }
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

/* --- samplers ---------------------------------------------------------------------------------------------------- */

/* The tensors of each block of a stream, to be worked out again from the scheduler's plan. */
typedef struct {
  SoraSamplerType sampler;
  SoraPredictionType prediction;
  guint steps;
  gdouble begin, end;           /* of guidance, by 2 */
  GHashTable *tensors;          /* name → gfloat array, of the block under way */
  guint n_blocks, n_guided;     /* seen to their end; steps of the last one that had two branches */
} Walk;

static const gfloat *
find_step (Walk *walk, guint step, const gchar *what)
{
  g_autofree gchar *name = g_strdup_printf ("step_%u_%s", step, what);

  return g_hash_table_lookup (walk->tensors, name);
}

/* From the block's noise, with the outputs that the network gave: after every step, the latents. */
static void
check_walk (Walk *walk, gsize n)
{
  g_autofree SoraSchedulerStep *plan = sora_scheduler_plan (walk->sampler, walk->prediction, walk->steps, 3);
  g_autofree gdouble *m = g_new0 (gdouble, 3 * n);
  const gfloat *x = g_hash_table_lookup (walk->tensors, "noise");

  walk->n_guided = 0;
  for (guint i = 0; i < walk->steps; i++) {
    const SoraSchedulerStep *s = &plan[i];
    const gfloat *prompt = find_step (walk, i, "output"), *negative = find_step (walk, i, "negative_output");
    g_autofree gfloat *expected = g_new (gfloat, n);
    gdouble place = (i + 0.5) / walk->steps;
    g_assert_cmpint (negative != NULL, ==, place >= walk->begin && place <= walk->end);
    walk->n_guided += negative != NULL;
    memmove (m + n, m, 2 * n * sizeof (gdouble));
    for (gsize k = 0; k < n; k++) {
      gdouble o = negative ? negative[k] + 2 * (prompt[k] - negative[k]) : prompt[k];
      m[k] = s->clean_x * x[k] + s->clean_output * o;
      expected[k] = s->x * x[k] + s->output * o + s->estimates[0] * m[k] + s->estimates[1] * m[n + k] + s->estimates[2] * m[2 * n + k];
    }
    x = find_step (walk, i, "latents");
    sora_test_assert_close (x, expected, n, 2e-6, "sampler %d, step %u", walk->sampler, i);     /* some roundings, seen: 4.2e-7 */
  }
  g_assert_cmpmem (x, n * sizeof (gfloat), g_hash_table_lookup (walk->tensors, "latents"), n * sizeof (gfloat));
}

static void
on_walk_tensor (const gchar *name, const gfloat *data, const gint64 *shape, guint n_dims, gpointer user_data)
{
  Walk *walk = user_data;
  gsize n;

  if (n_dims != 4)
    return;
  n = shape[0] * shape[1] * shape[2] * shape[3];
  if (g_str_equal (name, "noise"))
    g_hash_table_remove_all (walk->tensors);
  g_hash_table_insert (walk->tensors, g_strdup (name), g_memdup2 (data, n * sizeof (gfloat)));
  if (!g_str_equal (name, "latents"))
    return;
  check_walk (walk, n);
  walk->n_blocks++;
}

static void
walk_stream (SoraModel *model, Walk *walk)
{
  g_autoptr (SoraStreamOptions) options = default_options ();
  sora_stream_options_set_sampler (options, walk->sampler);
  sora_stream_options_set_steps (options, walk->steps);
  sora_stream_options_set_guidance_interval (options, walk->begin, walk->end);
  g_autoptr (SoraStream) stream = open_stream (model, options);

  walk->tensors = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  walk->n_blocks = 0;
  sora_stream_set_tap (stream, on_walk_tensor, walk);
  for (guint i = 0; i < 2; i++) {
    g_autoptr (SoraBlock) block = pull (stream);
    g_assert_cmpuint (walk->n_blocks, ==, i + 1);
  }
  g_clear_pointer (&walk->tensors, g_hash_table_unref);
}

/* The samplers without noise of their own, at few steps and at more than there are rows of estimates, with networks of both kinds. */
static void
test_samplers (void)
{
  static const guint steps[] = { 1, 2, 5 };
  g_autofree gchar *path = copy_model ();
  replace_in_file (path, "sora.json", "\"flow\"", "\"sample\"");
  g_autoptr (SoraModel) flow = open_tiny_model ();
  g_autoptr (SoraModel) sample = open_model (path);

  for (SoraSamplerType sampler = SORA_SAMPLER_EULER; sampler < SORA_SAMPLER_RENOISE; sampler++)
    for (guint i = 0; i < G_N_ELEMENTS (steps); i++)
      for (guint prediction = SORA_PREDICTION_FLOW; prediction <= SORA_PREDICTION_SAMPLE; prediction++) {
        Walk walk = { .sampler = sampler, .prediction = prediction, .steps = steps[i], .end = 1 };
        walk_stream (prediction == SORA_PREDICTION_FLOW ? flow : sample, &walk);
        g_assert_cmpuint (walk.n_guided, ==, steps[i]);
      }
  remove_copy (path);
}

/* Steps of 5 lie at 0.1, 0.3 ... 0.9. */
static void
test_guidance_interval (void)
{
  static const struct { gdouble begin, end; guint n_guided; } intervals[] = {
    { 0.2, 0.6, 2 }, { 0.1, 0.1, 1 }, { 0, 0, 0 }, { 0.65, 1, 2 },
  };
  g_autoptr (SoraModel) model = open_tiny_model ();

  for (guint i = 0; i < G_N_ELEMENTS (intervals); i++) {
    Walk walk = { .sampler = SORA_SAMPLER_UNIPC, .steps = 5, .begin = intervals[i].begin, .end = intervals[i].end };
    walk_stream (model, &walk);
    g_assert_cmpuint (walk.n_guided, ==, intervals[i].n_guided);
  }
}

/* Without one guided step, the frames are those of a stream that was made without guidance; but a device may sum two branches in another
 * order than one, so that bytes are rounded the other way. */
static void
test_no_guided_step (void)
{
  g_autoptr (SoraModel) model = open_tiny_model ();
  g_autoptr (SoraStreamOptions) options = default_options ();
  sora_stream_options_set_guidance_interval (options, 0, 0);
  g_autoptr (SoraStream) skipped = open_stream (model, options);
  sora_stream_options_set_guidance_scale (options, 1);
  g_autoptr (SoraStream) plain = open_stream (model, options);

  for (guint i = 0; i < 5; i++) {
    g_autoptr (SoraBlock) x = pull (skipped);
    g_autoptr (SoraBlock) y = pull (plain);
    gsize size = (gsize) sora_block_get_n_frames (x) * 3 * sora_block_get_width (x) * sora_block_get_height (x);
    for (gsize j = 0; j < size; j++)
      g_assert_cmpint (abs (sora_block_get_rgb (x, 0)[j] - sora_block_get_rgb (y, 0)[j]), <=, 1);
  }
}

/* What one block's steps remember does not reach the next, nor a block that is begun again: restarted, cancelled and fresh streams agree. */
static void
test_sampler_history (gconstpointer sampler)
{
  g_autoptr (SoraModel) model = open_tiny_model ();
  g_autoptr (SoraStreamOptions) options = default_options ();
  sora_stream_options_set_sampler (options, GPOINTER_TO_UINT (sampler));
  sora_stream_options_set_steps (options, 4);
  sora_stream_options_set_guidance_interval (options, 0.3, 0.8);
  g_autoptr (SoraStream) disturbed = open_stream (model, options);
  g_autoptr (SoraStream) fresh = open_stream (model, options);

  for (guint i = 0; i < 3; i++) {
    assert_same_though_cancelled (disturbed, fresh, 3);
    sora_stream_restart (disturbed);
    sora_stream_restart (fresh);
    assert_same_blocks (disturbed, fresh, 2);
  }
  sora_stream_restart (disturbed);
  g_autoptr (SoraStream) new = open_stream (model, options);
  assert_same_blocks (disturbed, new, 3);
}

/* The option and sora.json name the same samplers, which differ from each other; without the option it is the file's. */
static void
test_sampler_of_model (void)
{
  g_autoptr (SoraModel) model = open_tiny_model ();
  g_autoptr (GPtrArray) seen = g_ptr_array_new_with_free_func ((GDestroyNotify) sora_block_unref);

  for (SoraSamplerType sampler = SORA_SAMPLER_EULER; sampler <= SORA_SAMPLER_RENOISE; sampler++) {
    g_autofree gchar *path = copy_model ();
    g_autofree gchar *name = g_strdup_printf ("\"sampler\": \"%s\"", sora_sampler_names[sampler]);
    replace_in_file (path, "sora.json", "\"sampler\": \"euler\"", name);
    g_autoptr (SoraModel) own = open_model (path);
    g_autoptr (SoraStreamOptions) options = default_options ();
    g_autoptr (SoraStream) by_model = open_stream (own, options);
    sora_stream_options_set_sampler (options, sampler);
    g_autoptr (SoraStream) by_option = open_stream (model, options);
    SoraBlock *block = pull (by_option);
    g_autoptr (SoraBlock) same = pull (by_model);
    g_assert_true (same_frames (block, same));
    for (guint i = 0; i < seen->len; i++)
      g_assert_false (same_frames (block, g_ptr_array_index (seen, i)));
    g_ptr_array_add (seen, block);
    remove_copy (path);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/stream/golden", test_golden);
  g_test_add_func ("/stream/repeatable", test_repeatable);
  g_test_add_func ("/stream/seed", test_seed);
  g_test_add_func ("/stream/noise", test_noise);
  g_test_add_func ("/stream/prompt-change", test_prompt_change);
  g_test_add_func ("/stream/guidance-change", test_guidance_change);
  g_test_add_func ("/stream/bad-prompt", test_bad_prompt);
  g_test_add_func ("/stream/bad-negative-prompt", test_bad_negative_prompt);
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
  g_test_add_func ("/stream/sink", test_sink);
  g_test_add_func ("/stream/coring", test_coring);
  g_test_add_func ("/stream/not-finite", test_not_finite);
  g_test_add_func ("/stream/profile", test_profile);
  g_test_add_func ("/stream/samplers", test_samplers);
  g_test_add_func ("/stream/guidance-interval", test_guidance_interval);
  g_test_add_func ("/stream/no-guided-step", test_no_guided_step);
  g_test_add_data_func ("/stream/history-unipc", GUINT_TO_POINTER (SORA_SAMPLER_UNIPC), test_sampler_history);
  g_test_add_data_func ("/stream/history-dpmpp-2m", GUINT_TO_POINTER (SORA_SAMPLER_DPMPP_2M), test_sampler_history);
  g_test_add_func ("/stream/sampler-of-model", test_sampler_of_model);
  return g_test_run ();
}
