/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Both kinds of linear, at every tile size, for every type of stored weights and in bf16 with every matrix unit, against plain C over a table of odd
 * shapes, places in memory and epilogues. */
#include <math.h>
#include <string.h>

#include "reference-linear.h"
#include "runtime/matrix-unit.h"
#include "test-support.h"
#include "weights/half.h"
#include "weights/weight-type.h"

#include <clblast_c.h>

/* The reference sums in double, the kernels in float: each of k additions of random signs rounds by up to 6e-8 of the sum so far, which
 * makes 6e-8 · sqrt (k) / 2 of the result's rms; the largest of 10⁵ results is about 5 times that, 6e-6 at k = 1536. Activations
 * (the erf of linear.cl is good to 1.5e-7) and multipliers stay within a factor of 3. The same holds in bf16, where the reference is given both
 * operands rounded: a float has all bits of a product of two such numbers, so that again only additions round. */
#define TOLERANCE 2e-5

#define MULTIPLIER 1
#define GATE 2
#define RESIDUAL 4
#define IN_PLACE 8              /* the residual is y itself */
#define BIAS 16

typedef struct {
  guint m, k;
  guint n[3];                   /* of the stacked parts; 0: no more */
  SoraDType dtype;
  SoraActivation activation;
  guint operands;
  guint pad;                    /* floats around and between the rows of every matrix */
  guint rows_per_frame, n_frames;
} Case;

static const Case cases[] = {
  { 1, 1, { 1 }, SORA_DTYPE_F32, SORA_ACTIVATION_NONE, 0, 0 },
  { 1, 7, { 33 }, SORA_DTYPE_F32, SORA_ACTIVATION_NONE, BIAS, 0 },
  { 13, 5, { 40 }, SORA_DTYPE_F32, SORA_ACTIVATION_SILU, BIAS, 3 },
  { 25, 9, { 5, 20, 9 }, SORA_DTYPE_BF16, SORA_ACTIVATION_GELU, BIAS | MULTIPLIER, 1 },
  { 11, 16, { 32 }, SORA_DTYPE_F16, SORA_ACTIVATION_GELU_TANH, MULTIPLIER | RESIDUAL, 5 },
  { 14, 3, { 65 }, SORA_DTYPE_F32, SORA_ACTIVATION_RELU, BIAS | GATE | RESIDUAL, 2, 4, 3 },
  { 13, 20, { 37 }, SORA_DTYPE_F32, SORA_ACTIVATION_GELU_QUICK, BIAS, 0 },
  { 12, 8, { 16 }, SORA_DTYPE_F32, SORA_ACTIVATION_NONE, GATE | IN_PLACE, 7, 3, 2 },
  { 24, 6, { 31, 1 }, SORA_DTYPE_F32, SORA_ACTIVATION_SILU, BIAS | MULTIPLIER | GATE | IN_PLACE, 9, 5, 9 },
  /* from here on too much for an interpreter */
  { 256, 256, { 256, 256, 256 }, SORA_DTYPE_BF16, SORA_ACTIVATION_NONE, BIAS, 0 },
  { 256, 256, { 768 }, SORA_DTYPE_BF16, SORA_ACTIVATION_GELU_TANH, BIAS, 0 },
  { 128, 768, { 256 }, SORA_DTYPE_F32, SORA_ACTIVATION_NONE, BIAS | GATE | IN_PLACE, 0, 64, 2 },
  { 20, 256, { 512 }, SORA_DTYPE_F32, SORA_ACTIVATION_GELU_TANH, MULTIPLIER, 0 },
  { 1, 512, { 1536 }, SORA_DTYPE_F32, SORA_ACTIVATION_SILU, BIAS, 0 },
  { 77, 1536, { 100 }, SORA_DTYPE_F16, SORA_ACTIVATION_GELU, BIAS | RESIDUAL, 11 },
  { 131, 129, { 67, 190 }, SORA_DTYPE_F32, SORA_ACTIVATION_RELU, BIAS | MULTIPLIER | GATE | RESIDUAL, 13, 10, 4 },
  { 64, 2048, { 48 }, SORA_DTYPE_F32, SORA_ACTIVATION_NONE, BIAS | IN_PLACE, 0 },
  { 2, 1056, { 640, 500 }, SORA_DTYPE_BF16, SORA_ACTIVATION_NONE, BIAS, 0 },    /* so many rows that several threads pack them */
};
#define N_SMALL_CASES 8

