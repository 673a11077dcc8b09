/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Attention for CPU devices with a matrix unit: as attention-vector.cl, whose online softmax it shares, but both products are those of bf16 numbers,
 * summed in floats. Put behind product-bf16.cl, vector.cl and attention-vector.cl.
 *
 * Keys times queries, and values times weights, are products of some rows and a panel of QUERIES columns. Queries are rounded once, weights as
 * they are made, keys and values block by block for all tiles of queries that a work-item has; so nothing is stored beside the operands.
 *
 * Compiled with -DUNIT and -DWIDTH=16 beside the options of attention-vector.cl; HEAD_DIM is a multiple of STEP. */

/* Tiles of a work-item at most: their sums take 128 KiB, which the second cache holds beside the keys and values that they meet */
#define MAX_TILES (1024 / HEAD_DIM)
/* A multiple of STEP, and of the rows that are multiplied at a time. With a tile's queries, a block's keys fit the first cache. */
#define BLOCK 96

/* A tile of queries, and what has become of it so far */
typedef struct {
  int q[HEAD_DIM / 2 * QUERIES] __attribute__ ((aligned (64)));
  float o[HEAD_DIM * QUERIES] __attribute__ ((aligned (64)));   /* [HEAD_DIM][QUERIES] */
  vec maximum[2], sum[2];
} Tile;

/* Rows from @count on repeat the last one. */
static inline void
begin_tile (global const float *q, uint stride, int count, float scale, Tile *tile)
{
  vec r[WIDTH];
#pragma unroll 1
  for (int part = 0; part < 2; part++) {
    for (int d = 0; d < HEAD_DIM; d += WIDTH) {
#pragma unroll
      for (int i = 0; i < WIDTH; i++)
        r[i] = LOAD (0, q + (size_t) min (part * WIDTH + i, count - 1) * stride + d) * scale;
      transpose (r);
#pragma unroll
      for (int i = 0; i < WIDTH; i += 2)
        store_pairs (round_to_pairs (r[i], r[i + 1]), part, tile->q + (d + i) / 2 * QUERIES);
    }
    tile->maximum[part] = -1e30f;
    tile->sum[part] = 0.0f;
  }
  for (int i = 0; i < HEAD_DIM * QUERIES; i += WIDTH)
    store_floats ((vec) (0.0f), 0, tile->o + i);
}

/* keys [HEAD_DIM / STEP][BLOCK][PAIRS]; rows from @count up to a multiple of LEAST_ROWS repeat the last one */
static inline void
round_keys (global const float *k, uint stride, int count, int *keys)
{
  for (int j = 0; j < (count + LEAST_ROWS - 1) / LEAST_ROWS * LEAST_ROWS; j++) {
    global const float *row = k + (size_t) min (j, count - 1) * stride;
    for (int step = 0; step < HEAD_DIM / STEP; step++)
      store_pairs (round_to_bf16 (LOAD (0, row + step * STEP), LOAD (1, row + step * STEP)), step * BLOCK + j, keys);
  }
}

/* values [steps][HEAD_DIM][PAIRS], a pair of keys beside the other; keys from @count on, which weigh nothing, repeat the last one */
static inline void
round_values (global const float *v, uint stride, int count, int *values)
{
  for (int j = 0; j < count; j += STEP) {
    for (int d = 0; d < HEAD_DIM; d += WIDTH) {
      vec r[WIDTH];
#pragma unroll
      for (int i = 0; i < PAIRS; i++) {
        const uint even = min (j + 2 * i, count - 1), odd = min (j + 2 * i + 1, count - 1);
        r[i] = as_float16 (round_to_pairs (LOAD (0, v + (size_t) even * stride + d), LOAD (0, v + (size_t) odd * stride + d)));
      }
      transpose (r);
#pragma unroll
      for (int i = 0; i < WIDTH; i++)
        store_floats (r[i], j / STEP * HEAD_DIM + d + i, (float *) values);
    }
  }
}

