/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How the small operations on rows are launched: vector width and work-group by the kind of device. */
#include "ops/rows.h"

/* enough to hide memory latency, few enough for rows of 256 floats */
#define GPU_GROUP 64
#define GPU_WIDTH 4

guint
sora_vector_width (SoraDevice *device)
{
  if (device->linear_kind != SORA_LINEAR_PACKED)
    return GPU_WIDTH;
  return device->vector_width >= 16 ? 16 : device->vector_width >= 8 ? 8 : 4;
}

guint
sora_rows_group (SoraDevice *device)
{
  guint group = GPU_GROUP;

  if (device->linear_kind == SORA_LINEAR_PACKED)
    return 1;
  while (group > 1 && group > device->max_work_group_size)
    group /= 2;
  return group;
}

const gchar *
sora_rows_options (SoraDevice *device)
{
  gchar options[40];

  g_snprintf (options, sizeof options, "-DWIDTH=%u -DGROUP=%u", sora_vector_width (device), sora_rows_group (device));
  return g_intern_string (options);
}

SoraLaunch
sora_rows_launch (SoraQueue *queue, const gchar *kernel, guint columns, guint rows, guint64 flops)
{
  SoraDevice *device = sora_queue_get_device (queue);
  guint group = sora_rows_group (device);

  return (SoraLaunch) { SORA_ROWS_PROGRAM, sora_rows_options (device), kernel, 2, { (gsize) columns * group, rows }, { group, 1 }, flops };
}

void
sora_rows_expect (SoraQueue *queue)
{
  sora_queue_expect (queue, SORA_ROWS_PROGRAM, sora_rows_options (sora_queue_get_device (queue)));
}
