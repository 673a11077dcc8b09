/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Latents to frames: tanh clamp, levels that grow in space and time, pixel shuffle. */
#include "ops/pixel-shuffle.h"
#include "ops/tanh-clamp.h"
#include "stages/taehv-private.h"

struct _SoraTaehvDecoderState {
  guint chunk;                  /* latents at once */
  guint64 largest;              /* floats of the largest map */
  SoraFeatureMap latents;       /* [chunk, height, width, latent_channels] */
  SoraTaehvLevelState levels[SORA_VAE_MAX_LEVELS];
  SoraFeatureMap grown;         /* [chunk · time_scale, full height, full width, last width] */
  SoraFeatureMap features;      /* ... image_channels · patch_size² */
};

SoraTaehvDecoderState *
sora_taehv_decoder_state_new (SoraTaehv *taehv, guint height, guint width, guint max_latents, SoraArena *arena)
{
  const SoraVaeConfig *c = taehv->config;
  SoraTaehvDecoderState *state = g_new0 (SoraTaehvDecoderState, 1);
  gsize grown;
  guint frames = sora_taehv_chunk (c, height, width, max_latents);

  state->chunk = frames;
  state->largest = sora_taehv_map_init (&state->latents, height, width, c->latent_channels, frames, arena);
  for (guint i = 0; i < c->decoder.n_levels; i++) {
    const SoraFeatureMap map = { NULL, 0, 1, height, width, c->decoder.widths[i] };
    gsize floats = sora_taehv_level_state_init (&state->levels[i], c->decoder.blocks[i], &map, frames, arena);

    state->largest = MAX (state->largest, floats);
    height <<= c->decoder.space[i];
    width <<= c->decoder.space[i];
    frames <<= c->decoder.time[i];
  }
  grown = sora_taehv_map_init (&state->grown, height, width, c->decoder.widths[c->decoder.n_levels], frames, arena);
  state->largest = MAX (state->largest, grown);
  state->features = (SoraFeatureMap) { NULL, 0, 0, height, width, c->image_channels * c->patch_size * c->patch_size };
  sora_arena_add (arena, &state->features.mem, sora_feature_map_floats (&state->features, frames));
  state->largest = MAX (state->largest, sora_feature_map_floats (&state->features, frames));
  return state;
}

void
sora_taehv_decoder_state_free (SoraTaehvDecoderState *state)
{
  if (state == NULL)
    return;
  for (guint i = 0; i < SORA_VAE_MAX_LEVELS; i++)
    sora_taehv_level_state_clear (&state->levels[i]);
  g_free (state);
}

void
sora_taehv_decoder_reset (SoraTaehvDecoderState *state, SoraQueue *queue)
{
  for (guint i = 0; i < SORA_VAE_MAX_LEVELS; i++)
    sora_taehv_level_state_reset (&state->levels[i], queue);
}

guint
sora_taehv_decoder_state_get_chunk (const SoraTaehvDecoderState *state)
{
  return state->chunk;
}

guint64
sora_taehv_decoder_state_get_largest (const SoraTaehvDecoderState *state)
{
  return state->largest;
}

const SoraFeatureMap *
sora_taehv_decoder_state_get_features (const SoraTaehvDecoderState *state)
{
  return &state->features;
}

/* @latents: plain, its frame 0 the chunk's first */
static void
decode_chunk (SoraTaehv *taehv, SoraTaehvDecoderState *state, SoraQueue *queue, const SoraFeatureMap *latents, guint n_latents,
    const SoraByteFrames *rgb)
{
  const SoraTaehvHalf *half = &taehv->decoder;
  const SoraConvolutionEpilogue relu = { TRUE };
  guint frames = n_latents;

  sora_tanh_clamp_run (queue, latents, taehv->mean, taehv->std, &state->latents, frames);
  sora_convolution_run (queue, half->first, &state->latents, sora_taehv_level_state_input (&state->levels[0]), frames, &relu);
  for (guint i = 0; i < half->n_levels; i++) {
    gboolean is_last = i + 1 == half->n_levels;
    const SoraFeatureMap *next = is_last ? &state->grown : sora_taehv_level_state_input (&state->levels[i + 1]);

    sora_taehv_level_run (&half->levels[i], &state->levels[i], queue, frames);
    sora_convolution_run (queue, half->levels[i].resample, sora_taehv_level_state_output (&state->levels[i]), next, frames,
        is_last ? &relu : NULL);
    frames <<= taehv->config->decoder.time[i];
  }
  sora_convolution_run (queue, half->last, &state->grown, &state->features, frames, NULL);
  sora_pixel_shuffle_run (queue, &state->features, rgb, frames);
}

/* The chunk is over: all levels remember its last frame, or, if it was cancelled, none does. */
static void
remember_chunk (SoraTaehv *taehv, SoraTaehvDecoderState *state, SoraQueue *queue, guint n_latents)
{
  guint frames = n_latents;

  sora_queue_begin_atomic (queue);
  for (guint i = 0; i < taehv->decoder.n_levels; i++) {
    sora_taehv_level_state_remember (&state->levels[i], queue, frames);
    frames <<= taehv->config->decoder.time[i];
  }
  sora_queue_end_atomic (queue);
}

void
sora_taehv_decode (SoraTaehv *taehv, SoraTaehvDecoderState *state, SoraQueue *queue, cl_mem latents, guint n_latents, cl_mem rgb)
{
  const SoraVaeConfig *c = taehv->config;

  for (guint done = 0, n; done < n_latents; done += n) {
    const SoraFeatureMap source = { latents, done, 0, state->latents.height, state->latents.width, c->latent_channels };
    const SoraByteFrames target = { rgb, done * c->time_scale, c->image_channels, c->patch_size };

    n = MIN (state->chunk, n_latents - done);
    decode_chunk (taehv, state, queue, &source, n, &target);
    if (!sora_queue_has_failed (queue))
      remember_chunk (taehv, state, queue, n);
  }
}
