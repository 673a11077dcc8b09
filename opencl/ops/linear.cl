/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Linear for CPU devices: a work-item multiplies TILE_M rows of X by one packed panel of the weight and applies the epilogue. Put
 * behind linear-finish.cl. */

/* Compiled with -DWIDTH (floats in a native vector: 16, 8 or 4) and -DTILE_M (12 or 6 rows): 2 · TILE_M accumulators, two vectors
 * of weights and one broadcast input fill the vector registers. The weight lies in panels [n / PANEL][k][PANEL], the last one
 * padded with zeros; the bias likewise, [panels · PANEL].
 *
 * -DTYPE: what the weights are stored as, in the order of SoraWeightType; left out, they are floats. Q8 lies in blocks of BLOCK columns, the
 * last one filled up with zeros: the scales of the panel's rows as halves, then [BLOCK][PANEL] bytes. Whatever the type, a weight that
 * it holds exactly gives the same sums, bit by bit, as fp32. */

#define FP32 1
#define FP16 2
#define BF16 3
#define Q8 4
#ifndef TYPE
#define TYPE FP32
#endif
#define BLOCK 32
#define SCALE_BYTES 2
#define HALVES(i, from) CONCAT (vload_half, WIDTH) (i, (global const half *) (from))

/* STORED: a stored number. WEIGHTS: vector @i of a row of the panel, as floats. */
#if TYPE == FP16
#define STORED ushort
#define WEIGHTS(i) HALVES (i, panel)
#elif TYPE == BF16
#define STORED ushort
#define WEIGHTS(i) CONCAT (as_float, WIDTH) (CONCAT (convert_uint, WIDTH) (LOAD (i, panel)) << 16)
#elif TYPE == Q8
#define STORED char
#define WEIGHTS(i) (scale##i * CONCAT (convert_float, WIDTH) (LOAD (i, panel)))
#else
#define STORED float
#define WEIGHTS(i) LOAD (i, panel)
#endif

/* Rows that do not fill a tile are computed REST_M at a time. */
#define REST_M 4
#define REST_ROWS(F) F (0) F (1) F (2) F (3)
#if TILE_M == 12
#define TILE_ROWS(F) REST_ROWS (F) F (4) F (5) F (6) F (7) F (8) F (9) F (10) F (11)
#else
#define TILE_ROWS(F) REST_ROWS (F) F (4) F (5)
#endif

#define BEGIN(i) VECTOR c##i##0 = bias0, c##i##1 = bias1;
#define ACCUMULATE(i, value) { VECTOR a = (VECTOR) (value); c##i##0 = fma (a, b0, c##i##0); c##i##1 = fma (a, b1, c##i##1); }
#define ACCUMULATE_TILE(i) ACCUMULATE (i, x[i * stride + column])
#define ACCUMULATE_REST(i) ACCUMULATE (i, x##i[column])
#define KEEP(i) tile[2 * i] = c##i##0; tile[2 * i + 1] = c##i##1;

/* @ACCUMULATE_ROWS with each column from @first to @end, for which panel goes on */
#define COLUMNS(first, end, ACCUMULATE_ROWS) \
  for (uint column = first; column < end; column++, panel += PANEL) { \
    VECTOR b0 = WEIGHTS (0), b1 = WEIGHTS (1); \
    ACCUMULATE_ROWS \
  }

#if TYPE == Q8
#define ALL_COLUMNS(ACCUMULATE_ROWS) \
  for (uint first = 0; first < k; first += BLOCK) { \
    uint end = min (first + BLOCK, k); \
    VECTOR scale0 = HALVES (0, panel), scale1 = HALVES (1, panel); \
    panel += PANEL * SCALE_BYTES; \
    COLUMNS (first, end, ACCUMULATE_ROWS) \
  }
#define PANEL_SIZE(k) (((k) + BLOCK - 1) / BLOCK * PANEL * (ulong) (BLOCK + SCALE_BYTES))
#else
#define ALL_COLUMNS(ACCUMULATE_ROWS) COLUMNS (0, k, ACCUMULATE_ROWS)
#define PANEL_SIZE(k) ((ulong) (k) * PANEL)
#endif

/* tile [TILE_M][2] = rows x, x + stride ... times the panel, and the bias */
static void
multiply_tile (global const float *x, ulong stride, global const STORED *panel, uint k, VECTOR bias0, VECTOR bias1,
    VECTOR *tile)
{
  TILE_ROWS (BEGIN)
  ALL_COLUMNS (TILE_ROWS (ACCUMULATE_TILE))
  TILE_ROWS (KEEP)
}

/* The same for 1 to REST_M rows; those beyond @rows repeat the last one, so nothing outside X is read. */
static void
multiply_rest (global const float *x, ulong stride, uint rows, global const STORED *panel, uint k, VECTOR bias0, VECTOR bias1,
    VECTOR *tile)
{
#define ROW(i) global const float *x##i = x + min ((uint) i, rows - 1) * stride;
  REST_ROWS (ROW)
  REST_ROWS (BEGIN)
  ALL_COLUMNS (REST_ROWS (ACCUMULATE_REST))
  REST_ROWS (KEEP)
}

/* Global size: (spans of tiles of rows, panels). A work-item computes up to @span tiles, so that what each one costs beside its
 * products is paid once; they follow each other, as do the work-items of a panel, so the panel stays in the caches. */
__attribute__ ((reqd_work_group_size (1, 1, 1)))
kernel void
linear (global const float *x, uint x_offset, uint x_stride, global const STORED *weight, global const float *bias, uint m, uint n, uint k,
    uint span, FINISH_PARAMETERS)
{
  VECTOR tile[TILE_M * 2];
  uint tiles = m / TILE_M, all_tiles = tiles + (m % TILE_M + REST_M - 1) / REST_M;
  uint begin = get_global_id (0) * span, end = min (begin + span, all_tiles), first_column = get_global_id (1) * PANEL;
  global const STORED *panel = weight + get_global_id (1) * PANEL_SIZE (k);
  VECTOR bias0 = LOAD (0, bias + first_column), bias1 = LOAD (1, bias + first_column);
  uint first = begin < tiles ? begin * TILE_M : tiles * TILE_M + (begin - tiles) * REST_M;
  Finish finish = finish_begin (first, first_column, FINISH_ARGUMENTS);

  x += x_offset + (ulong) first * x_stride;
  for (uint index = begin; index < end; index++) {
    uint rows = index < tiles ? TILE_M : min (m - first, (uint) REST_M);

    if (index < tiles)
      multiply_tile (x, x_stride, panel, k, bias0, bias1, tile);
    else
      multiply_rest (x, x_stride, rows, panel, k, bias0, bias1, tile);
#pragma unroll 1
    for (uint row = 0; row < rows; row++)
      finish_row (&finish, tile[2 * row], tile[2 * row + 1], n - first_column);
    first += rows;
    x += (ulong) rows * x_stride;
  }
}
