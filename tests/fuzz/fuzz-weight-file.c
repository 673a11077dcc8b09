/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Any bytes opened as a weight file, whatever the container: an error, or tensors that can all be read, and a model's configuration if they are one.
 * For libFuzzer: scripts/fuzz. */

#include "weights/config-shapes.h"
#include "weights/weight-file-private.h"

/* Many tensors may share one storage: enough is enough. */
#define MAX_ELEMENTS (1 << 20)

/* Where the shards of an index lie, if it is run from the project's root */
#define PATH "tests/golden/weights/fuzz"

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

/* Each reader tells what the file is none of. */
static void
read_shapes (SoraWeightFile *file)
{
  GError *errors[4] = { NULL };
  SoraTransformerConfig transformer;
  SoraTextEncoderConfig text_encoder;
  SoraVaeConfig vae = { 0 };
  SoraClipConfig clip;
  gboolean success;

  g_assert_nonnull (sora_weights_kind_name (sora_weights_recognise (file)));
  sora_weights_get_latent_channels (file);
  success = sora_transformer_config_from_shapes (&transformer, file, &errors[0]);
  g_assert (success == (errors[0] == NULL));
  success = sora_text_encoder_config_from_shapes (&text_encoder, file, &errors[1]);
  g_assert (success == (errors[1] == NULL));
  success = sora_clip_config_from_shapes (&clip, file, &errors[2]);
  g_assert (success == (errors[2] == NULL));
  success = sora_vae_config_from_shapes (&vae, file, &errors[3]);
  g_assert (success == (errors[3] == NULL));
  if (success)
    sora_vae_config_clear (&vae);
  for (guint i = 0; i < G_N_ELEMENTS (errors); i++)
    g_clear_error (&errors[i]);
}

int
LLVMFuzzerTestOneInput (const guint8 *data, size_t size)
{
  g_autoptr (GBytes) bytes = g_bytes_new (data, size);
  g_autoptr (GError) error = NULL;
  g_autoptr (SoraWeightFile) file = sora_weight_file_open_bytes (bytes, PATH, &error);

  g_assert ((file == NULL) == (error != NULL));
  if (file) {
    convert_all (file);
    read_metadata (file);
    read_shapes (file);
    g_assert_null (sora_weight_file_find (file, NULL, "blocks.0.norm2.none", 1, 1));
  }
  return 0;
}
