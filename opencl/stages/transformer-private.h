/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The transformer's weights and a stream's state, shared by the files that load, condition and run them.
 *
 * Everything a branch has rows of is stored with the branches side by side: row = position * branches + branch. So the past
 * and the current block are contiguous for every branch at once, and a linear over all branches is one launch.
 *
 * Nothing tells the branches apart before the text enters, which is in the first layer's cross-attention. So the first layer's
 * self-attention, its cache included, has one branch. */
#pragma once

#include "stages/loader.h"
#include "stages/transformer.h"

G_BEGIN_DECLS

#define SORA_TRANSFORMER_MAX_BRANCHES 2

/* dim = num_attention_heads * attention_head_dim */
typedef struct {
  SoraLinear *q;                /* [dim, dim] */
  SoraLinear *kv;               /* [2 dim, dim]: keys, then values */
  SoraLinear *out;              /* [dim, dim] */
  cl_mem norm_q, norm_k;        /* [dim]: over all heads at once */
  SoraLinear *image_kv;         /* [2 dim, dim]: of the image's embeddings; NULL in what does not attend to them, as is the next */
  cl_mem norm_image_k;          /* [dim] */
} SoraTransformerAttention;

typedef struct {
  SoraTransformerAttention self, cross;
  cl_mem norm2_weight, norm2_bias;      /* [dim]; NULL without cross_attn_norm */
  SoraLinear *ffn_in, *ffn_out; /* [ffn_dim, dim], [dim, ffn_dim] */
} SoraTransformerLayer;

/* What makes rows as wide as the transformer of an image's embeddings. */
typedef struct {
  cl_mem positions;             /* [image_positions, image_dim]; NULL: none */
  cl_mem norm1_weight, norm1_bias;      /* [image_dim] */
  SoraLinear *linear_1, *linear_2;      /* [image_dim, image_dim], [dim, image_dim] */
  cl_mem norm2_weight, norm2_bias;      /* [dim] */
} SoraImageEmbedder;

struct _SoraTransformer {
  SoraTransformerConfig config;
  guint dim;
  guint64 size;                 /* bytes on the device */
  gboolean is_streamed;         /* not all weights are there */
  SoraLinear *patch_embedding;  /* [dim, in_channels * ph * pw] */
  SoraLinear *time_1, *time_2;  /* [dim, freq_dim], [dim, dim] */
  SoraLinear *time_proj;        /* [6 dim, dim] */
  SoraLinear *text_1, *text_2;  /* [dim, text_dim], [dim, dim] */
  SoraImageEmbedder image;      /* all NULL if image_dim is 0 */
  SoraLinear *proj_out;         /* [out_channels * ph * pw, dim] */
  cl_mem tables;                /* scale_shift_table of every layer: [num_layers, 6 dim] */
  cl_mem output_table;          /* [2 dim] */
  SoraTransformerLayer *layers;
  SoraLinearTable *linears;     /* all of them */
};

/* branches: of the layer's self-attention. Rows count from the window's start: the past, then the current block. */
typedef struct {
  cl_mem kv;                    /* [window rows * branches, 2 dim]: keys after norm_k, not rotated; values */
  cl_mem rotated;               /* [window rows * branches, dim]: the keys, rotated by their place in the window */
} SoraTransformerCache;

struct _SoraTransformerState {
  SoraTransformerShape shape;
  guint dim;
  guint tokens;                 /* of a latent frame */
  guint max_past;               /* latent frames: window_latents - block_latents */
  guint past;                   /* latent frames now in the cache */
  gboolean sink_goes;           /* with the next evaluation */
  guint n_renewals;             /* so many of the next blocks that enter the cache replace all that is there */
  guint n_text_keys[SORA_TRANSFORMER_MAX_BRANCHES];     /* own tokens, and one for the padding if there is any */

  cl_mem rope;                  /* [window_latents * tokens, head_dim / 2, 2] */
  SoraTransformerCache *caches; /* a layer; all layers share the first one if there is no past */
  cl_mem *text_kv;              /* a layer: [n_branches][text_length + 1, 2 dim] */
  cl_mem text_key_offset[SORA_TRANSFORMER_MAX_BRANCHES];        /* [text_length + 1] */
  cl_mem *image_kv;             /* a layer: [image_tokens, 2 dim]; all NULL if there are no such rows */
  cl_mem condition;             /* (transfer none): [block_latents, height, width, condition_channels]; NULL: not set, or no such channels */
  cl_mem time_embedding;        /* [max_timesteps, 2 dim]: the same twice, for the output's shift and scale */
  cl_mem time_projection;       /* [max_timesteps, 6 dim] */

  /* scratch of sora_transformer_set_timesteps() and sora_transformer_set_text() */
  cl_mem time_features;         /* [max_timesteps, freq_dim] */
  cl_mem time_hidden, time_active;      /* [max_timesteps, dim] */
  cl_mem text_padding;          /* [text_dim], zero */
  cl_mem text_hidden, text_context;     /* [text_length + 1, dim] */

  /* scratch of sora_transformer_set_image() */
  cl_mem image_normed, image_hidden;    /* [image_tokens, image_dim] */
  cl_mem image_context;         /* [image_tokens, dim] */

  /* scratch of sora_transformer_run(); positions = block_latents * tokens */
  cl_mem modulation;            /* [num_layers, block_latents, 6 dim] */
  cl_mem output_modulation;     /* [block_latents, 2 dim] */
  cl_mem patches;               /* [positions * n_branches, the wider of the patches in and out] */
  cl_mem embedded;              /* [positions, dim]: the residual stream before the text */
  cl_mem x;                     /* [positions * n_branches, dim]: the residual stream */
  cl_mem normed;                /* the same shape */
  cl_mem q;                     /* the same shape */
  cl_mem ffn;                   /* [positions * n_branches, ffn_dim, or dim if that is more and an image is attended to] */
};

static inline guint
sora_transformer_layer_branches (const SoraTransformerState *state, guint layer)
{
  return layer > 0 ? state->shape.n_branches : 1;
}

static inline const SoraTransformerCache *
sora_transformer_layer_cache (const SoraTransformerState *state, guint layer)
{
  return &state->caches[state->max_past > 0 ? layer : 0];
}

/* Rotates the un-rotated keys of latent frames @first ... @first + @n - 1 of the window, of the first @n_branches branches. */
void sora_transformer_rotate_keys (SoraTransformer *transformer, SoraTransformerState *state, SoraQueue *queue, guint layer,
    guint n_branches, guint first, guint n);

/* Takes the current block, @n_latents, into the past; what leaves the window, or is replaced, is dropped. */
void sora_transformer_remember (SoraTransformer *transformer, SoraTransformerState *state, SoraQueue *queue, guint n_latents);

/* Drops the sink. */
void sora_transformer_drop_sink (SoraTransformer *transformer, SoraTransformerState *state, SoraQueue *queue);

/* Whether attention whose queries are of this linear is computed in bf16. A small model would gain less than a millisecond a step, and its very
 * first frame would wait more than a second for PoCL to compile the kernel. */
gboolean sora_transformer_attends_in_bf16 (const SoraTransformer *t, const SoraLinear *queries);

G_END_DECLS
