/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One block of frames after the other, from top to bottom in the order the data flows: noise → transformer × steps → VAE. */
#include "ops/elementwise.h"
#include "stages/noise.h"
#include "stream-condition.h"
#include "stream-parts.h"
#include "stream-tap.h"

/* The block's initial noise, [latents, height, width, channels]: the caller's where it gave some, else from the seed. */
static void
fill_noise (SoraStream *stream, gfloat *noise)
{
  guint n_channels = stream->model->vae.latent_channels, n_pixels = stream->latent_height * stream->latent_width;
  guint64 given = stream->options->n_noise / (n_channels * n_pixels);
  guint64 first = stream->next_block * stream->block_latents;

  sora_noise_fill (stream->options->seed, stream->next_block, 0, sora_stream_latent_floats (stream, stream->block_latents), noise);
  for (guint t = 0; t < stream->block_latents && first + t < given; t++)
    for (guint p = 0; p < n_pixels; p++)
      for (guint c = 0; c < n_channels; c++)
        noise[(t * n_pixels + p) * n_channels + c] = stream->options->noise[(c * given + first + t) * n_pixels + p];
}

static void
upload_noise (SoraStream *stream)
{
  gsize n = sora_stream_latent_floats (stream, stream->block_latents);
  g_autofree gfloat *noise = g_new (gfloat, n);

  fill_noise (stream, noise);
  if (stream->tap)
    sora_stream_tap_latents (stream, "noise", noise);
  sora_queue_write (stream->queue, stream->latents, 0, n * sizeof (gfloat), noise);
}

/* What the sampler works on for block @index: an image is held where the stream begins. */
static SoraSamplerBlock
sampler_block (SoraStream *stream, guint64 index)
{
  gboolean holds = sora_stream_holds_image (stream) && index == 0;

  return (SoraSamplerBlock) {
    .latents = stream->latents, .n_latents = stream->block_latents,
    .held = holds ? sora_stream_image_get_latent (stream->image) : NULL, .n_held = holds ? 1 : 0,
    .seed = stream->options->seed, .index = index,
  };
}

/* The last latent frame that lies there will be what the next block's first one is compared with. */
static void
keep_shown (SoraStream *stream)
{
  gsize bytes = sora_stream_latent_floats (stream, 1) * sizeof (gfloat);

  if (stream->shown)
    sora_queue_copy (stream->queue, stream->latents, (stream->block_latents - 1) * bytes, stream->shown, 0, bytes);
}

/* Temporal coring of clean latents. The stream's first latent frame stays as it is. */
static void
core_latents (SoraStream *stream)
{
  gboolean first = stream->next_block == 0;
  SoraCoring coring = {
    .latents = stream->latents, .height = stream->latent_height, .width = stream->latent_width, .channels = stream->model->vae.latent_channels,
    .threshold = stream->model->streaming.coring_threshold, .changes = stream->changes,
  };

  if (stream->shown)
    sora_coring_run (stream->queue, &coring, first ? stream->latents : stream->shown, 0, first ? sora_stream_latent_floats (stream, 1) : 0,
        stream->block_latents - first);
}

/* A new prompt's block sees less of the past. */
static void
end_commit (SoraStream *stream)
{
  if (stream->prompt_changed)
    sora_transformer_renew_sink (stream->transformer_state);
  stream->uncommitted = stream->prompt_changed = FALSE;
}

/* The clean latents that lie there from the block before enter the cache, as the prompt of the next block sees them. */
static gboolean
commit_previous (SoraStream *stream, GCancellable *cancellable, GError **error)
{
  SoraSamplerBlock block;
  gint64 start = g_get_monotonic_time ();

  if (!stream->uncommitted) {
    end_commit (stream);
    return TRUE;
  }
  if (!sora_stream_use_expert (stream, 0, cancellable, error))
    return FALSE;
  block = sampler_block (stream, stream->next_block - 1);
  keep_shown (stream);          /* first: what enters the cache must not do so twice */
  sora_sampler_commit (stream->sampler, stream->transformer, stream->transformer_state, stream->queue, &block,
      stream->prompt_changed);
  if (!sora_queue_has_failed (stream->queue))
    end_commit (stream);
  sora_stream_end_stage (stream, SORA_STAGE_TRANSFORMER, start);
  return sora_queue_check (stream->queue, error);
}

/* How many of the steps are the first expert's: those at timesteps from the boundary on. */
static guint
count_first_steps (SoraStream *stream)
{
  const gdouble *timesteps = sora_sampler_get_timesteps (stream->sampler);
  guint n = 0;

  while (n < stream->options->steps && timesteps[n] >= 1000 * stream->model->streaming.boundary_ratio)
    n++;
  return n;
}

/* Each expert makes its steps. */
static gboolean
run_steps (SoraStream *stream, GCancellable *cancellable, GError **error)
{
  SoraSamplerBlock block = sampler_block (stream, stream->next_block);
  guint n_first = count_first_steps (stream), counts[] = { n_first, stream->options->steps - n_first };

  for (guint expert = 0; expert < G_N_ELEMENTS (counts); expert++) {
    block.n_steps = counts[expert];
    if (block.n_steps == 0)
      continue;
    if (!sora_stream_use_expert (stream, expert, cancellable, error))
      return FALSE;
    sora_sampler_denoise (stream->sampler, stream->transformer, stream->transformer_state, stream->queue, &block,
        stream->guidance[expert], stream->tap ? sora_stream_tap_step : NULL, stream);
    block.first_step += block.n_steps;
  }
  return TRUE;
}

