/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Any bytes opened as a LoRA: an error, or what can be described, held against a model, and where it fits read from its tensors. For
 * libFuzzer: scripts/fuzz. */

#include <string.h>

#include "weights/lora.h"
#include "weights/weight-file-private.h"

/* More than this takes a LoRA whose tensors share one storage: enough is enough. */
#define MAX_BYTES (1 << 20)

/* Safetensors of a few layers that the tests' LoRAs change, all zeros: of the header, then of the data */
#define HEADER "{\"scale_shift_table\":{\"dtype\":\"F16\",\"shape\":[1,2,48],\"data_offsets\":[0,192]}," \
  "\"blocks.0.attn1.to_q.weight\":{\"dtype\":\"F16\",\"shape\":[48,48],\"data_offsets\":[192,4800]}," \
  "\"blocks.0.attn1.to_q.bias\":{\"dtype\":\"F16\",\"shape\":[48],\"data_offsets\":[4800,4896]}," \
  "\"blocks.0.norm2.weight\":{\"dtype\":\"F16\",\"shape\":[48],\"data_offsets\":[4896,4992]}}"
#define DATA 4992

int LLVMFuzzerTestOneInput (const guint8 *data, size_t size);

static SoraWeightFile *
open_model (void)
{
  GByteArray *bytes = g_byte_array_new ();
  guint64 length = GUINT64_TO_LE (sizeof (HEADER) - 1);
  g_autoptr (GBytes) content = NULL;

  g_byte_array_append (bytes, (const guint8 *) &length, sizeof length);
  g_byte_array_append (bytes, (const guint8 *) HEADER, sizeof (HEADER) - 1);
  g_byte_array_set_size (bytes, bytes->len + DATA);
  memset (bytes->data + bytes->len - DATA, 0, DATA);
  content = g_byte_array_free_to_bytes (bytes);
  return sora_weight_file_open_bytes (content, "model", NULL);
}

static void
read_patched (SoraWeightFile *merged)
{
  GHashTableIter iter;
  gpointer value;

  g_hash_table_iter_init (&iter, merged->tensors);
  while (g_hash_table_iter_next (&iter, NULL, &value)) {
    const SoraTensor *tensor = value;
    g_autofree gfloat *values = g_new (gfloat, tensor->n_elements);
    sora_tensor_to_float (tensor, 0, tensor->n_elements, values);
    sora_tensor_to_float (tensor, 1, tensor->n_elements - 2, values);
  }
}

int
LLVMFuzzerTestOneInput (const guint8 *data, size_t size)
{
  g_autoptr (GBytes) bytes = g_bytes_new (data, size);
  SoraWeightFile *file = sora_weight_file_open_bytes (bytes, "/nonexistent/fuzz", NULL);
  g_autoptr (SoraWeightFile) model = NULL, merged = NULL;
  g_autoptr (SoraLoraMerger) merger = NULL;
  g_autoptr (SoraLora) lora = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree gchar *text = NULL;

  if (!file)
    return 0;
  lora = sora_lora_new (file, &error);
  g_assert ((lora == NULL) == (error != NULL));
  if (!lora)
    return 0;
  text = sora_lora_describe (lora);
  model = open_model ();
  merger = sora_lora_merger_new (model, NULL);
  if (sora_lora_merger_add (merger, lora, 0.5, &error) && sora_weight_file_get_bytes (file) <= MAX_BYTES)
    merged = sora_lora_merger_get_file (merger, SORA_LORA_TRANSFORMER);
  if (merged)
    read_patched (merged);
  return 0;
}
