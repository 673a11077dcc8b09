/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Walks through the places where models may lie, and picks out the paths that are models, or claim to be. */

#include "catalogue-private.h"

#include <glib/gstdio.h>
#include <string.h>

#include "model-experts.h"

#define MAX_DEPTH 6             /* folders below a place */

typedef struct {
  SoraWeightCache *cache;
  GPtrArray *candidates;
  GHashTable *seen;             /* set of "DEVICE:NODE" of the folders and files that were come by */
  guint place;
  guint n_entries, max_entries; /* in this place so far, and at most */
} Walk;

static void
candidate_free (SoraCandidate *candidate)
{
  g_free (candidate->path);
  g_clear_error (&candidate->error);
  g_free (candidate);
}

/* @error: (transfer full) (nullable) */
static void
add_candidate (Walk *walk, const gchar *path, GError *error)
{
  SoraCandidate *candidate = g_new0 (SoraCandidate, 1);

  candidate->path = g_strdup (path);
  candidate->place = walk->place;
  candidate->error = error;
  g_ptr_array_add (walk->candidates, candidate);
}

/* Whether @path is come by for the first time, under whatever name: a link back to a folder above leads nowhere new. */
static gboolean
is_new (Walk *walk, const gchar *path)
{
  GStatBuf status;

  if (g_stat (path, &status) != 0)
    return TRUE;
  return g_hash_table_add (walk->seen, g_strdup_printf ("%" G_GUINT64_FORMAT ":%" G_GUINT64_FORMAT, (guint64) status.st_dev,
          (guint64) status.st_ino));
}

/* Counts one more; the first one too many is an entry of its own. */
static gboolean
may_look (Walk *walk, const gchar *path)
{
  walk->n_entries++;
  if (walk->n_entries == walk->max_entries + 1)
    add_candidate (walk, path, g_error_new (SORA_MODEL_ERROR, SORA_MODEL_ERROR_UNSUPPORTED,
            "More than %u folders and weight files: what comes from %s on is left out; name folders inside instead",
            walk->max_entries, path));
  return walk->n_entries <= walk->max_entries;
}

static gboolean
has_entry (const gchar *folder, const gchar *name)
{
  g_autofree gchar *path = g_build_filename (folder, name, NULL);

  return g_file_test (path, G_FILE_TEST_EXISTS);
}

/* Of two experts in two files the one for high noise stands for both. */
static gboolean
is_second_expert (const gchar *path)
{
  g_autofree gchar *other = sora_expert_is_low (path) ? sora_expert_get_other (path) : NULL;

  return other && g_file_test (other, G_FILE_TEST_EXISTS);
}

/* A weight file: a model if it is a transformer, and if nobody can tell. */
static void
look_at_file (Walk *walk, const gchar *path)
{
  GError *error = NULL;
  g_autoptr (SoraWeightFile) file = NULL;

  if (!is_new (walk, path) || !may_look (walk, path))
    return;
  file = sora_weight_cache_open (walk->cache, path, &error);
  if (error || (sora_weights_recognise (file) == SORA_WEIGHTS_TRANSFORMER && !is_second_expert (path)))
    add_candidate (walk, path, error);
}

/* The first of a model's shards whose index is not beside it: without that nothing says what is where. */
static void
look_at_shard (Walk *walk, const gchar *folder, const gchar *name)
{
  g_autoptr (GRegex) regex = g_regex_new ("^(.*)-0*1-of-\\d+(\\.[a-z]+)$", 0, 0, NULL);
  g_autoptr (GMatchInfo) match = NULL;
  g_autofree gchar *stem = NULL, *ending = NULL, *index = NULL, *path = NULL;

  if (!g_regex_match (regex, name, 0, &match))
    return;
  stem = g_match_info_fetch (match, 1);
  ending = g_match_info_fetch (match, 2);
  index = g_strconcat (stem, ending, ".index.json", NULL);
  path = g_build_filename (folder, name, NULL);
  if (!has_entry (folder, index) && is_new (walk, path) && may_look (walk, path))
    add_candidate (walk, path, g_error_new (SORA_MODEL_ERROR, SORA_MODEL_ERROR_NOT_FOUND,
            "%s is one of several files of a model, but their index, %s, is not beside it", path, index));
}