/* A tensor with memory of its own, at an odd address as in a mapped file. */
static SoraTensor
tensor_new (const gchar *name, SoraDType dtype, guint64 rows, guint64 columns, guint seed)
{
  SoraTensor tensor = { .name = name, .file = "test.safetensors", .dtype = dtype, .n_dims = columns ? 2 : 1,
    .shape = { rows, columns }, .n_elements = rows * MAX (columns, 1) };
  g_autofree gfloat *values = sora_test_random (seed, tensor.n_elements, 1);
  gsize size = sora_dtype_get_block_bytes (dtype);
  guint8 *data = g_malloc (1 + tensor.n_elements * size);

  for (guint64 i = 0; i < tensor.n_elements; i++) {
    guint32 bits;
    /* binary16 of sign, exponent and the upper ten bits of the mantissa; values below its range become zero */
    guint16 half;

    memcpy (&bits, &values[i], sizeof bits);
    half = (bits >> 16 & 0x8000) | (fabsf (values[i]) < 1e-4f ? 0 : ((bits >> 13 & 0x3ffff) - (112 << 10)));
    if (dtype == SORA_DTYPE_BF16)
      half = bits >> 16;
    memcpy (data + 1 + i * size, dtype == SORA_DTYPE_F32 ? (gpointer) &bits : (gpointer) &half, size);
  }
  tensor.data = data + 1;
  return tensor;
}

static void
tensor_clear (SoraTensor *tensor)
{
  g_free ((gpointer) (tensor->data - 1));
}

/* The weight of a case: parts of one dtype, biases in F32; the second part has no bias. */
typedef struct {
  guint n_parts, n;
  SoraTensor parts[3], bias_parts[3];
  const SoraTensor *weights[3], *biases[3];
  gfloat *weight, *bias;        /* what they say, stacked */
} Weight;

static void
weight_init (Weight *weight, const Case *c)
{
  for (guint i = 0; i < 3 && c->n[i]; i++) {
    weight->parts[i] = tensor_new ("weight", c->dtype, c->n[i], c->k, 100 + i);
    weight->bias_parts[i] = tensor_new ("bias", SORA_DTYPE_F32, c->n[i], 0, 200 + i);
    weight->weights[i] = &weight->parts[i];
    weight->biases[i] = (c->operands & BIAS) && i != 1 ? &weight->bias_parts[i] : NULL;
    weight->n += c->n[i];
    weight->n_parts++;
  }
  weight->weight = g_new0 (gfloat, weight->n * c->k);
  weight->bias = g_new0 (gfloat, weight->n);
  for (guint i = 0, first = 0; i < weight->n_parts; first += c->n[i++]) {
    sora_tensor_to_float (weight->weights[i], 0, (guint64) c->n[i] * c->k, weight->weight + first * c->k);
    if (weight->biases[i])
      sora_tensor_to_float (weight->biases[i], 0, c->n[i], weight->bias + first);
  }
}

static void
weight_clear (Weight *weight)
{
  for (guint i = 0; i < weight->n_parts; i++) {
    tensor_clear (&weight->parts[i]);
    tensor_clear (&weight->bias_parts[i]);
  }
  g_free (weight->weight);
  g_free (weight->bias);
}

/* A matrix on both sides, with what lies around it. */
typedef struct {
  SoraMatrix place;
  gsize floats;
  gfloat *host;
} Operand;

/* Around and between the rows lies NaN, which must neither be used nor written over. */
static void
operand_init (Operand *operand, SoraQueue *queue, guint rows, guint columns, guint pad, guint seed)
{
  g_autofree gfloat *values = sora_test_random (seed, (gsize) rows * columns, 1);

  operand->place = SORA_MATRIX_AT (NULL, pad, columns + pad);
  operand->floats = pad + (gsize) rows * (columns + pad);
  operand->host = g_new (gfloat, operand->floats);
  for (gsize i = 0; i < operand->floats; i++)
    operand->host[i] = NAN;
  for (guint row = 0; row < rows; row++)
    memcpy (operand->host + pad + (gsize) row * (columns + pad), values + (gsize) row * columns, columns * sizeof *values);
  operand->place.mem = sora_test_upload (queue, operand->host, operand->floats);
}

static void
operand_clear (Operand *operand)
{
  clReleaseMemObject (operand->place.mem);
  g_free (operand->host);
}

/* @actual within the tolerance of @expected [m, n], and bitwise the same around it */
static void
compare (const gfloat *actual, const Operand *expected, guint m, guint n, guint pad, const gchar *what)
{
  g_autofree gfloat *a = g_new (gfloat, (gsize) m * n);
  g_autofree gfloat *e = g_new (gfloat, (gsize) m * n);
  gsize inside = 0;

  for (gsize i = 0; i < expected->floats; i++) {
    if (i >= pad && (i - pad) % (n + pad) < n) {
      a[inside] = actual[i];
      e[inside++] = expected->host[i];
    } else if (!isnan (actual[i])) {
      g_test_fail_printf ("%s: wrote outside the matrix, at %" G_GSIZE_FORMAT, what, i);
      return;
    }
  }
  sora_test_assert_close (a, e, inside, TOLERANCE, "%s", what);
}

