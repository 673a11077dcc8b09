/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Packs convolution weights into panels (summed into phases where up-sampling comes first) and launches convolution.cl; or leaves it to
 * convolution-winograd.c or convolution-bf16.c. */
#include "ops/convolution-private.h"

#include "weights/weight-type.h"

typedef SoraConvolutionTile Tile;

#define TILE(vector, rows, vectors, local) { vector, rows, vectors, local, \
    "-DVECTOR=" #vector " -DTILE_M=" #rows " -DTILE_N=" #vectors " -DLOCAL=" #local }

/* rows · vectors accumulators, vectors weights and one broadcast input fill the 32 or 16 vector registers of a CPU. */
static const Tile tiles_16[] = { TILE (16, 8, 3, 1), TILE (16, 12, 2, 1), TILE (16, 12, 1, 1) };
static const Tile tiles_8[] = { TILE (8, 4, 3, 1), TILE (8, 6, 2, 1), TILE (8, 6, 1, 1) };
static const Tile tiles_4[] = { TILE (4, 4, 3, 1), TILE (4, 6, 2, 1), TILE (4, 6, 1, 1) };
static const Tile tiles_gpu[] = { TILE (4, 4, 3, 64), TILE (4, 4, 2, 64), TILE (4, 4, 1, 64) };
#define N_TILES 3

/* The tile that computes the fewest padded channels; a single vector keeps the multipliers only 4/5 busy. */
static const Tile *
choose_tile (SoraDevice *device, guint out_channels)
{
  const Tile *tiles = tiles_gpu, *best = NULL;
  guint64 best_cost = G_MAXUINT64;

  if (device->linear_kind == SORA_LINEAR_PACKED)        /* CPUs, and what is forced to be like one */
    tiles = device->vector_width >= 16 ? tiles_16 : device->vector_width >= 8 ? tiles_8 : tiles_4;
  for (guint i = 0; i < N_TILES; i++) {
    guint panel = tiles[i].vector * tiles[i].vectors;
    guint64 cost = (out_channels + panel - 1) / panel * panel * (guint64) (tiles[i].vectors == 1 ? 5 : 4);

    if (cost < best_cost) {
      best_cost = cost;
      best = &tiles[i];
    }
  }
  return best;
}

static void
set_defaults (SoraConvolutionShape *shape)
{
  guint *fields[] = { &shape->kernel_time, &shape->kernel_height, &shape->kernel_width, &shape->stride,
    &shape->time_stride, &shape->scale, &shape->time_scale };

  for (guint i = 0; i < G_N_ELEMENTS (fields); i++)
    *fields[i] = MAX (*fields[i], 1);
}

/* Along one spatial axis, for output phase @phase of a @scale-fold up-sampling: the input offset that kernel tap @tap reads, and
 * through @first and @count the offsets that the phase reads at all. */
static gint
tap_offset (guint kernel, guint scale, guint phase, guint tap, gint *first, guint *count)
{
  gint centre = kernel / 2;
  /* floor ((phase + tap - centre) / scale), with operands kept positive */
#define OFFSET(tap_) ((gint) ((phase + (tap_) + scale * centre - centre) / scale) - centre)

  *first = OFFSET (0);
  *count = OFFSET (kernel - 1) - *first + 1;
  return OFFSET (tap);
#undef OFFSET
}

/* taps that a phase reads along an axis: the same number for every phase (2 of 3, up-sampled by 2) */
static guint
axis_taps (guint kernel, guint scale)
{
  guint most = 0, count;
  gint first;

  for (guint phase = 0; phase < scale; phase++) {
    tap_offset (kernel, scale, phase, 0, &first, &count);
    most = MAX (most, count);
  }
  return most;
}

/* Adds the weights of @channels output channels to a panel of one phase, all channels of a tap together, so as to write in order.
 * @weight: [channels, in, kt, kh, kw]; @packed: [kt, taps y, taps x, in, panel] */
