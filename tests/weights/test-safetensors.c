/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Safetensors files that are sound, and a table of those that are not: each must be refused, with an error that says what is wrong. */

#include <gio/gio.h>
#include <glib/gstdio.h>
#include <string.h>

#include "weight-support.h"
#include "weights/tensor-writer.h"

static gchar *folder;

static gchar *
write_file (const gchar *name, const gchar *contents, gsize length)
{
  gchar *path = g_build_filename (folder, name, NULL);
  g_autoptr (GError) error = NULL;

  g_assert_true (g_file_set_contents (path, contents, length, &error));
  g_assert_no_error (error);
  return path;
}

/* The length, @header and @n_data bytes 0, 1, 2 ... */
static gchar *
write_tensors (const gchar *name, const gchar *header, guint n_data)
{
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  guint64 length = GUINT64_TO_LE ((guint64) strlen (header));

  g_byte_array_append (bytes, (guint8 *) &length, 8);
  g_byte_array_append (bytes, (const guint8 *) header, strlen (header));
  for (guint i = 0; i < n_data; i++) {
    guint8 byte = i;
    g_byte_array_append (bytes, &byte, 1);
  }
  return write_file (name, (const gchar *) bytes->data, bytes->len);
}

static void
assert_refused (const gchar *path, gint code, const gchar *words)
{
  g_autoptr (GError) error = NULL;
  SoraWeightFile *file = sora_weight_file_open (path, &error);

  g_assert_null (file);
  g_assert_error (error, SORA_MODEL_ERROR, code);
  g_test_message ("%s", error->message);
  if (!strstr (error->message, words))
    g_error ("expected \"%s\" in \"%s\"", words, error->message);
  if (!strstr (error->message, path) && !strstr (error->message, folder))
    g_error ("expected a path in \"%s\"", error->message);
}

#define T(dtype, shape, offsets) "{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"

typedef struct {
  const gchar *name, *header;
  guint n_data;
  gint code;
  const gchar *words;           /* in the message */
} BadFile;

