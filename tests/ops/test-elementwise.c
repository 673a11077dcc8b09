/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The element-wise operations against plain C, with every kernel, over tables of shapes. */
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
n_counts (const Variant *variant)
{
  return variant_is_small (variant) ? N_SMALL_COUNTS : G_N_ELEMENTS (counts);
}

/* @terms: bit 0: p, 1: n, 2: e, 3: y is x */
static void
run_combine (SoraQueue *queue, guint count, guint terms, const Variant *variant)
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
  sora_test_assert_close (actual, expected, count, TOLERANCE, "%s: combine %u, terms %u", variant->name, count, terms);
  for (guint i = 0; i < G_N_ELEMENTS (places); i++)
    operand_clear (&places[i]);
}

static void
test_combine (gconstpointer data)
{
  const Variant *variant = data;
  g_autoptr (SoraQueue) queue = variant_queue_new (variant);

  for (guint i = 0; i < n_counts (variant); i++)
    run_combine (queue, counts[i], (5 * i + 7) % 16, variant);
  for (guint terms = 0; terms < 16; terms++)
    run_combine (queue, 33, terms, variant);
}

static void
run_modulation (SoraQueue *queue, guint layers, guint n_frames, guint columns, guint pad, const Variant *variant)
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
  sora_test_assert_same (actual, expected, (gsize) layers * n_frames * columns, "%s: modulation %u x %u x %u", variant->name, layers,
      n_frames, columns);
  clReleaseMemObject (table_mem);
  clReleaseMemObject (out);
  operand_clear (&place);
}

