/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Archives as torch.save() writes them, and a table of those that it does not: each must be refused with an error that says why. */

#include <string.h>

#include "weight-support.h"

#define TENSOR(storage, offset, shape, stride) "ctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storagectorch\n" storage \
  "\nX\x01\0\0\0" "0X\x03\0\0\0cpuK\x06tQ" offset shape stride "\x89}tR"
#define SIZED(text) (const guint8 *) (text), sizeof (text) - 1

/* An archive of a pickle and one storage of 24 bytes, 0, 1, 2 ... */
static GByteArray *
make_archive (const guint8 *pickle, gsize size)
{
  guint8 storage[24];
  const WeightTestEntry entries[] = {
    { "a/data.pkl", pickle, size }, { "a/byteorder", SIZED ("little") }, { "a/data/0", storage, sizeof (storage) }
  };

  for (guint i = 0; i < sizeof (storage); i++)
    storage[i] = i;
  return weight_test_zip (entries, G_N_ELEMENTS (entries));
}

typedef struct {
  const gchar *name;
  const guint8 *pickle;
  gsize size;
  const gchar *words;
} BadArchive;

#define D(tensor) SIZED ("\x80\x02}X\x01\0\0\0w" tensor "s.")

static const BadArchive bad_archives[] = {
  { "empty-pickle", SIZED (""), "protocol" },
  { "not-a-dict", SIZED ("\x80\x02]."), "no dictionary of tensors" },
  { "a-tensor", SIZED ("\x80\x02" TENSOR ("FloatStorage", "K\0", "K\x02\x85", "K\x01\x85") "."), "no dictionary of tensors" },
  { "beyond", D (TENSOR ("FloatStorage", "K\0", "K\x07\x85", "K\x01\x85")), "beyond its storage of 24 bytes" },
  { "beyond-by-offset", D (TENSOR ("FloatStorage", "K\x05", "K\x02\x85", "K\x01\x85")), "beyond its storage" },
  { "offset-negative", D (TENSOR ("FloatStorage", "J\xff\xff\xff\xff", "K\x01\x85", "K\x01\x85")), "beyond its storage" },
  { "offset-huge", D (TENSOR ("FloatStorage", "\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f", "K\x01\x85", "K\x01\x85")),
    "beyond its storage" },
  { "offset-of-empty", D (TENSOR ("FloatStorage", "K\x07", "K\0\x85", "K\x01\x85")), "beyond its storage" },
  { "byte-beyond", D (TENSOR ("ByteStorage", "K\0", "K\x19\x85", "K\x01\x85")), "beyond its storage" },
  { "int-beyond", D (TENSOR ("LongStorage", "K\0", "K\x04\x85", "K\x01\x85")), "beyond its storage" },
  { "no-storage", SIZED ("\x80\x02}X\x01\0\0\0w" "ctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storagectorch\nFloatStorage\n"
      "X\x01\0\0\0" "1X\x03\0\0\0cpuK\x06tQK\0K\x01\x85K\x01\x85\x89}tRs."), "\"a/data/1\" is missing" },
  { "outside", SIZED ("\x80\x02}X\x01\0\0\0w" "ctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storagectorch\nFloatStorage\n"
      "X\x0b\0\0\0../data.pklX\x03\0\0\0cpuK\x06tQK\0K\x01\x85K\x01\x85\x89}tRs."), "is missing" },
  { "twice", SIZED ("\x80\x02}X\x03\0\0\0a.w" TENSOR ("FloatStorage", "K\0", "K\x01\x85", "K\x01\x85") "sX\x01\0\0\0a}X\x01\0\0\0w"
      TENSOR ("FloatStorage", "K\0", "K\x01\x85", "K\x01\x85") "ss."), "\"a.w\": it occurs twice" },
  { "circle", SIZED ("\x80\x02}q\0X\x01\0\0\0ah\0s."), "nested more than" },
};

static void
test_bad (gconstpointer data)
{
  const BadArchive *bad = data;
  g_autoptr (GByteArray) archive = make_archive (bad->pickle, bad->size);

  weight_test_refused (archive->data, archive->len, SORA_MODEL_ERROR_FORMAT, bad->words);
}

static void
test_bad_zip (void)
{
  static const WeightTestEntry other[] = { { "a/code.py", SIZED ("x") } };
  static const WeightTestEntry two[] = { { "a/data.pkl", SIZED ("x") }, { "b/data.pkl", SIZED ("x") } };
  static const WeightTestEntry same[] = { { "a/data.pkl", SIZED ("x") }, { "a/data.pkl", SIZED ("x") } };
  static const WeightTestEntry big[] = { { "a/data.pkl", SIZED ("\x80\x02}.") }, { "a/byteorder", SIZED ("big") } };
  g_autoptr (GByteArray) no_pickle = weight_test_zip (other, 1);
  g_autoptr (GByteArray) two_pickles = weight_test_zip (two, 2);
  g_autoptr (GByteArray) same_name = weight_test_zip (same, 2);
  g_autoptr (GByteArray) big_endian = weight_test_zip (big, 2);
  g_autoptr (GByteArray) moved = weight_test_zip (other, 1);
  g_autoptr (GByteArray) two_sizes = weight_test_zip (other, 1);

  moved->data[18] = moved->data[22] = 200;      /* longer than the file, in the local header and in the directory */
  moved->data[30 + 10 + 20] = moved->data[30 + 10 + 24] = 200;
  two_sizes->data[30 + 10 + 20] = 0;    /* stored, but of another size than it has */
  weight_test_refused (two_sizes->data, two_sizes->len, SORA_MODEL_ERROR_FORMAT, "is damaged");
  weight_test_refused (no_pickle->data, no_pickle->len, SORA_MODEL_ERROR_FORMAT, "without a data.pkl");
  weight_test_refused (two_pickles->data, two_pickles->len, SORA_MODEL_ERROR_FORMAT, "more than one data.pkl");
  weight_test_refused (same_name->data, same_name->len, SORA_MODEL_ERROR_FORMAT, "twice");
  weight_test_refused (big_endian->data, big_endian->len, SORA_MODEL_ERROR_FORMAT, "little-endian");
  weight_test_refused (moved->data, moved->len, SORA_MODEL_ERROR_FORMAT, "beyond the end");
  weight_test_refused (no_pickle->data, no_pickle->len - 22, SORA_MODEL_ERROR_FORMAT, "directory is missing");
}