static void
pack_panel (const SoraConvolutionShape *s, guint phase, const gfloat *weight, guint channels, guint panel, gfloat *packed)
{
  guint y_count, x_count, taps_y = axis_taps (s->kernel_height, s->scale), taps_x = axis_taps (s->kernel_width, s->scale);
  guint y_phase = phase / s->scale % s->scale, x_phase = phase % s->scale;
  gsize one = (gsize) s->in_channels * s->kernel_time * s->kernel_height * s->kernel_width;
  gint y_first, x_first;

  for (guint c = 0; c < s->in_channels; c++)
    for (guint t = 0; t < s->kernel_time; t++)
      for (guint ky = 0; ky < s->kernel_height; ky++)
        for (guint kx = 0; kx < s->kernel_width; kx++, weight++) {
          guint y = tap_offset (s->kernel_height, s->scale, y_phase, ky, &y_first, &y_count) - y_first;
          guint x = tap_offset (s->kernel_width, s->scale, x_phase, kx, &x_first, &x_count) - x_first;
          gfloat *row = packed + ((((gsize) t * taps_y + y) * taps_x + x) * s->in_channels + c) * panel;

          for (guint n = 0; n < channels; n++)
            row[n] += weight[n * one];
        }
}

/* (transfer full): [phases, panels, n_runs · run_length, panel] */
static gfloat *
pack_weight (const SoraConvolution *conv, const gfloat *weight, gsize *n_floats)
{
  const SoraConvolutionShape *s = &conv->shape;
  gsize panel = conv->tile->vector * conv->tile->vectors, k = (gsize) conv->n_runs * conv->run_length;
  gsize one = (gsize) s->in_channels * s->kernel_time * s->kernel_height * s->kernel_width;
  gfloat *packed;

  *n_floats = conv->phases * conv->panels * k * panel;
  packed = g_new0 (gfloat, *n_floats);
  for (guint phase = 0; phase < conv->phases; phase++)
    for (guint n = 0; n < s->out_channels; n += panel)
      pack_panel (s, phase, weight + (phase / (s->scale * s->scale) * s->out_channels + n) * one,
          MIN (panel, s->out_channels - n), panel, packed + (phase * conv->panels + n / panel) * k * panel);
  return packed;
}

/* (transfer full): [phases, n_runs] first pixels (frame, y, x, 0) relative to the position */
static cl_int4 *
make_runs (const SoraConvolution *conv)
{
  const SoraConvolutionShape *s = &conv->shape;
  guint taps_y = axis_taps (s->kernel_height, s->scale);
  cl_int4 *runs = g_new0 (cl_int4, conv->phases * conv->n_runs), *run = runs;
  guint count;

  for (guint phase = 0; phase < conv->phases; phase++)
    for (guint t = 0; t < s->kernel_time; t++)
      for (guint y = 0; y < taps_y; y++, run++) {
        run->s[0] = (gint) t - (gint) (s->kernel_time - s->time_stride);
        tap_offset (s->kernel_height, s->scale, phase / s->scale % s->scale, 0, &run->s[1], &count);
        run->s[1] += y + s->shift;
        tap_offset (s->kernel_width, s->scale, phase % s->scale, 0, &run->s[2], &count);
        run->s[2] += s->shift;
      }
  return runs;
}

cl_mem
sora_convolution_upload (SoraConvolution *conv, SoraQueue *queue, const void *data, gsize size)
{
  cl_mem mem = sora_queue_alloc (queue, size);

  if (mem != NULL)
    sora_queue_write (queue, mem, 0, size, data);
  conv->size += size;
  return mem;
}