/* Makes of @n floats what bf16 has of them. */
static void
round_to_bf16 (gfloat *values, gsize n)
{
  for (gsize i = 0; i < n; i++) {
    guint32 bits = (guint32) sora_bf16_from_float (values[i]) << 16;

    memcpy (&values[i], &bits, sizeof bits);
  }
}

/* The reference is given the operands as they are multiplied, so the tolerance is the same for every type and precision. */
static void
run_case (SoraQueue *queue, SoraWeightType type, SoraPrecision precision, const Case *c, const gchar *what)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (SoraLinear) linear = NULL;
  g_autofree gfloat *actual = NULL;
  Weight weight = { 0 };
  Operand x, y, multiplier, gate, residual;
  SoraEpilogue epilogue = { .activation = c->activation };
  SoraReferenceOperands operands = { 0 };

  weight_init (&weight, c);
  operand_init (&x, queue, c->m, c->k, c->pad, 1);
  operand_init (&y, queue, c->m, weight.n, c->pad, 2);
  operand_init (&multiplier, queue, c->m, weight.n, c->pad + 1, 3);
  operand_init (&gate, queue, MAX (c->n_frames, 1), weight.n, c->pad + 2, 4);
  operand_init (&residual, queue, c->m, weight.n, c->pad + 3, 5);
  operands.bias = weight.bias;
  if (c->operands & MULTIPLIER) {
    epilogue.multiplier = multiplier.place;
    operands.multiplier = multiplier.host;
  }
  if (c->operands & GATE) {
    epilogue.gate = (SoraFrameVector) { gate.place.mem, gate.place.offset, gate.place.stride, c->rows_per_frame, c->n_frames };
    operands.gate = gate.host;
  }
  if (c->operands & (RESIDUAL | IN_PLACE)) {
    epilogue.residual = c->operands & IN_PLACE ? y.place : residual.place;
    operands.residual = c->operands & IN_PLACE ? y.host : residual.host;
  }

  linear = sora_linear_new (queue, type, precision, weight.n_parts, weight.weights, weight.biases, &error);
  g_assert_no_error (error);
  g_assert_cmpint (sora_linear_is_bf16 (linear), ==, precision == SORA_PRECISION_BF16);
  sora_reference_store (sora_linear_is_bf16 (linear) ? SORA_WEIGHT_TYPE_BF16 : type, weight.weight, weight.n, c->k);
  g_assert_cmpuint (sora_linear_get_n (linear), ==, weight.n);
  g_assert_cmpuint (sora_linear_get_k (linear), ==, c->k);
  sora_linear_run (queue, linear, x.place, y.place, c->m, &epilogue);
  actual = sora_test_download (queue, y.place.mem, y.floats);
  if (sora_linear_is_bf16 (linear))
    round_to_bf16 (x.host, x.floats);
  sora_reference_linear (x.host, x.place, weight.weight, y.host, y.place, c->m, weight.n, c->k, &epilogue, &operands);
  compare (actual, &y, c->m, weight.n, c->pad, what);

  operand_clear (&x);
  operand_clear (&y);
  operand_clear (&multiplier);
  operand_clear (&gate);
  operand_clear (&residual);
  weight_clear (&weight);
}

static void
run_cases (SoraQueue *queue, const gchar *kind)
{
  guint n_cases = sora_test_is_small () ? N_SMALL_CASES : G_N_ELEMENTS (cases);

  for (guint type = SORA_WEIGHT_TYPE_FP32; type <= SORA_WEIGHT_TYPE_Q8; type++) {
    for (guint i = 0; i < n_cases; i++) {
      /* many rows only repeat what few do of another type */
      if (type != SORA_WEIGHT_TYPE_FP32 && cases[i].m > 200)
        continue;
      g_autofree gchar *what = g_strdup_printf ("%s, %s, case %u: m %u, k %u, n %u...", kind, sora_weight_type_names[type], i, cases[i].m,
          cases[i].k, cases[i].n[0]);

      run_case (queue, type, SORA_PRECISION_FP32, &cases[i], what);
    }
  }
}

/* (transfer full): a queue whose device multiplies in bf16 with @unit, until device_reset(); NULL, the test skipped, if it cannot. */
static SoraQueue *
queue_new_with_unit (SoraMatrixUnit unit)
{
  SoraQueue *queue = sora_test_queue_new_linear ("packed");
  SoraDevice *device = sora_queue_get_device (queue);

  if (sora_matrix_unit_get (device) >= unit) {
    device->matrix_unit = unit;
    return queue;
  }
  g_autofree gchar *reason = g_strdup_printf ("%s has no %s", device->name, sora_matrix_unit_names[unit]);
  g_test_skip (reason);
  sora_queue_free (queue);
  return NULL;
}

static void
device_reset (SoraQueue *queue)
{
  sora_queue_get_device (queue)->matrix_unit_known = FALSE;
}

