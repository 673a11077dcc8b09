/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Attention for CPU devices: one work-item computes QUERIES queries of one head, with a query in each vector lane.
 *
 * Scores are kept transposed, S^T [key][query] = K Q^T, so that both products are register tiles of "broadcast a number of K
 * or V, multiply by vectors of queries", neither K nor V is ever rearranged, and the softmax needs no sum across lanes.
 * Keys come in blocks of KEYS with a running maximum and sum (online softmax, Milakov and Gimelshein 2018; Rabe and Staats 2021).
 *
 * Follows vector.cl. Options: HEAD_DIM, and those of vector.cl. */

#define QUERIES (2 * WIDTH)
#define KEYS 64
#define LOG2E 1.44269504088896341f

/* rows of a register tile: with two vectors each, what fits 32 registers of AVX-512, or 16 of AVX2 */
#if WIDTH == 16
#define TILE 8
#define ROWS(X) X (0) X (1) X (2) X (3) X (4) X (5) X (6) X (7)
#define LOW(a, b) (vec) (a.s0, b.s0, a.s1, b.s1, a.s2, b.s2, a.s3, b.s3, a.s4, b.s4, a.s5, b.s5, a.s6, b.s6, a.s7, b.s7)
#define HIGH(a, b) (vec) (a.s8, b.s8, a.s9, b.s9, a.sa, b.sa, a.sb, b.sb, a.sc, b.sc, a.sd, b.sd, a.se, b.se, a.sf, b.sf)
#elif WIDTH == 8
#define TILE 4
#define ROWS(X) X (0) X (1) X (2) X (3)
#define LOW(a, b) (vec) (a.s0, b.s0, a.s1, b.s1, a.s2, b.s2, a.s3, b.s3)
#define HIGH(a, b) (vec) (a.s4, b.s4, a.s5, b.s5, a.s6, b.s6, a.s7, b.s7)
#else
#define TILE 4
#define ROWS(X) X (0) X (1) X (2) X (3)
#define LOW(a, b) (vec) (a.s0, b.s0, a.s1, b.s1)
#define HIGH(a, b) (vec) (a.s2, b.s2, a.s3, b.s3)
#endif

/* 2^x for x <= 0, with everything below -100 taken as -100 (a weight of 1e-30 beside the maximum's 1); a NaN stays one. Adding MAGIC
 * leaves round (x) + 127 in the low bits; the rest, in [-1/2, 1/2], goes through the minimax polynomial of degree 6 (relative
 * error 2e-9, so that rounding dominates: 1e-7). */
static inline vec
exp2_negative (vec x)
{
  const float magic = 12582912.0f + 127.0f;
  x = x < -100.0f ? (vec) (-100.0f) : x;
  vec shifted = x + magic;
  vec f = x - (shifted - magic);
  vec p = fma (f, (vec) (1.535336188319500e-4f), (vec) (1.339887440266574e-3f));
  p = fma (p, f, (vec) (9.618437357674640e-3f));
  p = fma (p, f, (vec) (5.550332471162809e-2f));
  p = fma (p, f, (vec) (2.402264791363012e-1f));
  p = fma (p, f, (vec) (6.931472028550421e-1f));
  p = fma (p, f, (vec) (1.0f));
  return p * AS_FLOAT (AS_INT (shifted) << 23);
}

/* WIDTH x WIDTH: interleaving the halves of the list log2 (WIDTH) times transposes it. Only where all loops over the list are unrolled, here and
 * where it is filled and emptied, is it in registers. */
static inline void
transpose (vec *r)
{
  vec t[WIDTH];
#pragma unroll
  for (int part = WIDTH; part > 1; part >>= 1) {
#pragma unroll
    for (int i = 0; i < WIDTH / 2; i++) {
      t[2 * i] = LOW (r[i], r[i + WIDTH / 2]);
      t[2 * i + 1] = HIGH (r[i], r[i + WIDTH / 2]);
    }
#pragma unroll
    for (int i = 0; i < WIDTH; i++)
      r[i] = t[i];
  }
}

