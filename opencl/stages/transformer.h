/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* WanTransformer3DModel: noisy latents, timesteps and text to the network's output, block-causal over a rolling key/value cache. */
#pragma once

#include "runtime/arena.h"
#include "stages/loader.h"
#include "weights/config.h"
#include "weights/weight-file.h"

G_BEGIN_DECLS

/* Weights on one device. Immutable once loaded, shared by streams. */
typedef struct _SoraTransformer SoraTransformer;

gboolean sora_transformer_validate (const SoraTransformerConfig *config, SoraWeightFile *file, GError **error);
/* @type: of the matrices on the device; auto: of each what its numbers in the file ask for. @precision: what they are multiplied in. @max_bytes: that all may take there; what does not fit
 * is streamed whenever it is used. Borrows @file. */
SoraTransformer *sora_transformer_new (const SoraTransformerConfig *config, SoraWeightFile *file, SoraWeightType type,
    SoraPrecision precision, guint64 max_bytes, SoraQueue *queue, GError **error);
/* The same within @limits, with the linears that @others (element-type SoraTransformer) have already, which are on the device of @queue, of the
 * same type and precision, and differ in what LoRAs add to the same files. */
SoraTransformer *sora_transformer_new_sharing (const SoraTransformerConfig *config, SoraWeightFile *file, SoraWeightType type,
    SoraPrecision precision, const SoraStageLimits *limits, const GPtrArray *others, SoraQueue *queue, GError **error);
/* Raises @sizes to the scratch memory that its products take of @queue with so many @rows. Nothing is read but names and shapes. */
void sora_transformer_predict_scratch (const SoraTransformerConfig *config, SoraWeightFile *file, SoraWeightType type, SoraPrecision precision,
    SoraRows rows, SoraQueue *queue, gsize sizes[SORA_N_SCRATCHES]);
void sora_transformer_free (SoraTransformer *transformer);
guint64 sora_transformer_get_size (SoraTransformer *transformer);
/* Whether some of its weights are read from the file whenever they are used, for want of memory. */
gboolean sora_transformer_is_streamed (SoraTransformer *transformer);

/* What a stream fixes. */
typedef struct {
  guint n_branches;             /* 1, or 2 with guidance: the prompt's, then the negative prompt's */
  guint block_latents;          /* latent frames a block at most */
  guint window_latents;         /* latent frames seen at most, own block included; = block_latents if not causal */
  guint height, width;          /* of a latent frame */
  guint text_length;            /* rows the cross-attention sees, padding included */
  guint max_timesteps;          /* distinct timesteps that set_timesteps() may be given */
  guint image_tokens;           /* rows of the image's embeddings; 0 unless the configuration has an image_dim */
  guint condition_channels;     /* the last ones of in_channels, which set_condition() gives; the others are the latents' */
  guint sink_latents;           /* of window_latents: those of the past that stay when others leave, the first ones */
  gboolean context_alone;       /* a pass that fills the cache sees its own block only */
} SoraTransformerShape;

/* Key/value cache, modulation tables and activations of one stream. */
typedef struct _SoraTransformerState SoraTransformerState;
/* The weights need not be loaded yet. */
SoraTransformerState *sora_transformer_state_new (const SoraTransformerConfig *config, const SoraTransformerShape *shape, SoraArena *arena);
void sora_transformer_state_free (SoraTransformerState *state);
/* What its shape gives the linears */
SoraRows sora_transformer_state_get_rows (const SoraTransformerState *state);

/* Uploads the rope table of the window and the padding's zeros; once, after the arena was committed. */
void sora_transformer_state_prepare (SoraTransformer *transformer, SoraTransformerState *state, SoraQueue *queue);

/* Computes time embedding and projection of each timestep (0 ... 1000), which sora_transformer_run() then picks by index. */
void sora_transformer_set_timesteps (SoraTransformer *transformer, SoraTransformerState *state, SoraQueue *queue,
    const gdouble *timesteps, guint n);

/* Keys and values of the cross-attention of a branch, once per prompt. @embeddings: [n_tokens, text_dim]; the text_length - n_tokens
 * padding rows are all alike and become one key with log (count) added to its score. */
void sora_transformer_set_text (SoraTransformer *transformer, SoraTransformerState *state, SoraQueue *queue, guint branch,
    SoraMatrix embeddings, guint n_tokens);

/* Keys and values of the cross-attention to an image, for all branches, once per stream. @embeddings: [image_tokens, image_dim], which must
 * not lie in rows that are further apart. */
void sora_transformer_set_image (SoraTransformer *transformer, SoraTransformerState *state, SoraQueue *queue, SoraMatrix embeddings);

/* What the latents of every later evaluation are given with, [block_latents, height, width, condition_channels]; kept by reference. */
void sora_transformer_set_condition (SoraTransformerState *state, cl_mem condition);

/**
 * sora_transformer_run:
 * @latents: [n_latents, height, width, in_channels - condition_channels], the same for all branches
 * @timestep_rows: host array: for each of the n_latents, which of the timesteps
 * @n_branches: how many are evaluated: all, or without @commit only the prompt's
 * @output: (nullable): [@n_branches][n_latents, height, width, out_channels]
 * @commit: whether this pass's keys and values enter the cache as the past of later blocks (a window that is full drops the
 *   oldest block behind its sink)
 *
 * One evaluation. Enqueues only. A cancelled one has changed nothing that a later one reads. With @commit, what is not needed for the
 * cache need not be computed if @output is NULL.
 */
void sora_transformer_run (SoraTransformer *transformer, SoraTransformerState *state, SoraQueue *queue, cl_mem latents,
    guint n_latents, const guint *timestep_rows, guint n_branches, cl_mem output, gboolean commit);

/* Forgets the past. */
void sora_transformer_reset (SoraTransformerState *state);

/* Where there is a sink: the prompt has changed, so the sink is of another scene and goes, unless it is all the past. The next block sees what is left of that, the
 * one behind it that block only; and that one is the new sink, as it is the first that saw nothing of the old prompt. */
void sora_transformer_renew_sink (SoraTransformerState *state);

G_END_DECLS
