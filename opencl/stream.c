/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A stream: prompt → tokens → text embeddings → [noise → transformer × steps] → VAE → frames, block after block. */
#include <math.h>

#include "model-private.h"
#include "ops/elementwise.h"
#include "stages/noise.h"
#include "stages/sampler.h"
#include "stream-image.h"
#include "stream-private.h"
#include "weights/weight-type.h"

/* Latents that the VAE decodes a call, if not in tiles: the activations of more would only take memory. */
#define MAX_DECODED_LATENTS 2

#define MAX_GUIDANCE_SCALE 100

/* Latents of a clip, as sora.json's default_latents */
#define MAX_CLIP_LATENTS 4096

/* What a stage took. */
typedef struct {
  gint64 load, run;             /* microseconds */
  guint64 weight_bytes;
} StageUse;

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
  gdouble guidance[2];          /* an expert's */

  StageUse stages[SORA_STAGE_VAE + 1];

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

static guint
latent_floats (SoraStream *stream, guint n_latents)
{
  return n_latents * stream->latent_height * stream->latent_width * stream->model->vae.latent_channels;
}

/* What has been run since @start, a monotonic time, was @stage. It is waited for if somebody wants to know. */
static void
end_stage (SoraStream *stream, SoraStage stage, gint64 start)
{
  if (!stream->options->stage_times)
    return;
  clFinish (sora_queue_get_cl (stream->queue));
  stream->stages[stage].run += g_get_monotonic_time () - start;
}

static void
end_loading (SoraStream *stream, SoraStage stage, gint64 start, guint64 weight_bytes)
{
  stream->stages[stage].load += g_get_monotonic_time () - start;
  stream->stages[stage].weight_bytes = weight_bytes;
}

/* --- options --------------------------------------------------------------------------------------------------- */

static gboolean
check_size (SoraModel *model, SoraStreamOptions *options, GError **error)
{
  guint unit_x = model->vae.spatial_scale * model->transformer.patch_size[2];
  guint unit_y = model->vae.spatial_scale * model->transformer.patch_size[1];

  if (options->width == 0 && options->height == 0)
    sora_model_get_best_size (model, 0, &options->width, &options->height);
  if (options->width > 0 && options->height > 0 && options->width % unit_x == 0 && options->height % unit_y == 0 && options->width <= 16384 && options->height <= 16384)
    return TRUE;
  g_set_error (error, SORA_STREAM_ERROR, SORA_STREAM_ERROR_OPTION,
      "%ux%u does not fit the model: width must be a multiple of %u and height of %u, at most 16384", options->width,
      options->height, unit_x, unit_y);
  return FALSE;
}

static gboolean
check_range (const gchar *what, gdouble value, gdouble min, gdouble max, GError **error)
{
  if (value >= min && value <= max)
    return TRUE;
  g_set_error (error, SORA_STREAM_ERROR, SORA_STREAM_ERROR_OPTION, "%s is %g, but must be from %g to %g", what, value, min,
      max);
  return FALSE;
}

/* -1 stands for the model's own. */
static gboolean
check_guidance (const gchar *what, gdouble scale, GError **error)
{
  return scale < 0 || check_range (what, scale, 0, MAX_GUIDANCE_SCALE, error);
}

/* A clip is generated at once, so it cannot be of any length. */
static gboolean
check_length (SoraModel *model, const SoraStreamOptions *options, GError **error)
{
  guint64 longest = (guint64) MAX_CLIP_LATENTS * model->vae.time_scale - model->vae.frames_to_trim;

  if (model->streaming.causal || options->length <= longest)
    return TRUE;
  g_set_error (error, SORA_STREAM_ERROR, SORA_STREAM_ERROR_OPTION, "a clip of %" G_GUINT64_FORMAT " frames is too long: at most %"
      G_GUINT64_FORMAT, options->length, longest);
  return FALSE;
}

static gboolean
check_sampler (const SoraStreamOptions *options, GError **error)
{
  if (options->sampler >= SORA_SAMPLER_EULER && options->sampler <= SORA_SAMPLER_RENOISE)
    return TRUE;
  g_set_error (error, SORA_STREAM_ERROR, SORA_STREAM_ERROR_OPTION, "there is no sampler %d: it must be one of SoraSamplerType",
      options->sampler);
  return FALSE;
}

static gboolean
check_memory_options (const SoraStreamOptions *options, GError **error)
{
  if (options->weight_type >= SORA_WEIGHT_TYPE_AUTO && options->weight_type <= SORA_WEIGHT_TYPE_Q8
      && options->precision >= SORA_PRECISION_AUTO && options->precision <= SORA_PRECISION_BF16
      && options->text_encoder_policy >= SORA_TEXT_ENCODER_POLICY_AUTO && options->text_encoder_policy <= SORA_TEXT_ENCODER_POLICY_KEEP)
    return TRUE;
  g_set_error (error, SORA_STREAM_ERROR, SORA_STREAM_ERROR_OPTION, "there is no weight type %d, no precision %d, or no text encoder "
      "policy %d: they must be of SoraWeightType, SoraPrecision and SoraTextEncoderPolicy", options->weight_type, options->precision,
      options->text_encoder_policy);
  return FALSE;
}

static gboolean
check_picture_size (const SoraStreamOptions *options, const SoraStreamPicture *picture, const gchar *what, GError **error)
{
  if (!picture->rgb || (picture->width == options->width && picture->height == options->height))
    return TRUE;
  g_set_error (error, SORA_STREAM_ERROR, SORA_STREAM_ERROR_OPTION,
      "the %s has %ux%u pixels, but the stream %ux%u: scale the image to the stream's size", what, picture->width, picture->height,
      options->width, options->height);
  return FALSE;
}

