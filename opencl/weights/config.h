/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The JSON files of a model directory, read and checked into plain structs. */
#pragma once

#include <glib.h>
#include <sora/error.h>
#include <sora/sampler.h>

G_BEGIN_DECLS

typedef enum { SORA_PREDICTION_FLOW, SORA_PREDICTION_SAMPLE } SoraPredictionType;

/* runs of white space only, or as Wan's pipelines do */
typedef enum { SORA_PROMPT_WHITESPACE, SORA_PROMPT_WAN } SoraPromptCleaning;

/* what a SoraSamplerType is called, then NULL */
extern const gchar *const sora_sampler_names[];

#define SORA_MAX_SIZES 16

/* Wan 2.2 A14B's boundaries: text to video, image to video */
#define SORA_WAN_BOUNDARY 0.875
#define SORA_WAN_IMAGE_BOUNDARY 0.9

/* sora.json; a directory without one is a bidirectional Wan model with Wan's own defaults */
typedef struct {
  gchar *name;                  /* or NULL */
  gboolean causal;
  guint block_latents, window_latents;  /* latent frames */
  gdouble context_timestep;     /* 0 ... 1000 */
  gdouble context_noise;        /* sigma, 0 ... 1 */
  guint sink_latents;           /* of window_latents: latent frames of the beginning that are never dropped */
  gdouble change_noise;         /* sigma, 0 ... 1: of what a new prompt's first block sees of the past; 0: as of all context */
  gdouble coring_threshold;     /* of temporal coring, as sora_coring_run() has it; 0: none */
  gboolean context_alone;       /* the pass that fills the cache sees its own block only */
  guint text_length;            /* rows that the cross-attention sees */
  SoraPromptCleaning prompt_cleaning;
  gint frame_rate[2];
  guint n_sizes, sizes[SORA_MAX_SIZES][2];      /* width, height in pixels */
  guint default_latents;
  SoraSamplerType sampler;
  guint steps;
  gdouble shift, guidance_scale;
  gdouble boundary_ratio;       /* of two experts: the first makes the steps at timesteps of 1000 times this or more. 0: not said */
  gdouble guidance_scale_2;     /* of the second expert; -1: not said */
  SoraPredictionType prediction;
} SoraStreamingConfig;

/* text_encoder/config.json, UMT5 */
typedef struct {
  guint vocab_size, d_model, d_kv, d_ff, num_layers, num_heads;
  guint relative_attention_num_buckets, relative_attention_max_distance;
  gdouble layer_norm_epsilon;
} SoraTextEncoderConfig;

/* transformer/config.json, WanTransformer3DModel */
typedef struct {
  guint in_channels, out_channels;
  guint patch_size[3];          /* t, h, w */
  guint num_attention_heads, attention_head_dim, num_layers, ffn_dim;
  guint text_dim, freq_dim;
  gboolean cross_attn_norm;
  gdouble eps;
  guint image_dim;              /* of an image's embeddings that it attends to besides the text; 0: it does not */
  guint image_positions;        /* rows of image embeddings that have a place of their own, of two images; 0: one image, and none has */
} SoraTransformerConfig;

#define SORA_VAE_MAX_LEVELS 4

typedef struct {
  guint n_levels;
  guint widths[SORA_VAE_MAX_LEVELS + 1];
  guint blocks[SORA_VAE_MAX_LEVELS];
  gboolean time[SORA_VAE_MAX_LEVELS], space[SORA_VAE_MAX_LEVELS];       /* a factor of 2 at this level? */
} SoraVaeLevels;

/* The layers of an AutoencoderKLWan */
typedef struct {
  guint base_dim, decoder_base_dim;
  guint n_levels, dim_mult[SORA_VAE_MAX_LEVELS];        /* in the encoder's order */
  guint num_res_blocks;
  gboolean temperal_downsample[SORA_VAE_MAX_LEVELS];    /* [n_levels - 1] */
  gboolean is_residual;         /* each level has a shortcut past its change of size */
} SoraWanVaeConfig;

typedef enum { SORA_VAE_TAEHV, SORA_VAE_WAN } SoraVaeKind;

/* vae/config.json */
typedef struct {
  SoraVaeKind kind;
  guint image_channels, patch_size, latent_channels;
  SoraVaeLevels encoder, decoder;       /* TAEHV */
  SoraWanVaeConfig wan;
  guint frames_to_trim;         /* frames that the first latent has fewer than time_scale */
  gfloat *latents_mean, *latents_std;   /* [latent_channels] */
  guint spatial_scale, time_scale;      /* derived: pixels a latent, frames a latent */
} SoraVaeConfig;

/* Each reads and checks one file; FALSE with a SoraModelError naming file and field, and nothing to clear. */
gboolean sora_streaming_config_load (SoraStreamingConfig *config, const gchar *path, GError **error);
/* For a model without sora.json: bidirectional, with Wan's defaults, and the sampler and shift of @scheduler_path, unless that is NULL. */
gboolean sora_streaming_config_init_wan (SoraStreamingConfig *config, guint latent_channels, const gchar *scheduler_path,
    GError **error);
/* The same where two experts share the steps: Wan 2.2 A14B's defaults but for the boundary, for a model that goes on from an image or one that
 * does not. With @scheduler_path, its shift stays. */
void sora_streaming_config_set_wan_experts (SoraStreamingConfig *config, gboolean from_image, const gchar *scheduler_path);
/* The same for a Wan that was distilled to a few steps, block after block, as by Self-Forcing. */
void sora_streaming_config_set_wan_causal (SoraStreamingConfig *config);
gboolean sora_text_encoder_config_load (SoraTextEncoderConfig *config, const gchar *path, GError **error);
gboolean sora_transformer_config_load (SoraTransformerConfig *config, const gchar *path, GError **error);
gboolean sora_vae_config_load (SoraVaeConfig *config, const gchar *path, GError **error);
/* What follows from the layers of an AutoencoderKLWan and its patches. Returns: (nullable): what is wrong with them */
const gchar *sora_vae_config_complete_wan (SoraVaeConfig *config);
void sora_streaming_config_clear (SoraStreamingConfig *config);
void sora_vae_config_clear (SoraVaeConfig *config);

G_END_DECLS
