/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* TAEHV's decoder and encoder against models/vae.py (tests/reference/vae.py): two layouts with random weights, the embedded model, and files
 * as they are published, without a config; whole clips, and the same clips piece by piece. */
#include <glib/gstdio.h>
#include <math.h>

#include "stage-support.h"
#include "stages/vae-private.h"
#include "weights/config-shapes.h"
#include "weights/tensor-writer.h"

/* Of max |a - b| over the reference's rms. Both sides sum in single precision and in different orders (ours also with the weights of
 * up-sampling, TGrow and TPool multiplied out), through up to 30 layers of sums of up to 4608 products: 1e-5 in all. A
 * wrong tap, frame or channel gives 1e-2 and more. */
#define TOLERANCE 1e-4

/* The same in bf16, against the same golden numbers: every convolution rounds its inputs (and weights, of files that are more precise) to 8 bits,
 * which is an error of 1e-3 of the rms, or twice that, as much again in each of up to 30 layers, of which the skips carry part past the others: some
 * 5e-3 to 1e-2 of the rms in all, and a maximum over 1e4 numbers is some four to five times that. Seen: 0.03 with random
 * weights; of the embedded model 0.01, which is 1.5 of a pixel's 255 steps, and 0.17 of them in the rms.
 * A wrong tap is found by the test of the operation, to 4e-5; here a precision that is handed on wrongly, or a layer that is left out. */
#define BF16_TOLERANCE 0.1

#define STEP 23                 /* every so many of the numbers are in the golden file */

typedef struct {
  SoraVaeConfig config;
  SoraPrecision precision;
  SoraWeightFile *weights, *golden;
  SoraQueue *queue;
  SoraVae *vae;
  guint n, height, width;       /* latents of the golden file */
  gboolean is_raw;              /* the golden latents are not normalised */
} Fixture;

/* The weights that tests/reference/vae.py drew for the shapes in the .json, from a file whose name ends in @name */
static SoraWeightFile *
draw_weights_named (const gchar *json_path, const gchar *name)
{
  g_autoptr (GError) error = NULL;
  g_autofree gchar *path = NULL, *pattern = g_strconcat ("sora-XXXXXX-", name, NULL);
  SoraWeightFile *file;

  g_close (g_file_open_tmp (pattern, &path, NULL), NULL);
  sora_test_draw_weights (json_path, path, NULL);
  file = sora_weight_file_open (path, &error);
  g_assert_no_error (error);
  g_unlink (path);
  return file;
}

static SoraWeightFile *
draw_weights (const gchar *json_path)
{
  return draw_weights_named (json_path, "vae.safetensors");
}

/* @config_path: (nullable): NULL = shapes say all */
static void
fixture_open (Fixture *f, const gchar *config_path, const gchar *golden)
{
  g_autoptr (GError) error = NULL;
  g_autofree gfloat *size = NULL;

  f->golden = stage_golden_open (golden);
  size = stage_golden (f->golden, NULL, "size");
  f->n = size[0];
  f->height = size[1];
  f->width = size[2];
  if (config_path)
    sora_vae_config_load (&f->config, config_path, &error);
  else
    sora_vae_config_from_shapes (&f->config, f->weights, &error);
  g_assert_no_error (error);
  sora_vae_validate (&f->config, f->weights, &error);
  g_assert_no_error (error);
  f->queue = sora_test_queue_new ();
  f->vae = sora_vae_new (&f->config, f->weights, SORA_VAE_DECODER | SORA_VAE_ENCODER, f->precision, f->queue, &error);
  g_assert_no_error (error);
}

