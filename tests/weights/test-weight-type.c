/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The rule that says what weights are stored as, and that what is forgotten of a mapped file can be read again. */
#include "weights/weight-type.h"

#include <string.h>

#include "test-support.h"
#include "weight-support.h"

#define GIB (G_GUINT64_CONSTANT (1) << 30)

/* A file of the one tensor [n], which would be @n numbers of 2 bytes if they were read. */
static SoraWeightFile *
open_numbers (guint n)
{
  g_autofree gchar *shape = g_strdup_printf ("[%u]", n);
  const WeightTestTensor tensor = { "w", "BF16", shape, 2 * n };
  g_autoptr (GByteArray) bytes = weight_test_safetensors (&tensor, 1);
  g_autoptr (GBytes) data = g_byte_array_free_to_bytes (g_steal_pointer (&bytes));
  g_autoptr (GError) error = NULL;
  SoraWeightFile *file = sora_weight_file_open_bytes (data, "test", &error);

  g_assert_no_error (error);
  return file;
}

/* An eighth of the memory counts where that is less than 1 GiB. */
static void
test_file (void)
{
  g_autoptr (SoraWeightFile) file = open_numbers (1024);

  g_assert_false (sora_weight_file_is_large (file, 8 * 4096));
  g_assert_true (sora_weight_file_is_large (file, 8 * 4096 - 1));
  g_assert_cmpint (sora_weight_type_for_file (SORA_WEIGHT_TYPE_AUTO, file, 64 * GIB), ==, SORA_WEIGHT_TYPE_FP32);
  g_assert_cmpint (sora_weight_type_for_file (SORA_WEIGHT_TYPE_AUTO, file, 4096), ==, SORA_WEIGHT_TYPE_AUTO);
  g_assert_cmpint (sora_weight_type_for_file (SORA_WEIGHT_TYPE_Q8, file, 64 * GIB), ==, SORA_WEIGHT_TYPE_Q8);
}

static void
test_tensors (void)
{
  static const SoraWeightType expected[SORA_N_DTYPES] = {
    [SORA_DTYPE_F32] = SORA_WEIGHT_TYPE_FP32, [SORA_DTYPE_F16] = SORA_WEIGHT_TYPE_FP16, [SORA_DTYPE_BF16] = SORA_WEIGHT_TYPE_BF16,
    [SORA_DTYPE_F8_E4M3] = SORA_WEIGHT_TYPE_BF16, [SORA_DTYPE_F8_E5M2] = SORA_WEIGHT_TYPE_BF16,
    [SORA_DTYPE_Q4_0] = SORA_WEIGHT_TYPE_Q4, [SORA_DTYPE_Q4_1] = SORA_WEIGHT_TYPE_Q4, [SORA_DTYPE_Q4_K] = SORA_WEIGHT_TYPE_Q4,
  };

  for (guint dtype = 0; dtype < SORA_N_DTYPES; dtype++) {
    const SoraTensor tensor = { .dtype = dtype, .n_dims = 2, .shape = { 2, 256 }, .n_elements = 512 }, other = { .dtype = SORA_DTYPE_F32 };
    const SoraTensor *alike[] = { &tensor, &tensor }, *mixed[] = { &tensor, &other };
    SoraWeightType type = expected[dtype] ? expected[dtype] : SORA_WEIGHT_TYPE_Q8;

    g_assert_cmpint (sora_weight_type_for_tensors (SORA_WEIGHT_TYPE_AUTO, 2, alike), ==, type);
    g_assert_cmpint (sora_weight_type_for_tensors (SORA_WEIGHT_TYPE_AUTO, 2, mixed), ==, SORA_WEIGHT_TYPE_FP32);
    g_assert_cmpint (sora_weight_type_for_tensors (SORA_WEIGHT_TYPE_BF16, 2, mixed), ==, SORA_WEIGHT_TYPE_BF16);
  }
}

