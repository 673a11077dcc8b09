/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* CLIPVisionModel: a picture to the embeddings that image-to-video transformers attend to, its penultimate layer's output. */
#pragma once

#include "runtime/arena.h"
#include "stages/loader.h"
#include "weights/config-clip.h"

G_BEGIN_DECLS

/* Weights on one device; not those of the last layer, whose output nobody wants. Immutable once loaded. */
typedef struct _SoraClipEncoder SoraClipEncoder;

/* Checks that @file has every tensor in its shape; reads no data. */
gboolean sora_clip_encoder_validate (const SoraClipConfig *config, SoraWeightFile *file, GError **error);
/* @max_bytes: that all may take on the device; what does not fit is streamed whenever it is used. Borrows @file. */
SoraClipEncoder *sora_clip_encoder_new (const SoraClipConfig *config, SoraWeightFile *file, SoraPrecision precision, guint64 max_bytes,
    SoraQueue *queue, GError **error);
void sora_clip_encoder_free (SoraClipEncoder *encoder);

/* Working memory for one picture. Only shapes count, so there need be no weights yet. */
typedef struct _SoraClipEncoderState SoraClipEncoderState;
/* Declares its regions in @arena, which is committed afterwards. */
SoraClipEncoderState *sora_clip_encoder_state_new (const SoraClipConfig *config, SoraArena *arena);
void sora_clip_encoder_state_free (SoraClipEncoderState *state);

/* @rgb: host bytes [height, width, 3]; @out: [tokens, hidden_size], sora_clip_config_count_tokens() rows. Enqueues only. */
void sora_clip_encoder_run (SoraClipEncoder *encoder, SoraClipEncoderState *state, SoraQueue *queue, const guint8 *rgb, guint width,
    guint height, SoraMatrix out);

G_END_DECLS
