/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One evaluation of WanTransformer3DModel for all branches. */
#include "stages/transformer-private.h"

#include <math.h>
#include "ops/attention.h"
#include "ops/elementwise.h"
#include "ops/norm.h"
#include "ops/rope.h"

/* The rows of scale_shift_table, in its order. */
typedef enum {
  SHIFT_ATTENTION,
  SCALE_ATTENTION,
  GATE_ATTENTION,
  SHIFT_FFN,
  SCALE_FFN,
  GATE_FFN,
} Modulation;

typedef struct {
  SoraTransformer *t;
  SoraTransformerState *s;
  SoraQueue *queue;
  guint n_latents;
  guint n_branches;             /* that are evaluated: the state's first ones */
  guint positions;              /* n_latents * tokens: rows of one branch */
  guint past;                   /* latent frames that it sees of what is in the cache: the newest */
} Evaluation;

static const SoraFrameVector no_vector = { 0 };

/* Of the layer's self-attention. */
static guint
evaluated_branches (const Evaluation *e, guint layer)
{
  return MIN (e->n_branches, sora_transformer_layer_branches (e->s, layer));
}

/* One of the six vectors of a layer, for rows of @branches branches. */
static SoraFrameVector
modulation (const Evaluation *e, guint layer, guint branches, Modulation which)
{
  guint dim = e->t->dim;

  return (SoraFrameVector) {
    .mem = e->s->modulation, .offset = (layer * e->n_latents * 6 + which) * dim, .stride = 6 * dim,
    .rows_per_frame = e->s->tokens * branches, .n_frames = e->n_latents,
  };
}

static void
modulate_timesteps (const Evaluation *e, const guint *timestep_rows)
{
  SoraTransformerState *s = e->s;
  guint dim = e->t->dim;

  sora_modulation_run (e->queue, e->t->tables, SORA_MATRIX (s->time_projection, 6 * dim), timestep_rows, s->modulation,
      e->t->config.num_layers, e->n_latents, 6 * dim);
  sora_modulation_run (e->queue, e->t->output_table, SORA_MATRIX (s->time_embedding, 2 * dim), timestep_rows,
      s->output_modulation, 1, e->n_latents, 2 * dim);
}

/* The latents' channels, then the condition's. */
static void
embed_latents (const Evaluation *e, cl_mem latents)
{
  const SoraTransformerConfig *c = &e->t->config;
  SoraTransformerState *s = e->s;
  guint area = c->patch_size[1] * c->patch_size[2], n_condition = s->shape.condition_channels, n_latent = c->in_channels - n_condition;
  SoraMatrix patches = SORA_MATRIX (s->patches, c->in_channels * area);

  sora_patchify_run (e->queue, latents, 0, patches, e->n_latents, s->shape.height, s->shape.width, n_latent, c->patch_size[1],
      c->patch_size[2]);
  if (n_condition > 0)
    sora_patchify_run (e->queue, s->condition, 0, SORA_MATRIX_AT (s->patches, n_latent * area, c->in_channels * area), e->n_latents,
        s->shape.height, s->shape.width, n_condition, c->patch_size[1], c->patch_size[2]);
  sora_linear_run (e->queue, e->t->patch_embedding, patches, SORA_MATRIX (s->embedded, e->t->dim), e->positions, NULL);
}

/* What the layer's self-attention reads: the residual stream, of one branch before the text enters. */
static SoraMatrix
stream_in (const Evaluation *e, guint layer)
{
  return SORA_MATRIX (layer > 0 ? e->s->x : e->s->embedded, e->t->dim);
}

