/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a stream shows to its tap, which a recording or a test sets. */
#pragma once

#include "stream-state.h"

G_BEGIN_DECLS

/* Shows the prompts' tokens and embeddings that it has not seen yet. */
gboolean sora_stream_tap_texts (SoraStream *stream, GError **error);

/* Shows @data, [latents, height, width, channels], as [channels, latents, height, width]. */
void sora_stream_tap_latents (SoraStream *stream, const gchar *name, const gfloat *data);
/* Shows one block of latents at @offset of device memory. */
void sora_stream_tap_memory (SoraStream *stream, const gchar *name, cl_mem mem, gsize offset);

/* A SoraSamplerStepFunc */
void sora_stream_tap_step (guint step, cl_mem output, guint n_branches, gpointer user_data);

G_END_DECLS
