/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Linear for CPU devices: a work-item multiplies tiles of TILE_M rows of X by packed panels of the weight and applies the epilogue. Put
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

/* The same with each column from @first to @end, for which panel goes on. With few rows several columns at a time, as counting them and finding the
 * rows then counts. */
#if TILE_M == 12
#define COLUMNS(first, end, ACCUMULATE_ROWS) \
  for (uint column = first; column < end; column++, panel += PANEL) \
    COLUMN (0, ACCUMULATE_ROWS)
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
#else
#define ALL_COLUMNS(ACCUMULATE_ROWS) COLUMNS (0, k, ACCUMULATE_ROWS)
#define PANEL_SIZE(k) ((ulong) (k) * PANEL)
#endif

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
#define ROW(i) global const float *x##i = x + min ((uint) i, rows - 1) * stride;
  REST_ROWS (ROW)
  REST_ROWS (BEGIN)
  ALL_COLUMNS (REST_ROWS (ACCUMULATE_REST))
  REST_ROWS (KEEP)
}

/* Fetches what finish_rows () will read and write while the products are made, as another core had it last. PoCL's own prefetch () does nothing. */
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
      uint row = index < tiles ? index * TILE_M : tiles * TILE_M + (index - tiles) * REST_M;
      uint rows = index < tiles ? TILE_M : min (m - row, (uint) REST_M);
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
