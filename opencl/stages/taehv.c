/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* TAEHV's weights: checked, put on a device, released. */
#include "stages/taehv-private.h"
#include "stages/taehv-weights.h"

static void
clear_half (SoraTaehvHalf *half)
{
  sora_convolution_free (half->first);
  sora_convolution_free (half->last);
  for (guint i = 0; i < half->n_levels; i++) {
    SoraTaehvLevel *level = &half->levels[i];

    for (guint j = 0; level->blocks != NULL && j < level->n_blocks; j++)
      for (guint k = 0; k < 3; k++)
        sora_convolution_free (level->blocks[j].conv[k]);
    g_free (level->blocks);
    sora_convolution_free (level->resample);
  }
}

gboolean
sora_taehv_validate (const SoraVaeConfig *config, SoraWeightFile *file, GError **error)
{
  SoraTaehvReader reader = { file };
  SoraTaehvHalf decoder = { 0 }, encoder = { 0 };
  gboolean valid = sora_taehv_read_decoder (&reader, config, &decoder, error)
      && sora_taehv_read_encoder (&reader, config, &encoder, error);

  clear_half (&decoder);
  clear_half (&encoder);
  return valid;
}

static cl_mem
upload_latent_vector (SoraTaehv *taehv, SoraQueue *queue, const gfloat *values)
{
  gsize size = taehv->config->latent_channels * sizeof (gfloat);
  cl_mem mem = sora_queue_alloc (queue, size);

  if (mem != NULL)
    sora_queue_write (queue, mem, 0, size, values);
  taehv->size += size;
  return mem;
}

SoraTaehv *
sora_taehv_new (const SoraVaeConfig *config, SoraWeightFile *file, SoraVaeHalves halves, SoraPrecision precision, SoraQueue *queue, GError **error)
{
  SoraTaehv *taehv = g_new0 (SoraTaehv, 1);
  SoraTaehvReader reader = { file, queue, precision };

  taehv->config = config;
  if (halves & SORA_VAE_DECODER && !sora_taehv_read_decoder (&reader, config, &taehv->decoder, error))
    goto fail;
  if (halves & SORA_VAE_ENCODER && !sora_taehv_read_encoder (&reader, config, &taehv->encoder, error))
    goto fail;
  taehv->size = reader.size;
  taehv->mean = upload_latent_vector (taehv, queue, config->latents_mean);
  taehv->std = upload_latent_vector (taehv, queue, config->latents_std);
  if (!sora_queue_check (queue, error))
    goto fail;
  return taehv;

fail:
  sora_taehv_free (taehv);
  return NULL;
}

void
sora_taehv_free (SoraTaehv *taehv)
{
  if (taehv == NULL)
    return;
  clear_half (&taehv->decoder);
  clear_half (&taehv->encoder);
  g_clear_pointer (&taehv->mean, clReleaseMemObject);
  g_clear_pointer (&taehv->std, clReleaseMemObject);
  g_free (taehv);
}

guint64
sora_taehv_get_size (SoraTaehv *taehv)
{
  return taehv->size;
}
