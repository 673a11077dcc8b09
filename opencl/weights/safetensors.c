/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads safetensors: an 8-byte header length, a JSON header of types, shapes and offsets, then the data; or an index of such shards. */

#include "weights/safetensors.h"

#include <string.h>

#include "weights/json.h"

/* As the reference implementation has it: a header is never larger. */
#define MAX_HEADER (100 * 1000 * 1000)

struct _SoraWeightFile {
  gchar *path;
  GPtrArray *maps;              /* GMappedFile, or the SoraWeightFile of each shard */
  GHashTable *tensors;          /* name → SoraTensor */
  GHashTable *foreign;          /* name → type, of tensors that are not floats */
  guint64 bytes;
};

/* Where one tensor's data lies, for the check of the whole. */
typedef struct {
  const gchar *name;
  guint64 begin, end;
} Extent;

typedef struct {
  const gchar *name;
  guint size;
  gint dtype;                   /* SoraDType, or -1 */
} TypeInfo;

static const TypeInfo types[] = {
  { "F32", 4, SORA_DTYPE_F32 },
  { "F16", 2, SORA_DTYPE_F16 },
  { "BF16", 2, SORA_DTYPE_BF16 },
  { "F64", 8, -1 },
  { "I64", 8, -1 },
  { "U64", 8, -1 },
  { "I32", 4, -1 },
  { "U32", 4, -1 },
  { "I16", 2, -1 },
  { "U16", 2, -1 },
  { "I8", 1, -1 },
  { "U8", 1, -1 },
  { "BOOL", 1, -1 },
  { "F8_E4M3", 1, -1 },
  { "F8_E5M2", 1, -1 },
};

static void
tensor_free (SoraTensor *tensor)
{
  g_free ((gchar *) tensor->name);
  g_free (tensor);
}

static SoraWeightFile *
weight_file_new (const gchar *path, GDestroyNotify free_map)
{
  SoraWeightFile *file = g_new0 (SoraWeightFile, 1);
  file->path = g_strdup (path);
  file->maps = g_ptr_array_new_with_free_func (free_map);
  file->tensors = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, (GDestroyNotify) tensor_free);
  file->foreign = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  return file;
}

void
sora_weight_file_free (SoraWeightFile *file)
{
  if (!file)
    return;
  g_hash_table_unref (file->tensors);
  g_hash_table_unref (file->foreign);
  g_ptr_array_unref (file->maps);
  g_free (file->path);
  g_free (file);
}

static gboolean
fail_tensor (GError **error, SoraModelError code, SoraWeightFile *file, const gchar *name, const gchar *what)
{
  g_set_error (error, SORA_MODEL_ERROR, code, "%s: tensor \"%s\": %s", file->path, name, what);
  return FALSE;
}

