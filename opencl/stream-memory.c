/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The memory of a stream: every stage states what it needs, tiles of the VAE are chosen so that it fits, then one arena is allocated. */
#include "stream-memory.h"

#include "stream-parts.h"

/* Latents that the VAE decodes a call, if not in tiles: the activations of more would only take memory. */
#define MAX_DECODED_LATENTS 2

/* A model without a cache takes a given latent as it is: clean, at timestep 0. */
static void
declare_sampler (SoraStream *stream)
{
  const SoraStreamingConfig *own = &stream->model->streaming;
  gdouble held_timestep = sora_stream_holds_image (stream) ? 0 : -1;
  SoraSamplerSettings settings = {
    .type = stream->options->sampler, .prediction = own->prediction,
    .steps = stream->options->steps, .shift = stream->options->shift,
    .context_timestep = own->causal ? own->context_timestep : held_timestep, .context_noise = own->causal ? own->context_noise : 0,
    .change_noise = own->change_noise,
    .n_floats = sora_stream_latent_floats (stream, stream->block_latents), .n_branches = stream->n_branches,
    .guidance_begin = stream->options->guidance_begin, .guidance_end = stream->options->guidance_end,
  };

  stream->sampler = sora_sampler_new (&settings, stream->arena);
}

/* Convolutions address the floats of a map with a sign. */
static gboolean
check_maps (SoraStream *stream, GError **error)
{
  guint64 largest = sora_vae_decoder_state_get_largest (stream->decoder_state);

  if (stream->image)
    largest = MAX (largest, sora_stream_image_get_largest (stream->image));
  if (largest <= G_MAXINT32)
    return TRUE;
  g_set_error (error, SORA_STREAM_ERROR, SORA_STREAM_ERROR_OPTION,
      "%ux%u pixels take a feature map of %" G_GUINT64_FORMAT " numbers in the VAE, and %d is the most: ask for a smaller size, or for tiles",
      stream->options->width, stream->options->height, largest, G_MAXINT32);
  return FALSE;
}

/* Every stage states its regions. The transformer comes last, as the image's encoder shares its memory. @tile: see the options */
static void
declare_memory (SoraStream *stream, guint tile)
{
  SoraModel *model = stream->model;
  const SoraStreamingConfig *own = &model->streaming;
  const SoraVaeTiling tiling = { tile, own->causal ? 0 : stream->block_latents };
  guint n_decoded = tile > 0 ? stream->block_latents : MIN (stream->block_latents, MAX_DECODED_LATENTS);
  gsize rgb_bytes;

  declare_sampler (stream);
  SoraTransformerShape shape = {
    .n_branches = stream->n_branches,
    .block_latents = stream->block_latents,
    .window_latents = own->causal ? own->window_latents : stream->block_latents,
    .height = stream->latent_height, .width = stream->latent_width,
    .text_length = own->text_length,
    .max_timesteps = sora_sampler_get_n_timesteps (stream->sampler),
    .image_tokens = sora_model_get_image_tokens (model),
    .condition_channels = sora_model_get_condition_channels (model),
    .sink_latents = own->sink_latents, .context_alone = own->context_alone,
  };
  stream->text_state = sora_text_encoder_state_new (&model->text_encoder, own->text_length, stream->arena);
  stream->decoder_state = sora_vae_decoder_state_new (stream->vae->vae, stream->latent_height, stream->latent_width,
      n_decoded, &tiling, stream->arena);
  n_decoded = sora_vae_decoder_state_get_chunk (stream->decoder_state);
  rgb_bytes = (gsize) n_decoded * model->vae.time_scale * 3 * stream->options->width * stream->options->height;
  sora_arena_add (stream->arena, &stream->embeddings, (gsize) stream->n_branches * own->text_length * model->transformer.text_dim);
  sora_arena_add (stream->arena, &stream->latents, sora_stream_latent_floats (stream, stream->block_latents));
  if (own->coring_threshold > 0) {
    sora_arena_add (stream->arena, &stream->shown, sora_stream_latent_floats (stream, 1));
    sora_arena_add (stream->arena, &stream->changes, (gsize) stream->latent_height * stream->latent_width);
  }
  sora_arena_add (stream->arena, &stream->decoded, sora_stream_latent_floats (stream, n_decoded));
  sora_arena_add (stream->arena, &stream->rgb, (rgb_bytes + sizeof (gfloat) - 1) / sizeof (gfloat));
  sora_arena_add (stream->arena, &stream->flag, 1);
  if (stream->image)
    sora_stream_image_plan (stream->image, stream->latent_height, stream->latent_width, stream->block_latents, tile,
        stream->arena);
  stream->transformer_state = sora_transformer_state_new (&model->transformer, &shape, stream->arena);
}

void
sora_stream_drop_memory (SoraStream *stream)
{
  g_clear_pointer (&stream->text_state, sora_text_encoder_state_free);
  g_clear_pointer (&stream->transformer_state, sora_transformer_state_free);
  g_clear_pointer (&stream->decoder_state, sora_vae_decoder_state_free);
  g_clear_pointer (&stream->sampler, sora_sampler_free);
  g_clear_pointer (&stream->arena, sora_arena_free);
}

