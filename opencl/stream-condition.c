/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the transformer is told beside the latents: prompts and an image are encoded, and given with the timesteps to the expert in use. */
#include "stream-condition.h"

#include "stream-memory.h"
#include "stream-parts.h"
#include "stream-tap.h"

SoraMatrix
sora_stream_embeddings_of (SoraStream *stream, guint branch)
{
  guint dim = stream->model->transformer.text_dim;

  return SORA_MATRIX_AT (stream->embeddings, branch * stream->model->streaming.text_length * dim, dim);
}

/* Tokenizes and encodes @prompt. */
static gboolean
encode_prompt (SoraStream *stream, guint branch, const gchar *prompt, GError **error)
{
  guint n_tokens;
  g_autofree gint32 *tokens = sora_tokenizer_encode (stream->model->tokenizer, prompt, stream->model->streaming.text_length,
      &n_tokens, error);

  if (!tokens) {
    if (branch > 0)
      g_prefix_error (error, "negative prompt: ");
    return FALSE;
  }
  sora_text_encoder_run (stream->text_encoder->text_encoder, stream->text_state, stream->queue, tokens, n_tokens,
      sora_stream_embeddings_of (stream, branch));
  stream->n_tokens[branch] = n_tokens;
  stream->text_ready[branch] = !sora_queue_has_failed (stream->queue);
  stream->text_set[branch] = stream->text_seen[branch] = FALSE;
  return TRUE;
}

static gboolean
has_texts (SoraStream *stream)
{
  return stream->text_ready[0] && (stream->text_ready[1] || stream->n_branches == 1);
}

const gchar *
sora_stream_prompt_of (SoraStream *stream, guint branch)
{
  return branch == 0 ? stream->prompt : stream->options->negative_prompt;
}

gboolean
sora_stream_encode_prompts (SoraStream *stream, GCancellable *cancellable, GError **error)
{
  gboolean done = TRUE;
  gint64 start;

  if (has_texts (stream))
    return TRUE;
  if (!sora_stream_take_text_encoder (stream, cancellable, error))
    return FALSE;
  start = g_get_monotonic_time ();
  for (guint branch = 0; done && branch < stream->n_branches; branch++)
    done = stream->text_ready[branch] || encode_prompt (stream, branch, sora_stream_prompt_of (stream, branch), error);
  sora_stream_end_stage (stream, SORA_STAGE_TEXT_ENCODER, start);
  return sora_stream_release_text_encoder (stream, done ? error : NULL) && done;
}

gboolean
sora_stream_encode_image (SoraStream *stream, GError **error)
{
  guint64 all = sora_stream_max_memory (stream), taken = sora_stream_count_weight_bytes (stream) + sora_stream_count_own_bytes (stream);
  gint64 start = g_get_monotonic_time ();

  if (!stream->image)
    return TRUE;
  sora_stream_report (stream, 1, "encoding image");
  if (!sora_stream_image_encode (stream->image, stream->queue, stream->options->image.rgb, stream->options->last_image.rgb, stream->rgb,
          all - MIN (all, taken), error))
    return FALSE;
  sora_stream_options_set_image (stream->options, NULL, 0, 0, 0);
  sora_stream_options_set_last_image (stream->options, NULL, 0, 0, 0);
  sora_stream_end_stage (stream, SORA_STAGE_VAE, start);
  return TRUE;
}

void
sora_stream_set_guidance (SoraStream *stream, gdouble scale)
{
  const SoraStreamingConfig *own = &stream->model->streaming;
  gdouble second = stream->options->guidance_scale_2;

  stream->guidance[0] = scale >= 0 ? scale : own->guidance_scale;
  stream->guidance[1] = second >= 0 ? second : scale >= 0 ? scale : own->guidance_scale_2;
}

gboolean
sora_stream_take_direction (SoraStream *stream, GCancellable *cancellable, GError **error)
{
  g_autofree gchar *prompt = NULL;

  g_mutex_lock (&stream->lock);
  prompt = g_steal_pointer (&stream->pending_prompt);
  sora_stream_set_guidance (stream, stream->pending_guidance);
  g_mutex_unlock (&stream->lock);
  if (prompt && !g_str_equal (prompt, stream->prompt)) {
    g_free (stream->prompt);
    stream->prompt = g_steal_pointer (&prompt);
    stream->text_ready[0] = FALSE;
    stream->prompt_changed = TRUE;
  }
  return sora_stream_encode_prompts (stream, cancellable, error) && sora_stream_tap_texts (stream, error);
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

void
sora_stream_prepare_state (SoraStream *stream)
{
  sora_transformer_state_prepare (stream->experts[0]->transformer, stream->transformer_state, stream->queue);
  if (stream->image)
    sora_transformer_set_condition (stream->transformer_state, sora_stream_image_get_condition (stream->image));
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
    sora_transformer_set_text (stream->transformer, stream->transformer_state, stream->queue, branch,
        sora_stream_embeddings_of (stream, branch), stream->n_tokens[branch]);
    stream->text_set[branch] = !sora_queue_has_failed (stream->queue);
  }
}

gboolean
sora_stream_use_expert (SoraStream *stream, guint index, GCancellable *cancellable, GError **error)
{
  if (!stream->transformer || stream->expert != index)
    stream->conditioned = FALSE;
  stream->transformer = NULL;
  if (!stream->experts[index] && !sora_stream_load_expert (stream, index, cancellable, error))
    return FALSE;
  stream->transformer = stream->experts[index]->transformer;
  stream->expert = index;
  condition (stream);
  return sora_queue_check (stream->queue, error);
}
