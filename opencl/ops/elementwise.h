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

/* What temporal coring works on: @latents, frames of [@height, @width, @channels], changed in place. */
typedef struct {
  cl_mem latents;
  guint height, width, channels;
  gfloat threshold;             /* > 0 */
  cl_mem changes;               /* [height, width], overwritten */
} SoraCoring;

/* Temporal coring of @frames latent frames from float @offset of the latents on: a pixel stays as it was in the frame before where the change
 * around it is below the threshold, is as it is made where that is twice as much, and in between changes by twice what is above the threshold
 * (firm shrinkage: Gao & Bruce 1997; decided with the neighbours: Cai & Silverman 2001). The change around a pixel is the root mean square over
 * channels and the 7x7 pixels around it that are in the picture, or half of that over its own channels where that is more. So jitter is gone,
 * which is alike everywhere, what moves does not lag, not even where it has little detail, and what is shown is never further than two
 * thresholds from what was made. The first frame is compared with the one at @before_offset of @before, which may be the same memory as the
 * latents. A NaN stays one, and spreads over its window. */
void sora_coring_run (SoraQueue *queue, const SoraCoring *coring, cl_mem before, guint before_offset, guint offset, guint frames);

/* Sets the int at flag[0] to 1 if any of @count floats is NaN or infinite; never clears it. */
void sora_check_finite_run (SoraQueue *queue, cl_mem x, guint offset, guint count, cl_mem flag);

G_END_DECLS