/* As softmax(), to weights [BLOCK / 2][QUERIES]; keys that the last step lacks weigh nothing. */
static inline vec
softmax_pairs (const float *s, int part, int count, vec *maximum, vec *sum, int *weights)
{
  vec top = *maximum;
  for (int j = 0; j < count; j++) {
    const vec x = LOAD (part, s + j * QUERIES);
    top = x > top ? x : top;
  }
  const vec factor = exp2_negative (*maximum - top);
  vec total = *sum * factor;
  for (int j = 0; j < count; j += 2) {
    const vec even = exp2_negative (LOAD (part, s + j * QUERIES) - top);
    const vec odd = j + 1 < count ? exp2_negative (LOAD (part, s + (j + 1) * QUERIES) - top) : (vec) (0.0f);
    store_pairs (round_to_pairs (even, odd), part, weights + j / 2 * QUERIES);
    total += even + odd;
  }
  for (int j = (count + 1) / 2; j % PAIRS; j++)
    store_pairs ((int16) (0), part, weights + j * QUERIES);
  *maximum = top;
  *sum = total;
  return factor;
}

/* o [HEAD_DIM][QUERIES] times a factor for each query */
static inline void
scale_sums (vec factor0, vec factor1, float *o)
{
  for (int d = 0; d < HEAD_DIM; d++) {
    store_floats (LOAD (0, o + d * QUERIES) * factor0, 0, o + d * QUERIES);
    store_floats (LOAD (1, o + d * QUERIES) * factor1, 1, o + d * QUERIES);
  }
}

/* As attention(), of which each work-item computes @span tiles */
__attribute__ ((reqd_work_group_size (1, 1, 1)))
kernel void
attention_bf16 (global const float *q, uint4 q_row, global const float *k, uint4 k_row, global const float *v, uint4 v_row,
    global float *out, uint4 out_row, uint first_item, uint n_query, uint n_key, float scale, global const float *bias,
    int has_bias, global const float *key_offset, int has_key_offset, uint span)
{
  const uint first = (first_item + get_global_id (0)) * span * QUERIES, head = get_global_id (1);
  const size_t batch = get_global_id (2);
  const uint tiles = min ((n_query - first + QUERIES - 1) / QUERIES, span);
  const float zeros[QUERIES] __attribute__ ((aligned (64))) = { 0 };
  Tile all[MAX_TILES];
  int keys[BLOCK * HEAD_DIM / 2] __attribute__ ((aligned (64)));
  int values[BLOCK * HEAD_DIM / 2] __attribute__ ((aligned (64)));
  float s[BLOCK * QUERIES] __attribute__ ((aligned (64)));
  int weights[BLOCK / 2 * QUERIES] __attribute__ ((aligned (64)));

  q += q_row.x + batch * q_row.z + (size_t) first * q_row.y + head * HEAD_DIM;
  k += k_row.x + batch * k_row.z + head * HEAD_DIM;
  v += v_row.x + batch * v_row.z + head * HEAD_DIM;
  out += out_row.x + batch * out_row.z + (size_t) first * out_row.y + head * HEAD_DIM;
  bias += (size_t) head * (n_query + n_key - 1) + n_query - 1 - first;

#define COUNT_QUERIES(tile) (int) min (n_query - first - (tile) * QUERIES, (uint) QUERIES)
  tiles_begin ();
  for (uint i = 0; i < tiles; i++)
    begin_tile (q + (size_t) i * QUERIES * q_row.y, q_row.y, COUNT_QUERIES (i), scale * LOG2E, &all[i]);
  for (uint key = 0; key < n_key; key += BLOCK) {
    const int count = min (n_key - key, (uint) BLOCK), steps = (count + STEP - 1) / STEP;
    round_keys (k + (size_t) key * k_row.y, k_row.y, count, keys);
    round_values (v + (size_t) key * v_row.y, v_row.y, count, values);
    for (uint i = 0; i < tiles; i++) {
      Tile *tile = &all[i];
      vec factor[2];
      multiply_rows (keys, BLOCK * PAIRS, tile->q, HEAD_DIM / STEP, count, zeros, 0, s);
      if (has_bias)
        add_bias (bias + key - i * QUERIES, COUNT_QUERIES (i), count, s);
      if (has_key_offset)
        add_key_offset (key_offset + key, count, s);
#pragma unroll 1
      for (int part = 0; part < 2; part++)
        factor[part] = softmax_pairs (s, part, count, &tile->maximum[part], &tile->sum[part], weights);
      scale_sums (factor[0], factor[1], tile->o);
      multiply_rows (values, HEAD_DIM * PAIRS, weights, steps, HEAD_DIM, tile->o, QUERIES * sizeof (float), tile->o);
    }
  }
  tiles_end ();
  for (uint i = 0; i < tiles; i++)
    store_output (all[i].o, all[i].sum[0], all[i].sum[1], out + (size_t) i * QUERIES * out_row.y, out_row.y, COUNT_QUERIES (i));
}
