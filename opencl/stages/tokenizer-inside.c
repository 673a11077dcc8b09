/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tokenizers that lie in a text encoder's file: a sentencepiece model as a tensor of bytes (ComfyUI), or taken apart into metadata (GGUF),
 * from which it is put together again.
 *
 * A sentencepiece model is a protocol buffer. The library keeps the classes of its messages to itself and takes a model as bytes, so the
 * dozen fields that count are written here as protocol buffers are encoded: a message is a row of fields, each a number with a kind of
 * value (0: an integer, 2: so many bytes, 5: 4 bytes) and then the value; integers are seven bits a byte, the lowest first. */

#include "stages/tokenizer.h"

#include <string.h>

#define TENSOR "spiece_model"

enum { KIND_INTEGER = 0, KIND_BYTES = 2, KIND_FLOAT = 5 };

/* Numbers of the fields in sentencepiece_model.proto */
enum { MODEL_PIECES = 1, MODEL_TRAINER = 2, MODEL_NORMALIZER = 3 };
enum { PIECE_TEXT = 1, PIECE_SCORE = 2, PIECE_TYPE = 3 };
enum { TRAINER_MODEL_TYPE = 3, TRAINER_VOCAB_SIZE = 4, TRAINER_BYTE_FALLBACK = 35, TRAINER_UNK_PIECE = 45, TRAINER_EOS_PIECE = 47,
  TRAINER_PAD_PIECE = 48 };
enum { NORMALIZER_CHARSMAP = 2, NORMALIZER_DUMMY_PREFIX = 3, NORMALIZER_EXTRA_WHITESPACES = 4 };

#define UNIGRAM 1               /* of the model types */
#define BYTE 6                  /* of the types of pieces, which are GGUF's types of tokens */

static void
put_integer (GByteArray *message, guint64 value)
{
  do {
    guint8 byte = (value & 0x7f) | (value > 0x7f ? 0x80 : 0);

    g_byte_array_append (message, &byte, 1);
    value >>= 7;
  } while (value > 0);
}

static void
put_integer_field (GByteArray *message, guint field, guint64 value)
{
  put_integer (message, field << 3 | KIND_INTEGER);
  put_integer (message, value);
}

static void
put_bytes_field (GByteArray *message, guint field, gconstpointer data, gsize size)
{
  put_integer (message, field << 3 | KIND_BYTES);
  put_integer (message, size);
  g_byte_array_append (message, data, size);
}

static void
put_float_field (GByteArray *message, guint field, gfloat value)
{
  guint32 bits;

  memcpy (&bits, &value, sizeof (bits));
  bits = GUINT32_TO_LE (bits);
  put_integer (message, field << 3 | KIND_FLOAT);
  g_byte_array_append (message, (const guint8 *) &bits, sizeof (bits));
}

/* What the metadata say */
typedef struct {
  GVariant *tokens, *scores, *types;    /* "as", "ad", "ai" of one length */
  const gchar **texts;          /* [n] of tokens */
  gsize n;
} Vocabulary;

