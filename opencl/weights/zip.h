/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where the entries of a ZIP archive in memory lie. */
#pragma once

#include <glib.h>
#include <sora/error.h>

G_BEGIN_DECLS

typedef struct {
  const guint8 *data;
  guint64 size;
  guint method;                 /* 0: stored as it is; otherwise data and size are of no use */
} SoraZipEntry;

/**
 * sora_zip_read:
 * @file: for messages
 *
 * Lists all entries, ZIP64 included; none has a name that occurs twice, and stored ones lie within the @size bytes at @data.
 *
 * Returns: (transfer full) (element-type utf8 SoraZipEntry): by name, or %NULL with SORA_MODEL_ERROR_FORMAT. Any thread.
 */
GHashTable *sora_zip_read (const guint8 *data, guint64 size, const gchar *file, GError **error);

G_END_DECLS
