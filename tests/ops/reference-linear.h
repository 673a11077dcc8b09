/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Linear and its epilogue in plain C, summed in double, and what types of stored weights make of numbers. */
#pragma once

#include "ops/linear.h"

G_BEGIN_DECLS

/* Host arrays in place of device memory; offsets, strides and frames are those of the epilogue's operands. */
typedef struct {
  const gfloat *multiplier, *gate, *residual;   /* NULL where the operand is absent */
  const gfloat *bias;                           /* [n], or NULL */
} SoraReferenceOperands;

/* @x, @y: of which @x_place and @y_place tell offset and stride (mem is ignored); @weight: [n, k] */
void sora_reference_linear (const gfloat *x, SoraMatrix x_place, const gfloat *weight, gfloat *y, SoraMatrix y_place,
    guint m, guint n, guint k, const SoraEpilogue *epilogue, const SoraReferenceOperands *operands);

/* Makes of @weight [n, k] what @type can hold of it, as its description says. */
void sora_reference_store (SoraWeightType type, gfloat *weight, guint n, guint k);

G_END_DECLS
