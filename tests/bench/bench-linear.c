/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* linear-large and linear-embedded: our linear beside OpenBLAS's product, and with its epilogue as a share of the peak; and the same in bf16, on a
 * device that has a matrix unit, beside our own fp32 too. */
#include "bench.h"

#include <cblas.h>

#include "bench-openblas.h"
#include "ops/linear.h"
#include "runtime/matrix-unit.h"

/* A sample is as many calls as take about this long, and one at least. */
#define SAMPLE_SECONDS 0.01
/* OpenBLAS's threads wait actively for the next call before they sleep. */
#define PAUSE_MICROSECONDS 20000

typedef struct {
  const gchar *name;
  guint m, n, k;
  SoraActivation activation;
  gboolean gated_residual;
} Shape;

static const Shape large = { "linear-large", 768, 8960, 1536, SORA_ACTIVATION_NONE, FALSE };

/* Of the embedded model: 256 wide, 768 in its feed-forward layers; two guidance branches of two latent frames of 64 tokens, or one. */
static const Shape embedded[] = {
  { "linear-embedded-qkv", 256, 768, 256, SORA_ACTIVATION_NONE, FALSE },
  { "linear-embedded-out", 256, 256, 256, SORA_ACTIVATION_NONE, TRUE },
  { "linear-embedded-ffn-up", 256, 768, 256, SORA_ACTIVATION_GELU_TANH, FALSE },
  { "linear-embedded-ffn-down", 256, 256, 768, SORA_ACTIVATION_NONE, TRUE },
  { "linear-embedded-qkv-128", 128, 768, 256, SORA_ACTIVATION_NONE, FALSE },
  { "linear-embedded-out-128", 128, 256, 256, SORA_ACTIVATION_NONE, TRUE },
  { "linear-embedded-ffn-up-128", 128, 768, 256, SORA_ACTIVATION_GELU_TANH, FALSE },
  { "linear-embedded-ffn-down-128", 128, 256, 768, SORA_ACTIVATION_NONE, TRUE },
  { "linear-embedded-text-12", 12, 512, 256, SORA_ACTIVATION_GELU_TANH, FALSE },
};

/* seconds a call, best of all rounds: with nothing but the bias, as the model calls it, the first in fp32, and OpenBLAS's product */
typedef struct {
  gdouble plain, fused, fp32, blas;
} Best;

/* One shape with its operands on both sides. */
typedef struct {
  const Shape *shape;
  gfloat *x, *weight, *bias, *y;        /* [m, k], [n, k], [n], [m, n] */
  SoraLinear *linear, *fp32;    /* in the precision that is measured, and in fp32 */
  cl_mem x_mem, y_mem, gate_mem;
  guint calls;                  /* in a sample */
  Best best;
} Case;

static gfloat *
random_floats (gsize n)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (1);
  gfloat *data = g_new (gfloat, n);

  for (gsize i = 0; i < n; i++)
    data[i] = g_rand_double_range (rand, -1, 1);
  return data;
}

static cl_mem
upload (SoraQueue *queue, const gfloat *data, gsize n)
{
  cl_mem mem = sora_queue_alloc (queue, n * sizeof *data);

  sora_queue_write (queue, mem, 0, n * sizeof *data, data);
  return mem;
}

static gboolean
case_init (Case *c, const Shape *s, SoraPrecision precision, SoraQueue *queue, GError **error)
{
  SoraTensor weight = { "weight", "bench", SORA_DTYPE_F32, 2, { s->n, s->k }, (guint64) s->n * s->k };
  SoraTensor bias = { "bias", "bench", SORA_DTYPE_F32, 1, { s->n }, s->n };
  const SoraTensor *weights[] = { &weight }, *biases[] = { &bias };

  c->shape = s;
  c->x = random_floats ((gsize) s->m * s->k);
  c->weight = random_floats ((gsize) s->n * s->k);
  c->bias = random_floats (s->n);
  c->y = g_new0 (gfloat, (gsize) s->m * s->n);
  c->best = (Best) { G_MAXDOUBLE, G_MAXDOUBLE, G_MAXDOUBLE, G_MAXDOUBLE };
  weight.data = (const guint8 *) c->weight;
  bias.data = (const guint8 *) c->bias;
  c->linear = sora_linear_new (queue, SORA_WEIGHT_TYPE_FP32, precision, 1, weights, biases, error);
  c->fp32 = c->linear ? sora_linear_new (queue, SORA_WEIGHT_TYPE_FP32, SORA_PRECISION_FP32, 1, weights, biases, error) : NULL;
  if (!c->fp32)
    return FALSE;
  c->x_mem = upload (queue, c->x, (gsize) s->m * s->k);
  c->y_mem = upload (queue, c->y, (gsize) s->m * s->n);
  c->gate_mem = upload (queue, c->y, s->n);     /* zeros keep the residual finite for ever */
  return sora_queue_finish (queue, error);
}

static void
case_clear (Case *c)
{
  g_clear_pointer (&c->linear, sora_linear_free);
  g_clear_pointer (&c->fp32, sora_linear_free);
  g_clear_pointer (&c->x_mem, clReleaseMemObject);
  g_clear_pointer (&c->y_mem, clReleaseMemObject);
  g_clear_pointer (&c->gate_mem, clReleaseMemObject);
  g_free (c->x);
  g_free (c->weight);
  g_free (c->bias);
  g_free (c->y);
}

static SoraEpilogue
get_epilogue (const Case *c)
{
  SoraEpilogue epilogue = { .activation = c->shape->activation };

  if (c->shape->gated_residual) {
    epilogue.gate = (SoraFrameVector) { c->gate_mem, 0, 0, 64, 2 };
    epilogue.residual = SORA_MATRIX (c->y_mem, c->shape->n);
  }
  return epilogue;
}

