/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The catalogue over folders as users have them: what is found, what is said of it, what is missing or broken, and names as models. */
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "catalogue-private.h"
#include "layout-support.h"
#include "stream-support.h"

/* (transfer full): of the folders @places in the scratch folder, up to NULL */
static SoraCatalogue *
look (const gchar *first, ...) G_GNUC_NULL_TERMINATED;

static SoraCatalogue *
look (const gchar *first, ...)
{
  g_autoptr (GPtrArray) places = g_ptr_array_new_with_free_func (g_free);
  va_list args;

  va_start (args, first);
  for (const gchar *name = first; name; name = va_arg (args, const gchar *))
    g_ptr_array_add (places, g_build_filename (scratch, name, NULL));
  va_end (args);
  g_ptr_array_add (places, NULL);
  return sora_catalogue_new ((const gchar *const *) places->pdata);
}

/* The names are @expected, separated by spaces, in this order. */
static void
assert_names (SoraCatalogue *catalogue, const gchar *expected)
{
  g_autoptr (GString) names = g_string_new (NULL);

  for (guint i = 0; i < sora_catalogue_get_n_models (catalogue); i++)
    g_string_append_printf (names, "%s%s", i > 0 ? " " : "", sora_catalogue_model_get_name (sora_catalogue_get_model (catalogue, i)));
  g_assert_cmpstr (names->str, ==, expected);
}

static const SoraCatalogueModel *
find (SoraCatalogue *catalogue, const gchar *name)
{
  g_autoptr (GError) error = NULL;
  const SoraCatalogueModel *model = sora_catalogue_find_model (catalogue, name, &error);

  g_assert_no_error (error);
  return model;
}

static void
assert_ready (const SoraCatalogueModel *model)
{
  g_assert_no_error (sora_catalogue_model_get_error (model));
  g_assert_null (sora_catalogue_model_get_missing (model)[0]);
}

static void
assert_words (const gchar *text, const gchar *words)
{
  g_test_message ("%s", text);
  if (!strstr (text, words))
    g_error ("expected \"%s\" in \"%s\"", words, text);
}

static void
assert_error (const SoraCatalogueModel *model, gint code, const gchar *words)
{
  const GError *error = sora_catalogue_model_get_error (model);

  g_assert_error (error, SORA_MODEL_ERROR, code);
  assert_words (error->message, words);
}

static void
link_to (const gchar *target, const gchar *model, const gchar *name)
{
  g_autofree gchar *path = place (model, name);

  g_assert_cmpint (symlink (target, path), ==, 0);
}

/* --- what is found, and what is said of it ---------------------------------------------------------------------- */

/* What else lies in ComfyUI's folders is no model, sound or not. */
static void
put_comfy_with_others (const gchar *model)
{
  static const Tensor lora[] = { { "diffusion_model.blocks.0.cross_attn.k.lora_down.weight", "", 2, { 4, 8 } } };

  put_comfy (model);
  put_weights (model, "loras/style.safetensors", lora, G_N_ELEMENTS (lora), "", FALSE, NULL);
  put_weights (model, "checkpoints/something.safetensors", lora, G_N_ELEMENTS (lora), "", FALSE, NULL);
  put_text (model, "clip_vision/clip_vision_h.safetensors", "cut short");
  put_text (model, "upscale_models/x4.pth", "cut short");
}

static void
test_layouts (void)
{
  static const struct {
    const gchar *name, *path, *vae;
    SoraAbilities abilities;
    guint sizes[2], clip_frames;
  } expected[] = {
    { "tiny_t2v", "all/comfy/" COMFY_FILE, "all/comfy/vae_approx/taew2_1.safetensors", SORA_ABILITY_TEXT, { 832, 480 }, 81 },
    { "diffusers", "all/diffusers", "all/diffusers/vae/diffusion_pytorch_model.safetensors", SORA_ABILITY_TEXT, { 832, 480 }, 81 },
    { "x", "all/files/x.safetensors", "all/files/taew2_1.pth", SORA_ABILITY_TEXT, { 832, 480 }, 81 },
    { "wan", "all/wan", "all/wan/taew2_1.pth", SORA_ABILITY_TEXT, { 832, 480 }, 81 },
  };
  g_autofree gchar *config = place ("all/files", "config.json");
  g_autoptr (SoraCatalogue) catalogue = NULL;

  put_comfy_with_others ("all/comfy");
  put_diffusers ("all/diffusers");
  put_wan ("all/files");
  put_wan ("all/wan");
  g_assert_cmpint (g_unlink (config), ==, 0);
  {
    g_autofree gchar *from = place ("all/files", "diffusion_pytorch_model.safetensors"), *to = place ("all/files", "x.safetensors");
    g_assert_cmpint (g_rename (from, to), ==, 0);
  }
  catalogue = look ("all", NULL);
  assert_names (catalogue, "tiny_t2v diffusers x wan");
  for (guint i = 0; i < G_N_ELEMENTS (expected); i++) {
    const SoraCatalogueModel *model = sora_catalogue_get_model (catalogue, i);
    guint width, height;
    assert_ready (model);
    g_assert_true (g_str_has_suffix (sora_catalogue_model_get_path (model), expected[i].path));
    g_assert_true (g_str_has_suffix (model->vae.path, expected[i].vae));
    g_assert_cmpstr (sora_catalogue_model_get_family (model), ==, "Wan");
    g_assert_cmpuint (sora_catalogue_model_get_abilities (model), ==, expected[i].abilities);
    g_assert_cmpuint (sora_catalogue_model_get_n_sizes (model), ==, 2);
    sora_catalogue_model_get_size (model, 0, &width, &height);
    g_assert_cmpuint (width, ==, expected[i].sizes[0]);
    g_assert_cmpuint (height, ==, expected[i].sizes[1]);
    g_assert_cmpuint (model->clip_frames, ==, expected[i].clip_frames);
    /* the transformer and the VAE are written in single precision, the encoder is not */
    g_assert_cmpstr (sora_catalogue_model_get_types (model)[0], ==, "F32");
    g_assert_cmpstr (sora_catalogue_model_get_types (model)[1], ==, "BF16");
    g_assert_null (sora_catalogue_model_get_types (model)[2]);
  }
}

