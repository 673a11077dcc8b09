/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What to generate: a stream's options with their defaults. */
#include "stream-private.h"

#include <string.h>

SoraStreamOptions *
sora_stream_options_new (void)
{
  SoraStreamOptions *options = g_new0 (SoraStreamOptions, 1);

  options->prompt = g_strdup ("");
  options->guidance_scale = options->guidance_scale_2 = -1;
  options->guidance_end = 1;
  options->shift = -1;
  options->vae_tile = -1;
  return options;
}

SoraStreamOptions *
sora_stream_options_copy (const SoraStreamOptions *options)
{
  SoraStreamOptions *copy = g_memdup2 (options, sizeof *options);

  copy->prompt = g_strdup (options->prompt);
  copy->negative_prompt = g_strdup (options->negative_prompt);
  copy->noise = g_memdup2 (options->noise, options->n_noise * sizeof (gfloat));
  copy->image.rgb = g_memdup2 (options->image.rgb, (gsize) 3 * options->image.width * options->image.height);
  copy->last_image.rgb = g_memdup2 (options->last_image.rgb, (gsize) 3 * options->last_image.width * options->last_image.height);
  copy->loras = NULL;
  copy->lora_weights = NULL;
  sora_stream_options_set_loras (copy, (const gchar *const *) options->loras, options->lora_weights);
  return copy;
}

void
sora_stream_options_free (SoraStreamOptions *options)
{
  if (!options)
    return;
  g_free (options->prompt);
  g_free (options->negative_prompt);
  g_free (options->noise);
  g_free (options->image.rgb);
  g_free (options->last_image.rgb);
  g_strfreev (options->loras);
  g_free (options->lora_weights);
  g_free (options);
}

void
sora_stream_options_set_prompt (SoraStreamOptions *options, const gchar *prompt)
{
  g_free (options->prompt);
  options->prompt = g_strdup (prompt ? prompt : "");
}

void
sora_stream_options_set_negative_prompt (SoraStreamOptions *options, const gchar *prompt)
{
  g_free (options->negative_prompt);
  options->negative_prompt = g_strdup (prompt);
}

void
sora_stream_options_set_guidance_scale (SoraStreamOptions *options, gdouble scale)
{
  options->guidance_scale = scale;
}

void
sora_stream_options_set_guidance_scale_2 (SoraStreamOptions *options, gdouble scale)
{
  options->guidance_scale_2 = scale;
}

void
sora_stream_options_set_guidance_interval (SoraStreamOptions *options, gdouble begin, gdouble end)
{
  options->guidance_begin = begin;
  options->guidance_end = end;
}

void
sora_stream_options_set_sampler (SoraStreamOptions *options, SoraSamplerType sampler)
{
  options->sampler = sampler;
}

void
sora_stream_options_set_steps (SoraStreamOptions *options, guint steps)
{
  options->steps = steps;
}

void
sora_stream_options_set_shift (SoraStreamOptions *options, gdouble shift)
{
  options->shift = shift;
}

void
sora_stream_options_set_seed (SoraStreamOptions *options, guint64 seed)
{
  options->seed = seed;
}

void
sora_stream_options_set_size (SoraStreamOptions *options, guint width, guint height)
{
  options->width = width;
  options->height = height;
}

void
sora_stream_options_set_length (SoraStreamOptions *options, guint64 frames)
{
  options->length = frames;
}

void
sora_stream_options_set_noise (SoraStreamOptions *options, const gfloat *noise, gsize n)
{
  g_free (options->noise);
  options->noise = g_memdup2 (noise, n * sizeof (gfloat));
  options->n_noise = n;
}

static void
set_picture (SoraStreamPicture *picture, const guint8 *rgb, guint width, guint height, gsize stride)
{
  gsize row = (gsize) 3 * width;

  g_return_if_fail (rgb == NULL || (width > 0 && height > 0 && stride >= row));

  g_free (picture->rgb);
  *picture = (SoraStreamPicture) { NULL };
  if (rgb == NULL)
    return;
  *picture = (SoraStreamPicture) { g_malloc_n (height, row), width, height };
  for (guint y = 0; y < height; y++)
    memcpy (picture->rgb + y * row, rgb + y * stride, row);
}

void
sora_stream_options_set_image (SoraStreamOptions *options, const guint8 *rgb, guint width, guint height, gsize stride)
{
  set_picture (&options->image, rgb, width, height, stride);
}

void
sora_stream_options_set_last_image (SoraStreamOptions *options, const guint8 *rgb, guint width, guint height, gsize stride)
{
  set_picture (&options->last_image, rgb, width, height, stride);
}

void
sora_stream_options_set_loras (SoraStreamOptions *options, const gchar *const *paths, const gdouble *weights)
{
  gsize n = paths ? g_strv_length ((gchar **) paths) : 0;

  g_strfreev (options->loras);
  g_free (options->lora_weights);
  options->loras = g_strdupv ((gchar **) paths);
  options->lora_weights = weights ? g_memdup2 (weights, n * sizeof (gdouble)) : NULL;
}

void
sora_stream_options_set_weight_type (SoraStreamOptions *options, SoraWeightType type)
{
  options->weight_type = type;
}

void
sora_stream_options_set_precision (SoraStreamOptions *options, SoraPrecision precision)
{
  options->precision = precision;
}

void
sora_stream_options_set_text_encoder_policy (SoraStreamOptions *options, SoraTextEncoderPolicy policy)
{
  options->text_encoder_policy = policy;
}

void
sora_stream_options_set_max_memory (SoraStreamOptions *options, guint64 bytes)
{
  options->max_memory = bytes;
}

void
sora_stream_options_set_vae_tile (SoraStreamOptions *options, gint pixels)
{
  options->vae_tile = pixels;
}

void
sora_stream_options_set_profile (SoraStreamOptions *options, gboolean profile)
{
  options->profile = profile;
}

void
sora_stream_options_set_stage_times (SoraStreamOptions *options, gboolean stage_times)
{
  options->stage_times = stage_times;
}
