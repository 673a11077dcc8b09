/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Wan's VAE against diffusers (tests/reference/wan_vae.py): both kinds with random weights, whole and latent by latent, under both names. */
#include <glib/gstdio.h>
#include <math.h>

#include "stage-support.h"
#include "stages/vae-private.h"

/* Of max |a - b| over the reference's rms. Both sides sum in single precision and in different orders (ours also by Winograd's way, and
 * with the weights of up-sampling summed), through some 25 layers of sums of up to 1728 products, between norms that keep the size of
 * what flows: errors of 1e-7 a layer add up to 1e-6, and a maximum over thousands is some five times that (5e-6 measured). A wrong
 * tap, frame or channel gives 1e-2 and more. */
#define TOLERANCE 1e-4

/* The same in bf16, against the same golden numbers: every convolution rounds its inputs (and weights, of files that are more precise) to 8 bits,
 * which is an error of 1e-3 of the rms, or twice that, as much again in each of up to 30 layers, of which the skips carry part past the others: some
 * 5e-3 to 1e-2 of the rms in all, and a maximum over 1e4 numbers is some four to five times that. Seen: 0.05 of
 * random weights, which is 4 of a pixel's 255 steps.
 * A wrong tap is found by the test of the operation, to 4e-5; here a precision that is handed on wrongly, or a layer that is left out. */
#define BF16_TOLERANCE 0.1

#define STEP 17                 /* every so many of the decoder's numbers are in the golden file */

typedef struct {
  SoraVaeConfig config;
  SoraPrecision precision;
  SoraWeightFile *weights, *golden;
  SoraQueue *queue;
  SoraVae *vae;
  guint n, height, width;       /* latents of the golden file */
} Fixture;

static gchar *
config_path (const gchar *name)
{
  return g_strdup_printf ("%s/%s.json", g_getenv ("SORA_TEST_GOLDEN"), name);
}

static SoraWeightFile *
draw_weights (const gchar *name, gchar *(*rename) (const gchar *name))
{
  g_autoptr (GError) error = NULL;
  g_autofree gchar *shapes = config_path (name), *path = NULL;
  SoraWeightFile *file;

  g_close (g_file_open_tmp ("sora-vae-XXXXXX.safetensors", &path, NULL), NULL);
  sora_test_draw_weights (shapes, path, rename);
  file = sora_weight_file_open (path, &error);
  g_assert_no_error (error);
  g_unlink (path);
  return file;
}

static void
fixture_load (Fixture *f, const gchar *name, gchar *(*rename) (const gchar *name))
{
  g_autoptr (GError) error = NULL;
  g_autofree gchar *path = config_path (name);

  f->weights = draw_weights (name, rename);
  sora_vae_config_load (&f->config, path, &error);
  g_assert_no_error (error);
  sora_vae_validate (&f->config, f->weights, &error);
  g_assert_no_error (error);
  f->queue = sora_test_queue_new ();
  f->vae = sora_vae_new (&f->config, f->weights, SORA_VAE_DECODER | SORA_VAE_ENCODER, f->precision, f->queue, &error);
  g_assert_no_error (error);
}

static void
fixture_open (Fixture *f, const gchar *name, gchar *(*rename) (const gchar *name))
{
  g_autofree gfloat *size = NULL;

  fixture_load (f, name, rename);
  f->golden = stage_golden_open (name);
  size = stage_golden (f->golden, NULL, "size");
  f->n = size[0];
  f->height = size[1];
  f->width = size[2];
}

static void
fixture_clear (Fixture *f)
{
  sora_vae_free (f->vae);
  g_clear_pointer (&f->queue, sora_queue_free);
  sora_vae_config_clear (&f->config);
  sora_weight_file_free (f->weights);
  g_clear_pointer (&f->golden, sora_weight_file_free);
}

static gdouble
tolerance (const Fixture *f)
{
  return f->precision == SORA_PRECISION_FP32 ? TOLERANCE : BF16_TOLERANCE;
}

static gsize
frame_bytes (const Fixture *f)
{
  return (gsize) f->height * f->width * f->config.spatial_scale * f->config.spatial_scale * 3;
}

static gsize
latent_floats (const Fixture *f)
{
  return (gsize) f->height * f->width * f->config.latent_channels;
}

/* frames of the golden video: the first latent is one of them */
static guint
count_frames (const Fixture *f)
{
  return f->n * f->config.time_scale - f->config.frames_to_trim;
}

/* (transfer full): as tests/reference/wan_vae.py has them */
static gfloat *
draw_latents (const Fixture *f)
{
  return sora_test_random (1, f->n * latent_floats (f), 2);
}

/* A decoder or encoder with memory of its own. */
typedef struct {
  Fixture *f;
  SoraArena *arena;
  SoraVaeDecoderState *decoder;
  SoraVaeEncoderState *encoder;
  cl_mem latents, rgb;          /* of all latents */
} Run;

