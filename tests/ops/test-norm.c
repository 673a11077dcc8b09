/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* RMSNorm and LayerNorm against plain C, with every kernel, over a table of shapes and operands. */
#include <math.h>

#include "operand.h"
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

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  variants_add_test ("norm", "rms-norm", test_rms_norm);
  variants_add_test ("norm", "layer-norm", test_layer_norm);
  return g_test_run ();
}