static void
test_modulation (gconstpointer data)
{
  const Variant *variant = data;
  g_autoptr (SoraQueue) queue = variant_queue_new (variant);

  run_modulation (queue, 1, 1, 1, 0, variant);
  run_modulation (queue, 2, 3, 37, 5, variant);
  /* more frames than one launch takes */
  run_modulation (queue, 2, 35, 6, 0, variant);
  if (!variant_is_small (variant))
    run_modulation (queue, 8, 2, 1536, 0, variant);
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
n_grids (const Variant *variant)
{
  return variant_is_small (variant) ? N_SMALL_GRIDS : G_N_ELEMENTS (grids);
}

static void
test_patchify (gconstpointer data)
{
  const Variant *variant = data;
  g_autoptr (SoraQueue) queue = variant_queue_new (variant);

  for (guint i = 0; i < n_grids (variant); i++) {
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
    sora_test_assert_same (actual, expected, n, "%s: patchify, case %u", variant->name, i);
    clReleaseMemObject (latents_mem);
    operand_clear (&tokens);
  }
}

static void
test_unpatchify (gconstpointer data)
{
  const Variant *variant = data;
  g_autoptr (SoraQueue) queue = variant_queue_new (variant);

  for (guint i = 0; i < n_grids (variant); i++) {
    const Grid *g = &grids[i];
    gsize n = (gsize) g->frames * g->height * g->width * g->channels;
    guint columns = g->channels * g->ph * g->pw;
    g_autofree gfloat *values = sora_test_random (1, n, 1);
    g_autofree gfloat *expected = sora_reference_unpatchify (values, SORA_REFERENCE_CHANNEL_LAST, g->frames, g->height, g->width,
        g->channels, g->ph, g->pw);
    g_autofree gfloat *actual = NULL;
    cl_mem latents = sora_test_alloc (queue, g->offset + n);
    Operand tokens = operand_new (queue, values, 1, n / columns, columns, g->pad);

    sora_unpatchify_run (queue, tokens.matrix, latents, g->offset, g->frames, g->height, g->width, g->channels, g->ph, g->pw);
    actual = sora_test_download (queue, latents, g->offset + n);
    for (guint j = 0; j < g->offset; j++)
      g_assert_true (isnan (actual[j]));
    sora_test_assert_same (actual + g->offset, expected, n, "%s: unpatchify, case %u", variant->name, i);
    clReleaseMemObject (latents);
    operand_clear (&tokens);
  }
}

/* From the left to the right changes of 0 to 0.4 between frames, and a pixel by itself that changes much: below, about and above the threshold. */
static gfloat *
make_changing (gsize offset, guint frames, const SoraReferenceCoring *shape)
{
  gsize frame = (gsize) shape->height * shape->width * shape->channels, n = frames * frame;
  gfloat *latents = sora_test_random (1, offset + frame + n, 1);
  g_autofree gfloat *changes = sora_test_random (2, n, 1);

  for (gsize i = 0; i < n; i++) {
    gsize pixel = i / shape->channels;
    gfloat strength = pixel % 53 == 50 ? 1.5f : 0.4f * (pixel % shape->width) / shape->width;
    latents[offset + frame + i] = latents[offset + i] + strength * changes[i];
  }
  return latents;
}

static void
run_coring (SoraQueue *queue, guint frames, const SoraReferenceCoring *shape, guint offset, const Variant *variant)
{
  gsize frame = (gsize) shape->height * shape->width * shape->channels, n = frames * frame, total = offset + frame + n;
  g_autofree gfloat *latents = make_changing (offset, frames, shape);
  g_autofree gfloat *expected = sora_reference_coring (latents + offset, latents + offset + frame, frames, shape), *actual = NULL;
  SoraCoring coring = {
    .latents = sora_test_upload (queue, latents, total), .changes = sora_test_alloc (queue, shape->height * shape->width),
    .height = shape->height, .width = shape->width, .channels = shape->channels, .threshold = shape->threshold,
  };

  sora_coring_run (queue, &coring, coring.latents, offset, offset + frame, frames);
  actual = sora_test_download (queue, coring.latents, total);
  sora_test_assert_same (actual, latents, offset + frame, "%s: coring, before", variant->name);
  sora_test_assert_close (actual + offset + frame, expected, n, TOLERANCE, "%s: coring %ux%ux%ux%u, threshold %g", variant->name, frames,
      shape->height, shape->width, shape->channels, shape->threshold);
  clReleaseMemObject (coring.latents);
  clReleaseMemObject (coring.changes);
}

static void
test_coring (gconstpointer data)
{
  static const guint channels[] = { 1, 5, 16, 32, 48, 67 };
  static const gfloat thresholds[] = { 1e-6f, 0.05f, 0.1f, 0.2f, 10 };
  static const guint sizes[][2] = { { 1, 3 }, { 3, 2 }, { 7, 10 }, { 12, 9 }, { 1, 20 } };
  const Variant *variant = data;
  g_autoptr (SoraQueue) queue = variant_queue_new (variant);
  guint n_sizes = variant_is_small (variant) ? 2 : G_N_ELEMENTS (sizes);

  for (guint i = 0; i < G_N_ELEMENTS (channels); i++)
    for (guint j = 0; j < G_N_ELEMENTS (thresholds); j++) {
      const guint *size = sizes[(i + 2 * j) % n_sizes];
      SoraReferenceCoring shape = { size[0], size[1], channels[i], thresholds[j] };
      run_coring (queue, (i + j) % 4, &shape, j % 3 * 5, variant);
    }
}

/* The pixels around one with a NaN are all NaN, the others are as ever. */
static void
test_coring_nan (gconstpointer data)
{
  const Variant *variant = data;
  g_autoptr (SoraQueue) queue = variant_queue_new (variant);
  gfloat values[2 * 10 * 20] = { 0 };
  g_autofree gfloat *actual = NULL;

  values[200 + 2 * 20 + 7] = NAN;
  SoraCoring coring = {
    .latents = sora_test_upload (queue, values, 400), .changes = sora_test_alloc (queue, 10),
    .height = 1, .width = 10, .channels = 20, .threshold = 0.1f,
  };
  sora_coring_run (queue, &coring, coring.latents, 0, 200, 1);
  actual = sora_test_download (queue, coring.latents, 400);
  for (guint i = 0; i < 400; i++)
    g_assert_true (isnan (actual[i]) == (i >= 200 && i < 200 + 6 * 20));
  clReleaseMemObject (coring.latents);
  clReleaseMemObject (coring.changes);
}

/* Every NaN and infinity is found wherever it lies inside the range, and none outside. */
static void
test_check_finite (gconstpointer data)
{
  const gfloat bad[] = { NAN, INFINITY, -INFINITY, FLT_MAX, -FLT_MAX, 1e-40f };
  const Variant *variant = data;
  g_autoptr (SoraQueue) queue = variant_queue_new (variant);
  guint count = variant_is_small (variant) ? 70 : 10000, offset = 3;
  const guint places[] = { offset - 1, offset, offset + count / 2, offset + count - 1, offset + count };
  g_autofree gfloat *values = sora_test_random (1, offset + count + 1, 1e30f);
  cl_mem flag = sora_test_alloc (queue, 2);

  for (guint i = 0; i < G_N_ELEMENTS (bad) * G_N_ELEMENTS (places); i++) {
    guint place = places[i / G_N_ELEMENTS (bad)], seen[2];
    gfloat kept = values[place];
    gboolean inside = place >= offset && place < offset + count;
    cl_mem x;

    values[place] = bad[i % G_N_ELEMENTS (bad)];
    x = sora_test_upload (queue, values, offset + count + 1);
    sora_queue_zero (queue, flag, 0, 2 * sizeof (cl_int));
    sora_check_finite_run (queue, x, offset, count, flag);
    g_assert_true (sora_queue_read (queue, flag, 0, sizeof seen, seen, NULL));
    g_assert_cmpuint (seen[0], ==, inside && !isfinite (values[place]));
    g_assert_cmpuint (seen[1], ==, 0);
    values[place] = kept;
    clReleaseMemObject (x);
  }
  clReleaseMemObject (flag);
}

/* The flag stays set when what follows is finite. */
static void
test_flag_stays (gconstpointer data)
{
  const Variant *variant = data;
  g_autoptr (SoraQueue) queue = variant_queue_new (variant);
  const gfloat values[2] = { NAN, 1 };
  cl_mem x = sora_test_upload (queue, values, 2), flag = sora_test_alloc (queue, 1);
  cl_int seen = 0;

  sora_queue_zero (queue, flag, 0, sizeof (cl_int));
  sora_check_finite_run (queue, x, 0, 1, flag);
  sora_check_finite_run (queue, x, 1, 1, flag);
  g_assert_true (sora_queue_read (queue, flag, 0, sizeof seen, &seen, NULL));
  g_assert_cmpint (seen, ==, 1);
  clReleaseMemObject (x);
  clReleaseMemObject (flag);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  variants_add_test ("elementwise", "combine", test_combine);
  variants_add_test ("elementwise", "modulation", test_modulation);
  variants_add_test ("elementwise", "patchify", test_patchify);
  variants_add_test ("elementwise", "unpatchify", test_unpatchify);
  variants_add_test ("elementwise", "coring", test_coring);
  variants_add_test ("elementwise", "coring-nan", test_coring_nan);
  variants_add_test ("elementwise", "check-finite", test_check_finite);
  variants_add_test ("elementwise", "flag-stays", test_flag_stays);
  return g_test_run ();
}
