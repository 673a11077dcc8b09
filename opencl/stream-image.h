/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The pictures that a stream goes on from: encoded once, when the stream is made, and kept as the transformer wants them, which is as the first
 * latent, or as a condition with every latent, and as CLIP's embeddings. */
#pragma once

#include "model-private.h"

G_BEGIN_DECLS

/* For one thread at a time. */
typedef struct _SoraStreamImage SoraStreamImage;

/* Loads the VAE's encoder, which is let go after the pictures are encoded, as is CLIP's: nobody else needs them. @precision: of CLIP's matrices */
SoraStreamImage *sora_stream_image_new (SoraModel *model, SoraPrecision precision, SoraQueue *queue, GError **error);
void sora_stream_image_free (SoraStreamImage *image);

/* Declares what is kept, of @height x @width and for a condition of @n_latents, and overlays the encoders' activations on whatever is declared
 * after this call, which must not be written before sora_stream_image_encode() and must not rely on being zero after it. Once more, if all was
 * declared before in an arena that is no longer. @tile: pixels of a side of the parts that Wan's VAE encodes one after the other; 0: all at once */
void sora_stream_image_plan (SoraStreamImage *image, guint height, guint width, guint n_latents, guint tile, SoraArena *arena);

/* Floats of the VAE encoder's largest activation; before sora_stream_image_encode(). */
guint64 sora_stream_image_get_largest (SoraStreamImage *image);

/* Bytes that the VAE's encoder takes, and that its tiles take on the host; 0 after sora_stream_image_encode() */
guint64 sora_stream_image_get_weight_bytes (SoraStreamImage *image);
guint64 sora_stream_image_get_host_size (SoraStreamImage *image);

/**
 * sora_stream_image_encode:
 * @first: host bytes [height * spatial_scale, width * spatial_scale, 3]
 * @last: (nullable): the same, of the last frame
 * @frames: device bytes of one latent, [time_scale, height * spatial_scale, width * spatial_scale, 3]: scratch
 * @max_bytes: that CLIP's weights may take; those that do not fit are streamed
 *
 * Waits for the device. Cancelled or failed, it leaves @image of no use.
 */
gboolean sora_stream_image_encode (SoraStreamImage *image, SoraQueue *queue, const guint8 *first, const guint8 *last, cl_mem frames,
    guint64 max_bytes, GError **error);

/* [1, height, width, channels], normalised as the transformer sees latents; NULL if the model takes a condition instead */
cl_mem sora_stream_image_get_latent (SoraStreamImage *image);
/* What sora_transformer_set_condition() and sora_transformer_set_image() are given; NULL if the model takes none */
cl_mem sora_stream_image_get_condition (SoraStreamImage *image);
cl_mem sora_stream_image_get_embeddings (SoraStreamImage *image);

G_END_DECLS