/* Its numbers are those that the weights really take on a device, but for padding and for what convolutions make of theirs: there each of
 * the 9 values of a kernel becomes up to 16 / 9 of one. */
static void
test_embedded (void)
{
  const gchar *const places[] = { g_getenv ("SORA_TEST_MODEL"), NULL };
  g_autoptr (SoraCatalogue) catalogue = sora_catalogue_new (places);
  const SoraCatalogueModel *model = find (catalogue, "Sora-Embedded");
  g_autoptr (SoraModel) opened = open_model (places[0]);
  g_autoptr (SoraStreamOptions) options = default_options ();
  g_autoptr (SoraStream) stream = open_stream (opened, options);
  guint64 stream_bytes, weight_bytes;

  assert_names (catalogue, "embedded");
  assert_ready (model);
  g_assert_cmpstr (sora_catalogue_model_get_family (model), ==, "embedded");
  g_assert_cmpuint (sora_catalogue_model_get_abilities (model), ==, SORA_ABILITY_TEXT | SORA_ABILITY_IMAGE | SORA_ABILITY_STREAM);
  g_assert_cmpstr (sora_catalogue_model_get_types (model)[0], ==, "BF16");
  g_assert_cmpuint (model->clip_frames, ==, 0);
  sora_stream_get_memory (stream, &stream_bytes, &weight_bytes);
  g_test_message ("%" G_GUINT64_FORMAT " bytes expected, %" G_GUINT64_FORMAT " taken", sora_catalogue_model_get_memory (model),
      weight_bytes);
  g_assert_cmpuint (sora_catalogue_model_get_memory (model), >, weight_bytes / 2);
  g_assert_cmpuint (sora_catalogue_model_get_memory (model), <, weight_bytes * 11 / 10);
}

/* A safetensors file whose tensors are a hole, of no block on disk: the catalogue reads headers alone. */
typedef struct {
  GString *header;
  guint64 bytes;
} Sparse;

static void
sparse_add (Sparse *file, const gchar *name, guint n_dims, const gint64 *shape)
{
  guint64 n = 1;

  g_string_append_printf (file->header, "%s\"%s\":{\"dtype\":\"F16\",\"shape\":[", file->bytes > 0 ? "," : "{", name);
  for (guint i = 0; i < n_dims; i++) {
    n *= shape[i];
    g_string_append_printf (file->header, "%s%" G_GINT64_FORMAT, i > 0 ? "," : "", shape[i]);
  }
  g_string_append_printf (file->header, "],\"data_offsets\":[%" G_GUINT64_FORMAT ",%" G_GUINT64_FORMAT "]}", file->bytes, file->bytes + 2 * n);
  file->bytes += 2 * n;
}

/* To @name of @model; frees what is in @file. */
static void
sparse_save (Sparse *file, const gchar *model, const gchar *name)
{
  g_autofree gchar *path = place (model, name);
  guint64 length;

  g_string_append_c (file->header, '}');
  length = GUINT64_TO_LE (file->header->len);
  g_string_prepend_len (file->header, (gchar *) &length, 8);
  g_assert_true (g_file_set_contents (path, file->header->str, file->header->len, NULL));
  g_assert_cmpint (truncate (path, file->header->len + file->bytes), ==, 0);
  g_string_free (file->header, TRUE);
}

/* A transformer of a published size */
typedef struct {
  guint dim, n_layers, in_channels, channels;
  gboolean has_image, has_places;
} Published;

static void
sparse_add_transformer_tensor (Sparse *file, const Published *p, const Tensor *tensor, guint layer)
{
  g_autofree gchar *name = g_str_has_prefix (tensor->wans, "blocks.0.")
      ? g_strdup_printf ("blocks.%u.%s", layer, tensor->wans + strlen ("blocks.0.")) : g_strdup (tensor->wans);
  gint64 shape[5];

  for (guint i = 0; i < tensor->n_dims; i++) {
    gint64 size = tensor->shape[i];
    shape[i] = size == DIM ? p->dim : size == 6 * DIM ? 6 * p->dim : size == CHANNELS ? p->in_channels : size == 4 * CHANNELS ? 4 * p->channels
        : size == TEXT ? 4096 : size == FREQ ? 256 : size == FFN ? 4 * p->dim : size;
  }
  sparse_add (file, name, tensor->n_dims, shape);
}