/* auto rounds nothing: bf16 is for what is bf16 in the file, or is stored so anyway. */
static void
test_precision (void)
{
  for (guint dtype = 0; dtype < SORA_N_DTYPES; dtype++) {
    gboolean exact = dtype == SORA_DTYPE_BF16 || dtype == SORA_DTYPE_F8_E4M3 || dtype == SORA_DTYPE_F8_E5M2;
    const SoraTensor tensor = { .dtype = dtype }, scaled = { .dtype = dtype, .is_scaled = TRUE }, other = { .dtype = SORA_DTYPE_F32 };
    const SoraTensor *alike[] = { &tensor, &tensor }, *mixed[] = { &tensor, &other }, *one[] = { &scaled };

    g_assert_cmpint (sora_precision_wants_bf16 (SORA_PRECISION_AUTO, SORA_WEIGHT_TYPE_FP32, 2, alike), ==, exact);
    g_assert_false (sora_precision_wants_bf16 (SORA_PRECISION_AUTO, SORA_WEIGHT_TYPE_FP32, 2, mixed));
    g_assert_false (sora_precision_wants_bf16 (SORA_PRECISION_AUTO, SORA_WEIGHT_TYPE_FP32, 1, one));
    g_assert_false (sora_precision_wants_bf16 (SORA_PRECISION_AUTO, SORA_WEIGHT_TYPE_FP16, 2, alike));
    g_assert_false (sora_precision_wants_bf16 (SORA_PRECISION_AUTO, SORA_WEIGHT_TYPE_Q8, 2, alike));
    g_assert_true (sora_precision_wants_bf16 (SORA_PRECISION_AUTO, SORA_WEIGHT_TYPE_BF16, 2, mixed));
    g_assert_false (sora_precision_wants_bf16 (SORA_PRECISION_FP32, SORA_WEIGHT_TYPE_BF16, 2, alike));
    g_assert_true (sora_precision_wants_bf16 (SORA_PRECISION_BF16, SORA_WEIGHT_TYPE_Q8, 2, mixed));
    g_assert_cmpint (sora_weight_type_with_unit (SORA_WEIGHT_TYPE_FP32, SORA_PRECISION_AUTO, TRUE, 2, alike), ==,
        exact ? SORA_WEIGHT_TYPE_BF16 : SORA_WEIGHT_TYPE_FP32);
    g_assert_cmpint (sora_weight_type_with_unit (SORA_WEIGHT_TYPE_FP32, SORA_PRECISION_AUTO, FALSE, 2, alike), ==, SORA_WEIGHT_TYPE_FP32);
  }
}

/* What LoRAs change is not what the file has: neither its bytes nor its scales may be taken over. */
static void
test_patched (void)
{
  static const guint8 block[34] = { 0x00, 0x3c, 1, 2, 3 };      /* Q8_0 with a scale of 1 */
  const SoraTensorPatches patches = { .id = "some" };
  SoraTensor tensor = { .dtype = SORA_DTYPE_Q8_0, .n_dims = 2, .shape = { 1, 32 }, .n_elements = 32, .data = block };
  guint16 scale;
  gsize size;

  g_assert_true (sora_weight_type_peek_stored (SORA_WEIGHT_TYPE_Q8, &tensor, &size) == block);
  g_assert_true (sora_tensor_get_scales (&tensor, 0, 1, &scale));
  g_assert_cmpuint (scale, ==, 0x3c00);
  tensor.patches = &patches;
  g_assert_null (sora_weight_type_peek_stored (SORA_WEIGHT_TYPE_Q8, &tensor, &size));
  g_assert_false (sora_tensor_get_scales (&tensor, 0, 1, &scale));
}

/* All numbers of all tensors, one after the other */
static GArray *
read_all (SoraWeightFile *file)
{
  g_autoptr (GPtrArray) names = sora_weight_file_get_names (file);
  GArray *all = g_array_new (FALSE, FALSE, sizeof (gfloat));

  for (guint i = 0; i < names->len; i++) {
    const SoraTensor *tensor = sora_weight_file_peek (file, names->pdata[i]);
    guint first = all->len;
    g_array_set_size (all, first + tensor->n_elements);
    sora_tensor_to_float (tensor, 0, tensor->n_elements, &g_array_index (all, gfloat, first));
  }
  return all;
}

/* Mapped, and from memory, of which nothing may be forgotten */
static void
test_forget (void)
{
  g_autofree gchar *path = g_build_filename (g_getenv ("SORA_TEST_GOLDEN"), "tiny-model", "transformer",
      "diffusion_pytorch_model.safetensors", NULL);
  g_autofree gchar *content = NULL;
  gsize length;
  g_autoptr (SoraWeightFile) mapped = sora_weight_file_open (path, NULL), in_memory = NULL;
  g_autoptr (GBytes) bytes = NULL;
  g_autoptr (GArray) before = NULL;

  g_assert_true (g_file_get_contents (path, &content, &length, NULL));
  bytes = g_bytes_new (content, length);
  in_memory = sora_weight_file_open_bytes (bytes, path, NULL);
  before = read_all (mapped);
  g_assert_cmpuint (before->len, >, 10000);
  for (guint i = 0; i < 2; i++) {
    SoraWeightFile *file = i ? in_memory : mapped;
    g_autoptr (GArray) after = NULL;
    sora_weight_file_forget (file);
    after = read_all (file);
    g_assert_cmpuint (after->len, ==, before->len);
    sora_test_assert_same ((gfloat *) after->data, (gfloat *) before->data, before->len, "read again");
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/weight-type/file", test_file);
  g_test_add_func ("/weight-type/tensors", test_tensors);
  g_test_add_func ("/weight-type/precision", test_precision);
  g_test_add_func ("/weight-type/patched", test_patched);
  g_test_add_func ("/weight-type/forget", test_forget);
  return g_test_run ();
}
