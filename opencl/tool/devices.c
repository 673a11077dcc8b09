/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `sora devices`: every OpenCL device with the number that selects it. */

#include <sora/device.h>
#include <stdio.h>

#include "tool/command.h"

/* Device number @index of the list; empty where it cannot be opened, or has no unit */
static gchar *
describe_matrix_unit (guint index)
{
  g_autofree gchar *selector = g_strdup_printf ("%u", index);
  g_autoptr (SoraDevice) device = sora_device_open (selector, NULL);
  const gchar *unit = device ? sora_device_get_matrix_unit (device) : "none";

  return g_str_equal (unit, "none") ? g_strdup ("") : g_strdup_printf ("multiplies with %s, ", unit);
}

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
    g_autofree gchar *unit = describe_matrix_unit (i);
    printf ("%u  %s  %s: %s, %u compute units, %s, %sdriver %s\n", i, sora_device_get_kind (device), sora_device_get_platform (device),
        sora_device_get_name (device), sora_device_get_compute_units (device), memory, unit, sora_device_get_driver (device));
  }
  return TRUE;
}
