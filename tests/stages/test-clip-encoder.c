/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The image encoder against transformers' CLIPVisionModel (tests/reference/clip_encoder.py): what it is given of a picture, and its embeddings;
 * in Wan's names of tensors too. */
#include "stages/clip-encoder.h"

#include <glib/gstdio.h>
#include <string.h>

#include "stage-support.h"
#include "stages/clip-image.h"
#include "weights/tensor-writer.h"

#define SEED 1000

/* Of max |a - b| over the reference's rms: single precision on both sides, in different orders; 1e-6 was seen. */
#define TOLERANCE 2e-5
/* Weights of the interpolation are in single precision there, in double here. */
#define PIXEL_TOLERANCE 1e-5

static gchar *scratch;          /* a folder of this run */

static const struct {
  const gchar *name;
  guint width, height;
} pictures[] = { { "wide", 60, 41 }, { "tall", 17, 30 } };

/* (transfer full): triangle waves, as tests/reference/common.py's frames () */
static guint8 *
draw_picture (guint width, guint height)
{
  guint8 *rgb = g_malloc (3 * width * height);

  for (guint y = 0; y < height; y++)
    for (guint x = 0; x < width; x++)
      for (guint c = 0; c < 3; c++) {
        guint v = (x * 3 + y * 5 * (c + 1)) & 511;
        rgb[(y * width + x) * 3 + c] = v < 256 ? v : 511 - v;
      }
  return rgb;
}

/* (transfer full): the path of the drawn weights; *@config is what the JSON with their shapes says. */
static gchar *
draw_weights (SoraClipConfig *config)
{
  g_autofree gchar *shapes = g_build_filename (g_getenv ("SORA_TEST_GOLDEN"), "clip-encoder.json", NULL);
  gchar *path = g_build_filename (scratch, "clip.safetensors", NULL);
  g_autoptr (GError) error = NULL;

  sora_test_draw_weights_from (shapes, SEED, path, NULL);
  sora_clip_config_load (config, shapes, &error);
  g_assert_no_error (error);
  return path;
}

static SoraWeightFile *
open_weights (const gchar *path)
{
  g_autoptr (GError) error = NULL;
  SoraWeightFile *file = sora_weight_file_open (path, &error);

  g_assert_no_error (error);
  return file;
}

/* --- the picture ----------------------------------------------------------------------------------------------- */

/* The reference's [3, size, size] in the order of patches */
static gfloat *
patches_of (const gfloat *pixels, guint size, guint patch)
{
  gfloat *rows = g_new (gfloat, 3 * size * size), *out = rows;

  for (guint y = 0; y < size; y += patch)
    for (guint x = 0; x < size; x += patch)
      for (guint c = 0; c < 3; c++)
        for (guint j = 0; j < patch; j++)
          for (guint i = 0; i < patch; i++)
            *out++ = pixels[(c * size + y + j) * size + x + i];
  return rows;
}

static void
test_picture (void)
{
  g_autoptr (SoraWeightFile) golden = stage_golden_open ("clip-encoder");

  for (guint i = 0; i < G_N_ELEMENTS (pictures); i++) {
    g_autofree guint8 *rgb = draw_picture (pictures[i].width, pictures[i].height);
    g_autofree gfloat *pixels = stage_golden (golden, NULL, "%s.pixels", pictures[i].name), *expected = patches_of (pixels, 28, 7);
    g_autofree gfloat *actual = sora_clip_image_prepare (rgb, pictures[i].width, pictures[i].height, 28, 7);
    sora_test_assert_close (actual, expected, 3 * 28 * 28, PIXEL_TOLERANCE, "pixels of the %s picture", pictures[i].name);
  }
}

/* --- the encoder ----------------------------------------------------------------------------------------------- */