static const TypeInfo *
find_type (SoraWeightFile *file, const gchar *tensor, JsonObject *object, GError **error)
{
  JsonNode *node = json_object_get_member (object, "dtype");
  const gchar *name = node && JSON_NODE_HOLDS_VALUE (node) ? json_node_get_string (node) : NULL;
  g_autofree gchar *text = NULL;

  for (guint i = 0; name && i < G_N_ELEMENTS (types); i++) {
    if (g_str_equal (name, types[i].name))
      return &types[i];
  }
  text = g_strdup_printf ("expected dtype F32, F16 or BF16, found %.32s", name ? name : "none");
  fail_tensor (error, SORA_MODEL_ERROR_WEIGHT, file, tensor, text);
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

static gboolean
count_elements (SoraTensor *tensor, guint size, guint64 *bytes)
{
  tensor->n_elements = 1;
  for (guint i = 0; i < tensor->n_dims; i++) {
    if (!g_uint64_checked_mul (&tensor->n_elements, tensor->n_elements, tensor->shape[i]))
      return FALSE;
  }
  return g_uint64_checked_mul (bytes, tensor->n_elements, size);
}

/* Checks one entry of the header against @data_size bytes of data and adds it to @file. */
static gboolean
add_tensor (SoraWeightFile *file, const gchar *name, JsonNode *node, const guint8 *data, guint64 data_size, Extent *extent,
    GError **error)
{
  JsonObject *object = JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;
  const TypeInfo *type;
  SoraTensor tensor = { 0 };
  guint64 offsets[2], bytes;
  guint n_offsets;

  if (!object)
    return fail_tensor (error, SORA_MODEL_ERROR_FORMAT, file, name, "its entry in the header is not an object");
  type = find_type (file, name, object, error);
  if (!type)
    return FALSE;
  if (!read_integers (object, "shape", SORA_TENSOR_MAX_DIMS, tensor.shape, &tensor.n_dims))
    return fail_tensor (error, SORA_MODEL_ERROR_FORMAT, file, name, "its shape is not an array of at most 6 sizes");
  if (!read_integers (object, "data_offsets", 2, offsets, &n_offsets) || n_offsets != 2)
    return fail_tensor (error, SORA_MODEL_ERROR_FORMAT, file, name, "its data_offsets are not two integers");
  if (!count_elements (&tensor, type->size, &bytes))
    return fail_tensor (error, SORA_MODEL_ERROR_FORMAT, file, name, "its shape overflows");
  if (offsets[0] > offsets[1] || offsets[1] > data_size) {
    g_autofree gchar *text = g_strdup_printf ("data_offsets %" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT
        " lie outside of the file's %" G_GUINT64_FORMAT " bytes of data (is it truncated?)", offsets[0], offsets[1], data_size);
    return fail_tensor (error, SORA_MODEL_ERROR_FORMAT, file, name, text);
  }
  if (offsets[1] - offsets[0] != bytes) {
    g_autofree gchar *text = g_strdup_printf ("expected %" G_GUINT64_FORMAT " bytes of data by its shape and dtype, found %"
        G_GUINT64_FORMAT, bytes, offsets[1] - offsets[0]);
    return fail_tensor (error, SORA_MODEL_ERROR_FORMAT, file, name, text);
  }
  *extent = (Extent) { name, offsets[0], offsets[1] };
  file->bytes += bytes;
  if (type->dtype < 0) {
    g_hash_table_insert (file->foreign, g_strdup (name), (gpointer) type->name);
    return TRUE;
  }
  tensor.name = g_strdup (name);
  tensor.file = file->path;
  tensor.dtype = type->dtype;
  tensor.data = data + offsets[0];
  g_hash_table_insert (file->tensors, (gpointer) tensor.name, g_memdup2 (&tensor, sizeof (tensor)));
  return TRUE;
}

static gint
compare_extents (gconstpointer a, gconstpointer b)
{
  const Extent *x = a, *y = b;
  if (x->begin != y->begin)
    return x->begin < y->begin ? -1 : 1;
  return x->end < y->end ? -1 : x->end > y->end;
}

/* The tensors must cover the data without a gap, an overlap or a rest. */
static gboolean
check_extents (SoraWeightFile *file, GArray *extents, guint64 data_size, GError **error)
{
  const gchar *before = "the header";
  guint64 end = 0;

  g_array_sort (extents, compare_extents);
  for (guint i = 0; i < extents->len; i++) {
    const Extent *extent = &g_array_index (extents, Extent, i);
    if (extent->begin != end) {
      g_set_error (error, SORA_MODEL_ERROR, SORA_MODEL_ERROR_FORMAT, "%s: tensor \"%s\" %s %s", file->path, extent->name,
          extent->begin < end ? "overlaps" : "leaves a gap after", before);
      return FALSE;
    }
    end = extent->end;
    before = extent->name;
  }
  if (end != data_size) {
    g_set_error (error, SORA_MODEL_ERROR, SORA_MODEL_ERROR_FORMAT, "%s: %" G_GUINT64_FORMAT " bytes after the last tensor", file->path,
        data_size - end);
    return FALSE;
  }
  return TRUE;
}

static gboolean
add_tensors (SoraWeightFile *file, JsonObject *header, const guint8 *data, guint64 data_size, GError **error)
{
  g_autoptr (GArray) extents = g_array_new (FALSE, FALSE, sizeof (Extent));
  JsonObjectIter iter;
  const gchar *name;
  JsonNode *node;

  json_object_iter_init_ordered (&iter, header);
  while (json_object_iter_next_ordered (&iter, &name, &node)) {
    Extent extent;
    if (g_str_equal (name, "__metadata__"))
      continue;
    if (!add_tensor (file, name, node, data, data_size, &extent, error))
      return FALSE;
    g_array_append_val (extents, extent);
  }
  return check_extents (file, extents, data_size, error);
}

/* Header length and header text; NULL with an error if the file cannot be one. */
static JsonNode *
read_header (SoraWeightFile *file, const gchar *contents, guint64 size, guint64 *length, GError **error)
{
  if (size >= 20 && memcmp (contents, "version https://git-", 20) == 0) {
    g_set_error (error, SORA_MODEL_ERROR, SORA_MODEL_ERROR_FORMAT,
        "%s: a Git LFS pointer stands where the weights should be; fetch them with \"git lfs pull\"", file->path);
    return NULL;
  }
  if (size < 8) {
    g_set_error (error, SORA_MODEL_ERROR, SORA_MODEL_ERROR_FORMAT, "%s: not safetensors: only %" G_GUINT64_FORMAT " bytes", file->path,
        size);
    return NULL;
  }
  memcpy (length, contents, sizeof (*length));
  *length = GUINT64_FROM_LE (*length);
  if (*length > MAX_HEADER || *length > size - 8) {
    g_set_error (error, SORA_MODEL_ERROR, SORA_MODEL_ERROR_FORMAT,
        "%s: not safetensors, or truncated: a header of %" G_GUINT64_FORMAT " bytes in a file of %" G_GUINT64_FORMAT, file->path, *length,
        size);
    return NULL;
  }
  return sora_json_parse (contents + 8, *length, file->path, error);
}

static gboolean
open_single (SoraWeightFile *file, GError **error)
{
  g_autoptr (GError) cause = NULL;
  g_autoptr (JsonNode) header = NULL;
  GMappedFile *map = g_mapped_file_new (file->path, FALSE, &cause);
  guint64 size, length;
  const gchar *contents;

  if (!map) {
    g_set_error (error, SORA_MODEL_ERROR, SORA_MODEL_ERROR_NOT_FOUND, "%s", cause->message);
    return FALSE;
  }
  g_ptr_array_add (file->maps, map);
  size = g_mapped_file_get_length (map);
  contents = g_mapped_file_get_contents (map);
  header = read_header (file, contents, size, &length, error);
  if (!header)
    return FALSE;
  return add_tensors (file, json_node_get_object (header), (const guint8 *) contents + 8 + length, size - 8 - length, error);
}

/* The shard @name beside the index, opened once. A name that leaves the folder is refused. */
static SoraWeightFile *
get_shard (SoraWeightFile *file, GHashTable *shards, const gchar *name, GError **error)
{
  SoraWeightFile *shard = g_hash_table_lookup (shards, name);
  g_autofree gchar *folder = NULL, *path = NULL;

  if (shard)
    return shard;
  if (strchr (name, '/') || strchr (name, '\\') || !g_str_has_suffix (name, ".safetensors")) {
    g_set_error (error, SORA_MODEL_ERROR, SORA_MODEL_ERROR_FORMAT,
        "%s: \"%s\" is not the name of a .safetensors file in the same folder", file->path, name);
    return NULL;
  }
  folder = g_path_get_dirname (file->path);
  path = g_build_filename (folder, name, NULL);
  shard = sora_weight_file_open (path, error);
  if (!shard)
    return NULL;
  g_ptr_array_add (file->maps, shard);
  g_hash_table_insert (shards, g_strdup (name), shard);
  file->bytes += shard->bytes;
  return shard;
}

/* Moves one tensor of the index from its shard to @file. */
static gboolean
take_from_shard (SoraWeightFile *file, SoraWeightFile *shard, const gchar *name, GError **error)
{
  gpointer key, value;

  if (g_hash_table_steal_extended (shard->tensors, name, NULL, &value)) {
    g_hash_table_insert (file->tensors, (gpointer) ((SoraTensor *) value)->name, value);
    return TRUE;
  }
  if (g_hash_table_steal_extended (shard->foreign, name, &key, &value)) {
    g_hash_table_insert (file->foreign, key, value);
    return TRUE;
  }
  g_set_error (error, SORA_MODEL_ERROR, SORA_MODEL_ERROR_WEIGHT, "%s: tensor \"%s\" is not in %s, where the index has it", file->path,
      name, shard->path);
  return FALSE;
}

static gboolean
open_index (SoraWeightFile *file, GError **error)
{
  g_autoptr (JsonNode) root = sora_json_load (file->path, error);
  g_autoptr (GHashTable) shards = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  JsonNode *map, *node;
  JsonObjectIter iter;
  const gchar *name;

  if (!root)
    return FALSE;
  map = json_object_get_member (json_node_get_object (root), "weight_map");
  if (!map || !JSON_NODE_HOLDS_OBJECT (map)) {
    g_set_error (error, SORA_MODEL_ERROR, SORA_MODEL_ERROR_FORMAT, "%s: \"weight_map\" is missing or not an object", file->path);
    return FALSE;
  }
  json_object_iter_init_ordered (&iter, json_node_get_object (map));
  while (json_object_iter_next_ordered (&iter, &name, &node)) {
    const gchar *shard_name = JSON_NODE_HOLDS_VALUE (node) ? json_node_get_string (node) : NULL;
    SoraWeightFile *shard;
    if (!shard_name)
      return fail_tensor (error, SORA_MODEL_ERROR_FORMAT, file, name, "its shard is not a string");
    shard = get_shard (file, shards, shard_name, error);
    if (!shard || !take_from_shard (file, shard, name, error))
      return FALSE;
  }
  return TRUE;
}

SoraWeightFile *
sora_weight_file_open (const gchar *path, GError **error)
{
  gboolean is_index = g_str_has_suffix (path, ".json");
  g_autoptr (SoraWeightFile) file =
      weight_file_new (path, is_index ? (GDestroyNotify) sora_weight_file_free : (GDestroyNotify) g_mapped_file_unref);

  if (!(is_index ? open_index (file, error) : open_single (file, error)))
    return NULL;
  return g_steal_pointer (&file);
}

const gchar *
sora_weight_file_get_path (SoraWeightFile *file)
{
  return file->path;
}

const SoraTensor *
sora_weight_file_peek (SoraWeightFile *file, const gchar *name)
{
  return g_hash_table_lookup (file->tensors, name);
}

/* "[64, any, 3]"; @zero is the word for a size of 0 */
static gchar *
format_shape (const guint64 *shape, guint n_dims, const gchar *zero)
{
  GString *text = g_string_new ("[");
  for (guint i = 0; i < n_dims; i++) {
    if (i > 0)
      g_string_append (text, ", ");
    if (shape[i])
      g_string_append_printf (text, "%" G_GUINT64_FORMAT, shape[i]);
    else
      g_string_append (text, zero);
  }
  g_string_append_c (text, ']');
  return g_string_free (text, FALSE);
}

static gboolean
shape_fits (const SoraTensor *tensor, const guint64 *expected, guint n_dims)
{
  if (tensor->n_dims != n_dims)
    return FALSE;
  for (guint i = 0; i < n_dims; i++) {
    if (expected[i] != 0 && expected[i] != tensor->shape[i])
      return FALSE;
  }
  return TRUE;
}

const SoraTensor *
sora_weight_file_find (SoraWeightFile *file, GError **error, const gchar *name, guint n_dims, ...)
{
  const SoraTensor *tensor = sora_weight_file_peek (file, name);
  const gchar *foreign = g_hash_table_lookup (file->foreign, name);
  g_autofree gchar *expected = NULL, *found = NULL;
  guint64 shape[SORA_TENSOR_MAX_DIMS];
  va_list args;

  g_return_val_if_fail (n_dims <= SORA_TENSOR_MAX_DIMS, NULL);
  va_start (args, n_dims);
  for (guint i = 0; i < n_dims; i++)
    shape[i] = va_arg (args, guint);
  va_end (args);
  if (tensor && shape_fits (tensor, shape, n_dims))
    return tensor;

  expected = format_shape (shape, n_dims, "any");
  if (tensor)
    found = format_shape (tensor->shape, tensor->n_dims, "0");
  else if (foreign)
    found = g_strdup_printf ("dtype %s, which is not F32, F16 or BF16", foreign);
  else
    found = g_strdup ("none");
  g_set_error (error, SORA_MODEL_ERROR, SORA_MODEL_ERROR_WEIGHT, "%s: tensor \"%s\": expected %s, found %s",
      tensor ? tensor->file : file->path, name, expected, found);
  return NULL;
}

static gint
compare_names (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const gchar * const *) a, *(const gchar * const *) b);
}

GPtrArray *
sora_weight_file_get_names (SoraWeightFile *file)
{
  GPtrArray *names = g_ptr_array_new ();
  GHashTableIter iter;
  gpointer name;

  g_hash_table_iter_init (&iter, file->tensors);
  while (g_hash_table_iter_next (&iter, &name, NULL))
    g_ptr_array_add (names, name);
  g_ptr_array_sort (names, compare_names);
  return names;
}

guint64
sora_weight_file_get_bytes (SoraWeightFile *file)
{
  return file->bytes;
}
