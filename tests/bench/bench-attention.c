/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* attention: the embedded model's attention over a full window, its cross-attention, and Wan 2.1 1.3B's, as shares of the peak.
 * attention-bf16: the same rounded to bf16, if the device does that, beside our own fp32, and as shares of the matrix unit's peak. */
#include <math.h>

#include "bench.h"
#include "ops/attention.h"
#include "runtime/matrix-unit.h"

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
  { "attention-wan-cross", 1, 12, 128, 768, 21, 8 },
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

/* Seconds of a call, the least of all samples */
static gboolean
sample (SoraQueue *queue, const SoraAttention *attention, guint calls, gdouble *best, GError **error)
{
  gdouble start = bench_now ();

  for (guint i = 0; i < calls; i++)
    sora_attention_run (queue, attention);
  if (!sora_queue_finish (queue, error))
    return FALSE;
  *best = MIN (*best, (bench_now () - start) / calls);
  return TRUE;
}

/* In fp32, and with @unit in bf16 in turns with it */
static gboolean
measure (Bench *bench, const Shape *s, SoraMatrixUnit unit, SoraAttention *attention, gdouble *fp32, gdouble *bf16, GError **error)
{
  *fp32 = *bf16 = G_MAXDOUBLE;
  for (guint i = 0; i <= SAMPLES; i++) {
    attention->bf16 = FALSE;
    if (!sample (bench_get_queue (bench), attention, s->calls, fp32, error))
      return FALSE;
    attention->bf16 = TRUE;
    if (unit && !sample (bench_get_queue (bench), attention, s->calls, bf16, error))
      return FALSE;
    if (!bench_sample_unit_peak (bench, unit, error))
      return FALSE;
  }
  return TRUE;
}

static void
report (Bench *bench, const Shape *s, SoraMatrixUnit unit, gdouble fp32, gdouble bf16)
{
  gdouble flops = 4.0 * s->batch * s->n_query * s->n_key * s->heads * s->head_dim, rate = flops / (unit ? bf16 : fp32) * 1e-9;
  g_autofree gchar *name = g_strconcat (s->name, unit ? "-bf16" : "", NULL);

  if (unit)
    bench_report (bench, name, rate, "GFLOP/s", fp32 / bf16, "ours in fp32");
  bench_report (bench, name, rate, "GFLOP/s", rate / bench_get_unit_peak (bench, unit), unit ? "the unit's peak" : "peak");
}

static gboolean
run_shape (Bench *bench, const Shape *s, SoraMatrixUnit unit, GError **error)
{
  SoraQueue *queue = bench_get_queue (bench);
  guint columns = s->heads * s->head_dim;
  cl_mem q = upload (queue, s->batch, s->n_query, columns), k = upload (queue, s->batch, s->n_key, columns);
  cl_mem v = upload (queue, s->batch, s->n_key, columns), out = upload (queue, s->batch, s->n_query, columns);
  SoraAttention attention = { s->batch, s->heads, s->head_dim, s->n_query, s->n_key, SORA_MATRIX (q, columns),
    SORA_MATRIX (k, columns), SORA_MATRIX (v, columns), SORA_MATRIX (out, columns), s->n_query * columns, s->n_key * columns,
    s->n_key * columns, s->n_query * columns, 1 / sqrtf (s->head_dim) };
  gdouble fp32, bf16;
  gboolean ok = measure (bench, s, unit, &attention, &fp32, &bf16, error);

  if (ok)
    report (bench, s, unit, fp32, bf16);
  clReleaseMemObject (q);
  clReleaseMemObject (k);
  clReleaseMemObject (v);
  clReleaseMemObject (out);
  return ok;
}

static gboolean
run_shapes (Bench *bench, SoraMatrixUnit unit, GError **error)
{
  for (guint i = 0; i < G_N_ELEMENTS (shapes); i++)
    if (!run_shape (bench, &shapes[i], unit, error))
      return FALSE;
  return TRUE;
}

gboolean
bench_attention (Bench *bench, GError **error)
{
  return run_shapes (bench, SORA_MATRIX_UNIT_NONE, error);
}

/* Does nothing on a device that rounds nothing. */
gboolean
bench_attention_bf16 (Bench *bench, GError **error)
{
  SoraDevice *device = bench_get_device (bench);

  return !sora_attention_has_bf16 (device, shapes[0].head_dim) || run_shapes (bench, sora_matrix_unit_get (device), error);
}