/* Normed input to s->normed; keys and values to the window, behind the past. A branch that is not evaluated keeps its rows there. */
static void
write_keys_and_values (const Evaluation *e, guint layer)
{
  SoraTransformerState *s = e->s;
  const SoraTransformerAttention *self = &e->t->layers[layer].self;
  guint dim = e->t->dim, branches = evaluated_branches (e, layer), rows = e->positions * branches;
  guint cached = sora_transformer_layer_branches (s, layer), first = s->past * s->tokens * cached * 2 * dim;
  SoraMatrix kv = SORA_MATRIX_AT (sora_transformer_layer_cache (s, layer)->kv, first, cached / branches * 2 * dim);
  SoraMatrix normed = SORA_MATRIX (s->normed, dim);

  sora_layer_norm_run (e->queue, stream_in (e, layer), NULL, NULL, modulation (e, layer, branches, SCALE_ATTENTION),
      modulation (e, layer, branches, SHIFT_ATTENTION), normed, rows, dim, e->t->config.eps);
  sora_linear_run (e->queue, self->kv, normed, kv, rows, NULL);
  sora_rms_norm_run (e->queue, kv, self->norm_k, kv, rows, dim, e->t->config.eps);
  sora_transformer_rotate_keys (e->t, s, e->queue, layer, branches, s->past, e->n_latents);
}

/* From s->normed. The branches of a position lie side by side, so to the rotation they are more heads. */
static void
write_queries (const Evaluation *e, guint layer)
{
  const SoraTransformerConfig *c = &e->t->config;
  SoraTransformerState *s = e->s;
  const SoraTransformerAttention *self = &e->t->layers[layer].self;
  guint dim = e->t->dim, branches = evaluated_branches (e, layer), rows = e->positions * branches;
  SoraMatrix q = SORA_MATRIX (s->q, dim), wide = SORA_MATRIX (s->q, branches * dim);

  sora_linear_run (e->queue, self->q, SORA_MATRIX (s->normed, dim), q, rows, NULL);
  sora_rms_norm_run (e->queue, q, self->norm_q, q, rows, dim, c->eps);
  sora_rope_run (e->queue, wide, s->rope, s->past * s->tokens, e->positions, wide, e->positions,
      branches * c->num_attention_heads, c->attention_head_dim);
}

/* Queries of the block, keys and values of what it sees of the past, and of the block; to s->normed. */
static void
attend_window (const Evaluation *e, guint layer)
{
  const SoraTransformerConfig *c = &e->t->config;
  SoraTransformerState *s = e->s;
  const SoraTransformerCache *cache = sora_transformer_layer_cache (s, layer);
  guint dim = e->t->dim, branches = evaluated_branches (e, layer), stride = branches * dim;
  guint cached_stride = sora_transformer_layer_branches (s, layer) * dim, first = (s->past - e->past) * s->tokens * cached_stride;
  SoraAttention attention = {
    .batch = branches, .heads = c->num_attention_heads, .head_dim = c->attention_head_dim,
    .n_query = e->positions, .n_key = e->past * s->tokens + e->positions,
    .q = SORA_MATRIX (s->q, stride), .q_batch_stride = dim,
    .k = SORA_MATRIX_AT (cache->rotated, first, cached_stride), .k_batch_stride = dim,
    .v = SORA_MATRIX_AT (cache->kv, 2 * first + dim, 2 * cached_stride), .v_batch_stride = 2 * dim,
    .out = SORA_MATRIX (s->normed, stride), .out_batch_stride = dim,
    .scale = 1 / sqrtf (c->attention_head_dim), .bf16 = sora_transformer_attends_in_bf16 (e->t, e->t->layers[layer].self.q),
  };

  sora_attention_run (e->queue, &attention);
}

/* x += gate · out (s->normed). The first layer's one branch becomes all of them here. */
static void
add_self_attention (const Evaluation *e, guint layer)
{
  SoraTransformerState *s = e->s;
  guint dim = e->t->dim, branches = evaluated_branches (e, layer), copies = e->n_branches / branches;
  SoraEpilogue epilogue = { .gate = modulation (e, layer, branches, GATE_ATTENTION), .residual = stream_in (e, layer) };

  for (guint i = 0; i < copies; i++)
    sora_linear_run (e->queue, e->t->layers[layer].self.out, SORA_MATRIX (s->normed, dim),
        SORA_MATRIX_AT (s->x, i * dim, copies * dim), e->positions * branches, &epilogue);
}