static gint
compare_names (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const gchar * const *) a, *(const gchar * const *) b);
}

/* (transfer full) (element-type filename): names in @folder that are not hidden, sorted; NULL with an error */
static GPtrArray *
list_names (const gchar *folder, GError **error)
{
  g_autoptr (GDir) dir = g_dir_open (folder, 0, error);
  GPtrArray *names;
  const gchar *name;

  if (!dir)
    return NULL;
  names = g_ptr_array_new_with_free_func (g_free);
  while ((name = g_dir_read_name (dir))) {
    if (*name != '.')
      g_ptr_array_add (names, g_strdup (name));
  }
  g_ptr_array_sort (names, compare_names);
  return names;
}

/* Whether the one transformer in @folder and Wan's config.json are one model, or its two folders for experts are */
static gboolean
is_wan_model (Walk *walk, const gchar *folder, GPtrArray *names)
{
  guint n = 0;

  if (!sora_is_wan_folder (folder))
    return FALSE;
  for (guint i = 0; i < names->len; i++) {
    g_autofree gchar *path = g_build_filename (folder, names->pdata[i], NULL);
    gboolean readable = sora_is_weight_file_name (names->pdata[i]) && !sora_is_special_file (path);
    g_autoptr (SoraWeightFile) file = readable ? sora_weight_cache_open (walk->cache, path, NULL) : NULL;
    n += g_str_equal (names->pdata[i], "high_noise_model");
    n += file && sora_weights_recognise (file) == SORA_WEIGHTS_TRANSFORMER;
  }
  return n == 1;
}

static gboolean
is_comfyui (const gchar *folder)
{
  return has_entry (folder, "diffusion_models") || has_entry (folder, "unet");
}

static void look_at_folder (Walk *walk, const gchar *path, guint depth);

/* Files before folders, each by name */
static void
look_inside (Walk *walk, const gchar *folder, GPtrArray *names, guint depth)
{
  gboolean transformers_only = is_comfyui (folder);

  for (guint i = 0; i < names->len; i++) {
    g_autofree gchar *path = g_build_filename (folder, names->pdata[i], NULL);
    if (g_file_test (path, G_FILE_TEST_IS_DIR) || sora_is_special_file (path))
      continue;
    if (sora_is_weight_file_name (names->pdata[i]))
      look_at_file (walk, path);
    else
      look_at_shard (walk, folder, names->pdata[i]);
  }
  for (guint i = 0; i < names->len && depth < MAX_DEPTH; i++) {
    g_autofree gchar *path = g_build_filename (folder, names->pdata[i], NULL);
    if (g_file_test (path, G_FILE_TEST_IS_DIR)
        && (!transformers_only || g_strv_contains (sora_transformer_folders, names->pdata[i])))
      look_at_folder (walk, path, depth + 1);
  }
}

static void
look_at_folder (Walk *walk, const gchar *path, guint depth)
{
  g_autoptr (GPtrArray) names = NULL;
  g_autoptr (GError) error = NULL;

  if (!is_new (walk, path) || !may_look (walk, path))
    return;
  names = list_names (path, &error);
  if (!names)
    add_candidate (walk, path, g_error_new_literal (SORA_MODEL_ERROR, SORA_MODEL_ERROR_NOT_FOUND, error->message));
  else if (has_entry (path, "model_index.json") || is_wan_model (walk, path, names))
    add_candidate (walk, path, NULL);
  else
    look_inside (walk, path, names, depth);
}

GPtrArray *
sora_catalogue_walk (const gchar *const *places, guint n_required, guint max_entries, SoraWeightCache *cache)
{
  g_autoptr (GHashTable) seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  Walk walk = { .cache = cache, .candidates = g_ptr_array_new_with_free_func ((GDestroyNotify) candidate_free), .seen = seen,
    .max_entries = max_entries };

  for (guint i = 0; places[i]; i++) {
    walk.place = i;
    walk.n_entries = 0;
    if (g_file_test (places[i], G_FILE_TEST_IS_REGULAR))
      look_at_file (&walk, places[i]);
    else if (i < n_required || g_file_test (places[i], G_FILE_TEST_EXISTS))
      look_at_folder (&walk, places[i], 0);
  }
  return walk.candidates;
}