/* @tiling: (nullable): of a decoder, with @max_latents a call */
static void
run_open_kind (Run *run, Fixture *f, gboolean encodes, const SoraVaeTiling *tiling, guint max_latents)
{
  g_autoptr (GError) error = NULL;
  g_autofree gfloat *latents = draw_latents (f);

  *run = (Run) { f, sora_arena_new (sora_queue_get_device (f->queue)) };
  if (encodes)
    run->encoder = sora_vae_encoder_state_new (f->vae, f->height, f->width, max_latents, FALSE, NULL, run->arena);
  else
    run->decoder = sora_vae_decoder_state_new (f->vae, f->height, f->width, max_latents, tiling, run->arena);
  sora_arena_commit (run->arena, &error);
  g_assert_no_error (error);
  run->latents = encodes ? sora_test_alloc (f->queue, f->n * latent_floats (f))
      : sora_test_upload (f->queue, latents, f->n * latent_floats (f));
  run->rgb = sora_queue_alloc (f->queue, f->n * f->config.time_scale * frame_bytes (f));
}

static void
run_open (Run *run, Fixture *f, gboolean encodes)
{
  run_open_kind (run, f, encodes, NULL, f->n);
}

static void
run_open_tiled (Run *run, Fixture *f, const SoraVaeTiling *tiling, guint max_latents)
{
  run_open_kind (run, f, FALSE, tiling, max_latents);
}

static void
run_clear (Run *run)
{
  sora_vae_decoder_state_free (run->decoder);
  sora_vae_encoder_state_free (run->encoder);
  clReleaseMemObject (run->latents);
  clReleaseMemObject (run->rgb);
  sora_arena_free (run->arena);
}

/* (transfer full): the video's frames, those that the first latent lacks left out */
static guint8 *
download_frames (Run *run)
{
  const Fixture *f = run->f;
  gsize size = count_frames (f) * frame_bytes (f);
  guint8 *frames = g_malloc (size);
  g_autoptr (GError) error = NULL;

  sora_queue_read (f->queue, run->rgb, f->config.frames_to_trim * frame_bytes (f), size, frames, &error);
  g_assert_no_error (error);
  return frames;
}

/* (transfer full): decoded in one call, twice, as a reset must forget the first time */
static guint8 *
decode_whole (Fixture *f)
{
  Run run;
  guint8 *frames;

  run_open (&run, f, FALSE);
  g_assert_cmpuint (sora_vae_decoder_state_get_chunk (run.decoder), ==, 1);
  for (guint round = sora_test_is_small (); round < 2; round++) {
    sora_vae_decoder_reset (run.decoder, f->queue);
    sora_vae_decode (f->vae, run.decoder, f->queue, run.latents, f->n, run.rgb);
  }
  frames = download_frames (&run);
  run_clear (&run);
  return frames;
}

/* Appends the latest latent's features to @all. */
static void
collect_features (Run *run, gboolean is_first, GArray *all)
{
  const SoraFeatureMap *features = sora_wan_vae_state_get_features (run->decoder->wan);
  guint frames = is_first ? 1 : run->f->config.time_scale;
  gsize n = sora_feature_map_floats (features, frames);
  g_autofree gfloat *data = sora_test_download (run->f->queue, features->mem, n);

  g_assert_cmpuint (features->border + features->past, ==, 0);
  g_array_append_vals (all, data, n);
}

static void
check_features (Fixture *f, const GArray *features)
{
  gsize n;
  g_autofree gfloat *expected = stage_golden (f->golden, &n, "features"), *kept = g_new (gfloat, n);

  g_assert_cmpuint ((features->len + STEP - 1) / STEP, ==, n);
  for (gsize i = 0; i < n; i++)
    kept[i] = g_array_index (features, gfloat, i * STEP);
  sora_test_assert_close (kept, expected, n, tolerance (f), "features");
}

/* (transfer full): decoded latent by latent, each from a buffer that holds it alone; features are compared with the golden ones. */
static guint8 *
decode_streamed (Fixture *f)
{
  g_autoptr (GArray) features = g_array_new (FALSE, FALSE, sizeof (gfloat));
  gsize latent = latent_floats (f) * sizeof (gfloat), bytes = f->config.time_scale * frame_bytes (f);
  cl_mem one = sora_queue_alloc (f->queue, latent), frames = sora_queue_alloc (f->queue, bytes);
  guint8 *result;
  Run run;

  run_open (&run, f, FALSE);
  for (guint i = 0; i < f->n; i++) {
    sora_queue_copy (f->queue, run.latents, i * latent, one, 0, latent);
    sora_vae_decode (f->vae, run.decoder, f->queue, one, 1, frames);
    sora_queue_copy (f->queue, frames, 0, run.rgb, i * bytes, bytes);
    collect_features (&run, i == 0, features);
  }
  check_features (f, features);
  result = download_frames (&run);
  run_clear (&run);
  clReleaseMemObject (one);
  clReleaseMemObject (frames);
  return result;
}