/* The weight in the order of convolution.cl, or convolution-bf16.cl. */
static void
upload_runs (SoraConvolution *conv, SoraQueue *queue, const gfloat *weight, SoraConvolutionPrecision precision)
{
  const SoraConvolutionShape *s = &conv->shape;
  g_autofree gfloat *packed = NULL;
  g_autofree cl_int4 *runs = NULL;
  gsize n_floats;

  conv->phases = s->time_scale * s->scale * s->scale;
  conv->n_runs = s->kernel_time * axis_taps (s->kernel_height, s->scale);
  conv->run_length = axis_taps (s->kernel_width, s->scale) * s->in_channels;
  packed = pack_weight (conv, weight, &n_floats);
  runs = make_runs (conv);
  if (conv->unit) {
    sora_convolution_bf16_upload (conv, queue, packed, runs, precision == SORA_CONVOLUTION_BF16_EXACT);
    return;
  }
  conv->weight = sora_convolution_upload (conv, queue, packed, n_floats * sizeof (gfloat));
  conv->runs = sora_convolution_upload (conv, queue, runs, conv->phases * conv->n_runs * sizeof (cl_int4));
}

SoraConvolutionPrecision
sora_convolution_choose_precision (SoraPrecision precision, guint n_parts, const SoraTensor *const *parts)
{
  if (!sora_precision_wants_bf16 (precision, SORA_WEIGHT_TYPE_FP32, n_parts, parts))
    return SORA_CONVOLUTION_FP32;
  return precision == SORA_PRECISION_AUTO ? SORA_CONVOLUTION_BF16_EXACT : SORA_CONVOLUTION_BF16;
}

/* Of the three ways the one that the device and the shape gain most by */
static void
choose_way (SoraConvolution *conv, SoraDevice *device, SoraConvolutionPrecision precision)
{
  const SoraConvolutionShape *s = &conv->shape;

  if (precision != SORA_CONVOLUTION_FP32)
    conv->unit = sora_convolution_bf16_unit (device, s);
  conv->winograd = !conv->unit && sora_convolution_winograd_fits (device, s);
  if (conv->unit)
    conv->tile = sora_convolution_bf16_tile (conv->unit);
  else
    conv->tile = conv->winograd ? sora_convolution_winograd_tile (device, s->out_channels) : choose_tile (device, s->out_channels);
}

static const gchar *
get_program (const SoraConvolution *conv)
{
  if (conv->unit)
    return SORA_CONVOLUTION_BF16_PROGRAM;
  return conv->winograd ? SORA_CONVOLUTION_WINOGRAD_PROGRAM : SORA_CONVOLUTION_PROGRAM;
}

SoraConvolution *
sora_convolution_new (SoraQueue *queue, const SoraConvolutionShape *shape, SoraConvolutionPrecision precision, const gfloat *weight,
    const gfloat *bias, GError **error)
{
  SoraConvolution *conv = g_new0 (SoraConvolution, 1);
  SoraConvolutionShape *s = &conv->shape;
  g_autofree gfloat *padded = NULL;
  gsize panel;

  *s = *shape;
  set_defaults (s);
  choose_way (conv, sora_queue_get_device (queue), precision);
  sora_queue_expect (queue, get_program (conv), conv->tile->options);
  panel = conv->tile->vector * conv->tile->vectors;
  conv->panels = (s->out_channels + panel - 1) / panel;
  padded = g_new0 (gfloat, s->time_scale * conv->panels * panel);
  for (guint t = 0; bias != NULL && t < s->time_scale; t++)
    memcpy (padded + t * conv->panels * panel, bias + t * s->out_channels, s->out_channels * sizeof (gfloat));
  conv->bias = sora_convolution_upload (conv, queue, padded, s->time_scale * conv->panels * panel * sizeof (gfloat));
  if (conv->winograd)
    sora_convolution_winograd_upload (conv, queue, weight);
  else
    upload_runs (conv, queue, weight, precision);
  if (!sora_queue_check (queue, error))
    g_clear_pointer (&conv, sora_convolution_free);
  return conv;
}

void
sora_convolution_free (SoraConvolution *conv)
{
  if (conv == NULL)
    return;
  g_clear_pointer (&conv->weight, clReleaseMemObject);
  g_clear_pointer (&conv->bias, clReleaseMemObject);
  g_clear_pointer (&conv->runs, clReleaseMemObject);
  g_free (conv);
}

gboolean
sora_convolution_is_bf16 (const SoraConvolution *conv)
{
  return conv->unit != SORA_MATRIX_UNIT_NONE;
}

