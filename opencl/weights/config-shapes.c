/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a weight file is, told by its tensors, and the configuration that their shapes give where no JSON does. */

#include "weights/config-shapes-private.h"

#include <string.h>

#include "weights/json.h"
#include "weights/lora.h"

#define HEAD_DIM 128            /* of every Wan transformer */
#define MAX_LAYERS 1024
#define MAX_WIDTH (1 << 22)     /* of anything; a vocabulary is the largest */

gboolean
sora_shapes_fail (SoraWeightFile *file, SoraModelError code, GError **error, const gchar *what)
{
  g_set_error (error, SORA_MODEL_ERROR, code, "%s: %s", sora_weight_file_get_path (file), what);
  return FALSE;
}

static gboolean
has (SoraWeightFile *file, const gchar *name)
{
  return sora_weight_file_peek (file, name) != NULL;
}

/* Size @dim of the tensor @name; 0 if there is none with so many */
static guint
get_size (SoraWeightFile *file, const gchar *name, guint dim)
{
  const SoraTensor *tensor = sora_weight_file_peek (file, name);

  return tensor && tensor->n_dims > dim && tensor->shape[dim] <= MAX_WIDTH ? tensor->shape[dim] : 0;
}

/* The tensors asked for are those that no quantisation touches. T5, unlike UMT5, has one table of positions for all layers. */
static gboolean
is_umt5 (SoraWeightFile *file)
{
  return has (file, "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight")
      && has (file, "encoder.final_layer_norm.weight")
      && (!has (file, "encoder.block.1.layer.0.layer_norm.weight")
          || has (file, "encoder.block.1.layer.0.SelfAttention.relative_attention_bias.weight"));
}

SoraWeightsKind
sora_weights_recognise (SoraWeightFile *file)
{
  if (has (file, "scale_shift_table") && has (file, "patch_embedding.bias") && has (file, "blocks.0.attn1.norm_q.weight"))
    return SORA_WEIGHTS_TRANSFORMER;
  if (is_umt5 (file))
    return SORA_WEIGHTS_TEXT_ENCODER;
  if (has (file, "encoder.0.weight") && has (file, "encoder.2.conv.weight") && has (file, "decoder.1.weight"))
    return SORA_WEIGHTS_TAEHV;
  if (has (file, "decoder.middle.0.residual.0.gamma") || has (file, "decoder.mid_block.resnets.0.norm1.gamma"))
    return SORA_WEIGHTS_WAN_VAE;
  if (sora_clip_config_matches (file))
    return SORA_WEIGHTS_IMAGE_ENCODER;
  if (sora_lora_recognise (file))
    return SORA_WEIGHTS_LORA;
  return SORA_WEIGHTS_UNKNOWN;
}

const gchar *
sora_weights_kind_name (SoraWeightsKind kind)
{
  static const gchar *const names[] = {
    [SORA_WEIGHTS_UNKNOWN] = "nothing that belongs to a Wan model", [SORA_WEIGHTS_TRANSFORMER] = "a Wan transformer",
    [SORA_WEIGHTS_TEXT_ENCODER] = "a UMT5 text encoder", [SORA_WEIGHTS_TAEHV] = "a TAEHV", [SORA_WEIGHTS_WAN_VAE] = "Wan's VAE",
    [SORA_WEIGHTS_IMAGE_ENCODER] = "a CLIP image encoder",
    [SORA_WEIGHTS_LORA] = "a LoRA, which is no model but changes one",
  };

  return names[kind];
}

guint
sora_weights_get_latent_channels (SoraWeightFile *file)
{
  switch (sora_weights_recognise (file)) {
    case SORA_WEIGHTS_TAEHV:
      return get_size (file, "decoder.1.weight", 1);
    case SORA_WEIGHTS_WAN_VAE:
      return MAX (get_size (file, "conv2.weight", 1), get_size (file, "post_quant_conv.weight", 1));
    default:
      return 0;
  }
}

/* (transfer full): what there is to say of a file of @kind where @expected should be, or "" */
static gchar *
advise (SoraWeightFile *file, SoraWeightsKind kind, SoraWeightsKind expected)
{
  g_autoptr (GPtrArray) names = sora_weight_file_get_names (file);

  if (kind == SORA_WEIGHTS_UNKNOWN && names->len > 0)
    return g_strdup_printf (": the first of its %u tensors is \"%s\"", names->len, (gchar *) names->pdata[0]);
  if (expected == SORA_WEIGHTS_TRANSFORMER && kind != SORA_WEIGHTS_UNKNOWN && kind != SORA_WEIGHTS_LORA)
    return g_strdup ("; name the transformer as the model, beside which the other parts are found, or named too");
  return g_strdup ("");
}

