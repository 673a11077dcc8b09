/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* RMSNorm, LayerNorm and the norm over channels, written plainly, in double. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* (transfer full): [rows, columns] = x / sqrt (mean (x²) + eps) · weight */
gfloat *sora_reference_rms_norm (const gfloat *x, const gfloat *weight, guint rows, guint columns, gdouble eps);

/* (transfer full): [pixels, channels] = x / sqrt (mean (x²)) · weight, 0 where x is, or x with @weight %NULL; then SiLU if @silu */
gfloat *sora_reference_channel_norm (const gfloat *x, const gfloat *weight, gboolean silu, guint pixels, guint channels);

/* (transfer full): [rows, columns] = norm (x) · gain + shift; row r takes gain and shift [n_frames, columns] of frame
 * (r / rows_per_frame) % n_frames; both (nullable) */
gfloat *sora_reference_layer_norm (const gfloat *x, const gfloat *gain, const gfloat *shift, guint rows_per_frame, guint n_frames,
    guint rows, guint columns, gdouble eps);

G_END_DECLS
