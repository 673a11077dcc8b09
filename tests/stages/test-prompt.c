/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Cleaning of prompts against ftfy and Python's html (tests/reference/prompt.py), text by text, and prompts that were made to last. */

#include <json-glib/json-glib.h>
#include <string.h>

#include "stages/prompt.h"
#include "stages/tokenizer.h"

static void
test_golden (void)
{
  g_autofree gchar *path = g_build_filename (g_getenv ("SORA_TEST_GOLDEN"), "prompt.json", NULL);
  g_autoptr (JsonParser) parser = json_parser_new ();
  g_autoptr (GError) error = NULL;
  JsonArray *cases;

  json_parser_load_from_file (parser, path, &error);
  g_assert_no_error (error);
  cases = json_node_get_array (json_parser_get_root (parser));
  g_assert_cmpuint (json_array_get_length (cases), >=, 30);
  for (guint i = 0; i < json_array_get_length (cases); i++) {
    JsonObject *golden = json_array_get_object_element (cases, i);
    const gchar *prompt = json_object_get_string_member (golden, "prompt"), *expected = json_object_get_string_member (golden, "clean");
    g_autofree gchar *clean = sora_prompt_clean_wan (prompt), *again = sora_prompt_collapse_spaces (clean);

    if (strcmp (clean, expected) != 0) {
      g_test_message ("\"%s\": expected \"%s\", found \"%s\"", prompt, expected, clean);
      g_test_fail ();
    }
    g_assert_cmpstr (again, ==, clean);
  }
}

static void
test_spaces (void)
{
  g_autofree gchar *text = sora_prompt_collapse_spaces ("\t a &amp;\xe3\x80\x80\xe2\x80\x9c" "b \x1c\n"), *none = sora_prompt_collapse_spaces (" \n");

  g_assert_cmpstr (text, ==, "a &amp; \xe2\x80\x9c" "b");
  g_assert_cmpstr (none, ==, "");
}

/* A good deal of one level of escapes on the other, of different references, of lines, of what may begin a reference. What grew with the square
 * of it would run into the test's time limit, with sanitizers at the latest. */
static void
test_large (void)
{
  static const gchar *const pieces[] = { "amp;", "&#%u;", "\n", "&", "&amp;", "\xef\xac\x83", "<" };

  for (guint i = 0; i < G_N_ELEMENTS (pieces); i++) {
    g_autoptr (GString) prompt = g_string_new ("&");
    g_autofree gchar *clean = NULL;
    gint64 start = g_get_monotonic_time ();

    for (guint j = 160; prompt->len < 50000; j++) {
      if (i == 1)
        g_string_append_printf (prompt, "&#%u;", j % 0x10000);
      else
        g_string_append (prompt, pieces[i]);
    }
    clean = sora_prompt_clean_wan (prompt->str);
    g_test_message ("%s: %.2f s", pieces[i], (g_get_monotonic_time () - start) / 1e6);
    g_assert_true (g_utf8_validate (clean, -1, NULL));
    g_assert_cmpuint (strlen (clean), <=, 2 * prompt->len);
  }
}

static gint32 *
encode (SoraTokenizer *tokenizer, const gchar *prompt, guint *n)
{
  g_autoptr (GError) error = NULL;
  gint32 *ids = sora_tokenizer_encode (tokenizer, prompt, 512, n, &error);

  g_assert_no_error (error);
  return ids;
}

/* A tokenizer cleans of white space until it is told otherwise. */
static void
test_tokenizer (void)
{
  g_autofree gchar *path = g_build_filename (g_getenv ("SORA_TEST_GOLDEN"), "tiny-model", "tokenizer", "spiece.model", NULL);
  g_autoptr (SoraTokenizer) tokenizer = sora_tokenizer_new (path, NULL);
  g_autofree gint32 *plain = NULL, *escaped = NULL, *cleaned = NULL;
  guint n_plain, n_escaped, n_cleaned;

  g_assert_nonnull (tokenizer);
  plain = encode (tokenizer, "a red cat", &n_plain);
  escaped = encode (tokenizer, "a&nbsp;&#114;ed cat", &n_escaped);
  sora_tokenizer_set_cleaning (tokenizer, SORA_PROMPT_WAN);
  cleaned = encode (tokenizer, "a&nbsp;&#114;ed cat", &n_cleaned);
  g_assert_cmpmem (plain, n_plain * sizeof (*plain), cleaned, n_cleaned * sizeof (*cleaned));
  g_assert_cmpuint (n_escaped, >, n_plain);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/prompt/golden", test_golden);
  g_test_add_func ("/prompt/spaces", test_spaces);
  g_test_add_func ("/prompt/large", test_large);
  g_test_add_func ("/prompt/tokenizer", test_tokenizer);
  return g_test_run ();
}
