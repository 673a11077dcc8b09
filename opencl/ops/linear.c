/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The resident weight of a linear: checked, packed for the device's kind of kernel, uploaded; and the packed kernel's launch. */
#include "ops/linear-private.h"

#include <math.h>

#include "ops/pack.h"
#include "runtime/matrix-unit.h"
#include "runtime/tune.h"
#include "weights/weight-type.h"

/* Rows of the tile that linear.cl computes where a full one does not fit */
#define REST_ROWS 4
/* Rows of the tile for AVX-512; tiles that a work-item multiplies by one panel at most, and work-items that each compute unit should have, so that
 * they share evenly */
#define WIDE_TILE 12
#define WIDE_SPAN 8
#define WIDE_ITEMS_PER_UNIT 32
/* The same of smaller tiles, which are a quarter of the work; the tiles are counted times panels. */
#define SPAN 64
#define ITEMS_PER_UNIT 8
/* Of linear-bf16.cl: rows of a block for each unit; blocks of rows times panels that a work-item has at most, panels of them, and work-items that each
 * compute unit should have. Many panels are good, as a work-item rounds its rows for all of them, and their part that is used at a time fits
 * the second cache; with half of them and twice the rows, weights come from memory half as often, which gains 2 % with vdpbf16ps. */
#define BF16_MAX_SUMS 64
#define BF16_ITEMS_PER_UNIT 4
/* Numbers that are rounded in about the time that a launch takes: fewer are rounded again and again rather than in a launch of their own. */
#define BF16_ROUNDED_PER_LAUNCH 400000
#define BF16_CHUNK_STEPS 12
static const guint bf16_rows[] = { [SORA_MATRIX_UNIT_AVX512_BF16] = 24, [SORA_MATRIX_UNIT_AMX_BF16] = 32 };
static const guint bf16_max_span[] = { [SORA_MATRIX_UNIT_AVX512_BF16] = 8, [SORA_MATRIX_UNIT_AMX_BF16] = 16 };

/* Floats that are packed on the host at a time, unless one panel has more: 512 KiB, which the caches hold twice */
#define SLAB_FLOATS (1 << 17)
/* Of a weight of fewer slabs, packing is over before threads are started */
#define SLABS_PER_THREAD 4
#define MAX_THREADS 16

typedef struct {
  guint vector_width, tile, panel;
  const gchar *options;
} Tile;

/* tile · panel / vector_width accumulators, and three more, in the 32 registers of AVX-512 or the 16 of others */
static const Tile tiles[] = {
  { 16, WIDE_TILE, 32, "-DWIDTH=16 -DTILE_M=12" },
  { 8, 6, 16, "-DWIDTH=8 -DTILE_M=6" },
  { 0, 6, 8, "-DWIDTH=4 -DTILE_M=6" },
};

static const Tile *
choose_tile (const SoraDevice *device)
{
  const Tile *tile = tiles;

  while (device->vector_width < tile->vector_width)
    tile++;
  return tile;
}

static gboolean
check_weight (const SoraTensor *weight, guint64 k, GError **error)
{
  if (weight->n_dims >= 2 && weight->shape[0] > 0 && k > 0 && weight->n_elements == weight->shape[0] * k)
    return TRUE;
  g_set_error (error, SORA_MODEL_ERROR, SORA_MODEL_ERROR_WEIGHT,
      "%s: %s: expected rows of %" G_GUINT64_FORMAT " values, found %" G_GUINT64_FORMAT " values in %" G_GUINT64_FORMAT " rows",
      weight->file, weight->name, k, weight->n_elements, weight->n_dims ? weight->shape[0] : 1);
  return FALSE;
}

static gboolean
check_bias (const SoraTensor *bias, guint64 n, GError **error)
{
  if (!bias || bias->n_elements == n)
    return TRUE;
  g_set_error (error, SORA_MODEL_ERROR, SORA_MODEL_ERROR_WEIGHT,
      "%s: %s: expected %" G_GUINT64_FORMAT " values, found %" G_GUINT64_FORMAT, bias->file, bias->name, n, bias->n_elements);
  return FALSE;
}