guint64
sora_convolution_get_size (const SoraConvolution *conv)
{
  return conv->size;
}

/* Strides from one position to the next, where a position is @time frames and @space pixels. The first position's last frame is the
 * one that the convolution looks back from. */
static cl_int4
position_strides (cl_int4 map, guint time, guint space)
{
  return (cl_int4) { { map.s[0], map.s[1] * time, map.s[2] * space, map.s[3] * space } };
}

/* Work-groups that share the launch: enough for the last ones to balance, each with many tiles so that a panel stays in cache. */
static void
divide_work (const SoraConvolution *conv, SoraDevice *device, guint positions, SoraLaunch *launch, cl_int *tiles_per_item)
{
  guint local = conv->tile->local, tiles = (positions + conv->tile->rows - 1) / conv->tile->rows;
  guint wanted = MAX (1, 16 * device->compute_units / (conv->panels * conv->phases));
  guint items = local > 1 ? tiles : MIN (tiles, wanted);

  *tiles_per_item = (tiles + items - 1) / items;
  items = (tiles + *tiles_per_item - 1) / *tiles_per_item;
  launch->global[0] = (items + local - 1) / local * local;
  launch->global[1] = conv->panels;
  launch->global[2] = conv->phases;
  launch->local[0] = local;
  launch->local[1] = launch->local[2] = 1;
}

static void
run_runs (SoraQueue *queue, const SoraConvolution *conv, const SoraFeatureMap *x, const SoraFeatureMap *y, guint frames,
    const SoraConvolutionEpilogue *epilogue)
{
  const SoraConvolutionShape *s = &conv->shape;
  guint height = y->height / s->scale, width = y->width / s->scale, positions = frames / s->time_stride * height * width;
  cl_int4 x_pixel = sora_feature_map_strides (x), x_map = position_strides (x_pixel, s->time_stride, s->stride);
  cl_int4 y_pixel = sora_feature_map_strides (y), y_map = position_strides (y_pixel, s->time_scale, s->scale);
  cl_int4 y_phase = { { y_pixel.s[1], y_pixel.s[2], y_pixel.s[3], s->scale } };
  cl_int4 size = { { positions, height, width, s->out_channels } }, residual_map = { { 0 } };
  cl_int n_runs = conv->n_runs, run_length = conv->run_length, relu = epilogue != NULL && epilogue->relu, tiles;
  cl_mem residual = epilogue != NULL ? epilogue->residual.mem : NULL;
  SoraLaunch launch = { SORA_CONVOLUTION_PROGRAM, conv->tile->options, "convolution", 3 };

  if (residual != NULL)
    residual_map = sora_feature_map_strides (&epilogue->residual);
  divide_work (conv, sora_queue_get_device (queue), positions, &launch, &tiles);
  launch.flops = 2 * (guint64) positions * conv->phases * s->out_channels * conv->n_runs * conv->run_length;
  SORA_LAUNCH (queue, &launch, SORA_ARG (x->mem), SORA_ARG (x_map), SORA_ARG (x_pixel), SORA_ARG (conv->weight),
      SORA_ARG (conv->runs), SORA_ARG (n_runs), SORA_ARG (run_length), SORA_ARG (conv->bias), SORA_ARG (y->mem),
      SORA_ARG (y_map), SORA_ARG (y_phase), SORA_ARG (residual), SORA_ARG (residual_map), SORA_ARG (relu),
      SORA_ARG (size), SORA_ARG (tiles));
}

void
sora_convolution_run (SoraQueue *queue, const SoraConvolution *conv, const SoraFeatureMap *x, const SoraFeatureMap *y,
    guint frames, const SoraConvolutionEpilogue *epilogue)
{
  if (conv->unit)
    sora_convolution_bf16_run (queue, conv, x, y, frames, epilogue);
  else if (conv->winograd)
    sora_convolution_winograd_run (queue, conv, x, y, frames, epilogue);
  else
    run_runs (queue, conv, x, y, frames, epilogue);
}
