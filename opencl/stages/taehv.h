/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* TAEHV-style VAE: convolutions of a frame and the one before it. Every function is that of vae.h with the same name. */
#pragma once

#include "stages/vae.h"

G_BEGIN_DECLS

typedef struct _SoraTaehv SoraTaehv;

gboolean sora_taehv_validate (const SoraVaeConfig *config, SoraWeightFile *file, GError **error);
SoraTaehv *sora_taehv_new (const SoraVaeConfig *config, SoraWeightFile *file, SoraVaeHalves halves, SoraPrecision precision,
    SoraQueue *queue, GError **error);
void sora_taehv_free (SoraTaehv *taehv);
guint64 sora_taehv_get_size (SoraTaehv *taehv);

typedef struct _SoraTaehvDecoderState SoraTaehvDecoderState;
SoraTaehvDecoderState *sora_taehv_decoder_state_new (SoraTaehv *taehv, guint height, guint width, guint max_latents, SoraArena *arena);
void sora_taehv_decoder_state_free (SoraTaehvDecoderState *state);
guint sora_taehv_decoder_state_get_chunk (const SoraTaehvDecoderState *state);
guint64 sora_taehv_decoder_state_get_largest (const SoraTaehvDecoderState *state);
void sora_taehv_decoder_reset (SoraTaehvDecoderState *state, SoraQueue *queue);
void sora_taehv_decode (SoraTaehv *taehv, SoraTaehvDecoderState *state, SoraQueue *queue, cl_mem latents, guint n_latents, cl_mem rgb);

typedef struct _SoraTaehvEncoderState SoraTaehvEncoderState;
SoraTaehvEncoderState *sora_taehv_encoder_state_new (SoraTaehv *taehv, guint height, guint width, guint max_latents, SoraArena *arena);
void sora_taehv_encoder_state_free (SoraTaehvEncoderState *state);
guint64 sora_taehv_encoder_state_get_largest (const SoraTaehvEncoderState *state);
void sora_taehv_encoder_reset (SoraTaehvEncoderState *state, SoraQueue *queue);
void sora_taehv_encode (SoraTaehv *taehv, SoraTaehvEncoderState *state, SoraQueue *queue, cl_mem rgb, guint n_latents, cl_mem latents);
void sora_taehv_encode_greyed (SoraTaehv *taehv, SoraTaehvEncoderState *state, SoraQueue *queue, cl_mem rgb, guint n_grey, cl_mem latent);

G_END_DECLS
