/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Checks and loads the weights of a UMT5EncoderModel. */
#include "stages/text-encoder-private.h"

/* Every layer of UMT5 has its own table; T5 has one for all. */
static gboolean
load_relative_bias (SoraTextEncoder *encoder, guint index, SoraLoader *loader, GError **error)
{
  const SoraTextEncoderConfig *c = &encoder->config;
  g_autofree gchar *name =
      g_strdup_printf ("encoder.block.%u.layer.0.SelfAttention.relative_attention_bias.weight", index);
  const SoraTensor *tensor = sora_weight_file_find (loader->file, error, name, 2, c->relative_attention_num_buckets, c->num_heads);

  if (!tensor)
    return FALSE;
  if (loader->queue) {
    encoder->layers[index].relative_bias = g_new (gfloat, tensor->n_elements);
    sora_tensor_to_float (tensor, 0, tensor->n_elements, encoder->layers[index].relative_bias);
  }
  return TRUE;
}

static gboolean
load_attention (SoraTextEncoder *encoder, guint index, SoraLoader *loader, GError **error)
{
  SoraTextEncoderLayer *layer = &encoder->layers[index];
  guint d = encoder->config.d_model, inner = encoder->inner;
  g_autofree gchar *prefix = g_strdup_printf ("encoder.block.%u.layer.0.", index);
  g_autofree gchar *attention = g_strconcat (prefix, "SelfAttention.", NULL);

  return sora_loader_vector (loader, &layer->norm_attention, prefix, "layer_norm.weight", d, error)
      && sora_loader_linear (loader, &layer->qkv, attention, "q,k,v", inner, d, FALSE, error)
      && sora_loader_linear (loader, &layer->o, attention, "o", d, inner, FALSE, error)
      && load_relative_bias (encoder, index, loader, error);
}

static gboolean
load_feed_forward (SoraTextEncoder *encoder, guint index, SoraLoader *loader, GError **error)
{
  SoraTextEncoderLayer *layer = &encoder->layers[index];
  guint d = encoder->config.d_model, d_ff = encoder->config.d_ff;
  g_autofree gchar *prefix = g_strdup_printf ("encoder.block.%u.layer.1.", index);
  g_autofree gchar *dense = g_strconcat (prefix, "DenseReluDense.", NULL);

  return sora_loader_vector (loader, &layer->norm_ff, prefix, "layer_norm.weight", d, error)
      && sora_loader_linear (loader, &layer->wi_0, dense, "wi_0", d_ff, d, FALSE, error)
      && sora_loader_linear (loader, &layer->wi_1, dense, "wi_1", d_ff, d, FALSE, error)
      && sora_loader_linear (loader, &layer->wo, dense, "wo", d, d_ff, FALSE, error);
}

/* transformers writes the table once, under either of two names. */
static gboolean
find_embedding (SoraTextEncoder *encoder, SoraWeightFile *file, GError **error)
{
  const SoraTextEncoderConfig *c = &encoder->config;
  const gchar *name = "shared.weight";

  if (!sora_weight_file_peek (file, name) && sora_weight_file_peek (file, "encoder.embed_tokens.weight"))
    name = "encoder.embed_tokens.weight";
  encoder->embedding = sora_weight_file_find (file, error, name, 2, c->vocab_size, c->d_model);
  return encoder->embedding != NULL;
}

/* Below these, the logarithmic buckets are not defined. */
static gboolean
check_buckets (const SoraTextEncoderConfig *c, const gchar *path, GError **error)
{
  if (c->relative_attention_num_buckets >= 4 && c->relative_attention_max_distance > c->relative_attention_num_buckets / 4)
    return TRUE;
  g_set_error (error, SORA_MODEL_ERROR, SORA_MODEL_ERROR_UNSUPPORTED,
      "The text encoder of %s has %u relative position buckets up to a distance of %u; at least 4, and a distance beyond a "
      "quarter of them, are supported", path, c->relative_attention_num_buckets, c->relative_attention_max_distance);
  return FALSE;
}

