/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Generation: options, a stream that is pulled block by block, and the blocks of frames it yields. */
#pragma once

#include <gio/gio.h>
#include <sora/device.h>
#include <sora/model.h>
#include <sora/sampler.h>
#include <sora/weights.h>

G_BEGIN_DECLS

/**
 * SoraStreamOptions:
 *
 * What to generate. For one thread at a time; sora_stream_new() copies it.
 *
 * prompt ""; negative prompt %NULL (the model's own); guidance scale -1 (the model's own; 1 = off), in the interval 0 to 1 (every step); sampler
 * %SORA_SAMPLER_DEFAULT, steps 0 and shift -1 (the model's own); seed 0; size 0x0 (the model's first choice); length 0 (endless if causal,
 * else the model's own clip); no image; no LoRAs; weight type, precision and text encoder policy auto; max memory 0 (nine tenths of the device's);
 * VAE tile -1 (by the memory); no profile, no times of stages.
 */
typedef struct _SoraStreamOptions SoraStreamOptions;

SORA_API SoraStreamOptions *sora_stream_options_new (void);
SORA_API void sora_stream_options_free (SoraStreamOptions *options);
SORA_API void sora_stream_options_set_prompt (SoraStreamOptions *options, const gchar *prompt);
/* Used where there is guidance. %NULL: the model's own, which for Wan is the one that its makers use; "": none */
SORA_API void sora_stream_options_set_negative_prompt (SoraStreamOptions *options, const gchar *prompt);
/* -1, or 0 to 100: v = v_negative + scale (v_prompt - v_negative) */
SORA_API void sora_stream_options_set_guidance_scale (SoraStreamOptions *options, gdouble scale);
/* -1, or 0 to 100: the same for the steps that the second of two experts makes; -1 is the scale set for all, or the model's own if none is.
 * Of no effect in a model with one transformer. */
SORA_API void sora_stream_options_set_guidance_scale_2 (SoraStreamOptions *options, gdouble scale);
/* 0 <= begin <= end <= 1: the shares of the schedule between which there is guidance; step i of n lies at (i + 1/2) / n. Outside the
 * negative prompt is not evaluated, which costs half. */
SORA_API void sora_stream_options_set_guidance_interval (SoraStreamOptions *options, gdouble begin, gdouble end);
/* Every sampler goes with every model; one that is distilled to few steps is likely to do best with its own. */
SORA_API void sora_stream_options_set_sampler (SoraStreamOptions *options, SoraSamplerType sampler);
/* 0, or 1 to 1000 denoising steps */
SORA_API void sora_stream_options_set_steps (SoraStreamOptions *options, guint steps);
/* -1, or above 0: the flow-matching time shift */
SORA_API void sora_stream_options_set_shift (SoraStreamOptions *options, gdouble shift);
SORA_API void sora_stream_options_set_seed (SoraStreamOptions *options, guint64 seed);
/* pixels up to 16384; a multiple of what one token covers, see the error of sora_stream_new(); or 0 and 0 */
SORA_API void sora_stream_options_set_size (SoraStreamOptions *options, guint width, guint height);
/* frames after which the stream ends (its last block is cut); 0 = endless, or the model's own clip */
SORA_API void sora_stream_options_set_length (SoraStreamOptions *options, guint64 frames);

/**
 * sora_stream_options_set_noise:
 * @noise: (array length=n): standard normal floats, [channels][latents][height][width] (latent sizes), for the first
 *   @n / (channels * height * width) latents of the stream; later ones are drawn from the seed
 *
 * Replaces the noise that the seed would give, to compare with other implementations.
 */
SORA_API void sora_stream_options_set_noise (SoraStreamOptions *options, const gfloat *noise, gsize n);

/**
 * sora_stream_options_set_image:
 * @rgb: (nullable): R, G, B bytes, @height rows of @width pixels; copied. %NULL: no image, and the other arguments are not looked at
 * @width, @height: pixels; must be the stream's size
 * @stride: bytes from one row to the next, 3 * @width or more
 *
 * Makes the image the first frame, which the video goes on from. The frame is the image as the model's VAE gives it back, or, of an
 * image-to-video model, what this makes of it. If the size is another than the stream's, or an image-to-video model is given none,
 * sora_stream_new() gives %SORA_STREAM_ERROR_OPTION.
 */
SORA_API void sora_stream_options_set_image (SoraStreamOptions *options, const guint8 *rgb, guint width, guint height, gsize stride);
/* The same for the last frame of a clip, which only some image-to-video models take: those of Wan 2.2, and FLF2V, which needs one. The clip's
 * frames must then fill its latents. */
SORA_API void sora_stream_options_set_last_image (SoraStreamOptions *options, const guint8 *rgb, guint width, guint height, gsize stride);

