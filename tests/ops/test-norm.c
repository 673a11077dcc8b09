/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* RMSNorm, LayerNorm and the norm over channels against plain C, with every kernel, over a table of shapes and operands. */
#include <math.h>

#include "operand.h"
#include "ops/channel-norm.h"
#include "ops/norm.h"
#include "reference-norm.h"
#include "test-support.h"

/* Sums of up to 1536 floats, in at least 4 parts, err by some 1e-6 of themselves at worst; the result by a few 1e-7 more. */
#define TOLERANCE 5e-6
/* The same beside a mean 1000 times the deviation: the sums behind the mean err by a few 1e-7 of it, so by a few 1e-4 of the
 * deviation. E[x²] - E[x]², which must be avoided, would err by 1000² · 6e-8 = 6e-2. */
#define TOLERANCE_LARGE_MEAN 1e-3

typedef struct {
  guint rows, columns, pad;
  gboolean in_place;
  gboolean gain, shift;         /* LayerNorm only */
  guint rows_per_frame, n_frames; /* 0: affine weights */
  gfloat mean;
} Case;

static const Case cases[] = {
  { 1, 1, 0, FALSE, TRUE, TRUE, 0, 0, 0 },
  { 3, 5, 0, FALSE, FALSE, FALSE, 0, 0, 0 },
  { 4, 16, 1, FALSE, TRUE, TRUE, 2, 2, 0 },
  { 5, 37, 3, TRUE, TRUE, FALSE, 0, 0, 0 },
  { 6, 64, 0, TRUE, FALSE, TRUE, 2, 2, 0 },
  { 7, 67, 2, FALSE, TRUE, TRUE, 2, 3, 1000 },
  /* from here on too much for an interpreter */
  { 256, 256, 0, FALSE, TRUE, TRUE, 64, 2, 0 },
  { 256, 256, 512, TRUE, TRUE, TRUE, 0, 0, 0 },
  { 77, 1536, 0, FALSE, TRUE, TRUE, 20, 3, 0 },
  { 20, 4096, 5, FALSE, TRUE, FALSE, 0, 0, 0 },
  { 33, 1000, 1, FALSE, TRUE, TRUE, 11, 2, 1000 },
  { 9, 263, 0, TRUE, TRUE, TRUE, 1, 4, 0 },
};

/* The first of those that take too long with an interpreter. */
#define N_SMALL 6

static guint
n_cases (const Variant *variant)
{
  return variant_is_small (variant) ? N_SMALL : G_N_ELEMENTS (cases);
}

static gfloat *
make_input (const Case *c)
{
  gsize n = (gsize) c->rows * c->columns;
  gfloat *x = sora_test_random (1, n, 1.5f);

  for (gsize i = 0; i < n; i++)
    x[i] += c->mean;
  return x;
}

static void
test_rms_norm (gconstpointer data)
{
  const Variant *variant = data;
  g_autoptr (SoraQueue) queue = variant_queue_new (variant);

  for (guint i = 0; i < n_cases (variant); i++) {
    const Case *c = &cases[i];
    gfloat eps = i % 2 ? 1e-6f : 0.1f;
    g_autofree gfloat *x = make_input (c), *weight = sora_test_random (2, c->columns, 2.0f);
    g_autofree gfloat *expected = sora_reference_rms_norm (x, weight, c->rows, c->columns, eps);
    g_autofree gfloat *actual = NULL;
    Operand x_place = operand_new (queue, x, 1, c->rows, c->columns, c->pad);
    Operand y_place = operand_new (queue, NULL, 1, c->rows, c->columns, c->pad * 2);
    cl_mem weight_mem = sora_test_upload (queue, weight, c->columns);
    Operand *y = c->in_place ? &x_place : &y_place;

    sora_rms_norm_run (queue, x_place.matrix, weight_mem, y->matrix, c->rows, c->columns, eps);
    actual = operand_download (queue, y);
    sora_test_assert_close (actual, expected, (gsize) c->rows * c->columns, TOLERANCE, "%s: RMSNorm %u x %u",
        variant->name, c->rows, c->columns);
    operand_clear (&x_place);
    operand_clear (&y_place);
    clReleaseMemObject (weight_mem);
  }
}