static void
check_encoder (const SoraClipConfig *config, SoraWeightFile *weights, const gchar *linear, const gchar *activation)
{
  g_autoptr (SoraWeightFile) golden = stage_golden_open ("clip-encoder");
  g_autoptr (SoraQueue) queue = sora_test_queue_new_linear (linear);
  g_autoptr (SoraArena) arena = sora_arena_new (sora_queue_get_device (queue));
  g_autoptr (GError) error = NULL;
  SoraClipEncoderState *state = sora_clip_encoder_state_new (config, arena);
  SoraClipEncoder *encoder = sora_clip_encoder_new (config, weights, SORA_PRECISION_FP32, G_MAXUINT64, queue, &error);
  guint n = sora_clip_config_count_tokens (config) * config->hidden_size;
  cl_mem out = sora_test_alloc (queue, n);

  g_assert_no_error (error);
  g_assert_true (sora_arena_commit (arena, &error));
  for (guint i = 0; i < G_N_ELEMENTS (pictures); i++) {
    g_autofree guint8 *rgb = draw_picture (pictures[i].width, pictures[i].height);
    g_autofree gchar *name = g_strdup_printf ("%s.%s", pictures[i].name, activation);
    sora_clip_encoder_run (encoder, state, queue, rgb, pictures[i].width, pictures[i].height, SORA_MATRIX (out, config->hidden_size));
    stage_assert_golden (queue, out, 0, n, 1, golden, 0, TOLERANCE, name);
  }
  clReleaseMemObject (out);
  sora_clip_encoder_state_free (state);
  sora_clip_encoder_free (encoder);
}

/* With less and less memory more and more of the weights are streamed, and the embeddings stay as they are, until it is too little for that. */
static void
test_memory (gconstpointer linear)
{
  SoraClipConfig config;
  g_autofree gchar *path = draw_weights (&config);
  g_autoptr (SoraWeightFile) weights = open_weights (path), golden = stage_golden_open ("clip-encoder");
  guint n = sora_clip_config_count_tokens (&config) * config.hidden_size;
  guint64 streamed = 0;
  g_autoptr (GError) error = NULL;

  for (guint64 bytes = 1 << 20; !error; bytes -= bytes / 4) {
    g_autoptr (SoraQueue) queue = sora_test_queue_new_linear (linear);
    g_autoptr (SoraArena) arena = sora_arena_new (sora_queue_get_device (queue));
    SoraClipEncoderState *state = sora_clip_encoder_state_new (&config, arena);
    SoraClipEncoder *encoder = sora_clip_encoder_new (&config, weights, SORA_PRECISION_FP32, bytes, queue, &error);
    g_autofree guint8 *rgb = draw_picture (pictures[0].width, pictures[0].height);

    if (encoder) {
      cl_mem out = sora_test_alloc (queue, n);
      g_autofree gchar *name = g_strconcat (pictures[0].name, ".gelu", NULL);
      g_assert_true (sora_arena_commit (arena, NULL));
      sora_clip_encoder_run (encoder, state, queue, rgb, pictures[0].width, pictures[0].height, SORA_MATRIX (out, config.hidden_size));
      stage_assert_golden (queue, out, 0, n, 1, golden, 0, TOLERANCE, name);
      streamed = sora_queue_get_stream_size (queue);
      clReleaseMemObject (out);
      sora_clip_encoder_free (encoder);
    }
    sora_clip_encoder_state_free (state);
  }
  g_assert_error (error, SORA_DEVICE_ERROR, SORA_DEVICE_ERROR_NO_MEMORY);
  g_assert_cmpuint (streamed, >, 0);
}

static void
test_encoder (gconstpointer linear)
{
  SoraClipConfig config;
  g_autofree gchar *path = draw_weights (&config);
  g_autoptr (SoraWeightFile) weights = open_weights (path);

  check_encoder (&config, weights, linear, "gelu");
  config.quick_gelu = TRUE;
  check_encoder (&config, weights, linear, "quick_gelu");
}

/* In Wan's spelling; those of queries, keys and values, which become one, are left out, and so is the last layer, which nobody needs. */
static const gchar *const spellings[][2] = {
  { "embeddings.class_embedding", "cls_embedding" }, { "embeddings.position_embedding.weight", "pos_embedding" },
  { "embeddings.patch_embedding.weight", "patch_embedding.weight" }, { "pre_layrnorm.", "pre_norm." }, { "post_layernorm.", "post_norm." },
  { "encoder.layers.", "transformer." }, { "layer_norm", "norm" }, { "self_attn.out_proj", "attn.proj" }, { "mlp.fc1", "mlp.0" },
  { "mlp.fc2", "mlp.2" },
};

