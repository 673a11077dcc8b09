/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a fresh process pays: time to its first frame with empty and with filled caches, and its memory. */
#include "bench.h"

#include <glib/gstdio.h>
#include <sora/sora.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* Limits that a person notices, in seconds. */
#define COLD_LIMIT 5.0
#define WARM_LIMIT 0.7
/* Blocks after which nothing more is allocated. */
#define RSS_BLOCKS 6

/* The child: argv[2] blocks of the embedded model on argv[3], then the end. */
gint
bench_child_main (gint argc, gchar **argv)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (SoraModel) model = sora_model_open (NULL, &error);
  g_autoptr (SoraDevice) device = model ? sora_device_open (argv[3], &error) : NULL;
  g_autoptr (SoraStreamOptions) options = sora_stream_options_new ();
  g_autoptr (SoraStream) stream = NULL;

  sora_stream_options_set_prompt (options, "a red balloon flies up over a city");
  if (device)
    stream = sora_stream_new (model, device, options, NULL, NULL, NULL, &error);
  for (gint i = 0; stream && i < atoi (argv[2]); i++) {
    g_autoptr (SoraBlock) block = sora_stream_next_block (stream, NULL, &error);
    if (!block)
      break;
  }
  if (error)
    g_printerr ("%s\n", error->message);
  return error ? EXIT_FAILURE : EXIT_SUCCESS;
}

typedef struct {
  gdouble seconds;              /* from fork to exit */
  gdouble megabytes;            /* peak resident */
} Run;

/* Runs the child with @cache as its cache directory. */
static gboolean
run_child (Bench *bench, const gchar *cache, guint blocks, Run *run, GError **error)
{
  g_autofree gchar *count = g_strdup_printf ("%u", blocks);
  gchar *argv[] = { (gchar *) "/proc/self/exe", (gchar *) BENCH_CHILD, count, (gchar *) sora_device_get_name (bench_get_device (bench)), NULL };
  g_auto (GStrv) environment = g_environ_setenv (g_get_environ (), "XDG_CACHE_HOME", cache, TRUE);
  g_autofree gchar *pocl = g_build_filename (cache, "pocl", NULL);
  gdouble start = bench_now ();
  struct rusage usage;
  gint status;
  GPid pid;

  environment = g_environ_setenv (environment, "POCL_CACHE_DIR", pocl, TRUE);
  g_mkdir_with_parents (pocl, 0700);
  if (!g_spawn_async (NULL, argv, environment, G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL, &pid, error))
    return FALSE;
  if (wait4 (pid, &status, 0, &usage) != pid || !g_spawn_check_wait_status (status, error))
    return FALSE;
  run->seconds = bench_now () - start;
  run->megabytes = usage.ru_maxrss / 1024.0;
  return TRUE;
}

static void
remove_tree (const gchar *path)
{
  const gchar *argv[] = { "rm", "-rf", path, NULL };

  g_spawn_sync (NULL, (gchar **) argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, NULL, NULL);
}

/* One start with empty caches, then the best of three with what it left there. */
static gboolean
time_starts (Bench *bench, const gchar *cache, Run *cold, Run *warm, GError **error)
{
  if (!run_child (bench, cache, 1, cold, error))
    return FALSE;
  warm->seconds = G_MAXDOUBLE;
  for (guint i = 0; i < 3; i++) {
    Run run;
    if (!run_child (bench, cache, 1, &run, error))
      return FALSE;
    warm->seconds = MIN (warm->seconds, run.seconds);
  }
  return TRUE;
}

gboolean
bench_first_frame (Bench *bench, GError **error)
{
  g_autofree gchar *cache = g_dir_make_tmp ("sora-bench-XXXXXX", error);
  Run cold, warm, full;
  gboolean ok = cache && time_starts (bench, cache, &cold, &warm, error) && run_child (bench, cache, RSS_BLOCKS, &full, error);

  if (cache)
    remove_tree (cache);
  if (!ok)
    return FALSE;
  bench_report (bench, "first-frame-cold", cold.seconds, "s", cold.seconds / COLD_LIMIT, "5 s (lower is better)");
  bench_report (bench, "first-frame-warm", warm.seconds, "s", warm.seconds / WARM_LIMIT, "0.7 s (lower is better)");
  bench_report (bench, "rss", full.megabytes, "MB", full.megabytes / cold.megabytes, "after one block, cold");
  return TRUE;
}
