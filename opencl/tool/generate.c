/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `sora generate`: a video from a prompt, with the tensors, times and profile that comparisons need. */

#include <sora/sora.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "model-private.h"
#include "picture/picture.h"
#include "tool/command.h"
#include "tool/recorder.h"
#include "tool/video-writer.h"
#include "weights/weight-type.h"

/* seconds of video that an endless stream makes if nothing else is said */
#define DEFAULT_SECONDS 3

typedef struct {
  gchar *prompt, *negative_prompt, *model, *device, *size, *output, *noise, *save_tensors, *chroma, *image, *last_image,
      *fit_name, *sampler_name, *guidance_interval, *weights, *precision_name, *text_encoder_policy, *max_memory_text,
      *vae_tile_name;
  SoraCommandParts parts;
  gchar **loras;                /* "PATH[:WEIGHT]"; NULL: none */
  SoraPictureFit fit;
  SoraSamplerType sampler;
  SoraWeightType weight_type;
  SoraPrecision precision;
  SoraTextEncoderPolicy policy;
  guint64 max_memory;
  gint64 seed, frames;          /* frames, steps: -1 where not given */
  gint steps, vae_tile;
  gdouble guidance_scale, guidance_scale_2, guidance_begin, guidance_end, shift;
  gboolean save_steps, profile, stats, quiet;
} Arguments;

typedef struct {
  Arguments args;
  SoraModel *model;
  SoraDevice *device;
  GdkPixbuf *picture, *last_picture;    /* the first frame's, the last one's; NULL: none */
  SoraStreamOptions *options;
  SoraStream *stream;
  SoraVideoWriter *writer;
  SoraRecorder *recorder;
  guint64 n_frames, n_blocks;   /* written so far */
  gdouble load_seconds, first_seconds, other_seconds;
} Generation;

static void
arguments_clear (Arguments *args)
{
  gchar **strings[] = { &args->prompt, &args->negative_prompt, &args->model, &args->device, &args->size, &args->output, &args->noise,
    &args->save_tensors, &args->chroma, &args->image, &args->last_image, &args->fit_name, &args->sampler_name, &args->guidance_interval,
    &args->weights, &args->precision_name, &args->text_encoder_policy, &args->max_memory_text,
    &args->vae_tile_name };

  for (guint i = 0; i < G_N_ELEMENTS (strings); i++)
    g_free (*strings[i]);
  sora_command_parts_clear (&args->parts);
  g_strfreev (args->loras);
}

static void
generation_clear (Generation *generation)
{
  g_clear_pointer (&generation->recorder, sora_recorder_free);
  g_clear_pointer (&generation->writer, sora_video_writer_free);
  g_clear_pointer (&generation->stream, sora_stream_free);
  g_clear_pointer (&generation->options, sora_stream_options_free);
  g_clear_object (&generation->picture);
  g_clear_object (&generation->last_picture);
  g_clear_pointer (&generation->device, sora_device_unref);
  g_clear_pointer (&generation->model, sora_model_unref);
  arguments_clear (&generation->args);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Generation, generation_clear)

static gboolean
fail (GError **error, const gchar *what)
{
  g_set_error_literal (error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, what);
  return FALSE;
}

static gboolean
parse_fit (Arguments *args, GError **error)
{
  static const gchar *const names[] = { "crop", "letterbox", "stretch", NULL };  /* in the order of SoraPictureFit */

  if (!args->fit_name)
    return TRUE;
  if (!args->image)
    return fail (error, "--fit needs --image");
  if (!g_strv_contains (names, args->fit_name))
    return fail (error, "--fit must be crop, letterbox or stretch");
  while (!g_str_equal (names[args->fit], args->fit_name))
    args->fit++;
  return TRUE;
}

/* Sets @index, which is 0, to where @value is in @names; (nullable) @value: not given. */
static gboolean
parse_choice (const gchar *option, const gchar *value, const gchar *const *names, guint *index, GError **error)
{
  g_autofree gchar *list = g_strjoinv (", ", (gchar **) names);

  if (!value)
    return TRUE;
  while (names[*index] && !g_str_equal (names[*index], value))
    ++*index;
  if (names[*index])
    return TRUE;
  g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, "%s must be one of %s", option, list);
  return FALSE;
}