/* (transfer full): "packed" or "clblast", in fp32, or a unit's name, in bf16; NULL, the test skipped, if the device has no such unit */
static SoraQueue *
queue_new_of_kind (const gchar *kind, SoraPrecision *precision)
{
  for (guint unit = SORA_MATRIX_UNIT_AVX512_BF16; sora_matrix_unit_names[unit]; unit++) {
    if (g_str_equal (kind, sora_matrix_unit_names[unit])) {
      *precision = SORA_PRECISION_BF16;
      return queue_new_with_unit (unit);
    }
  }
  *precision = SORA_PRECISION_FP32;
  return sora_test_queue_new_linear (kind);
}

/* Large enough that x is rounded in a launch of its own, and in more than one chunk of columns */
static const Case rounded_case = { 130, 1100, { 1000, 1010 }, SORA_DTYPE_F32, SORA_ACTIVATION_GELU, BIAS | MULTIPLIER | GATE | RESIDUAL, 5, 10, 4 };

static void
test_bf16 (gconstpointer kind)
{
  SoraPrecision precision;
  g_autoptr (SoraQueue) queue = queue_new_of_kind (kind, &precision);

  if (!queue)
    return;
  run_case (queue, SORA_WEIGHT_TYPE_AUTO, precision, &rounded_case, "rounded before");
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree gchar *what = g_strdup_printf ("%s, case %u: m %u, k %u, n %u...", (const gchar *) kind, i, cases[i].m, cases[i].k,
        cases[i].n[0]);

    run_case (queue, SORA_WEIGHT_TYPE_AUTO, precision, &cases[i], what);
  }
  device_reset (queue);
}

static void
test_packed (gconstpointer data)
{
  g_autoptr (SoraQueue) queue = sora_test_queue_new_linear ("packed");
  SoraDevice *device = sora_queue_get_device (queue);
  guint native = device->vector_width;
  g_autofree gchar *kind = g_strdup_printf ("packed for vectors of %d", GPOINTER_TO_INT (data));

  device->vector_width = GPOINTER_TO_INT (data);
  run_cases (queue, kind);
  device->vector_width = native;
}

static void
test_clblast (void)
{
  g_autoptr (SoraQueue) queue = sora_test_queue_new_linear ("clblast");

  run_cases (queue, "clblast");
}

/* 64 MiB are unpacked at a time, and this has some rows more. */
static void
test_slabs (void)
{
  g_autoptr (SoraQueue) queue = sora_test_queue_new_linear ("clblast");
  const Case c = { 2, 4097, { 4000, 100 }, SORA_DTYPE_BF16, SORA_ACTIVATION_NONE, BIAS, 3 };

  if (sora_test_is_small ())
    g_test_skip ("too much for an interpreter");
  else
    run_case (queue, SORA_WEIGHT_TYPE_BF16, SORA_PRECISION_FP32, &c, "slabs");
}

/* Blocks of 32 values, or 256: a scale from 2^-10 to 2^-9, which may be negative, a minimum likewise if there is one, and random bits */
static SoraTensor
quantised_tensor_new (SoraDType dtype, guint64 rows, guint64 columns)
{
  SoraTensor tensor = { .name = "weight", .file = "test.gguf", .dtype = dtype, .n_dims = 2, .shape = { rows, columns },
    .n_elements = rows * columns };
  gsize block = sora_dtype_get_block_bytes (dtype), size = tensor.n_elements / sora_dtype_get_block_elements (dtype) * block;
  g_autofree gfloat *random = sora_test_random (7, size, 128);
  guint8 *data = g_malloc (1 + size);

  for (gsize i = 0; i < size; i++)
    data[1 + i] = (gint) random[i];
  for (gsize i = 0; i < size; i += block) {
    data[2 + i] = (data[2 + i] & 0x87) | 0x14;
    if (dtype == SORA_DTYPE_Q4_1 || dtype == SORA_DTYPE_Q4_K)
      data[4 + i] = (data[4 + i] & 0x87) | 0x14;
  }
  tensor.data = data + 1;
  return tensor;
}

/* [7, n] times what @tensor says, stored as @type */
static gfloat *
multiply_stored (SoraQueue *queue, SoraWeightType type, SoraPrecision precision, const SoraTensor *tensor)
{
  guint m = 7, n = tensor->shape[0], k = tensor->shape[1];
  g_autoptr (GError) error = NULL;
  g_autoptr (SoraLinear) linear = sora_linear_new (queue, type, precision, 1, &tensor, NULL, &error);
  g_autofree gfloat *x = sora_test_random (1, m * k, 1);
  cl_mem x_mem = sora_test_upload (queue, x, m * k), y_mem = sora_test_alloc (queue, m * n);
  gfloat *y;

  g_assert_no_error (error);
  sora_linear_run (queue, linear, SORA_MATRIX (x_mem, k), SORA_MATRIX (y_mem, n), m, NULL);
  y = sora_test_download (queue, y_mem, m * n);
  clReleaseMemObject (x_mem);
  clReleaseMemObject (y_mem);
  return y;
}

