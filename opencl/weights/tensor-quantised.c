/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Converts GGUF's quantised blocks: 32 values with one scale, or 256 ("K") in groups with scales of their own.
 *
 * Scales are halves (11 bits), a group's scale has at most 7 bits and a quantised value at most 6: every product here is exact in
 * single precision, and a value is rounded once at most, whatever the order. */

#include "weights/tensor-private.h"

#include <string.h>

#define K_BLOCK 256

static gfloat
half_at (const guint8 *in)
{
  gfloat value;

  sora_float_from_f16 (in, 1, &value);
  return value;
}

/* Half scale, 16 bytes: value i in the lower half of byte i, value 16 + i in the upper */
void
sora_float_from_q4_0 (const guint8 *restrict in, guint64 n_blocks, gfloat *restrict out)
{
  for (; n_blocks > 0; n_blocks--, in += 18, out += 32) {
    gfloat scale = half_at (in);
    for (guint i = 0; i < 16; i++) {
      out[i] = scale * ((in[2 + i] & 15) - 8);
      out[16 + i] = scale * ((in[2 + i] >> 4) - 8);
    }
  }
}

/* Half scale, half minimum, 16 bytes */
void
sora_float_from_q4_1 (const guint8 *restrict in, guint64 n_blocks, gfloat *restrict out)
{
  for (; n_blocks > 0; n_blocks--, in += 20, out += 32) {
    gfloat scale = half_at (in), minimum = half_at (in + 2);
    for (guint i = 0; i < 16; i++) {
      out[i] = scale * (in[4 + i] & 15) + minimum;
      out[16 + i] = scale * (in[4 + i] >> 4) + minimum;
    }
  }
}

/* The fifth bits of 32 values, and 16 bytes of the lower four; each value to @out */
static void
unpack_5_bits (const guint8 *high, const guint8 *low, gint *out)
{
  guint32 bits = high[0] | high[1] << 8 | high[2] << 16 | (guint32) high[3] << 24;

  for (guint i = 0; i < 16; i++) {
    out[i] = (low[i] & 15) | (bits >> i & 1) << 4;
    out[16 + i] = low[i] >> 4 | (bits >> (16 + i) & 1) << 4;
  }
}

/* Half scale, 4 bytes of fifth bits, 16 bytes */
void
sora_float_from_q5_0 (const guint8 *restrict in, guint64 n_blocks, gfloat *restrict out)
{
  for (; n_blocks > 0; n_blocks--, in += 22, out += 32) {
    gfloat scale = half_at (in);
    gint values[32];
    unpack_5_bits (in + 2, in + 6, values);
    for (guint i = 0; i < 32; i++)
      out[i] = scale * (values[i] - 16);
  }
}

/* Half scale, half minimum, 4 bytes of fifth bits, 16 bytes */
void
sora_float_from_q5_1 (const guint8 *restrict in, guint64 n_blocks, gfloat *restrict out)
{
  for (; n_blocks > 0; n_blocks--, in += 24, out += 32) {
    gfloat scale = half_at (in), minimum = half_at (in + 2);
    gint values[32];
    unpack_5_bits (in + 4, in + 8, values);
    for (guint i = 0; i < 32; i++)
      out[i] = scale * values[i] + minimum;
  }
}

/* Half scale, 32 signed bytes */
void
sora_float_from_q8_0 (const guint8 *restrict in, guint64 n_blocks, gfloat *restrict out)
{
  for (; n_blocks > 0; n_blocks--, in += 34, out += 32) {
    gfloat scale = half_at (in);
    for (guint i = 0; i < 32; i++)
      out[i] = scale * (gint8) in[2 + i];
  }
}

/* 16 bytes with scale and minimum of each 16 values, 4 bits each; 64 bytes; half scale and half minimum of all.
 * Values 128 h + 32 s + i are bits 2 s of byte 32 h + i. */
void
sora_float_from_q2_k (const guint8 *restrict in, guint64 n_blocks, gfloat *restrict out)
{
  for (; n_blocks > 0; n_blocks--, in += 84, out += K_BLOCK) {
    gfloat scale = half_at (in + 80), minimum = half_at (in + 82);
    for (guint i = 0; i < K_BLOCK; i++) {
      guint8 group = in[i / 16], byte = in[16 + i / 128 * 32 + i % 32];
      out[i] = scale * (group & 15) * (byte >> (i % 128 / 32 * 2) & 3) - minimum * (group >> 4);
    }
  }
}

/* The 6-bit scales of 16 groups, from 8 bytes with the lower 4 bits and 4 bytes with the upper 2 */
static void
unpack_q3_scales (const guint8 *in, gint *scales)
{
  for (guint i = 0; i < 16; i++)
    scales[i] = (in[i % 8] >> (i / 8 * 4) & 15) | (in[8 + i % 4] >> (i / 4 * 2) & 3) << 4;
}

/* 32 bytes of third bits (0: the value is 4 less), 64 bytes as in Q2_K, 12 bytes of scales, half scale of all */
void
sora_float_from_q3_k (const guint8 *restrict in, guint64 n_blocks, gfloat *restrict out)
{
  for (; n_blocks > 0; n_blocks--, in += 110, out += K_BLOCK) {
    gfloat scale = half_at (in + 108);
    gint scales[16];
    unpack_q3_scales (in + 96, scales);
    for (guint i = 0; i < K_BLOCK; i++) {
      gint low = in[32 + i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2) & 3, high = in[i % 32] >> (i / 32) & 1;
      out[i] = scale * (scales[i / 16] - 32) * (low - (high ? 0 : 4));
    }
  }
}

