/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The parts of the model that a stream has taken: loaded when they are needed, let go where memory is short, replaced when LoRAs change. */
#include "stream-parts.h"

#include "stream-memory.h"
#include "weights/weight-type.h"

SoraWeightRequest
sora_stream_request_weights (SoraStream *stream, GCancellable *cancellable)
{
  guint64 taken = sora_stream_count_weight_bytes (stream) + sora_stream_count_own_bytes (stream);
  guint64 all = sora_stream_max_memory (stream);
  SoraRows rows = { 0 };

  if (stream->transformer_state)
    rows = sora_transformer_state_get_rows (stream->transformer_state);

  return (SoraWeightRequest) {
    .loras = stream->loras, .type = stream->options->weight_type, .precision = stream->options->precision, .max_memory = all,
    .limits = { all > taken ? all - taken : 0, G_MAXUINT64, rows },
    .progress = stream->progress, .progress_data = stream->progress_data, .cancellable = cancellable,
  };
}

gboolean
sora_stream_load_weights (SoraStream *stream, GCancellable *cancellable, GError **error)
{
  SoraWeightRequest request = sora_stream_request_weights (stream, cancellable);
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
  SoraWeightRequest request = sora_stream_request_weights (stream, cancellable);
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
  SoraWeightRequest request = sora_stream_request_weights (stream, cancellable);

  request.limits.max_bytes -= MIN (request.limits.max_bytes, stream->text_bytes);
  return request;
}

