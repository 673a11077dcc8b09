/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Linear for CPU devices: a work-item multiplies tiles of TILE_M rows of X by packed panels of the weight and applies the epilogue. Put
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

/* STORED: a stored number. WEIGHTS: vector @i of the row of the panel that is @step behind, as floats. */
#if TYPE == FP16
#define STORED ushort
#define WEIGHTS(i, step) HALVES (2 * step + i, panel)
#elif TYPE == BF16
#define STORED ushort
#define WEIGHTS(i, step) CONCAT (as_float, WIDTH) (CONCAT (convert_uint, WIDTH) (LOAD (2 * step + i, panel)) << 16)
#elif TYPE == Q8
#define STORED char
#define WEIGHTS(i, step) (scale##i * CONCAT (convert_float, WIDTH) (LOAD (2 * step + i, panel)))
#elif TYPE == Q4
#define STORED uchar
#define WEIGHTS(i, step) LOAD (2 * step + i, panel)     /* of a block that is unpacked */
#else
#define STORED float
#define WEIGHTS(i, step) LOAD (2 * step + i, panel)
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
#define ACCUMULATE_TILE(i) ACCUMULATE (i, x[i * stride + at])
#define ACCUMULATE_REST(i) ACCUMULATE (i, x##i[at])
#define KEEP(i) STORE (c##i##0, 0, sums + i * PANEL); STORE (c##i##1, 1, sums + i * PANEL);

/* @ACCUMULATE_ROWS with column + @step, whose weights are as many columns behind panel */
#define COLUMN(step, ACCUMULATE_ROWS) { \
    const ulong at = (ulong) column + step; \
    VECTOR b0 = WEIGHTS (0, step), b1 = WEIGHTS (1, step); \
    ACCUMULATE_ROWS \
  }

/* Weights are fetched from the second cache this many columns before they are used, some 240 cycles. PoCL's own prefetch () does nothing. */
#define COLUMNS_AHEAD 20
#if TYPE == FP32 && defined (POCL_DEVICE_ADDRESS_BITS)
#define FETCH(i) __builtin_prefetch ((const void *) (ulong) (panel + COLUMNS_AHEAD * PANEL + (i) * WIDTH));
#else
#define FETCH(i)
#endif

/* The same with each column from @first to @end, for which panel goes on. With few rows several columns at a time, as counting them and finding the
 * rows then counts. */
#if TILE_M == 12
#define COLUMNS(first, end, ACCUMULATE_ROWS) \
  for (uint column = first; column < end; column++, panel += PANEL) { \
    FETCH (0) FETCH (1) \
    COLUMN (0, ACCUMULATE_ROWS) \
  }
#else
#define COLUMNS(first, end, ACCUMULATE_ROWS) \
  uint column = first; \
  for (; column + 4 <= end; column += 4, panel += 4 * PANEL) { \
    COLUMN (0, ACCUMULATE_ROWS) \
    COLUMN (1, ACCUMULATE_ROWS) \
    COLUMN (2, ACCUMULATE_ROWS) \
    COLUMN (3, ACCUMULATE_ROWS) \
  } \
  for (; column < end; column++, panel += PANEL) \
    COLUMN (0, ACCUMULATE_ROWS)
#endif

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

/* For 1 to REST_M rows: those beyond @rows repeat the last one, so nothing outside X is read. */
#define ROW(i) global const float *x##i = x + min ((uint) i, rows - 1) * stride;

/* The first row of tile @index, and how many it has: behind the @tiles whole ones are those of REST_M rows. */
static uint
row_of (uint index, uint tiles)
{
  return index < tiles ? index * TILE_M : tiles * TILE_M + (index - tiles) * REST_M;
}

static uint
rows_of (uint index, uint tiles, uint m)
{
  return index < tiles ? TILE_M : min (m - row_of (index, tiles), (uint) REST_M);
}

#if TYPE == Q4
#define BYTES(i, from) CONCAT (convert_int, WIDTH) (LOAD (i, from))
#define FLOATS(i) CONCAT (convert_float, WIDTH) (i)
#define RESUME(i) VECTOR c##i##0 = LOAD (0, sums + i * PANEL), c##i##1 = LOAD (1, sums + i * PANEL);

/* Columns that are unpacked at a time: X is read along so many of them, row after row, and what is unpacked is a part of the first cache. */
#define CHUNK (4 * BLOCK)
/* Tiles that they are multiplied by: what it costs to unpack them is half as much as a tile's products. */
#define GROUP 8

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

/* sums [TILE_M][PANEL] += rows x, x + stride ... times @n unpacked columns */
static void
add_tile (global const float *x, ulong stride, const float *panel, uint n, float *sums)
{
  TILE_ROWS (RESUME)
  COLUMNS (0, n, TILE_ROWS (ACCUMULATE_TILE))
  TILE_ROWS (KEEP)
}

/* The same for 1 to REST_M rows; those beyond @rows repeat the last one, so nothing outside X is read. */
static void
add_rest (global const float *x, ulong stride, uint rows, const float *panel, uint n, float *sums)
{
  REST_ROWS (ROW)
  REST_ROWS (RESUME)
  COLUMNS (0, n, REST_ROWS (ACCUMULATE_REST))
  REST_ROWS (KEEP)
}