/* A launch a branch, as each has its own number of keys; to s->normed. */
static void
attend_text (const Evaluation *e, guint layer)
{
  const SoraTransformerConfig *c = &e->t->config;
  SoraTransformerState *s = e->s;
  guint dim = e->t->dim, stride = e->n_branches * dim;

  for (guint b = 0; b < e->n_branches; b++) {
    guint first = b * (s->shape.text_length + 1) * 2 * dim;
    SoraAttention attention = {
      .batch = 1, .heads = c->num_attention_heads, .head_dim = c->attention_head_dim,
      .n_query = e->positions, .n_key = s->n_text_keys[b],
      .q = SORA_MATRIX_AT (s->q, b * dim, stride),
      .k = SORA_MATRIX_AT (s->text_kv[layer], first, 2 * dim),
      .v = SORA_MATRIX_AT (s->text_kv[layer], first + dim, 2 * dim),
      .out = SORA_MATRIX_AT (s->normed, b * dim, stride),
      .scale = 1 / sqrtf (c->attention_head_dim), .key_offset = s->text_key_offset[b],
      .bf16 = sora_transformer_attends_in_bf16 (e->t, e->t->layers[layer].cross.q),
    };
    sora_attention_run (e->queue, &attention);
  }
}

/* The same queries to the image, which all branches see; added to s->normed. */
static void
attend_image (const Evaluation *e, guint layer)
{
  const SoraTransformerConfig *c = &e->t->config;
  SoraTransformerState *s = e->s;
  guint dim = e->t->dim, rows = e->positions * e->n_branches;
  SoraAttention attention = {
    .batch = 1, .heads = c->num_attention_heads, .head_dim = c->attention_head_dim,
    .n_query = rows, .n_key = s->shape.image_tokens,
    .q = SORA_MATRIX (s->q, dim),
    .k = SORA_MATRIX (s->image_kv[layer], 2 * dim), .v = SORA_MATRIX_AT (s->image_kv[layer], dim, 2 * dim),
    .out = SORA_MATRIX (s->ffn, dim), .scale = 1 / sqrtf (c->attention_head_dim),
    .bf16 = sora_transformer_attends_in_bf16 (e->t, e->t->layers[layer].cross.q),
  };
  SoraCombine sum = { .x = s->normed, .a = 1, .p = s->ffn, .b = 1, .y = s->normed };

  sora_attention_run (e->queue, &attention);
  sora_combine_run (e->queue, &sum, rows * dim);
}

static void
cross_attention (const Evaluation *e, guint index)
{
  SoraTransformerState *s = e->s;
  const SoraTransformerLayer *layer = &e->t->layers[index];
  guint dim = e->t->dim, rows = e->positions * e->n_branches;
  gfloat eps = e->t->config.eps;
  SoraMatrix x = SORA_MATRIX (s->x, dim), normed = SORA_MATRIX (s->normed, dim), q = SORA_MATRIX (s->q, dim);
  SoraEpilogue residual = { .residual = x };

  if (layer->norm2_weight)
    sora_layer_norm_run (e->queue, x, layer->norm2_weight, layer->norm2_bias, no_vector, no_vector, normed, rows, dim, eps);
  sora_linear_run (e->queue, layer->cross.q, layer->norm2_weight ? normed : x, q, rows, NULL);
  sora_rms_norm_run (e->queue, q, layer->cross.norm_q, q, rows, dim, eps);
  attend_text (e, index);
  if (s->shape.image_tokens > 0)
    attend_image (e, index);
  sora_linear_run (e->queue, layer->cross.out, normed, x, rows, &residual);
}

