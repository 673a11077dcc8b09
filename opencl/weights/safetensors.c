/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads safetensors: an 8-byte header length, a JSON header of types, shapes and offsets, then the data. */

#include "weights/weight-file-private.h"

#include <string.h>

#include "weights/json.h"

/* Those of models with thousands of tensors stay below 1 MB. */
#define MAX_HEADER (16 * 1024 * 1024)

static const SoraElementType *
find_type (SoraWeightFile *file, const gchar *tensor, JsonObject *object, GError **error)
{
  JsonNode *node = json_object_get_member (object, "dtype");
  const gchar *name = node && JSON_NODE_HOLDS_VALUE (node) ? json_node_get_string (node) : NULL;
  const SoraElementType *type = name ? sora_element_type_find (name) : NULL;

  if (type)
    return type;
  sora_weight_file_fail_tensor (file, error, SORA_MODEL_ERROR_WEIGHT, tensor, "expected dtype F32, F16, BF16 or F8_E4M3, found %.32s",
      name ? name : "none");
  return NULL;
}

/* An array of at most @max_length integers into @values; FALSE if it is anything else. */
static gboolean
read_integers (JsonObject *object, const gchar *name, guint max_length, guint64 *values, guint *length)
{
  JsonNode *node = json_object_get_member (object, name);
  JsonArray *array = node && JSON_NODE_HOLDS_ARRAY (node) ? json_node_get_array (node) : NULL;

  if (!array || json_array_get_length (array) > max_length)
    return FALSE;
  *length = json_array_get_length (array);
  for (guint i = 0; i < *length; i++) {
    if (!sora_json_node_get_uint64 (json_array_get_element (array, i), 0, G_MAXINT64, values + i))
      return FALSE;
  }
  return TRUE;
}

/* Reads shape and data_offsets, and checks them against each other and against @data_size bytes of data. */
static gboolean
read_extent (SoraWeightFile *file, const gchar *name, JsonObject *object, guint element_size, guint64 data_size, SoraTensor *tensor,
    SoraExtent *extent, GError **error)
{
  guint64 offsets[2], bytes;
  guint n_offsets;

  if (!read_integers (object, "shape", SORA_TENSOR_MAX_DIMS, tensor->shape, &tensor->n_dims))
    return sora_weight_file_fail_tensor (file, error, SORA_MODEL_ERROR_FORMAT, name, "its shape is not an array of at most 6 sizes");
  if (!read_integers (object, "data_offsets", 2, offsets, &n_offsets) || n_offsets != 2)
    return sora_weight_file_fail_tensor (file, error, SORA_MODEL_ERROR_FORMAT, name, "its data_offsets are not two integers");
  if (!sora_tensor_measure (tensor, 1, element_size, &bytes))
    return sora_weight_file_fail_tensor (file, error, SORA_MODEL_ERROR_FORMAT, name, "its shape overflows");
  if (offsets[0] > offsets[1] || offsets[1] > data_size)
    return sora_weight_file_fail_tensor (file, error, SORA_MODEL_ERROR_FORMAT, name,
        "data_offsets %" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT " lie outside of the file's %" G_GUINT64_FORMAT
        " bytes of data (is it truncated?)", offsets[0], offsets[1], data_size);
  if (offsets[1] - offsets[0] != bytes)
    return sora_weight_file_fail_tensor (file, error, SORA_MODEL_ERROR_FORMAT, name,
        "expected %" G_GUINT64_FORMAT " bytes of data by its shape and dtype, found %" G_GUINT64_FORMAT, bytes, offsets[1] - offsets[0]);
  *extent = (SoraExtent) { name, offsets[0], offsets[1] };
  return TRUE;
}

/* Checks one entry of the header against @data_size bytes of data and adds it to @file. */
static gboolean
add_tensor (SoraWeightFile *file, const gchar *name, JsonNode *node, const guint8 *data, guint64 data_size, SoraExtent *extent,
    GError **error)
{
  JsonObject *object = JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;
  const SoraElementType *type;
  SoraTensor tensor = { .name = name };

  if (!object)
    return sora_weight_file_fail_tensor (file, error, SORA_MODEL_ERROR_FORMAT, name, "its entry in the header is not an object");
  type = find_type (file, name, object, error);
  if (!type || !read_extent (file, name, object, type->size, data_size, &tensor, extent, error))
    return FALSE;
  tensor.data = data + extent->begin;
  return sora_weight_file_add_elements (file, &tensor, type, extent->end - extent->begin, error);
}

/* The tensors must cover the data without a gap, an overlap or a rest. */
static gboolean
check_extents (SoraWeightFile *file, GArray *extents, guint64 data_size, GError **error)
{
  const gchar *before = "the header";
  guint64 end = 0;

  g_array_sort (extents, sora_extent_compare);
  for (guint i = 0; i < extents->len; i++) {
    const SoraExtent *extent = &g_array_index (extents, SoraExtent, i);
    if (extent->begin != end)
      return sora_weight_file_fail (file, error, "tensor \"%s\" %s %s", extent->name,
          extent->begin < end ? "overlaps" : "leaves a gap after", before);
    end = extent->end;
    before = extent->name;
  }
  return end == data_size
      || sora_weight_file_fail (file, error, "%" G_GUINT64_FORMAT " bytes after the last tensor", data_size - end);
}

/* Texts; anything else there is nobody's */
static void
read_notes (SoraWeightFile *file, JsonNode *node)
{
  JsonObjectIter iter;
  const gchar *key;
  JsonNode *value;

  if (!JSON_NODE_HOLDS_OBJECT (node))
    return;
  json_object_iter_init (&iter, json_node_get_object (node));
  while (json_object_iter_next (&iter, &key, &value)) {
    const gchar *text = JSON_NODE_HOLDS_VALUE (value) ? json_node_get_string (value) : NULL;
    if (text)
      g_hash_table_insert (file->notes, g_strdup (key), g_strdup (text));
  }
}

static gboolean
add_tensors (SoraWeightFile *file, JsonObject *header, const guint8 *data, guint64 data_size, GError **error)
{
  g_autoptr (GArray) extents = g_array_new (FALSE, FALSE, sizeof (SoraExtent));
  JsonObjectIter iter;
  const gchar *name;
  JsonNode *node;

  json_object_iter_init_ordered (&iter, header);
  while (json_object_iter_next_ordered (&iter, &name, &node)) {
    SoraExtent extent;
    if (g_str_equal (name, "__metadata__")) {
      read_notes (file, node);
      continue;
    }
    if (!add_tensor (file, name, node, data, data_size, &extent, error))
      return FALSE;
    g_array_append_val (extents, extent);
  }
  return check_extents (file, extents, data_size, error);
}

gboolean
sora_safetensors_read (SoraWeightFile *file, const guint8 *data, guint64 size, GError **error)
{
  g_autoptr (JsonNode) header = NULL;
  guint64 length;

  memcpy (&length, data, sizeof (length));
  length = GUINT64_FROM_LE (length);
  if (length > MAX_HEADER || length > size - 8)
    return sora_weight_file_fail (file, error,
        "not safetensors, or truncated: a header of %" G_GUINT64_FORMAT " bytes in a file of %" G_GUINT64_FORMAT, length, size);
  header = sora_json_parse ((const gchar *) data + 8, length, file->path, error);
  return header && add_tensors (file, json_node_get_object (header), data + 8 + length, size - 8 - length, error);
}