static void
sparse_add_linear (Sparse *file, const gchar *name, gint64 n, gint64 k)
{
  g_autofree gchar *weight = g_strconcat (name, ".weight", NULL), *bias = g_strconcat (name, ".bias", NULL);
  const gint64 shape[] = { n, k };

  sparse_add (file, weight, 2, shape);
  sparse_add (file, bias, 1, shape);
}

/* CLIP's embeddings are 1280 wide; 257 rows of each of two pictures have places. */
static void
sparse_add_image_tensors (Sparse *file, const Published *p)
{
  const gint64 places[] = { 1, 514, 1280 }, dim = p->dim, image_dim = 1280;

  sparse_add_linear (file, "img_emb.proj.1", image_dim, image_dim);
  sparse_add_linear (file, "img_emb.proj.3", dim, image_dim);
  for (guint i = 0; i < 2; i++) {
    sparse_add (file, i ? "img_emb.proj.0.bias" : "img_emb.proj.0.weight", 1, &image_dim);
    sparse_add (file, i ? "img_emb.proj.4.bias" : "img_emb.proj.4.weight", 1, &dim);
  }
  if (p->has_places)
    sparse_add (file, "img_emb.emb_pos", 3, places);
  for (guint layer = 0; layer < p->n_layers; layer++)
    for (guint i = 0; i < 2; i++) {
      g_autofree gchar *name = g_strdup_printf ("blocks.%u.cross_attn.%s", layer, i ? "k_img" : "v_img");
      g_autofree gchar *norm = g_strdup_printf ("blocks.%u.cross_attn.norm_k_img.weight", layer);
      sparse_add_linear (file, name, dim, dim);
      if (i)
        sparse_add (file, norm, 1, &dim);
    }
}

static void
put_sparse_transformer (const gchar *model, const gchar *name, const Published *p)
{
  Sparse file = { g_string_new (NULL) };

  for (guint layer = 0; layer < p->n_layers; layer++)
    for (guint i = 0; i < N_TRANSFORMER; i++) {
      if (layer == 0 || g_str_has_prefix (transformer[i].wans, "blocks.0."))
        sparse_add_transformer_tensor (&file, p, &transformer[i], layer);
    }
  if (p->has_image)
    sparse_add_image_tensors (&file, p);
  sparse_save (&file, model, name);
}

#define T2V SORA_ABILITY_TEXT
#define I2V SORA_ABILITY_IMAGE
#define FLF2V (SORA_ABILITY_IMAGE | SORA_ABILITY_LAST_IMAGE)

/* Of each published size: what it is called, can do and takes, and the defaults that its makers' own code has */
static void
test_families (void)
{
  static const struct {
    const gchar *name, *family;
    Published size;
    SoraAbilities abilities;
    guint width, frame_rate, latents;
    gdouble bytes;              /* in memory, each of nearly all weights */
    guint steps;
    gdouble shift, guidance, guidance_2, boundary;
    guint n_missing;
  } table[] = {
    { "a", "Wan 2.1 T2V-1.3B", { 1536, 30, 16, 16 }, T2V, 832, 16, 21, 2, 50, 3, 5, 5, 0, 3 },
    { "b", "Wan 2.2 TI2V-5B", { 3072, 30, 48, 48 }, T2V | I2V, 1280, 24, 31, 2, 50, 5, 5, 5, 0, 3 },
    { "c", "Wan T2V-14B", { 5120, 40, 16, 16 }, T2V, 832, 16, 21, 2, 50, 3, 5, 5, 0, 3 },
    { "d", "Wan", { 256, 2, 16, 16 }, T2V, 832, 16, 21, 4, 50, 3, 5, 5, 0, 3 },
    { "e", "Wan 2.1 I2V-14B", { 5120, 40, 36, 16, TRUE }, I2V, 832, 16, 21, 2, 50, 3, 5, 5, 0, 4 },
    { "f", "Wan 2.1 FLF2V-14B", { 5120, 40, 36, 16, TRUE, TRUE }, FLF2V, 832, 16, 21, 2, 50, 3, 5, 5, 0, 4 },
    { "g_high_noise", "Wan 2.2 T2V-A14B", { 5120, 40, 16, 16 }, T2V, 832, 16, 21, 2, 40, 12, 4, 3, 0.875, 3 },
    { "h_high_noise", "Wan 2.2 I2V-A14B", { 5120, 40, 36, 16 }, FLF2V, 832, 16, 21, 2, 40, 5, 3.5, 3.5, 0.9, 3 },
  };
  g_autoptr (SoraCatalogue) catalogue = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (table); i++) {
    g_autofree gchar *name = g_strconcat (table[i].name, ".safetensors", NULL);
    put_sparse_transformer ("sparse", name, &table[i].size);
    if (table[i].boundary > 0) {
      g_autoptr (GString) low = g_string_new (name);
      g_string_replace (low, "high", "low", 0);
      put_sparse_transformer ("sparse", low->str, &table[i].size);
    }
  }
  catalogue = look ("sparse", NULL);
  assert_names (catalogue, "a b c d e f g_high_noise h_high_noise");
  for (guint i = 0; i < G_N_ELEMENTS (table); i++) {
    const SoraCatalogueModel *model = sora_catalogue_get_model (catalogue, i);
    const SoraStreamingConfig *defaults = &model->streaming;
    guint width, height;
    g_assert_cmpstr (sora_catalogue_model_get_family (model), ==, table[i].family);
    g_assert_cmpuint (sora_catalogue_model_get_abilities (model), ==, table[i].abilities);
    sora_catalogue_model_get_size (model, 0, &width, &height);
    g_assert_cmpuint (width, ==, table[i].width);
    g_assert_cmpfloat_with_epsilon ((gdouble) sora_catalogue_model_get_memory (model) / sora_catalogue_model_get_n_parameters (model),
        table[i].bytes, 0.01);
    g_assert_cmpuint (g_strv_length ((gchar **) sora_catalogue_model_get_missing (model)), ==, table[i].n_missing);
    g_assert_cmpint (defaults->frame_rate[0], ==, table[i].frame_rate);
    g_assert_cmpuint (defaults->default_latents, ==, table[i].latents);
    g_assert_cmpuint (defaults->steps, ==, table[i].steps);
    g_assert_cmpfloat (defaults->shift, ==, table[i].shift);
    g_assert_cmpfloat (defaults->guidance_scale, ==, table[i].guidance);
    g_assert_cmpfloat (defaults->guidance_scale_2, ==, table[i].guidance_2);
    g_assert_cmpfloat (defaults->boundary_ratio, ==, table[i].boundary);
    g_assert_cmpuint (defaults->text_length, ==, 512);
    g_assert_cmpint (defaults->sampler, ==, SORA_SAMPLER_UNIPC);
    g_assert_cmpint (defaults->prompt_cleaning, ==, SORA_PROMPT_WAN);
  }
  assert_words (sora_catalogue_model_get_missing (sora_catalogue_get_model (catalogue, 4))[2], "the image encoder is missing");
}

