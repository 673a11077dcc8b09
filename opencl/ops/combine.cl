/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A weighted sum of up to four arrays: a work-group CHUNK floats. Follows vector.cl. */

#define CHUNK 1024

/* y = a x + b p + c n + d e; y may be x. A term that is absent is x again with weight 0: a branch for each would be compiled eight times. */
__attribute__ ((reqd_work_group_size (GROUP, 1, 1)))
kernel void
combine (global const float *x, global const float *p, global const float *n, global const float *e, global float *y, uint4 offset,
    uint y_offset, float4 weight, uint count)
{
  const uint begin = get_group_id (0) * CHUNK, end = min (count - begin, (uint) CHUNK) + begin;
  const uint whole = begin + (end - begin) / WIDTH * WIDTH;

  x += offset.x;
  p += offset.y;
  n += offset.z;
  e += offset.w;
  y += y_offset;
#pragma unroll 1
  for (uint i = begin + get_local_id (0) * WIDTH; i < whole; i += GROUP * WIDTH) {
    vec v = weight.x * LOAD (0, x + i);
    v += weight.y * LOAD (0, p + i);
    v += weight.z * LOAD (0, n + i);
    v += weight.w * LOAD (0, e + i);
    STORE (v, 0, y + i);
  }
REST_LOOP
  for (uint i = whole + get_local_id (0); i < end; i += GROUP) {
    float v = weight.x * x[i];
    v += weight.y * p[i];
    v += weight.z * n[i];
    v += weight.w * e[i];
    y[i] = v;
  }
}
