/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads what torch.save() writes since PyTorch 1.6: a ZIP archive NAME/ of data.pkl, which says what the tensors are, and data/KEY, their
 * storages. */

#include "weights/weight-file-private.h"

#include <string.h>

#include "weights/pickle.h"
#include "weights/zip.h"

#define MAX_PICKLE (16 * 1024 * 1024)
/* Dictionaries in dictionaries, and what is found in them: a dictionary may be in several, and so multiply */
#define MAX_DEPTH 8
#define MAX_VISITS (1 << 17)

typedef struct {
  SoraWeightFile *file;
  GHashTable *entries;          /* name → SoraZipEntry */
  const gchar *folder;          /* "archive" */
  guint n_visits;
} Archive;

/* The entry NAME in the archive's folder, if it is there and not compressed */
static const SoraZipEntry *
get_entry (Archive *archive, const gchar *name, GError **error)
{
  g_autofree gchar *path = g_strconcat (archive->folder, "/", name, NULL);
  const SoraZipEntry *entry = g_hash_table_lookup (archive->entries, path);

  if (!entry)
    sora_weight_file_fail (archive->file, error, "entry \"%s\" is missing", path);
  else if (entry->method != 0)
    sora_weight_file_fail (archive->file, error,
        "entry \"%s\" is compressed, so it cannot be mapped. PyTorch stores entries as they are: re-pack the archive with \"zip -0\"",
        path);
  else
    return entry;
  return NULL;
}

/* Sets @tensor's shape; NULL if it can be used, else why not, as a noun phrase: (transfer full). */
static gchar *
read_shape (const SoraPickleTensor *view, SoraTensor *tensor)
{
  const GPtrArray *shape = view->shape, *stride = view->stride;
  gint64 expected = 1;

  if (shape->len > SORA_TENSOR_MAX_DIMS)
    return g_strdup_printf ("%u dimensions, more than %d", shape->len, SORA_TENSOR_MAX_DIMS);
  tensor->n_dims = shape->len;
  for (guint i = shape->len; i-- > 0;) {
    gint64 size = ((SoraPickleValue *) shape->pdata[i])->integer, step = ((SoraPickleValue *) stride->pdata[i])->integer;
    if (size < 0 || size > G_MAXINT32)
      return g_strdup_printf ("a dimension of %" G_GINT64_FORMAT, size);
    if (size > 1 && step != expected)
      return g_strdup ("values that are not in order (a view): re-save it with .contiguous ()");
    tensor->shape[i] = size;
    if (size > 0 && expected > G_MAXINT64 / size)
      return g_strdup ("a shape that overflows");
    expected *= MAX (size, 1);
  }
  return NULL;
}

/* Checks the view against its storage's entry, and adds it. */
static gboolean
add_view (Archive *archive, const SoraPickleTensor *view, SoraTensor *tensor, GError **error)
{
  g_autofree gchar *key = g_strndup (view->storage->key.text, view->storage->key.length), *name = g_strconcat ("data/", key, NULL);
  const SoraElementType *type = sora_element_type_find (view->storage->type);
  const SoraZipEntry *entry = get_entry (archive, name, error);
  guint64 bytes, offset, end;

  if (!entry)
    return FALSE;
  if (!sora_tensor_measure (tensor, 1, type->size, &bytes) || view->offset < 0
      || !g_uint64_checked_mul (&offset, view->offset, type->size) || !g_uint64_checked_add (&end, offset, bytes) || end > entry->size)
    return sora_weight_file_fail_tensor (archive->file, error, SORA_MODEL_ERROR_FORMAT, tensor->name,
        "it lies beyond its storage of %" G_GUINT64_FORMAT " bytes", entry->size);
  tensor->data = entry->data + offset;
  return sora_weight_file_add_elements (archive->file, tensor, type, bytes, error);
}

static gboolean
add_tensor (Archive *archive, const SoraPickleTensor *view, const gchar *name, GError **error)
{
  SoraTensor tensor = { .name = name };
  g_autofree gchar *foreign = read_shape (view, &tensor);

  if (foreign)
    return sora_weight_file_add (archive->file, &tensor, 0, foreign, error);
  return add_view (archive, view, &tensor, error);
}

