/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Attention against plain C, with every kernel, over a table of shapes, biases, key offsets, strides and masks; and rounded to bf16, where the device
 * does that. */
#include <math.h>

#include "ops/attention.h"
#include "operand.h"
#include "reference-attention.h"
#include "test-support.h"
#include "weights/half.h"

/* Scores of some 10 carry rounding errors of 1e-6, those of the LARGE case of 1e-5, which are relative errors of the weights; the mean over
 * the keys shrinks values and errors alike. A wrong or missing key of 512 errs by 1 / sqrt (512) = 4e-2. */
#define TOLERANCE 4e-5
/* In bf16 the reference has the same rounded operands; what it does not have is the rounding of weights, by 2^-8 at most, of each on its own. That
 * leaves 1.6e-3 of the output's rms, and 5 or 6 times that in the worst of a case's 1e5 numbers or so. A query that is rounded to the other
 * neighbour, as its scale is multiplied in single precision, errs by less. */
#define BF16_TOLERANCE 1e-2

/* what is added to the scores */
typedef enum {
  PLAIN = 0,
  BIAS = 1,
  KEY_OFFSET = 2,
  MASK = 4,                     /* key offsets of minus infinity, the whole first block of keys among them */
  PADDED = 8,                   /* strides and offsets beyond the data, and a batch stride of its own for each matrix */
  LARGE = 16,                   /* scores of some 100, beyond what exp holds */
} Kind;

typedef struct {
  SoraReferenceAttention shape; /* batch, heads, head_dim, n_query, n_key, scale */
  guint kind;
} Case;

static const Case cases[] = {
  { { 1, 1, 8, 1, 1, 1.0f }, PLAIN },
  { { 2, 2, 8, 5, 3, 0.35f }, PADDED },
  { { 1, 2, 24, 3, 9, 0.2f }, BIAS | PADDED },
  { { 1, 1, 8, 17, 5, 0.25f }, KEY_OFFSET },
  { { 1, 1, 8, 2, 70, 0.35f }, MASK },
  { { 1, 1, 13, 3, 4, 0.28f }, PADDED | BIAS | KEY_OFFSET },
  /* from here on too much for an interpreter */
  { { 2, 4, 64, 128, 512, 0.125f }, PLAIN },
  { { 2, 4, 64, 128, 384, 0.125f }, PADDED },
  { { 2, 4, 64, 128, 13, 0.125f }, KEY_OFFSET },
  { { 2, 4, 64, 128, 65, 0.125f }, KEY_OFFSET | PADDED },
  { { 1, 4, 64, 1, 1, 1.0f }, BIAS },
  { { 1, 4, 64, 12, 12, 0.2f }, BIAS },
  { { 1, 6, 64, 64, 64, 0.2f }, BIAS | PADDED },
  { { 1, 6, 64, 77, 77, 0.2f }, BIAS | KEY_OFFSET },
  { { 1, 2, 128, 100, 300, 0.088f }, PLAIN },
  { { 1, 12, 128, 33, 129, 0.088f }, PADDED },
  { { 3, 2, 24, 31, 63, 0.2f }, PLAIN },
  { { 3, 2, 24, 33, 64, 0.2f }, PADDED },
  { { 1, 3, 64, 16, 192, 0.12f }, MASK },
  { { 1, 1, 384, 40, 50, 0.05f }, PLAIN },
  { { 1, 1, 1024, 20, 30, 0.03f }, PLAIN },
  { { 1, 2, 13, 50, 90, 0.28f }, PADDED | BIAS },
  { { 1, 2, 64, 50, 200, 3.0f }, LARGE },
  { { 1, 2, 64, 50, 200, 0.125f }, MASK | PADDED },
  /* about the tiles and blocks of the kernel for bf16 */
  { { 1, 1, 32, 9, 9, 0.18f }, KEY_OFFSET },
  { { 2, 1, 96, 65, 97, 0.1f }, PADDED },
  { { 1, 3, 160, 31, 95, 0.08f }, BIAS | PADDED },
  { { 1, 2, 256, 33, 31, 0.06f }, BIAS | KEY_OFFSET },
  { { 1, 2, 128, 300, 21, 0.088f }, KEY_OFFSET | PADDED },
  { { 2, 3, 128, 777, 193, 0.088f }, BIAS | PADDED },
  { { 1, 1, 128, 2, 200, 2.0f }, LARGE | MASK },
};

/* The first of those that take too long with an interpreter. */
#define N_SMALL 6

