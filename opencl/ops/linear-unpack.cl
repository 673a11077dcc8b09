/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Rows of a stored weight as floats, for CLBlast, one element a work-item. */

/* -DTYPE, in the order of SoraWeightType: FP16 and BF16 lie in rows [n][k]; Q8 in rows of blocks of 32 values, the last one filled up with
 * zeros: a scale as a half, then 32 bytes. Q4 in rows of whole blocks: d and e as halves, s and t as bytes, then 16 bytes of two values each, the
 * first in the lower 4 bits, which stand for d s q - e t. */
#define FP16 2
#define BF16 3
#define Q4 5
#define BLOCK 32
#define SCALE_BYTES 2

/* @row: of the stored weight; k: its values */
static float
stored (global const uchar *weight, ulong row, uint k, uint column)
{
#if TYPE == FP16
  return vload_half (row * k + column, (global const half *) weight);
#elif TYPE == BF16
  return as_float ((uint) ((global const ushort *) weight)[row * k + column] << 16);
#elif TYPE == Q4
  global const uchar *block = weight + (row * (k / BLOCK) + column / BLOCK) * (BLOCK / 2 + 6);
  float scale = vload_half (0, (global const half *) block) * block[4], least = vload_half (1, (global const half *) block) * block[5];
  return scale * (block[6 + column % BLOCK / 2] >> column % 2 * 4 & 15) - least;
#else
  global const uchar *block = weight + (row * ((k + BLOCK - 1) / BLOCK) + column / BLOCK) * (BLOCK + SCALE_BYTES);
  return vload_half (0, (global const half *) block) * (float) (char) block[SCALE_BYTES + column % BLOCK];
#endif
}

/* @rows: [n, k], of which row 0 is the stored row @first. Global size: (k rounded up, n). */
kernel void
linear_unpack (global const uchar *weight, uint first, uint k, global float *rows)
{
  uint column = get_global_id (0);
  ulong row = get_global_id (1);

  if (column < k)
    rows[row * k + column] = stored (weight, first + row, k, column);
}
