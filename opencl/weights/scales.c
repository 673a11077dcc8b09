/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Scaled 8-bit weights: LAYER.scale_weight or LAYER.weight_scale, one value, belongs to LAYER.weight and becomes part of it. */

#include "weights/weight-file-private.h"

#include <math.h>
#include <string.h>

/* Beside LAYER.weight */
static const gchar *const scales[] = { ".scale_weight", ".weight_scale" };
/* What is only of use where activations have 8 bits too, or says in words what the types say */
static const gchar *const notes[] = { ".scale_input", ".input_scale", ".comfy_quant", ".scaled_fp8" };

/* Makes the tensor @name one that cannot be used, because of @what: (transfer full) */
static void
disqualify (SoraWeightFile *file, const gchar *name, gchar *what)
{
  g_hash_table_insert (file->foreign, g_strdup (name), what);
  g_hash_table_remove (file->tensors, name);
}

/* Takes the scale @scale_name over into the tensor @name. */
static void
apply_scale (SoraWeightFile *file, const gchar *name, const gchar *scale_name)
{
  SoraTensor *tensor = g_hash_table_lookup (file->tensors, name), *scale = g_hash_table_lookup (file->tensors, scale_name);
  const gchar *foreign = g_hash_table_lookup (file->foreign, scale_name);

  if (!tensor || (!scale && !foreign))
    return;
  if (scale && scale->n_elements == 1 && !tensor->is_scaled)
    sora_tensor_to_float (scale, 0, 1, &tensor->scale);
  if (!scale)
    disqualify (file, name, g_strdup_printf ("a scale of %s", foreign));
  else if (scale->n_elements != 1)
    disqualify (file, name, g_strdup_printf ("%" G_GUINT64_FORMAT " scales (%s), where one for all values is understood", scale->n_elements,
            scale_name));
  else if (tensor->is_scaled)
    disqualify (file, name, g_strdup ("two scales"));
  else if (!isfinite (tensor->scale))
    disqualify (file, name, g_strdup_printf ("a scale that is not finite (%s)", scale_name));
  else
    tensor->is_scaled = TRUE;
}

static void
remove_tensor (SoraWeightFile *file, const gchar *name)
{
  g_hash_table_remove (file->tensors, name);
  g_hash_table_remove (file->foreign, name);
}

/* Whether @name is LAYER@suffix, or @suffix alone but for its dot */
static gboolean
has_suffix (const gchar *name, const gchar *suffix)
{
  return g_str_has_suffix (name, suffix) || g_str_equal (name, suffix + 1);
}

/* The scales are found by their own names, which go once all are taken over. */
void
sora_weight_file_apply_scales (SoraWeightFile *file)
{
  g_autoptr (GPtrArray) names = sora_weight_file_copy_all_names (file);
  g_autoptr (GPtrArray) used = g_ptr_array_new ();

  for (guint i = 0; i < names->len; i++) {
    const gchar *name = names->pdata[i];
    for (guint j = 0; j < G_N_ELEMENTS (scales); j++) {
      g_autofree gchar *layer = NULL, *weight = NULL;
      if (!g_str_has_suffix (name, scales[j]))
        continue;
      layer = g_strndup (name, strlen (name) - strlen (scales[j]));
      weight = g_strconcat (layer, ".weight", NULL);
      apply_scale (file, weight, name);
      g_ptr_array_add (used, (gpointer) name);
    }
    for (guint j = 0; j < G_N_ELEMENTS (notes); j++) {
      if (has_suffix (name, notes[j]))
        g_ptr_array_add (used, (gpointer) name);
    }
  }
  for (guint i = 0; i < used->len; i++)
    remove_tensor (file, used->pdata[i]);
}