static void
add_tensor (SoraTensorWriter *writer, const gchar *name, const gfloat *values, const gint64 *shape, guint n_dims)
{
  g_autoptr (GString) spelled = g_string_new (name);
  g_autofree gchar *full = NULL;
  gint64 wrapped[5] = { 1, 1, 1, 1, 1 };
  gboolean is_wrapped = g_str_has_prefix (name, "embeddings.class") || g_str_has_prefix (name, "embeddings.position");

  for (guint i = 0; i < G_N_ELEMENTS (spellings); i++)
    g_string_replace (spelled, spellings[i][0], spellings[i][1], 0);
  full = g_strconcat ("visual.", spelled->str, NULL);
  memcpy (is_wrapped ? wrapped + 3 - n_dims : wrapped, shape, n_dims * sizeof (*shape));
  sora_tensor_writer_add (writer, full, values, wrapped, is_wrapped ? 3 : n_dims);
}

/* Queries, keys and values of layer @layer as one, of weights [dim, dim] or biases [dim] */
static void
add_qkv (SoraTensorWriter *writer, SoraWeightFile *weights, guint layer, const gchar *suffix, guint dim, guint columns)
{
  static const gchar parts[] = "qkv";
  g_autofree gfloat *values = g_new (gfloat, 3 * dim * columns);
  g_autofree gchar *full = g_strdup_printf ("visual.transformer.%u.attn.to_qkv.%s", layer, suffix);
  const gint64 shape[] = { 3 * dim, columns };

  for (guint i = 0; i < 3; i++) {
    g_autofree gchar *name = g_strdup_printf ("encoder.layers.%u.self_attn.%c_proj.%s", layer, parts[i], suffix);
    sora_tensor_to_float (sora_weight_file_peek (weights, name), 0, dim * columns, values + i * dim * columns);
  }
  sora_tensor_writer_add (writer, full, values, shape, columns > 1 ? 2 : 1);
}

static void
test_wans_names (void)
{
  SoraClipConfig config, found;
  g_autofree gchar *path = draw_weights (&config), *wans_path = g_build_filename (scratch, "wan.safetensors", NULL);
  g_autoptr (SoraWeightFile) weights = open_weights (path), wans = NULL;
  g_autoptr (GPtrArray) names = sora_weight_file_get_names (weights);
  g_autoptr (SoraTensorWriter) writer = sora_tensor_writer_new ();
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < names->len; i++) {
    const SoraTensor *tensor = sora_weight_file_peek (weights, names->pdata[i]);
    g_autofree gfloat *values = g_new (gfloat, tensor->n_elements);
    gint64 shape[5];
    for (guint j = 0; j < tensor->n_dims; j++)
      shape[j] = tensor->shape[j];
    sora_tensor_to_float (tensor, 0, tensor->n_elements, values);
    if (!strstr (names->pdata[i], "q_proj") && !strstr (names->pdata[i], "k_proj") && !strstr (names->pdata[i], "v_proj"))
      add_tensor (writer, names->pdata[i], values, shape, tensor->n_dims);
  }
  for (guint layer = 0; layer < config.num_hidden_layers; layer++) {
    add_qkv (writer, weights, layer, "weight", config.hidden_size, config.hidden_size);
    add_qkv (writer, weights, layer, "bias", config.hidden_size, 1);
  }
  g_assert_true (sora_tensor_writer_save (writer, wans_path, &error));
  wans = open_weights (wans_path);
  g_assert_true (sora_clip_config_matches (wans));
  check_encoder (&config, wans, "packed", "gelu");
  /* 48 wide is no number of heads of 80 */
  g_assert_false (sora_clip_config_from_shapes (&found, wans, &error));
  g_assert_error (error, SORA_MODEL_ERROR, SORA_MODEL_ERROR_UNSUPPORTED);
  g_assert_nonnull (strstr (error->message, "heads of 80"));
}

/* (transfer full): a file of Wan's sizes but for the patch's: two layers of them, all zero */
static SoraWeightFile *
write_shapes (guint patch_size)
{
  const struct {
    const gchar *name;
    guint n_dims;
    gint64 shape[4];
  } tensors[] = {
    { "vision_model.embeddings.class_embedding", 1, { 80 } },
    { "vision_model.embeddings.patch_embedding.weight", 4, { 80, 3, patch_size, patch_size } },
    { "vision_model.embeddings.position_embedding.weight", 2, { 257, 80 } }, { "vision_model.pre_layrnorm.weight", 1, { 80 } },
    { "vision_model.encoder.layers.0.layer_norm1.weight", 1, { 80 } }, { "vision_model.encoder.layers.1.layer_norm1.weight", 1, { 80 } },
    { "vision_model.encoder.layers.0.mlp.fc1.weight", 2, { 320, 80 } },
  };
  g_autofree gchar *path = g_build_filename (scratch, "shapes.safetensors", NULL);
  g_autofree gfloat *zeros = g_new0 (gfloat, 80 * 3 * 65 * 65);
  g_autoptr (SoraTensorWriter) writer = sora_tensor_writer_new ();
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (tensors); i++)
    sora_tensor_writer_add (writer, tensors[i].name, zeros, tensors[i].shape, tensors[i].n_dims);
  g_assert_true (sora_tensor_writer_save (writer, path, &error));
  return open_weights (path);
}

