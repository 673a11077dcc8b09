/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Wan's VAE (diffusers' AutoencoderKLWan): causal convolutions of a frame and the two before it. Functions are those of vae.h with the
 * same name, except where they say more. */
#pragma once

#include "stages/vae.h"

G_BEGIN_DECLS

typedef struct _SoraWanVae SoraWanVae;
typedef struct _SoraWanVaeHalf SoraWanVaeHalf;

gboolean sora_wan_vae_validate (const SoraVaeConfig *config, SoraWeightFile *file, GError **error);
SoraWanVae *sora_wan_vae_new (const SoraVaeConfig *config, SoraWeightFile *file, SoraVaeHalves halves, SoraPrecision precision,
    SoraQueue *queue, GError **error);
void sora_wan_vae_free (SoraWanVae *vae);
guint64 sora_wan_vae_get_size (SoraWanVae *vae);

/**
 * SoraWanVaeState:
 *
 * What one stream's decoder or encoder remembers: the last frames that each convolution has seen, and how far the latent at hand is.
 * Latents are worked on one by one, step by step; after a cancellation the same call goes on where it was.
 */
typedef struct _SoraWanVaeState SoraWanVaeState;

/* Declares the activations of one latent of @height x @width. @half need not have weights yet: only shapes count. @is_still: every latent is the
 * first of a stream, one frame, after which nothing need be remembered (encoders) */
SoraWanVaeState *sora_wan_vae_state_new (const SoraWanVaeHalf *half, guint height, guint width, gboolean is_still, SoraArena *arena);
void sora_wan_vae_state_free (SoraWanVaeState *state);
void sora_wan_vae_state_reset (SoraWanVaeState *state, SoraQueue *queue);
guint64 sora_wan_vae_state_get_largest (const SoraWanVaeState *state);

/* The stream's first latent gives one frame, the last of its time_scale; those before it are left as they are. */
void sora_wan_vae_decode (SoraWanVaeState *state, SoraQueue *queue, cl_mem latents, guint n_latents, cl_mem rgb);
/* Of the frames of the stream's first latent the last is looked at. */
void sora_wan_vae_encode (SoraWanVaeState *state, SoraQueue *queue, cl_mem rgb, guint n_latents, cl_mem latents);
/* Not the stream's first latent; leaves @rgb alone. */
void sora_wan_vae_encode_greyed (SoraWanVaeState *state, SoraQueue *queue, cl_mem rgb, guint n_grey, cl_mem latent);

/**
 * SoraWanVaeTiles:
 *
 * A decoder that works on a part of the picture at a time, in less memory. The first layers, up to and with the first that doubles the
 * picture, work on all of it and take little; what they give is kept on the host. The others, all of which see only so far, work on tiles
 * with as much around them as they see: the frames are those of the whole picture, bit for bit.
 */
typedef struct _SoraWanVaeTiles SoraWanVaeTiles;

/**
 * sora_wan_vae_tiles_new:
 * @max_latents: a call at most
 * @n_latents: of the whole stream, after which what it remembers is dropped; 0 = there is no end
 * @size: pixels of a tile's side that count, at most; at least 16
 *
 * Returns: %NULL, with nothing declared, if one tile would be the picture.
 */
SoraWanVaeTiles *sora_wan_vae_tiles_new (const SoraWanVaeHalf *half, guint height, guint width, guint max_latents, guint64 n_latents,
    guint size, SoraArena *arena);
void sora_wan_vae_tiles_free (SoraWanVaeTiles *tiles);
void sora_wan_vae_tiles_reset (SoraWanVaeTiles *tiles, SoraQueue *queue);
guint sora_wan_vae_tiles_get_chunk (const SoraWanVaeTiles *tiles);
guint64 sora_wan_vae_tiles_get_largest (const SoraWanVaeTiles *tiles);
/* bytes that are taken in the end: what lies between the layers, and what tiles remember if the stream goes on after the first call */
guint64 sora_wan_vae_tiles_get_host_size (const SoraWanVaeTiles *tiles);
void sora_wan_vae_tiles_decode (SoraWanVaeTiles *tiles, SoraQueue *queue, cl_mem latents, guint n_latents, cl_mem rgb);

/**
 * SoraWanVaeEncoderTiles:
 *
 * The same for an encoder, the other way round: the layers down to the size of latents work on tiles, the others on all of the picture.
 */
typedef struct _SoraWanVaeEncoderTiles SoraWanVaeEncoderTiles;

/* @n_latents: of the video, at most; @is_still: it has one. %NULL, with nothing declared, if one tile would be the picture. */
SoraWanVaeEncoderTiles *sora_wan_vae_encoder_tiles_new (const SoraWanVaeHalf *half, guint height, guint width, guint n_latents,
    gboolean is_still, guint size, SoraArena *arena);
void sora_wan_vae_encoder_tiles_free (SoraWanVaeEncoderTiles *tiles);
guint64 sora_wan_vae_encoder_tiles_get_largest (const SoraWanVaeEncoderTiles *tiles);
guint64 sora_wan_vae_encoder_tiles_get_host_size (const SoraWanVaeEncoderTiles *tiles);
/* Asks for each latent's frames as often as there are tiles. */
void sora_wan_vae_encoder_tiles_run (SoraWanVaeEncoderTiles *tiles, SoraQueue *queue, const SoraVaeVideo *video);

G_END_DECLS
