/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the kernels that follow it in a program share: a vector type as wide as the device's registers.
 *
 * Options: WIDTH (4, 8 or 16 floats in a vector), GROUP (work-items that share a row: 1 on CPU devices, a power of two on others). */

#define PASTE_(a, b) a##b
#define PASTE(a, b) PASTE_ (a, b)
#define LOAD PASTE (vload, WIDTH)
#define STORE PASTE (vstore, WIDTH)
#define AS_INT PASTE (as_int, WIDTH)
#define AS_UINT PASTE (as_uint, WIDTH)
#define AS_FLOAT PASTE (as_float, WIDTH)
typedef PASTE (float, WIDTH) vec;
/* Before a loop over the elements that do not fill a vector, which are few or none: as compilers unroll it, it costs more than all else of a
 * small kernel. */
#define REST_LOOP _Pragma ("clang loop vectorize(disable) interleave(disable) unroll(disable)")

static inline float
sum4 (float4 x)
{
  return (x.x + x.y) + (x.z + x.w);
}

/* the sum of a vector's elements */
static inline float
sum_elements (vec x)
{
#if WIDTH == 16
  const float8 y = x.lo + x.hi;
  return sum4 (y.lo + y.hi);
#elif WIDTH == 8
  return sum4 (x.lo + x.hi);
#else
  return sum4 (x);
#endif
}

/* The sum of @x over the work-group; scratch: GROUP floats. Every work-item of the group calls it. */
static inline float
sum_group (float x, local float *scratch)
{
#if GROUP > 1
  const uint id = get_local_id (0);
  barrier (CLK_LOCAL_MEM_FENCE);
  scratch[id] = x;
  for (uint n = GROUP / 2; n > 0; n /= 2) {
    barrier (CLK_LOCAL_MEM_FENCE);
    if (id < n)
      scratch[id] += scratch[id + n];
  }
  barrier (CLK_LOCAL_MEM_FENCE);
  return scratch[0];
#else
  return x;
#endif
}
