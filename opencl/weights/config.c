/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads and checks the configuration files of a model directory; a field out of range is an error naming file and field. */

#include "weights/config.h"

#include <string.h>

#include "weights/json.h"

const gchar *const sora_sampler_names[] = {
  [SORA_SAMPLER_DEFAULT] = "default", [SORA_SAMPLER_EULER] = "euler", [SORA_SAMPLER_UNIPC] = "unipc",
  [SORA_SAMPLER_DPMPP_2M] = "dpmpp-2m", [SORA_SAMPLER_RENOISE] = "renoise", NULL,
};

#define NEED SORA_JSON_REQUIRED
#define MAYBE SORA_JSON_OPTIONAL

/* A string field that must be @expected where it is present. */
static void
expect_string (SoraJsonReader *reader, const gchar *name, const gchar *expected)
{
  const gchar *found = expected;

  sora_json_read_string (reader, name, MAYBE, &found);
  if (!reader->error && !g_str_equal (found, expected))
    sora_json_reader_fail (reader, SORA_MODEL_ERROR_UNSUPPORTED, "\"%s\": only \"%s\" is supported, found \"%s\"", name, expected, found);
}

static gboolean
is_false_or_empty (JsonNode *node)
{
  if (JSON_NODE_HOLDS_ARRAY (node))
    return json_array_get_length (json_node_get_array (node)) == 0;
  return JSON_NODE_HOLDS_VALUE (node) && json_node_get_value_type (node) == G_TYPE_BOOLEAN && !json_node_get_boolean (node);
}

/* A field of a variant that is not supported: it must be absent, null, false or an empty array. */
static void
expect_unset (SoraJsonReader *reader, const gchar *name, const gchar *what)
{
  JsonNode *node = sora_json_reader_has (reader, name) ? json_object_get_member (reader->object, name) : NULL;

  if (node && !is_false_or_empty (node))
    sora_json_reader_fail (reader, SORA_MODEL_ERROR_UNSUPPORTED, "\"%s\" is set: %s is not supported", name, what);
}

static void
check (SoraJsonReader *reader, gboolean condition, const gchar *what)
{
  if (!reader->error && !condition)
    sora_json_reader_fail (reader, SORA_MODEL_ERROR_FORMAT, "%s", what);
}

/* The index of the string field @name in @choices, which ends with NULL; @code: of the error if it is none of them. */
static guint
read_choice (SoraJsonReader *reader, const gchar *name, const gchar *const *choices, SoraModelError code)
{
  const gchar *found = NULL;
  g_autofree gchar *list = NULL;

  sora_json_read_string (reader, name, NEED, &found);
  for (guint i = 0; found && choices[i]; i++) {
    if (g_str_equal (found, choices[i]))
      return i;
  }
  list = g_strjoinv ("\" or \"", (gchar **) choices);
  sora_json_reader_fail (reader, code, "\"%s\": expected \"%s\", found \"%s\"", name, list, found ? found : "");
  return 0;
}

/* sora.json */

static void
read_prompt_cleaning (SoraStreamingConfig *config, SoraJsonReader *reader)
{
  static const gchar *const cleanings[] = { "whitespace", "wan", NULL };

  if (sora_json_reader_has (reader, "prompt_cleaning"))
    config->prompt_cleaning = read_choice (reader, "prompt_cleaning", cleanings, SORA_MODEL_ERROR_FORMAT);
}

static void
read_sizes (SoraStreamingConfig *config, SoraJsonReader *reader)
{
  JsonNode *node = sora_json_reader_has (reader, "sizes") ? json_object_get_member (reader->object, "sizes") : NULL;
  JsonArray *sizes = node && JSON_NODE_HOLDS_ARRAY (node) ? json_node_get_array (node) : NULL;
  guint n = sizes ? json_array_get_length (sizes) : 0;

  check (reader, n >= 1 && n <= SORA_MAX_SIZES, "\"sizes\": expected 1 to 16 pairs of width and height");
  for (guint i = 0; i < n && !reader->error; i++) {
    JsonNode *pair_node = json_array_get_element (sizes, i);
    JsonArray *pair = JSON_NODE_HOLDS_ARRAY (pair_node) ? json_node_get_array (pair_node) : NULL;
    gboolean sound = pair && json_array_get_length (pair) == 2;
    for (guint j = 0; sound && j < 2; j++) {
      guint64 value = 0;
      sound = sora_json_node_get_uint64 (json_array_get_element (pair, j), 1, 16384, &value);
      config->sizes[i][j] = value;
    }
    check (reader, sound, "\"sizes\": each must be a width and a height from 1 to 16384");
  }
  config->n_sizes = reader->error ? 0 : n;
}

