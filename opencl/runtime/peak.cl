/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The fp32 peak: chains of fused multiply-adds in registers. Option: WIDTH, floats in a vector. */

#if WIDTH == 1
#define VECTOR float
#define STORE(v, p) *(p) = (v)
#else
#define CONCAT_(a, b) a##b
#define CONCAT(a, b) CONCAT_ (a, b)
#define VECTOR CONCAT (float, WIDTH)
#define STORE(v, p) CONCAT (vstore, WIDTH) (v, 0, p)
#endif
#define EACH(F) F (0) F (1) F (2) F (3) F (4) F (5) F (6) F (7) F (8) F (9) F (10) F (11)
#define BEGIN(i) VECTOR c##i = seed + i;
#define STEP(i) c##i = fma (c##i, a, b);
#define ADD(i) sum += c##i;
/* @loops steps of every chain; the values approach term / (1 - factor), so none becomes infinite or denormal */
kernel void
peak (float factor, float term, float seed, uint loops, global float *out)
{
  VECTOR a = factor, b = term, sum = 0.0f;
  EACH (BEGIN)
  for (uint i = 0; i < loops; i++) {
    EACH (STEP)
  }
  EACH (ADD)
  STORE (sum, out + get_global_id (0) * WIDTH);
}
