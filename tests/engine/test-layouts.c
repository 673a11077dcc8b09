/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One small random model in every layout: the same frames from each; and what is missing, contradicts itself or cannot be run is one clear
 * error. */
#include <glib/gstdio.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "layout-support.h"
#include "model-private.h"
#include "stream-support.h"

#define WEIGHTS "diffusion_pytorch_model.safetensors"

/* --- the same frames ------------------------------------------------------------------------------------------- */

static SoraBlock *
generate (SoraModel *model)
{
  g_autoptr (SoraStreamOptions) options = default_options ();
  g_autoptr (SoraStream) stream = NULL;

  sora_stream_options_set_size (options, 32, 16);
  sora_stream_options_set_steps (options, 2);
  sora_stream_options_set_length (options, 5);
  stream = open_stream (model, options);
  return pull (stream);
}

static void
assert_same (SoraModel *model, SoraBlock *expected, SoraLayout layout)
{
  g_autoptr (SoraBlock) block = generate (model);

  g_assert_cmpint (model->parts.layout, ==, layout);
  g_assert_true (same_frames (block, expected));
}

/* Most of the first frame's bytes are unlike the first, else sameness would say little. */
static void
assert_varied (SoraBlock *block)
{
  const guint8 *rgb = sora_block_get_rgb (block, 0);
  guint n_unlike = 0;

  for (guint i = 1; i < 3 * 32 * 16; i++)
    n_unlike += rgb[i] != rgb[0];
  g_assert_cmpuint (n_unlike, >, 1000);
}

static void
test_same_frames (void)
{
  g_autofree gchar *diffusers = g_build_filename (scratch, "diffusers", NULL), *wan = g_build_filename (scratch, "wan", NULL);
  g_autofree gchar *comfy = g_build_filename (scratch, "comfy", COMFY_FILE, NULL);
  g_autofree gchar *alone = place ("alone", "file.bin"), *encoder = g_build_filename (diffusers, "text_encoder", NULL);
  g_autofree gchar *vae = g_build_filename (diffusers, "vae", NULL), *tokenizer = g_build_filename (diffusers, "tokenizer", "spiece.model", NULL);
  g_autoptr (SoraModel) reference = NULL, of_wan = NULL, of_comfy = NULL, named = NULL;
  g_autoptr (SoraBlock) expected = NULL;
  g_autoptr (GError) error = NULL;

  put_diffusers ("diffusers");
  reference = open_model (diffusers);
  expected = generate (reference);
  g_assert_cmpuint (sora_block_get_n_frames (expected), ==, 5);
  assert_varied (expected);

  put_wan ("wan");
  of_wan = open_model (wan);
  assert_same (of_wan, expected, SORA_LAYOUT_WAN);
  g_assert_cmpstr (sora_model_get_name (of_wan), ==, "wan");

  put_comfy ("comfy");
  of_comfy = open_model (comfy);
  assert_same (of_comfy, expected, SORA_LAYOUT_FILES);
  g_assert_cmpstr (sora_model_get_name (of_comfy), ==, "tiny_t2v");
  g_assert_true (g_str_has_suffix (of_comfy->parts.vae.weights, "vae_approx/taew2_1.safetensors"));

  put_transformer ("alone", "file.bin", "", TRUE);
  named = sora_model_open_parts (alone, encoder, vae, tokenizer, &error);
  g_assert_no_error (error);
  assert_same (named, expected, SORA_LAYOUT_FILES);
}

/* A transformer of 16 channels, and Wan's VAE without a config.json in ComfyUI's folder for VAEs */
static void
test_wan_vae_file (void)
{
  g_autofree gchar *path = place ("wan-vae-file", COMFY_FILE), *vae = place ("wan-vae-file", "vae/wan_2.1_vae.safetensors");
  g_autofree gchar *shapes = golden_path ("wan-vae-16.json"), *text = NULL;
  g_autoptr (SoraModel) model = NULL;
  g_autoptr (SoraBlock) block = NULL;
  Tensor wide[G_N_ELEMENTS (transformer)];

  memcpy (wide, transformer, sizeof (wide));
  for (guint i = 0; i < G_N_ELEMENTS (wide); i++) {
    if (g_str_equal (wide[i].ours, "patch_embedding.weight"))
      wide[i].shape[1] = 16;
    else if (g_str_has_prefix (wide[i].ours, "proj_out."))
      wide[i].shape[0] = 64;
  }
  put_weights ("wan-vae-file", COMFY_FILE, wide, G_N_ELEMENTS (wide), "", TRUE, NULL);
  put_tiny ("wan-vae-file", "text_encoders/umt5_tiny.safetensors", "text_encoder/model.safetensors");
  put_tiny ("wan-vae-file", "text_encoders/spiece.model", "tokenizer/spiece.model");
  sora_test_draw_weights (shapes, vae, NULL);
  model = open_model (path);
  text = sora_model_describe (model);
  g_assert_nonnull (strstr (text, "VAE           Wan, 16 channels, a latent covers 8x8 pixels of 4 frames"));
  block = generate (model);
  g_assert_cmpuint (sora_block_get_n_frames (block), ==, 5);
  assert_varied (block);
}

/* The tiny text encoder with one more tensor of bytes behind all others: @data, or a hole */
static void
put_encoder_with (const gchar *model, const gchar *name, const gchar *extra, const gchar *data, gsize n_extra)
{
  g_autofree gchar *path = place (model, name), *weights = NULL, *weights_path = golden_path ("tiny-model/text_encoder/model.safetensors");
  g_autoptr (GString) header = NULL, file = g_string_new (NULL);
  gsize size, n_data;
  guint64 length;

  g_assert_true (g_file_get_contents (weights_path, &weights, &size, NULL));
  memcpy (&length, weights, 8);
  length = GUINT64_FROM_LE (length);
  n_data = size - 8 - length;
  header = g_string_new_len (weights + 8, length);
  g_string_truncate (header, strrchr (header->str, '}') - header->str);
  g_string_append_printf (header, ",\"%s\":{\"dtype\":\"%s\",\"shape\":[%" G_GSIZE_FORMAT "],\"data_offsets\":[%" G_GSIZE_FORMAT
      ",%" G_GSIZE_FORMAT "]}}", extra, data ? "U8" : "F8_E4M3", n_extra, n_data, n_data + n_extra);
  length = GUINT64_TO_LE (header->len);
  g_string_append_len (file, (gchar *) &length, 8);
  g_string_append_len (file, header->str, header->len);
  g_string_append_len (file, weights + size - n_data, n_data);
  g_assert_true (g_file_set_contents (path, file->str, file->len, NULL));
  if (data) {
    g_string_append_len (file, data, n_extra);
    g_assert_true (g_file_set_contents (path, file->str, file->len, NULL));
  } else {
    g_assert_cmpint (truncate (path, file->len + n_extra), ==, 0);
  }
}

