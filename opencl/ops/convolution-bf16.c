/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Convolution in bf16 on a CPU device's matrix unit: packs the weight in pairs, divides the work into boxes, and launches convolution-bf16.cl. */
#include "ops/convolution-private.h"

#include "runtime/matrix-unit.h"
#include "weights/half.h"

#define PANEL 32
#define STEP 32                 /* of a run's numbers, which a tile has */
#define STRIP 16                /* positions of a tile */

/* Bytes of pixels that a work-item holds at most: beside the weights that it goes through they are to stay in the second cache. */
#define MAX_BOX_BYTES (512 << 10)

static const SoraConvolutionTile tiles[] = {
  [SORA_MATRIX_UNIT_AVX512_BF16] = { 16, 8, 2, 1, "-DUNIT=1 -DVECTOR=16 -DTILE_M=8 -DTILE_N=2" },
  [SORA_MATRIX_UNIT_AMX_BF16] = { 16, 8, 2, 1, "-DUNIT=2 -DVECTOR=16 -DTILE_M=8 -DTILE_N=2" },
};

/* Of a processor that has the unit, about: cycles for a step of two strips and a panel, where the products alone keep it busy */
static const guint step_cycles[] = { [SORA_MATRIX_UNIT_AVX512_BF16] = 1024, [SORA_MATRIX_UNIT_AMX_BF16] = 64 };
/* and bytes a cycle that come from the third cache */
#define BYTES_PER_CYCLE 16

/* How the work of a run is divided: positions of a box (frames, rows, columns), and panels that a work-item multiplies it by. */
typedef struct {
  guint frames, rows, columns;
  guint panels;
} Division;

static guint
divide_up (guint n, guint by)
{
  return (n + by - 1) / by;
}

/* Bytes of local memory for a box: its pixels, and what tiles reach beyond them, of which a step is zeros. */
static gsize
box_bytes (const SoraConvolutionShape *s, const Division *d)
{
  gsize pixels = ((d->frames - 1) * s->time_stride + s->kernel_time) * ((d->rows - 1) * s->stride + s->kernel_height)
      * ((d->columns - 1) * s->stride + s->kernel_width);

  return ((pixels + (STRIP - 1) * s->stride) * s->in_channels + STEP) * sizeof (guint16);
}

static gsize
max_box_bytes (SoraDevice *device)
{
  return MIN (MAX_BOX_BYTES, device->local_memory);
}

/* As make_box() of the kernel has it */
static guint
count_strips (const SoraConvolutionShape *s, const Division *d)
{
  guint by_row = d->rows * divide_up (d->columns, STRIP);
  guint by_frame = divide_up ((d->rows - 1) * (d->columns + s->kernel_width - 1) + d->columns, STRIP);

  return d->frames * (s->stride > 1 ? by_row : MIN (by_row, by_frame));
}

/* About how long @conv would take so, in cycles of all compute units. @size: positions (frames, height, width) */
static gdouble
estimate (const SoraConvolution *conv, const Division *d, cl_int4 size, guint compute_units)
{
  const SoraConvolutionShape *s = &conv->shape;
  gdouble steps = conv->n_runs * divide_up (conv->run_length, STEP), blocks = divide_up (count_strips (s, d), 2);
  /* a panel: its products, its sums' way to the map, its weights' way from memory */
  gdouble panel = blocks * (steps * step_cycles[conv->unit] + 256) + steps * STEP * PANEL * sizeof (guint16) / BYTES_PER_CYCLE;
  gdouble box = box_bytes (s, d) * 2.0 / BYTES_PER_CYCLE, item = box + d->panels * panel;
  gdouble items = (gdouble) divide_up (size.s[0], d->frames) * divide_up (size.s[1], d->rows) * divide_up (size.s[2], d->columns)
      * divide_up (conv->panels * conv->phases, d->panels);

  return (items / compute_units + 0.5) * item;  /* at the end half of the units wait for the others, half an item each */
}

/* The number of parts after @n: twice as many, until there are @all. 0 after the last */
static guint
next_parts (guint n, guint all)
{
  return n == all ? 0 : MIN (2 * n, all);
}

