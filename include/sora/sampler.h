/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The ways from noise to clean latents. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/**
 * SoraSamplerType:
 * @SORA_SAMPLER_DEFAULT: the model's own
 * @SORA_SAMPLER_EULER: Euler steps along the flow
 * @SORA_SAMPLER_UNIPC: UniPC of order 2: each step is predicted from two estimates of the clean latents, and corrected with the next one
 * @SORA_SAMPLER_DPMPP_2M: DPM-Solver++ (2M): predicted in the same way, not corrected
 * @SORA_SAMPLER_RENOISE: each step estimates the clean latents and adds fresh noise; for models distilled to few steps
 */
typedef enum {
  SORA_SAMPLER_DEFAULT,
  SORA_SAMPLER_EULER,
  SORA_SAMPLER_UNIPC,
  SORA_SAMPLER_DPMPP_2M,
  SORA_SAMPLER_RENOISE,
} SoraSamplerType;

G_END_DECLS
