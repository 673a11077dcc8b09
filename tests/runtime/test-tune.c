/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table of tuned linears: defaults, what is saved is found, what is forced stays, a damaged table, a real measurement. */

#include "test-support.h"

#include <string.h>
#include <glib/gstdio.h>
#include "ops/linear-tune.h"
#include "ops/linear.h"

static gchar *config;

/* A device that has read no table yet, and whose kind of linear nobody forces. */
static SoraDevice *
fresh_device (void)
{
  g_autofree gchar *selector = g_strdup (g_getenv ("SORA_TEST_DEVICE"));
  gchar *colon = selector ? strrchr (selector, ':') : NULL;
  g_autoptr (GError) error = NULL;
  SoraDevice *device;

  if (g_strcmp0 (colon, ":packed") == 0 || g_strcmp0 (colon, ":clblast") == 0)
    *colon = '\0';
  device = sora_device_open (selector, &error);
  g_assert_no_error (error);
  g_clear_pointer (&device->tuning, g_key_file_unref);
  g_hash_table_remove_all (device->linear_shapes);
  return device;
}

static void
remove_table (void)
{
  g_autofree gchar *path = sora_tune_get_path ();

  g_remove (path);
}

static void
test_lookup (void)
{
  g_autoptr (SoraDevice) device = fresh_device ();
  g_autoptr (GError) error = NULL;
  g_autoptr (SoraDevice) packed = sora_device_force_linear (device, SORA_LINEAR_PACKED, &error);
  g_autoptr (SoraDevice) clblast = sora_device_force_linear (device, SORA_LINEAR_CLBLAST, &error);

  g_assert_cmpint (sora_tune_lookup (device, 64, 32), ==, device->linear_kind);
  g_assert_cmpint (sora_tune_enter (device, 64, 32, 2.5, 1.5), ==, SORA_LINEAR_CLBLAST);
  g_assert_cmpint (sora_tune_enter (device, 96, 32, 1.5, 2.5), ==, SORA_LINEAR_PACKED);
  g_assert_true (sora_tune_save (device, &error));
  g_assert_no_error (error);

  /* Another run reads the file; another shape has no entry. */
  g_clear_pointer (&device->tuning, g_key_file_unref);
  g_assert_cmpint (sora_tune_lookup (device, 64, 32), ==, SORA_LINEAR_CLBLAST);
  g_assert_cmpint (sora_tune_lookup (device, 96, 32), ==, SORA_LINEAR_PACKED);
  g_assert_cmpint (sora_tune_lookup (device, 32, 64), ==, device->linear_kind);

  /* A second save adds to the first. */
  sora_tune_enter (device, 32, 64, 2, 1);
  g_assert_true (sora_tune_save (device, &error));
  g_clear_pointer (&device->tuning, g_key_file_unref);
  g_assert_cmpint (sora_tune_lookup (device, 64, 32), ==, SORA_LINEAR_CLBLAST);
  g_assert_cmpint (sora_tune_lookup (device, 32, 64), ==, SORA_LINEAR_CLBLAST);

  g_assert_cmpint (sora_tune_lookup (packed, 64, 32), ==, SORA_LINEAR_PACKED);
  g_assert_cmpint (sora_tune_lookup (clblast, 96, 32), ==, SORA_LINEAR_CLBLAST);
  remove_table ();
}

static void
test_damaged (void)
{
  const gchar *contents[] = { "", "not a table", "[group\n", "[Portable: x; y]\n64x32=banana\n" };

  for (guint i = 0; i < G_N_ELEMENTS (contents); i++) {
    g_autoptr (SoraDevice) device = fresh_device ();
    g_autofree gchar *path = sora_tune_get_path (), *dir = g_path_get_dirname (path);
    g_autoptr (GError) error = NULL;

    g_mkdir_with_parents (dir, 0700);
    g_assert_true (g_file_set_contents (path, contents[i], -1, &error));
    g_assert_cmpint (sora_tune_lookup (device, 64, 32), ==, device->linear_kind);
    sora_tune_enter (device, 64, 32, 2, 1);
    g_assert_true (sora_tune_save (device, &error));
    g_clear_pointer (&device->tuning, g_key_file_unref);
    g_assert_cmpint (sora_tune_lookup (device, 64, 32), ==, SORA_LINEAR_CLBLAST);
  }
  remove_table ();
}