static void
read_causality (SoraStreamingConfig *config, SoraJsonReader *reader)
{
  SoraJsonNeed need;

  sora_json_read_boolean (reader, "causal", NEED, &config->causal);
  need = config->causal ? NEED : MAYBE;
  sora_json_read_uint (reader, "block_latents", need, 1, 1024, &config->block_latents);
  sora_json_read_uint (reader, "window_latents", need, 1, 4096, &config->window_latents);
  sora_json_read_double (reader, "context_timestep", need, 0, 1000, &config->context_timestep);
  sora_json_read_double (reader, "context_noise", need, 0, 1, &config->context_noise);
  sora_json_read_uint (reader, "default_latents", config->causal ? MAYBE : NEED, config->causal ? 0 : 1, 4096, &config->default_latents);
  sora_json_read_uint (reader, "sink_latents", MAYBE, 0, 4096, &config->sink_latents);
  sora_json_read_double (reader, "change_noise", MAYBE, 0, 1, &config->change_noise);
  sora_json_read_boolean (reader, "context_alone", MAYBE, &config->context_alone);
  sora_json_read_double (reader, "coring_threshold", MAYBE, 0, 10, &config->coring_threshold);
  if (!config->causal) {
    config->block_latents = config->window_latents = config->default_latents;
    config->sink_latents = 0;
    config->change_noise = 0;
  }
  check (reader, config->block_latents > 0 && config->window_latents % MAX (config->block_latents, 1) == 0,
      "\"window_latents\" must be a multiple of \"block_latents\"");
  check (reader, config->sink_latents % MAX (config->block_latents, 1) == 0
      && config->sink_latents + config->block_latents <= config->window_latents,
      "\"sink_latents\" must be a multiple of \"block_latents\", and leave room for a block in \"window_latents\"");
  check (reader, config->change_noise == 0 || config->sink_latents > 0,
      "\"change_noise\" is for models with \"sink_latents\": without them older blocks stay in sight");
}

static void
read_frame_rate (SoraStreamingConfig *config, SoraJsonReader *reader)
{
  guint rate[2] = { 0 };

  sora_json_read_uints (reader, "frame_rate", 2, 2, 1, 1000000, rate);
  config->frame_rate[0] = rate[0];
  config->frame_rate[1] = rate[1];
}

static void
read_sampling (SoraStreamingConfig *config, SoraJsonReader *reader)
{
  static const gchar *const predictions[] = { "flow", "sample", NULL };

  config->sampler = SORA_SAMPLER_EULER
      + read_choice (reader, "sampler", sora_sampler_names + SORA_SAMPLER_EULER, SORA_MODEL_ERROR_FORMAT);
  config->prediction = read_choice (reader, "prediction_type", predictions, SORA_MODEL_ERROR_FORMAT) == 0 ? SORA_PREDICTION_FLOW
      : SORA_PREDICTION_SAMPLE;
  sora_json_read_uint (reader, "steps", NEED, 1, 1000, &config->steps);
  sora_json_read_double (reader, "shift", NEED, 0.01, 100, &config->shift);
  sora_json_read_double (reader, "guidance_scale", NEED, 0, 100, &config->guidance_scale);
  sora_json_read_double (reader, "guidance_scale_2", MAYBE, 0, 100, &config->guidance_scale_2);
  sora_json_read_double (reader, "boundary_ratio", MAYBE, 0, 1, &config->boundary_ratio);
}

