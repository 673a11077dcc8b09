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

typedef struct {
  guint height, width, channels;
  gdouble threshold;
} SoraReferenceCoring;

/* (transfer full): @latents [frames, height, width, channels], each pixel changed from that of the frame before, at first @before [height, width,
 * channels]: not at all if the change around it is below the threshold, in full above twice that, in between as firm shrinkage has it. That change
 * is the root mean square over channels and the 7x7 pixels around it, as far as there are such, or half of the pixel's own if that is more. */
gfloat *sora_reference_coring (const gfloat *before, const gfloat *latents, guint frames, const SoraReferenceCoring *coring);

G_END_DECLS
