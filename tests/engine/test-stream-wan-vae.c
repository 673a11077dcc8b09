/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Streams of a model whose VAE is Wan's: the tiny model with the VAE of tests/reference/wan_vae.py. */
#include <glib/gstdio.h>
#include <string.h>

#include "model-private.h"
#include "runtime/device-private.h"
#include "stream-state.h"
#include "stream-support.h"

#define WIDTH 96
#define HEIGHT 64
#define FRAME (3 * WIDTH * HEIGHT)
#define BLOCKS 3
#define BLOCK_LATENTS 2

/* (transfer full): the tiny model, its VAE replaced */
static SoraModel *
open_wan_model (void)
{
  g_autofree gchar *path = copy_model (), *shapes = golden_path ("wan-vae.json"), *config = NULL;
  g_autofree gchar *target = g_build_filename (path, "vae", "config.json", NULL);
  g_autofree gchar *weights = g_build_filename (path, "vae", "diffusion_pytorch_model.safetensors", NULL);
  SoraModel *model;

  g_assert_true (g_file_get_contents (shapes, &config, NULL, NULL));
  g_assert_true (g_file_set_contents (target, config, -1, NULL));
  sora_test_draw_weights (shapes, weights, NULL);
  model = open_model (path);
  remove_copy (path);           /* weights stay mapped */
  return model;
}

/* Channels last, as the VAE takes them. */
static void
on_latents (const gchar *name, const gfloat *data, const gint64 *shape, guint n_dims, gpointer user_data)
{
  GArray *latents = user_data;

  if (!g_str_equal (name, "latents"))
    return;
  for (gint64 i = 0; i < shape[1] * shape[2] * shape[3]; i++)
    for (gint64 c = 0; c < shape[0]; c++)
      g_array_append_val (latents, data[c * shape[1] * shape[2] * shape[3] + i]);
}

/* (transfer full): all frames of @latents in one call, those that the first latent lacks left out */
static guint8 *
decode_apart (SoraModel *model, const GArray *latents, guint n)
{
  g_autoptr (SoraQueue) queue = sora_test_queue_new ();
  g_autoptr (SoraArena) arena = sora_arena_new (sora_queue_get_device (queue));
  g_autoptr (GError) error = NULL;
  SoraVae *vae = sora_vae_new (&model->vae, model->vae_file, SORA_VAE_DECODER, SORA_PRECISION_FP32, queue, &error);
  SoraVaeDecoderState *state = sora_vae_decoder_state_new (vae, HEIGHT / 8, WIDTH / 8, n, NULL, arena);
  cl_mem mem = sora_test_upload (queue, (const gfloat *) latents->data, latents->len), rgb = sora_queue_alloc (queue, n * 4 * FRAME);
  guint8 *frames = g_malloc (n * 4 * FRAME);

  g_assert_no_error (error);
  g_assert_true (sora_arena_commit (arena, &error));
  sora_vae_decode (vae, state, queue, mem, n, rgb);
  sora_queue_read (queue, rgb, 3 * FRAME, (n * 4 - 3) * FRAME, frames, &error);
  g_assert_no_error (error);
  clReleaseMemObject (mem);
  clReleaseMemObject (rgb);
  sora_vae_decoder_state_free (state);
  sora_vae_free (vae);
  return frames;
}

