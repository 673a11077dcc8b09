/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The sampler: noise to clean latents of one block, by a few evaluations of the transformer. */
#include "stages/sampler.h"

#include "ops/elementwise.h"
#include "stages/noise.h"

/* Independent noise sequences of a block, see sora_noise_fill(): 0 is the initial noise, 1 + i follows step i. */
#define CONTEXT_NOISE_PURPOSE G_MAXUINT32

struct _SoraSampler {
  SoraSamplerSettings settings;
  SoraSchedulerStep *plan;      /* [steps] */
  guint n_estimates;            /* 0: the sampler has no use for them */
  gdouble *timesteps;           /* [steps + 2]: each step's, the context's, that of a change */
  gfloat *host_noise;           /* [n_floats] */
  cl_mem output;                /* [n_branches, n_floats]: the network's */
  cl_mem noise;                 /* [n_noises, n_floats]: fresh noise of each step but the last; row 0 also the context's */
  cl_mem estimates;             /* [n_estimates, n_floats]: of the clean latents; step i's in row i % n_estimates */
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
  sampler->plan = sora_scheduler_plan (settings->type, settings->prediction, settings->steps, settings->shift);
  sampler->n_estimates = sora_scheduler_count_estimates (settings->type);
  sampler->timesteps = g_new (gdouble, settings->steps + 2);
  for (guint i = 0; i < settings->steps; i++)
    sampler->timesteps[i] = sampler->plan[i].timestep;
  sampler->timesteps[settings->steps] = MAX (settings->context_timestep, 0);
  sampler->timesteps[settings->steps + 1] = 1000 * settings->change_noise;
  sampler->host_noise = g_new (gfloat, settings->n_floats);
  sora_arena_add (arena, &sampler->output, settings->n_branches * settings->n_floats);
  sora_arena_add (arena, &sampler->noise, n_noises (settings) * settings->n_floats);
  if (sampler->n_estimates > 0)
    sora_arena_add (arena, &sampler->estimates, sampler->n_estimates * settings->n_floats);
  sora_arena_add (arena, &sampler->context, settings->n_floats);
  return sampler;
}

void
sora_sampler_free (SoraSampler *sampler)
{
  if (!sampler)
    return;
  g_free (sampler->plan);
  g_free (sampler->timesteps);
  g_free (sampler->host_noise);
  g_free (sampler);
}