/* With the tokenizer */
static void
put_encoder_with_tokenizer (const gchar *model, const gchar *name)
{
  g_autofree gchar *pieces = NULL, *path = golden_path ("tiny-model/tokenizer/spiece.model");
  gsize n;

  g_assert_true (g_file_get_contents (path, &pieces, &n, NULL));
  put_encoder_with (model, name, "spiece_model", pieces, n);
}

/* Unless one asks for another policy, a text encoder is kept on the device if its file is small, and gone once the prompt is encoded if it would take more
 * than 1 GiB as fp32, which a tensor that is asked for by nobody makes it do. */
static void
test_large_encoder (void)
{
  for (guint is_large = 0; is_large < 2; is_large++) {
    g_autofree gchar *path = g_build_filename (scratch, "large-encoder", NULL);
    g_autoptr (SoraStreamOptions) options = default_options ();
    g_autoptr (SoraModel) model = NULL;
    g_autoptr (SoraStream) stream = NULL;

    put_wan ("large-encoder");
    if (is_large)
      put_encoder_with ("large-encoder", "models_t5_umt5-xxl-enc-bf16.pth", "unused", NULL, 300000000);
    model = open_model (path);
    sora_stream_options_set_size (options, 32, 16);
    sora_stream_options_set_steps (options, 1);
    sora_stream_options_set_length (options, 1);
    stream = open_stream (model, options);
    g_assert_true ((find_resident (model, SORA_PART_TEXT_ENCODER) == NULL) == is_large);
    sora_block_unref (pull (stream));
    g_assert_true ((find_resident (model, SORA_PART_TEXT_ENCODER) == NULL) == is_large);
  }
}

static void
test_tokenizer_inside (void)
{
  g_autofree gchar *path = g_build_filename (scratch, "inside", NULL), *reference_path = golden_path ("tiny-model/tokenizer/spiece.model");
  g_autofree gchar *pieces = g_build_filename (path, "google", "umt5-xxl", "spiece.model", NULL);
  g_autoptr (SoraTokenizer) reference = sora_tokenizer_new (reference_path, NULL);
  g_autofree gint32 *tokens = NULL, *expected = NULL;
  g_autoptr (SoraModel) model = NULL;
  guint n, n_expected;

  put_wan ("inside");
  put_encoder_with_tokenizer ("inside", "models_t5_umt5-xxl-enc-bf16.pth");
  g_assert_cmpint (g_unlink (pieces), ==, 0);
  model = open_model (path);
  tokens = sora_tokenizer_encode (model->tokenizer, PROMPT, 64, &n, NULL);
  expected = sora_tokenizer_encode (reference, PROMPT, 64, &n_expected, NULL);
  g_assert_cmpmem (tokens, n * sizeof (*tokens), expected, n_expected * sizeof (*expected));
  g_assert_cmpuint (n, >, 3);
}

/* A text encoder in GGUF, whose metadata have the tokenizer in pieces: the same frames as with files of their own. */
static void
test_tokenizer_in_gguf (void)
{
  g_autofree gchar *with = g_build_filename (scratch, "with-gguf", NULL), *without = g_build_filename (scratch, "without-gguf", NULL);
  g_autofree gchar *pieces = place ("with-gguf", "google/umt5-xxl/spiece.model"), *encoder = place ("with-gguf", "umt5-tiny-encoder.gguf");
  g_autofree gchar *other = place ("with-gguf", "models_t5_umt5-xxl-enc-bf16.pth"), *text = NULL;
  g_autoptr (SoraModel) model = NULL, reference = NULL;
  g_autoptr (SoraBlock) expected = NULL;

  put_wan ("without-gguf");
  put_wan ("with-gguf");
  put_golden ("with-gguf", "umt5-tiny-encoder.gguf", "text-encoder-tiny.gguf");
  g_assert_cmpint (g_unlink (pieces), ==, 0);
  g_assert_cmpint (g_unlink (other), ==, 0);
  reference = open_model (without);
  expected = generate (reference);
  model = open_model (with);
  g_assert_cmpstr (model->parts.tokenizer, ==, encoder);
  text = sora_model_describe (model);
  g_assert_nonnull (strstr (text, "up to 512 tokens; prompts cleaned as Wan's\n              "));
  assert_same (model, expected, SORA_LAYOUT_WAN);
}

/* Keeps the tokens of the negative prompt. */
static void
on_negative_tokens (const gchar *name, const gfloat *data, const gint64 *shape, guint n_dims, gpointer user_data)
{
  if (g_str_equal (name, "negative_tokens"))
    g_array_append_vals (user_data, data, shape[0]);
}

/* (transfer full) (element-type gfloat): of what @model makes with the negative prompt @text, or without any said */
static GArray *
get_negative_tokens (SoraModel *model, const gchar *text)
{
  g_autoptr (SoraStreamOptions) options = default_options ();
  GArray *tokens = g_array_new (FALSE, FALSE, sizeof (gfloat));
  g_autoptr (SoraStream) stream = NULL;

  sora_stream_options_set_negative_prompt (options, text);
  sora_stream_options_set_guidance_scale (options, 2);
  sora_stream_options_set_size (options, 32, 32);
  sora_stream_options_set_steps (options, 1);
  sora_stream_options_set_length (options, 1);
  stream = open_stream (model, options);
  sora_stream_set_tap (stream, on_negative_tokens, tokens);
  sora_block_unref (pull (stream));
  return tokens;
}