/* Why the pictures are not those that the model takes; NULL: they are. The last frame must be the last one of a latent. */
static const gchar *
find_image_fault (SoraModel *model, const SoraStreamOptions *options)
{
  gboolean takes_condition = sora_model_get_condition_channels (model) > 0;

  if (takes_condition && !options->image.rgb)
    return "this model goes on from an image, and none is given: set an image";
  if (model->transformer.image_positions > 0 && !options->last_image.rgb)
    return "this model leads from one image to another, and no last image is given: set one";
  if (!options->last_image.rgb)
    return NULL;
  if (!takes_condition || (model->transformer.image_dim > 0 && model->transformer.image_positions == 0))
    return "this model takes no last image: Wan 2.2's image-to-video models do, and FLF2V";
  if (options->length < 2 || (options->length + model->vae.frames_to_trim) % model->vae.time_scale != 0)
    return "a clip that ends with a given image must have frames for whole latents, with Wan one more than a multiple of 4";
  return NULL;
}

/* Lengths are resolved. */
static gboolean
check_images (SoraModel *model, const SoraStreamOptions *options, GError **error)
{
  const gchar *fault = find_image_fault (model, options);

  if (!fault)
    return check_picture_size (options, &options->image, "image", error)
        && check_picture_size (options, &options->last_image, "last image", error);
  g_set_error_literal (error, SORA_STREAM_ERROR, SORA_STREAM_ERROR_OPTION, fault);
  return FALSE;
}

static gboolean
check_vae_tile (const SoraStreamOptions *options, GError **error)
{
  if (options->vae_tile == -1 || options->vae_tile == 0 || (options->vae_tile >= 16 && options->vae_tile <= 16384))
    return TRUE;
  g_set_error (error, SORA_STREAM_ERROR, SORA_STREAM_ERROR_OPTION,
      "the VAE's tiles are to have %d pixels a side, but must have 16 to 16384 (0 for the whole picture, -1 by the device's memory)",
      options->vae_tile);
  return FALSE;
}

/* Puts the model's own values where the options leave the choice, and checks the rest. */
static gboolean
resolve_options (SoraModel *model, SoraStreamOptions *options, GError **error)
{
  const SoraStreamingConfig *own = &model->streaming;

  if (options->sampler == SORA_SAMPLER_DEFAULT)
    options->sampler = own->sampler;
  if (options->steps == 0)
    options->steps = own->steps;
  if (options->shift < 0)
    options->shift = own->shift;
  if (options->length == 0)
    options->length = sora_model_get_clip_frames (model);
  return check_sampler (options, error) && check_memory_options (options, error) && check_vae_tile (options, error)
      && check_size (model, options, error) && check_images (model, options, error)
      && check_length (model, options, error)
      && check_range ("steps", options->steps, 1, 1000, error)
      && check_guidance ("guidance scale", options->guidance_scale, error)
      && check_guidance ("guidance scale 2", options->guidance_scale_2, error)
      && check_range ("the beginning of guidance", options->guidance_begin, 0, 1, error)
      && check_range ("the end of guidance", options->guidance_end, options->guidance_begin, 1, error)
      && check_range ("shift", options->shift, 0.01, 100, error);
}

/* Guidance with @scale, -1 or the caller's, for each expert: what the options say of the second one counts for it alone. */
static void
set_guidance (SoraStream *stream, gdouble scale)
{
  const SoraStreamingConfig *own = &stream->model->streaming;
  gdouble second = stream->options->guidance_scale_2;

  stream->guidance[0] = scale >= 0 ? scale : own->guidance_scale;
  stream->guidance[1] = second >= 0 ? second : scale >= 0 ? scale : own->guidance_scale_2;
}

/* Whether any step is guided: the second expert's count where there is one. */
static gboolean
is_guided (const SoraStream *stream)
{
  return stream->guidance[0] != 1 || (stream->model->transformer_2_file && stream->guidance[1] != 1);
}

/* A causal model's block; or the whole clip, as many latents as its frames take. */
static guint
count_block_latents (SoraModel *model, const SoraStreamOptions *options)
{
  guint scale = model->vae.time_scale;

  if (model->streaming.causal)
    return model->streaming.block_latents;
  return (options->length + model->vae.frames_to_trim + scale - 1) / scale;
}

/* Kernels address the floats of an activation with 32 bits. The largest ones are the keys and values of the window, the feed-forward's
 * hidden layer, and the latents of every branch, step and estimate. (No product here reaches 2^64: config.c and the checks above bound the
 * factors.) */
static gboolean
check_extent (SoraStream *stream, GError **error)
{
  const SoraTransformerConfig *c = &stream->model->transformer;
  const SoraStreamingConfig *own = &stream->model->streaming;
  guint64 dim = c->num_attention_heads * c->attention_head_dim;
  guint64 pixels = (guint64) stream->latent_height * stream->latent_width, tokens = pixels / (c->patch_size[1] * c->patch_size[2]);
  guint64 block = (guint64) stream->block_latents * stream->n_branches;
  guint64 window = (guint64) (own->causal ? own->window_latents : stream->block_latents) * stream->n_branches;
  guint64 noises = stream->options->sampler == SORA_SAMPLER_RENOISE ? stream->options->steps : 1;
  guint64 copies = MAX (MAX (noises, stream->n_branches), sora_scheduler_count_estimates (stream->options->sampler));
  guint64 latents = stream->block_latents * pixels * stream->model->vae.latent_channels * copies;
  guint64 condition = stream->block_latents * pixels * sora_model_get_condition_channels (stream->model);
  guint64 floats = MAX (MAX (window * tokens * 2 * dim, block * tokens * c->ffn_dim), MAX (latents, condition));

  if (floats <= G_MAXUINT32)
    return TRUE;
  g_set_error (error, SORA_STREAM_ERROR, SORA_STREAM_ERROR_OPTION,
      "%ux%u pixels and %u latent frames at a time take activations of %" G_GUINT64_FORMAT " numbers, and %u is the most: ask for a smaller "
      "size or a shorter clip", stream->options->width, stream->options->height, stream->block_latents, floats, G_MAXUINT32);
  return FALSE;
}

/* --- construction ---------------------------------------------------------------------------------------------- */

/* Whether the image is block 0's first latent; else the model is given it with the noise. */
static gboolean
holds_image (SoraStream *stream)
{
  return stream->image && sora_model_get_condition_channels (stream->model) == 0;
}