/* qt [HEAD_DIM][QUERIES] = scale x the rows of q; rows from @count on repeat the last one */
static inline void
load_queries (global const float *q, uint stride, int count, float scale, float *qt)
{
  vec r[WIDTH];
#pragma unroll 1
  for (int part = 0; part < 2; part++) {
    for (int d = 0; d + WIDTH <= HEAD_DIM; d += WIDTH) {
#pragma unroll
      for (int i = 0; i < WIDTH; i++)
        r[i] = LOAD (0, q + (size_t) min (part * WIDTH + i, count - 1) * stride + d) * scale;
      transpose (r);
#pragma unroll
      for (int i = 0; i < WIDTH; i++)
        STORE (r[i], part, qt + (d + i) * QUERIES);
    }
    for (int d = HEAD_DIM / WIDTH * WIDTH; d < HEAD_DIM; d++)
      for (int i = 0; i < WIDTH; i++)
        qt[d * QUERIES + part * WIDTH + i] = q[(size_t) min (part * WIDTH + i, count - 1) * stride + d] * scale;
  }
}

/* the rows of out = o [HEAD_DIM][QUERIES] / sum */
static inline void
store_output (const float *o, vec sum0, vec sum1, global float *out, uint stride, int count)
{
  vec r[WIDTH];
#pragma unroll 1
  for (int part = 0; part < 2; part++) {
    const vec inverse = 1.0f / (part ? sum1 : sum0);
    for (int d = 0; d + WIDTH <= HEAD_DIM; d += WIDTH) {
#pragma unroll
      for (int i = 0; i < WIDTH; i++)
        r[i] = LOAD (part, o + (d + i) * QUERIES) * inverse;
      transpose (r);
#pragma unroll
      for (int i = 0; i < WIDTH; i++)
        if (part * WIDTH + i < count)
          STORE (r[i], 0, out + (size_t) (part * WIDTH + i) * stride + d);
    }
    float scale[WIDTH];
    STORE (inverse, 0, scale);
    for (int d = HEAD_DIM / WIDTH * WIDTH; d < HEAD_DIM; d++)
      for (int i = 0; i < WIDTH && part * WIDTH + i < count; i++)
        out[(size_t) (part * WIDTH + i) * stride + d] = o[d * QUERIES + part * WIDTH + i] * scale[i];
  }
}

/* s [KEYS][QUERIES] = k qt; rows from @count up to a multiple of TILE repeat the last one */
static inline void
scores (global const float *k, uint stride, int count, const float *qt, float *s)
{
  for (int j = 0; j < count; j += TILE) {
#define ROW(i) global const float *k##i = k + (size_t) min (j + i, count - 1) * stride; vec a##i = 0.0f, b##i = 0.0f;
    ROWS (ROW)
#undef ROW
    for (int d = 0; d < HEAD_DIM; d++) {
      const vec x = LOAD (0, qt + d * QUERIES), y = LOAD (1, qt + d * QUERIES);
#define ROW(i) a##i = fma ((vec) (k##i[d]), x, a##i); b##i = fma ((vec) (k##i[d]), y, b##i);
      ROWS (ROW)
#undef ROW
    }
#define ROW(i) STORE (a##i, 0, s + (j + i) * QUERIES); STORE (b##i, 1, s + (j + i) * QUERIES);
    ROWS (ROW)
#undef ROW
  }
}

/* @bias is that of this head, moved to (key 0 of the block, query 0 of the tile); it falls by one a query */
static inline void
add_bias (global const float *bias, int n_queries, int count, float *s)
{
  for (int j = 0; j < count; j++)
    for (int i = 0; i < QUERIES; i++)
      s[j * QUERIES + i] = fma (bias[j - min (i, n_queries - 1)], LOG2E, s[j * QUERIES + i]);
}

static inline void
add_key_offset (global const float *key_offset, int count, float *s)
{
  for (int j = 0; j < count; j++) {
    const vec offset = key_offset[j] * LOG2E;
    STORE (LOAD (0, s + j * QUERIES) + offset, 0, s + j * QUERIES);
    STORE (LOAD (1, s + j * QUERIES) + offset, 1, s + j * QUERIES);
  }
}

/* One half of the tile: s = 2^(s - maximum), and @sum and @maximum brought up to date; returns the factor for older results. The
 * maximum starts finite, so that keys at minus infinity weigh nothing and no infinity is subtracted from itself. */
static inline vec
softmax (float *s, int part, int count, vec *maximum, vec *sum)
{
  vec top = *maximum;
  for (int j = 0; j < count; j++) {
    const vec x = LOAD (part, s + j * QUERIES);
    top = x > top ? x : top;
  }
  const vec factor = exp2_negative (*maximum - top);
  vec total = *sum * factor;
  for (int j = 0; j < count; j++) {
    const vec p = exp2_negative (LOAD (part, s + j * QUERIES) - top);
    STORE (p, part, s + j * QUERIES);
    total += p;
  }
  *maximum = top;
  *sum = total;
  return factor;
}

