/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* convolution: the layers of the embedded model's decoder at 256x256, two latents at once, over what the plain way (every product of the
 * kernel) would take at the peak; Winograd's way needs fewer products. convolution-share: the products that are really made, as a share of the peak.
 * convolution-bf16: the same layers on a matrix unit, if the device has one, beside our own fp32, and as a share of the unit's peak. */
#include "bench.h"

#include "ops/convolution.h"
#include "runtime/matrix-unit.h"

#define SAMPLES 12

typedef struct {
  const gchar *name;
  SoraConvolutionShape shape;
  guint frames, size;           /* input frames; height and width of the input */
  guint calls;                  /* in a decoding of two latents */
  gboolean residual;
} Layer;

/*  in, out, kernel (t, h, w), strides, up-sampling in space and in time */
static const Layer layers[] = {
  { "convolution-192-memory", { 192, 192, 2, 3, 3, 1, 1, 1, 1 }, 2, 16, 2, FALSE },
  { "convolution-192", { 192, 192, 1, 3, 3, 1, 1, 1, 1 }, 2, 16, 4, TRUE },
  { "convolution-192-to-96-grow", { 192, 96, 1, 3, 3, 1, 1, 2, 2 }, 2, 16, 1, FALSE },
  { "convolution-96-memory", { 96, 96, 2, 3, 3, 1, 1, 1, 1 }, 4, 32, 2, FALSE },
  { "convolution-96", { 96, 96, 1, 3, 3, 1, 1, 1, 1 }, 4, 32, 4, TRUE },
  { "convolution-96-to-48-grow", { 96, 48, 1, 3, 3, 1, 1, 2, 2 }, 4, 32, 1, FALSE },
  { "convolution-48-memory", { 48, 48, 2, 3, 3, 1, 1, 1, 1 }, 8, 64, 1, FALSE },
  { "convolution-48", { 48, 48, 1, 3, 3, 1, 1, 1, 1 }, 8, 64, 4, TRUE },
};

/* A layer with its operands. */
typedef struct {
  const Layer *layer;
  SoraConvolution *fp32, *bf16; /* bf16: NULL unless it is measured too */
  SoraFeatureMap x, y, residual;
} Case;

/* seconds a call, and FLOPs that are really done in it */
typedef struct {
  gdouble seconds, work;
} Best;

static cl_mem
alloc_zero (SoraQueue *queue, const SoraFeatureMap *map, guint frames)
{
  gsize size = sora_feature_map_floats (map, frames) * sizeof (gfloat);
  cl_mem mem = sora_queue_alloc (queue, size);

  sora_queue_zero (queue, mem, 0, size);
  return mem;
}

/* The plain way's: up-sampled by 2, a 3x3 kernel is 2x2 of the small map. */
static gdouble
count_flops (const Layer *layer)
{
  const SoraConvolutionShape *s = &layer->shape;
  gdouble taps = s->scale == 2 ? 4 : 9, outputs = layer->frames * s->time_scale * (gdouble) layer->size * layer->size * s->scale * s->scale;

  return 2 * outputs * taps * s->kernel_time * s->in_channels * s->out_channels;
}

static gboolean
case_init (Case *c, const Layer *layer, SoraMatrixUnit unit, SoraQueue *queue, GError **error)
{
  const SoraConvolutionShape *s = &layer->shape;
  gsize n = (gsize) s->time_scale * s->out_channels * s->in_channels * s->kernel_time * 9;
  g_autofree gfloat *weight = g_new (gfloat, n);
  guint size = layer->size * s->scale;

  for (gsize i = 0; i < n; i++)
    weight[i] = i % 7 - 3.0f;
  *c = (Case) { layer, NULL, NULL, { NULL, 1, 1, layer->size, layer->size, s->in_channels }, { NULL, 0, 1, size, size, s->out_channels },
    { NULL, 0, 1, size, size, s->out_channels } };
  c->fp32 = sora_convolution_new (queue, s, SORA_CONVOLUTION_FP32, weight, NULL, error);
  if (c->fp32 && unit)
    c->bf16 = sora_convolution_new (queue, s, SORA_CONVOLUTION_BF16, weight, NULL, error);
  if (!c->fp32 || (unit && !c->bf16))
    return FALSE;
  c->x.mem = alloc_zero (queue, &c->x, layer->frames);
  c->y.mem = alloc_zero (queue, &c->y, layer->frames * s->time_scale);
  if (layer->residual)
    c->residual.mem = alloc_zero (queue, &c->residual, layer->frames * s->time_scale);
  return sora_queue_finish (queue, error);
}

