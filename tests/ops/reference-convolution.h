/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The convolution, written plainly: up-samples, pads and sums in double, one output value after the other. */
#pragma once

#include "ops/convolution.h"

G_BEGIN_DECLS

/**
 * sora_reference_convolution:
 * @shape: every field set
 * @x: [past + frames, height, width, in_channels], past = kernel_time - time_stride
 * @weight: [time_scale, out_channels, in_channels, kernel_time, kernel_height, kernel_width]
 * @bias: (nullable): [time_scale, out_channels]
 * @residual: (nullable): as large as the result
 *
 * Returns: (transfer full): [frames / time_stride · time_scale, rows, columns, out_channels], where rows = height · scale / stride
 * rounded up, columns likewise.
 */
gfloat *sora_reference_convolution (const SoraConvolutionShape *shape, const gfloat *x, guint frames, guint height, guint width,
    const gfloat *weight, const gfloat *bias, const gfloat *residual, gboolean relu);

G_END_DECLS