static void
fixture_clear (Fixture *f)
{
  sora_vae_free (f->vae);
  g_clear_pointer (&f->queue, sora_queue_free);
  sora_vae_config_clear (&f->config);
  sora_weight_file_free (f->weights);
  sora_weight_file_free (f->golden);
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

/* Every @step-th number of golden latents as the VAE has them */
static void
normalise (const Fixture *f, gfloat *latents, gsize n, guint step)
{
  for (gsize i = 0; i < n && f->is_raw; i++) {
    guint channel = i * step % f->config.latent_channels;

    latents[i] = (latents[i] - f->config.latents_mean[channel]) / f->config.latents_std[channel];
  }
}

/* Decodes the golden latents in pieces; (transfer full): all bytes. With @check, features are compared with the golden ones (one
 * piece only). */
static guint8 *
decode (Fixture *f, guint piece, guint max_latents, gboolean check)
{
  gsize latent = (gsize) f->height * f->width * f->config.latent_channels, bytes = f->config.time_scale * frame_bytes (f);
  g_autofree gfloat *latents = stage_golden (f->golden, NULL, "latents");
  g_autoptr (SoraArena) arena = sora_arena_new (sora_queue_get_device (f->queue));
  SoraVaeDecoderState *state = sora_vae_decoder_state_new (f->vae, f->height, f->width, max_latents, NULL, arena);
  cl_mem rgb = sora_queue_alloc (f->queue, piece * bytes);
  guint8 *result = g_malloc (f->n * bytes);
  g_autoptr (GError) error = NULL;

  normalise (f, latents, f->n * latent, 1);
  sora_arena_commit (arena, &error);
  g_assert_no_error (error);
  /* twice: a reset must forget the first time */
  for (guint round = sora_test_is_small (); round < 2; round++) {
    sora_vae_decoder_reset (state, f->queue);
    for (guint done = 0; done < f->n; done += piece) {
      guint n = MIN (piece, f->n - done);
      cl_mem mem = sora_test_upload (f->queue, latents + done * latent, n * latent);

      sora_vae_decode (f->vae, state, f->queue, mem, n, rgb);
      sora_queue_read (f->queue, rgb, 0, n * bytes, result + done * bytes, &error);
      g_assert_no_error (error);
      clReleaseMemObject (mem);
    }
  }
  if (check) {
    const SoraFeatureMap *features = sora_taehv_decoder_state_get_features (state->taehv);

    g_assert_cmpuint (features->border, ==, 0);
    stage_assert_golden (f->queue, features->mem, 0, sora_feature_map_floats (features, f->n * f->config.time_scale), STEP,
        f->golden, 0, tolerance (f), "features");
  }
  clReleaseMemObject (rgb);
  sora_vae_decoder_state_free (state);
  return result;
}

/* The golden bytes are not rounded: ours may be off by half, and by what the features may be off. */
static void
check_bytes (Fixture *f, const guint8 *bytes)
{
  gsize n;
  g_autofree gfloat *expected = stage_golden (f->golden, &n, "bytes");

  for (gsize i = 0; i < n; i++)
    g_assert_cmpfloat (fabs (bytes[i * STEP] - expected[i]), <=, 0.5 + 255 * tolerance (f));
}

/* Every convolution adds up a pixel in one order, wherever the pixel stands: so pieces give the whole clip's bytes, exactly. */
static void
check_decoder (Fixture *f)
{
  g_autofree guint8 *whole = decode (f, f->n, f->n, TRUE);
  const guint pieces[][2] = { { 1, 1 }, { 2, 2 }, { 1, 3 }, { f->n, 1 } };

  check_bytes (f, whole);
  for (guint i = 0; i < (sora_test_is_small () ? 0 : G_N_ELEMENTS (pieces)); i++) {
    g_autofree guint8 *streamed = decode (f, pieces[i][0], pieces[i][1], FALSE);

    g_assert_cmpmem (streamed, f->n * f->config.time_scale * frame_bytes (f), whole, f->n * f->config.time_scale * frame_bytes (f));
  }
}

/* Triangle waves, as tests/reference/vae.py has them; (transfer full): [frames, height, width, 3] */
static guint8 *
draw_frames (const Fixture *f)
{
  guint height = f->height * f->config.spatial_scale, width = f->width * f->config.spatial_scale;
  guint8 *frames = g_malloc (f->n * f->config.time_scale * frame_bytes (f)), *out = frames;

  for (guint t = 0; t < f->n * f->config.time_scale; t++)
    for (guint y = 0; y < height; y++)
      for (guint x = 0; x < width; x++)
        for (guint c = 0; c < 3; c++) {
          guint v = (x * 3 + y * 5 * (c + 1) + t * 7 * (c + 2)) & 511;

          *out++ = v < 256 ? v : 511 - v;
        }
  return frames;
}

/* Encodes the drawn frames, @piece latents a call; (transfer full): [n, height, width, latent_channels] */
static gfloat *
encode (Fixture *f, guint piece, guint max_latents)
{
  gsize latent = (gsize) f->height * f->width * f->config.latent_channels, bytes = f->config.time_scale * frame_bytes (f);
  g_autofree guint8 *frames = draw_frames (f);
  g_autoptr (SoraArena) arena = sora_arena_new (sora_queue_get_device (f->queue));
  SoraVaeEncoderState *state = sora_vae_encoder_state_new (f->vae, f->height, f->width, max_latents, FALSE, NULL, arena);
  cl_mem rgb = sora_queue_alloc (f->queue, piece * bytes), out = sora_test_alloc (f->queue, piece * latent);
  gfloat *result = g_new (gfloat, f->n * latent);
  g_autoptr (GError) error = NULL;

  sora_arena_commit (arena, &error);
  g_assert_no_error (error);
  for (guint round = 0; round < 2; round++) {
    sora_vae_encoder_reset (state, f->queue);
    for (guint done = 0; done < f->n; done += piece) {
      guint n = MIN (piece, f->n - done);

      sora_queue_write (f->queue, rgb, 0, n * bytes, frames + done * bytes);
      sora_vae_encode (f->vae, state, f->queue, rgb, n, out);
      sora_queue_read (f->queue, out, 0, n * latent * sizeof (gfloat), result + done * latent, &error);
      g_assert_no_error (error);
    }
  }
  clReleaseMemObject (rgb);
  clReleaseMemObject (out);
  sora_vae_encoder_state_free (state);
  return result;
}

static void
check_encoder (Fixture *f)
{
  gsize n = (gsize) f->n * f->height * f->width * f->config.latent_channels, n_golden;
  g_autofree gfloat *whole = encode (f, f->n, f->n), *streamed = encode (f, 1, 1), *chunked = encode (f, f->n, 2);
  g_autofree gfloat *expected = stage_golden (f->golden, &n_golden, "encoded"), *kept = g_new (gfloat, n_golden);

  for (gsize i = 0; i < n_golden; i++)
    kept[i] = whole[i * STEP];
  normalise (f, expected, n_golden, STEP);
  sora_test_assert_close (kept, expected, n_golden, tolerance (f), "encoded latents");
  sora_test_assert_same (streamed, whole, n, "latents encoded one by one");
  sora_test_assert_same (chunked, whole, n, "latents encoded in chunks");
}

static void
check_random (const gchar *name, SoraPrecision precision)
{
  g_autofree gchar *json = g_strdup_printf ("%s/%s.json", g_getenv ("SORA_TEST_GOLDEN"), name);
  Fixture f = { .precision = precision, .weights = draw_weights (json) };

  fixture_open (&f, json, name);
  check_decoder (&f);
  if (!sora_test_is_small ())
    check_encoder (&f);
  fixture_clear (&f);
}

static void
test_random (gconstpointer name)
{
  check_random (name, SORA_PRECISION_FP32);
}

static void
test_random_bf16 (gconstpointer name)
{
  if (stage_has_matrix_unit ())
    check_random (name, SORA_PRECISION_BF16);
}

/* A file as TAEHV's or LightX2V's are published */
typedef struct {
  const gchar *golden, *name;
  gboolean is_raw;
  guint channels, patch_size;
} PublicFile;

static const PublicFile public_files[] = {
  { "taew2_1", "taew2_1.safetensors", FALSE, 16, 1 }, { "taew2_2", "taew2_2.safetensors", FALSE, 48, 2 },
  { "taew2_1", "LightTAEw2_1.pth", TRUE, 16, 1 },
};

static void
test_public_file (gconstpointer data)
{
  const PublicFile *file = data;
  g_autofree gchar *json = g_strdup_printf ("%s/%s.json", g_getenv ("SORA_TEST_GOLDEN"), file->golden);
  Fixture f = { .precision = SORA_PRECISION_FP32, .weights = draw_weights_named (json, file->name), .is_raw = file->is_raw };
  SoraVaeConfig expected;

  fixture_open (&f, NULL, file->golden);
  g_assert_true (sora_vae_config_load (&expected, json, NULL));
  g_assert_cmpmem (&f.config.encoder, sizeof (SoraVaeLevels), &expected.encoder, sizeof (SoraVaeLevels));
  g_assert_cmpmem (&f.config.decoder, sizeof (SoraVaeLevels), &expected.decoder, sizeof (SoraVaeLevels));
  g_assert_cmpuint (f.config.frames_to_trim, ==, expected.frames_to_trim);
  g_assert_cmpuint (f.config.frames_to_trim, ==, 3);
  g_assert_cmpuint (f.config.latent_channels, ==, file->channels);
  g_assert_cmpuint (f.config.patch_size, ==, file->patch_size);
  g_assert_cmpuint (f.config.spatial_scale, ==, 8 * file->patch_size);
  g_assert_cmpfloat (f.config.latents_mean[0], ==, file->is_raw ? -0.7571f : 0);     /* of Wan 2.1's latents */
  g_assert_cmpfloat (f.config.latents_std[15], ==, file->is_raw ? 1.9160f : 1);
  check_decoder (&f);
  check_encoder (&f);
  sora_vae_config_clear (&expected);
  fixture_clear (&f);
}

static void
check_embedded (SoraPrecision precision)
{
  g_autofree gchar *config = stage_model_path ("vae/config.json");
  g_autofree gchar *path = config != NULL ? stage_model_path ("vae/diffusion_pytorch_model.safetensors") : NULL;
  g_autoptr (GError) error = NULL;
  Fixture f = { .precision = precision };

  if (path == NULL)
    return;
  f.weights = sora_weight_file_open (path, &error);
  g_assert_no_error (error);
  fixture_open (&f, config, "vae-embedded");
  stage_assert_fingerprint (f.golden, f.weights);
  check_decoder (&f);
  check_encoder (&f);
  fixture_clear (&f);
}

static void
test_embedded (void)
{
  check_embedded (SORA_PRECISION_FP32);
}

/* Its file has bf16 numbers, so this is what is done with it unless fp32 is asked for. */
static void
test_embedded_auto (void)
{
  if (stage_has_matrix_unit ())
    check_embedded (SORA_PRECISION_AUTO);
}

/* A config that asks for more than the file has: the message names the tensor. */
static void
test_missing (void)
{
  g_autofree gchar *json = g_strdup_printf ("%s/vae-small.json", g_getenv ("SORA_TEST_GOLDEN"));
  g_autoptr (SoraWeightFile) weights = draw_weights (json);
  g_autoptr (GError) misshapen = NULL, missing = NULL;
  SoraVaeConfig config;

  g_assert_true (sora_vae_config_load (&config, json, NULL));
  config.decoder.widths[1]++;
  g_assert_false (sora_vae_validate (&config, weights, &misshapen));
  g_assert_error (misshapen, SORA_MODEL_ERROR, SORA_MODEL_ERROR_WEIGHT);
  g_assert_nonnull (strstr (misshapen->message, "decoder.7.weight"));
  config.decoder.widths[1]--;
  config.encoder.blocks[1]++;
  g_assert_false (sora_vae_validate (&config, weights, &missing));
  g_assert_error (missing, SORA_MODEL_ERROR, SORA_MODEL_ERROR_WEIGHT);
  g_assert_nonnull (strstr (missing->message, "encoder.9.conv.0.weight"));
  sora_vae_config_clear (&config);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_data_func ("/stages/vae/small", "vae-small", test_random);
  if (!sora_test_is_small ()) {
    g_test_add_data_func ("/stages/vae/public", "vae-public", test_random);
    g_test_add_func ("/stages/vae/embedded", test_embedded);
    g_test_add_data_func ("/stages/vae/bf16/small", "vae-small", test_random_bf16);
    g_test_add_data_func ("/stages/vae/bf16/public", "vae-public", test_random_bf16);
    g_test_add_func ("/stages/vae/bf16/embedded", test_embedded_auto);
    for (guint i = 0; i < G_N_ELEMENTS (public_files); i++) {
      g_autofree gchar *path = g_strconcat ("/stages/vae/", public_files[i].name, NULL);
      g_test_add_data_func (path, &public_files[i], test_public_file);
    }
  }
  g_test_add_func ("/stages/vae/missing", test_missing);
  return g_test_run ();
}