gboolean
sora_streaming_config_load (SoraStreamingConfig *config, const gchar *path, GError **error)
{
  SoraJsonReader reader;
  const gchar *format = "", *name = NULL;
  guint version = 0;

  *config = (SoraStreamingConfig) { .guidance_scale_2 = -1 };
  sora_json_reader_open (&reader, path);
  sora_json_read_string (&reader, "format", NEED, &format);
  sora_json_read_uint (&reader, "version", NEED, 1, G_MAXINT, &version);
  check (&reader, g_str_equal (format, "sora"), "\"format\": expected \"sora\"");
  if (!reader.error && version != 1)
    sora_json_reader_fail (&reader, SORA_MODEL_ERROR_UNSUPPORTED, "version %u is newer than version 1, which this libsora reads", version);
  sora_json_read_string (&reader, "name", MAYBE, &name);
  read_causality (config, &reader);
  read_frame_rate (config, &reader);
  read_sizes (config, &reader);
  read_sampling (config, &reader);
  sora_json_read_uint (&reader, "text_length", NEED, 1, 8192, &config->text_length);
  read_prompt_cleaning (config, &reader);
  config->name = g_strdup (name);
  if (sora_json_reader_close (&reader, error))
    return TRUE;
  sora_streaming_config_clear (config);
  return FALSE;
}

/* Wan's published defaults: 2.1 makes 81 frames at 16 frames a second, 2.2 TI2V (48 latent channels) 121 at 24. */
static void
set_wan_defaults (SoraStreamingConfig *config, guint latent_channels)
{
  static const guint sizes[2][2] = { { 832, 480 }, { 480, 832 } };
  static const guint ti2v_sizes[2][2] = { { 1280, 704 }, { 704, 1280 } };
  gboolean ti2v = latent_channels == 48;

  *config = (SoraStreamingConfig) {
    .default_latents = ti2v ? 31 : 21,
    .text_length = 512,
    .prompt_cleaning = SORA_PROMPT_WAN,
    .frame_rate = { ti2v ? 24 : 16, 1 },
    .n_sizes = 2,
    .sampler = SORA_SAMPLER_UNIPC,
    .prediction = SORA_PREDICTION_FLOW,
    .steps = 50, .shift = ti2v ? 5 : 3, .guidance_scale = 5, .guidance_scale_2 = -1,
  };
  config->block_latents = config->window_latents = config->default_latents;
  memcpy (config->sizes, ti2v ? ti2v_sizes : sizes, sizeof (sizes));
}

/* scheduler/scheduler_config.json */

static void
expect_true (SoraJsonReader *reader, const gchar *name, gboolean by_default)
{
  gboolean value = by_default;

  sora_json_read_boolean (reader, name, MAYBE, &value);
  if (!reader->error && !value)
    sora_json_reader_fail (reader, SORA_MODEL_ERROR_UNSUPPORTED, "\"%s\" must be true", name);
}

/* An integer field that must be @expected where it is present. */
static void
expect_uint (SoraJsonReader *reader, const gchar *name, guint expected)
{
  guint found = expected;

  sora_json_read_uint (reader, name, MAYBE, 0, G_MAXINT, &found);
  if (!reader->error && found != expected)
    sora_json_reader_fail (reader, SORA_MODEL_ERROR_UNSUPPORTED, "\"%s\": only %u is supported, found %u", name, expected, found);
}

/* The multi-step schedulers have many variants; diffusers' defaults stand for what is missing. */
static void
expect_multistep (SoraJsonReader *reader, gboolean unipc)
{
  expect_string (reader, "prediction_type", "flow_prediction");
  expect_string (reader, "solver_type", unipc ? "bh2" : "midpoint");
  expect_string (reader, "algorithm_type", "dpmsolver++");
  expect_string (reader, "final_sigmas_type", "zero");
  expect_true (reader, "use_flow_sigmas", FALSE);
  expect_true (reader, "lower_order_final", TRUE);
  expect_true (reader, "predict_x0", TRUE);
  expect_uint (reader, "solver_order", 2);
}

static void
read_scheduler (SoraStreamingConfig *config, SoraJsonReader *reader)
{
  static const gchar *const classes[] = { "UniPCMultistepScheduler", "DPMSolverMultistepScheduler", "FlowMatchEulerDiscreteScheduler", NULL };
  static const SoraSamplerType samplers[] = { SORA_SAMPLER_UNIPC, SORA_SAMPLER_DPMPP_2M, SORA_SAMPLER_EULER };
  static const gchar *const variants[] = { "use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas", "use_lu_lambdas",
    "use_dynamic_shifting", "shift_terminal", "invert_sigmas", "stochastic_sampling", "thresholding", "disable_corrector", "solver_p" };

  config->sampler = samplers[read_choice (reader, "_class_name", classes, SORA_MODEL_ERROR_UNSUPPORTED)];
  expect_uint (reader, "num_train_timesteps", 1000);
  for (guint i = 0; i < G_N_ELEMENTS (variants); i++)
    expect_unset (reader, variants[i], "this variant of the scheduler");
  if (config->sampler != SORA_SAMPLER_EULER)
    expect_multistep (reader, config->sampler == SORA_SAMPLER_UNIPC);
  sora_json_read_double (reader, config->sampler == SORA_SAMPLER_EULER ? "shift" : "flow_shift", NEED, 0.01, 100, &config->shift);
}