/* Sets @n and @k from shapes that agree. */
static gboolean
measure (guint n_parts, const SoraTensor *const *weights, const SoraTensor *const *biases, guint64 *n, guint64 *k,
    GError **error)
{
  *n = 0;
  *k = weights[0]->shape[0] ? weights[0]->n_elements / weights[0]->shape[0] : 0;
  for (guint i = 0; i < n_parts; i++) {
    if (!check_weight (weights[i], *k, error) || !check_bias (biases ? biases[i] : NULL, weights[i]->shape[0], error))
      return FALSE;
    *n += weights[i]->shape[0];
  }
  if (*n <= G_MAXINT32 / 2 && *k <= G_MAXINT32 / 2)
    return TRUE;
  g_set_error (error, SORA_MODEL_ERROR, SORA_MODEL_ERROR_UNSUPPORTED, "%s: %s: %" G_GUINT64_FORMAT " x %" G_GUINT64_FORMAT
      " is too large a matrix", weights[0]->file, weights[0]->name, *n, *k);
  return FALSE;
}

/* Bytes of a panel as the device stores it */
static gsize
panel_size (const SoraLinear *linear)
{
  if (linear->unit)
    return sora_pack_get_pairs_size (linear->k, linear->panel);
  return sora_pack_get_size (linear->type, linear->k, linear->panel);
}

/* Rows as the device stores them: whole panels. */
static guint64
padded_n (const SoraLinear *linear)
{
  return (linear->n + (guint64) linear->panel - 1) / linear->panel * linear->panel;
}

typedef void (*WriteFunc) (SoraQueue *queue, cl_mem mem, gsize offset, gsize size, const void *data);

static void
write_streamed (SoraQueue *queue, cl_mem mem, gsize offset, gsize size, const void *data)
{
  sora_queue_stream_write (queue, offset, size, data);
}

/* Whether all tensors have what is stored. */
static gboolean
is_stored (SoraWeightType type, guint n_parts, const SoraTensor *const *weights)
{
  gsize size;

  for (guint i = 0; i < n_parts; i++) {
    if (!sora_weight_type_peek_stored (type, weights[i], &size))
      return FALSE;
  }
  return TRUE;
}

/* Panels of one row are the tensors as they are in the file. */
static void
upload_stored (SoraQueue *queue, const SoraLinear *linear, cl_mem mem, guint n_parts, const SoraTensor *const *weights, WriteFunc write)
{
  gsize offset = 0, size;

  for (guint i = 0; i < n_parts; i++, offset += size) {
    const guint8 *data = sora_weight_type_peek_stored (linear->type, weights[i], &size);
    write (queue, mem, offset, size, data);
  }
}

/* Row @row of the stacked tensors as it is in the file; NULL behind the last */
static const guint8 *
stored_row (const SoraLinear *linear, guint n_parts, const SoraTensor *const *weights, guint64 row)
{
  for (guint i = 0; i < n_parts; row -= weights[i++]->shape[0]) {
    gsize size;
    const guint8 *data = sora_weight_type_peek_stored (linear->type, weights[i], &size);
    if (row < weights[i]->shape[0])
      return data + size / weights[i]->shape[0] * row;
  }
  return NULL;
}

/* Rows @first ... of the weight to panels, from what the file has stored */
static void
pack_stored (const SoraLinear *linear, guint n_parts, const SoraTensor *const *weights, guint64 first, guint64 count, guint8 *packed)
{
  g_autofree const guint8 **rows = g_new (const guint8 *, linear->panel);

  for (guint64 row = 0; row < count; row += linear->panel, packed += panel_size (linear)) {
    for (guint i = 0; i < linear->panel; i++)
      rows[i] = stored_row (linear, n_parts, weights, first + row + i);
    if (linear->unit)
      sora_pack_stored_pairs (rows, linear->k, linear->panel, packed);
    else
      sora_pack_stored (linear->type, rows, linear->k, linear->panel, packed);
  }
}

