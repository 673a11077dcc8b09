/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Rounding to 16 bits: of every finite binary16 the number itself, the middle between it and the next, and what lies just beside both. */
#include <math.h>
#include <string.h>

#include "weights/half.h"

#define LARGEST 0x7bff          /* 65504 */

static void
test_f16 (void)
{
  for (guint half = 0; half < LARGEST; half++) {
    gfloat value = sora_f16_to_float (half), next = sora_f16_to_float (half + 1), middle = value + (next - value) / 2;

    for (guint sign = 0; sign <= 0x8000; sign += 0x8000) {
      gfloat factor = sign ? -1 : 1;
      g_assert_cmpuint (sora_f16_from_float (factor * value), ==, sign | half);
      g_assert_cmpuint (sora_f16_from_float (factor * nextafterf (middle, 0)), ==, sign | half);
      g_assert_cmpuint (sora_f16_from_float (factor * middle), ==, sign | (half + half % 2));
      g_assert_cmpuint (sora_f16_from_float (factor * nextafterf (middle, INFINITY)), ==, sign | (half + 1));
    }
  }
  g_assert_cmpuint (sora_f16_from_float (65519.996f), ==, LARGEST);
  g_assert_cmpuint (sora_f16_from_float (65520), ==, 0x7c00);
  g_assert_cmpuint (sora_f16_from_float (-INFINITY), ==, 0xfc00);
  g_assert_true (isnan (sora_f16_to_float (sora_f16_from_float (NAN))));
}

static void
test_f16_up (void)
{
  for (guint half = 0; half < LARGEST; half++) {
    gfloat value = sora_f16_to_float (half);

    g_assert_cmpuint (sora_f16_from_float_up (value), ==, half);
    g_assert_cmpuint (sora_f16_from_float_up (nextafterf (value, INFINITY)), ==, half + 1);
  }
  g_assert_cmpuint (sora_f16_from_float_up (65505), ==, 0x7c00);
  g_assert_true (isnan (sora_f16_to_float (sora_f16_from_float_up (NAN))));
}

/* The float whose upper half is @half, and whose lower is @rest */
static gfloat
join (guint32 half, guint32 rest)
{
  guint32 bits = half << 16 | rest;
  gfloat value;

  memcpy (&value, &bits, sizeof value);
  return value;
}

static void
test_bf16 (void)
{
  for (guint half = 0; half < 0x10000; half++) {
    if ((half & 0x7fff) > 0x7f80) {
      g_assert_true (isnan (join (sora_bf16_from_float (join (half, 1)), 0)));
      continue;
    }
    g_assert_cmpuint (sora_bf16_from_float (join (half, 0)), ==, half);
    if ((half & 0x7fff) == 0x7f80)
      continue;
    g_assert_cmpuint (sora_bf16_from_float (join (half, 0x7fff)), ==, half);
    g_assert_cmpuint (sora_bf16_from_float (join (half, 0x8000)), ==, half + half % 2);
    g_assert_cmpuint (sora_bf16_from_float (join (half, 0x8001)), ==, half + 1);
  }
  g_assert_true (isnan (join (sora_bf16_from_float (join (0x7f80, 1)), 0)));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/half/f16", test_f16);
  g_test_add_func ("/half/f16-up", test_f16_up);
  g_test_add_func ("/half/bf16", test_bf16);
  return g_test_run ();
}
