/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The parts of the model that a stream has taken: loaded when they are needed, let go where memory is short, replaced when LoRAs change. */
#include "stream-parts.h"

#include "stream-memory.h"
#include "weights/weight-type.h"

/* For what comes next: the rest of the memory may be taken. */
static SoraWeightRequest
weight_request (SoraStream *stream, GCancellable *cancellable)
{
  guint64 taken = sora_stream_count_weight_bytes (stream) + (stream->arena ? sora_arena_get_size (stream->arena) : 0);
  guint64 all = sora_stream_max_memory (stream);

  return (SoraWeightRequest) {
    .loras = stream->loras, .type = stream->options->weight_type, .precision = stream->options->precision, .max_memory = all,
    .max_bytes = all > taken ? all - taken : 0,
    .progress = stream->progress, .progress_data = stream->progress_data, .cancellable = cancellable,
  };
}

gboolean
sora_stream_load_weights (SoraStream *stream, GCancellable *cancellable, GError **error)
{
  SoraWeightRequest request = weight_request (stream, cancellable);
  gint64 start = g_get_monotonic_time ();

  stream->vae = sora_model_take (stream->model, SORA_PART_VAE, stream->queue, &request, error);
  if (stream->vae && stream->options->image.rgb)
    stream->image = sora_stream_image_new (stream->model, stream->options->precision, stream->queue, error);
  if (!stream->vae || (stream->options->image.rgb && !stream->image))
    return FALSE;
  sora_stream_end_loading (stream, SORA_STAGE_VAE, start, sora_resident_get_size (stream->vae));
  return TRUE;
}

static gboolean
keeps_text_encoder (SoraStream *stream)
{
  if (stream->options->text_encoder_policy == SORA_TEXT_ENCODER_POLICY_AUTO)
    return !sora_weight_file_is_large (stream->model->text_encoder_file, sora_stream_max_memory (stream));
  return stream->options->text_encoder_policy == SORA_TEXT_ENCODER_POLICY_KEEP;
}

gboolean
sora_stream_take_text_encoder (SoraStream *stream, GCancellable *cancellable, GError **error)
{
  SoraWeightRequest request = weight_request (stream, cancellable);
  gint64 start = g_get_monotonic_time ();

  if (stream->text_encoder)
    return TRUE;
  stream->text_encoder = sora_model_take (stream->model, SORA_PART_TEXT_ENCODER, stream->queue, &request, error);
  if (!stream->text_encoder)
    return FALSE;
  sora_stream_end_loading (stream, SORA_STAGE_TEXT_ENCODER, start, sora_resident_get_size (stream->text_encoder));
  return TRUE;
}

/* What was enqueued with it has ended. */
static void
release_part (SoraStream *stream, SoraResident **part)
{
  sora_model_release (stream->model, g_steal_pointer (part));
  sora_queue_clear_streams (stream->queue);
}

gboolean
sora_stream_release_text_encoder (SoraStream *stream, GError **error)
{
  gboolean done;

  if (keeps_text_encoder (stream))
    return TRUE;
  done = sora_queue_finish (stream->queue, error);
  stream->text_bytes = sora_text_encoder_get_least (stream->text_encoder->text_encoder);
  release_part (stream, &stream->text_encoder);
  return done;
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

gboolean
sora_stream_load_expert (SoraStream *stream, guint index, GCancellable *cancellable, GError **error)
{
  SoraWeightRequest request;
  gint64 start = g_get_monotonic_time ();

  if (!make_room (stream, &stream->experts[1 - index], cancellable, error))
    return FALSE;
  request = expert_request (stream, cancellable);
  stream->experts[index] = sora_model_take (stream->model, SORA_PART_TRANSFORMER + index, stream->queue, &request, error);
  if (!stream->experts[index])
    return FALSE;
  sora_stream_end_loading (stream, SORA_STAGE_TRANSFORMER, start, sora_resident_get_size (stream->experts[0])
      + sora_resident_get_size (stream->experts[1]));
  return TRUE;
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

gboolean
sora_stream_take_loras (SoraStream *stream, GCancellable *cancellable, GError **error)
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
