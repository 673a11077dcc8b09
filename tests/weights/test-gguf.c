/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* GGUF: metadata of every type, tensors of known and unknown types, and files that must be refused with an error that says why. */

#include <string.h>

#include "weight-support.h"

enum { UINT8, INT8, UINT16, INT16, UINT32, INT32, FLOAT32, BOOL, STRING, ARRAY, UINT64, INT64, FLOAT64 };
enum { F32 = 0, Q8_0 = 8, IQ4_NL = 20, I32 = 26 };

static void
put_string (GByteArray *bytes, const gchar *text)
{
  weight_test_put (bytes, 8, strlen (text));
  weight_test_put_text (bytes, text);
}

static GByteArray *
begin (guint version, guint64 n_tensors, guint64 n_metadata)
{
  GByteArray *bytes = g_byte_array_new ();

  weight_test_put_text (bytes, "GGUF");
  weight_test_put (bytes, 4, version);
  weight_test_put (bytes, 8, n_tensors);
  weight_test_put (bytes, 8, n_metadata);
  return bytes;
}

static void
put_info (GByteArray *bytes, const gchar *name, guint n_dims, guint64 fast, guint64 slow, guint type, guint64 offset)
{
  put_string (bytes, name);
  weight_test_put (bytes, 4, n_dims);
  for (guint i = 0; i < MIN (n_dims, 8); i++)
    weight_test_put (bytes, 8, i == 0 ? fast : i == 1 ? slow : 1);
  weight_test_put (bytes, 4, type);
  weight_test_put (bytes, 8, offset);
}

/* Zeros up to a multiple of @alignment, then @n bytes 0, 1, 2 ... */
static void
put_data (GByteArray *bytes, guint alignment, guint n)
{
  while (bytes->len % alignment != 0)
    weight_test_put (bytes, 1, 0);
  for (guint i = 0; i < n; i++)
    weight_test_put (bytes, 1, i);
}

static void
assert_refused (GByteArray *bytes, const gchar *words)
{
  weight_test_refused (bytes->data, bytes->len, SORA_MODEL_ERROR_FORMAT, words);
  g_byte_array_unref (bytes);
}

/* One tensor of floats and one of other type, in a file with an alignment of its own */
static GByteArray *
make_sound (guint version)
{
  GByteArray *bytes = begin (version, 3, 1);

  put_string (bytes, "general.alignment");
  weight_test_put (bytes, 4, UINT32);
  weight_test_put (bytes, 4, 64);
  put_info (bytes, "w", 2, 3, 2, F32, 64);
  put_info (bytes, "n", 1, 4, 0, I32, 0);
  put_info (bytes, "q", 1, 32, 0, IQ4_NL, 128);
  put_data (bytes, 64, 128 + 18);
  return bytes;
}

static void
test_sound (gconstpointer version)
{
  g_autoptr (GByteArray) bytes = make_sound (GPOINTER_TO_UINT (version));
  g_autoptr (GError) error = NULL;
  g_autoptr (SoraWeightFile) file = weight_test_open (bytes->data, bytes->len, &error);
  const SoraTensor *tensor;

  g_assert_no_error (error);
  tensor = sora_weight_file_find (file, &error, "w", 2, 2, 3);
  g_assert_no_error (error);
  g_assert_cmpint (tensor->data[0], ==, 64);
  g_assert_null (sora_weight_file_find (file, &error, "n", 1, 4));
  g_assert_error (error, SORA_MODEL_ERROR, SORA_MODEL_ERROR_WEIGHT);
  g_assert_nonnull (strstr (error->message, "dtype I32"));
  g_clear_error (&error);
  g_assert_null (sora_weight_file_find (file, &error, "q", 1, 32));
  g_assert_nonnull (strstr (error->message, "dtype IQ4_NL"));
}

