/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads golden files, compares with them, and finds the embedded model. */

#include "stage-support.h"

#include "runtime/matrix-unit.h"

#include <string.h>

#define FINGERPRINT 4           /* values of a tensor */

SoraWeightFile *
stage_golden_open (const gchar *name)
{
  g_autoptr (GError) error = NULL;
  g_autofree gchar *file = g_strconcat (name, ".safetensors", NULL);
  g_autofree gchar *path = g_build_filename (g_getenv ("SORA_TEST_GOLDEN"), file, NULL);
  SoraWeightFile *golden = sora_weight_file_open (path, &error);

  g_assert_no_error (error);
  return golden;
}

void
stage_add_lora (SoraLoraMerger *merger, const gchar *name, gdouble weight)
{
  g_autoptr (GError) error = NULL;
  g_autofree gchar *path = g_build_filename (g_getenv ("SORA_TEST_GOLDEN"), "lora", name, NULL);
  g_autoptr (SoraLora) lora = sora_lora_open (path, &error);

  g_assert_no_error (error);
  sora_lora_merger_add (merger, lora, weight, &error);
  g_assert_no_error (error);
}

static gfloat *
read_golden (SoraWeightFile *golden, gsize *n, const gchar *name)
{
  g_autofree gchar *full = g_strconcat ("golden.", name, NULL);
  const SoraTensor *tensor = sora_weight_file_peek (golden, full);
  gfloat *data;

  if (!tensor)
    g_error ("%s has no %s", sora_weight_file_get_path (golden), full);
  data = g_new (gfloat, tensor->n_elements);
  sora_tensor_to_float (tensor, 0, tensor->n_elements, data);
  if (n)
    *n = tensor->n_elements;
  return data;
}

gfloat *
stage_golden (SoraWeightFile *golden, gsize *n, const gchar *name, ...)
{
  g_autofree gchar *formatted = NULL;
  va_list args;

  va_start (args, name);
  formatted = g_strdup_vprintf (name, args);
  va_end (args);
  return read_golden (golden, n, formatted);
}

void
stage_assert_golden (SoraQueue *queue, cl_mem mem, gsize offset, gsize n, guint step, SoraWeightFile *golden, gsize first,
    gdouble tolerance, const gchar *name)
{
  gsize n_golden, count = (n + step - 1) / step;
  g_autofree gfloat *expected = read_golden (golden, &n_golden, name);
  g_autofree gfloat *actual = sora_test_download (queue, mem, offset + n);

  g_assert_cmpuint (first + count, <=, n_golden);
  for (gsize i = 0; i < count; i++)
    actual[i] = actual[offset + i * step];
  sora_test_assert_close (actual, expected + first, count, tolerance, "%s from %" G_GSIZE_FORMAT, name, first);
}

gboolean
stage_has_matrix_unit (void)
{
  g_autoptr (SoraQueue) queue = sora_test_queue_new ();

  if (sora_queue_get_device (queue)->linear_kind == SORA_LINEAR_PACKED && sora_matrix_unit_get (sora_queue_get_device (queue)))
    return TRUE;
  g_test_skip ("this device has no bf16 matrix unit");
  return FALSE;
}

gchar *
stage_model_path (const gchar *name)
{
  g_autofree gchar *path = g_build_filename (g_getenv ("SORA_TEST_MODEL"), name, NULL);

  if (g_file_test (path, G_FILE_TEST_EXISTS))
    return g_steal_pointer (&path);
  g_test_skip ("no embedded model");
  return NULL;
}

void
stage_assert_fingerprint (SoraWeightFile *golden, SoraWeightFile *weights)
{
  g_autoptr (GPtrArray) names = sora_weight_file_get_names (weights);
  gsize n, at = 0;
  g_autofree gfloat *expected = read_golden (golden, &n, "fingerprint");
  gfloat values[FINGERPRINT];
  gboolean same = TRUE;

  for (guint i = 0; i < names->len && same; i++) {
    const SoraTensor *tensor = sora_weight_file_peek (weights, names->pdata[i]);
    guint count = MIN (FINGERPRINT, tensor->n_elements);

    sora_tensor_to_float (tensor, 0, count, values);
    same = at + count <= n && memcmp (values, expected + at, count * sizeof (gfloat)) == 0;
    at += count;
  }
  if (!same || at != n)
    g_test_fail_printf ("%s was made for other weights than %s; tests/reference/README.md says how to make it again",
        sora_weight_file_get_path (golden), sora_weight_file_get_path (weights));
}
