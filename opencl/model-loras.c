/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The LoRAs of a stream: opened, held against the model, and merged into the tensors of its files. */

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

/* @second: (nullable): for the second of two experts */
static gboolean
add_lora (SoraLoraMerger *merger, SoraLoraMerger *second, GString *id, const gchar *path, gdouble weight, GError **error)
{
  g_autoptr (SoraLora) lora = check_weight (path, weight, error) ? sora_lora_open (path, error) : NULL;

  if (!lora || !sora_lora_merger_add (merger, lora, weight, error) || (second && !sora_lora_merger_add (second, lora, weight, error)))
    return FALSE;
  if (weight != 0)
    g_string_append_printf (id, "%s*%a;", sora_lora_get_id (lora), weight);
  return TRUE;
}

SoraModelLoras *
sora_model_loras_new (SoraModel *model, const gchar *const *paths, const gdouble *weights, GError **error)
{
  g_autoptr (SoraLoraMerger) merger = sora_lora_merger_new (model->transformer_file, model->text_encoder_file);
  g_autoptr (SoraLoraMerger) second = NULL;
  g_autoptr (GString) id = g_string_new (NULL);
  SoraModelLoras *loras;

  if (model->transformer_2_file)
    second = sora_lora_merger_new (model->transformer_2_file, model->text_encoder_file);
  for (guint i = 0; paths && paths[i]; i++) {
    if (!add_lora (merger, second, id, paths[i], weights ? weights[i] : 1, error))
      return NULL;
  }
  if (id->len == 0)
    return NULL;
  loras = g_new0 (SoraModelLoras, 1);
  g_atomic_ref_count_init (&loras->ref_count);
  loras->id = g_strdup (id->str);
  loras->files[SORA_PART_TRANSFORMER] = sora_lora_merger_get_file (merger, SORA_LORA_TRANSFORMER);
  loras->files[SORA_PART_TEXT_ENCODER] = sora_lora_merger_get_file (merger, SORA_LORA_TEXT_ENCODER);
  if (second)
    loras->files[SORA_PART_TRANSFORMER_2] = sora_lora_merger_get_file (second, SORA_LORA_TRANSFORMER);
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
