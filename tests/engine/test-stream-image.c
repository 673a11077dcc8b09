/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Streams that begin with a given picture: against PyTorch, step by step, through restarts, cancellation and errors. */
#include <math.h>
#include <string.h>

#include "model-private.h"
#include "stages/noise.h"
#include "stages/scheduler.h"
#include "stream-support.h"

#define WIDTH 96
#define HEIGHT 64

#define CONTEXT_PURPOSE G_MAXUINT32     /* of the context's noise, see sora_noise_fill() */

/* Triangle waves, as tests/reference/common.py's frames (); (transfer full): rows of @stride bytes, the rest of which is 99 */
static guint8 *
draw (guint width, guint height, gsize stride)
{
  guint8 *rgb = g_malloc (height * stride);

  memset (rgb, 99, height * stride);
  for (guint y = 0; y < height; y++)
    for (guint x = 0; x < width; x++)
      for (guint c = 0; c < 3; c++) {
        guint v = (x * 3 + y * 5 * (c + 1)) & 511;
        rgb[y * stride + 3 * x + c] = v < 256 ? v : 511 - v;
      }
  return rgb;
}

static void
set_drawn_image (SoraStreamOptions *options, guint width, guint height)
{
  g_autofree guint8 *rgb = draw (width, height, 3 * width);

  sora_stream_options_set_image (options, rgb, width, height, 3 * width);
}

static SoraStreamOptions *
image_options (void)
{
  SoraStreamOptions *options = default_options ();

  set_drawn_image (options, WIDTH, HEIGHT);
  return options;
}

/* --- against PyTorch ------------------------------------------------------------------------------------------- */

typedef struct {
  SoraWeightFile *golden;
  const gchar *name;            /* of the golden latents */
  guint n_latents;              /* seen so far */
} Comparison;

static void
on_golden_tensor (const gchar *name, const gfloat *data, const gint64 *shape, guint n_dims, gpointer user_data)
{
  Comparison *comparison = user_data;

  if (!g_str_equal (name, "latents"))
    return;
  assert_golden_latents (comparison->golden, comparison->name, comparison->n_latents, data, shape);
  comparison->n_latents += shape[1];
}

/* Every latent of a stream of @model from the golden noise and the picture; the first one is the encoder's. */
static void
check_golden (SoraModel *model, const gchar *noise_name, const gchar *latents_name)
{
  g_autoptr (SoraWeightFile) golden = open_golden ("stream-image.safetensors");
  Comparison comparison = { .golden = golden, .name = latents_name };
  const SoraTensor *tensor;
  g_autofree gfloat *noise = golden_floats (golden, noise_name, &tensor);
  g_autoptr (SoraStreamOptions) options = image_options ();
  sora_stream_options_set_noise (options, noise, tensor->n_elements);
  g_autoptr (SoraStream) stream = open_stream (model, options);

  sora_stream_set_tap (stream, on_golden_tensor, &comparison);
  while (comparison.n_latents < tensor->shape[1]) {
    g_autoptr (SoraBlock) block = pull (stream);
    g_assert_cmpuint (sora_block_get_n_frames (block), >, 0);
  }
  g_assert_cmpuint (comparison.n_latents, ==, tensor->shape[1]);
}

static void
test_golden (void)
{
  g_autoptr (SoraModel) model = open_tiny_model ();

  check_golden (model, "golden.noise", "golden.latents");
}

static void
test_golden_clip (void)
{
  g_autofree gchar *path = copy_model ();
  replace_in_file (path, "sora.json", "\"causal\": true", "\"causal\": false");
  replace_in_file (path, "sora.json", "\"default_latents\": 0", "\"default_latents\": 3");
  g_autoptr (SoraModel) model = open_model (path);

  check_golden (model, "golden.clip_noise", "golden.clip_latents");
  remove_copy (path);
}

/* --- step by step ---------------------------------------------------------------------------------------------- */