/* o [HEAD_DIM][QUERIES] = factor * o + V^T s */
static inline void
accumulate (global const float *v, uint stride, int count, const float *s, vec factor0, vec factor1, float *o)
{
  for (int d = 0; d + TILE <= HEAD_DIM; d += TILE) {
#define ROW(i) vec a##i = LOAD (0, o + (d + i) * QUERIES) * factor0, b##i = LOAD (1, o + (d + i) * QUERIES) * factor1;
    ROWS (ROW)
#undef ROW
    global const float *w = v + d;
    for (int j = 0; j < count; j++, w += stride) {
      const vec x = LOAD (0, s + j * QUERIES), y = LOAD (1, s + j * QUERIES);
#define ROW(i) a##i = fma ((vec) (w[i]), x, a##i); b##i = fma ((vec) (w[i]), y, b##i);
      ROWS (ROW)
#undef ROW
    }
#define ROW(i) STORE (a##i, 0, o + (d + i) * QUERIES); STORE (b##i, 1, o + (d + i) * QUERIES);
    ROWS (ROW)
#undef ROW
  }
#if HEAD_DIM % TILE
  for (int d = HEAD_DIM / TILE * TILE; d < HEAD_DIM; d++) {
    vec a = LOAD (0, o + d * QUERIES) * factor0, b = LOAD (1, o + d * QUERIES) * factor1;
    for (int j = 0; j < count; j++) {
      a = fma ((vec) (v[(size_t) j * stride + d]), LOAD (0, s + j * QUERIES), a);
      b = fma ((vec) (v[(size_t) j * stride + d]), LOAD (1, s + j * QUERIES), b);
    }
    STORE (a, 0, o + d * QUERIES);
    STORE (b, 1, o + d * QUERIES);
  }
#endif
}

/* dimensions: query tiles from @first_tile on, heads, batch; *_row: offset, row stride, batch stride, in floats */
__attribute__ ((reqd_work_group_size (1, 1, 1)))
kernel void
attention (global const float *q, uint4 q_row, global const float *k, uint4 k_row, global const float *v, uint4 v_row,
    global float *out, uint4 out_row, uint first_tile, uint n_query, uint n_key, float scale, global const float *bias,
    int has_bias, global const float *key_offset, int has_key_offset)
{
  const uint first = (first_tile + get_global_id (0)) * QUERIES, head = get_global_id (1);
  const size_t batch = get_global_id (2);
  const int n_queries = min (n_query - first, (uint) QUERIES);
  float qt[HEAD_DIM * QUERIES] __attribute__ ((aligned (64)));
  float o[HEAD_DIM * QUERIES] __attribute__ ((aligned (64)));
  float s[KEYS * QUERIES] __attribute__ ((aligned (64)));
  vec maximum[2] = { -1e30f, -1e30f }, sum[2] = { 0.0f, 0.0f }, factor[2];

  q += q_row.x + batch * q_row.z + (size_t) first * q_row.y + head * HEAD_DIM;
  k += k_row.x + batch * k_row.z + head * HEAD_DIM;
  v += v_row.x + batch * v_row.z + head * HEAD_DIM;
  out += out_row.x + batch * out_row.z + (size_t) first * out_row.y + head * HEAD_DIM;
  bias += (size_t) head * (n_query + n_key - 1) + n_query - 1 - first;

  load_queries (q, q_row.y, n_queries, scale * LOG2E, qt);
  for (int i = 0; i < HEAD_DIM * QUERIES; i += WIDTH)
    STORE ((vec) (0.0f), 0, o + i);
  for (uint key = 0; key < n_key; key += KEYS) {
    const int count = min (n_key - key, (uint) KEYS);
    scores (k + (size_t) key * k_row.y, k_row.y, count, qt, s);
    if (has_bias)
      add_bias (bias + key, n_queries, count, s);
    if (has_key_offset)
      add_key_offset (key_offset + key, count, s);
#pragma unroll 1
    for (int part = 0; part < 2; part++)
      factor[part] = softmax (s, part, count, &maximum[part], &sum[part]);
    accumulate (v + (size_t) key * v_row.y, v_row.y, count, s, factor[0], factor[1], o);
  }
  store_output (o, sum[0], sum[1], out, out_row.y, n_queries);
}