static const BadFile bad_files[] = {
  { "not-json", "{\"a\":", 0, SORA_MODEL_ERROR_FORMAT, "not JSON" },
  { "empty-header", "", 0, SORA_MODEL_ERROR_FORMAT, "expected a JSON object" },
  { "array", "[1]", 0, SORA_MODEL_ERROR_FORMAT, "expected a JSON object" },
  { "comment", "{/*\"*/}", 0, SORA_MODEL_ERROR_FORMAT, "not JSON" },
  { "not-utf8", "{\"\xff\":1}", 0, SORA_MODEL_ERROR_FORMAT, "not UTF-8" },
  { "deep", "{\"a\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}", 0, SORA_MODEL_ERROR_FORMAT,
    "nested too deeply" },
  { "number-first", "0 {}", 0, SORA_MODEL_ERROR_FORMAT, "expected a JSON object" },
  { "assignment", "var a = {}", 0, SORA_MODEL_ERROR_FORMAT, "expected a JSON object" },
  { "two-values", "{}{}", 0, SORA_MODEL_ERROR_FORMAT, "follows its end" },
  { "rest-of-text", "{} x", 0, SORA_MODEL_ERROR_FORMAT, "follows its end" },
  { "entry", "{\"a\":5}", 0, SORA_MODEL_ERROR_FORMAT, "\"a\"" },
  { "dtype", "{\"a\":" T ("F4", "[2]", "[0,8]") "}", 8, SORA_MODEL_ERROR_WEIGHT, "found F4" },
  { "no-dtype", "{\"a\":{\"shape\":[2],\"data_offsets\":[0,8]}}", 8, SORA_MODEL_ERROR_WEIGHT, "found none" },
  { "dtype-number", "{\"a\":{\"dtype\":32,\"shape\":[2],\"data_offsets\":[0,8]}}", 8, SORA_MODEL_ERROR_WEIGHT, "found none" },
  { "no-shape", "{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,8]}}", 8, SORA_MODEL_ERROR_FORMAT, "shape" },
  { "shape-text", "{\"a\":" T ("F32", "[\"2\"]", "[0,8]") "}", 8, SORA_MODEL_ERROR_FORMAT, "shape" },
  { "shape-negative", "{\"a\":" T ("F32", "[-2]", "[0,8]") "}", 8, SORA_MODEL_ERROR_FORMAT, "shape" },
  { "shape-fraction", "{\"a\":" T ("F32", "[2.0]", "[0,8]") "}", 8, SORA_MODEL_ERROR_FORMAT, "shape" },
  { "shape-long", "{\"a\":" T ("F32", "[1,1,1,1,1,1,2]", "[0,8]") "}", 8, SORA_MODEL_ERROR_FORMAT, "shape" },
  { "shape-overflow", "{\"a\":" T ("F32", "[4294967296,4294967296]", "[0,0]") "}", 0, SORA_MODEL_ERROR_FORMAT, "overflows" },
  { "bytes-overflow", "{\"a\":" T ("F32", "[4611686018427387904]", "[0,0]") "}", 0, SORA_MODEL_ERROR_FORMAT, "overflows" },
  { "shape-too-large", "{\"a\":" T ("F32", "[99999999999999999999]", "[0,8]") "}", 8, SORA_MODEL_ERROR_FORMAT, "shape" },
  { "no-offsets", "{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", 8, SORA_MODEL_ERROR_FORMAT, "data_offsets" },
  { "one-offset", "{\"a\":" T ("F32", "[2]", "[0]") "}", 8, SORA_MODEL_ERROR_FORMAT, "data_offsets" },
  { "offsets-end", "{\"a\":" T ("F32", "[2]", "[0,8]") "}", 7, SORA_MODEL_ERROR_FORMAT, "truncated" },
  { "offsets-reversed", "{\"a\":" T ("F32", "[2]", "[8,0]") "}", 8, SORA_MODEL_ERROR_FORMAT, "outside" },
  { "offsets-far", "{\"a\":" T ("F32", "[2]", "[9223372036854775800,9223372036854775807]") "}", 8, SORA_MODEL_ERROR_FORMAT, "outside" },
  { "size", "{\"a\":" T ("F16", "[2]", "[0,8]") "}", 8, SORA_MODEL_ERROR_FORMAT, "expected 4 bytes" },
  { "overlap", "{\"a\":" T ("F32", "[2]", "[0,8]") ",\"b\":" T ("F32", "[1]", "[4,8]") "}", 8, SORA_MODEL_ERROR_FORMAT,
    "\"b\" overlaps a" },
  { "same-place", "{\"a\":" T ("F32", "[1]", "[0,4]") ",\"b\":" T ("F32", "[1]", "[0,4]") "}", 4, SORA_MODEL_ERROR_FORMAT, "overlaps" },
  { "gap", "{\"a\":" T ("F32", "[1]", "[0,4]") ",\"b\":" T ("F32", "[1]", "[8,12]") "}", 12, SORA_MODEL_ERROR_FORMAT, "gap after a" },
  { "gap-first", "{\"a\":" T ("F32", "[1]", "[4,8]") "}", 8, SORA_MODEL_ERROR_FORMAT, "gap after the header" },
  { "rest", "{\"a\":" T ("F32", "[1]", "[0,4]") "}", 6, SORA_MODEL_ERROR_FORMAT, "2 bytes after the last tensor" },
  { "twice", "{\"a\":" T ("F32", "[1]", "[0,4]") ",\"a\":" T ("F32", "[1]", "[4,8]") "}", 8, SORA_MODEL_ERROR_FORMAT, "twice" },
  { "field-twice", "{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F16\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, SORA_MODEL_ERROR_FORMAT,
    "twice" },
};

static void
test_bad (gconstpointer data)
{
  const BadFile *bad = data;
  g_autofree gchar *path = write_tensors ("bad.safetensors", bad->header, bad->n_data);
  assert_refused (path, bad->code, bad->words);
}

static void
test_bad_length (void)
{
  g_autofree gchar *empty = write_file ("empty.safetensors", "", 0);
  g_autofree gchar *shorter = write_file ("short.safetensors", "\2\0\0\0", 4);
  g_autofree gchar *truncated = write_file ("truncated.safetensors", "\x40\0\0\0\0\0\0\0{}", 10);
  g_autofree gchar *huge = write_file ("huge.safetensors", "\xff\xff\xff\xff\xff\xff\xff\xff{}", 10);
  g_autofree gchar *pointer = write_file ("pointer.safetensors", "version https://git-lfs.github.com/spec/v1\n", 43);
  g_autofree gchar *missing = g_build_filename (folder, "missing.safetensors", NULL);

  assert_refused (empty, SORA_MODEL_ERROR_FORMAT, "0 bytes");
  assert_refused (shorter, SORA_MODEL_ERROR_FORMAT, "4 bytes");
  assert_refused (truncated, SORA_MODEL_ERROR_FORMAT, "truncated");
  assert_refused (huge, SORA_MODEL_ERROR_FORMAT, "truncated: 10 bytes");
  assert_refused (pointer, SORA_MODEL_ERROR_FORMAT, "Git LFS");
  assert_refused (missing, SORA_MODEL_ERROR_NOT_FOUND, "No such file");
}

