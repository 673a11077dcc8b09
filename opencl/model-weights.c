/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A model's weights on a device: each part is loaded when a stream needs it, shared by the streams there that want it alike, and freed with its
 * last user. */

#include "model-private.h"
#include "weights/weight-type.h"

/* g_atomic_rc_box; one of the first three is there */
struct _SoraModelStage {
  SoraTextEncoder *text_encoder;
  SoraTransformer *transformer;
  SoraVae *vae;
  SoraModelLoras *loras;        /* that it was made with, and whose files it may borrow from; NULL: none that concern it */
};

static void
stage_clear (gpointer data)
{
  SoraModelStage *stage = data;

  g_clear_pointer (&stage->text_encoder, sora_text_encoder_free);
  g_clear_pointer (&stage->transformer, sora_transformer_free);
  g_clear_pointer (&stage->vae, sora_vae_free);
  sora_model_loras_unref (stage->loras);
}

static void
stage_release (gpointer stage)
{
  g_atomic_rc_box_release_full (stage, stage_clear);
}

static void
weights_free (SoraModelWeights *weights)
{
  g_clear_pointer (&weights->parts[SORA_MODEL_VAE].stage, stage_release);
  sora_model_loras_unref (weights->loras);
  sora_device_unref (weights->device);
  sora_model_unref (weights->model);
  g_free (weights);
}

/* Progress counts bytes of files, in the order in which a stream that is made asks for them. */
static void
report (SoraModel *model, const SoraWeightRequest *request, SoraWeightFile *file)
{
  SoraWeightFile *const files[] = { model->vae_file, model->text_encoder_file, model->transformer_file };
  static const gchar *const what[] = { "loading VAE", "loading text encoder", "loading transformer" };
  guint64 before = 0, total = 0;
  guint index = 0;

  for (guint i = 0; i < G_N_ELEMENTS (files); i++) {
    if (files[i] == file) {
      before = total;
      index = i;
    }
    total += sora_weight_file_get_bytes (files[i]);
  }
  if (request->progress)
    request->progress (total > 0 ? (gdouble) before / total : 0, what[index], request->progress_data);
}

/* A new reference to weights like those that are asked for; the model's lock is held. */
static SoraModelWeights *
find_weights (SoraModel *model, SoraDevice *device, SoraModelLoras *loras, SoraWeightType text_type, SoraWeightType transformer_type)
{
  for (guint i = 0; i < model->weights->len; i++) {
    SoraModelWeights *weights = g_ptr_array_index (model->weights, i);
    if (weights->device == device && sora_model_loras_equal (weights->loras, loras)
        && weights->parts[SORA_MODEL_TEXT_ENCODER].type == text_type && weights->parts[SORA_MODEL_TRANSFORMER].type == transformer_type) {
      g_atomic_ref_count_inc (&weights->ref_count);
      return weights;
    }
  }
  return NULL;
}

/* Waits until no other thread loads anything of the model; looks at @cancellable every 50 ms. The model's lock is held. */
static gboolean
wait_for_turn (SoraModel *model, GCancellable *cancellable, GError **error)
{
  while (model->loading && !g_cancellable_is_cancelled (cancellable))
    g_cond_wait_until (&model->changed, &model->lock, g_get_monotonic_time () + 50 * G_TIME_SPAN_MILLISECOND);
  return !g_cancellable_set_error_if_cancelled (cancellable, error);
}

/* Between these two the model's lock is free, and nobody else loads. */
static void
begin_loading (SoraModel *model)
{
  model->loading = TRUE;
  g_mutex_unlock (&model->lock);
}

static void
end_loading (SoraModel *model)
{
  g_mutex_lock (&model->lock);
  model->loading = FALSE;
  g_cond_broadcast (&model->changed);
}

/* The file that a part is loaded from; *@loras: those that concern it, or NULL */
static SoraWeightFile *
get_file (SoraModelWeights *weights, SoraModelPartType type, SoraModelLoras **loras)
{
  SoraModel *model = weights->model;
  SoraWeightFile *const own[] = { model->text_encoder_file, model->transformer_file, model->vae_file };
  SoraWeightFile *merged[SORA_MODEL_N_PARTS] = { NULL };

  if (weights->loras) {
    merged[SORA_MODEL_TEXT_ENCODER] = weights->loras->text_encoder_file;
    merged[SORA_MODEL_TRANSFORMER] = weights->loras->transformer_file;
  }
  *loras = merged[type] ? weights->loras : NULL;
  return merged[type] ? merged[type] : own[type];
}