/* A model without a cache takes a given latent as it is: clean, at timestep 0. */
static void
declare_sampler (SoraStream *stream)
{
  const SoraStreamingConfig *own = &stream->model->streaming;
  gdouble held_timestep = holds_image (stream) ? 0 : -1;
  SoraSamplerSettings settings = {
    .type = stream->options->sampler, .prediction = own->prediction,
    .steps = stream->options->steps, .shift = stream->options->shift,
    .context_timestep = own->causal ? own->context_timestep : held_timestep, .context_noise = own->causal ? own->context_noise : 0,
    .n_floats = latent_floats (stream, stream->block_latents), .n_branches = stream->n_branches,
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
  };
  stream->text_state = sora_text_encoder_state_new (&model->text_encoder, own->text_length, stream->arena);
  stream->decoder_state = sora_vae_decoder_state_new (stream->vae->vae, stream->latent_height, stream->latent_width,
      n_decoded, &tiling, stream->arena);
  n_decoded = sora_vae_decoder_state_get_chunk (stream->decoder_state);
  rgb_bytes = (gsize) n_decoded * model->vae.time_scale * 3 * stream->options->width * stream->options->height;
  sora_arena_add (stream->arena, &stream->embeddings, (gsize) stream->n_branches * own->text_length * model->transformer.text_dim);
  sora_arena_add (stream->arena, &stream->latents, latent_floats (stream, stream->block_latents));
  sora_arena_add (stream->arena, &stream->decoded, latent_floats (stream, n_decoded));
  sora_arena_add (stream->arena, &stream->rgb, (rgb_bytes + sizeof (gfloat) - 1) / sizeof (gfloat));
  sora_arena_add (stream->arena, &stream->flag, 1);
  if (stream->image)
    sora_stream_image_plan (stream->image, stream->latent_height, stream->latent_width, stream->block_latents, stream->arena);
  stream->transformer_state = sora_transformer_state_new (&model->transformer, &shape, stream->arena);
}

/* What declare_memory() has made */
static void
drop_memory (SoraStream *stream)
{
  g_clear_pointer (&stream->text_state, sora_text_encoder_state_free);
  g_clear_pointer (&stream->transformer_state, sora_transformer_state_free);
  g_clear_pointer (&stream->decoder_state, sora_vae_decoder_state_free);
  g_clear_pointer (&stream->sampler, sora_sampler_free);
  g_clear_pointer (&stream->arena, sora_arena_free);
}

/* Of the device's memory, bytes that may be used */
static guint64
max_memory (SoraStream *stream)
{
  guint64 all = sora_queue_get_device (stream->queue)->global_memory;

  return stream->options->max_memory > 0 ? stream->options->max_memory : all / 10 * 9;
}

/* Of the parts that the stream has taken */
static guint64
count_weight_bytes (SoraStream *stream)
{
  return sora_resident_get_size (stream->vae) + sora_resident_get_size (stream->text_encoder)
      + sora_resident_get_size (stream->experts[0]) + sora_resident_get_size (stream->experts[1]);
}

/* Bytes that are left to the weights, which come one after the other, as the files have them; where they cannot but be streamed, half of the
 * memory */
static guint64
room_for_weights (SoraStream *stream)
{
  guint64 bytes = MAX (sora_weight_file_get_bytes (stream->model->text_encoder_file),
      sora_weight_file_get_bytes (stream->model->transformer_file));

  return MIN (bytes, max_memory (stream) / 2);
}

/* Whether what was declared goes into the memory beside the weights, and the VAE's largest map into one piece of it. */
static gboolean
fits_memory (SoraStream *stream)
{
  SoraDevice *device = sora_queue_get_device (stream->queue);
  guint64 largest = sora_vae_decoder_state_get_largest (stream->decoder_state);
  guint64 bytes = sora_arena_get_size (stream->arena) + count_weight_bytes (stream) + room_for_weights (stream);

  if (device->type == CL_DEVICE_TYPE_CPU)
    bytes += sora_vae_decoder_state_get_host_size (stream->decoder_state);
  return bytes <= max_memory (stream) && largest <= G_MAXINT32 && largest * sizeof (gfloat) <= device->max_allocation;
}

static void
plan_with_tile (SoraStream *stream, guint tile)
{
  drop_memory (stream);
  stream->arena = sora_arena_new (sora_queue_get_device (stream->queue));
  declare_memory (stream, tile);
  stream->vae_tile = sora_vae_decoder_state_is_tiled (stream->decoder_state) ? tile : 0;
}

/* The largest tile of the VAE with which all fits, 0 = the whole picture; or, if none does, that which takes the least: weights are streamed then. */
static void
plan_with_best_tile (SoraStream *stream)
{
  static const guint tiles[] = { 0, 512, 384, 256, 192, 128, 96, 64 };
  guint64 least = G_MAXUINT64;
  guint best = 0;

  for (guint i = 0; i < G_N_ELEMENTS (tiles); i++) {
    plan_with_tile (stream, tiles[i]);
    if (fits_memory (stream))
      return;
    if (sora_arena_get_size (stream->arena) < least) {
      least = sora_arena_get_size (stream->arena);
      best = tiles[i];
    }
  }
  plan_with_tile (stream, best);
}

/* Declared, and declared again until it fits where the VAE's tiles are to be chosen; then all is allocated at once. */
static gboolean
plan_memory (SoraStream *stream, GError **error)
{
  if (stream->model->vae.kind != SORA_VAE_WAN)
    plan_with_tile (stream, 0);
  else if (stream->options->vae_tile >= 0)
    plan_with_tile (stream, stream->options->vae_tile);
  else
    plan_with_best_tile (stream);
  return check_maps (stream, error) && sora_arena_commit (stream->arena, error);
}

/* What the transformer makes of what depends on neither prompt nor block. */
static void
set_timesteps_and_image (SoraStream *stream)
{
  cl_mem embeddings = stream->image ? sora_stream_image_get_embeddings (stream->image) : NULL;

  sora_transformer_set_timesteps (stream->transformer, stream->transformer_state, stream->queue,
      sora_sampler_get_timesteps (stream->sampler), sora_sampler_get_n_timesteps (stream->sampler));
  if (embeddings)
    sora_transformer_set_image (stream->transformer, stream->transformer_state, stream->queue,
        SORA_MATRIX (embeddings, stream->model->transformer.image_dim));
}