/* The frames of a stream are those of its latents decoded at once: one of the first latent, four of each that follows. */
static void
test_frames (void)
{
  g_autoptr (SoraModel) model = open_wan_model ();
  g_autoptr (SoraStreamOptions) options = default_options ();
  g_autoptr (SoraStream) stream = open_stream (model, options);
  g_autoptr (GArray) latents = g_array_new (FALSE, FALSE, sizeof (gfloat));
  g_autofree guint8 *streamed = g_malloc (BLOCKS * BLOCK_LATENTS * 4 * FRAME), *apart = NULL;
  guint n = 0;

  sora_stream_set_tap (stream, on_latents, latents);
  for (guint i = 0; i < BLOCKS; i++) {
    g_autoptr (SoraBlock) block = pull (stream);
    guint n_frames = sora_block_get_n_frames (block);

    g_assert_cmpuint (n_frames, ==, i == 0 ? 5 : 8);
    g_assert_cmpuint (sora_block_get_width (block), ==, WIDTH);
    memcpy (streamed + n * FRAME, sora_block_get_rgb (block, 0), n_frames * FRAME);
    n += n_frames;
  }
  apart = decode_apart (model, latents, BLOCKS * BLOCK_LATENTS);
  g_assert_cmpmem (streamed, n * FRAME, apart, n * FRAME);
  for (guint i = 1; i < n; i++)
    g_assert_cmpint (memcmp (streamed + i * FRAME, streamed + (i - 1) * FRAME, FRAME), !=, 0);
}

static void
test_restart (void)
{
  g_autoptr (SoraModel) model = open_wan_model ();
  g_autoptr (SoraStreamOptions) options = default_options ();
  g_autoptr (SoraStream) a = open_stream (model, options);
  g_autoptr (SoraStream) b = open_stream (model, options);
  g_autoptr (SoraBlock) gone = pull (a);

  sora_stream_restart (a);
  assert_same_blocks (a, b, BLOCKS);
}

static void
test_cancel (void)
{
  g_autoptr (SoraModel) model = open_wan_model ();
  g_autoptr (SoraStreamOptions) options = default_options ();
  g_autoptr (SoraStream) a = open_stream (model, options);
  g_autoptr (SoraStream) b = open_stream (model, options);

  assert_same_though_cancelled (a, b, 4);
}

/* A picture becomes the first latent, which the encoder makes of one frame. */
static void
test_image (void)
{
  g_autoptr (SoraModel) model = open_wan_model ();
  g_autoptr (SoraStreamOptions) options = default_options ();
  g_autofree guint8 *picture = g_malloc (FRAME);
  g_autoptr (GArray) latents = g_array_new (FALSE, FALSE, sizeof (gfloat));
  g_autoptr (SoraQueue) queue = sora_test_queue_new ();
  g_autoptr (SoraArena) arena = sora_arena_new (sora_queue_get_device (queue));
  gsize n = (WIDTH / 8) * (HEIGHT / 8) * model->vae.latent_channels;
  cl_mem rgb = sora_queue_alloc (queue, 4 * FRAME), mem = sora_test_alloc (queue, n);
  SoraVae *vae = sora_vae_new (&model->vae, model->vae_file, SORA_VAE_ENCODER, SORA_PRECISION_FP32, queue, NULL);
  SoraVaeEncoderState *state = sora_vae_encoder_state_new (vae, HEIGHT / 8, WIDTH / 8, 1, FALSE, NULL, arena);
  g_autofree gfloat *expected = NULL;

  for (guint i = 0; i < FRAME; i++)
    picture[i] = i * 7 % 251;
  g_assert_true (sora_arena_commit (arena, NULL));
  sora_queue_write (queue, rgb, 3 * FRAME, FRAME, picture);
  sora_vae_encode (vae, state, queue, rgb, 1, mem);
  expected = sora_test_download (queue, mem, n);

  sora_stream_options_set_image (options, picture, WIDTH, HEIGHT, 3 * WIDTH);
  {
    g_autoptr (SoraStream) stream = open_stream (model, options);
    sora_stream_set_tap (stream, on_latents, latents);
    g_autoptr (SoraBlock) block = pull (stream);
    g_assert_cmpuint (sora_block_get_n_frames (block), ==, 5);
  }
  g_assert_cmpuint (latents->len, ==, BLOCK_LATENTS * n);
  sora_test_assert_same ((const gfloat *) latents->data, expected, n, "the picture's latent");
  clReleaseMemObject (rgb);
  clReleaseMemObject (mem);
  sora_vae_encoder_state_free (state);
  sora_vae_free (vae);
}