gboolean
sora_streaming_config_init_wan (SoraStreamingConfig *config, guint latent_channels, const gchar *scheduler_path, GError **error)
{
  SoraJsonReader reader;

  set_wan_defaults (config, latent_channels);
  if (!scheduler_path)
    return TRUE;
  sora_json_reader_open (&reader, scheduler_path);
  read_scheduler (config, &reader);
  return sora_json_reader_close (&reader, error);
}

void
sora_streaming_config_set_wan_experts (SoraStreamingConfig *config, gboolean from_image, const gchar *scheduler_path)
{
  config->steps = 40;
  config->guidance_scale = from_image ? 3.5 : 4;
  config->guidance_scale_2 = from_image ? 3.5 : 3;
  if (!scheduler_path)
    config->shift = from_image ? 5 : 12;
}

/* Four steps at 1000, 750, 500 and 250, which a shift of 5 warps; the clean pass at 0; and as many latents in sight as a clip of Wan 2.1. */
void
sora_streaming_config_set_wan_causal (SoraStreamingConfig *config)
{
  config->causal = TRUE;
  config->block_latents = 3;
  config->window_latents = 21;
  config->context_timestep = config->context_noise = 0;
  config->default_latents = 0;
  config->sampler = SORA_SAMPLER_RENOISE;
  config->steps = 4;
  config->shift = 5;
  config->guidance_scale = 1;
}

void
sora_streaming_config_clear (SoraStreamingConfig *config)
{
  g_clear_pointer (&config->name, g_free);
}

/* text_encoder/config.json */

gboolean
sora_text_encoder_config_load (SoraTextEncoderConfig *config, const gchar *path, GError **error)
{
  SoraJsonReader reader;

  *config = (SoraTextEncoderConfig) {
    .relative_attention_num_buckets = 32, .relative_attention_max_distance = 128, .layer_norm_epsilon = 1e-6,
  };
  sora_json_reader_open (&reader, path);
  expect_string (&reader, "model_type", "umt5");
  expect_string (&reader, "feed_forward_proj", "gated-gelu");
  expect_string (&reader, "dense_act_fn", "gelu_new");
  sora_json_read_uint (&reader, "vocab_size", NEED, 3, 1 << 22, &config->vocab_size);
  sora_json_read_uint (&reader, "d_model", NEED, 1, 1 << 16, &config->d_model);
  sora_json_read_uint (&reader, "d_kv", NEED, 1, 1024, &config->d_kv);
  sora_json_read_uint (&reader, "d_ff", NEED, 1, 1 << 18, &config->d_ff);
  sora_json_read_uint (&reader, "num_layers", NEED, 1, 1024, &config->num_layers);
  sora_json_read_uint (&reader, "num_heads", NEED, 1, 1024, &config->num_heads);
  sora_json_read_uint (&reader, "relative_attention_num_buckets", MAYBE, 4, 4096, &config->relative_attention_num_buckets);
  sora_json_read_uint (&reader, "relative_attention_max_distance", MAYBE, 2, 1 << 16, &config->relative_attention_max_distance);
  sora_json_read_double (&reader, "layer_norm_epsilon", MAYBE, 0, 1, &config->layer_norm_epsilon);
  /* half of the buckets are for each direction, and half of those for single distances, beyond which they grow as a logarithm */
  check (&reader, config->relative_attention_num_buckets % 4 == 0
      && config->relative_attention_max_distance > config->relative_attention_num_buckets / 4,
      "\"relative_attention_num_buckets\" must be a multiple of 4 and below 4 times \"relative_attention_max_distance\"");
  return sora_json_reader_close (&reader, error);
}

/* transformer/config.json */

