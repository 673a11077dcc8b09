/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The tokenizer against transformers' T5Tokenizer (tests/reference/tokenizer.py), id by id, and what it refuses. */

#include <glib/gstdio.h>
#include <json-glib/json-glib.h>
#include <string.h>

#include "stages/tokenizer.h"

static void
check_case (SoraTokenizer *tokenizer, JsonObject *golden)
{
  const gchar *prompt = json_object_get_string_member (golden, "prompt");
  JsonArray *expected = json_object_get_array_member (golden, "ids");
  g_autoptr (GError) error = NULL;
  guint n_tokens;
  g_autofree gint32 *ids =
      sora_tokenizer_encode (tokenizer, prompt, json_object_get_int_member (golden, "max_tokens"), &n_tokens, &error);

  g_assert_no_error (error);
  g_test_message ("%s", prompt);
  g_assert_cmpuint (n_tokens, ==, json_array_get_length (expected));
  for (guint i = 0; i < n_tokens; i++)
    g_assert_cmpint (ids[i], ==, json_array_get_int_element (expected, i));
}

/* (transfer full): the golden file @name of texts and ids */
static JsonParser *
load_golden (const gchar *name)
{
  g_autofree gchar *path = g_build_filename (g_getenv ("SORA_TEST_GOLDEN"), name, NULL);
  g_autoptr (GError) error = NULL;
  JsonParser *parser = json_parser_new ();

  json_parser_load_from_file (parser, path, &error);
  g_assert_no_error (error);
  return parser;
}

static const gchar *
golden_sum (JsonParser *golden)
{
  return json_object_get_string_member (json_node_get_object (json_parser_get_root (golden)), "sha256");
}

static void
check_cases (SoraTokenizer *tokenizer, JsonParser *golden)
{
  JsonArray *cases = json_object_get_array_member (json_node_get_object (json_parser_get_root (golden)), "cases");

  g_assert_cmpuint (json_array_get_length (cases), >=, 20);
  for (guint i = 0; i < json_array_get_length (cases); i++)
    check_case (tokenizer, json_array_get_object_element (cases, i));
}

/* The golden file belongs to one vocabulary only. */
static void
check_vocabulary (const gchar *path, JsonParser *golden)
{
  g_autofree gchar *data = NULL, *sum = NULL;
  gsize length;

  g_assert_true (g_file_get_contents (path, &data, &length, NULL));
  sum = g_compute_checksum_for_data (G_CHECKSUM_SHA256, (const guchar *) data, length);
  if (strcmp (sum, golden_sum (golden)) != 0)
    g_error ("%s has changed: run tests/reference/tokenizer.py again", path);
}

static void
check_golden (const gchar *name, const gchar *model)
{
  g_autofree gchar *path = g_build_filename (model, "tokenizer", "spiece.model", NULL);
  g_autoptr (JsonParser) golden = load_golden (name);
  g_autoptr (SoraTokenizer) tokenizer = NULL;
  g_autoptr (GError) error = NULL;

  check_vocabulary (path, golden);
  tokenizer = sora_tokenizer_new (path, &error);
  g_assert_no_error (error);
  check_cases (tokenizer, golden);
}

/* The ids of golden file @name with the vocabulary that @gguf has in its metadata */
static void
check_gguf (const gchar *name, const gchar *gguf)
{
  g_autofree gchar *path = g_build_filename (g_getenv ("SORA_TEST_GOLDEN"), gguf, NULL);
  g_autoptr (JsonParser) golden = load_golden (name);
  g_autoptr (GError) error = NULL;
  g_autoptr (SoraWeightFile) file = sora_weight_file_open (path, &error);
  g_autoptr (GVariant) sum = file ? sora_weight_file_get_metadata (file, "test.sha256") : NULL;
  g_autoptr (SoraTokenizer) tokenizer = NULL;

  g_assert_no_error (error);
  if (strcmp (g_variant_get_string (sum, NULL), golden_sum (golden)) != 0)
    g_error ("%s is of another vocabulary: run tests/reference/tokenizer_gguf.py again", path);
  g_assert_true (sora_tokenizer_is_inside (file));
  tokenizer = sora_tokenizer_new_from_inside (file, &error);
  g_assert_no_error (error);
  g_clear_pointer (&file, sora_weight_file_free);
  check_cases (tokenizer, golden);
}

static gchar *
tiny_model (void)
{
  return g_build_filename (g_getenv ("SORA_TEST_GOLDEN"), "tiny-model", NULL);
}

static SoraTokenizer *
open_tiny (void)
{
  g_autofree gchar *model = tiny_model ();
  g_autofree gchar *path = g_build_filename (model, "tokenizer", "spiece.model", NULL);
  g_autoptr (GError) error = NULL;
  SoraTokenizer *tokenizer = sora_tokenizer_new (path, &error);

  g_assert_no_error (error);
  return tokenizer;
}

static void
test_tiny (void)
{
  g_autofree gchar *model = tiny_model ();
  check_golden ("tokenizer-tiny.json", model);
}

static void
test_embedded (void)
{
  const gchar *model = g_getenv ("SORA_TEST_MODEL");

  if (!model || !g_file_test (model, G_FILE_TEST_IS_DIR))
    g_test_skip ("no embedded model");
  else
    check_golden ("tokenizer-embedded.json", model);
}

/* With a table of characters, and pieces that are unused */
static void
test_gguf (void)
{
  check_gguf ("tokenizer-embedded.json", "tokenizer-embedded.gguf");
}

/* With pieces for bytes, special pieces that are called otherwise, one that a user has defined; and no space in front */
static void
test_gguf_bytes (void)
{
  check_gguf ("tokenizer-bytes.json", "tokenizer-bytes.gguf");
}