/* New references to what is there of the part on the same device, stored alike: (transfer full); *@same, one of them: that with just @loras, or
 * NULL. The lock is held. */
static GPtrArray *
list_stages (SoraModelWeights *wanted, SoraModelPartType type, SoraModelLoras *loras, SoraModelStage **same)
{
  GPtrArray *stages = g_ptr_array_new_with_free_func (stage_release);
  GPtrArray *all = wanted->model->weights;

  *same = NULL;
  for (guint i = 0; i < all->len; i++) {
    SoraModelWeights *weights = g_ptr_array_index (all, i);
    SoraResident *part = &weights->parts[type];
    if (weights->device != wanted->device || !part->stage || part->type != wanted->parts[type].type)
      continue;
    g_ptr_array_add (stages, g_atomic_rc_box_acquire (part->stage));
    if (sora_model_loras_equal (part->stage->loras, loras))
      *same = part->stage;
  }
  return stages;
}

/* (transfer full): of @stages the parts themselves */
static GPtrArray *
list_parts (const GPtrArray *stages, SoraModelPartType type)
{
  GPtrArray *parts = g_ptr_array_new ();

  for (guint i = 0; i < stages->len; i++) {
    SoraModelStage *stage = stages->pdata[i];
    g_ptr_array_add (parts, type == SORA_MODEL_TEXT_ENCODER ? (gpointer) stage->text_encoder : stage->transformer);
  }
  return parts;
}

/* Sets the part of @stage; FALSE with an error. */
static gboolean
create (SoraModelStage *stage, SoraModelWeights *weights, SoraModelPartType type, const GPtrArray *stages, SoraQueue *queue,
    const SoraWeightRequest *request, GError **error)
{
  SoraModel *model = weights->model;
  SoraModelLoras *loras;
  SoraWeightFile *file = get_file (weights, type, &loras);
  SoraWeightType weight_type = weights->parts[type].type;
  g_autoptr (GPtrArray) others = list_parts (stages, type);

  stage->loras = sora_model_loras_ref (loras);
  switch (type) {
    case SORA_MODEL_TEXT_ENCODER:
      stage->text_encoder = sora_text_encoder_new_sharing (&model->text_encoder, file, weight_type, request->max_bytes, others, queue, error);
      return stage->text_encoder != NULL;
    case SORA_MODEL_TRANSFORMER:
      stage->transformer = sora_transformer_new_sharing (&model->transformer, file, weight_type, request->max_bytes, others, queue, error);
      return stage->transformer != NULL;
    default:
      stage->vae = sora_vae_new (&model->vae, file, SORA_VAE_DECODER, queue, error);
      sora_weight_file_forget (file);
      return stage->vae != NULL;
  }
}

/* (transfer full): the part's weights, those of others or new ones; NULL with an error. The lock is held, and let go while loading. */
static SoraModelStage *
get_stage (SoraModelWeights *weights, SoraModelPartType type, SoraQueue *queue, const SoraWeightRequest *request, GError **error)
{
  SoraModelLoras *loras;
  SoraWeightFile *const own[] = { weights->model->text_encoder_file, weights->model->transformer_file, weights->model->vae_file };
  SoraModelStage *same, *stage;
  g_autoptr (GPtrArray) others = NULL;

  get_file (weights, type, &loras);
  others = list_stages (weights, type, loras, &same);
  if (same)
    return g_atomic_rc_box_acquire (same);
  stage = g_atomic_rc_box_new0 (SoraModelStage);
  begin_loading (weights->model);
  report (weights->model, request, own[type]);
  if (!create (stage, weights, type, others, queue, request, error) || !sora_queue_finish (queue, error))
    g_clear_pointer (&stage, stage_release);
  g_clear_pointer (&others, g_ptr_array_unref);
  end_loading (weights->model);
  return stage;
}

/* With the VAE; the lock is held. NULL with an error. */
static SoraModelWeights *
load (SoraModel *model, SoraQueue *queue, const SoraWeightRequest *request, SoraWeightType text_type, SoraWeightType transformer_type,
    GError **error)
{
  SoraModelWeights *weights = g_new0 (SoraModelWeights, 1);

  g_atomic_ref_count_init (&weights->ref_count);
  weights->model = sora_model_ref (model);
  weights->device = sora_device_ref (sora_queue_get_device (queue));
  weights->loras = sora_model_loras_ref (request->loras);
  weights->parts[SORA_MODEL_TEXT_ENCODER].type = text_type;
  weights->parts[SORA_MODEL_TRANSFORMER].type = transformer_type;
  weights->parts[SORA_MODEL_VAE].stage = get_stage (weights, SORA_MODEL_VAE, queue, request, error);
  if (weights->parts[SORA_MODEL_VAE].stage)
    weights->vae = weights->parts[SORA_MODEL_VAE].stage->vae;
  else
    g_clear_pointer (&weights, weights_free);
  return weights;
}