/* Whether tiles may have this size is the stream's to say. */
static gboolean
parse_vae_tile (Arguments *args, GError **error)
{
  guint64 pixels;

  args->vae_tile = -1;
  if (!args->vae_tile_name || g_str_equal (args->vae_tile_name, "auto"))
    return TRUE;
  if (!g_str_equal (args->vae_tile_name, "off") && !g_ascii_string_to_unsigned (args->vae_tile_name, 10, 1, G_MAXINT, &pixels, NULL))
    return fail (error, "--vae-tile must be auto, off or a number of pixels");
  args->vae_tile = g_str_equal (args->vae_tile_name, "off") ? 0 : pixels;
  return TRUE;
}

static gboolean
parse_choices (Arguments *args, GError **error)
{
  static const gchar *const policies[] = { "auto", "release", "keep", NULL };     /* in the order of SoraTextEncoderPolicy */

  return parse_choice ("--sampler", args->sampler_name, sora_sampler_names, &args->sampler, error)
      && parse_choice ("--weights", args->weights, sora_weight_type_names, &args->weight_type, error)
      && parse_choice ("--precision", args->precision_name, sora_precision_names, &args->precision, error)
      && parse_choice ("--text-encoder-policy", args->text_encoder_policy, policies, &args->policy, error);
}

/* A whole number of bytes, or of KiB, MiB or GiB. */
static gboolean
parse_max_memory (Arguments *args, GError **error)
{
  static const gchar units[] = "KMG";
  gchar *end;
  const gchar *unit;
  guint shift = 0;

  if (!args->max_memory_text)
    return TRUE;
  args->max_memory = g_ascii_strtoull (args->max_memory_text, &end, 10);
  if (*end != '\0' && (unit = strchr (units, *end))) {
    shift = 10 * (unit - units + 1);
    end++;
  }
  if (*end != '\0' || !g_ascii_isdigit (*args->max_memory_text) || args->max_memory == 0 || args->max_memory > G_MAXUINT64 >> shift)
    return fail (error, "--max-memory must be a number of bytes, or one with K, M or G, as in 6G");
  args->max_memory <<= shift;
  return TRUE;
}

/* Whether the numbers make an interval is the stream's to say. */
static gboolean
parse_guidance_interval (Arguments *args, GError **error)
{
  gchar *middle, *end;

  if (!args->guidance_interval)
    return TRUE;
  args->guidance_begin = g_ascii_strtod (args->guidance_interval, &middle);
  if (middle != args->guidance_interval && *middle == ':') {
    args->guidance_end = g_ascii_strtod (middle + 1, &end);
    if (end != middle + 1 && *end == '\0')
      return TRUE;
  }
  return fail (error, "--guidance-interval must be BEGIN:END, as in 0.1:0.8");
}