static gfloat *
make_key_offset (const Case *c)
{
  guint n = c->shape.n_key;
  gfloat *offset;

  if (!(c->kind & (KEY_OFFSET | MASK)))
    return NULL;
  offset = sora_test_random (7, n, 3.0f);
  for (guint j = 0; c->kind & MASK && j < n; j++) {
    if (j < 66 || j % 5 == 0)
      offset[j] = -INFINITY;
  }
  return offset;
}

static void
round_to_bf16 (gfloat *values, gsize n, gfloat scale)
{
  for (gsize i = 0; i < n; i++) {
    guint32 bits = (guint32) sora_bf16_from_float (values[i] * scale) << 16;
    gfloat rounded;

    memcpy (&rounded, &bits, sizeof rounded);
    values[i] = rounded / scale;
  }
}

/* What the kernel makes of its operands: queries are rounded when they have been multiplied by the scale, and made logarithms of 2. */
static void
round_operands (const SoraReferenceAttention *s, gfloat *q, gfloat *k, gfloat *v)
{
  gsize row = (gsize) s->heads * s->head_dim;

  round_to_bf16 (q, s->batch * s->n_query * row, s->scale * 1.44269504f);
  round_to_bf16 (k, s->batch * s->n_key * row, 1);
  round_to_bf16 (v, s->batch * s->n_key * row, 1);
}

static void
run_case (SoraQueue *queue, const Case *c, const Variant *variant, gboolean bf16)
{
  const SoraReferenceAttention *s = &c->shape;
  guint columns = s->heads * s->head_dim, pad = c->kind & PADDED ? 3 : 0;
  gfloat amplitude = c->kind & LARGE ? 3.0f : 1.5f;
  g_autofree gfloat *q = sora_test_random (1, (gsize) s->batch * s->n_query * columns, amplitude);
  g_autofree gfloat *k = sora_test_random (2, (gsize) s->batch * s->n_key * columns, amplitude);
  g_autofree gfloat *v = sora_test_random (3, (gsize) s->batch * s->n_key * columns, 1.0f);
  g_autofree gfloat *bias = c->kind & BIAS ? sora_test_random (4, s->heads * (s->n_query + s->n_key - 1), 2.0f) : NULL;
  g_autofree gfloat *key_offset = make_key_offset (c);
  g_autofree gfloat *expected = NULL, *actual = NULL;
  Operand q_place = operand_new (queue, q, s->batch, s->n_query, columns, pad);
  Operand k_place = operand_new (queue, k, s->batch, s->n_key, columns, pad * 2);
  Operand v_place = operand_new (queue, v, s->batch, s->n_key, columns, pad * 3);
  Operand out_place = operand_new (queue, NULL, s->batch, s->n_query, columns, pad * 5);
  SoraAttention attention = { s->batch, s->heads, s->head_dim, s->n_query, s->n_key, q_place.matrix, k_place.matrix,
    v_place.matrix, out_place.matrix, q_place.batch_stride, k_place.batch_stride, v_place.batch_stride,
    out_place.batch_stride, s->scale, NULL, NULL, bf16 };

  if (bias)
    attention.bias = sora_test_upload (queue, bias, s->heads * (s->n_query + s->n_key - 1));
  if (key_offset)
    attention.key_offset = sora_test_upload (queue, key_offset, s->n_key);
  sora_attention_run (queue, &attention);
  actual = operand_download (queue, &out_place);
  if (bf16)
    round_operands (s, q, k, v);
  expected = sora_reference_attention (s, q, k, v, bias, key_offset);
  sora_test_assert_close (actual, expected, (gsize) s->batch * s->n_query * columns, bf16 ? BF16_TOLERANCE : TOLERANCE,
      "%s%s: %u x %u heads of %u, %u queries, %u keys, kind %u", variant->name, bf16 ? " in bf16" : "", s->batch, s->heads, s->head_dim,
      s->n_query, s->n_key, c->kind);
  operand_clear (&q_place);
  operand_clear (&k_place);
  operand_clear (&v_place);
  operand_clear (&out_place);
  if (bias)
    clReleaseMemObject (attention.bias);
  if (key_offset)
    clReleaseMemObject (attention.key_offset);
}

static void
test_shapes (gconstpointer data)
{
  const Variant *variant = data;
  g_autoptr (SoraQueue) queue = variant_queue_new (variant);
  guint n = variant_is_small (variant) ? N_SMALL : G_N_ELEMENTS (cases);

  for (guint i = 0; i < n; i++) {
    run_case (queue, &cases[i], variant, FALSE);
    if (sora_attention_has_bf16 (sora_queue_get_device (queue), cases[i].shape.head_dim))
      run_case (queue, &cases[i], variant, TRUE);
  }
}

