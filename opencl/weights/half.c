/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Rounds floats to 16 bits: IEEE 754's binary16 (F16) and the upper half of a float (BF16). */
#include "weights/half.h"

#include <math.h>
#include <string.h>

#include "weights/tensor-private.h"

static guint32
bits_of (gfloat value)
{
  guint32 bits;

  memcpy (&bits, &value, sizeof bits);
  return bits;
}

/* @bits without their lower @n, rounded to the nearest, ties to even */
static guint32
round_off (guint32 bits, guint n)
{
  return (bits + (1u << (n - 1)) - 1 + (bits >> n & 1)) >> n;
}

/* Normal numbers lose 13 bits of mantissa and move the exponent's bias from 127 to 15; a carry goes into the exponent, as it should. Below
 * 2^-14 a number is so many times 2^-24, the weight of the last bit of 0.5, so that adding that rounds. */
guint16
sora_f16_from_float (gfloat value)
{
  guint32 bits = bits_of (value), magnitude = bits & 0x7fffffff;
  guint16 sign = bits >> 16 & 0x8000;

  if (magnitude > 0x7f800000)
    return sign | 0x7e00;
  if (magnitude >= 0x47800000)  /* 2^16 */
    return sign | 0x7c00;
  if (magnitude < 0x38800000)   /* 2^-14 */
    return sign | (bits_of (fabsf (value) + 0.5f) - bits_of (0.5f));
  return sign | (round_off (magnitude, 13) - (112 << 10));
}

gfloat
sora_f16_to_float (guint16 half)
{
  guint16 little = GUINT16_TO_LE (half);
  gfloat value;

  sora_float_from_f16 ((const guint8 *) &little, 1, &value);
  return value;
}

guint16
sora_f16_from_float_up (gfloat value)
{
  guint16 half = sora_f16_from_float (value);

  return sora_f16_to_float (half) < value ? half + 1 : half;
}

guint16
sora_bf16_from_float (gfloat value)
{
  guint32 bits = bits_of (value);

  if ((bits & 0x7fffffff) > 0x7f800000)
    return bits >> 16 | 0x40;
  return round_off (bits, 16);
}