static SoraTextEncoder *
load (const SoraTextEncoderConfig *config, SoraLoader *loader, GError **error)
{
  SoraTextEncoder *encoder = g_new0 (SoraTextEncoder, 1);
  gboolean ok;

  encoder->config = *config;
  encoder->inner = config->num_heads * config->d_kv;
  encoder->layers = g_new0 (SoraTextEncoderLayer, config->num_layers);
  encoder->linears = loader->linears = sora_linear_table_new ();
  loader->n_rows = loader->rows.text;
  ok = check_buckets (config, sora_weight_file_get_path (loader->file), error) && find_embedding (encoder, loader->file, error);
  for (guint i = 0; ok && i < config->num_layers; i++)
    ok = load_attention (encoder, i, loader, error) && load_feed_forward (encoder, i, loader, error);
  ok = ok && sora_loader_vector (loader, &encoder->final_norm, "encoder.final_layer_norm.", "weight", config->d_model, error);
  encoder->size = loader->bytes;
  encoder->least = loader->least;
  if (!ok)
    g_clear_pointer (&encoder, sora_text_encoder_free);
  return encoder;
}

gboolean
sora_text_encoder_validate (const SoraTextEncoderConfig *config, SoraWeightFile *file, GError **error)
{
  SoraLoader loader = { .file = file };
  SoraTextEncoder *encoder = load (config, &loader, error);

  if (!encoder)
    return FALSE;
  sora_text_encoder_free (encoder);
  return TRUE;
}

void
sora_text_encoder_predict_scratch (const SoraTextEncoderConfig *config, SoraWeightFile *file, SoraWeightType type, SoraPrecision precision,
    SoraRows rows, SoraQueue *queue, gsize sizes[SORA_N_SCRATCHES])
{
  SoraLoader needed = { .file = file, .counts_for = queue, .type = type, .precision = precision, .rows = rows };

  sora_text_encoder_free (load (config, &needed, NULL));
  for (guint i = 0; i < SORA_N_SCRATCHES; i++)
    sizes[i] = MAX (sizes[i], needed.scratch[i]);
}

SoraTextEncoder *
sora_text_encoder_new (const SoraTextEncoderConfig *config, SoraWeightFile *file, SoraWeightType type,
    SoraPrecision precision, guint64 max_bytes, SoraQueue *queue, GError **error)
{
  const SoraStageLimits limits = { .max_bytes = max_bytes, .max_new_bytes = G_MAXUINT64 };

  return sora_text_encoder_new_sharing (config, file, type, precision, &limits, NULL, queue, error);
}

/* Walks over the names once more before, to know what all of it takes. */
SoraTextEncoder *
sora_text_encoder_new_sharing (const SoraTextEncoderConfig *config, SoraWeightFile *file, SoraWeightType type,
    SoraPrecision precision, const SoraStageLimits *limits, const GPtrArray *others, SoraQueue *queue, GError **error)
{
  g_autoptr (GPtrArray) tables = g_ptr_array_new ();
  SoraLoader loader = { .file = file, .queue = queue, .type = type, .precision = precision, .others = tables };
  SoraLoader needed = { .file = file, .counts_for = queue, .type = type, .precision = precision, .others = tables, .rows = limits->rows };
  SoraTextEncoder *counted;

  for (guint i = 0; others && i < others->len; i++)
    g_ptr_array_add (tables, ((SoraTextEncoder *) others->pdata[i])->linears);
  counted = load (config, &needed, error);
  if (!counted)
    return NULL;
  sora_text_encoder_free (counted);
  return sora_loader_limit (&loader, &needed, limits, error) ? load (config, &loader, error) : NULL;
}

static void
clear_layer (SoraTextEncoderLayer *layer)
{
  g_clear_pointer (&layer->qkv, sora_linear_free);
  g_clear_pointer (&layer->o, sora_linear_free);
  g_clear_pointer (&layer->wi_0, sora_linear_free);
  g_clear_pointer (&layer->wi_1, sora_linear_free);
  g_clear_pointer (&layer->wo, sora_linear_free);
  sora_clear_mem (&layer->norm_attention);
  sora_clear_mem (&layer->norm_ff);
  g_free (layer->relative_bias);
}

void
sora_text_encoder_free (SoraTextEncoder *encoder)
{
  if (!encoder)
    return;
  for (guint i = 0; i < encoder->config.num_layers; i++)
    clear_layer (&encoder->layers[i]);
  sora_clear_mem (&encoder->final_norm);
  g_hash_table_unref (encoder->linears);
  g_free (encoder->layers);
  g_free (encoder);
}

guint64
sora_text_encoder_get_size (SoraTextEncoder *encoder)
{
  return encoder->size;
}

guint64
sora_text_encoder_get_least (SoraTextEncoder *encoder)
{
  return encoder->least;
}
