/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The element-wise operations against plain C, with one and with many work-items a row, over tables of shapes. */
#include <math.h>

#include "operand.h"
#include "ops/elementwise.h"
#include "reference-elementwise.h"
#include "test-support.h"

/* Four products and three sums in float, of values up to 3 times the rms: some 6 · 6e-8 · 3 */
#define TOLERANCE 1.5e-6

/* The counts are around the kernels' chunks; the last few are too much for an interpreter. */
static const guint counts[] = { 1, 5, 17, 1024, 1031, 4096, 5000, 16384, 70001 };
#define N_SMALL_COUNTS 5

static guint
n_counts (void)
{
  return sora_test_is_small () ? N_SMALL_COUNTS : G_N_ELEMENTS (counts);
}

/* @terms: bit 0: p, 1: n, 2: e, 3: y is x */
static void
run_combine (SoraQueue *queue, guint count, guint terms, const gchar *kind)
{
  const gdouble weights[4] = { 0.75, -1.25, 2.5, 0.125 };
  g_autofree gfloat *x = sora_test_random (1, count, 1), *p = sora_test_random (2, count, 1);
  g_autofree gfloat *n = sora_test_random (3, count, 1), *e = sora_test_random (4, count, 1);
  g_autofree gfloat *expected = sora_reference_combine (x, terms & 1 ? p : NULL, terms & 2 ? n : NULL, terms & 4 ? e : NULL,
      weights, count);
  g_autofree gfloat *actual = NULL;
  /* a pad of k puts an array at offset 3 k */
  Operand places[5] = { operand_new (queue, x, 1, 1, count, 1), operand_new (queue, p, 1, 1, count, 2),
    operand_new (queue, n, 1, 1, count, 3), operand_new (queue, e, 1, 1, count, 0), operand_new (queue, NULL, 1, 1, count, 5) };
  Operand *y = terms & 8 ? &places[0] : &places[4];
  SoraCombine combine = { places[0].matrix.mem, terms & 1 ? places[1].matrix.mem : NULL, terms & 2 ? places[2].matrix.mem : NULL,
    terms & 4 ? places[3].matrix.mem : NULL, y->matrix.mem, 3, 6, 9, 0, y->matrix.offset, 0.75f, -1.25f, 2.5f, 0.125f };

  sora_combine_run (queue, &combine, count);
  actual = operand_download (queue, y);
  sora_test_assert_close (actual, expected, count, TOLERANCE, "%s: combine %u, terms %u", kind, count, terms);
  for (guint i = 0; i < G_N_ELEMENTS (places); i++)
    operand_clear (&places[i]);
}

static void
test_combine (gconstpointer kind)
{
  g_autoptr (SoraQueue) queue = sora_test_queue_new_linear (kind);

  for (guint i = 0; i < n_counts (); i++)
    run_combine (queue, counts[i], (5 * i + 7) % 16, kind);
  for (guint terms = 0; terms < 16; terms++)
    run_combine (queue, 33, terms, kind);
}

static void
run_modulation (SoraQueue *queue, guint layers, guint n_frames, guint columns, guint pad, const gchar *kind)
{
  guint n_rows = 3;
  g_autofree guint *rows = g_new (guint, n_frames);
  g_autofree gfloat *table = sora_test_random (1, (gsize) layers * columns, 1);
  g_autofree gfloat *embedding = sora_test_random (2, (gsize) n_rows * columns, 1);
  g_autofree gfloat *expected = NULL, *actual = NULL;
  cl_mem table_mem = sora_test_upload (queue, table, (gsize) layers * columns);
  cl_mem out = sora_test_alloc (queue, (gsize) layers * n_frames * columns);
  Operand place = operand_new (queue, embedding, 1, n_rows, columns, pad);

  for (guint f = 0; f < n_frames; f++)
    rows[f] = (f * f + 1) % n_rows;
  expected = sora_reference_modulation (table, embedding, rows, layers, n_frames, columns);
  sora_modulation_run (queue, table_mem, place.matrix, rows, out, layers, n_frames, columns);
  actual = sora_test_download (queue, out, (gsize) layers * n_frames * columns);
  sora_test_assert_same (actual, expected, (gsize) layers * n_frames * columns, "%s: modulation %u x %u x %u", kind, layers,
      n_frames, columns);
  clReleaseMemObject (table_mem);
  clReleaseMemObject (out);
  operand_clear (&place);
}

static void
test_modulation (gconstpointer kind)
{
  g_autoptr (SoraQueue) queue = sora_test_queue_new_linear (kind);

  run_modulation (queue, 1, 1, 1, 0, kind);
  run_modulation (queue, 2, 3, 37, 5, kind);
  /* more frames than one launch takes */
  run_modulation (queue, 2, 35, 6, 0, kind);
  if (!sora_test_is_small ())
    run_modulation (queue, 8, 2, 1536, 0, kind);
}

typedef struct {
  guint frames, height, width, channels, ph, pw;
  guint pad;                    /* of the tokens */
  guint offset;                 /* of the latents */
} Grid;

static const Grid grids[] = {
  { 1, 1, 1, 1, 1, 1, 0, 0 },
  { 2, 4, 6, 3, 2, 2, 1, 5 },
  { 1, 6, 4, 2, 3, 1, 0, 0 },
  { 3, 2, 8, 5, 1, 4, 2, 1 },
  { 2, 16, 16, 32, 2, 2, 0, 8192 },
  { 3, 10, 14, 16, 2, 2, 7, 0 },
};
#define N_SMALL_GRIDS 4

static guint
n_grids (void)
{
  return sora_test_is_small () ? N_SMALL_GRIDS : G_N_ELEMENTS (grids);
}