/* The tensors of a stream's block 0: name → gfloat array [channels, latents, pixels] */
typedef struct {
  GHashTable *tensors;
  guint n_channels, n_latents, n_pixels;
  gboolean done;
} Steps;

static void
on_step_tensor (const gchar *name, const gfloat *data, const gint64 *shape, guint n_dims, gpointer user_data)
{
  Steps *steps = user_data;

  if (n_dims != 4 || steps->done)
    return;
  steps->n_channels = shape[0];
  steps->n_latents = shape[1];
  steps->n_pixels = shape[2] * shape[3];
  g_hash_table_insert (steps->tensors, g_strdup (name),
      g_memdup2 (data, shape[0] * shape[1] * steps->n_pixels * sizeof (gfloat)));
  steps->done = g_str_equal (name, "latents");
}

static const gfloat *
find (Steps *steps, guint step, const gchar *what)
{
  g_autofree gchar *name = g_strdup_printf ("step_%u_%s", step, what);
  const gfloat *data = g_hash_table_lookup (steps->tensors, name);

  g_assert_nonnull (data);
  return data;
}

/* What the network is given of the first latent: the clean one, half of it noise that is the context's. */
static void
check_held (Steps *steps, const gfloat *latents, guint step)
{
  const gfloat *clean = g_hash_table_lookup (steps->tensors, "latents");
  gsize n = (gsize) steps->n_channels * steps->n_pixels;
  g_autofree gfloat *noise = g_new (gfloat, n), *expected = g_new (gfloat, n), *actual = g_new (gfloat, n);

  sora_noise_fill (SEED, 0, CONTEXT_PURPOSE, n, noise);
  for (guint c = 0; c < steps->n_channels; c++)
    for (guint p = 0; p < steps->n_pixels; p++) {
      gsize i = (gsize) c * steps->n_latents * steps->n_pixels + p;
      expected[c * steps->n_pixels + p] = 0.5 * clean[i] + 0.5 * noise[p * steps->n_channels + c];
      actual[c * steps->n_pixels + p] = latents[i];
    }
  sora_test_assert_close (actual, expected, n, 1e-6, "held latent after step %u", step);        /* a rounding or two */
}

/* The other latent, by step @step of 3 of the re-noising sampler with shift 3 from the network's guided estimate. */
static void
check_free (Steps *steps, const gfloat *latents, guint step, gdouble guidance)
{
  static const gdouble next_sigmas[] = { 6.0 / 7, 3.0 / 5, 0 };
  const gfloat *prompt = find (steps, step, "output"), *negative = guidance == 1 ? prompt : find (steps, step, "negative_output");
  gsize n = (gsize) steps->n_channels * steps->n_pixels;
  g_autofree gfloat *noise = g_new (gfloat, 2 * n), *expected = g_new (gfloat, n), *actual = g_new (gfloat, n);

  sora_noise_fill (SEED, 0, 1 + step, 2 * n, noise);
  for (guint c = 0; c < steps->n_channels; c++)
    for (guint p = 0; p < steps->n_pixels; p++) {
      gsize i = ((gsize) c * steps->n_latents + 1) * steps->n_pixels + p;
      gdouble x0 = negative[i] + guidance * (prompt[i] - negative[i]), e = noise[n + p * steps->n_channels + c];
      expected[c * steps->n_pixels + p] = (1 - next_sigmas[step]) * x0 + next_sigmas[step] * e;
      actual[c * steps->n_pixels + p] = latents[i];
    }
  sora_test_assert_close (actual, expected, n, 1e-6, "free latent after step %u", step);        /* a few roundings */
}