/* Prompts are taken as bytes, whatever the locale: libsora wants UTF-8, and says so. */
static gboolean
parse (Arguments *args, gint argc, gchar **argv, GError **error)
{
  const GOptionEntry entries[] = {
    { "prompt", 'p', 0, G_OPTION_ARG_FILENAME, &args->prompt, "what to show", "TEXT" },
    { "output", 'o', 0, G_OPTION_ARG_FILENAME, &args->output, ".y4m video, .rgb frames, .ppm contact sheet, - y4m to stdout", "FILE" },
    { "negative-prompt", 'n', 0, G_OPTION_ARG_FILENAME, &args->negative_prompt, "what not to show, where there is guidance (default: of Wan its makers' own list of flaws; \"\": nothing)", "TEXT" },
    { "image", 'i', 0, G_OPTION_ARG_FILENAME, &args->image, "a picture to begin with: the first frame", "FILE" },
    { "last-image", 0, 0, G_OPTION_ARG_FILENAME, &args->last_image, "a picture to end with, of models that take one", "FILE" },
    { "fit", 0, 0, G_OPTION_ARG_STRING, &args->fit_name, "of an image in other proportions: crop, letterbox or stretch (default: crop)", "HOW" },
    { "model", 'm', 0, G_OPTION_ARG_FILENAME, &args->model, "a name of \"sora models\", a directory, or a transformer's file (default: the embedded model)", "MODEL" },
    SORA_COMMAND_PARTS (&args->parts),
    { "lora", 'l', 0, G_OPTION_ARG_FILENAME_ARRAY, &args->loras, "a LoRA that changes the model, and its weight (default: 1); may be given again",
      "FILE[:WEIGHT]" },
    { "device", 'd', 0, G_OPTION_ARG_STRING, &args->device, "see \"sora devices\" (default: the first GPU, else a CPU)", "DEVICE" },
    { "weights", 0, 0, G_OPTION_ARG_STRING, &args->weights,
      "what matrices are stored as: auto, fp32, fp16, bf16 or q8 (default: auto, which loses nothing that the file has)", "TYPE" },
    { "precision", 0, 0, G_OPTION_ARG_STRING, &args->precision_name,
      "what matrices are multiplied in where the device has bf16 instructions: auto, fp32 or bf16 (default: auto, which rounds no weight)",
      "PRECISION" },
    { "text-encoder-policy", 0, 0, G_OPTION_ARG_STRING, &args->text_encoder_policy,
      "auto, release (its weights are on the device only while a prompt is encoded) or keep (default: auto, released if large)", "POLICY" },
    { "max-memory", 0, 0, G_OPTION_ARG_STRING, &args->max_memory_text,
      "bytes of the device's memory to use, as in 6G; weights beyond are streamed (default: nine tenths of what it has)", "SIZE" },
    { "seed", 's', 0, G_OPTION_ARG_INT64, &args->seed, "same seed, same frames: 0 or more (default: 0)", "N" },
    { "frames", 'f', 0, G_OPTION_ARG_INT64, &args->frames, "length (default: the model's clip, or 3 seconds)", "N" },
    { "size", 0, 0, G_OPTION_ARG_STRING, &args->size, "pixels (default: the model's, the one nearest to the image if there is one)", "WIDTHxHEIGHT" },
    { "sampler", 0, 0, G_OPTION_ARG_STRING, &args->sampler_name, "default (the model's own), euler, unipc, dpmpp-2m or renoise", "NAME" },
    { "steps", 0, 0, G_OPTION_ARG_INT, &args->steps, "denoising steps, 1 to 1000 (default: the model's own)", "N" },
    { "guidance-scale", 'g', 0, G_OPTION_ARG_DOUBLE, &args->guidance_scale, "1 is none (default: the model's own)", "SCALE" },
    { "guidance-scale-2", 0, 0, G_OPTION_ARG_DOUBLE, &args->guidance_scale_2,
      "of two experts the second one's (default: --guidance-scale, else the model's own)", "SCALE" },
    { "guidance-interval", 0, 0, G_OPTION_ARG_STRING, &args->guidance_interval,
      "shares of the steps between which there is guidance, the others costing half (default: 0:1)", "BEGIN:END" },
    { "shift", 0, 0, G_OPTION_ARG_DOUBLE, &args->shift, "flow-matching time shift (default: the model's own)", "SHIFT" },
    { "vae-tile", 0, 0, G_OPTION_ARG_STRING, &args->vae_tile_name,
      "side of the parts that Wan's VAE decodes one by one to save memory: auto, off or pixels (default: auto)", "PIXELS" },
    { "chroma", 0, 0, G_OPTION_ARG_STRING, &args->chroma, "of a .y4m: 420 or 444 (default: 420)", "FORMAT" },
    { "noise", 0, 0, G_OPTION_ARG_FILENAME, &args->noise,
      "initial noise: tensor \"noise\" [channels, latents, height, width]; what is random besides comes from the seed", "FILE.safetensors" },
    { "save-tensors", 0, 0, G_OPTION_ARG_FILENAME, &args->save_tensors, "tokens, text embeddings, noise, latents and frames",
      "FILE.safetensors" },
    { "save-steps", 0, 0, G_OPTION_ARG_NONE, &args->save_steps, "with --save-tensors: the network's output and latents of each step too", NULL },
    { "profile", 0, 0, G_OPTION_ARG_NONE, &args->profile, "print the time of every kernel", NULL },
    { "stats", 0, 0, G_OPTION_ARG_NONE, &args->stats, "print times and memory", NULL },
    { "quiet", 'q', 0, G_OPTION_ARG_NONE, &args->quiet, "no progress line", NULL },
    { NULL },
  };

  if (!sora_command_parse (&argc, &argv, NULL, "Makes a video from a prompt.", entries, 0, error))
    return FALSE;
  if (!args->prompt)
    return fail (error, "--prompt is missing");
  if (!args->output)
    return fail (error, "--output is missing");
  if (args->save_steps && !args->save_tensors)
    return fail (error, "--save-steps needs --save-tensors");
  if (args->seed < 0)
    return fail (error, "--seed must be 0 or more");
  if (args->frames != -1 && (args->frames < 1 || args->frames > G_MAXUINT32))
    return fail (error, "--frames must be from 1 to 4294967295");
  if (args->steps != -1 && args->steps < 1)
    return fail (error, "--steps must be from 1 to 1000");
  if (args->chroma && !g_str_equal (args->chroma, "420") && !g_str_equal (args->chroma, "444"))
    return fail (error, "--chroma must be 420 or 444");
  return parse_fit (args, error) && parse_choices (args, error) && parse_max_memory (args, error) && parse_vae_tile (args, error)
      && parse_guidance_interval (args, error);
}

