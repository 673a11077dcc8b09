/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a stream is asked for: the model's own values where the options leave the choice, and an error where they cannot be met. */
#include "stream-check.h"

/* Latents of a clip, as sora.json's default_latents */
#define MAX_CLIP_LATENTS 4096

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

gboolean
sora_stream_resolve_options (SoraModel *model, SoraStreamOptions *options, GError **error)
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
  if (!options->negative_prompt)
    options->negative_prompt = g_strdup (sora_model_get_negative_prompt (model));
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

/* Kernels address the floats of an activation with 32 bits. The largest ones are the keys and values of the window, the feed-forward's
 * hidden layer, and the latents of every branch, step and estimate. (No product here reaches 2^64: config.c and the checks above bound the
 * factors.) */
gboolean
sora_stream_check_extent (SoraStream *stream, GError **error)
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