/* As large as UMT5-XXL but for one layer, with diffusers' names. @width: of the embeddings */
static void
put_sparse_encoder (const gchar *model, const gchar *name, gint64 width, gboolean is_umt5)
{
  static const gchar *const matrices[] = { "0.SelfAttention.q", "0.SelfAttention.k", "0.SelfAttention.v", "0.SelfAttention.o",
    "1.DenseReluDense.wi_0", "1.DenseReluDense.wi_1", "1.DenseReluDense.wo" };
  const gint64 table[] = { 256384, width }, positions[] = { 32, 64 };
  Sparse file = { g_string_new (NULL) };

  sparse_add (&file, "shared.weight", 2, table);
  sparse_add (&file, "encoder.final_layer_norm.weight", 1, &width);
  for (guint layer = 0; layer < 2; layer++) {
    g_autofree gchar *bias = g_strdup_printf ("encoder.block.%u.layer.0.SelfAttention.relative_attention_bias.weight", layer);
    if (layer == 0 || is_umt5)
      sparse_add (&file, bias, 2, positions);
    for (guint i = 0; i < G_N_ELEMENTS (matrices); i++) {
      g_autofree gchar *matrix = g_strdup_printf ("encoder.block.%u.layer.%s.weight", layer, matrices[i]);
      gboolean is_in = g_str_has_prefix (matrices[i], "1.DenseReluDense.wi"), is_out = g_str_has_suffix (matrices[i], "wo");
      const gint64 shape[] = { is_in ? 10240 : i < 3 ? 4096 : width, is_out ? 10240 : i == 3 ? 4096 : width };
      sparse_add (&file, matrix, 2, shape);
    }
    for (guint i = 0; i < 2; i++) {
      g_autofree gchar *norm = g_strdup_printf ("encoder.block.%u.layer.%u.layer_norm.weight", layer, i);
      sparse_add (&file, norm, 1, &width);
    }
  }
  sparse_save (&file, model, name);
}

/* Of encoders with more bits, T5's own and a wider one are none that fit. One that is large goes before the transformer comes, so the memory is that
 * of the larger of the two, its table of tokens not counted. */
static void
test_large_encoder (void)
{
  const Published size = { 1536, 30, 16, 16 };
  g_autoptr (SoraCatalogue) catalogue = NULL;
  const SoraCatalogueModel *model;

  put_sparse_transformer ("large", "unet/a.safetensors", &size);
  put_sparse_encoder ("large", "text_encoders/a_t5xxl.safetensors", 4096, FALSE);
  put_sparse_encoder ("large", "text_encoders/b_wide.safetensors", 5120, TRUE);
  put_sparse_encoder ("large", "text_encoders/c_umt5.safetensors", 4096, TRUE);
  catalogue = look ("large", NULL);
  model = find (catalogue, "a");
  g_assert_true (g_str_has_suffix (model->text_encoder.path, "text_encoders/c_umt5.safetensors"));
  g_assert_cmpuint (model->text_encoder.memory, >, 700000000);
  g_assert_cmpuint (model->text_encoder.memory, <, 1000000000);
  g_assert_cmpuint (model->transformer.memory, >, model->text_encoder.memory);
  g_assert_cmpuint (sora_catalogue_model_get_memory (model), ==, model->transformer.memory);
}

