/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The parts of the model that a stream has taken. */
#pragma once

#include "stream-state.h"

G_BEGIN_DECLS

/* For what comes next: the rest of the memory may be taken. */
SoraWeightRequest sora_stream_request_weights (SoraStream *stream, GCancellable *cancellable);

/* The weights that the stream needs in the beginning: the VAE's, and those that encode an image. */
gboolean sora_stream_load_weights (SoraStream *stream, GCancellable *cancellable, GError **error);

/* Does nothing if it is there. */
gboolean sora_stream_take_text_encoder (SoraStream *stream, GCancellable *cancellable, GError **error);
/* Unless it is to stay. What was enqueued with it ends first, so that its memory is free at once. */
gboolean sora_stream_release_text_encoder (SoraStream *stream, GError **error);

/* Which must not be there; the other one goes if there is no room for both. */
gboolean sora_stream_load_expert (SoraStream *stream, guint index, GCancellable *cancellable, GError **error);

/* Takes over the LoRAs that were set meanwhile. */
gboolean sora_stream_take_loras (SoraStream *stream, GCancellable *cancellable, GError **error);

G_END_DECLS
