/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The pictures that a stream goes on from: encoded once, when the stream is made, and kept as the transformer wants them. */
#include "stream-image.h"

#include "ops/elementwise.h"
#include "stages/clip-encoder.h"

struct _SoraStreamImage {
  SoraModel *model;             /* (transfer none) */
  SoraPrecision precision;      /* of CLIP's matrices */
  gsize frame_bytes;
  guint height, width;          /* of a latent */
  guint n_latents;              /* of the condition */
  SoraVae *encoder;             /* NULL once the pictures are encoded, as are the next two */
  SoraVaeEncoderState *state;
  SoraClipEncoderState *clip_state;
  cl_mem latent;                /* [1, height, width, latent_channels] */
  cl_mem condition;             /* [n_latents, height, width, time_scale + latent_channels]: a mask for each frame, 1 where it is given; the
                                 * latents of a video that is grey elsewhere */
  cl_mem embeddings;            /* [image_tokens, image_dim] */
};

SoraStreamImage *
sora_stream_image_new (SoraModel *model, SoraPrecision precision, SoraQueue *queue, GError **error)
{
  SoraVae *encoder = sora_vae_new (&model->vae, model->vae_file, SORA_VAE_ENCODER, precision, queue, error);
  SoraStreamImage *image;

  if (!encoder)
    return NULL;
  image = g_new0 (SoraStreamImage, 1);
  image->model = model;
  image->precision = precision;
  image->encoder = encoder;
  return image;
}

static void
drop_encoders (SoraStreamImage *image)
{
  g_clear_pointer (&image->state, sora_vae_encoder_state_free);
  g_clear_pointer (&image->encoder, sora_vae_free);
  g_clear_pointer (&image->clip_state, sora_clip_encoder_state_free);
}

void
sora_stream_image_free (SoraStreamImage *image)
{
  drop_encoders (image);
  g_free (image);
}

static guint
condition_channels (SoraStreamImage *image)
{
  return sora_model_get_condition_channels (image->model);
}

void
sora_stream_image_plan (SoraStreamImage *image, guint height, guint width, guint n_latents, guint tile, SoraArena *arena)
{
  const gboolean is_still = condition_channels (image) == 0;
  const SoraVaeTiling tiling = { tile, is_still ? 1 : n_latents };
  const SoraVaeConfig *vae = &image->model->vae;
  gsize pixels = (gsize) height * width, mark;
  guint n_tokens = sora_model_get_image_tokens (image->model);

  image->frame_bytes = 3 * pixels * vae->spatial_scale * vae->spatial_scale;
  image->height = height;
  image->width = width;
  image->n_latents = n_latents;
  sora_arena_add (arena, &image->latent, pixels * vae->latent_channels);
  if (condition_channels (image) > 0)
    sora_arena_add (arena, &image->condition, n_latents * pixels * condition_channels (image));
  if (n_tokens > 0)
    sora_arena_add (arena, &image->embeddings, (gsize) n_tokens * image->model->transformer.image_dim);
  mark = sora_arena_mark (arena);
  g_clear_pointer (&image->state, sora_vae_encoder_state_free);
  image->state = sora_vae_encoder_state_new (image->encoder, height, width, 1, is_still, &tiling, arena);
  sora_arena_rewind (arena, mark);
  g_clear_pointer (&image->clip_state, sora_clip_encoder_state_free);
  if (n_tokens > 0) {
    image->clip_state = sora_clip_encoder_state_new (&image->model->image_encoder, arena);
    sora_arena_rewind (arena, mark);
  }
}

guint64
sora_stream_image_get_largest (SoraStreamImage *image)
{
  return sora_vae_encoder_state_get_largest (image->state);
}

guint64
sora_stream_image_get_host_size (SoraStreamImage *image)
{
  return image->state ? sora_vae_encoder_state_get_host_size (image->state) : 0;
}

guint64
sora_stream_image_get_weight_bytes (SoraStreamImage *image)
{
  return image->encoder ? sora_vae_get_size (image->encoder) : 0;
}

/* The mask's channels, those that count a latent's frames, are 1 in the first latent, whose frames are all the picture, and in the last
 * frame of the last one. */
static void
write_mask (SoraStreamImage *image, SoraQueue *queue, guint index, guint first_channel)
{
  guint n = condition_channels (image), pixels = image->height * image->width;
  gsize size = sizeof (gfloat) * pixels * n;
  g_autofree gfloat *mask = g_new0 (gfloat, (gsize) pixels * n);

  for (guint p = 0; p < pixels; p++)
    for (guint c = first_channel; c < image->model->vae.time_scale; c++)
      mask[p * n + c] = 1;
  sora_queue_write (queue, image->condition, index * size, size, mask);
}

