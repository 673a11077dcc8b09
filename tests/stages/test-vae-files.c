/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* VAEs as single files, without a config.json: what shapes and names say is what diffusers' configuration says (tests/reference/wan_vae.py),
 * and the frames and latents are the same bit for bit, in every spelling and container. */
#include <glib/gstdio.h>
#include <json-glib/json-glib.h>
#include <string.h>

#include "stage-support.h"
#include "stages/vae-private.h"
#include "weight-support.h"
#include "weights/config-shapes.h"

#define N 2                     /* latents */
#define HEIGHT 2
#define WIDTH 3

static gchar *scratch;          /* a folder of this run */

static gchar *
golden_path (const gchar *name)
{
  return g_strdup_printf ("%s/%s.json", g_getenv ("SORA_TEST_GOLDEN"), name);
}

static JsonObject *original;    /* diffusers' names → Wan's, while weights are written */
static const gchar *prefix;     /* and what stands before them */

static gchar *
to_original (const gchar *name)
{
  return g_strconcat (prefix, json_object_get_string_member (original, name), NULL);
}

/* (transfer full): a safetensors file with the weights of the golden file @name, in diffusers' spelling if @before is NULL, else in Wan's
 * with @before before it */
static gchar *
write_safetensors (const gchar *name, const gchar *file, const gchar *before)
{
  g_autofree gchar *shapes = golden_path (name);
  g_autoptr (JsonParser) parser = json_parser_new ();
  gchar *path = g_build_filename (scratch, file, NULL);

  g_assert_true (json_parser_load_from_file (parser, shapes, NULL));
  original = json_object_get_object_member (json_node_get_object (json_parser_get_root (parser)), "original");
  prefix = before;
  sora_test_draw_weights (shapes, path, before ? to_original : NULL);
  return path;
}

static void
put_pickled_string (GByteArray *pickle, const gchar *text)
{
  weight_test_put (pickle, 1, 'X');
  weight_test_put (pickle, 4, strlen (text));
  weight_test_put_text (pickle, text);
}

static void
put_pickled_sizes (GByteArray *pickle, const guint64 *sizes, guint n)
{
  weight_test_put_text (pickle, "(");
  for (guint i = 0; i < n; i++) {
    weight_test_put (pickle, 1, 'J');
    weight_test_put (pickle, 4, sizes[i]);
  }
  weight_test_put_text (pickle, "t");
}

/* As torch.save() pickles it: a view of a storage, with offset 0 */
static void
put_pickled_tensor (GByteArray *pickle, const SoraTensor *tensor, const gchar *storage)
{
  guint64 strides[SORA_TENSOR_MAX_DIMS], stride = 1;

  for (guint i = tensor->n_dims; i-- > 0; stride *= tensor->shape[i])
    strides[i] = stride;
  put_pickled_string (pickle, tensor->name);
  weight_test_put_text (pickle, "ctorch._utils\n_rebuild_tensor_v2\n((");
  put_pickled_string (pickle, "storage");
  weight_test_put_text (pickle, "ctorch\nFloatStorage\n");
  put_pickled_string (pickle, storage);
  put_pickled_string (pickle, "cpu");
  weight_test_put (pickle, 1, 'J');
  weight_test_put (pickle, 4, tensor->n_elements);
  weight_test_put_text (pickle, "tQK");
  weight_test_put (pickle, 1, 0);
  put_pickled_sizes (pickle, tensor->shape, tensor->n_dims);
  put_pickled_sizes (pickle, strides, tensor->n_dims);
  weight_test_put_text (pickle, "\x89}tR");
}

