/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A stream: made, directed, asked what it took, and freed. */
#include "stream-check.h"
#include "stream-condition.h"
#include "stream-memory.h"
#include "stream-parts.h"

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

/* Prompts are encoded before the transformer's weights are there, which may need the memory that the text encoder's take. */
static gboolean
stream_set_up (SoraStream *stream, SoraDevice *device, GCancellable *cancellable, GError **error)
{
  gint64 start;

  stream->queue = sora_queue_new (device, stream->options->profile, error);
  if (!stream->queue)
    return FALSE;
  sora_queue_set_cancellable (stream->queue, cancellable);
  sora_text_encoder_expect (&stream->model->text_encoder, stream->queue);
  if (!sora_stream_load_weights (stream, cancellable, error) || !sora_stream_plan_memory (stream, error)
      || !sora_stream_encode_image (stream, error) || !sora_stream_encode_prompts (stream, cancellable, error)
      || !sora_stream_load_expert (stream, 0, cancellable, error))
    return FALSE;
  sora_stream_report (stream, 1, "building kernels");
  start = g_get_monotonic_time ();
  sora_stream_prepare_state (stream);
  if (!sora_stream_use_expert (stream, 0, cancellable, error))
    return FALSE;
  sora_stream_end_stage (stream, SORA_STAGE_TRANSFORMER, start);
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
  if (!sora_stream_resolve_options (model, stream->options, error) || !open_loras (model, stream->options, &stream->first_loras, error))
    return NULL;
  stream->loras = sora_model_loras_ref (stream->first_loras);
  stream->latent_width = stream->options->width / model->vae.spatial_scale;
  stream->latent_height = stream->options->height / model->vae.spatial_scale;
  stream->block_latents = count_block_latents (model, stream->options);
  stream->pending_guidance = stream->options->guidance_scale;
  sora_stream_set_guidance (stream, stream->pending_guidance);
  stream->n_branches = is_guided (stream) ? 2 : 1;
  stream->prompt = g_strdup (stream->options->prompt);
  stream->progress = progress;
  stream->progress_data = user_data;
  if (!sora_stream_check_extent (stream, error) || !stream_set_up (stream, device, cancellable, error))
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
  sora_stream_drop_memory (stream);
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
  *stream_bytes = sora_stream_count_own_bytes (stream);
  *weight_bytes = sora_stream_count_weight_bytes (stream);
}

void
sora_stream_get_stage (SoraStream *stream, SoraStage stage, gdouble *load_seconds, gdouble *run_seconds, guint64 *weight_bytes)
{
  const SoraStageUse *use;

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
