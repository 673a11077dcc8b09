/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The picture that a stream begins with: encoded once, when the stream is made, and kept as its first latent. */
#pragma once

#include "model-private.h"

G_BEGIN_DECLS

/* For one thread at a time. */
typedef struct _SoraStreamImage SoraStreamImage;

/* Loads the VAE's encoder, which is let go after the picture is encoded: nobody else needs it. */
SoraStreamImage *sora_stream_image_new (SoraModel *model, SoraQueue *queue, GError **error);
void sora_stream_image_free (SoraStreamImage *image);

/* Declares the latent (once more, if all was declared before in an arena that is no longer), of @height x @width, and overlays the encoder's activations on whatever is declared after this call, which must
 * not be written before sora_stream_image_encode() and must not rely on being zero after it. */
void sora_stream_image_plan (SoraStreamImage *image, guint height, guint width, SoraArena *arena);

/* Floats of the encoder's largest activation; before sora_stream_image_encode(). */
guint64 sora_stream_image_get_largest (SoraStreamImage *image);

/**
 * sora_stream_image_encode:
 * @rgb: host bytes [height * spatial_scale, width * spatial_scale, 3]
 * @frames: device bytes of one latent, [time_scale, height * spatial_scale, width * spatial_scale, 3]: scratch
 *
 * Waits for the device. Cancelled or failed, it leaves @image of no use.
 */
gboolean sora_stream_image_encode (SoraStreamImage *image, SoraQueue *queue, const guint8 *rgb, cl_mem frames, GError **error);

/* [1, height, width, channels], normalised as the transformer sees latents */
cl_mem sora_stream_image_get_latent (SoraStreamImage *image);

G_END_DECLS
