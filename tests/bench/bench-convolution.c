/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* convolution: the layers of the embedded model's decoder at 256x256, two latents at once, over what the plain way (every product of the
 * kernel) would take at the peak; Winograd's way needs fewer products. convolution-share: the products that are really made, as a share of the peak. */
#include "bench.h"

#include "ops/convolution.h"

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
  SoraConvolution *convolution;
  SoraFeatureMap x, y, residual;
  gdouble best;                 /* seconds a call */
  gdouble work;                 /* FLOPs a call that are really done */
} Case;

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
case_init (Case *c, const Layer *layer, SoraQueue *queue, GError **error)
{
  const SoraConvolutionShape *s = &layer->shape;
  gsize n = (gsize) s->time_scale * s->out_channels * s->in_channels * s->kernel_time * 9;
  g_autofree gfloat *weight = g_new (gfloat, n);
  guint size = layer->size * s->scale;

  for (gsize i = 0; i < n; i++)
    weight[i] = i % 7 - 3.0f;
  *c = (Case) { layer, NULL, { NULL, 1, 1, layer->size, layer->size, s->in_channels }, { NULL, 0, 1, size, size, s->out_channels },
    { NULL, 0, 1, size, size, s->out_channels }, G_MAXDOUBLE, 0 };
  c->convolution = sora_convolution_new (queue, s, SORA_CONVOLUTION_FP32, weight, NULL, error);
  if (!c->convolution)
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
  g_clear_pointer (&c->convolution, sora_convolution_free);
  g_clear_pointer (&c->x.mem, clReleaseMemObject);
  g_clear_pointer (&c->y.mem, clReleaseMemObject);
  g_clear_pointer (&c->residual.mem, clReleaseMemObject);
}

/* One sample is as many calls as a decoding has. */
static gboolean
sample (Case *c, SoraQueue *queue, GError **error)
{
  const SoraConvolutionEpilogue epilogue = { TRUE, c->residual };
  gdouble start = bench_now ();
  guint64 before = sora_queue_get_work (queue);

  for (guint i = 0; i < c->layer->calls; i++)
    sora_convolution_run (queue, c->convolution, &c->x, &c->y, c->layer->frames, &epilogue);
  if (!sora_queue_finish (queue, error))
    return FALSE;
  c->best = MIN (c->best, (bench_now () - start) / c->layer->calls);
  c->work = (sora_queue_get_work (queue) - before) / (gdouble) c->layer->calls;
  return TRUE;
}

/* @best: (out): seconds a call; @work: (out): FLOPs a call */
static gboolean
measure (Bench *bench, const Layer *layer, gdouble *best, gdouble *work, GError **error)
{
  SoraQueue *queue = bench_get_queue (bench);
  Case c;
  gboolean ok = case_init (&c, layer, queue, error);

  for (guint i = 0; ok && i < SAMPLES; i++)
    ok = sample (&c, queue, error) && bench_sample_peak (bench, error);
  *best = c.best;
  *work = c.work;
  case_clear (&c);
  return ok;
}

static void
report (Bench *bench, const gchar *name, gdouble flops, gdouble seconds, const gchar *against)
{
  gdouble rate = flops / seconds * 1e-9;

  bench_report (bench, name, rate, "GFLOP/s", rate / bench_get_peak (bench), against);
}

/* Reports at the end, when the peak has been sampled most often. */
gboolean
bench_convolution (Bench *bench, GError **error)
{
  gdouble best[G_N_ELEMENTS (layers)], work[G_N_ELEMENTS (layers)], seconds = 0, flops = 0, done = 0;

  for (guint i = 0; i < G_N_ELEMENTS (layers); i++)
    if (!measure (bench, &layers[i], &best[i], &work[i], error))
      return FALSE;
  for (guint i = 0; i < G_N_ELEMENTS (layers); i++) {
    report (bench, layers[i].name, count_flops (&layers[i]), best[i], "plain way at peak");
    seconds += best[i] * layers[i].calls;
    flops += count_flops (&layers[i]) * layers[i].calls;
    done += work[i] * layers[i].calls;
  }
  report (bench, "convolution", flops, seconds, "plain way at peak");
  report (bench, "convolution-share", done, seconds, "peak-fp32");
  return TRUE;
}
