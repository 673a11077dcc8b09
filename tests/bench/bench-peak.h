/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The fp32 peak of a device, from a kernel that touches nothing but registers. */
#pragma once

#include "runtime/device-private.h"

G_BEGIN_DECLS

/* For one thread at a time. */
typedef struct _BenchPeak BenchPeak;

BenchPeak *bench_peak_new (SoraDevice *device, GError **error);
void bench_peak_free (BenchPeak *peak);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (BenchPeak, bench_peak_free)

gboolean bench_peak_sample (BenchPeak *peak, GError **error);
/* GFLOP/s */
gdouble bench_peak_get_best (BenchPeak *peak);

G_END_DECLS