static void
count_report (guint n, guint k, gdouble packed_ns, gdouble clblast_ns, SoraLinearKind kind, gpointer user_data)
{
  guint *reports = user_data;

  g_test_message ("%ux%u: packed %.1f ns a row, CLBlast %.1f", n, k, packed_ns, clblast_ns);
  g_assert_cmpfloat (packed_ns, >, 0);
  g_assert_cmpfloat (clblast_ns, >, 0);
  g_assert_cmpint (kind, ==, clblast_ns < packed_ns ? SORA_LINEAR_CLBLAST : SORA_LINEAR_PACKED);
  (*reports)++;
}

/* Makes two linears, measures their shapes, and finds the choice in the table. */
static void
test_measure (void)
{
  g_autoptr (SoraDevice) device = fresh_device ();
  g_autoptr (GKeyFile) table = g_key_file_new ();
  g_autofree gchar *path = sora_tune_get_path ();
  g_auto (GStrv) groups = NULL, keys = NULL;
  g_autoptr (GError) error = NULL;
  guint reports = 0;

  if (sora_test_is_small ()) {
    g_test_skip ("too much work for an interpreter");
    return;
  }
  sora_tune_lookup (device, 48, 16);
  sora_tune_lookup (device, 16, 48);
  sora_tune_lookup (device, 48, 16);
  g_assert_true (sora_linear_tune (device, count_report, &reports, NULL, &error));
  g_assert_no_error (error);
  g_assert_cmpuint (reports, ==, 2);

  g_assert_true (g_key_file_load_from_file (table, path, G_KEY_FILE_NONE, &error));
  groups = g_key_file_get_groups (table, NULL);
  g_assert_cmpuint (g_strv_length (groups), ==, 1);
  keys = g_key_file_get_keys (table, groups[0], NULL, NULL);
  g_assert_cmpuint (g_strv_length (keys), ==, 2);
  g_assert_true (g_strv_contains ((const gchar *const *) keys, "48x16"));
  g_assert_true (g_strv_contains ((const gchar *const *) keys, "16x48"));
  remove_table ();
}

/* A table that says the other kind is obeyed, and the product stays right: y = x Wᵀ with W = 2 I. */
static void
test_obeyed (void)
{
  const guint n = 40, m = 5;
  g_autoptr (SoraDevice) device = fresh_device ();
  gboolean packed = device->linear_kind == SORA_LINEAR_PACKED;
  g_autoptr (SoraQueue) queue = NULL;
  g_autoptr (SoraLinear) linear = NULL;
  g_autofree gfloat *w = g_new0 (gfloat, n * n), *x = sora_test_random (5, m * n, 1), *y = NULL;
  const SoraTensor tensor = { .name = "w", .file = "test", .dtype = SORA_DTYPE_F32, .n_dims = 2, .shape = { n, n },
    .n_elements = n * n, .data = (const guint8 *) w };
  const SoraTensor *weight = &tensor;
  g_autoptr (GError) error = NULL;
  cl_mem x_mem, y_mem;

  for (guint i = 0; i < n; i++)
    w[i * n + i] = 2;
  queue = sora_queue_new (device, TRUE, &error);
  g_assert_no_error (error);
  sora_tune_enter (device, n, n, packed ? 2 : 1, packed ? 1 : 2);
  linear = sora_linear_new (queue, SORA_WEIGHT_TYPE_FP32, SORA_PRECISION_FP32, 1, &weight, NULL, &error);
  g_assert_no_error (error);

  x_mem = sora_test_upload (queue, x, m * n);
  y_mem = sora_test_alloc (queue, m * n);
  sora_linear_run (queue, linear, SORA_MATRIX (x_mem, n), SORA_MATRIX (y_mem, n), m, NULL);
  y = sora_test_download (queue, y_mem, m * n);
  for (guint i = 0; i < m * n; i++)
    x[i] *= 2;
  sora_test_assert_close (y, x, m * n, 1e-6, "the other kind");
  {
    g_autofree gchar *profile = sora_queue_format_profile (queue);

    g_test_message ("\n%s", profile);
    g_assert_cmpint (strstr (profile, "clblast-sgemm") != NULL, ==, packed);
  }
  clReleaseMemObject (x_mem);
  clReleaseMemObject (y_mem);
}

int
main (int argc, char **argv)
{
  int status;

  config = g_dir_make_tmp ("sora-test-XXXXXX", NULL);
  g_setenv ("XDG_CONFIG_HOME", config, TRUE);   /* before anything asks for it */
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/tune/lookup", test_lookup);
  g_test_add_func ("/tune/damaged", test_damaged);
  g_test_add_func ("/tune/measure", test_measure);
  g_test_add_func ("/tune/obeyed", test_obeyed);
  status = g_test_run ();
  {
    g_autofree gchar *dir = g_build_filename (config, "gst-sora", NULL);

    g_rmdir (dir);
    g_rmdir (config);
  }
  g_free (config);
  return status;
}
