/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* attention: the embedded model's attention over a full window, its cross-attention, and Wan 2.1 1.3B's, as shares of the peak. */
#include <math.h>

#include "bench.h"
#include "ops/attention.h"

#define SAMPLES 20

typedef struct {
  const gchar *name;
  guint batch, heads, head_dim, n_query, n_key;
  guint calls;                  /* a sample */
} Shape;

static const Shape shapes[] = {
  { "attention", 2, 4, 64, 128, 512, 16 },
  { "attention-first-block", 2, 4, 64, 128, 128, 32 },
  { "attention-cross", 2, 4, 64, 128, 13, 64 },
  { "attention-wan-768", 1, 12, 128, 768, 768, 1 },
};

/* [batch, rows, columns] of small numbers, all different in a row */
static cl_mem
upload (SoraQueue *queue, guint batch, guint rows, guint columns)
{
  gsize n = (gsize) batch * rows * columns;
  g_autofree gfloat *data = g_new (gfloat, n);
  cl_mem mem = sora_queue_alloc (queue, n * sizeof (gfloat));

  for (gsize i = 0; i < n; i++)
    data[i] = sinf (i % 65521);
  sora_queue_write (queue, mem, 0, n * sizeof (gfloat), data);
  return mem;
}

static gboolean
run_shape (Bench *bench, const Shape *s, GError **error)
{
  SoraQueue *queue = bench_get_queue (bench);
  guint columns = s->heads * s->head_dim;
  cl_mem q = upload (queue, s->batch, s->n_query, columns), k = upload (queue, s->batch, s->n_key, columns);
  cl_mem v = upload (queue, s->batch, s->n_key, columns), out = upload (queue, s->batch, s->n_query, columns);
  SoraAttention attention = { s->batch, s->heads, s->head_dim, s->n_query, s->n_key, SORA_MATRIX (q, columns),
    SORA_MATRIX (k, columns), SORA_MATRIX (v, columns), SORA_MATRIX (out, columns), s->n_query * columns, s->n_key * columns,
    s->n_key * columns, s->n_query * columns, 1 / sqrtf (s->head_dim), NULL, NULL };
  gdouble flops = 4.0 * s->batch * s->n_query * s->n_key * columns, best = G_MAXDOUBLE, rate;
  gboolean ok;

  sora_attention_run (queue, &attention);
  ok = sora_queue_finish (queue, error);
  for (guint i = 0; ok && i < SAMPLES; i++) {
    gdouble start = bench_now ();

    for (guint j = 0; j < s->calls; j++)
      sora_attention_run (queue, &attention);
    ok = sora_queue_finish (queue, error);
    best = MIN (best, (bench_now () - start) / s->calls);
    ok = ok && bench_sample_peak (bench, error);
  }
  rate = flops / best * 1e-9;
  if (ok)
    bench_report (bench, s->name, rate, "GFLOP/s", rate / bench_get_peak (bench), "peak");
  clReleaseMemObject (q);
  clReleaseMemObject (k);
  clReleaseMemObject (v);
  clReleaseMemObject (out);
  return ok;
}

gboolean
bench_attention (Bench *bench, GError **error)
{
  for (guint i = 0; i < G_N_ELEMENTS (shapes); i++)
    if (!run_shape (bench, &shapes[i], error))
      return FALSE;
  return TRUE;
}
