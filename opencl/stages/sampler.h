/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The sampler: noise to clean latents of one block, by a few evaluations of the transformer. */
#pragma once

#include "stages/scheduler.h"
#include "stages/transformer.h"

G_BEGIN_DECLS

/* What a stream fixes. */
typedef struct {
  SoraSamplerType type;         /* not SORA_SAMPLER_DEFAULT */
  SoraPredictionType prediction;
  guint steps;                  /* of the whole schedule */
  gdouble shift;
  gdouble context_timestep, context_noise;      /* of the cache's pass and of held latents; timestep < 0: there are neither */
  gdouble change_noise;         /* sigma, of the cache's pass where the prompt has changed, at 1000 times this as timestep; 0: there is no such pass */
  gsize n_floats;               /* of one block's latents */
  guint n_branches;
  gdouble guidance_begin, guidance_end; /* shares of the schedule, 0 ... 1, between which both branches are evaluated, if there are two */
} SoraSamplerSettings;

/* Schedule and working memory of one stream. For one thread at a time. */
typedef struct _SoraSampler SoraSampler;

/* Declares its regions in @arena, which is committed afterwards. */
SoraSampler *sora_sampler_new (const SoraSamplerSettings *settings, SoraArena *arena);
void sora_sampler_free (SoraSampler *sampler);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SoraSampler, sora_sampler_free)

/* The timesteps that sora_transformer_set_timesteps() must be given: each step's, the context's, and where there is change_noise that of a change. */
guint sora_sampler_get_n_timesteps (SoraSampler *sampler);
const gdouble *sora_sampler_get_timesteps (SoraSampler *sampler);

/* One block of latents. */
typedef struct {
  cl_mem latents;               /* [n_latents, height, width, channels] */
  guint n_latents;
  cl_mem held;                  /* (nullable): [n_held, height, width, channels]: clean latents that the block is to begin with */
  guint n_held;                 /* at most n_latents */
  guint first_step, n_steps;    /* of sora_sampler_denoise(): steps of the schedule, of which one call makes all or calls in turn a share each */
  guint64 seed, index;          /* these give the noise of a re-noising sampler and of the context */
} SoraSamplerBlock;

/* Sees each step once it is enqueued: @output is the network's, [@n_branches][n_latents, height, width, channels]; the latents are those
 * after the step, held ones as the network is given them. */
typedef void (*SoraSamplerStepFunc) (guint step, cl_mem output, guint n_branches, gpointer user_data);

/**
 * sora_sampler_denoise:
 * @block: its latents are the initial noise, or what the steps before have made of it, and are replaced by what these steps make of them:
 *   after the schedule's last one the clean latents
 * @guidance: v = v_negative + guidance (v_prompt - v_negative); where one branch is evaluated it is not used
 * @on_step: (nullable) (scope call)
 *
 * What is held enters every step as the cache's latents do, at the context's timestep and with the context's noise, the same in every
 * step. A block of which all is held takes no step. Enqueues only.
 */
void sora_sampler_denoise (SoraSampler *sampler, SoraTransformer *transformer, SoraTransformerState *state, SoraQueue *queue,
    const SoraSamplerBlock *block, gdouble guidance, SoraSamplerStepFunc on_step, gpointer user_data);

/* One pass that writes the clean latents of @block, with the context's noise, into the key/value cache. With @changed they are the last ones before the
 * prompt changed, and have the noise of a change if there is one: the more, the less the next block is bound to what was there. Enqueues only. */
void sora_sampler_commit (SoraSampler *sampler, SoraTransformer *transformer, SoraTransformerState *state, SoraQueue *queue,
    const SoraSamplerBlock *block, gboolean changed);

G_END_DECLS
