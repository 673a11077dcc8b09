/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Hands each call to the kind of VAE that the configuration says. */
#include "stages/vae-private.h"

gboolean
sora_vae_validate (const SoraVaeConfig *config, SoraWeightFile *file, GError **error)
{
  if (config->kind == SORA_VAE_WAN)
    return sora_wan_vae_validate (config, file, error);
  return sora_taehv_validate (config, file, error);
}

SoraVae *
sora_vae_new (const SoraVaeConfig *config, SoraWeightFile *file, SoraVaeHalves halves, SoraPrecision precision, SoraQueue *queue,
    GError **error)
{
  SoraVae *vae = g_new0 (SoraVae, 1);

  if (config->kind == SORA_VAE_WAN)
    vae->wan = sora_wan_vae_new (config, file, halves, precision, queue, error);
  else
    vae->taehv = sora_taehv_new (config, file, halves, precision, queue, error);
  if (vae->wan == NULL && vae->taehv == NULL)
    g_clear_pointer (&vae, g_free);
  return vae;
}

void
sora_vae_free (SoraVae *vae)
{
  if (vae == NULL)
    return;
  sora_taehv_free (vae->taehv);
  sora_wan_vae_free (vae->wan);
  g_free (vae);
}

guint64
sora_vae_get_size (SoraVae *vae)
{
  return vae->wan != NULL ? sora_wan_vae_get_size (vae->wan) : sora_taehv_get_size (vae->taehv);
}

SoraVaeDecoderState *
sora_vae_decoder_state_new (SoraVae *vae, guint height, guint width, guint max_latents, const SoraVaeTiling *tiling, SoraArena *arena)
{
  SoraVaeDecoderState *state = g_new0 (SoraVaeDecoderState, 1);

  if (vae->wan != NULL && tiling != NULL && tiling->size > 0)
    state->tiles = sora_wan_vae_tiles_new (&vae->wan->decoder, height, width, max_latents, tiling->n_latents, tiling->size, arena);
  if (state->tiles != NULL)
    return state;
  if (vae->wan != NULL)
    state->wan = sora_wan_vae_state_new (&vae->wan->decoder, height, width, FALSE, arena);
  else
    state->taehv = sora_taehv_decoder_state_new (vae->taehv, height, width, max_latents, arena);
  return state;
}

void
sora_vae_decoder_state_free (SoraVaeDecoderState *state)
{
  if (state == NULL)
    return;
  sora_taehv_decoder_state_free (state->taehv);
  sora_wan_vae_state_free (state->wan);
  sora_wan_vae_tiles_free (state->tiles);
  g_free (state);
}

guint
sora_vae_decoder_state_get_chunk (const SoraVaeDecoderState *state)
{
  if (state->tiles != NULL)
    return sora_wan_vae_tiles_get_chunk (state->tiles);
  return state->wan != NULL ? 1 : sora_taehv_decoder_state_get_chunk (state->taehv);
}

gboolean
sora_vae_decoder_state_is_tiled (const SoraVaeDecoderState *state)
{
  return state->tiles != NULL;
}

guint64
sora_vae_decoder_state_get_host_size (const SoraVaeDecoderState *state)
{
  return state->tiles != NULL ? sora_wan_vae_tiles_get_host_size (state->tiles) : 0;
}

guint64
sora_vae_decoder_state_get_largest (const SoraVaeDecoderState *state)
{
  if (state->tiles != NULL)
    return sora_wan_vae_tiles_get_largest (state->tiles);
  return state->wan != NULL ? sora_wan_vae_state_get_largest (state->wan) : sora_taehv_decoder_state_get_largest (state->taehv);
}

void
sora_vae_decoder_reset (SoraVaeDecoderState *state, SoraQueue *queue)
{
  if (state->tiles != NULL)
    sora_wan_vae_tiles_reset (state->tiles, queue);
  else if (state->wan != NULL)
    sora_wan_vae_state_reset (state->wan, queue);
  else
    sora_taehv_decoder_reset (state->taehv, queue);
}

