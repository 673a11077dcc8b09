/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One stage of a model alone, timed for tests/bench/peers.py: bench-stages [OPTION...] MODEL text-encoder|transformer|vae-decoder */

#include <sora/sora.h>
#include <sys/resource.h>

#include "model-private.h"
#include "stages/noise.h"
#include "weights/weight-type.h"

/* Prompts of Wan's pipelines are padded to so many rows. */
#define TEXT_LENGTH 512
/* Pixels, as of a stream */
#define MAX_SIDE 16384

typedef struct {
  gchar *selector, *precision_name;     /* (nullable) */
  SoraPrecision precision;
  gint width, height, frames, tokens, runs;
  gboolean profile;
  SoraModel *model;
  SoraDevice *device;
  SoraQueue *queue;
  SoraArena *arena;
  guint latents, latent_height, latent_width;
  SoraResident *part;           /* the stage's weights */
  guint64 host_bytes;           /* that the stage takes beside the arena */
  cl_mem input, output;
} Bench;

/* Runs the stage once, with what it declared in the arena; enqueues only. */
typedef void (*RunFunc) (Bench *bench, gpointer state);

static gdouble
processor_seconds (void)
{
  struct rusage usage;

  getrusage (RUSAGE_SELF, &usage);
  return usage.ru_utime.tv_sec + usage.ru_stime.tv_sec + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* Prints a line of JSON. What products took beside the weights, which is there since the first run, counts as the stage's. */
static void
report (Bench *bench, gdouble first, gdouble best, gdouble processor)
{
  guint64 memory = sora_arena_get_size (bench->arena) + sora_queue_get_scratch_size (bench->queue) + bench->host_bytes;

  g_print ("{\"device\": \"%s\", \"first_seconds\": %.4f, \"seconds\": %.4f, \"processor_seconds\": %.4f, \"memory\": %" G_GUINT64_FORMAT
      ", \"weights\": %" G_GUINT64_FORMAT "}\n", sora_device_get_name (bench->device), first, best, processor, memory,
      sora_resident_get_size (bench->part));
}

static gboolean
time_runs (Bench *bench, RunFunc run, gpointer state, GError **error)
{
  gdouble best = G_MAXDOUBLE, least = G_MAXDOUBLE, first = 0;

  for (gint i = 0; i < bench->runs; i++) {
    gdouble processor = processor_seconds (), seconds;
    gint64 start = g_get_monotonic_time ();
    run (bench, state);
    if (!sora_queue_finish (bench->queue, error))
      return FALSE;
    seconds = (g_get_monotonic_time () - start) / 1e6;
    first = i == 0 ? seconds : first;
    best = MIN (best, seconds);
    least = MIN (least, processor_seconds () - processor);
  }
  report (bench, first, best, least);
  return TRUE;
}

/* Allocates what was declared and fills the input with @n_floats of noise. */
static gboolean
prepare (Bench *bench, gsize n_floats, GError **error)
{
  g_autofree gfloat *noise = g_new (gfloat, n_floats);

  if (!sora_arena_commit (bench->arena, error))
    return FALSE;
  sora_noise_fill (1, 0, 0, n_floats, noise);
  sora_queue_write (bench->queue, bench->input, 0, n_floats * sizeof (gfloat), noise);
  return sora_queue_finish (bench->queue, error);
}

static gsize
count_latent_floats (Bench *bench, guint channels)
{
  return (gsize) bench->latents * bench->latent_height * bench->latent_width * channels;
}

static void
run_text_encoder (Bench *bench, gpointer state)
{
  g_autofree gint32 *tokens = g_new (gint32, bench->tokens);

  for (gint i = 0; i < bench->tokens; i++)
    tokens[i] = 1 + i;
  sora_text_encoder_run (bench->part->text_encoder, state, bench->queue, tokens, bench->tokens,
      SORA_MATRIX (bench->output, bench->model->text_encoder.d_model));
}

static gboolean
bench_text_encoder (Bench *bench, GError **error)
{
  const SoraTextEncoderConfig *config = &bench->model->text_encoder;
  SoraTextEncoderState *state = sora_text_encoder_state_new (config, bench->tokens, bench->arena);
  gboolean ok;

  sora_arena_add (bench->arena, &bench->output, (gsize) bench->tokens * config->d_model);
  ok = sora_arena_commit (bench->arena, error) && time_runs (bench, run_text_encoder, state, error);
  sora_text_encoder_state_free (state);
  return ok;
}

static void
run_transformer (Bench *bench, gpointer state)
{
  g_autofree guint *timestep_rows = g_new0 (guint, bench->latents);

  sora_transformer_run (bench->part->transformer, state, bench->queue, bench->input, bench->latents, timestep_rows, 1, bench->output, FALSE);
}

/* What a prompt and a timestep leave behind, once for all runs, as a stream does it */
static gboolean
set_transformer (Bench *bench, SoraTransformerState *state, cl_mem text, GError **error)
{
  SoraTransformer *transformer = bench->part->transformer;
  guint text_dim = bench->model->transformer.text_dim;
  gsize n_floats = (gsize) bench->tokens * text_dim;
  g_autofree gfloat *embeddings = g_new (gfloat, n_floats);
  const gdouble timestep = 500;

  sora_noise_fill (2, 0, 0, n_floats, embeddings);
  sora_queue_write (bench->queue, text, 0, n_floats * sizeof (gfloat), embeddings);
  sora_transformer_state_prepare (transformer, state, bench->queue);
  sora_transformer_set_timesteps (transformer, state, bench->queue, &timestep, 1);
  sora_transformer_set_text (transformer, state, bench->queue, 0, SORA_MATRIX (text, text_dim), bench->tokens);
  return sora_queue_finish (bench->queue, error);
}

static gboolean
bench_transformer (Bench *bench, GError **error)
{
  const SoraTransformerConfig *config = &bench->model->transformer;
  const SoraTransformerShape shape = { .n_branches = 1, .block_latents = bench->latents, .window_latents = bench->latents,
    .height = bench->latent_height, .width = bench->latent_width, .text_length = TEXT_LENGTH, .max_timesteps = 1 };
  SoraTransformerState *state = sora_transformer_state_new (config, &shape, bench->arena);
  cl_mem text;
  gboolean ok;

  sora_arena_add (bench->arena, &text, (gsize) bench->tokens * config->text_dim);
  sora_arena_add (bench->arena, &bench->input, count_latent_floats (bench, config->in_channels));
  sora_arena_add (bench->arena, &bench->output, count_latent_floats (bench, config->out_channels));
  ok = prepare (bench, count_latent_floats (bench, config->in_channels), error) && set_transformer (bench, state, text, error)
      && time_runs (bench, run_transformer, state, error);
  sora_transformer_state_free (state);
  return ok;
}

static void
run_vae_decoder (Bench *bench, gpointer state)
{
  sora_vae_decoder_reset (state, bench->queue);
  sora_vae_decode (bench->part->vae, state, bench->queue, bench->input, bench->latents, bench->output);
}

static gboolean
bench_vae_decoder (Bench *bench, GError **error)
{
  const SoraVaeConfig *config = &bench->model->vae;
  SoraVaeDecoderState *state = sora_vae_decoder_state_new (bench->part->vae, bench->latent_height, bench->latent_width, bench->latents, NULL,
      bench->arena);
  gsize bytes = (gsize) bench->latents * config->time_scale * bench->height * bench->width * 3;
  gboolean ok;

  bench->host_bytes = sora_vae_decoder_state_get_host_size (state);
  sora_arena_add (bench->arena, &bench->input, count_latent_floats (bench, config->latent_channels));
  sora_arena_add (bench->arena, &bench->output, (bytes + sizeof (gfloat) - 1) / sizeof (gfloat));
  ok = prepare (bench, count_latent_floats (bench, config->latent_channels), error) && time_runs (bench, run_vae_decoder, state, error);
  sora_vae_decoder_state_free (state);
  return ok;
}

/* To add a stage: its two functions above, its row here. */
static const struct {
  const gchar *name;
  SoraPartType part;
  gboolean (*run) (Bench *bench, GError **error);
} stages[] = {
  { "text-encoder", SORA_PART_TEXT_ENCODER, bench_text_encoder },
  { "transformer", SORA_PART_TRANSFORMER, bench_transformer },
  { "vae-decoder", SORA_PART_VAE, bench_vae_decoder },
};

static gboolean
run_stage (Bench *bench, const gchar *name, GError **error)
{
  const SoraWeightRequest request = { .precision = bench->precision, .max_memory = G_MAXUINT64, .limits = { .max_bytes = G_MAXUINT64, .max_new_bytes = G_MAXUINT64 } };
  guint i = 0;

  while (i < G_N_ELEMENTS (stages) && !g_str_equal (stages[i].name, name))
    i++;
  if (i == G_N_ELEMENTS (stages)) {
    g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, "there is no stage %s: text-encoder, transformer or vae-decoder", name);
    return FALSE;
  }
  bench->part = sora_model_take (bench->model, stages[i].part, bench->queue, &request, error);
  return bench->part && stages[i].run (bench, error);
}