static const struct {
  SoraDType dtype;
  SoraWeightType type;
} exact_pairs[] = {
  { SORA_DTYPE_F16, SORA_WEIGHT_TYPE_FP16 }, { SORA_DTYPE_BF16, SORA_WEIGHT_TYPE_BF16 }, { SORA_DTYPE_Q8_0, SORA_WEIGHT_TYPE_Q8 },
  { SORA_DTYPE_Q5_0, SORA_WEIGHT_TYPE_Q8 }, { SORA_DTYPE_Q4_0, SORA_WEIGHT_TYPE_Q8 }, { SORA_DTYPE_Q4_0, SORA_WEIGHT_TYPE_Q4 },
  { SORA_DTYPE_Q4_1, SORA_WEIGHT_TYPE_Q4 }, { SORA_DTYPE_Q4_K, SORA_WEIGHT_TYPE_Q4 },
};

static void
check_exact (SoraQueue *queue)
{
  for (guint i = 0; i < G_N_ELEMENTS (exact_pairs); i++) {
    SoraDType dtype = exact_pairs[i].dtype;
    guint n = 37, k = dtype == SORA_DTYPE_Q4_K ? 512 : 96;
    SoraTensor tensor = exact_pairs[i].type >= SORA_WEIGHT_TYPE_Q8 ? quantised_tensor_new (dtype, n, k) : tensor_new ("weight", dtype, n, k, 5);
    g_autofree gfloat *expected = multiply_stored (queue, SORA_WEIGHT_TYPE_FP32, SORA_PRECISION_FP32, &tensor);
    g_autofree gfloat *actual = multiply_stored (queue, exact_pairs[i].type, SORA_PRECISION_FP32, &tensor);
    g_autofree gfloat *chosen = multiply_stored (queue, SORA_WEIGHT_TYPE_AUTO, SORA_PRECISION_FP32, &tensor);

    sora_test_assert_same (actual, expected, 7 * n, "%s as type %d", sora_dtype_name (dtype), exact_pairs[i].type);
    sora_test_assert_same (chosen, expected, 7 * n, "%s as auto", sora_dtype_name (dtype));
    tensor_clear (&tensor);
  }
}

/* What a type holds exactly gives the sums of fp32, bit by bit, with vectors of any width; auto takes that type. */
static void
test_exact (gconstpointer kind)
{
  g_autoptr (SoraQueue) queue = sora_test_queue_new_linear (kind);
  SoraDevice *device = sora_queue_get_device (queue);
  guint native = device->vector_width;

  for (guint width = 4; width <= 16; width *= 2) {
    device->vector_width = width;
    check_exact (queue);
  }
  device->vector_width = native;
}

/* A stack of 4-bit matrices is one, with more rows than one thread packs; with one of 8 bits among them it is q8, and what a LoRA changes too, which
 * rounds to 1/254 of a block's largest. */
static void
test_stack (gconstpointer kind)
{
  g_autoptr (SoraQueue) queue = sora_test_queue_new_linear (kind);
  SoraTensor tensors[] = { quantised_tensor_new (SORA_DTYPE_Q4_K, 600, 512), quantised_tensor_new (SORA_DTYPE_Q4_0, 501, 512),
    quantised_tensor_new (SORA_DTYPE_Q6_K, 16, 512) };
  const SoraTensor *parts[] = { &tensors[0], &tensors[1], &tensors[2] };
  const SoraTensorPatches patches = { .id = "some" };

  for (guint n_parts = 1; n_parts <= 2; n_parts++) {
    guint n = n_parts == 1 ? 600 : 1101;
    g_autoptr (SoraLinear) q4 = sora_linear_new (queue, SORA_WEIGHT_TYPE_AUTO, SORA_PRECISION_FP32, n_parts, parts, NULL, NULL);
    g_autoptr (SoraLinear) fp32 = sora_linear_new (queue, SORA_WEIGHT_TYPE_FP32, SORA_PRECISION_FP32, n_parts, parts, NULL, NULL);
    g_autofree gfloat *x = sora_test_random (1, 7 * 512, 1), *actual = NULL, *expected = NULL;
    cl_mem x_mem = sora_test_upload (queue, x, 7 * 512), y_mem = sora_test_alloc (queue, 7 * n);

    sora_linear_run (queue, q4, SORA_MATRIX (x_mem, 512), SORA_MATRIX (y_mem, n), 7, NULL);
    actual = sora_test_download (queue, y_mem, 7 * n);
    sora_linear_run (queue, fp32, SORA_MATRIX (x_mem, 512), SORA_MATRIX (y_mem, n), 7, NULL);
    expected = sora_test_download (queue, y_mem, 7 * n);
    sora_test_assert_same (actual, expected, 7 * n, "%u parts", n_parts);
    g_assert_cmpuint (sora_linear_get_size (q4), <, (n + 32) * (512 / 32 * SORA_Q4_BYTES + sizeof (gfloat)));
    clReleaseMemObject (x_mem);
    clReleaseMemObject (y_mem);
  }
  g_assert_cmpint (sora_weight_type_for_tensors (SORA_WEIGHT_TYPE_AUTO, 2, parts), ==, SORA_WEIGHT_TYPE_Q4);
  g_assert_cmpint (sora_weight_type_for_tensors (SORA_WEIGHT_TYPE_AUTO, 3, parts), ==, SORA_WEIGHT_TYPE_Q8);
  tensors[0].patches = &patches;
  g_assert_cmpint (sora_weight_type_for_tensors (SORA_WEIGHT_TYPE_AUTO, 2, parts), ==, SORA_WEIGHT_TYPE_Q8);
  for (guint i = 0; i < G_N_ELEMENTS (tensors); i++)
    tensor_clear (&tensors[i]);
}