/* The same from the tensors' numbers, whatever they are; @plain: [count, k], @scales: [count, blocks], scratch, the latter for q8 only */
static void
pack_numbers (const SoraLinear *linear, guint n_parts, const SoraTensor *const *weights, guint64 first, guint64 count, gfloat *plain,
    guint16 *scales, guint8 *packed)
{
  guint64 k = linear->k, blocks = sora_pack_count_blocks (k);

  sora_pack_rows (n_parts, weights, first, count, k, plain);
  if (scales)
    sora_pack_scales (n_parts, weights, first, count, k, plain, scales);
  for (guint64 row = 0; row < count; row += linear->panel, packed += panel_size (linear)) {
    if (linear->unit)
      sora_pack_pairs (plain + row * k, k, linear->panel, (guint16 *) packed);
    else
      sora_pack_panel (linear->type, plain + row * k, scales ? scales + row * blocks : NULL, k, linear->panel, packed);
  }
}

static void
pack_q4 (const SoraLinear *linear, guint n_parts, const SoraTensor *const *weights, guint64 first, guint64 count, guint8 *packed)
{
  for (guint64 row = 0; row < count; row += linear->panel, packed += panel_size (linear))
    sora_pack_q4 (n_parts, weights, first + row, linear->k, linear->panel, packed);
}

/* Rows of a weight that one thread packs */
typedef struct {
  const SoraLinear *linear;
  guint n_parts;
  const SoraTensor *const *weights;
  guint64 first, count;
  gfloat *plain;                /* scratch, unless the tensors have what is stored, as the next, which is for q8 only */
  guint16 *scales;
  guint8 *packed;
} Slab;

/* Room for @step rows */
static Slab *
slab_new (const SoraLinear *linear, guint n_parts, const SoraTensor *const *weights, guint64 step)
{
  gboolean stored = linear->type == SORA_WEIGHT_TYPE_Q4 || is_stored (linear->type, n_parts, weights);
  Slab *slab = g_new (Slab, 1);

  *slab = (Slab) { linear, n_parts, weights,
    .plain = stored ? NULL : g_new (gfloat, step * linear->k),
    .scales = !stored && linear->type == SORA_WEIGHT_TYPE_Q8 ? g_new (guint16, step * sora_pack_count_blocks (linear->k)) : NULL,
    .packed = g_malloc (step / linear->panel * panel_size (linear)) };
  return slab;
}

static void
slab_free (Slab *slab)
{
  g_free (slab->plain);
  g_free (slab->scales);
  g_free (slab->packed);
  g_free (slab);
}

/* A GFunc */
static void
pack_slab (gpointer data, gpointer unused)
{
  Slab *slab = data;

  if (slab->linear->type == SORA_WEIGHT_TYPE_Q4)
    pack_q4 (slab->linear, slab->n_parts, slab->weights, slab->first, slab->count, slab->packed);
  else if (slab->plain)
    pack_numbers (slab->linear, slab->n_parts, slab->weights, slab->first, slab->count, slab->plain, slab->scales, slab->packed);
  else
    pack_stored (slab->linear, slab->n_parts, slab->weights, slab->first, slab->count, slab->packed);
}

/* One of them here, each of the others in a thread of its own */
static void
pack_slabs (GPtrArray *slabs, guint n)
{
  GThreadPool *pool = n > 1 ? g_thread_pool_new (pack_slab, NULL, n - 1, FALSE, NULL) : NULL;

  for (guint i = 1; i < n; i++)
    g_thread_pool_push (pool, slabs->pdata[i], NULL);
  pack_slab (slabs->pdata[0], NULL);
  if (pool)
    g_thread_pool_free (pool, FALSE, TRUE);
}