/**
 * sora_stream_options_set_loras:
 * @paths: (nullable) (array zero-terminated=1): LoRA files, whose sum counts; %NULL: none
 * @weights: (nullable): what each is multiplied by, -100 to 100; %NULL: 1
 *
 * Changes transformer and text encoder by low-rank differences. A file that cannot be read, is understood in part only, or is for another
 * model is a #SoraModelError of sora_stream_new() that names file and tensor.
 */
SORA_API void sora_stream_options_set_loras (SoraStreamOptions *options, const gchar *const *paths, const gdouble *weights);
/* What the matrices of the model are stored as on the device, which its memory, and sometimes its frames, depend on. */
SORA_API void sora_stream_options_set_weight_type (SoraStreamOptions *options, SoraWeightType type);
/* What the matrices of the model are multiplied in, which speed, and a little the frames, depend on. */
SORA_API void sora_stream_options_set_precision (SoraStreamOptions *options, SoraPrecision precision);
/* When the text encoder's weights are on the device; the frames are the same. */
SORA_API void sora_stream_options_set_text_encoder_policy (SoraStreamOptions *options, SoraTextEncoderPolicy policy);
/* Bytes of the device's memory that the stream and the model's weights may take; 0: nine tenths of what it has. Weights that do not fit are
 * streamed from the file whenever they are used. The frames are the same. All buffers of the device count, also for a moment; weights that
 * another stream holds already are shared as they are. */
SORA_API void sora_stream_options_set_max_memory (SoraStreamOptions *options, guint64 bytes);
/* -1, 0, or 16 to 16384 pixels: the side, at most, of the parts of the picture that Wan's VAE decodes, and encodes an image in, one after the other. The
 * frames are the same, bit for bit; smaller tiles take less device memory and more work. 0 = the whole picture at once; -1 = as large as the
 * device's memory, or of it what may be used, lets them be. Other VAEs take little memory and have no tiles. */
SORA_API void sora_stream_options_set_vae_tile (SoraStreamOptions *options, gint pixels);
/* Whether time and work of every kernel are recorded for sora_stream_get_profile(); costs a little speed. */
SORA_API void sora_stream_options_set_profile (SoraStreamOptions *options, gboolean profile);

/* Whether stages are timed for sora_stream_get_stage(); each is then waited for, which costs a little speed. */
SORA_API void sora_stream_options_set_stage_times (SoraStreamOptions *options, gboolean stage_times);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (SoraStreamOptions, sora_stream_options_free)

/**
 * SoraBlock:
 *
 * Frames that were generated together. Immutable, reference-counted, any thread.
 */
typedef struct _SoraBlock SoraBlock;

SORA_API SoraBlock *sora_block_ref (SoraBlock *block);
SORA_API void sora_block_unref (SoraBlock *block);
/* 0, 1, 2 ... */
SORA_API guint64 sora_block_get_index (SoraBlock *block);
/* the stream's frame that the block begins with, and how many it has */
SORA_API guint64 sora_block_get_first_frame (SoraBlock *block);
SORA_API guint sora_block_get_n_frames (SoraBlock *block);
SORA_API guint sora_block_get_width (SoraBlock *block);
SORA_API guint sora_block_get_height (SoraBlock *block);
/* frame @i as width * height packed R, G, B bytes (stride = 3 * width) */
SORA_API const guint8 *sora_block_get_rgb (SoraBlock *block, guint i);
/* seconds of wall time that the block took */
SORA_API gdouble sora_block_get_seconds (SoraBlock *block);
/* the prompt that it was generated with */
SORA_API const gchar *sora_block_get_prompt (SoraBlock *block);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (SoraBlock, sora_block_unref)

/**
 * SoraProgressFunc:
 * @fraction: 0 to 1 of what is under way
 * @what: a few words: "loading transformer", "building kernels"
 *
 * Called in the thread that called the function it was given to.
 */
typedef void (*SoraProgressFunc) (gdouble fraction, const gchar *what, gpointer user_data);

/**
 * SoraTapFunc:
 * @name: whenever a prompt is encoded, "tokens" [tokens] and "text_embeddings" [tokens, text_dim], and "negative_" of both with
 *   guidance; for every block, [channels, latents, height, width], "noise", after each step i "step_i_output" and
 *   "step_i_negative_output" (the network's, where there is guidance) and "step_i_latents" (an image's latent in them as the network is
 *   given it), at last "latents"
 * @data: floats, row-major in @shape
 *
 * Sees a stage's tensors as they are made. Called in the thread that pulls.
 */
typedef void (*SoraTapFunc) (const gchar *name, const gfloat *data, const gint64 *shape, guint n_dims, gpointer user_data);

/**
 * SoraStream:
 *
 * One generation: key/value cache, arena of activations, decoder state. For one thread at a time, save sora_stream_set_prompt(),
 * sora_stream_set_guidance_scale() and sora_stream_set_loras(), which any thread may call.
 */