static GVariant *
get (SoraWeightFile *file, const gchar *key, const gchar *type)
{
  GVariant *value = sora_weight_file_get_metadata (file, key);

  g_assert_nonnull (value);
  g_assert_cmpstr (g_variant_get_type_string (value), ==, type);
  return value;
}

#define ASSERT_NUMBER(file, key, type, getter, expected) G_STMT_START { \
    GVariant *value_ = get (file, key, type); \
    g_assert_true (getter (value_) == (expected)); \
    g_variant_unref (value_); \
  } G_STMT_END

/* What the gguf package wrote (tests/reference/weights.py) */
static void
test_metadata (void)
{
  g_autofree gchar *path = weight_test_golden ("text-encoder.gguf"), *arrays_text = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (SoraWeightFile) file = sora_weight_file_open (path, &error);
  g_autoptr (GVariant) text = NULL, tokens = NULL, scores = NULL, arrays = NULL;
  const gchar *token;

  g_assert_no_error (error);
  ASSERT_NUMBER (file, "test.uint8", "y", g_variant_get_byte, 200);
  ASSERT_NUMBER (file, "test.int8", "n", g_variant_get_int16, -100);
  ASSERT_NUMBER (file, "test.uint16", "q", g_variant_get_uint16, 60000);
  ASSERT_NUMBER (file, "test.int16", "n", g_variant_get_int16, -30000);
  ASSERT_NUMBER (file, "test.uint32", "u", g_variant_get_uint32, 4000000000u);
  ASSERT_NUMBER (file, "test.int32", "i", g_variant_get_int32, -2000000000);
  ASSERT_NUMBER (file, "test.float32", "d", g_variant_get_double, 1.5);
  ASSERT_NUMBER (file, "test.uint64", "t", g_variant_get_uint64, G_GUINT64_CONSTANT (1) << 63);
  ASSERT_NUMBER (file, "test.int64", "x", g_variant_get_int64, -(G_GINT64_CONSTANT (1) << 62));
  ASSERT_NUMBER (file, "test.float64", "d", g_variant_get_double, 0.1);
  ASSERT_NUMBER (file, "test.bool", "b", g_variant_get_boolean, TRUE);
  text = get (file, "test.string", "s");
  g_assert_cmpstr (g_variant_get_string (text, NULL), ==, "grün");
  tokens = get (file, "tokenizer.ggml.tokens", "as");
  g_assert_cmpuint (g_variant_n_children (tokens), ==, 3);
  g_variant_get_child (tokens, 2, "&s", &token);
  g_assert_cmpstr (token, ==, "▁a");
  scores = get (file, "tokenizer.ggml.scores", "ad");
  g_assert_cmpuint (g_variant_n_children (scores), ==, 3);
  arrays = get (file, "test.arrays", "av");
  arrays_text = g_variant_print (arrays, FALSE);
  g_assert_cmpstr (arrays_text, ==, "[<[1, 2]>, <[3]>]");
  g_assert_null (sora_weight_file_get_metadata (file, "test.none"));
}

/* One metadata value of @type, whose bytes are those of @value in @width */
static GByteArray *
make_value (guint type, guint width, guint64 value)
{
  GByteArray *bytes = begin (3, 0, 1);

  put_string (bytes, "k");
  weight_test_put (bytes, 4, type);
  weight_test_put (bytes, width, value);
  return bytes;
}

/* An array in an array, and so on */
static GByteArray *
make_nested (guint depth)
{
  GByteArray *bytes = make_value (ARRAY, 0, 0);

  for (guint i = 0; i < depth; i++) {
    weight_test_put (bytes, 4, ARRAY);
    weight_test_put (bytes, 8, 1);
  }
  return bytes;
}

static GByteArray *
make_array (guint type, guint64 n)
{
  GByteArray *bytes = make_value (ARRAY, 4, type);

  weight_test_put (bytes, 8, n);
  weight_test_put_text (bytes, "some bytes that are not enough");
  return bytes;
}