/* (transfer full) (element-type Slab): as many as there are processors, but so few that starting threads is worth it */
static GPtrArray *
make_slabs (const SoraLinear *linear, guint n_parts, const SoraTensor *const *weights, guint64 step)
{
  guint64 needed = (padded_n (linear) + step - 1) / step, n = MIN (g_get_num_processors (), MIN (needed / SLABS_PER_THREAD, MAX_THREADS));
  GPtrArray *slabs = g_ptr_array_new_with_free_func ((GDestroyNotify) slab_free);

  for (guint64 i = 0; i < MAX (n, 1); i++)
    g_ptr_array_add (slabs, slab_new (linear, n_parts, weights, step));
  return slabs;
}

/* Packs and uploads as many panels at a time as fill a slab, several slabs at once. */
static void
upload_packed (SoraQueue *queue, const SoraLinear *linear, cl_mem mem, guint n_parts, const SoraTensor *const *weights, WriteFunc write)
{
  guint64 rows = padded_n (linear), panel = linear->panel, first = 0;
  guint64 step = MIN (rows, MAX (SLAB_FLOATS / (panel * linear->k), 1) * panel);
  g_autoptr (GPtrArray) slabs = make_slabs (linear, n_parts, weights, step);

  while (first < rows && !sora_queue_has_failed (queue)) {
    guint n = 0;

    for (; n < slabs->len && first < rows; n++) {
      Slab *slab = slabs->pdata[n];
      slab->first = first;
      slab->count = MIN (step, rows - first);
      first += slab->count;
    }
    pack_slabs (slabs, n);
    for (guint i = 0; i < n; i++) {
      const Slab *slab = slabs->pdata[i];
      write (queue, mem, slab->first / panel * panel_size (linear), slab->count / panel * panel_size (linear), slab->packed);
    }
  }
}

static void
upload_weights (SoraQueue *queue, const SoraLinear *linear, cl_mem mem, guint n_parts, const SoraTensor *const *weights, WriteFunc write)
{
  if (linear->panel == 1 && is_stored (linear->type, n_parts, weights))
    upload_stored (queue, linear, mem, n_parts, weights, write);
  else
    upload_packed (queue, linear, mem, n_parts, weights, write);
}

static void
upload_bias (SoraQueue *queue, const SoraLinear *linear, guint n_parts, const SoraTensor *const *weights,
    const SoraTensor *const *biases)
{
  guint64 n = padded_n (linear), first = 0;
  g_autofree gfloat *bias = g_new0 (gfloat, n);

  for (guint i = 0; i < n_parts; i++) {
    if (biases && biases[i])
      sora_tensor_to_float (biases[i], 0, biases[i]->n_elements, bias + first);
    first += weights[i]->shape[0];
  }
  sora_queue_write (queue, linear->bias, 0, n * sizeof *bias, bias);
}

/* "-DWIDTH=8 -DTILE_M=6", and the type unless that is fp32 */
static const gchar *
program_options (const Tile *tile, SoraWeightType type)
{
  gchar options[60];

  if (type == SORA_WEIGHT_TYPE_FP32)
    return tile->options;
  g_snprintf (options, sizeof options, "%s -DTYPE=%d", tile->options, type);
  return g_intern_string (options);
}

/* Those that have the program of a device with a unit in common get by with one. */
static void
choose_program (SoraLinear *linear, SoraDevice *device, const Tile *tile)
{
  SoraMatrixUnit unit = sora_matrix_unit_peek (device);
  gboolean shared = linear->unit || (unit && tile == tiles && linear->type == SORA_WEIGHT_TYPE_FP32);

  linear->program = shared ? SORA_MATRIX_UNIT_PROGRAM : "epilogue+linear-finish+linear";
  linear->options = shared ? sora_matrix_unit_option (unit) : program_options (tile, linear->type);
}