/* The golden bytes are not rounded: ours may be off by half, and by what the features (1 is 127.5) may be off. */
static void
check_bytes (Fixture *f, const guint8 *bytes)
{
  gsize n;
  g_autofree gfloat *expected = stage_golden (f->golden, &n, "bytes");

  for (gsize i = 0; i < n; i++)
    g_assert_cmpfloat (fabs (bytes[i * STEP] - expected[i]), <=, 0.5 + 127.5 * tolerance (f));
}

/* Every convolution adds up a pixel in one order, whatever else is worked on: so a stream has the whole clip's bytes, exactly. */
static void
check_decode (const gchar *name, SoraPrecision precision)
{
  Fixture f = { .precision = precision };
  g_autofree guint8 *whole = NULL, *streamed = NULL;

  fixture_open (&f, name, NULL);
  streamed = decode_streamed (&f);
  check_bytes (&f, streamed);
  whole = decode_whole (&f);
  g_assert_cmpmem (whole, count_frames (&f) * frame_bytes (&f), streamed, count_frames (&f) * frame_bytes (&f));
  fixture_clear (&f);
}

static void
test_decode (gconstpointer name)
{
  check_decode (name, SORA_PRECISION_FP32);
}

static void
test_decode_bf16 (gconstpointer name)
{
  if (stage_has_matrix_unit ())
    check_decode (name, SORA_PRECISION_BF16);
}

static gpointer
cancel_later (gpointer cancellable)
{
  g_usleep (g_random_int_range (0, 4000));
  g_cancellable_cancel (cancellable);
  return NULL;
}

/* Decodes latent @i, cancelled the first time at once and then at random moments; returns how often. */
static guint
decode_disturbed (Run *run, guint i)
{
  Fixture *f = run->f;
  gsize latent = latent_floats (f) * sizeof (gfloat), bytes = f->config.time_scale * frame_bytes (f);
  cl_mem one = sora_queue_alloc (f->queue, latent), frames = sora_queue_alloc (f->queue, bytes);
  guint n = 0;

  sora_queue_copy (f->queue, run->latents, i * latent, one, 0, latent);
  while (TRUE) {
    g_autoptr (GCancellable) cancellable = g_cancellable_new ();
    g_autoptr (GError) error = NULL;
    GThread *thread = NULL;

    if (n == 0)
      g_cancellable_cancel (cancellable);
    else if (n < 20)
      thread = g_thread_new ("cancel", cancel_later, cancellable);
    sora_queue_set_cancellable (f->queue, cancellable);
    sora_vae_decode (f->vae, run->decoder, f->queue, one, 1, frames);
    sora_queue_set_cancellable (f->queue, NULL);
    if (thread)
      g_thread_join (thread);
    if (sora_queue_check (f->queue, &error))
      break;
    g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
    n++;
  }
  sora_queue_copy (f->queue, frames, 0, run->rgb, i * bytes, bytes);
  clReleaseMemObject (one);
  clReleaseMemObject (frames);
  return n;
}

static void
test_cancel (gconstpointer name)
{
  Fixture f = { .precision = SORA_PRECISION_FP32 };
  Run run;
  g_autofree guint8 *whole = NULL, *disturbed = NULL;
  guint n = 0;

  fixture_open (&f, name, NULL);
  whole = decode_whole (&f);
  run_open (&run, &f, FALSE);
  for (guint i = 0; i < f.n; i++)
    n += decode_disturbed (&run, i);
  g_test_message ("cancelled %u times", n);
  g_assert_cmpuint (n, >=, f.n);
  disturbed = download_frames (&run);
  g_assert_cmpmem (disturbed, count_frames (&f) * frame_bytes (&f), whole, count_frames (&f) * frame_bytes (&f));
  run_clear (&run);
  fixture_clear (&f);
}

/* Triangle waves, as tests/reference/common.py has them, the first frame as often as a latent has frames; (transfer full) */
static guint8 *
draw_frames (const Fixture *f)
{
  guint height = f->height * f->config.spatial_scale, width = f->width * f->config.spatial_scale;
  guint8 *frames = g_malloc (f->n * f->config.time_scale * frame_bytes (f)), *out = frames;

  for (guint i = 0; i < f->n * f->config.time_scale; i++)
    for (guint y = 0; y < height; y++)
      for (guint x = 0; x < width; x++)
        for (guint c = 0; c < 3; c++) {
          guint t = MAX (i, f->config.frames_to_trim) - f->config.frames_to_trim, v = (x * 3 + y * 5 * (c + 1) + t * 7 * (c + 2)) & 511;

          *out++ = v < 256 ? v : 511 - v;
        }
  return frames;
}

