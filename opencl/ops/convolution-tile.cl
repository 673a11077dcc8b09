/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the kernels that follow it in a program share: a tile of TILE_M rows and PANEL columns in registers, and how a vector of it is stored.
 *
 * Options: VECTOR floats a vector, TILE_M rows and TILE_N vectors a tile. */

#define CONCAT_(a, b) a##b
#define CONCAT(a, b) CONCAT_ (a, b)
#define VEC CONCAT (float, VECTOR)
#define VLOAD CONCAT (vload, VECTOR)
#define VSTORE CONCAT (vstore, VECTOR)
#define PANEL (TILE_N * VECTOR)

/* mad() may be two instructions, fma() a function call: which is one instruction is what the compiler says of its target. */
#if defined (FP_FAST_FMAF) || defined (__FMA__) || defined (__ARM_FEATURE_FMA)
#define MULTIPLY_ADD(a, b, c) fma (a, b, c)
#else
#define MULTIPLY_ADD(a, b, c) mad (a, b, c)
#endif

#define ROWS_4(F) F (0) F (1) F (2) F (3)
#define ROWS_6(F) ROWS_4 (F) F (4) F (5)
#define ROWS_8(F) ROWS_6 (F) F (6) F (7)
#define ROWS_12(F) ROWS_8 (F) F (8) F (9) F (10) F (11)
#define ROWS CONCAT (ROWS_, TILE_M)

#if TILE_N == 1
#define COLUMNS(F, i) F (i, 0)
#elif TILE_N == 2
#define COLUMNS(F, i) F (i, 0) F (i, 1)
#else
#define COLUMNS(F, i) F (i, 0) F (i, 1) F (i, 2)
#endif

/* One vector of an output pixel: adds bias and residual, then ReLU; @left: channels from here to the last. */
void
store_vector (VEC v, global const float *bias, global const float *residual, global float *y, int relu, int left)
{
  v += VLOAD (0, bias);
  if (left >= VECTOR) {
    if (residual)
      v += VLOAD (0, residual);
    VSTORE (relu ? (v < 0 ? (VEC) 0 : v) : v, 0, y);
  } else {
    float lanes[VECTOR];
    VSTORE (v, 0, lanes);
#pragma clang loop vectorize(disable) interleave(disable) unroll(disable)
    for (int i = 0; i < left; i++) {
      float lane = lanes[i] + (residual ? residual[i] : 0);
      y[i] = relu && lane < 0 ? 0 : lane;
    }
  }
}
