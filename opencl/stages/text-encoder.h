/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* UMT5 encoder: token ids to embeddings, for the prompt's own tokens only (padding is masked in UMT5, so it need not be computed). */
#pragma once

#include "runtime/arena.h"
#include "stages/loader.h"
#include "weights/config.h"
#include "weights/weight-file.h"

G_BEGIN_DECLS

/* Weights on one device. Immutable once loaded, shared by streams. */
typedef struct _SoraTextEncoder SoraTextEncoder;

/* Checks that @file has every tensor in its shape; reads no data. */
gboolean sora_text_encoder_validate (const SoraTextEncoderConfig *config, SoraWeightFile *file, GError **error);
/* Keeps @config by value and borrows @file (embedding rows are gathered from the mapped file). @type: of the matrices on the device; auto: of
 * each what its numbers in the file ask for. @precision: what they are multiplied in. @max_bytes: that all may take there; what does not fit is streamed whenever it is used. */
SoraTextEncoder *sora_text_encoder_new (const SoraTextEncoderConfig *config, SoraWeightFile *file, SoraWeightType type,
    SoraPrecision precision, guint64 max_bytes, SoraQueue *queue, GError **error);
/* The same within @limits, with the linears that @others (element-type SoraTextEncoder) have already, which are on the device of @queue, of the
 * same type and precision, and differ in what LoRAs add to the same files. */
SoraTextEncoder *sora_text_encoder_new_sharing (const SoraTextEncoderConfig *config, SoraWeightFile *file, SoraWeightType type,
    SoraPrecision precision, const SoraStageLimits *limits, const GPtrArray *others, SoraQueue *queue, GError **error);
/* Raises @sizes to the scratch memory that its products take of @queue with so many @rows. Nothing is read but names and shapes. */
void sora_text_encoder_predict_scratch (const SoraTextEncoderConfig *config, SoraWeightFile *file, SoraWeightType type, SoraPrecision precision,
    SoraRows rows, SoraQueue *queue, gsize sizes[SORA_N_SCRATCHES]);
void sora_text_encoder_free (SoraTextEncoder *encoder);
/* Builds the programs meanwhile that do not depend on the weights: see sora_queue_expect(). */
void sora_text_encoder_expect (const SoraTextEncoderConfig *config, SoraQueue *queue);
guint64 sora_text_encoder_get_size (SoraTextEncoder *encoder);
/* Bytes below which sora_text_encoder_new() fails. */
guint64 sora_text_encoder_get_least (SoraTextEncoder *encoder);

/* A stream's working memory for up to max_tokens. */
typedef struct _SoraTextEncoderState SoraTextEncoderState;
/* Declares its regions in @arena, which is committed afterwards; the weights need not be loaded yet. */
SoraTextEncoderState *sora_text_encoder_state_new (const SoraTextEncoderConfig *config, guint max_tokens, SoraArena *arena);
void sora_text_encoder_state_free (SoraTextEncoderState *state);

/* @out: [n_tokens, d_model], after the final norm. Enqueues only. */
void sora_text_encoder_run (SoraTextEncoder *encoder, SoraTextEncoderState *state, SoraQueue *queue, const gint32 *tokens,
    guint n_tokens, SoraMatrix out);

G_END_DECLS
