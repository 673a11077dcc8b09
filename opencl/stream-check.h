/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The check of what a stream is asked for, before anything is loaded. */
#pragma once

#include "stream-state.h"

G_BEGIN_DECLS

/* Puts the model's own values where the options leave the choice, and checks the rest. */
gboolean sora_stream_resolve_options (SoraModel *model, SoraStreamOptions *options, GError **error);

/* Whether the kernels can address what the stream, its sizes known, would work on. */
gboolean sora_stream_check_extent (SoraStream *stream, GError **error);

G_END_DECLS
