/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Attention for GPUs: a work-group computes QUERIES queries of one head, with tiles of K and V in local memory in turn.
 *
 * Online softmax over blocks of KEYS keys, as in attention-vector.cl. Every work-item owns some float4 of the output, kept in
 * registers; the scores of a block go through local memory.
 *
 * Options: GROUP (work-items, a multiple of QUERIES and of KEYS), QUERIES (a multiple of 4), KEYS, HEAD_DIM. */

#define QUADS ((HEAD_DIM + 3) / 4)
/* floats from row to row in local memory: one float4 more than needed, so that neighbouring rows start in different banks */
#define ROW (4 * QUADS + 4)
#define OWNED ((QUERIES * QUADS + GROUP - 1) / GROUP)
/* work-items that share a query's softmax */
#define SHARE (GROUP / QUERIES)
#define LOG2E 1.44269504088896341f

/* rows of HEAD_DIM floats to tile [n][ROW], times @scale; zeros beyond @count rows and beyond HEAD_DIM */
static inline void
load_tile (global const float *x, uint stride, uint n, uint count, float scale, local float *tile)
{
  for (uint i = get_local_id (0); i < n * QUADS; i += GROUP) {
    const uint row = i / QUADS, d = i % QUADS * 4;
    float4 v = 0.0f;
    if (row < count) {
      global const float *from = x + (size_t) row * stride + d;
#if HEAD_DIM % 4
      v.x = from[0];
      if (d + 1 < HEAD_DIM)
        v.y = from[1];
      if (d + 2 < HEAD_DIM)
        v.z = from[2];
      if (d + 3 < HEAD_DIM)
        v.w = from[3];
#else
      v = vload4 (0, from);
#endif
    }
    vstore4 (v * scale, 0, tile + row * ROW + d);
  }
}

/* s [QUERIES][KEYS + 1] = q k^T, four queries a work-item at a time; minus infinity beyond @count keys */
static inline void
scores (local const float *q, local const float *k, uint count, local float *s)
{
  for (uint i = get_local_id (0); i < QUERIES / 4 * KEYS; i += GROUP) {
    const uint key = i % KEYS, query = i / KEYS * 4;
    float4 a = 0.0f, b = 0.0f, c = 0.0f, e = 0.0f;
    for (uint d = 0; d < 4 * QUADS; d += 4) {
      const float4 x = vload4 (0, k + key * ROW + d);
      a = fma (vload4 (0, q + query * ROW + d), x, a);
      b = fma (vload4 (0, q + (query + 1) * ROW + d), x, b);
      c = fma (vload4 (0, q + (query + 2) * ROW + d), x, c);
      e = fma (vload4 (0, q + (query + 3) * ROW + d), x, e);
    }
    local float *target = s + query * (KEYS + 1) + key;
    target[0] = key < count ? (a.x + a.y) + (a.z + a.w) : -INFINITY;
    target[KEYS + 1] = key < count ? (b.x + b.y) + (b.z + b.w) : -INFINITY;
    target[2 * (KEYS + 1)] = key < count ? (c.x + c.y) + (c.z + c.w) : -INFINITY;
    target[3 * (KEYS + 1)] = key < count ? (e.x + e.y) + (e.z + e.w) : -INFINITY;
  }
}

/* @bias is moved to (key 0 of the block, query 0 of the tile); it falls by one a query */
static inline void
add_bias (global const float *bias, uint n_queries, uint count, local float *s)
{
  for (uint i = get_local_id (0); i < QUERIES * KEYS; i += GROUP) {
    const int key = i % KEYS, query = i / KEYS;
    if (key < (int) count && query < (int) n_queries)
      s[query * (KEYS + 1) + key] += bias[key - query] * LOG2E;
  }
}

static inline void
add_key_offset (global const float *key_offset, uint count, local float *s)
{
  for (uint i = get_local_id (0); i < QUERIES * KEYS; i += GROUP) {
    const uint key = i % KEYS, query = i / KEYS;
    if (key < count)
      s[query * (KEYS + 1) + key] += key_offset[key] * LOG2E;
  }
}