/* Two experts are one model, in two files and in Wan's folder, and what each kind of image-to-video model takes is told. */
static void
test_kinds (void)
{
  static const struct {
    const gchar *name;
    SoraAbilities abilities;
  } expected[] = {
    { "a14b", SORA_ABILITY_TEXT }, { "t2v_high_noise", SORA_ABILITY_TEXT }, { "i2v", SORA_ABILITY_IMAGE | SORA_ABILITY_LAST_IMAGE },
  };
  g_autoptr (SoraCatalogue) catalogue = NULL;
  Tensor wide[N_TRANSFORMER];

  put_wan ("kinds/a14b");
  {
    g_autofree gchar *whole = place ("kinds/a14b", "diffusion_pytorch_model.safetensors"), *config = place ("kinds/a14b", "config.json");
    g_assert_cmpint (g_unlink (whole), ==, 0);
    g_assert_cmpint (g_unlink (config), ==, 0);
  }
  put_transformer ("kinds/a14b", "high_noise_model/diffusion_pytorch_model.safetensors", "", TRUE);
  put_transformer ("kinds/a14b", "low_noise_model/diffusion_pytorch_model.safetensors", "", TRUE);
  put_transformer ("kinds/t2v", "t2v_high_noise.safetensors", "", TRUE);
  put_transformer ("kinds/t2v", "t2v_low_noise.safetensors", "", TRUE);
  memcpy (wide, transformer, sizeof (wide));
  wide[0].shape[1] = CHANNELS + 4 + CHANNELS;   /* a mask for each frame of a latent, and latents */
  put_weights ("kinds/z", "i2v.safetensors", wide, N_TRANSFORMER, "", TRUE, NULL);
  catalogue = look ("kinds", NULL);
  assert_names (catalogue, "a14b t2v_high_noise i2v");
  for (guint i = 0; i < G_N_ELEMENTS (expected); i++)
    g_assert_cmpuint (sora_catalogue_model_get_abilities (find (catalogue, expected[i].name)), ==, expected[i].abilities);
  assert_ready (find (catalogue, "a14b"));
  g_assert_true (g_str_has_suffix (find (catalogue, "a14b")->transformer_2.path, "low_noise_model/diffusion_pytorch_model.safetensors"));
}

/* --- the best of several ---------------------------------------------------------------------------------------- */

/* The tiny text encoder with 8 bits a weight, all 0 */
static void
put_narrow_encoder (const gchar *model, const gchar *name)
{
  g_autofree gchar *path = place (model, name), *source = golden_path ("tiny-model/text_encoder/model.safetensors");
  g_autoptr (SoraWeightFile) tiny = sora_weight_file_open (source, NULL);
  g_autoptr (GPtrArray) names = sora_weight_file_get_names (tiny);
  g_autoptr (GString) header = g_string_new ("{"), file = g_string_new (NULL);
  guint64 offset = 0, length;

  for (guint i = 0; i < names->len; i++) {
    const SoraTensor *tensor = sora_weight_file_peek (tiny, names->pdata[i]);
    g_string_append_printf (header, "%s\"%s\":{\"dtype\":\"F8_E4M3\",\"shape\":[", i > 0 ? "," : "", tensor->name);
    for (guint j = 0; j < tensor->n_dims; j++)
      g_string_append_printf (header, "%s%" G_GUINT64_FORMAT, j > 0 ? "," : "", tensor->shape[j]);
    g_string_append_printf (header, "],\"data_offsets\":[%" G_GUINT64_FORMAT ",%" G_GUINT64_FORMAT "]}", offset,
        offset + tensor->n_elements);
    offset += tensor->n_elements;
  }
  g_string_append_c (header, '}');
  length = GUINT64_TO_LE (header->len);
  g_string_append_len (file, (gchar *) &length, 8);
  g_string_append_len (file, header->str, header->len);
  g_string_set_size (file, file->len + offset);
  memset (file->str + 8 + header->len, 0, offset);
  g_assert_true (g_file_set_contents (path, file->str, file->len, NULL));
}

static void
assert_encoder (const gchar *expected)
{
  g_autoptr (SoraCatalogue) catalogue = look ("best", NULL);
  const SoraCatalogueModel *model = find (catalogue, "tiny_t2v");

  assert_ready (model);
  g_test_message ("%s", model->text_encoder.path);
  g_assert_true (g_str_has_suffix (model->text_encoder.path, expected));
}