/* More work than one launch takes (4 GFLOP a compute unit), so that it is split: a few queries of all launches. */
static void
run_split (SoraQueue *queue, const Variant *variant, gboolean bf16)
{
  guint units = sora_queue_get_device (queue)->compute_units, dim = 64, n = 4096 * sqrt (units) + 7, step = n / 20;
  g_autofree gfloat *x = sora_test_random (6, (gsize) n * dim, 1.5f);
  g_autofree gfloat *some = g_new (gfloat, 20 * dim);
  g_autofree gfloat *expected = NULL, *all = NULL;
  cl_mem in, out;
  SoraAttention attention = { .batch = 1, .heads = 1, .head_dim = dim, .n_query = n, .n_key = n, .scale = 0.125f, .bf16 = bf16 };
  SoraReferenceAttention shape = { 1, 1, dim, 20, n, 0.125f };

  in = sora_test_upload (queue, x, (gsize) n * dim);
  out = sora_test_alloc (queue, (gsize) n * dim);
  attention.q = attention.k = attention.v = SORA_MATRIX (in, dim);
  attention.out = SORA_MATRIX (out, dim);
  sora_attention_run (queue, &attention);
  for (guint i = 0; i < 20; i++)
    memcpy (some + i * dim, x + (gsize) i * step * dim, dim * sizeof (gfloat));
  if (bf16)
    round_operands (&shape, some, x, x);
  expected = sora_reference_attention (&shape, some, x, x, NULL, NULL);
  all = sora_test_download (queue, out, (gsize) n * dim);
  for (gsize i = 0; i < (gsize) n * dim; i++)
    g_assert_true (isfinite (all[i]));
  for (guint i = 0; i < 20; i++)
    memcpy (some + i * dim, all + (gsize) i * step * dim, dim * sizeof (gfloat));
  sora_test_assert_close (some, expected, 20 * dim, bf16 ? BF16_TOLERANCE : TOLERANCE, "%s%s: 20 of %u queries", variant->name,
      bf16 ? " in bf16" : "", n);
  clReleaseMemObject (in);
  clReleaseMemObject (out);
}

static void
test_split (gconstpointer data)
{
  const Variant *variant = data;
  g_autoptr (SoraQueue) queue = variant_queue_new (variant);

  if (variant_is_small (variant)) {
    g_test_skip ("too much for an interpreter");
    return;
  }
  run_split (queue, variant, FALSE);
  if (sora_attention_has_bf16 (sora_queue_get_device (queue), 64))
    run_split (queue, variant, TRUE);
}

static void
run_nan (SoraQueue *queue, guint dim, gboolean bf16)
{
  guint n = 3;
  g_autofree gfloat *x = sora_test_random (5, n * dim, 1.0f);
  g_autofree gfloat *actual = NULL;
  cl_mem kv = sora_test_upload (queue, x, n * dim), q, out = sora_test_alloc (queue, n * dim);
  SoraAttention attention = { .batch = 1, .heads = 1, .head_dim = dim, .n_query = n, .n_key = n, .k = SORA_MATRIX (kv, dim),
    .v = SORA_MATRIX (kv, dim), .out = SORA_MATRIX (out, dim), .scale = 0.3f, .bf16 = bf16 };

  x[dim + 2] = NAN;
  q = sora_test_upload (queue, x, n * dim);
  attention.q = SORA_MATRIX (q, dim);
  sora_attention_run (queue, &attention);
  actual = sora_test_download (queue, out, n * dim);
  for (guint i = 0; i < n * dim; i++)
    g_assert_cmpint (isnan (actual[i]) != 0, ==, i / dim == 1);
  clReleaseMemObject (kv);
  clReleaseMemObject (q);
  clReleaseMemObject (out);
}

/* A NaN in a query makes its own output NaN, and that of no other query. */
static void
test_nan (gconstpointer data)
{
  g_autoptr (SoraQueue) queue = variant_queue_new (data);

  run_nan (queue, 8, FALSE);
  if (sora_attention_has_bf16 (sora_queue_get_device (queue), 32))
    run_nan (queue, 32, TRUE);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  variants_add_test ("attention", "shapes", test_shapes);
  variants_add_test ("attention", "split", test_split);
  variants_add_test ("attention", "nan", test_nan);
  return g_test_run ();
}
