/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Runs the UMT5 encoder over a prompt's own tokens. */
#include "stages/text-encoder-private.h"

#include <math.h>
#include "ops/attention.h"
#include "ops/norm.h"
#include "ops/rows.h"

struct _SoraTextEncoderState {
  guint max_tokens;
  cl_mem x;                     /* [max_tokens, d_model]: the residual stream */
  cl_mem normed;                /* [max_tokens, d_model] */
  cl_mem qkv;                   /* [max_tokens, 3 inner] */
  cl_mem attended;              /* [max_tokens, inner] */
  cl_mem gate, up;              /* [max_tokens, d_ff] */
  cl_mem *bias;                 /* a layer: [num_heads, 2 n_tokens - 1] */
  gfloat *host;                 /* as large as the larger of x and a bias */
};

/* What one run works on. */
typedef struct {
  SoraTextEncoder *encoder;
  SoraTextEncoderState *state;
  SoraQueue *queue;
  guint n_tokens;
} Run;

SoraTextEncoderState *
sora_text_encoder_state_new (const SoraTextEncoderConfig *c, guint max_tokens, SoraArena *arena)
{
  SoraTextEncoderState *state = g_new0 (SoraTextEncoderState, 1);
  gsize n = max_tokens, n_bias = c->num_heads * (2 * n - 1), inner = c->num_heads * c->d_kv;

  state->max_tokens = max_tokens;
  state->bias = g_new0 (cl_mem, c->num_layers);
  state->host = g_new (gfloat, MAX (n * c->d_model, n_bias));
  sora_arena_add (arena, &state->x, n * c->d_model);
  sora_arena_add (arena, &state->normed, n * c->d_model);
  sora_arena_add (arena, &state->qkv, n * 3 * inner);
  sora_arena_add (arena, &state->attended, n * inner);
  sora_arena_add (arena, &state->gate, n * c->d_ff);
  sora_arena_add (arena, &state->up, n * c->d_ff);
  for (guint i = 0; i < c->num_layers; i++)
    sora_arena_add (arena, &state->bias[i], n_bias);
  return state;
}

void
sora_text_encoder_state_free (SoraTextEncoderState *state)
{
  if (!state)
    return;
  g_free (state->bias);
  g_free (state->host);
  g_free (state);
}

/* T5's bidirectional buckets: half of them for keys after the query; of each half, the first half exact, the others
 * logarithmic up to max_distance. In single precision, since the truncation at a bucket's edge depends on it.
 * (transformers, UMT5Attention._relative_position_bucket) */
static guint
relative_bucket (const SoraTextEncoderConfig *c, gint relative_position)
{
  guint n = c->relative_attention_num_buckets / 2, n_exact = n / 2;
  guint distance = ABS (relative_position), first = relative_position > 0 ? n : 0;
  gfloat ratio;

  if (distance < n_exact)
    return first + distance;
  ratio = logf ((gfloat) distance / n_exact) / (gfloat) log ((gdouble) c->relative_attention_max_distance / n_exact);
  return first + MIN (n - 1, n_exact + (guint) (ratio * (n - n_exact)));
}

/* Element [head, key - query + n - 1]; depends on the number of tokens only, but a prompt comes rarely. */
static void
write_bias (const Run *run, guint layer)
{
  const SoraTextEncoderConfig *c = &run->encoder->config;
  const gfloat *table = run->encoder->layers[layer].relative_bias;
  guint width = 2 * run->n_tokens - 1;

  for (guint i = 0; i < width; i++) {
    guint bucket = relative_bucket (c, (gint) i - (gint) (run->n_tokens - 1));
    for (guint head = 0; head < c->num_heads; head++)
      run->state->host[head * width + i] = table[bucket * c->num_heads + head];
  }
  sora_queue_write (run->queue, run->state->bias[layer], 0, sizeof (gfloat) * c->num_heads * width, run->state->host);
}

