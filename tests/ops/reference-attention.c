/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Attention, written plainly: all scores of a query, their softmax, the weighted sum, in double. */
#include "reference-attention.h"

#include <math.h>

static gdouble
dot (const gfloat *a, const gfloat *b, guint n)
{
  gdouble sum = 0;

  for (guint i = 0; i < n; i++)
    sum += (gdouble) a[i] * b[i];
  return sum;
}

/* weights [n_key] of one query */
static void
softmax (gdouble *weights, guint n)
{
  gdouble top = -INFINITY, sum = 0;

  for (guint j = 0; j < n; j++)
    top = MAX (top, weights[j]);
  for (guint j = 0; j < n; j++)
    sum += weights[j] = exp (weights[j] - top);
  for (guint j = 0; j < n; j++)
    weights[j] /= sum;
}

gfloat *
sora_reference_attention (const SoraReferenceAttention *s, const gfloat *q, const gfloat *k, const gfloat *v,
    const gfloat *bias, const gfloat *key_offset)
{
  guint columns = s->heads * s->head_dim;
  gfloat *out = g_new (gfloat, (gsize) s->batch * s->n_query * columns);
  g_autofree gdouble *weights = g_new (gdouble, s->n_key);

  for (guint row = 0; row < s->batch * s->n_query; row++) {
    guint batch = row / s->n_query, query = row % s->n_query;

    for (guint head = 0; head < s->heads; head++) {
      const gfloat *keys = k + (gsize) batch * s->n_key * columns + head * s->head_dim;
      const gfloat *values = v + (gsize) batch * s->n_key * columns + head * s->head_dim;

      for (guint j = 0; j < s->n_key; j++) {
        weights[j] = s->scale * dot (q + (gsize) row * columns + head * s->head_dim, keys + (gsize) j * columns, s->head_dim);
        if (bias)
          weights[j] += bias[head * (s->n_query + s->n_key - 1) + j + s->n_query - 1 - query];
        if (key_offset)
          weights[j] += key_offset[j];
      }
      softmax (weights, s->n_key);
      for (guint d = 0; d < s->head_dim; d++) {
        gdouble sum = 0;

        for (guint j = 0; j < s->n_key; j++)
          sum += weights[j] * values[(gsize) j * columns + d];
        out[(gsize) row * columns + head * s->head_dim + d] = sum;
      }
    }
  }
  return out;
}
