/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Wan's VAE as a list of layers for each half, in the order in which data flows. */
#pragma once

#include "ops/convolution.h"
#include "ops/pixel-shuffle.h"
#include "ops/shortcut.h"
#include "stages/wan-vae.h"

G_BEGIN_DECLS

/* What a convolution's weights take in from beside it. */
typedef enum {
  SORA_WAN_PLAIN,
  SORA_WAN_LATENTS_IN,          /* the latents' scale and mean, which are taken back first */
  SORA_WAN_LATENTS_OUT,         /* mean only, no variance, and normalised */
  SORA_WAN_PATCH_IN,            /* channels (image channel, x, y) in the file, (image channel, y, x) here */
  SORA_WAN_PATCH_OUT,
} SoraWanFold;

/* A convolution and the norm before it. */
typedef struct {
  gchar *name;                  /* in the file: this and .weight, .bias */
  gchar *norm_name;             /* NULL: no norm */
  gboolean silu;                /* after the norm */
  gboolean flat;                /* the file's weights know no time */
  SoraWanFold fold;
  SoraConvolutionShape shape;
  SoraConvolution *conv;        /* NULL until loaded, and the next */
  cl_mem norm;                  /* [in_channels] */
} SoraWanConvolution;

typedef enum {
  SORA_WAN_POINTWISE,           /* 1x1, each frame by itself */
  SORA_WAN_CAUSAL,              /* 3x3x3 */
  SORA_WAN_BLOCK,               /* x + two causal convolutions */
  SORA_WAN_ATTENTION,           /* x + one head's attention within each frame */
  SORA_WAN_UP,                  /* to twice the frames if in_time, then to twice the height and width */
  SORA_WAN_DOWN,                /* to half the height and width, then to half the frames if in_time */
  SORA_WAN_FORK,                /* a shortcut begins */
  SORA_WAN_JOIN,                /* and is added */
} SoraWanLayerType;

#define SORA_WAN_CONVOLUTIONS 3

/* conv: POINTWISE, CAUSAL: one; BLOCK: both, and a pointwise one for the sum if the width changes (else its shape is zero); ATTENTION: to
 * query, key and value, and from the result; UP, DOWN: in space, and in time (else its shape is zero); FORK, JOIN: none */
typedef struct {
  SoraWanLayerType type;
  gboolean in_time;
  SoraShortcut shortcut;        /* JOIN */
  SoraWanConvolution conv[SORA_WAN_CONVOLUTIONS];
} SoraWanLayer;

struct _SoraWanVaeHalf {
  const SoraVaeConfig *config;
  gboolean decodes;
  guint n_layers;
  SoraWanLayer *layers;         /* NULL: this half is not there */
};

struct _SoraWanVae {
  SoraWanVaeHalf decoder, encoder;
  guint64 size;                 /* bytes */
};

/* Shapes and names, without weights. @original: names as in Wan's own checkpoints, else diffusers'. */
void sora_wan_vae_half_init (SoraWanVaeHalf *half, const SoraVaeConfig *config, gboolean decodes, gboolean original);
void sora_wan_vae_half_clear (SoraWanVaeHalf *half);

/* Finds the weights of all layers; with @queue (nullable) also puts them on the device, and adds to *@size. */
gboolean sora_wan_vae_half_read (SoraWanVaeHalf *half, SoraWeightFile *file, SoraPrecision precision, SoraQueue *queue, guint64 *size,
    GError **error);

/* What the last layer wrote for the last latent, or will write, before anything has run: a decoder's pixels in -1 ... 1, not clamped; and
 * its frames: of a decoder time_scale or, first, one. */
const SoraFeatureMap *sora_wan_vae_state_get_features (const SoraWanVaeState *state);
guint sora_wan_vae_state_get_n_frames (const SoraWanVaeState *state);

/* A part of a half, its layers from @first to the one before @end, as a state of its own. @input: of one latent, with @frames frames; a
 * part that begins with layer 0 takes latents or bytes, the others what sora_wan_vae_part_run() is given. @is_still: as of a state */
SoraWanVaeState *sora_wan_vae_part_new (const SoraWanVaeHalf *half, guint first, guint end, const SoraFeatureMap *input, guint frames,
    gboolean is_still, SoraArena *arena);
/* The frames of one latent, of @rgb's window, through an encoder's first layers; the first @n_grey are grey. */
void sora_wan_vae_part_encode (SoraWanVaeState *state, SoraQueue *queue, const SoraByteFrames *rgb, guint n_grey);
/* Latent number @index of @latents through the layers. @rgb: (nullable): NULL in a part that does not end with pixels */
void sora_wan_vae_decode_latent (SoraWanVaeState *state, SoraQueue *queue, cl_mem latents, guint index, cl_mem rgb);
/* One latent's @input, host floats [frames, height, width, channels], through the layers, the last of which gives pixels, if @rgb's mem is not
 * NULL; its frame 0 is the latent's first. */
void sora_wan_vae_part_run (SoraWanVaeState *state, SoraQueue *queue, const gfloat *input, guint channels, guint frames,
    const SoraByteFrames *rgb);

/* What a state remembers, to the host and back, so that several streams of latents can take turns in it. @saved: so many floats; NULL: as
 * before the first latent. sora_wan_vae_state_save() waits for the device, and is FALSE if the queue has failed. */
gsize sora_wan_vae_state_get_cache_floats (const SoraWanVaeState *state);
gboolean sora_wan_vae_state_save (SoraWanVaeState *state, SoraQueue *queue, gfloat *saved);
void sora_wan_vae_state_restore (SoraWanVaeState *state, SoraQueue *queue, const gfloat *saved);

G_END_DECLS
