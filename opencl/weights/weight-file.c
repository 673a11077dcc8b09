/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Recognises a weight file's container by its content, opens it or the shards of an index, and finds tensors by name and shape. */

#include "weights/weight-file-private.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "weights/gguf.h"
#include "weights/json.h"
#include "weights/names.h"

#define MAX_INDEX (16 * 1024 * 1024)

static const SoraElementType element_types[] = {
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
  { "F8_E4M3", 1, SORA_DTYPE_F8_E4M3 },
  { "F8_E5M2", 1, SORA_DTYPE_F8_E5M2 },
  { "F8_E8M0", 1, -1 },
};

void
sora_tensor_free (SoraTensor *tensor)
{
  g_free ((gchar *) tensor->name);
  g_free (tensor);
}

static SoraWeightFile *
weight_file_new (const gchar *path)
{
  SoraWeightFile *file = g_new0 (SoraWeightFile, 1);
  file->path = g_strdup (path);
  file->shards = g_ptr_array_new_with_free_func ((GDestroyNotify) sora_weight_file_free);
  file->tensors = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify) sora_tensor_free);
  file->foreign = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  file->octets = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify) g_bytes_unref);
  return file;
}

void
sora_weight_file_free (SoraWeightFile *file)
{
  if (!file)
    return;
  g_hash_table_unref (file->tensors);
  g_hash_table_unref (file->foreign);
  g_hash_table_unref (file->octets);
  g_ptr_array_unref (file->shards);
  g_clear_pointer (&file->metadata, g_hash_table_unref);
  g_clear_pointer (&file->bytes, g_bytes_unref);
  g_free (file->path);
  g_free (file);
}

gboolean
sora_weight_file_fail (SoraWeightFile *file, GError **error, const gchar *format, ...)
{
  g_autofree gchar *text = NULL;
  va_list args;

  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error (error, SORA_MODEL_ERROR, SORA_MODEL_ERROR_FORMAT, "%s: %s", file->path, text);
  return FALSE;
}

gboolean
sora_weight_file_fail_tensor (SoraWeightFile *file, GError **error, SoraModelError code, const gchar *name, const gchar *format, ...)
{
  g_autofree gchar *text = NULL;
  va_list args;

  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error (error, SORA_MODEL_ERROR, code, "%s: tensor \"%s\": %s", file->path, name, text);
  return FALSE;
}

const SoraElementType *
sora_element_type_find (const gchar *name)
{
  for (guint i = 0; i < G_N_ELEMENTS (element_types); i++) {
    if (g_str_equal (name, element_types[i].name))
      return &element_types[i];
  }
  return NULL;
}

gboolean
sora_tensor_measure (SoraTensor *tensor, guint block_elements, guint block_bytes, guint64 *bytes)
{
  guint64 row = tensor->n_dims ? tensor->shape[tensor->n_dims - 1] : 1;

  tensor->n_elements = 1;
  for (guint i = 0; i < tensor->n_dims; i++) {
    if (!g_uint64_checked_mul (&tensor->n_elements, tensor->n_elements, tensor->shape[i]))
      return FALSE;
  }
  return row % block_elements == 0 && g_uint64_checked_mul (bytes, tensor->n_elements / block_elements, block_bytes);
}

gint
sora_extent_compare (gconstpointer a, gconstpointer b)
{
  const SoraExtent *x = a, *y = b;
  if (x->begin != y->begin)
    return x->begin < y->begin ? -1 : 1;
  return x->end < y->end ? -1 : x->end > y->end;
}

gboolean
sora_weight_file_add (SoraWeightFile *file, const SoraTensor *tensor, guint64 bytes, const gchar *foreign, GError **error)
{
  SoraTensor *copy;

  if (strlen (tensor->name) > SORA_TENSOR_MAX_NAME || !g_utf8_validate (tensor->name, -1, NULL))
    return sora_weight_file_fail (file, error, "a tensor's name is not UTF-8, or longer than %d bytes", SORA_TENSOR_MAX_NAME);
  if (g_hash_table_contains (file->tensors, tensor->name) || g_hash_table_contains (file->foreign, tensor->name))
    return sora_weight_file_fail_tensor (file, error, SORA_MODEL_ERROR_FORMAT, tensor->name, "it occurs twice");
  file->size += bytes;
  if (foreign) {
    g_hash_table_insert (file->foreign, g_strdup (tensor->name), g_strdup (foreign));
    return TRUE;
  }
  copy = g_memdup2 (tensor, sizeof (*tensor));
  copy->name = g_strdup (tensor->name);
  copy->file = file->path;
  g_hash_table_insert (file->tensors, g_strdup (tensor->name), copy);
  return TRUE;
}

