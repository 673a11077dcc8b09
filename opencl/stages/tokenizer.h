/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Prompt to token ids: cleaning, then sentencepiece, then T5's end token. */
#pragma once

#include <glib.h>
#include <sora/error.h>
#include "weights/config.h"
#include "weights/weight-file.h"

G_BEGIN_DECLS

/* Immutable and safe to share. */
typedef struct _SoraTokenizer SoraTokenizer;

SoraTokenizer *sora_tokenizer_new (const gchar *spiece_path, GError **error);
/* From the same in memory, which is not kept; @path is for messages. */
SoraTokenizer *sora_tokenizer_new_from_data (const void *data, gsize length, const gchar *path, GError **error);
/* Whether a text encoder's @file has a tokenizer in it, as a tensor of bytes (ComfyUI) or of T5's kind in the metadata (GGUF); and that
 * tokenizer, which does not need @file any more. */
gboolean sora_tokenizer_is_inside (SoraWeightFile *file);
SoraTokenizer *sora_tokenizer_new_from_inside (SoraWeightFile *file, GError **error);
void sora_tokenizer_free (SoraTokenizer *tokenizer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SoraTokenizer, sora_tokenizer_free)

/* How prompts are cleaned, of white space at first; to be set before the tokenizer is shared. */
void sora_tokenizer_set_cleaning (SoraTokenizer *tokenizer, SoraPromptCleaning cleaning);
guint sora_tokenizer_get_vocab_size (SoraTokenizer *tokenizer);

/**
 * sora_tokenizer_encode:
 * @max_tokens: a longer prompt is cut; the end token is always the last
 *
 * Returns: (transfer full): @n_tokens ids, at least the end token; or %NULL with SORA_STREAM_ERROR_PROMPT (not UTF-8, over 1 MB).
 */
gint32 *sora_tokenizer_encode (SoraTokenizer *tokenizer, const gchar *prompt, guint max_tokens, guint *n_tokens, GError **error);

G_END_DECLS
