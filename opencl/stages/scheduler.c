/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Flow matching: x_sigma = (1 - sigma) x0 + sigma e, so v = dx / dsigma = e - x0, x0 = x - sigma v and e = x + (1 - sigma) v. */

#include "stages/scheduler.h"

/* A network that predicts x0 is asked for v = (x - x0) / sigma, which is not let grow without bound near 0. */
#define MIN_SIGMA 0.05

/* u = 1 - i / steps, warped by the time shift of Esser et al., "Scaling rectified flow transformers", section 5.3.2. */
gdouble *
sora_scheduler_sigmas (guint steps, gdouble shift)
{
  gdouble *sigmas = g_new (gdouble, steps + 1);

  for (guint i = 0; i <= steps; i++) {
    gdouble u = (gdouble) (steps - i) / steps;
    sigmas[i] = shift * u / (1 + (shift - 1) * u);
  }
  return sigmas;
}

/* v as a combination of x and the network's output */
static SoraSchedulerStep
velocity (SoraPredictionType prediction, gdouble sigma)
{
  gdouble scale = 1 / MAX (sigma, MIN_SIGMA);

  if (prediction == SORA_PREDICTION_FLOW)
    return (SoraSchedulerStep) { .output = 1 };
  return (SoraSchedulerStep) { .x = scale, .output = -scale };
}

SoraSchedulerStep
sora_scheduler_step (SoraSamplerType sampler, SoraPredictionType prediction, gdouble sigma, gdouble next_sigma)
{
  SoraSchedulerStep v = velocity (prediction, sigma);

  /* x0 itself, without the detour over v and its bound */
  if (prediction == SORA_PREDICTION_SAMPLE && next_sigma == 0)
    return (SoraSchedulerStep) { .output = 1 };
  if (sampler == SORA_SAMPLER_EULER) {
    gdouble step = next_sigma - sigma;
    return (SoraSchedulerStep) { .x = 1 + step * v.x, .output = step * v.output };
  }
  if (prediction == SORA_PREDICTION_SAMPLE)
    return (SoraSchedulerStep) { .output = 1 - next_sigma, .noise = next_sigma };
  return (SoraSchedulerStep) { .x = 1 - next_sigma, .output = -(1 - next_sigma) * sigma, .noise = next_sigma };
}