/* Tiles, each with a past of its own that outlasts a block, change no frame. */
static void
test_tiles (void)
{
  g_autoptr (SoraModel) model = open_wan_model ();
  g_autoptr (SoraStreamOptions) whole_options = default_options ();
  g_autoptr (SoraStreamOptions) options = default_options ();
  g_autoptr (SoraStream) whole = NULL, tiled = NULL;

  sora_stream_options_set_vae_tile (whole_options, 0);
  sora_stream_options_set_vae_tile (options, 32);
  whole = open_stream (model, whole_options);
  tiled = open_stream (model, options);
  g_assert_cmpuint (sora_stream_get_vae_tile (whole), ==, 0);
  g_assert_cmpuint (sora_stream_get_vae_tile (tiled), ==, 32);
  assert_same_blocks (whole, tiled, BLOCKS);
  sora_stream_restart (whole);
  sora_stream_restart (tiled);
  assert_same_blocks (whole, tiled, 2);
}

static void
test_tiles_cancelled (void)
{
  g_autoptr (SoraModel) model = open_wan_model ();
  g_autoptr (SoraStreamOptions) options = default_options ();
  g_autoptr (SoraStream) steady = open_stream (model, options);
  g_autoptr (SoraStream) disturbed = NULL;

  sora_stream_options_set_vae_tile (options, 64);
  disturbed = open_stream (model, options);
  assert_same_though_cancelled (disturbed, steady, 3);
}

#define WIDE (4 * WIDTH)

static guint64
stream_bytes (SoraStream *stream)
{
  guint64 bytes, weights;

  sora_stream_get_memory (stream, &bytes, &weights);
  return bytes + weights;
}

/* Where there is less memory than the whole picture takes, tiles are chosen that fit; here with a picture to begin with. */
static void
test_tiles_by_memory (void)
{
  g_autoptr (SoraModel) model = open_wan_model ();
  g_autoptr (SoraStreamOptions) options = default_options ();
  g_autofree guint8 *picture = g_malloc0 (3 * WIDE * HEIGHT);
  g_autoptr (SoraStream) whole = NULL, tiled = NULL;

  sora_stream_options_set_size (options, WIDE, HEIGHT);
  for (guint i = 0; i < 3 * WIDE * HEIGHT; i++)
    picture[i] = i * 7 % 251;
  sora_stream_options_set_image (options, picture, WIDE, HEIGHT, 3 * WIDE);
  whole = open_stream (model, options);
  g_assert_cmpuint (sora_stream_get_vae_tile (whole), ==, 0);
  sora_stream_options_set_max_memory (options, stream_bytes (whole) / 10 * 9);
  tiled = open_stream (model, options);
  g_assert_cmpuint (sora_stream_get_vae_tile (tiled), >, 0);
  g_assert_cmpuint (stream_bytes (tiled), <, stream_bytes (whole));
  g_test_message ("%u pixels: %" G_GUINT64_FORMAT " bytes, whole %" G_GUINT64_FORMAT, sora_stream_get_vae_tile (tiled), stream_bytes (tiled),
      stream_bytes (whole));
  if (!sora_test_is_small ())
    assert_same_blocks (whole, tiled, 1);
}

static SoraStream *
open_wide (SoraModel *model, SoraDevice *device, guint64 max_memory)
{
  g_autoptr (SoraStreamOptions) options = default_options ();
  g_autoptr (GError) error = NULL;
  SoraStream *stream;

  sora_stream_options_set_size (options, WIDE, HEIGHT);
  sora_stream_options_set_text_encoder_policy (options, SORA_TEXT_ENCODER_POLICY_RELEASE);
  sora_stream_options_set_max_memory (options, max_memory);
  stream = sora_stream_new (model, device, options, NULL, NULL, NULL, &error);
  g_assert_no_error (error);
  return stream;
}