/* The division that takes the least, of those that halve what there is again and again. */
static Division
divide (const SoraConvolution *conv, SoraDevice *device, cl_int4 size)
{
  const guint frames = size.s[0], height = size.s[1], width = size.s[2], panels = conv->panels * conv->phases;
  Division best = { 1, 1, MIN (width, STRIP), panels };
  gdouble least = G_MAXDOUBLE;

  for (guint t = 1; t; t = next_parts (t, frames)) {
    for (guint r = 1; r; r = next_parts (r, height)) {
      for (guint c = 1; c; c = next_parts (c, divide_up (width, STRIP))) {
        for (guint p = 1; p; p = next_parts (p, panels)) {
          Division d = { divide_up (frames, t), divide_up (height, r), divide_up (width, c), divide_up (panels, p) };
          gdouble cycles;

          if (c > 1)            /* whole strips */
            d.columns = divide_up (d.columns, STRIP) * STRIP;
          cycles = estimate (conv, &d, size, device->compute_units);
          if (cycles < least && box_bytes (&conv->shape, &d) <= max_box_bytes (device)) {
            least = cycles;
            best = d;
          }
        }
      }
    }
  }
  return best;
}

SoraMatrixUnit
sora_convolution_bf16_unit (SoraDevice *device, const SoraConvolutionShape *s)
{
  const Division smallest = { 1, 1, STRIP, 1 };
  SoraMatrixUnit unit = device->linear_kind == SORA_LINEAR_PACKED ? sora_matrix_unit_get (device) : SORA_MATRIX_UNIT_NONE;

  if (box_bytes (s, &smallest) > max_box_bytes (device))
    return SORA_MATRIX_UNIT_NONE;
  /* vdpbf16ps multiplies no more than twice as much as fp32's instructions; Winograd's way saves 5 products of 9. */
  if (unit == SORA_MATRIX_UNIT_AVX512_BF16 && sora_convolution_winograd_fits (device, s))
    return SORA_MATRIX_UNIT_NONE;
  return unit;
}

const SoraConvolutionTile *
sora_convolution_bf16_tile (SoraMatrixUnit unit)
{
  return &tiles[unit];
}

/* What rounding to bf16 leaves of @value */
static gfloat
rest_of (gfloat value)
{
  guint32 bits = (guint32) sora_bf16_from_float (value) << 16;
  gfloat rounded;

  memcpy (&rounded, &bits, sizeof rounded);
  return value - rounded;
}

static gboolean
is_exact (const gfloat *values, gsize n)
{
  for (gsize i = 0; i < n; i++) {
    if (rest_of (values[i]) != 0)
      return FALSE;
  }
  return TRUE;
}

/* One run of one panel, [run_length][PANEL], as pairs [steps · STEP / 2][PANEL][2] */
static void
pack_pairs (const gfloat *values, guint run_length, guint16 *pairs)
{
  for (guint k = 0; k < run_length; k++)
    for (guint n = 0; n < PANEL; n++)
      pairs[(k / 2 * PANEL + n) * 2 + k % 2] = sora_bf16_from_float (values[k * PANEL + n]);
}

/* The runs of a phase as they lie in a box, whose corner is the kernel's first pixel, and after them the same again for each further term. */
static cl_int4 *
place_runs (const SoraConvolution *conv, const cl_int4 *runs, guint n_terms)
{
  const SoraConvolutionShape *s = &conv->shape;
  cl_int4 *placed = g_new (cl_int4, conv->phases * conv->n_runs * n_terms), *run = placed;

  for (guint phase = 0; phase < conv->phases; phase++)
    for (guint i = 0; i < n_terms * conv->n_runs; i++, run++) {
      *run = runs[phase * conv->n_runs + i % conv->n_runs];
      run->s[0] += s->kernel_time - s->time_stride;
      run->s[1] += (gint) (s->kernel_height / 2) - (gint) s->shift;
      run->s[2] += (gint) (s->kernel_width / 2) - (gint) s->shift;
    }
  return placed;
}