static gboolean
parse_precision (Bench *bench, GError **error)
{
  if (!bench->precision_name)
    return TRUE;
  while (sora_precision_names[bench->precision] && !g_str_equal (sora_precision_names[bench->precision], bench->precision_name))
    bench->precision++;
  if (sora_precision_names[bench->precision])
    return TRUE;
  g_set_error_literal (error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, "--precision must be auto, fp32 or bf16");
  return FALSE;
}

/* What the model makes no latents of is refused, as a stream does. */
static gboolean
check_size (Bench *bench, GError **error)
{
  const SoraVaeConfig *vae = &bench->model->vae;
  guint unit_x = vae->spatial_scale * bench->model->transformer.patch_size[2], unit_y = vae->spatial_scale * bench->model->transformer.patch_size[1];

  if (bench->width % unit_x == 0 && bench->height % unit_y == 0 && (bench->frames - 1) % vae->time_scale == 0)
    return TRUE;
  g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, "of this model, --width must be a multiple of %u, --height of %u, and --frames 1 more "
      "than a multiple of %u", unit_x, unit_y, vae->time_scale);
  return FALSE;
}

static gboolean
open_model (Bench *bench, const gchar *path, GError **error)
{
  bench->model = sora_model_open (path, error);
  bench->device = bench->model ? sora_device_open (bench->selector, error) : NULL;
  bench->queue = bench->device ? sora_queue_new (bench->device, bench->profile, error) : NULL;
  if (!bench->queue || !check_size (bench, error))
    return FALSE;
  bench->arena = sora_arena_new (bench->device);
  bench->latents = (bench->frames - 1) / bench->model->vae.time_scale + 1;
  bench->latent_height = bench->height / bench->model->vae.spatial_scale;
  bench->latent_width = bench->width / bench->model->vae.spatial_scale;
  return TRUE;
}