/* The unit that multiplies the stack of matrices, which are stored as @type otherwise */
static SoraMatrixUnit
choose_unit (SoraDevice *device, SoraWeightType type, SoraPrecision precision, guint n_parts, const SoraTensor *const *weights)
{
  return sora_precision_wants_bf16 (precision, type, n_parts, weights) ? sora_matrix_unit_get (device) : SORA_MATRIX_UNIT_NONE;
}

/* For the checked shape, with nothing on the device yet. */
static SoraLinear *
linear_new (SoraDevice *device, SoraWeightType wanted, SoraPrecision precision, guint n_parts, const SoraTensor *const *weights, guint n,
    guint k)
{
  const Tile *tile = choose_tile (device);
  SoraWeightType type = sora_weight_type_for_tensors (wanted, n_parts, weights);
  SoraLinear *linear = g_new0 (SoraLinear, 1);

  g_atomic_ref_count_init (&linear->ref_count);
  linear->kind = sora_tune_lookup (device, n, k);
  linear->unit = linear->kind == SORA_LINEAR_PACKED ? choose_unit (device, type, precision, n_parts, weights) : SORA_MATRIX_UNIT_NONE;
  linear->type = sora_weight_type_with_unit (type, precision, linear->unit != SORA_MATRIX_UNIT_NONE, n_parts, weights);
  linear->n = n;
  linear->k = k;
  linear->panel = linear->kind == SORA_LINEAR_PACKED ? tile->panel : 1;
  linear->tile = tile->tile;
  choose_program (linear, device, tile);
  return linear;
}

static gsize
weight_size (const SoraLinear *linear)
{
  return padded_n (linear) / linear->panel * panel_size (linear);
}

static gsize
bias_size (const SoraLinear *linear)
{
  return padded_n (linear) * sizeof (gfloat);
}

/* With the bias on the device */
static SoraLinear *
linear_with_bias (SoraQueue *queue, SoraWeightType type, SoraPrecision precision, guint n_parts, const SoraTensor *const *weights,
    const SoraTensor *const *biases, GError **error)
{
  SoraLinear *linear;
  guint64 n, k;

  if (!measure (n_parts, weights, biases, &n, &k, error))
    return NULL;
  linear = linear_new (sora_queue_get_device (queue), type, precision, n_parts, weights, n, k);
  if (linear->kind == SORA_LINEAR_PACKED)
    sora_queue_expect (queue, linear->program, linear->options);
  linear->bias = sora_queue_alloc (queue, bias_size (linear));
  linear->size = bias_size (linear);
  if (linear->bias)
    upload_bias (queue, linear, n_parts, weights, biases);
  return linear;
}

/* Takes @linear: gives it back, or NULL with @error if the queue has failed. */
static SoraLinear *
check_new (SoraLinear *linear, SoraQueue *queue, const gchar *name, GError **error)
{
  if (sora_queue_check (queue, error))
    return linear;
  g_prefix_error (error, "%s: ", name);
  sora_linear_free (linear);
  return NULL;
}

SoraLinear *
sora_linear_new (SoraQueue *queue, SoraWeightType type, SoraPrecision precision, guint n_parts, const SoraTensor *const *weights,
    const SoraTensor *const *biases, GError **error)
{
  SoraLinear *linear = linear_with_bias (queue, type, precision, n_parts, weights, biases, error);

  if (!linear)
    return NULL;
  linear->weight = sora_queue_alloc (queue, weight_size (linear));
  linear->size += weight_size (linear);
  if (linear->weight)
    upload_weights (queue, linear, linear->weight, n_parts, weights, sora_queue_write);
  return check_new (linear, queue, weights[0]->name, error);
}

SoraLinear *
sora_linear_new_streamed (SoraQueue *queue, SoraWeightType type, SoraPrecision precision, SoraWeightFile *file, guint n_parts,
    const SoraTensor *const *weights, const SoraTensor *const *biases, GError **error)
{
  SoraLinear *linear = linear_with_bias (queue, type, precision, n_parts, weights, biases, error);

  if (!linear)
    return NULL;
  linear->parts = g_memdup2 (weights, n_parts * sizeof *weights);
  linear->n_parts = n_parts;
  linear->file = file;
  return check_new (linear, queue, weights[0]->name, error);
}

