/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The VAE's weights: checked, put on a device, released. */
#include "stages/vae-private.h"
#include "stages/vae-weights.h"

static void
clear_half (SoraVaeHalf *half)
{
  sora_convolution_free (half->first);
  sora_convolution_free (half->last);
  for (guint i = 0; i < half->n_levels; i++) {
    SoraVaeLevel *level = &half->levels[i];

    for (guint j = 0; level->blocks != NULL && j < level->n_blocks; j++)
      for (guint k = 0; k < 3; k++)
        sora_convolution_free (level->blocks[j].conv[k]);
    g_free (level->blocks);
    sora_convolution_free (level->resample);
  }
}

gboolean
sora_vae_validate (const SoraVaeConfig *config, SoraWeightFile *file, GError **error)
{
  SoraVaeReader reader = { file };
  SoraVaeHalf decoder = { 0 }, encoder = { 0 };
  gboolean valid = sora_vae_read_decoder (&reader, config, &decoder, error)
      && sora_vae_read_encoder (&reader, config, &encoder, error);

  clear_half (&decoder);
  clear_half (&encoder);
  return valid;
}

static cl_mem
upload_latent_vector (SoraVae *vae, SoraQueue *queue, const gfloat *values)
{
  gsize size = vae->config->latent_channels * sizeof (gfloat);
  cl_mem mem = sora_queue_alloc (queue, size);

  if (mem != NULL)
    sora_queue_write (queue, mem, 0, size, values);
  vae->size += size;
  return mem;
}

SoraVae *
sora_vae_new (const SoraVaeConfig *config, SoraWeightFile *file, SoraVaeHalves halves, SoraQueue *queue, GError **error)
{
  SoraVae *vae = g_new0 (SoraVae, 1);
  SoraVaeReader reader = { file, queue };

  vae->config = config;
  if (halves & SORA_VAE_DECODER && !sora_vae_read_decoder (&reader, config, &vae->decoder, error))
    goto fail;
  if (halves & SORA_VAE_ENCODER && !sora_vae_read_encoder (&reader, config, &vae->encoder, error))
    goto fail;
  vae->size = reader.size;
  vae->mean = upload_latent_vector (vae, queue, config->latents_mean);
  vae->std = upload_latent_vector (vae, queue, config->latents_std);
  if (!sora_queue_check (queue, error))
    goto fail;
  return vae;

fail:
  sora_vae_free (vae);
  return NULL;
}

void
sora_vae_free (SoraVae *vae)
{
  if (vae == NULL)
    return;
  clear_half (&vae->decoder);
  clear_half (&vae->encoder);
  g_clear_pointer (&vae->mean, clReleaseMemObject);
  g_clear_pointer (&vae->std, clReleaseMemObject);
  g_free (vae);
}

guint64
sora_vae_get_size (SoraVae *vae)
{
  return vae->size;
}
