/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Weights on the host: rows of several tensors as floats, and their conversion to stored panels. */
#pragma once

#include <sora/weights.h>
#include "weights/tensor.h"

G_BEGIN_DECLS

/* Rows first_row ... first_row + n_rows - 1 of @n_parts tensors [n_i, k...] stacked along n, to @rows [n_rows, k]. Rows past the
 * last tensor are zeros. */
void sora_pack_rows (guint n_parts, const SoraTensor *const *parts, guint64 first_row, guint64 n_rows, guint64 k, gfloat *rows);

/* Blocks of SORA_BLOCK_VALUES that a row of @k values takes; the last one may be filled in part. */
guint64 sora_pack_count_blocks (guint64 k);

/* The scales of the same rows' blocks in binary16, to @scales [n_rows, blocks]: the tensor's own where it has some, else the smallest with
 * which no value of the block in @rows is beyond 127 times its scale. */
void sora_pack_scales (guint n_parts, const SoraTensor *const *parts, guint64 first_row, guint64 n_rows, guint64 k, const gfloat *rows,
    guint16 *scales);

/* bytes of a panel of @width rows; @type: not auto */
gsize sora_pack_get_size (SoraWeightType type, guint64 k, guint width);

/**
 * sora_pack_panel:
 * @rows: [width, k]
 * @scales: [width, blocks], of q8; else %NULL
 * @panel: [k, width] numbers of @type; of q8 block after block, [width] scales in binary16 and then [SORA_BLOCK_VALUES, width] bytes
 *
 * A panel of one row is that row as files have it; q8's blocks are Q8_0's.
 */
void sora_pack_panel (SoraWeightType type, const gfloat *rows, const guint16 *scales, guint64 k, guint width, gpointer panel);

/* Rows first_row ... of stacked tensors that have blocks of q4, as a panel: block after block, of each d of all rows, e, s, t, and then [16, width]
 * bytes. Rows past the last tensor are zeros. */
void sora_pack_q4 (guint n_parts, const SoraTensor *const *parts, guint64 first_row, guint64 k, guint width, guint8 *panel);

/* The same from rows that are stored as @type already, each wherever it is; @rows: [width], of which %NULL are zeros. */
void sora_pack_stored (SoraWeightType type, const guint8 *const *rows, guint64 k, guint width, guint8 *panel);

/* Columns that the matrix units take at a time */
#define SORA_PAIRS_STEP 32
/* bytes of a panel of @width rows for a matrix unit */
gsize sora_pack_get_pairs_size (guint64 k, guint width);
/* @rows: [width, k]; @panel: [k / 2][width][2] in bf16, k filled up with zeros to whole steps. Two columns of a row lie beside each other. */
void sora_pack_pairs (const gfloat *rows, guint64 k, guint width, guint16 *panel);
/* The same from rows that are stored as bf16, of which %NULL are zeros. */
void sora_pack_stored_pairs (const guint8 *const *rows, guint64 k, guint width, guint8 *panel);

G_END_DECLS