/* Each is better than the one before. */
static void
test_best (void)
{
  put_transformer ("best", COMFY_FILE, "", TRUE);
  put_taehv ("best", "vae/taew2_1.safetensors");
  put_tiny ("best", "text_encoders/spiece.model", "tokenizer/spiece.model");
  put_tiny ("best", "clip/spiece.model", "tokenizer/spiece.model");
  put_tiny ("best", "diffusion_models/wan/spiece.model", "tokenizer/spiece.model");
  put_tiny ("best", "clip/a.safetensors", "text_encoder/model.safetensors");
  assert_encoder ("clip/a.safetensors");
  put_narrow_encoder ("best", "text_encoders/a_fp8.safetensors");
  assert_encoder ("text_encoders/a_fp8.safetensors");
  put_tiny ("best", "text_encoders/z_bf16.safetensors", "text_encoder/model.safetensors");
  assert_encoder ("text_encoders/z_bf16.safetensors");
  put_tiny ("best", "text_encoders/b_bf16.safetensors", "text_encoder/model.safetensors");
  assert_encoder ("text_encoders/b_bf16.safetensors");
  put_narrow_encoder ("best", "diffusion_models/wan/beside.safetensors");
  assert_encoder ("wan/beside.safetensors");
}

/* --- what is missing or broken ---------------------------------------------------------------------------------- */

