/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A thread that builds programs before they are launched, while weights are read and other programs run. */
#include "runtime/builder.h"

#include <stdlib.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include "runtime/program.h"

typedef struct {
  gchar *name, *options;
} Request;

struct _SoraBuilder {
  SoraDevice *device;
  GThreadPool *pool;            /* of one thread */
  GHashTable *asked;            /* set of "name|options" */
  gint left;                    /* programs that are not built yet; atomic */
  gint closing;                 /* those are only freed from now on; atomic */
};

static void
request_free (Request *request)
{
  g_free (request->name);
  g_free (request->options);
  g_free (request);
}

/* A compiler in this process leaves some MB that are free behind, in a heap that is this thread's and that nobody else takes from. */
static void
give_memory_back (void)
{
#ifdef __GLIBC__
  malloc_trim (0);
#endif
}

static void
build (gpointer data, gpointer user_data)
{
  SoraBuilder *builder = user_data;
  Request *request = data;

  if (!g_atomic_int_get (&builder->closing))
    sora_program_get (builder->device, request->name, request->options, NULL);
  request_free (request);
  if (g_atomic_int_dec_and_test (&builder->left))
    give_memory_back ();
}

SoraBuilder *
sora_builder_new (SoraDevice *device)
{
  SoraBuilder *builder = g_new0 (SoraBuilder, 1);

  builder->device = sora_device_ref (device);
  builder->asked = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  builder->pool = g_thread_pool_new (build, builder, 1, FALSE, NULL);
  return builder;
}

/* A pool that is freed at once may leak the request that its thread has just taken (GLib 2.74), so it is let to its end. */
void
sora_builder_free (SoraBuilder *builder)
{
  g_atomic_int_set (&builder->closing, 1);
  g_thread_pool_free (builder->pool, FALSE, TRUE);
  g_hash_table_unref (builder->asked);
  sora_device_unref (builder->device);
  g_free (builder);
}

void
sora_builder_add (SoraBuilder *builder, const gchar *name, const gchar *options)
{
  Request *request;

  if (!g_hash_table_add (builder->asked, g_strconcat (name, "|", options ? options : "", NULL)))
    return;
  request = g_new0 (Request, 1);
  request->name = g_strdup (name);
  request->options = g_strdup (options ? options : "");
  g_atomic_int_inc (&builder->left);
  g_thread_pool_push (builder->pool, request, NULL);    /* where there is no thread it is built later */
}
