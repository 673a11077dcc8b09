/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Rotary position embedding, written plainly, from positions rather than from a table. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* (transfer full): [rows, heads * head_dim]; row r is the token (first + r % period) of a grid [.., height, width], in double */
gfloat *sora_reference_rope (const gfloat *x, guint first, guint period, guint height, guint width, guint rows, guint heads,
    guint head_dim, gdouble theta);

G_END_DECLS