/* A Wan is led away from its makers' list of flaws unless another text is given, or an empty one; a model of ours from nothing. */
static void
test_negative_prompt (void)
{
  g_autofree gchar *path = g_build_filename (scratch, "negative", NULL);
  g_autoptr (SoraModel) model = NULL, tiny = open_tiny_model ();
  g_autoptr (GArray) usual = NULL, none = NULL, of_tiny = NULL;
  const gchar *text;
  guint n;

  put_wan ("negative");
  model = open_model (path);
  text = sora_model_get_negative_prompt (model);
  g_assert_true (g_str_has_prefix (text, "色调艳丽，过曝，静态，"));
  g_assert_true (g_str_has_suffix (text, "，背景人很多，倒着走"));
  g_autofree gint32 *tokens = sora_tokenizer_encode (model->tokenizer, text, 512, &n, NULL);
  g_assert_cmpuint (n, >, 2);   /* the tiny vocabulary has one piece for all that it does not know */
  usual = get_negative_tokens (model, NULL);
  g_assert_cmpuint (usual->len, ==, n);
  for (guint i = 0; i < n; i++)
    g_assert_cmpfloat (g_array_index (usual, gfloat, i), ==, tokens[i]);
  none = get_negative_tokens (model, "");
  g_assert_cmpuint (none->len, ==, 1);
  of_tiny = get_negative_tokens (tiny, NULL);
  g_assert_cmpuint (of_tiny->len, ==, 1);
}

/* A named part of a model that has one of its own */
static void
test_replaced_part (void)
{
  g_autofree gchar *diffusers = g_build_filename (scratch, "diffusers", NULL), *vae = place ("replaced", "taew2_1.safetensors");
  g_autoptr (GError) error = NULL;
  g_autoptr (SoraModel) model = NULL;

  put_diffusers ("diffusers");
  put_taehv ("replaced", "taew2_1.safetensors");
  model = sora_model_open_parts (diffusers, "", vae, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (sora_weight_file_get_path (model->vae_file), ==, vae);
  g_assert_cmpuint (model->vae.spatial_scale, ==, 8);
  g_assert_cmpuint (model->vae.time_scale, ==, 4);
  g_assert_cmpuint (model->vae.frames_to_trim, ==, 3);
}

/* --- what Wan's config.json says ------------------------------------------------------------------------------- */

/* Of shards, the index counts as the file. */
static void
test_shards (gconstpointer is_diffusers)
{
  const gchar *name = is_diffusers ? "shards-diffusers" : "shards", *folder = is_diffusers ? "transformer/" : "";
  g_autofree gchar *whole_name = g_strconcat (folder, WEIGHTS, NULL), *index_name = g_strconcat (folder, WEIGHTS ".index.json", NULL);
  g_autofree gchar *shard_name = g_strconcat (folder, "diffusion_pytorch_model-00001-of-00001-bf16.safetensors", NULL);
  g_autofree gchar *path = g_build_filename (scratch, name, NULL), *whole = place (name, whole_name), *shard = place (name, shard_name);
  g_autoptr (GString) index = g_string_new ("{\"weight_map\": {");
  g_autoptr (SoraModel) model = NULL;

  if (is_diffusers)
    put_diffusers (name);
  else
    put_wan (name);
  g_assert_cmpint (g_rename (whole, shard), ==, 0);
  for (guint i = 0; i < G_N_ELEMENTS (transformer); i++)
    g_string_append_printf (index, "%s\"%s\": \"diffusion_pytorch_model-00001-of-00001-bf16.safetensors\"", i > 0 ? ", " : "",
        is_diffusers ? transformer[i].ours : transformer[i].wans);
  g_string_append (index, "}}");
  put_text (name, index_name, index->str);
  model = open_model (path);
  g_assert_cmpint (model->parts.layout, ==, is_diffusers ? SORA_LAYOUT_DIFFUSERS : SORA_LAYOUT_WAN);
  g_assert_true (g_str_has_suffix (model->parts.transformer.weights, ".index.json"));
}

/* Files of every ending are looked at, and no others. */
static void
test_endings (void)
{
  static const gchar *const names[] = { "a.safetensors", "a.gguf", "a.pth", "a.pt", "a.ckpt" };

  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    g_autofree gchar *model = g_strconcat ("ending-", names[i], NULL), *path = g_build_filename (scratch, model, NULL);
    const SoraModelFiles files = { .path = path };
    g_auto (SoraModelParts) parts = { 0 };

    put_transformer (model, names[i], "", TRUE);
    g_assert_cmpint (sora_model_parts_find (&parts, &files, NULL), ==, i < 4);
  }
}

/* Heads are what shapes do not tell. */
static void
test_heads (void)
{
  g_autofree gchar *path = g_build_filename (scratch, "heads", NULL);
  g_autoptr (SoraModel) model = NULL;

  put_wan ("heads");
  replace_in_file (path, "config.json", "\"num_heads\": 1", "\"num_heads\": 2");
  replace_in_file (path, "config.json", "\"text_len\": 512", "\"text_len\": 77");
  replace_in_file (path, "config.json", "\"t2v\"", "\"flf2v\"");    /* says nothing more */
  model = open_model (path);
  g_assert_cmpuint (model->transformer.num_attention_heads, ==, 2);
  g_assert_cmpuint (model->transformer.attention_head_dim, ==, 64);
  g_assert_cmpuint (model->streaming.text_length, ==, 77);
}

static void
assert_refused (const gchar *path, gint code, const gchar *file, const gchar *words)
{
  g_autoptr (GError) error = NULL;
  SoraModel *model = sora_model_open (path, &error);

  if (model)
    g_error ("%s opened; expected \"%s\"", path, words);
  g_test_message ("%s", error->message);
  g_assert_error (error, SORA_MODEL_ERROR, code);
  if (!strstr (error->message, file) || !strstr (error->message, words))
    g_error ("expected \"%s\" and \"%s\" in \"%s\"", file, words, error->message);
}

