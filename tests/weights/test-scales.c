/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Scaled 8-bit weights: scales of every spelling and type, and those that cannot be meant. */

#include <string.h>

#include "weight-support.h"

static const guint8 weights[] = { 0x38, 0xb8, 0x40 };  /* 1, -1, 2 in E4M3 */
static const guint8 weights_e5m2[] = { 0x3c, 0xbc, 0x40 };
static const guint8 half[] = { 0, 0, 0, 0x3f }, three[] = { 0, 0, 0x40, 0x40 }, infinite[] = { 0, 0, 0x80, 0x7f };      /* F32 */
static const guint8 half_f16[] = { 0, 0x38 };
static const guint8 one_bf16[] = { 0x80, 0x3f, 0x80, 0xbf, 0, 0x40 };  /* 1, -1, 2 */

#define WEIGHT { "l.weight", "F8_E4M3", "[1,3]", 3, weights }

static SoraWeightFile *
open_tensors (const WeightTestTensor *tensors, guint n)
{
  g_autoptr (GByteArray) bytes = weight_test_safetensors (tensors, n);
  g_autoptr (GError) error = NULL;
  SoraWeightFile *file = weight_test_open (bytes->data, bytes->len, &error);

  g_assert_no_error (error);
  return file;
}

/* The weight times @scale, in a file that has nothing else left */
static void
assert_scaled (const WeightTestTensor *tensors, guint n, gfloat scale)
{
  g_autoptr (SoraWeightFile) file = open_tensors (tensors, n);
  g_autoptr (GPtrArray) names = sora_weight_file_get_names (file);
  g_autoptr (GError) error = NULL;
  const SoraTensor *tensor = sora_weight_file_find (file, &error, "l.weight", 2, 1, 3);
  gfloat values[3];

  g_assert_no_error (error);
  g_assert_cmpuint (names->len, ==, 1);
  sora_tensor_to_float (tensor, 0, 3, values);
  g_assert_cmpfloat (values[0], ==, scale);
  g_assert_cmpfloat (values[1], ==, -scale);
  g_assert_cmpfloat (values[2], ==, 2 * scale);
  sora_tensor_to_float (tensor, 2, 1, values);
  g_assert_cmpfloat (values[0], ==, 2 * scale);
}

static void
test_scaled (void)
{
  const WeightTestTensor plain[] = { WEIGHT };
  const WeightTestTensor marked[] = { { "scaled_fp8", "F8_E4M3", "[0]", 0 }, WEIGHT };
  const WeightTestTensor scalar[] = { WEIGHT, { "l.scale_weight", "F32", "[]", 4, half }, { "l.scale_input", "F32", "[]", 4, three } };
  const WeightTestTensor vector[] = { { "l.weight_scale", "F32", "[1]", 4, three }, WEIGHT, { "l.input_scale", "F32", "[1]", 4, half },
    { "l.comfy_quant", "U8", "[2]", 2 }, { "scaled_fp8", "F8_E4M3", "[2]", 2 } };
  const WeightTestTensor in_f16[] = { WEIGHT, { "l.scale_weight", "F16", "[1,1]", 2, half_f16 } };
  const WeightTestTensor other_type[] = { { "l.weight", "BF16", "[1,3]", 6, one_bf16 }, { "l.scale_weight", "F32", "[]", 4, half } };
  const WeightTestTensor e5m2[] = { { "l.weight", "F8_E5M2", "[1,3]", 3, weights_e5m2 }, { "l.weight_scale", "F32", "[]", 4, half } };
  const WeightTestTensor zero[] = { WEIGHT, { "l.scale_weight", "F32", "[]", 4 } };

  assert_scaled (plain, G_N_ELEMENTS (plain), 1);
  assert_scaled (marked, G_N_ELEMENTS (marked), 1);
  assert_scaled (scalar, G_N_ELEMENTS (scalar), 0.5f);
  assert_scaled (vector, G_N_ELEMENTS (vector), 3);
  assert_scaled (in_f16, G_N_ELEMENTS (in_f16), 0.5f);
  assert_scaled (other_type, G_N_ELEMENTS (other_type), 0.5f);
  assert_scaled (e5m2, G_N_ELEMENTS (e5m2), 0.5f);
  assert_scaled (zero, G_N_ELEMENTS (zero), 0);
}

static void
assert_not_usable (const WeightTestTensor *tensors, guint n, const gchar *words)
{
  g_autoptr (SoraWeightFile) file = open_tensors (tensors, n);
  g_autoptr (GError) error = NULL;

  g_assert_null (sora_weight_file_find (file, &error, "l.weight", 2, 1, 3));
  g_assert_error (error, SORA_MODEL_ERROR, SORA_MODEL_ERROR_WEIGHT);
  g_test_message ("%s", error->message);
  if (!strstr (error->message, words) || !strstr (error->message, "l.weight"))
    g_error ("expected \"%s\" in \"%s\"", words, error->message);
}

static void
test_bad (void)
{
  const WeightTestTensor several[] = { WEIGHT, { "l.weight_scale", "F32", "[2]", 8 } };
  const WeightTestTensor none[] = { WEIGHT, { "l.weight_scale", "F32", "[0]", 0 } };
  const WeightTestTensor not_finite[] = { WEIGHT, { "l.weight_scale", "F32", "[]", 4, infinite } };
  const WeightTestTensor twice[] = { WEIGHT, { "l.scale_weight", "F32", "[]", 4, half }, { "l.weight_scale", "F32", "[]", 4, half } };
  const WeightTestTensor foreign[] = { WEIGHT, { "l.scale_weight", "F64", "[]", 8 } };
  const WeightTestTensor integers[] = { { "l.weight", "U8", "[1,3]", 3 }, { "l.weight_scale", "F32", "[]", 4, half } };

  assert_not_usable (several, 2, "2 scales");
  assert_not_usable (none, 2, "0 scales");
  assert_not_usable (not_finite, 2, "not finite");
  assert_not_usable (twice, 3, "two scales");
  assert_not_usable (foreign, 2, "a scale of dtype F64");
  assert_not_usable (integers, 2, "dtype U8");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/scales/scaled", test_scaled);
  g_test_add_func ("/scales/bad", test_bad);
  return g_test_run ();
}