static void
feed_forward (const Evaluation *e, guint index)
{
  SoraTransformerState *s = e->s;
  const SoraTransformerLayer *layer = &e->t->layers[index];
  guint dim = e->t->dim, branches = e->n_branches, rows = e->positions * branches;
  SoraMatrix x = SORA_MATRIX (s->x, dim), normed = SORA_MATRIX (s->normed, dim);
  SoraMatrix hidden = SORA_MATRIX (s->ffn, e->t->config.ffn_dim);
  SoraEpilogue gelu = { .activation = SORA_ACTIVATION_GELU_TANH };
  SoraEpilogue gated = { .gate = modulation (e, index, branches, GATE_FFN), .residual = x };

  sora_layer_norm_run (e->queue, x, NULL, NULL, modulation (e, index, branches, SCALE_FFN),
      modulation (e, index, branches, SHIFT_FFN), normed, rows, dim, e->t->config.eps);
  sora_linear_run (e->queue, layer->ffn_in, normed, hidden, rows, &gelu);
  sora_linear_run (e->queue, layer->ffn_out, hidden, x, rows, &gated);
}

/* @output: [n_branches][n_latents, height, width, out_channels] */
static void
project_latents (const Evaluation *e, cl_mem output)
{
  const SoraTransformerConfig *c = &e->t->config;
  SoraTransformerState *s = e->s;
  guint dim = e->t->dim, branches = e->n_branches, rows = e->positions * branches;
  guint columns = c->out_channels * c->patch_size[1] * c->patch_size[2], latents = e->positions * columns;
  SoraFrameVector shift = { s->output_modulation, 0, 2 * dim, s->tokens * branches, e->n_latents };
  SoraFrameVector scale = { s->output_modulation, dim, 2 * dim, s->tokens * branches, e->n_latents };
  SoraMatrix normed = SORA_MATRIX (s->normed, dim);

  sora_layer_norm_run (e->queue, SORA_MATRIX (s->x, dim), NULL, NULL, scale, shift, normed, rows, dim, c->eps);
  sora_linear_run (e->queue, e->t->proj_out, normed, SORA_MATRIX (s->patches, columns), rows, NULL);
  for (guint b = 0; b < branches; b++)
    sora_unpatchify_run (e->queue, SORA_MATRIX_AT (s->patches, b * columns, branches * columns), output, b * latents,
        e->n_latents, s->shape.height, s->shape.width, c->out_channels, c->patch_size[1], c->patch_size[2]);
}

void
sora_transformer_run (SoraTransformer *t, SoraTransformerState *s, SoraQueue *queue, cl_mem latents, guint n_latents,
    const guint *timestep_rows, guint n_branches, cl_mem output, gboolean commit)
{
  Evaluation e = { t, s, queue, n_latents, n_branches, n_latents * s->tokens };

  g_return_if_fail (n_latents > 0 && n_latents <= s->shape.block_latents);
  g_return_if_fail (s->condition || s->shape.condition_channels == 0);
  g_return_if_fail (n_branches == s->shape.n_branches || (n_branches == 1 && !commit));

  if (s->sink_goes && !sora_queue_has_failed (queue))
    sora_transformer_drop_sink (t, s, queue);
  e.past = commit && s->shape.context_alone ? 0 : s->past;
  modulate_timesteps (&e, timestep_rows);
  embed_latents (&e, latents);
  for (guint i = 0; i < t->config.num_layers; i++) {
    write_keys_and_values (&e, i);
    if (!output && i + 1 == t->config.num_layers)
      break;
    write_queries (&e, i);
    attend_window (&e, i);
    add_self_attention (&e, i);
    cross_attention (&e, i);
    feed_forward (&e, i);
  }
  if (output)
    project_latents (&e, output);
  if (commit && !sora_queue_has_failed (queue))
    sora_transformer_remember (t, s, queue, n_latents);
}
