/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Runs the CLIP image encoder over one picture. */
#include "stages/clip-encoder-private.h"

#include <math.h>
#include "ops/attention.h"
#include "ops/elementwise.h"
#include "ops/norm.h"
#include "stages/clip-image.h"

struct _SoraClipEncoderState {
  SoraClipConfig config;
  guint tokens;
  cl_mem patches;               /* [tokens - 1, 3 patch_size²] */
  cl_mem x;                     /* [tokens, dim]: the residual stream */
  cl_mem normed, attended;      /* the same shape */
  cl_mem qkv;                   /* [tokens, 3 dim] */
  cl_mem hidden;                /* [tokens, intermediate_size] */
};

/* What one run works on. */
typedef struct {
  SoraClipEncoder *encoder;
  SoraClipEncoderState *state;
  SoraQueue *queue;
} Run;

static const SoraFrameVector none = { 0 };

SoraClipEncoderState *
sora_clip_encoder_state_new (const SoraClipConfig *config, SoraArena *arena)
{
  SoraClipEncoderState *state = g_new0 (SoraClipEncoderState, 1);
  gsize n = sora_clip_config_count_tokens (config), dim = config->hidden_size;

  state->config = *config;
  state->tokens = n;
  sora_arena_add (arena, &state->patches, (n - 1) * 3 * config->patch_size * config->patch_size);
  sora_arena_add (arena, &state->x, n * dim);
  sora_arena_add (arena, &state->normed, n * dim);
  sora_arena_add (arena, &state->attended, n * dim);
  sora_arena_add (arena, &state->qkv, n * 3 * dim);
  sora_arena_add (arena, &state->hidden, n * config->intermediate_size);
  return state;
}

void
sora_clip_encoder_state_free (SoraClipEncoderState *state)
{
  g_free (state);
}

/* x = norm ([class embedding; patches] + places) */
static void
embed (const Run *run, const guint8 *rgb, guint width, guint height)
{
  const SoraClipConfig *c = &run->encoder->config;
  SoraClipEncoderState *s = run->state;
  guint dim = c->hidden_size, columns = 3 * c->patch_size * c->patch_size, n_patches = s->tokens - 1;
  g_autofree gfloat *patches = sora_clip_image_prepare (rgb, width, height, c->image_size, c->patch_size);
  SoraEpilogue places = { .residual = SORA_MATRIX_AT (run->encoder->positions, dim, dim) };
  SoraCombine whole = { .x = run->encoder->class_embedding, .a = 1, .p = run->encoder->positions, .b = 1, .y = s->x };

  sora_queue_write (run->queue, s->patches, 0, sizeof (gfloat) * n_patches * columns, patches);
  sora_combine_run (run->queue, &whole, dim);
  sora_linear_run (run->queue, run->encoder->patch_embedding, SORA_MATRIX (s->patches, columns), SORA_MATRIX_AT (s->x, dim, dim), n_patches,
      &places);
  sora_layer_norm_run (run->queue, SORA_MATRIX (s->x, dim), run->encoder->pre_norm_weight, run->encoder->pre_norm_bias, none, none,
      SORA_MATRIX (s->x, dim), s->tokens, dim, c->layer_norm_eps);
}

/* x += out (attention (norm (x))) */
static void
attend (const Run *run, const SoraClipLayer *layer)
{
  const SoraClipConfig *c = &run->encoder->config;
  SoraClipEncoderState *s = run->state;
  guint dim = c->hidden_size, n = s->tokens, head_dim = dim / c->num_attention_heads;
  SoraMatrix x = SORA_MATRIX (s->x, dim), normed = SORA_MATRIX (s->normed, dim), attended = SORA_MATRIX (s->attended, dim);
  SoraEpilogue residual = { .residual = x };
  SoraAttention attention = {
    .batch = 1, .heads = c->num_attention_heads, .head_dim = head_dim, .n_query = n, .n_key = n,
    .q = SORA_MATRIX_AT (s->qkv, 0, 3 * dim), .k = SORA_MATRIX_AT (s->qkv, dim, 3 * dim), .v = SORA_MATRIX_AT (s->qkv, 2 * dim, 3 * dim),
    .out = attended, .scale = 1 / sqrtf (head_dim),
  };

  sora_layer_norm_run (run->queue, x, layer->norm1_weight, layer->norm1_bias, none, none, normed, n, dim, c->layer_norm_eps);
  sora_linear_run (run->queue, layer->qkv, normed, SORA_MATRIX (s->qkv, 3 * dim), n, NULL);
  sora_attention_run (run->queue, &attention);
  sora_linear_run (run->queue, layer->out, attended, x, n, &residual);
}

/* y = x + fc2 (gelu (fc1 (norm (x)))) */
static void
feed_forward (const Run *run, const SoraClipLayer *layer, SoraMatrix y)
{
  const SoraClipConfig *c = &run->encoder->config;
  SoraClipEncoderState *s = run->state;
  guint dim = c->hidden_size, n = s->tokens;
  SoraMatrix x = SORA_MATRIX (s->x, dim), normed = SORA_MATRIX (s->normed, dim), hidden = SORA_MATRIX (s->hidden, c->intermediate_size);
  SoraEpilogue gelu = { .activation = c->quick_gelu ? SORA_ACTIVATION_GELU_QUICK : SORA_ACTIVATION_GELU };
  SoraEpilogue residual = { .residual = x };

  sora_layer_norm_run (run->queue, x, layer->norm2_weight, layer->norm2_bias, none, none, normed, n, dim, c->layer_norm_eps);
  sora_linear_run (run->queue, layer->fc1, normed, hidden, n, &gelu);
  sora_linear_run (run->queue, layer->fc2, hidden, y, n, &residual);
}

void
sora_clip_encoder_run (SoraClipEncoder *encoder, SoraClipEncoderState *state, SoraQueue *queue, const guint8 *rgb, guint width,
    guint height, SoraMatrix out)
{
  Run run = { encoder, state, queue };

  embed (&run, rgb, width, height);
  for (guint i = 0; i < encoder->n_layers; i++) {
    attend (&run, &encoder->layers[i]);
    feed_forward (&run, &encoder->layers[i], i + 1 < encoder->n_layers ? SORA_MATRIX (state->x, encoder->config.hidden_size) : out);
  }
}
