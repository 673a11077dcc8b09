/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `sora devices`: every OpenCL device with the number that selects it. */

#include <sora/device.h>
#include <stdio.h>

#include "tool/command.h"

gboolean
sora_command_devices (gint argc, gchar **argv, GError **error)
{
  static const GOptionEntry entries[] = { { NULL } };
  g_autoptr (GPtrArray) devices = NULL;

  if (!sora_command_parse (&argc, &argv, NULL, "Lists every OpenCL device. Its number, or a part of its name, is what --device takes.",
          entries, 0, error))
    return FALSE;
  devices = sora_device_list (error);
  if (!devices)
    return FALSE;
  for (guint i = 0; i < devices->len; i++) {
    SoraDevice *device = g_ptr_array_index (devices, i);
    g_autofree gchar *memory = g_format_size_full (sora_device_get_memory (device), G_FORMAT_SIZE_IEC_UNITS);
    printf ("%u  %s  %s: %s, %u compute units, %s, driver %s\n", i, sora_device_get_kind (device), sora_device_get_platform (device),
        sora_device_get_name (device), sora_device_get_compute_units (device), memory, sora_device_get_driver (device));
  }
  return TRUE;
}
