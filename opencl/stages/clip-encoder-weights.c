/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Checks and loads the weights of a CLIPVisionModel, or of Wan's own class of it. */
#include "stages/clip-encoder-private.h"

#include "stages/loader.h"

static gboolean
load_norm (cl_mem *weight, cl_mem *bias, const gchar *prefix, const gchar *name, guint dim, SoraLoader *loader, GError **error)
{
  g_autofree gchar *weight_name = g_strconcat (name, ".weight", NULL), *bias_name = g_strconcat (name, ".bias", NULL);

  return sora_loader_vector (loader, weight, prefix, weight_name, dim, error)
      && sora_loader_vector (loader, bias, prefix, bias_name, dim, error);
}

/* Wan's class has the three as one. */
static gboolean
load_qkv (SoraClipLayer *layer, const gchar *prefix, guint dim, SoraLoader *loader, GError **error)
{
  g_autofree gchar *whole = g_strconcat (prefix, "qkv_proj.weight", NULL);

  if (sora_weight_file_peek (loader->file, whole))
    return sora_loader_linear (loader, &layer->qkv, prefix, "qkv_proj", 3 * dim, dim, TRUE, error);
  return sora_loader_linear (loader, &layer->qkv, prefix, "q_proj,k_proj,v_proj", dim, dim, TRUE, error);
}

static gboolean
load_layer (SoraClipEncoder *encoder, guint index, SoraLoader *loader, GError **error)
{
  SoraClipLayer *layer = &encoder->layers[index];
  guint dim = encoder->config.hidden_size, hidden = encoder->config.intermediate_size;
  g_autofree gchar *prefix = g_strdup_printf ("encoder.layers.%u.", index), *attention = g_strconcat (prefix, "self_attn.", NULL);

  return load_norm (&layer->norm1_weight, &layer->norm1_bias, prefix, "layer_norm1", dim, loader, error)
      && load_qkv (layer, attention, dim, loader, error)
      && sora_loader_linear (loader, &layer->out, attention, "out_proj", dim, dim, TRUE, error)
      && load_norm (&layer->norm2_weight, &layer->norm2_bias, prefix, "layer_norm2", dim, loader, error)
      && sora_loader_linear (loader, &layer->fc1, prefix, "mlp.fc1", hidden, dim, TRUE, error)
      && sora_loader_linear (loader, &layer->fc2, prefix, "mlp.fc2", dim, hidden, TRUE, error);
}

static gboolean
load_embeddings (SoraClipEncoder *encoder, SoraLoader *loader, GError **error)
{
  const SoraClipConfig *c = &encoder->config;
  guint dim = c->hidden_size;
  const SoraTensor *patch, *positions;

  patch = sora_weight_file_find (loader->file, error, "embeddings.patch_embedding.weight", 4, dim, 3, c->patch_size, c->patch_size);
  positions = patch ? sora_weight_file_find (loader->file, error, "embeddings.position_embedding.weight", 2,
      sora_clip_config_count_tokens (c), dim) : NULL;
  return positions && sora_loader_linear_from (loader, &encoder->patch_embedding, 1, &patch, NULL, error)
      && sora_loader_upload (loader, &encoder->positions, 1, &positions, error)
      && sora_loader_vector (loader, &encoder->class_embedding, "embeddings.", "class_embedding", dim, error)
      && load_norm (&encoder->pre_norm_weight, &encoder->pre_norm_bias, "", "pre_layrnorm", dim, loader, error);
}

static SoraClipEncoder *
load (const SoraClipConfig *config, SoraLoader *loader, GError **error)
{
  SoraClipEncoder *encoder = g_new0 (SoraClipEncoder, 1);
  gboolean ok;

  encoder->config = *config;
  encoder->n_layers = config->num_hidden_layers - 1;
  encoder->layers = g_new0 (SoraClipLayer, encoder->n_layers);
  ok = load_embeddings (encoder, loader, error);
  for (guint i = 0; ok && i < encoder->n_layers; i++)
    ok = load_layer (encoder, i, loader, error);
  if (!ok)
    g_clear_pointer (&encoder, sora_clip_encoder_free);
  return encoder;
}

gboolean
sora_clip_encoder_validate (const SoraClipConfig *config, SoraWeightFile *file, GError **error)
{
  SoraLoader loader = { .file = file };
  SoraClipEncoder *encoder = load (config, &loader, error);

  if (!encoder)
    return FALSE;
  sora_clip_encoder_free (encoder);
  return TRUE;
}

/* Walks over the names once more before, to know what all of it takes. */
SoraClipEncoder *
sora_clip_encoder_new (const SoraClipConfig *config, SoraWeightFile *file, SoraPrecision precision, guint64 max_bytes, SoraQueue *queue,
    GError **error)
{
  const SoraStageLimits limits = { max_bytes, G_MAXUINT64, { .image = sora_clip_config_count_tokens (config) } };
  SoraLoader loader = { .file = file, .queue = queue, .precision = precision };
  SoraLoader needed = { .file = file, .counts_for = queue, .precision = precision, .n_rows = limits.rows.image };
  SoraClipEncoder *counted = load (config, &needed, error);

  if (!counted)
    return NULL;
  sora_clip_encoder_free (counted);
  return sora_loader_limit (&loader, &needed, &limits, error) ? load (config, &loader, error) : NULL;
}

static void
clear_layer (SoraClipLayer *layer)
{
  sora_clear_mem (&layer->norm1_weight);
  sora_clear_mem (&layer->norm1_bias);
  sora_clear_mem (&layer->norm2_weight);
  sora_clear_mem (&layer->norm2_bias);
  g_clear_pointer (&layer->qkv, sora_linear_free);
  g_clear_pointer (&layer->out, sora_linear_free);
  g_clear_pointer (&layer->fc1, sora_linear_free);
  g_clear_pointer (&layer->fc2, sora_linear_free);
}

void
sora_clip_encoder_free (SoraClipEncoder *encoder)
{
  if (!encoder)
    return;
  for (guint i = 0; i < encoder->n_layers; i++)
    clear_layer (&encoder->layers[i]);
  g_clear_pointer (&encoder->patch_embedding, sora_linear_free);
  sora_clear_mem (&encoder->class_embedding);
  sora_clear_mem (&encoder->positions);
  sora_clear_mem (&encoder->pre_norm_weight);
  sora_clear_mem (&encoder->pre_norm_bias);
  g_free (encoder->layers);
  g_free (encoder);
}
