/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A stream's key/value cache and working memory for the transformer. */
#include "stages/transformer-private.h"

#include "ops/rope.h"

#define ROPE_THETA 10000.0f     /* diffusers' WanRotaryPosEmbed knows no other */

/* Window rows of a layer; without a past, all layers use one cache in turn, which must have room for every branch. */
static void
add_caches (SoraTransformerState *s, guint n_layers, SoraArena *arena)
{
  gsize rows = (gsize) s->shape.window_latents * s->tokens;

  s->caches = g_new0 (SoraTransformerCache, n_layers);
  for (guint i = 0; i < (s->max_past > 0 ? n_layers : 1); i++) {
    gsize branches = s->max_past > 0 ? sora_transformer_layer_branches (s, i) : s->shape.n_branches;
    sora_arena_add (arena, &s->caches[i].kv, rows * branches * 2 * s->dim);
    sora_arena_add (arena, &s->caches[i].rotated, rows * branches * s->dim);
  }
}

static void
add_conditioning (SoraTransformerState *s, const SoraTransformerConfig *c, SoraArena *arena)
{
  gsize text_rows = s->shape.text_length + 1, n = s->shape.max_timesteps;

  s->text_kv = g_new0 (cl_mem, c->num_layers);
  for (guint i = 0; i < c->num_layers; i++)
    sora_arena_add (arena, &s->text_kv[i], s->shape.n_branches * text_rows * 2 * s->dim);
  for (guint i = 0; i < s->shape.n_branches; i++)
    sora_arena_add (arena, &s->text_key_offset[i], text_rows);
  sora_arena_add (arena, &s->text_padding, c->text_dim);
  sora_arena_add (arena, &s->text_hidden, text_rows * s->dim);
  sora_arena_add (arena, &s->text_context, text_rows * s->dim);
  sora_arena_add (arena, &s->time_embedding, n * 2 * s->dim);
  sora_arena_add (arena, &s->time_projection, n * 6 * s->dim);
  sora_arena_add (arena, &s->time_features, n * c->freq_dim);
  sora_arena_add (arena, &s->time_hidden, n * s->dim);
  sora_arena_add (arena, &s->time_active, n * s->dim);
}

static void
add_image (SoraTransformerState *s, const SoraTransformerConfig *c, SoraArena *arena)
{
  gsize rows = s->shape.image_tokens;

  s->image_kv = g_new0 (cl_mem, c->num_layers);
  if (rows == 0)
    return;
  for (guint i = 0; i < c->num_layers; i++)
    sora_arena_add (arena, &s->image_kv[i], rows * 2 * s->dim);
  sora_arena_add (arena, &s->image_normed, rows * c->image_dim);
  sora_arena_add (arena, &s->image_hidden, rows * c->image_dim);
  sora_arena_add (arena, &s->image_context, rows * s->dim);
}

static void
add_activations (SoraTransformerState *s, const SoraTransformerConfig *c, SoraArena *arena)
{
  gsize positions = (gsize) s->shape.block_latents * s->tokens, rows = positions * s->shape.n_branches;
  gsize patch = (gsize) MAX (c->in_channels, c->out_channels) * c->patch_size[1] * c->patch_size[2];

  sora_arena_add (arena, &s->modulation, (gsize) c->num_layers * s->shape.block_latents * 6 * s->dim);
  sora_arena_add (arena, &s->output_modulation, (gsize) s->shape.block_latents * 2 * s->dim);
  sora_arena_add (arena, &s->patches, rows * patch);
  sora_arena_add (arena, &s->embedded, positions * s->dim);
  sora_arena_add (arena, &s->x, rows * s->dim);
  sora_arena_add (arena, &s->normed, rows * s->dim);
  sora_arena_add (arena, &s->q, rows * s->dim);
  sora_arena_add (arena, &s->ffn, rows * (s->shape.image_tokens > 0 ? MAX (c->ffn_dim, s->dim) : c->ffn_dim));
}

SoraTransformerState *
sora_transformer_state_new (const SoraTransformerConfig *c, const SoraTransformerShape *shape, SoraArena *arena)
{
  SoraTransformerState *s;

  g_return_val_if_fail (shape->n_branches > 0 && shape->n_branches <= SORA_TRANSFORMER_MAX_BRANCHES, NULL);
  g_return_val_if_fail (shape->block_latents > 0 && shape->block_latents <= shape->window_latents, NULL);
  g_return_val_if_fail (shape->sink_latents + shape->block_latents <= shape->window_latents, NULL);
  g_return_val_if_fail (shape->image_tokens == 0 || c->image_dim > 0, NULL);
  g_return_val_if_fail (shape->condition_channels < c->in_channels, NULL);
  g_return_val_if_fail (shape->height % c->patch_size[1] == 0 && shape->width % c->patch_size[2] == 0, NULL);

  s = g_new0 (SoraTransformerState, 1);
  s->shape = *shape;
  s->dim = c->num_attention_heads * c->attention_head_dim;
  s->tokens = (shape->height / c->patch_size[1]) * (shape->width / c->patch_size[2]);
  s->max_past = shape->window_latents - shape->block_latents;
  sora_arena_add (arena, &s->rope, (gsize) shape->window_latents * s->tokens * c->attention_head_dim);
  add_caches (s, c->num_layers, arena);
  add_conditioning (s, c, arena);
  add_image (s, c, arena);
  add_activations (s, c, arena);
  return s;
}

