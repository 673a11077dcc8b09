/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* GGUF's quantised types against the values that the gguf package gives for the same blocks (tests/reference/quantised.py), bit by bit:
 * the products are exact in both, and the one sum is rounded alike. And parts of tensors that begin or end inside of a block. */

#include <string.h>

#include "test-support.h"
#include "weight-support.h"
#include "weights/half.h"

static SoraWeightFile *golden;

static const SoraTensor *
find (const gchar *type, const gchar *what)
{
  g_autofree gchar *name = g_strconcat (type, ".", what, NULL);
  const SoraTensor *tensor = sora_weight_file_peek (golden, name);

  g_assert_nonnull (tensor);
  return tensor;
}

static gfloat *
values_of (const SoraTensor *tensor)
{
  gfloat *values = g_new (gfloat, tensor->n_elements);

  sora_tensor_to_float (tensor, 0, tensor->n_elements, values);
  return values;
}

static void
test_values (gconstpointer type)
{
  const SoraTensor *blocks = find (type, "blocks");
  g_autofree gfloat *expected = values_of (find (type, "values")), *actual = values_of (blocks);

  g_assert_cmpstr (sora_dtype_name (blocks->dtype), ==, type);
  g_assert_cmpuint (blocks->n_dims, ==, 2);
  g_assert_cmpuint (blocks->n_elements, ==, find (type, "values")->n_elements);
  sora_test_assert_same (actual, expected, blocks->n_elements, "%s", (const gchar *) type);
}

/* Every first and last element about the ends of blocks, and nothing beyond */
static void
test_parts (gconstpointer type)
{
  const SoraTensor *blocks = find (type, "blocks");
  guint size = sora_dtype_get_block_elements (blocks->dtype);
  g_autofree gfloat *expected = values_of (blocks), *actual = g_new (gfloat, 3 * size + 1);
  const guint starts[] = { 0, 1, size - 1, size, size + 7, 2 * size - 1 }, counts[] = { 0, 1, 5, size - 1, size, size + 1, 2 * size + 3 };

  for (guint i = 0; i < G_N_ELEMENTS (starts); i++)
    for (guint j = 0; j < G_N_ELEMENTS (counts); j++) {
      actual[counts[j]] = 77;
      sora_tensor_to_float (blocks, starts[i], counts[j], actual);
      sora_test_assert_same (actual, expected + starts[i], counts[j], "%u at %u", counts[j], starts[i]);
      g_assert_cmpfloat (actual[counts[j]], ==, 77);
    }
}

static gfloat
half_at (const guint8 *in)
{
  guint16 half;

  memcpy (&half, in, sizeof half);
  return sora_f16_to_float (half);
}

/* As blocks of q4 the numbers are the same. */
static void
test_q4 (gconstpointer type)
{
  SoraTensor tensor = *find (type, "blocks");
  g_autofree gfloat *expected = values_of (find (type, "values")), *actual = g_new (gfloat, tensor.n_elements);
  guint64 n_blocks = tensor.n_elements / SORA_BLOCK_VALUES;
  g_autofree guint8 *blocks = g_malloc (n_blocks * SORA_Q4_BYTES);

  g_assert_true (sora_tensor_has_q4 (&tensor));
  sora_tensor_get_q4 (&tensor, 0, n_blocks, blocks);
  for (guint64 i = 0; i < tensor.n_elements; i++) {
    const guint8 *block = blocks + i / SORA_BLOCK_VALUES * SORA_Q4_BYTES;
    guint value = block[6 + i % SORA_BLOCK_VALUES / 2] >> (i % 2 * 4) & 15;
    actual[i] = half_at (block) * block[4] * value - half_at (block + 2) * block[5];
  }
  for (guint64 i = 0; i < tensor.n_elements; i++)
    g_assert_cmpfloat (actual[i], ==, expected[i]);     /* zeros may differ in their signs */
  tensor.is_scaled = TRUE;
  g_assert_false (sora_tensor_has_q4 (&tensor));
}

int
main (int argc, char **argv)
{
  static const gchar *const types[] = { "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K" };
  static const gchar *const q4_types[] = { "Q4_0", "Q4_1", "Q4_K" };
  g_autofree gchar *path = weight_test_golden ("quantised.gguf");
  g_autoptr (GError) error = NULL;
  int status;

  g_test_init (&argc, &argv, NULL);
  golden = sora_weight_file_open (path, &error);
  g_assert_no_error (error);
  for (guint i = 0; i < G_N_ELEMENTS (types); i++) {
    g_autofree gchar *name = g_strconcat ("/quantised/values/", types[i], NULL);
    g_autofree gchar *parts = g_strconcat ("/quantised/parts/", types[i], NULL);
    g_test_add_data_func (name, types[i], test_values);
    g_test_add_data_func (parts, types[i], test_parts);
  }
  for (guint i = 0; i < G_N_ELEMENTS (q4_types); i++) {
    g_autofree gchar *name = g_strconcat ("/quantised/q4/", q4_types[i], NULL);
    g_test_add_data_func (name, q4_types[i], test_q4);
  }
  g_assert_false (sora_tensor_has_q4 (find ("Q5_0", "blocks")));
  status = g_test_run ();
  sora_weight_file_free (golden);
  return status;
}