/* (transfer full): the tensors of the safetensors file @source as torch.save() would write them */
static gchar *
write_torch (const gchar *source, const gchar *name)
{
  g_autoptr (SoraWeightFile) file = sora_weight_file_open (source, NULL);
  g_autoptr (GPtrArray) names = sora_weight_file_get_names (file), paths = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GByteArray) pickle = g_byte_array_new (), archive = NULL;
  g_autofree WeightTestEntry *entries = g_new0 (WeightTestEntry, names->len + 1);
  gchar *path = g_build_filename (scratch, name, NULL);

  weight_test_put_text (pickle, "\x80\x02}(");
  for (guint i = 0; i < names->len; i++) {
    const SoraTensor *tensor = sora_weight_file_peek (file, names->pdata[i]);
    g_autofree gchar *storage = g_strdup_printf ("%u", i);

    put_pickled_tensor (pickle, tensor, storage);
    g_ptr_array_add (paths, g_strconcat ("archive/data/", storage, NULL));
    entries[i + 1] = (WeightTestEntry) { paths->pdata[i], tensor->data, tensor->n_elements * sizeof (gfloat) };
  }
  weight_test_put_text (pickle, "u.");
  entries[0] = (WeightTestEntry) { "archive/data.pkl", pickle->data, pickle->len };
  archive = weight_test_zip (entries, names->len + 1);
  g_assert_true (g_file_set_contents (path, (gchar *) archive->data, archive->len, NULL));
  return path;
}

/* A VAE opened, and what it makes of a few latents and frames */
typedef struct {
  SoraVaeConfig config;
  guint8 *frames;               /* of N latents, those that the first one lacks left out */
  gsize n_bytes;
  gfloat *latents;              /* encoded: [N, HEIGHT, WIDTH, channels] */
} Result;

static void
result_clear (Result *result)
{
  sora_vae_config_clear (&result->config);
  g_free (result->frames);
  g_free (result->latents);
}

static gsize
count_latents (const SoraVaeConfig *config)
{
  return (gsize) N * HEIGHT * WIDTH * config->latent_channels;
}

static void
decode (Result *result, SoraVae *vae, SoraQueue *queue)
{
  const SoraVaeConfig *c = &result->config;
  gsize frame = (gsize) HEIGHT * WIDTH * c->spatial_scale * c->spatial_scale * 3;
  g_autofree gfloat *random = sora_test_random (1, count_latents (c), 2);
  g_autoptr (SoraArena) arena = sora_arena_new (sora_queue_get_device (queue));
  SoraVaeDecoderState *state = sora_vae_decoder_state_new (vae, HEIGHT, WIDTH, N, NULL, arena);
  cl_mem latents = sora_test_upload (queue, random, count_latents (c)), rgb = sora_queue_alloc (queue, N * c->time_scale * frame);
  g_autoptr (GError) error = NULL;

  g_assert_true (sora_arena_commit (arena, NULL));
  sora_vae_decoder_reset (state, queue);
  sora_vae_decode (vae, state, queue, latents, N, rgb);
  result->n_bytes = (N * c->time_scale - c->frames_to_trim) * frame;
  result->frames = g_malloc (result->n_bytes);
  sora_queue_read (queue, rgb, c->frames_to_trim * frame, result->n_bytes, result->frames, &error);
  g_assert_no_error (error);
  sora_vae_decoder_state_free (state);
  clReleaseMemObject (latents);
  clReleaseMemObject (rgb);
}

static void
encode (Result *result, SoraVae *vae, SoraQueue *queue)
{
  const SoraVaeConfig *c = &result->config;
  gsize n = (gsize) N * c->time_scale * HEIGHT * WIDTH * c->spatial_scale * c->spatial_scale * 3;
  g_autofree guint8 *frames = g_malloc (n);
  g_autoptr (SoraArena) arena = sora_arena_new (sora_queue_get_device (queue));
  SoraVaeEncoderState *state = sora_vae_encoder_state_new (vae, HEIGHT, WIDTH, N, FALSE, NULL, arena);
  cl_mem latents = sora_test_alloc (queue, count_latents (c)), rgb = sora_queue_alloc (queue, n);

  for (gsize i = 0; i < n; i++)
    frames[i] = i * 7 % 251;
  g_assert_true (sora_arena_commit (arena, NULL));
  sora_vae_encoder_reset (state, queue);
  sora_queue_write (queue, rgb, 0, n, frames);
  sora_vae_encode (vae, state, queue, rgb, N, latents);
  result->latents = sora_test_download (queue, latents, count_latents (c));
  sora_vae_encoder_state_free (state);
  clReleaseMemObject (latents);
  clReleaseMemObject (rgb);
}

