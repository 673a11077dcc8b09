/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What follows a matrix product made by CLBlast: bias, activation, multiplier, gate and residual, one element a work-item. Behind
 * epilogue.cl. */

static float
activate (float v, uint activation)
{
  switch (activation) {
    case SILU:
      return v / (1.0f + exp (-v));
    case GELU:
      return 0.5f * v * (1.0f + erf (v * 0.7071067812f));
    case GELU_TANH:
      /* (1 + tanh (u)) / 2 = 1 / (1 + exp (-2u)), u = sqrt (2 / pi) (v + 0.044715 v³) */
      return v / (1.0f + exp (-1.5957691216f * (v + 0.044715f * v * v * v)));
    case RELU:
      /* not fmax, which would hide a NaN */
      return v < 0.0f ? 0.0f : v;
    case GELU_QUICK:
      return v / (1.0f + exp (-1.702f * v));
    default:
      return v;
  }
}

/* @product: [m, n] from product_offset on, dense; @bias: [n]. Global size: (n rounded up, m). */
kernel void
linear_epilogue (global const float *product, ulong product_offset, global const float *bias, uint n,
    global float *y, uint y_offset, uint y_stride, uint activation, uint operands,
    global const float *multiplier, uint multiplier_offset, uint multiplier_stride,
    global const float *gate, uint gate_offset, uint gate_stride, uint rows_per_frame, uint n_frames,
    global const float *residual, uint residual_offset, uint residual_stride)
{
  size_t column = get_global_id (0), row = get_global_id (1);
  float v;

  if (column >= n)
    return;
  v = activate (product[product_offset + row * n + column] + bias[column], activation);
  if (operands & HAS_MULTIPLIER)
    v *= multiplier[multiplier_offset + row * multiplier_stride + column];
  if (operands & HAS_GATE)
    v *= gate[gate_offset + row / rows_per_frame % n_frames * gate_stride + column];
  if (operands & HAS_RESIDUAL)
    v += residual[residual_offset + row * residual_stride + column];
  y[y_offset + row * y_stride + column] = v;
}