/* What any transformer finds in the state. */
static void
prepare_state (SoraStream *stream)
{
  sora_transformer_state_prepare (stream->experts[0]->transformer, stream->transformer_state, stream->queue);
  if (stream->image)
    sora_transformer_set_condition (stream->transformer_state, sora_stream_image_get_condition (stream->image));
}

static gboolean encode_prompts (SoraStream *stream, GCancellable *cancellable, GError **error);
static gboolean load_expert (SoraStream *stream, guint index, GCancellable *cancellable, GError **error);
static gboolean use_expert (SoraStream *stream, guint index, GCancellable *cancellable, GError **error);

static void
report (SoraStream *stream, gdouble fraction, const gchar *what)
{
  if (stream->progress)
    stream->progress (fraction, what, stream->progress_data);
}

/* Sets *@loras to those of the options, or to NULL if there are none. */
static gboolean
open_loras (SoraModel *model, const SoraStreamOptions *options, SoraModelLoras **loras, GError **error)
{
  GError *cause = NULL;

  *loras = sora_model_loras_new (model, (const gchar *const *) options->loras, options->lora_weights, &cause);
  if (!cause)
    return TRUE;
  g_propagate_error (error, cause);
  return FALSE;
}

/* For what comes next: the rest of the memory may be taken. */
static SoraWeightRequest
weight_request (SoraStream *stream, GCancellable *cancellable)
{
  guint64 taken = count_weight_bytes (stream) + (stream->arena ? sora_arena_get_size (stream->arena) : 0), all = max_memory (stream);

  return (SoraWeightRequest) {
    .loras = stream->loras, .type = stream->options->weight_type, .precision = stream->options->precision, .max_memory = all,
    .max_bytes = all > taken ? all - taken : 0,
    .progress = stream->progress, .progress_data = stream->progress_data, .cancellable = cancellable,
  };
}

/* The weights that the stream needs in the beginning. */
static gboolean
load_weights (SoraStream *stream, GCancellable *cancellable, GError **error)
{
  SoraWeightRequest request = weight_request (stream, cancellable);
  gint64 start = g_get_monotonic_time ();

  stream->vae = sora_model_take (stream->model, SORA_PART_VAE, stream->queue, &request, error);
  if (stream->vae && stream->options->image.rgb)
    stream->image = sora_stream_image_new (stream->model, stream->options->precision, stream->queue, error);
  if (!stream->vae || (stream->options->image.rgb && !stream->image))
    return FALSE;
  end_loading (stream, SORA_STAGE_VAE, start, sora_resident_get_size (stream->vae));
  return TRUE;
}

/* Afterwards what was made of them is all that is kept of the pictures. */
static gboolean
encode_image (SoraStream *stream, GError **error)
{
  gint64 start = g_get_monotonic_time ();

  if (!stream->image)
    return TRUE;
  report (stream, 1, "encoding image");
  if (!sora_stream_image_encode (stream->image, stream->queue, stream->options->image.rgb, stream->options->last_image.rgb, stream->rgb,
          error))
    return FALSE;
  sora_stream_options_set_image (stream->options, NULL, 0, 0, 0);
  sora_stream_options_set_last_image (stream->options, NULL, 0, 0, 0);
  end_stage (stream, SORA_STAGE_VAE, start);
  return TRUE;
}

/* Prompts are encoded before the transformer's weights are there, which may need the memory that the text encoder's take. */
static gboolean
stream_set_up (SoraStream *stream, SoraDevice *device, GCancellable *cancellable, GError **error)
{
  gint64 start;

  stream->queue = sora_queue_new (device, stream->options->profile, error);
  if (!stream->queue)
    return FALSE;
  sora_queue_set_cancellable (stream->queue, cancellable);
  if (!load_weights (stream, cancellable, error))
    return FALSE;
  if (!plan_memory (stream, error) || !encode_image (stream, error) || !encode_prompts (stream, cancellable, error)
      || !load_expert (stream, 0, cancellable, error))
    return FALSE;
  report (stream, 1, "building kernels");
  start = g_get_monotonic_time ();
  prepare_state (stream);
  if (!use_expert (stream, 0, cancellable, error))
    return FALSE;
  end_stage (stream, SORA_STAGE_TRANSFORMER, start);
  sora_queue_set_cancellable (stream->queue, NULL);
  return TRUE;
}

SoraStream *
sora_stream_new (SoraModel *model, SoraDevice *device, const SoraStreamOptions *options, SoraProgressFunc progress,
    gpointer user_data, GCancellable *cancellable, GError **error)
{
  g_autoptr (SoraStreamOptions) defaults = options ? NULL : sora_stream_options_new ();
  g_autoptr (SoraStream) stream = g_new0 (SoraStream, 1);

  g_mutex_init (&stream->lock);
  stream->model = sora_model_ref (model);
  stream->options = sora_stream_options_copy (options ? options : defaults);
  if (!resolve_options (model, stream->options, error) || !open_loras (model, stream->options, &stream->first_loras, error))
    return NULL;
  stream->loras = sora_model_loras_ref (stream->first_loras);
  stream->latent_width = stream->options->width / model->vae.spatial_scale;
  stream->latent_height = stream->options->height / model->vae.spatial_scale;
  stream->block_latents = count_block_latents (model, stream->options);
  stream->pending_guidance = stream->options->guidance_scale;
  set_guidance (stream, stream->pending_guidance);
  stream->n_branches = is_guided (stream) ? 2 : 1;
  stream->prompt = g_strdup (stream->options->prompt);
  stream->progress = progress;
  stream->progress_data = user_data;
  if (!check_extent (stream, error) || !stream_set_up (stream, device, cancellable, error))
    return NULL;
  stream->progress = NULL;
  return g_steal_pointer (&stream);
}

