/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The built-in functions that our kernels call, for a compiler that would otherwise read the declarations of all of them.
 *
 * PoCL has clang read opencl-c.h, 18000 lines, twice for each program, even one that its cache holds: 0.1 s for what 100 lines say. This
 * file comes first instead, where program.c says that the header is there already. Types, constants and as_type () come from a header that
 * stays. A kernel that calls a function which is not here builds all the same, with the whole header: add the function. */

#define BUILTIN __attribute__ ((overloadable))
#define PURE_BUILTIN __attribute__ ((overloadable, pure))
#define CONST_BUILTIN __attribute__ ((overloadable, const))
/* DECLARE for a number and for vectors of 4, 8 and 16 of them */
#define EACH_WIDTH(DECLARE, type) DECLARE (type) DECLARE (type##4) DECLARE (type##8) DECLARE (type##16)
/* DECLARE for pointers into each address space */
#define EACH_SPACE(DECLARE, type, n) \
  DECLARE (type, n, private) DECLARE (type, n, local) DECLARE (type, n, global) DECLARE (type, n, constant)
#define EACH_WRITABLE_SPACE(DECLARE, type, n) DECLARE (type, n, private) DECLARE (type, n, local) DECLARE (type, n, global)

size_t CONST_BUILTIN get_global_id (uint);
size_t CONST_BUILTIN get_global_size (uint);
size_t CONST_BUILTIN get_group_id (uint);
size_t CONST_BUILTIN get_num_groups (uint);
size_t CONST_BUILTIN get_local_id (uint);
size_t CONST_BUILTIN get_local_size (uint);
void __attribute__ ((overloadable, convergent)) barrier (cl_mem_fence_flags);
int BUILTIN atomic_or (volatile global int *, int);

#define DECLARE_MATH(t) \
  t CONST_BUILTIN copysign (t, t); \
  t CONST_BUILTIN erf (t); \
  t CONST_BUILTIN exp (t); \
  t CONST_BUILTIN exp2 (t); \
  t CONST_BUILTIN fabs (t); \
  t CONST_BUILTIN fma (t, t, t); \
  t CONST_BUILTIN mad (t, t, t); \
  t CONST_BUILTIN rint (t); \
  t CONST_BUILTIN sqrt (t); \
  t CONST_BUILTIN tanh (t);
EACH_WIDTH (DECLARE_MATH, float)

#define DECLARE_RANGE(t) \
  t CONST_BUILTIN min (t, t); \
  t CONST_BUILTIN max (t, t); \
  t CONST_BUILTIN clamp (t, t, t);
EACH_WIDTH (DECLARE_RANGE, int)
EACH_WIDTH (DECLARE_RANGE, uint)
EACH_WIDTH (DECLARE_RANGE, long)
EACH_WIDTH (DECLARE_RANGE, ulong)
EACH_WIDTH (DECLARE_RANGE, float)

#define DECLARE_LOAD(t, n, space) t##n PURE_BUILTIN vload##n (size_t, const space t *);
#define DECLARE_STORE(t, n, space) void BUILTIN vstore##n (t##n, size_t, space t *);
#define DECLARE_ACCESS(t, n) EACH_SPACE (DECLARE_LOAD, t, n) EACH_WRITABLE_SPACE (DECLARE_STORE, t, n)
#define DECLARE_ACCESSES(t) DECLARE_ACCESS (t, 4) DECLARE_ACCESS (t, 8) DECLARE_ACCESS (t, 16)
DECLARE_ACCESSES (char)
DECLARE_ACCESSES (uchar)
DECLARE_ACCESSES (short)
DECLARE_ACCESSES (ushort)
DECLARE_ACCESSES (int)
DECLARE_ACCESSES (uint)
DECLARE_ACCESSES (float)

float PURE_BUILTIN vload_half (size_t, const global half *);
float4 PURE_BUILTIN vload_half4 (size_t, const global half *);
float8 PURE_BUILTIN vload_half8 (size_t, const global half *);
float16 PURE_BUILTIN vload_half16 (size_t, const global half *);

#define DECLARE_CONVERSION(to, from, n) to##n CONST_BUILTIN convert_##to##n (from##n);
#define DECLARE_CONVERSIONS(to, from) \
  DECLARE_CONVERSION (to, from, 4) DECLARE_CONVERSION (to, from, 8) DECLARE_CONVERSION (to, from, 16)
DECLARE_CONVERSIONS (float, char)
DECLARE_CONVERSIONS (float, uchar)
DECLARE_CONVERSIONS (int, uchar)
DECLARE_CONVERSIONS (float, int)
DECLARE_CONVERSIONS (float, uint)
DECLARE_CONVERSIONS (uint, ushort)
DECLARE_CONVERSIONS (int, float)

#undef BUILTIN
#undef PURE_BUILTIN
#undef CONST_BUILTIN
#undef EACH_WIDTH
#undef EACH_SPACE
#undef EACH_WRITABLE_SPACE
#undef DECLARE_MATH
#undef DECLARE_RANGE
#undef DECLARE_LOAD
#undef DECLARE_STORE
#undef DECLARE_ACCESS
#undef DECLARE_ACCESSES
#undef DECLARE_CONVERSION
#undef DECLARE_CONVERSIONS