gboolean
sora_weights_expect (SoraWeightFile *file, SoraWeightsKind expected, GError **error)
{
  SoraWeightsKind kind = sora_weights_recognise (file);
  g_autofree gchar *advice = NULL;

  if (kind == expected)
    return TRUE;
  advice = advise (file, kind, expected);
  g_set_error (error, SORA_MODEL_ERROR, SORA_MODEL_ERROR_UNSUPPORTED, "%s: expected %s, found %s%s", sora_weight_file_get_path (file),
      expected == SORA_WEIGHTS_TAEHV ? "a VAE, Wan's own or a TAEHV" : sora_weights_kind_name (expected), sora_weights_kind_name (kind), advice);
  return FALSE;
}

static gboolean
has_prefix (SoraWeightFile *file, const gchar *prefix)
{
  g_autoptr (GPtrArray) names = sora_weight_file_get_names (file);

  for (guint i = 0; i < names->len; i++) {
    if (g_str_has_prefix (names->pdata[i], prefix))
      return TRUE;
  }
  return FALSE;
}

/* One more than the highest N of the names "@prefixN."; a layer missing in between is found when its tensors are asked for. */
static guint64
count_layers (SoraWeightFile *file, const gchar *prefix)
{
  g_autoptr (GPtrArray) names = sora_weight_file_get_names (file);
  guint64 n = 0;

  for (guint i = 0; i < names->len; i++) {
    const gchar *name = names->pdata[i];
    gchar *end;
    guint64 index;
    if (!g_str_has_prefix (name, prefix) || !g_ascii_isdigit (name[strlen (prefix)]))
      continue;
    index = g_ascii_strtoull (name + strlen (prefix), &end, 10);
    if (*end == '.')
      n = MAX (n, MIN (index, MAX_LAYERS) + 1);
  }
  return n;
}

static gboolean
get_layers (SoraWeightFile *file, const gchar *prefix, guint *n_layers, GError **error)
{
  guint64 n = count_layers (file, prefix);

  *n_layers = n;
  return n <= MAX_LAYERS || sora_shapes_fail (file, SORA_MODEL_ERROR_FORMAT, error, "more than 1024 layers");
}

gboolean
sora_shapes_get (SoraWeightFile *file, const gchar *name, guint n_dims, guint *sizes, GError **error)
{
  static const guint any[SORA_TENSOR_MAX_DIMS];
  const SoraTensor *tensor = n_dims == 2 ? sora_weight_file_find (file, error, name, 2, any[0], any[1])
      : n_dims == 4 ? sora_weight_file_find (file, error, name, 4, any[0], any[1], any[2], any[3])
      : sora_weight_file_find (file, error, name, 5, any[0], any[1], any[2], any[3], any[4]);

  if (!tensor)
    return FALSE;
  for (guint i = 0; i < n_dims; i++) {
    if (tensor->shape[i] < 1 || tensor->shape[i] > MAX_WIDTH) {
      g_set_error (error, SORA_MODEL_ERROR, SORA_MODEL_ERROR_FORMAT, "%s: tensor \"%s\": a dimension of %" G_GUINT64_FORMAT,
          tensor->file, name, tensor->shape[i]);
      return FALSE;
    }
    sizes[i] = tensor->shape[i];
  }
  return TRUE;
}

/* transformer */

/* VACE needs inputs that no other Wan has. */
static gboolean
check_variant (SoraWeightFile *file, GError **error)
{
  return !has_prefix (file, "vace_")
      || sora_shapes_fail (file, SORA_MODEL_ERROR_UNSUPPORTED, error,
          "a VACE model, which is not supported; take a text-to-video or image-to-video model (t2v, ti2v, i2v)");
}

