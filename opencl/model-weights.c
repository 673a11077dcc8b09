/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A model's weights on a device: each part is loaded when a stream needs it, shared by the streams there, and freed with its last user. */

#include "model-private.h"
#include "weights/weight-type.h"

static SoraWeightFile *
get_file (SoraModel *model, SoraPartType type)
{
  SoraWeightFile *const files[] = {
    [SORA_PART_VAE] = model->vae_file, [SORA_PART_TEXT_ENCODER] = model->text_encoder_file,
    [SORA_PART_TRANSFORMER] = model->transformer_file, [SORA_PART_TRANSFORMER_2] = model->transformer_2_file,
  };

  return files[type];
}

/* @loras if they concern the part, else NULL */
static SoraModelLoras *
concerning (SoraModelLoras *loras, SoraPartType type)
{
  return loras && loras->files[type] ? loras : NULL;
}

/* With what @loras add to it */
static SoraWeightFile *
get_merged_file (SoraModel *model, SoraModelLoras *loras, SoraPartType type)
{
  return concerning (loras, type) ? loras->files[type] : get_file (model, type);
}

/* What a part's matrices are stored as; auto: each by its own numbers */
static SoraWeightType
choose_weight_type (SoraModel *model, SoraPartType type, const SoraWeightRequest *request)
{
  return type == SORA_PART_VAE ? SORA_WEIGHT_TYPE_AUTO : sora_weight_type_for_file (request->type, get_file (model, type), request->max_memory);
}

/* Progress counts bytes of files, in the order in which a stream that is made asks for them. */
static void
report (SoraModel *model, const SoraWeightRequest *request, SoraPartType type)
{
  static const gchar *const what[] = {
    [SORA_PART_VAE] = "loading VAE", [SORA_PART_TEXT_ENCODER] = "loading text encoder",
    [SORA_PART_TRANSFORMER] = "loading transformer", [SORA_PART_TRANSFORMER_2] = "loading transformer",
  };
  guint64 before = 0, total = 0;

  if (!request->progress)
    return;
  for (guint i = 0; i < SORA_N_PARTS; i++) {
    guint64 bytes = get_file (model, i) ? sora_weight_file_get_bytes (get_file (model, i)) : 0;
    before += i < type ? bytes : 0;
    total += bytes;
  }
  request->progress (total > 0 ? (gdouble) before / total : 0, what[type], request->progress_data);
}

/* Waits until no other thread loads anything of the model; looks at @cancellable every 50 ms. The model's lock is held. */
static gboolean
wait_for_turn (SoraModel *model, GCancellable *cancellable, GError **error)
{
  while (model->loading && !g_cancellable_is_cancelled (cancellable))
    g_cond_wait_until (&model->changed, &model->lock, g_get_monotonic_time () + 50 * G_TIME_SPAN_MILLISECOND);
  return !g_cancellable_set_error_if_cancelled (cancellable, error);
}

static void
resident_free (SoraResident *resident)
{
  g_clear_pointer (&resident->vae, sora_vae_free);
  g_clear_pointer (&resident->text_encoder, sora_text_encoder_free);
  g_clear_pointer (&resident->transformer, sora_transformer_free);
  sora_model_loras_unref (resident->loras);
  sora_device_unref (resident->device);
  g_free (resident);
}

/* Of @residents the parts themselves: (transfer full) */
static GPtrArray *
list_parts (const GPtrArray *residents)
{
  GPtrArray *parts = g_ptr_array_new ();

  for (guint i = 0; i < residents->len; i++) {
    const SoraResident *resident = residents->pdata[i];
    g_ptr_array_add (parts, resident->text_encoder ? (gpointer) resident->text_encoder : resident->transformer);
  }
  return parts;
}

/* @others: of the same part, type and device */
static gboolean
upload (SoraResident *resident, SoraModel *model, const GPtrArray *others, const SoraStageLimits *limits, SoraQueue *queue, GError **error)
{
  SoraWeightFile *file = get_merged_file (model, resident->loras, resident->type);
  g_autoptr (GPtrArray) parts = list_parts (others);

  switch (resident->type) {
    case SORA_PART_VAE:
      resident->vae = sora_vae_new (&model->vae, file, SORA_VAE_DECODER, resident->precision, queue, error);
      sora_weight_file_forget (file);
      return resident->vae != NULL;
    case SORA_PART_TEXT_ENCODER:
      resident->text_encoder = sora_text_encoder_new_sharing (&model->text_encoder, file, resident->weight_type, resident->precision,
          limits, parts, queue, error);
      return resident->text_encoder != NULL;
    default:
      resident->transformer = sora_transformer_new_sharing (resident->type == SORA_PART_TRANSFORMER ? &model->transformer
          : &model->transformer_2, file, resident->weight_type, resident->precision, limits, parts, queue, error);
      return resident->transformer != NULL;
  }
}

/* Those like @wanted but for their LoRAs, which are used until they are released; the lock is held. (transfer full) */
static GPtrArray *
use_others (SoraModel *model, const SoraResident *wanted)
{
  GPtrArray *others = g_ptr_array_new ();

  for (guint i = 0; i < model->residents->len; i++) {
    SoraResident *resident = g_ptr_array_index (model->residents, i);
    if (resident->type != wanted->type || resident->weight_type != wanted->weight_type || resident->precision != wanted->precision
        || resident->device != wanted->device)
      continue;
    resident->users++;
    g_ptr_array_add (others, resident);
  }
  return others;
}

