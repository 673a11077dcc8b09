/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The embedded model end to end: frames a second over its own rate, share of the peak, and whether a long stream stays as quick. */
#include "bench.h"

#include <stdlib.h>
#include <sora/sora.h>

#include "model-private.h"
#include "stream-private.h"

#define PROMPT "a red balloon flies up over a city"
/* Blocks that are timed once the window is full. */
#define TIMED_BLOCKS 10
/* Blocks whose median stands for "the first block whose window is full" and for "block 100": one alone would be noise. */
#define SPAN 5

static int
compare_doubles (const void *a, const void *b)
{
  gdouble x = *(const gdouble *) a, y = *(const gdouble *) b;

  return (x > y) - (x < y);
}

static gdouble
median (gdouble *values, guint n)
{
  qsort (values, n, sizeof *values, compare_doubles);
  return values[n / 2];
}

static SoraStream *
open_stream (Bench *bench, SoraModel *model, GError **error)
{
  g_autoptr (SoraStreamOptions) options = sora_stream_options_new ();

  sora_stream_options_set_prompt (options, PROMPT);
  sora_stream_options_set_seed (options, 1);
  return sora_stream_new (model, bench_get_device (bench), options, NULL, NULL, NULL, error);
}

static gboolean
pull (SoraStream *stream, gdouble *seconds, GError **error)
{
  g_autoptr (SoraBlock) block = sora_stream_next_block (stream, NULL, error);

  if (block && seconds)
    *seconds = sora_block_get_seconds (block);
  return block != NULL;
}

static guint
blocks_until_full (SoraModel *model)
{
  return model->streaming.window_latents / model->streaming.block_latents;
}

/* Block times with a full window, and the work of one, peak samples between them. */
static gboolean
time_blocks (Bench *bench, SoraStream *stream, guint warm_up, gdouble *seconds, guint64 *work, GError **error)
{
  for (guint i = 0; i < warm_up; i++) {
    if (!pull (stream, NULL, error))
      return FALSE;
  }
  *work = sora_stream_get_work (stream);
  for (guint i = 0; i < TIMED_BLOCKS; i++) {
    if (!pull (stream, &seconds[i], error) || !bench_sample_peak (bench, error))
      return FALSE;
  }
  *work = (sora_stream_get_work (stream) - *work) / TIMED_BLOCKS;
  return TRUE;
}

static void
report (Bench *bench, SoraModel *model, SoraStream *stream, gdouble seconds)
{
  gint rate_n, rate_d;
  guint first, later;
  g_autofree gchar *against = NULL;

  sora_model_get_frame_rate (model, &rate_n, &rate_d);
  sora_stream_get_block_frames (stream, &first, &later);
  against = g_strdup_printf ("%g/s: %u x %d + cache pass", (gdouble) rate_n / rate_d, sora_model_get_steps (model),
      sora_model_get_guidance_scale (model) == 1 ? 1 : 2);
  bench_report (bench, "embedded-realtime", later / seconds, "frames/s", later / seconds * rate_d / rate_n, against);
}

gboolean
bench_embedded_realtime (Bench *bench, GError **error)
{
  g_autoptr (SoraModel) model = sora_model_open (NULL, error);
  g_autoptr (SoraStream) stream = model ? open_stream (bench, model, error) : NULL;
  gdouble seconds[TIMED_BLOCKS], typical;
  guint64 work;

  if (!stream || !time_blocks (bench, stream, blocks_until_full (model), seconds, &work, error))
    return FALSE;
  typical = median (seconds, TIMED_BLOCKS);
  report (bench, model, stream, typical);
  bench_report (bench, "embedded-peak-share", 1e-9 * work / typical, "GFLOP/s", 1e-9 * work / typical / bench_get_peak (bench), "peak-fp32");
  return TRUE;
}

/* The median of SPAN blocks around block 100, over that of the first SPAN blocks with a full window. */
gboolean
bench_block_100 (Bench *bench, GError **error)
{
  g_autoptr (SoraModel) model = sora_model_open (NULL, error);
  g_autoptr (SoraStream) stream = model ? open_stream (bench, model, error) : NULL;
  gdouble early[SPAN], late[SPAN];
  guint full = model ? blocks_until_full (model) : 0;

  if (!stream)
    return FALSE;
  for (guint i = 0; i <= 100 + SPAN / 2; i++) {
    gdouble seconds;
    if (!pull (stream, &seconds, error))
      return FALSE;
    if (i >= full && i < full + SPAN)
      early[i - full] = seconds;
    if (i >= 100 - SPAN / 2)
      late[i - (100 - SPAN / 2)] = seconds;
  }
  gdouble a = median (early, SPAN), b = median (late, SPAN);
  bench_report (bench, "block-100", 1e3 * b, "ms", b / a, "first full window");
  return TRUE;
}
