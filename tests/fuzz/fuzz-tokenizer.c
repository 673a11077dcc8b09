/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Any bytes opened as a text encoder's file with a tokenizer in it, else as a tokenizer: an error, or a prompt's tokens. For libFuzzer:
 * scripts/fuzz. */

#include "stages/tokenizer.h"

#define PATH "/nonexistent/fuzz"

int LLVMFuzzerTestOneInput (const guint8 *data, size_t size);

static SoraTokenizer *
open_tokenizer (const guint8 *data, size_t size, GError **error)
{
  g_autoptr (GBytes) bytes = g_bytes_new (data, size);
  g_autoptr (SoraWeightFile) file = sora_weight_file_open_bytes (bytes, PATH, NULL);

  return file ? sora_tokenizer_new_from_inside (file, error) : sora_tokenizer_new_from_data (data, size, PATH, error);
}

int
LLVMFuzzerTestOneInput (const guint8 *data, size_t size)
{
  g_autoptr (GError) error = NULL, refused = NULL;
  g_autoptr (SoraTokenizer) tokenizer = open_tokenizer (data, size, &error);
  g_autofree gint32 *tokens = NULL;
  guint n_tokens;

  g_assert ((tokenizer == NULL) == (error != NULL));
  if (!tokenizer)
    return 0;
  tokens = sora_tokenizer_encode (tokenizer, "a red balloon \xf0\x9f\x8e\x88 over \xe5\x9f\x8e\xe5\xb8\x82", 16, &n_tokens, &refused);
  g_assert ((tokens == NULL) == (refused != NULL));
  g_assert (!tokens || (n_tokens >= 1 && n_tokens <= 16));
  for (guint i = 0; tokens && i < n_tokens; i++)
    g_assert (tokens[i] >= 0 && (guint) tokens[i] < sora_tokenizer_get_vocab_size (tokenizer));
  return 0;
}