static gboolean
parse_size (const gchar *text, guint *width, guint *height, GError **error)
{
  guint64 values[2];
  g_auto (GStrv) parts = g_strsplit (text, "x", -1);

  for (guint i = 0; i < 2; i++) {
    if (g_strv_length (parts) != 2 || !g_ascii_string_to_unsigned (parts[i], 10, 1, 16384, &values[i], NULL))
      return fail (error, "--size must be WIDTHxHEIGHT, as in 256x256");
  }
  *width = values[0];
  *height = values[1];
  return TRUE;
}

/* @picture becomes the first or the last frame, whichever @set sets, @width x @height pixels. */
static gboolean
set_image (Generation *generation, GdkPixbuf *picture, guint width, guint height,
    void (*set) (SoraStreamOptions *options, const guint8 *rgb, guint width, guint height, gsize stride), GError **error)
{
  g_autoptr (GdkPixbuf) frame = NULL;

  if (!picture)
    return TRUE;
  frame = sora_picture_fit (picture, width, height, generation->args.fit, error);
  if (!frame)
    return FALSE;
  set (generation->options, gdk_pixbuf_read_pixels (frame), width, height, gdk_pixbuf_get_rowstride (frame));
  return TRUE;
}

/* The file's noise must be of the model's channels and of the size asked for. */
static gboolean
load_noise (Generation *generation, guint width, guint height, GError **error)
{
  const SoraVaeConfig *vae = &generation->model->vae;
  g_autoptr (SoraWeightFile) file = sora_weight_file_open (generation->args.noise, error);
  const SoraTensor *tensor;
  g_autofree gfloat *noise = NULL;

  if (!file)
    return FALSE;
  tensor = sora_weight_file_find (file, error, "noise", 4, vae->latent_channels, 0, height / vae->spatial_scale,
      width / vae->spatial_scale);
  if (!tensor)
    return FALSE;
  noise = g_new (gfloat, tensor->n_elements);
  sora_tensor_to_float (tensor, 0, tensor->n_elements, noise);
  sora_stream_options_set_noise (generation->options, noise, tensor->n_elements);
  return TRUE;
}

static guint64
choose_length (Generation *generation)
{
  gint numerator, denominator;

  if (generation->args.frames > 0)
    return generation->args.frames;
  if (!sora_model_is_causal (generation->model))
    return sora_model_get_clip_frames (generation->model);
  sora_model_get_frame_rate (generation->model, &numerator, &denominator);
  return MAX (DEFAULT_SECONDS * numerator / denominator, 1);
}

static void
set_loras (SoraStreamOptions *options, gchar **texts)
{
  guint n = g_strv_length (texts);
  g_auto (GStrv) paths = g_new0 (gchar *, n + 1);
  g_autofree gdouble *weights = g_new (gdouble, n);

  for (guint i = 0; i < n; i++)
    paths[i] = sora_lora_parse (texts[i], &weights[i]);
  sora_stream_options_set_loras (options, (const gchar *const *) paths, weights);
}

