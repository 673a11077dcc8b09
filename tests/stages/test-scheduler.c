/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The schedule against diffusers' FlowMatchEulerDiscreteScheduler (tests/reference/scheduler.py), and the algebra of each step. */

#include <json-glib/json-glib.h>
#include <math.h>

#include "stages/scheduler.h"

static gdouble
element (JsonObject *run, const gchar *name, guint i)
{
  return json_array_get_double_element (json_object_get_array_member (run, name), i);
}

/* One run of diffusers in single precision: sigmas to its rounding (6e-8 relative, about 1e-3 in timesteps of 1000), the end of
 * up to 50 steps of numbers near 1 to 1e-5. */
static void
check_run (JsonObject *run)
{
  guint steps = json_object_get_int_member (run, "steps");
  g_autofree gdouble *sigmas = sora_scheduler_sigmas (steps, json_object_get_double_member (run, "shift"));

  for (guint i = 0; i <= steps; i++)
    g_assert_cmpfloat_with_epsilon (sigmas[i], element (run, "sigmas", i), 2e-7);
  for (guint i = 0; i < steps; i++)
    g_assert_cmpfloat_with_epsilon (1000 * sigmas[i], element (run, "timesteps", i), 2e-4);
  for (guint j = 0; j < 4; j++) {
    gdouble x = element (run, "start", j);
    for (guint i = 0; i < steps; i++) {
      JsonArray *output = json_array_get_array_element (json_object_get_array_member (run, "outputs"), i);
      SoraSchedulerStep step = sora_scheduler_step (SORA_SAMPLER_EULER, SORA_PREDICTION_FLOW, sigmas[i], sigmas[i + 1]);
      g_assert_cmpfloat (step.noise, ==, 0);
      x = step.x * x + step.output * json_array_get_double_element (output, j);
    }
    g_assert_cmpfloat_with_epsilon (x, element (run, "end", j), 1e-5);
  }
}

static void
test_diffusers (void)
{
  g_autofree gchar *path = g_build_filename (g_getenv ("SORA_TEST_GOLDEN"), "scheduler.json", NULL);
  g_autoptr (JsonParser) parser = json_parser_new ();
  g_autoptr (GError) error = NULL;
  JsonArray *runs;

  json_parser_load_from_file (parser, path, &error);
  g_assert_no_error (error);
  runs = json_node_get_array (json_parser_get_root (parser));
  g_assert_cmpuint (json_array_get_length (runs), >=, 5);
  for (guint i = 0; i < json_array_get_length (runs); i++)
    check_run (json_array_get_object_element (runs, i));
}

/* With x = (1 - sigma) x0 + sigma e and a perfect network, Euler arrives on the same line at the next sigma, and re-noising on the
 * line through the fresh noise; the end is x0. Sigmas stay above 0.05, where the bound of v begins. */
static void
test_perfect_network (void)
{
  const gdouble x0 = 0.7, e = -1.3, fresh = 0.4, sigmas[] = { 1, 0.9, 0.5, 0.2, 0.06, 0 };

  for (guint i = 0; i + 1 < G_N_ELEMENTS (sigmas); i++) {
    gdouble s = sigmas[i], next = sigmas[i + 1], x = (1 - s) * x0 + s * e;
    for (guint sampler = SORA_SAMPLER_EULER; sampler <= SORA_SAMPLER_RENOISE; sampler++) {
      for (guint prediction = SORA_PREDICTION_FLOW; prediction <= SORA_PREDICTION_SAMPLE; prediction++) {
        SoraSchedulerStep step = sora_scheduler_step (sampler, prediction, s, next);
        gdouble output = prediction == SORA_PREDICTION_FLOW ? e - x0 : x0;
        gdouble noise = sampler == SORA_SAMPLER_EULER ? e : fresh;
        gdouble y = step.x * x + step.output * output + step.noise * fresh;
        g_assert_cmpfloat_with_epsilon (y, (1 - next) * x0 + next * noise, 1e-12);
      }
    }
  }
}

/* An imperfect network, a step by hand: Euler over x0 = 2 at sigma 0.8 to 0.6 from x = 1 has v = (1 - 2) / 0.8; below 0.05 the divisor
 * stays 0.05. */
static void
test_sample_velocity (void)
{
  SoraSchedulerStep step = sora_scheduler_step (SORA_SAMPLER_EULER, SORA_PREDICTION_SAMPLE, 0.8, 0.6);

  g_assert_cmpfloat_with_epsilon (step.x * 1 + step.output * 2, 1 + (0.6 - 0.8) * (1 - 2) / 0.8, 1e-12);
  step = sora_scheduler_step (SORA_SAMPLER_EULER, SORA_PREDICTION_SAMPLE, 0.04, 0.01);
  g_assert_cmpfloat_with_epsilon (step.x * 1 + step.output * 2, 1 + (0.01 - 0.04) * (1 - 2) / 0.05, 1e-12);
}

/* whatever x is, the last step with a network that predicts x0 gives just that */
static void
test_last_step (void)
{
  for (guint sampler = SORA_SAMPLER_EULER; sampler <= SORA_SAMPLER_RENOISE; sampler++) {
    SoraSchedulerStep step = sora_scheduler_step (sampler, SORA_PREDICTION_SAMPLE, 0.02, 0);
    g_assert_cmpfloat (step.x, ==, 0);
    g_assert_cmpfloat (step.output, ==, 1);
    g_assert_cmpfloat (step.noise, ==, 0);
    step = sora_scheduler_step (sampler, SORA_PREDICTION_FLOW, 0.3, 0);
    g_assert_cmpfloat_with_epsilon (step.x, 1, 1e-12);
    g_assert_cmpfloat_with_epsilon (step.output, -0.3, 1e-12);
    g_assert_cmpfloat (step.noise, ==, 0);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/scheduler/diffusers", test_diffusers);
  g_test_add_func ("/scheduler/perfect-network", test_perfect_network);
  g_test_add_func ("/scheduler/sample-velocity", test_sample_velocity);
  g_test_add_func ("/scheduler/last-step", test_last_step);
  return g_test_run ();
}
