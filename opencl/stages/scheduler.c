/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Flow matching: x_sigma = (1 - sigma) x0 + sigma e, so v = dx / dsigma = e - x0, x0 = x - sigma v and e = x + (1 - sigma) v.
 *
 * UniPC (Zhao et al., "UniPC: A Unified Predictor-Corrector Framework", 2023) with B(h) = exp (h) - 1, and DPM-Solver++ (2M) (Lu et al.,
 * 2022) in terms of x0. With flow matching's alpha = 1 - sigma both predict alike, and the corrector starts from the prediction. */

#include "stages/scheduler.h"

#include <math.h>

/* A network that predicts x0 is asked for v = (x - x0) / sigma, which is not let grow without bound near 0. */
#define MIN_SIGMA 0.05

/* the last of the 1000 times that Wan was trained on, the first being 1 */
#define LAST_TIME 0.001

/* UniPC begins this far below 1, where log (1 - sigma) is finite */
#define FIRST_SIGMA_GAP 1e-6

/* The time shift of Esser et al., "Scaling rectified flow transformers", section 5.3.2. */
static gdouble
shifted (gdouble u, gdouble shift)
{
  return shift * u / (1 + (shift - 1) * u);
}

/* Number @i of @steps + 1 that lead evenly from 1 to LAST_TIME, to the last bit as numpy.linspace(), since timesteps are cut to integers. */
static gdouble
even_time (guint i, guint steps)
{
  return i < steps ? i * ((LAST_TIME - 1) / steps) + 1 : LAST_TIME;
}

static gdouble
noise_level (SoraSamplerType sampler, guint i, guint steps, gdouble shift)
{
  if (sampler == SORA_SAMPLER_UNIPC)
    return shifted (even_time (i, steps), shift) - (i == 0 ? FIRST_SIGMA_GAP : 0);
  if (sampler == SORA_SAMPLER_DPMPP_2M)
    return shifted (1 - even_time (steps - i, steps), shift);
  return shifted ((gdouble) (steps - i) / steps, shift);
}

/* The multi-step samplers give the network whole timesteps, and have sigmas of single precision: near 1 the rounding counts, as 1 - sigma
 * is as small as 1e-6. */
static void
set_noise_levels (SoraSchedulerStep *plan, SoraSamplerType sampler, guint steps, gdouble shift)
{
  gboolean rounded = sora_scheduler_count_estimates (sampler) > 0;

  for (guint i = 0; i < steps; i++) {
    gdouble sigma = noise_level (sampler, i, steps, shift);
    plan[i].sigma = rounded ? (gfloat) sigma : sigma;
    plan[i].timestep = rounded ? floor (1000 * sigma) : 1000 * sigma;
  }
}

static gdouble
next_sigma (const SoraSchedulerStep *plan, guint i, guint steps)
{
  return i + 1 < steps ? plan[i + 1].sigma : 0;
}

/* x + (next - sigma) v, v = o or (x - o) / max (sigma, MIN_SIGMA) */
static void
set_euler (SoraSchedulerStep *step, SoraPredictionType prediction, gdouble next)
{
  gdouble scale = 1 / MAX (step->sigma, MIN_SIGMA), length = next - step->sigma;

  step->x = prediction == SORA_PREDICTION_FLOW ? 1 : 1 + length * scale;
  step->output = prediction == SORA_PREDICTION_FLOW ? length : -length * scale;
  /* x0 itself, without the detour over v and its bound */
  if (prediction == SORA_PREDICTION_SAMPLE && next == 0) {
    step->x = 0;
    step->output = 1;
  }
}

/* (1 - next) x0 + next e */
static void
set_renoise (SoraSchedulerStep *step, gdouble next)
{
  step->x = (1 - next) * step->clean_x;
  step->output = (1 - next) * step->clean_output;
  step->noise = next;
}

/* log (alpha / sigma) */
static gdouble
lambda (const SoraSchedulerStep *step)
{
  return log ((1 - step->sigma) / step->sigma);
}

/* What leads from step @i to the next: with x the latents and m, m1 the estimates of this step and of the one before,
 * next = (1 - gain) x + gain m + second (m1 - m). */
typedef struct {
  gdouble gain;
  gdouble second;               /* 0 for the first and the last step, which are of order 1 */
  gdouble h, r;                 /* of order 2: the step's length in lambda, and that of the one before as a share of it, negative */
} Prediction;

static Prediction
predict (const SoraSchedulerStep *plan, guint i, guint steps)
{
  Prediction p = { .gain = 1 - next_sigma (plan, i, steps) / plan[i].sigma };

  if (i == 0 || i + 1 == steps)
    return p;
  p.h = lambda (&plan[i + 1]) - lambda (&plan[i]);
  p.r = (lambda (&plan[i - 1]) - lambda (&plan[i])) / p.h;
  p.second = p.gain / 2 / p.r;
  return p;
}

/* The latents that a prediction has led to are corrected by c[0] m + c[1] m1 + c[2] m2, m being the estimate there. */
static void
correct (const Prediction *p, gdouble c[3])
{
  gdouble second = 0, newest = 0.5;

  if (p->second != 0) {
    gdouble phi = expm1 (-p->h), phi_2 = -phi / p->h - 1, phi_3 = -phi_2 / p->h - 0.5;
    gdouble b1 = phi_2 / phi, b2 = 2 * phi_3 / phi;
    /* second + newest = b1, r second + newest = b2 */
    second = (b1 - b2) / (1 - p->r);
    newest = b1 - second;
  }
  c[0] = p->gain * newest;
  c[2] = p->second != 0 ? p->gain * second / p->r - p->second : 0;
  c[1] = -c[0] - c[2];
}

/* The prediction, from latents that the corrector has seen before if there is one. */
static void
set_multistep (SoraSchedulerStep *plan, guint i, guint steps, gboolean corrected)
{
  Prediction p = predict (plan, i, steps);
  gdouble c[3] = { 0 };

  if (corrected && i > 0) {
    Prediction before = predict (plan, i - 1, steps);
    correct (&before, c);
  }
  plan[i].x = 1 - p.gain;
  plan[i].estimates[0] = plan[i].x * c[0] + p.gain - p.second;
  plan[i].estimates[1] = plan[i].x * c[1] + p.second;
  plan[i].estimates[2] = plan[i].x * c[2];
}

SoraSchedulerStep *
sora_scheduler_plan (SoraSamplerType sampler, SoraPredictionType prediction, guint steps, gdouble shift)
{
  SoraSchedulerStep *plan = g_new0 (SoraSchedulerStep, steps);

  set_noise_levels (plan, sampler, steps, shift);
  for (guint i = 0; i < steps; i++) {
    plan[i].clean_x = prediction == SORA_PREDICTION_FLOW ? 1 : 0;
    plan[i].clean_output = prediction == SORA_PREDICTION_FLOW ? -plan[i].sigma : 1;
    if (sampler == SORA_SAMPLER_EULER)
      set_euler (&plan[i], prediction, next_sigma (plan, i, steps));
    else if (sampler == SORA_SAMPLER_RENOISE)
      set_renoise (&plan[i], next_sigma (plan, i, steps));
    else
      set_multistep (plan, i, steps, sampler == SORA_SAMPLER_UNIPC);
  }
  return plan;
}

guint
sora_scheduler_count_estimates (SoraSamplerType sampler)
{
  switch (sampler) {
    case SORA_SAMPLER_UNIPC:
      return 3;
    case SORA_SAMPLER_DPMPP_2M:
      return 2;
    default:
      return 0;
  }
}