static void
test_shapes (void)
{
  g_autoptr (SoraWeightFile) file = write_shapes (14);
  g_autoptr (GError) error = NULL;
  SoraClipConfig config;

  g_assert_true (sora_clip_config_from_shapes (&config, file, &error));
  g_assert_no_error (error);
  g_assert_cmpuint (config.hidden_size, ==, 80);
  g_assert_cmpuint (config.intermediate_size, ==, 320);
  g_assert_cmpuint (config.num_hidden_layers, ==, 2);
  g_assert_cmpuint (config.num_attention_heads, ==, 1);
  g_assert_cmpuint (config.image_size, ==, 224);
  g_assert_cmpuint (config.patch_size, ==, 14);
  g_assert_false (config.quick_gelu);
  g_assert_cmpuint (sora_clip_config_count_tokens (&config), ==, 257);
  g_assert_false (sora_clip_encoder_validate (&config, file, &error));
  g_assert_error (error, SORA_MODEL_ERROR, SORA_MODEL_ERROR_WEIGHT);
  g_assert_nonnull (strstr (error->message, "pre_layrnorm.bias"));
}

/* Patches of nothing, too large an image, and more patches than any kernel could attend to */
static void
test_no_patches (void)
{
  static const gchar text[] = "{\"hidden_size\": 80, \"intermediate_size\": 65536, \"num_hidden_layers\": 2, \"num_attention_heads\": 1, "
      "\"image_size\": 1024, \"patch_size\": 1}";
  g_autofree gchar *path = g_build_filename (scratch, "config.json", NULL);
  g_autoptr (SoraWeightFile) file = write_shapes (0);
  g_autoptr (GError) none = NULL, many = NULL;
  SoraClipConfig config;

  g_assert_false (sora_clip_config_from_shapes (&config, file, &none));
  g_assert_error (none, SORA_MODEL_ERROR, SORA_MODEL_ERROR_FORMAT);
  g_assert_nonnull (strstr (none->message, "embeddings.patch_embedding.weight"));
  g_clear_error (&none);
  sora_weight_file_free (file);
  file = write_shapes (65);
  g_assert_false (sora_clip_config_from_shapes (&config, file, &none));
  g_assert_error (none, SORA_MODEL_ERROR, SORA_MODEL_ERROR_UNSUPPORTED);
  g_assert_nonnull (strstr (none->message, "1024 pixels"));
  g_assert_true (g_file_set_contents (path, text, -1, NULL));
  g_assert_false (sora_clip_config_load (&config, path, &many));
  g_assert_error (many, SORA_MODEL_ERROR, SORA_MODEL_ERROR_FORMAT);
  g_assert_nonnull (strstr (many->message, "patches"));
}

int
main (int argc, char **argv)
{
  static const gchar *const files[] = { "clip.safetensors", "wan.safetensors", "shapes.safetensors", "config.json" };
  int status;

  scratch = g_dir_make_tmp ("sora-test-XXXXXX", NULL);
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/clip-encoder/picture", test_picture);
  g_test_add_data_func ("/clip-encoder/packed", "packed", test_encoder);
  g_test_add_data_func ("/clip-encoder/clblast", "clblast", test_encoder);
  g_test_add_data_func ("/clip-encoder/memory/packed", "packed", test_memory);
  g_test_add_data_func ("/clip-encoder/memory/clblast", "clblast", test_memory);
  g_test_add_func ("/clip-encoder/wans-names", test_wans_names);
  g_test_add_func ("/clip-encoder/shapes", test_shapes);
  g_test_add_func ("/clip-encoder/no-patches", test_no_patches);
  status = g_test_run ();
  for (guint i = 0; i < G_N_ELEMENTS (files); i++) {
    g_autofree gchar *path = g_build_filename (scratch, files[i], NULL);
    g_unlink (path);
  }
  g_rmdir (scratch);
  g_free (scratch);
  return status;
}
