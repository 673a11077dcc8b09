/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Converts tensors of a mapped file to floats. */

#include "weights/tensor.h"

#include <string.h>

gsize
sora_dtype_size (SoraDType dtype)
{
  return dtype == SORA_DTYPE_F32 ? 4 : 2;
}

const gchar *
sora_dtype_name (SoraDType dtype)
{
  static const gchar *const names[] = { "F32", "F16", "BF16" };
  return names[dtype];
}

/* The loops below read through memcpy(), as the data may be unaligned, and have no branches, so that compilers turn them into vector
 * code. */

static void
float_from_f32 (const guint8 *restrict in, guint64 count, gfloat *restrict out)
{
#if G_BYTE_ORDER == G_LITTLE_ENDIAN
  memcpy (out, in, count * sizeof (gfloat));
#else
  for (guint64 i = 0; i < count; i++) {
    guint32 bits;
    memcpy (&bits, in + 4 * i, sizeof (bits));
    bits = GUINT32_FROM_LE (bits);
    memcpy (out + i, &bits, sizeof (bits));
  }
#endif
}

static void
float_from_bf16 (const guint8 *restrict in, guint64 count, gfloat *restrict out)
{
  for (guint64 i = 0; i < count; i++) {
    guint16 half;
    guint32 bits;
    memcpy (&half, in + 2 * i, sizeof (half));
    bits = (guint32) GUINT16_FROM_LE (half) << 16;
    memcpy (out + i, &bits, sizeof (bits));
  }
}

/* IEEE 754 binary16: normal numbers move the exponent's bias from 15 to 127, infinity and NaN to 255; a subnormal is its
 * mantissa times 2^-24. */
static void
float_from_f16 (const guint8 *restrict in, guint64 count, gfloat *restrict out)
{
  for (guint64 i = 0; i < count; i++) {
    guint16 half;
    guint32 magnitude, bits, small_bits;
    gfloat small;
    memcpy (&half, in + 2 * i, sizeof (half));
    half = GUINT16_FROM_LE (half);
    magnitude = half & 0x7fff;
    small = (gfloat) (gint32) magnitude * 0x1p-24f;
    memcpy (&small_bits, &small, sizeof (small));
    bits = (magnitude << 13) + (magnitude < 0x7c00 ? 0x38000000u : 0x70000000u);
    bits = magnitude < 0x0400 ? small_bits : bits;
    bits |= (guint32) (half & 0x8000) << 16;
    memcpy (out + i, &bits, sizeof (bits));
  }
}

void
sora_tensor_to_float (const SoraTensor *tensor, guint64 first, guint64 count, gfloat *out)
{
  const guint8 *in = tensor->data + first * sora_dtype_size (tensor->dtype);

  switch (tensor->dtype) {
    case SORA_DTYPE_F32:
      float_from_f32 (in, count, out);
      break;
    case SORA_DTYPE_F16:
      float_from_f16 (in, count, out);
      break;
    case SORA_DTYPE_BF16:
      float_from_bf16 (in, count, out);
      break;
  }
}