static void
test_missing (void)
{
  static const struct {
    const gchar *name, *words;
  } parts[] = {
    { "text_encoders/umt5_tiny.safetensors", "text_encoders/broken.safetensors: not a weight file" },
    { "vae_approx/taew2_1.safetensors", "the VAE is missing. None that fits" },
    { "text_encoders/spiece.model", "the tokenizer is missing" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (parts); i++) {
    g_autofree gchar *path = place ("lacks", parts[i].name);
    g_autoptr (SoraCatalogue) catalogue = NULL;
    const SoraCatalogueModel *model;
    put_comfy ("lacks");
    g_assert_cmpint (g_unlink (path), ==, 0);
    catalogue = look ("lacks", NULL);
    assert_names (catalogue, "tiny_t2v");
    model = sora_catalogue_get_model (catalogue, 0);
    g_assert_no_error (sora_catalogue_model_get_error (model));
    assert_words (sora_catalogue_model_get_missing (model)[0], parts[i].words);
    g_assert_cmpstr (sora_catalogue_model_get_family (model), ==, "Wan");
    g_assert_cmpuint (sora_catalogue_model_get_n_sizes (model), ==, 2);
  }
}

static void
test_missing_in_folder (void)
{
  g_autofree gchar *vae = place ("gaps", "vae/diffusion_pytorch_model.safetensors");
  g_autofree gchar *encoder = place ("gaps", "text_encoder/model.safetensors");
  g_autoptr (SoraCatalogue) catalogue = NULL;
  const SoraCatalogueModel *model;

  put_diffusers ("gaps");
  g_assert_cmpint (g_unlink (vae), ==, 0);
  g_assert_cmpint (g_unlink (encoder), ==, 0);
  catalogue = look ("gaps", NULL);
  model = find (catalogue, "gaps");
  g_assert_cmpuint (g_strv_length ((gchar **) sora_catalogue_model_get_missing (model)), ==, 2);
  assert_words (sora_catalogue_model_get_missing (model)[0], "text_encoder has neither model.safetensors nor");
  assert_words (sora_catalogue_model_get_missing (model)[1], "vae has neither diffusion_pytorch_model.safetensors nor");
}

static void
test_broken (void)
{
  static const Tensor vace = { "", "vace_patch_embedding.weight", 2, { 8, 8 } };
  g_autoptr (SoraCatalogue) catalogue = NULL;

  put_text ("broken", "cut.safetensors", "cut short");
  put_text ("broken", "flux/model_index.json", "{\"_class_name\": \"FluxPipeline\"}");
  put_text ("broken", "index.safetensors.index.json", "{\"weight_map\": {\"a\": \"index-00001-of-00002.safetensors\"}}");
  put_text ("broken", "lonely-00001-of-00002.safetensors", "x");
  put_text ("broken", "lonely-00002-of-00002.safetensors", "x");
  put_weights ("broken", "vace.safetensors", transformer, N_TRANSFORMER, "", TRUE, &vace);
  put_diffusers ("broken/width");
  {
    g_autofree gchar *path = g_build_filename (scratch, "broken", "width", NULL);
    replace_in_file (path, "transformer/config.json", "\"ffn_dim\": 48", "\"ffn_dim\": 40");
  }
  catalogue = look ("broken", "nowhere", NULL);
  assert_names (catalogue, "cut index lonely-00001-of-00002 vace flux width nowhere");
  assert_error (find (catalogue, "cut"), SORA_MODEL_ERROR_FORMAT, "broken/cut.safetensors: not a weight file");
  assert_error (find (catalogue, "index"), SORA_MODEL_ERROR_NOT_FOUND, "index-00001-of-00002.safetensors");
  assert_error (find (catalogue, "lonely-00001-of-00002"), SORA_MODEL_ERROR_NOT_FOUND, "lonely.safetensors.index.json, is not beside it");
  assert_error (find (catalogue, "vace"), SORA_MODEL_ERROR_UNSUPPORTED, "VACE");
  assert_error (find (catalogue, "flux"), SORA_MODEL_ERROR_UNSUPPORTED, "are supported, found FluxPipeline");
  assert_error (find (catalogue, "width"), SORA_MODEL_ERROR_WEIGHT, "expected [40, 128], found [48, 128]");
  assert_error (find (catalogue, "nowhere"), SORA_MODEL_ERROR_NOT_FOUND, "nowhere");
  g_assert_cmpuint (sora_catalogue_model_get_abilities (find (catalogue, "cut")), ==, 0);
  g_assert_cmpstr (sora_catalogue_model_get_family (find (catalogue, "cut")), ==, "unknown");
  g_assert_cmpstr (sora_catalogue_model_get_types (find (catalogue, "vace"))[0], ==, "F32");
}

/* --- folders ---------------------------------------------------------------------------------------------------- */

/* Whatever leads to the same folder or file, it is listed once, nothing goes round in circles, and nothing waits for a pipe. */
static void
test_links (void)
{
  g_autofree gchar *pipe = place ("links", "pipe.safetensors"), *pipe_beside = place ("links/a/wan", "a.safetensors");
  g_autoptr (SoraCatalogue) catalogue = NULL;

  put_wan ("links/a/wan");
  g_assert_cmpint (mkfifo (pipe, 0600), ==, 0);
  g_assert_cmpint (mkfifo (pipe_beside, 0600), ==, 0);
  link_to ("..", "links", "a/up");
  link_to ("a", "links", "b");
  link_to ("a/wan/diffusion_pytorch_model.safetensors", "links", "file.safetensors");
  link_to ("nowhere", "links", "dangling.safetensors");
  link_to ("self", "links", "self");
  catalogue = look ("links", "links/a", "links/self", NULL);
  assert_names (catalogue, "dangling file wan self");
  assert_error (find (catalogue, "dangling"), SORA_MODEL_ERROR_NOT_FOUND, "dangling.safetensors");
  assert_error (find (catalogue, "self"), SORA_MODEL_ERROR_NOT_FOUND, "links/self");
  assert_ready (find (catalogue, "wan"));
}

/* Root may read everything, so that it must be nobody for a while. */
static void
test_unreadable_folder (void)
{
  g_autofree gchar *path = place ("closed/inner", "x"), *inner = g_path_get_dirname (path), *outer = g_path_get_dirname (inner);
  gboolean is_root = geteuid () == 0;
  g_autoptr (SoraCatalogue) catalogue = NULL;

  g_assert_cmpint (g_chmod (scratch, 0755), ==, 0);
  g_assert_cmpint (g_chmod (outer, 0755), ==, 0);
  g_assert_cmpint (g_chmod (inner, 0000), ==, 0);
  if (is_root)
    g_assert_cmpint (seteuid (65534), ==, 0);
  catalogue = look ("closed", NULL);
  if (is_root)
    g_assert_cmpint (seteuid (0), ==, 0);
  g_assert_cmpint (g_chmod (inner, 0700), ==, 0);
  assert_names (catalogue, "inner");
  assert_error (sora_catalogue_get_model (catalogue, 0), SORA_MODEL_ERROR_NOT_FOUND, "closed/inner");
}

static void
test_depth (void)
{
  g_autoptr (SoraCatalogue) catalogue = NULL;

  put_wan ("deep/1/2/3/4/5/at-six");
  put_wan ("deep/1/2/3/4/5/6/at-seven");
  put_wan ("deep/.hidden");
  catalogue = look ("deep", NULL);
  assert_names (catalogue, "at-six");
}

/* The hub's cache, where a folder is called by a revision */
static void
test_hub_cache (void)
{
  g_autoptr (SoraCatalogue) catalogue = NULL;

  put_diffusers ("hub/models--someone--small-wan/snapshots/0123456789");
  catalogue = look ("hub", NULL);
  assert_names (catalogue, "small-wan");
  assert_ready (find (catalogue, "small-wan"));
}

/* The place itself and three folders or files in it, then one entry that says so */
static void
test_too_many (void)
{
  g_autofree gchar *folder = g_build_filename (scratch, "crowd", NULL);
  const gchar *const places[] = { folder, NULL };
  g_autoptr (SoraWeightCache) cache = sora_weight_cache_new ();
  g_autoptr (GPtrArray) candidates = NULL;
  const SoraCandidate *first, *last;

  put_text ("crowd", "a.safetensors", "cut short");
  put_text ("crowd", "b/x.safetensors", "cut short");
  put_text ("crowd", "c/x.safetensors", "cut short");
  put_text ("crowd", "d/x.safetensors", "cut short");
  candidates = sora_catalogue_walk (places, 1, 4, cache);
  g_assert_cmpuint (candidates->len, ==, 3);
  first = candidates->pdata[0];
  g_assert_error (first->error, SORA_MODEL_ERROR, SORA_MODEL_ERROR_FORMAT);
  last = candidates->pdata[2];
  g_assert_error (last->error, SORA_MODEL_ERROR, SORA_MODEL_ERROR_UNSUPPORTED);
  assert_words (last->error->message, "More than 4 folders");
  assert_words (last->error->message, "crowd/c on");
}

/* --- names ------------------------------------------------------------------------------------------------------ */

static void
assert_not_found (const gchar *name, const gchar *words)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (sora_model_open (name, &error));
  g_assert_error (error, SORA_MODEL_ERROR, SORA_MODEL_ERROR_NOT_FOUND);
  assert_words (error->message, words);
}

