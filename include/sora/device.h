/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* OpenCL devices: which there are, and one opened for work. */
#pragma once

#include <sora/error.h>

G_BEGIN_DECLS

/**
 * SoraDevice:
 *
 * One OpenCL device of one platform. Immutable to its users, reference-counted, safe to share between threads.
 * A process holds one context for each device, however often it is opened.
 */
typedef struct _SoraDevice SoraDevice;

/**
 * sora_device_list:
 *
 * Lists every device of every platform that the ICD loader shows, in the loader's order; no context is made.
 *
 * Returns: (element-type SoraDevice): an array that unrefs its devices, never empty; or %NULL with
 *   %SORA_DEVICE_ERROR_NO_DRIVER. Any thread.
 */
SORA_API GPtrArray *sora_device_list (GError **error);

/**
 * sora_device_open:
 * @selector: (nullable): %NULL or "" = the first GPU, else a CPU, else anything; "gpu", "cpu", "accelerator" = the first of that
 *   type; a number = that index of sora_device_list(); anything else = the first device whose "platform: name" contains
 *   it, whatever the case. ":packed" or ":clblast" at the end forces the kind of linear kernel.
 *
 * Returns: (transfer full): a device with a context, or %NULL with a #SoraDeviceError. Any thread.
 */
SORA_API SoraDevice *sora_device_open (const gchar *selector, GError **error);

SORA_API SoraDevice *sora_device_ref (SoraDevice *device);
SORA_API void sora_device_unref (SoraDevice *device);

SORA_API const gchar *sora_device_get_name (SoraDevice *device);
SORA_API const gchar *sora_device_get_platform (SoraDevice *device);
SORA_API const gchar *sora_device_get_driver (SoraDevice *device);
/* "cpu", "gpu", "accelerator" or "custom" */
SORA_API const gchar *sora_device_get_kind (SoraDevice *device);
SORA_API guint sora_device_get_compute_units (SoraDevice *device);
/* bytes */
SORA_API guint64 sora_device_get_memory (SoraDevice *device);
/**
 * sora_device_get_matrix_unit:
 *
 * What an opened device multiplies matrices of bf16 numbers with, summing in single precision: "amx-bf16" or "avx512-bf16" on a CPU device
 * whose processor has these instructions, else "none". Found out by trying, the first time that it is asked for. Any thread.
 */
SORA_API const gchar *sora_device_get_matrix_unit (SoraDevice *device);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (SoraDevice, sora_device_unref)

G_END_DECLS
