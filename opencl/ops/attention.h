/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Attention: softmax (scale · Q Kᵀ + bias + key offsets) V, by blocks of keys, so that no N×N matrix is stored. */
#pragma once

#include "ops/matrix.h"

G_BEGIN_DECLS

typedef struct {
  guint batch, heads, head_dim, n_query, n_key;
  /* Row = position, columns head * head_dim ...; batch b starts *_batch_stride floats further on. */
  SoraMatrix q, k, v, out;
  guint q_batch_stride, k_batch_stride, v_batch_stride, out_batch_stride;
  gfloat scale;                 /* 1/sqrt(head_dim), or 1 for T5 */
  cl_mem bias;                  /* (nullable) [heads, n_query + n_key - 1]: added at index key - query + n_query - 1 */
  cl_mem key_offset;            /* (nullable) [n_key]: added to every score of that key (log of how many keys it stands for). Minus infinity
                                 * masks a key; one at least must remain */
  gboolean bf16;                /* whether operands and weights may be rounded to bf16, where the device gains by it */
} SoraAttention;

/* @out must not overlap the others. A NaN in a query, key or value makes what depends on it NaN. Large problems take several launches, so that
 * none lasts long. */
void sora_attention_run (SoraQueue *queue, const SoraAttention *attention);
/* Builds the program meanwhile: see sora_queue_expect(). */
void sora_attention_expect (SoraQueue *queue, guint head_dim, gboolean bf16);
/* Whether what may be rounded to bf16 is. */
gboolean sora_attention_has_bf16 (SoraDevice *device, guint head_dim);

G_END_DECLS
