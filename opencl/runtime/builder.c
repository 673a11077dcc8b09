/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A thread that builds programs before they are launched, while weights are read and other programs run. */
#include "runtime/builder.h"

#include <stdlib.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include "runtime/program.h"

typedef struct {
  gchar *name, *options;        /* name NULL: the end */
} Request;

struct _SoraBuilder {
  SoraDevice *device;
  GThread *thread;
  GHashTable *asked;            /* set of "name|options" */
  GAsyncQueue *requests;        /* Request */
  gint stop;                    /* atomic */
};

static void
request_free (gpointer data)
{
  Request *request = data;

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

static gpointer
build_requests (gpointer data)
{
  SoraBuilder *builder = data;

  while (!g_atomic_int_get (&builder->stop)) {
    Request *request = g_async_queue_pop (builder->requests);

    if (request->name && !g_atomic_int_get (&builder->stop))
      sora_program_get (builder->device, request->name, request->options, NULL);
    request_free (request);
    if (g_async_queue_length (builder->requests) <= 0)
      give_memory_back ();
  }
  return NULL;
}

SoraBuilder *
sora_builder_new (SoraDevice *device)
{
  SoraBuilder *builder = g_new0 (SoraBuilder, 1);

  builder->device = sora_device_ref (device);
  builder->asked = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  builder->requests = g_async_queue_new_full (request_free);
  builder->thread = g_thread_try_new ("sora-builder", build_requests, builder, NULL);   /* without it programs are built later */
  return builder;
}

void
sora_builder_free (SoraBuilder *builder)
{
  g_atomic_int_set (&builder->stop, TRUE);
  g_async_queue_push (builder->requests, g_new0 (Request, 1));
  if (builder->thread)
    g_thread_join (builder->thread);
  g_async_queue_unref (builder->requests);
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
  g_async_queue_push (builder->requests, request);
}
