/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Finds a model of the catalogue by its name, and names that are near to one that there is not. */

#include "catalogue-private.h"

#include <string.h>

#define MAX_NEAR 10             /* names in a message */

static gboolean
is_called (const SoraCatalogueModel *model, const gchar *name)
{
  return g_ascii_strcasecmp (model->name, name) == 0 || (model->title && g_ascii_strcasecmp (model->title, name) == 0);
}

/* Of the first place that has any: (transfer full) (element-type SoraCatalogueModel) */
static GPtrArray *
list_called (SoraCatalogue *catalogue, const gchar *name)
{
  GPtrArray *called = g_ptr_array_new ();

  for (guint i = 0; i < sora_catalogue_get_n_models (catalogue); i++) {
    const SoraCatalogueModel *model = sora_catalogue_get_model (catalogue, i);
    if (is_called (model, name) && (called->len == 0 || ((SoraCatalogueModel *) called->pdata[0])->place == model->place))
      g_ptr_array_add (called, (gpointer) model);
  }
  return called;
}

/* Levenshtein's: insertions, deletions and changes of single bytes, whatever the case of letters */
static guint
measure_distance (const gchar *a, const gchar *b)
{
  gsize n = strlen (b);
  g_autofree guint *row = g_new (guint, n + 1);

  for (gsize j = 0; j <= n; j++)
    row[j] = j;
  for (gsize i = 1; a[i - 1]; i++) {
    guint diagonal = row[0];
    row[0] = i;
    for (gsize j = 1; j <= n; j++) {
      guint changed = diagonal + (g_ascii_tolower (a[i - 1]) != g_ascii_tolower (b[j - 1]));
      diagonal = row[j];
      row[j] = MIN (changed, MIN (row[j - 1], row[j]) + 1);
    }
  }
  return row[n];
}

/* One holds the other, or at most a third of the longer is different. */
static gboolean
is_near (const gchar *name, const gchar *wanted)
{
  g_autofree gchar *a = g_ascii_strdown (name, -1), *b = g_ascii_strdown (wanted, -1);

  return strstr (a, b) || strstr (b, a) || measure_distance (a, b) <= MAX (strlen (a), strlen (b)) / 3;
}

/* "a", "b": (transfer full); NULL if there are none */
static gchar *
list_near (SoraCatalogue *catalogue, const gchar *wanted)
{
  g_autoptr (GHashTable) listed = g_hash_table_new (g_str_hash, g_str_equal);
  g_autoptr (GString) text = g_string_new (NULL);

  for (guint i = 0; i < sora_catalogue_get_n_models (catalogue) && g_hash_table_size (listed) < MAX_NEAR; i++) {
    const gchar *name = sora_catalogue_model_get_name (sora_catalogue_get_model (catalogue, i));
    if (is_near (name, wanted) && g_hash_table_add (listed, (gpointer) name))
      g_string_append_printf (text, "%s\"%s\"", text->len > 0 ? ", " : "", name);
  }
  return text->len > 0 ? g_strdup (text->str) : NULL;
}

static void
fail_unknown (SoraCatalogue *catalogue, const gchar *name, GError **error)
{
  g_autofree gchar *near = list_near (catalogue, name);

  g_set_error (error, SORA_MODEL_ERROR, SORA_MODEL_ERROR_NOT_FOUND,
      "There is no model \"%s\", neither as a path nor as a name%s%s. \"sora models\" lists the %u that were found; SORA_MODEL_PATH says "
      "where to look for more", name, near ? "; near are " : "", near ? near : "", sora_catalogue_get_n_models (catalogue));
}

static void
fail_ambiguous (GPtrArray *called, const gchar *name, GError **error)
{
  g_autoptr (GString) paths = g_string_new (NULL);

  for (guint i = 0; i < called->len; i++)
    g_string_append_printf (paths, "%s%s", i > 0 ? ", " : "", sora_catalogue_model_get_path (called->pdata[i]));
  g_set_error (error, SORA_MODEL_ERROR, SORA_MODEL_ERROR_NOT_FOUND, "%u models are called \"%s\"; give the path of one of them: %s",
      called->len, name, paths->str);
}

const SoraCatalogueModel *
sora_catalogue_find_model (SoraCatalogue *catalogue, const gchar *name, GError **error)
{
  g_autoptr (GPtrArray) called = list_called (catalogue, name);

  if (called->len == 1)
    return called->pdata[0];
  if (called->len == 0)
    fail_unknown (catalogue, name, error);
  else
    fail_ambiguous (called, name, error);
  return NULL;
}

gboolean
sora_catalogue_is_name (const gchar *path)
{
  return path && *path && !strchr (path, G_DIR_SEPARATOR) && !g_file_test (path, G_FILE_TEST_EXISTS);
}

gchar *
sora_catalogue_resolve (const gchar *name, GError **error)
{
  g_autoptr (SoraCatalogue) catalogue = sora_catalogue_new (NULL);
  const SoraCatalogueModel *model = sora_catalogue_find_model (catalogue, name, error);

  return model ? g_strdup (sora_catalogue_model_get_path (model)) : NULL;
}