static void
assert_refused (SoraTokenizer *tokenizer, const gchar *prompt, const gchar *words)
{
  g_autoptr (GError) error = NULL;
  guint n_tokens = 99;

  g_assert_null (sora_tokenizer_encode (tokenizer, prompt, 8, &n_tokens, &error));
  g_assert_error (error, SORA_STREAM_ERROR, SORA_STREAM_ERROR_PROMPT);
  g_assert_nonnull (strstr (error->message, words));
  g_assert_cmpuint (n_tokens, ==, 0);
}

static void
test_bad_prompts (void)
{
  g_autoptr (SoraTokenizer) tokenizer = open_tiny ();
  g_autofree gchar *large = g_strnfill (1024 * 1024 + 1, 'a');
  g_autoptr (GError) error = NULL;
  guint n_tokens;

  assert_refused (tokenizer, "caf\xe9", "not valid UTF-8");
  assert_refused (tokenizer, "\xed\xa0\x80", "not valid UTF-8");        /* half of a surrogate pair */
  assert_refused (tokenizer, large, "longer than 1 MB");
  large[1024 * 1024] = '\0';
  for (gsize i = 5; i < 1024 * 1024; i += 6)
    large[i] = ' ';
  g_free (sora_tokenizer_encode (tokenizer, large, 8, &n_tokens, &error));
  g_assert_no_error (error);
  g_assert_cmpuint (n_tokens, ==, 8);
}

/* one token is the end token alone */
static void
test_one_token (void)
{
  g_autoptr (SoraTokenizer) tokenizer = open_tiny ();
  guint n_tokens;
  g_autofree gint32 *ids = sora_tokenizer_encode (tokenizer, "a red balloon", 1, &n_tokens, NULL);

  g_assert_cmpuint (n_tokens, ==, 1);
  g_assert_cmpint (ids[0], ==, 1);
}

static void
test_bad_files (void)
{
  g_autofree gchar *path = NULL;
  g_autoptr (GError) error = NULL;
  int fd = g_file_open_tmp ("sora-test-XXXXXX", &path, NULL);

  g_close (fd, NULL);
  g_assert_null (sora_tokenizer_new ("/nonexistent/spiece.model", &error));
  g_assert_error (error, SORA_MODEL_ERROR, SORA_MODEL_ERROR_NOT_FOUND);
  g_clear_error (&error);
  g_assert_null (sora_tokenizer_new (path, &error));
  g_assert_error (error, SORA_MODEL_ERROR, SORA_MODEL_ERROR_FORMAT);
  g_clear_error (&error);
  g_assert_true (g_file_set_contents (path, "this is no protocol buffer", -1, NULL));
  g_assert_null (sora_tokenizer_new (path, &error));
  g_assert_error (error, SORA_MODEL_ERROR, SORA_MODEL_ERROR_FORMAT);
  g_assert_nonnull (strstr (error->message, path));
  g_unlink (path);
}

/* The golden vocabulary with one word of its metadata replaced by another of the same length */
static void
assert_gguf_refused (const gchar *from, const gchar *to, const gchar *words)
{
  g_autofree gchar *path = g_build_filename (g_getenv ("SORA_TEST_GOLDEN"), "tokenizer-bytes.gguf", NULL), *data = NULL;
  g_autoptr (SoraWeightFile) file = NULL;
  g_autoptr (GBytes) bytes = NULL;
  g_autoptr (GError) error = NULL;
  gchar *at = NULL;
  gsize size;

  g_assert_true (g_file_get_contents (path, &data, &size, NULL));
  for (gsize i = 0; i + strlen (from) <= size && !at; i++)
    at = memcmp (data + i, from, strlen (from)) == 0 ? data + i : NULL;
  g_assert_nonnull (at);
  memcpy (at, to, strlen (to));
  bytes = g_bytes_new_static (data, size);
  file = sora_weight_file_open_bytes (bytes, "changed.gguf", &error);
  g_assert_no_error (error);
  if (!words) {
    g_assert_false (sora_tokenizer_is_inside (file));
    return;
  }
  g_assert_null (sora_tokenizer_new_from_inside (file, &error));
  g_assert_error (error, SORA_MODEL_ERROR, SORA_MODEL_ERROR_FORMAT);
  g_assert_nonnull (strstr (error->message, "changed.gguf: "));
  if (!strstr (error->message, words))
    g_error ("expected \"%s\" in \"%s\"", words, error->message);
}

static void
test_bad_gguf (void)
{
  assert_gguf_refused ("tokenizer.ggml.model", "tokenizer.ggml.modem", NULL);
  assert_gguf_refused ("tokenizer.ggml.scores", "tokenizer.ggml.scored", "missing in its metadata");
  assert_gguf_refused ("tokenizer.ggml.token_type", "tokenizer.ggml.token_typo", "missing in its metadata");
  assert_gguf_refused ("<0x41>", "<0x42>", "not a sentencepiece model");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/tokenizer/tiny", test_tiny);
  g_test_add_func ("/tokenizer/embedded", test_embedded);
  g_test_add_func ("/tokenizer/gguf", test_gguf);
  g_test_add_func ("/tokenizer/gguf-bytes", test_gguf_bytes);
  g_test_add_func ("/tokenizer/bad-gguf", test_bad_gguf);
  g_test_add_func ("/tokenizer/one-token", test_one_token);
  g_test_add_func ("/tokenizer/bad-prompts", test_bad_prompts);
  g_test_add_func ("/tokenizer/bad-files", test_bad_files);
  return g_test_run ();
}
