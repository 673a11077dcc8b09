/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Launches layer-norm.cl, one work-group a row: affine weights and modulation are both a gain and a shift. */
#include "ops/norm.h"

#include "ops/rows.h"

/* The one that is present, as a vector a latent frame; if neither: the rows themselves, which the kernel reads and multiplies by 0. */
static SoraFrameVector
choose (cl_mem whole, SoraFrameVector by_frame, SoraMatrix x, guint rows)
{
  if (by_frame.mem)
    return by_frame;
  if (whole)
    return (SoraFrameVector) { whole, 0, 0, 1, 1 };
  return (SoraFrameVector) { x.mem, x.offset, x.stride, 1, rows };
}

static cl_uint4
pack (SoraFrameVector v)
{
  return (cl_uint4) { { v.offset, v.stride, v.rows_per_frame, v.n_frames } };
}

void
sora_layer_norm_run (SoraQueue *queue, SoraMatrix x, cl_mem weight, cl_mem bias, SoraFrameVector scale,
    SoraFrameVector shift, SoraMatrix y, guint rows, guint columns, gfloat eps)
{
  SoraLaunch launch = sora_rows_launch (queue, "layer_norm", rows, 1, 9 * (guint64) rows * columns);
  SoraFrameVector gain = choose (weight, scale, x, rows), added = choose (bias, shift, x, rows);
  cl_uint2 x_row = { { x.offset, x.stride } }, y_row = { { y.offset, y.stride } };
  cl_uint4 gain_frames = pack (gain), added_frames = pack (added);
  gboolean has_gain = weight || scale.mem, has_shift = bias || shift.mem;
  cl_float4 factors = { { weight && !scale.mem ? 0 : 1, has_gain, has_shift, 0 } };
  cl_uint n = columns;

  SORA_LAUNCH (queue, &launch, SORA_ARG (x.mem), SORA_ARG (x_row), SORA_ARG (y.mem), SORA_ARG (y_row), SORA_ARG (n),
      SORA_ARG (eps), SORA_ARG (gain.mem), SORA_ARG (gain_frames), SORA_ARG (added.mem), SORA_ARG (added_frames),
      SORA_ARG (factors));
}
