/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Launches attention: attention-vector.cl or attention-bf16.cl on devices with the packed linear (CPUs), attention-group.cl on others. */
#include "ops/attention.h"

#include "ops/rows.h"
#include "runtime/matrix-unit.h"

/* work-items of attention-group.cl, and the most queries and keys of its tiles */
#define GROUP 128
#define TILE 32
/* the least: heads of 1024 then take 25 kB of local memory */
#define MIN_QUERIES 4
#define MIN_KEYS 2
/* Of attention-bf16.cl: queries of a tile, of which heads' columns are a multiple; columns of all tiles that a work-item has at most; and work-items
 * that each compute unit should have */
#define BF16_TILE 32
#define BF16_MAX_COLUMNS 1024
#define BF16_ITEMS_PER_UNIT 8
/* work of one launch: some 40 ms of a CPU core or GPU unit, which bounds how long a cancellation waits */
#define LAUNCH_FLOPS (G_GUINT64_CONSTANT (4000000000))

/* How a kernel splits the work. */
typedef struct {
  const gchar *program, *options, *kernel;
  guint queries;                /* of a work-group; or of a tile, of which it takes several: */
  guint max_tiles;
  guint group;                  /* work-items of it */
} Plan;

static Plan
plan_vector (SoraDevice *device, guint head_dim)
{
  guint width = sora_vector_width (device);
  gchar options[64];

  g_snprintf (options, sizeof options, "-DWIDTH=%u -DGROUP=1 -DHEAD_DIM=%u", width, head_dim);
  return (Plan) { "vector+attention-vector", g_intern_string (options), "attention", 2 * width, 1, 1 };
}

/* With AMX the kernel has not been measured yet, and vdpbf16ps gains nothing where that is. */
gboolean
sora_attention_has_bf16 (SoraDevice *device, guint head_dim)
{
  return device->linear_kind == SORA_LINEAR_PACKED && sora_vector_width (device) == 16 && head_dim % BF16_TILE == 0
      && head_dim <= BF16_MAX_COLUMNS / 4 && sora_matrix_unit_get (device) == SORA_MATRIX_UNIT_AVX512_BF16;
}

static Plan
plan_bf16 (guint head_dim)
{
  gchar options[64];

  g_snprintf (options, sizeof options, "-DUNIT=%d -DWIDTH=16 -DGROUP=1 -DHEAD_DIM=%u", SORA_MATRIX_UNIT_AVX512_BF16, head_dim);
  return (Plan) { "bf16+product-bf16+vector+attention-vector+attention-bf16", g_intern_string (options), "attention_bf16", BF16_TILE,
    BF16_MAX_COLUMNS / head_dim, 1 };
}

/* bytes of local memory that attention-group.cl declares */
static guint64
local_bytes (guint queries, guint keys, guint group, guint head_dim)
{
  guint row = (head_dim + 3) / 4 * 4 + 4;

  return sizeof (cl_float) * ((guint64) (queries + keys) * row + queries * (keys + 1) + group + queries);
}

/* The largest tiles that fit the device's local memory; fewer keys rather than fewer queries, which share them. */
static Plan
plan_group (SoraDevice *device, guint head_dim)
{
  guint group = GROUP, queries = TILE, keys = TILE;
  gchar options[96];

  while (group > TILE && group > device->max_work_group_size)
    group /= 2;
  while (local_bytes (queries, keys, group, head_dim) > device->local_memory && (keys > MIN_KEYS || queries > MIN_QUERIES)) {
    if (queries == MIN_QUERIES || (keys > MIN_KEYS && keys >= queries))
      keys /= 2;
    else
      queries /= 2;
  }
  g_snprintf (options, sizeof options, "-DGROUP=%u -DQUERIES=%u -DKEYS=%u -DHEAD_DIM=%u", group, queries, keys, head_dim);
  return (Plan) { "attention-group", g_intern_string (options), "attention", queries, 1, group };
}

static Plan
make_plan (SoraDevice *device, guint head_dim, gboolean bf16)
{
  if (bf16 && sora_attention_has_bf16 (device, head_dim))
    return plan_bf16 (head_dim);
  return device->linear_kind == SORA_LINEAR_PACKED ? plan_vector (device, head_dim) : plan_group (device, head_dim);
}

void
sora_attention_expect (SoraQueue *queue, guint head_dim, gboolean bf16)
{
  Plan plan = make_plan (sora_queue_get_device (queue), head_dim, bf16);

  sora_queue_expect (queue, plan.program, plan.options);
}

static cl_uint4
pack (SoraMatrix matrix, guint batch_stride)
{
  return (cl_uint4) { { matrix.offset, matrix.stride, batch_stride, 0 } };
}

static guint
divide_up (guint n, guint by)
{
  return (n + by - 1) / by;
}

/* Tiles of a work-group: as many as leave each compute unit enough of them, shared evenly */
static guint
choose_span (SoraDevice *device, const Plan *plan, const SoraAttention *a)
{
  guint tiles = divide_up (a->n_query, plan->queries);
  guint64 share = (guint64) tiles * a->heads * a->batch / (BF16_ITEMS_PER_UNIT * device->compute_units);

  return divide_up (tiles, divide_up (tiles, CLAMP (share, 1, plan->max_tiles)));
}

void
sora_attention_run (SoraQueue *queue, const SoraAttention *a)
{
  SoraDevice *device = sora_queue_get_device (queue);
  Plan plan = make_plan (device, a->head_dim, a->bf16);
  cl_uint span = choose_span (device, &plan, a);
  guint items = divide_up (a->n_query, plan.queries * span);
  guint64 item_flops = 4 * (guint64) plan.queries * span * a->n_key * a->head_dim * a->heads * a->batch;
  guint most = CLAMP (LAUNCH_FLOPS * device->compute_units / MAX (item_flops, 1), 1, items);
  cl_uint4 q = pack (a->q, a->q_batch_stride), k = pack (a->k, a->k_batch_stride), v = pack (a->v, a->v_batch_stride);
  cl_uint4 out = pack (a->out, a->out_batch_stride);
  cl_uint n_query = a->n_query, n_key = a->n_key, first = 0;
  cl_mem bias = a->bias ? a->bias : a->q.mem, key_offset = a->key_offset ? a->key_offset : a->q.mem;
  cl_int has_bias = a->bias != NULL, has_key_offset = a->key_offset != NULL;
  const SoraArg args[] = { SORA_ARG (a->q.mem), SORA_ARG (q), SORA_ARG (a->k.mem), SORA_ARG (k), SORA_ARG (a->v.mem), SORA_ARG (v),
    SORA_ARG (a->out.mem), SORA_ARG (out), SORA_ARG (first), SORA_ARG (n_query), SORA_ARG (n_key), SORA_ARG (a->scale), SORA_ARG (bias),
    SORA_ARG (has_bias), SORA_ARG (key_offset), SORA_ARG (has_key_offset), SORA_ARG (span) };
  guint n_args = G_N_ELEMENTS (args) - (plan.max_tiles > 1 ? 0 : 1);    /* the last is for those that take several tiles */

  for (; first < items; first += most) {
    guint n = MIN (items - first, most);
    SoraLaunch launch = { plan.program, plan.options, plan.kernel, 3, { n * plan.group, a->heads, a->batch }, { plan.group, 1, 1 },
      n * item_flops };

    sora_queue_launch (queue, &launch, n_args, args);
  }
}