static void
test_bad_metadata (void)
{
  GByteArray *twice = begin (3, 0, 2), *not_text = make_value (STRING, 8, 1);

  weight_test_put (not_text, 1, 0xff);
  assert_refused (not_text, "not UTF-8");
  for (guint i = 0; i < 2; i++) {
    put_string (twice, "k");
    weight_test_put (twice, 4, UINT8);
    weight_test_put (twice, 1, 7);
  }
  assert_refused (twice, "key occurs twice");
  assert_refused (make_value (13, 8, 0), "unknown type");
  assert_refused (make_value (G_MAXUINT32, 8, 0), "unknown type");
  assert_refused (make_value (UINT64, 4, 0), "truncated");
  assert_refused (make_value (STRING, 8, G_MAXUINT64), "truncated");
  assert_refused (make_nested (3), "truncated");
  assert_refused (make_nested (1000), "nested too deeply");
  assert_refused (make_array (UINT8, 31), "truncated");
  assert_refused (make_array (UINT8, G_MAXUINT64), "more values");
  assert_refused (make_array (FLOAT64, G_GUINT64_CONSTANT (1) << 61), "more values");
  assert_refused (make_array (FLOAT64, 1 << 22), "truncated");
  assert_refused (make_array (STRING, (1 << 22) + 1), "more values");
  assert_refused (make_array (STRING, 1 << 22), "truncated");
  assert_refused (make_array (ARRAY, 1 << 22), "unknown type");
  assert_refused (make_array (99, 1), "unknown type");
  assert_refused (make_array (99, 0), "unknown type");
}

static GByteArray *
make_alignment (guint type, guint width, guint64 value)
{
  GByteArray *bytes = begin (3, 0, 1);

  put_string (bytes, "general.alignment");
  weight_test_put (bytes, 4, type);
  weight_test_put (bytes, width, value);
  return bytes;
}

static void
test_bad_header (void)
{
  assert_refused (begin (1, 0, 0), "version 1");
  assert_refused (begin (4, 0, 0), "neither version 2 nor 3");
  assert_refused (begin (0x03000000, 0, 0), "big-endian");
  assert_refused (begin (3, G_MAXUINT64, 0), "more tensors");
  assert_refused (begin (3, 0, G_MAXUINT64), "more tensors");
  assert_refused (begin (3, 1, 0), "truncated");
  assert_refused (begin (3, 0, 1), "truncated");
  assert_refused (make_alignment (UINT32, 4, 0), "alignment");
  assert_refused (make_alignment (UINT32, 4, 48), "alignment");
  assert_refused (make_alignment (UINT32, 4, 1u << 31), "alignment");
  assert_refused (make_alignment (UINT64, 8, 32), "alignment");
}

/* A tensor with these, in a file with 64 bytes of data */
static GByteArray *
make_tensor (const gchar *name, guint n_dims, guint64 fast, guint64 slow, guint type, guint64 offset)
{
  GByteArray *bytes = begin (3, 1, 0);

  put_info (bytes, name, n_dims, fast, slow, type, offset);
  put_data (bytes, 32, 64);
  return bytes;
}