/* gain or shift of a case, on the device: by frame with an offset and a stride of its own, or whole */
static SoraFrameVector
upload_vector (SoraQueue *queue, const Case *c, const gfloat *data, cl_mem *whole)
{
  Operand operand;

  *whole = NULL;
  if (!data)
    return (SoraFrameVector) { NULL };
  operand = operand_new (queue, data, 1, MAX (c->n_frames, 1), c->columns, c->n_frames ? c->pad : 0);
  if (c->n_frames)
    return (SoraFrameVector) { operand.matrix.mem, operand.matrix.offset, operand.matrix.stride, c->rows_per_frame, c->n_frames };
  *whole = operand.matrix.mem;
  return (SoraFrameVector) { NULL };
}

static void
release (cl_mem whole, SoraFrameVector by_frame)
{
  if (whole)
    clReleaseMemObject (whole);
  if (by_frame.mem)
    clReleaseMemObject (by_frame.mem);
}

static void
run_layer_norm (SoraQueue *queue, const Case *c, gfloat eps, const Variant *variant)
{
  guint frames = MAX (c->n_frames, 1), per_frame = MAX (c->rows_per_frame, 1);
  g_autofree gfloat *x = make_input (c);
  g_autofree gfloat *gain = c->gain ? sora_test_random (2, (gsize) frames * c->columns, 2.0f) : NULL;
  g_autofree gfloat *shift = c->shift ? sora_test_random (3, (gsize) frames * c->columns, 2.0f) : NULL;
  g_autofree gfloat *expected = NULL, *actual = NULL;
  Operand x_place = operand_new (queue, x, 1, c->rows, c->columns, c->pad);
  Operand y_place = operand_new (queue, NULL, 1, c->rows, c->columns, c->pad * 2);
  Operand *y = c->in_place ? &x_place : &y_place;
  cl_mem weight, bias;
  SoraFrameVector scale_frames = upload_vector (queue, c, gain, &weight);
  SoraFrameVector shift_frames = upload_vector (queue, c, shift, &bias);

  sora_layer_norm_run (queue, x_place.matrix, weight, bias, scale_frames, shift_frames, y->matrix, c->rows, c->columns, eps);
  actual = operand_download (queue, y);
  for (gsize i = 0; c->n_frames && gain && i < (gsize) frames * c->columns; i++)
    gain[i] += 1;
  expected = sora_reference_layer_norm (x, gain, shift, per_frame, frames, c->rows, c->columns, eps);
  sora_test_assert_close (actual, expected, (gsize) c->rows * c->columns, c->mean ? TOLERANCE_LARGE_MEAN : TOLERANCE,
      "%s: LayerNorm %u x %u, %u frames, gain %d, shift %d, mean %g", variant->name, c->rows, c->columns, c->n_frames, c->gain, c->shift,
      c->mean);
  operand_clear (&x_place);
  operand_clear (&y_place);
  release (weight, scale_frames);
  release (bias, shift_frames);
}

static void
test_layer_norm (gconstpointer data)
{
  const Variant *variant = data;
  g_autoptr (SoraQueue) queue = variant_queue_new (variant);

  for (guint i = 0; i < n_cases (variant); i++)
    run_layer_norm (queue, &cases[i], i % 2 ? 1e-6f : 0.1f, variant);
}

typedef struct {
  guint frames, height, width, channels, border, past;
  gboolean norm, silu;
} MapCase;

static const MapCase map_cases[] = {
  { 1, 1, 1, 1, 0, 0, TRUE, FALSE },
  { 2, 3, 4, 5, 1, 2, TRUE, TRUE },
  { 1, 2, 3, 16, 1, 0, FALSE, FALSE },
  { 2, 2, 2, 33, 2, 1, FALSE, TRUE },
  /* from here on too much for an interpreter */
  { 3, 9, 7, 96, 1, 2, TRUE, TRUE },
  { 1, 8, 8, 384, 0, 0, TRUE, FALSE },
  { 2, 5, 6, 1027, 1, 1, TRUE, TRUE },
};

#define N_SMALL_MAPS 4