/* (transfer full): the drawn frames encoded, @piece latents a call */
static gfloat *
encode (Fixture *f, guint piece)
{
  gsize latent = latent_floats (f) * sizeof (gfloat), bytes = f->config.time_scale * frame_bytes (f);
  g_autofree guint8 *frames = draw_frames (f);
  cl_mem some = sora_queue_alloc (f->queue, piece * bytes), out = sora_queue_alloc (f->queue, piece * latent);
  gfloat *result;
  Run run;

  run_open (&run, f, TRUE);
  for (guint round = 0; round < 2; round++) {
    sora_vae_encoder_reset (run.encoder, f->queue);
    for (guint i = 0; i < f->n; i += piece) {
      sora_queue_write (f->queue, some, 0, piece * bytes, frames + i * bytes);
      sora_vae_encode (f->vae, run.encoder, f->queue, some, piece, out);
      sora_queue_copy (f->queue, out, 0, run.latents, i * latent, piece * latent);
    }
  }
  result = sora_test_download (f->queue, run.latents, f->n * latent_floats (f));
  run_clear (&run);
  clReleaseMemObject (some);
  clReleaseMemObject (out);
  return result;
}

static void
check_encode (const gchar *name, SoraPrecision precision)
{
  Fixture f = { .precision = precision };
  gsize n;
  g_autofree gfloat *expected = NULL, *whole = NULL, *streamed = NULL;

  fixture_open (&f, name, NULL);
  expected = stage_golden (f.golden, &n, "encoded");
  g_assert_cmpuint (n, ==, f.n * latent_floats (&f));
  whole = encode (&f, f.n);
  streamed = encode (&f, 1);
  sora_test_assert_close (whole, expected, n, tolerance (&f), "encoded latents");
  sora_test_assert_same (streamed, whole, n, "latents encoded one by one");
  fixture_clear (&f);
}

static void
test_encode (gconstpointer name)
{
  check_encode (name, SORA_PRECISION_FP32);
}

static void
test_encode_bf16 (gconstpointer name)
{
  if (stage_has_matrix_unit ())
    check_encode (name, SORA_PRECISION_BF16);
}

/* Pairs of what diffusers and Wan's own checkpoints call the same thing; with one block a level in the encoder, two in the decoder. */
static const gchar *const original_names[][2] = {
  { "encoder.conv_in.", "encoder.conv1." }, { "encoder.conv_out.", "encoder.head.2." }, { "encoder.norm_out.", "encoder.head.0." },
  { "decoder.conv_in.", "decoder.conv1." }, { "decoder.conv_out.", "decoder.head.2." }, { "decoder.norm_out.", "decoder.head.0." },
  { "mid_block.resnets.0.", "middle.0." }, { "mid_block.attentions.0.", "middle.1." }, { "mid_block.resnets.1.", "middle.2." },
  { ".norm1.gamma", ".residual.0.gamma" }, { ".norm2.gamma", ".residual.3.gamma" }, { ".conv_shortcut.", ".shortcut." },
};
static const gchar *const plain_names[][2] = {
  { "down_blocks.", "downsamples." },
  { "up_blocks.0.resnets.0.", "upsamples.0." }, { "up_blocks.0.resnets.1.", "upsamples.1." }, { "up_blocks.0.upsamplers.0.", "upsamples.2." },
  { "up_blocks.1.resnets.0.", "upsamples.3." }, { "up_blocks.1.resnets.1.", "upsamples.4." }, { "up_blocks.1.upsamplers.0.", "upsamples.5." },
  { "up_blocks.2.resnets.0.", "upsamples.6." }, { "up_blocks.2.resnets.1.", "upsamples.7." }, { "up_blocks.2.upsamplers.0.", "upsamples.8." },
  { "up_blocks.3.resnets.0.", "upsamples.9." }, { "up_blocks.3.resnets.1.", "upsamples.10." },
};
static const gchar *const residual_names[][2] = {
  { ".downsampler.", ".downsamples.1." }, { ".upsampler.", ".upsamples.2." },
  { "down_blocks.0.resnets.", "downsamples.0.downsamples." }, { "down_blocks.1.resnets.", "downsamples.1.downsamples." },
  { "down_blocks.2.resnets.", "downsamples.2.downsamples." }, { "down_blocks.3.resnets.", "downsamples.3.downsamples." },
  { "up_blocks.0.resnets.", "upsamples.0.upsamples." }, { "up_blocks.1.resnets.", "upsamples.1.upsamples." },
  { "up_blocks.2.resnets.", "upsamples.2.upsamples." }, { "up_blocks.3.resnets.", "upsamples.3.upsamples." },
  { "down_blocks.", "downsamples." }, { "up_blocks.", "upsamples." },
};

static void
replace_all (GString *text, const gchar *const (*names)[2], guint n)
{
  for (guint i = 0; i < n; i++)
    g_string_replace (text, names[i][0], names[i][1], 1);
}

/* (transfer full): @name without its first @prefix, and @begin before it */
static gchar *
begin_with (const gchar *name, const gchar *prefix, const gchar *begin)
{
  return g_strconcat (begin, name + strlen (prefix), NULL);
}

