/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* peak-fp32: the device's peak in OpenCL, against that of the host's cores in C: about 1 on a CPU device, else something is wrong. */
#include "bench.h"
#include "bench-host-peak.h"

#define SAMPLES 100

gboolean
bench_peak_fp32 (Bench *bench, GError **error)
{
  gdouble host = 0, sample;

  for (guint i = 0; i < SAMPLES; i++) {
    if (!bench_sample_peak (bench, error))
      return FALSE;
    sample = bench_host_peak_sample ();
    host = MAX (host, sample);
  }
  bench_report (bench, "peak-fp32", bench_get_peak (bench), "GFLOP/s", bench_get_peak (bench) / host, "the host's cores in C");
  return TRUE;
}
