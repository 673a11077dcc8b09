/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the transformer computes once per stream or prompt: time embeddings, and the text's and an image's keys and values. */
#include "stages/transformer-private.h"

#include <math.h>
#include "ops/elementwise.h"
#include "ops/norm.h"

#define IMAGE_EPS 1e-5f         /* of the norms of the image's embeddings, nn.LayerNorm's own */

/* Cosines, then sines, in single precision as diffusers computes them (get_timestep_embedding, flip_sin_to_cos, no
 * downscale_freq_shift); @features: [freq_dim] */
static void
time_features (gdouble timestep, guint freq_dim, gfloat *features)
{
  guint half = freq_dim / 2;

  for (guint i = 0; i < half; i++) {
    gfloat frequency = expf ((gfloat) -log (10000.0) * i / half);
    gfloat angle = (gfloat) timestep * frequency;
    features[i] = cosf (angle);
    features[half + i] = sinf (angle);
  }
}

/* Of the second linear's result the output needs two copies side by side (shift and scale), the projection its SiLU. */
void
sora_transformer_set_timesteps (SoraTransformer *t, SoraTransformerState *s, SoraQueue *queue, const gdouble *timesteps, guint n)
{
  guint dim = t->dim, freq_dim = t->config.freq_dim;
  g_autofree gfloat *features = g_new (gfloat, n * freq_dim);
  SoraMatrix hidden = SORA_MATRIX (s->time_hidden, dim), active = SORA_MATRIX (s->time_active, dim);
  const SoraEpilogue silu = { .activation = SORA_ACTIVATION_SILU };

  g_return_if_fail (n > 0 && n <= s->shape.max_timesteps);

  for (guint i = 0; i < n; i++)
    time_features (timesteps[i], freq_dim, features + i * freq_dim);
  sora_queue_write (queue, s->time_features, 0, sizeof (gfloat) * n * freq_dim, features);
  sora_linear_run (queue, t->time_1, SORA_MATRIX (s->time_features, freq_dim), hidden, n, &silu);
  for (guint i = 0; i < 2; i++)
    sora_linear_run (queue, t->time_2, hidden, SORA_MATRIX_AT (s->time_embedding, i * dim, 2 * dim), n, NULL);
  sora_linear_run (queue, t->time_2, hidden, active, n, &silu);
  sora_linear_run (queue, t->time_proj, active, SORA_MATRIX (s->time_projection, 6 * dim), n, NULL);
}

/* Own tokens first; then, if @padding rows are left, one row that stands for them all. */
static void
embed_text (SoraTransformer *t, SoraTransformerState *s, SoraQueue *queue, SoraMatrix embeddings, guint n_tokens, guint padding)
{
  guint dim = t->dim;
  SoraMatrix hidden = SORA_MATRIX (s->text_hidden, dim), context = SORA_MATRIX (s->text_context, dim);
  const SoraEpilogue gelu = { .activation = SORA_ACTIVATION_GELU_TANH };

  if (n_tokens > 0)
    sora_linear_run (queue, t->text_1, embeddings, hidden, n_tokens, &gelu);
  if (padding > 0)
    sora_linear_run (queue, t->text_1, SORA_MATRIX (s->text_padding, t->config.text_dim),
        SORA_MATRIX_AT (s->text_hidden, n_tokens * dim, dim), 1, &gelu);
  sora_linear_run (queue, t->text_2, hidden, context, n_tokens + (padding > 0), NULL);
}

static void
write_key_offset (SoraTransformerState *s, SoraQueue *queue, guint branch, guint n_tokens, guint padding)
{
  guint n_keys = n_tokens + (padding > 0);
  g_autofree gfloat *offset = g_new0 (gfloat, n_keys);

  if (padding > 0)
    offset[n_tokens] = logf (padding);
  sora_queue_write (queue, s->text_key_offset[branch], 0, sizeof (gfloat) * n_keys, offset);
}

void
sora_transformer_set_text (SoraTransformer *t, SoraTransformerState *s, SoraQueue *queue, guint branch, SoraMatrix embeddings,
    guint n_tokens)
{
  guint dim = t->dim, n = MIN (n_tokens, s->shape.text_length), padding = s->shape.text_length - n;
  guint n_keys = n + (padding > 0), first = branch * (s->shape.text_length + 1) * 2 * dim;

  g_return_if_fail (branch < s->shape.n_branches && s->shape.text_length > 0);

  embed_text (t, s, queue, embeddings, n, padding);
  write_key_offset (s, queue, branch, n, padding);
  s->n_text_keys[branch] = n_keys;
  for (guint i = 0; i < t->config.num_layers; i++) {
    SoraTransformerAttention *cross = &t->layers[i].cross;
    SoraMatrix kv = SORA_MATRIX_AT (s->text_kv[i], first, 2 * dim);
    sora_linear_run (queue, cross->kv, SORA_MATRIX (s->text_context, dim), kv, n_keys, NULL);
    sora_rms_norm_run (queue, kv, cross->norm_k, kv, n_keys, dim, t->config.eps);
  }
}

/* norm, linear, GELU, linear, norm: to s->image_context */
static void
embed_image (SoraTransformer *t, SoraTransformerState *s, SoraQueue *queue, SoraMatrix embeddings)
{
  static const SoraFrameVector none = { 0 };
  guint n = s->shape.image_tokens, image_dim = t->config.image_dim, dim = t->dim;
  SoraMatrix normed = SORA_MATRIX (s->image_normed, image_dim), hidden = SORA_MATRIX (s->image_hidden, image_dim);
  SoraMatrix context = SORA_MATRIX (s->image_context, dim);
  const SoraEpilogue gelu = { .activation = SORA_ACTIVATION_GELU };

  sora_layer_norm_run (queue, embeddings, t->image.norm1_weight, t->image.norm1_bias, none, none, normed, n, image_dim, IMAGE_EPS);
  sora_linear_run (queue, t->image.linear_1, normed, hidden, n, &gelu);
  sora_linear_run (queue, t->image.linear_2, hidden, context, n, NULL);
  sora_layer_norm_run (queue, context, t->image.norm2_weight, t->image.norm2_bias, none, none, context, n, dim, IMAGE_EPS);
}

void
sora_transformer_set_image (SoraTransformer *t, SoraTransformerState *s, SoraQueue *queue, SoraMatrix embeddings)
{
  guint n = s->shape.image_tokens, image_dim = t->config.image_dim, dim = t->dim;

  g_return_if_fail (n > 0 && embeddings.stride == image_dim);
  g_return_if_fail (t->config.image_positions == 0 || t->config.image_positions == n);

  if (t->image.positions) {
    SoraCombine sum = { .x = embeddings.mem, .x_offset = embeddings.offset, .a = 1, .p = t->image.positions, .b = 1, .y = s->image_hidden };
    sora_combine_run (queue, &sum, n * image_dim);
    embeddings = SORA_MATRIX (s->image_hidden, image_dim);
  }
  embed_image (t, s, queue, embeddings);
  for (guint i = 0; i < t->config.num_layers; i++) {
    SoraTransformerAttention *cross = &t->layers[i].cross;
    SoraMatrix kv = SORA_MATRIX (s->image_kv[i], 2 * dim);
    sora_linear_run (queue, cross->image_kv, SORA_MATRIX (s->image_context, dim), kv, n, NULL);
    sora_rms_norm_run (queue, kv, cross->norm_image_k, kv, n, dim, t->config.eps);
  }
}

void
sora_transformer_set_condition (SoraTransformerState *s, cl_mem condition)
{
  s->condition = condition;
}