/* Lets the other expert go unless it is whole, and the rest of the memory is enough for another one like it. */
static gboolean
make_room (SoraStream *stream, SoraResident **other, GCancellable *cancellable, GError **error)
{
  if (!*other || (!sora_transformer_is_streamed ((*other)->transformer)
          && sora_resident_get_size (*other) <= expert_request (stream, cancellable).limits.max_bytes))
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

static const SoraPartType changing_types[N_CHANGING] = { SORA_PART_TEXT_ENCODER, SORA_PART_TRANSFORMER, SORA_PART_TRANSFORMER_2 };

/* Those of the stream's parts that change; NULL: one that stays, or is not taken */
typedef struct {
  SoraResident *parts[N_CHANGING];
} ChangingParts;

static SoraResident **
get_part (SoraStream *stream, guint i)
{
  return i == 0 ? &stream->text_encoder : &stream->experts[i - 1];
}

static void
release_parts (SoraStream *stream, ChangingParts *changing)
{
  for (guint i = 0; i < N_CHANGING; i++)
    sora_model_release (stream->model, g_steal_pointer (&changing->parts[i]));
}

static gboolean
concerns (const SoraModelLoras *loras, SoraPartType type)
{
  return loras && loras->files[type];
}

/* What is there of what the LoRAs at present or @loras concern. It is still the stream's. */
static ChangingParts
find_changing (SoraStream *stream, const SoraModelLoras *loras)
{
  ChangingParts changing = { { NULL } };

  for (guint i = 0; i < N_CHANGING; i++) {
    if (concerns (stream->loras, changing_types[i]) || concerns (loras, changing_types[i]))
      changing.parts[i] = *get_part (stream, i);
  }
  return changing;
}

/* Puts @new, or nothing, in the place of each of @old. */
static void
set_parts (SoraStream *stream, const ChangingParts *old, const ChangingParts *new)
{
  stream->transformer = NULL;
  for (guint i = 0; i < N_CHANGING; i++) {
    if (old->parts[i])
      *get_part (stream, i) = new ? new->parts[i] : NULL;
  }
}

/* Takes each of @old, which may have gone already, with the LoRAs of @request, where so many bytes are @taken by what stays, and @old_bytes more
 * until it is done. FALSE with an error, and nothing is taken. */
static gboolean
take_changed (SoraStream *stream, const ChangingParts *old, ChangingParts *new, const SoraWeightRequest *request, guint64 taken,
    guint64 old_bytes, GError **error)
{
  guint64 all = request->max_memory;

  for (guint i = 0; i < N_CHANGING; i++) {
    SoraWeightRequest part = *request;
    if (!old->parts[i])
      continue;
    part.limits.max_bytes = all - MIN (all, taken + (i > 0 ? stream->text_bytes : 0));
    if (old_bytes > 0)
      part.limits.max_new_bytes = all - MIN (all, taken + old_bytes);
    new->parts[i] = sora_model_take (stream->model, changing_types[i], stream->queue, &part, error);
    if (!new->parts[i]) {
      release_parts (stream, new);
      return FALSE;
    }
    taken += sora_resident_get_size (new->parts[i]);
  }
  return TRUE;
}

/* Takes the parts that change with the LoRAs of @request: beside the old ones, with which they share much, if the memory allows it, else after
 * these have gone. FALSE with an error; then the stream has the old ones, or none, which come back when they are needed. */
static gboolean
replace_parts (SoraStream *stream, const SoraWeightRequest *request, GError **error)
{
  ChangingParts old = find_changing (stream, request->loras), new = { { NULL } };
  guint64 taken, old_bytes = 0;
  GError *cause = NULL;

  if (!sora_queue_finish (stream->queue, error))
    return FALSE;
  sora_queue_clear_streams (stream->queue);
  for (guint i = 0; i < N_CHANGING; i++)
    old_bytes += sora_resident_get_size (old.parts[i]);
  taken = sora_stream_count_own_bytes (stream) + sora_stream_count_weight_bytes (stream) - old_bytes;
  if (take_changed (stream, &old, &new, request, taken, old_bytes, &cause)) {
    set_parts (stream, &old, &new);
    release_parts (stream, &old);
    return TRUE;
  }
  if (g_error_matches (cause, SORA_DEVICE_ERROR, SORA_DEVICE_ERROR_NO_MEMORY)) {
    ChangingParts gone = old;

    g_clear_error (&cause);
    set_parts (stream, &old, NULL);
    release_parts (stream, &gone);
    sora_queue_clear_streams (stream->queue);
    if (take_changed (stream, &old, &new, request, taken, 0, &cause))
      set_parts (stream, &old, &new);
  }
  if (cause)
    g_propagate_error (error, cause);
  return !cause;
}

/* Whether prompts are encoded otherwise with @b than with @a */
static gboolean
changes_texts (const SoraModelLoras *a, const SoraModelLoras *b)
{
  return (a && a->files[SORA_PART_TEXT_ENCODER]) || (b && b->files[SORA_PART_TEXT_ENCODER]);
}

/* Replaces the parts by those with @loras; then time and text are embedded anew. After an error the stream has the LoRAs that it had. */
static gboolean
change_loras (SoraStream *stream, SoraModelLoras *loras, GCancellable *cancellable, GError **error)
{
  SoraWeightRequest request = sora_stream_request_weights (stream, cancellable);

  request.loras = loras;
  if (!replace_parts (stream, &request, error))
    return FALSE;
  if (changes_texts (stream->loras, loras))
    stream->text_ready[0] = stream->text_ready[1] = FALSE;
  sora_model_loras_unref (stream->loras);
  stream->loras = sora_model_loras_ref (loras);
  return TRUE;
}

/* @cause, of a change that failed, as what sora_stream_next_block() gives. Takes it. */
static void
fail_change (GError **error, GError *cause)
{
  if (!g_error_matches (cause, G_IO_ERROR, G_IO_ERROR_CANCELLED)) {
    cause->domain = SORA_STREAM_ERROR;
    cause->code = SORA_STREAM_ERROR_LORAS;
    g_prefix_error (&cause, "The LoRAs cannot be changed to those set last, and stay as they were: ");
  }
  g_propagate_error (error, cause);
}

gboolean
sora_stream_take_loras (SoraStream *stream, GCancellable *cancellable, GError **error)
{
  SoraModelLoras *loras;
  GError *cause = NULL;
  gboolean pending, failed = FALSE;

  g_mutex_lock (&stream->lock);
  pending = stream->has_pending_loras;
  loras = g_steal_pointer (&stream->pending_loras);
  stream->has_pending_loras = FALSE;
  g_mutex_unlock (&stream->lock);
  if (pending && !sora_model_loras_equal (loras, stream->loras) && !change_loras (stream, loras, cancellable, &cause)) {
    if (g_error_matches (cause, G_IO_ERROR, G_IO_ERROR_CANCELLED))
      put_back_loras (stream, g_steal_pointer (&loras));
    fail_change (error, cause);
    failed = TRUE;
  }
  sora_model_loras_unref (loras);
  return !failed;
}