void
sora_stream_free (SoraStream *stream)
{
  if (!stream)
    return;
  if (stream->queue) {
    sora_queue_set_cancellable (stream->queue, NULL);
    sora_queue_finish (stream->queue, NULL);
  }
  g_clear_pointer (&stream->image, sora_stream_image_free);
  drop_memory (stream);
  sora_model_release (stream->model, stream->vae);
  sora_model_release (stream->model, stream->text_encoder);
  for (guint i = 0; i < G_N_ELEMENTS (stream->experts); i++)
    sora_model_release (stream->model, stream->experts[i]);
  sora_model_loras_unref (stream->first_loras);
  sora_model_loras_unref (stream->loras);
  sora_model_loras_unref (stream->pending_loras);
  g_clear_pointer (&stream->queue, sora_queue_free);
  g_clear_pointer (&stream->options, sora_stream_options_free);
  g_clear_pointer (&stream->model, sora_model_unref);
  g_clear_pointer (&stream->unfinished, sora_block_unref);
  g_free (stream->prompt);
  g_free (stream->pending_prompt);
  g_mutex_clear (&stream->lock);
  g_free (stream);
}

/* --- text ------------------------------------------------------------------------------------------------------ */

/* Reads @n floats at @offset of device memory for the tap; NULL with a sticky error. */
static gfloat *
read_for_tap (SoraStream *stream, cl_mem mem, gsize offset, gsize n)
{
  g_autofree gfloat *data = g_new (gfloat, n);
  GError *error = NULL;

  if (sora_queue_has_failed (stream->queue))
    return NULL;
  if (sora_queue_read (stream->queue, mem, offset * sizeof (gfloat), n * sizeof (gfloat), data, &error))
    return g_steal_pointer (&data);
  sora_queue_fail (stream->queue, error);
  return NULL;
}

/* Of a branch's prompt, [text_length, text_dim]. */
static SoraMatrix
embeddings_of (SoraStream *stream, guint branch)
{
  guint dim = stream->model->transformer.text_dim;

  return SORA_MATRIX_AT (stream->embeddings, branch * stream->model->streaming.text_length * dim, dim);
}

/* @tokens: as many as the branch's embeddings */
static void
tap_text (SoraStream *stream, guint branch, const gint32 *tokens)
{
  guint n_tokens = stream->n_tokens[branch];
  guint dim = stream->model->transformer.text_dim;
  const gint64 shape[] = { n_tokens, dim };
  g_autofree gfloat *embeddings = read_for_tap (stream, stream->embeddings, embeddings_of (stream, branch).offset,
      (gsize) n_tokens * dim);
  g_autofree gfloat *ids = g_new (gfloat, n_tokens);    /* exact below 2^24 */

  for (guint i = 0; i < n_tokens; i++)
    ids[i] = tokens[i];
  stream->tap (branch == 0 ? "tokens" : "negative_tokens", ids, shape, 1, stream->tap_data);
  if (embeddings)
    stream->tap (branch == 0 ? "text_embeddings" : "negative_text_embeddings", embeddings, shape, 2, stream->tap_data);
}

/* Tokenizes and encodes @prompt. */
static gboolean
encode_prompt (SoraStream *stream, guint branch, const gchar *prompt, GError **error)
{
  guint n_tokens;
  g_autofree gint32 *tokens = sora_tokenizer_encode (stream->model->tokenizer, prompt, stream->model->streaming.text_length,
      &n_tokens, error);

  if (!tokens)
    return FALSE;
  sora_text_encoder_run (stream->text_encoder->text_encoder, stream->text_state, stream->queue, tokens, n_tokens, embeddings_of (stream, branch));
  stream->n_tokens[branch] = n_tokens;
  stream->text_ready[branch] = !sora_queue_has_failed (stream->queue);
  stream->text_set[branch] = stream->text_seen[branch] = FALSE;
  return TRUE;
}

static gboolean
keeps_text_encoder (SoraStream *stream)
{
  if (stream->options->text_encoder_policy == SORA_TEXT_ENCODER_POLICY_AUTO)
    return !sora_weight_file_is_large (stream->model->text_encoder_file, max_memory (stream));
  return stream->options->text_encoder_policy == SORA_TEXT_ENCODER_POLICY_KEEP;
}

static gboolean
take_text_encoder (SoraStream *stream, GCancellable *cancellable, GError **error)
{
  SoraWeightRequest request = weight_request (stream, cancellable);
  gint64 start = g_get_monotonic_time ();

  if (stream->text_encoder)
    return TRUE;
  stream->text_encoder = sora_model_take (stream->model, SORA_PART_TEXT_ENCODER, stream->queue, &request, error);
  if (!stream->text_encoder)
    return FALSE;
  end_loading (stream, SORA_STAGE_TEXT_ENCODER, start, sora_resident_get_size (stream->text_encoder));
  return TRUE;
}

/* What was enqueued with it has ended. */
static void
release_part (SoraStream *stream, SoraResident **part)
{
  sora_model_release (stream->model, g_steal_pointer (part));
  sora_queue_clear_streams (stream->queue);
}

/* Unless it is to stay. What was enqueued with it ends first, so that its memory is free at once. */
static gboolean
release_text_encoder (SoraStream *stream, GError **error)
{
  gboolean done;

  if (keeps_text_encoder (stream))
    return TRUE;
  done = sora_queue_finish (stream->queue, error);
  stream->text_bytes = sora_text_encoder_get_least (stream->text_encoder->text_encoder);
  release_part (stream, &stream->text_encoder);
  return done;
}

static gboolean
has_texts (SoraStream *stream)
{
  return stream->text_ready[0] && (stream->text_ready[1] || stream->n_branches == 1);
}

static const gchar *
prompt_of (SoraStream *stream, guint branch)
{
  return branch == 0 ? stream->prompt : stream->options->negative_prompt;
}

/* Encodes the prompts whose embeddings are not in place. */
static gboolean
encode_prompts (SoraStream *stream, GCancellable *cancellable, GError **error)
{
  gboolean done = TRUE;
  gint64 start;

  if (has_texts (stream))
    return TRUE;
  if (!take_text_encoder (stream, cancellable, error))
    return FALSE;
  start = g_get_monotonic_time ();
  for (guint branch = 0; done && branch < stream->n_branches; branch++)
    done = stream->text_ready[branch] || encode_prompt (stream, branch, prompt_of (stream, branch), error);
  end_stage (stream, SORA_STAGE_TEXT_ENCODER, start);
  return release_text_encoder (stream, done ? error : NULL) && done;
}

