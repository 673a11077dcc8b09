/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The sampler: noise to clean latents of one block, by a few evaluations of the transformer. */
#include "stages/sampler.h"

#include "ops/elementwise.h"
#include "stages/noise.h"

/* Independent noise sequences of a block, see sora_noise_fill(): 0 is the initial noise, 1 + i follows step i. */
#define CONTEXT_NOISE_PURPOSE G_MAXUINT32

struct _SoraSampler {
  SoraSamplerSettings settings;
  gdouble *sigmas;              /* [steps + 1], 1 … 0 */
  gdouble *timesteps;           /* [steps + 1]: 1000 sigma of each step, then the context's */
  gfloat *host_noise;           /* [n_floats] */
  cl_mem output;                /* [n_branches, n_floats]: the network's */
  cl_mem noise;                 /* [n_noises, n_floats]: fresh noise of each step but the last; the context's uses the first */
  cl_mem context;               /* [n_floats]: clean latents with the context's noise */
};

static guint
n_noises (const SoraSamplerSettings *settings)
{
  return settings->type == SORA_SAMPLER_RENOISE && settings->steps > 1 ? settings->steps - 1 : 1;
}

SoraSampler *
sora_sampler_new (const SoraSamplerSettings *settings, SoraArena *arena)
{
  SoraSampler *sampler = g_new0 (SoraSampler, 1);

  sampler->settings = *settings;
  sampler->sigmas = sora_scheduler_sigmas (settings->steps, settings->shift);
  sampler->timesteps = g_new (gdouble, settings->steps + 1);
  for (guint i = 0; i < settings->steps; i++)
    sampler->timesteps[i] = 1000 * sampler->sigmas[i];
  sampler->timesteps[settings->steps] = MAX (settings->context_timestep, 0);
  sampler->host_noise = g_new (gfloat, settings->n_floats);
  sora_arena_add (arena, &sampler->output, settings->n_branches * settings->n_floats);
  sora_arena_add (arena, &sampler->noise, n_noises (settings) * settings->n_floats);
  sora_arena_add (arena, &sampler->context, settings->n_floats);
  return sampler;
}

void
sora_sampler_free (SoraSampler *sampler)
{
  if (!sampler)
    return;
  g_free (sampler->sigmas);
  g_free (sampler->timesteps);
  g_free (sampler->host_noise);
  g_free (sampler);
}

guint
sora_sampler_get_n_timesteps (SoraSampler *sampler)
{
  return sampler->settings.steps + (sampler->settings.context_timestep >= 0 ? 1 : 0);
}

const gdouble *
sora_sampler_get_timesteps (SoraSampler *sampler)
{
  return sampler->timesteps;
}

/* Puts a noise sequence of @block into row @row of the noise region. */
static void
upload_noise (SoraSampler *sampler, SoraQueue *queue, guint64 seed, guint64 block, guint32 purpose, guint row)
{
  gsize n = sampler->settings.n_floats;

  sora_noise_fill (seed, block, purpose, n, sampler->host_noise);
  sora_queue_write (queue, sampler->noise, row * n * sizeof (gfloat), n * sizeof (gfloat), sampler->host_noise);
}

/* All fresh noise of a block at once, so that no transfer interrupts the steps. */
static void
upload_step_noises (SoraSampler *sampler, SoraQueue *queue, guint64 seed, guint64 block)
{
  if (sampler->settings.type != SORA_SAMPLER_RENOISE)
    return;
  for (guint i = 0; i + 1 < sampler->settings.steps; i++)
    upload_noise (sampler, queue, seed, block, 1 + i, i);
}

/* latents = x · latents + output · (guided output) + noise · fresh noise, by the scheduler's coefficients */
static void
apply_step (SoraSampler *sampler, SoraQueue *queue, cl_mem latents, guint n_floats, guint step, gdouble guidance)
{
  const SoraSamplerSettings *settings = &sampler->settings;
  SoraSchedulerStep s = sora_scheduler_step (settings->type, settings->prediction, sampler->sigmas[step],
      sampler->sigmas[step + 1]);
  gboolean guided = settings->n_branches == 2;
  SoraCombine combine = {
    .x = latents, .a = s.x,
    .p = sampler->output, .b = guided ? s.output * guidance : s.output,
    .n = guided ? sampler->output : NULL, .n_offset = n_floats, .c = s.output * (1 - guidance),
    .e = s.noise != 0 ? sampler->noise : NULL, .e_offset = step * settings->n_floats, .d = s.noise,
    .y = latents,
  };

  sora_combine_run (queue, &combine, n_floats);
}

void
sora_sampler_denoise (SoraSampler *sampler, SoraTransformer *transformer, SoraTransformerState *state, SoraQueue *queue,
    cl_mem latents, guint n_latents, guint64 seed, guint64 block, gdouble guidance, SoraSamplerStepFunc on_step,
    gpointer user_data)
{
  const SoraSamplerSettings *settings = &sampler->settings;
  g_autofree guint *rows = g_new (guint, n_latents);

  upload_step_noises (sampler, queue, seed, block);
  for (guint step = 0; step < settings->steps && !sora_queue_has_failed (queue); step++) {
    for (guint i = 0; i < n_latents; i++)
      rows[i] = step;
    sora_transformer_run (transformer, state, queue, latents, n_latents, rows, sampler->output, FALSE);
    apply_step (sampler, queue, latents, settings->n_floats, step, guidance);
    if (on_step)
      on_step (step, sampler->output, user_data);
  }
}

void
sora_sampler_commit (SoraSampler *sampler, SoraTransformer *transformer, SoraTransformerState *state, SoraQueue *queue,
    cl_mem latents, guint n_latents, guint64 seed, guint64 block)
{
  const SoraSamplerSettings *settings = &sampler->settings;
  g_autofree guint *rows = g_new (guint, n_latents);
  cl_mem context = latents;

  for (guint i = 0; i < n_latents; i++)
    rows[i] = settings->steps;
  if (settings->context_noise > 0) {
    SoraCombine combine = {
      .x = latents, .a = 1 - settings->context_noise, .e = sampler->noise, .d = settings->context_noise,
      .y = sampler->context,
    };
    upload_noise (sampler, queue, seed, block, CONTEXT_NOISE_PURPOSE, 0);
    sora_combine_run (queue, &combine, settings->n_floats);
    context = sampler->context;
  }
  sora_transformer_run (transformer, state, queue, context, n_latents, rows, NULL, TRUE);
}
