/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Flow-matching schedule: the noise levels of a run, and what each step multiplies with what. */
#pragma once

#include "weights/config.h"

G_BEGIN_DECLS

/* estimates of the clean latents that a step may combine: its own, and those of the two steps before */
#define SORA_SCHEDULER_ESTIMATES 3

/* One step from the latents x, the (guided) network output o, fresh noise e, and the estimates m[0] of this step, m[1] and m[2] of one
 * and two steps before: m[0] = clean_x · x + clean_output · o; next = x · x + output · o + noise · e + Σ estimates[k] · m[k]. */
typedef struct {
  gdouble sigma, timestep;      /* that the network is given: 1 … 0, 1000 … 0 */
  gdouble x, output, noise;
  gdouble estimates[SORA_SCHEDULER_ESTIMATES];  /* 0 for those of steps that there were none of */
  gdouble clean_x, clean_output;
} SoraSchedulerStep;

/**
 * sora_scheduler_plan:
 * @sampler: not %SORA_SAMPLER_DEFAULT
 * @steps: 1 to 1000
 * @shift: 0.01 to 100
 *
 * The formulas are in docs/model-format.md. Sigmas, timesteps and results are those of diffusers' FlowMatchEulerDiscreteScheduler,
 * UniPCMultistepScheduler and DPMSolverMultistepScheduler as Wan's pipelines set them. The last step gives the last estimate.
 *
 * Returns: (transfer full): the @steps steps
 */
SoraSchedulerStep *sora_scheduler_plan (SoraSamplerType sampler, SoraPredictionType prediction, guint steps, gdouble shift);

/* How many estimates, this step's included, a sampler combines: 0, or up to SORA_SCHEDULER_ESTIMATES. */
guint sora_scheduler_count_estimates (SoraSamplerType sampler);

G_END_DECLS
