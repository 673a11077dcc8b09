/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Weights on the host: rows of several tensors as floats, and their transposition into panels. */
#pragma once

#include "weights/tensor.h"

G_BEGIN_DECLS

/* Rows first_row ... first_row + n_rows - 1 of @n_parts tensors [n_i, k...] stacked along n, to @rows [n_rows, k]. Rows past the
 * last tensor are zeros. */
void sora_pack_rows (guint n_parts, const SoraTensor *const *parts, guint64 first_row, guint64 n_rows, guint64 k, gfloat *rows);

/* @rows: [width, k]; @panel: [k, width] */
void sora_pack_panel (const gfloat *rows, guint64 k, guint width, gfloat *panel);

G_END_DECLS