/* Shows the tap what it has not seen yet. */
static gboolean
tap_texts (SoraStream *stream, GError **error)
{
  for (guint branch = 0; branch < stream->n_branches && stream->tap; branch++) {
    guint n_tokens;
    g_autofree gint32 *tokens = stream->text_seen[branch] ? NULL : sora_tokenizer_encode (stream->model->tokenizer,
        prompt_of (stream, branch), stream->model->streaming.text_length, &n_tokens, error);
    if (stream->text_seen[branch])
      continue;
    if (!tokens)
      return FALSE;
    tap_text (stream, branch, tokens);
    stream->text_seen[branch] = TRUE;
  }
  return TRUE;
}

/* What a text encoder that was released needs when it comes back is left free. */
static SoraWeightRequest
expert_request (SoraStream *stream, GCancellable *cancellable)
{
  SoraWeightRequest request = weight_request (stream, cancellable);

  request.max_bytes -= MIN (request.max_bytes, stream->text_bytes);
  return request;
}

/* Lets the other expert go unless it is whole, and the rest of the memory is enough for another one like it. */
static gboolean
make_room (SoraStream *stream, SoraResident **other, GCancellable *cancellable, GError **error)
{
  if (!*other || (!sora_transformer_is_streamed ((*other)->transformer)
          && sora_resident_get_size (*other) <= expert_request (stream, cancellable).max_bytes))
    return TRUE;
  if (!sora_queue_finish (stream->queue, error))
    return FALSE;
  release_part (stream, other);
  return TRUE;
}

static gboolean
load_expert (SoraStream *stream, guint index, GCancellable *cancellable, GError **error)
{
  SoraWeightRequest request;
  gint64 start = g_get_monotonic_time ();

  if (!make_room (stream, &stream->experts[1 - index], cancellable, error))
    return FALSE;
  request = expert_request (stream, cancellable);
  stream->experts[index] = sora_model_take (stream->model, SORA_PART_TRANSFORMER + index, stream->queue, &request, error);
  if (!stream->experts[index])
    return FALSE;
  end_loading (stream, SORA_STAGE_TRANSFORMER, start, sora_resident_get_size (stream->experts[0])
      + sora_resident_get_size (stream->experts[1]));
  return TRUE;
}

/* Gives the transformer the timesteps, the image, and the keys and values of the prompts, as far as it does not have them. */
static void
condition (SoraStream *stream)
{
  if (!stream->conditioned) {
    set_timesteps_and_image (stream);
    stream->conditioned = !sora_queue_has_failed (stream->queue);
    stream->text_set[0] = stream->text_set[1] = FALSE;
  }
  for (guint branch = 0; branch < stream->n_branches; branch++) {
    if (stream->text_set[branch])
      continue;
    sora_transformer_set_text (stream->transformer, stream->transformer_state, stream->queue, branch, embeddings_of (stream, branch),
        stream->n_tokens[branch]);
    stream->text_set[branch] = !sora_queue_has_failed (stream->queue);
  }
}

/* Makes expert @index, 0 if there is but one, the one that the state is for. A call that fails leaves none. */
static gboolean
use_expert (SoraStream *stream, guint index, GCancellable *cancellable, GError **error)
{
  if (!stream->transformer || stream->expert != index)
    stream->conditioned = FALSE;
  stream->transformer = NULL;
  if (!stream->experts[index] && !load_expert (stream, index, cancellable, error))
    return FALSE;
  stream->transformer = stream->experts[index]->transformer;
  stream->expert = index;
  condition (stream);
  return sora_queue_check (stream->queue, error);
}

/* Puts back LoRAs whose loading was cancelled, unless others were set meanwhile. Takes @loras. */
static void
put_back_loras (SoraStream *stream, SoraModelLoras *loras)
{
  g_mutex_lock (&stream->lock);
  if (!stream->has_pending_loras) {
    stream->pending_loras = g_steal_pointer (&loras);
    stream->has_pending_loras = TRUE;
  }
  g_mutex_unlock (&stream->lock);
  sora_model_loras_unref (loras);
}

/* What LoRAs concern: the text encoder, and the experts */
#define N_CHANGING 3

/* Takes of each of @old that is there the same part with the LoRAs of @request, into @new. The old ones may go afterwards, so that beside the VAE
 * only what is new counts. Kernels that use the old ones have ended then. FALSE with an error. */
static gboolean
take_changed (SoraStream *stream, SoraResident **const *old, SoraResident **new, const SoraWeightRequest *request, GError **error)
{
  static const SoraPartType types[N_CHANGING] = { SORA_PART_TEXT_ENCODER, SORA_PART_TRANSFORMER, SORA_PART_TRANSFORMER_2 };
  guint64 taken = sora_arena_get_size (stream->arena) + sora_resident_get_size (stream->vae);

  for (guint i = 0; i < N_CHANGING; i++) {
    SoraWeightRequest part = *request;
    if (!*old[i])
      continue;
    part.max_bytes = request->max_memory - MIN (request->max_memory, taken + (i > 0 ? stream->text_bytes : 0));
    new[i] = sora_model_take (stream->model, types[i], stream->queue, &part, error);
    if (!new[i])
      return FALSE;
    taken += sora_resident_get_size (new[i]);
  }
  return sora_queue_finish (stream->queue, error);
}

/* Whether prompts are encoded otherwise with @b than with @a */
static gboolean
changes_texts (const SoraModelLoras *a, const SoraModelLoras *b)
{
  return (a && a->files[SORA_PART_TEXT_ENCODER]) || (b && b->files[SORA_PART_TEXT_ENCODER]);
}

/* Replaces the parts by those with @loras; then time and text are embedded anew. An error leaves the stream as it was. */
static gboolean
change_loras (SoraStream *stream, SoraModelLoras *loras, GCancellable *cancellable, GError **error)
{
  SoraWeightRequest request = weight_request (stream, cancellable);
  SoraResident **const parts[N_CHANGING] = { &stream->text_encoder, &stream->experts[0], &stream->experts[1] };
  SoraResident *taken[N_CHANGING] = { NULL };
  gboolean done;

  request.loras = loras;
  done = take_changed (stream, parts, taken, &request, error);
  for (guint i = 0; i < N_CHANGING; i++) {
    SoraResident *unused = taken[i];
    if (done) {
      unused = *parts[i];
      *parts[i] = taken[i];
    }
    sora_model_release (stream->model, unused);
  }
  if (!done)
    return FALSE;
  sora_queue_clear_streams (stream->queue);
  stream->transformer = NULL;
  if (changes_texts (stream->loras, loras))
    stream->text_ready[0] = stream->text_ready[1] = FALSE;
  sora_model_loras_unref (stream->loras);
  stream->loras = sora_model_loras_ref (loras);
  return TRUE;
}