guint64
sora_linear_predict_size (SoraDevice *device, SoraWeightType type, SoraPrecision precision, guint n_parts,
    const SoraTensor *const *weights, guint64 *bias)
{
  SoraLinear *linear;
  guint64 n, k, size;

  if (bias)
    *bias = 0;
  if (!measure (n_parts, weights, NULL, &n, &k, NULL))
    return 0;
  linear = linear_new (device, type, precision, n_parts, weights, n, k);
  size = weight_size (linear);
  if (bias)
    *bias = bias_size (linear);
  sora_linear_free (linear);
  return size;
}

gboolean
sora_linear_is_streamed (const SoraLinear *linear)
{
  return linear->n_parts > 0;
}

SoraLinear *
sora_linear_ref (SoraLinear *linear)
{
  g_atomic_ref_count_inc (&linear->ref_count);
  return linear;
}

void
sora_linear_free (SoraLinear *linear)
{
  if (!g_atomic_ref_count_dec (&linear->ref_count))
    return;
  g_clear_pointer (&linear->weight, clReleaseMemObject);
  g_clear_pointer (&linear->bias, clReleaseMemObject);
  g_free (linear->parts);
  g_free (linear);
}

gboolean
sora_linear_is_bf16 (const SoraLinear *linear)
{
  return linear->unit != SORA_MATRIX_UNIT_NONE;
}

guint
sora_linear_get_n (const SoraLinear *linear)
{
  return linear->n;
}

guint
sora_linear_get_k (const SoraLinear *linear)
{
  return linear->k;
}

guint64
sora_linear_get_size (const SoraLinear *linear)
{
  return linear->size;
}

/* Tiles and panels of a work-item. Of small tiles twice as many as panels, as a panel is in the first cache for all its tiles. */
static void
choose_spans (SoraDevice *device, const SoraLinear *linear, gsize tiles, gsize panels, cl_uint *span, cl_uint *panel_span)
{
  gsize all = tiles * panels, share, spans;

  if (linear->tile == WIDE_TILE) {
    *span = CLAMP (all / (WIDE_ITEMS_PER_UNIT * device->compute_units), 1, WIDE_SPAN);
    *panel_span = 1;
    return;
  }
  share = CLAMP (all / (ITEMS_PER_UNIT * device->compute_units), 1, SPAN);
  spans = ceil (tiles / sqrt (2 * share));
  *span = (tiles + spans - 1) / spans;
  spans = ceil ((gdouble) panels * *span / share);
  *panel_span = (panels + spans - 1) / spans;
}

/* Global size: (spans of tiles of rows, spans of panels). */
static void
packed_run (SoraQueue *queue, const SoraLinear *linear, SoraMatrix x, SoraMatrix y, cl_uint m,
    const SoraEpilogueArgs *epilogue)
{
  gsize tiles_m = m / linear->tile + (m % linear->tile + REST_ROWS - 1) / REST_ROWS, panels = padded_n (linear) / linear->panel;
  SoraLaunch launch = {
    .program = linear->program, .options = linear->options, .kernel = "linear",
    .dims = 2, .local = { 1, 1 }, .flops = (guint64) 2 * m * linear->n * linear->k,
  };
  cl_uint span, panel_span;

  choose_spans (sora_queue_get_device (queue), linear, tiles_m, panels, &span, &panel_span);
  launch.global[0] = (tiles_m + span - 1) / span;
  launch.global[1] = (panels + panel_span - 1) / panel_span;
  SORA_LAUNCH (queue, &launch, SORA_ARG (x.mem), SORA_ARG (x.offset), SORA_ARG (x.stride), SORA_ARG (linear->weight),
      SORA_ARG (linear->bias), SORA_ARG (m), SORA_ARG (linear->n), SORA_ARG (linear->k), SORA_ARG (span), SORA_ARG (panel_span),
      SORA_ARG (y.mem), SORA_ARG (y.offset), SORA_ARG (y.stride), SORA_EPILOGUE_ARGS (*epilogue));
}