/* all three types, a scalar, an empty tensor, other types and metadata, in an order that is not that of the offsets */
static void
test_sound (void)
{
  g_autofree gchar *path = write_tensors ("sound.safetensors", "{\"__metadata__\":{\"format\":\"pt\"},"
      "\"b\":" T ("BF16", "[2,1]", "[4,8]") ",\"a\":" T ("F32", "[]", "[0,4]") ",\"n\":" T ("I64", "[1]", "[8,16]")
      ",\"e\":" T ("F32", "[0,3]", "[16,16]") ",\"c\":" T ("F16", "[1]", "[16,18]") "}  ", 18);
  g_autoptr (GError) error = NULL;
  g_autoptr (SoraWeightFile) file = sora_weight_file_open (path, &error);
  g_autoptr (GPtrArray) names = NULL;
  const SoraTensor *tensor;

  g_assert_no_error (error);
  g_assert_cmpstr (sora_weight_file_get_path (file), ==, path);
  g_assert_cmpuint (sora_weight_file_get_bytes (file), ==, 18);
  names = sora_weight_file_get_names (file);
  g_assert_cmpuint (names->len, ==, 4);
  g_assert_cmpstr (g_ptr_array_index (names, 0), ==, "a");
  g_assert_cmpstr (g_ptr_array_index (names, 3), ==, "e");
  tensor = sora_weight_file_find (file, &error, "b", 2, 2, 1);
  g_assert_no_error (error);
  g_assert_cmpint (tensor->dtype, ==, SORA_DTYPE_BF16);
  g_assert_cmpuint (tensor->n_elements, ==, 2);
  g_assert_cmpmem (tensor->data, 4, "\4\5\6\7", 4);
  g_assert_nonnull (sora_weight_file_find (file, &error, "a", 0));
  g_assert_nonnull (sora_weight_file_find (file, &error, "b", 2, 0, 0));
  g_assert_nonnull (sora_weight_file_find (file, &error, "e", 2, 0, 3));
  g_assert_no_error (error);
  g_assert_null (sora_weight_file_peek (file, "n"));
}

static void
assert_not_found (SoraWeightFile *file, const gchar *name, guint n_dims, guint a, guint b, const gchar *words)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (sora_weight_file_find (file, &error, name, n_dims, a, b));
  g_assert_error (error, SORA_MODEL_ERROR, SORA_MODEL_ERROR_WEIGHT);
  if (!strstr (error->message, words) || !strstr (error->message, sora_weight_file_get_path (file)))
    g_error ("expected the path and \"%s\" in \"%s\"", words, error->message);
}

static void
test_find_errors (void)
{
  g_autofree gchar *path = write_tensors ("find.safetensors", "{\"w\":" T ("F32", "[2,3]", "[0,24]") ",\"n\":" T ("I64", "[1]", "[24,32]")
      "}", 32);
  g_autoptr (GError) error = NULL;
  g_autoptr (SoraWeightFile) file = sora_weight_file_open (path, &error);

  g_assert_no_error (error);
  assert_not_found (file, "v", 2, 2, 3, "tensor \"v\": expected [2, 3], found none");
  assert_not_found (file, "w", 2, 3, 2, "tensor \"w\": expected [3, 2], found [2, 3]");
  assert_not_found (file, "w", 2, 0, 2, "tensor \"w\": expected [any, 2], found [2, 3]");
  assert_not_found (file, "w", 1, 6, 0, "tensor \"w\": expected [6], found [2, 3]");
  assert_not_found (file, "n", 1, 1, 0, "found dtype I64");
}

static void
test_shards (void)
{
  g_autofree gchar *one = write_tensors ("m-1.safetensors", "{\"a\":" T ("F32", "[1]", "[0,4]") "}", 4);
  g_autofree gchar *two = write_tensors ("m-2.safetensors", "{\"b\":" T ("F16", "[1]", "[0,2]") ",\"n\":" T ("U8", "[1]", "[2,3]") "}", 3);
  const gchar *text = "{\"metadata\":{\"total_size\":7},\"weight_map\":{\"a\":\"m-1.safetensors\",\"b\":\"m-2.safetensors\","
      "\"n\":\"m-2.safetensors\"}}";
  g_autofree gchar *path = write_file ("m.safetensors.index.json", text, strlen (text));
  g_autoptr (GError) error = NULL;
  g_autoptr (SoraWeightFile) file = sora_weight_file_open (path, &error);

  g_assert_no_error (error);
  g_assert_cmpstr (sora_weight_file_find (file, &error, "a", 1, 1)->file, ==, one);
  g_assert_cmpstr (sora_weight_file_find (file, &error, "b", 1, 1)->file, ==, two);
  g_assert_cmpuint (sora_weight_file_get_bytes (file), ==, 7);
}

