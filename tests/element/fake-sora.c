/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A double of libsora for the element's tests: the same API, frames that tell where they come from, and faults to order. */
#include "fake-sora.h"

#include <math.h>
#include <string.h>

FakeSora fake_sora = {
  .width = 32, .height = 32, .rate_n = 16, .rate_d = 1, .first_frames = 1, .frames = 4, .fail_block = -1,
};
FakeSoraCalls fake_sora_calls;

struct _SoraDevice { gint refs; };
struct _SoraModel { gint refs; };

struct _SoraBlock
{
  gint refs;
  guint64 index, first_frame;
  guint n_frames, width, height;
  gdouble seconds;
  gchar *prompt;
  guint8 *rgb;
};

struct _SoraStreamOptions
{
  gchar *prompt, *negative_prompt;
  gdouble guidance_scale, guidance_scale_2, guidance_begin, guidance_end, shift;
  gint vae_tile;
  SoraSamplerType sampler;
  SoraWeightType weight_type;
  SoraPrecision precision;
  SoraTextEncoderPolicy text_encoder_policy;
  guint64 max_memory;
  guint steps, width, height;
  guint64 seed, length;
  FakeSoraImage image, last_image;
  gboolean has_bad_lora;
  guint8 lora_mood;
};

struct _SoraStream
{
  SoraStreamOptions *options;
  SoraModel *model;
  SoraDevice *device;
  GMutex lock;
  gchar *prompt;
  gdouble guidance_scale;
  guint8 lora_mood;
  gboolean has_large_lora;      /* that was set since the block before, of whose mood this is: */
  guint8 held_mood;
  guint64 next_block, next_frame;
};

GQuark
sora_device_error_quark (void)
{
  return g_quark_from_static_string ("sora-device-error");
}

GQuark
sora_model_error_quark (void)
{
  return g_quark_from_static_string ("sora-model-error");
}

GQuark
sora_stream_error_quark (void)
{
  return g_quark_from_static_string ("sora-stream-error");
}

/* The error that the test ordered. */
static void
fail (GError **error)
{
  if (fake_sora.fail_domain)
    g_set_error (error, fake_sora.fail_domain, fake_sora.fail_code, "an ordered failure");
  else
    g_set_error (error, SORA_STREAM_ERROR, SORA_STREAM_ERROR_NUMERIC, "the latents are not finite");
}

SoraDevice *
sora_device_open (const gchar *selector, GError **error)
{
  SoraDevice *device;

  if (fake_sora.fail_device) {
    fail (error);
    return NULL;
  }
  g_atomic_int_inc (&fake_sora_calls.devices);
  device = g_new0 (SoraDevice, 1);
  device->refs = 1;
  return device;
}

SoraDevice *
sora_device_ref (SoraDevice *device)
{
  g_atomic_int_inc (&device->refs);
  return device;
}

void
sora_device_unref (SoraDevice *device)
{
  if (g_atomic_int_dec_and_test (&device->refs)) {
    g_atomic_int_add (&fake_sora_calls.devices, -1);
    g_free (device);
  }
}

const gchar *
sora_device_get_name (SoraDevice *device)
{
  return "double";
}

SoraModel *
sora_model_open_files (const SoraModelFiles *files, GError **error)
{
  const gchar *const parts[] = { files->transformer_2, files->text_encoder, files->vae, files->image_encoder };
  SoraModel *model;

  if (fake_sora.fail_model) {
    fail (error);
    return NULL;
  }
  g_atomic_int_inc (&fake_sora_calls.models);
  model = g_new0 (SoraModel, 1);
  model->refs = 1;
  *fake_sora_calls.parts = '\0';
  for (guint i = 0; i < G_N_ELEMENTS (parts); i++)
    g_strlcat (fake_sora_calls.parts, parts[i] ? parts[i] : "", sizeof (fake_sora_calls.parts));
  if (files->causal)
    g_strlcat (fake_sora_calls.parts, "+", sizeof (fake_sora_calls.parts));
  return model;
}

SoraModel *
sora_model_ref (SoraModel *model)
{
  g_atomic_int_inc (&model->refs);
  return model;
}

void
sora_model_unref (SoraModel *model)
{
  if (g_atomic_int_dec_and_test (&model->refs)) {
    g_atomic_int_add (&fake_sora_calls.models, -1);
    g_free (model);
  }
}

const gchar *
sora_model_get_path (SoraModel *model)
{
  return "/nowhere";
}

const gchar *
sora_model_get_name (SoraModel *model)
{
  return "double";
}

gboolean
sora_model_is_causal (SoraModel *model)
{
  return fake_sora.clip_frames == 0;
}

guint
sora_model_get_clip_frames (SoraModel *model)
{
  return fake_sora.clip_frames;
}

