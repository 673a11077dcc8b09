/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The compiled programs of past runs, as files. */

/* A file is a Header and then the binary that the driver gave. Its name is the SHA-256 of source, options, device (also its extensions
 * and vector width, for a name like "AMD EPYC" covers many), driver, platform and format version, so that a file that exists under the name fits; the digest in the header finds damage,
 * which drivers do not survive. Whatever goes wrong here only costs a compilation. */

#include "runtime/program-cache.h"

#include <string.h>

#define FORMAT_VERSION "1"
#define MAGIC "SORAPRG1"

typedef struct {
  gchar magic[8];
  guint64 size;                 /* bytes of the binary */
  guint8 digest[32];            /* its SHA-256 */
} Header;

G_STATIC_ASSERT (sizeof (Header) == 48);

gchar *
sora_program_cache_path (SoraDevice *device, const gchar *source, const gchar *options)
{
  g_autoptr (GChecksum) key = g_checksum_new (G_CHECKSUM_SHA256);
  g_autofree gchar *file = NULL;
  g_autofree gchar *width = g_strdup_printf ("%u", device->vector_width);
  gchar version[256] = "", extensions[8192] = "";
  const gchar *parts[] = { FORMAT_VERSION, source, options, device->name, extensions, width, device->driver,
    device->platform_name, version };

  clGetPlatformInfo (device->platform, CL_PLATFORM_VERSION, sizeof version - 1, version, NULL);
  clGetDeviceInfo (device->id, CL_DEVICE_EXTENSIONS, sizeof extensions - 1, extensions, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (parts); i++)
    g_checksum_update (key, (const guchar *) parts[i], strlen (parts[i]) + 1);
  file = g_strconcat (g_checksum_get_string (key), ".clbin", NULL);
  return g_build_filename (g_get_user_cache_dir (), "gst-sora", file, NULL);
}

static void
header_init (Header *header, gconstpointer binary, gsize size)
{
  g_autoptr (GChecksum) checksum = g_checksum_new (G_CHECKSUM_SHA256);
  gsize digest_size = sizeof header->digest;

  memcpy (header->magic, MAGIC, sizeof header->magic);
  header->size = size;
  g_checksum_update (checksum, binary, size);
  g_checksum_get_digest (checksum, header->digest, &digest_size);
}

GBytes *
sora_program_cache_load (const gchar *path)
{
  g_autofree gchar *contents = NULL;
  g_autoptr (GBytes) file = NULL;
  gsize size = 0;
  Header expected;

  if (!g_file_get_contents (path, &contents, &size, NULL) || size <= sizeof (Header))
    return NULL;
  header_init (&expected, contents + sizeof (Header), size - sizeof (Header));
  if (memcmp (&expected, contents, sizeof (Header)) != 0) {
    g_info ("%s is damaged", path);
    return NULL;
  }
  file = g_bytes_new_take (g_steal_pointer (&contents), size);
  return g_bytes_new_from_bytes (file, sizeof (Header), size - sizeof (Header));
}

void
sora_program_cache_store (const gchar *path, GBytes *binary)
{
  g_autofree gchar *dir = g_path_get_dirname (path);
  g_autoptr (GByteArray) file = g_byte_array_new ();
  g_autoptr (GError) error = NULL;
  gsize size;
  gconstpointer data = g_bytes_get_data (binary, &size);
  Header header;

  header_init (&header, data, size);
  g_byte_array_append (file, (const guint8 *) &header, sizeof header);
  g_byte_array_append (file, data, size);
  g_mkdir_with_parents (dir, 0700);
  if (!g_file_set_contents (path, (const gchar *) file->data, file->len, &error))
    g_info ("a compiled program is not cached: %s", error->message);
}
