/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Wan's VAE (diffusers' AutoencoderKLWan): causal convolutions of a frame and the two before it. Functions are those of vae.h with the
 * same name, except where they say more. */
#pragma once

#include "stages/vae.h"

G_BEGIN_DECLS

typedef struct _SoraWanVae SoraWanVae;
typedef struct _SoraWanVaeHalf SoraWanVaeHalf;

gboolean sora_wan_vae_validate (const SoraVaeConfig *config, SoraWeightFile *file, GError **error);
SoraWanVae *sora_wan_vae_new (const SoraVaeConfig *config, SoraWeightFile *file, SoraVaeHalves halves, SoraQueue *queue, GError **error);
void sora_wan_vae_free (SoraWanVae *vae);
guint64 sora_wan_vae_get_size (SoraWanVae *vae);

/**
 * SoraWanVaeState:
 *
 * What one stream's decoder or encoder remembers: the last frames that each convolution has seen, and how far the latent at hand is.
 * Latents are worked on one by one, step by step; after a cancellation the same call goes on where it was.
 */
typedef struct _SoraWanVaeState SoraWanVaeState;

/* Declares the activations of one latent of @height x @width. @half need not have weights yet: only shapes count. */
SoraWanVaeState *sora_wan_vae_state_new (const SoraWanVaeHalf *half, guint height, guint width, SoraArena *arena);
void sora_wan_vae_state_free (SoraWanVaeState *state);
void sora_wan_vae_state_reset (SoraWanVaeState *state, SoraQueue *queue);
guint64 sora_wan_vae_state_get_largest (const SoraWanVaeState *state);

/* The stream's first latent gives one frame, the last of its time_scale; those before it are left as they are. */
void sora_wan_vae_decode (SoraWanVaeState *state, SoraQueue *queue, cl_mem latents, guint n_latents, cl_mem rgb);
/* Of the frames of the stream's first latent the last is looked at. */
void sora_wan_vae_encode (SoraWanVaeState *state, SoraQueue *queue, cl_mem rgb, guint n_latents, cl_mem latents);
/* Not the stream's first latent; leaves @rgb alone. */
void sora_wan_vae_encode_greyed (SoraWanVaeState *state, SoraQueue *queue, cl_mem rgb, guint n_grey, cl_mem latent);

G_END_DECLS
