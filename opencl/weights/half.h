/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Rounds floats to 16 bits: IEEE 754's binary16 (F16) and the upper half of a float (BF16). */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* To the nearest, ties to even. Beyond the range: infinity; a NaN stays one. */
guint16 sora_f16_from_float (gfloat value);
guint16 sora_bf16_from_float (gfloat value);
/* @value: 0 or more, or NaN. The smallest binary16 that is not below it. */
guint16 sora_f16_from_float_up (gfloat value);
gfloat sora_f16_to_float (guint16 half);

G_END_DECLS