static void
test_contradictions (void)
{
  static const struct {
    const gchar *from, *to, *words;
    gint code;
  } faults[] = {
    { "\"dim\": 128", "\"dim\": 256", "\"dim\" is 256, but the tensors", SORA_MODEL_ERROR_FORMAT },
    { "\"ffn_dim\": 48", "\"ffn_dim\": 40", "\"ffn_dim\" is 40, but the tensors", SORA_MODEL_ERROR_FORMAT },
    { "\"freq_dim\": 32", "\"freq_dim\": 34", "make it 32", SORA_MODEL_ERROR_FORMAT },
    { "\"num_layers\": 1", "\"num_layers\": 2", "make it 1", SORA_MODEL_ERROR_FORMAT },
    { "\"in_dim\": 4", "\"in_dim\": 36", "\"in_dim\" is 36", SORA_MODEL_ERROR_FORMAT },
    { "\"text_len\": 512", "\"text_dim\": 4096", "\"text_dim\" is 4096", SORA_MODEL_ERROR_FORMAT },
    { "\"out_dim\": 4", "\"out_dim\": 5", "\"out_dim\" is 5", SORA_MODEL_ERROR_FORMAT },
    { "\"num_heads\": 1", "\"num_heads\": 3", "\"num_heads\" is 3, which does not divide", SORA_MODEL_ERROR_FORMAT },
    { "\"t2v\"", "\"vace\"", "\"vace\" model is not supported", SORA_MODEL_ERROR_UNSUPPORTED },
    { "\"t2v\"", "5", "model_type", SORA_MODEL_ERROR_FORMAT },
  };
  g_autofree gchar *path = g_build_filename (scratch, "faulty", NULL);

  for (guint i = 0; i < G_N_ELEMENTS (faults); i++) {
    put_wan ("faulty");
    replace_in_file (path, "config.json", faults[i].from, faults[i].to);
    assert_refused (path, faults[i].code, path, faults[i].words);
  }
}

/* --- what is missing, or cannot be run ------------------------------------------------------------------------- */

static void
test_missing (void)
{
  static const struct {
    const gchar *name, *words;
  } parts[] = {
    { "models_t5_umt5-xxl-enc-bf16.pth", "the text encoder is missing" }, { "taew2_1.pth", "the VAE is missing" },
    { "google/umt5-xxl/spiece.model", "the tokenizer is missing" },
    { "diffusion_pytorch_model.safetensors", "no file in it is a Wan transformer" },
  };
  g_autofree gchar *path = g_build_filename (scratch, "incomplete", NULL);

  for (guint i = 0; i < G_N_ELEMENTS (parts); i++) {
    g_autofree gchar *file = g_build_filename (path, parts[i].name, NULL);
    put_wan ("incomplete");
    g_assert_cmpint (g_unlink (file), ==, 0);
    assert_refused (path, SORA_MODEL_ERROR_NOT_FOUND, path, parts[i].words);
  }
}

static void
put_parts (const gchar *model)
{
  put_tiny (model, "models_t5_umt5-xxl-enc-bf16.pth", "text_encoder/model.safetensors");
  put_taehv (model, "taew2_1.pth");
  put_tiny (model, "google/umt5-xxl/spiece.model", "tokenizer/spiece.model");
}

/* Transformers of other kinds, told by a tensor more or by shapes */
static void
test_variants (void)
{
  static const struct {
    Tensor extra;
    gint code;
    const gchar *words;
  } variants[] = {
    { { "", "img_emb.proj.0.weight", 1, { 8 } }, SORA_MODEL_ERROR_WEIGHT, "tensor \"img_emb.proj.1.weight\"" },
    { { "", "blocks.0.cross_attn.k_img.weight", 2, { 8, 8 } }, SORA_MODEL_ERROR_WEIGHT, "tensor \"img_emb.proj.1.weight\"" },
    { { "", "vace_patch_embedding.weight", 2, { 8, 8 } }, SORA_MODEL_ERROR_UNSUPPORTED, "VACE" },
  };
  g_autofree gchar *path = place ("variant", "x.safetensors"), *folder = g_path_get_dirname (path);
  Tensor wide[G_N_ELEMENTS (transformer)];

  put_parts ("variant");
  for (guint i = 0; i < G_N_ELEMENTS (variants); i++) {
    put_weights ("variant", "x.safetensors", transformer, G_N_ELEMENTS (transformer), "", TRUE, &variants[i].extra);
    assert_refused (path, variants[i].code, path, variants[i].words);
  }
  memcpy (wide, transformer, sizeof (wide));
  wide[0].shape[1] = 36;
  put_weights ("variant", "x.safetensors", wide, G_N_ELEMENTS (wide), "", TRUE, NULL);
  assert_refused (path, SORA_MODEL_ERROR_UNSUPPORTED, folder, "in_channels is 36");
  put_weights ("variant", "x.safetensors", transformer, G_N_ELEMENTS (transformer) - 1, "", FALSE, NULL);
  assert_refused (path, SORA_MODEL_ERROR_UNSUPPORTED, path, "expected a Wan transformer, found nothing that belongs to a Wan model: the first of its 41 tensors is \"blocks.0.attn1");
  put_taehv ("variant", "x.safetensors");
  assert_refused (path, SORA_MODEL_ERROR_UNSUPPORTED, path, "expected a Wan transformer, found a TAEHV; name the transformer as the model");
}

/* (transfer full): opens @model/@name; its transformers must be @high and @low. */
static SoraModel *
open_experts (const gchar *model, const gchar *name, const gchar *high, const gchar *low)
{
  g_autofree gchar *path = g_build_filename (scratch, model, name, NULL), *first = g_build_filename (scratch, model, high, NULL);
  g_autofree gchar *second = g_build_filename (scratch, model, low, NULL);
  SoraModel *opened = open_model (path);

  g_assert_cmpstr (opened->parts.transformer.weights, ==, first);
  g_assert_cmpstr (opened->parts.transformer_2.weights, ==, second);
  g_assert_cmpfloat (opened->streaming.boundary_ratio, ==, 0.875);
  g_assert_cmpfloat (opened->streaming.shift, ==, 12);
  g_assert_cmpfloat (opened->streaming.guidance_scale, ==, 4);
  g_assert_cmpfloat (opened->streaming.guidance_scale_2, ==, 3);
  g_assert_cmpuint (opened->streaming.steps, ==, 40);
  return opened;
}

