/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The rules that say what type a matrix of weights is stored as on a device, and whether it is multiplied in bf16. */
#pragma once

#include <sora/weights.h>
#include "weights/weight-file.h"

G_BEGIN_DECLS

/* "auto", "fp32" ..., in the order of SoraWeightType; NULL-terminated */
extern const gchar *const sora_weight_type_names[];
/* "auto", "fp32", "bf16", in the order of SoraPrecision; NULL-terminated */
extern const gchar *const sora_precision_names[];

/* Whether all numbers of @file, as fp32, take more than 1 GiB or an eighth of @device_memory, which is bytes. Any thread. */
gboolean sora_weight_file_is_large (SoraWeightFile *file, guint64 device_memory);

/**
 * sora_weight_type_for_file:
 * @device_memory: bytes that the device has, or that may be used of it
 *
 * Returns: @wanted; or where that is auto, fp32 if @file is small, else auto: each matrix has the type of its numbers. Any thread.
 */
SoraWeightType sora_weight_type_for_file (SoraWeightType wanted, SoraWeightFile *file, guint64 device_memory);

/* What the stack of @n_parts matrices is stored as: @wanted, or where that is auto, what their numbers in the file ask for. Any thread. */
SoraWeightType sora_weight_type_for_tensors (SoraWeightType wanted, guint n_parts, const SoraTensor *const *tensors);

/**
 * sora_precision_wants_bf16:
 * @type: what the stack of @n_parts matrices is stored as otherwise; not auto
 *
 * Returns: whether the stack is stored as bf16 and multiplied so, if the device can. Any thread.
 */
gboolean sora_precision_wants_bf16 (SoraPrecision precision, SoraWeightType type, guint n_parts, const SoraTensor *const *tensors);

/* What the stack is stored as on a device that @has_unit, or has none, that multiplies bf16; @type: otherwise. Any thread. */
SoraWeightType sora_weight_type_with_unit (SoraWeightType type, SoraPrecision precision, gboolean has_unit, guint n_parts,
    const SoraTensor *const *tensors);

/* The bytes of @tensor if they are what @type stores, row after row, else NULL; *@size: (out): how many. Any thread. */
const guint8 *sora_weight_type_peek_stored (SoraWeightType type, const SoraTensor *tensor, gsize *size);

G_END_DECLS
