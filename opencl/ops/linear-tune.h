/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Measures which kind of linear a device should run, and fills the table of runtime/tune.h. */
#pragma once

#include <gio/gio.h>
#include "runtime/tune.h"

G_BEGIN_DECLS

/* Told of each shape when it is measured: nanoseconds per row of input, and the faster kind. In the thread that called. */
typedef void (*SoraLinearTuneFunc) (guint n, guint k, gdouble packed_ns, gdouble clblast_ns, SoraLinearKind kind,
    gpointer user_data);

/**
 * sora_linear_tune:
 * @report: (nullable) (scope call)
 *
 * Measures both kinds for every weight shape that was looked up on @device in this process (make a stream first), and writes the table.
 * Inputs have 16, 256 and 1024 rows, each with the same weight per row, for a kind is chosen when the weight is loaded.
 *
 * Returns: %FALSE with @error (device, file, %G_IO_ERROR_CANCELLED); the table's file is then as it was. Any thread.
 */
gboolean sora_linear_tune (SoraDevice *device, SoraLinearTuneFunc report, gpointer user_data, GCancellable *cancellable,
    GError **error);

G_END_DECLS
