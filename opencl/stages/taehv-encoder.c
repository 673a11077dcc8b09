/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Frames to latents: pixel unshuffle, levels that shrink in space and time, a last convolution that also normalises. */
#include "ops/pixel-shuffle.h"
#include "stages/taehv-private.h"

#include <string.h>

#define GREY 128                /* of 255: half a step above the middle */

struct _SoraTaehvEncoderState {
  guint chunk;                  /* latents at once */
  guint64 largest;              /* floats of the largest map */
  guint height, width;          /* of a latent */
  SoraFeatureMap pixels;        /* [chunk · time_scale, full height, full width, image_channels · patch_size²] */
  SoraFeatureMap first;         /* ... first width */
  SoraTaehvLevelState levels[SORA_VAE_MAX_LEVELS];
};

SoraTaehvEncoderState *
sora_taehv_encoder_state_new (SoraTaehv *taehv, guint height, guint width, guint max_latents, SoraArena *arena)
{
  const SoraVaeConfig *c = taehv->config;
  SoraTaehvEncoderState *state = g_new0 (SoraTaehvEncoderState, 1);
  guint scale = c->spatial_scale / c->patch_size, frames;
  gsize pixels, first;

  state->chunk = sora_taehv_chunk (c, height, width, max_latents);
  state->height = height;
  state->width = width;
  frames = state->chunk * c->time_scale;
  height *= scale;
  width *= scale;
  pixels = sora_taehv_map_init (&state->pixels, height, width, c->image_channels * c->patch_size * c->patch_size, frames, arena);
  first = sora_taehv_map_init (&state->first, height, width, c->encoder.widths[0], frames, arena);
  state->largest = MAX (pixels, first);
  for (guint i = 0; i < c->encoder.n_levels; i++) {
    SoraFeatureMap map = { NULL, 0, 1, 0, 0, c->encoder.widths[i + 1] };
    gsize floats;

    map.height = height >>= c->encoder.space[i];
    map.width = width >>= c->encoder.space[i];
    frames >>= c->encoder.time[i];
    floats = sora_taehv_level_state_init (&state->levels[i], c->encoder.blocks[i], &map, frames, arena);
    state->largest = MAX (state->largest, floats);
  }
  return state;
}

void
sora_taehv_encoder_state_free (SoraTaehvEncoderState *state)
{
  if (state == NULL)
    return;
  for (guint i = 0; i < SORA_VAE_MAX_LEVELS; i++)
    sora_taehv_level_state_clear (&state->levels[i]);
  g_free (state);
}

guint64
sora_taehv_encoder_state_get_largest (const SoraTaehvEncoderState *state)
{
  return state->largest;
}

void
sora_taehv_encoder_reset (SoraTaehvEncoderState *state, SoraQueue *queue)
{
  for (guint i = 0; i < SORA_VAE_MAX_LEVELS; i++)
    sora_taehv_level_state_reset (&state->levels[i], queue);
}

/* @latents: plain, its frame 0 the chunk's first */
static void
encode_chunk (SoraTaehv *taehv, SoraTaehvEncoderState *state, SoraQueue *queue, const SoraByteFrames *rgb, guint n_latents,
    const SoraFeatureMap *latents)
{
  const SoraTaehvHalf *half = &taehv->encoder;
  const SoraConvolutionEpilogue relu = { TRUE };
  const SoraFeatureMap *x = &state->first;
  guint frames = n_latents * taehv->config->time_scale;

  sora_pixel_unshuffle_run (queue, rgb, &state->pixels, frames);
  sora_convolution_run (queue, half->first, &state->pixels, x, frames, &relu);
  for (guint i = 0; i < half->n_levels; i++) {
    sora_convolution_run (queue, half->levels[i].resample, x, sora_taehv_level_state_input (&state->levels[i]), frames, NULL);
    frames >>= taehv->config->encoder.time[i];
    sora_taehv_level_run (&half->levels[i], &state->levels[i], queue, frames);
    x = sora_taehv_level_state_output (&state->levels[i]);
  }
  sora_convolution_run (queue, half->last, x, latents, frames, NULL);
}

/* The chunk is over: all levels remember its last frame, or, if it was cancelled, none does. */
static void
remember_chunk (SoraTaehv *taehv, SoraTaehvEncoderState *state, SoraQueue *queue, guint n_latents)
{
  guint frames = n_latents * taehv->config->time_scale;

  sora_queue_begin_atomic (queue);
  for (guint i = 0; i < taehv->encoder.n_levels; i++) {
    frames >>= taehv->config->encoder.time[i];
    sora_taehv_level_state_remember (&state->levels[i], queue, frames);
  }
  sora_queue_end_atomic (queue);
}

void
sora_taehv_encode (SoraTaehv *taehv, SoraTaehvEncoderState *state, SoraQueue *queue, cl_mem rgb, guint n_latents, cl_mem latents)
{
  const SoraVaeConfig *c = taehv->config;

  for (guint done = 0, n; done < n_latents; done += n) {
    const SoraByteFrames source = { rgb, done * c->time_scale, c->image_channels, c->patch_size };
    const SoraFeatureMap target = { latents, done, 0, state->height, state->width, c->latent_channels };

    n = MIN (state->chunk, n_latents - done);
    encode_chunk (taehv, state, queue, &source, n, &target);
    if (!sora_queue_has_failed (queue))
      remember_chunk (taehv, state, queue, n);
  }
}

void
sora_taehv_encode_greyed (SoraTaehv *taehv, SoraTaehvEncoderState *state, SoraQueue *queue, cl_mem rgb, guint n_grey, cl_mem latent)
{
  const SoraVaeConfig *c = taehv->config;
  gsize size = (gsize) n_grey * c->image_channels * state->height * state->width * c->spatial_scale * c->spatial_scale;
  g_autofree guint8 *grey = g_malloc (MAX (size, 1));

  memset (grey, GREY, size);
  sora_queue_write (queue, rgb, 0, size, grey);
  sora_taehv_encode (taehv, state, queue, rgb, 1, latent);
}
