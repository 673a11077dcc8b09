/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Linear for CPU devices with a matrix unit: a work-item rounds ROWS rows of X to bf16, multiplies them by some packed panels of the weight,
 * and applies the epilogue. Put behind product-bf16.cl and linear.cl. */

/* Compiled with -DUNIT, -DWIDTH=16 and -DTILE_M=12. The weight lies in panels [n / PANEL][steps · 16][PANEL] of pairs of bf16 numbers, two columns of X
 * after each other; steps = k / STEP rounded up, the last step and the last panel filled up with zeros. */

/* Columns of X that are rounded at a time: as many as leave room for a panel's in the first cache */
#define CHUNK_STEPS 12
/* Sums that a work-item keeps meanwhile, of ROWS rows and a panel each: 256 KiB, which the second cache holds */
#define MAX_SUMS 64

#if UNIT == AMX_BF16
#define ROWS 32                 /* two tiles */
#else
#define ROWS 24                 /* two times TILE_M, whose sums fill the registers */
#endif

/* Up to 32 columns of a row, of which @count are there, rounded */
static int16
round_some (global const float *x, uint count)
{
  float values[STEP];

  if (count >= STEP)
    return round_to_bf16 (vload16 (0, x), vload16 (1, x));
  for (uint i = 0; i < STEP; i++)
    values[i] = i < count ? x[i] : 0.0f;
  return round_to_bf16 (vload16 (0, values), vload16 (1, values));
}

/* @a: [steps][ROWS][PAIRS], steps = @count / STEP rounded up, = @count columns of @rows rows, then zeros */
static void
round_rows (global const float *x, ulong stride, uint rows, uint count, int *a)
{
  uint steps = (count + STEP - 1) / STEP;

  for (uint row = 0; row < ROWS; row++, x += stride) {
    for (uint step = 0; step < steps; step++)
      vstore16 (row < rows ? round_some (x + step * STEP, count - step * STEP) : (int16) (0), step * ROWS + row, a);
  }
}

/* Global size: (rows / ROWS, steps / CHUNK_STEPS), rounded up. @rounded: [rows / ROWS][steps][ROWS][PAIRS] = X, for linear_bf16(). */
__attribute__ ((reqd_work_group_size (1, 1, 1)))
kernel void
linear_bf16_round (global const float *x, uint x_offset, uint x_stride, uint m, uint k, global int *rounded)
{
  uint first = get_global_id (0) * ROWS, step = get_global_id (1) * CHUNK_STEPS, steps = (k + STEP - 1) / STEP;
  int a[CHUNK_STEPS * ROWS * PAIRS] __attribute__ ((aligned (64)));
  uint count = min (k - step * STEP, (uint) CHUNK_STEPS * STEP), vectors = (count + STEP - 1) / STEP * ROWS;

  round_rows (x + x_offset + (ulong) first * x_stride + step * STEP, x_stride, min (m - first, (uint) ROWS), count, a);
  rounded += ((ulong) get_global_id (0) * steps + step) * ROWS * PAIRS;
  for (uint i = 0; i < vectors; i++)
    vstore16 (vload16 (i, a), i, rounded);
}

/* Global size: (rows / ROWS / row_span, panels / span), rounded up. A work-item multiplies @row_span times ROWS rows by @span panels, some columns of
 * X after the other, so that those of a panel are in the second cache for all its rows; all sums, MAX_SUMS at most, are kept meanwhile.
 * @is_rounded: X is in @rounded, else it is rounded here. */
__attribute__ ((reqd_work_group_size (1, 1, 1)))
kernel void
linear_bf16 (global const float *x, uint x_offset, uint x_stride, global const int *rounded, uint is_rounded, global const int *weight,
    global const float *bias, uint m, uint n, uint k, uint row_span, uint span, FINISH_PARAMETERS)
{
  int here[CHUNK_STEPS * ROWS * PAIRS] __attribute__ ((aligned (64)));
  float sums[MAX_SUMS * ROWS * PANEL] __attribute__ ((aligned (64)));
  uint steps = (k + STEP - 1) / STEP, blocks = (m + ROWS - 1) / ROWS, panels = (n + PANEL - 1) / PANEL;
  uint first_block = get_global_id (0) * row_span, end_block = min (first_block + row_span, blocks);
  uint first_panel = get_global_id (1) * span, end_panel = min (first_panel + span, panels);

  x += x_offset;
  tiles_begin ();
  for (uint step = 0; step < steps; step += CHUNK_STEPS) {
    uint count = min (steps - step, (uint) CHUNK_STEPS);
    float *c = sums;

    for (uint block = first_block; block < end_block; block++) {
      uint row = block * ROWS, rows = min (m - row, (uint) ROWS);
      const int *a = is_rounded ? (const int *) (ulong) (rounded + ((ulong) block * steps + step) * ROWS * PAIRS) : here;

      if (!is_rounded)
        round_rows (x + (ulong) row * x_stride + step * STEP, x_stride, rows, min (k - step * STEP, (uint) CHUNK_STEPS * STEP), here);
      for (uint panel = first_panel; panel < end_panel; panel++, c += ROWS * PANEL) {
        const int *b = (const int *) (ulong) (weight + ((ulong) panel * steps + step) * PAIRS * PANEL);

        multiply_rows (a, ROWS * PAIRS, b, count, rows, step ? (const char *) c : (const char *) (ulong) (bias + panel * PANEL), step ? PANEL * 4 : 0, c);
        if (step + CHUNK_STEPS >= steps) {
          Finish finish = finish_begin (row, panel * PANEL, FINISH_ARGUMENTS);

          finish_rows (&finish, c, rows, n - panel * PANEL);
        }
      }
    }
  }
  tiles_end ();
}
