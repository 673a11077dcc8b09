/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Opens a LoRA file: gathers its keys by layer, and checks that all of them are understood and complete. */

#include "weights/lora-private.h"

#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

/* Where checkpoints of training keep a LoRA, beside what only training needs. If one of them is there, nothing else of the file counts. */
static const gchar *const folders[] = { "generator_lora.", "state_dict.", "" };

static void
layer_free (SoraLoraLayer *layer)
{
  g_free (layer->name);
  g_free (layer->prefix);
  g_free (layer);
}

static void
lora_free (SoraLora *lora)
{
  g_clear_pointer (&lora->layers, g_ptr_array_unref);
  g_clear_pointer (&lora->file, sora_weight_file_free);
  g_free (lora->id);
  g_free (lora);
}

/* Takes the number or tensor @key in. */
static gboolean
take_key (SoraLora *lora, SoraLoraLayer *layer, SoraLoraRole role, const gchar *key, GError **error)
{
  const gchar *foreign = g_hash_table_lookup (lora->file->foreign, key);

  if (layer->keys[role])
    return sora_weight_file_fail_tensor (lora->file, error, SORA_MODEL_ERROR_FORMAT, key, "the same as %s of the same layer", layer->keys[role]);
  layer->keys[role] = key;
  layer->tensors[role] = sora_weight_file_peek (lora->file, key);
  if (role == SORA_LORA_ALPHA)
    return (sora_weight_file_peek_number (lora->file, key, &layer->alpha) && fabs (layer->alpha) <= SORA_LORA_MAX_ALPHA)   /* nor NaN */
        || sora_weight_file_fail_tensor (lora->file, error, SORA_MODEL_ERROR_WEIGHT, key, "expected one number, at most %g", SORA_LORA_MAX_ALPHA);
  return layer->tensors[role]
      || sora_weight_file_fail_tensor (lora->file, error, SORA_MODEL_ERROR_WEIGHT, key, "expected numbers, found %s", foreign);
}

/* The layer of the key, made if it is new */
static SoraLoraLayer *
get_layer (SoraLora *lora, GHashTable *layers, const SoraLoraKey *key, const gchar *folder)
{
  g_autofree gchar *id = g_strdup_printf ("%u%s", key->part, key->layer);
  SoraLoraLayer *layer = g_hash_table_lookup (layers, id);

  if (layer)
    return layer;
  layer = g_new0 (SoraLoraLayer, 1);
  layer->part = key->part;
  layer->name = g_strdup (key->layer);
  layer->prefix = g_strconcat (folder, key->prefix->str, NULL);
  g_hash_table_insert (layers, g_steal_pointer (&id), layer);
  g_ptr_array_add (lora->layers, layer);
  return layer;
}

static const gchar *
find_folder (GPtrArray *names)
{
  guint folder = 0;

  for (; *folders[folder]; folder++) {
    for (guint i = 0; i < names->len; i++) {
      if (g_str_has_prefix (names->pdata[i], folders[folder]))
        return folders[folder];
    }
  }
  return folders[folder];
}

/* The name as the file's tables own it, which live as long as the file */
static const gchar *
get_key (SoraLora *lora, const gchar *name)
{
  gpointer key;

  if (g_hash_table_lookup_extended (lora->file->tensors, name, &key, NULL) || g_hash_table_lookup_extended (lora->file->foreign, name, &key, NULL))
    return key;
  return NULL;
}

static gboolean
read_keys (SoraLora *lora, GError **error)
{
  g_autoptr (GPtrArray) names = sora_weight_file_copy_all_names (lora->file);
  g_autoptr (GHashTable) layers = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  const gchar *folder = find_folder (names);

  for (guint i = 0; i < names->len; i++) {
    const gchar *key = get_key (lora, names->pdata[i]);
    g_auto (SoraLoraKey) parsed = { 0 };
    if (!g_str_has_prefix (key, folder))
      continue;
    if (!sora_lora_key_parse (&parsed, key + strlen (folder)))
      return sora_weight_file_fail_tensor (lora->file, error, SORA_MODEL_ERROR_UNSUPPORTED, key, "not a key of a LoRA that is understood: those "
          "end in lora_A.weight and lora_B.weight, lora_down.weight and lora_up.weight, hada_w1_a to hada_w2_b, lokr_w1 to lokr_w2_b, dora_scale, "
          "alpha, diff, diff_b or diff_m");
    if (!take_key (lora, get_layer (lora, layers, &parsed, folder), parsed.role, key, error))
      return FALSE;
  }
  if (lora->layers->len > 0)
    return TRUE;
  return sora_weight_file_fail (lora->file, error, "no LoRA: it holds no tensors");
}

/* A file that was replaced is another, though it has the same path. */
static gchar *
make_id (const gchar *path)
{
  GStatBuf status;

  if (g_stat (path, &status) != 0)
    return g_strdup (path);
  return g_strdup_printf ("%s/%" G_GUINT64_FORMAT "/%" G_GUINT64_FORMAT "/%" G_GINT64_FORMAT ".%09ld", path, (guint64) status.st_ino,
      (guint64) status.st_size, (gint64) status.st_mtim.tv_sec, (glong) status.st_mtim.tv_nsec);
}

SoraLora *
sora_lora_new (SoraWeightFile *file, GError **error)
{
  g_autoptr (SoraLora) lora = g_new0 (SoraLora, 1);

  g_atomic_ref_count_init (&lora->ref_count);
  lora->file = file;
  lora->id = make_id (sora_weight_file_get_path (file));
  lora->layers = g_ptr_array_new_with_free_func ((GDestroyNotify) layer_free);
  if (!read_keys (lora, error))
    return NULL;
  for (guint i = 0; i < lora->layers->len; i++) {
    if (!sora_lora_layer_check (lora, lora->layers->pdata[i], error))
      return NULL;
  }
  return sora_lora_read_config (lora, error) ? g_steal_pointer (&lora) : NULL;
}

SoraLora *
sora_lora_open (const gchar *path, GError **error)
{
  SoraWeightFile *file = sora_weight_file_open (path, error);

  return file ? sora_lora_new (file, error) : NULL;
}

SoraLora *
sora_lora_ref (SoraLora *lora)
{
  g_atomic_ref_count_inc (&lora->ref_count);
  return lora;
}

void
sora_lora_unref (SoraLora *lora)
{
  if (lora && g_atomic_ref_count_dec (&lora->ref_count))
    lora_free (lora);
}

const gchar *
sora_lora_get_id (SoraLora *lora)
{
  return lora->id;
}

gboolean
sora_lora_recognise (SoraWeightFile *file)
{
  g_autoptr (GPtrArray) names = sora_weight_file_copy_all_names (file);
  const gchar *folder = find_folder (names);

  for (guint i = 0; i < names->len; i++) {
    g_auto (SoraLoraKey) parsed = { 0 };
    if (g_str_has_prefix (names->pdata[i], folder) && sora_lora_key_parse (&parsed, (gchar *) names->pdata[i] + strlen (folder))
        && parsed.role != SORA_LORA_ALPHA)
      return TRUE;
  }
  return FALSE;
}
