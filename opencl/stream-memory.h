/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The memory of a stream: one arena for all activations, which leaves the weights their room. */
#pragma once

#include "stream-state.h"

G_BEGIN_DECLS

/* Plans and allocates it; the VAE is there, and the image if there is to be one. */
gboolean sora_stream_plan_memory (SoraStream *stream, GError **error);
void sora_stream_drop_memory (SoraStream *stream);

/* Of the device's memory, bytes that may be used */
guint64 sora_stream_max_memory (SoraStream *stream);

/* Of the parts that the stream has taken; and of all else that it has on the device */
guint64 sora_stream_count_weight_bytes (SoraStream *stream);
guint64 sora_stream_count_own_bytes (SoraStream *stream);

G_END_DECLS