guint64
sora_stream_max_memory (SoraStream *stream)
{
  guint64 all = sora_queue_get_device (stream->queue)->global_memory;

  return stream->options->max_memory > 0 ? stream->options->max_memory : all / 10 * 9;
}

guint64
sora_stream_count_weight_bytes (SoraStream *stream)
{
  return sora_resident_get_size (stream->vae) + sora_resident_get_size (stream->text_encoder)
      + sora_resident_get_size (stream->experts[0]) + sora_resident_get_size (stream->experts[1]);
}

guint64
sora_stream_count_own_bytes (SoraStream *stream)
{
  return (stream->arena ? sora_arena_get_size (stream->arena) : 0) + sora_queue_get_stream_size (stream->queue)
      + sora_queue_get_scratch_size (stream->queue);
}

/* That the weights take with which an image is encoded, before others come */
static guint64
count_encoder_bytes (SoraStream *stream)
{
  return stream->image ? sora_stream_image_get_weight_bytes (stream->image) : 0;
}

/* Bytes that are left to the weights, which come one after the other, as the files have them; where they cannot but be streamed, half of the
 * memory */
static guint64
room_for_weights (SoraStream *stream)
{
  guint64 bytes = MAX (sora_weight_file_get_bytes (stream->model->text_encoder_file),
      sora_weight_file_get_bytes (stream->model->transformer_file));

  return MAX (MIN (bytes, sora_stream_max_memory (stream) / 2), count_encoder_bytes (stream));
}

/* What products take beside the weights. It depends on what was declared, but not on the VAE's tiles. */
static guint64
count_scratch (SoraStream *stream)
{
  SoraWeightRequest request = sora_stream_request_weights (stream, NULL);

  return sora_model_predict_scratch (stream->model, stream->queue, &request);
}

/* Whether what was declared goes into the memory beside the weights and @scratch bytes, and the VAE's largest map into one piece of it. */
static gboolean
fits_memory (SoraStream *stream, guint64 scratch)
{
  SoraDevice *device = sora_queue_get_device (stream->queue);
  guint64 largest = sora_vae_decoder_state_get_largest (stream->decoder_state);
  guint64 bytes = sora_arena_get_size (stream->arena) + sora_stream_count_weight_bytes (stream) + room_for_weights (stream) + scratch;
  guint64 host = sora_vae_decoder_state_get_host_size (stream->decoder_state);

  if (stream->image) {
    largest = MAX (largest, sora_stream_image_get_largest (stream->image));
    host = MAX (host, sora_stream_image_get_host_size (stream->image));
  }
  if (device->type == CL_DEVICE_TYPE_CPU)
    bytes += host;
  return bytes <= sora_stream_max_memory (stream) && largest <= G_MAXINT32 && largest * sizeof (gfloat) <= device->max_allocation;
}

static void
plan_with_tile (SoraStream *stream, guint tile)
{
  sora_stream_drop_memory (stream);
  stream->arena = sora_arena_new (sora_queue_get_device (stream->queue));
  declare_memory (stream, tile);
  stream->vae_tile = sora_vae_decoder_state_is_tiled (stream->decoder_state) ? tile : 0;
}

/* The largest tile of the VAE with which all fits, 0 = the whole picture; or, if none does, that which takes the least: weights are streamed then. */
static void
plan_with_best_tile (SoraStream *stream)
{
  static const guint tiles[] = { 0, 512, 384, 256, 192, 128, 96, 64 };
  guint64 least = G_MAXUINT64, scratch = 0;
  guint best = 0;

  for (guint i = 0; i < G_N_ELEMENTS (tiles); i++) {
    plan_with_tile (stream, tiles[i]);
    scratch = i == 0 ? count_scratch (stream) : scratch;
    if (fits_memory (stream, scratch))
      return;
    if (sora_arena_get_size (stream->arena) < least) {
      least = sora_arena_get_size (stream->arena);
      best = tiles[i];
    }
  }
  plan_with_tile (stream, best);
}

/* All that is there while an image is encoded has to fit. */
static gboolean
check_image (SoraStream *stream, GError **error)
{
  guint64 bytes = sora_arena_get_size (stream->arena) + sora_stream_count_weight_bytes (stream) + count_encoder_bytes (stream);

  if (!stream->image || bytes <= sora_stream_max_memory (stream))
    return TRUE;
  g_set_error (error, SORA_DEVICE_ERROR, SORA_DEVICE_ERROR_NO_MEMORY, "To encode the image takes %" G_GUINT64_FORMAT " MiB, and %"
      G_GUINT64_FORMAT " MiB may be taken; allow more memory, or ask for a smaller size or a shorter clip", (bytes >> 20) + 1,
      sora_stream_max_memory (stream) >> 20);
  return FALSE;
}

/* Declared, and declared again until it fits where the VAE's tiles are to be chosen; then all is allocated at once. */
gboolean
sora_stream_plan_memory (SoraStream *stream, GError **error)
{
  if (stream->model->vae.kind != SORA_VAE_WAN)
    plan_with_tile (stream, 0);
  else if (stream->options->vae_tile >= 0)
    plan_with_tile (stream, stream->options->vae_tile);
  else
    plan_with_best_tile (stream);
  return check_maps (stream, error) && check_image (stream, error) && sora_arena_commit (stream->arena, error);
}
