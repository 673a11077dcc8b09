/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the tests of weight files share: files in memory, and errors that must say what is wrong. */

#include "weight-support.h"

#include <string.h>

SoraWeightFile *
weight_test_open (const guint8 *data, gsize length, GError **error)
{
  g_autoptr (GBytes) bytes = g_bytes_new (data, length);

  return sora_weight_file_open_bytes (bytes, "test", error);
}

void
weight_test_refused (const guint8 *data, gsize length, gint code, const gchar *words)
{
  g_autoptr (GError) error = NULL;
  SoraWeightFile *file = weight_test_open (data, length, &error);

  g_assert_null (file);
  g_assert_error (error, SORA_MODEL_ERROR, code);
  g_test_message ("%s", error->message);
  if (!strstr (error->message, words) || !strstr (error->message, "test"))
    g_error ("expected \"test\" and \"%s\" in \"%s\"", words, error->message);
}

void
weight_test_convert_all (SoraWeightFile *file)
{
  g_autoptr (GPtrArray) names = sora_weight_file_get_names (file);

  for (guint i = 0; i < names->len; i++) {
    const SoraTensor *tensor = sora_weight_file_peek (file, names->pdata[i]);
    g_autofree gfloat *values = g_new (gfloat, tensor->n_elements);
    sora_tensor_to_float (tensor, 0, tensor->n_elements, values);
  }
}

static gboolean
open_and_convert (const guint8 *data, gsize length)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (SoraWeightFile) file = weight_test_open (data, length, &error);

  g_assert_true ((file == NULL) == (error != NULL));
  if (file)
    weight_test_convert_all (file);
  else
    g_assert_true (error->domain == SORA_MODEL_ERROR);
  return file != NULL;
}

void
weight_test_damage (const guint8 *data, gsize length)
{
  static const guint8 masks[] = { 0x01, 0x80, 0xff };
  g_autofree guint8 *copy = g_memdup2 (data, length);
  guint n_opened = 0;

  g_assert_true (open_and_convert (data, length));
  for (gsize i = 0; i < length; i++)
    n_opened += open_and_convert (data, i);
  g_test_message ("%u of %" G_GSIZE_FORMAT " shortened files opened", n_opened, length);
  for (gsize i = 0; i < length * G_N_ELEMENTS (masks); i++) {
    gsize at = i / G_N_ELEMENTS (masks);
    copy[at] = data[at] ^ masks[i % G_N_ELEMENTS (masks)];
    open_and_convert (copy, length);
    copy[at] = data[at];
  }
}

GByteArray *
weight_test_safetensors (const WeightTestTensor *tensors, guint n)
{
  GByteArray *bytes = g_byte_array_new ();
  GString *header = g_string_new ("{");
  gsize offset = 0;

  for (guint i = 0; i < n; i++) {
    g_string_append_printf (header, "%s\"%s\":{\"dtype\":\"%s\",\"shape\":%s,\"data_offsets\":[%" G_GSIZE_FORMAT ",%" G_GSIZE_FORMAT "]}",
        i > 0 ? "," : "", tensors[i].name, tensors[i].dtype, tensors[i].shape, offset, offset + tensors[i].n_bytes);
    offset += tensors[i].n_bytes;
  }
  g_string_append_c (header, '}');
  weight_test_put (bytes, 8, header->len);
  weight_test_put_text (bytes, header->str);
  for (guint i = 0; i < n; i++) {
    for (gsize j = 0; j < tensors[i].n_bytes; j++)
      weight_test_put (bytes, 1, tensors[i].data ? tensors[i].data[j] : 0);
  }
  g_string_free (header, TRUE);
  return bytes;
}

gchar *
weight_test_golden (const gchar *name)
{
  return g_build_filename (g_getenv ("SORA_TEST_GOLDEN"), "weights", name, NULL);
}

GByteArray *
weight_test_load (const gchar *name)
{
  g_autofree gchar *path = weight_test_golden (name), *data = NULL;
  g_autoptr (GError) error = NULL;
  gsize length;

  g_file_get_contents (path, &data, &length, &error);
  g_assert_no_error (error);
  return g_byte_array_new_take ((guint8 *) g_steal_pointer (&data), length);
}

void
weight_test_put (GByteArray *bytes, guint width, guint64 value)
{
  for (guint i = 0; i < width; i++) {
    guint8 byte = value >> (8 * i);
    g_byte_array_append (bytes, &byte, 1);
  }
}

void
weight_test_put_text (GByteArray *bytes, const gchar *text)
{
  g_byte_array_append (bytes, (const guint8 *) text, strlen (text));
}

GByteArray *
weight_test_zip (const WeightTestEntry *entries, guint n)
{
  GByteArray *bytes = g_byte_array_new ();
  g_autoptr (GByteArray) directory = g_byte_array_new ();

  for (guint i = 0; i < n; i++) {
    gsize offset = bytes->len, length = strlen (entries[i].name);
    for (guint central = 0; central < 2; central++) {
      GByteArray *header = central ? directory : bytes;
      weight_test_put_text (header, central ? "PK\1\2" : "PK\3\4");
      weight_test_put (header, central ? 6 : 4, 20);    /* versions, flags */
      weight_test_put (header, 6, 0);   /* method, time, date */
      weight_test_put (header, 4, 0);   /* sum */
      weight_test_put (header, 4, entries[i].size);
      weight_test_put (header, 4, entries[i].size);
      weight_test_put (header, 4, length);      /* and no extra field */
      if (central)
        weight_test_put (header, 8, 0);
      if (central)
        weight_test_put (header, 6, (guint64) offset << 16);
      weight_test_put_text (header, entries[i].name);
    }
    g_byte_array_append (bytes, entries[i].data, entries[i].size);
  }
  weight_test_put_text (directory, "PK\5\6");
  weight_test_put (directory, 4, 0);
  weight_test_put (directory, 2, n);
  weight_test_put (directory, 2, n);
  weight_test_put (directory, 4, directory->len - 12);
  weight_test_put (directory, 4, bytes->len);
  weight_test_put (directory, 2, 0);
  g_byte_array_append (bytes, directory->data, directory->len);
  return bytes;
}