/* sums [GROUP][TILE_M][PANEL] = the rows of tiles from @begin to @end times the panel, and the bias */
static void
multiply_group (global const float *x, ulong stride, uint begin, uint end, uint tiles, uint m, global const uchar *panel, uint k,
    global const float *bias, float *sums)
{
  float columns[CHUNK * PANEL] __attribute__ ((aligned (64)));

  for (uint row = 0; row < (end - begin) * TILE_M; row++) {
    STORE (LOAD (0, bias), 2 * row, sums);
    STORE (LOAD (1, bias), 2 * row + 1, sums);
  }
  for (uint column = 0; column < k; column += CHUNK) {
    uint width = min (k - column, (uint) CHUNK);

    panel = unpack (panel, width, columns);
    for (uint index = begin; index < end; index++) {
      global const float *from = x + (ulong) row_of (index, tiles) * stride + column;
      float *tile = sums + (index - begin) * TILE_M * PANEL;

      if (index < tiles)
        add_tile (from, stride, columns, width, tile);
      else
        add_rest (from, stride, rows_of (index, tiles, m), columns, width, tile);
    }
  }
}

/* As the kernel below does it, but chunk by chunk through several tiles, for which each is unpacked once. */
__attribute__ ((reqd_work_group_size (1, 1, 1)))
kernel void
linear (global const float *x, uint x_offset, uint x_stride, global const uchar *weight, global const float *bias, uint m, uint n, uint k,
    uint span, uint panel_span, FINISH_PARAMETERS)
{
  float sums[GROUP * TILE_M * PANEL] __attribute__ ((aligned (64)));
  uint tiles = m / TILE_M, all_tiles = tiles + (m % TILE_M + REST_M - 1) / REST_M;
  uint begin = get_global_id (0) * span, end = min (begin + span, all_tiles);
  uint first_panel = get_global_id (1) * panel_span, end_panel = min (first_panel + panel_span, (n + PANEL - 1) / PANEL);

  for (uint number = first_panel; number < end_panel; number++) {
    for (uint group = begin; group < end; group += GROUP) {
      uint group_end = min (group + GROUP, end);

      multiply_group (x + x_offset, x_stride, group, group_end, tiles, m, weight + number * PANEL_SIZE (k), k, bias + number * PANEL, sums);
      for (uint index = group; index < group_end; index++) {
        Finish finish = finish_begin (row_of (index, tiles), number * PANEL, FINISH_ARGUMENTS);

        finish_rows (&finish, sums + (index - group) * TILE_M * PANEL, rows_of (index, tiles, m), n - number * PANEL);
      }
    }
  }
}

#else

/* sums [TILE_M][PANEL] = rows x, x + stride ... times the panel, and the bias */
static void
multiply_tile (global const float *x, ulong stride, global const STORED *panel, uint k, VECTOR bias0, VECTOR bias1,
    float *sums)
{
  TILE_ROWS (BEGIN)
  ALL_COLUMNS (TILE_ROWS (ACCUMULATE_TILE))
  TILE_ROWS (KEEP)
}

/* The same for 1 to REST_M rows; those beyond @rows repeat the last one, so nothing outside X is read. */
static void
multiply_rest (global const float *x, ulong stride, uint rows, global const STORED *panel, uint k, VECTOR bias0, VECTOR bias1,
    float *sums)
{
  REST_ROWS (ROW)
  REST_ROWS (BEGIN)
  ALL_COLUMNS (REST_ROWS (ACCUMULATE_REST))
  REST_ROWS (KEEP)
}

/* Fetches what finish_rows () will read and write while the products are made, as another core had it last. */
static void
prefetch_rows (const Finish *finish, uint rows)
{
#if TILE_M != 12 && defined (POCL_DEVICE_ADDRESS_BITS)
  for (uint row = 0; row < rows; row++) {
    __builtin_prefetch ((const void *) (ulong) (finish->y + (ulong) row * finish->y_stride), 1);
    if (finish->operands & HAS_RESIDUAL)
      __builtin_prefetch ((const void *) (ulong) (finish->residual + (ulong) row * finish->residual_stride));
  }
#endif
}

/* Global size: (tiles of rows / span, panels / panel_span), rounded up. A work-item multiplies @span tiles by @panel_span
 * panels, so that what it costs beside its products is paid seldom; the tiles of a panel follow each other, so that the panel stays in the caches. */
__attribute__ ((reqd_work_group_size (1, 1, 1)))
kernel void
linear (global const float *x, uint x_offset, uint x_stride, global const STORED *weight, global const float *bias, uint m, uint n, uint k,
    uint span, uint panel_span, FINISH_PARAMETERS)
{
  float sums[TILE_M * PANEL] __attribute__ ((aligned (64)));
  uint tiles = m / TILE_M, all_tiles = tiles + (m % TILE_M + REST_M - 1) / REST_M;
  uint begin = get_global_id (0) * span, end = min (begin + span, all_tiles);
  uint first_panel = get_global_id (1) * panel_span, end_panel = min (first_panel + panel_span, (n + PANEL - 1) / PANEL);

  x += x_offset;
  for (uint number = first_panel; number < end_panel; number++) {
    global const STORED *panel = weight + number * PANEL_SIZE (k);
    VECTOR bias0 = LOAD (2 * number, bias), bias1 = LOAD (2 * number + 1, bias);

    for (uint index = begin; index < end; index++) {
      uint row = row_of (index, tiles), rows = rows_of (index, tiles, m);
      global const float *from = x + (ulong) row * x_stride;
      Finish finish = finish_begin (row, number * PANEL, FINISH_ARGUMENTS);

      prefetch_rows (&finish, rows);
      if (index < tiles)
        multiply_tile (from, x_stride, panel, k, bias0, bias1, sums);
      else
        multiply_rest (from, x_stride, rows, panel, k, bias0, bias1, sums);
      finish_rows (&finish, sums, rows, n - number * PANEL);
    }
  }
}
#endif
