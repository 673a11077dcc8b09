/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Finds, checks and uploads the tensors of a stage. */
#include "stages/loader.h"

#define MAX_PARTS 3

/* The queue has two places for streamed weights. */
#define PLACES 2

gboolean
sora_loader_limit (SoraLoader *loader, const SoraLoader *needed, guint64 max_bytes, GError **error)
{
  guint64 least = loader->least = needed->bytes - needed->weight_bytes + PLACES * needed->largest;

  if (needed->bytes <= max_bytes)
    return TRUE;
  loader->is_limited = TRUE;
  loader->weight_budget = max_bytes - least;
  if (least <= max_bytes)
    return TRUE;
  g_set_error (error, SORA_DEVICE_ERROR, SORA_DEVICE_ERROR_NO_MEMORY, "%s takes at least %" G_GUINT64_FORMAT " MiB, of which %"
      G_GUINT64_FORMAT " MiB are left; allow more memory, or ask for a smaller size, a shorter clip or another weight type",
      sora_weight_file_get_path (loader->file), (least >> 20) + 1, max_bytes >> 20);
  return FALSE;
}

/* Without a queue: counts, if a device is given. */
static void
count_linear (SoraLoader *loader, guint n_parts, const SoraTensor *const *weights)
{
  guint64 size;

  if (!loader->device)
    return;
  size = sora_linear_predict_size (loader->device, loader->type, n_parts, weights);
  loader->weight_bytes += size;
  loader->largest = MAX (loader->largest, size);
  loader->bytes += size;
  for (guint i = 0; i < n_parts; i++)
    loader->bytes += weights[i]->shape[0] * sizeof (gfloat);
}

/* Whether the weight has to be streamed; else it is counted. */
static gboolean
is_over_budget (SoraLoader *loader, guint n_parts, const SoraTensor *const *weights)
{
  guint64 size = sora_linear_predict_size (sora_queue_get_device (loader->queue), loader->type, n_parts, weights);

  if (!loader->is_limited || loader->weight_bytes + size <= loader->weight_budget) {
    loader->weight_bytes += size;
    return FALSE;
  }
  return TRUE;
}

gboolean
sora_loader_linear_from (SoraLoader *loader, SoraLinear **linear, guint n_parts, const SoraTensor *const *weights,
    const SoraTensor *const *biases, GError **error)
{
  if (!loader->queue) {
    count_linear (loader, n_parts, weights);
    return TRUE;
  }
  if (is_over_budget (loader, n_parts, weights))
    *linear = sora_linear_new_streamed (loader->queue, loader->type, loader->file, n_parts, weights, biases, error);
  else
    *linear = sora_linear_new (loader->queue, loader->type, n_parts, weights, biases, error);
  sora_weight_file_forget (loader->file);
  if (!*linear)
    return FALSE;
  loader->bytes += sora_linear_get_size (*linear);
  return TRUE;
}

/* "PREFIXpart.weight" [n, k], or "PREFIXpart.bias" [n] with @k 0 */
static const SoraTensor *
find_part (SoraLoader *loader, const gchar *prefix, const gchar *part, guint n, guint k, GError **error)
{
  g_autofree gchar *name = g_strconcat (prefix, part, k ? ".weight" : ".bias", NULL);

  if (k)
    return sora_weight_file_find (loader->file, error, name, 2, n, k);
  return sora_weight_file_find (loader->file, error, name, 1, n);
}

gboolean
sora_loader_linear (SoraLoader *loader, SoraLinear **linear, const gchar *prefix, const gchar *parts, guint n, guint k,
    gboolean with_bias, GError **error)
{
  g_auto (GStrv) names = g_strsplit (parts, ",", MAX_PARTS);
  const SoraTensor *weights[MAX_PARTS], *biases[MAX_PARTS];
  guint n_parts = g_strv_length (names);

  for (guint i = 0; i < n_parts; i++) {
    weights[i] = find_part (loader, prefix, names[i], n, k, error);
    if (!weights[i])
      return FALSE;
    biases[i] = with_bias ? find_part (loader, prefix, names[i], n, 0, error) : NULL;
    if (with_bias && !biases[i])
      return FALSE;
  }
  return sora_loader_linear_from (loader, linear, n_parts, weights, with_bias ? biases : NULL, error);
}

gboolean
sora_loader_upload (SoraLoader *loader, cl_mem *mem, guint n_tensors, const SoraTensor *const *tensors, GError **error)
{
  guint64 total = 0, first = 0;
  g_autofree gfloat *data = NULL;

  for (guint i = 0; i < n_tensors; i++)
    total += tensors[i]->n_elements;
  if (!loader->queue) {
    loader->bytes += total * sizeof (gfloat);
    return TRUE;
  }
  data = g_new (gfloat, total);
  for (guint i = 0; i < n_tensors; i++) {
    sora_tensor_to_float (tensors[i], 0, tensors[i]->n_elements, data + first);
    first += tensors[i]->n_elements;
  }
  *mem = sora_queue_alloc (loader->queue, total * sizeof (gfloat));
  if (*mem)
    sora_queue_write (loader->queue, *mem, 0, total * sizeof (gfloat), data);
  loader->bytes += total * sizeof (gfloat);
  return !sora_queue_has_failed (loader->queue) || sora_queue_check (loader->queue, error);
}

gboolean
sora_loader_vector (SoraLoader *loader, cl_mem *mem, const gchar *prefix, const gchar *name, guint count, GError **error)
{
  g_autofree gchar *full = g_strconcat (prefix, name, NULL);
  const SoraTensor *tensor = sora_weight_file_find (loader->file, error, full, 1, count);

  return tensor && sora_loader_upload (loader, mem, 1, &tensor, error);
}

void
sora_clear_mem (cl_mem *mem)
{
  if (*mem)
    clReleaseMemObject (*mem);
  *mem = NULL;
}