static void
vocabulary_clear (Vocabulary *vocabulary)
{
  g_clear_pointer (&vocabulary->tokens, g_variant_unref);
  g_clear_pointer (&vocabulary->scores, g_variant_unref);
  g_clear_pointer (&vocabulary->types, g_variant_unref);
  g_clear_pointer (&vocabulary->texts, g_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Vocabulary, vocabulary_clear)

static gboolean
fail (SoraWeightFile *file, GError **error, const gchar *what)
{
  g_set_error (error, SORA_MODEL_ERROR, SORA_MODEL_ERROR_FORMAT,
      "%s: its tokenizer cannot be used: %s; put UMT5's spiece.model beside it, or name one as the tokenizer",
      sora_weight_file_get_path (file), what);
  return FALSE;
}

/* The metadata value @key of exactly @type: (transfer full), NULL if there is none */
static GVariant *
get_metadata (SoraWeightFile *file, const gchar *key, const gchar *type)
{
  g_autoptr (GVariant) value = sora_weight_file_get_metadata (file, key);

  return value && g_variant_is_of_type (value, G_VARIANT_TYPE (type)) ? g_steal_pointer (&value) : NULL;
}

static gboolean
get_vocabulary (Vocabulary *vocabulary, SoraWeightFile *file, GError **error)
{
  vocabulary->tokens = get_metadata (file, "tokenizer.ggml.tokens", "as");
  vocabulary->scores = get_metadata (file, "tokenizer.ggml.scores", "ad");
  vocabulary->types = get_metadata (file, "tokenizer.ggml.token_type", "ai");
  if (!vocabulary->tokens || !vocabulary->scores || !vocabulary->types)
    return fail (file, error, "tokens, scores or types are missing in its metadata, or of another type than they should be");
  vocabulary->n = g_variant_n_children (vocabulary->tokens);
  if (g_variant_n_children (vocabulary->scores) != vocabulary->n || g_variant_n_children (vocabulary->types) != vocabulary->n)
    return fail (file, error, "it has not as many scores and types as tokens");
  vocabulary->texts = g_variant_get_strv (vocabulary->tokens, NULL);
  return TRUE;
}

/* Returns: whether any piece stands for a byte: characters without a piece of their own are then made up of those */
static gboolean
put_pieces (GByteArray *model, const Vocabulary *vocabulary)
{
  gsize n;
  const gdouble *scores = g_variant_get_fixed_array (vocabulary->scores, &n, sizeof (*scores));
  const gint32 *types = g_variant_get_fixed_array (vocabulary->types, &n, sizeof (*types));
  g_autoptr (GByteArray) piece = g_byte_array_new ();
  gboolean has_bytes = FALSE;

  for (gsize i = 0; i < vocabulary->n; i++) {
    g_byte_array_set_size (piece, 0);
    put_bytes_field (piece, PIECE_TEXT, vocabulary->texts[i], strlen (vocabulary->texts[i]));
    put_float_field (piece, PIECE_SCORE, scores[i]);
    put_integer_field (piece, PIECE_TYPE, (guint32) types[i]);
    put_bytes_field (model, MODEL_PIECES, piece->data, piece->len);
    has_bytes |= types[i] == BYTE;
  }
  return has_bytes;
}

/* The text of the token whose number @key has; sentencepiece knows its special pieces by their texts. */
static void
put_special_piece (GByteArray *trainer, guint field, SoraWeightFile *file, const gchar *key, const Vocabulary *vocabulary)
{
  g_autoptr (GVariant) id = get_metadata (file, key, "u");

  if (id && g_variant_get_uint32 (id) < vocabulary->n) {
    const gchar *text = vocabulary->texts[g_variant_get_uint32 (id)];

    put_bytes_field (trainer, field, text, strlen (text));
  }
}

static void
put_trainer (GByteArray *model, SoraWeightFile *file, const Vocabulary *vocabulary, gboolean byte_fallback)
{
  g_autoptr (GByteArray) trainer = g_byte_array_new ();

  put_integer_field (trainer, TRAINER_MODEL_TYPE, UNIGRAM);
  put_integer_field (trainer, TRAINER_VOCAB_SIZE, vocabulary->n);
  put_integer_field (trainer, TRAINER_BYTE_FALLBACK, byte_fallback);
  put_special_piece (trainer, TRAINER_UNK_PIECE, file, "tokenizer.ggml.unknown_token_id", vocabulary);
  put_special_piece (trainer, TRAINER_EOS_PIECE, file, "tokenizer.ggml.eos_token_id", vocabulary);
  put_special_piece (trainer, TRAINER_PAD_PIECE, file, "tokenizer.ggml.padding_token_id", vocabulary);
  put_bytes_field (model, MODEL_TRAINER, trainer->data, trainer->len);
}

/* Where the metadata say nothing, sentencepiece's default counts. */
static void
put_flag (GByteArray *normalizer, guint field, SoraWeightFile *file, const gchar *key)
{
  g_autoptr (GVariant) value = get_metadata (file, key, "b");

  if (value)
    put_integer_field (normalizer, field, g_variant_get_boolean (value));
}

/* (transfer full): the compiled table of characters, which writers have as bytes of either sign; NULL if there is none */
static GByteArray *
get_charsmap (SoraWeightFile *file)
{
  g_autoptr (GVariant) bytes = get_metadata (file, "tokenizer.ggml.precompiled_charsmap", "ay");
  g_autoptr (GVariant) numbers = get_metadata (file, "tokenizer.ggml.precompiled_charsmap", "an");
  GByteArray *charsmap = bytes || numbers ? g_byte_array_new () : NULL;
  gsize n = 0;

  if (bytes) {
    const guint8 *data = g_variant_get_fixed_array (bytes, &n, 1);

    g_byte_array_append (charsmap, data, n);
  } else if (numbers) {
    const gint16 *data = g_variant_get_fixed_array (numbers, &n, sizeof (*data));

    g_byte_array_set_size (charsmap, n);
    for (gsize i = 0; i < n; i++)
      charsmap->data[i] = data[i];
  }
  return charsmap;
}

static void
put_normalizer (GByteArray *model, SoraWeightFile *file)
{
  g_autoptr (GByteArray) normalizer = g_byte_array_new (), charsmap = get_charsmap (file);

  if (charsmap)
    put_bytes_field (normalizer, NORMALIZER_CHARSMAP, charsmap->data, charsmap->len);
  put_flag (normalizer, NORMALIZER_DUMMY_PREFIX, file, "tokenizer.ggml.add_space_prefix");
  put_flag (normalizer, NORMALIZER_EXTRA_WHITESPACES, file, "tokenizer.ggml.remove_extra_whitespaces");
  put_bytes_field (model, MODEL_NORMALIZER, normalizer->data, normalizer->len);
}

static gboolean
is_in_metadata (SoraWeightFile *file)
{
  g_autoptr (GVariant) model = get_metadata (file, "tokenizer.ggml.model", "s");

  return model && g_str_equal (g_variant_get_string (model, NULL), "t5");
}

gboolean
sora_tokenizer_is_inside (SoraWeightFile *file)
{
  return sora_weight_file_peek_octets (file, TENSOR) || is_in_metadata (file);
}

SoraTokenizer *
sora_tokenizer_new_from_inside (SoraWeightFile *file, GError **error)
{
  const gchar *path = sora_weight_file_get_path (file);
  GBytes *octets = sora_weight_file_peek_octets (file, TENSOR);
  g_auto (Vocabulary) vocabulary = { NULL };
  g_autoptr (GByteArray) model = NULL;

  if (octets)
    return sora_tokenizer_new_from_data (g_bytes_get_data (octets, NULL), g_bytes_get_size (octets), path, error);
  if (!get_vocabulary (&vocabulary, file, error))
    return NULL;
  model = g_byte_array_new ();
  put_trainer (model, file, &vocabulary, put_pieces (model, &vocabulary));
  put_normalizer (model, file);
  return sora_tokenizer_new_from_data (model->data, model->len, path, error);
}
