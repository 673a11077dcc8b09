/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* RMSNorm, and LayerNorm with affine weights or per-latent-frame modulation. */
#pragma once

#include "ops/matrix.h"

G_BEGIN_DECLS

/* y = x / sqrt (mean (x²) + eps) · weight; @x, @y: [rows, columns], y may be x; @weight: [columns] */
void sora_rms_norm_run (SoraQueue *queue, SoraMatrix x, cl_mem weight, SoraMatrix y, guint rows, guint columns, gfloat eps);

/* y = norm (x) · weight + bias, or norm (x) · (1 + scale) + shift; @weight, @bias: (nullable) [columns];
 * @scale, @shift: columns floats a latent frame, mem NULL = none */
void sora_layer_norm_run (SoraQueue *queue, SoraMatrix x, cl_mem weight, cl_mem bias, SoraFrameVector scale,
    SoraFrameVector shift, SoraMatrix y, guint rows, guint columns, gfloat eps);

G_END_DECLS
