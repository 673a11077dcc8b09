/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Linear for CPU devices: a work-item multiplies TILE_M rows of X by one packed panel of the weight and applies the epilogue. Put
 * behind linear-finish.cl. */

/* Compiled with -DWIDTH (floats in a native vector: 16, 8 or 4) and -DTILE_M (12 or 6 rows): 2 · TILE_M accumulators, two vectors
 * of weights and one broadcast input fill the vector registers. The weight lies in panels [n / PANEL][k][PANEL], the last one
 * padded with zeros; the bias likewise, [panels · PANEL].
 *
 * -DTYPE: what the weights are stored as, in the order of SoraWeightType; left out, they are floats. Q8 lies in blocks of BLOCK columns, the
 * last one filled up with zeros: the scales of the panel's rows as halves, then [BLOCK][PANEL] bytes. Q4 lies in whole blocks: of the
 * panel's rows d and e as halves, s and t as bytes, then [BLOCK / 2][PANEL] bytes of two columns each, the first in the lower 4 bits, which stand for
 * d s q - e t. Whatever the type, a weight that it holds exactly gives the same sums, bit by bit, as fp32. */

#define FP32 1
#define FP16 2
#define BF16 3
#define Q8 4
#define Q4 5
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
#elif TYPE == Q4
#define STORED uchar
#define WEIGHTS(i) LOAD (i, panel)      /* of a block that is unpacked */
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
#elif TYPE == Q4
#define PANEL_SIZE(k) ((k) / BLOCK * PANEL * (ulong) (BLOCK / 2 + 6))
#else
#define ALL_COLUMNS(ACCUMULATE_ROWS) COLUMNS (0, k, ACCUMULATE_ROWS)
#define PANEL_SIZE(k) ((ulong) (k) * PANEL)
#endif

#define ROW(i) global const float *x##i = x + min ((uint) i, rows - 1) * stride;

#if TYPE == Q4
#define BYTES(i, from) CONCAT (convert_int, WIDTH) (LOAD (i, from))
#define FLOATS(i) CONCAT (convert_float, WIDTH) (i)
#define RESUME(i) VECTOR c##i##0 = tile[2 * i], c##i##1 = tile[2 * i + 1];

/* Columns that are unpacked at a time: X is read along so many of them, row after row, and what is unpacked is a part of the first cache. */
#define CHUNK (4 * BLOCK)

/* Vector @part of each column of a block, to @columns [BLOCK][PANEL]. The products are exact: the one sum is rounded, whether it is fused or
 * not. */
static void
unpack_part (global const uchar *panel, uint part, float *columns)
{
  VECTOR scale = HALVES (part, panel) * FLOATS (BYTES (8 + part, panel));
  VECTOR least = HALVES (2 + part, panel) * FLOATS (BYTES (10 + part, panel));

  panel += 6 * PANEL;
  for (uint i = 0; i < BLOCK / 2; i++, panel += PANEL) {
    CONCAT (int, WIDTH) pair = BYTES (part, panel);
    STORE (scale * FLOATS (pair & 15) - least, 4 * i + part, columns);
    STORE (scale * FLOATS (pair >> 4) - least, 4 * i + 2 + part, columns);
  }
}

/* @n columns, whole blocks; returns where the next ones lie */
static global const uchar *
unpack (global const uchar *panel, uint n, float *columns)
{
  for (uint i = 0; i < n; i += BLOCK, panel += PANEL * (BLOCK / 2 + 6)) {
    unpack_part (panel, 0, columns + i * PANEL);
    unpack_part (panel, 1, columns + i * PANEL);
  }
  return panel;
}

/* tile [TILE_M][2] += rows x, x + stride ... times @n unpacked columns */
static void
add_tile (global const float *x, ulong stride, const float *panel, uint n, VECTOR *tile)
{
  TILE_ROWS (RESUME)
  COLUMNS (0, n, TILE_ROWS (ACCUMULATE_TILE))
  TILE_ROWS (KEEP)
}

/* The same for 1 to REST_M rows; those beyond @rows repeat the last one, so nothing outside X is read. */
static void
add_rest (global const float *x, ulong stride, uint rows, const float *panel, uint n, VECTOR *tile)
{
  REST_ROWS (ROW)
  REST_ROWS (RESUME)
  COLUMNS (0, n, REST_ROWS (ACCUMULATE_REST))
  REST_ROWS (KEEP)
}

/* Tiles of a work-item at most, as linear.c has it */
#define MAX_SPAN 8

/* As the kernel below does it, but chunk by chunk through all tiles, so that what it costs to unpack one, half as much as a tile's products, is paid
 * once for all of them. */
__attribute__ ((reqd_work_group_size (1, 1, 1)))
kernel void
linear (global const float *x, uint x_offset, uint x_stride, global const uchar *weight, global const float *bias, uint m, uint n, uint k,
    uint span, FINISH_PARAMETERS)
{
  VECTOR tile[MAX_SPAN][TILE_M * 2];
  float columns[CHUNK * PANEL];
  uint tiles = m / TILE_M, all_tiles = tiles + (m % TILE_M + REST_M - 1) / REST_M;
  uint begin = get_global_id (0) * span, count = min (span, all_tiles - begin), first_column = get_global_id (1) * PANEL;
  uint full = min (max (tiles, begin) - begin, count), first = begin < tiles ? begin * TILE_M : tiles * TILE_M + (begin - tiles) * REST_M;
  global const uchar *panel = weight + get_global_id (1) * PANEL_SIZE (k);
  Finish finish = finish_begin (first, first_column, FINISH_ARGUMENTS);

  x += x_offset + (ulong) first * x_stride;
  for (uint i = 0; i < count; i++)
    for (uint row = 0; row < 2 * TILE_M; row++)
      tile[i][row] = LOAD (row % 2, bias + first_column);
  for (uint column = 0; column < k; column += CHUNK) {
    uint width = min (k - column, (uint) CHUNK);

    panel = unpack (panel, width, columns);
    for (uint i = 0; i < full; i++)
      add_tile (x + (ulong) i * TILE_M * x_stride + column, x_stride, columns, width, tile[i]);
    for (uint i = full; i < count; i++) {
      uint row = full * TILE_M + (i - full) * REST_M;
      add_rest (x + (ulong) row * x_stride + column, x_stride, min (m - first - row, (uint) REST_M), columns, width, tile[i]);
    }
  }
  for (uint i = 0; i < count; i++) {
    uint rows = i < full ? TILE_M : min (m - first - full * TILE_M - (i - full) * REST_M, (uint) REST_M);
    for (uint row = 0; row < rows; row++)
      finish_row (&finish, tile[i][2 * row], tile[i][2 * row + 1], n - first_column);
  }
}

#else

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
#endif