static void
test_patchify (gconstpointer kind)
{
  g_autoptr (SoraQueue) queue = sora_test_queue_new_linear (kind);

  for (guint i = 0; i < n_grids (); i++) {
    const Grid *g = &grids[i];
    gsize n = (gsize) g->frames * g->height * g->width * g->channels;
    guint columns = g->channels * g->ph * g->pw;
    g_autofree gfloat *latents = sora_test_random (1, g->offset + n, 1);
    g_autofree gfloat *expected = sora_reference_patchify (latents + g->offset, SORA_REFERENCE_CHANNEL_FIRST, g->frames,
        g->height, g->width, g->channels, g->ph, g->pw);
    g_autofree gfloat *actual = NULL;
    cl_mem latents_mem = sora_test_upload (queue, latents, g->offset + n);
    Operand tokens = operand_new (queue, NULL, 1, n / columns, columns, g->pad);

    sora_patchify_run (queue, latents_mem, g->offset, tokens.matrix, g->frames, g->height, g->width, g->channels, g->ph, g->pw);
    actual = operand_download (queue, &tokens);
    sora_test_assert_same (actual, expected, n, "%s: patchify, case %u", (const gchar *) kind, i);
    clReleaseMemObject (latents_mem);
    operand_clear (&tokens);
  }
}

static void
test_unpatchify (gconstpointer kind)
{
  g_autoptr (SoraQueue) queue = sora_test_queue_new_linear (kind);

  for (guint i = 0; i < n_grids (); i++) {
    const Grid *g = &grids[i];
    gsize n = (gsize) g->frames * g->height * g->width * g->channels;
    guint columns = g->channels * g->ph * g->pw;
    g_autofree gfloat *data = sora_test_random (1, n, 1);
    g_autofree gfloat *expected = sora_reference_unpatchify (data, SORA_REFERENCE_CHANNEL_LAST, g->frames, g->height, g->width,
        g->channels, g->ph, g->pw);
    g_autofree gfloat *actual = NULL;
    cl_mem latents = sora_test_alloc (queue, g->offset + n);
    Operand tokens = operand_new (queue, data, 1, n / columns, columns, g->pad);

    sora_unpatchify_run (queue, tokens.matrix, latents, g->offset, g->frames, g->height, g->width, g->channels, g->ph, g->pw);
    actual = sora_test_download (queue, latents, g->offset + n);
    for (guint j = 0; j < g->offset; j++)
      g_assert_true (isnan (actual[j]));
    sora_test_assert_same (actual + g->offset, expected, n, "%s: unpatchify, case %u", (const gchar *) kind, i);
    clReleaseMemObject (latents);
    operand_clear (&tokens);
  }
}

/* Every NaN and infinity is found wherever it lies inside the range, and none outside. */
static void
test_check_finite (gconstpointer kind)
{
  const gfloat bad[] = { NAN, INFINITY, -INFINITY, FLT_MAX, -FLT_MAX, 1e-40f };
  g_autoptr (SoraQueue) queue = sora_test_queue_new_linear (kind);
  guint count = sora_test_is_small () ? 70 : 10000, offset = 3;
  const guint places[] = { offset - 1, offset, offset + count / 2, offset + count - 1, offset + count };
  g_autofree gfloat *data = sora_test_random (1, offset + count + 1, 1e30f);
  cl_mem flag = sora_test_alloc (queue, 2);

  for (guint i = 0; i < G_N_ELEMENTS (bad) * G_N_ELEMENTS (places); i++) {
    guint place = places[i / G_N_ELEMENTS (bad)], seen[2];
    gfloat kept = data[place];
    gboolean inside = place >= offset && place < offset + count;
    cl_mem x;

    data[place] = bad[i % G_N_ELEMENTS (bad)];
    x = sora_test_upload (queue, data, offset + count + 1);
    sora_queue_zero (queue, flag, 0, 2 * sizeof (cl_int));
    sora_check_finite_run (queue, x, offset, count, flag);
    g_assert_true (sora_queue_read (queue, flag, 0, sizeof seen, seen, NULL));
    g_assert_cmpuint (seen[0], ==, inside && !isfinite (data[place]));
    g_assert_cmpuint (seen[1], ==, 0);
    data[place] = kept;
    clReleaseMemObject (x);
  }
  clReleaseMemObject (flag);
}

/* The flag stays set when what follows is finite. */
static void
test_flag_stays (gconstpointer kind)
{
  g_autoptr (SoraQueue) queue = sora_test_queue_new_linear (kind);
  const gfloat data[2] = { NAN, 1 };
  cl_mem x = sora_test_upload (queue, data, 2), flag = sora_test_alloc (queue, 1);
  cl_int seen = 0;

  sora_queue_zero (queue, flag, 0, sizeof (cl_int));
  sora_check_finite_run (queue, x, 0, 1, flag);
  sora_check_finite_run (queue, x, 1, 1, flag);
  g_assert_true (sora_queue_read (queue, flag, 0, sizeof seen, &seen, NULL));
  g_assert_cmpint (seen, ==, 1);
  clReleaseMemObject (x);
  clReleaseMemObject (flag);
}

static void
add_tests (const gchar *name, const gchar *kind)
{
  const struct {
    const gchar *name;
    GTestDataFunc function;
  } tests[] = {
    { "combine", test_combine }, { "modulation", test_modulation }, { "patchify", test_patchify },
    { "unpatchify", test_unpatchify }, { "check-finite", test_check_finite }, { "flag-stays", test_flag_stays },
  };

  for (guint i = 0; i < G_N_ELEMENTS (tests); i++) {
    g_autofree gchar *path = g_strdup_printf ("/elementwise/%s/%s", name, tests[i].name);

    g_test_add_data_func (path, kind, tests[i].function);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  add_tests ("one-work-item", "packed");
  add_tests ("group", "clblast");
  return g_test_run ();
}
