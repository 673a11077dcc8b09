/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The LoRAs of a stream: opened, held against the model, and merged into the tensors of its files. */

#include "model-experts.h"
#include "model-private.h"

#include <math.h>

#define MAX_WEIGHT 100

static gboolean
check_weight (const gchar *path, gdouble weight, GError **error)
{
  if (fabs (weight) <= MAX_WEIGHT)      /* nor NaN */
    return TRUE;
  g_set_error (error, SORA_STREAM_ERROR, SORA_STREAM_ERROR_OPTION, "the weight of the LoRA %s is %g, but must be from -%d to %d", path, weight,
      MAX_WEIGHT, MAX_WEIGHT);
  return FALSE;
}

/* What collects for each part. Two experts have one each, and the text encoder then a third, as a LoRA may concern one expert only. */
typedef struct {
  SoraLoraMerger *experts[2], *text_encoder;    /* NULL: none of its own */
} Mergers;

static void
mergers_clear (Mergers *mergers)
{
  g_clear_pointer (&mergers->experts[0], sora_lora_merger_free);
  g_clear_pointer (&mergers->experts[1], sora_lora_merger_free);
  g_clear_pointer (&mergers->text_encoder, sora_lora_merger_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Mergers, mergers_clear)

/* Whether the LoRA changes expert @index, of which its file may be called after one. */
static gboolean
concerns_expert (const gchar *path, guint index)
{
  return !sora_expert_is_named (path) || sora_expert_is_low (path) == (index == 1);
}

/* Each merger sees each LoRA, also one that is not to change its expert, which must fit all the same. */
static gboolean
add_lora (Mergers *mergers, GString *id, const gchar *path, gdouble weight, GError **error)
{
  g_autoptr (SoraLora) lora = check_weight (path, weight, error) ? sora_lora_open (path, error) : NULL;

  if (!lora)
    return FALSE;
  for (guint i = 0; i < G_N_ELEMENTS (mergers->experts) && mergers->experts[i]; i++) {
    gboolean concerned = !mergers->experts[1] || concerns_expert (path, i);
    if (!sora_lora_merger_add (mergers->experts[i], lora, concerned ? weight : 0, error))
      return FALSE;
  }
  if (mergers->text_encoder && !sora_lora_merger_add (mergers->text_encoder, lora, weight, error))
    return FALSE;
  if (weight != 0)
    g_string_append_printf (id, "%s*%a;", sora_lora_get_id (lora), weight);
  return TRUE;
}

SoraModelLoras *
sora_model_loras_new (SoraModel *model, const gchar *const *paths, const gdouble *weights, GError **error)
{
  g_auto (Mergers) mergers = { { sora_lora_merger_new (model->transformer_file, model->text_encoder_file) } };
  g_autoptr (GString) id = g_string_new (NULL);
  SoraModelLoras *loras;

  if (model->transformer_2_file) {
    mergers.experts[1] = sora_lora_merger_new (model->transformer_2_file, model->text_encoder_file);
    mergers.text_encoder = sora_lora_merger_new (model->transformer_file, model->text_encoder_file);
  }
  for (guint i = 0; paths && paths[i]; i++) {
    if (!add_lora (&mergers, id, paths[i], weights ? weights[i] : 1, error))
      return NULL;
  }
  if (id->len == 0)
    return NULL;
  loras = g_new0 (SoraModelLoras, 1);
  g_atomic_ref_count_init (&loras->ref_count);
  loras->id = g_strdup (id->str);
  loras->files[SORA_PART_TRANSFORMER] = sora_lora_merger_get_file (mergers.experts[0], SORA_LORA_TRANSFORMER);
  if (mergers.experts[1])
    loras->files[SORA_PART_TRANSFORMER_2] = sora_lora_merger_get_file (mergers.experts[1], SORA_LORA_TRANSFORMER);
  loras->files[SORA_PART_TEXT_ENCODER] = sora_lora_merger_get_file (mergers.text_encoder ? mergers.text_encoder : mergers.experts[0],
      SORA_LORA_TEXT_ENCODER);
  return loras;
}

SoraModelLoras *
sora_model_loras_ref (SoraModelLoras *loras)
{
  if (loras)
    g_atomic_ref_count_inc (&loras->ref_count);
  return loras;
}

void
sora_model_loras_unref (SoraModelLoras *loras)
{
  if (!loras || !g_atomic_ref_count_dec (&loras->ref_count))
    return;
  for (guint i = 0; i < SORA_N_PARTS; i++)
    g_clear_pointer (&loras->files[i], sora_weight_file_free);
  g_free (loras->id);
  g_free (loras);
}

gboolean
sora_model_loras_equal (const SoraModelLoras *a, const SoraModelLoras *b)
{
  return g_strcmp0 (a ? a->id : NULL, b ? b->id : NULL) == 0;
}
