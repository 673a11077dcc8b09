/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Converts 8-bit floats: the OCP formats E4M3 (without infinities, "fn") and E5M2. */

#include "weights/tensor-private.h"

#include <string.h>

/* Sign, 4 bits of exponent (bias 7), 3 of mantissa. Only all ones are NaN; a subnormal is its mantissa times 2^-9. Without branches,
 * so that compilers turn the loop into vector code. */
void
sora_float_from_f8_e4m3 (const guint8 *restrict in, guint64 n, gfloat *restrict out)
{
  for (guint64 i = 0; i < n; i++) {
    guint32 magnitude = in[i] & 0x7f, bits = (magnitude << 20) + 0x3c000000u, small_bits;
    gfloat small = (gfloat) (gint32) magnitude * 0x1p-9f;
    memcpy (&small_bits, &small, sizeof (small));
    bits = magnitude < 0x08 ? small_bits : bits;
    bits = magnitude == 0x7f ? 0x7fc00000u : bits;
    bits |= (guint32) (in[i] & 0x80) << 24;
    memcpy (out + i, &bits, sizeof (bits));
  }
}

/* The upper half of a binary16 */
void
sora_float_from_f8_e5m2 (const guint8 *restrict in, guint64 n, gfloat *restrict out)
{
  guint8 halves[2 * 64] = { 0 };

  for (guint64 first = 0; first < n; first += 64) {
    guint count = MIN (n - first, 64);
    for (guint i = 0; i < count; i++)
      halves[2 * i + 1] = in[first + i];
    sora_float_from_f16 (halves, count, out + first);
  }
}
