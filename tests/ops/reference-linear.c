/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Linear and its epilogue in plain C, summed in double, and what types of stored weights make of numbers. */
#include "reference-linear.h"

#include <math.h>

static gdouble
activate (gdouble v, SoraActivation activation)
{
  switch (activation) {
    case SORA_ACTIVATION_SILU:
      return v / (1 + exp (-v));
    case SORA_ACTIVATION_GELU:
      return 0.5 * v * (1 + erf (v * G_SQRT2 / 2));
    case SORA_ACTIVATION_GELU_TANH:
      return 0.5 * v * (1 + tanh (sqrt (2 / G_PI) * (v + 0.044715 * v * v * v)));
    case SORA_ACTIVATION_RELU:
      return MAX (v, 0);
    case SORA_ACTIVATION_GELU_QUICK:
      return v / (1 + exp (-1.702 * v));
    default:
      return v;
  }
}

static gdouble
at (const gfloat *data, SoraMatrix place, guint row, guint column)
{
  return data[place.offset + (gsize) row * place.stride + column];
}

static gdouble
follow (gdouble v, guint row, guint column, const SoraEpilogue *epilogue, const SoraReferenceOperands *operands)
{
  const SoraFrameVector *gate = &epilogue->gate;

  v = activate (v + (operands->bias ? operands->bias[column] : 0), epilogue->activation);
  if (operands->multiplier)
    v *= at (operands->multiplier, epilogue->multiplier, row, column);
  if (operands->gate)
    v *= operands->gate[gate->offset + row / gate->rows_per_frame % gate->n_frames * gate->stride + column];
  if (operands->residual)
    v += at (operands->residual, epilogue->residual, row, column);
  return v;
}

void
sora_reference_linear (const gfloat *x, SoraMatrix x_place, const gfloat *weight, gfloat *y, SoraMatrix y_place, guint m,
    guint n, guint k, const SoraEpilogue *epilogue, const SoraReferenceOperands *operands)
{
  for (guint row = 0; row < m; row++) {
    for (guint column = 0; column < n; column++) {
      gdouble sum = 0;

      for (guint i = 0; i < k; i++)
        sum += at (x, x_place, row, i) * weight[(gsize) column * k + i];
      y[y_place.offset + (gsize) row * y_place.stride + column] = follow (sum, row, column, epilogue, operands);
    }
  }
}

/* @v with @bits of mantissa, the leading one included, and no digit below 2^@last; @how: rint() or ceil() */
static gdouble
round_to (gdouble v, gint bits, gint last, gdouble (*how) (gdouble))
{
  gdouble unit = v == 0 ? 1 : ldexp (1, MAX (ilogb (v) + 1 - bits, last));

  return how (v / unit) * unit;
}

/* Blocks of 32: whole numbers up to 127 times a binary16 that is as small as that allows */
static void
store_q8 (gfloat *values, guint n)
{
  gdouble largest = 0, scale;

  for (guint i = 0; i < n; i++)
    largest = MAX (largest, fabs (values[i]));
  scale = round_to ((gfloat) largest / 127, 11, -24, ceil);
  for (guint i = 0; i < n && scale > 0; i++) {
    gdouble stored = rint (values[i] / scale) * scale;

    g_assert_cmpfloat (fabs (stored - values[i]), <=, 0.501 * scale);
    values[i] = stored;
  }
}

void
sora_reference_store (SoraWeightType type, gfloat *weight, guint n, guint k)
{
  for (gsize i = 0; i < (gsize) n * k; i++) {
    if (type == SORA_WEIGHT_TYPE_FP16)
      weight[i] = round_to (weight[i], 11, -24, rint);
    else if (type == SORA_WEIGHT_TYPE_BF16)
      weight[i] = round_to (weight[i], 8, -133, rint);
    else if (type == SORA_WEIGHT_TYPE_Q8 && i % k % 32 == 0)
      store_q8 (weight + i, MIN (32, k - i % k));
  }
}