/* "conv1" and "conv2" mean other things in each, so the blocks' come first. */
static gchar *
to_original (const gchar *name, const gchar *const (*names)[2], guint n)
{
  g_autoptr (GString) text = g_string_new (name);

  if (g_str_has_prefix (name, "quant_conv."))
    return begin_with (name, "quant_conv.", "conv1.");
  if (g_str_has_prefix (name, "post_quant_conv."))
    return begin_with (name, "post_quant_conv.", "conv2.");
  g_string_replace (text, ".conv1.", ".residual.2.", 1);
  g_string_replace (text, ".conv2.", ".residual.6.", 1);
  replace_all (text, original_names, G_N_ELEMENTS (original_names));
  replace_all (text, names, n);
  return g_strdup (text->str);
}

static gchar *
plain_to_original (const gchar *name)
{
  return to_original (name, plain_names, G_N_ELEMENTS (plain_names));
}

static gchar *
residual_to_original (const gchar *name)
{
  return to_original (name, residual_names, G_N_ELEMENTS (residual_names));
}

static void
test_original_names (gconstpointer name)
{
  Fixture diffusers = { .precision = SORA_PRECISION_FP32 }, original = diffusers;
  g_autofree guint8 *a = NULL, *b = NULL;
  g_autofree gfloat *x = NULL, *y = NULL;

  fixture_open (&diffusers, name, NULL);
  fixture_open (&original, name, strstr (name, "residual") ? residual_to_original : plain_to_original);
  g_assert_null (sora_weight_file_peek (original.weights, "decoder.conv_in.weight"));
  g_assert_nonnull (sora_weight_file_peek (original.weights, strstr (name, "residual") ? "decoder.upsamples.0.upsamples.2.time_conv.weight"
          : "decoder.upsamples.2.time_conv.weight"));
  a = decode_whole (&diffusers);
  b = decode_whole (&original);
  g_assert_cmpmem (a, count_frames (&diffusers) * frame_bytes (&diffusers), b, count_frames (&diffusers) * frame_bytes (&diffusers));
  x = encode (&diffusers, 1);
  y = encode (&original, 1);
  sora_test_assert_same (x, y, diffusers.n * latent_floats (&diffusers), "latents under both names");
  fixture_clear (&diffusers);
  fixture_clear (&original);
}

/* --- tiles ----------------------------------------------------------------------------------------------------- */

/* A picture on which tiles lie at the edges and in the middle, with a latent that looks back at another: of TILE pixels, which are 16 or 8 where
 * the picture is cut, 2 rows of 10 or 3 of 8, and 3 columns of 14 or 5 of 8. */
#define TILED_HEIGHT 10
#define TILED_WIDTH 20
#define TILED_LATENTS 2
#define TILE 64

static void
open_picture (Fixture *f, const gchar *name)
{
  fixture_open (f, name, NULL);
  f->height = TILED_HEIGHT;
  f->width = TILED_WIDTH;
  f->n = TILED_LATENTS;
}

/* (transfer full): the picture's latents decoded in tiles of @size, or, if that is 0, whole; @piece: latents a call; @is_endless: the decoder
 * does not know when the stream ends; @rounds: how often, as a reset must forget the time before */
static guint8 *
decode_tiled (Fixture *f, guint size, guint piece, gboolean is_endless, guint rounds)
{
  const SoraVaeTiling tiling = { size, is_endless ? 0 : f->n };
  gsize latent = latent_floats (f) * sizeof (gfloat), bytes = f->config.time_scale * frame_bytes (f);
  cl_mem some = sora_queue_alloc (f->queue, piece * latent), frames = sora_queue_alloc (f->queue, piece * bytes);
  guint8 *result;
  Run run;

  run_open_tiled (&run, f, &tiling, piece);
  g_assert_cmpuint (sora_vae_decoder_state_get_chunk (run.decoder), ==, size > 0 ? piece : 1);
  g_test_message ("tiles of %u: %.1f MB", size, sora_arena_get_size (run.arena) / 1e6);
  for (guint round = 0; round < rounds; round++) {
    sora_vae_decoder_reset (run.decoder, f->queue);
    for (guint i = 0, n; i < f->n; i += n) {
      n = MIN (piece, f->n - i);
      sora_queue_copy (f->queue, run.latents, i * latent, some, 0, n * latent);
      sora_vae_decode (f->vae, run.decoder, f->queue, some, n, frames);
      sora_queue_copy (f->queue, frames, 0, run.rgb, i * bytes, n * bytes);
    }
  }
  result = download_frames (&run);
  run_clear (&run);
  clReleaseMemObject (some);
  clReleaseMemObject (frames);
  return result;
}