/* Takes over the LoRAs that were set meanwhile. */
static gboolean
take_loras (SoraStream *stream, GCancellable *cancellable, GError **error)
{
  SoraModelLoras *loras;
  GError *cause = NULL;
  gboolean pending;

  g_mutex_lock (&stream->lock);
  pending = stream->has_pending_loras;
  loras = g_steal_pointer (&stream->pending_loras);
  stream->has_pending_loras = FALSE;
  g_mutex_unlock (&stream->lock);
  if (pending && !sora_model_loras_equal (loras, stream->loras) && !change_loras (stream, loras, cancellable, &cause)) {
    if (g_error_matches (cause, G_IO_ERROR, G_IO_ERROR_CANCELLED))
      put_back_loras (stream, g_steal_pointer (&loras));
    g_propagate_error (error, cause);
  }
  sora_model_loras_unref (loras);
  return !cause;
}

/* Takes over the prompt and guidance that were set meanwhile. */
static gboolean
take_direction (SoraStream *stream, GCancellable *cancellable, GError **error)
{
  g_autofree gchar *prompt = NULL;

  g_mutex_lock (&stream->lock);
  prompt = g_steal_pointer (&stream->pending_prompt);
  set_guidance (stream, stream->pending_guidance);
  g_mutex_unlock (&stream->lock);
  if (prompt && !g_str_equal (prompt, stream->prompt)) {
    g_free (stream->prompt);
    stream->prompt = g_steal_pointer (&prompt);
    stream->text_ready[0] = FALSE;
  }
  return encode_prompts (stream, cancellable, error) && tap_texts (stream, error);
}

/* --- a block --------------------------------------------------------------------------------------------------- */

/* The block's initial noise, [latents, height, width, channels]: the caller's where it gave some, else from the seed. */
static void
fill_noise (SoraStream *stream, gfloat *noise)
{
  guint n_channels = stream->model->vae.latent_channels, n_pixels = stream->latent_height * stream->latent_width;
  guint64 given = stream->options->n_noise / (n_channels * n_pixels);
  guint64 first = stream->next_block * stream->block_latents;

  sora_noise_fill (stream->options->seed, stream->next_block, 0, latent_floats (stream, stream->block_latents), noise);
  for (guint t = 0; t < stream->block_latents && first + t < given; t++)
    for (guint p = 0; p < n_pixels; p++)
      for (guint c = 0; c < n_channels; c++)
        noise[(t * n_pixels + p) * n_channels + c] = stream->options->noise[(c * given + first + t) * n_pixels + p];
}

/* Shows @data, [latents, height, width, channels], as [channels, latents, height, width]. */
static void
tap_latents (SoraStream *stream, const gchar *name, const gfloat *data)
{
  guint n_channels = stream->model->vae.latent_channels;
  guint n_pixels = stream->block_latents * stream->latent_height * stream->latent_width;
  const gint64 shape[] = { n_channels, stream->block_latents, stream->latent_height, stream->latent_width };
  g_autofree gfloat *planes = g_new (gfloat, (gsize) n_channels * n_pixels);

  for (guint p = 0; p < n_pixels; p++)
    for (guint c = 0; c < n_channels; c++)
      planes[(gsize) c * n_pixels + p] = data[(gsize) p * n_channels + c];
  stream->tap (name, planes, shape, 4, stream->tap_data);
}

static void
upload_noise (SoraStream *stream)
{
  gsize n = latent_floats (stream, stream->block_latents);
  g_autofree gfloat *noise = g_new (gfloat, n);

  fill_noise (stream, noise);
  if (stream->tap)
    tap_latents (stream, "noise", noise);
  sora_queue_write (stream->queue, stream->latents, 0, n * sizeof (gfloat), noise);
}

/* What the sampler works on for block @index: an image is held where the stream begins. */
static SoraSamplerBlock
sampler_block (SoraStream *stream, guint64 index)
{
  gboolean holds = holds_image (stream) && index == 0;

  return (SoraSamplerBlock) {
    .latents = stream->latents, .n_latents = stream->block_latents,
    .held = holds ? sora_stream_image_get_latent (stream->image) : NULL, .n_held = holds ? 1 : 0,
    .seed = stream->options->seed, .index = index,
  };
}

/* The clean latents that lie there from the block before enter the cache. */
static gboolean
commit_previous (SoraStream *stream, GCancellable *cancellable, GError **error)
{
  SoraSamplerBlock block;
  gint64 start = g_get_monotonic_time ();

  if (!stream->uncommitted)
    return TRUE;
  if (!use_expert (stream, 0, cancellable, error))
    return FALSE;
  block = sampler_block (stream, stream->next_block - 1);
  sora_sampler_commit (stream->sampler, stream->transformer, stream->transformer_state, stream->queue, &block);
  stream->uncommitted = sora_queue_has_failed (stream->queue);
  end_stage (stream, SORA_STAGE_TRANSFORMER, start);
  return sora_queue_check (stream->queue, error);
}

/* Shows one block of latents at @offset of device memory. */
static void
tap_memory (SoraStream *stream, const gchar *name, cl_mem mem, gsize offset)
{
  g_autofree gfloat *data = read_for_tap (stream, mem, offset, latent_floats (stream, stream->block_latents));

  if (data)
    tap_latents (stream, name, data);
}

static void
tap_step (guint step, cl_mem output, guint n_branches, gpointer user_data)
{
  SoraStream *stream = user_data;
  g_autofree gchar *prompt_name = g_strdup_printf ("step_%u_output", step);
  g_autofree gchar *negative_name = g_strdup_printf ("step_%u_negative_output", step);
  g_autofree gchar *latents_name = g_strdup_printf ("step_%u_latents", step);

  tap_memory (stream, prompt_name, output, 0);
  if (n_branches == 2)
    tap_memory (stream, negative_name, output, latent_floats (stream, stream->block_latents));
  tap_memory (stream, latents_name, stream->latents, 0);
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
    if (!use_expert (stream, expert, cancellable, error))
      return FALSE;
    sora_sampler_denoise (stream->sampler, stream->transformer, stream->transformer_state, stream->queue, &block,
        stream->guidance[expert], stream->tap ? tap_step : NULL, stream);
    block.first_step += block.n_steps;
  }
  return TRUE;
}