/* The image's embeddings that the transformer attends to, if it does */
static gboolean
read_image_embedder (SoraTransformerConfig *config, SoraWeightFile *file, GError **error)
{
  guint linear[2], positions = get_size (file, "condition_embedder.image_embedder.pos_embed", 1);

  if (!has_prefix (file, "condition_embedder.image_embedder.") && !has (file, "blocks.0.attn2.add_k_proj.weight"))
    return TRUE;
  if (!sora_shapes_get (file, "condition_embedder.image_embedder.ff.net.0.proj.weight", 2, linear, error))
    return FALSE;
  config->image_dim = linear[1];
  config->image_positions = positions;
  return positions % 2 == 0
      || sora_shapes_fail (file, SORA_MODEL_ERROR_UNSUPPORTED, error, "an odd number of places for the embeddings of two images is not supported");
}

static gboolean
read_ends (SoraTransformerConfig *config, SoraWeightFile *file, guint *dim, GError **error)
{
  guint patch[5], output[2], time[2], text[2], ffn[2];
  guint64 pixels;

  if (!sora_shapes_get (file, "patch_embedding.weight", 5, patch, error) || !sora_shapes_get (file, "proj_out.weight", 2, output, error)
      || !sora_shapes_get (file, "condition_embedder.time_embedder.linear_1.weight", 2, time, error)
      || !sora_shapes_get (file, "condition_embedder.text_embedder.linear_1.weight", 2, text, error)
      || !sora_shapes_get (file, "blocks.0.ffn.net.0.proj.weight", 2, ffn, error))
    return FALSE;
  pixels = (guint64) patch[2] * patch[3] * patch[4];
  if (patch[2] != 1 || pixels > 256 || output[0] % pixels != 0)
    return sora_shapes_fail (file, SORA_MODEL_ERROR_UNSUPPORTED, error, "patches of this shape are not supported");
  *dim = patch[0];
  memcpy (config->patch_size, patch + 2, sizeof (config->patch_size));
  config->in_channels = patch[1];
  config->out_channels = output[0] / pixels;
  config->freq_dim = time[1];
  config->text_dim = text[1];
  config->ffn_dim = ffn[0];
  return TRUE;
}

/* Whether @dim is so many heads of whole pairs, which the rotary embedding turns */
static gboolean
set_heads (SoraTransformerConfig *config, guint dim, guint heads)
{
  config->num_attention_heads = heads;
  config->attention_head_dim = heads > 0 ? dim / heads : 0;
  return config->attention_head_dim >= 6 && config->attention_head_dim % 2 == 0 && heads * config->attention_head_dim == dim;
}

/* All but the heads */
static gboolean
read_transformer (SoraTransformerConfig *config, SoraWeightFile *file, guint *dim, GError **error)
{
  *config = (SoraTransformerConfig) { .eps = 1e-6 };
  if (!sora_weights_expect (file, SORA_WEIGHTS_TRANSFORMER, error) || !get_layers (file, "blocks.", &config->num_layers, error)
      || !read_ends (config, file, dim, error))
    return FALSE;
  config->cross_attn_norm = has (file, "blocks.0.norm2.weight");
  if (config->freq_dim % 2 != 0)
    return sora_shapes_fail (file, SORA_MODEL_ERROR_UNSUPPORTED, error, "an odd number of timestep frequencies is not supported");
  return check_variant (file, error) && read_image_embedder (config, file, error);
}

gboolean
sora_transformer_config_from_shapes (SoraTransformerConfig *config, SoraWeightFile *file, GError **error)
{
  guint dim;

  if (!read_transformer (config, file, &dim, error))
    return FALSE;
  if (set_heads (config, dim, dim / HEAD_DIM))
    return TRUE;
  g_set_error (error, SORA_MODEL_ERROR, SORA_MODEL_ERROR_UNSUPPORTED,
      "%s: a transformer %u wide has no whole number of heads of 128 dimensions; Wan's config.json with \"num_heads\" must lie beside it",
      sora_weight_file_get_path (file), dim);
  return FALSE;
}

/* An integer field that must be @expected, what @file has, if it is there. */
static void
expect_same (SoraJsonReader *reader, const gchar *name, guint expected, SoraWeightFile *file)
{
  guint found = expected;

  sora_json_read_uint (reader, name, SORA_JSON_OPTIONAL, 0, G_MAXINT, &found);
  if (!reader->error && found != expected)
    sora_json_reader_fail (reader, SORA_MODEL_ERROR_FORMAT, "\"%s\" is %u, but the tensors of %s make it %u", name, found,
        sora_weight_file_get_path (file), expected);
}