static void
read_patch_size (SoraTransformerConfig *config, SoraJsonReader *reader)
{
  if (sora_json_reader_has (reader, "patch_size"))
    sora_json_read_uints (reader, "patch_size", 3, 3, 1, 16, config->patch_size);
  if (!reader->error && config->patch_size[0] != 1)
    sora_json_reader_fail (reader, SORA_MODEL_ERROR_UNSUPPORTED, "\"patch_size\": only patches of one latent frame are supported, found %u",
        config->patch_size[0]);
}

/* The added keys and values are made from the embeddings once these are as wide as the transformer. */
static void
read_image_conditioning (SoraTransformerConfig *config, SoraJsonReader *reader)
{
  guint added = 0;

  sora_json_read_uint (reader, "image_dim", MAYBE, 1, 1 << 14, &config->image_dim);
  sora_json_read_uint (reader, "added_kv_proj_dim", MAYBE, 1, 1 << 20, &added);
  sora_json_read_uint (reader, "pos_embed_seq_len", MAYBE, 2, 1 << 14, &config->image_positions);
  check (reader, added == (config->image_dim > 0 ? config->num_attention_heads * config->attention_head_dim : 0),
      "\"added_kv_proj_dim\" must be \"num_attention_heads\" times \"attention_head_dim\" with \"image_dim\", and missing without");
  check (reader, config->image_positions == 0 || (config->image_dim > 0 && config->image_positions % 2 == 0),
      "\"pos_embed_seq_len\" must be even, and needs \"image_dim\"");
}

gboolean
sora_transformer_config_load (SoraTransformerConfig *config, const gchar *path, GError **error)
{
  SoraJsonReader reader;

  *config = (SoraTransformerConfig) { .patch_size = { 1, 2, 2 }, .freq_dim = 256, .cross_attn_norm = TRUE, .eps = 1e-6 };
  sora_json_reader_open (&reader, path);
  expect_string (&reader, "_class_name", "WanTransformer3DModel");
  expect_string (&reader, "qk_norm", "rms_norm_across_heads");
  read_patch_size (config, &reader);
  sora_json_read_uint (&reader, "in_channels", NEED, 1, 1024, &config->in_channels);
  config->out_channels = config->in_channels;
  sora_json_read_uint (&reader, "out_channels", MAYBE, 1, 1024, &config->out_channels);
  sora_json_read_uint (&reader, "num_attention_heads", NEED, 1, 1024, &config->num_attention_heads);
  sora_json_read_uint (&reader, "attention_head_dim", NEED, 6, 1024, &config->attention_head_dim);
  sora_json_read_uint (&reader, "num_layers", NEED, 1, 1024, &config->num_layers);
  sora_json_read_uint (&reader, "ffn_dim", NEED, 1, 1 << 18, &config->ffn_dim);
  sora_json_read_uint (&reader, "text_dim", NEED, 1, 1 << 16, &config->text_dim);
  sora_json_read_uint (&reader, "freq_dim", MAYBE, 2, 1 << 14, &config->freq_dim);
  sora_json_read_boolean (&reader, "cross_attn_norm", MAYBE, &config->cross_attn_norm);
  sora_json_read_double (&reader, "eps", MAYBE, 0, 1, &config->eps);
  read_image_conditioning (config, &reader);
  check (&reader, config->attention_head_dim % 2 == 0, "\"attention_head_dim\" must be even");
  check (&reader, config->freq_dim % 2 == 0, "\"freq_dim\" must be even");
  return sora_json_reader_close (&reader, error);
}

/* vae/config.json */

/* Five fields of one half: PREFIX_widths, PREFIX_blocks, PREFIX_time_SCALE, PREFIX_space_SCALE. */
static void
read_levels (SoraVaeLevels *levels, SoraJsonReader *reader, const gchar *prefix, const gchar *scale)
{
  g_autofree gchar *widths = g_strdup_printf ("%s_widths", prefix), *blocks = g_strdup_printf ("%s_blocks", prefix);
  g_autofree gchar *time = g_strdup_printf ("%s_time_%s", prefix, scale), *space = g_strdup_printf ("%s_space_%s", prefix, scale);
  guint n = sora_json_read_uints (reader, widths, 2, SORA_VAE_MAX_LEVELS + 1, 1, 4096, levels->widths);

  if (n == 0)
    return;
  levels->n_levels = n - 1;
  sora_json_read_uints (reader, blocks, n - 1, n - 1, 0, 64, levels->blocks);
  sora_json_read_booleans (reader, time, n - 1, n - 1, levels->time);
  sora_json_read_booleans (reader, space, n - 1, n - 1, levels->space);
}

