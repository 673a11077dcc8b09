/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The peak of a matrix unit: products in registers. Put behind bf16.cl. */

/* Vectors in flight: latency times units (6 · 2), and some; tiles: all that two times two of them make */
#define EACH(F) F (0) F (1) F (2) F (3) F (4) F (5) F (6) F (7) F (8) F (9) F (10) F (11) F (12) F (13) F (14) F (15)
#define BEGIN(i) float16 c##i = i;
#define MULTIPLY(i) c##i = multiply_pairs (c##i, one, one);
#define ADD(i) sum += c##i;

/* @loops times 4 products of tiles, or 16 of vectors. @out: [work-items][16] */
__attribute__ ((reqd_work_group_size (1, 1, 1)))
kernel void
peak_bf16 (uint loops, global float *out)
{
  float16 sum = 0.0f;

#if UNIT == AMX_BF16
  tiles_begin ();
  for (uint i = 0; i < loops; i++)
    __asm__ volatile (
        "tdpbf16ps %%tmm6, %%tmm4, %%tmm0\n\t"
        "tdpbf16ps %%tmm7, %%tmm4, %%tmm1\n\t"
        "tdpbf16ps %%tmm6, %%tmm5, %%tmm2\n\t"
        "tdpbf16ps %%tmm7, %%tmm5, %%tmm3"
        ::: "memory");
  tiles_end ();
#else
  int16 one = 0x3f803f80;      /* a pair of them */

  EACH (BEGIN)
  for (uint i = 0; i < loops; i++) {
    EACH (MULTIPLY)
  }
  EACH (ADD)
#endif
  vstore16 (sum, get_global_id (0), out);
}
