/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Checks and loads the weights of a diffusers WanTransformer3DModel. */
#include "stages/transformer-private.h"

#include "ops/attention.h"

/* Width from which attention may be in bf16: the embedded model has 256, the smallest of Wan's 1,536 */
#define MIN_BF16_DIM 1024

static gboolean
load_attention (SoraTransformerAttention *attention, const gchar *block, const gchar *name, guint dim, SoraLoader *loader,
    GError **error)
{
  g_autofree gchar *prefix = g_strconcat (block, name, ".", NULL);

  return sora_loader_linear (loader, &attention->q, prefix, "to_q", dim, dim, TRUE, error)
      && sora_loader_linear (loader, &attention->kv, prefix, "to_k,to_v", dim, dim, TRUE, error)
      && sora_loader_linear (loader, &attention->out, prefix, "to_out.0", dim, dim, TRUE, error)
      && sora_loader_vector (loader, &attention->norm_q, prefix, "norm_q.weight", dim, error)
      && sora_loader_vector (loader, &attention->norm_k, prefix, "norm_k.weight", dim, error);
}

/* Only the cross-attention has these. */
static gboolean
load_image_attention (SoraTransformerAttention *attention, const gchar *block, guint dim, SoraLoader *loader, GError **error)
{
  g_autofree gchar *prefix = g_strconcat (block, "attn2.", NULL);

  return sora_loader_linear (loader, &attention->image_kv, prefix, "add_k_proj,add_v_proj", dim, dim, TRUE, error)
      && sora_loader_vector (loader, &attention->norm_image_k, prefix, "norm_added_k.weight", dim, error);
}

static gboolean
load_layer (SoraTransformer *t, guint index, SoraLoader *loader, GError **error)
{
  SoraTransformerLayer *layer = &t->layers[index];
  guint ffn_dim = t->config.ffn_dim;
  g_autofree gchar *prefix = g_strdup_printf ("blocks.%u.", index);

  if (!load_attention (&layer->self, prefix, "attn1", t->dim, loader, error)
      || !load_attention (&layer->cross, prefix, "attn2", t->dim, loader, error)
      || (t->config.image_dim > 0 && !load_image_attention (&layer->cross, prefix, t->dim, loader, error))
      || !sora_loader_linear (loader, &layer->ffn_in, prefix, "ffn.net.0.proj", ffn_dim, t->dim, TRUE, error)
      || !sora_loader_linear (loader, &layer->ffn_out, prefix, "ffn.net.2", t->dim, ffn_dim, TRUE, error))
    return FALSE;
  return !t->config.cross_attn_norm
      || (sora_loader_vector (loader, &layer->norm2_weight, prefix, "norm2.weight", t->dim, error)
          && sora_loader_vector (loader, &layer->norm2_bias, prefix, "norm2.bias", t->dim, error));
}

/* One buffer for the tables of all layers, so that one launch serves them all. */
static gboolean
load_tables (SoraTransformer *t, SoraLoader *loader, GError **error)
{
  g_autofree const SoraTensor **tables = g_new (const SoraTensor *, t->config.num_layers);
  const SoraTensor *output = sora_weight_file_find (loader->file, error, "scale_shift_table", 3, 1, 2, t->dim);

  if (!output)
    return FALSE;
  for (guint i = 0; i < t->config.num_layers; i++) {
    g_autofree gchar *name = g_strdup_printf ("blocks.%u.scale_shift_table", i);
    tables[i] = sora_weight_file_find (loader->file, error, name, 3, 1, 6, t->dim);
    if (!tables[i])
      return FALSE;
  }
  return sora_loader_upload (loader, &t->output_table, 1, &output, error)
      && sora_loader_upload (loader, &t->tables, t->config.num_layers, tables, error);
}

static gboolean
load_patch_embedding (SoraTransformer *t, SoraLoader *loader, GError **error)
{
  const SoraTransformerConfig *c = &t->config;
  const SoraTensor *weight = sora_weight_file_find (loader->file, error, "patch_embedding.weight", 5, t->dim, c->in_channels,
      c->patch_size[0], c->patch_size[1], c->patch_size[2]);
  const SoraTensor *bias = weight ? sora_weight_file_find (loader->file, error, "patch_embedding.bias", 1, t->dim) : NULL;

  return bias && sora_loader_linear_from (loader, &t->patch_embedding, 1, &weight, &bias, error);
}

static gboolean
load_image_positions (SoraTransformer *t, SoraLoader *loader, GError **error)
{
  const SoraTensor *positions;

  if (t->config.image_positions == 0)
    return TRUE;
  positions = sora_weight_file_find (loader->file, error, "condition_embedder.image_embedder.pos_embed", 3, 1, t->config.image_positions,
      t->config.image_dim);
  return positions && sora_loader_upload (loader, &t->image.positions, 1, &positions, error);
}

