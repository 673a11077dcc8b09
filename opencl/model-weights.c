/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A model's weights on a device: loaded once for each model, device and set of LoRAs, shared by streams, freed with the last of them. */

#include "model-private.h"

/* g_atomic_rc_box; which of the three, the place says where it is held */
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
  for (guint i = 0; i < SORA_MODEL_N_STAGES; i++)
    g_clear_pointer (&weights->stages[i], stage_release);
  sora_model_loras_unref (weights->loras);
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

/* The file that @type is loaded from; *@concerned: whether @loras change it */
static SoraWeightFile *
get_file (SoraModel *model, SoraModelStageType type, SoraModelLoras *loras, gboolean *concerned)
{
  SoraWeightFile *const own[] = { model->text_encoder_file, model->transformer_file, model->vae_file };
  SoraWeightFile *const merged[] = { loras ? loras->text_encoder_file : NULL, loras ? loras->transformer_file : NULL, NULL };

  *concerned = merged[type] != NULL;
  return *concerned ? merged[type] : own[type];
}

/* New references to all stages of @type on @device: (transfer full); *@same, one of them: the one that is just as with @loras, or NULL */
static GPtrArray *
list_stages (SoraModel *model, SoraDevice *device, SoraModelStageType type, SoraModelLoras *loras, SoraModelStage **same)
{
  GPtrArray *stages = g_ptr_array_new_with_free_func (stage_release);

  *same = NULL;
  g_mutex_lock (&model->lock);
  for (guint i = 0; i < model->weights->len; i++) {
    SoraModelWeights *weights = g_ptr_array_index (model->weights, i);
    if (weights->device != device)
      continue;
    g_ptr_array_add (stages, g_atomic_rc_box_acquire (weights->stages[type]));
    if (sora_model_loras_equal (weights->stages[type]->loras, loras))
      *same = weights->stages[type];
  }
  g_mutex_unlock (&model->lock);
  return stages;
}

static gboolean
load_text_encoder (SoraModelStage *stage, SoraModel *model, SoraWeightFile *file, const GPtrArray *stages, SoraQueue *queue, GError **error)
{
  g_autoptr (GPtrArray) others = g_ptr_array_new ();

  for (guint i = 0; i < stages->len; i++)
    g_ptr_array_add (others, ((SoraModelStage *) stages->pdata[i])->text_encoder);
  stage->text_encoder = sora_text_encoder_new_sharing (&model->text_encoder, file, queue, others, error);
  return stage->text_encoder != NULL;
}

static gboolean
load_transformer (SoraModelStage *stage, SoraModel *model, SoraWeightFile *file, const GPtrArray *stages, SoraQueue *queue, GError **error)
{
  g_autoptr (GPtrArray) others = g_ptr_array_new ();

  for (guint i = 0; i < stages->len; i++)
    g_ptr_array_add (others, ((SoraModelStage *) stages->pdata[i])->transformer);
  stage->transformer = sora_transformer_new_sharing (&model->transformer, file, queue, others, error);
  return stage->transformer != NULL;
}

/* (transfer full): a new stage; NULL with an error */
static SoraModelStage *
load_stage (SoraModel *model, SoraModelStageType type, SoraWeightFile *file, const GPtrArray *others, SoraQueue *queue, GError **error)
{
  SoraModelStage *stage = g_atomic_rc_box_new0 (SoraModelStage);
  gboolean loaded;

  if (type == SORA_MODEL_STAGE_TEXT_ENCODER) {
    loaded = load_text_encoder (stage, model, file, others, queue, error);
  } else if (type == SORA_MODEL_STAGE_TRANSFORMER) {
    loaded = load_transformer (stage, model, file, others, queue, error);
  } else {
    stage->vae = sora_vae_new (&model->vae, file, SORA_VAE_DECODER, queue, error);
    loaded = stage->vae != NULL;
  }
  if (loaded && sora_queue_check (queue, error))
    return stage;
  stage_release (stage);
  return NULL;
}

