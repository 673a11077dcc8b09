// SPDX-License-Identifier: LGPL-2.1-or-later
// The tokenizer: a C face of sentencepiece that lets no exception out.

#include "stages/tokenizer.h"
#include "stages/prompt.h"

#include <exception>
#include <string>
#include <vector>

#include <sentencepiece_processor.h>

static constexpr gsize max_prompt = 1024 * 1024;        // bytes
static constexpr gsize max_model = 256 * 1024 * 1024;   // of a vocabulary; UMT5's has 4.5 MB

struct _SoraTokenizer {
  sentencepiece::SentencePieceProcessor processor;
  SoraPromptCleaning cleaning = SORA_PROMPT_WHITESPACE;
};

static void
set_load_error (GError **error, const gchar *path, const std::string &what)
{
  g_set_error (error, SORA_MODEL_ERROR, SORA_MODEL_ERROR_FORMAT, "%s: not a sentencepiece model: %s", path, what.c_str ());
}

static gboolean
load (SoraTokenizer *tokenizer, const void *data, gsize length, const gchar *path, GError **error)
{
  if (length > max_model) {
    set_load_error (error, path, "too large");
    return FALSE;
  }
  auto status = tokenizer->processor.LoadFromSerializedProto (absl::string_view (static_cast<const char *> (data), length));
  if (!status.ok ()) {
    set_load_error (error, path, status.ToString ());
    return FALSE;
  }
  if (tokenizer->processor.eos_id () < 0) {
    g_set_error (error, SORA_MODEL_ERROR, SORA_MODEL_ERROR_UNSUPPORTED, "%s: the vocabulary has no end token, which UMT5 needs", path);
    return FALSE;
  }
  return TRUE;
}

SoraTokenizer *
sora_tokenizer_new_from_data (const void *data, gsize length, const gchar *path, GError **error)
{
  try {
    g_autoptr (SoraTokenizer) tokenizer = new SoraTokenizer;
    if (!load (tokenizer, data, length, path, error))
      return nullptr;
    return static_cast<SoraTokenizer *> (g_steal_pointer (&tokenizer));
  } catch (const std::exception &exception) {
    set_load_error (error, path, exception.what ());
    return nullptr;
  }
}

SoraTokenizer *
sora_tokenizer_new (const gchar *spiece_path, GError **error)
{
  g_autoptr (GError) cause = nullptr;
  g_autoptr (GMappedFile) file = g_mapped_file_new (spiece_path, FALSE, &cause);

  if (!file) {
    g_set_error (error, SORA_MODEL_ERROR, SORA_MODEL_ERROR_NOT_FOUND, "%s", cause->message);
    return nullptr;
  }
  return sora_tokenizer_new_from_data (g_mapped_file_get_contents (file), g_mapped_file_get_length (file), spiece_path, error);
}

void
sora_tokenizer_free (SoraTokenizer *tokenizer)
{
  delete tokenizer;
}

void
sora_tokenizer_set_cleaning (SoraTokenizer *tokenizer, SoraPromptCleaning cleaning)
{
  tokenizer->cleaning = cleaning;
}

guint
sora_tokenizer_get_vocab_size (SoraTokenizer *tokenizer)
{
  return tokenizer->processor.GetPieceSize ();
}

static gboolean
check_prompt (const gchar *prompt, GError **error)
{
  if (strnlen (prompt, max_prompt + 1) > max_prompt) {
    g_set_error_literal (error, SORA_STREAM_ERROR, SORA_STREAM_ERROR_PROMPT, "The prompt is longer than 1 MB");
    return FALSE;
  }
  if (!g_utf8_validate (prompt, -1, nullptr)) {
    g_set_error_literal (error, SORA_STREAM_ERROR, SORA_STREAM_ERROR_PROMPT, "The prompt is not valid UTF-8");
    return FALSE;
  }
  return TRUE;
}

static gint32 *
encode (SoraTokenizer *tokenizer, const gchar *prompt, guint max_tokens, guint *n_tokens, GError **error)
{
  g_autofree gchar *text = tokenizer->cleaning == SORA_PROMPT_WAN ? sora_prompt_clean_wan (prompt) : sora_prompt_collapse_spaces (prompt);
  std::vector<int> ids;
  auto status = tokenizer->processor.Encode (text, &ids);

  if (!status.ok ()) {
    g_set_error (error, SORA_STREAM_ERROR, SORA_STREAM_ERROR_PROMPT, "The prompt cannot be tokenized: %s", status.ToString ().c_str ());
    return nullptr;
  }
  guint n = MIN (ids.size (), max_tokens - 1);
  gint32 *tokens = g_new (gint32, n + 1);
  for (guint i = 0; i < n; i++)
    tokens[i] = ids[i];
  tokens[n] = tokenizer->processor.eos_id ();
  *n_tokens = n + 1;
  return tokens;
}

gint32 *
sora_tokenizer_encode (SoraTokenizer *tokenizer, const gchar *prompt, guint max_tokens, guint *n_tokens, GError **error)
{
  *n_tokens = 0;
  g_return_val_if_fail (max_tokens > 0, nullptr);
  if (!check_prompt (prompt, error))
    return nullptr;
  try {
    return encode (tokenizer, prompt, max_tokens, n_tokens, error);
  } catch (const std::exception &exception) {
    g_set_error (error, SORA_STREAM_ERROR, SORA_STREAM_ERROR_PROMPT, "The prompt cannot be tokenized: %s", exception.what ());
    return nullptr;
  }
}
