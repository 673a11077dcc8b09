/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Conversion of every 8- and 16-bit pattern, aligned or not, against arithmetic from the formats' definitions. */

#include <math.h>
#include <string.h>

#include "weights/tensor.h"

/* sign, exponent and mantissa by their definition, IEEE 754-2008 3.4 */
static gdouble
decode (guint16 bits, guint exponent_bits, guint mantissa_bits)
{
  gint bias = (1 << (exponent_bits - 1)) - 1;
  gint exponent = (bits >> mantissa_bits) & ((1 << exponent_bits) - 1);
  gint mantissa = bits & ((1 << mantissa_bits) - 1);
  gdouble sign = bits & 0x8000 ? -1 : 1;

  if (exponent == (1 << exponent_bits) - 1)
    return mantissa ? NAN : sign * INFINITY;
  if (exponent == 0)
    return sign * ldexp (mantissa, 1 - bias - (gint) mantissa_bits);
  return sign * ldexp (mantissa + (1 << mantissa_bits), exponent - bias - (gint) mantissa_bits);
}

static void
check_all_patterns (SoraDType dtype, guint exponent_bits, guint mantissa_bits, guint shift)
{
  g_autofree guint8 *data = g_malloc (2 * 65536 + shift);
  g_autofree gfloat *out = g_new (gfloat, 65536);
  SoraTensor tensor = { .dtype = dtype, .n_elements = 65536, .data = data + shift };

  for (guint i = 0; i < 65536; i++) {
    data[shift + 2 * i] = i & 0xff;
    data[shift + 2 * i + 1] = i >> 8;
  }
  sora_tensor_to_float (&tensor, 0, 65536, out);
  for (guint i = 0; i < 65536; i++) {
    gdouble expected = decode (i, exponent_bits, mantissa_bits);
    if (isnan (expected))
      g_assert_true (isnan (out[i]));
    else
      g_assert_cmpfloat (out[i], ==, expected);
    g_assert_cmpint (!!signbit (out[i]), ==, i >> 15);
  }
}

static void
test_half (void)
{
  check_all_patterns (SORA_DTYPE_F16, 5, 10, 0);
  check_all_patterns (SORA_DTYPE_F16, 5, 10, 1);
}

static void
test_bfloat (void)
{
  check_all_patterns (SORA_DTYPE_BF16, 8, 7, 0);
  check_all_patterns (SORA_DTYPE_BF16, 8, 7, 3);
}

/* All patterns of one byte, four times and one more, as the loops are unrolled */
static gfloat *
convert_bytes (SoraDType dtype)
{
  guint8 data[1025];
  gfloat *out = g_new (gfloat, 1025);
  SoraTensor tensor = { .dtype = dtype, .n_elements = 1025, .data = data };

  for (guint i = 0; i < 1025; i++)
    data[i] = i;
  sora_tensor_to_float (&tensor, 0, 1025, out);
  return out;
}

/* OCP 8-bit floating point, E4M3: the exponent's highest value is an ordinary one, of which only the last mantissa is NaN */
static void
test_f8_e4m3 (void)
{
  g_autofree gfloat *out = convert_bytes (SORA_DTYPE_F8_E4M3);

  for (guint i = 0; i < 1025; i++) {
    gint exponent = i >> 3 & 15, mantissa = i & 7;
    gdouble magnitude = exponent ? ldexp (8 + mantissa, exponent - 10) : ldexp (mantissa, -9);
    if ((i & 0x7f) == 0x7f)
      g_assert_true (isnan (out[i]));
    else
      g_assert_cmpfloat (out[i], ==, i & 0x80 ? -magnitude : magnitude);
    g_assert_cmpint (!!signbit (out[i]), ==, i >> 7 & 1);
  }
  g_assert_cmpfloat (out[0x7e], ==, 448);
}

/* E5M2: as IEEE's formats, infinities included */
static void
test_f8_e5m2 (void)
{
  g_autofree gfloat *out = convert_bytes (SORA_DTYPE_F8_E5M2);

  for (guint i = 0; i < 1025; i++) {
    gdouble expected = decode ((i & 0xff) << 8, 5, 10);
    if (isnan (expected))
      g_assert_true (isnan (out[i]));
    else
      g_assert_cmpfloat (out[i], ==, expected);
  }
  g_assert_cmpfloat (out[0x7b], ==, 57344);
}

/* a part of an unaligned F32 tensor, and nothing beyond it */
static void
test_part (void)
{
  const guint8 data[] = { 9, 0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0, 0, 0, 0x40, 0x40 };
  SoraTensor tensor = { .dtype = SORA_DTYPE_F32, .n_elements = 3, .data = data + 1 };
  gfloat out[3] = { 7, 7, 7 };

  sora_tensor_to_float (&tensor, 1, 2, out);
  g_assert_cmpfloat (out[0], ==, -2);
  g_assert_cmpfloat (out[1], ==, 3);
  g_assert_cmpfloat (out[2], ==, 7);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/tensor/f16", test_half);
  g_test_add_func ("/tensor/bf16", test_bfloat);
  g_test_add_func ("/tensor/f8-e4m3", test_f8_e4m3);
  g_test_add_func ("/tensor/f8-e5m2", test_f8_e5m2);
  g_test_add_func ("/tensor/part-of-f32", test_part);
  return g_test_run ();
}