void
sora_convolution_bf16_upload (SoraConvolution *conv, SoraQueue *queue, gfloat *packed, const cl_int4 *runs, gboolean exact)
{
  gsize run = (gsize) conv->run_length * PANEL, part = conv->n_runs * run, n_parts = conv->phases * conv->panels;
  guint n_terms = exact && !is_exact (packed, n_parts * part) ? 2 : 1;
  gsize pairs_run = divide_up (conv->run_length, STEP) * STEP * PANEL, n = n_parts * n_terms * conv->n_runs * pairs_run;
  g_autofree guint16 *pairs = g_new0 (guint16, n);
  g_autofree cl_int4 *placed = place_runs (conv, runs, n_terms);
  guint16 *at = pairs;

  for (gsize i = 0; i < n_parts; i++)
    for (guint term = 0; term < n_terms; term++) {
      for (guint r = 0; r < conv->n_runs; r++, at += pairs_run)
        pack_pairs (packed + i * part + r * run, conv->run_length, at);
      for (gsize j = 0; j < part && term + 1 < n_terms; j++)
        packed[i * part + j] = rest_of (packed[i * part + j]);
    }
  conv->n_runs *= n_terms;
  conv->weight = sora_convolution_upload (conv, queue, pairs, n * sizeof *pairs);
  conv->runs = sora_convolution_upload (conv, queue, placed, conv->phases * conv->n_runs * sizeof *placed);
}

void
sora_convolution_bf16_run (SoraQueue *queue, const SoraConvolution *conv, const SoraFeatureMap *x, const SoraFeatureMap *y, guint frames,
    const SoraConvolutionEpilogue *epilogue)
{
  const SoraConvolutionShape *s = &conv->shape;
  SoraDevice *device = sora_queue_get_device (queue);
  cl_int4 size = { { frames / s->time_stride, y->height / s->scale, y->width / s->scale, s->out_channels } };
  Division d = divide (conv, device, size);
  cl_int4 x_map = sora_feature_map_strides (x), y_pixel = sora_feature_map_strides (y), residual_map = { { 0 } };
  cl_int4 y_map = { { y_pixel.s[0], y_pixel.s[1] * s->time_scale, y_pixel.s[2] * s->scale, y_pixel.s[3] * s->scale } };
  cl_int4 y_phase = { { y_pixel.s[1], y_pixel.s[2], y_pixel.s[3], s->scale } };
  cl_int4 box_size = { { d.frames, d.rows, d.columns, 1 } };
  cl_int4 kernel_size = { { s->kernel_time, s->kernel_height, s->kernel_width, s->in_channels } };
  cl_int4 stride = { { s->time_stride, s->stride, s->stride, s->time_scale } };
  cl_int4 shift = { { (gint) s->time_stride - (gint) s->kernel_time, (gint) s->shift - (gint) (s->kernel_height / 2),
          (gint) s->shift - (gint) (s->kernel_width / 2), 0 } };
  cl_int2 panels = { { d.panels, conv->panels } };
  cl_int n_runs = conv->n_runs, n_steps = divide_up (conv->run_length, STEP), relu = epilogue != NULL && epilogue->relu;
  cl_mem residual = epilogue != NULL ? epilogue->residual.mem : NULL;
  SoraLaunch launch = { SORA_CONVOLUTION_BF16_PROGRAM, conv->tile->options, "convolution_bf16", 2 };

  if (residual != NULL)
    residual_map = sora_feature_map_strides (&epilogue->residual);
  launch.global[0] = (gsize) divide_up (size.s[0], d.frames) * divide_up (size.s[1], d.rows) * divide_up (size.s[2], d.columns);
  launch.global[1] = divide_up (conv->panels * conv->phases, d.panels);
  launch.local[0] = launch.local[1] = 1;
  launch.flops = 2 * (guint64) size.s[0] * size.s[1] * size.s[2] * conv->phases * s->out_channels * conv->n_runs * conv->run_length;
  SORA_LAUNCH (queue, &launch, SORA_ARG (x->mem), SORA_ARG (x_map), SORA_ARG (conv->weight), SORA_ARG (conv->runs), SORA_ARG (n_runs),
      SORA_ARG (n_steps), SORA_ARG (conv->bias), SORA_ARG (y->mem), SORA_ARG (y_map), SORA_ARG (y_phase), SORA_ARG (residual),
      SORA_ARG (residual_map), SORA_ARG (relu), SORA_ARG (size), SORA_ARG (box_size), SORA_ARG (kernel_size), SORA_ARG (stride),
      SORA_ARG (shift), SORA_ARG (panels), SORA_ARG_LOCAL (box_bytes (s, &d)));
}
