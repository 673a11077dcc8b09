/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The schedules against diffusers' (tests/reference/scheduler.py), and the algebra of each step. */

#include <json-glib/json-glib.h>
#include <math.h>

#include "stages/scheduler.h"

#define N_NUMBERS 3

/* Three numbers on their way through a plan; the network and the beginning are those of tests/reference/scheduler.py. */
static const gdouble start[N_NUMBERS] = { 0.6, -1.2, 2.1 };

static gdouble
network (guint which, gdouble x, gdouble sigma)
{
  static const gdouble a[N_NUMBERS] = { 0.9, -0.4, 0.3 }, b[N_NUMBERS] = { 0.5, 1, -2 }, c[N_NUMBERS] = { -0.2, 0.3, 0.7 };

  return a[which] * x + b[which] * sigma + c[which];
}

/* One step from @x with the network's @output; @m: the estimates, which move on. */
static gdouble
take_step (const SoraSchedulerStep *step, gdouble x, gdouble output, gdouble noise, gdouble m[SORA_SCHEDULER_ESTIMATES])
{
  gdouble next = step->x * x + step->output * output + step->noise * noise;

  m[2] = m[1];
  m[1] = m[0];
  m[0] = step->clean_x * x + step->clean_output * output;
  for (guint k = 0; k < SORA_SCHEDULER_ESTIMATES; k++)
    next += step->estimates[k] != 0 ? step->estimates[k] * m[k] : 0;
  return next;
}

/* --- against diffusers ------------------------------------------------------------------------------------------- */

static gdouble
element (JsonObject *run, const gchar *name, guint i)
{
  return json_array_get_double_element (json_object_get_array_member (run, name), i);
}

static SoraSamplerType
sampler_of (JsonObject *run)
{
  const gchar *name = json_object_get_string_member (run, "sampler");
  SoraSamplerType sampler = SORA_SAMPLER_DEFAULT;

  while (!g_str_equal (sora_sampler_names[sampler], name))
    sampler++;
  return sampler;
}

/* The multi-step samplers' sigmas and timesteps are the same numbers. Euler's are computed in single precision by diffusers, to its
 * rounding (6e-8 relative, about 1e-4 in timesteps of 1000). */
static void
check_levels (JsonObject *run, const SoraSchedulerStep *plan, guint steps, gboolean single)
{
  for (guint i = 0; i < steps; i++) {
    g_assert_cmpfloat_with_epsilon (plan[i].sigma, element (run, "sigmas", i), single ? 2e-7 : 1e-15);
    g_assert_cmpfloat_with_epsilon (plan[i].timestep, element (run, "timesteps", i), single ? 2e-4 : 1e-9);
  }
  g_assert_cmpfloat (element (run, "sigmas", steps), ==, 0);
}

/* The numbers after every step: UniPC's in double precision, to the digits that the file has; those of the others, which diffusers casts to
 * single precision in every step, within up to 50 roundings of numbers near 3 (1.2e-7 each, seen: 9.3e-7). At the end those of diffusers in
 * single precision throughout (seen: 1.3e-6). */
static void
check_walk (JsonObject *run, const SoraSchedulerStep *plan, guint steps, gdouble tolerance)
{
  for (guint j = 0; j < N_NUMBERS; j++) {
    gdouble x = start[j], m[SORA_SCHEDULER_ESTIMATES] = { NAN, NAN, NAN };
    for (guint i = 0; i < steps; i++) {
      JsonArray *latents = json_array_get_array_element (json_object_get_array_member (run, "latents"), i);
      g_assert_cmpfloat (plan[i].noise, ==, 0);
      x = take_step (&plan[i], x, network (j, x, plan[i].sigma), 0, m);
      g_assert_cmpfloat_with_epsilon (x, json_array_get_double_element (latents, j), tolerance);
    }
    g_assert_cmpfloat_with_epsilon (x, element (run, "single_end", j), 3e-6);
  }
}

static void
check_run (JsonObject *run)
{
  guint steps = json_object_get_int_member (run, "steps");
  gboolean flow = g_str_equal (json_object_get_string_member (run, "prediction"), "flow");
  SoraSamplerType sampler = sampler_of (run);
  g_autofree SoraSchedulerStep *plan = sora_scheduler_plan (sampler, flow ? SORA_PREDICTION_FLOW : SORA_PREDICTION_SAMPLE, steps,
      json_object_get_double_member (run, "shift"));

  check_levels (run, plan, steps, sampler == SORA_SAMPLER_EULER);
  check_walk (run, plan, steps, sampler == SORA_SAMPLER_UNIPC ? 2e-12 : 2e-6);
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
  g_assert_cmpuint (json_array_get_length (runs), ==, 3 * 4 * 6 + 2 * 4 + 3);
  for (guint i = 0; i < json_array_get_length (runs); i++)
    check_run (json_array_get_object_element (runs, i));
}

/* --- algebra ----------------------------------------------------------------------------------------------------- */

/* With x = (1 - sigma) x0 + sigma e and a perfect network, every sampler stays on that line, re-noising with the fresh noise for e; the
 * end is x0. Sigmas but the last stay above 0.05, where Euler's bound of v begins. */
