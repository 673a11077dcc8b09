/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Kernel programs: embedded .cl sources, built once per device and options, cached as binaries on disk. */
#pragma once

#include "runtime/device-private.h"

G_BEGIN_DECLS

/* An embedded source: NAME.cl. The table is generated at build time. */
typedef struct {
  const gchar *name;
  const gchar *source;
} SoraProgramSource;

/* ends with a NULL name */
extern const SoraProgramSource sora_program_sources[];

/**
 * sora_program_get:
 * @name: of the .cl file, without the suffix; or "a+b+c": several, compiled as one program, because a compiler's fixed costs
 *   (0.1 s with PoCL) are paid once for each program
 * @options: (nullable): "-DTILE_M=12 ..." for the compiler
 *
 * Returns: (transfer none): the program, owned by the device; or %NULL with SORA_DEVICE_ERROR_BUILD. Any thread.
 */
cl_program sora_program_get (SoraDevice *device, const gchar *name, const gchar *options, GError **error);

G_END_DECLS