/* The lock is held, and let go while loading, when nobody else loads. NULL with an error. */
static SoraResident *
load (SoraModel *model, SoraPartType type, SoraWeightType weight_type, SoraQueue *queue, const SoraWeightRequest *request, GError **error)
{
  SoraResident *resident = g_new0 (SoraResident, 1);
  g_autoptr (GPtrArray) others = NULL;
  gboolean loaded;

  resident->type = type;
  resident->loras = sora_model_loras_ref (concerning (request->loras, type));
  resident->weight_type = weight_type;
  resident->precision = request->precision;
  resident->device = sora_device_ref (sora_queue_get_device (queue));
  others = use_others (model, resident);
  model->loading = TRUE;
  g_mutex_unlock (&model->lock);
  report (model, request, type);
  loaded = upload (resident, model, others, &request->limits, queue, error) && sora_queue_finish (queue, error);
  for (guint i = 0; i < others->len; i++)
    sora_model_release (model, others->pdata[i]);
  g_mutex_lock (&model->lock);
  model->loading = FALSE;
  g_cond_broadcast (&model->changed);
  if (!loaded)
    g_clear_pointer (&resident, resident_free);
  return resident;
}

/* The lock is held. */
static SoraResident *
find (SoraModel *model, SoraPartType type, SoraWeightType weight_type, const SoraWeightRequest *request, SoraDevice *device)
{
  for (guint i = 0; i < model->residents->len; i++) {
    SoraResident *resident = g_ptr_array_index (model->residents, i);
    if (resident->type == type && resident->weight_type == weight_type && resident->precision == request->precision
        && resident->device == device && sora_model_loras_equal (resident->loras, concerning (request->loras, type)))
      return resident;
  }
  return NULL;
}

/* Raises @sizes to the scratch memory that a part's products take; the VAE has none. */
static void
predict_part (SoraModel *model, SoraPartType type, SoraQueue *queue, const SoraWeightRequest *request, gsize sizes[SORA_N_SCRATCHES])
{
  SoraWeightFile *file = type == SORA_PART_VAE ? NULL : get_merged_file (model, request->loras, type);

  if (!file)
    return;
  if (type == SORA_PART_TEXT_ENCODER)
    sora_text_encoder_predict_scratch (&model->text_encoder, file, choose_weight_type (model, type, request), request->precision,
        request->limits.rows, queue, sizes);
  else
    sora_transformer_predict_scratch (type == SORA_PART_TRANSFORMER ? &model->transformer : &model->transformer_2, file,
        choose_weight_type (model, type, request), request->precision, request->limits.rows, queue, sizes);
}

/* What loading did for the queue of the stream that the weights were loaded for. */
static gboolean
reserve_scratch (SoraModel *model, SoraPartType type, SoraQueue *queue, const SoraWeightRequest *request, GError **error)
{
  gsize sizes[SORA_N_SCRATCHES] = { 0 };

  predict_part (model, type, queue, request, sizes);
  return sora_queue_reserve_scratch (queue, sizes, error);
}

SoraResident *
sora_model_take (SoraModel *model, SoraPartType type, SoraQueue *queue, const SoraWeightRequest *request, GError **error)
{
  SoraWeightType weight_type = choose_weight_type (model, type, request);
  SoraResident *resident = NULL;
  gboolean is_shared = FALSE;

  g_mutex_lock (&model->lock);
  if (wait_for_turn (model, request->cancellable, error)) {
    resident = find (model, type, weight_type, request, sora_queue_get_device (queue));
    is_shared = resident != NULL;
    if (!resident && (resident = load (model, type, weight_type, queue, request, error)))
      g_ptr_array_add (model->residents, resident);
    if (resident)
      resident->users++;
  }
  g_mutex_unlock (&model->lock);
  if (is_shared && !reserve_scratch (model, type, queue, request, error)) {
    sora_model_release (model, resident);
    return NULL;
  }
  return resident;
}

guint64
sora_model_predict_scratch (SoraModel *model, SoraQueue *queue, const SoraWeightRequest *request)
{
  gsize sizes[SORA_N_SCRATCHES] = { 0 };

  for (SoraPartType type = 0; type < SORA_N_PARTS; type++)
    predict_part (model, type, queue, request, sizes);
  return sora_queue_get_scratch_size (queue) + sora_queue_predict_scratch (queue, sizes);
}

void
sora_model_release (SoraModel *model, SoraResident *resident)
{
  gboolean last;

  if (!resident)
    return;
  g_mutex_lock (&model->lock);
  last = --resident->users == 0;
  if (last)
    g_ptr_array_remove_fast (model->residents, resident);
  g_mutex_unlock (&model->lock);
  if (last)
    resident_free (resident);
}

guint64
sora_resident_get_size (const SoraResident *resident)
{
  if (!resident)
    return 0;
  if (resident->vae)
    return sora_vae_get_size (resident->vae);
  return resident->text_encoder ? sora_text_encoder_get_size (resident->text_encoder) : sora_transformer_get_size (resident->transformer);
}