/* dimensions: query tiles from @first_tile on, heads, batch; *_row: offset, row stride, batch stride, in floats */
__attribute__ ((reqd_work_group_size (GROUP, 1, 1)))
kernel void
attention (global const float *q, uint4 q_row, global const float *k, uint4 k_row, global const float *v, uint4 v_row,
    global float *out, uint4 out_row, uint first_tile, uint n_query, uint n_key, float scale, global const float *bias,
    int has_bias, global const float *key_offset, int has_key_offset)
{
  local float qs[QUERIES * ROW], kv[KEYS * ROW], s[QUERIES * (KEYS + 1)], maxima[GROUP], factors[QUERIES];
  const uint id = get_local_id (0), first = (first_tile + get_group_id (0)) * QUERIES, head = get_group_id (1);
  const size_t batch = get_group_id (2);
  const uint n_queries = min (n_query - first, (uint) QUERIES);
  /* this work-item's share of the softmax: keys part, part + SHARE, ... of query */
  const uint query = id / SHARE, part = id % SHARE;
  float4 o[OWNED];
  float maximum = -1e30f, sum = 0.0f;

  q += q_row.x + batch * q_row.z + (size_t) first * q_row.y + head * HEAD_DIM;
  k += k_row.x + batch * k_row.z + head * HEAD_DIM;
  v += v_row.x + batch * v_row.z + head * HEAD_DIM;
  out += out_row.x + batch * out_row.z + (size_t) first * out_row.y + head * HEAD_DIM;
  bias += (size_t) head * (n_query + n_key - 1) + n_query - 1 - first;

  for (uint i = 0; i < OWNED; i++)
    o[i] = 0.0f;
  load_tile (q, q_row.y, QUERIES, n_queries, scale * LOG2E, qs);
  for (uint key = 0; key < n_key; key += KEYS) {
    const uint count = min (n_key - key, (uint) KEYS);
    barrier (CLK_LOCAL_MEM_FENCE);
    load_tile (k + (size_t) key * k_row.y, k_row.y, KEYS, count, 1.0f, kv);
    barrier (CLK_LOCAL_MEM_FENCE);
    scores (qs, kv, count, s);
    barrier (CLK_LOCAL_MEM_FENCE);
    load_tile (v + (size_t) key * v_row.y, v_row.y, KEYS, count, 1.0f, kv);
    if (has_bias) {
      add_bias (bias + key, n_queries, count, s);
      barrier (CLK_LOCAL_MEM_FENCE);
    }
    if (has_key_offset) {
      add_key_offset (key_offset + key, count, s);
      barrier (CLK_LOCAL_MEM_FENCE);
    }

    float top = maximum;
    for (uint j = part; j < KEYS; j += SHARE) {
      const float x = s[query * (KEYS + 1) + j];
      top = x > top ? x : top;
    }
    maxima[id] = top;
    barrier (CLK_LOCAL_MEM_FENCE);
    for (uint j = 0; j < SHARE; j++)
      top = max (top, maxima[query * SHARE + j]);
    const float factor = exp2 (maximum - top);
    maximum = top;
    sum *= factor;
    if (part == 0)
      factors[query] = factor;
    for (uint j = part; j < KEYS; j += SHARE) {
      const float p = exp2 (s[query * (KEYS + 1) + j] - top);
      s[query * (KEYS + 1) + j] = p;
      sum += p;
    }
    barrier (CLK_LOCAL_MEM_FENCE);

    for (uint i = 0; i < OWNED; i++) {
      const uint owned = min (id + i * GROUP, (uint) (QUERIES * QUADS - 1)), row = owned / QUADS, d = owned % QUADS * 4;
      float4 a = o[i] * factors[row];
      for (uint j = 0; j < KEYS; j++)
        a = fma ((float4) (s[row * (KEYS + 1) + j]), vload4 (0, kv + j * ROW + d), a);
      o[i] = a;
    }
  }

  /* the shares of each query's sum */
  barrier (CLK_LOCAL_MEM_FENCE);
  maxima[id] = sum;
  barrier (CLK_LOCAL_MEM_FENCE);
  for (uint i = 0; i < OWNED; i++) {
    const uint owned = id + i * GROUP, row = owned / QUADS, d = owned % QUADS * 4;
    if (owned < QUERIES * QUADS && row < n_queries) {
      float total = 0.0f;
      for (uint j = 0; j < SHARE; j++)
        total += maxima[row * SHARE + j];
      const float4 result = o[i] / total;
      global float *target = out + (size_t) row * out_row.y + d;
#if HEAD_DIM % 4
      target[0] = result.x;
      if (d + 1 < HEAD_DIM)
        target[1] = result.y;
      if (d + 2 < HEAD_DIM)
        target[2] = result.z;
      if (d + 3 < HEAD_DIM)
        target[3] = result.w;
#else
      vstore4 (result, 0, target);
#endif
    }
  }
}
