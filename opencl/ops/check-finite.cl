/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Looks for NaN and infinity: a work-group SPAN floats. Follows vector.cl. */

#define SPAN 4096
#define EXPONENT 0x7f800000u

/* Works on the bits, so that no compiler option about NaN matters. */
__attribute__ ((reqd_work_group_size (GROUP, 1, 1)))
kernel void
check_finite (global const float *x, uint offset, uint count, global int *flag)
{
  const uint begin = get_group_id (0) * SPAN, end = min (count - begin, (uint) SPAN) + begin;
  uint largest = 0;

  x += offset;
  for (uint i = begin + get_local_id (0); i < end; i += GROUP)
    largest = max (largest, as_uint (x[i]) & EXPONENT);
  if (largest == EXPONENT)
    atomic_or (flag, 1);
}
