/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A double of libsora for the element's tests: the same API, frames that tell where they come from, and faults to order. */
#pragma once

#include <sora/sora.h>

G_BEGIN_DECLS

/* What the double is; a test changes it before it makes an element. As it is at first, it is small and instant. */
typedef struct {
  guint width, height;          /* the model's first choice; its others are twice as wide, or twice as high */
  gint rate_n, rate_d;
  guint first_frames, frames;   /* of block 0, of every later one */
  guint clip_frames;            /* above 0: a model that makes clips */
  guint load_ms, block_ms;
  gint fail_block;              /* the block that fails with the error below; -1: none */
  GQuark fail_domain;           /* 0: the block fails as NUMERIC; also for the three below */
  gboolean fail_model, fail_device, fail_load;
  gint fail_code;
  gboolean quadrants;           /* red, green | blue, white pictures instead of numbered ones */
} FakeSora;

/* An image that was given: its size and three of its pixels, 0xRRGGBB. All 0: none */
typedef struct {
  guint width, height;
  guint32 corner;               /* at the top left */
  guint32 top, left;            /* in the middle of these sides */
} FakeSoraImage;

/* What has been called so far, in the process. */
typedef struct {
  gint models, devices, streams, blocks; /* now alive */
  gchar parts[16];                       /* of the last model: all that are named, joined, and a + if it is causal */
  gint generated, restarts, cancelled;   /* in all */
  guint width, height;                   /* of the last stream */
  guint64 length, seed;
  gchar *prompt, *negative_prompt;
  guint steps;
  SoraSamplerType sampler;
  gint vae_tile;
  SoraWeightType weight_type;
  SoraPrecision precision;
  SoraTextEncoderPolicy text_encoder_policy;
  guint64 max_memory;
  gdouble shift, guidance_scale_2, guidance_begin, guidance_end;
  FakeSoraImage image, last_image;       /* likewise */
} FakeSoraCalls;

extern FakeSora fake_sora;
extern FakeSoraCalls fake_sora_calls;

/* A prompt longer than this many bytes is refused. */
#define FAKE_SORA_PROMPT_BYTES 65536

/* A LoRA whose path ends so is refused. */
#define FAKE_SORA_BAD_LORA "bad.safetensors"
/* One whose path ends so is not, but has no room on the device when the next block begins. */
#define FAKE_SORA_LARGE_LORA "large.safetensors"

/* Pixel (0, 0) of frame @frame: its number in red and green, prompt, seed and guidance in blue. LoRAs change the blue, see
 * fake_sora_lora_mood(). */
guint32 fake_sora_colour (guint64 frame, guint64 seed, const gchar *prompt, gdouble guidance_scale);

/* What LoRAs add to blue, modulo 256; @paths: (nullable) */
guint8 fake_sora_lora_mood (const gchar *const *paths, const gdouble *weights);

G_END_DECLS
