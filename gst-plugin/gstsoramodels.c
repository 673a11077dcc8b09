/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The models that elements of this process have open, so that those of the same files share one, and its weights. */
#include "gstsoramodels.h"

typedef struct {
  SoraModel *model;
  guint users;
} Entry;

static GMutex lock;
static GHashTable *entries; /* key, owned → Entry; NULL while empty */

/* What the files are found by */
static gchar *
make_key (SoraModel *model, const SoraModelFiles *files)
{
  const gchar *const parts[] = { files->transformer_2, files->text_encoder, files->vae, files->tokenizer, files->image_encoder };
  GString *key = g_string_new (sora_model_get_path (model));

  for (guint i = 0; i < G_N_ELEMENTS (parts); i++)
    g_string_append_printf (key, "\n%s", parts[i] != NULL ? parts[i] : "");
  g_string_append (key, files->causal ? "\ncausal" : "\n");
  return g_string_free (key, FALSE);
}

SoraModel *
gst_sora_models_acquire (const SoraModelFiles *files, GError **error)
{
  g_autoptr (SoraModel) model = sora_model_open_files (files, error);
  g_autofree gchar *key = NULL;
  SoraModel *shared;
  Entry *entry;

  if (model == NULL)
    return NULL;
  key = make_key (model, files);
  g_mutex_lock (&lock);
  if (entries == NULL)
    entries = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  entry = g_hash_table_lookup (entries, key);
  if (entry == NULL) {
    entry = g_new0 (Entry, 1);
    entry->model = sora_model_ref (model);
    g_hash_table_insert (entries, g_steal_pointer (&key), entry);
  }
  entry->users++;
  shared = sora_model_ref (entry->model);
  g_mutex_unlock (&lock);
  return shared;
}

static gboolean
is_of_model (gpointer key, gpointer entry, gpointer model)
{
  return ((Entry *) entry)->model == model;
}

void
gst_sora_models_release (SoraModel *model)
{
  Entry *entry;

  g_mutex_lock (&lock);
  entry = g_hash_table_find (entries, is_of_model, model);
  if (--entry->users == 0) {
    g_hash_table_foreach_remove (entries, is_of_model, model);
    sora_model_unref (model);
  }
  if (g_hash_table_size (entries) == 0)
    g_clear_pointer (&entries, g_hash_table_unref);
  g_mutex_unlock (&lock);
  sora_model_unref (model);
}
