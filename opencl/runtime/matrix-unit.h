/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which bf16 matrix instructions a device has: of a CPU device, those of the processor that this process runs on. */
#pragma once

#include "runtime/device-private.h"

G_BEGIN_DECLS

/* The program that has the proof, and all linears of a device that has a unit: a program of its own would cost the first frame the 0.1 s that
 * PoCL takes for each */
#define SORA_MATRIX_UNIT_PROGRAM "bf16+product-bf16+matrix-unit+epilogue+linear-finish+linear+linear-bf16"

/* "none", "avx512-bf16", "amx-bf16", in the order of SoraMatrixUnit; NULL-terminated */
extern const gchar *const sora_matrix_unit_names[];

/**
 * sora_matrix_unit_get:
 * @device: opened
 *
 * What is asked the first time, and remembered: the processor and its system, whether the process may use tiles, and a product that is computed
 * with the instructions. $SORA_MATRIX_UNIT, one of the names, is the most that is asked for.
 * Vectors are used by themselves where they are faster than fp32, which Intel's are not, or where they are asked for by name.
 *
 * A unit is used by programs of CPU devices that begin with bf16.cl and are built with sora_matrix_unit_option(). Both units multiply the
 * same layout: of a weight [n, k] two rows of its transposed at a time, [k / 2][n][2].
 *
 * Returns: the best unit; none on every other device. Any thread.
 */
SoraMatrixUnit sora_matrix_unit_get (SoraDevice *device);

/* What a CPU device of this machine is likely to have: only the processor and its system are asked. Any thread. */
SoraMatrixUnit sora_matrix_unit_expect (void);

/* What sora_matrix_unit_get() has found, but none if nobody has asked yet. Any thread. */
SoraMatrixUnit sora_matrix_unit_peek (SoraDevice *device);

/* "-DUNIT=2 ...", and what the linears' program needs besides, of a unit that is there */
const gchar *sora_matrix_unit_option (SoraMatrixUnit unit);

G_END_DECLS
