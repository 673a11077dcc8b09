/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The proof that a device has a matrix unit: one small product. Put behind bf16.cl. */

/* @c: [16, 16] = a [16, 32] times b [32, 16], whose rows lie in pairs: [16][16][2]. @address: of @c in the host's memory; a device that sees
 * it elsewhere is not the processor that was asked what it can do, and does nothing. Global size: 1. */
__attribute__ ((reqd_work_group_size (1, 1, 1)))
kernel void
prove (global const ushort *a, global const ushort *b, global float *c, ulong address)
{
  if ((ulong) c != address)
    return;
#if UNIT == AMX_BF16
  ulong stride = 64;            /* bytes from row to row, of all three */

  tiles_begin ();
  __asm__ volatile (
      "tileloadd (%0, %3, 1), %%tmm1\n\t"
      "tileloadd (%1, %3, 1), %%tmm2\n\t"
      "tdpbf16ps %%tmm2, %%tmm1, %%tmm0\n\t"
      "tilestored %%tmm0, (%2, %3, 1)"
      :: "r" (a), "r" (b), "r" (c), "r" (stride) : "memory");
  tiles_end ();
#else
  for (uint row = 0; row < 16; row++) {
    float16 sums = 0.0f;

    for (uint pair = 0; pair < 16; pair++)
      sums = multiply_pairs (sums, (int16) (((global const int *) a)[row * 16 + pair]), vload16 (pair, (global const int *) b));
    vstore16 (sums, row, c);
  }
#endif
}
