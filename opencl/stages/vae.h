/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Video VAE: latents to frames and frames to latents, streaming latent by latent. Of a kind that the configuration says. */
#pragma once

#include <sora/weights.h>
#include "runtime/arena.h"
#include "runtime/queue.h"
#include "weights/config.h"
#include "weights/weight-file.h"

G_BEGIN_DECLS

/* Weights on one device. Immutable once loaded, shared by streams. */
typedef struct _SoraVae SoraVae;

/* Which of the two are loaded: what decodes needs no encoder, what encodes no decoder. */
typedef enum {
  SORA_VAE_DECODER = 1 << 0,
  SORA_VAE_ENCODER = 1 << 1,
} SoraVaeHalves;

gboolean sora_vae_validate (const SoraVaeConfig *config, SoraWeightFile *file, GError **error);
/* Borrows @config. @precision: of the convolutions' products */
SoraVae *sora_vae_new (const SoraVaeConfig *config, SoraWeightFile *file, SoraVaeHalves halves, SoraPrecision precision, SoraQueue *queue,
    GError **error);
void sora_vae_free (SoraVae *vae);
guint64 sora_vae_get_size (SoraVae *vae);

/* That Wan's VAE is to work on parts of the picture, one after the other; see wan-vae.h */
typedef struct {
  guint size;                   /* pixels of a tile's side that count, at most; 0: not in tiles */
  guint64 n_latents;            /* of the stream; 0: without end */
} SoraVaeTiling;

/* Activations and the past frames that the memory blocks see. height, width: of a latent frame; max_latents: a call at most. */
typedef struct _SoraVaeDecoderState SoraVaeDecoderState;
/* Its regions hold zero borders and memory between calls: nothing may be overlaid on them. @tiling: (nullable): heeded by Wan's VAE, where
 * one tile is not the picture */
SoraVaeDecoderState *sora_vae_decoder_state_new (SoraVae *vae, guint height, guint width, guint max_latents, const SoraVaeTiling *tiling,
    SoraArena *arena);
void sora_vae_decoder_state_free (SoraVaeDecoderState *state);
/* How many latents are worked on at once, max_latents or fewer: a large picture one by one, which bounds the memory. */
guint sora_vae_decoder_state_get_chunk (const SoraVaeDecoderState *state);
/* Whether the picture is decoded in tiles, and bytes on the host that this takes in the end */
gboolean sora_vae_decoder_state_is_tiled (const SoraVaeDecoderState *state);
guint64 sora_vae_decoder_state_get_host_size (const SoraVaeDecoderState *state);
/* Floats of the largest activation: kernels address at most G_MAXINT32. */
guint64 sora_vae_decoder_state_get_largest (const SoraVaeDecoderState *state);
/* Zero memory, as before the first frame. */
void sora_vae_decoder_reset (SoraVaeDecoderState *state, SoraQueue *queue);

/**
 * sora_vae_decode:
 * @latents: [n_latents, height, width, latent_channels], normalised as the transformer sees them
 * @rgb: bytes [n_latents * time_scale, height * spatial_scale, width * spatial_scale, 3]
 *
 * Enqueues only. A call for at most sora_vae_decoder_state_get_chunk() latents that is cancelled (the queue has failed after it) is to be
 * made again with the same latents, unless a reset comes first: it then gives what it would have given. Dropping the stream's first
 * frames_to_trim frames is the caller's; they may hold anything.
 */
void sora_vae_decode (SoraVae *vae, SoraVaeDecoderState *state, SoraQueue *queue, cl_mem latents, guint n_latents, cl_mem rgb);

/* A video that is encoded whole, and where its latents go */
typedef struct {
  guint n_latents;
  cl_mem rgb;                   /* bytes of one latent's frames, [time_scale, height * spatial_scale, width * spatial_scale, 3] */
  cl_mem latent;                /* [1, height, width, latent_channels], normalised */
  /* Puts the frames of latent @i to rgb, of the first the last frame alone counts; called for each latent in order, perhaps several times for all of
   * them. Returns: how many frames are grey instead, from the first on: the middle between black and white, which no byte is exactly (and a
   * TAEHV gets the nearest one) */
  guint (*source) (guint i, gpointer user_data);
  /* Called for each latent in order, which lies at latent. */
  void (*sink) (guint i, gpointer user_data);
  gpointer user_data;
} SoraVaeVideo;

typedef struct _SoraVaeEncoderState SoraVaeEncoderState;
/* @is_still: every call is for one latent, the first of a stream of which no other follows; that takes less memory. @tiling: (nullable): heeded by
 * Wan's VAE, where one tile is not the picture; then sora_vae_encode_video() alone may be called */
SoraVaeEncoderState *sora_vae_encoder_state_new (SoraVae *vae, guint height, guint width, guint max_latents, gboolean is_still,
    const SoraVaeTiling *tiling, SoraArena *arena);
void sora_vae_encoder_state_free (SoraVaeEncoderState *state);
guint64 sora_vae_encoder_state_get_largest (const SoraVaeEncoderState *state);
/* Bytes on the host that tiles take while they are encoded */
guint64 sora_vae_encoder_state_get_host_size (const SoraVaeEncoderState *state);
void sora_vae_encoder_reset (SoraVaeEncoderState *state, SoraQueue *queue);
/* @rgb: bytes [n_latents * time_scale, ...]; @latents: normalised. The stream begins with frames_to_trim more copies of its first frame. */
void sora_vae_encode (SoraVae *vae, SoraVaeEncoderState *state, SoraQueue *queue, cl_mem rgb, guint n_latents, cl_mem latents);
/* All latents of a video from its beginning. One that is cancelled (the queue has failed after it) is lost. */
void sora_vae_encode_video (SoraVae *vae, SoraVaeEncoderState *state, SoraQueue *queue, const SoraVaeVideo *video);
/* One latent, whose first @n_grey frames are grey whatever @rgb holds there. Writes those frames of @rgb. */
void sora_vae_encode_greyed (SoraVae *vae, SoraVaeEncoderState *state, SoraQueue *queue, cl_mem rgb, guint n_grey, cl_mem latent);

G_END_DECLS