static void
assert_opens (const gchar *name, const gchar *path)
{
  g_autoptr (SoraModel) model = open_model (name);
  g_autofree gchar *expected = g_build_filename (scratch, path, NULL);

  g_assert_cmpstr (sora_model_get_path (model), ==, expected);
}

/* SORA_MODEL_PATH holds two places, in which two models are called "wan", and one of them "tiny" twice. */
static void
test_names (void)
{
  g_autofree gchar *first = g_build_filename (scratch, "first", NULL), *second = g_build_filename (scratch, "second", NULL);
  g_autofree gchar *path = g_strjoin (G_SEARCHPATH_SEPARATOR_S, first, second, NULL), *here = g_get_current_dir ();

  put_wan ("first/wan");
  put_wan ("second/wan");
  put_wan ("second/a/tiny");
  put_wan ("second/b/tiny");
  put_diffusers ("second/wan-2.1_1.3B");
  g_setenv ("SORA_MODEL_PATH", path, TRUE);
  assert_opens ("wan", "first/wan");
  assert_opens ("WAN-2.1_1.3b", "second/wan-2.1_1.3B");
  assert_not_found ("tiny", "2 models are called \"tiny\"");
  assert_not_found ("tiny", "second/a/tiny");
  assert_not_found ("tiny", "second/b/tiny");
  assert_not_found ("wan-21_13B", "near are \"wan\", \"wan-2.1_1.3B\"");
  assert_not_found ("tony", "near are \"tiny\". ");
  assert_not_found ("something else", "nor as a name. \"sora models\" lists the 5");
  assert_not_found ("sub/wan", "There is no model sub/wan");
  /* what exists as a path is that path */
  g_assert_cmpint (g_chdir (second), ==, 0);
  {
    g_autoptr (SoraModel) model = open_model ("wan");
    g_assert_cmpstr (sora_model_get_path (model), ==, "wan");
  }
  g_assert_cmpint (g_chdir (here), ==, 0);
  g_unsetenv ("SORA_MODEL_PATH");
}

/* The embedded model in the second of the entries */
static void
test_embedded_place (void)
{
  g_autofree gchar *nowhere = g_build_filename (scratch, "no-place", NULL), *second = g_build_filename (scratch, "holds-embedded", NULL);
  g_autofree gchar *path = g_strjoin (G_SEARCHPATH_SEPARATOR_S, nowhere, "", second, NULL);

  put_diffusers ("holds-embedded/embedded");
  g_setenv ("SORA_MODEL_PATH", path, TRUE);
  assert_opens (NULL, "holds-embedded/embedded");
  g_unsetenv ("SORA_MODEL_PATH");
}

/* The usual places are allowed not to exist, those that are named are not. */
static void
test_usual_places (void)
{
  g_autofree gchar *nowhere = g_build_filename (scratch, "no-place", NULL), *home = NULL;
  g_autoptr (SoraCatalogue) without = NULL, with = NULL;

  without = sora_catalogue_new (NULL);
  g_setenv ("SORA_MODEL_PATH", nowhere, TRUE);
  put_wan ("data/sora/models/at-home");
  with = sora_catalogue_new (NULL);
  g_assert_cmpuint (sora_catalogue_get_n_models (with), ==, sora_catalogue_get_n_models (without) + 2);
  assert_error (sora_catalogue_get_model (with, 0), SORA_MODEL_ERROR_NOT_FOUND, nowhere);
  assert_ready (find (with, "at-home"));
  g_unsetenv ("SORA_MODEL_PATH");
}

int
main (int argc, char **argv)
{
  g_autofree gchar *data = NULL;
  int status;

  scratch = g_dir_make_tmp ("sora-test-XXXXXX", NULL);
  data = g_build_filename (scratch, "data", NULL);
  g_setenv ("XDG_DATA_HOME", data, TRUE);
  g_unsetenv ("SORA_MODEL_PATH");
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/catalogue/layouts", test_layouts);
  g_test_add_func ("/catalogue/embedded", test_embedded);
  g_test_add_func ("/catalogue/families", test_families);
  g_test_add_func ("/catalogue/large-encoder", test_large_encoder);
  g_test_add_func ("/catalogue/kinds", test_kinds);
  g_test_add_func ("/catalogue/best", test_best);
  g_test_add_func ("/catalogue/missing", test_missing);
  g_test_add_func ("/catalogue/missing-in-folder", test_missing_in_folder);
  g_test_add_func ("/catalogue/broken", test_broken);
  g_test_add_func ("/catalogue/links", test_links);
  g_test_add_func ("/catalogue/unreadable-folder", test_unreadable_folder);
  g_test_add_func ("/catalogue/depth", test_depth);
  g_test_add_func ("/catalogue/hub-cache", test_hub_cache);
  g_test_add_func ("/catalogue/too-many", test_too_many);
  g_test_add_func ("/catalogue/names", test_names);
  g_test_add_func ("/catalogue/embedded-place", test_embedded_place);
  g_test_add_func ("/catalogue/usual-places", test_usual_places);
  status = g_test_run ();
  remove_tree (scratch);
  g_free (scratch);
  return status;
}