static gboolean
denoise (SoraStream *stream, GCancellable *cancellable, GError **error)
{
  gsize n = latent_floats (stream, stream->block_latents);
  gint64 start = g_get_monotonic_time ();

  upload_noise (stream);
  if (!run_steps (stream, cancellable, error))
    return FALSE;
  sora_queue_zero (stream->queue, stream->flag, 0, sizeof (cl_int));
  sora_check_finite_run (stream->queue, stream->latents, 0, n, stream->flag);
  if (stream->tap)
    tap_memory (stream, "latents", stream->latents, 0);
  end_stage (stream, SORA_STAGE_TRANSFORMER, start);
  return sora_queue_check (stream->queue, error);
}

/* Decodes the next few of the block's latents into the device's RGB bytes, unless they are there already. */
static void
decode_some (SoraStream *stream)
{
  guint n = MIN (sora_vae_decoder_state_get_chunk (stream->decoder_state), stream->block_latents - stream->n_read);

  if (stream->n_decoded > 0)
    return;
  sora_queue_copy (stream->queue, stream->latents, latent_floats (stream, stream->n_read) * sizeof (gfloat), stream->decoded, 0,
      latent_floats (stream, n) * sizeof (gfloat));
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
  end_stage (stream, SORA_STAGE_VAE, start);
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

/* --- the public calls ------------------------------------------------------------------------------------------ */

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
  if (!commit_previous (stream, cancellable, error) || !take_loras (stream, cancellable, error) || !take_direction (stream, cancellable, error)
      || !denoise (stream, cancellable, error))
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

gboolean
sora_stream_set_prompt (SoraStream *stream, const gchar *prompt, GError **error)
{
  guint n_tokens;
  g_autofree gint32 *tokens = sora_tokenizer_encode (stream->model->tokenizer, prompt ? prompt : "",
      stream->model->streaming.text_length, &n_tokens, error);

  if (!tokens)
    return FALSE;
  g_mutex_lock (&stream->lock);
  g_free (stream->pending_prompt);
  stream->pending_prompt = g_strdup (prompt ? prompt : "");
  g_mutex_unlock (&stream->lock);
  return TRUE;
}

/* Takes @loras. */
static void
set_pending_loras (SoraStream *stream, SoraModelLoras *loras)
{
  sora_model_loras_unref (stream->pending_loras);
  stream->pending_loras = loras;
  stream->has_pending_loras = TRUE;
}

gboolean
sora_stream_set_loras (SoraStream *stream, const gchar *const *paths, const gdouble *weights, GError **error)
{
  GError *cause = NULL;
  SoraModelLoras *loras = sora_model_loras_new (stream->model, paths, weights, &cause);

  if (cause) {
    g_propagate_error (error, cause);
    return FALSE;
  }
  g_mutex_lock (&stream->lock);
  set_pending_loras (stream, loras);
  g_mutex_unlock (&stream->lock);
  return TRUE;
}

void
sora_stream_set_guidance_scale (SoraStream *stream, gdouble scale)
{
  g_return_if_fail (scale <= MAX_GUIDANCE_SCALE);       /* nor NaN */

  g_mutex_lock (&stream->lock);
  stream->pending_guidance = scale;
  g_mutex_unlock (&stream->lock);
}

void
sora_stream_restart (SoraStream *stream)
{
  stream->next_block = 0;
  stream->uncommitted = FALSE;
  g_clear_pointer (&stream->unfinished, sora_block_unref);
  sora_transformer_reset (stream->transformer_state);
  sora_vae_decoder_reset (stream->decoder_state, stream->queue);
  g_mutex_lock (&stream->lock);
  g_free (stream->pending_prompt);
  stream->pending_prompt = g_strdup (stream->options->prompt);
  stream->pending_guidance = stream->options->guidance_scale;
  set_pending_loras (stream, sora_model_loras_ref (stream->first_loras));
  g_mutex_unlock (&stream->lock);
}

void
sora_stream_set_tap (SoraStream *stream, SoraTapFunc tap, gpointer user_data)
{
  stream->tap = tap;
  stream->tap_data = user_data;
  stream->text_seen[0] = stream->text_seen[1] = FALSE;
}

void
sora_stream_get_block_frames (SoraStream *stream, guint *first, guint *later)
{
  *first = frames_before (stream, 1);
  *later = stream->block_latents * stream->model->vae.time_scale;
}

void
sora_stream_get_size (SoraStream *stream, guint *width, guint *height)
{
  *width = stream->options->width;
  *height = stream->options->height;
}

gchar *
sora_stream_get_profile (SoraStream *stream)
{
  return sora_queue_format_profile (stream->queue);
}

guint64
sora_stream_get_work (SoraStream *stream)
{
  return sora_queue_get_work (stream->queue);
}

void
sora_stream_get_memory (SoraStream *stream, guint64 *stream_bytes, guint64 *weight_bytes)
{
  *stream_bytes = sora_arena_get_size (stream->arena) + sora_queue_get_stream_size (stream->queue);
  *weight_bytes = count_weight_bytes (stream);
}

void
sora_stream_get_stage (SoraStream *stream, SoraStage stage, gdouble *load_seconds, gdouble *run_seconds, guint64 *weight_bytes)
{
  const StageUse *use;

  g_return_if_fail (stage >= SORA_STAGE_TEXT_ENCODER && stage <= SORA_STAGE_VAE);

  use = &stream->stages[stage];
  *load_seconds = use->load / (gdouble) G_USEC_PER_SEC;
  *run_seconds = use->run / (gdouble) G_USEC_PER_SEC;
  *weight_bytes = use->weight_bytes;
}

guint
sora_stream_get_vae_tile (SoraStream *stream)
{
  return stream->vae_tile;
}
