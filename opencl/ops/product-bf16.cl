/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The product that linear and attention have in common on a matrix unit: some rows times a panel of PANEL_COLUMNS columns. Put behind bf16.cl.
 *
 * Both operands are pairs of bf16 numbers, STEP numbers of every row at a time: rows [steps][any number of rows][PAIRS], a panel
 * [steps * PAIRS][PANEL_COLUMNS]. */

#define STEP 32
#define PAIRS 16
#define PANEL_COLUMNS 32
/* Rows that are computed at a time, at least; there must be room for so many sums. */
#if UNIT == AMX_BF16
#define LEAST_ROWS 16
#else
#define LEAST_ROWS 4
#endif

#if UNIT == AMX_BF16

/* @sums [32][PANEL_COLUMNS], at 64 bytes, = what lies at @from, @from_stride bytes from row to row, plus the product of @steps steps of @a, @a_step numbers from one to
 * the next, and @panel. Of two tiles of rows and two of columns, each is loaded once for two products. */
static void
multiply_two (const int *a, ulong a_step, const int *panel, uint steps, const void *from, ulong from_stride, float *sums)
{
  const ulong a_stride = PAIRS * 4, panel_stride = PANEL_COLUMNS * 4;

  __asm__ volatile (
      "tileloadd (%0, %2, 1), %%tmm0\n\t"
      "tileloadd 64(%0, %2, 1), %%tmm1\n\t"
      "tileloadd (%1, %2, 1), %%tmm2\n\t"
      "tileloadd 64(%1, %2, 1), %%tmm3"
      :: "r" (from), "r" ((const char *) from + 16 * from_stride), "r" (from_stride) : "memory");
  for (uint step = 0; step < steps; step++, a += a_step, panel += PAIRS * PANEL_COLUMNS)
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
      :: "r" (sums), "r" (sums + 16 * PANEL_COLUMNS), "r" (panel_stride) : "memory");
}

/* The same for 16 rows */
static void
multiply_one (const int *a, ulong a_step, const int *panel, uint steps, const void *from, ulong from_stride, float *sums)
{
  const ulong a_stride = PAIRS * 4, panel_stride = PANEL_COLUMNS * 4;

  __asm__ volatile (
      "tileloadd (%0, %1, 1), %%tmm0\n\t"
      "tileloadd 64(%0, %1, 1), %%tmm1"
      :: "r" (from), "r" (from_stride) : "memory");
  for (uint step = 0; step < steps; step++, a += a_step, panel += PAIRS * PANEL_COLUMNS)
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

/* @sums [@rows][PANEL_COLUMNS], up to LEAST_ROWS more, as above. @from_stride may be 0. */
static void
multiply_rows (const int *a, ulong a_step, const int *panel, uint steps, uint rows, const void *from, ulong from_stride, float *sums)
{
  for (uint row = 0; row < rows; row += 32) {
    const void *first = (const char *) from + row * from_stride;

    if (rows - row > 16)
      multiply_two (a + row * PAIRS, a_step, panel, steps, first, from_stride, sums + row * PANEL_COLUMNS);
    else
      multiply_one (a + row * PAIRS, a_step, panel, steps, first, from_stride, sums + row * PANEL_COLUMNS);
  }
}

#else

#define FOUR_ROWS(F) F (0) F (1) F (2) F (3)
/* whose sums, two vectors each, fill the registers */
#define TWELVE_ROWS(F) FOUR_ROWS (F) F (4) F (5) F (6) F (7) F (8) F (9) F (10) F (11)

#define BEGIN_PAIRS(i) float16 c##i##0 = vload16 (0, from + i * from_stride), c##i##1 = vload16 (1, from + i * from_stride);
#define ACCUMULATE_PAIRS(i) { int16 v = (int16) (a[i * PAIRS + pair]); \
    c##i##0 = multiply_pairs (c##i##0, v, b0); c##i##1 = multiply_pairs (c##i##1, v, b1); }
#define KEEP_PAIRS(i) store_floats (c##i##0, 0, sums + i * PANEL_COLUMNS); store_floats (c##i##1, 1, sums + i * PANEL_COLUMNS);

/* Numbers of a panel that are asked for before they are needed: 2 KiB, some 200 cycles. Processors see a panel's stream only when it has begun. */
#define AHEAD 512

static inline void
prefetch_line (const int *from)
{
  __asm__ volatile ("prefetcht0 %0" :: "m" (*from));
}

/* sums [some rows][PANEL_COLUMNS] = from, plus the product of steps steps of a and panel */
#define MULTIPLY_PAIRS(SOME_ROWS) \
  SOME_ROWS (BEGIN_PAIRS) \
  for (uint step = 0; step < steps; step++, a += a_step) { \
    for (uint pair = 0; pair < PAIRS; pair++, panel += PANEL_COLUMNS) { \
      int16 b0 = vload16 (0, panel), b1 = vload16 (1, panel); \
      prefetch_line (panel + AHEAD); \
      prefetch_line (panel + AHEAD + 16); \
      SOME_ROWS (ACCUMULATE_PAIRS) \
    } \
  } \
  SOME_ROWS (KEEP_PAIRS)

static void
multiply_twelve (const int *a, ulong a_step, const int *panel, uint steps, const float *from, ulong from_stride, float *sums)
{
  MULTIPLY_PAIRS (TWELVE_ROWS)
}

static void
multiply_four (const int *a, ulong a_step, const int *panel, uint steps, const float *from, ulong from_stride, float *sums)
{
  MULTIPLY_PAIRS (FOUR_ROWS)
}

/* As for tiles */
static void
multiply_rows (const int *a, ulong a_step, const int *panel, uint steps, uint rows, const void *from, ulong from_bytes, float *sums)
{
  ulong from_stride = from_bytes / sizeof (float);
  const float *first = from;

  for (uint row = 0; row < rows;) {
    if (rows - row > 12 - LEAST_ROWS) {
      multiply_twelve (a + row * PAIRS, a_step, panel, steps, first + row * from_stride, from_stride, sums + row * PANEL_COLUMNS);
      row += 12;
    } else {
      multiply_four (a + row * PAIRS, a_step, panel, steps, first + row * from_stride, from_stride, sums + row * PANEL_COLUMNS);
      row += LEAST_ROWS;
    }
  }
}

#define tiles_begin()
#define tiles_end()

#endif