typedef struct _SoraStream SoraStream;

/**
 * sora_stream_new:
 * @device: from sora_device_open(); those of sora_device_list() have no context
 * @options: (nullable): %NULL for all defaults
 * @progress: (nullable) (scope call): told about loading
 *
 * Puts the model's weights on the device (unless a stream before did), allocates everything that generation needs, and encodes
 * the prompt and the image. Kernels that this takes are built, unless they are cached; the others are when the first block comes to them.
 *
 * Returns: (transfer full): a stream at block 0, or %NULL with an error of any domain here or %G_IO_ERROR_CANCELLED.
 */
SORA_API SoraStream *sora_stream_new (SoraModel *model, SoraDevice *device, const SoraStreamOptions *options,
    SoraProgressFunc progress, gpointer user_data, GCancellable *cancellable, GError **error);
SORA_API void sora_stream_free (SoraStream *stream);

/**
 * sora_stream_next_block:
 *
 * Generates the next block. Cancelling stops it after the kernels in flight, or after the one that is being built; the call may then be
 * repeated, and gives the frames that it would have given, at the cost of at most this block's denoising once more.
 *
 * Returns: (transfer full) (nullable): the block; or %NULL with @error set; or %NULL without an error at the stream's end.
 */
SORA_API SoraBlock *sora_stream_next_block (SoraStream *stream, GCancellable *cancellable, GError **error);

/**
 * sora_stream_set_prompt:
 *
 * Changes the prompt from the next block that is begun. Any thread. An invalid prompt (see %SORA_STREAM_ERROR_PROMPT)
 * changes nothing and returns %FALSE.
 */
SORA_API gboolean sora_stream_set_prompt (SoraStream *stream, const gchar *prompt, GError **error);
/* likewise the guidance scale (-1 = the model's own, else 0 to 100); of no effect in a stream that was made with 1, without guidance */
SORA_API void sora_stream_set_guidance_scale (SoraStream *stream, gdouble scale);

/**
 * sora_stream_set_loras:
 * @paths, @weights: as in sora_stream_options_set_loras()
 *
 * Changes the LoRAs from the next block that is begun; without them the weights are again those of the model, bit by bit. Only what changes is
 * put on the device anew, in the call that begins that block, beside what was there until then; if the memory has no room for both, all of it is,
 * after that has gone. Any thread. A file that does not fit changes nothing and returns %FALSE with an error. If it fails for want of memory
 * all the same, sora_stream_next_block() gives %SORA_STREAM_ERROR_LORAS once, and the call after it goes on without the change.
 */
SORA_API gboolean sora_stream_set_loras (SoraStream *stream, const gchar *const *paths, const gdouble *weights, GError **error);

/**
 * sora_stream_restart:
 *
 * Goes back to block 0 with the prompt, guidance scale, LoRAs and image of sora_stream_new(), the same seed and so the same frames.
 */
SORA_API void sora_stream_restart (SoraStream *stream);

SORA_API void sora_stream_set_tap (SoraStream *stream, SoraTapFunc tap, gpointer user_data);
/* frames that block 0, and every later block, has */
SORA_API void sora_stream_get_block_frames (SoraStream *stream, guint *first, guint *later);
SORA_API void sora_stream_get_size (SoraStream *stream, guint *width, guint *height);
/* (transfer full): a table of calls, time, GFLOP/s and share of the device's peak per kernel since the start; %NULL unless profiling was
 * asked for */
SORA_API gchar *sora_stream_get_profile (SoraStream *stream);
/* bytes on the device that this stream holds (arena, caches, scratch, what streamed weights go through), and that its model's weights hold now */
SORA_API void sora_stream_get_memory (SoraStream *stream, guint64 *stream_bytes, guint64 *weight_bytes);
/* The side of the VAE's tiles in pixels, at most; 0: it decodes the whole picture at once */
SORA_API guint sora_stream_get_vae_tile (SoraStream *stream);

/* The parts of a model that take memory and time. */
typedef enum {
  SORA_STAGE_TEXT_ENCODER,
  SORA_STAGE_TRANSFORMER,
  SORA_STAGE_VAE,
} SoraStage;

/**
 * sora_stream_get_stage:
 * @load_seconds: (out): since the stream was made, to put its weights on the device; next to nothing where another stream had
 * @run_seconds: (out): to run it; 0 unless sora_stream_options_set_stage_times() was called
 * @weight_bytes: (out): that its weights take on the device, or took before they were released
 */
SORA_API void sora_stream_get_stage (SoraStream *stream, SoraStage stage, gdouble *load_seconds, gdouble *run_seconds,
    guint64 *weight_bytes);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (SoraStream, sora_stream_free)

G_END_DECLS