static gboolean
set_options (Generation *generation, GError **error)
{
  const Arguments *args = &generation->args;
  SoraStreamOptions *options = generation->options = sora_stream_options_new ();
  gdouble aspect_ratio = generation->picture ? sora_picture_get_aspect_ratio (generation->picture) : 0;
  guint width, height;

  sora_model_get_best_size (generation->model, aspect_ratio, &width, &height);
  if (args->size && !parse_size (args->size, &width, &height, error))
    return FALSE;
  sora_stream_options_set_prompt (options, args->prompt);
  if (args->negative_prompt)
    sora_stream_options_set_negative_prompt (options, args->negative_prompt);
  sora_stream_options_set_seed (options, args->seed);
  sora_stream_options_set_steps (options, MAX (args->steps, 0));
  sora_stream_options_set_guidance_scale (options, args->guidance_scale);
  sora_stream_options_set_guidance_scale_2 (options, args->guidance_scale_2);
  sora_stream_options_set_guidance_interval (options, args->guidance_begin, args->guidance_end);
  sora_stream_options_set_sampler (options, args->sampler);
  sora_stream_options_set_shift (options, args->shift);
  sora_stream_options_set_weight_type (options, args->weight_type);
  sora_stream_options_set_precision (options, args->precision);
  sora_stream_options_set_text_encoder_policy (options, args->policy);
  sora_stream_options_set_max_memory (options, args->max_memory);
  sora_stream_options_set_size (options, width, height);
  sora_stream_options_set_length (options, choose_length (generation));
  sora_stream_options_set_vae_tile (options, args->vae_tile);
  sora_stream_options_set_profile (options, args->profile);
  if (args->loras)
    set_loras (options, args->loras);
  sora_stream_options_set_stage_times (options, args->stats);
  return set_image (generation, generation->picture, width, height, sora_stream_options_set_image, error)
      && set_image (generation, generation->last_picture, width, height, sora_stream_options_set_last_image, error)
      && (!args->noise || load_noise (generation, width, height, error));
}

static void
show_progress (gdouble fraction, const gchar *what, gpointer user_data)
{
  Generation *generation = user_data;

  if (!generation->args.quiet && isatty (STDERR_FILENO))
    fprintf (stderr, "\r\033[K%s %.0f %%", what, 100 * fraction);
}

static void
end_progress (Generation *generation)
{
  if (!generation->args.quiet && isatty (STDERR_FILENO))
    fprintf (stderr, "\r\033[K");
}

static gboolean
open_stream (Generation *generation, GError **error)
{
  gint64 start = g_get_monotonic_time ();
  const Arguments *args = &generation->args;
  SoraModelFiles files = sora_command_parts_get_files (&args->parts, args->model);

  generation->model = sora_model_open_files (&files, error);
  if (!generation->model)
    return FALSE;
  if (args->image) {
    generation->picture = sora_picture_load (args->image, error);
    if (!generation->picture)
      return FALSE;
  }
  if (args->last_image) {
    generation->last_picture = sora_picture_load (args->last_image, error);
    if (!generation->last_picture)
      return FALSE;
  }
  if (!set_options (generation, error))
    return FALSE;
  generation->device = sora_device_open (args->device, error);
  if (!generation->device)
    return FALSE;
  generation->stream = sora_stream_new (generation->model, generation->device, generation->options, show_progress, generation, NULL,
      error);
  generation->load_seconds = (g_get_monotonic_time () - start) / 1e6;
  return generation->stream != NULL;
}

static gboolean
open_output (Generation *generation, GError **error)
{
  SoraVideoFormat format = { .n_frames = choose_length (generation),
    .full_chroma = g_strcmp0 (generation->args.chroma, "444") == 0 };

  sora_stream_get_size (generation->stream, &format.width, &format.height);
  sora_model_get_frame_rate (generation->model, &format.frame_rate[0], &format.frame_rate[1]);
  generation->writer = sora_video_writer_new (generation->args.output, &format, error);
  if (!generation->writer)
    return FALSE;
  if (generation->args.save_tensors) {
    generation->recorder = sora_recorder_new (generation->args.save_steps);
    sora_stream_set_tap (generation->stream, sora_recorder_tap, generation->recorder);
  }
  return TRUE;
}

static gboolean
write_block (Generation *generation, SoraBlock *block, GError **error)
{
  if (generation->n_blocks++ == 0)
    generation->first_seconds = sora_block_get_seconds (block);
  else
    generation->other_seconds += sora_block_get_seconds (block);
  if (generation->recorder)
    sora_recorder_add_frames (generation->recorder, block);
  for (guint i = 0; i < sora_block_get_n_frames (block); i++, generation->n_frames++) {
    if (!sora_video_writer_add (generation->writer, sora_block_get_rgb (block, i), error))
      return FALSE;
  }
  show_progress ((gdouble) generation->n_frames / choose_length (generation), "generating", generation);
  return TRUE;
}

