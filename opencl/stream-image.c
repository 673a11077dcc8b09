/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The picture that a stream begins with: encoded once, when the stream is made, and kept as its first latent. */
#include "stream-image.h"

struct _SoraStreamImage {
  const SoraVaeConfig *config;
  gsize frame_bytes;
  SoraVae *encoder;             /* NULL once the picture is encoded, as is the next */
  SoraVaeEncoderState *state;
  cl_mem latent;                /* [1, height, width, latent_channels] */
};

SoraStreamImage *
sora_stream_image_new (SoraModel *model, SoraQueue *queue, GError **error)
{
  SoraVae *encoder = sora_vae_new (&model->vae, model->vae_file, SORA_VAE_ENCODER, queue, error);
  SoraStreamImage *image;

  if (!encoder)
    return NULL;
  image = g_new0 (SoraStreamImage, 1);
  image->config = &model->vae;
  image->encoder = encoder;
  return image;
}

static void
drop_encoder (SoraStreamImage *image)
{
  g_clear_pointer (&image->state, sora_vae_encoder_state_free);
  g_clear_pointer (&image->encoder, sora_vae_free);
}

void
sora_stream_image_free (SoraStreamImage *image)
{
  drop_encoder (image);
  g_free (image);
}

void
sora_stream_image_plan (SoraStreamImage *image, guint height, guint width, SoraArena *arena)
{
  gsize pixels = (gsize) height * width, mark;

  image->frame_bytes = 3 * pixels * image->config->spatial_scale * image->config->spatial_scale;
  sora_arena_add (arena, &image->latent, pixels * image->config->latent_channels);
  mark = sora_arena_mark (arena);
  g_clear_pointer (&image->state, sora_vae_encoder_state_free);
  image->state = sora_vae_encoder_state_new (image->encoder, height, width, 1, TRUE, arena);
  sora_arena_rewind (arena, mark);
}

guint64
sora_stream_image_get_largest (SoraStreamImage *image)
{
  return sora_vae_encoder_state_get_largest (image->state);
}

/* A video's first latent is that of its first frame, repeated as often as the latent has frames. */
gboolean
sora_stream_image_encode (SoraStreamImage *image, SoraQueue *queue, const guint8 *rgb, cl_mem frames, GError **error)
{
  for (guint i = 0; i < image->config->time_scale; i++)
    sora_queue_write (queue, frames, i * image->frame_bytes, image->frame_bytes, rgb);
  sora_vae_encode (image->encoder, image->state, queue, frames, 1, image->latent);
  if (!sora_queue_finish (queue, error))
    return FALSE;
  drop_encoder (image);
  return TRUE;
}

cl_mem
sora_stream_image_get_latent (SoraStreamImage *image)
{
  return image->latent;
}
