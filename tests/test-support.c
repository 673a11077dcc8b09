/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the tests of the engine share: the device under test, arrays to and from it, and the measure of an error. */

#include "test-support.h"

#include <json-glib/json-glib.h>
#include <math.h>
#include <string.h>

#include "weights/tensor-writer.h"
#include "weights/weight-file.h"

/* Else the kernels would be right, but each start would be late. */
static void
assert_builtins_suffice (gpointer device)
{
  g_assert_cmpuint (((SoraDevice *) device)->whole_headers, ==, 0);
}

static SoraQueue *
queue_new (const gchar *selector)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (SoraDevice) device = sora_device_open (selector, &error);
  SoraQueue *queue;

  g_assert_no_error (error);
  queue = sora_queue_new (device, FALSE, &error);
  g_assert_no_error (error);
  g_test_queue_destroy (assert_builtins_suffice, device);       /* which the process keeps */
  return queue;
}

SoraQueue *
sora_test_queue_new (void)
{
  return queue_new (g_getenv ("SORA_TEST_DEVICE"));
}

SoraQueue *
sora_test_queue_new_linear (const gchar *kind)
{
  g_autofree gchar *base = g_strdup (g_getenv ("SORA_TEST_DEVICE"));
  g_autofree gchar *selector = NULL;

  if (base && g_str_has_suffix (base, ":packed"))
    base[strlen (base) - strlen (":packed")] = '\0';
  else if (base && g_str_has_suffix (base, ":clblast"))
    base[strlen (base) - strlen (":clblast")] = '\0';
  selector = g_strconcat (base ? base : "", ":", kind, NULL);
  return queue_new (selector);
}

gboolean
sora_test_is_small (void)
{
  const gchar *value = g_getenv ("SORA_TEST_SMALL");

  return value && *value && !g_str_equal (value, "0");
}

gfloat *
sora_test_random (guint32 seed, gsize n, gfloat scale)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (seed);
  gfloat *data = g_new (gfloat, MAX (n, 1));

  for (gsize i = 0; i < n; i++)
    data[i] = g_rand_double_range (rand, -scale, scale);
  return data;
}

/* (transfer full): the numbers of one tensor */
static gfloat *
draw_tensor (const gchar *name, guint32 seed, const gint64 *shape, guint n_dims)
{
  gsize n = 1;
  gfloat *values;

  for (guint i = 0; i < n_dims; i++)
    n *= shape[i];
  if (!g_str_has_suffix (name, "gamma") && !(strstr (name, "norm") && g_str_has_suffix (name, ".weight")))
    return sora_test_random (seed, n, n_dims == 1 ? 0.1f : (gfloat) sqrt (3.0 * shape[0] / n));
  values = sora_test_random (seed, n, 0.5f);
  for (gsize i = 0; i < n; i++)
    values[i] += 1;
  return values;
}

void
sora_test_draw_weights (const gchar *shapes, const gchar *path, gchar *(*rename) (const gchar *name))
{
  sora_test_draw_weights_from (shapes, 1000, path, rename);
}

void
sora_test_draw_weights_from (const gchar *shapes, guint32 seed, const gchar *path, gchar *(*rename) (const gchar *name))
{
  g_autoptr (JsonParser) parser = json_parser_new ();
  g_autoptr (SoraTensorWriter) writer = sora_tensor_writer_new ();
  g_autoptr (GError) error = NULL;
  g_autoptr (GList) names = NULL;
  JsonObject *tensors;

  json_parser_load_from_file (parser, shapes, &error);
  g_assert_no_error (error);
  tensors = json_object_get_object_member (json_node_get_object (json_parser_get_root (parser)), "tensors");
  names = json_object_get_members (tensors);
  for (GList *l = names; l; l = l->next) {
    JsonArray *array = json_object_get_array_member (tensors, l->data);
    g_autofree gchar *name = rename ? rename (l->data) : g_strdup (l->data);
    g_autofree gfloat *values = NULL;
    guint n_dims = json_array_get_length (array);
    gint64 shape[5];

    g_assert_cmpuint (n_dims, <=, G_N_ELEMENTS (shape));
    for (guint i = 0; i < n_dims; i++)
      shape[i] = json_array_get_int_element (array, i);
    values = draw_tensor (l->data, seed++, shape, n_dims);
    sora_tensor_writer_add (writer, name, values, shape, n_dims);
  }
  sora_tensor_writer_save (writer, path, &error);
  g_assert_no_error (error);
}