void
sora_model_get_frame_rate (SoraModel *model, gint *numerator, gint *denominator)
{
  *numerator = fake_sora.rate_n;
  *denominator = fake_sora.rate_d;
}

void
sora_model_get_best_size (SoraModel *model, gdouble aspect_ratio, guint *width, guint *height)
{
  *width = fake_sora.width;
  *height = fake_sora.height;
  if (aspect_ratio > G_SQRT2) {
    *width *= 2;
  } else if (aspect_ratio > 0 && aspect_ratio < 1 / G_SQRT2) {
    *height *= 2;
  }
}

SoraStreamOptions *
sora_stream_options_new (void)
{
  return g_new0 (SoraStreamOptions, 1);
}

void
sora_stream_options_free (SoraStreamOptions *options)
{
  g_free (options->prompt);
  g_free (options->negative_prompt);
  g_free (options);
}

void
sora_stream_options_set_prompt (SoraStreamOptions *options, const gchar *prompt)
{
  options->prompt = g_strdup (prompt);
}

void
sora_stream_options_set_negative_prompt (SoraStreamOptions *options, const gchar *prompt)
{
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
sora_stream_options_set_shift (SoraStreamOptions *options, gdouble shift)
{
  options->shift = shift;
}

void
sora_stream_options_set_vae_tile (SoraStreamOptions *options, gint pixels)
{
  options->vae_tile = pixels;
}

void
sora_stream_options_set_steps (SoraStreamOptions *options, guint steps)
{
  options->steps = steps;
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

static guint32
read_pixel (const guint8 *rgb, guint x, guint y, gsize stride)
{
  const guint8 *p = rgb + y * stride + 3 * x;

  return p[0] << 16 | p[1] << 8 | p[2];
}

static FakeSoraImage
look_at (const guint8 *rgb, guint width, guint height, gsize stride)
{
  return (FakeSoraImage) { width, height, read_pixel (rgb, 0, 0, stride), read_pixel (rgb, width / 2, 0, stride),
    read_pixel (rgb, 0, height / 2, stride) };
}

void
sora_stream_options_set_image (SoraStreamOptions *options, const guint8 *rgb, guint width, guint height, gsize stride)
{
  options->image = look_at (rgb, width, height, stride);
}

void
sora_stream_options_set_last_image (SoraStreamOptions *options, const guint8 *rgb, guint width, guint height, gsize stride)
{
  options->last_image = look_at (rgb, width, height, stride);
}

guint8
fake_sora_lora_mood (const gchar *const *paths, const gdouble *weights)
{
  guint8 mood = 0;

  for (guint i = 0; paths && paths[i]; i++)
    mood += g_str_hash (paths[i]) * 17 + (gint) (weights[i] * 100);
  return mood;
}

/* One whose path ends with @name */
static gboolean
has_lora (const gchar *const *paths, const gchar *name)
{
  for (guint i = 0; paths && paths[i]; i++) {
    if (g_str_has_suffix (paths[i], name))
      return TRUE;
  }
  return FALSE;
}

void
sora_stream_options_set_loras (SoraStreamOptions *options, const gchar *const *paths, const gdouble *weights)
{
  options->has_bad_lora = has_lora (paths, FAKE_SORA_BAD_LORA);
  options->lora_mood = fake_sora_lora_mood (paths, weights);
}

static gboolean
check_loras (gboolean is_bad, GError **error)
{
  if (is_bad)
    g_set_error (error, SORA_MODEL_ERROR, SORA_MODEL_ERROR_WEIGHT, "the LoRA is for another model");
  return !is_bad;
}

/* Takes @ms; FALSE where it was cancelled. */
static gboolean
work (guint ms, GCancellable *cancellable, GError **error)
{
  gint64 end = g_get_monotonic_time () + ms * 1000;

  while (!g_cancellable_is_cancelled (cancellable) && g_get_monotonic_time () < end)
    g_usleep (1000);
  if (g_cancellable_is_cancelled (cancellable))
    g_atomic_int_inc (&fake_sora_calls.cancelled);
  return !g_cancellable_set_error_if_cancelled (cancellable, error);
}

static gboolean
check_prompt (const gchar *prompt, GError **error)
{
  if (g_utf8_validate (prompt, -1, NULL) && strlen (prompt) <= FAKE_SORA_PROMPT_BYTES)
    return TRUE;
  g_set_error (error, SORA_STREAM_ERROR, SORA_STREAM_ERROR_PROMPT, "the prompt is too long");
  return FALSE;
}

static void
note_options (const SoraStreamOptions *options)
{
  fake_sora_calls.width = options->width;
  fake_sora_calls.height = options->height;
  fake_sora_calls.length = options->length;
  fake_sora_calls.seed = options->seed;
  fake_sora_calls.steps = options->steps;
  fake_sora_calls.sampler = options->sampler;
  fake_sora_calls.weight_type = options->weight_type;
  fake_sora_calls.precision = options->precision;
  fake_sora_calls.text_encoder_policy = options->text_encoder_policy;
  fake_sora_calls.max_memory = options->max_memory;
  fake_sora_calls.shift = options->shift;
  fake_sora_calls.vae_tile = options->vae_tile;
  fake_sora_calls.guidance_begin = options->guidance_begin;
  fake_sora_calls.guidance_end = options->guidance_end;
  fake_sora_calls.guidance_scale_2 = options->guidance_scale_2;
  fake_sora_calls.image = options->image;
  fake_sora_calls.last_image = options->last_image;
  g_free (fake_sora_calls.prompt);
  fake_sora_calls.prompt = g_strdup (options->prompt);
  g_free (fake_sora_calls.negative_prompt);
  fake_sora_calls.negative_prompt = g_strdup (options->negative_prompt);
}

SoraStream *
sora_stream_new (SoraModel *model, SoraDevice *device, const SoraStreamOptions *options, SoraProgressFunc progress,
    gpointer user_data, GCancellable *cancellable, GError **error)
{
  SoraStream *stream;

  note_options (options);
  for (gint i = 0; i < 10; i++) {
    progress (i / 10.0, "loading", user_data);
    if (!work (fake_sora.load_ms / 10, cancellable, error))
      return NULL;
  }
  if (fake_sora.fail_load) {
    fail (error);
    return NULL;
  }
  if (!check_prompt (options->prompt, error) || !check_loras (options->has_bad_lora, error))
    return NULL;

  g_atomic_int_inc (&fake_sora_calls.streams);
  stream = g_new0 (SoraStream, 1);
  stream->options = g_memdup2 (options, sizeof *options);
  stream->options->prompt = g_strdup (options->prompt);
  stream->options->negative_prompt = g_strdup (options->negative_prompt);
  stream->model = sora_model_ref (model);
  stream->device = sora_device_ref (device);
  stream->prompt = g_strdup (options->prompt);
  stream->guidance_scale = options->guidance_scale;
  stream->lora_mood = options->lora_mood;
  g_mutex_init (&stream->lock);
  return stream;
}

void
sora_stream_free (SoraStream *stream)
{
  if (stream == NULL)
    return;
  g_atomic_int_add (&fake_sora_calls.streams, -1);
  sora_stream_options_free (stream->options);
  sora_model_unref (stream->model);
  sora_device_unref (stream->device);
  g_mutex_clear (&stream->lock);
  g_free (stream->prompt);
  g_free (stream);
}

guint32
fake_sora_colour (guint64 frame, guint64 seed, const gchar *prompt, gdouble guidance_scale)
{
  guint8 mood = g_str_hash (prompt) * 31 + seed * 7 + (gint) guidance_scale;

  return (frame & 0xff) << 16 | (frame >> 8 & 0xff) << 8 | mood;
}

static void
draw (guint8 *rgb, guint width, guint height, guint32 colour)
{
  static const guint32 quadrants[4] = { 0xff0000, 0x00ff00, 0x0000ff, 0xffffff };

  for (guint y = 0; y < height; y++) {
    for (guint x = 0; x < width; x++, rgb += 3) {
      if (fake_sora.quadrants)
        colour = quadrants[2 * (2 * y / height) + 2 * x / width];
      rgb[0] = colour >> 16;
      rgb[1] = colour >> 8;
      rgb[2] = colour;
    }
  }
}

static guint32
add_mood (guint32 colour, guint8 mood)
{
  return (colour & 0xffff00) | ((colour + mood) & 0xff);
}

static SoraBlock *
make_block (SoraStream *stream, guint n_frames)
{
  const SoraStreamOptions *options = stream->options;
  gsize size = (gsize) 3 * options->width * options->height;
  SoraBlock *block = g_new0 (SoraBlock, 1);

  g_atomic_int_inc (&fake_sora_calls.blocks);
  g_atomic_int_inc (&fake_sora_calls.generated);
  *block = (SoraBlock) { 1, stream->next_block, stream->next_frame, n_frames, options->width, options->height,
    fake_sora.block_ms / 1000.0, g_strdup (stream->prompt), g_malloc (size * n_frames) };
  for (guint i = 0; i < n_frames; i++) {
    draw (block->rgb + i * size, options->width, options->height,
        add_mood (fake_sora_colour (stream->next_frame + i, options->seed, stream->prompt, stream->guidance_scale), stream->lora_mood));
  }
  return block;
}

/* A large LoRA fails the block once, and what was before stays. */
static gboolean
take_large_lora (SoraStream *stream, GError **error)
{
  gboolean is_large;

  g_mutex_lock (&stream->lock);
  is_large = stream->has_large_lora;
  stream->has_large_lora = FALSE;
  if (is_large)
    stream->lora_mood = stream->held_mood;
  g_mutex_unlock (&stream->lock);
  if (is_large)
    g_set_error (error, SORA_STREAM_ERROR, SORA_STREAM_ERROR_LORAS, "an ordered want of memory");
  return !is_large;
}

SoraBlock *
sora_stream_next_block (SoraStream *stream, GCancellable *cancellable, GError **error)
{
  guint64 length = stream->options->length ? stream->options->length : fake_sora.clip_frames;
  guint n_frames = stream->next_block == 0 ? fake_sora.first_frames : fake_sora.frames;
  SoraBlock *block;

  if (length > 0 && stream->next_frame >= length)
    return NULL;
  if (length > 0)
    n_frames = MIN (n_frames, length - stream->next_frame);
  if (!work (fake_sora.block_ms, cancellable, error))
    return NULL;
  if (fake_sora.fail_block >= 0 && stream->next_block == (guint) fake_sora.fail_block) {
    fail (error);
    return NULL;
  }
  if (!take_large_lora (stream, error))
    return NULL;
  g_mutex_lock (&stream->lock);
  block = make_block (stream, n_frames);
  stream->held_mood = stream->lora_mood;
  g_mutex_unlock (&stream->lock);
  stream->next_block++;
  stream->next_frame += n_frames;
  return block;
}

gboolean
sora_stream_set_prompt (SoraStream *stream, const gchar *prompt, GError **error)
{
  if (!check_prompt (prompt, error))
    return FALSE;
  g_mutex_lock (&stream->lock);
  g_free (stream->prompt);
  stream->prompt = g_strdup (prompt);
  g_mutex_unlock (&stream->lock);
  return TRUE;
}

gboolean
sora_stream_set_loras (SoraStream *stream, const gchar *const *paths, const gdouble *weights, GError **error)
{
  if (!check_loras (has_lora (paths, FAKE_SORA_BAD_LORA), error))
    return FALSE;
  g_mutex_lock (&stream->lock);
  stream->lora_mood = fake_sora_lora_mood (paths, weights);
  stream->has_large_lora = has_lora (paths, FAKE_SORA_LARGE_LORA);
  g_mutex_unlock (&stream->lock);
  return TRUE;
}

void
sora_stream_set_guidance_scale (SoraStream *stream, gdouble scale)
{
  g_mutex_lock (&stream->lock);
  stream->guidance_scale = scale;
  g_mutex_unlock (&stream->lock);
}

void
sora_stream_restart (SoraStream *stream)
{
  g_atomic_int_inc (&fake_sora_calls.restarts);
  stream->next_block = stream->next_frame = 0;
  g_free (stream->prompt);
  stream->prompt = g_strdup (stream->options->prompt);
  stream->guidance_scale = stream->options->guidance_scale;
  stream->lora_mood = stream->options->lora_mood;
}

void
sora_stream_get_size (SoraStream *stream, guint *width, guint *height)
{
  *width = stream->options->width;
  *height = stream->options->height;
}

void
sora_stream_get_memory (SoraStream *stream, guint64 *stream_bytes, guint64 *weight_bytes)
{
  *stream_bytes = 1000;
  *weight_bytes = 2000;
}

SoraBlock *
sora_block_ref (SoraBlock *block)
{
  g_atomic_int_inc (&block->refs);
  return block;
}

void
sora_block_unref (SoraBlock *block)
{
  if (g_atomic_int_dec_and_test (&block->refs)) {
    g_atomic_int_add (&fake_sora_calls.blocks, -1);
    g_free (block->prompt);
    g_free (block->rgb);
    g_free (block);
  }
}

guint64
sora_block_get_index (SoraBlock *block)
{
  return block->index;
}

guint64
sora_block_get_first_frame (SoraBlock *block)
{
  return block->first_frame;
}

guint
sora_block_get_n_frames (SoraBlock *block)
{
  return block->n_frames;
}

guint
sora_block_get_width (SoraBlock *block)
{
  return block->width;
}

guint
sora_block_get_height (SoraBlock *block)
{
  return block->height;
}

const guint8 *
sora_block_get_rgb (SoraBlock *block, guint i)
{
  g_assert (i < block->n_frames);
  return block->rgb + (gsize) 3 * block->width * block->height * i;
}

gdouble
sora_block_get_seconds (SoraBlock *block)
{
  return block->seconds;
}

const gchar *
sora_block_get_prompt (SoraBlock *block)
{
  return block->prompt;
}
