/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The compiled programs of past runs, as files. */
#pragma once

#include "runtime/device-private.h"

G_BEGIN_DECLS

/* (transfer full): the file that holds, or will hold, @source compiled with @options for @device:
 * XDG_CACHE_HOME/gst-sora/KEY.clbin, where KEY is the SHA-256 of all that the result depends on. Any thread. */
gchar *sora_program_cache_path (SoraDevice *device, const gchar *source, const gchar *options);

/* The binary in the file @path; NULL if there is none or it is damaged. Any thread. */
GBytes *sora_program_cache_load (const gchar *path);

/* Writes @binary to @path by way of a temporary file; a failure is only logged. Any thread. */
void sora_program_cache_store (const gchar *path, GBytes *binary);

G_END_DECLS