static void
expect_known_type (SoraJsonReader *reader)
{
  static const gchar *const known[] = { "t2v", "ti2v", "i2v", "flf2v", NULL };
  const gchar *type = known[0];

  sora_json_read_string (reader, "model_type", SORA_JSON_OPTIONAL, &type);
  if (!reader->error && !g_strv_contains (known, type))
    sora_json_reader_fail (reader, SORA_MODEL_ERROR_UNSUPPORTED, "\"model_type\": a \"%s\" model is not supported; take a text-to-video or "
        "image-to-video model (\"t2v\", \"ti2v\" or \"i2v\")", type);
}

gboolean
sora_transformer_config_read_wan (SoraTransformerConfig *config, SoraWeightFile *file, const gchar *path, guint *text_length,
    GError **error)
{
  SoraJsonReader reader;
  guint dim = 0, heads = 0;

  sora_json_reader_open (&reader, path);
  expect_known_type (&reader);
  sora_json_read_uint (&reader, "num_heads", SORA_JSON_REQUIRED, 1, 1024, &heads);
  sora_json_read_uint (&reader, "text_len", SORA_JSON_OPTIONAL, 1, 8192, text_length);
  if (!reader.error && read_transformer (config, file, &dim, &reader.error)) {
    if (!set_heads (config, dim, heads))
      sora_json_reader_fail (&reader, SORA_MODEL_ERROR_FORMAT, "\"num_heads\" is %u, which does not divide the width of %s, %u, into heads "
          "of pairs", heads, sora_weight_file_get_path (file), dim);
    sora_json_read_double (&reader, "eps", SORA_JSON_OPTIONAL, 0, 1, &config->eps);
    expect_same (&reader, "dim", dim, file);
    expect_same (&reader, "ffn_dim", config->ffn_dim, file);
    expect_same (&reader, "num_layers", config->num_layers, file);
    expect_same (&reader, "in_dim", config->in_channels, file);
    expect_same (&reader, "out_dim", config->out_channels, file);
    expect_same (&reader, "freq_dim", config->freq_dim, file);
    expect_same (&reader, "text_dim", config->text_dim, file);
  }
  return sora_json_reader_close (&reader, error);
}

gboolean
sora_transformer_config_is_wan (const gchar *path)
{
  g_autoptr (JsonNode) root = sora_json_load (path, NULL);

  return root && json_object_has_member (json_node_get_object (root), "dim");
}

gboolean
sora_transformer_config_read (SoraTransformerConfig *config, SoraWeightFile *file, const gchar *path, guint *text_length, GError **error)
{
  if (!path)
    return sora_transformer_config_from_shapes (config, file, error);
  if (sora_transformer_config_is_wan (path))
    return sora_transformer_config_read_wan (config, file, path, text_length, error);
  return sora_transformer_config_load (config, path, error);
}

/* text encoder */

gboolean
sora_text_encoder_config_from_shapes (SoraTextEncoderConfig *config, SoraWeightFile *file, GError **error)
{
  const gchar *embedding = has (file, "encoder.embed_tokens.weight") && !has (file, "shared.weight") ? "encoder.embed_tokens.weight"
      : "shared.weight";
  guint table[2], positions[2], q[2], wi[2];

  *config = (SoraTextEncoderConfig) { .relative_attention_max_distance = 128, .layer_norm_epsilon = 1e-6 };
  if (!sora_weights_expect (file, SORA_WEIGHTS_TEXT_ENCODER, error)
      || !get_layers (file, "encoder.block.", &config->num_layers, error) || !sora_shapes_get (file, embedding, 2, table, error)
      || !sora_shapes_get (file, "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight", 2, positions, error)
      || !sora_shapes_get (file, "encoder.block.0.layer.0.SelfAttention.q.weight", 2, q, error)
      || !sora_shapes_get (file, "encoder.block.0.layer.1.DenseReluDense.wi_0.weight", 2, wi, error))
    return FALSE;
  config->vocab_size = table[0];
  config->d_model = table[1];
  config->d_ff = wi[0];
  config->relative_attention_num_buckets = positions[0];
  config->num_heads = positions[1];
  config->d_kv = q[0] / positions[1];
  if (positions[0] % 4 != 0 || positions[0] / 4 >= config->relative_attention_max_distance || config->d_kv * positions[1] != q[0])
    return sora_shapes_fail (file, SORA_MODEL_ERROR_UNSUPPORTED, error, "the shapes of its attention are none of UMT5's");
  return TRUE;
}