/* Sets the stage of @type, found or loaded. */
static gboolean
get_stage (SoraModelWeights *weights, SoraModelStageType type, SoraQueue *queue, Progress *progress, GError **error)
{
  static const gchar *const words[] = { "loading text encoder", "loading transformer", "loading VAE" };
  gboolean concerned;
  SoraWeightFile *file = get_file (weights->model, type, weights->loras, &concerned);
  SoraModelLoras *loras = concerned ? weights->loras : NULL;
  SoraModelStage *same;
  g_autoptr (GPtrArray) others = list_stages (weights->model, weights->device, type, loras, &same);

  if (same) {
    weights->stages[type] = g_atomic_rc_box_acquire (same);
  } else {
    begin_stage (progress, words[type]);
    weights->stages[type] = load_stage (weights->model, type, file, others, queue, error);
    if (!weights->stages[type])
      return FALSE;
    weights->stages[type]->loras = sora_model_loras_ref (loras);
  }
  progress->done += sora_weight_file_get_bytes (file);
  return TRUE;
}

static gboolean
load_stages (SoraModelWeights *weights, SoraQueue *queue, Progress *progress, GError **error)
{
  for (guint i = 0; i < SORA_MODEL_N_STAGES; i++) {
    if (!get_stage (weights, i, queue, progress, error))
      return FALSE;
  }
  weights->text_encoder = weights->stages[SORA_MODEL_STAGE_TEXT_ENCODER]->text_encoder;
  weights->transformer = weights->stages[SORA_MODEL_STAGE_TRANSFORMER]->transformer;
  weights->vae = weights->stages[SORA_MODEL_STAGE_VAE]->vae;
  return sora_queue_finish (queue, error);
}

/* NULL with an error; nothing else sees the weights yet. */
static SoraModelWeights *
load (SoraModel *model, SoraModelLoras *loras, SoraQueue *queue, Progress *progress, GError **error)
{
  SoraModelWeights *weights = g_new0 (SoraModelWeights, 1);

  g_atomic_ref_count_init (&weights->ref_count);
  weights->model = sora_model_ref (model);
  weights->device = sora_device_ref (sora_queue_get_device (queue));
  weights->loras = sora_model_loras_ref (loras);
  if (load_stages (weights, queue, progress, error))
    return weights;
  weights_free (weights);
  return NULL;
}

/* A new reference to weights already loaded; the model's lock is held. */
static SoraModelWeights *
find_loaded (SoraModel *model, SoraModelLoras *loras, SoraDevice *device)
{
  for (guint i = 0; i < model->weights->len; i++) {
    SoraModelWeights *weights = g_ptr_array_index (model->weights, i);
    if (weights->device == device && sora_model_loras_equal (weights->loras, loras)) {
      g_atomic_ref_count_inc (&weights->ref_count);
      return weights;
    }
  }
  return NULL;
}

/* Waits until the weights are loaded or this thread may load them itself, which it then has to; looks at @cancellable every 50 ms.
 * The model's lock is held. */
static SoraModelWeights *
wait_for_turn (SoraModel *model, SoraModelLoras *loras, SoraDevice *device, GCancellable *cancellable, GError **error)
{
  while (TRUE) {
    SoraModelWeights *weights;
    if (g_cancellable_set_error_if_cancelled (cancellable, error))
      return NULL;
    weights = find_loaded (model, loras, device);
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
sora_model_get_weights (SoraModel *model, SoraModelLoras *loras, SoraQueue *queue, SoraProgressFunc progress, gpointer user_data,
    GCancellable *cancellable, GError **error)
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
  weights = wait_for_turn (model, loras, device, cancellable, &wait_error);
  g_mutex_unlock (&model->lock);
  if (wait_error)
    g_propagate_error (error, wait_error);
  if (weights || wait_error)
    return weights;

  weights = load (model, loras, queue, &state, error);
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

guint64
sora_model_weights_get_size (SoraModelWeights *weights)
{
  return sora_text_encoder_get_size (weights->text_encoder) + sora_transformer_get_size (weights->transformer)
      + sora_vae_get_size (weights->vae);
}