static void
test_bad_shards (void)
{
  static const struct {
    const gchar *text, *words;
    gint code;
  } table[] = {
    { "{}", "weight_map", SORA_MODEL_ERROR_FORMAT },
    { "{\"weight_map\":[]}", "weight_map", SORA_MODEL_ERROR_FORMAT },
    { "{\"weight_map\":{\"a\":1}}", "\"a\"", SORA_MODEL_ERROR_FORMAT },
    { "{\"weight_map\":{\"a\":\"../m-1.safetensors\"}}", "same folder", SORA_MODEL_ERROR_FORMAT },
    { "{\"weight_map\":{\"a\":\"/etc/passwd\"}}", "same folder", SORA_MODEL_ERROR_FORMAT },
    { "{\"weight_map\":{\"a\":\"m.safetensors.index.json\"}}", "same folder", SORA_MODEL_ERROR_FORMAT },
    { "{\"weight_map\":{\"a\":\"gone.safetensors\"}}", "gone.safetensors", SORA_MODEL_ERROR_NOT_FOUND },
    { "{\"weight_map\":{\"z\":\"m-1.safetensors\"}}", "\"z\": not in", SORA_MODEL_ERROR_WEIGHT },
    { "{\"weight_map\":{\"a\":\"m-1.safetensors\",\"a\":\"m-2.safetensors\"}}", "twice", SORA_MODEL_ERROR_FORMAT },
  };

  g_free (write_tensors ("m-1.safetensors", "{\"a\":" T ("F32", "[1]", "[0,4]") "}", 4));
  for (guint i = 0; i < G_N_ELEMENTS (table); i++) {
    g_autofree gchar *path = write_file ("bad.safetensors.index.json", table[i].text, strlen (table[i].text));
    assert_refused (path, table[i].code, table[i].words);
  }
}

static void
test_damage (void)
{
  const WeightTestTensor tensors[] = { { "a.weight", "F8_E4M3", "[2,3]", 6 }, { "a.scale_weight", "F32", "[]", 4 },
    { "b", "F16", "[2]", 4 }, { "n", "I64", "[1]", 8 } };
  g_autoptr (GByteArray) bytes = weight_test_safetensors (tensors, G_N_ELEMENTS (tensors));

  weight_test_damage (bytes->data, bytes->len);
}

static void
test_writer (void)
{
  const gfloat a[] = { 1, -2, 3.5f, 0, 5, 6 }, b[] = { 42 };
  const gint64 a_shape[] = { 2, 3 };
  g_autofree gchar *path = g_build_filename (folder, "written.safetensors", NULL);
  g_autoptr (SoraTensorWriter) writer = sora_tensor_writer_new ();
  g_autoptr (SoraWeightFile) file = NULL;
  g_autoptr (GError) error = NULL;
  gfloat out[6];

  sora_tensor_writer_add (writer, "a \"b\"", b, NULL, 0);
  sora_tensor_writer_add (writer, "x", b, a_shape, 0);
  sora_tensor_writer_add (writer, "x", a, a_shape, 2);  /* replaces the first */
  g_assert_true (sora_tensor_writer_save (writer, path, &error));
  file = sora_weight_file_open (path, &error);
  g_assert_no_error (error);
  sora_tensor_to_float (sora_weight_file_find (file, &error, "x", 2, 2, 3), 0, 6, out);
  g_assert_cmpmem (out, sizeof (out), a, sizeof (a));
  sora_tensor_to_float (sora_weight_file_find (file, &error, "a \"b\"", 0), 0, 1, out);
  g_assert_cmpfloat (out[0], ==, 42);
}

static void
test_writer_fails (void)
{
  g_autoptr (SoraTensorWriter) writer = sora_tensor_writer_new ();
  g_autoptr (GError) error = NULL;

  g_assert_false (sora_tensor_writer_save (writer, "/nonexistent/x.safetensors", &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND);
}

static void
remove_folder (void)
{
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  const gchar *name;

  while ((name = g_dir_read_name (dir))) {
    g_autofree gchar *path = g_build_filename (folder, name, NULL);
    g_unlink (path);
  }
  g_rmdir (folder);
  g_free (folder);
}

int
main (int argc, char **argv)
{
  int status;

  g_test_init (&argc, &argv, NULL);
  folder = g_dir_make_tmp ("sora-test-XXXXXX", NULL);
  for (guint i = 0; i < G_N_ELEMENTS (bad_files); i++) {
    g_autofree gchar *name = g_strconcat ("/safetensors/bad/", bad_files[i].name, NULL);
    g_test_add_data_func (name, &bad_files[i], test_bad);
  }
  g_test_add_func ("/safetensors/bad/length", test_bad_length);
  g_test_add_func ("/safetensors/bad/shards", test_bad_shards);
  g_test_add_func ("/safetensors/sound", test_sound);
  g_test_add_func ("/safetensors/find-errors", test_find_errors);
  g_test_add_func ("/safetensors/shards", test_shards);
  g_test_add_func ("/safetensors/damage", test_damage);
  g_test_add_func ("/safetensors/writer", test_writer);
  g_test_add_func ("/safetensors/writer-fails", test_writer_fails);
  status = g_test_run ();
  remove_folder ();
  return status;
}