/* Wan's own folder, by itself or by one of its experts' */
static void
test_experts_in_folders (void)
{
  g_autoptr (SoraModel) whole = NULL, high = NULL, low = NULL;
  g_autofree gchar *text = NULL;

  put_transformer ("a14b", "high_noise_model/" WEIGHTS, "", TRUE);
  put_transformer ("a14b", "low_noise_model/" WEIGHTS, "", TRUE);
  put_text ("a14b", "high_noise_model/config.json", wan_config);
  put_text ("a14b", "low_noise_model/config.json", wan_config);
  put_parts ("a14b");
  whole = open_experts ("a14b", ".", "high_noise_model/" WEIGHTS, "low_noise_model/" WEIGHTS);
  g_assert_cmpint (whole->parts.layout, ==, SORA_LAYOUT_WAN);
  high = open_experts ("a14b", "high_noise_model", "high_noise_model/" WEIGHTS, "low_noise_model/" WEIGHTS);
  low = open_experts ("a14b", "low_noise_model", "high_noise_model/" WEIGHTS, "low_noise_model/" WEIGHTS);
  text = sora_model_describe (low);
  g_assert_nonnull (strstr (text, "kind          text to video, two experts\n"));
  g_assert_nonnull (strstr (text, "for timesteps below 875: "));
}

/* Single files are found by each other's names; or their folder, if nothing else is in it. */
static void
test_experts_in_files (void)
{
  static const gchar *const names[][2] = {
    { "wan2.2_t2v_high_noise_14B_fp8.safetensors", "wan2.2_t2v_low_noise_14B_fp8.safetensors" },
    { "HighNoise/Wan2.2-T2V-A14B-HighNoise-Q4_K_M.gguf", "LowNoise/Wan2.2-T2V-A14B-LowNoise-Q4_K_M.gguf" },
    { "Wan2_2-T2V-A14B_HIGH_fp8_e4m3fn.safetensors", "Wan2_2-T2V-A14B-LOW_fp8_e4m3fn.safetensors" },   /* one published so */
    { "A_HIGH.safetensors", "B-LOW.safetensors" },
  };
  g_autofree gchar *lone = place ("pair-3", names[3][0]), *second = place ("pair-3", names[3][1]);
  SoraModelFiles files = { .path = lone };
  g_autoptr (SoraModel) named = NULL;
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    g_autofree gchar *model = g_strdup_printf ("pair-%u", i);
    put_transformer (model, names[i][0], "", TRUE);
    put_transformer (model, names[i][1], "", TRUE);
    put_parts (model);
    for (guint j = 0; j < 2 && i < 3; j++)
      sora_model_unref (open_experts (model, names[i][j], names[i][0], names[i][1]));
  }
  sora_model_unref (open_experts ("pair-0", ".", "wan2.2_t2v_high_noise_14B_fp8.safetensors",
          "wan2.2_t2v_low_noise_14B_fp8.safetensors"));
  sora_model_unref (open_experts ("pair-2", ".", "Wan2_2-T2V-A14B_HIGH_fp8_e4m3fn.safetensors",
          "Wan2_2-T2V-A14B-LOW_fp8_e4m3fn.safetensors"));
  assert_refused (lone, SORA_MODEL_ERROR_NOT_FOUND, lone, "there is no");
  files.transformer_2 = second;
  named = sora_model_open_files (&files, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (named->parts.transformer_2.weights, ==, second);
  files = (SoraModelFiles) { .path = second, .transformer_2 = lone };
  g_assert_null (sora_model_open_files (&files, &error));
  g_assert_error (error, SORA_MODEL_ERROR, SORA_MODEL_ERROR_UNSUPPORTED);
  g_assert_nonnull (strstr (error->message, "by its name the expert for low noise"));
}

/* Paths that do not begin at the root say too little of their folders as they are. */
static void
test_relative_paths (void)
{
  static const struct { const gchar *folder, *path; } table[] = {
    { "", "near" }, { "", "near/high_noise_model" }, { "near", "." }, { "near/high_noise_model", "." },
    { "near/low_noise_model", WEIGHTS }, { "", "pair-near" }, { "pair-near", "." }, { "pair-near", "a_high_noise.gguf" },
    { "pair-near/..", "pair-near/../pair-near/a_low_noise.gguf" },
  };
  g_autofree gchar *before = g_get_current_dir ();

  for (guint i = 0; i < 2; i++) {
    put_transformer ("near", i ? "low_noise_model/" WEIGHTS : "high_noise_model/" WEIGHTS, "", TRUE);
    put_text ("near", i ? "low_noise_model/config.json" : "high_noise_model/config.json", wan_config);
    put_transformer ("pair-near", i ? "a_low_noise.gguf" : "a_high_noise.gguf", "", TRUE);
  }
  put_parts ("near");
  put_parts ("pair-near");
  for (guint i = 0; i < G_N_ELEMENTS (table); i++) {
    g_autofree gchar *folder = g_build_filename (scratch, table[i].folder, NULL);
    g_autoptr (SoraModel) model = NULL;

    g_assert_cmpint (g_chdir (folder), ==, 0);
    model = open_model (table[i].path);
    g_assert_nonnull (strstr (model->parts.transformer.weights, "high_noise"));
    g_assert_nonnull (strstr (model->parts.transformer_2.weights, "low_noise"));
  }
  g_assert_cmpint (g_chdir (before), ==, 0);
}

