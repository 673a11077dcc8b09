/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Weight files by path, so that a search that comes by the same ones often reads each header once. */

#include "weights/weight-cache.h"

/* One of the two */
typedef struct {
  SoraWeightFile *file;
  GError *error;
} Outcome;

struct _SoraWeightCache {
  GHashTable *outcomes;         /* path → Outcome */
};

static void
outcome_free (Outcome *outcome)
{
  sora_weight_file_free (outcome->file);
  g_clear_error (&outcome->error);
  g_free (outcome);
}

SoraWeightCache *
sora_weight_cache_new (void)
{
  SoraWeightCache *cache = g_new0 (SoraWeightCache, 1);

  cache->outcomes = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify) outcome_free);
  return cache;
}

void
sora_weight_cache_free (SoraWeightCache *cache)
{
  if (!cache)
    return;
  g_hash_table_unref (cache->outcomes);
  g_free (cache);
}

SoraWeightFile *
sora_weight_cache_open (SoraWeightCache *cache, const gchar *path, GError **error)
{
  Outcome *outcome;

  if (!cache)
    return sora_weight_file_open (path, error);
  outcome = g_hash_table_lookup (cache->outcomes, path);
  if (!outcome) {
    outcome = g_new0 (Outcome, 1);
    outcome->file = sora_weight_file_open (path, &outcome->error);
    g_hash_table_insert (cache->outcomes, g_strdup (path), outcome);
  }
  if (outcome->file)
    return sora_weight_file_ref (outcome->file);
  if (error)
    *error = g_error_copy (outcome->error);
  return NULL;
}
