/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A writable kernel cache for PoCL, which shows no device without one. */

#define _GNU_SOURCE
#include "runtime/pocl-cache.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <glib/gstdio.h>

static gchar *private_dir;
static pid_t private_dir_owner;

/* What PoCL 3.1 would use: lib/CL/pocl_cache.c, pocl_cache_init_topdir(). */
static gchar *
pocl_cache_dir (void)
{
  const gchar *dir;

  if ((dir = g_getenv ("POCL_CACHE_DIR")) && *dir)
    return g_strdup (dir);
  if ((dir = g_getenv ("XDG_CACHE_HOME")) && *dir)
    return g_build_filename (dir, "pocl", "kcache", NULL);
  if ((dir = g_getenv ("HOME")) && *dir)
    return g_build_filename (dir, ".cache", "pocl", "kcache", NULL);
  return g_strdup ("/tmp/pocl/kcache");
}

/* Whether @path is a writable directory, or could be made one: decided by its nearest ancestor that exists. */
static gboolean
can_write (const gchar *path)
{
  g_autofree gchar *at = g_strdup (path);

  while (!g_file_test (at, G_FILE_TEST_EXISTS)) {
    gchar *parent = g_path_get_dirname (at);

    g_free (at);
    at = parent;
  }
  return g_file_test (at, G_FILE_TEST_IS_DIR) && g_access (at, W_OK | X_OK) == 0;
}

static int
remove_entry (const char *path, const struct stat *status, int kind, struct FTW *ftw)
{
  remove (path);
  return 0;
}

static void
remove_private_dir (void)
{
  if (getpid () == private_dir_owner)   /* not in a forked child */
    nftw (private_dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static gpointer
ensure_once (gpointer data)
{
  g_autofree gchar *dir = pocl_cache_dir ();
  g_autoptr (GError) error = NULL;

  if (can_write (dir))
    return GINT_TO_POINTER (TRUE);
  private_dir = g_dir_make_tmp ("sora-pocl-XXXXXX", &error);
  if (!private_dir) {
    g_info ("no private kernel cache for PoCL: %s", error->message);
    return GINT_TO_POINTER (FALSE);
  }
  g_info ("%s is not writable; PoCL's kernel cache is %s", dir, private_dir);
  g_setenv ("POCL_CACHE_DIR", private_dir, TRUE);
  private_dir_owner = getpid ();
  atexit (remove_private_dir);
  return GINT_TO_POINTER (TRUE);
}

gboolean
sora_pocl_cache_ensure (void)
{
  static GOnce once = G_ONCE_INIT;

  return GPOINTER_TO_INT (g_once (&once, ensure_once, NULL));
}
