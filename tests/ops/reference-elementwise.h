/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The element-wise operations, written plainly. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* (transfer full): a·x + b·p + c·n + d·e; all but x (nullable) */
gfloat *sora_reference_combine (const gfloat *x, const gfloat *p, const gfloat *n, const gfloat *e, const gdouble weights[4],
    gsize count);

/* (transfer full): [layers, n_frames, columns] = table [layers, columns] + rows[frame] of embedding [.., columns] */
gfloat *sora_reference_modulation (const gfloat *table, const gfloat *embedding, const guint *rows, guint layers, guint n_frames,
    guint columns);

/* How a token's columns are ordered. */
typedef enum {
  SORA_REFERENCE_CHANNEL_FIRST, /* (channel, ph, pw), a Conv3d weight's */
  SORA_REFERENCE_CHANNEL_LAST,  /* (ph, pw, channel), Wan's proj_out's */
} SoraReferenceOrder;

/* (transfer full): latents [frames, height, width, channels] to tokens [frames · height/ph · width/pw, channels · ph · pw], or back */
gfloat *sora_reference_patchify (const gfloat *latents, SoraReferenceOrder order, guint frames, guint height, guint width,
    guint channels, guint ph, guint pw);
gfloat *sora_reference_unpatchify (const gfloat *tokens, SoraReferenceOrder order, guint frames, guint height, guint width,
    guint channels, guint ph, guint pw);

/* (transfer full): @latents [frames, pixels, channels], each pixel changed from that of the frame before, at first @before [pixels, channels], not
 * at all if the root mean square of the change is below @threshold, in full above three times it, in between linearly */
gfloat *sora_reference_coring (const gfloat *before, const gfloat *latents, guint frames, guint pixels, guint channels, gdouble threshold);

G_END_DECLS