static guint
count_scale (const gboolean *doubled, guint n)
{
  guint scale = 1;
  for (guint i = 0; i < n; i++)
    scale *= doubled[i] ? 2 : 1;
  return scale;
}

static void
read_statistics (SoraVaeConfig *config, SoraJsonReader *reader)
{
  guint n = config->latent_channels;

  if (reader->error)
    return;
  config->latents_mean = g_new0 (gfloat, n);
  config->latents_std = g_new0 (gfloat, n);
  sora_json_read_floats (reader, "latents_mean", n, n, -1e6, 1e6, config->latents_mean);
  sora_json_read_floats (reader, "latents_std", n, n, 1e-6, 1e6, config->latents_std);
}

static void
derive_scales (SoraVaeConfig *config, SoraJsonReader *reader)
{
  SoraVaeLevels *encoder = &config->encoder, *decoder = &config->decoder;

  config->spatial_scale = config->patch_size * count_scale (decoder->space, decoder->n_levels);
  config->time_scale = count_scale (decoder->time, decoder->n_levels);
  check (reader, config->spatial_scale == config->patch_size * count_scale (encoder->space, encoder->n_levels)
      && config->time_scale == count_scale (encoder->time, encoder->n_levels), "encoder and decoder differ in scale");
  check (reader, config->frames_to_trim < config->time_scale, "\"frames_to_trim\" must be below the frames of a latent");
}

static void
read_taehv (SoraVaeConfig *config, SoraJsonReader *reader)
{
  sora_json_read_uint (reader, "image_channels", MAYBE, 1, 16, &config->image_channels);
  if (!reader->error && config->image_channels != 3)
    sora_json_reader_fail (reader, SORA_MODEL_ERROR_UNSUPPORTED, "\"image_channels\": only 3 are supported, found %u", config->image_channels);
  sora_json_read_uint (reader, "patch_size", NEED, 1, 16, &config->patch_size);
  sora_json_read_uint (reader, "latent_channels", NEED, 1, 1024, &config->latent_channels);
  sora_json_read_uint (reader, "frames_to_trim", NEED, 0, 64, &config->frames_to_trim);
  read_levels (&config->encoder, reader, "encoder", "downscale");
  read_levels (&config->decoder, reader, "decoder", "upscale");
  derive_scales (config, reader);
}

/* A field that says again what follows from others: @derived, where it is there. */
static void
expect_derived (SoraJsonReader *reader, const gchar *name, guint derived)
{
  guint found = derived;

  sora_json_read_uint (reader, name, MAYBE, 0, G_MAXINT, &found);
  if (!reader->error && found != derived)
    sora_json_reader_fail (reader, SORA_MODEL_ERROR_FORMAT, "\"%s\" is %u, but the other fields make it %u", name, found, derived);
}

/* Attention at other places than the middle is in none of the published models. */
static void
expect_no_attention (SoraJsonReader *reader)
{
  JsonNode *node = sora_json_reader_has (reader, "attn_scales") ? json_object_get_member (reader->object, "attn_scales") : NULL;

  if (node && !(JSON_NODE_HOLDS_ARRAY (node) && json_array_get_length (json_node_get_array (node)) == 0))
    sora_json_reader_fail (reader, SORA_MODEL_ERROR_UNSUPPORTED, "\"attn_scales\": attention outside the middle block is not supported");
}

static void
read_wan_levels (SoraWanVaeConfig *wan, SoraJsonReader *reader)
{
  sora_json_read_uint (reader, "base_dim", NEED, 1, 2048, &wan->base_dim);
  wan->decoder_base_dim = wan->base_dim;
  sora_json_read_uint (reader, "decoder_base_dim", MAYBE, 1, 2048, &wan->decoder_base_dim);
  wan->n_levels = sora_json_read_uints (reader, "dim_mult", 2, SORA_VAE_MAX_LEVELS, 1, 16, wan->dim_mult);
  if (!reader->error)
    sora_json_read_booleans (reader, "temperal_downsample", wan->n_levels - 1, wan->n_levels - 1, wan->temperal_downsample);
  sora_json_read_uint (reader, "num_res_blocks", NEED, 1, 64, &wan->num_res_blocks);
  expect_no_attention (reader);
}

