/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Finds, checks and uploads the tensors of a stage, or shares the linears that another stage has of the same tensors. */
#include "stages/loader.h"

#define MAX_PARTS 3

SoraLinearTable *
sora_linear_table_new (void)
{
  return g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify) sora_linear_free);
}

static void
append_key (GString *key, const SoraTensor *tensor)
{
  if (tensor)
    g_string_append_printf (key, "%s+%s\n", tensor->name, sora_tensor_is_patched (tensor) ? tensor->patches->id : "");
}

/* What a linear of these tensors is found by, in stages of the same files: (transfer full) */
static gchar *
make_key (guint n_parts, const SoraTensor *const *weights, const SoraTensor *const *biases)
{
  GString *key = g_string_new (NULL);

  for (guint i = 0; i < n_parts; i++) {
    append_key (key, weights[i]);
    append_key (key, biases ? biases[i] : NULL);
  }
  return g_string_free (key, FALSE);
}

/* (transfer full): the one that another stage has; NULL: none. One that is streamed reads that stage's tensors, which may go before ours. */
static SoraLinear *
find_linear (SoraLoader *loader, const gchar *key)
{
  for (guint i = 0; loader->others && i < loader->others->len; i++) {
    SoraLinear *linear = g_hash_table_lookup (loader->others->pdata[i], key);
    if (linear && !sora_linear_is_streamed (linear))
      return sora_linear_ref (linear);
  }
  return NULL;
}

/* The queue has two places for streamed weights. */
#define PLACES 2

static gboolean
fail_memory (const SoraLoader *loader, guint64 least, guint64 left, GError **error)
{
  g_set_error (error, SORA_DEVICE_ERROR, SORA_DEVICE_ERROR_NO_MEMORY, "%s takes at least %" G_GUINT64_FORMAT " MiB, of which %"
      G_GUINT64_FORMAT " MiB are left; allow more memory, or ask for a smaller size, a shorter clip or another weight type",
      sora_weight_file_get_path (loader->file), (least >> 20) + 1, left >> 20);
  return FALSE;
}

/* What the products take beside the weights is made now, so that it does not grow while they run. */
static gboolean
reserve (SoraLoader *loader, const SoraLoader *needed, GError **error)
{
  if (loader->is_limited)
    sora_queue_reserve_streams (loader->queue, needed->largest);
  return sora_queue_reserve_scratch (loader->queue, needed->scratch, error);
}

gboolean
sora_loader_limit (SoraLoader *loader, const SoraLoader *needed, const SoraStageLimits *limits, GError **error)
{
  guint64 scratch = sora_queue_predict_scratch (loader->queue, needed->scratch), all = needed->bytes + scratch;
  guint64 places = PLACES * needed->largest, there = sora_queue_get_stream_size (loader->queue);
  guint64 fixed = needed->bytes - needed->weight_bytes, least = scratch + fixed + places - MIN (places, there);

  loader->least = fixed + places;
  if (all - needed->shared_bytes > limits->max_new_bytes)
    return fail_memory (loader, all - needed->shared_bytes, limits->max_new_bytes, error);
  if (all > limits->max_bytes && least > limits->max_bytes)
    return fail_memory (loader, least, limits->max_bytes, error);
  loader->is_limited = all > limits->max_bytes;
  loader->weight_budget = limits->max_bytes - least;
  return reserve (loader, needed, error);
}

/* Without a queue: counts, if one is given to count for. */
static void
count_linear (SoraLoader *loader, guint n_parts, const SoraTensor *const *weights, const SoraTensor *const *biases)
{
  g_autofree gchar *key = NULL;
  SoraLinear *shared;
  guint64 size, bias;

  if (!loader->counts_for)
    return;
  size = sora_linear_predict_size (sora_queue_get_device (loader->counts_for), loader->type, loader->precision, n_parts, weights,
      &bias);
  loader->weight_bytes += size;
  loader->largest = MAX (loader->largest, size);
  size += bias;
  loader->bytes += size;
  key = make_key (n_parts, weights, biases);
  shared = find_linear (loader, key);
  loader->shared_bytes += shared ? size : 0;
  g_clear_pointer (&shared, sora_linear_free);
  sora_linear_predict_scratch (loader->counts_for, loader->type, loader->precision, n_parts, weights, loader->n_rows, loader->scratch);
}

/* Whether the weight has to be streamed; else it is counted. */
static gboolean
is_over_budget (SoraLoader *loader, guint n_parts, const SoraTensor *const *weights)
{
  guint64 size = sora_linear_predict_size (sora_queue_get_device (loader->queue), loader->type, loader->precision, n_parts, weights,
      NULL);

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
  g_autofree gchar *key = NULL;
  gboolean is_over;

  if (!loader->queue) {
    count_linear (loader, n_parts, weights, biases);
    return TRUE;
  }
  key = make_key (n_parts, weights, biases);
  is_over = is_over_budget (loader, n_parts, weights);
  *linear = find_linear (loader, key);
  if (!*linear && is_over)
    *linear = sora_linear_new_streamed (loader->queue, loader->type, loader->precision, loader->file, n_parts, weights, biases, error);
  else if (!*linear)
    *linear = sora_linear_new (loader->queue, loader->type, loader->precision, n_parts, weights, biases, error);
  sora_weight_file_forget (loader->file);
  if (!*linear)
    return FALSE;
  if (loader->linears)
    g_hash_table_insert (loader->linears, g_steal_pointer (&key), sora_linear_ref (*linear));
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