/* Dictionaries of 40 that are all the next dictionary, 7 deep: 10^11 names, if all were followed */
static void
test_bomb (void)
{
  g_autoptr (GByteArray) pickle = g_byte_array_new ();
  g_autoptr (GByteArray) archive = NULL;

  g_byte_array_append (pickle, SIZED ("\x80\x02}q\0" "0"));
  for (guint level = 1; level < 8; level++) {
    weight_test_put_text (pickle, "}(");
    for (guint i = 0; i < 40; i++) {
      weight_test_put (pickle, 2, 'K' | i << 8);
      weight_test_put (pickle, 2, 'h' | (level - 1) << 8);
    }
    weight_test_put_text (pickle, "uq");
    weight_test_put (pickle, 1, level);
    weight_test_put_text (pickle, level < 7 ? "0" : ".");
  }
  archive = make_archive (pickle->data, pickle->len);
  weight_test_refused (archive->data, archive->len, SORA_MODEL_ERROR_FORMAT, "more than 131072 names");
}

static void
assert_values (SoraWeightFile *file, const gchar *name, guint n, const gfloat *expected)
{
  const SoraTensor *tensor = sora_weight_file_peek (file, name);
  gfloat values[8];

  g_assert_nonnull (tensor);
  g_assert_cmpuint (tensor->n_elements, ==, n);
  sora_tensor_to_float (tensor, 0, n, values);
  for (guint i = 0; i < n; i++)
    g_assert_cmpfloat (values[i], ==, expected[i]);
}

static void
assert_not_found (SoraWeightFile *file, const gchar *name, const gchar *words)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (sora_weight_file_find (file, &error, name, 1, 3));
  g_assert_error (error, SORA_MODEL_ERROR, SORA_MODEL_ERROR_WEIGHT);
  if (!strstr (error->message, words) || !strstr (error->message, name))
    g_error ("expected \"%s\" in \"%s\"", words, error->message);
}

/* What torch.save() wrote: views in order are tensors, others and integers are errors only when they are asked for. */
static void
test_views (void)
{
  static const gfloat scalar[] = { 1.25f }, row[] = { 0.5f, 1, 2 };
  g_autofree gchar *path = weight_test_golden ("few.pt");
  g_autoptr (GError) error = NULL;
  g_autoptr (SoraWeightFile) file = sora_weight_file_open (path, &error);

  g_assert_no_error (error);
  assert_values (file, "scalar", 1, scalar);
  assert_values (file, "row", 3, row);
  g_assert_cmpint (sora_weight_file_find (file, &error, "half", 2, 2, 3)->dtype, ==, SORA_DTYPE_F16);
  g_assert_nonnull (sora_weight_file_find (file, &error, "slice", 2, 2, 4));
  g_assert_nonnull (sora_weight_file_find (file, &error, "empty", 2, 0, 3));
  g_assert_no_error (error);
  assert_not_found (file, "transposed", "not in order");
  assert_not_found (file, "counter", "dtype I64");
  assert_not_found (file, "none", "found none");
}

static void
test_refused (void)
{
  static const struct {
    const gchar *name, *words;
  } table[] = {
    { "legacy.pth", "Re-save it" },
    { "module.pt", "torch.nn.modules.linear.Linear" },
    { "deflated.pt", "is compressed" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (table); i++) {
    g_autoptr (GByteArray) bytes = weight_test_load (table[i].name);
    weight_test_refused (bytes->data, bytes->len, SORA_MODEL_ERROR_FORMAT, table[i].words);
  }
}

static void
test_zip64 (void)
{
  g_autofree gchar *path = weight_test_golden ("zip64.pt");
  g_autoptr (GError) error = NULL;
  g_autoptr (SoraWeightFile) file = sora_weight_file_open (path, &error);

  g_assert_no_error (error);
  g_assert_nonnull (sora_weight_file_find (file, &error, "half", 2, 2, 3));
  weight_test_convert_all (file);
}

static void
test_damage (void)
{
  static const guint8 pickle[] = "\x80\x02}X\x01\0\0\0w" TENSOR ("FloatStorage", "K\x01", "K\x02K\x02\x86", "K\x02K\x01\x86") "s.";
  g_autoptr (GByteArray) own = make_archive (pickle, sizeof (pickle) - 1);
  g_autoptr (GByteArray) zip64 = weight_test_load ("zip64.pt");

  weight_test_damage (own->data, own->len);
  weight_test_damage (zip64->data, zip64->len);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (bad_archives); i++) {
    g_autofree gchar *name = g_strconcat ("/torch-archive/bad/", bad_archives[i].name, NULL);
    g_test_add_data_func (name, &bad_archives[i], test_bad);
  }
  g_test_add_func ("/torch-archive/bad/zip", test_bad_zip);
  g_test_add_func ("/torch-archive/bad/bomb", test_bomb);
  g_test_add_func ("/torch-archive/refused", test_refused);
  g_test_add_func ("/torch-archive/views", test_views);
  g_test_add_func ("/torch-archive/zip64", test_zip64);
  g_test_add_func ("/torch-archive/damage", test_damage);
  return g_test_run ();
}
