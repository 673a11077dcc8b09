/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Any bytes opened as a weight file, whatever the container: an error, or tensors that can all be read. For libFuzzer: scripts/fuzz. */

#include "weights/weight-file-private.h"

/* Many tensors may share one storage: enough is enough. */
#define MAX_ELEMENTS (1 << 20)

int LLVMFuzzerTestOneInput (const guint8 *data, size_t size);

static void
convert_all (SoraWeightFile *file)
{
  g_autoptr (GPtrArray) names = sora_weight_file_get_names (file);
  guint64 n = 0;

  for (guint i = 0; i < names->len; i++) {
    const SoraTensor *tensor = sora_weight_file_peek (file, names->pdata[i]);
    g_autofree gfloat *values = NULL;
    n += tensor->n_elements;
    if (n > MAX_ELEMENTS)
      return;
    values = g_new (gfloat, tensor->n_elements);
    sora_tensor_to_float (tensor, 0, tensor->n_elements, values);
    if (tensor->n_elements > 1)
      sora_tensor_to_float (tensor, 1, tensor->n_elements - 1, values);
  }
}

static void
read_metadata (SoraWeightFile *file)
{
  GHashTableIter iter;
  gpointer key;

  if (!file->metadata)
    return;
  g_hash_table_iter_init (&iter, file->metadata);
  while (g_hash_table_iter_next (&iter, &key, NULL)) {
    g_autoptr (GVariant) value = sora_weight_file_get_metadata (file, key);
    g_assert_nonnull (value);
  }
}

int
LLVMFuzzerTestOneInput (const guint8 *data, size_t size)
{
  g_autoptr (GBytes) bytes = g_bytes_new (data, size);
  g_autoptr (GError) error = NULL;
  g_autoptr (SoraWeightFile) file = sora_weight_file_open_bytes (bytes, "/nonexistent/fuzz", &error);

  g_assert ((file == NULL) == (error != NULL));
  if (file) {
    convert_all (file);
    read_metadata (file);
    g_assert_null (sora_weight_file_find (file, NULL, "blocks.0.norm2.none", 1, 1));
  }
  return 0;
}
