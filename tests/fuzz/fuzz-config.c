/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Any bytes read as one of a model's JSON files, which the first byte chooses. For libFuzzer: scripts/fuzz. */

#define _GNU_SOURCE
#include <sys/mman.h>
#include <unistd.h>

#include "weights/config-index.h"
#include "weights/config-shapes.h"

int LLVMFuzzerTestOneInput (const guint8 *data, size_t size);

/* Wan's own config.json, held against a file's shapes; run from the project's root */
static gboolean
load_wan (const gchar *path, GError **error)
{
  static SoraWeightFile *file = NULL;
  SoraTransformerConfig config;
  guint text_length = 0;

  if (!file)
    file = sora_weight_file_open ("tests/golden/weights/transformer-original.safetensors", error);
  sora_transformer_config_is_wan (path);
  return file && sora_transformer_config_read_wan (&config, file, path, &text_length, error);
}

static gboolean
load (gchar which, const gchar *path, GError **error)
{
  SoraStreamingConfig streaming = { 0 };
  SoraTextEncoderConfig text_encoder;
  SoraTransformerConfig transformer;
  SoraVaeConfig vae = { 0 };
  SoraPipelineIndex index;
  SoraClipConfig clip;
  gboolean success;

  switch (which) {
    case '0':
      success = sora_streaming_config_load (&streaming, path, error);
      if (success)
        sora_streaming_config_clear (&streaming);
      return success;
    case '1':
      return sora_text_encoder_config_load (&text_encoder, path, error);
    case '2':
      return sora_transformer_config_load (&transformer, path, error);
    case '3':
      success = sora_vae_config_load (&vae, path, error);
      if (success)
        sora_vae_config_clear (&vae);
      return success;
    case '4':
      return sora_clip_config_load (&clip, path, error);
    case '5':
      return load_wan (path, error);
    case '7':
      success = sora_pipeline_index_load (&index, path, error);
      g_assert (!success || (index.boundary_ratio >= 0 && index.boundary_ratio <= 1));
      return success;
    default:
      success = sora_streaming_config_init_wan (&streaming, 16, path, error);
      if (success)
        sora_streaming_config_clear (&streaming);
      return success;
  }
}

static gboolean
write_file (int fd, const guint8 *data, size_t size)
{
  return ftruncate (fd, 0) == 0 && pwrite (fd, data, size, 0) == (ssize_t) size;
}

int
LLVMFuzzerTestOneInput (const guint8 *data, size_t size)
{
  static int fd = -1;
  g_autofree gchar *path = NULL;
  g_autoptr (GError) error = NULL;

  if (fd < 0)
    fd = memfd_create ("config", 0);
  if (size == 0 || fd < 0 || !write_file (fd, data + 1, size - 1))
    return 0;
  path = g_strdup_printf ("/proc/self/fd/%d", fd);
  g_assert (load (data[0], path, &error) == (error == NULL));
  return 0;
}
