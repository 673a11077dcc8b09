/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Counts the bytes of all OpenCL buffers that the engine has, and refuses what goes beyond a limit. For programs that are linked with
 * --wrap=clCreateBuffer. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Bytes of the buffers that there are now */
guint64 memory_meter_get_bytes (void);
/* How many were made since the program began, those that are freed again too */
guint memory_meter_get_made (void);
/* The most bytes that there were at a time since the last call */
guint64 memory_meter_take_peak (void);
/* Waits until there is no buffer, where all were freed: a driver's thread may hold on to one for a moment after the last kernel that used it. */
void memory_meter_wait (void);
/* Beyond so many bytes no buffer is made: CL_MEM_OBJECT_ALLOCATION_FAILURE. G_MAXUINT64: as many as the driver likes, which is how it begins */
void memory_meter_set_limit (guint64 bytes);

G_END_DECLS
