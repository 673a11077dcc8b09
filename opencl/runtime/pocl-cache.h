/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A writable kernel cache for PoCL, which shows no device without one. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* To be called before the process's first OpenCL call; later calls do nothing. Sets the environment variable
 * POCL_CACHE_DIR to a private temporary directory, removed at exit, if what PoCL would use cannot be written. Any thread.
 * Returns: %FALSE if no directory can be written, for temporary files neither */
gboolean sora_pocl_cache_ensure (void);

G_END_DECLS
