/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Finds where a ZIP archive's entries lie. Structures and their numbers: PKWARE's APPNOTE.TXT 6.3, sections 4.3.7 to 4.3.16.
 *
 * Not with a library: Debian 12's minizip misreads the 64-bit sizes in a directory, others do not tell where an entry's data begins. */

#include "weights/zip.h"

#include <string.h>

#define MAX_ENTRIES (1 << 17)
#define LOCAL_SIZE 30
#define CENTRAL_SIZE 46
#define END_SIZE 22
#define LOCATOR_SIZE 20
#define END64_SIZE 56
/* The bit of an entry's flags that says that it is encrypted */
#define ENCRYPTED 1
/* The header of the extra field with 64-bit sizes */
#define EXTRA_64 1

typedef struct {
  const guint8 *data;
  guint64 size;
  const gchar *file;
} Archive;

/* A record of the directory */
typedef struct {
  guint64 compressed_size, size, offset;        /* offset: of the entry's own header */
  guint16 flags, method;
  const guint8 *name, *extra;
  guint16 name_length, extra_length;
} Record;

static gboolean
fail (const Archive *archive, const gchar *what, GError **error)
{
  g_set_error (error, SORA_MODEL_ERROR, SORA_MODEL_ERROR_FORMAT, "%s: ZIP archive: %s", archive->file, what);
  return FALSE;
}

static guint64
get_uint (const guint8 *bytes, guint width)
{
  guint64 value = 0;

  for (guint i = 0; i < width; i++)
    value |= (guint64) bytes[i] << (8 * i);
  return value;
}

/* Whether @size bytes at @offset are there, and begin with the signature PK @a @b */
static gboolean
is_at (const Archive *archive, guint64 offset, guint64 size, guint8 a, guint8 b)
{
  const guint8 signature[] = { 'P', 'K', a, b };

  return offset <= archive->size && size <= archive->size - offset && memcmp (archive->data + offset, signature, 4) == 0;
}

/* The end record, which is last but for a comment. */
static gboolean
find_end (const Archive *archive, guint64 *offset)
{
  for (guint64 comment = 0; comment <= G_MAXUINT16 && comment + END_SIZE <= archive->size; comment++) {
    *offset = archive->size - END_SIZE - comment;
    if (is_at (archive, *offset, END_SIZE, 5, 6) && get_uint (archive->data + *offset + 20, 2) == comment)
      return TRUE;
  }
  return FALSE;
}

/* Where the directory begins, and how many records it has */
static gboolean
find_directory (const Archive *archive, guint64 *offset, guint64 *n_records, GError **error)
{
  guint64 end, end64;

  if (!find_end (archive, &end))
    return fail (archive, "its directory is missing (is it truncated?)", error);
  *n_records = get_uint (archive->data + end + 10, 2);
  *offset = get_uint (archive->data + end + 16, 4);
  if (end >= LOCATOR_SIZE && is_at (archive, end - LOCATOR_SIZE, LOCATOR_SIZE, 6, 7)) {
    end64 = get_uint (archive->data + end - LOCATOR_SIZE + 8, 8);
    if (!is_at (archive, end64, END64_SIZE, 6, 6))
      return fail (archive, "its 64-bit end record is damaged", error);
    *n_records = get_uint (archive->data + end64 + 32, 8);
    *offset = get_uint (archive->data + end64 + 48, 8);
  }
  return *n_records <= MAX_ENTRIES || fail (archive, "it has more entries than any model has tensors", error);
}

/* Sizes and offset that do not fit 32 bits stand, in this order, in the extra field. */
static gboolean
read_64_bit_sizes (Record *record)
{
  guint64 *values[] = { &record->size, &record->compressed_size, &record->offset };
  guint at = 0, used = 0;

  while (record->extra_length - at >= 4 && get_uint (record->extra + at, 2) != EXTRA_64)
    at = MIN (at + 4 + get_uint (record->extra + at + 2, 2), record->extra_length);
  for (guint i = 0; i < G_N_ELEMENTS (values); i++) {
    if (*values[i] != G_MAXUINT32)
      continue;
    if (record->extra_length - at < 4 + used + 8 || get_uint (record->extra + at + 2, 2) < used + 8)
      return FALSE;
    *values[i] = get_uint (record->extra + at + 4 + used, 8);
    used += 8;
  }
  return TRUE;
}

