/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One level of TAEHV: its feature maps, its memory blocks, and what they remember of the frame before. */
#include "stages/taehv-private.h"

/* floats a chunk's largest feature map may have: 256 MB */
#define MAX_MAP_FLOATS (64 * 1024 * 1024)

gsize
sora_taehv_map_init (SoraFeatureMap *map, guint height, guint width, guint channels, guint frames, SoraArena *arena)
{
  *map = (SoraFeatureMap) { NULL, 0, 1, height, width, channels };
  sora_arena_add (arena, &map->mem, sora_feature_map_floats (map, frames));
  return sora_feature_map_floats (map, frames);
}

guint
sora_taehv_chunk (const SoraVaeConfig *config, guint height, guint width, guint max_latents)
{
  guint64 scale = config->spatial_scale / config->patch_size, channels = 1, one;

  for (guint i = 0; i <= config->decoder.n_levels; i++)
    channels = MAX (channels, config->decoder.widths[i]);
  one = height * scale * width * scale * config->time_scale * channels;
  return CLAMP (MAX_MAP_FLOATS / one, 1, max_latents);
}

gsize
sora_taehv_level_state_init (SoraTaehvLevelState *state, guint n_blocks, const SoraFeatureMap *map, guint frames, SoraArena *arena)
{
  state->n_blocks = n_blocks;
  state->inputs = g_new0 (SoraFeatureMap, n_blocks);
  for (guint i = 0; i < n_blocks; i++) {
    state->inputs[i] = *map;
    state->inputs[i].past = 1;
    sora_arena_add (arena, &state->inputs[i].mem, sora_feature_map_floats (&state->inputs[i], frames));
  }
  for (guint i = 0; i < 2; i++) {
    state->scratch[i] = *map;
    sora_arena_add (arena, &state->scratch[i].mem, sora_feature_map_floats (map, frames));
  }
  return sora_feature_map_floats (n_blocks > 0 ? &state->inputs[0] : map, frames);
}

void
sora_taehv_level_state_clear (SoraTaehvLevelState *state)
{
  g_clear_pointer (&state->inputs, g_free);
}

void
sora_taehv_level_state_reset (SoraTaehvLevelState *state, SoraQueue *queue)
{
  for (guint i = 0; i < state->n_blocks; i++)
    sora_queue_zero (queue, state->inputs[i].mem, 0, sora_feature_map_frame (&state->inputs[i]) * sizeof (gfloat));
}

const SoraFeatureMap *
sora_taehv_level_state_input (const SoraTaehvLevelState *state)
{
  return state->n_blocks > 0 ? &state->inputs[0] : &state->scratch[0];
}

const SoraFeatureMap *
sora_taehv_level_state_output (const SoraTaehvLevelState *state)
{
  return &state->scratch[0];
}

void
sora_taehv_level_run (const SoraTaehvLevel *level, SoraTaehvLevelState *state, SoraQueue *queue, guint frames)
{
  const SoraConvolutionEpilogue relu = { TRUE };

  for (guint i = 0; i < level->n_blocks; i++) {
    const SoraFeatureMap *x = &state->inputs[i], *y = i + 1 < level->n_blocks ? x + 1 : &state->scratch[0];
    const SoraConvolutionEpilogue relu_of_sum = { TRUE, *x };

    sora_convolution_run (queue, level->blocks[i].conv[0], x, &state->scratch[0], frames, &relu);
    sora_convolution_run (queue, level->blocks[i].conv[1], &state->scratch[0], &state->scratch[1], frames, &relu);
    sora_convolution_run (queue, level->blocks[i].conv[2], &state->scratch[1], y, frames, &relu_of_sum);
  }
}

void
sora_taehv_level_state_remember (SoraTaehvLevelState *state, SoraQueue *queue, guint frames)
{
  for (guint i = 0; i < state->n_blocks; i++) {
    gsize bytes = sora_feature_map_frame (&state->inputs[i]) * sizeof (gfloat);

    sora_queue_copy (queue, state->inputs[i].mem, frames * bytes, state->inputs[i].mem, 0, bytes);
  }
}
