/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Frames to latents: pixel unshuffle, levels that shrink in space and time, a last convolution that also normalises. */
#include "ops/pixel-shuffle.h"
#include "stages/vae-private.h"

struct _SoraVaeEncoderState {
  guint chunk;                  /* latents at once */
  guint height, width;          /* of a latent */
  SoraFeatureMap pixels;        /* [chunk · time_scale, full height, full width, image_channels · patch_size²] */
  SoraFeatureMap first;         /* ... first width */
  SoraVaeLevelState levels[SORA_VAE_MAX_LEVELS];
};

SoraVaeEncoderState *
sora_vae_encoder_state_new (SoraVae *vae, guint height, guint width, guint max_latents, SoraArena *arena)
{
  const SoraVaeConfig *c = vae->config;
  SoraVaeEncoderState *state = g_new0 (SoraVaeEncoderState, 1);
  guint scale = c->spatial_scale / c->patch_size, frames;

  state->chunk = sora_vae_chunk (c, height, width, max_latents);
  state->height = height;
  state->width = width;
  frames = state->chunk * c->time_scale;
  height *= scale;
  width *= scale;
  sora_vae_map_init (&state->pixels, height, width, c->image_channels * c->patch_size * c->patch_size, frames, arena);
  sora_vae_map_init (&state->first, height, width, c->encoder.widths[0], frames, arena);
  for (guint i = 0; i < c->encoder.n_levels; i++) {
    SoraFeatureMap map = { NULL, 0, 1, 0, 0, c->encoder.widths[i + 1] };

    map.height = height >>= c->encoder.space[i];
    map.width = width >>= c->encoder.space[i];
    frames >>= c->encoder.time[i];
    sora_vae_level_state_init (&state->levels[i], c->encoder.blocks[i], &map, frames, arena);
  }
  return state;
}

void
sora_vae_encoder_state_free (SoraVaeEncoderState *state)
{
  if (state == NULL)
    return;
  for (guint i = 0; i < SORA_VAE_MAX_LEVELS; i++)
    sora_vae_level_state_clear (&state->levels[i]);
  g_free (state);
}

void
sora_vae_encoder_reset (SoraVaeEncoderState *state, SoraQueue *queue)
{
  for (guint i = 0; i < SORA_VAE_MAX_LEVELS; i++)
    sora_vae_level_state_reset (&state->levels[i], queue);
}

/* @latents: plain, its frame 0 the chunk's first */
static void
encode_chunk (SoraVae *vae, SoraVaeEncoderState *state, SoraQueue *queue, const SoraByteFrames *rgb, guint n_latents,
    const SoraFeatureMap *latents)
{
  const SoraVaeHalf *half = &vae->encoder;
  const SoraConvolutionEpilogue relu = { TRUE };
  const SoraFeatureMap *x = &state->first;
  guint frames = n_latents * vae->config->time_scale;

  sora_pixel_unshuffle_run (queue, rgb, &state->pixels, frames);
  sora_convolution_run (queue, half->first, &state->pixels, x, frames, &relu);
  for (guint i = 0; i < half->n_levels; i++) {
    sora_convolution_run (queue, half->levels[i].resample, x, sora_vae_level_state_input (&state->levels[i]), frames, NULL);
    frames >>= vae->config->encoder.time[i];
    sora_vae_level_run (&half->levels[i], &state->levels[i], queue, frames);
    x = sora_vae_level_state_output (&state->levels[i]);
  }
  sora_convolution_run (queue, half->last, x, latents, frames, NULL);
}

/* The chunk is over: all levels remember its last frame, or, if it was cancelled, none does. */
static void
remember_chunk (SoraVae *vae, SoraVaeEncoderState *state, SoraQueue *queue, guint n_latents)
{
  guint frames = n_latents * vae->config->time_scale;

  sora_queue_begin_atomic (queue);
  for (guint i = 0; i < vae->encoder.n_levels; i++) {
    frames >>= vae->config->encoder.time[i];
    sora_vae_level_state_remember (&state->levels[i], queue, frames);
  }
  sora_queue_end_atomic (queue);
}

void
sora_vae_encode (SoraVae *vae, SoraVaeEncoderState *state, SoraQueue *queue, cl_mem rgb, guint n_latents, cl_mem latents)
{
  const SoraVaeConfig *c = vae->config;

  for (guint done = 0, n; done < n_latents; done += n) {
    const SoraByteFrames source = { rgb, done * c->time_scale, c->image_channels, c->patch_size };
    const SoraFeatureMap target = { latents, done, 0, state->height, state->width, c->latent_channels };

    n = MIN (state->chunk, n_latents - done);
    encode_chunk (vae, state, queue, &source, n, &target);
    if (!sora_queue_has_failed (queue))
      remember_chunk (vae, state, queue, n);
  }
}
