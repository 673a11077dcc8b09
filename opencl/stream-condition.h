/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the transformer is told beside the latents: prompts, timesteps and the image. */
#pragma once

#include "stream-state.h"

G_BEGIN_DECLS

/* Of a branch's prompt, [text_length, text_dim]. */
SoraMatrix sora_stream_embeddings_of (SoraStream *stream, guint branch);
const gchar *sora_stream_prompt_of (SoraStream *stream, guint branch);

/* Encodes the prompts whose embeddings are not in place. */
gboolean sora_stream_encode_prompts (SoraStream *stream, GCancellable *cancellable, GError **error);
/* Afterwards what was made of them is all that is kept of the pictures. */
gboolean sora_stream_encode_image (SoraStream *stream, GError **error);

/* Guidance with @scale, -1 or the caller's, for each expert: what the options say of the second one counts for it alone. */
void sora_stream_set_guidance (SoraStream *stream, gdouble scale);
/* Takes over the prompt and guidance that were set meanwhile. */
gboolean sora_stream_take_direction (SoraStream *stream, GCancellable *cancellable, GError **error);

/* What any transformer finds in the state; the first expert is there. */
void sora_stream_prepare_state (SoraStream *stream);
/* Makes expert @index, 0 if there is but one, the one that the state is for. A call that fails leaves none. */
gboolean sora_stream_use_expert (SoraStream *stream, guint index, GCancellable *cancellable, GError **error);

G_END_DECLS