/* Tiles see all that their pixels are made of, and each pixel is added up in one order: there is no seam, not even by a bit. */
static void
test_tiles (gconstpointer name)
{
  Fixture f = { .precision = SORA_PRECISION_FP32 };
  g_autofree guint8 *whole = NULL, *at_once = NULL, *one_by_one = NULL;
  gsize n;

  open_picture (&f, name);
  n = count_frames (&f) * frame_bytes (&f);
  whole = decode_tiled (&f, 0, 1, FALSE, 1);
  at_once = decode_tiled (&f, TILE, TILED_LATENTS, FALSE, 1);
  g_assert_cmpmem (at_once, n, whole, n);
  one_by_one = decode_tiled (&f, TILE, 1, TRUE, 2);
  g_assert_cmpmem (one_by_one, n, whole, n);
  fixture_clear (&f);
}

/* With as many blocks a level as the published ones have, a pixel sees 12 of the doubled picture. Contrast is raised until those that 8 leave out show in
 * bytes; what the last two add is lost in fp32. In one dimension, as the other needs as much. */
#define FAR_HEIGHT 2
#define FAR_WIDTH 32
#define CONTRAST 30

static void
test_tiles_see_far (gconstpointer name)
{
  Fixture f = { .precision = SORA_PRECISION_FP32, .n = 1, .height = FAR_HEIGHT, .width = FAR_WIDTH };
  const SoraVaeTiling tiling = { TILE, 1 };
  g_autofree guint8 *whole = NULL, *tiled = NULL;
  SoraTensor *last;
  Run run;

  fixture_load (&f, name, NULL);
  last = (SoraTensor *) sora_weight_file_peek (f.weights, "decoder.conv_out.weight");
  last->is_scaled = TRUE;
  last->scale = CONTRAST;
  sora_vae_free (f.vae);
  f.vae = sora_vae_new (&f.config, f.weights, SORA_VAE_DECODER, f.precision, f.queue, NULL);
  run_open_tiled (&run, &f, &tiling, 1);
  g_assert_true (sora_vae_decoder_state_is_tiled (run.decoder));
  run_clear (&run);
  whole = decode_tiled (&f, 0, 1, FALSE, 1);
  tiled = decode_tiled (&f, TILE, 1, FALSE, 1);
  g_assert_cmpmem (tiled, count_frames (&f) * frame_bytes (&f), whole, count_frames (&f) * frame_bytes (&f));
  fixture_clear (&f);
}

/* A picture on which tiles of 4 latents lie at the edges and in the middle, with the 6 around them that the encoder sees */
#define ENCODED_HEIGHT 18
#define ENCODED_WIDTH 27
#define ENCODED_CORE 4
#define ENCODED_LATENTS 3

typedef struct {
  Fixture *f;
  cl_mem rgb, latent, latents;
  gsize latent_bytes;
} Encoding;

/* Others for each latent; of the last three frames are grey. */
static guint
draw_pattern (guint i, gpointer user_data)
{
  const Encoding *e = user_data;
  gsize n = e->f->config.time_scale * frame_bytes (e->f);
  g_autofree guint8 *bytes = g_malloc (n);

  for (gsize j = 0; j < n; j++)
    bytes[j] = (j + i * 31) * 7919 % 65521 % 256;
  sora_queue_write (e->f->queue, e->rgb, 0, n, bytes);
  return i == 2 ? 3 : 0;
}

static void
keep_latent (guint i, gpointer user_data)
{
  const Encoding *e = user_data;

  sora_queue_copy (e->f->queue, e->latent, 0, e->latents, i * e->latent_bytes, e->latent_bytes);
}

/* (transfer full): a video's latents, or a still's, encoded in tiles of @size pixels, or, if that is 0, whole; twice, as the second time must not
 * know of the first */
static gfloat *
encode_tiled (Fixture *f, guint size, gboolean is_still)
{
  const SoraVaeTiling tiling = { size, is_still ? 1 : ENCODED_LATENTS };
  g_autoptr (SoraArena) arena = sora_arena_new (sora_queue_get_device (f->queue));
  SoraVaeEncoderState *state = sora_vae_encoder_state_new (f->vae, f->height, f->width, 1, is_still, &tiling, arena);
  Encoding e = { f, sora_queue_alloc (f->queue, f->config.time_scale * frame_bytes (f)), sora_test_alloc (f->queue, latent_floats (f)),
    sora_test_alloc (f->queue, tiling.n_latents * latent_floats (f)), latent_floats (f) * sizeof (gfloat) };
  const SoraVaeVideo video = { tiling.n_latents, e.rgb, e.latent, draw_pattern, keep_latent, &e };
  gfloat *latents;

  g_assert_true (sora_arena_commit (arena, NULL));
  g_assert_true ((sora_vae_encoder_state_get_host_size (state) > 0) == (size > 0));
  g_test_message ("tiles of %u, %s: %.1f MB", size, is_still ? "still" : "video", sora_arena_get_size (arena) / 1e6);
  for (guint i = 0; i < 2; i++)
    sora_vae_encode_video (f->vae, state, f->queue, &video);
  latents = sora_test_download (f->queue, e.latents, tiling.n_latents * latent_floats (f));
  sora_vae_encoder_state_free (state);
  clReleaseMemObject (e.rgb);
  clReleaseMemObject (e.latent);
  clReleaseMemObject (e.latents);
  return latents;
}

