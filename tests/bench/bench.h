/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the benchmarks share: the device, the peak measured beside each of them, and the report. */
#pragma once

#include "runtime/queue.h"

G_BEGIN_DECLS

typedef struct _Bench Bench;

/* An entry of the table in bench.c. @run measures and reports; FALSE with @error ends the program. */
typedef struct {
  const gchar *name;
  gboolean (*run) (Bench *bench, GError **error);
} BenchEntry;

/* The engine's device and a queue on it, without a profile. */
SoraDevice *bench_get_device (Bench *bench);
SoraQueue *bench_get_queue (Bench *bench);

/* seconds */
gdouble bench_now (void);

/* Runs the register-only kernel once (about 10 ms). Call it between the samples of whatever is compared with the peak. */
gboolean bench_sample_peak (Bench *bench, GError **error);
/* The best sample of the whole run so far, GFLOP/s: the machine does not change while we measure, only what disturbs it. */
gdouble bench_get_peak (Bench *bench);
/* The same of a matrix unit that the device has */
gboolean bench_sample_unit_peak (Bench *bench, SoraMatrixUnit unit, GError **error);
gdouble bench_get_unit_peak (Bench *bench, SoraMatrixUnit unit);

/* One row: @value in @unit, and its @ratio to @against. */
void bench_report (Bench *bench, const gchar *name, gdouble value, const gchar *unit, gdouble ratio, const gchar *against);

gboolean bench_peak_fp32 (Bench *bench, GError **error);
gboolean bench_linear_large (Bench *bench, GError **error);
gboolean bench_linear_embedded (Bench *bench, GError **error);
gboolean bench_linear_large_bf16 (Bench *bench, GError **error);
gboolean bench_linear_embedded_bf16 (Bench *bench, GError **error);
gboolean bench_attention (Bench *bench, GError **error);
gboolean bench_attention_bf16 (Bench *bench, GError **error);
gboolean bench_convolution (Bench *bench, GError **error);
gboolean bench_convolution_bf16 (Bench *bench, GError **error);
gboolean bench_embedded_realtime (Bench *bench, GError **error);
gboolean bench_block_100 (Bench *bench, GError **error);
gboolean bench_first_frame (Bench *bench, GError **error);

/* First argument of the process that bench_first_frame() starts; what that process does instead of main(). */
#define BENCH_CHILD "--child"
gint bench_child_main (gint argc, gchar **argv);

G_END_DECLS