SoraModelWeights *
sora_model_get_weights (SoraModel *model, SoraQueue *queue, const SoraWeightRequest *request, GError **error)
{
  SoraDevice *device = sora_queue_get_device (queue);
  SoraWeightType text_type = sora_weight_type_for_file (request->type, model->text_encoder_file, request->max_memory);
  SoraWeightType transformer_type = sora_weight_type_for_file (request->type, model->transformer_file, request->max_memory);
  SoraModelWeights *weights = NULL;

  g_mutex_lock (&model->lock);
  if (wait_for_turn (model, request->cancellable, error)) {
    weights = find_weights (model, device, request->loras, text_type, transformer_type);
    if (!weights && (weights = load (model, queue, request, text_type, transformer_type, error)))
      g_ptr_array_add (model->weights, weights);
  }
  g_mutex_unlock (&model->lock);
  return weights;
}

void
sora_model_weights_unref (SoraModelWeights *weights)
{
  gboolean last;

  if (!weights)
    return;
  /* under the lock, so that nobody finds weights whose last reference is going */
  g_mutex_lock (&weights->model->lock);
  last = g_atomic_ref_count_dec (&weights->ref_count);
  if (last)
    g_ptr_array_remove_fast (weights->model->weights, weights);
  g_mutex_unlock (&weights->model->lock);
  if (last)
    weights_free (weights);
}

/* The lock is not held. */
static SoraModelStage *
take (SoraModelWeights *weights, SoraModelPartType type, SoraQueue *queue, const SoraWeightRequest *request, GError **error)
{
  SoraResident *part = &weights->parts[type];
  SoraModelStage *stage = NULL;

  g_mutex_lock (&weights->model->lock);
  if (wait_for_turn (weights->model, request->cancellable, error)) {
    if (!part->stage)
      part->stage = get_stage (weights, type, queue, request, error);
    stage = part->stage;
    part->users += stage ? 1 : 0;
  }
  g_mutex_unlock (&weights->model->lock);
  return stage;
}

static void
release (SoraModelWeights *weights, SoraModelPartType type)
{
  SoraResident *part = &weights->parts[type];
  SoraModelStage *stage = NULL;

  g_mutex_lock (&weights->model->lock);
  if (--part->users == 0)
    stage = g_steal_pointer (&part->stage);
  g_mutex_unlock (&weights->model->lock);
  if (stage)
    stage_release (stage);
}

SoraTextEncoder *
sora_model_weights_take_text_encoder (SoraModelWeights *weights, SoraQueue *queue, const SoraWeightRequest *request, GError **error)
{
  SoraModelStage *stage = take (weights, SORA_MODEL_TEXT_ENCODER, queue, request, error);

  return stage ? stage->text_encoder : NULL;
}

void
sora_model_weights_release_text_encoder (SoraModelWeights *weights)
{
  release (weights, SORA_MODEL_TEXT_ENCODER);
}

SoraTransformer *
sora_model_weights_take_transformer (SoraModelWeights *weights, SoraQueue *queue, const SoraWeightRequest *request, GError **error)
{
  SoraModelStage *stage = take (weights, SORA_MODEL_TRANSFORMER, queue, request, error);

  return stage ? stage->transformer : NULL;
}

void
sora_model_weights_release_transformer (SoraModelWeights *weights)
{
  release (weights, SORA_MODEL_TRANSFORMER);
}

guint64
sora_model_weights_get_size (SoraModelWeights *weights)
{
  guint64 size = sora_vae_get_size (weights->vae);

  g_mutex_lock (&weights->model->lock);
  if (weights->parts[SORA_MODEL_TEXT_ENCODER].stage)
    size += sora_text_encoder_get_size (weights->parts[SORA_MODEL_TEXT_ENCODER].stage->text_encoder);
  if (weights->parts[SORA_MODEL_TRANSFORMER].stage)
    size += sora_transformer_get_size (weights->parts[SORA_MODEL_TRANSFORMER].stage->transformer);
  g_mutex_unlock (&weights->model->lock);
  return size;
}