/* A re-noising model with noise in its context, whose noises of both kinds go through the same memory. */
static void
test_steps (gconstpointer data)
{
  gdouble guidance = GPOINTER_TO_UINT (data);
  g_autofree gchar *path = copy_model ();
  replace_in_file (path, "sora.json", "\"euler\"", "\"renoise\"");
  replace_in_file (path, "sora.json", "\"flow\"", "\"sample\"");
  replace_in_file (path, "sora.json", "\"context_noise\": 0.0", "\"context_noise\": 0.5");
  g_autoptr (SoraModel) model = open_model (path);
  g_autoptr (SoraStreamOptions) options = image_options ();
  sora_stream_options_set_guidance_scale (options, guidance);
  g_autoptr (SoraStream) stream = open_stream (model, options);
  Steps steps = { .tensors = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free) };

  sora_stream_set_tap (stream, on_step_tensor, &steps);
  g_autoptr (SoraBlock) block = pull (stream);
  g_assert_true (steps.done);
  for (guint i = 0; i < 3; i++) {
    check_held (&steps, find (&steps, i, "latents"), i);
    check_free (&steps, find (&steps, i, "latents"), i, guidance);
  }
  g_hash_table_unref (steps.tensors);
  remove_copy (path);
}

#define N_STEPS 4

/* The other latent on its way from the noise, by a plan of the multi-step samplers, with guidance 2. */
static void
check_walk (Steps *steps, const SoraSchedulerStep *plan)
{
  const gfloat *before = g_hash_table_lookup (steps->tensors, "noise");
  gsize n = (gsize) steps->n_channels * steps->n_pixels;
  g_autofree gdouble *m = g_new0 (gdouble, 3 * n);

  for (guint step = 0; step < N_STEPS; step++) {
    const SoraSchedulerStep *s = &plan[step];
    const gfloat *prompt = find (steps, step, "output"), *negative = find (steps, step, "negative_output");
    const gfloat *latents = find (steps, step, "latents");
    g_autofree gfloat *expected = g_new (gfloat, n), *actual = g_new (gfloat, n);
    memmove (m + n, m, 2 * n * sizeof (gdouble));
    for (gsize k = 0; k < n; k++) {
      gsize i = (k / steps->n_pixels * steps->n_latents + 1) * steps->n_pixels + k % steps->n_pixels;
      gdouble o = negative[i] + 2 * (prompt[i] - negative[i]);
      m[k] = s->clean_x * before[i] + s->clean_output * o;
      expected[k] = s->x * before[i] + s->estimates[0] * m[k] + s->estimates[1] * m[n + k] + s->estimates[2] * m[2 * n + k];
      actual[k] = latents[i];
    }
    sora_test_assert_close (actual, expected, n, 2e-6, "free latent after step %u", step);      /* some roundings */
    check_held (steps, latents, step);
    before = latents;
  }
}

/* A multi-step sampler leaves the held latent alone, too. */
static void
test_multistep (gconstpointer data)
{
  SoraSamplerType sampler = GPOINTER_TO_UINT (data);
  g_autofree gchar *path = copy_model ();
  replace_in_file (path, "sora.json", "\"context_noise\": 0.0", "\"context_noise\": 0.5");
  g_autoptr (SoraModel) model = open_model (path);
  g_autoptr (SoraStreamOptions) options = image_options ();
  sora_stream_options_set_sampler (options, sampler);
  sora_stream_options_set_steps (options, N_STEPS);
  g_autoptr (SoraStream) stream = open_stream (model, options);
  g_autofree SoraSchedulerStep *plan = sora_scheduler_plan (sampler, SORA_PREDICTION_FLOW, N_STEPS, 3);
  Steps steps = { .tensors = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free) };

  sora_stream_set_tap (stream, on_step_tensor, &steps);
  g_autoptr (SoraBlock) block = pull (stream);
  g_assert_true (steps.done);
  check_walk (&steps, plan);
  g_hash_table_unref (steps.tensors);
  remove_copy (path);
}

static void
count_steps (const gchar *name, const gfloat *data, const gint64 *shape, guint n_dims, gpointer n)
{
  if (g_str_has_suffix (name, "_output"))
    ++*(guint *) n;
}