/* The same of the encoder, for a video and for a picture alone. */
static void
test_encoder_tiles (gconstpointer name)
{
  Fixture f = { .precision = SORA_PRECISION_FP32 };

  fixture_open (&f, name, NULL);
  f.height = ENCODED_HEIGHT;
  f.width = ENCODED_WIDTH;
  for (guint is_still = 0; is_still < 2; is_still++) {
    gsize n = (is_still ? 1 : ENCODED_LATENTS) * latent_floats (&f);
    g_autofree gfloat *whole = encode_tiled (&f, 0, is_still), *tiled = encode_tiled (&f, ENCODED_CORE * f.config.spatial_scale, is_still);

    sora_test_assert_same (tiled, whole, n, "latents in tiles");
  }
  fixture_clear (&f);
}

/* A call that is cancelled again and again goes on where it was. */
static void
test_tiles_cancelled (gconstpointer name)
{
  const SoraVaeTiling tiling = { TILE, 0 };
  Fixture f = { .precision = SORA_PRECISION_FP32 };
  Run run;
  g_autofree guint8 *whole = NULL, *disturbed = NULL;
  guint n = 0;

  open_picture (&f, name);
  whole = decode_tiled (&f, 0, 1, FALSE, 1);
  run_open_tiled (&run, &f, &tiling, 1);
  for (guint i = 0; i < f.n; i++)
    n += decode_disturbed (&run, i);
  g_test_message ("cancelled %u times", n);
  g_assert_cmpuint (n, >=, f.n);
  disturbed = download_frames (&run);
  g_assert_cmpmem (disturbed, count_frames (&f) * frame_bytes (&f), whole, count_frames (&f) * frame_bytes (&f));
  run_clear (&run);
  fixture_clear (&f);
}

/* A config that asks for more than the file has: the message names the tensor. */
static void
test_missing (gconstpointer name)
{
  g_autoptr (SoraWeightFile) weights = draw_weights (name, NULL);
  g_autofree gchar *path = config_path (name);
  g_autoptr (GError) misshapen = NULL, missing = NULL;
  SoraVaeConfig config;

  g_assert_true (sora_vae_config_load (&config, path, NULL));
  config.wan.base_dim += 2;
  g_assert_false (sora_vae_validate (&config, weights, &misshapen));
  g_assert_error (misshapen, SORA_MODEL_ERROR, SORA_MODEL_ERROR_WEIGHT);
  g_assert_nonnull (strstr (misshapen->message, "encoder.conv_in.weight"));
  config.wan.base_dim -= 2;
  config.wan.num_res_blocks++;
  g_assert_false (sora_vae_validate (&config, weights, &missing));
  g_assert_error (missing, SORA_MODEL_ERROR, SORA_MODEL_ERROR_WEIGHT);
  g_assert_nonnull (strstr (missing->message, config.wan.is_residual ? "encoder.down_blocks.0.resnets.1.norm1.gamma"
          : "encoder.down_blocks.1.norm1.gamma"));
  sora_vae_config_clear (&config);
}

/* bytes of activations for a picture, planned only */
static guint64
plan (const SoraVaeConfig *config, gboolean decodes, guint width, guint height)
{
  g_autoptr (SoraQueue) queue = sora_test_queue_new ();
  g_autoptr (SoraArena) arena = sora_arena_new (sora_queue_get_device (queue));
  SoraWanVaeHalf half;
  SoraWanVaeState *state;
  guint64 size;

  sora_wan_vae_half_init (&half, config, decodes, FALSE);
  state = sora_wan_vae_state_new (&half, height / config->spatial_scale, width / config->spatial_scale, FALSE, arena);
  size = sora_arena_get_size (arena);
  g_test_message ("%s of %ux%u pixels: %.2f GB in all, largest map %.2f GB", decodes ? "decoding" : "encoding", width, height, size / 1e9,
      4e-9 * sora_wan_vae_state_get_largest (state));
  sora_wan_vae_state_free (state);
  sora_wan_vae_half_clear (&half);
  return size;
}

/* Likewise of an encoder of 21 latents in tiles of @size */
static guint64
plan_encoder_tiles (const SoraVaeConfig *config, guint size, guint width, guint height)
{
  g_autoptr (SoraQueue) queue = sora_test_queue_new ();
  g_autoptr (SoraArena) arena = sora_arena_new (sora_queue_get_device (queue));
  SoraWanVaeEncoderTiles *tiles;
  SoraWanVaeHalf half;
  guint64 bytes;

  sora_wan_vae_half_init (&half, config, FALSE, FALSE);
  tiles = sora_wan_vae_encoder_tiles_new (&half, height / config->spatial_scale, width / config->spatial_scale, 21, FALSE, size, arena);
  bytes = sora_arena_get_size (arena);
  g_test_message ("encoding %ux%u pixels in tiles of %u: %.2f GB in all, %.2f GB on the host", width, height, size, bytes / 1e9,
      sora_wan_vae_encoder_tiles_get_host_size (tiles) / 1e9);
  sora_wan_vae_encoder_tiles_free (tiles);
  sora_wan_vae_half_clear (&half);
  return bytes;
}

