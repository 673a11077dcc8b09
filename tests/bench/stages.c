/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Times the stages of a model one by one, for scripts/bench-peers: stages MODEL WIDTHxHEIGHT FRAMES DEVICE PROMPT prints "NAME SECONDS".
 *
 * The public API alone: a stream hands what it computes to its tap once it is there, so the time between two of them is a stage's. The
 * model runs without guidance, so that a step is one evaluation of the transformer. */
#include <sora/sora.h>
#include <stdio.h>
#include <string.h>

#define STEPS 2                 /* the second, whose beginning is the end of the first, is timed */
#define RUNS 2                  /* of which the quicker counts: the first may still build kernels */

typedef struct {
  gdouble begin, text, step_begin, step, latents;       /* seconds, when each was there */
} Moments;

static gdouble
now (void)
{
  return g_get_monotonic_time () * 1e-6;
}

/* A SoraTapFunc */
static void
on_tensor (const gchar *name, const gfloat *data, const gint64 *shape, guint n_dims, gpointer user_data)
{
  Moments *moments = user_data;

  if (g_str_equal (name, "tokens"))
    moments->text = now ();
  else if (g_str_equal (name, "step_0_latents"))
    moments->step_begin = now ();
  else if (g_str_equal (name, "step_1_output"))
    moments->step = now ();
  else if (g_str_equal (name, "latents"))
    moments->latents = now ();
}

static SoraStream *
open_stream (gchar **argv, GError **error)
{
  g_autoptr (SoraModel) model = sora_model_open (argv[1], error);
  g_autoptr (SoraDevice) device = model ? sora_device_open (argv[4], error) : NULL;
  g_autoptr (SoraStreamOptions) options = sora_stream_options_new ();
  guint width = 0, height = 0;

  if (!device)
    return NULL;
  if (sscanf (argv[2], "%ux%u", &width, &height) != 2) {
    g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, "%s is no WIDTHxHEIGHT", argv[2]);
    return NULL;
  }
  sora_stream_options_set_prompt (options, argv[5]);
  sora_stream_options_set_size (options, width, height);
  sora_stream_options_set_length (options, g_ascii_strtoull (argv[3], NULL, 10));
  sora_stream_options_set_steps (options, STEPS);
  sora_stream_options_set_guidance_scale (options, 1);
  return sora_stream_new (model, device, options, NULL, NULL, NULL, error);
}

/* The first block, from the prompt on; @best keeps the shortest of each stage. */
static gboolean
time_block (SoraStream *stream, gdouble best[3], GError **error)
{
  Moments moments = { 0 };
  g_autoptr (SoraBlock) block = NULL;
  gdouble stages[3];

  sora_stream_restart (stream);
  sora_stream_set_tap (stream, on_tensor, &moments);
  moments.begin = now ();
  block = sora_stream_next_block (stream, NULL, error);
  if (!block)
    return FALSE;
  stages[0] = moments.text - moments.begin;
  stages[1] = moments.step - moments.step_begin;
  stages[2] = now () - moments.latents;
  for (guint i = 0; i < 3; i++)
    best[i] = MIN (best[i], stages[i]);
  return TRUE;
}

int
main (int argc, char **argv)
{
  static const gchar *const names[] = { "text-encoder", "transformer", "vae-decoder" };
  gdouble best[] = { G_MAXDOUBLE, G_MAXDOUBLE, G_MAXDOUBLE };
  g_autoptr (GError) error = NULL;
  g_autoptr (SoraStream) stream = NULL;

  if (argc != 6) {
    fprintf (stderr, "Usage: stages MODEL WIDTHxHEIGHT FRAMES DEVICE PROMPT\n");
    return 2;
  }
  stream = open_stream (argv, &error);
  for (guint i = 0; stream && !error && i < RUNS; i++)
    time_block (stream, best, &error);
  if (error) {
    fprintf (stderr, "stages: %s\n", error->message);
    return 1;
  }
  for (guint i = 0; i < 3; i++)
    printf ("%s %.6f\n", names[i], best[i]);
  return 0;
}
