/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The fields behind a stream's options and behind a block. */
#pragma once

#include <sora/stream.h>

G_BEGIN_DECLS

/* A copy of the caller's picture */
typedef struct {
  guint8 *rgb;                  /* [height, width, 3]; NULL: none */
  guint width, height;
} SoraStreamPicture;

struct _SoraStreamOptions {
  gchar *prompt, *negative_prompt;
  gdouble guidance_scale;       /* -1: the model's own */
  gdouble guidance_scale_2;     /* of the second of two experts; -1: guidance_scale, or the model's own if that is */
  gdouble guidance_begin, guidance_end; /* shares of the schedule */
  SoraSamplerType sampler;
  guint steps;                  /* 0: the model's own */
  gdouble shift;                /* -1: the model's own */
  guint64 seed;
  guint width, height;          /* pixels; 0: the model's first choice */
  guint64 length;               /* frames; 0: endless, or the model's own clip */
  gfloat *noise;                /* [channels, latents, height, width] */
  gsize n_noise;                /* floats */
  SoraStreamPicture image, last_image;
  gchar **loras;                /* paths; NULL: none */
  gdouble *lora_weights;        /* one for each; NULL: 1 */
  SoraWeightType weight_type;
  SoraPrecision precision;
  SoraTextEncoderPolicy text_encoder_policy;
  guint64 max_memory;           /* bytes; 0: of the device */
  gint vae_tile;                /* pixels; 0: the whole picture; -1: by the memory */
  gboolean profile, stage_times;
};

SoraStreamOptions *sora_stream_options_copy (const SoraStreamOptions *options);

/* FLOPs enqueued since the stream was made */
guint64 sora_stream_get_work (SoraStream *stream);

struct _SoraBlock {
  gatomicrefcount ref_count;
  guint64 index, first_frame;
  guint n_frames, width, height;
  gsize skipped_frames;         /* decoded frames before the first one that counts */
  guint8 *rgb;                  /* [skipped_frames + n_frames, height, width, 3] */
  gdouble seconds;
  gchar *prompt;
};

G_END_DECLS
