/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What follows the products of linear on a CPU device: activation, multiplier, gate and residual of one row of a panel after the other. Put
 * behind epilogue.cl, and before linear.cl or linear-bf16.cl. */

/* Compiled with -DWIDTH: floats in a native vector, 16, 8 or 4. A panel is two vectors of columns. */

#define CONCAT_(a, b) a##b
#define CONCAT(a, b) CONCAT_ (a, b)
#define VECTOR CONCAT (float, WIDTH)
#define LOAD CONCAT (vload, WIDTH)
#define STORE CONCAT (vstore, WIDTH)
#define PANEL (2 * WIDTH)

/* erf (v) to 1.5e-7, absolutely: Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.26 */
static VECTOR
error_function (VECTOR v)
{
  VECTOR t = 1.0f / fma (0.3275911f, fabs (v), 1.0f);
  VECTOR p = fma (t, (VECTOR) (1.061405429f), (VECTOR) (-1.453152027f));

  p = fma (t, p, (VECTOR) (1.421413741f));
  p = fma (t, p, (VECTOR) (-0.284496736f));
  p = fma (t, p, (VECTOR) (0.254829592f));
  return copysign (1.0f - t * p * exp (-v * v), v);
}

static VECTOR
activate (VECTOR v, uint activation)
{
  switch (activation) {
    case SILU:
      return v / (1.0f + exp (-v));
    case GELU:
      return 0.5f * v * (1.0f + error_function (v * 0.7071067812f));
    case GELU_TANH:
      /* (1 + tanh (u)) / 2 = 1 / (1 + exp (-2u)), u = sqrt (2 / pi) (v + 0.044715 v³) */
      return v / (1.0f + exp (-1.5957691216f * fma (0.044715f * v * v, v, v)));
    case RELU:
      /* not fmax, which would hide a NaN */
      return v < 0.0f ? (VECTOR) (0.0f) : v;
    case GELU_QUICK:
      return v / (1.0f + exp (-1.702f * v));
    default:
      return v;
  }
}

/* Vectors at the right edge of a matrix: only @count floats are there. */
static VECTOR
load_some (global const float *from, uint count)
{
  float values[WIDTH];

  if (count >= WIDTH)
    return LOAD (0, from);
#pragma clang loop vectorize(disable) interleave(disable) unroll(disable)
  for (uint i = 0; i < WIDTH; i++)
    values[i] = i < count ? from[i] : 0.0f;
  return LOAD (0, values);
}

static void
store_some (VECTOR v, global float *to, uint count)
{
  float values[WIDTH];

  if (count >= WIDTH) {
    STORE (v, 0, to);
    return;
  }
  STORE (v, 0, values);
#pragma clang loop vectorize(disable) interleave(disable) unroll(disable)
  for (uint i = 0; i < count; i++)
    to[i] = values[i];
}

/* The last arguments of each kernel, in the order of SORA_EPILOGUE_ARGS, as parameters and as what they are called */
#define FINISH_PARAMETERS \
    global float *y, uint y_offset, uint y_stride, uint activation, uint operands, \
    global const float *multiplier, uint multiplier_offset, uint multiplier_stride, \
    global const float *gate, uint gate_offset, uint gate_stride, uint rows_per_frame, uint n_frames, \
    global const float *residual, uint residual_offset, uint residual_stride
#define FINISH_ARGUMENTS \
    y, y_offset, y_stride, activation, operands, multiplier, multiplier_offset, multiplier_stride, \
    gate, gate_offset, gate_stride, rows_per_frame, n_frames, residual, residual_offset, residual_stride

/* The row of a panel that is next: pointers are at its first column. */
typedef struct {
  global float *y;
  global const float *multiplier, *gate, *residual;
  uint y_stride, activation, operands, multiplier_stride, gate_stride, residual_stride;
  uint frame, frame_row, rows_per_frame, n_frames;
} Finish;