static void
case_clear (Case *c)
{
  g_clear_pointer (&c->fp32, sora_convolution_free);
  g_clear_pointer (&c->bf16, sora_convolution_free);
  g_clear_pointer (&c->x.mem, clReleaseMemObject);
  g_clear_pointer (&c->y.mem, clReleaseMemObject);
  g_clear_pointer (&c->residual.mem, clReleaseMemObject);
}

/* One sample is as many calls as a decoding has. */
static gboolean
sample (const Case *c, const SoraConvolution *convolution, Best *best, SoraQueue *queue, GError **error)
{
  const SoraConvolutionEpilogue epilogue = { TRUE, c->residual };
  gdouble start = bench_now ();
  guint64 before = sora_queue_get_work (queue);

  for (guint i = 0; i < c->layer->calls; i++)
    sora_convolution_run (queue, convolution, &c->x, &c->y, c->layer->frames, &epilogue);
  if (!sora_queue_finish (queue, error))
    return FALSE;
  best->seconds = MIN (best->seconds, (bench_now () - start) / c->layer->calls);
  best->work = (sora_queue_get_work (queue) - before) / (gdouble) c->layer->calls;
  return TRUE;
}

/* Takes turns: whoever disturbs the machine disturbs all of them. @bf16: only with @unit */
static gboolean
measure (Bench *bench, const Layer *layer, SoraMatrixUnit unit, Best *fp32, Best *bf16, GError **error)
{
  SoraQueue *queue = bench_get_queue (bench);
  Case c;
  gboolean ok = case_init (&c, layer, unit, queue, error);

  *fp32 = *bf16 = (Best) { G_MAXDOUBLE };
  for (guint i = 0; ok && i < SAMPLES; i++)
    ok = sample (&c, c.fp32, fp32, queue, error) && (!unit || sample (&c, c.bf16, bf16, queue, error))
        && bench_sample_unit_peak (bench, unit, error);
  case_clear (&c);
  return ok;
}

/* @flops: the plain way's */
static void
report (Bench *bench, const gchar *name, gdouble flops, gdouble seconds, gdouble ratio, const gchar *against)
{
  bench_report (bench, name, flops / seconds * 1e-9, "GFLOP/s", ratio, against);
}

static void
add (Best *sum, const Best *best, guint calls)
{
  sum->seconds += best->seconds * calls;
  sum->work += best->work * calls;
}

/* In bf16 with @unit, else in fp32 */
static void
report_layer (Bench *bench, SoraMatrixUnit unit, const gchar *name, gdouble flops, const Best *fp32, const Best *bf16)
{
  gdouble peak = bench_get_unit_peak (bench, unit) * 1e9;
  g_autofree gchar *bf16_name = g_strconcat (name, "-bf16", NULL);

  if (!unit)
    report (bench, name, flops, fp32->seconds, flops / fp32->seconds / peak, "plain way at peak");
  else
    report (bench, bf16_name, flops, bf16->seconds, fp32->seconds / bf16->seconds, "ours in fp32");
}

/* Reports at the end, when the peak has been sampled most often. */
static gboolean
run_layers (Bench *bench, SoraMatrixUnit unit, GError **error)
{
  Best fp32[G_N_ELEMENTS (layers)], bf16[G_N_ELEMENTS (layers)], all_fp32 = { 0 }, all_bf16 = { 0 };
  gdouble flops = 0, peak;

  for (guint i = 0; i < G_N_ELEMENTS (layers); i++)
    if (!measure (bench, &layers[i], unit, &fp32[i], &bf16[i], error))
      return FALSE;
  for (guint i = 0; i < G_N_ELEMENTS (layers); i++) {
    report_layer (bench, unit, layers[i].name, count_flops (&layers[i]), &fp32[i], &bf16[i]);
    flops += count_flops (&layers[i]) * layers[i].calls;
    add (&all_fp32, &fp32[i], layers[i].calls);
    add (&all_bf16, &bf16[i], layers[i].calls);
  }
  report_layer (bench, unit, "convolution", flops, &all_fp32, &all_bf16);
  peak = bench_get_unit_peak (bench, unit) * 1e9;
  if (unit)
    report (bench, "convolution-bf16-share", all_bf16.work, all_bf16.seconds, all_bf16.work / all_bf16.seconds / peak, "the unit's peak");
  else
    report (bench, "convolution-share", all_fp32.work, all_fp32.seconds, all_fp32.work / all_fp32.seconds / peak, "peak-fp32");
  return TRUE;
}

gboolean
bench_convolution (Bench *bench, GError **error)
{
  return run_layers (bench, SORA_MATRIX_UNIT_NONE, error);
}

/* Does nothing on a device without a matrix unit. */
gboolean
bench_convolution_bf16 (Bench *bench, GError **error)
{
  SoraMatrixUnit unit = sora_matrix_unit_get (bench_get_device (bench));

  return !unit || run_layers (bench, unit, error);
}
