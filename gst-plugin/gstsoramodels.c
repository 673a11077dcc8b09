/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The models that elements of this process have open, so that those of one path share one, and its weights. */
#include "gstsoramodels.h"

typedef struct {
  SoraModel *model;
  guint users;
} Entry;

static GMutex lock;
static GHashTable *entries; /* path, owned by the model → Entry; NULL while empty */

SoraModel *
gst_sora_models_acquire (const gchar *path, GError **error)
{
  g_autoptr (SoraModel) model = sora_model_open (path, error);
  SoraModel *shared;
  Entry *entry;

  if (model == NULL)
    return NULL;
  g_mutex_lock (&lock);
  if (entries == NULL)
    entries = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, g_free);
  entry = g_hash_table_lookup (entries, sora_model_get_path (model));
  if (entry == NULL) {
    entry = g_new0 (Entry, 1);
    entry->model = sora_model_ref (model);
    g_hash_table_insert (entries, (gpointer) sora_model_get_path (model), entry);
  }
  entry->users++;
  shared = sora_model_ref (entry->model);
  g_mutex_unlock (&lock);
  return shared;
}

void
gst_sora_models_release (SoraModel *model)
{
  const gchar *path = sora_model_get_path (model);
  Entry *entry;

  g_mutex_lock (&lock);
  entry = g_hash_table_lookup (entries, path);
  if (--entry->users == 0) {
    g_hash_table_remove (entries, path);
    sora_model_unref (model);
  }
  if (g_hash_table_size (entries) == 0)
    g_clear_pointer (&entries, g_hash_table_unref);
  g_mutex_unlock (&lock);
  sora_model_unref (model);
}