/* Likewise of a decoder in tiles of @size, or of an encoder of one picture */
static guint64
plan_less (const SoraVaeConfig *config, guint size, guint width, guint height)
{
  g_autoptr (SoraQueue) queue = sora_test_queue_new ();
  g_autoptr (SoraArena) arena = sora_arena_new (sora_queue_get_device (queue));
  guint h = height / config->spatial_scale, w = width / config->spatial_scale;
  SoraWanVaeTiles *tiles = NULL;
  SoraWanVaeState *state = NULL;
  SoraWanVaeHalf half;
  guint64 bytes;

  sora_wan_vae_half_init (&half, config, size > 0, FALSE);
  if (size > 0)
    tiles = sora_wan_vae_tiles_new (&half, h, w, 21, 21, size, arena);
  else
    state = sora_wan_vae_state_new (&half, h, w, TRUE, arena);
  bytes = sora_arena_get_size (arena);
  g_test_message ("%ux%u pixels, %s %u: %.2f GB in all", width, height, size > 0 ? "tiles of" : "encoding a picture", size, bytes / 1e9);
  sora_wan_vae_tiles_free (tiles);
  sora_wan_vae_state_free (state);
  sora_wan_vae_half_clear (&half);
  return bytes;
}

/* The published layouts: most of the memory is what the convolutions remember, two frames each. */
static void
test_memory (void)
{
  const SoraVaeConfig residual = {
    .kind = SORA_VAE_WAN, .image_channels = 3, .patch_size = 2, .latent_channels = 48,
    .wan = { 160, 256, 4, { 1, 2, 4, 4 }, 2, { FALSE, TRUE, TRUE }, TRUE }, .spatial_scale = 16, .time_scale = 4, .frames_to_trim = 3,
  };
  const SoraVaeConfig config = {
    .kind = SORA_VAE_WAN, .image_channels = 3, .patch_size = 1, .latent_channels = 16,
    .wan = { 96, 96, 4, { 1, 2, 4, 4 }, 2, { FALSE, TRUE, TRUE } }, .spatial_scale = 8, .time_scale = 4, .frames_to_trim = 3,
  };

  g_assert_cmpuint (plan (&config, TRUE, 256, 256), <, G_GUINT64_CONSTANT (1000000000));
  g_assert_cmpuint (plan (&config, FALSE, 256, 256), <, G_GUINT64_CONSTANT (1000000000));
  plan (&config, TRUE, 832, 480);
  g_assert_cmpuint (plan_encoder_tiles (&config, 128, 832, 480), <, plan (&config, FALSE, 832, 480) / 2);
  plan_encoder_tiles (&config, 256, 832, 480);
  plan (&residual, TRUE, 1280, 704);
  plan (&residual, FALSE, 1280, 704);
  for (guint size = 64; size <= 512; size *= 2) {
    plan_less (&config, size, 832, 480);
    plan_less (&residual, size, 1280, 704);
  }
  plan_less (&config, 0, 832, 480);
  plan_less (&residual, 0, 1280, 704);
}

static void
add_tests (const gchar *name)
{
  static const struct {
    const gchar *name;
    GTestDataFunc function;
    gboolean small;
  } tests[] = {
    { "decode", test_decode, TRUE }, { "missing", test_missing, TRUE }, { "encode", test_encode }, { "cancel", test_cancel },
    { "bf16/decode", test_decode_bf16 }, { "bf16/encode", test_encode_bf16 },
    { "original-names", test_original_names }, { "tiles", test_tiles }, { "tiles-cancelled", test_tiles_cancelled },
    { "encoder-tiles", test_encoder_tiles },
  };

  for (guint i = 0; i < G_N_ELEMENTS (tests); i++) {
    g_autofree gchar *path = g_strdup_printf ("/stages/%s/%s", name, tests[i].name);

    if (tests[i].small || !sora_test_is_small ())
      g_test_add_data_func (path, name, tests[i].function);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  add_tests ("wan-vae");
  add_tests ("wan-vae-residual");
  g_test_add_data_func ("/stages/wan-vae/tiles-see-far", "wan-vae-16", test_tiles_see_far);
  g_test_add_data_func ("/stages/wan-vae-residual/tiles-see-far", "wan-vae-48", test_tiles_see_far);
  g_test_add_func ("/stages/wan-vae/memory", test_memory);
  return g_test_run ();
}
