/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The small element-wise operations: sampler step, modulation table, patchify, coring, finiteness. */
#pragma once

#include "ops/matrix.h"

G_BEGIN_DECLS

/* y = a·x + b·p + c·n + d·e, n floats; @p, @n, @e: (nullable). Serves the steps of every sampler, guidance and noise. y may be x. */
typedef struct {
  cl_mem x, p, n, e, y;
  guint x_offset, p_offset, n_offset, e_offset, y_offset;       /* floats */
  gfloat a, b, c, d;
} SoraCombine;
void sora_combine_run (SoraQueue *queue, const SoraCombine *combine, guint count);

/* out[l, f, c] = table[l, c] + embedding[f, c]; table: [layers, columns], embedding: rows of @embedding picked by
 * @rows[f] (host array of n_frames), out: [layers, n_frames, columns] */
void sora_modulation_run (SoraQueue *queue, cl_mem table, SoraMatrix embedding, const guint *rows, cl_mem out, guint layers,
    guint n_frames, guint columns);

/* Latents [frames, height, width, channels] ↔ tokens [frames · height/ph · width/pw, channels · ph · pw] in the order of a Conv3d
 * weight's columns (channel, ph, pw); a patch is one frame deep. unpatchify reads columns (ph, pw, channel), as Wan's
 * proj_out writes them. */
void sora_patchify_run (SoraQueue *queue, cl_mem latents, guint latents_offset, SoraMatrix tokens, guint frames, guint height,
    guint width, guint channels, guint ph, guint pw);
void sora_unpatchify_run (SoraQueue *queue, SoraMatrix tokens, cl_mem latents, guint latents_offset, guint frames, guint height,
    guint width, guint channels, guint ph, guint pw);

/* Temporal coring of @frames latent frames [pixels, channels], from float @offset of @latents on, in place: a pixel stays as it was in the frame before
 * where its change, the root mean square over channels, is below @threshold (> 0), is as it is made where that is three times as much, and in between
 * changes by 1.5 times what is above the threshold (firm shrinkage: Gao & Bruce 1997). So what is shown is never further than the
 * threshold from what was made, jitter is gone, and what moves does not lag. The first frame is compared with the one at @before_offset of
 * @before, which may be the same memory as @latents. A NaN stays one, and spreads over its pixel. */
void sora_coring_run (SoraQueue *queue, cl_mem before, guint before_offset, cl_mem latents, guint offset, guint frames, guint pixels,
    guint channels, gfloat threshold);

/* Sets the int at flag[0] to 1 if any of @count floats is NaN or infinite; never clears it. */
void sora_check_finite_run (SoraQueue *queue, cl_mem x, guint offset, guint count, cl_mem flag);

G_END_DECLS
