/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the programs that it is put before share: a CPU's bf16 matrix instructions (runtime/matrix-unit.h), as GNU inline assembly.
 *
 * Option: UNIT, in the order of SoraMatrixUnit. Operands are pairs of bf16 numbers in 32 bits, the even one in the lower half; products are
 * summed in floats. */

#define AVX512_BF16 1
#define AMX_BF16 2

/* Of memory at a multiple of 64 bytes, vector @index: PoCL makes four stores of vstore16(). */
static inline void
store_floats (float16 vector, ulong index, float *to)
{
  ((float16 *) to)[index] = vector;
}

static inline void
store_pairs (int16 vector, ulong index, int *to)
{
  ((int16 *) to)[index] = vector;
}

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

/* 16 pairs of an even and an odd number, rounded likewise */
static inline int16
round_to_pairs (float16 even, float16 odd)
{
  /* words i and 16 + i */
  const int16 places = (int16) (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15) * 0x10001 + 0x100000;
  int16 pairs;

  __asm__ ("vpermw %2, %1, %0" : "=v" (pairs) : "v" (places), "v" (round_to_bf16 (even, odd)));
  return pairs;
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