static void
bench_clear (Bench *bench)
{
  if (bench->part)
    sora_model_release (bench->model, bench->part);
  g_clear_pointer (&bench->arena, sora_arena_free);
  g_clear_pointer (&bench->queue, sora_queue_free);
  g_clear_pointer (&bench->device, sora_device_unref);
  g_clear_pointer (&bench->model, sora_model_unref);
  g_free (bench->selector);
  g_free (bench->precision_name);
}

int
main (int argc, char **argv)
{
  Bench bench = { .width = 256, .height = 256, .frames = 9, .tokens = 20, .runs = 3 };
  const GOptionEntry entries[] = {
    { "device", 0, 0, G_OPTION_ARG_STRING, &bench.selector, "as for sora --device", "SELECTOR" },
    { "width", 0, 0, G_OPTION_ARG_INT, &bench.width, "pixels (default: 256)", "N" },
    { "height", 0, 0, G_OPTION_ARG_INT, &bench.height, "pixels (default: 256)", "N" },
    { "frames", 0, 0, G_OPTION_ARG_INT, &bench.frames, "default: 9", "N" },
    { "tokens", 0, 0, G_OPTION_ARG_INT, &bench.tokens, "of the prompt (default: 20)", "N" },
    { "runs", 0, 0, G_OPTION_ARG_INT, &bench.runs, "at least 1, of which the quickest counts (default: 3)", "N" },
    { "precision", 0, 0, G_OPTION_ARG_STRING, &bench.precision_name, "as for sora --precision (default: auto)", "PRECISION" },
    { "profile", 0, 0, G_OPTION_ARG_NONE, &bench.profile, "print the time of every kernel", NULL },
    { NULL }
  };
  g_autoptr (GOptionContext) context = g_option_context_new ("MODEL text-encoder|transformer|vae-decoder");
  g_autoptr (GError) error = NULL;
  g_autofree gchar *profile = NULL;

  g_option_context_add_main_entries (context, entries, NULL);
  if (g_option_context_parse (context, &argc, &argv, &error) && argc != 3)
    g_set_error_literal (&error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, "give a model and a stage; --help says which");
  if (!error && (bench.runs < 1 || bench.tokens < 1 || bench.tokens > TEXT_LENGTH || bench.width < 1 || bench.width > MAX_SIDE || bench.height < 1
          || bench.height > MAX_SIDE || bench.frames < 1))
    g_set_error (&error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, "runs, frames and tokens must be 1 or more, tokens %d at most, and a side 1 to %d "
        "pixels", TEXT_LENGTH, MAX_SIDE);
  if (!error && parse_precision (&bench, &error) && open_model (&bench, argv[1], &error) && run_stage (&bench, argv[2], &error))
    profile = sora_queue_format_profile (bench.queue);
  if (profile)
    g_print ("%s", profile);
  bench_clear (&bench);
  if (error)
    g_printerr ("bench-stages: %s\n", error->message);
  return error ? 1 : 0;
}