/* In bf16 against the portable kernel in fp32, with a weight that bf16 has exactly: x is rounded. Of numbers from -1 to 1 that takes
 * 2^-9 / sqrt (3) where they are above 1/2, a half of that below, and so on, 0.0009 in the mean (rms) or 1/650 of their own rms; the sums are off by as
 * much of theirs, and the largest of 259 by 5 times that at most. */
static void
test_portable (gconstpointer kind)
{
  SoraPrecision precision;
  g_autoptr (SoraQueue) queue = queue_new_of_kind (kind, &precision);
  SoraTensor tensor = tensor_new ("weight", SORA_DTYPE_BF16, 37, 96, 5);

  if (queue) {
    g_autofree gfloat *expected = multiply_stored (queue, SORA_WEIGHT_TYPE_FP32, SORA_PRECISION_FP32, &tensor);
    g_autofree gfloat *actual = multiply_stored (queue, SORA_WEIGHT_TYPE_FP32, precision, &tensor);
    g_autofree gfloat *chosen = multiply_stored (queue, SORA_WEIGHT_TYPE_FP32, SORA_PRECISION_AUTO, &tensor);

    sora_test_assert_close (actual, expected, 7 * 37, 0.008, "%s and fp32", (const gchar *) kind);
    sora_test_assert_same (chosen, actual, 7 * 37, "%s as auto", (const gchar *) kind);
    device_reset (queue);
  }
  tensor_clear (&tensor);
}

/* A weight that is not finite shows in the row's result, whatever the type. */
static void
test_weight_not_finite (gconstpointer kind)
{
  static const gfloat faults[] = { NAN, INFINITY };
  SoraPrecision precision;
  g_autoptr (SoraQueue) queue = queue_new_of_kind (kind, &precision);

  for (guint type = SORA_WEIGHT_TYPE_FP32; queue && type <= SORA_WEIGHT_TYPE_Q8; type++) {
    for (guint i = 0; i < G_N_ELEMENTS (faults); i++) {
      SoraTensor tensor = tensor_new ("weight", SORA_DTYPE_F32, 3, 40, 5);
      g_autofree gfloat *y = NULL;

      memcpy ((guint8 *) tensor.data + sizeof (gfloat) * (40 + 35), &faults[i], sizeof (gfloat));
      y = multiply_stored (queue, type, precision, &tensor);
      for (guint j = 0; j < 7 * 3; j++)
        g_assert_true (!isfinite (y[j]) == (j % 3 == 1));
      tensor_clear (&tensor);
    }
  }
  if (queue)
    device_reset (queue);
}

