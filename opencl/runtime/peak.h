/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The peak of a device, in fp32 or of its matrix unit, from a kernel that touches nothing but registers. */
#pragma once

#include "runtime/device-private.h"

G_BEGIN_DECLS

/* For one thread at a time. */
typedef struct _SoraPeak SoraPeak;

/* @unit: one that the device has; none: fp32 */
SoraPeak *sora_peak_new (SoraDevice *device, SoraMatrixUnit unit, GError **error);
void sora_peak_free (SoraPeak *peak);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SoraPeak, sora_peak_free)

/* Runs it once, about 10 ms. */
gboolean sora_peak_sample (SoraPeak *peak, GError **error);
/* The best sample so far, GFLOP/s: disturbances only ever lower one. */
gdouble sora_peak_get_best (SoraPeak *peak);

G_END_DECLS
