/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a stream is while it runs: the fields that all of its files (stream.c and stream-*.c) work on. */
#pragma once

#include "model-private.h"
#include "stages/sampler.h"
#include "stream-image.h"
#include "stream-private.h"

G_BEGIN_DECLS

#define MAX_GUIDANCE_SCALE 100

/* What a stage took. */
typedef struct {
  gint64 load, run;             /* microseconds */
  guint64 weight_bytes;
} SoraStageUse;

struct _SoraStream {
  SoraModel *model;
  SoraResident *vae, *text_encoder, *experts[2];        /* NULL: not taken at present */
  guint64 text_bytes;           /* that a text encoder which was released takes at least when it comes back */
  SoraQueue *queue;
  SoraStreamOptions *options;   /* resolved: no "model's own" left */
  guint latent_width, latent_height;
  guint block_latents;          /* latent frames a block */
  guint n_branches;             /* 2 with guidance */

  SoraTransformer *transformer; /* the expert that the state is for at present; NULL: none */
  guint expert;                 /* its number; an address says nothing, as one that was freed may come again */
  gboolean conditioned;         /* the state has the timesteps and the image as this transformer makes them */
  SoraTextEncoderState *text_state;
  SoraTransformerState *transformer_state;
  SoraVaeDecoderState *decoder_state;
  SoraSampler *sampler;
  SoraStreamImage *image;       /* what block 0 begins with; NULL: none */
  SoraArena *arena;
  cl_mem embeddings;            /* [n_branches][text_length, text_dim] */
  guint n_tokens[2];            /* a branch's rows of them */
  cl_mem latents;               /* [block_latents, latent_height, latent_width, channels] */
  cl_mem shown;                 /* [latent_height, latent_width, channels]: the last latents of the block before; NULL: there is no coring */
  cl_mem changes;               /* [latent_height, latent_width]: what coring notes of a latent; NULL: there is none */
  guint vae_tile;               /* pixels; 0: the VAE decodes the whole picture at once */
  cl_mem decoded;               /* [latents that it decodes a call, latent_height, latent_width, channels], what it is given */
  cl_mem rgb;                   /* bytes [as many · time_scale, height, width, 3] */
  cl_mem flag;                  /* int: 1 once latents were not finite */

  guint64 next_block;
  gboolean uncommitted;         /* the latest block's latents are not in the cache yet: done when the next is begun */
  SoraBlock *unfinished;        /* the block that is being decoded: its latents are clean. NULL: none is */
  guint n_read;                 /* of its latents: decoded and read back */
  guint n_decoded;              /* of those after them: decoded into @rgb, not read back yet */
  gboolean text_ready[2];       /* a branch: its prompt's embeddings are in place */
  gboolean text_set[2];         /* a branch: so are the transformer's keys and values of them */
  gboolean text_seen[2];        /* a branch: the tap has seen its prompt's embeddings */
  gchar *prompt;                /* the current block's */
  gboolean prompt_changed;      /* since the latest block that entered the cache */
  gdouble guidance[2];          /* an expert's */

  SoraStageUse stages[SORA_STAGE_VAE + 1];

  SoraModelLoras *first_loras, *loras;  /* those of sora_stream_new(), and those of the parts at present; NULL: none */
  GMutex lock;                  /* guards all down to pending_loras */
  gchar *pending_prompt;        /* NULL: unchanged */
  gdouble pending_guidance;     /* -1: the model's own */
  gboolean has_pending_loras;
  SoraModelLoras *pending_loras;        /* NULL: none */

  SoraProgressFunc progress;    /* while sora_stream_new() runs */
  gpointer progress_data;
  SoraTapFunc tap;
  gpointer tap_data;
};

static inline gsize
sora_stream_latent_floats (SoraStream *stream, guint n_latents)
{
  return (gsize) n_latents * stream->latent_height * stream->latent_width * stream->model->vae.latent_channels;
}

/* Whether the image is block 0's first latent; else the model is given it with the noise. */
static inline gboolean
sora_stream_holds_image (SoraStream *stream)
{
  return stream->image && sora_model_get_condition_channels (stream->model) == 0;
}

/* What has been run since @start, a monotonic time, was @stage. It is waited for if somebody wants to know. */
static inline void
sora_stream_end_stage (SoraStream *stream, SoraStage stage, gint64 start)
{
  if (!stream->options->stage_times)
    return;
  clFinish (sora_queue_get_cl (stream->queue));
  stream->stages[stage].run += g_get_monotonic_time () - start;
}

static inline void
sora_stream_end_loading (SoraStream *stream, SoraStage stage, gint64 start, guint64 weight_bytes)
{
  stream->stages[stage].load += g_get_monotonic_time () - start;
  stream->stages[stage].weight_bytes = weight_bytes;
}

static inline void
sora_stream_report (SoraStream *stream, gdouble fraction, const gchar *what)
{
  if (stream->progress)
    stream->progress (fraction, what, stream->progress_data);
}

G_END_DECLS