static Finish
finish_begin (uint row, uint column, FINISH_PARAMETERS)
{
  Finish finish = {
    y + y_offset + (ulong) row * y_stride + column,
    multiplier + multiplier_offset + (ulong) row * multiplier_stride + column,
    gate + gate_offset + column,
    residual + residual_offset + (ulong) row * residual_stride + column,
    y_stride, activation, operands, multiplier_stride, gate_stride, residual_stride,
    operands & HAS_GATE ? row / rows_per_frame % n_frames : 0, operands & HAS_GATE ? row % rows_per_frame : 0,
    rows_per_frame, n_frames,
  };

  return finish;
}

/* Vector @part of the row, of which @count floats are there */
static void
finish_vector (const Finish *finish, uint part, VECTOR v, uint count)
{
  uint column = part * WIDTH;

  v = activate (v, finish->activation);
  if (finish->operands & HAS_MULTIPLIER)
    v *= load_some (finish->multiplier + column, count);
  if (finish->operands & HAS_GATE)
    v *= load_some (finish->gate + (ulong) finish->frame * finish->gate_stride + column, count);
  if (finish->operands & HAS_RESIDUAL)
    v += load_some (finish->residual + column, count);
  store_some (v, finish->y + column, count);
}

/* Writes the row, of which @count columns are there, and goes on to the next. */
static void
finish_row (Finish *finish, VECTOR v0, VECTOR v1, uint count)
{
  finish_vector (finish, 0, v0, count);
  if (count > WIDTH)
    finish_vector (finish, 1, v1, count - WIDTH);
  finish->y += finish->y_stride;
  finish->multiplier += finish->multiplier_stride;
  finish->residual += finish->residual_stride;
  if (++finish->frame_row == finish->rows_per_frame) {
    finish->frame_row = 0;
    finish->frame = finish->frame + 1 == finish->n_frames ? 0 : finish->frame + 1;
  }
}

/* @sums [@rows][PANEL], of which every column is there: what is asked once for all of them, not for each */
static void
finish_whole_rows (Finish *finish, float *sums, uint rows)
{
#define EACH_VECTOR(...) \
  for (uint row = 0; row < rows; row++) { \
    for (uint part = 0; part < 2; part++) { \
      float *at = sums + row * PANEL + part * WIDTH; \
      VECTOR v = LOAD (0, at); \
      __VA_ARGS__ \
    } \
  }
#define ACTIVATE(kind) case kind: EACH_VECTOR (STORE (activate (v, kind), 0, at);) break;
  switch (finish->activation) {
    ACTIVATE (SILU)
    ACTIVATE (GELU)
    ACTIVATE (GELU_TANH)
    ACTIVATE (RELU)
    ACTIVATE (GELU_QUICK)
  }
  if (finish->operands & HAS_MULTIPLIER)
    EACH_VECTOR (STORE (v * LOAD (part, finish->multiplier + (ulong) row * finish->multiplier_stride), 0, at);)
  if (finish->operands & HAS_GATE) {
    uint frame = finish->frame, left = finish->rows_per_frame - finish->frame_row;

    for (uint row = 0; row < rows; row++, left--) {
      if (left == 0) {
        frame = frame + 1 == finish->n_frames ? 0 : frame + 1;
        left = finish->rows_per_frame;
      }
      for (uint part = 0; part < 2; part++)
        STORE (LOAD (part, sums + row * PANEL) * LOAD (part, finish->gate + (ulong) frame * finish->gate_stride), part, sums + row * PANEL);
    }
  }
  if (finish->operands & HAS_RESIDUAL)
    EACH_VECTOR (STORE (v + LOAD (part, finish->residual + (ulong) row * finish->residual_stride), part,
        finish->y + (ulong) row * finish->y_stride);)
  else
    EACH_VECTOR (STORE (v, part, finish->y + (ulong) row * finish->y_stride);)
}

/* Writes @rows rows of @sums [rows][PANEL], which it changes; @count columns are there. */
static void
finish_rows (Finish *finish, float *sums, uint rows, uint count)
{
  if (count >= PANEL) {
    finish_whole_rows (finish, sums, rows);
    return;
  }
  for (uint row = 0; row < rows; row++)
    finish_row (finish, LOAD (0, sums + row * PANEL), LOAD (1, sums + row * PANEL), count);
}