/* The latent behind the mask, of latent @index of the condition */
static void
place_latent (SoraStreamImage *image, SoraQueue *queue, guint index)
{
  guint n = condition_channels (image), pixels = image->height * image->width;
  SoraMatrix target = SORA_MATRIX_AT (image->condition, index * pixels * n + image->model->vae.time_scale, n);

  sora_patchify_run (queue, image->latent, 0, target, 1, image->height, image->width, image->model->vae.latent_channels, 1, 1);
}

/* The video that is encoded: grey between the pictures */
typedef struct {
  SoraStreamImage *image;
  SoraQueue *queue;
  const guint8 *first, *last;   /* NULL: grey too */
  cl_mem frames;
} Video;

static gboolean
ends_with_last (const Video *video, guint index)
{
  return video->last && index + 1 == video->image->n_latents;
}

/* Its first latent is that of its first frame, repeated as often as the latent has frames. */
static guint
draw_frames (guint index, gpointer user_data)
{
  const Video *video = user_data;
  gsize bytes = video->image->frame_bytes;
  guint n_frames = video->image->model->vae.time_scale;

  if (index == 0) {
    for (guint i = 0; i < n_frames; i++)
      sora_queue_write (video->queue, video->frames, i * bytes, bytes, video->first);
    return 0;
  }
  if (!ends_with_last (video, index))
    return n_frames;
  sora_queue_write (video->queue, video->frames, (n_frames - 1) * bytes, bytes, video->last);
  return n_frames - 1;
}

/* The first latent stays where it is in a model that takes no condition. */
static void
take_latent (guint index, gpointer user_data)
{
  const Video *video = user_data;
  guint n_frames = video->image->model->vae.time_scale;

  if (!video->image->condition)
    return;
  write_mask (video->image, video->queue, index, index == 0 ? 0 : ends_with_last (video, index) ? n_frames - 1 : n_frames);
  place_latent (video->image, video->queue, index);
}

static void
encode_video (SoraStreamImage *image, SoraQueue *queue, const guint8 *first, const guint8 *last, cl_mem frames)
{
  Video pictures = { image, queue, first, last, frames };
  SoraVaeVideo video = { image->condition ? image->n_latents : 1, frames, image->latent, draw_frames, take_latent, &pictures };

  sora_vae_encode_video (image->encoder, image->state, queue, &video);
}

/* What CLIP sees of the pictures: rows of the first, then of the last if there is one. @max_bytes: that its weights may take */
static gboolean
embed (SoraStreamImage *image, SoraQueue *queue, const guint8 *first, const guint8 *last, guint64 max_bytes, GError **error)
{
  SoraModel *model = image->model;
  guint width = image->width * model->vae.spatial_scale, height = image->height * model->vae.spatial_scale;
  guint dim = model->image_encoder.hidden_size, rows = sora_clip_config_count_tokens (&model->image_encoder);
  SoraClipEncoder *clip = sora_clip_encoder_new (&model->image_encoder, model->image_encoder_file, image->precision, max_bytes, queue,
      error);
  gboolean done;

  if (!clip)
    return FALSE;
  sora_clip_encoder_run (clip, image->clip_state, queue, first, width, height, SORA_MATRIX (image->embeddings, dim));
  if (last)
    sora_clip_encoder_run (clip, image->clip_state, queue, last, width, height, SORA_MATRIX_AT (image->embeddings, rows * dim, dim));
  done = sora_queue_finish (queue, error);
  sora_clip_encoder_free (clip);
  sora_queue_clear_streams (queue);
  return done;
}

gboolean
sora_stream_image_encode (SoraStreamImage *image, SoraQueue *queue, const guint8 *first, const guint8 *last, cl_mem frames, guint64 max_bytes,
    GError **error)
{
  encode_video (image, queue, first, last, frames);
  if (!sora_queue_finish (queue, error))
    return FALSE;
  g_clear_pointer (&image->encoder, sora_vae_free);
  if (image->embeddings && !embed (image, queue, first, last, max_bytes, error))
    return FALSE;
  drop_encoders (image);
  return TRUE;
}

cl_mem
sora_stream_image_get_latent (SoraStreamImage *image)
{
  return image->condition ? NULL : image->latent;
}

cl_mem
sora_stream_image_get_condition (SoraStreamImage *image)
{
  return image->condition;
}

cl_mem
sora_stream_image_get_embeddings (SoraStreamImage *image)
{
  return image->embeddings;
}
