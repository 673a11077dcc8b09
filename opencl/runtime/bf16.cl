/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the programs that it is put before share: a CPU's bf16 matrix instructions (runtime/matrix-unit.h), as GNU inline assembly.
 *
 * Option: UNIT, in the order of SoraMatrixUnit. Operands are pairs of bf16 numbers in 32 bits, the even one in the lower half; products are
 * summed in floats. */

#define AVX512_BF16 1
#define AMX_BF16 2

/* @sums + for each of 16 columns its pair of @b times that of @a */
static inline float16
multiply_pairs (float16 sums, int16 a, int16 b)
{
  __asm__ ("vdpbf16ps %2, %1, %0" : "+v" (sums) : "v" (a), "v" (b));
  return sums;
}

/* 32 floats, rounded to the nearest, ties to even; denormal numbers become 0 */
static inline int16
round_to_bf16 (float16 low, float16 high)
{
  int16 rounded;

  __asm__ ("vcvtne2ps2bf16 %2, %1, %0" : "=v" (rounded) : "v" (high), "v" (low));
  return rounded;
}

#if UNIT == AMX_BF16
/* The 8 tile registers tmm0 ... tmm7, which no compiler uses of its own: each has 16 rows of 64 bytes, and is zero at first. Every work-item
 * that uses them begins and ends so, as between work-items other programs' may run on the thread. */
static inline void
tiles_begin (void)
{
  /* palette 1; at 16 bytes of a row of each register, at 48 rows */
  const ulong8 shape = (ulong8) (1, 0, 0x0040004000400040, 0x0040004000400040, 0, 0, 0x1010101010101010, 0);

  __asm__ volatile ("ldtilecfg %0" :: "m" (shape) : "memory");
}

static inline void
tiles_end (void)
{
  __asm__ volatile ("tilerelease" ::: "memory");
}
#endif