/* Blocks of rows and panels of a work-item, shared evenly by all work-items */
static void
choose_bf16_spans (SoraDevice *device, SoraMatrixUnit unit, gsize blocks, gsize panels, cl_uint *row_span, cl_uint *span)
{
  gsize sums = CLAMP (blocks * panels / (BF16_ITEMS_PER_UNIT * device->compute_units), 1, BF16_MAX_SUMS);
  gsize most = MIN (sums, bf16_max_span[unit]), spans = (panels + most - 1) / most, row_spans;

  *span = (panels + spans - 1) / spans;
  row_spans = (blocks + sums / *span - 1) / (sums / *span);
  *row_span = (blocks + row_spans - 1) / row_spans;
}

/* Blocks of rows of an input of @m rows */
static gsize
count_bf16_blocks (const SoraLinear *linear, cl_uint m)
{
  return (m + bf16_rows[linear->unit] - 1) / bf16_rows[linear->unit];
}

/* Bytes of @blocks of rows in bf16 */
static gsize
rounded_size (const SoraLinear *linear, gsize blocks)
{
  gsize steps = (linear->k + SORA_PAIRS_STEP - 1) / SORA_PAIRS_STEP;

  return blocks * bf16_rows[linear->unit] * steps * SORA_PAIRS_STEP * sizeof (guint16);
}

/* X in bf16, as linear_bf16() takes it, of @blocks of rows */
static cl_mem
bf16_round (SoraQueue *queue, const SoraLinear *linear, SoraMatrix x, cl_uint m, gsize blocks)
{
  gsize steps = (linear->k + SORA_PAIRS_STEP - 1) / SORA_PAIRS_STEP;
  cl_mem rounded = sora_queue_scratch (queue, SORA_SCRATCH_INPUT, rounded_size (linear, blocks));
  SoraLaunch launch = {
    .program = linear->program, .options = linear->options, .kernel = "linear_bf16_round",
    .dims = 2, .global = { blocks, (steps + BF16_CHUNK_STEPS - 1) / BF16_CHUNK_STEPS }, .local = { 1, 1 },
  };

  if (rounded)
    SORA_LAUNCH (queue, &launch, SORA_ARG (x.mem), SORA_ARG (x.offset), SORA_ARG (x.stride), SORA_ARG (m), SORA_ARG (linear->k),
        SORA_ARG (rounded));
  return rounded;
}

/* Global size: (blocks of rows, spans of panels). */
static void
bf16_run (SoraQueue *queue, const SoraLinear *linear, SoraMatrix x, SoraMatrix y, cl_uint m, const SoraEpilogueArgs *epilogue)
{
  gsize blocks = count_bf16_blocks (linear, m), panels = padded_n (linear) / linear->panel;
  SoraLaunch launch = {
    .program = linear->program, .options = linear->options, .kernel = "linear_bf16", .dims = 2, .local = { 1, 1 },
    .flops = (guint64) 2 * m * linear->n * linear->k,
  };
  cl_uint row_span, span, is_rounded;
  cl_mem rounded;

  choose_bf16_spans (sora_queue_get_device (queue), linear->unit, blocks, panels, &row_span, &span);
  launch.global[0] = (blocks + row_span - 1) / row_span;
  launch.global[1] = (panels + span - 1) / span;
  is_rounded = (launch.global[1] - 1) * m * linear->k > BF16_ROUNDED_PER_LAUNCH;
  rounded = is_rounded ? bf16_round (queue, linear, x, m, blocks) : x.mem;
  if (!rounded)
    return;

  SORA_LAUNCH (queue, &launch, SORA_ARG (x.mem), SORA_ARG (x.offset), SORA_ARG (x.stride), SORA_ARG (rounded), SORA_ARG (is_rounded),
      SORA_ARG (linear->weight), SORA_ARG (linear->bias), SORA_ARG (m), SORA_ARG (linear->n), SORA_ARG (linear->k), SORA_ARG (row_span),
      SORA_ARG (span), SORA_ARG (y.mem), SORA_ARG (y.offset), SORA_ARG (y.stride), SORA_EPILOGUE_ARGS (*epilogue));
}