gboolean
sora_weight_file_add_elements (SoraWeightFile *file, SoraTensor *tensor, const SoraElementType *type, guint64 bytes, GError **error)
{
  g_autofree gchar *foreign = NULL;

  if (type->dtype < 0)
    foreign = g_strdup_printf ("dtype %s, which is not a type of weights", type->name);
  else
    tensor->dtype = type->dtype;
  if (!sora_weight_file_add (file, tensor, bytes, foreign, error))
    return FALSE;
  if (g_str_equal (type->name, "U8") && tensor->n_dims == 1 && tensor->data)
    g_hash_table_insert (file->octets, g_strdup (tensor->name), g_bytes_new_static (tensor->data, bytes));
  return TRUE;
}

/* Safetensors begin with the length of their header, of which the upper 4 bytes are always 0. */
static gboolean
is_safetensors (const guint8 *data, guint64 size)
{
  return size >= 8 && memcmp (data + 4, "\0\0\0\0", 4) == 0;
}

static gboolean
is_json (const guint8 *data, guint64 size)
{
  guint64 i = 0;

  while (i < size && memchr (" \t\r\n", data[i], 4))
    i++;
  return i < size && data[i] == '{' && !is_safetensors (data, size);
}

static gboolean
begins_with (const guint8 *data, guint64 size, const gchar *text)
{
  return size >= strlen (text) && memcmp (data, text, strlen (text)) == 0;
}

static gboolean
read_container (SoraWeightFile *file, GError **error)
{
  gsize size;
  const guint8 *data = g_bytes_get_data (file->bytes, &size);

  if (begins_with (data, size, "GGUF"))
    return sora_gguf_read (file, data, size, error);
  if (begins_with (data, size, "PK\003\004"))
    return sora_torch_archive_read (file, data, size, error);
  if (is_safetensors (data, size))
    return sora_safetensors_read (file, data, size, error);
  /* a number that torch.save() wrote first until version 1.5, pickled */
  if (begins_with (data, size, "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."))
    return sora_weight_file_fail (file, error, "the format of PyTorch before 1.6. Re-save it with a newer one: "
        "torch.save (torch.load (\"old.pth\", map_location=\"cpu\", weights_only=True), \"new.pth\")");
  if (begins_with (data, size, "version https://git-"))
    return sora_weight_file_fail (file, error,
        "a Git LFS pointer stands where the weights should be; fetch them with \"git lfs pull\"");
  return sora_weight_file_fail (file, error, "not a weight file (safetensors, PyTorch, GGUF), or truncated: %" G_GSIZE_FORMAT " bytes",
      size);
}

static GBytes *
map_file (const gchar *path, GError **error)
{
  g_autoptr (GError) cause = NULL;
  g_autoptr (GMappedFile) map = g_mapped_file_new (path, FALSE, &cause);

  if (map)
    return g_mapped_file_get_bytes (map);
  g_set_error (error, SORA_MODEL_ERROR, SORA_MODEL_ERROR_NOT_FOUND, "%s", cause->message);
  return NULL;
}

/* The shard @name beside the index, opened once. A name that leaves the folder is refused. */
static SoraWeightFile *
get_shard (SoraWeightFile *file, GHashTable *shards, const gchar *name, GError **error)
{
  SoraWeightFile *opened = g_hash_table_lookup (shards, name);
  g_autofree gchar *folder = NULL, *path = NULL;
  g_autoptr (SoraWeightFile) shard = NULL;

  if (opened)
    return opened;
  if (strchr (name, '/') || strchr (name, '\\') || g_str_has_suffix (name, ".json")) {
    sora_weight_file_fail (file, error, "\"%s\" is not the name of a weight file in the same folder", name);
    return NULL;
  }
  folder = g_path_get_dirname (file->path);
  path = g_build_filename (folder, name, NULL);
  shard = weight_file_new (path);
  shard->bytes = map_file (path, error);
  shard->is_mapped = TRUE;
  if (!shard->bytes || !read_container (shard, error))
    return NULL;
  file->size += shard->size;
  g_hash_table_insert (shards, g_strdup (name), shard);
  g_ptr_array_add (file->shards, shard);
  return g_steal_pointer (&shard);
}

/* Moves one tensor of the index from its shard to @file. */
static gboolean
take_from_shard (SoraWeightFile *file, SoraWeightFile *shard, const gchar *name, GError **error)
{
  gpointer key, value;

  if (g_hash_table_steal_extended (shard->tensors, name, &key, &value)) {
    g_hash_table_insert (file->tensors, key, value);
    return TRUE;
  }
  if (g_hash_table_steal_extended (shard->foreign, name, &key, &value)) {
    g_hash_table_insert (file->foreign, key, value);
    return TRUE;
  }
  return sora_weight_file_fail_tensor (file, error, SORA_MODEL_ERROR_WEIGHT, name, "not in %s, where the index has it", shard->path);
}

