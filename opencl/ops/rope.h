/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* 3-D rotary position embedding: adjacent pairs of each head turn by the angle of their time, row or column. */
#pragma once

#include "ops/matrix.h"

G_BEGIN_DECLS

/**
 * sora_rope_table:
 * @frames, @height, @width: tokens of the grid; @first_frame: the time position of the first one
 * @head_dim: even; split between time, rows and columns as Wan does
 *
 * Returns: (transfer full): floats [frames * height * width, head_dim / 2, 2]: cosine, sine. On the host.
 */
gfloat *sora_rope_table (guint first_frame, guint frames, guint height, guint width, guint head_dim, gfloat theta);

/* y = rotate (x) in every head; row r turns by row (first_row + r % period) of @table; y may be x. @x, @y: [rows, heads * head_dim] */
void sora_rope_run (SoraQueue *queue, SoraMatrix x, cl_mem table, guint first_row, guint period, SoraMatrix y, guint rows,
    guint heads, guint head_dim);

G_END_DECLS
