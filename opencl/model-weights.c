/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A model's weights on a device: each part is loaded when a stream needs it, shared by the streams there, and freed with its last user. */

#include "model-private.h"
#include "weights/weight-type.h"

static void
weights_free (SoraModelWeights *weights)
{
  g_clear_pointer (&weights->vae, sora_vae_free);
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
find_weights (SoraModel *model, SoraDevice *device, SoraWeightType text_type, SoraWeightType transformer_type)
{
  for (guint i = 0; i < model->weights->len; i++) {
    SoraModelWeights *weights = g_ptr_array_index (model->weights, i);
    if (weights->device == device && weights->text_type == text_type && weights->transformer_type == transformer_type) {
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

/* With the VAE; the lock is held, and let go while that is loaded. NULL with an error. */
static SoraModelWeights *
load (SoraModel *model, SoraQueue *queue, const SoraWeightRequest *request, GError **error)
{
  SoraModelWeights *weights = g_new0 (SoraModelWeights, 1);

  g_atomic_ref_count_init (&weights->ref_count);
  weights->model = sora_model_ref (model);
  weights->device = sora_device_ref (sora_queue_get_device (queue));
  begin_loading (model);
  report (model, request, model->vae_file);
  weights->vae = sora_vae_new (&model->vae, model->vae_file, SORA_VAE_DECODER, queue, error);
  sora_weight_file_forget (model->vae_file);
  if (weights->vae && !sora_queue_finish (queue, error))
    g_clear_pointer (&weights->vae, sora_vae_free);
  end_loading (model);
  if (!weights->vae)
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
    weights = find_weights (model, device, text_type, transformer_type);
    if (!weights && (weights = load (model, queue, request, error))) {
      weights->text_type = text_type;
      weights->transformer_type = transformer_type;
      g_ptr_array_add (model->weights, weights);
    }
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

static gpointer
new_text_encoder (SoraModelWeights *weights, guint64 max_bytes, SoraQueue *queue, GError **error)
{
  SoraModel *model = weights->model;

  return sora_text_encoder_new (&model->text_encoder, model->text_encoder_file, weights->text_type, max_bytes, queue, error);
}

static gpointer
new_transformer (SoraModelWeights *weights, guint64 max_bytes, SoraQueue *queue, GError **error)
{
  SoraModel *model = weights->model;

  return sora_transformer_new (&model->transformer, model->transformer_file, weights->transformer_type, max_bytes, queue, error);
}

/* What distinguishes the parts that come and go. */
typedef struct {
  gpointer (*create) (SoraModelWeights *weights, guint64 max_bytes, SoraQueue *queue, GError **error);
  void (*destroy) (gpointer part);
} PartClass;

static const PartClass text_encoder_class = { new_text_encoder, (GDestroyNotify) sora_text_encoder_free };
static const PartClass transformer_class = { new_transformer, (GDestroyNotify) sora_transformer_free };

/* The lock is held, and let go while loading. */
static void
load_resident (SoraModelWeights *weights, SoraResident *resident, const PartClass *class, SoraWeightFile *file, SoraQueue *queue,
    const SoraWeightRequest *request, GError **error)
{
  gpointer part;

  begin_loading (weights->model);
  report (weights->model, request, file);
  part = class->create (weights, request->max_bytes, queue, error);
  if (part && !sora_queue_finish (queue, error))
    g_clear_pointer (&part, class->destroy);
  end_loading (weights->model);
  resident->loaded = part;
}

static gpointer
take (SoraModelWeights *weights, SoraResident *resident, const PartClass *class, SoraWeightFile *file, SoraQueue *queue,
    const SoraWeightRequest *request, GError **error)
{
  gpointer part = NULL;

  g_mutex_lock (&weights->model->lock);
  if (wait_for_turn (weights->model, request->cancellable, error)) {
    if (!resident->loaded)
      load_resident (weights, resident, class, file, queue, request, error);
    part = resident->loaded;
    resident->users += part ? 1 : 0;
  }
  g_mutex_unlock (&weights->model->lock);
  return part;
}

static void
release (SoraModelWeights *weights, SoraResident *resident, const PartClass *class)
{
  gpointer part = NULL;

  g_mutex_lock (&weights->model->lock);
  if (--resident->users == 0)
    part = g_steal_pointer (&resident->loaded);
  g_mutex_unlock (&weights->model->lock);
  if (part)
    class->destroy (part);
}

SoraTextEncoder *
sora_model_weights_take_text_encoder (SoraModelWeights *weights, SoraQueue *queue, const SoraWeightRequest *request, GError **error)
{
  return take (weights, &weights->text_encoder, &text_encoder_class, weights->model->text_encoder_file, queue, request, error);
}

void
sora_model_weights_release_text_encoder (SoraModelWeights *weights)
{
  release (weights, &weights->text_encoder, &text_encoder_class);
}

SoraTransformer *
sora_model_weights_take_transformer (SoraModelWeights *weights, SoraQueue *queue, const SoraWeightRequest *request, GError **error)
{
  return take (weights, &weights->transformer, &transformer_class, weights->model->transformer_file, queue, request, error);
}

void
sora_model_weights_release_transformer (SoraModelWeights *weights)
{
  release (weights, &weights->transformer, &transformer_class);
}

guint64
sora_model_weights_get_size (SoraModelWeights *weights)
{
  guint64 size = sora_vae_get_size (weights->vae);

  g_mutex_lock (&weights->model->lock);
  if (weights->text_encoder.loaded)
    size += sora_text_encoder_get_size (weights->text_encoder.loaded);
  if (weights->transformer.loaded)
    size += sora_transformer_get_size (weights->transformer.loaded);
  g_mutex_unlock (&weights->model->lock);
  return size;
}