/* The 6-bit scales and minima of 8 groups, from 12 bytes: four scales, four minima, whose upper 2 bits belong to the other four, and
 * the lower 4 bits of those, scale below minimum */
static void
unpack_k_scales (const guint8 *in, gint *scales, gint *minima)
{
  for (guint i = 0; i < 4; i++) {
    scales[i] = in[i] & 63;
    minima[i] = in[4 + i] & 63;
    scales[4 + i] = (in[8 + i] & 15) | in[i] >> 6 << 4;
    minima[4 + i] = in[8 + i] >> 4 | in[4 + i] >> 6 << 4;
  }
}

/* Half scale and half minimum of all, 12 bytes of scales, 128 bytes. Groups 2 h and 2 h + 1 are the lower and upper halves of bytes
 * 32 h ... 32 h + 31. */
void
sora_float_from_q4_k (const guint8 *restrict in, guint64 n_blocks, gfloat *restrict out)
{
  for (; n_blocks > 0; n_blocks--, in += 144, out += K_BLOCK) {
    gfloat scale = half_at (in), minimum = half_at (in + 2);
    gint scales[8], minima[8];
    unpack_k_scales (in + 4, scales, minima);
    for (guint i = 0; i < K_BLOCK; i++) {
      gint value = in[16 + i / 64 * 32 + i % 32] >> (i / 32 % 2 * 4) & 15;
      out[i] = scale * scales[i / 32] * value - minimum * minima[i / 32];
    }
  }
}

/* As Q4_K, with 32 bytes of fifth bits before the 128: bit g of byte i belongs to value i of group g. */
void
sora_float_from_q5_k (const guint8 *restrict in, guint64 n_blocks, gfloat *restrict out)
{
  for (; n_blocks > 0; n_blocks--, in += 176, out += K_BLOCK) {
    gfloat scale = half_at (in), minimum = half_at (in + 2);
    gint scales[8], minima[8];
    unpack_k_scales (in + 4, scales, minima);
    for (guint i = 0; i < K_BLOCK; i++) {
      gint low = in[48 + i / 64 * 32 + i % 32] >> (i / 32 % 2 * 4) & 15, high = in[16 + i % 32] >> (i / 32) & 1;
      out[i] = scale * scales[i / 32] * (low | high << 4) - minimum * minima[i / 32];
    }
  }
}

/* 128 bytes of the lower 4 bits, 64 of the upper 2, 16 signed bytes with the scale of each 16 values, half scale of all.
 * In each half of 128 values, 64 i + j is half i of byte j, and 32 s + i has bits 2 s of byte i. */
void
sora_float_from_q6_k (const guint8 *restrict in, guint64 n_blocks, gfloat *restrict out)
{
  for (; n_blocks > 0; n_blocks--, in += 210, out += K_BLOCK) {
    gfloat scale = half_at (in + 208);
    for (guint i = 0; i < K_BLOCK; i++) {
      gint low = in[i / 128 * 64 + i % 64] >> (i % 128 / 64 * 4) & 15;
      gint high = in[128 + i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2) & 3;
      out[i] = scale * (gint8) in[192 + i / 16] * ((low | high << 4) - 32);
    }
  }
}

/* --- to the stored type q4 --------------------------------------------------------------------------------------- */

/* The half at @in, with all bits of @flip turned, in the host's order */
static void
copy_half (const guint8 *in, guint16 flip, guint8 *out)
{
  guint16 half;

  memcpy (&half, in, sizeof half);
  half = GUINT16_FROM_LE (half) ^ flip;
  memcpy (out, &half, sizeof half);
}

/* 32 values of which value i is the lower half of byte i, and value 16 + i the upper */
static void
pair_halves (const guint8 *in, guint8 *out)
{
  for (guint i = 0; i < 8; i++) {
    out[i] = (in[2 * i] & 15) | (in[2 * i + 1] & 15) << 4;
    out[8 + i] = in[2 * i] >> 4 | (in[2 * i + 1] & 0xf0);
  }
}

/* d (q - 8) = d q - d 8 */
void
sora_q4_from_q4_0 (const guint8 *in, guint group, guint8 *out)
{
  copy_half (in, 0, out);
  copy_half (in, 0, out + 2);
  out[4] = 1;
  out[5] = 8;
  pair_halves (in + 2, out + 6);
}

/* d q + m = d q - (-m) */
void
sora_q4_from_q4_1 (const guint8 *in, guint group, guint8 *out)
{
  copy_half (in, 0, out);
  copy_half (in + 2, 0x8000, out + 2);
  out[4] = out[5] = 1;
  pair_halves (in + 4, out + 6);
}

void
sora_q4_from_q4_k (const guint8 *in, guint group, guint8 *out)
{
  const guint8 *values = in + 16 + group / 2 * 32;
  guint shift = group % 2 * 4;
  gint scales[8], minima[8];

  unpack_k_scales (in + 4, scales, minima);
  copy_half (in, 0, out);
  copy_half (in + 2, 0, out + 2);
  out[4] = scales[group];
  out[5] = minima[group];
  for (guint i = 0; i < 16; i++)
    out[6 + i] = (values[2 * i] >> shift & 15) | (values[2 * i + 1] >> shift & 15) << 4;
}