static void
write_embeddings (const Run *run, const gint32 *tokens)
{
  gsize d = run->encoder->config.d_model;

  for (guint i = 0; i < run->n_tokens; i++) {
    if (tokens[i] < 0 || (guint) tokens[i] >= run->encoder->config.vocab_size) {
      sora_queue_fail (run->queue, g_error_new (SORA_MODEL_ERROR, SORA_MODEL_ERROR_FORMAT,
              "The tokenizer gave token %d, but the text encoder's vocabulary ends at %u: they are not of one model",
              tokens[i], run->encoder->config.vocab_size - 1));
      return;
    }
    sora_tensor_to_float (run->encoder->embedding, tokens[i] * d, d, run->state->host + i * d);
  }
  sora_queue_write (run->queue, run->state->x, 0, sizeof (gfloat) * run->n_tokens * d, run->state->host);
}

/* x += o (attention (norm (x))); scores are not scaled */
static void
attend (const Run *run, guint index)
{
  const SoraTextEncoderConfig *c = &run->encoder->config;
  const SoraTextEncoderLayer *layer = &run->encoder->layers[index];
  SoraTextEncoderState *s = run->state;
  guint inner = run->encoder->inner, n = run->n_tokens;
  SoraMatrix x = SORA_MATRIX (s->x, c->d_model), normed = SORA_MATRIX (s->normed, c->d_model);
  SoraMatrix attended = SORA_MATRIX (s->attended, inner);
  SoraAttention attention = {
    .batch = 1, .heads = c->num_heads, .head_dim = c->d_kv, .n_query = n, .n_key = n,
    .q = SORA_MATRIX_AT (s->qkv, 0, 3 * inner),
    .k = SORA_MATRIX_AT (s->qkv, inner, 3 * inner),
    .v = SORA_MATRIX_AT (s->qkv, 2 * inner, 3 * inner),
    .out = attended, .scale = 1, .bias = s->bias[index],
  };
  SoraEpilogue residual = { .residual = x };

  sora_rms_norm_run (run->queue, x, layer->norm_attention, normed, n, c->d_model, c->layer_norm_epsilon);
  sora_linear_run (run->queue, layer->qkv, normed, SORA_MATRIX (s->qkv, 3 * inner), n, NULL);
  sora_attention_run (run->queue, &attention);
  sora_linear_run (run->queue, layer->o, attended, x, n, &residual);
}

/* x += wo (gelu (wi_0 (norm (x))) · wi_1 (norm (x))) */
static void
feed_forward (const Run *run, guint index)
{
  const SoraTextEncoderConfig *c = &run->encoder->config;
  const SoraTextEncoderLayer *layer = &run->encoder->layers[index];
  SoraTextEncoderState *s = run->state;
  guint n = run->n_tokens;
  SoraMatrix x = SORA_MATRIX (s->x, c->d_model), normed = SORA_MATRIX (s->normed, c->d_model);
  SoraMatrix gate = SORA_MATRIX (s->gate, c->d_ff), up = SORA_MATRIX (s->up, c->d_ff);
  SoraEpilogue gated = { .activation = SORA_ACTIVATION_GELU_TANH, .multiplier = up };
  SoraEpilogue residual = { .residual = x };

  sora_rms_norm_run (run->queue, x, layer->norm_ff, normed, n, c->d_model, c->layer_norm_epsilon);
  sora_linear_run (run->queue, layer->wi_1, normed, up, n, NULL);
  sora_linear_run (run->queue, layer->wi_0, normed, gate, n, &gated);
  sora_linear_run (run->queue, layer->wo, gate, x, n, &residual);
}

void
sora_text_encoder_expect (const SoraTextEncoderConfig *config, SoraQueue *queue)
{
  sora_rows_expect (queue);
  sora_attention_expect (queue, config->d_kv, FALSE);
}

void
sora_text_encoder_run (SoraTextEncoder *encoder, SoraTextEncoderState *state, SoraQueue *queue, const gint32 *tokens,
    guint n_tokens, SoraMatrix out)
{
  const SoraTextEncoderConfig *c = &encoder->config;
  Run run = { encoder, state, queue, n_tokens };

  g_return_if_fail (n_tokens > 0 && n_tokens <= state->max_tokens);

  write_embeddings (&run, tokens);
  for (guint i = 0; i < c->num_layers; i++) {
    write_bias (&run, i);
    attend (&run, i);
    feed_forward (&run, i);
  }
  sora_rms_norm_run (queue, SORA_MATRIX (state->x, c->d_model), encoder->final_norm, out, n_tokens, c->d_model,
      c->layer_norm_epsilon);
}