static SoraEpilogueArgs
epilogue_args (const SoraEpilogue *epilogue, cl_mem absent)
{
  SoraEpilogueArgs args = { 0 };

  if (epilogue) {
    args.activation = epilogue->activation;
    args.multiplier = epilogue->multiplier;
    args.gate = epilogue->gate;
    args.residual = epilogue->residual;
    args.operands = (args.multiplier.mem ? 1 : 0) | (args.gate.mem ? 2 : 0) | (args.residual.mem ? 4 : 0);
  }
  if (!args.multiplier.mem)
    args.multiplier.mem = absent;
  if (!args.gate.mem)
    args.gate.mem = absent;
  if (!args.residual.mem)
    args.residual.mem = absent;
  return args;
}

static void
run_resident (SoraQueue *queue, const SoraLinear *linear, SoraMatrix x, SoraMatrix y, guint m, const SoraEpilogueArgs *epilogue)
{
  if (linear->unit)
    bf16_run (queue, linear, x, y, m, epilogue);
  else if (linear->kind == SORA_LINEAR_PACKED)
    packed_run (queue, linear, x, y, m, epilogue);
  else
    sora_linear_clblast_run (queue, linear, x, y, m, epilogue);
}

/* The same with the weight where it is streamed to. */
static void
run_streamed (SoraQueue *queue, const SoraLinear *linear, SoraMatrix x, SoraMatrix y, guint m, const SoraEpilogueArgs *epilogue)
{
  SoraLinear here = *linear;

  here.weight = sora_queue_begin_stream (queue, weight_size (linear));
  if (!here.weight)
    return;
  upload_weights (queue, linear, here.weight, linear->n_parts, linear->parts, write_streamed);
  sora_weight_file_forget (linear->file);
  run_resident (queue, &here, x, y, m, epilogue);
  sora_queue_end_stream (queue);
}

/* Whether an input is rounded in a launch of its own depends on how work is divided; here it counts as if it always were. */
void
sora_linear_predict_scratch (SoraQueue *queue, SoraWeightType type, SoraPrecision precision, guint n_parts,
    const SoraTensor *const *weights, guint rows, gsize sizes[SORA_N_SCRATCHES])
{
  gsize own[SORA_N_SCRATCHES] = { 0 };
  SoraLinear *linear;
  guint64 n, k;

  if (rows == 0 || !measure (n_parts, weights, NULL, &n, &k, NULL))
    return;
  linear = linear_new (sora_queue_get_device (queue), type, precision, n_parts, weights, n, k);
  if (linear->unit)
    own[SORA_SCRATCH_INPUT] = rounded_size (linear, count_bf16_blocks (linear, rows));
  else if (linear->kind == SORA_LINEAR_CLBLAST)
    sora_linear_clblast_predict (queue, linear, rows, own);
  for (guint i = 0; i < SORA_N_SCRATCHES; i++)
    sizes[i] = MAX (sizes[i], own[i]);
  sora_linear_free (linear);
}

void
sora_linear_run (SoraQueue *queue, const SoraLinear *linear, SoraMatrix x, SoraMatrix y, guint m, const SoraEpilogue *epilogue)
{
  SoraEpilogueArgs args = epilogue_args (epilogue, linear->bias);

  if (m == 0)
    return;
  if (linear->weight)
    run_resident (queue, linear, x, y, m, &args);
  else
    run_streamed (queue, linear, x, y, m, &args);
}
