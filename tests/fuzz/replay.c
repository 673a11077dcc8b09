/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Runs a fuzz target over the files, and those of the folders, that are named: to see what ended it, in the tests, or for AFL++ (@@). */

#include <gio/gio.h>

int LLVMFuzzerTestOneInput (const guint8 *data, size_t size);

/* Returns whether it is there. */
static gboolean
replay (const gchar *path)
{
  g_autoptr (GDir) folder = g_dir_open (path, 0, NULL);
  g_autofree gchar *data = NULL;
  const gchar *name;
  gsize size;

  if (!folder) {
    if (!g_file_get_contents (path, &data, &size, NULL))
      return FALSE;
    LLVMFuzzerTestOneInput ((const guint8 *) data, size);
    return TRUE;
  }
  while ((name = g_dir_read_name (folder))) {
    g_autofree gchar *file = g_build_filename (path, name, NULL);
    if (!replay (file))
      return FALSE;
  }
  return TRUE;
}

int
main (int argc, char **argv)
{
  for (int i = 1; i < argc; i++) {
    if (!replay (argv[i]))
      return 1;
  }
  return argc < 2;
}
