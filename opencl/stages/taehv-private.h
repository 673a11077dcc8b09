/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* TAEHV's weights as both halves use them, and a level's working memory. */
#pragma once

#include "ops/convolution.h"
#include "stages/taehv.h"

G_BEGIN_DECLS

/* relu (conv (relu (conv (relu (conv (x, x of the frame before)))) + x) */
typedef struct {
  SoraConvolution *conv[3];
} SoraTaehvBlock;

/* Memory blocks and a change of size: after them in the decoder, before them in the encoder. */
typedef struct {
  guint n_blocks;
  SoraTaehvBlock *blocks;       /* [n_blocks] */
  SoraConvolution *resample;
} SoraTaehvLevel;

/* Encoder or decoder, in the order in which data flows. */
typedef struct {
  SoraConvolution *first;
  guint n_levels;
  SoraTaehvLevel levels[SORA_VAE_MAX_LEVELS];
  SoraConvolution *last;
} SoraTaehvHalf;

struct _SoraTaehv {
  const SoraVaeConfig *config;
  SoraTaehvHalf decoder, encoder;       /* without convolutions unless asked for */
  cl_mem mean, std;             /* [latent_channels] */
  guint64 size;                 /* bytes */
};

/* A level's feature maps: the input of each block (which keeps one frame of the past) and two for what lies between. */
typedef struct {
  guint n_blocks;
  SoraFeatureMap *inputs;       /* [n_blocks] */
  SoraFeatureMap scratch[2];
} SoraTaehvLevelState;

/* Declares the maps for @frames frames of the size of @map. Returns: floats of the largest. */
gsize sora_taehv_level_state_init (SoraTaehvLevelState *state, guint n_blocks, const SoraFeatureMap *map, guint frames, SoraArena *arena);
void sora_taehv_level_state_clear (SoraTaehvLevelState *state);
void sora_taehv_level_state_reset (SoraTaehvLevelState *state, SoraQueue *queue);
/* Where the level's input is to be written, and where its output will be. */
const SoraFeatureMap *sora_taehv_level_state_input (const SoraTaehvLevelState *state);
const SoraFeatureMap *sora_taehv_level_state_output (const SoraTaehvLevelState *state);
/* Runs the memory blocks; what they remember stays as it is. */
void sora_taehv_level_run (const SoraTaehvLevel *level, SoraTaehvLevelState *state, SoraQueue *queue, guint frames);
/* Afterwards: the last of @frames frames is what each block remembers. */
void sora_taehv_level_state_remember (SoraTaehvLevelState *state, SoraQueue *queue, guint frames);

/* A map of @frames frames, declared in @arena. Returns: its floats. */
gsize sora_taehv_map_init (SoraFeatureMap *map, guint height, guint width, guint channels, guint frames, SoraArena *arena);

/* How many latents are worked on at once: a large picture one by one, which bounds the memory. */
guint sora_taehv_chunk (const SoraVaeConfig *config, guint height, guint width, guint max_latents);

/* What the decoder's last convolution wrote in the last chunk: [frames, height, width, image_channels · patch_size²], not clamped. */
const SoraFeatureMap *sora_taehv_decoder_state_get_features (const SoraTaehvDecoderState *state);

G_END_DECLS
