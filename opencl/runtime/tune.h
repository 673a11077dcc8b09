/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table of measured choices: which kind of linear a device runs for a weight's shape. */
#pragma once

#include "runtime/device-private.h"

G_BEGIN_DECLS

/* The table is XDG_CONFIG_HOME/gst-sora/tune.ini: a group for each "platform: device; driver", a key "NxK" for each weight [n, k],
 * "packed;PACKED;CLBLAST" or "clblast;PACKED;CLBLAST" with both measured times. It is read once per device; only
 * `sora tune` writes it, so a run never depends on a timing. */

/* The kind for a weight [n, k]: what was forced, else the table's choice, else the device's default. Any thread. */
SoraLinearKind sora_tune_lookup (SoraDevice *device, guint n, guint k);

typedef struct {
  guint n, k;
} SoraTuneShape;

/* (transfer full) (element-type SoraTuneShape): every shape looked up on @device in this process, sorted. Any thread. */
GArray *sora_tune_get_shapes (SoraDevice *device);

/* Enters a measurement, nanoseconds per row of input, for sora_tune_save(). Returns the faster kind. Any thread. */
SoraLinearKind sora_tune_enter (SoraDevice *device, guint n, guint k, gdouble packed_ns, gdouble clblast_ns);

/* Writes what was entered for @device into the table, keeping all else there. Any thread. */
gboolean sora_tune_save (SoraDevice *device, GError **error);

/* (transfer full): the table's path */
gchar *sora_tune_get_path (void);

G_END_DECLS
