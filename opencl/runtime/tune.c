/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table of measured choices: which kind of linear a device runs for a weight's shape. */

#include "runtime/tune.h"

#include <errno.h>

static const gchar *const kind_names[] = { [SORA_LINEAR_PACKED] = "packed", [SORA_LINEAR_CLBLAST] = "clblast" };

gchar *
sora_tune_get_path (void)
{
  return g_build_filename (g_get_user_config_dir (), "gst-sora", "tune.ini", NULL);
}

/* A group's name may not hold brackets. */
static gchar *
group_name (const SoraDevice *device)
{
  gchar *group = g_strdup_printf ("%s: %s; %s", device->platform_name, device->name, device->driver);

  return g_strdelimit (group, "[]\n", '|');
}

/* Reads the whole table; an absent or malformed one is empty. */
static GKeyFile *
load_table (void)
{
  GKeyFile *table = g_key_file_new ();
  g_autofree gchar *path = sora_tune_get_path ();
  g_autoptr (GError) error = NULL;

  if (!g_key_file_load_from_file (table, path, G_KEY_FILE_KEEP_COMMENTS, &error)
      && !g_error_matches (error, G_FILE_ERROR, G_FILE_ERROR_NOENT))
    g_info ("%s: %s", path, error->message);
  return table;
}

/* device->lock held */
static GKeyFile *
get_table (SoraDevice *device)
{
  if (!device->tuning)
    device->tuning = load_table ();
  return device->tuning;
}

static void
note_shape (SoraDevice *device, guint n, guint k)
{
  gint64 shape = (gint64) n << 32 | k;

  g_hash_table_add (device->linear_shapes, g_memdup2 (&shape, sizeof shape));
}

SoraLinearKind
sora_tune_lookup (SoraDevice *device, guint n, guint k)
{
  g_autofree gchar *group = group_name (device);
  g_autofree gchar *key = g_strdup_printf ("%ux%u", n, k);
  g_auto (GStrv) values = NULL;

  g_mutex_lock (&device->lock);
  note_shape (device, n, k);
  if (!device->linear_forced)
    values = g_key_file_get_string_list (get_table (device), group, key, NULL, NULL);
  g_mutex_unlock (&device->lock);

  for (guint kind = 0; values && values[0] && kind < G_N_ELEMENTS (kind_names); kind++) {
    if (g_str_equal (values[0], kind_names[kind]))
      return kind;
  }
  return device->linear_kind;
}

static gint
compare_shapes (gconstpointer a, gconstpointer b)
{
  const SoraTuneShape *x = a, *y = b;

  return x->n != y->n ? (x->n < y->n ? -1 : 1) : x->k != y->k ? (x->k < y->k ? -1 : 1) : 0;
}

GArray *
sora_tune_get_shapes (SoraDevice *device)
{
  GArray *shapes = g_array_new (FALSE, FALSE, sizeof (SoraTuneShape));
  GHashTableIter iter;
  gpointer key;

  g_mutex_lock (&device->lock);
  g_hash_table_iter_init (&iter, device->linear_shapes);
  while (g_hash_table_iter_next (&iter, &key, NULL)) {
    guint64 packed = *(const gint64 *) key;
    SoraTuneShape shape = { packed >> 32, packed & G_MAXUINT32 };

    g_array_append_val (shapes, shape);
  }
  g_mutex_unlock (&device->lock);
  g_array_sort (shapes, compare_shapes);
  return shapes;
}

SoraLinearKind
sora_tune_enter (SoraDevice *device, guint n, guint k, gdouble packed_ns, gdouble clblast_ns)
{
  SoraLinearKind kind = clblast_ns < packed_ns ? SORA_LINEAR_CLBLAST : SORA_LINEAR_PACKED;
  g_autofree gchar *group = group_name (device);
  g_autofree gchar *key = g_strdup_printf ("%ux%u", n, k);
  gchar packed[G_ASCII_DTOSTR_BUF_SIZE], clblast[G_ASCII_DTOSTR_BUF_SIZE];
  const gchar *values[] = {
    kind_names[kind],
    g_ascii_formatd (packed, sizeof packed, "%.1f", packed_ns),
    g_ascii_formatd (clblast, sizeof clblast, "%.1f", clblast_ns),
  };

  g_mutex_lock (&device->lock);
  g_key_file_set_string_list (get_table (device), group, key, values, G_N_ELEMENTS (values));
  g_mutex_unlock (&device->lock);
  return kind;
}

/* Copies @group of @source over that of @target. */
static void
copy_group (GKeyFile *target, GKeyFile *source, const gchar *group)
{
  g_auto (GStrv) keys = g_key_file_get_keys (source, group, NULL, NULL);

  for (guint i = 0; keys && keys[i]; i++) {
    g_autofree gchar *value = g_key_file_get_value (source, group, keys[i], NULL);

    g_key_file_set_value (target, group, keys[i], value);
  }
}

gboolean
sora_tune_save (SoraDevice *device, GError **error)
{
  g_autoptr (GKeyFile) table = load_table ();
  g_autofree gchar *group = group_name (device);
  g_autofree gchar *path = sora_tune_get_path ();
  g_autofree gchar *dir = g_path_get_dirname (path);

  g_mutex_lock (&device->lock);
  copy_group (table, get_table (device), group);
  g_mutex_unlock (&device->lock);
  if (g_mkdir_with_parents (dir, 0700) != 0) {
    int code = errno;

    g_set_error (error, G_FILE_ERROR, g_file_error_from_errno (code), "%s: %s", dir, g_strerror (code));
    return FALSE;
  }
  return g_key_file_save_to_file (table, path, error);
}
