/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A model's weights on a device: loaded once for each model and device, shared by its streams, freed with the last of them. */

#include "model-private.h"

static void
weights_free (SoraModelWeights *weights)
{
  g_clear_pointer (&weights->text_encoder, sora_text_encoder_free);
  for (guint i = 0; i < G_N_ELEMENTS (weights->experts); i++)
    g_clear_pointer (&weights->experts[i].transformer, sora_transformer_free);
  g_clear_pointer (&weights->vae, sora_vae_free);
  g_mutex_clear (&weights->lock);
  sora_device_unref (weights->device);
  sora_model_unref (weights->model);
  g_free (weights);
}

/* Progress in bytes of the files. */
typedef struct {
  SoraProgressFunc func;
  gpointer user_data;
  guint64 done, total;
} Progress;

static void
begin_stage (Progress *progress, const gchar *what)
{
  if (progress->func)
    progress->func (progress->total > 0 ? (gdouble) progress->done / progress->total : 0, what, progress->user_data);
}

/* Both stay if that leaves as much memory for all else. */
static gboolean
can_keep_experts (SoraModelWeights *weights)
{
  return !weights->model->transformer_2_file
      || 2 * sora_transformer_get_size (weights->experts[0].transformer) <= sora_device_get_memory (weights->device) / 2;
}

static gboolean
load_expert (SoraModelWeights *weights, guint index, SoraQueue *queue, GError **error)
{
  SoraModel *model = weights->model;
  SoraTransformer **transformer = &weights->experts[index].transformer;

  *transformer = index == 0 ? sora_transformer_new (&model->transformer, model->transformer_file, queue, error)
      : sora_transformer_new (&model->transformer_2, model->transformer_2_file, queue, error);
  if (*transformer && !sora_queue_finish (queue, error))
    g_clear_pointer (transformer, sora_transformer_free);
  return *transformer != NULL;
}

static gboolean
load_stages (SoraModelWeights *weights, SoraQueue *queue, Progress *progress, GError **error)
{
  SoraModel *model = weights->model;

  begin_stage (progress, "loading text encoder");
  weights->text_encoder = sora_text_encoder_new (&model->text_encoder, model->text_encoder_file, queue, error);
  if (!weights->text_encoder || !sora_queue_check (queue, error))
    return FALSE;
  progress->done += sora_weight_file_get_bytes (model->text_encoder_file);
  begin_stage (progress, "loading transformer");
  if (!load_expert (weights, 0, queue, error))
    return FALSE;
  weights->keeps_experts = can_keep_experts (weights);
  progress->done += sora_weight_file_get_bytes (model->transformer_file);
  begin_stage (progress, "loading VAE");
  weights->vae = sora_vae_new (&model->vae, model->vae_file, SORA_VAE_DECODER, queue, error);
  return weights->vae && sora_queue_finish (queue, error);
}

/* NULL with an error; nothing else sees the weights yet. */
static SoraModelWeights *
load (SoraModel *model, SoraQueue *queue, Progress *progress, GError **error)
{
  SoraModelWeights *weights = g_new0 (SoraModelWeights, 1);

  g_atomic_ref_count_init (&weights->ref_count);
  g_mutex_init (&weights->lock);
  weights->model = sora_model_ref (model);
  weights->device = sora_device_ref (sora_queue_get_device (queue));
  if (load_stages (weights, queue, progress, error))
    return weights;
  weights_free (weights);
  return NULL;
}

/* A new reference to weights already loaded; the model's lock is held. */
static SoraModelWeights *
find_loaded (SoraModel *model, SoraDevice *device)
{
  for (guint i = 0; i < model->weights->len; i++) {
    SoraModelWeights *weights = g_ptr_array_index (model->weights, i);
    if (weights->device == device) {
      g_atomic_ref_count_inc (&weights->ref_count);
      return weights;
    }
  }
  return NULL;
}

/* Waits until the weights are loaded or this thread may load them itself, which it then has to; looks at @cancellable every 50 ms.
 * The model's lock is held. */
static SoraModelWeights *
wait_for_turn (SoraModel *model, SoraDevice *device, GCancellable *cancellable, GError **error)
{
  while (TRUE) {
    SoraModelWeights *weights;
    if (g_cancellable_set_error_if_cancelled (cancellable, error))
      return NULL;
    weights = find_loaded (model, device);
    if (weights)
      return weights;
    if (!model->loading)
      break;
    g_cond_wait_until (&model->changed, &model->lock, g_get_monotonic_time () + 50 * G_TIME_SPAN_MILLISECOND);
  }
  model->loading = TRUE;
  return NULL;
}

SoraModelWeights *
sora_model_get_weights (SoraModel *model, SoraQueue *queue, SoraProgressFunc progress, gpointer user_data, GCancellable *cancellable,
    GError **error)
{
  SoraDevice *device = sora_queue_get_device (queue);
  GError *wait_error = NULL;
  SoraModelWeights *weights;
  Progress state = {
    .func = progress, .user_data = user_data,
    .total = sora_weight_file_get_bytes (model->text_encoder_file) + sora_weight_file_get_bytes (model->transformer_file)
        + sora_weight_file_get_bytes (model->vae_file),
  };

  g_mutex_lock (&model->lock);
  weights = wait_for_turn (model, device, cancellable, &wait_error);
  g_mutex_unlock (&model->lock);
  if (wait_error)
    g_propagate_error (error, wait_error);
  if (weights || wait_error)
    return weights;

  weights = load (model, queue, &state, error);
  g_mutex_lock (&model->lock);
  if (weights)
    g_ptr_array_add (model->weights, weights);
  model->loading = FALSE;
  g_cond_broadcast (&model->changed);
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

SoraTransformer *
sora_model_weights_take_expert (SoraModelWeights *weights, guint index, SoraQueue *queue, GError **error)
{
  SoraModelExpert *expert = &weights->experts[index];
  SoraTransformer *transformer = NULL;

  g_mutex_lock (&weights->lock);
  if (expert->transformer || load_expert (weights, index, queue, error)) {
    expert->users++;
    transformer = expert->transformer;
  }
  g_mutex_unlock (&weights->lock);
  return transformer;
}

void
sora_model_weights_release_expert (SoraModelWeights *weights, guint index)
{
  SoraModelExpert *expert = &weights->experts[index];

  g_mutex_lock (&weights->lock);
  if (--expert->users == 0 && !weights->keeps_experts)
    g_clear_pointer (&expert->transformer, sora_transformer_free);
  g_mutex_unlock (&weights->lock);
}

guint64
sora_model_weights_get_size (SoraModelWeights *weights)
{
  guint64 size = sora_text_encoder_get_size (weights->text_encoder) + sora_vae_get_size (weights->vae);

  g_mutex_lock (&weights->lock);
  for (guint i = 0; i < G_N_ELEMENTS (weights->experts); i++)
    size += weights->experts[i].transformer ? sora_transformer_get_size (weights->experts[i].transformer) : 0;
  g_mutex_unlock (&weights->lock);
  return size;
}