/* Within the border as expected, the border zero, past frames still NaN. */
static void
check_map (SoraQueue *queue, const SoraFeatureMap *map, guint frames, const gfloat *expected, const gchar *variant)
{
  g_autofree gfloat *all = sora_test_download (queue, map->mem, sora_feature_map_floats (map, frames));
  g_autofree gfloat *inside = g_new (gfloat, (gsize) frames * map->height * map->width * map->channels);
  gsize past = (gsize) map->past * sora_feature_map_frame (map), n = 0, at = past;

  for (gsize i = 0; i < past; i++)
    g_assert_true (isnan (all[i]));
  for (guint f = 0; f < frames; f++)
    for (guint y = 0; y < map->height + 2 * map->border; y++)
      for (guint x = 0; x < map->width + 2 * map->border; x++)
        for (guint c = 0; c < map->channels; c++, at++) {
          if (y - map->border < map->height && x - map->border < map->width)
            inside[n++] = all[at];
          else
            g_assert_cmpfloat (all[at], ==, 0);
        }
  sora_test_assert_close (inside, expected, n, TOLERANCE, "%s: norm of %u channels of %ux%u pixels", variant, map->channels,
      map->height, map->width);
}

static void
test_channel_norm (gconstpointer data)
{
  const Variant *variant = data;
  g_autoptr (SoraQueue) queue = variant_queue_new (variant);

  for (guint i = 0; i < (variant_is_small (variant) ? N_SMALL_MAPS : G_N_ELEMENTS (map_cases)); i++) {
    const MapCase *c = &map_cases[i];
    guint pixels = c->frames * c->height * c->width;
    SoraFeatureMap x = { NULL, 0, 0, c->height, c->width, c->channels }, y = { NULL, c->past, c->border, c->height, c->width, c->channels };
    g_autofree gfloat *x_host = sora_test_random (1 + i, (gsize) pixels * c->channels, 3), *expected = NULL;
    g_autofree gfloat *weight = sora_test_random (50 + i, c->channels, 2);
    cl_mem weight_mem = sora_test_upload (queue, weight, c->channels);

    if (c->height > 1)          /* a pixel of zeros stays one */
      memset (x_host, 0, c->channels * sizeof (gfloat));
    expected = sora_reference_channel_norm (x_host, c->norm ? weight : NULL, c->silu, pixels, c->channels);
    x.mem = sora_test_upload (queue, x_host, (gsize) pixels * c->channels);
    y.mem = sora_test_alloc (queue, sora_feature_map_floats (&y, c->frames));
    sora_channel_norm_run (queue, &x, c->norm ? weight_mem : NULL, c->silu, &y, c->frames);
    check_map (queue, &y, c->frames, expected, variant->name);
    clReleaseMemObject (x.mem);
    clReleaseMemObject (y.mem);
    clReleaseMemObject (weight_mem);
  }
}

/* A NaN makes its pixel NaN, and no other. */
static void
test_nan (gconstpointer data)
{
  g_autoptr (SoraQueue) queue = variant_queue_new (data);
  SoraFeatureMap x = { NULL, 0, 0, 1, 2, 17 }, y = x;
  g_autofree gfloat *x_host = sora_test_random (1, 34, 1), *actual = NULL;
  cl_mem weight = sora_test_upload (queue, x_host, 17);

  x_host[16] = NAN;
  x.mem = sora_test_upload (queue, x_host, 34);
  y.mem = sora_test_alloc (queue, 34);
  sora_channel_norm_run (queue, &x, weight, TRUE, &y, 1);
  actual = sora_test_download (queue, y.mem, 34);
  for (guint i = 0; i < 34; i++)
    g_assert_true (isnan (actual[i]) == (i < 17));
  clReleaseMemObject (x.mem);
  clReleaseMemObject (y.mem);
  clReleaseMemObject (weight);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  variants_add_test ("norm", "rms-norm", test_rms_norm);
  variants_add_test ("norm", "layer-norm", test_layer_norm);
  variants_add_test ("norm", "channel-norm", test_channel_norm);
  variants_add_test ("norm", "channel-norm-nan", test_nan);
  return g_test_run ();
}