/* A block of one latent is the picture's own, and nothing is evaluated for it; the next one is generated. */
static void
test_single_latent (void)
{
  g_autofree gchar *path = copy_model ();
  replace_in_file (path, "sora.json", "\"block_latents\": 2", "\"block_latents\": 1");
  g_autoptr (SoraModel) single_model = open_model (path);
  g_autoptr (SoraModel) model = open_tiny_model ();
  g_autoptr (SoraStreamOptions) options = image_options ();
  g_autoptr (SoraStream) single = open_stream (single_model, options);
  g_autoptr (SoraStream) pair = open_stream (model, options);
  g_autoptr (SoraBlock) of_pair = pull (pair);
  guint n_outputs = 0;

  sora_stream_set_tap (single, count_steps, &n_outputs);
  g_autoptr (SoraBlock) first = pull (single);
  g_assert_cmpuint (n_outputs, ==, 0);
  g_assert_cmpuint (sora_block_get_n_frames (first), ==, 1);
  g_assert_cmpmem (sora_block_get_rgb (first, 0), 3 * WIDTH * HEIGHT, sora_block_get_rgb (of_pair, 0), 3 * WIDTH * HEIGHT);
  g_autoptr (SoraBlock) second = pull (single);
  g_assert_cmpuint (n_outputs, ==, 2 * 3);      /* of both branches */
  remove_copy (path);
}

/* --- against itself -------------------------------------------------------------------------------------------- */

/* The picture changes every frame, whatever the seed the first one is the same, and its rows may lie apart. */
static void
test_first_frame (void)
{
  g_autoptr (SoraModel) model = open_tiny_model ();
  g_autoptr (SoraStreamOptions) options = image_options ();
  g_autofree guint8 *padded = draw (WIDTH, HEIGHT, 3 * WIDTH + 5);
  g_autoptr (SoraStream) given = open_stream (model, options);
  sora_stream_options_set_image (options, padded, WIDTH, HEIGHT, 3 * WIDTH + 5);
  sora_stream_options_set_seed (options, SEED + 1);
  g_autoptr (SoraStream) reseeded = open_stream (model, options);
  sora_stream_options_set_image (options, NULL, 0, 0, 0);
  g_autoptr (SoraStream) free_stream = open_stream (model, options);
  g_autoptr (SoraBlock) x = pull (given);
  g_autoptr (SoraBlock) y = pull (reseeded);
  g_autoptr (SoraBlock) z = pull (free_stream);
  gsize frame = 3 * WIDTH * HEIGHT;

  g_assert_cmpmem (sora_block_get_rgb (x, 0), frame, sora_block_get_rgb (y, 0), frame);
  for (guint i = 1; i < 5; i++)
    g_assert_cmpint (memcmp (sora_block_get_rgb (x, i), sora_block_get_rgb (y, i), frame), !=, 0);
  for (guint i = 0; i < 5; i++)
    g_assert_cmpint (memcmp (sora_block_get_rgb (y, i), sora_block_get_rgb (z, i), frame), !=, 0);
}

static void
test_restart (void)
{
  g_autoptr (SoraModel) model = open_tiny_model ();
  g_autoptr (SoraStreamOptions) options = image_options ();
  g_autoptr (SoraStream) restarted = open_stream (model, options);
  g_autoptr (SoraStream) fresh = open_stream (model, options);

  for (guint i = 0; i < 4; i++) {
    g_autoptr (SoraBlock) block = pull (restarted);
    g_assert_cmpuint (sora_block_get_index (block), ==, i);
  }
  sora_stream_restart (restarted);
  assert_same_blocks (restarted, fresh, 4);
  sora_stream_restart (restarted);
  sora_stream_restart (fresh);
  assert_same_blocks (restarted, fresh, 1);
}