cl_mem
sora_test_upload (SoraQueue *queue, const gfloat *data, gsize n)
{
  g_autoptr (GError) error = NULL;
  cl_mem mem = sora_queue_alloc (queue, MAX (n, 1) * sizeof *data);

  sora_queue_write (queue, mem, 0, n * sizeof *data, data);
  sora_queue_check (queue, &error);
  g_assert_no_error (error);
  return mem;
}

cl_mem
sora_test_alloc (SoraQueue *queue, gsize n)
{
  g_autofree gfloat *data = g_new (gfloat, MAX (n, 1));

  for (gsize i = 0; i < n; i++)
    data[i] = NAN;
  return sora_test_upload (queue, data, n);
}

gfloat *
sora_test_download (SoraQueue *queue, cl_mem mem, gsize n)
{
  g_autoptr (GError) error = NULL;
  gfloat *data = g_new0 (gfloat, MAX (n, 1));

  sora_queue_read (queue, mem, 0, n * sizeof *data, data, &error);
  g_assert_no_error (error);
  return data;
}

void
sora_test_assert_close (const gfloat *actual, const gfloat *expected, gsize n, gdouble tolerance, const gchar *what, ...)
{
  g_autofree gchar *name = NULL;
  gdouble aa = 0, ee = 0, ae = 0, worst = 0, rms;
  gsize worst_at = 0, not_finite = 0;
  va_list args;

  va_start (args, what);
  name = g_strdup_vprintf (what, args);
  va_end (args);

  for (gsize i = 0; i < n; i++) {
    gdouble a = actual[i], e = expected[i], difference = fabs (a - e);

    if (!isfinite (a) || !isfinite (e)) {
      if (not_finite++ == 0)
        worst_at = i;
      continue;
    }
    if (difference > worst && not_finite == 0)
      worst_at = i;
    worst = MAX (worst, difference);
    aa += a * a;
    ee += e * e;
    ae += a * e;
  }
  rms = n && ee > 0 ? sqrt (ee / n) : 1;
  g_test_message ("%s: error %.3g of rms %.3g (limit %.3g), cosine %.9f", name, worst / rms, rms, tolerance,
      aa > 0 && ee > 0 ? ae / sqrt (aa * ee) : aa == ee);
  if (not_finite)
    g_test_fail_printf ("%s: %" G_GSIZE_FORMAT " of %" G_GSIZE_FORMAT " values are not finite, the first at %" G_GSIZE_FORMAT,
        name, not_finite, n, worst_at);
  else if (!(worst / rms <= tolerance))
    g_test_fail_printf ("%s: error %.3g of rms is beyond %.3g, at %" G_GSIZE_FORMAT ": %.9g instead of %.9g", name,
        worst / rms, tolerance, worst_at, actual[worst_at], expected[worst_at]);
}

void
sora_test_assert_same (const gfloat *actual, const gfloat *expected, gsize n, const gchar *what, ...)
{
  g_autofree gchar *name = NULL;
  va_list args;

  va_start (args, what);
  name = g_strdup_vprintf (what, args);
  va_end (args);

  for (gsize i = 0; i < n; i++) {
    if (memcmp (&actual[i], &expected[i], sizeof *actual) != 0) {
      g_test_fail_printf ("%s: value %" G_GSIZE_FORMAT " is %.9g instead of %.9g", name, i, actual[i], expected[i]);
      return;
    }
  }
}