static gboolean
denoise (SoraStream *stream, GCancellable *cancellable, GError **error)
{
  gsize n = sora_stream_latent_floats (stream, stream->block_latents);
  gint64 start = g_get_monotonic_time ();

  upload_noise (stream);
  if (!run_steps (stream, cancellable, error))
    return FALSE;
  sora_queue_zero (stream->queue, stream->flag, 0, sizeof (cl_int));
  sora_check_finite_run (stream->queue, stream->latents, 0, n, stream->flag);
  core_latents (stream);
  if (stream->tap)
    sora_stream_tap_memory (stream, "latents", stream->latents, 0);
  sora_stream_end_stage (stream, SORA_STAGE_TRANSFORMER, start);
  return sora_queue_check (stream->queue, error);
}

/* Decodes the next few of the block's latents into the device's RGB bytes, unless they are there already. */
static void
decode_some (SoraStream *stream)
{
  guint n = MIN (sora_vae_decoder_state_get_chunk (stream->decoder_state), stream->block_latents - stream->n_read);

  if (stream->n_decoded > 0)
    return;
  sora_queue_copy (stream->queue, stream->latents, sora_stream_latent_floats (stream, stream->n_read) * sizeof (gfloat), stream->decoded, 0,
      sora_stream_latent_floats (stream, n) * sizeof (gfloat));
  sora_vae_decode (stream->vae->vae, stream->decoder_state, stream->queue, stream->decoded, n, stream->rgb);
  if (!sora_queue_has_failed (stream->queue))
    stream->n_decoded = n;
}

/* Decodes the unfinished block from where a cancelled call left it. */
static gboolean
decode (SoraStream *stream, GError **error)
{
  gsize latent_bytes = (gsize) 3 * stream->options->width * stream->options->height * stream->model->vae.time_scale;
  gint64 start = g_get_monotonic_time ();

  while (stream->n_read < stream->block_latents) {
    decode_some (stream);
    if (!sora_queue_read (stream->queue, stream->rgb, 0, stream->n_decoded * latent_bytes,
            stream->unfinished->rgb + stream->n_read * latent_bytes, error))
      return FALSE;
    stream->n_read += stream->n_decoded;
    stream->n_decoded = 0;
  }
  sora_stream_end_stage (stream, SORA_STAGE_VAE, start);
  return TRUE;
}

static gboolean
check_flag (SoraStream *stream, GError **error)
{
  cl_int flag;

  if (!sora_queue_read (stream->queue, stream->flag, 0, sizeof flag, &flag, error))
    return FALSE;
  if (flag == 0)
    return TRUE;
  g_set_error (error, SORA_STREAM_ERROR, SORA_STREAM_ERROR_NUMERIC,
      "The latents of block %" G_GUINT64_FORMAT " are not finite; lower guidance-scale, or check the model's weights",
      stream->next_block);
  return FALSE;
}

/* Frames before block @index, those that are trimmed at the start not counted. */
static guint64
frames_before (SoraStream *stream, guint64 index)
{
  guint64 decoded = index * stream->block_latents * stream->model->vae.time_scale;

  return decoded > stream->model->vae.frames_to_trim ? decoded - stream->model->vae.frames_to_trim : 0;
}

static SoraBlock *
block_new (SoraStream *stream)
{
  SoraBlock *block = g_new0 (SoraBlock, 1);
  guint64 index = stream->next_block, first = frames_before (stream, index);
  guint n_decoded = stream->block_latents * stream->model->vae.time_scale;

  g_atomic_ref_count_init (&block->ref_count);
  block->index = index;
  block->first_frame = first;
  block->n_frames = frames_before (stream, index + 1) - first;
  block->skipped_frames = n_decoded - block->n_frames;
  if (stream->options->length > 0)
    block->n_frames = MIN (block->n_frames, stream->options->length - first);
  block->width = stream->options->width;
  block->height = stream->options->height;
  block->rgb = g_malloc ((gsize) n_decoded * 3 * block->width * block->height);
  return block;
}

/* Clean latents for the next block. A cancelled call has changed nothing: what it did is done again. */
static gboolean
begin_block (SoraStream *stream, GCancellable *cancellable, GError **error)
{
  if (!sora_stream_take_loras (stream, cancellable, error) || !sora_stream_take_direction (stream, cancellable, error)
      || !commit_previous (stream, cancellable, error) || !denoise (stream, cancellable, error))
    return FALSE;
  stream->unfinished = block_new (stream);
  stream->unfinished->prompt = g_strdup (stream->prompt);
  stream->n_read = stream->n_decoded = 0;
  return TRUE;
}

static gboolean
is_at_end (SoraStream *stream)
{
  if (!stream->model->streaming.causal)
    return stream->next_block > 0;
  return stream->options->length > 0 && frames_before (stream, stream->next_block) >= stream->options->length;
}

SoraBlock *
sora_stream_next_block (SoraStream *stream, GCancellable *cancellable, GError **error)
{
  gint64 start = g_get_monotonic_time ();
  gboolean done;

  if (is_at_end (stream))
    return NULL;
  sora_queue_set_cancellable (stream->queue, cancellable);
  done = (stream->unfinished || begin_block (stream, cancellable, error)) && decode (stream, error) && check_flag (stream, error);
  sora_queue_set_cancellable (stream->queue, NULL);      /* restarting is not cancelled by what cancelled this call */
  if (!done) {
    sora_queue_check (stream->queue, NULL);
    return NULL;
  }
  stream->uncommitted = stream->model->streaming.causal;
  stream->next_block++;
  stream->unfinished->seconds = (g_get_monotonic_time () - start) / (gdouble) G_USEC_PER_SEC;
  return g_steal_pointer (&stream->unfinished);
}

void
sora_stream_get_block_frames (SoraStream *stream, guint *first, guint *later)
{
  *first = frames_before (stream, 1);
  *later = stream->block_latents * stream->model->vae.time_scale;
}