static void
test_cancel (gconstpointer guidance)
{
  g_autoptr (SoraModel) model = open_tiny_model ();
  g_autoptr (SoraStreamOptions) options = image_options ();
  sora_stream_options_set_guidance_scale (options, GPOINTER_TO_UINT (guidance));
  g_autoptr (SoraStream) disturbed = open_stream (model, options);
  g_autoptr (SoraStream) steady = open_stream (model, options);

  for (guint i = 0; i < 6; i++) {
    assert_same_though_cancelled (disturbed, steady, 2);
    sora_stream_restart (disturbed);
    sora_stream_restart (steady);
  }
}

/* While the picture is encoded, as the progress tells. */
static void
cancel_at_image (gdouble fraction, const gchar *what, gpointer cancellable)
{
  if (strstr (what, "image"))
    g_cancellable_cancel (cancellable);
}

static void
test_cancel_encoding (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (SoraModel) model = open_tiny_model ();
  g_autoptr (SoraDevice) device = open_device ();
  g_autoptr (SoraStreamOptions) options = image_options ();
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();

  g_assert_null (sora_stream_new (model, device, options, cancel_at_image, cancellable, cancellable, &error));
  g_assert_true (g_cancellable_is_cancelled (cancellable));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
}

/* The latent, and the encoder where the transformer has no room for it, are all that is more; nothing is once blocks are made. */
static void
test_memory (void)
{
  g_autoptr (SoraModel) model = open_tiny_model ();
  g_autoptr (SoraStreamOptions) options = default_options ();
  guint64 bytes[3], weights[3];
  g_autoptr (SoraStream) plain = open_stream (model, options);
  set_drawn_image (options, WIDTH, HEIGHT);
  g_autoptr (SoraStream) given = open_stream (model, options);
  gsize latent = sizeof (gfloat) * model->vae.latent_channels * (WIDTH / 16) * (HEIGHT / 16);

  sora_stream_get_memory (plain, &bytes[0], &weights[0]);
  sora_stream_get_memory (given, &bytes[1], &weights[1]);
  for (guint i = 0; i < 4; i++) {
    g_autoptr (SoraBlock) block = pull (given);
    g_assert_cmpuint (sora_block_get_index (block), ==, i);
  }
  sora_stream_get_memory (given, &bytes[2], &weights[2]);
  g_test_message ("%" G_GUINT64_FORMAT " bytes, with a picture %" G_GUINT64_FORMAT, bytes[0], bytes[1]);
  g_assert_cmpuint (bytes[1], >=, bytes[0] + latent);
  g_assert_cmpuint (bytes[2], ==, bytes[1]);
  for (guint i = 1; i < 3; i++)
    g_assert_cmpuint (weights[i], ==, weights[0]);
  g_assert_cmpuint (model->residents->len, ==, 3);
}

/* --- options --------------------------------------------------------------------------------------------------- */

static void
test_wrong_size (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (SoraModel) model = open_tiny_model ();
  g_autoptr (SoraDevice) device = open_device ();
  g_autoptr (SoraStreamOptions) options = default_options ();

  set_drawn_image (options, HEIGHT, WIDTH);     /* the stream's is the model's first choice */
  g_assert_null (sora_stream_new (model, device, options, NULL, NULL, NULL, &error));
  g_assert_error (error, SORA_STREAM_ERROR, SORA_STREAM_ERROR_OPTION);
  g_assert_nonnull (strstr (error->message, "64x96"));
  g_assert_nonnull (strstr (error->message, "96x64"));
  sora_stream_options_set_size (options, HEIGHT, WIDTH);
  g_autoptr (SoraStream) stream = open_stream (model, options);
  g_autoptr (SoraBlock) block = pull (stream);
  g_assert_cmpuint (sora_block_get_height (block), ==, 96);
}

/* --- the embedded model ---------------------------------------------------------------------------------------- */

#define SIDE 128
#define MIN_PSNR 24.0