/* Tiles leave room for what CLBlast takes beside the weights, too: with half of that short of the whole picture, it is cut. */
static void
test_tiles_beside_products (void)
{
  g_autoptr (SoraModel) model = open_wan_model (), other = open_wan_model ();
  g_autoptr (SoraDevice) plain = open_device (), device = sora_device_force_linear (plain, SORA_LINEAR_CLBLAST, NULL);
  g_autoptr (SoraStream) whole = open_wide (model, device, 0), tiled = NULL;
  guint64 scratch = sora_queue_get_scratch_size (whole->queue), room = MAX (sora_weight_file_get_bytes (model->text_encoder_file),
      sora_weight_file_get_bytes (model->transformer_file));
  guint64 limit = sora_arena_get_size (whole->arena) + sora_resident_get_size (whole->vae) + room + scratch / 2;

  g_assert_cmpuint (sora_stream_get_vae_tile (whole), ==, 0);
  g_assert_cmpuint (scratch, >, 0);
  tiled = open_wide (other, device, limit);
  g_test_message ("limit %" G_GUINT64_FORMAT ", scratch %" G_GUINT64_FORMAT ", whole %" G_GUINT64_FORMAT ", tiles of %u %" G_GUINT64_FORMAT,
      limit, scratch, sora_arena_get_size (whole->arena), sora_stream_get_vae_tile (tiled), sora_arena_get_size (tiled->arena));
  g_assert_cmpuint (sora_stream_get_vae_tile (tiled), >, 0);
  g_assert_cmpuint (stream_bytes (tiled), <=, limit);
}

static void
test_tile_refused (void)
{
  static const gint sizes[] = { -2, 15, 16385 };
  g_autoptr (SoraModel) model = open_tiny_model ();
  g_autoptr (SoraDevice) device = open_device ();
  g_autoptr (SoraStreamOptions) options = default_options ();

  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++) {
    g_autoptr (GError) error = NULL;

    sora_stream_options_set_vae_tile (options, sizes[i]);
    g_assert_null (sora_stream_new (model, device, options, NULL, NULL, NULL, &error));
    g_assert_error (error, SORA_STREAM_ERROR, SORA_STREAM_ERROR_OPTION);
    g_assert_nonnull (strstr (error->message, "16 to 16384"));
  }
}

/* What kernels cannot address is refused before anything is allocated. */
static void
test_too_large (void)
{
  g_autoptr (SoraModel) model = open_wan_model ();
  g_autoptr (SoraStreamOptions) options = default_options ();
  g_autoptr (SoraDevice) device = open_device ();
  g_autoptr (GError) error = NULL;

  sora_stream_options_set_size (options, 6400, 6400);
  sora_stream_options_set_vae_tile (options, 0);
  g_assert_null (sora_stream_new (model, device, options, NULL, NULL, NULL, &error));
  g_assert_error (error, SORA_STREAM_ERROR, SORA_STREAM_ERROR_OPTION);
  g_assert_nonnull (strstr (error->message, "ask for a smaller size"));
  g_assert_nonnull (strstr (error->message, "feature map"));
}

static void
test_describe (void)
{
  g_autoptr (SoraModel) model = open_wan_model ();
  g_autofree gchar *text = sora_model_describe (model);

  g_assert_nonnull (strstr (text, "VAE           Wan, 4 channels, a latent covers 8x8 pixels of 4 frames"));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/stream/wan-vae/frames", test_frames);
  g_test_add_func ("/stream/wan-vae/describe", test_describe);
  g_test_add_func ("/stream/wan-vae/too-large", test_too_large);
  g_test_add_func ("/stream/wan-vae/tile-refused", test_tile_refused);
  g_test_add_func ("/stream/wan-vae/tiles-by-memory", test_tiles_by_memory);
  g_test_add_func ("/stream/wan-vae/tiles-beside-products", test_tiles_beside_products);
  if (!sora_test_is_small ()) {
    g_test_add_func ("/stream/wan-vae/tiles", test_tiles);
    g_test_add_func ("/stream/wan-vae/tiles-cancelled", test_tiles_cancelled);
    g_test_add_func ("/stream/wan-vae/restart", test_restart);
    g_test_add_func ("/stream/wan-vae/cancel", test_cancel);
    g_test_add_func ("/stream/wan-vae/image", test_image);
  }
  return g_test_run ();
}
