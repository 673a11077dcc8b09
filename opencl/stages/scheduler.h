/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Flow-matching schedule: the sigmas of a run, and what each step multiplies with what. */
#pragma once

#include "weights/config.h"

G_BEGIN_DECLS

/* sigmas[0 ... steps], falling from 1 to 0: u = 1 - i / steps, sigma = shift u / (1 + (shift - 1) u). (transfer full) */
gdouble *sora_scheduler_sigmas (guint steps, gdouble shift);

/* One step as a linear combination: next = x_coef · x + output_coef · o + noise_coef · e, where o is the (guided) network
 * output and e fresh noise. */
typedef struct {
  gdouble x, output, noise;
} SoraSchedulerStep;

/* From @sigma to @next_sigma. Euler: x + (next - sigma) v, v = o or (x - o) / max (sigma, 0.05); re-noising: x0 estimated, then
 * (1 - next) x0 + next e. The last step of either gives x0. */
SoraSchedulerStep sora_scheduler_step (SoraSamplerType sampler, SoraPredictionType prediction, gdouble sigma, gdouble next_sigma);

G_END_DECLS
