/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The fp32 peak of the host's cores in C with vectors, one thread each: what OpenCL's own peak must agree with on a CPU device. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* GFLOP/s of one sample, about 10 ms */
gdouble bench_host_peak_sample (void);

G_END_DECLS
