/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How the files of two experts are called: one for high noise and one for low, else alike. */
#include "model-experts.h"

#define WORDS "(?i:high|low)(?=(?i:[-_ ]?noise))|(?<![A-Za-z])(?:HIGH|LOW)(?![A-Za-z])"

/* The words that may be found, and their opposites; another mixture of cases counts as the first. */
static const gchar *const opposites[][2] = { { "high", "low" }, { "High", "Low" }, { "HIGH", "LOW" } };

/* (transfer full): FOLDER/NAME of @path; *@rest: what is before it */
static gchar *
split (const gchar *path, gchar **rest)
{
  g_autofree gchar *name = g_path_get_basename (path), *folder = g_path_get_dirname (path), *last = g_path_get_basename (folder);

  *rest = g_path_get_dirname (folder);
  return g_build_filename (last, name, NULL);
}

/* (transfer full): the first such word, or NULL */
static gchar *
find_word (const gchar *path)
{
  g_autoptr (GRegex) regex = g_regex_new (WORDS, 0, 0, NULL);
  g_autoptr (GMatchInfo) match = NULL;
  g_autofree gchar *rest = NULL, *tail = split (path, &rest);

  return g_regex_match (regex, tail, 0, &match) ? g_match_info_fetch (match, 0) : NULL;
}

gboolean
sora_expert_is_named (const gchar *path)
{
  g_autofree gchar *word = find_word (path);

  return word != NULL;
}

gboolean
sora_expert_is_low (const gchar *path)
{
  g_autofree gchar *word = find_word (path);

  return word && g_ascii_strcasecmp (word, "low") == 0;
}

static gboolean
append_opposite (const GMatchInfo *match, GString *result, gpointer user_data)
{
  g_autofree gchar *word = g_match_info_fetch (match, 0);
  guint from = g_ascii_strcasecmp (word, "high") == 0 ? 0 : 1, style = 0;

  for (guint i = 0; i < G_N_ELEMENTS (opposites); i++) {
    if (g_str_equal (word, opposites[i][from]))
      style = i;
  }
  g_string_append (result, opposites[style][1 - from]);
  return FALSE;
}

/* (transfer full): @path with what is before the word in the file's name turned, A_HIGH for A-HIGH and back; NULL: there is neither */
static gchar *
turn_separator (const gchar *path)
{
  g_autoptr (GRegex) regex = g_regex_new ("[-_](?=(?:" WORDS ")[^/]*$)", 0, 0, NULL);
  g_autoptr (GMatchInfo) match = NULL;
  gchar *turned;
  gint at;

  if (!g_regex_match (regex, path, 0, &match) || !g_match_info_fetch_pos (match, 0, &at, NULL))
    return NULL;
  turned = g_strdup (path);
  turned[at] = path[at] == '-' ? '_' : '-';
  return turned;
}

/* Some pairs (Wan2_2-T2V-A14B_HIGH and Wan2_2-T2V-A14B-LOW) differ in what is before the word too; that counts if nothing else is there. */
gchar *
sora_expert_get_other (const gchar *path)
{
  g_autoptr (GRegex) regex = g_regex_new (WORDS, 0, 0, NULL);
  g_autofree gchar *rest = NULL, *tail = split (path, &rest), *opposite = NULL, *other = NULL, *turned = NULL;

  if (!sora_expert_is_named (path))
    return NULL;
  opposite = g_regex_replace_eval (regex, tail, -1, 0, 0, append_opposite, NULL, NULL);
  other = g_build_filename (rest, opposite, NULL);
  turned = turn_separator (other);
  if (turned && !g_file_test (other, G_FILE_TEST_EXISTS) && g_file_test (turned, G_FILE_TEST_EXISTS))
    return g_steal_pointer (&turned);
  return g_steal_pointer (&other);
}