/* Four weights of different sizes take turns in the two places, more than once around, each with the results that it has on the device. */
static void
test_streamed (gconstpointer kind)
{
  static const struct {
    SoraDType dtype;
    guint n, k;
  } weights[] = { { SORA_DTYPE_Q8_0, 37, 96 }, { SORA_DTYPE_BF16, 190, 33 }, { SORA_DTYPE_F32, 20, 64 }, { SORA_DTYPE_Q4_1, 35, 64 } };
  SoraPrecision precision;
  g_autoptr (SoraQueue) queue = queue_new_of_kind (kind, &precision);
  g_autofree gchar *path = g_build_filename (g_getenv ("SORA_TEST_GOLDEN"), "transformer.safetensors", NULL);
  g_autoptr (SoraWeightFile) file = sora_weight_file_open (path, NULL);         /* any, as nothing is read of it */
  g_autofree gfloat *x = sora_test_random (1, 7 * 96, 1);
  cl_mem x_mem, y_mem[4 * 4];

  if (!queue)
    return;
  x_mem = sora_test_upload (queue, x, 7 * 96);
  for (guint i = 0; i < G_N_ELEMENTS (y_mem); i++) {
    guint n = weights[i % 4].n, k = weights[i % 4].k;
    SoraTensor tensor = weights[i % 4].dtype >= SORA_DTYPE_Q4_0 ? quantised_tensor_new (weights[i % 4].dtype, n, k)
        : tensor_new ("weight", weights[i % 4].dtype, n, k, 5);
    const SoraTensor *parts[] = { &tensor };
    g_autoptr (SoraLinear) linear = sora_linear_new_streamed (queue, SORA_WEIGHT_TYPE_AUTO, precision, file, 1, parts, NULL, NULL);
    y_mem[i] = sora_test_alloc (queue, 7 * n);
    g_assert_cmpuint (sora_linear_get_size (linear), <=, (n + 32) * sizeof (gfloat));
    sora_linear_run (queue, linear, SORA_MATRIX (x_mem, k), SORA_MATRIX (y_mem[i], n), 7, NULL);
    tensor_clear (&tensor);
  }
  for (guint i = 0; i < G_N_ELEMENTS (y_mem); i++) {
    guint n = weights[i % 4].n, k = weights[i % 4].k;
    SoraTensor tensor = weights[i % 4].dtype >= SORA_DTYPE_Q4_0 ? quantised_tensor_new (weights[i % 4].dtype, n, k)
        : tensor_new ("weight", weights[i % 4].dtype, n, k, 5);
    g_autofree gfloat *expected = multiply_stored (queue, SORA_WEIGHT_TYPE_AUTO, precision, &tensor);
    g_autofree gfloat *actual = sora_test_download (queue, y_mem[i], 7 * n);
    sora_test_assert_same (actual, expected, 7 * n, "run %u", i);
    clReleaseMemObject (y_mem[i]);
    tensor_clear (&tensor);
  }
  clReleaseMemObject (x_mem);
  device_reset (queue);
}

/* Nothing to do is no launch, and without an epilogue y is the product. */
static void
test_no_epilogue (gconstpointer kind)
{
  g_autoptr (SoraQueue) queue = sora_test_queue_new_linear (kind);
  g_autoptr (GError) error = NULL;
  const Case c = { 5, 6, { 7 }, SORA_DTYPE_F32 };
  const SoraReferenceOperands none = { 0 };
  g_autoptr (SoraLinear) linear = NULL;
  g_autofree gfloat *before = NULL;
  g_autofree gfloat *after = NULL;
  Weight weight = { 0 };
  Operand x, y;

  weight_init (&weight, &c);
  operand_init (&x, queue, c.m, c.k, 1, 1);
  operand_init (&y, queue, c.m, weight.n, 1, 2);
  linear = sora_linear_new (queue, SORA_WEIGHT_TYPE_FP32, SORA_PRECISION_FP32, 1, weight.weights, NULL, &error);
  g_assert_no_error (error);

  sora_linear_run (queue, linear, x.place, y.place, 0, NULL);
  before = sora_test_download (queue, y.place.mem, y.floats);
  sora_test_assert_same (before, y.host, y.floats, "no rows");
  sora_linear_run (queue, linear, x.place, y.place, c.m, NULL);
  after = sora_test_download (queue, y.place.mem, y.floats);
  sora_reference_linear (x.host, x.place, weight.weight, y.host, y.place, c.m, weight.n, c.k, &(SoraEpilogue) { 0 }, &none);
  compare (after, &y, c.m, weight.n, 1, "no epilogue");

  operand_clear (&x);
  operand_clear (&y);
  weight_clear (&weight);
}

/* A NaN or an infinity in x reaches y through every activation: it must not look like a sound result. */
static void
test_not_finite (gconstpointer kind)
{
  SoraPrecision precision;
  g_autoptr (SoraQueue) queue = queue_new_of_kind (kind, &precision);
  g_autoptr (GError) error = NULL;
  const Case c = { 1, 1, { 1 }, SORA_DTYPE_F32 };
  const gfloat nan_value = NAN;
  g_autoptr (SoraLinear) linear = NULL;
  Weight weight = { 0 };
  Operand x, y;

  if (!queue)
    return;
  weight_init (&weight, &c);
  operand_init (&x, queue, 1, 1, 0, 1);
  operand_init (&y, queue, 1, 1, 0, 2);
  sora_queue_write (queue, x.place.mem, 0, sizeof nan_value, &nan_value);
  linear = sora_linear_new (queue, SORA_WEIGHT_TYPE_FP32, precision, 1, weight.weights, NULL, &error);
  g_assert_no_error (error);
  for (guint activation = SORA_ACTIVATION_NONE; activation <= SORA_ACTIVATION_GELU_QUICK; activation++) {
    g_autofree gfloat *value = NULL;

    sora_linear_run (queue, linear, x.place, y.place, 1, &(SoraEpilogue) { .activation = activation });
    value = sora_test_download (queue, y.place.mem, 1);
    g_assert_true (isnan (value[0]));
  }

  operand_clear (&x);
  operand_clear (&y);
  weight_clear (&weight);
  device_reset (queue);
}

