/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Calls, device time and work per kernel, and the table that shows them. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* One row; for one thread at a time. */
typedef struct {
  gchar *name;
  guint64 calls;
  guint64 nanoseconds;          /* on the device */
  guint64 flops;
} SoraProfileEntry;

/* (transfer full): @entries (SoraProfileEntry *) as a table, most costly first; rows without calls are left out.
 * @peak: of the device, GFLOP/s */
gchar *sora_profile_format (GPtrArray *entries, gdouble peak);

G_END_DECLS