/* A bright disc before a sky over a meadow: smooth shades, and edges. */
static guint8 *
draw_scene (void)
{
  guint8 *rgb = g_malloc (3 * SIDE * SIDE), *out = rgb;

  for (gint y = 0; y < SIDE; y++)
    for (gint x = 0; x < SIDE; x++, out += 3) {
      gboolean disc = (x - 76) * (x - 76) + (y - 50) * (y - 50) < 26 * 26, meadow = y > 88;

      out[0] = disc ? 210 - x / 2 : meadow ? 70 : 110 + y / 2;
      out[1] = disc ? 40 : meadow ? 190 - y / 2 : 150 + y / 2;
      out[2] = disc ? 50 : meadow ? 50 : 225;
    }
  return rgb;
}

static gdouble
psnr (const guint8 *a, const guint8 *b, gsize n)
{
  gdouble sum = 0;

  for (gsize i = 0; i < n; i++)
    sum += (a[i] - b[i]) * (a[i] - b[i]);
  return 10 * log10 (255.0 * 255 * n / sum);
}

/* What the VAE alone makes of the picture, in PyTorch too, is 26.3 dB from it; the noise and the prompt have no part in frame 0. The
 * limit leaves room for other weights; a video without the picture begins at 7 dB. */
static void
test_embedded (void)
{
  g_autofree gchar *index = g_build_filename (g_getenv ("SORA_TEST_MODEL"), "model_index.json", NULL);
  g_autofree guint8 *rgb = draw_scene ();
  gdouble similarity;

  if (!g_file_test (index, G_FILE_TEST_EXISTS)) {
    g_test_skip ("no embedded model");
    return;
  }
  g_autoptr (SoraModel) model = open_model (g_getenv ("SORA_TEST_MODEL"));
  g_autoptr (SoraStreamOptions) options = default_options ();
  sora_stream_options_set_size (options, SIDE, SIDE);
  sora_stream_options_set_steps (options, 1);
  sora_stream_options_set_image (options, rgb, SIDE, SIDE, 3 * SIDE);
  g_autoptr (SoraStream) stream = open_stream (model, options);
  g_autoptr (SoraBlock) block = pull (stream);
  similarity = psnr (sora_block_get_rgb (block, 0), rgb, 3 * SIDE * SIDE);
  g_test_message ("PSNR of frame 0: %.2f dB", similarity);
  g_assert_cmpfloat (similarity, >, MIN_PSNR);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/stream-image/golden", test_golden);
  g_test_add_func ("/stream-image/golden-clip", test_golden_clip);
  g_test_add_data_func ("/stream-image/steps", GUINT_TO_POINTER (1), test_steps);
  g_test_add_data_func ("/stream-image/guided-steps", GUINT_TO_POINTER (2), test_steps);
  g_test_add_data_func ("/stream-image/unipc", GUINT_TO_POINTER (SORA_SAMPLER_UNIPC), test_multistep);
  g_test_add_data_func ("/stream-image/dpmpp-2m", GUINT_TO_POINTER (SORA_SAMPLER_DPMPP_2M), test_multistep);
  g_test_add_func ("/stream-image/single-latent", test_single_latent);
  g_test_add_func ("/stream-image/first-frame", test_first_frame);
  g_test_add_func ("/stream-image/restart", test_restart);
  g_test_add_data_func ("/stream-image/cancel", GUINT_TO_POINTER (1), test_cancel);
  g_test_add_data_func ("/stream-image/cancel-guided", GUINT_TO_POINTER (2), test_cancel);
  g_test_add_func ("/stream-image/cancel-encoding", test_cancel_encoding);
  g_test_add_func ("/stream-image/memory", test_memory);
  g_test_add_func ("/stream-image/wrong-size", test_wrong_size);
  g_test_add_func ("/stream-image/embedded", test_embedded);
  return g_test_run ();
}