void
sora_transformer_state_free (SoraTransformerState *s)
{
  if (!s)
    return;
  g_free (s->caches);
  g_free (s->text_kv);
  g_free (s->image_kv);
  g_free (s);
}

SoraRows
sora_transformer_state_get_rows (const SoraTransformerState *s)
{
  return (SoraRows) {
    .tokens = s->shape.n_branches * s->shape.block_latents * s->tokens, .text = s->shape.text_length + 1, .image = s->shape.image_tokens,
    .timesteps = s->shape.max_timesteps,
  };
}

void
sora_transformer_state_prepare (SoraTransformer *t, SoraTransformerState *s, SoraQueue *queue)
{
  const SoraTransformerConfig *c = &t->config;
  guint frames = s->shape.window_latents, height = s->shape.height / c->patch_size[1], width = s->shape.width / c->patch_size[2];
  g_autofree gfloat *table = sora_rope_table (0, frames, height, width, c->attention_head_dim, ROPE_THETA);

  sora_queue_write (queue, s->rope, 0, sizeof (gfloat) * frames * s->tokens * c->attention_head_dim, table);
  sora_queue_zero (queue, s->text_padding, 0, sizeof (gfloat) * c->text_dim);
}

void
sora_transformer_rotate_keys (SoraTransformer *t, SoraTransformerState *s, SoraQueue *queue, guint layer, guint n_branches,
    guint first, guint n)
{
  const SoraTransformerCache *cache = sora_transformer_layer_cache (s, layer);
  guint branches = sora_transformer_layer_branches (s, layer), dim = t->dim;
  guint position = first * s->tokens, count = n * s->tokens;

  for (guint b = 0; b < n_branches; b++) {
    guint row = position * branches + b;
    sora_rope_run (queue, SORA_MATRIX_AT (cache->kv, row * 2 * dim, branches * 2 * dim), s->rope, position, count,
        SORA_MATRIX_AT (cache->rotated, row * dim, branches * dim), count, t->config.num_attention_heads,
        t->config.attention_head_dim);
  }
}

/* Moves what lies behind latent frames @first ... @first + @n - 1 of a layer down to them. Copies of at most @n frames do not overlap themselves. */
static void
close_gap (SoraTransformerState *s, SoraQueue *queue, guint layer, guint first, guint n)
{
  cl_mem kv = sora_transformer_layer_cache (s, layer)->kv;
  gsize frame = sizeof (gfloat) * s->tokens * sora_transformer_layer_branches (s, layer) * 2 * s->dim;

  for (guint to = first; to + n < s->past; to += n)
    sora_queue_copy (queue, kv, (to + n) * frame, kv, to * frame, MIN (n, s->past - n - to) * frame);
}

/* Drops latent frames @first ... @first + @n - 1 of the past. */
static void
drop (SoraTransformer *t, SoraTransformerState *s, SoraQueue *queue, guint first, guint n)
{
  guint left = s->past - n;

  if (n == 0)
    return;
  sora_queue_begin_atomic (queue);
  for (guint i = 0; i < t->config.num_layers && left > first; i++) {
    close_gap (s, queue, i, first, n);
    sora_transformer_rotate_keys (t, s, queue, i, sora_transformer_layer_branches (s, i), first, left - first);
  }
  sora_queue_end_atomic (queue);
  s->past = left;
}

/* The block's keys are already where they belong, rotated and not. Only if the window slides, everything changes place. */
void
sora_transformer_remember (SoraTransformer *t, SoraTransformerState *s, SoraQueue *queue, guint n_latents)
{
  s->past += n_latents;
  if (s->n_renewals > 0) {
    s->n_renewals--;
    drop (t, s, queue, 0, s->past - n_latents);
  } else if (s->past > s->max_past) {
    drop (t, s, queue, s->shape.sink_latents, s->past - s->max_past);
  }
}

void
sora_transformer_drop_sink (SoraTransformer *t, SoraTransformerState *s, SoraQueue *queue)
{
  drop (t, s, queue, 0, s->shape.sink_latents);
  s->sink_goes = FALSE;
}

void
sora_transformer_reset (SoraTransformerState *s)
{
  s->past = s->n_renewals = 0;
  s->sink_goes = FALSE;
}

/* While one is renewed, there is none. */
void
sora_transformer_renew_sink (SoraTransformerState *s)
{
  if (s->shape.sink_latents == 0 || s->past == 0)
    return;
  s->sink_goes |= s->n_renewals == 0 && s->past > s->shape.sink_latents;
  s->n_renewals = 2;
}