static void
test_errors (void)
{
  g_autoptr (SoraQueue) queue = sora_test_queue_new ();
  g_autoptr (GError) error = NULL;
  guint64 huge = sora_queue_get_device (queue)->max_allocation / 1024 / sizeof (gfloat) + 1;
  SoraTensor a = tensor_new ("layer.a", SORA_DTYPE_F32, 4, 6, 1), b = tensor_new ("layer.b", SORA_DTYPE_F32, 3, 5, 2);
  SoraTensor vector = tensor_new ("layer.bias", SORA_DTYPE_F32, 5, 0, 3), large = a;
  const SoraTensor *different[] = { &a, &b }, *one[] = { &a }, *bias[] = { &vector }, *larger[] = { &large };

  g_assert_null (sora_linear_new (queue, SORA_WEIGHT_TYPE_FP32, SORA_PRECISION_FP32, 2, different, NULL, &error));
  g_assert_error (error, SORA_MODEL_ERROR, SORA_MODEL_ERROR_WEIGHT);
  g_assert_nonnull (strstr (error->message, "test.safetensors: layer.b: expected rows of 6 values, found 15 values in 3 rows"));
  g_clear_error (&error);

  g_assert_null (sora_linear_new (queue, SORA_WEIGHT_TYPE_FP32, SORA_PRECISION_FP32, 1, one, bias, &error));
  g_assert_error (error, SORA_MODEL_ERROR, SORA_MODEL_ERROR_WEIGHT);
  g_assert_nonnull (strstr (error->message, "layer.bias: expected 4 values, found 5"));
  g_clear_error (&error);

  if (huge < G_MAXINT32 / 2) {
    large.shape[0] = huge;
    large.shape[1] = 1024;
    large.n_elements = huge * 1024;
    g_assert_null (sora_linear_new (queue, SORA_WEIGHT_TYPE_FP32, SORA_PRECISION_FP32, 1, larger, NULL, &error));
    g_assert_error (error, SORA_DEVICE_ERROR, SORA_DEVICE_ERROR_NO_MEMORY);
    g_assert_nonnull (strstr (error->message, "layer.a: "));
  }
  tensor_clear (&a);
  tensor_clear (&b);
  tensor_clear (&vector);
}

static void
add_unit_tests (const gchar *unit)
{
  static const struct {
    const gchar *name;
    GTestDataFunc func;
  } tests[] = { { "cases", test_bf16 }, { "portable", test_portable }, { "streamed", test_streamed },
    { "weight-not-finite", test_weight_not_finite }, { "not-finite", test_not_finite } };

  for (guint i = 0; i < G_N_ELEMENTS (tests); i++) {
    g_autofree gchar *path = g_strdup_printf ("/linear/%s/%s", unit, tests[i].name);

    g_test_add_data_func (path, unit, tests[i].func);
  }
}

int
main (int argc, char **argv)
{
  int status;

  g_test_init (&argc, &argv, NULL);
  g_test_add_data_func ("/linear/packed/16", GINT_TO_POINTER (16), test_packed);
  g_test_add_data_func ("/linear/packed/8", GINT_TO_POINTER (8), test_packed);
  g_test_add_data_func ("/linear/packed/4", GINT_TO_POINTER (4), test_packed);
  for (guint unit = SORA_MATRIX_UNIT_AVX512_BF16; sora_matrix_unit_names[unit]; unit++)
    add_unit_tests (sora_matrix_unit_names[unit]);
  g_test_add_func ("/linear/clblast", test_clblast);
  g_test_add_func ("/linear/clblast/slabs", test_slabs);
  g_test_add_data_func ("/linear/packed/exact", "packed", test_exact);
  g_test_add_data_func ("/linear/clblast/exact", "clblast", test_exact);
  g_test_add_data_func ("/linear/packed/stack", "packed", test_stack);
  g_test_add_data_func ("/linear/clblast/stack", "clblast", test_stack);
  g_test_add_data_func ("/linear/packed/streamed", "packed", test_streamed);
  g_test_add_data_func ("/linear/clblast/streamed", "clblast", test_streamed);
  g_test_add_data_func ("/linear/packed/weight-not-finite", "packed", test_weight_not_finite);
  g_test_add_data_func ("/linear/clblast/weight-not-finite", "clblast", test_weight_not_finite);
  g_test_add_data_func ("/linear/packed/no-epilogue", "packed", test_no_epilogue);
  g_test_add_data_func ("/linear/clblast/no-epilogue", "clblast", test_no_epilogue);
  g_test_add_data_func ("/linear/packed/not-finite", "packed", test_not_finite);
  g_test_add_data_func ("/linear/clblast/not-finite", "clblast", test_not_finite);
  g_test_add_func ("/linear/errors", test_errors);
  status = g_test_run ();
  /* At exit it would release its programs after Oclgrind's own end. */
  CLBlastClearCache ();
  return status;
}
