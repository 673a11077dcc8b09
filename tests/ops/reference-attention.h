/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Attention, written plainly: all scores of a query, their softmax, the weighted sum, in double. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct {
  guint batch, heads, head_dim, n_query, n_key;
  gfloat scale;
} SoraReferenceAttention;

/**
 * sora_reference_attention:
 * @q: [batch, n_query, heads, head_dim]
 * @k: [batch, n_key, heads, head_dim]; @v likewise
 * @bias: (nullable): [heads, n_query + n_key - 1]
 * @key_offset: (nullable): [n_key]
 *
 * Returns: (transfer full): as large as @q
 */
gfloat *sora_reference_attention (const SoraReferenceAttention *shape, const gfloat *q, const gfloat *k, const gfloat *v,
    const gfloat *bias, const gfloat *key_offset);

G_END_DECLS