static gboolean
load_image_embedder (SoraTransformer *t, SoraLoader *loader, GError **error)
{
  const gchar *prefix = "condition_embedder.image_embedder.";
  guint n = t->config.image_dim;
  SoraImageEmbedder *image = &t->image;

  return n == 0
      || (load_image_positions (t, loader, error)
          && sora_loader_vector (loader, &image->norm1_weight, prefix, "norm1.weight", n, error)
          && sora_loader_vector (loader, &image->norm1_bias, prefix, "norm1.bias", n, error)
          && sora_loader_linear (loader, &image->linear_1, prefix, "ff.net.0.proj", n, n, TRUE, error)
          && sora_loader_linear (loader, &image->linear_2, prefix, "ff.net.2", t->dim, n, TRUE, error)
          && sora_loader_vector (loader, &image->norm2_weight, prefix, "norm2.weight", t->dim, error)
          && sora_loader_vector (loader, &image->norm2_bias, prefix, "norm2.bias", t->dim, error));
}

/* In fp32 always, as every token depends on it: it multiplies a row a frame, which takes no time. The projection, which is the widest of all, is
 * of as few rows. */
static gboolean
load_time_embedder (SoraTransformer *t, SoraLoader *loader, GError **error)
{
  const gchar *prefix = "condition_embedder.time_embedder.";
  SoraPrecision precision = loader->precision;
  guint n_rows = loader->n_rows;
  gboolean loaded;

  loader->n_rows = loader->rows.timesteps;
  loader->precision = SORA_PRECISION_FP32;
  loaded = sora_loader_linear (loader, &t->time_1, prefix, "linear_1", t->dim, t->config.freq_dim, TRUE, error)
      && sora_loader_linear (loader, &t->time_2, prefix, "linear_2", t->dim, t->dim, TRUE, error);
  loader->precision = precision;
  loaded = loaded && sora_loader_linear (loader, &t->time_proj, "condition_embedder.", "time_proj", 6 * t->dim, t->dim, TRUE, error);
  loader->n_rows = n_rows;
  return loaded;
}

static gboolean
load_ends (SoraTransformer *t, SoraLoader *loader, GError **error)
{
  const SoraTransformerConfig *c = &t->config;
  const gchar *text = "condition_embedder.text_embedder.";
  guint dim = t->dim, patch = c->out_channels * c->patch_size[1] * c->patch_size[2];

  return load_patch_embedding (t, loader, error)
      && load_time_embedder (t, loader, error)
      && sora_loader_linear (loader, &t->text_1, text, "linear_1", dim, c->text_dim, TRUE, error)
      && sora_loader_linear (loader, &t->text_2, text, "linear_2", dim, dim, TRUE, error)
      && sora_loader_linear (loader, &t->proj_out, "", "proj_out", patch, dim, TRUE, error)
      && load_image_embedder (t, loader, error);
}

static gboolean
check_config (const SoraTransformerConfig *c, const gchar *path, GError **error)
{
  const gchar *what = NULL;

  if (c->patch_size[0] != 1)
    what = "patches of more than one latent frame";
  else if (c->attention_head_dim % 2 != 0 || c->freq_dim % 2 != 0)
    what = "an odd attention_head_dim or freq_dim";
  if (!what)
    return TRUE;
  g_set_error (error, SORA_MODEL_ERROR, SORA_MODEL_ERROR_UNSUPPORTED, "The transformer of %s has %s, which is not supported",
      path, what);
  return FALSE;
}

gboolean
sora_transformer_attends_in_bf16 (const SoraTransformer *t, const SoraLinear *queries)
{
  return t->dim >= MIN_BF16_DIM && sora_linear_is_bf16 (queries);
}

static SoraTransformer *
load (const SoraTransformerConfig *config, SoraLoader *loader, GError **error)
{
  SoraTransformer *t = g_new0 (SoraTransformer, 1);
  gboolean ok;

  t->config = *config;
  t->dim = config->num_attention_heads * config->attention_head_dim;
  t->layers = g_new0 (SoraTransformerLayer, config->num_layers);
  t->linears = loader->linears = sora_linear_table_new ();
  loader->n_rows = MAX (loader->rows.tokens, MAX (loader->rows.text, loader->rows.image));
  ok = check_config (config, sora_weight_file_get_path (loader->file), error) && load_ends (t, loader, error)
      && load_tables (t, loader, error);
  for (guint i = 0; ok && i < config->num_layers; i++) {
    ok = load_layer (t, i, loader, error);
    if (ok && i == 0 && loader->queue)
      sora_attention_expect (loader->queue, config->attention_head_dim, sora_transformer_attends_in_bf16 (t, t->layers[0].self.q));
  }
  t->size = loader->bytes;
  t->is_streamed = loader->is_limited;
  if (!ok)
    g_clear_pointer (&t, sora_transformer_free);
  return t;
}