/* @config_path: (nullable): NULL = shapes say all */
static void
run (Result *result, const gchar *path, const gchar *config_path)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (SoraWeightFile) file = sora_weight_file_open (path, &error);
  g_autoptr (SoraQueue) queue = sora_test_queue_new ();
  SoraVae *vae;

  g_assert_no_error (error);
  *result = (Result) { 0 };
  if (config_path)
    sora_vae_config_load (&result->config, config_path, &error);
  else
    sora_vae_config_from_shapes (&result->config, file, &error);
  g_assert_no_error (error);
  sora_vae_validate (&result->config, file, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (sora_weights_get_latent_channels (file), ==, result->config.latent_channels);
  vae = sora_vae_new (&result->config, file, SORA_VAE_DECODER | SORA_VAE_ENCODER, SORA_PRECISION_FP32, queue, &error);
  g_assert_no_error (error);
  decode (result, vae, queue);
  encode (result, vae, queue);
  sora_vae_free (vae);
}

static void
assert_same_config (const SoraVaeConfig *a, const SoraVaeConfig *b)
{
  gsize size = a->latent_channels * sizeof (gfloat);

  g_assert_cmpint (a->kind, ==, b->kind);
  g_assert_cmpuint (a->image_channels, ==, b->image_channels);
  g_assert_cmpuint (a->patch_size, ==, b->patch_size);
  g_assert_cmpuint (a->latent_channels, ==, b->latent_channels);
  g_assert_cmpuint (a->spatial_scale, ==, b->spatial_scale);
  g_assert_cmpuint (a->time_scale, ==, b->time_scale);
  g_assert_cmpuint (a->frames_to_trim, ==, b->frames_to_trim);
  g_assert_cmpmem (&a->wan, sizeof (a->wan), &b->wan, sizeof (b->wan));
  g_assert_cmpmem (a->latents_mean, size, b->latents_mean, size);
  g_assert_cmpmem (a->latents_std, size, b->latents_std, size);
}

static void
assert_same_result (const gchar *path, const Result *expected)
{
  Result result;

  run (&result, path, NULL);
  assert_same_config (&result.config, &expected->config);
  g_assert_cmpmem (result.frames, result.n_bytes, expected->frames, expected->n_bytes);
  sora_test_assert_same (result.latents, expected->latents, count_latents (&expected->config), "%s", path);
  result_clear (&result);
}

/* Sameness would say little of numbers that are all the same. */
static void
assert_varied (const Result *result)
{
  guint n_unlike = 0;

  for (gsize i = 1; i < result->n_bytes; i++)
    n_unlike += result->frames[i] != result->frames[0] && result->frames[i] > 0 && result->frames[i] < 255;
  g_assert_cmpuint (n_unlike, >, result->n_bytes / 2);
}

static void
test_wan (gconstpointer name)
{
  g_autofree gchar *config = golden_path (name), *diffusers = write_safetensors (name, "diffusers.safetensors", NULL);
  g_autofree gchar *safetensors = write_safetensors (name, "wan_2.1_vae.safetensors", "");
  g_autofree gchar *prefixed = write_safetensors (name, "in_a_checkpoint.safetensors", "first_stage_model.");
  g_autofree gchar *torch = write_torch (safetensors, "Wan2.1_VAE.pth");
  Result expected;

  run (&expected, diffusers, config);
  assert_varied (&expected);
  assert_same_result (diffusers, &expected);
  assert_same_result (safetensors, &expected);
  assert_same_result (torch, &expected);
  assert_same_result (prefixed, &expected);
  result_clear (&expected);
}

static gchar *
misspell (const gchar *name)
{
  return g_strdup (g_str_equal (name, "encoder.down_blocks.1.conv1.weight") ? "encoder.down_blocks.1.conv9.weight" : name);
}

