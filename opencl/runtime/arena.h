/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One planned allocation for all activations of a stream: regions are declared, overlaid, then committed once. */
#pragma once

#include "runtime/device-private.h"

G_BEGIN_DECLS

/**
 * SoraArena:
 *
 * Stages declare their regions before anything is allocated; stages that never hold data at the same time rewind to a
 * common mark and so share memory. For one thread at a time.
 */
typedef struct _SoraArena SoraArena;

SoraArena *sora_arena_new (SoraDevice *device);
/* Releases every region. */
void sora_arena_free (SoraArena *arena);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SoraArena, sora_arena_free)

/* Declares @n_floats; sora_arena_commit() sets *@region (which must stay where it is) to a buffer of that many floats, zeroed. */
void sora_arena_add (SoraArena *arena, cl_mem *region, gsize n_floats);
/* A place to rewind to: regions added after sora_arena_rewind() overlay those added since the mark. */
gsize sora_arena_mark (SoraArena *arena);
void sora_arena_rewind (SoraArena *arena, gsize mark);
gboolean sora_arena_commit (SoraArena *arena, GError **error);
/* bytes */
guint64 sora_arena_get_size (SoraArena *arena);

G_END_DECLS