static gboolean
write_video (Generation *generation, GError **error)
{
  while (TRUE) {
    GError *failure = NULL;
    g_autoptr (SoraBlock) block = sora_stream_next_block (generation->stream, NULL, &failure);
    if (failure) {
      g_propagate_error (error, failure);
      return FALSE;
    }
    if (!block)
      break;
    if (!write_block (generation, block, error))
      return FALSE;
  }
  if (!sora_video_writer_finish (generation->writer, error))
    return FALSE;
  return !generation->recorder || sora_recorder_save (generation->recorder, generation->args.save_tensors, error);
}

/* Load and run in seconds of each stage, and its weights' bytes. */
static void
print_stages (Generation *generation, FILE *file)
{
  static const gchar *const names[] = { "text_encoder", "transformer", "vae" };  /* in the order of SoraStage */

  for (guint stage = 0; stage < G_N_ELEMENTS (names); stage++) {
    gdouble load, run;
    guint64 bytes;
    sora_stream_get_stage (generation->stream, stage, &load, &run, &bytes);
    fprintf (file, "%s_load_seconds %.3f\n%s_seconds %.3f\n%s_weight_bytes %" G_GUINT64_FORMAT "\n", names[stage], load, names[stage], run,
        names[stage], bytes);
  }
}

/* One "name value" a line: seconds, bytes and ratios. Speed is that of the later blocks, if there are any. */
static void
print_stats (Generation *generation, FILE *file)
{
  guint64 stream_bytes, weight_bytes, later = generation->n_blocks - 1;
  guint first_frames, later_frames;
  gdouble seconds, speed;
  gint numerator, denominator;
  struct rusage usage;

  sora_stream_get_memory (generation->stream, &stream_bytes, &weight_bytes);
  sora_stream_get_block_frames (generation->stream, &first_frames, &later_frames);
  sora_model_get_frame_rate (generation->model, &numerator, &denominator);
  seconds = later > 0 ? generation->other_seconds / later : generation->first_seconds;
  speed = (later > 0 ? later_frames : first_frames) / MAX (seconds, 1e-9);
  getrusage (RUSAGE_SELF, &usage);
  fprintf (file, "device %s\n", sora_device_get_name (generation->device));
  fprintf (file, "frames %" G_GUINT64_FORMAT "\n", generation->n_frames);
  fprintf (file, "load_seconds %.3f\n", generation->load_seconds);
  fprintf (file, "first_block_seconds %.3f\n", generation->first_seconds);
  fprintf (file, "block_seconds %.3f\n", seconds);
  fprintf (file, "frames_per_second %.2f\n", speed);
  fprintf (file, "realtime_ratio %.2f\n", speed * denominator / numerator);
  print_stages (generation, file);
  fprintf (file, "stream_bytes %" G_GUINT64_FORMAT "\n", stream_bytes);
  fprintf (file, "weight_bytes %" G_GUINT64_FORMAT "\n", weight_bytes);
  fprintf (file, "vae_tile %u\n", sora_stream_get_vae_tile (generation->stream));
  fprintf (file, "peak_rss_bytes %" G_GUINT64_FORMAT "\n", (guint64) usage.ru_maxrss * 1024);
}

static void
print_reports (Generation *generation)
{
  FILE *file = g_str_equal (generation->args.output, "-") ? stderr : stdout;
  g_autofree gchar *profile = sora_stream_get_profile (generation->stream);

  if (generation->args.stats)
    print_stats (generation, file);
  if (profile)
    fputs (profile, file);
}

gboolean
sora_command_generate (gint argc, gchar **argv, GError **error)
{
  g_auto (Generation) generation = { .args = { .frames = -1, .steps = -1, .guidance_scale = -1, .guidance_scale_2 = -1, .guidance_end = 1, .shift = -1 } };
  gboolean success;

  if (!parse (&generation.args, argc, argv, error))
    return FALSE;
  success = open_stream (&generation, error) && open_output (&generation, error) && write_video (&generation, error);
  end_progress (&generation);
  if (success)
    print_reports (&generation);
  return success;
}
