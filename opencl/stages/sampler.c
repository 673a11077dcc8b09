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
  cl_mem noise;                 /* [n_noises, n_floats]: fresh noise of each step but the last; row 0 also the context's */
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

static guint
held_floats (SoraSampler *sampler, const SoraSamplerBlock *block)
{
  return sampler->settings.n_floats / block->n_latents * block->n_held;
}

/* Puts the first @n floats of a noise sequence of @block into row @row of the noise region. */
static void
upload_noise (SoraSampler *sampler, SoraQueue *queue, const SoraSamplerBlock *block, guint32 purpose, guint row, gsize n)
{
  sora_noise_fill (block->seed, block->index, purpose, n, sampler->host_noise);
  sora_queue_write (queue, sampler->noise, row * sampler->settings.n_floats * sizeof (gfloat), n * sizeof (gfloat), sampler->host_noise);
}

/* All fresh noise of a block at once, so that no transfer interrupts the steps. */
static void
upload_step_noises (SoraSampler *sampler, SoraQueue *queue, const SoraSamplerBlock *block)
{
  if (sampler->settings.type != SORA_SAMPLER_RENOISE)
    return;
  for (guint i = 0; i + 1 < sampler->settings.steps; i++)
    upload_noise (sampler, queue, block, 1 + i, i, sampler->settings.n_floats);
}

/* y = the first @n floats of @block as context, from the clean @x: (1 - s) x + s e. Uses row 0 of the noise region. */
static void
write_context (SoraSampler *sampler, SoraQueue *queue, const SoraSamplerBlock *block, cl_mem x, guint n, cl_mem y)
{
  gdouble s = sampler->settings.context_noise;
  SoraCombine combine = { .x = x, .a = 1 - s, .e = s > 0 ? sampler->noise : NULL, .d = s, .y = y };

  if (s > 0)
    upload_noise (sampler, queue, block, CONTEXT_NOISE_PURPOSE, 0, n);
  sora_combine_run (queue, &combine, n);
}

/* latents = x · latents + output · (guided output) + noise · fresh noise, by the scheduler's coefficients, from float @first on */
static void
apply_step (SoraSampler *sampler, SoraQueue *queue, cl_mem latents, guint first, guint step, gdouble guidance)
{
  const SoraSamplerSettings *settings = &sampler->settings;
  SoraSchedulerStep s = sora_scheduler_step (settings->type, settings->prediction, sampler->sigmas[step],
      sampler->sigmas[step + 1]);
  gboolean guided = settings->n_branches == 2;
  SoraCombine combine = {
    .x = latents, .x_offset = first, .a = s.x,
    .p = sampler->output, .p_offset = first, .b = guided ? s.output * guidance : s.output,
    .n = guided ? sampler->output : NULL, .n_offset = settings->n_floats + first, .c = s.output * (1 - guidance),
    .e = s.noise != 0 ? sampler->noise : NULL, .e_offset = step * settings->n_floats + first, .d = s.noise,
    .y = latents, .y_offset = first,
  };

  sora_combine_run (queue, &combine, settings->n_floats - first);
}

/* Every step of what is not held. */
static void
run_steps (SoraSampler *sampler, SoraTransformer *transformer, SoraTransformerState *state, SoraQueue *queue,
    const SoraSamplerBlock *block, gdouble guidance, SoraSamplerStepFunc on_step, gpointer user_data)
{
  const SoraSamplerSettings *settings = &sampler->settings;
  g_autofree guint *rows = g_new (guint, block->n_latents);

  upload_step_noises (sampler, queue, block);
  for (guint step = 0; step < settings->steps && !sora_queue_has_failed (queue); step++) {
    for (guint i = 0; i < block->n_latents; i++)
      rows[i] = i < block->n_held ? settings->steps : step;
    sora_transformer_run (transformer, state, queue, block->latents, block->n_latents, rows, sampler->output, FALSE);
    apply_step (sampler, queue, block->latents, held_floats (sampler, block), step, guidance);
    if (on_step)
      on_step (step, sampler->output, user_data);
  }
}

void
sora_sampler_denoise (SoraSampler *sampler, SoraTransformer *transformer, SoraTransformerState *state, SoraQueue *queue,
    const SoraSamplerBlock *block, gdouble guidance, SoraSamplerStepFunc on_step, gpointer user_data)
{
  guint n_held = held_floats (sampler, block);

  if (n_held > 0)
    write_context (sampler, queue, block, block->held, n_held, block->latents);
  if (block->n_held < block->n_latents)
    run_steps (sampler, transformer, state, queue, block, guidance, on_step, user_data);
  sora_queue_copy (queue, block->held, 0, block->latents, 0, n_held * sizeof (gfloat));
}

void
sora_sampler_commit (SoraSampler *sampler, SoraTransformer *transformer, SoraTransformerState *state, SoraQueue *queue,
    const SoraSamplerBlock *block)
{
  const SoraSamplerSettings *settings = &sampler->settings;
  g_autofree guint *rows = g_new (guint, block->n_latents);
  cl_mem context = block->latents;

  for (guint i = 0; i < block->n_latents; i++)
    rows[i] = settings->steps;
  if (settings->context_noise > 0) {
    write_context (sampler, queue, block, block->latents, settings->n_floats, sampler->context);
    context = sampler->context;
  }
  sora_transformer_run (transformer, state, queue, context, block->n_latents, rows, NULL, TRUE);
}