gboolean
sora_transformer_validate (const SoraTransformerConfig *config, SoraWeightFile *file, GError **error)
{
  SoraLoader loader = { .file = file };
  SoraTransformer *t = load (config, &loader, error);

  if (!t)
    return FALSE;
  sora_transformer_free (t);
  return TRUE;
}

void
sora_transformer_predict_scratch (const SoraTransformerConfig *config, SoraWeightFile *file, SoraWeightType type, SoraPrecision precision,
    SoraRows rows, SoraQueue *queue, gsize sizes[SORA_N_SCRATCHES])
{
  SoraLoader needed = { .file = file, .counts_for = queue, .type = type, .precision = precision, .rows = rows };

  sora_transformer_free (load (config, &needed, NULL));
  for (guint i = 0; i < SORA_N_SCRATCHES; i++)
    sizes[i] = MAX (sizes[i], needed.scratch[i]);
}

SoraTransformer *
sora_transformer_new (const SoraTransformerConfig *config, SoraWeightFile *file, SoraWeightType type,
    SoraPrecision precision, guint64 max_bytes, SoraQueue *queue, GError **error)
{
  const SoraStageLimits limits = { .max_bytes = max_bytes, .max_new_bytes = G_MAXUINT64 };

  return sora_transformer_new_sharing (config, file, type, precision, &limits, NULL, queue, error);
}

/* Walks over the names once more before, to know what all of it takes. */
SoraTransformer *
sora_transformer_new_sharing (const SoraTransformerConfig *config, SoraWeightFile *file, SoraWeightType type,
    SoraPrecision precision, const SoraStageLimits *limits, const GPtrArray *others, SoraQueue *queue, GError **error)
{
  g_autoptr (GPtrArray) tables = g_ptr_array_new ();
  SoraLoader loader = { .file = file, .queue = queue, .type = type, .precision = precision, .others = tables };
  SoraLoader needed = { .file = file, .counts_for = queue, .type = type, .precision = precision, .others = tables, .rows = limits->rows };
  SoraTransformer *counted;

  for (guint i = 0; others && i < others->len; i++)
    g_ptr_array_add (tables, ((SoraTransformer *) others->pdata[i])->linears);
  counted = load (config, &needed, error);
  if (!counted)
    return NULL;
  sora_transformer_free (counted);
  return sora_loader_limit (&loader, &needed, limits, error) ? load (config, &loader, error) : NULL;
}

static void
clear_attention (SoraTransformerAttention *attention)
{
  g_clear_pointer (&attention->q, sora_linear_free);
  g_clear_pointer (&attention->kv, sora_linear_free);
  g_clear_pointer (&attention->out, sora_linear_free);
  sora_clear_mem (&attention->norm_q);
  sora_clear_mem (&attention->norm_k);
  g_clear_pointer (&attention->image_kv, sora_linear_free);
  sora_clear_mem (&attention->norm_image_k);
}

static void
clear_layer (SoraTransformerLayer *layer)
{
  clear_attention (&layer->self);
  clear_attention (&layer->cross);
  sora_clear_mem (&layer->norm2_weight);
  sora_clear_mem (&layer->norm2_bias);
  g_clear_pointer (&layer->ffn_in, sora_linear_free);
  g_clear_pointer (&layer->ffn_out, sora_linear_free);
}

static void
clear_image_embedder (SoraImageEmbedder *image)
{
  sora_clear_mem (&image->positions);
  sora_clear_mem (&image->norm1_weight);
  sora_clear_mem (&image->norm1_bias);
  g_clear_pointer (&image->linear_1, sora_linear_free);
  g_clear_pointer (&image->linear_2, sora_linear_free);
  sora_clear_mem (&image->norm2_weight);
  sora_clear_mem (&image->norm2_bias);
}

void
sora_transformer_free (SoraTransformer *t)
{
  if (!t)
    return;
  for (guint i = 0; i < t->config.num_layers; i++)
    clear_layer (&t->layers[i]);
  g_clear_pointer (&t->patch_embedding, sora_linear_free);
  g_clear_pointer (&t->time_1, sora_linear_free);
  g_clear_pointer (&t->time_2, sora_linear_free);
  g_clear_pointer (&t->time_proj, sora_linear_free);
  g_clear_pointer (&t->text_1, sora_linear_free);
  g_clear_pointer (&t->text_2, sora_linear_free);
  g_clear_pointer (&t->proj_out, sora_linear_free);
  clear_image_embedder (&t->image);
  sora_clear_mem (&t->tables);
  sora_clear_mem (&t->output_table);
  g_hash_table_unref (t->linears);
  g_free (t->layers);
  g_free (t);
}

gboolean
sora_transformer_is_streamed (SoraTransformer *t)
{
  return t->is_streamed;
}

guint64
sora_transformer_get_size (SoraTransformer *t)
{
  return t->size;
}