static gboolean
read_index (SoraWeightFile *file, JsonObject *root, GError **error)
{
  g_autoptr (GHashTable) shards = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  JsonNode *map = json_object_get_member (root, "weight_map"), *node;
  JsonObjectIter iter;
  const gchar *name;

  if (!map || !JSON_NODE_HOLDS_OBJECT (map))
    return sora_weight_file_fail (file, error, "\"weight_map\" is missing or not an object");
  json_object_iter_init_ordered (&iter, json_node_get_object (map));
  while (json_object_iter_next_ordered (&iter, &name, &node)) {
    const gchar *shard_name = JSON_NODE_HOLDS_VALUE (node) ? json_node_get_string (node) : NULL;
    SoraWeightFile *shard;
    if (!shard_name)
      return sora_weight_file_fail_tensor (file, error, SORA_MODEL_ERROR_FORMAT, name, "its shard is not a string");
    shard = get_shard (file, shards, shard_name, error);
    if (!shard || !take_from_shard (file, shard, name, error))
      return FALSE;
  }
  return TRUE;
}

static gboolean
read_file (SoraWeightFile *file, GError **error)
{
  gsize size;
  const guint8 *data = g_bytes_get_data (file->bytes, &size);
  g_autoptr (JsonNode) root = NULL;

  if (!is_json (data, size))
    return read_container (file, error);
  if (size > MAX_INDEX)
    return sora_weight_file_fail (file, error, "an index of %" G_GSIZE_FORMAT " bytes", size);
  root = sora_json_parse ((const gchar *) data, size, file->path, error);
  return root && read_index (file, json_node_get_object (root), error);
}

static SoraWeightFile *
open_bytes (GBytes *bytes, gboolean is_mapped, const gchar *path, GError **error)
{
  g_autoptr (SoraWeightFile) file = weight_file_new (path);

  file->bytes = g_bytes_ref (bytes);
  file->is_mapped = is_mapped;
  if (!read_file (file, error))
    return NULL;
  sora_weight_file_apply_scales (file);
  return sora_weight_file_translate_names (file, error) ? g_steal_pointer (&file) : NULL;
}

SoraWeightFile *
sora_weight_file_open_bytes (GBytes *bytes, const gchar *path, GError **error)
{
  return open_bytes (bytes, FALSE, path, error);
}

SoraWeightFile *
sora_weight_file_open (const gchar *path, GError **error)
{
  g_autoptr (GBytes) bytes = map_file (path, error);

  return bytes ? open_bytes (bytes, TRUE, path, error) : NULL;
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

GBytes *
sora_weight_file_peek_octets (SoraWeightFile *file, const gchar *name)
{
  return g_hash_table_lookup (file->octets, name);
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
  g_autofree gchar *expected = NULL, *found = NULL, *spelled = NULL;
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
    found = g_strdup (foreign);
  else
    found = g_strdup ("none");
  spelled = sora_weight_file_spell (file, name);
  g_set_error (error, SORA_MODEL_ERROR, SORA_MODEL_ERROR_WEIGHT, "%s: tensor \"%s\": expected %s, found %s",
      tensor ? tensor->file : file->path, spelled ? spelled : name, expected, found);
  return NULL;
}

static gint
compare_names (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const gchar * const *) a, *(const gchar * const *) b);
}

GPtrArray *
sora_weight_file_copy_all_names (SoraWeightFile *file)
{
  GPtrArray *names = g_ptr_array_new_with_free_func (g_free);
  GHashTable *tables[] = { file->tensors, file->foreign };

  for (guint i = 0; i < G_N_ELEMENTS (tables); i++) {
    GHashTableIter iter;
    gpointer name;
    g_hash_table_iter_init (&iter, tables[i]);
    while (g_hash_table_iter_next (&iter, &name, NULL))
      g_ptr_array_add (names, g_strdup (name));
  }
  g_ptr_array_sort (names, compare_names);
  return names;
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

static void
forget_bytes (SoraWeightFile *file)
{
  gsize size, page = sysconf (_SC_PAGESIZE), inside;
  const guint8 *data = file->bytes ? g_bytes_get_data (file->bytes, &size) : NULL;

  if (!data || !file->is_mapped)
    return;
  inside = size / page * page;  /* a mapping begins with a page */
  if (inside > 0)
    madvise ((gpointer) data, inside, MADV_DONTNEED);
}

void
sora_weight_file_forget (SoraWeightFile *file)
{
  forget_bytes (file);
  for (guint i = 0; i < file->shards->len; i++)
    forget_bytes (file->shards->pdata[i]);
}

guint64
sora_weight_file_get_bytes (SoraWeightFile *file)
{
  return file->size;
}

GVariant *
sora_weight_file_get_metadata (SoraWeightFile *file, const gchar *key)
{
  return sora_gguf_get_metadata (file, key);
}