static void
check_perfect_network (SoraSamplerType sampler, SoraPredictionType prediction, guint steps)
{
  const gdouble x0 = 0.7, e = -1.3, fresh = 0.4;
  g_autofree SoraSchedulerStep *plan = sora_scheduler_plan (sampler, prediction, steps, 3);
  gdouble m[SORA_SCHEDULER_ESTIMATES] = { NAN, NAN, NAN };

  for (guint i = 0; i < steps; i++) {
    gdouble sigma = plan[i].sigma, next = i + 1 < steps ? plan[i + 1].sigma : 0;
    gdouble x = (1 - sigma) * x0 + sigma * e, output = prediction == SORA_PREDICTION_FLOW ? e - x0 : x0;
    gdouble y = take_step (&plan[i], x, output, fresh, m);
    g_assert_cmpfloat_with_epsilon (m[0], x0, 1e-12);
    g_assert_cmpfloat_with_epsilon (y, (1 - next) * x0 + next * (sampler == SORA_SAMPLER_RENOISE ? fresh : e), 1e-12);
  }
}

static void
test_perfect_network (void)
{
  static const guint steps[] = { 1, 2, 3, 4, 7, 50 };

  for (guint sampler = SORA_SAMPLER_EULER; sampler <= SORA_SAMPLER_RENOISE; sampler++)
    for (guint i = 0; i < G_N_ELEMENTS (steps); i++) {
      check_perfect_network (sampler, SORA_PREDICTION_FLOW, steps[i]);
      check_perfect_network (sampler, SORA_PREDICTION_SAMPLE, steps[i]);
    }
}

/* An imperfect network, a step by hand: Euler over x0 = 2 from x = 1 has v = (1 - 2) / sigma; below 0.05 the divisor stays 0.05. Without a
 * shift, 5 steps have sigma 0.8 and 0.6 in the middle, and 50 end with 0.04 and 0.02. */
static void
test_sample_velocity (void)
{
  g_autofree SoraSchedulerStep *coarse = sora_scheduler_plan (SORA_SAMPLER_EULER, SORA_PREDICTION_SAMPLE, 5, 1);
  g_autofree SoraSchedulerStep *fine = sora_scheduler_plan (SORA_SAMPLER_EULER, SORA_PREDICTION_SAMPLE, 50, 1);

  g_assert_cmpfloat_with_epsilon (coarse[1].x + coarse[1].output * 2, 1 + (0.6 - 0.8) * (1 - 2) / 0.8, 1e-12);
  g_assert_cmpfloat_with_epsilon (fine[48].x + fine[48].output * 2, 1 + (0.02 - 0.04) * (1 - 2) / 0.05, 1e-12);
}

/* Whatever x is, the last step with a network that predicts x0 gives just that; with one that predicts the flow, x - sigma v. */
static void
test_last_step (void)
{
  for (guint sampler = SORA_SAMPLER_EULER; sampler <= SORA_SAMPLER_RENOISE; sampler++) {
    g_autofree SoraSchedulerStep *sample = sora_scheduler_plan (sampler, SORA_PREDICTION_SAMPLE, 50, 1);
    g_autofree SoraSchedulerStep *flow = sora_scheduler_plan (sampler, SORA_PREDICTION_FLOW, 50, 1);
    gdouble m[SORA_SCHEDULER_ESTIMATES] = { 7, 8, 9 };
    g_assert_cmpfloat (take_step (&sample[49], 5, 2, 6, m), ==, 2);
    g_assert_cmpfloat_with_epsilon (take_step (&flow[49], 5, 2, 6, m), 5 - flow[49].sigma * 2, 1e-12);
  }
}

/* At the ends of what steps and shift may be, all is finite, sigmas fall, and no step is of a size that rounding would grow with. */
static void
test_extremes (void)
{
  static const struct { guint steps; gdouble shift; } ends[] = {
    { 1, 0.01 }, { 2, 0.01 }, { 1000, 0.01 }, { 1, 100 }, { 2, 100 }, { 1000, 100 },
  };

  for (guint sampler = SORA_SAMPLER_EULER; sampler <= SORA_SAMPLER_RENOISE; sampler++)
    for (guint k = 0; k < G_N_ELEMENTS (ends); k++) {
      g_autofree SoraSchedulerStep *plan = sora_scheduler_plan (sampler, SORA_PREDICTION_FLOW, ends[k].steps, ends[k].shift);
      for (guint i = 0; i < ends[k].steps; i++) {
        gdouble next = i + 1 < ends[k].steps ? plan[i + 1].sigma : 0;
        g_assert_cmpfloat (plan[i].sigma, >, next);
        g_assert_cmpfloat (plan[i].timestep, >=, 0);
        g_assert_cmpfloat (plan[i].timestep, <=, 1000);
        g_assert_cmpfloat (fabs (plan[i].x) + fabs (plan[i].output) + fabs (plan[i].noise), <, 4);
        for (guint j = 0; j < SORA_SCHEDULER_ESTIMATES; j++)
          g_assert_cmpfloat (fabs (plan[i].estimates[j]), <, 4);
      }
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
  g_test_add_func ("/scheduler/extremes", test_extremes);
  return g_test_run ();
}
