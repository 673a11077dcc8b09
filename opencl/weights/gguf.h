/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads GGUF files. */
#pragma once

#include "weights/weight-file-private.h"

G_BEGIN_DECLS

/* Checks @size bytes at @data, which are @file's, and adds metadata and tensors. */
gboolean sora_gguf_read (SoraWeightFile *file, const guint8 *data, guint64 size, GError **error);
/* What sora_weight_file_get_metadata() gives */
GVariant *sora_gguf_get_metadata (SoraWeightFile *file, const gchar *key);

G_END_DECLS
