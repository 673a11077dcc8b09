/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Writes float tensors as one safetensors file. */

#include <gio/gio.h>
#include <string.h>

#include "weights/json.h"
#include "weights/tensor-writer.h"

typedef struct {
  gchar *name;
  guint n_dims;
  gint64 shape[SORA_TENSOR_MAX_DIMS];
  gsize n_bytes;
  guint8 *data;                 /* little-endian */
} Entry;

struct _SoraTensorWriter {
  GPtrArray *entries;
};

static void
entry_free (Entry *entry)
{
  g_free (entry->name);
  g_free (entry->data);
  g_free (entry);
}

SoraTensorWriter *
sora_tensor_writer_new (void)
{
  SoraTensorWriter *writer = g_new0 (SoraTensorWriter, 1);
  writer->entries = g_ptr_array_new_with_free_func ((GDestroyNotify) entry_free);
  return writer;
}

void
sora_tensor_writer_free (SoraTensorWriter *writer)
{
  if (!writer)
    return;
  g_ptr_array_unref (writer->entries);
  g_free (writer);
}

static void
remove_name (SoraTensorWriter *writer, const gchar *name)
{
  for (guint i = 0; i < writer->entries->len; i++) {
    Entry *entry = g_ptr_array_index (writer->entries, i);
    if (g_str_equal (entry->name, name)) {
      g_ptr_array_remove_index (writer->entries, i);
      return;
    }
  }
}

void
sora_tensor_writer_add (SoraTensorWriter *writer, const gchar *name, const gfloat *data, const gint64 *shape, guint n_dims)
{
  Entry *entry;
  gsize n = 1;

  g_return_if_fail (n_dims <= SORA_TENSOR_MAX_DIMS);
  remove_name (writer, name);
  entry = g_new0 (Entry, 1);
  entry->name = g_strdup (name);
  entry->n_dims = n_dims;
  for (guint i = 0; i < n_dims; i++) {
    entry->shape[i] = shape[i];
    n *= shape[i];
  }
  entry->n_bytes = n * sizeof (gfloat);
  entry->data = g_malloc (entry->n_bytes);
  for (gsize i = 0; i < n; i++) {
    guint32 bits;
    memcpy (&bits, data + i, sizeof (bits));
    bits = GUINT32_TO_LE (bits);
    memcpy (entry->data + 4 * i, &bits, sizeof (bits));
  }
  g_ptr_array_add (writer->entries, entry);
}

static void
build_entry (JsonBuilder *builder, const Entry *entry, gint64 offset)
{
  json_builder_set_member_name (builder, entry->name);
  json_builder_begin_object (builder);
  json_builder_set_member_name (builder, "dtype");
  json_builder_add_string_value (builder, "F32");
  json_builder_set_member_name (builder, "shape");
  json_builder_begin_array (builder);
  for (guint i = 0; i < entry->n_dims; i++)
    json_builder_add_int_value (builder, entry->shape[i]);
  json_builder_end_array (builder);
  json_builder_set_member_name (builder, "data_offsets");
  json_builder_begin_array (builder);
  json_builder_add_int_value (builder, offset);
  json_builder_add_int_value (builder, offset + entry->n_bytes);
  json_builder_end_array (builder);
  json_builder_end_object (builder);
}

/* The header with its length before it, padded with spaces so that the data begins at a multiple of 8. */
static GString *
build_header (SoraTensorWriter *writer)
{
  g_autoptr (JsonBuilder) builder = json_builder_new ();
  g_autoptr (JsonNode) root = NULL;
  g_autofree gchar *json = NULL;
  GString *header;
  guint64 length;
  gint64 offset = 0;

  json_builder_begin_object (builder);
  for (guint i = 0; i < writer->entries->len; i++) {
    const Entry *entry = g_ptr_array_index (writer->entries, i);
    build_entry (builder, entry, offset);
    offset += entry->n_bytes;
  }
  json_builder_end_object (builder);
  root = json_builder_get_root (builder);
  json = json_to_string (root, FALSE);

  header = g_string_new_len ("\0\0\0\0\0\0\0\0", 8);
  g_string_append (header, json);
  while (header->len % 8 != 0)
    g_string_append_c (header, ' ');
  length = GUINT64_TO_LE ((guint64) header->len - 8);
  memcpy (header->str, &length, sizeof (length));
  return header;
}

gboolean
sora_tensor_writer_save (SoraTensorWriter *writer, const gchar *path, GError **error)
{
  g_autoptr (GFile) file = g_file_new_for_path (path);
  g_autoptr (GFileOutputStream) stream = g_file_replace (file, NULL, FALSE, G_FILE_CREATE_NONE, NULL, error);
  GString *header;
  gboolean success;

  if (!stream)
    return FALSE;
  header = build_header (writer);
  success = g_output_stream_write_all (G_OUTPUT_STREAM (stream), header->str, header->len, NULL, NULL, error);
  g_string_free (header, TRUE);
  for (guint i = 0; success && i < writer->entries->len; i++) {
    const Entry *entry = g_ptr_array_index (writer->entries, i);
    success = g_output_stream_write_all (G_OUTPUT_STREAM (stream), entry->data, entry->n_bytes, NULL, NULL, error);
  }
  return success && g_output_stream_close (G_OUTPUT_STREAM (stream), NULL, error);
}
