/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Linear for CPU devices with a matrix unit: a work-item rounds ROWS rows of X to bf16, multiplies them by some packed panels of the weight,
 * and applies the epilogue. Put behind bf16.cl and linear.cl. */

/* Compiled with -DUNIT, -DWIDTH=16 and -DTILE_M=12. The weight lies in panels [n / PANEL][steps · 16][PANEL] of pairs of bf16 numbers, two columns of X
 * after each other; steps = k / STEP rounded up, the last step and the last panel filled up with zeros. */

#define STEP 32                 /* columns of X that a tile has */
#define PAIRS 16                /* the same in pairs */

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

#if UNIT == AMX_BF16

#define STEP_BYTES (PAIRS * PANEL * 4)  /* of a panel, and of ROWS rows */

/* @sums [ROWS][PANEL] = what lies at @from, @from_stride bytes from row to row, plus the product of @steps steps of @a and @panel. Of two
 * tiles of rows and two of columns, each is loaded once for two products. */
static void
multiply_two (const int *a, global const int *panel, uint steps, const void *from, ulong from_stride, float *sums)
{
  const ulong a_stride = PAIRS * 4, panel_stride = PANEL * 4;

  __asm__ volatile (
      "tileloadd (%0, %2, 1), %%tmm0\n\t"
      "tileloadd 64(%0, %2, 1), %%tmm1\n\t"
      "tileloadd (%1, %2, 1), %%tmm2\n\t"
      "tileloadd 64(%1, %2, 1), %%tmm3"
      :: "r" (from), "r" ((const char *) from + 16 * from_stride), "r" (from_stride) : "memory");
  for (uint step = 0; step < steps; step++, a += ROWS * PAIRS, panel += PAIRS * PANEL)
    __asm__ volatile (
        "tileloadd (%1, %3, 1), %%tmm6\n\t"
        "tileloadd (%0, %2, 1), %%tmm4\n\t"
        "tdpbf16ps %%tmm6, %%tmm4, %%tmm0\n\t"
        "tileloadd 64(%1, %3, 1), %%tmm7\n\t"
        "tdpbf16ps %%tmm7, %%tmm4, %%tmm1\n\t"
        "tileloadd 1024(%0, %2, 1), %%tmm5\n\t"
        "tdpbf16ps %%tmm6, %%tmm5, %%tmm2\n\t"
        "tdpbf16ps %%tmm7, %%tmm5, %%tmm3"
        :: "r" (a), "r" (panel), "r" (a_stride), "r" (panel_stride) : "memory");
  __asm__ volatile (
      "tilestored %%tmm0, (%0, %2, 1)\n\t"
      "tilestored %%tmm1, 64(%0, %2, 1)\n\t"
      "tilestored %%tmm2, (%1, %2, 1)\n\t"
      "tilestored %%tmm3, 64(%1, %2, 1)"
      :: "r" (sums), "r" (sums + 16 * PANEL), "r" (panel_stride) : "memory");
}

/* The same for the first 16 rows alone */
static void
multiply_one (const int *a, global const int *panel, uint steps, const void *from, ulong from_stride, float *sums)
{
  const ulong a_stride = PAIRS * 4, panel_stride = PANEL * 4;

  __asm__ volatile (
      "tileloadd (%0, %1, 1), %%tmm0\n\t"
      "tileloadd 64(%0, %1, 1), %%tmm1"
      :: "r" (from), "r" (from_stride) : "memory");
  for (uint step = 0; step < steps; step++, a += ROWS * PAIRS, panel += PAIRS * PANEL)
    __asm__ volatile (
        "tileloadd (%1, %3, 1), %%tmm6\n\t"
        "tileloadd (%0, %2, 1), %%tmm4\n\t"
        "tdpbf16ps %%tmm6, %%tmm4, %%tmm0\n\t"
        "tileloadd 64(%1, %3, 1), %%tmm7\n\t"
        "tdpbf16ps %%tmm7, %%tmm4, %%tmm1"
        :: "r" (a), "r" (panel), "r" (a_stride), "r" (panel_stride) : "memory");
  __asm__ volatile (
      "tilestored %%tmm0, (%0, %1, 1)\n\t"
      "tilestored %%tmm1, 64(%0, %1, 1)"
      :: "r" (sums), "r" (panel_stride) : "memory");
}

static void
multiply_rows (const int *a, global const int *panel, uint steps, uint rows, const void *from, ulong from_stride, float *sums)
{
  if (rows > 16)
    multiply_two (a, panel, steps, from, from_stride, sums);
  else
    multiply_one (a, panel, steps, from, from_stride, sums);
}

#else

#define BEGIN_PAIRS(i) float16 c##i##0 = vload16 (0, from + i * from_stride), c##i##1 = vload16 (1, from + i * from_stride);
#define ACCUMULATE_PAIRS(i) { int16 v = (int16) (a[i * PAIRS + pair]); \
    c##i##0 = multiply_pairs (c##i##0, v, b0); c##i##1 = multiply_pairs (c##i##1, v, b1); }
#define KEEP_PAIRS(i) vstore16 (c##i##0, 0, sums + i * PANEL); vstore16 (c##i##1, 1, sums + i * PANEL);

/* sums [some rows][PANEL] = from, plus the product of steps steps of a and panel */
#define MULTIPLY_PAIRS(SOME_ROWS) \
  SOME_ROWS (BEGIN_PAIRS) \
  for (uint step = 0; step < steps; step++, a += ROWS * PAIRS) { \
    for (uint pair = 0; pair < PAIRS; pair++, panel += PANEL) { \
      int16 b0 = vload16 (0, panel), b1 = vload16 (1, panel); \
      SOME_ROWS (ACCUMULATE_PAIRS) \
    } \
  } \
  SOME_ROWS (KEEP_PAIRS)

static void
multiply_twelve (const int *a, global const int *panel, uint steps, const float *from, ulong from_stride, float *sums)
{
  MULTIPLY_PAIRS (TILE_ROWS)
}

static void
multiply_four (const int *a, global const int *panel, uint steps, const float *from, ulong from_stride, float *sums)
{
  MULTIPLY_PAIRS (REST_ROWS)
}

/* As for tiles */
static void
multiply_rows (const int *a, global const int *panel, uint steps, uint rows, const void *from, ulong from_bytes, float *sums)
{
  ulong from_stride = from_bytes / sizeof (float);
  const float *first = from;

  for (uint row = 0; row < rows;) {
    if (rows - row > TILE_M - REST_M) {
      multiply_twelve (a + row * PAIRS, panel, steps, first + row * from_stride, from_stride, sums + row * PANEL);
      row += TILE_M;
    } else {
      multiply_four (a + row * PAIRS, panel, steps, first + row * from_stride, from_stride, sums + row * PANEL);
      row += REST_M;
    }
  }
}

#define tiles_begin()
#define tiles_end()

#endif

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
        global const int *b = weight + ((ulong) panel * steps + step) * PAIRS * PANEL;

        multiply_rows (a, b, count, rows, step ? (const char *) c : (const char *) (ulong) (bias + panel * PANEL), step ? PANEL * 4 : 0, c);
        if (step + CHUNK_STEPS >= steps) {
          Finish finish = finish_begin (row, panel * PANEL, FINISH_ARGUMENTS);

          finish_rows (&finish, c, rows, n - panel * PANEL);
        }
      }
    }
  }
  tiles_end ();
}
