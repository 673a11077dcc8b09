/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Weight files by path, so that a search that comes by the same ones often reads each header once. */
#pragma once

#include "weights/weight-file.h"

G_BEGIN_DECLS

/* For one thread at a time. */
typedef struct _SoraWeightCache SoraWeightCache;

SoraWeightCache *sora_weight_cache_new (void);
/**
 * sora_weight_cache_open:
 * @cache: (nullable): %NULL keeps nothing
 *
 * As sora_weight_file_open(); once opened, or once refused, a path gives the same file, or the same error, whatever happens on disk.
 *
 * Returns: (transfer full).
 */
SoraWeightFile *sora_weight_cache_open (SoraWeightCache *cache, const gchar *path, GError **error);
void sora_weight_cache_free (SoraWeightCache *cache);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SoraWeightCache, sora_weight_cache_free)

G_END_DECLS