/* Experts of different shapes, and one that model_index.json has but the folder has not */
static void
test_unequal_experts (void)
{
  g_autofree gchar *path = g_build_filename (scratch, "unequal", NULL), *second = place ("unequal", "transformer_2/" WEIGHTS);
  Tensor wide[G_N_ELEMENTS (transformer)];

  put_diffusers ("unequal");
  put_text ("unequal", "model_index.json", "{\"_class_name\": \"WanPipeline\", \"boundary_ratio\": 0.5,"
      "\"transformer_2\": [\"diffusers\", \"WanTransformer3DModel\"]}");
  assert_refused (path, SORA_MODEL_ERROR_NOT_FOUND, "model_index.json", "second transformer");
  put_text ("unequal", "transformer_2/config.json", transformer_config);
  replace_in_file (path, "transformer_2/config.json", "\"freq_dim\": 32", "\"freq_dim\": 34");
  memcpy (wide, transformer, sizeof (wide));
  for (guint i = 0; i < G_N_ELEMENTS (wide); i++) {
    if (g_str_equal (wide[i].ours, "condition_embedder.time_embedder.linear_1.weight"))
      wide[i].shape[1] = 34;
  }
  put_weights ("unequal", "transformer_2/" WEIGHTS, wide, G_N_ELEMENTS (wide), "", FALSE, NULL);
  assert_refused (path, SORA_MODEL_ERROR_UNSUPPORTED, second, "the two experts differ: freq_dim of");
}

#define IMAGE_DIM 80            /* a head of CLIP's */

/* What an image-to-video transformer has more; the embedder's linears first */
static const Tensor image_attention[] = {
  LINEAR ("condition_embedder.image_embedder.ff.net.0.proj", "img_emb.proj.1", IMAGE_DIM, IMAGE_DIM),
  LINEAR ("condition_embedder.image_embedder.ff.net.2", "img_emb.proj.3", DIM, IMAGE_DIM),
  { "condition_embedder.image_embedder.norm1.weight", "img_emb.proj.0.weight", 1, { IMAGE_DIM } },
  { "condition_embedder.image_embedder.norm1.bias", "img_emb.proj.0.bias", 1, { IMAGE_DIM } },
  { "condition_embedder.image_embedder.norm2.weight", "img_emb.proj.4.weight", 1, { DIM } },
  { "condition_embedder.image_embedder.norm2.bias", "img_emb.proj.4.bias", 1, { DIM } },
  LINEAR ("blocks.0.attn2.add_k_proj", "blocks.0.cross_attn.k_img", DIM, DIM),
  LINEAR ("blocks.0.attn2.add_v_proj", "blocks.0.cross_attn.v_img", DIM, DIM),
  { "blocks.0.attn2.norm_added_k.weight", "blocks.0.cross_attn.norm_k_img.weight", 1, { DIM } },
};

/* Of two layers one is run; of the other the first tensor counts. */
static const Tensor clip[] = {
  { "embeddings.class_embedding", "visual.cls_embedding", 3, { 1, 1, IMAGE_DIM } },
  { "embeddings.position_embedding.weight", "visual.pos_embedding", 3, { 1, 5, IMAGE_DIM } },
  { "embeddings.patch_embedding.weight", "visual.patch_embedding.weight", 4, { IMAGE_DIM, 3, 14, 14 } },
  { "pre_layrnorm.weight", "visual.pre_norm.weight", 1, { IMAGE_DIM } }, { "pre_layrnorm.bias", "visual.pre_norm.bias", 1, { IMAGE_DIM } },
  { "encoder.layers.0.layer_norm1.weight", "visual.transformer.0.norm1.weight", 1, { IMAGE_DIM } },
  { "encoder.layers.0.layer_norm1.bias", "visual.transformer.0.norm1.bias", 1, { IMAGE_DIM } },
  LINEAR ("encoder.layers.0.self_attn.qkv_proj", "visual.transformer.0.attn.to_qkv", 3 * IMAGE_DIM, IMAGE_DIM),
  LINEAR ("encoder.layers.0.self_attn.out_proj", "visual.transformer.0.attn.proj", IMAGE_DIM, IMAGE_DIM),
  { "encoder.layers.0.layer_norm2.weight", "visual.transformer.0.norm2.weight", 1, { IMAGE_DIM } },
  { "encoder.layers.0.layer_norm2.bias", "visual.transformer.0.norm2.bias", 1, { IMAGE_DIM } },
  LINEAR ("encoder.layers.0.mlp.fc1", "visual.transformer.0.mlp.0", FFN, IMAGE_DIM),
  LINEAR ("encoder.layers.0.mlp.fc2", "visual.transformer.0.mlp.2", IMAGE_DIM, FFN),
  { "encoder.layers.1.layer_norm1.weight", "visual.transformer.1.norm1.weight", 1, { IMAGE_DIM } },
  { "text", "textual.token_embedding.weight", 2, { 3, 3 } },
};

static void
put_image_transformer (const gchar *model, const gchar *name, const gchar *prefix, gboolean wans)
{
  Tensor tensors[G_N_ELEMENTS (transformer) + G_N_ELEMENTS (image_attention)];

  memcpy (tensors, transformer, sizeof (transformer));
  memcpy (tensors + G_N_ELEMENTS (transformer), image_attention, sizeof (image_attention));
  tensors[0].shape[1] = 3 * CHANNELS;   /* with a VAE of 4 frames a latent */
  put_weights (model, name, tensors, G_N_ELEMENTS (tensors), prefix, wans, NULL);
}

#define WANS_CLIP "models_clip_open-clip-xlm-roberta-large-vit-huge-14.pth"