void
sora_vae_decode (SoraVae *vae, SoraVaeDecoderState *state, SoraQueue *queue, cl_mem latents, guint n_latents, cl_mem rgb)
{
  if (state->tiles != NULL)
    sora_wan_vae_tiles_decode (state->tiles, queue, latents, n_latents, rgb);
  else if (vae->wan != NULL)
    sora_wan_vae_decode (state->wan, queue, latents, n_latents, rgb);
  else
    sora_taehv_decode (vae->taehv, state->taehv, queue, latents, n_latents, rgb);
}

SoraVaeEncoderState *
sora_vae_encoder_state_new (SoraVae *vae, guint height, guint width, guint max_latents, gboolean is_still,
    const SoraVaeTiling *tiling, SoraArena *arena)
{
  SoraVaeEncoderState *state = g_new0 (SoraVaeEncoderState, 1);

  if (vae->wan != NULL && tiling != NULL && tiling->size > 0)
    state->tiles = sora_wan_vae_encoder_tiles_new (&vae->wan->encoder, height, width, tiling->n_latents, is_still, tiling->size, arena);
  if (state->tiles != NULL)
    return state;
  if (vae->wan != NULL)
    state->wan = sora_wan_vae_state_new (&vae->wan->encoder, height, width, is_still, arena);
  else
    state->taehv = sora_taehv_encoder_state_new (vae->taehv, height, width, max_latents, arena);
  return state;
}

void
sora_vae_encoder_state_free (SoraVaeEncoderState *state)
{
  if (state == NULL)
    return;
  sora_taehv_encoder_state_free (state->taehv);
  sora_wan_vae_state_free (state->wan);
  sora_wan_vae_encoder_tiles_free (state->tiles);
  g_free (state);
}

guint64
sora_vae_encoder_state_get_largest (const SoraVaeEncoderState *state)
{
  if (state->tiles != NULL)
    return sora_wan_vae_encoder_tiles_get_largest (state->tiles);
  return state->wan != NULL ? sora_wan_vae_state_get_largest (state->wan) : sora_taehv_encoder_state_get_largest (state->taehv);
}

guint64
sora_vae_encoder_state_get_host_size (const SoraVaeEncoderState *state)
{
  return state->tiles != NULL ? sora_wan_vae_encoder_tiles_get_host_size (state->tiles) : 0;
}

void
sora_vae_encoder_reset (SoraVaeEncoderState *state, SoraQueue *queue)
{
  if (state->wan != NULL)
    sora_wan_vae_state_reset (state->wan, queue);
  else
    sora_taehv_encoder_reset (state->taehv, queue);
}

void
sora_vae_encode_video (SoraVae *vae, SoraVaeEncoderState *state, SoraQueue *queue, const SoraVaeVideo *video)
{
  if (state->tiles != NULL) {
    sora_wan_vae_encoder_tiles_run (state->tiles, queue, video);
    return;
  }
  sora_vae_encoder_reset (state, queue);
  for (guint i = 0; i < video->n_latents; i++) {
    guint n_grey = video->source (i, video->user_data);
    if (n_grey > 0)
      sora_vae_encode_greyed (vae, state, queue, video->rgb, n_grey, video->latent);
    else
      sora_vae_encode (vae, state, queue, video->rgb, 1, video->latent);
    video->sink (i, video->user_data);
  }
}

void
sora_vae_encode (SoraVae *vae, SoraVaeEncoderState *state, SoraQueue *queue, cl_mem rgb, guint n_latents, cl_mem latents)
{
  if (vae->wan != NULL)
    sora_wan_vae_encode (state->wan, queue, rgb, n_latents, latents);
  else
    sora_taehv_encode (vae->taehv, state->taehv, queue, rgb, n_latents, latents);
}

void
sora_vae_encode_greyed (SoraVae *vae, SoraVaeEncoderState *state, SoraQueue *queue, cl_mem rgb, guint n_grey, cl_mem latent)
{
  if (vae->wan != NULL)
    sora_wan_vae_encode_greyed (state->wan, queue, rgb, n_grey, latent);
  else
    sora_taehv_encode_greyed (vae->taehv, state->taehv, queue, rgb, n_grey, latent);
}
