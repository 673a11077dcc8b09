/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Linear for CPU devices: a work-item multiplies TILE_M rows of X by one packed panel of the weight and applies the epilogue. */

/* Compiled with -DWIDTH (floats in a native vector: 16, 8 or 4) and -DTILE_M (12 or 6 rows): 2 · TILE_M accumulators, two vectors
 * of weights and one broadcast input fill the vector registers. The weight lies in panels [n / PANEL][k][PANEL], the last one
 * padded with zeros; the bias likewise, [panels · PANEL].
 *
 * -DTYPE: what the weights are stored as, in the order of SoraWeightType; left out, they are floats. Q8 lies in blocks of BLOCK columns, the
 * last one filled up with zeros: the scales of the panel's rows as halves, then [BLOCK][PANEL] bytes. Whatever the type, a weight that
 * it holds exactly gives the same sums, bit by bit, as fp32. */

#define CONCAT_(a, b) a##b
#define CONCAT(a, b) CONCAT_ (a, b)
#define VECTOR CONCAT (float, WIDTH)
#define LOAD CONCAT (vload, WIDTH)
#define STORE CONCAT (vstore, WIDTH)
#define PANEL (2 * WIDTH)

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

/* in the order of SoraActivation */
#define SILU 1
#define GELU 2
#define GELU_TANH 3
#define RELU 4
#define GELU_QUICK 5
/* operands of the epilogue that are there */
#define HAS_MULTIPLIER 1
#define HAS_GATE 2
#define HAS_RESIDUAL 4

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

/* erf (v) to 1.5e-7, absolutely: Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.26 */
static VECTOR
error_function (VECTOR v)
{
  VECTOR t = 1.0f / fma (0.3275911f, fabs (v), 1.0f);
  VECTOR p = fma (t, (VECTOR) (1.061405429f), (VECTOR) (-1.453152027f));

  p = fma (t, p, (VECTOR) (1.421413741f));
  p = fma (t, p, (VECTOR) (-0.284496736f));
  p = fma (t, p, (VECTOR) (0.254829592f));
  return copysign (1.0f - t * p * exp (-v * v), v);
}

static VECTOR
activate (VECTOR v, uint activation)
{
  switch (activation) {
    case SILU:
      return v / (1.0f + exp (-v));
    case GELU:
      return 0.5f * v * (1.0f + error_function (v * 0.7071067812f));
    case GELU_TANH:
      /* (1 + tanh (u)) / 2 = 1 / (1 + exp (-2u)), u = sqrt (2 / pi) (v + 0.044715 v³) */
      return v / (1.0f + exp (-1.5957691216f * fma (0.044715f * v * v, v, v)));
    case RELU:
      /* not fmax, which would hide a NaN */
      return v < 0.0f ? (VECTOR) (0.0f) : v;
    case GELU_QUICK:
      return v / (1.0f + exp (-1.702f * v));
    default:
      return v;
  }
}

/* Vectors at the right edge of a matrix: only @count floats are there. */
static VECTOR
load_some (global const float *from, uint count)
{
  float values[WIDTH];

  if (count >= WIDTH)
    return LOAD (0, from);
  for (uint i = 0; i < WIDTH; i++)
    values[i] = i < count ? from[i] : 0.0f;
  return LOAD (0, values);
}

static void
store_some (VECTOR v, global float *to, uint count)
{
  float values[WIDTH];

  if (count >= WIDTH) {
    STORE (v, 0, to);
    return;
  }
  STORE (v, 0, values);
  for (uint i = 0; i < count; i++)
    to[i] = values[i];
}

/* Global size: (spans of tiles of rows, panels). A work-item computes up to @span tiles, so that what each one costs beside its
 * products is paid once; they follow each other, as do the work-items of a panel, so the panel stays in the caches. */
__attribute__ ((reqd_work_group_size (1, 1, 1)))
kernel void
linear (global const float *x, uint x_offset, uint x_stride, global const STORED *weight, global const float *bias, uint m, uint n, uint k,
    uint span, global float *y, uint y_offset, uint y_stride, uint activation, uint operands,
    global const float *multiplier, uint multiplier_offset, uint multiplier_stride,
    global const float *gate, uint gate_offset, uint gate_stride, uint rows_per_frame, uint n_frames,
    global const float *residual, uint residual_offset, uint residual_stride)
{
  VECTOR tile[TILE_M * 2];
  uint tiles = m / TILE_M, all_tiles = tiles + (m % TILE_M + REST_M - 1) / REST_M;
  uint begin = get_global_id (0) * span, end = min (begin + span, all_tiles), first_column = get_global_id (1) * PANEL;
  global const STORED *panel = weight + get_global_id (1) * PANEL_SIZE (k);
  VECTOR bias0 = LOAD (0, bias + first_column), bias1 = LOAD (1, bias + first_column);
  uint first = begin < tiles ? begin * TILE_M : tiles * TILE_M + (begin - tiles) * REST_M;
  uint frame = operands & HAS_GATE ? first / rows_per_frame % n_frames : 0;
  uint frame_row = operands & HAS_GATE ? first % rows_per_frame : 0;

  x += x_offset + (ulong) first * x_stride;
  y += y_offset + (ulong) first * y_stride + first_column;
  multiplier += multiplier_offset + (ulong) first * multiplier_stride + first_column;
  residual += residual_offset + (ulong) first * residual_stride + first_column;
  gate += gate_offset + first_column;
  for (uint index = begin; index < end; index++) {
    uint rows = index < tiles ? TILE_M : min (m - first, (uint) REST_M);

    if (index < tiles)
      multiply_tile (x, x_stride, panel, k, bias0, bias1, tile);
    else
      multiply_rest (x, x_stride, rows, panel, k, bias0, bias1, tile);
    for (uint row = 0; row < rows; row++) {
      for (uint part = 0; part < 2 && first_column + part * WIDTH < n; part++) {
        uint column = part * WIDTH, count = n - first_column - column;
        VECTOR v = activate (tile[2 * row + part], activation);

        if (operands & HAS_MULTIPLIER)
          v *= load_some (multiplier + column, count);
        if (operands & HAS_GATE)
          v *= load_some (gate + (ulong) frame * gate_stride + column, count);
        if (operands & HAS_RESIDUAL)
          v += load_some (residual + column, count);
        store_some (v, y + column, count);
      }
      y += y_stride;
      multiplier += multiplier_stride;
      residual += residual_stride;
      if (++frame_row == rows_per_frame) {
        frame_row = 0;
        frame = frame + 1 == n_frames ? 0 : frame + 1;
      }
    }
    first += rows;
    x += (ulong) rows * x_stride;
  }
}