/* Wan's own folder of an image-to-video model, and ComfyUI's folders with it, give the same frames; without CLIP both say what is missing. */
static void
test_image_to_video (void)
{
  g_autofree gchar *wan = g_build_filename (scratch, "wan-i2v", NULL), *clip_path = place ("wan-i2v", WANS_CLIP);
  g_autofree gchar *comfy = place ("comfy-i2v", "diffusion_models/i2v.safetensors");
  g_autofree gchar *other_clip = place ("some-clip", "vision.bin");
  g_autofree guint8 *rgb = g_malloc (3 * 32 * 16);
  g_autoptr (SoraModel) of_wan = NULL, of_comfy = NULL, named = NULL;
  g_autoptr (GError) error = NULL;
  SoraModelFiles files;
  g_autoptr (SoraStreamOptions) options = default_options ();

  put_text ("wan-i2v", "config.json", wan_config);
  replace_in_file (wan, "config.json", "\"in_dim\": 4", "\"in_dim\": 12");
  replace_in_file (wan, "config.json", "\"t2v\"", "\"i2v\"");
  put_image_transformer ("wan-i2v", "diffusion_pytorch_model.safetensors", "", TRUE);
  put_parts ("wan-i2v");
  assert_refused (wan, SORA_MODEL_ERROR_NOT_FOUND, wan, "the image encoder is missing");
  put_weights ("wan-i2v", WANS_CLIP, clip, G_N_ELEMENTS (clip), "", TRUE, NULL);
  of_wan = open_model (wan);
  g_assert_cmpstr (of_wan->parts.image_encoder.weights, ==, clip_path);
  g_assert_cmpuint (of_wan->image_encoder.image_size, ==, 28);
  put_weights ("some-clip", "vision.bin", clip, G_N_ELEMENTS (clip), "", FALSE, NULL);
  files = (SoraModelFiles) { .path = wan, .image_encoder = other_clip };
  named = sora_model_open_files (&files, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (named->parts.image_encoder.weights, ==, other_clip);

  put_image_transformer ("comfy-i2v", "diffusion_models/i2v.safetensors", "model.diffusion_model.", TRUE);
  put_tiny ("comfy-i2v", "text_encoders/umt5.safetensors", "text_encoder/model.safetensors");
  put_tiny ("comfy-i2v", "text_encoders/spiece.model", "tokenizer/spiece.model");
  put_taehv ("comfy-i2v", "vae/taew2_1.safetensors");
  put_weights ("comfy-i2v", "clip_vision/clip_vision_h.safetensors", clip, G_N_ELEMENTS (clip), "", TRUE, NULL);
  of_comfy = open_model (comfy);
  g_assert_true (g_str_has_suffix (of_comfy->parts.image_encoder.weights, "clip_vision/clip_vision_h.safetensors"));

  for (guint i = 0; i < 3 * 32 * 16; i++)
    rgb[i] = i % 251;
  sora_stream_options_set_size (options, 32, 16);
  sora_stream_options_set_steps (options, 2);
  sora_stream_options_set_length (options, 5);
  sora_stream_options_set_image (options, rgb, 32, 16, 3 * 32);
  g_autoptr (SoraStream) one = open_stream (of_wan, options);
  g_autoptr (SoraStream) other = open_stream (of_comfy, options);
  assert_same_blocks (one, other, 1);
}

static void
test_several (void)
{
  g_autofree gchar *folder = g_build_filename (scratch, "several", NULL), *root = g_build_filename (scratch, "root", NULL);

  put_transformer ("several", "one.safetensors", "", TRUE);
  put_transformer ("several", "other.safetensors", "", TRUE);
  assert_refused (folder, SORA_MODEL_ERROR_UNSUPPORTED, "several/one.safetensors", "several/other.safetensors");
  put_comfy ("root");
  assert_refused (root, SORA_MODEL_ERROR_NOT_FOUND, root, COMFY_FILE);
}

static void
test_unreadable (void)
{
  g_autofree gchar *folder = g_build_filename (scratch, "unreadable", NULL);

  put_wan ("unreadable");
  put_text ("unreadable", "diffusion_pytorch_model.safetensors", "cut short");
  assert_refused (folder, SORA_MODEL_ERROR_FORMAT, "unreadable/diffusion_pytorch_model.safetensors", "not a weight file");
}

static void
assert_part_refused (const gchar *encoder, const gchar *vae, const gchar *tokenizer, gint code, const gchar *words)
{
  g_autofree gchar *path = g_build_filename (scratch, "parts", NULL);
  g_autoptr (GError) error = NULL;

  g_assert_null (sora_model_open_parts (path, encoder, vae, tokenizer, &error));
  g_assert_error (error, SORA_MODEL_ERROR, code);
  g_test_message ("%s", error->message);
  if (!strstr (error->message, words))
    g_error ("expected \"%s\" in \"%s\"", words, error->message);
}

/* As much of one as is recognised */
static const Tensor wan_vae[] = { { "decoder.middle.0.residual.0.gamma", "", 1, { 8 } }, { "conv2.weight", "", 5, { 4, 4, 1, 1, 1 } } };

static void
test_named_parts (void)
{
  g_autofree gchar *encoder = place ("parts", "models_t5_umt5-xxl-enc-bf16.pth"), *vae = place ("parts", "taew2_1.pth");
  g_autofree gchar *wans = place ("wan-vae", "Wan2.1_VAE.pth"), *folder = g_path_get_dirname (wans);

  g_autofree gchar *path = g_build_filename (scratch, "parts", NULL), *vae_folder = g_build_filename (scratch, "folders", "vae", NULL);
  g_autofree gchar *encoder_folder = g_build_filename (scratch, "folders", "text_encoder", NULL);
  g_autofree gchar *tokenizer_folder = g_build_filename (scratch, "folders", "tokenizer", NULL);
  g_autoptr (SoraModel) named = NULL;
  g_autoptr (GError) error = NULL;

  put_wan ("parts");
  put_weights ("wan-vae", "Wan2.1_VAE.pth", wan_vae, G_N_ELEMENTS (wan_vae), "", FALSE, NULL);
  assert_part_refused (vae, NULL, NULL, SORA_MODEL_ERROR_UNSUPPORTED, "expected a UMT5 text encoder, found a TAEHV");
  assert_part_refused (NULL, encoder, NULL, SORA_MODEL_ERROR_UNSUPPORTED, "expected a VAE, Wan's own or a TAEHV, found a UMT5");
  assert_part_refused (NULL, wans, NULL, SORA_MODEL_ERROR_WEIGHT, "Wan2.1_VAE.pth: tensor \"encoder.conv1.weight\": expected");
  assert_part_refused (NULL, folder, NULL, SORA_MODEL_ERROR_NOT_FOUND, "neither model.safetensors");
  assert_part_refused (NULL, NULL, vae, SORA_MODEL_ERROR_FORMAT, "not a sentencepiece model");
  assert_part_refused ("/nonexistent", NULL, NULL, SORA_MODEL_ERROR_NOT_FOUND, "/nonexistent");
  assert_part_refused (NULL, NULL, "/nonexistent", SORA_MODEL_ERROR_NOT_FOUND, "There is no file /nonexistent");
  put_diffusers ("folders");
  assert_part_refused (vae_folder, NULL, NULL, SORA_MODEL_ERROR_UNSUPPORTED, "expected a UMT5 text encoder, found a TAEHV");
  assert_part_refused (NULL, encoder_folder, NULL, SORA_MODEL_ERROR_UNSUPPORTED, "expected a VAE, Wan's own or a TAEHV, found a UMT5");
  assert_part_refused (NULL, NULL, vae_folder, SORA_MODEL_ERROR_NOT_FOUND, "vae has no spiece.model");
  named = sora_model_open_parts (path, encoder_folder, vae_folder, tokenizer_folder, &error);
  g_assert_no_error (error);
  g_assert_true (g_str_has_suffix (named->parts.tokenizer, "folders/tokenizer/spiece.model"));
}

/* Wan's own VAE is taken before a TAEHV if its name says whose it is, else after. */
static void
test_preferred_vae (void)
{
  static const struct {
    const gchar *wans, *taehv, *preferred;
  } folders[] = {
    { "Wan2.1_VAE.pth", "taew2_1.pth", "Wan2.1_VAE.pth" }, { "qwen_image_vae.safetensors", "taew2_1.pth", "taew2_1.pth" },
    { "some_vae.safetensors", NULL, "some_vae.safetensors" },
  };
  g_autofree gchar *path = g_build_filename (scratch, "preferred", NULL), *taehv = place ("preferred", "taew2_1.pth");

  for (guint i = 0; i < G_N_ELEMENTS (folders); i++) {
    g_autofree gchar *wans = place ("preferred", folders[i].wans), *preferred = place ("preferred", folders[i].preferred);
    const SoraModelFiles files = { .path = path };
    g_auto (SoraModelParts) parts = { 0 };
    g_autoptr (GError) error = NULL;

    put_wan ("preferred");
    put_weights ("preferred", folders[i].wans, wan_vae, G_N_ELEMENTS (wan_vae), "", FALSE, NULL);
    if (!folders[i].taehv)
      g_assert_cmpint (g_unlink (taehv), ==, 0);
    sora_model_parts_find (&parts, &files, &error);
    g_assert_no_error (error);
    g_assert_cmpstr (parts.vae.weights, ==, preferred);
    g_assert_cmpint (g_unlink (wans), ==, 0);
  }
}

static void
test_describe (void)
{
  g_autofree gchar *path = g_build_filename (scratch, "described", NULL), *vae = place ("described", "taew2_1.pth"), *text = NULL;
  const SoraModelFiles files = { .path = path };
  g_auto (SoraModelParts) parts = { 0 };
  g_autoptr (GError) error = NULL;

  put_wan ("described");
  g_assert_cmpint (g_unlink (vae), ==, 0);
  sora_model_parts_find (&parts, &files, &error);
  g_assert_no_error (error);
  text = sora_model_parts_describe (&parts);
  g_assert_nonnull (strstr (text, "layout        original Wan folder\n"));
  g_assert_nonnull (strstr (text, "transformer   Wan: "));
  g_assert_nonnull (strstr (text, "text encoder  a UMT5 text encoder: "));
  g_assert_nonnull (strstr (text, "BF16\n              "));
  g_assert_nonnull (strstr (text, "models_t5_umt5-xxl-enc-bf16.pth\n"));
  g_assert_nonnull (strstr (text, "VAE           missing\n"));
  g_assert_nonnull (strstr (text, "google/umt5-xxl/spiece.model\n"));
}

int
main (int argc, char **argv)
{
  int status;

  scratch = g_dir_make_tmp ("sora-test-XXXXXX", NULL);
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/layouts/replaced-part", test_replaced_part);
  g_test_add_func ("/layouts/negative-prompt", test_negative_prompt);
  g_test_add_func ("/layouts/large-encoder", test_large_encoder);
  g_test_add_func ("/layouts/tokenizer-inside", test_tokenizer_inside);
  g_test_add_func ("/layouts/tokenizer-in-gguf", test_tokenizer_in_gguf);
  g_test_add_data_func ("/layouts/shards/wan", NULL, test_shards);
  g_test_add_data_func ("/layouts/shards/diffusers", "", test_shards);
  g_test_add_func ("/layouts/endings", test_endings);
  g_test_add_func ("/layouts/heads", test_heads);
  g_test_add_func ("/layouts/contradictions", test_contradictions);
  g_test_add_func ("/layouts/missing", test_missing);
  g_test_add_func ("/layouts/variants", test_variants);
  g_test_add_func ("/layouts/experts/folders", test_experts_in_folders);
  g_test_add_func ("/layouts/experts/files", test_experts_in_files);
  g_test_add_func ("/layouts/experts/relative-paths", test_relative_paths);
  g_test_add_func ("/layouts/experts/unequal", test_unequal_experts);
  g_test_add_func ("/layouts/image-to-video", test_image_to_video);
  g_test_add_func ("/layouts/several", test_several);
  g_test_add_func ("/layouts/unreadable", test_unreadable);
  g_test_add_func ("/layouts/named-parts", test_named_parts);
  g_test_add_func ("/layouts/preferred-vae", test_preferred_vae);
  g_test_add_func ("/layouts/describe", test_describe);
  g_test_add_func ("/layouts/same-frames", test_same_frames);
  g_test_add_func ("/layouts/wan-vae-file", test_wan_vae_file);
  status = g_test_run ();
  remove_tree (scratch);
  g_free (scratch);
  return status;
}