/* places in time and space that one place on the other side of a change of size stands for */
static guint
count_places (gboolean in_time)
{
  return in_time ? 8 : 4;
}

/* A shortcut takes means of the larger side's numbers, or repeats the smaller side's: as many of one as make up one of the other. */
static const gchar *
find_shortcut_fault (const SoraWanVaeConfig *wan)
{
  guint last = wan->n_levels - 1;

  for (guint i = 0; i <= last; i++) {
    guint in = i > 0 ? wan->dim_mult[i - 1] : 1, places = i < last ? count_places (wan->temperal_downsample[i]) : 1;

    if (in * places % wan->dim_mult[i] != 0)
      return "\"dim_mult\" grows by what the encoder's shortcuts cannot follow";
  }
  for (guint i = last; i > 0; i--) {
    guint in = wan->dim_mult[MIN (i + 1, last)], places = count_places (wan->temperal_downsample[i - 1]);

    if (wan->dim_mult[i] * places % in != 0)
      return "\"dim_mult\" grows by what the decoder's shortcuts cannot follow";
  }
  return NULL;
}

const gchar *
sora_vae_config_complete_wan (SoraVaeConfig *config)
{
  const SoraWanVaeConfig *wan = &config->wan;

  config->spatial_scale = config->patch_size << (wan->n_levels - 1);
  config->time_scale = count_scale (wan->temperal_downsample, wan->n_levels - 1);
  config->frames_to_trim = config->time_scale - 1;
  if (wan->decoder_base_dim % 2 != 0)
    return "\"decoder_base_dim\", or \"base_dim\" without it, must be even";
  return wan->is_residual ? find_shortcut_fault (wan) : NULL;
}

static void
read_wan (SoraVaeConfig *config, SoraJsonReader *reader)
{
  const gchar *fault;

  read_wan_levels (&config->wan, reader);
  sora_json_read_uint (reader, "z_dim", NEED, 1, 1024, &config->latent_channels);
  config->patch_size = 1;
  sora_json_read_uint (reader, "patch_size", MAYBE, 1, 16, &config->patch_size);
  sora_json_read_boolean (reader, "is_residual", MAYBE, &config->wan.is_residual);
  if (reader->error)
    return;
  fault = sora_vae_config_complete_wan (config);
  check (reader, fault == NULL, fault);
  expect_derived (reader, "in_channels", config->image_channels * config->patch_size * config->patch_size);
  expect_derived (reader, "out_channels", config->image_channels * config->patch_size * config->patch_size);
  expect_derived (reader, "scale_factor_spatial", config->spatial_scale);
  expect_derived (reader, "scale_factor_temporal", config->time_scale);
}

static void
read_kind (SoraVaeConfig *config, SoraJsonReader *reader)
{
  const gchar *name = "TAEHV";

  sora_json_read_string (reader, "_class_name", MAYBE, &name);
  config->kind = g_str_equal (name, "AutoencoderKLWan") ? SORA_VAE_WAN : SORA_VAE_TAEHV;
  if (config->kind == SORA_VAE_TAEHV && !g_str_equal (name, "TAEHV"))
    sora_json_reader_fail (reader, SORA_MODEL_ERROR_UNSUPPORTED,
        "\"_class_name\": only \"TAEHV\" and \"AutoencoderKLWan\" are supported, found \"%s\"", name);
}

gboolean
sora_vae_config_load (SoraVaeConfig *config, const gchar *path, GError **error)
{
  SoraJsonReader reader;

  *config = (SoraVaeConfig) { .image_channels = 3 };
  sora_json_reader_open (&reader, path);
  read_kind (config, &reader);
  if (config->kind == SORA_VAE_WAN)
    read_wan (config, &reader);
  else
    read_taehv (config, &reader);
  read_statistics (config, &reader);
  if (sora_json_reader_close (&reader, error))
    return TRUE;
  sora_vae_config_clear (config);
  return FALSE;
}

void
sora_vae_config_clear (SoraVaeConfig *config)
{
  g_clear_pointer (&config->latents_mean, g_free);
  g_clear_pointer (&config->latents_std, g_free);
}
