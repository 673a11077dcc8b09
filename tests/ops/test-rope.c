/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Rotary position embedding: the table against numbers of diffusers, the rotation against plain C, with every kernel. */
#include <math.h>

#include "operand.h"
#include "ops/rope.h"
#include "reference-rope.h"
#include "test-support.h"

/* The table is rounded once, each product and sum once more: 4 · 6e-8, with inputs up to 2.6 times their rms. */
#define TOLERANCE 1e-6

typedef struct {
  guint frames, height, width, first_frame; /* of the table */
  guint first_row, period, rows;
  guint heads, head_dim, pad;
  gboolean in_place;
} Case;

static const Case cases[] = {
  { 1, 1, 1, 0, 0, 1, 1, 1, 2, 0, FALSE },
  { 2, 2, 3, 0, 0, 12, 12, 2, 8, 0, FALSE },
  { 2, 2, 3, 1, 6, 6, 12, 2, 24, 3, FALSE },
  { 1, 2, 3, 5, 0, 6, 9, 3, 14, 1, TRUE },
  /* from here on too much for an interpreter */
  { 8, 8, 8, 0, 384, 128, 256, 4, 64, 512, FALSE },
  { 8, 8, 8, 0, 0, 384, 768, 4, 64, 0, TRUE },
  { 3, 9, 16, 2, 0, 432, 432, 12, 128, 0, FALSE },
  { 3, 4, 6, 0, 24, 48, 96, 2, 24, 0, TRUE },
  { 2, 5, 7, 0, 0, 70, 70, 3, 22, 5, FALSE },
};

/* The first of those that take too long with an interpreter. */
#define N_SMALL 4

static void
test_rotation (gconstpointer data)
{
  const Variant *variant = data;
  g_autoptr (SoraQueue) queue = variant_queue_new (variant);
  guint n = variant_is_small (variant) ? N_SMALL : G_N_ELEMENTS (cases);

  for (guint i = 0; i < n; i++) {
    const Case *c = &cases[i];
    guint columns = c->heads * c->head_dim, tokens = c->height * c->width;
    g_autofree gfloat *table = sora_rope_table (c->first_frame, c->frames, c->height, c->width, c->head_dim, 10000);
    g_autofree gfloat *x = sora_test_random (1, (gsize) c->rows * columns, 1.5f);
    g_autofree gfloat *expected = sora_reference_rope (x, c->first_frame * tokens + c->first_row, c->period, c->height,
        c->width, c->rows, c->heads, c->head_dim, 10000);
    g_autofree gfloat *actual = NULL;
    cl_mem table_mem = sora_test_upload (queue, table, (gsize) c->frames * tokens * c->head_dim);
    Operand x_place = operand_new (queue, x, 1, c->rows, columns, c->pad);
    Operand y_place = operand_new (queue, NULL, 1, c->rows, columns, c->pad * 2);
    Operand *y = c->in_place ? &x_place : &y_place;

    sora_rope_run (queue, x_place.matrix, table_mem, c->first_row, c->period, y->matrix, c->rows, c->heads, c->head_dim);
    actual = operand_download (queue, y);
    sora_test_assert_close (actual, expected, (gsize) c->rows * columns, TOLERANCE, "%s: %u rows, %u heads of %u",
        variant->name, c->rows, c->heads, c->head_dim);
    operand_clear (&x_place);
    operand_clear (&y_place);
    clReleaseMemObject (table_mem);
  }
}

/* Entries of the tables that diffusers 0.42 makes (WanRotaryPosEmbed, patch size 1 x 2 x 2, theta 10000). */
static const struct {
  guint head_dim, frames, height, width, token, pair;
  gfloat cosine, sine;
} entries[] = {
  { 64, 3, 4, 5, 59, 0, -0.416146845, 0.909297407 },
  { 64, 3, 4, 5, 59, 1, 0.599181652, 0.800613105 },
  { 64, 3, 4, 5, 59, 11, 0.999999881, 0.000430886925 },
  { 64, 3, 4, 5, 59, 12, -0.989992499, 0.141120002 },
  { 64, 3, 4, 5, 59, 13, 0.367644459, 0.92996645 },
  { 64, 3, 4, 5, 59, 22, -0.653643608, -0.756802499 },
  { 64, 3, 4, 5, 59, 31, 0.999999523, 0.00100475445 },
  { 64, 3, 4, 5, 30, 2, 0.976881683, 0.213780671 },
  { 64, 3, 4, 5, 30, 23, 1, 0 },
  { 128, 2, 3, 2, 11, 0, 0.540302277, 0.841470957 },
  { 128, 2, 3, 2, 11, 1, 0.791257739, 0.611482799 },
  { 128, 2, 3, 2, 11, 21, 1, 0.000151991102 },
  { 128, 2, 3, 2, 11, 22, -0.416146845, 0.909297407 },
  { 128, 2, 3, 2, 11, 23, 0.277223349, 0.960805476 },
  { 128, 2, 3, 2, 11, 43, 0.540302277, 0.841470957 },
  { 128, 2, 3, 2, 11, 63, 1, 0.000155051574 },
  { 128, 2, 3, 2, 6, 2, 0.907763004, 0.419483364 },
  { 128, 2, 3, 2, 6, 44, 1, 0 },
  { 24, 4, 2, 3, 23, 0, -0.989992499, 0.141120002 },
  { 24, 4, 2, 3, 23, 1, 0.955336511, 0.295520216 },
  { 24, 4, 2, 3, 23, 3, 0.99999553, 0.0029999956 },
  { 24, 4, 2, 3, 23, 4, 0.540302277, 0.841470957 },
  { 24, 4, 2, 3, 23, 5, 0.995004177, 0.099833414 },
  { 24, 4, 2, 3, 23, 8, -0.416146845, 0.909297407 },
  { 24, 4, 2, 3, 23, 11, 0.999997973, 0.0019999987 },
  { 24, 4, 2, 3, 12, 2, 0.999800026, 0.0199986659 },
  { 24, 4, 2, 3, 12, 9, 1, 0 },
};

static void
test_table (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (entries); i++) {
    g_autofree gfloat *table = sora_rope_table (0, entries[i].frames, entries[i].height, entries[i].width, entries[i].head_dim, 10000);
    const gfloat *turn = table + (gsize) entries[i].token * entries[i].head_dim + 2 * entries[i].pair;

    /* both are rounded from double */
    g_assert_cmpfloat_with_epsilon (turn[0], entries[i].cosine, 1.2e-7);
    g_assert_cmpfloat_with_epsilon (turn[1], entries[i].sine, 1.2e-7);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/rope/table", test_table);
  variants_add_test ("rope", "rotation", test_rotation);
  return g_test_run ();
}