/* Reads the record at *@offset, which moves behind it. */
static gboolean
read_record (const Archive *archive, guint64 *offset, Record *record)
{
  const guint8 *bytes;
  guint64 length;

  if (!is_at (archive, *offset, CENTRAL_SIZE, 1, 2))
    return FALSE;
  bytes = archive->data + *offset;
  record->flags = get_uint (bytes + 8, 2);
  record->method = get_uint (bytes + 10, 2);
  record->compressed_size = get_uint (bytes + 20, 4);
  record->size = get_uint (bytes + 24, 4);
  record->name_length = get_uint (bytes + 28, 2);
  record->extra_length = get_uint (bytes + 30, 2);
  record->offset = get_uint (bytes + 42, 4);
  record->name = bytes + CENTRAL_SIZE;
  record->extra = record->name + record->name_length;
  length = (guint64) CENTRAL_SIZE + record->name_length + record->extra_length + get_uint (bytes + 32, 2);
  if (length > archive->size - *offset)
    return FALSE;
  *offset += length;
  return read_64_bit_sizes (record);
}

/* Finds the data behind the entry's own header, which has the same name. */
static gboolean
find_data (const Archive *archive, const Record *record, SoraZipEntry *entry)
{
  const guint8 *bytes;
  guint64 begin;

  if (!is_at (archive, record->offset, LOCAL_SIZE + record->name_length, 3, 4))
    return FALSE;
  bytes = archive->data + record->offset;
  if (get_uint (bytes + 26, 2) != record->name_length || memcmp (bytes + LOCAL_SIZE, record->name, record->name_length) != 0)
    return FALSE;
  entry->method = record->method;
  if (record->method != 0)
    return TRUE;
  begin = LOCAL_SIZE + record->name_length + get_uint (bytes + 28, 2);
  if (begin > archive->size - record->offset || record->size > archive->size - record->offset - begin
      || record->size != record->compressed_size)
    return FALSE;
  entry->data = bytes + begin;
  entry->size = record->size;
  return TRUE;
}

static gboolean
add_entry (const Archive *archive, GHashTable *entries, const Record *record, GError **error)
{
  g_autofree SoraZipEntry *entry = g_new0 (SoraZipEntry, 1);
  g_autofree gchar *name = NULL;

  if (record->flags & ENCRYPTED)
    return fail (archive, "it is encrypted", error);
  if (!g_utf8_validate_len ((const gchar *) record->name, record->name_length, NULL))
    return fail (archive, "an entry's name is not UTF-8", error);
  name = g_strndup ((const gchar *) record->name, record->name_length);
  if (!find_data (archive, record, entry)) {
    g_autofree gchar *what = g_strdup_printf ("entry \"%.100s\" is damaged, or lies beyond the end (is it truncated?)", name);
    return fail (archive, what, error);
  }
  return g_hash_table_insert (entries, g_steal_pointer (&name), g_steal_pointer (&entry))
      || fail (archive, "an entry's name occurs twice", error);
}

GHashTable *
sora_zip_read (const guint8 *data, guint64 size, const gchar *file, GError **error)
{
  Archive archive = { data, size, file };
  g_autoptr (GHashTable) entries = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  guint64 offset, n_records;

  if (!find_directory (&archive, &offset, &n_records, error))
    return NULL;
  for (guint64 i = 0; i < n_records; i++) {
    Record record;
    if (!read_record (&archive, &offset, &record)) {
      fail (&archive, "its directory is damaged (is it truncated?)", error);
      return NULL;
    }
    if (!add_entry (&archive, entries, &record, error))
      return NULL;
  }
  return g_steal_pointer (&entries);
}