static void
test_bad_tensors (void)
{
  g_autofree gchar *long_name = g_strnfill (600, 'x');
  GByteArray *twice = begin (3, 2, 0), *overlap = begin (3, 2, 0);

  put_info (twice, "w", 1, 4, 0, F32, 0);
  put_info (twice, "w", 1, 4, 0, F32, 32);
  put_data (twice, 32, 64);
  assert_refused (twice, "\"w\": it occurs twice");
  put_info (overlap, "a", 1, 10, 0, F32, 0);
  put_info (overlap, "b", 1, 4, 0, F32, 32);
  put_data (overlap, 32, 64);
  assert_refused (overlap, "\"b\" overlaps a");
  assert_refused (make_tensor ("w", 7, 1, 1, F32, 0), "more than 6");
  assert_refused (make_tensor ("w", G_MAXINT32, 1, 1, F32, 0), "more than 6");
  assert_refused (make_tensor ("w", 1, 17, 0, F32, 0), "beyond the file's 64 bytes");
  assert_refused (make_tensor ("w", 1, 1, 0, F32, 64), "beyond the file's 64 bytes");
  assert_refused (make_tensor ("w", 1, 1, 0, F32, G_MAXUINT64 - 31), "beyond the file's 64 bytes");
  assert_refused (make_tensor ("w", 1, 0, 0, F32, 96), "beyond the file's 64 bytes");
  assert_refused (make_tensor ("w", 1, 1, 0, F32, 16), "not aligned");
  assert_refused (make_tensor ("w", 2, G_MAXUINT32, G_GUINT64_CONSTANT (1) << 33, F32, 0), "overflows");
  assert_refused (make_tensor ("w", 1, G_GUINT64_CONSTANT (1) << 62, 0, F32, 0), "overflows");
  assert_refused (make_tensor ("w", 1, 33, 0, Q8_0, 0), "no whole blocks of Q8_0");
  assert_refused (make_tensor ("w", 2, 16, 2, Q8_0, 0), "no whole blocks of Q8_0");
  assert_refused (make_tensor ("\xff", 1, 1, 0, F32, 0), "not UTF-8");
  assert_refused (make_tensor (long_name, 1, 1, 0, F32, 0), "too long");
}

/* A tensor of [8, 3] floats whose original shape is noted as @n sizes, the first two of @sizes and then ones, of @type */
static GByteArray *
make_folded (guint type, guint64 n, guint64 first, guint64 second)
{
  GByteArray *bytes = begin (3, 1, 1);

  put_string (bytes, "comfy.gguf.orig_shape.w");
  weight_test_put (bytes, 4, ARRAY);
  weight_test_put (bytes, 4, type);
  weight_test_put (bytes, 8, n);
  for (guint64 i = 0; i < n; i++)
    weight_test_put (bytes, 4, i == 0 ? first : i == 1 ? second : 1);
  put_info (bytes, "w", 2, 3, 8, F32, 0);
  put_data (bytes, 32, 96);
  return bytes;
}

static void
test_folded (void)
{
  g_autoptr (GByteArray) bytes = make_folded (INT32, 5, 4, 6);
  g_autoptr (GError) error = NULL;
  g_autoptr (SoraWeightFile) file = weight_test_open (bytes->data, bytes->len, &error);

  g_assert_no_error (error);
  g_assert_nonnull (sora_weight_file_find (file, &error, "w", 5, 4, 6, 1, 1, 1));
  assert_refused (make_folded (INT32, 5, 4, 5), "orig_shape");
  assert_refused (make_folded (INT32, 0, 0, 0), "orig_shape");
  assert_refused (make_folded (INT32, 7, 4, 6), "orig_shape");
  assert_refused (make_folded (INT32, 2, G_MAXUINT32 - 3, G_MAXUINT32 - 5), "orig_shape");      /* -4 x -6 */
  assert_refused (make_folded (UINT32, 5, 4, 6), "orig_shape");
}

static void
test_damage (void)
{
  g_autoptr (GByteArray) own = make_sound (3);
  g_autoptr (GByteArray) golden = weight_test_load ("text-encoder.gguf");

  weight_test_damage (own->data, own->len);
  weight_test_damage (golden->data, golden->len);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_data_func ("/gguf/sound/version-2", GUINT_TO_POINTER (2), test_sound);
  g_test_add_data_func ("/gguf/sound/version-3", GUINT_TO_POINTER (3), test_sound);
  g_test_add_func ("/gguf/metadata", test_metadata);
  g_test_add_func ("/gguf/bad/header", test_bad_header);
  g_test_add_func ("/gguf/bad/metadata", test_bad_metadata);
  g_test_add_func ("/gguf/bad/tensors", test_bad_tensors);
  g_test_add_func ("/gguf/folded", test_folded);
  g_test_add_func ("/gguf/damage", test_damage);
  return g_test_run ();
}
