/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The VAE's weights as both halves use them, and a level's working memory. */
#pragma once

#include "ops/convolution.h"
#include "stages/vae.h"

G_BEGIN_DECLS

/* relu (conv (relu (conv (relu (conv (x, x of the frame before)))) + x) */
typedef struct {
  SoraConvolution *conv[3];
} SoraVaeBlock;

/* Memory blocks and a change of size: after them in the decoder, before them in the encoder. */
typedef struct {
  guint n_blocks;
  SoraVaeBlock *blocks;         /* [n_blocks] */
  SoraConvolution *resample;
} SoraVaeLevel;

/* Encoder or decoder, in the order in which data flows. */
typedef struct {
  SoraConvolution *first;
  guint n_levels;
  SoraVaeLevel levels[SORA_VAE_MAX_LEVELS];
  SoraConvolution *last;
} SoraVaeHalf;

struct _SoraVae {
  const SoraVaeConfig *config;
  SoraVaeHalf decoder, encoder; /* without convolutions unless asked for */
  cl_mem mean, std;             /* [latent_channels] */
  guint64 size;                 /* bytes */
};

/* A level's feature maps: the input of each block (which keeps one frame of the past) and two for what lies between. */
typedef struct {
  guint n_blocks;
  SoraFeatureMap *inputs;       /* [n_blocks] */
  SoraFeatureMap scratch[2];
} SoraVaeLevelState;

/* Declares the maps for @frames frames of the size of @map. */
void sora_vae_level_state_init (SoraVaeLevelState *state, guint n_blocks, const SoraFeatureMap *map, guint frames, SoraArena *arena);
void sora_vae_level_state_clear (SoraVaeLevelState *state);
void sora_vae_level_state_reset (SoraVaeLevelState *state, SoraQueue *queue);
/* Where the level's input is to be written, and where its output will be. */
const SoraFeatureMap *sora_vae_level_state_input (const SoraVaeLevelState *state);
const SoraFeatureMap *sora_vae_level_state_output (const SoraVaeLevelState *state);
/* Runs the memory blocks; what they remember stays as it is. */
void sora_vae_level_run (const SoraVaeLevel *level, SoraVaeLevelState *state, SoraQueue *queue, guint frames);
/* Afterwards: the last of @frames frames is what each block remembers. */
void sora_vae_level_state_remember (SoraVaeLevelState *state, SoraQueue *queue, guint frames);

/* A bordered map of @frames frames, declared in @arena. */
void sora_vae_map_init (SoraFeatureMap *map, guint height, guint width, guint channels, guint frames, SoraArena *arena);

/* How many latents are worked on at once: a large picture one by one, which bounds the memory. */
guint sora_vae_chunk (const SoraVaeConfig *config, guint height, guint width, guint max_latents);

/* What the decoder's last convolution wrote in the last chunk: [frames, height, width, image_channels · patch_size²], not clamped. */
const SoraFeatureMap *sora_vae_decoder_state_get_features (const SoraVaeDecoderState *state);

G_END_DECLS