static gboolean
sample_ours (Case *c, const SoraLinear *linear, const SoraEpilogue *epilogue, gdouble *best, SoraQueue *queue, GError **error)
{
  const Shape *s = c->shape;
  gdouble start = bench_now ();

  for (guint i = 0; i < c->calls; i++)
    sora_linear_run (queue, linear, SORA_MATRIX (c->x_mem, s->k), SORA_MATRIX (c->y_mem, s->n), s->m, epilogue);
  if (!sora_queue_finish (queue, error))
    return FALSE;
  *best = MIN (*best, (bench_now () - start) / c->calls);
  return TRUE;
}

static void
sample_blas (Case *c)
{
  const Shape *s = c->shape;
  gdouble start = bench_now ();

  for (guint i = 0; i < c->calls; i++)
    cblas_sgemm (CblasRowMajor, CblasNoTrans, CblasTrans, s->m, s->n, s->k, 1, c->x, s->k, c->weight, s->k, 0, c->y, s->n);
  c->best.blas = MIN (c->best.blas, (bench_now () - start) / c->calls);
  g_usleep (PAUSE_MICROSECONDS);
}

/* Takes turns: whoever disturbs the machine disturbs all of them. Ours and OpenBLAS's both come behind a sample of the peak, so that neither pays
 * alone for cores that slept in the pause. */
static gboolean
measure (Case *c, Bench *bench, SoraMatrixUnit unit, guint rounds, GError **error)
{
  SoraQueue *queue = bench_get_queue (bench);
  const SoraEpilogue epilogue = get_epilogue (c);

  c->calls = 1;
  if (!sample_ours (c, c->linear, NULL, &c->best.plain, queue, error) || !sample_ours (c, c->linear, NULL, &c->best.plain, queue, error))
    return FALSE;
  c->calls = CLAMP (SAMPLE_SECONDS / c->best.plain, 1, 1000);
  for (guint i = 0; i < rounds; i++) {
    if (!bench_sample_unit_peak (bench, unit, error) || !sample_ours (c, c->linear, NULL, &c->best.plain, queue, error)
        || !sample_ours (c, c->linear, &epilogue, &c->best.fused, queue, error)
        || (unit && !sample_ours (c, c->fp32, NULL, &c->best.fp32, queue, error)) || !bench_sample_unit_peak (bench, unit, error))
      return FALSE;
    sample_blas (c);
  }
  return TRUE;
}

static gdouble
count_gflop (const Shape *s)
{
  return 2e-9 * s->m * s->n * s->k;
}

static void
report (Bench *bench, const gchar *what, SoraMatrixUnit unit, gdouble gflop, const Best *best)
{
  g_autofree gchar *name = g_strconcat (what, unit ? "-bf16" : "", NULL), *share = g_strconcat (name, "-share", NULL);
  g_autofree gchar *blas = bench_openblas_describe ();

  bench_report (bench, name, gflop / best->plain, "GFLOP/s", best->blas / best->plain, blas);
  if (unit)
    bench_report (bench, name, gflop / best->plain, "GFLOP/s", best->fp32 / best->plain, "ours in fp32");
  bench_report (bench, share, gflop / best->fused, "GFLOP/s", gflop / best->fused / bench_get_unit_peak (bench, unit),
      unit ? "the unit's peak" : "peak-fp32");
}

static gboolean
run_shape (Bench *bench, const Shape *shape, SoraMatrixUnit unit, guint rounds, Best *best, GError **error)
{
  Case c = { 0 };
  gboolean ok;

  openblas_set_num_threads (g_get_num_processors ());
  ok = case_init (&c, shape, unit ? SORA_PRECISION_BF16 : SORA_PRECISION_FP32, bench_get_queue (bench), error)
      && measure (&c, bench, unit, rounds, error);
  if (ok)
    report (bench, shape->name, unit, count_gflop (shape), &c.best);
  *best = c.best;
  case_clear (&c);
  return ok;
}

gboolean
bench_linear_large (Bench *bench, GError **error)
{
  Best best;

  return run_shape (bench, &large, SORA_MATRIX_UNIT_NONE, 20, &best, error);
}

/* Each shape, then all of them one after the other. */
static gboolean
run_embedded (Bench *bench, SoraMatrixUnit unit, GError **error)
{
  Best all = { 0 }, best;
  gdouble gflop = 0;

  for (guint i = 0; i < G_N_ELEMENTS (embedded); i++) {
    if (!run_shape (bench, &embedded[i], unit, 60, &best, error))
      return FALSE;
    all = (Best) { all.plain + best.plain, all.fused + best.fused, all.fp32 + best.fp32, all.blas + best.blas };
    gflop += count_gflop (&embedded[i]);
  }
  report (bench, "linear-embedded", unit, gflop, &all);
  return TRUE;
}

gboolean
bench_linear_embedded (Bench *bench, GError **error)
{
  return run_embedded (bench, SORA_MATRIX_UNIT_NONE, error);
}

/* Both do nothing on a device without a matrix unit. */
gboolean
bench_linear_large_bf16 (Bench *bench, GError **error)
{
  SoraMatrixUnit unit = sora_matrix_unit_get (bench_get_device (bench));
  Best best;

  return !unit || run_shape (bench, &large, unit, 20, &best, error);
}

gboolean
bench_linear_embedded_bf16 (Bench *bench, GError **error)
{
  SoraMatrixUnit unit = sora_matrix_unit_get (bench_get_device (bench));

  return !unit || run_embedded (bench, unit, error);
}