/* The name of what lies under @key in the dictionary @prefix; NULL for keys that name nothing */
static gchar *
join_name (const gchar *prefix, const SoraPickleValue *key)
{
  g_autofree gchar *last = NULL;

  if (key->type == SORA_PICKLE_STRING && key->string.length <= SORA_TENSOR_MAX_NAME)
    last = g_strndup (key->string.text, key->string.length);
  else if (key->type == SORA_PICKLE_INT)
    last = g_strdup_printf ("%" G_GINT64_FORMAT, key->integer);
  else
    return NULL;
  return *prefix ? g_strconcat (prefix, ".", last, NULL) : g_steal_pointer (&last);
}

/* Adds the tensors in @dict, and in dictionaries in it, joining names with dots. Whatever else lies there is left alone. */
static gboolean
add_dict (Archive *archive, const SoraPickleValue *dict, const gchar *prefix, guint depth, GError **error)
{
  if (depth > MAX_DEPTH)
    return sora_weight_file_fail (archive->file, error, "dictionaries nested more than %d deep", MAX_DEPTH);
  for (guint i = 0; i + 1 < dict->items->len; i += 2) {
    const SoraPickleValue *key = dict->items->pdata[i], *value = dict->items->pdata[i + 1];
    g_autofree gchar *name = NULL;

    if (++archive->n_visits > MAX_VISITS)
      return sora_weight_file_fail (archive->file, error, "more than %d names", MAX_VISITS);
    if (value->type != SORA_PICKLE_TENSOR && value->type != SORA_PICKLE_DICT)
      continue;
    name = join_name (prefix, key);
    if (name && !(value->type == SORA_PICKLE_TENSOR ? add_tensor (archive, &value->tensor, name, error)
            : add_dict (archive, value, name, depth + 1, error)))
      return FALSE;
  }
  return TRUE;
}

/* The folder of the archive's only FOLDER/data.pkl: (transfer full) */
static gchar *
find_folder (SoraWeightFile *file, GHashTable *entries, GError **error)
{
  g_autofree gchar *folder = NULL;
  GHashTableIter iter;
  gpointer key;

  g_hash_table_iter_init (&iter, entries);
  while (g_hash_table_iter_next (&iter, &key, NULL)) {
    const gchar *slash = strchr (key, '/');
    if (!slash || !g_str_equal (slash, "/data.pkl"))
      continue;
    if (folder) {
      sora_weight_file_fail (file, error, "a ZIP archive with more than one data.pkl");
      return NULL;
    }
    folder = g_strndup (key, slash - (gchar *) key);
  }
  if (!folder)
    sora_weight_file_fail (file, error, "a ZIP archive without a data.pkl: torch.save () did not write it (is it to be unpacked?)");
  return g_steal_pointer (&folder);
}

/* Newer versions say in which order the bytes of a number are. */
static gboolean
check_byte_order (Archive *archive, GError **error)
{
  g_autofree gchar *path = g_strconcat (archive->folder, "/byteorder", NULL);
  const SoraZipEntry *entry;

  if (!g_hash_table_contains (archive->entries, path))
    return TRUE;
  entry = get_entry (archive, "byteorder", error);
  if (!entry)
    return FALSE;
  return (entry->size == 6 && memcmp (entry->data, "little", 6) == 0)
      || sora_weight_file_fail (archive->file, error, "its numbers are not little-endian: re-save it on a little-endian machine");
}

static gboolean
read_pickle (Archive *archive, GError **error)
{
  const SoraZipEntry *entry = get_entry (archive, "data.pkl", error);
  g_autoptr (SoraPickle) pickle = NULL;
  const SoraPickleValue *root;

  if (!entry)
    return FALSE;
  if (entry->size > MAX_PICKLE)
    return sora_weight_file_fail (archive->file, error, "its data.pkl has %" G_GUINT64_FORMAT " bytes, more than %d", entry->size,
        MAX_PICKLE);
  pickle = sora_pickle_parse (entry->data, entry->size, archive->file->path, error);
  if (!pickle)
    return FALSE;
  root = sora_pickle_get_root (pickle);
  if (root->type != SORA_PICKLE_DICT)
    return sora_weight_file_fail (archive->file, error, "it holds no dictionary of tensors: save a state_dict ()");
  return add_dict (archive, root, "", 1, error);
}

gboolean
sora_torch_archive_read (SoraWeightFile *file, const guint8 *data, guint64 size, GError **error)
{
  g_autoptr (GHashTable) entries = sora_zip_read (data, size, file->path, error);
  g_autofree gchar *folder = entries ? find_folder (file, entries, error) : NULL;
  Archive archive = { file, entries, folder };

  return folder && check_byte_order (&archive, error) && read_pickle (&archive, error);
}