/* Layers that are not Wan's, channels of which no statistics are known, and a message with the file's own spelling and prefix */
static void
test_refused (void)
{
  g_autofree gchar *shapes = golden_path ("wan-vae-16"), *few = golden_path ("wan-vae"), *prefixed = NULL;
  g_autofree gchar *path = g_build_filename (scratch, "refused.safetensors", NULL);
  g_autoptr (SoraWeightFile) uneven = NULL, narrow = NULL, original_file = NULL;
  g_autoptr (GError) layers = NULL, channels = NULL, spelling = NULL;
  SoraVaeConfig config;

  sora_test_draw_weights (shapes, path, misspell);
  uneven = sora_weight_file_open (path, NULL);
  g_assert_false (sora_vae_config_from_shapes (&config, uneven, &layers));
  g_assert_error (layers, SORA_MODEL_ERROR, SORA_MODEL_ERROR_UNSUPPORTED);
  g_assert_nonnull (strstr (layers->message, "refused.safetensors: the layers of its encoder are not those of Wan's VAE"));

  g_unlink (path);
  sora_test_draw_weights (few, path, NULL);
  narrow = sora_weight_file_open (path, NULL);
  g_assert_false (sora_vae_config_from_shapes (&config, narrow, &channels));
  g_assert_error (channels, SORA_MODEL_ERROR, SORA_MODEL_ERROR_UNSUPPORTED);
  g_assert_nonnull (strstr (channels->message, "other than 16 or 48 channels"));

  prefixed = write_safetensors ("wan-vae-16", "prefixed.safetensors", "vae.");
  original_file = sora_weight_file_open (prefixed, NULL);
  g_assert_true (sora_vae_config_from_shapes (&config, original_file, NULL));
  config.wan.num_res_blocks++;
  g_assert_false (sora_vae_validate (&config, original_file, &spelling));
  g_assert_error (spelling, SORA_MODEL_ERROR, SORA_MODEL_ERROR_WEIGHT);
  g_assert_nonnull (strstr (spelling->message, "\"vae.encoder.downsamples.2.residual.0.gamma\""));
  sora_vae_config_clear (&config);
}

/* Blocks that make nothing: their sizes are those of a file that was made to hurt. */
static void
test_no_channels (void)
{
  g_autofree gchar *path = write_safetensors ("wan-vae-16", "empty.safetensors", NULL);
  g_autoptr (SoraWeightFile) file = sora_weight_file_open (path, NULL);
  g_autoptr (GPtrArray) names = sora_weight_file_get_names (file);
  g_autoptr (GError) error = NULL;
  SoraVaeConfig config;

  for (guint i = 0; i < names->len; i++) {
    SoraTensor *tensor = (SoraTensor *) sora_weight_file_peek (file, names->pdata[i]);
    if (g_str_has_prefix (names->pdata[i], "encoder.down_blocks.") && g_str_has_suffix (names->pdata[i], ".conv1.weight"))
      tensor->shape[0] = tensor->n_elements = 0;
  }
  g_assert_false (sora_vae_config_from_shapes (&config, file, &error));
  g_assert_error (error, SORA_MODEL_ERROR, SORA_MODEL_ERROR_UNSUPPORTED);
}

static void
remove_scratch (void)
{
  g_autoptr (GDir) dir = g_dir_open (scratch, 0, NULL);
  const gchar *name;

  while ((name = g_dir_read_name (dir))) {
    g_autofree gchar *path = g_build_filename (scratch, name, NULL);
    g_unlink (path);
  }
  g_rmdir (scratch);
  g_free (scratch);
}

int
main (int argc, char **argv)
{
  int status;

  scratch = g_dir_make_tmp ("sora-test-XXXXXX", NULL);
  g_test_init (&argc, &argv, NULL);
  g_test_add_data_func ("/stages/vae-files/wan-2.1", "wan-vae-16", test_wan);
  if (!sora_test_is_small ())
    g_test_add_data_func ("/stages/vae-files/wan-2.2", "wan-vae-48", test_wan);
  g_test_add_func ("/stages/vae-files/no-channels", test_no_channels);
  g_test_add_func ("/stages/vae-files/refused", test_refused);
  status = g_test_run ();
  remove_scratch ();
  return status;
}