guint
sora_sampler_get_n_timesteps (SoraSampler *sampler)
{
  return sampler->settings.steps + (sampler->settings.context_timestep >= 0) + (sampler->settings.change_noise > 0);
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
write_context (SoraSampler *sampler, SoraQueue *queue, const SoraSamplerBlock *block, gdouble s, cl_mem x, guint n, cl_mem y)
{
  SoraCombine combine = { .x = x, .a = 1 - s, .e = s > 0 ? sampler->noise : NULL, .d = s, .y = y };

  if (s > 0)
    upload_noise (sampler, queue, block, CONTEXT_NOISE_PURPOSE, 0, n);
  sora_combine_run (queue, &combine, n);
}

/* Where a step is in the schedule, its middle is: step i of n at (i + 1/2) / n. */
static guint
count_branches (const SoraSamplerSettings *settings, guint step)
{
  gdouble place = (step + 0.5) / settings->steps;

  return place >= settings->guidance_begin && place <= settings->guidance_end ? settings->n_branches : 1;
}

/* Adds @weight times the step's output, guided if it has two branches, from float @first on. */
static void
add_output (SoraSampler *sampler, SoraCombine *combine, guint first, guint step, gdouble weight, gdouble guidance)
{
  gboolean guided = count_branches (&sampler->settings, step) == 2;

  combine->p = sampler->output;
  combine->p_offset = first;
  combine->b = guided ? weight * guidance : weight;
  combine->n = guided ? sampler->output : NULL;
  combine->n_offset = sampler->settings.n_floats + first;
  combine->c = weight * (1 - guidance);
}

/* latents = x · latents + output · (guided output) + noise · fresh noise, from float @first on */
static void
apply_direct_step (SoraSampler *sampler, SoraQueue *queue, cl_mem latents, guint first, guint step, gdouble guidance)
{
  const SoraSchedulerStep *s = &sampler->plan[step];
  guint n = sampler->settings.n_floats;
  SoraCombine combine = {
    .x = latents, .x_offset = first, .a = s->x,
    .e = s->noise != 0 ? sampler->noise : NULL, .e_offset = step * n + first, .d = s->noise,
    .y = latents, .y_offset = first,
  };

  add_output (sampler, &combine, first, step, s->output, guidance);
  sora_combine_run (queue, &combine, n - first);
}

/* The row of the estimate that was made @back steps before @step. */
static guint
estimate_offset (SoraSampler *sampler, guint step, guint back)
{
  return (step + sampler->n_estimates - back) % sampler->n_estimates * sampler->settings.n_floats;
}

/* Estimates the clean latents: clean_x · latents + clean_output · (guided output). */
static void
store_estimate (SoraSampler *sampler, SoraQueue *queue, cl_mem latents, guint first, guint step, gdouble guidance)
{
  const SoraSchedulerStep *s = &sampler->plan[step];
  SoraCombine combine = {
    .x = latents, .x_offset = first, .a = s->clean_x,
    .y = sampler->estimates, .y_offset = estimate_offset (sampler, step, 0) + first,
  };

  add_output (sampler, &combine, first, step, s->clean_output, guidance);
  sora_combine_run (queue, &combine, sampler->settings.n_floats - first);
}

/* latents = x · latents + Σ estimates[k] · (the estimate of k steps before). One that this block has not made has the weight 0, and is
 * not read. */
static void
apply_multistep (SoraSampler *sampler, SoraQueue *queue, cl_mem latents, guint first, guint step)
{
  const SoraSchedulerStep *s = &sampler->plan[step];
  cl_mem estimates[SORA_SCHEDULER_ESTIMATES];

  for (guint k = 0; k < SORA_SCHEDULER_ESTIMATES; k++)
    estimates[k] = s->estimates[k] != 0 ? sampler->estimates : NULL;
  SoraCombine combine = {
    .x = latents, .x_offset = first, .a = s->x,
    .p = estimates[0], .p_offset = estimate_offset (sampler, step, 0) + first, .b = s->estimates[0],
    .n = estimates[1], .n_offset = estimate_offset (sampler, step, 1) + first, .c = s->estimates[1],
    .e = estimates[2], .e_offset = estimate_offset (sampler, step, 2) + first, .d = s->estimates[2],
    .y = latents, .y_offset = first,
  };
  sora_combine_run (queue, &combine, sampler->settings.n_floats - first);
}

/* By the scheduler's coefficients, from float @first on. */
static void
apply_step (SoraSampler *sampler, SoraQueue *queue, cl_mem latents, guint first, guint step, gdouble guidance)
{
  if (sampler->n_estimates == 0) {
    apply_direct_step (sampler, queue, latents, first, step, guidance);
    return;
  }
  store_estimate (sampler, queue, latents, first, step, guidance);
  apply_multistep (sampler, queue, latents, first, step);
}

/* The block's share of the steps, of what is not held. */
static void
run_steps (SoraSampler *sampler, SoraTransformer *transformer, SoraTransformerState *state, SoraQueue *queue,
    const SoraSamplerBlock *block, gdouble guidance, SoraSamplerStepFunc on_step, gpointer user_data)
{
  const SoraSamplerSettings *settings = &sampler->settings;
  g_autofree guint *rows = g_new (guint, block->n_latents);

  upload_step_noises (sampler, queue, block);
  for (guint step = block->first_step; step < block->first_step + block->n_steps && !sora_queue_has_failed (queue); step++) {
    guint n_branches = count_branches (settings, step);
    for (guint i = 0; i < block->n_latents; i++)
      rows[i] = i < block->n_held ? settings->steps : step;
    sora_transformer_run (transformer, state, queue, block->latents, block->n_latents, rows, n_branches, sampler->output, FALSE);
    apply_step (sampler, queue, block->latents, held_floats (sampler, block), step, guidance);
    if (on_step)
      on_step (step, sampler->output, n_branches, user_data);
  }
}

void
sora_sampler_denoise (SoraSampler *sampler, SoraTransformer *transformer, SoraTransformerState *state, SoraQueue *queue,
    const SoraSamplerBlock *block, gdouble guidance, SoraSamplerStepFunc on_step, gpointer user_data)
{
  guint n_held = held_floats (sampler, block);

  if (n_held > 0)
    write_context (sampler, queue, block, sampler->settings.context_noise, block->held, n_held, block->latents);
  if (block->n_held < block->n_latents)
    run_steps (sampler, transformer, state, queue, block, guidance, on_step, user_data);
  sora_queue_copy (queue, block->held, 0, block->latents, 0, n_held * sizeof (gfloat));
}

void
sora_sampler_commit (SoraSampler *sampler, SoraTransformer *transformer, SoraTransformerState *state, SoraQueue *queue,
    const SoraSamplerBlock *block, gboolean changed)
{
  const SoraSamplerSettings *settings = &sampler->settings;
  gboolean noisier = changed && settings->change_noise > 0;
  gdouble noise = noisier ? settings->change_noise : settings->context_noise;
  g_autofree guint *rows = g_new (guint, block->n_latents);
  cl_mem context = block->latents;

  for (guint i = 0; i < block->n_latents; i++)
    rows[i] = settings->steps + noisier;
  if (noise > 0) {
    write_context (sampler, queue, block, noise, block->latents, settings->n_floats, sampler->context);
    context = sampler->context;
  }
  sora_transformer_run (transformer, state, queue, context, block->n_latents, rows, settings->n_branches, NULL, TRUE);
}
