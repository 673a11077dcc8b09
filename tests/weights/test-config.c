/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Configuration files: sound ones read to the letter, and a table of single faults, each refused with its file and field named. */

#include <glib/gstdio.h>
#include <string.h>

#include "weights/config.h"

static gchar *path;

typedef enum { STREAMING, TEXT_ENCODER, TRANSFORMER, VAE, WAN_VAE } Kind;

static const gchar *const sound[] = {
  [STREAMING] = "{\"format\": \"sora\", \"version\": 1, \"name\": \"tiny\", \"causal\": true, \"block_latents\": 2, \"window_latents\": 8, "
      "\"context_timestep\": 50, \"context_noise\": 0.05, \"text_length\": 64, \"frame_rate\": [16, 1], \"sizes\": [[256, 256], [320, 192]], "
      "\"default_latents\": 0, \"sampler\": \"euler\", \"steps\": 6, \"shift\": 3.0, \"guidance_scale\": 3, \"prediction_type\": \"sample\"}",
  [TEXT_ENCODER] = "{\"model_type\": \"umt5\", \"vocab_size\": 2304, \"d_model\": 256, \"d_kv\": 64, \"d_ff\": 512, \"num_layers\": 3, "
      "\"num_heads\": 4, \"relative_attention_num_buckets\": 32, \"layer_norm_epsilon\": 1e-06, \"feed_forward_proj\": \"gated-gelu\"}",
  [TRANSFORMER] = "{\"_class_name\": \"WanTransformer3DModel\", \"patch_size\": [1, 2, 2], \"num_attention_heads\": 4, "
      "\"attention_head_dim\": 64, \"in_channels\": 32, \"text_dim\": 256, \"freq_dim\": 256, \"ffn_dim\": 768, \"num_layers\": 8, "
      "\"cross_attn_norm\": true, \"qk_norm\": \"rms_norm_across_heads\", \"eps\": 1e-06, \"image_dim\": null}",
  [VAE] = "{\"_class_name\": \"TAEHV\", \"image_channels\": 3, \"patch_size\": 4, \"latent_channels\": 2, \"encoder_widths\": [8, 16, 24], "
      "\"encoder_blocks\": [1, 2], \"encoder_time_downscale\": [true, true], \"encoder_space_downscale\": [true, true], "
      "\"decoder_widths\": [32, 16, 8, 8], \"decoder_blocks\": [2, 2, 1], \"decoder_time_upscale\": [true, true, false], "
      "\"decoder_space_upscale\": [true, true, false], \"frames_to_trim\": 3, \"latents_mean\": [0.5, -1], \"latents_std\": [1, 2.5]}",
  [WAN_VAE] = "{\"_class_name\": \"AutoencoderKLWan\", \"attn_scales\": [], \"base_dim\": 96, \"decoder_base_dim\": null, "
      "\"dim_mult\": [1, 2, 4, 4], \"is_residual\": false, \"dropout\": 0.0, \"num_res_blocks\": 2, "
      "\"temperal_downsample\": [false, true, true], \"z_dim\": 2, \"in_channels\": 3, \"patch_size\": null, "
      "\"scale_factor_spatial\": 8, \"scale_factor_temporal\": 4, \"latents_mean\": [0.5, -1], \"latents_std\": [1, 2.5]}",
};

/* One of each, freed by the caller's clear functions. */
typedef struct {
  SoraStreamingConfig streaming;
  SoraTextEncoderConfig text_encoder;
  SoraTransformerConfig transformer;
  SoraVaeConfig vae;
} Configs;

static gboolean
load_text (Kind kind, const gchar *text, Configs *configs, GError **error)
{
  g_assert_true (g_file_set_contents (path, text, -1, NULL));
  switch (kind) {
    case STREAMING:
      return sora_streaming_config_load (&configs->streaming, path, error);
    case TEXT_ENCODER:
      return sora_text_encoder_config_load (&configs->text_encoder, path, error);
    case TRANSFORMER:
      return sora_transformer_config_load (&configs->transformer, path, error);
    default:
      return sora_vae_config_load (&configs->vae, path, error);
  }
}

static void
clear (Configs *configs)
{
  sora_streaming_config_clear (&configs->streaming);
  sora_vae_config_clear (&configs->vae);
}

static void
test_streaming (void)
{
  Configs configs = { 0 };
  SoraStreamingConfig *config = &configs.streaming;
  g_autoptr (GError) error = NULL;

  g_assert_true (load_text (STREAMING, sound[STREAMING], &configs, &error));
  g_assert_no_error (error);
  g_assert_cmpstr (config->name, ==, "tiny");
  g_assert_true (config->causal);
  g_assert_cmpuint (config->block_latents, ==, 2);
  g_assert_cmpuint (config->window_latents, ==, 8);
  g_assert_cmpuint (config->sink_latents, ==, 0);
  g_assert_false (config->context_alone);
  g_assert_cmpfloat (config->coring_threshold, ==, 0);
  g_assert_cmpfloat (config->change_noise, ==, 0);
  g_assert_cmpfloat (config->context_timestep, ==, 50);
  g_assert_cmpfloat (config->context_noise, ==, 0.05);
  g_assert_cmpuint (config->text_length, ==, 64);
  g_assert_cmpint (config->prompt_cleaning, ==, SORA_PROMPT_WHITESPACE);
  g_assert_cmpint (config->frame_rate[0], ==, 16);
  g_assert_cmpint (config->frame_rate[1], ==, 1);
  g_assert_cmpuint (config->n_sizes, ==, 2);
  g_assert_cmpuint (config->sizes[1][0], ==, 320);
  g_assert_cmpuint (config->sizes[1][1], ==, 192);
  g_assert_cmpint (config->sampler, ==, SORA_SAMPLER_EULER);
  g_assert_cmpint (config->prediction, ==, SORA_PREDICTION_SAMPLE);
  g_assert_cmpuint (config->steps, ==, 6);
  g_assert_cmpfloat (config->shift, ==, 3);
  g_assert_cmpfloat (config->guidance_scale, ==, 3);
  clear (&configs);
}

static void
test_sink (void)
{
  Configs configs = { 0 };
  g_autoptr (GError) error = NULL;
  g_auto (GStrv) parts = g_strsplit (sound[STREAMING], "\"window_latents\": 8", 2);
  g_autofree gchar *text = g_strjoinv ("\"window_latents\": 8, \"sink_latents\": 6, \"context_alone\": true, \"coring_threshold\": 0.25, \"change_noise\": 0.75", parts);

  g_assert_true (load_text (STREAMING, text, &configs, &error));
  g_assert_no_error (error);
  g_assert_cmpuint (configs.streaming.window_latents, ==, 8);
  g_assert_cmpuint (configs.streaming.sink_latents, ==, 6);
  g_assert_true (configs.streaming.context_alone);
  g_assert_cmpfloat (configs.streaming.coring_threshold, ==, 0.25);
  g_assert_cmpfloat (configs.streaming.change_noise, ==, 0.75);
  clear (&configs);
}

static void
test_clip (void)
{
  Configs configs = { 0 };
  g_autoptr (GError) error = NULL;

  g_assert_true (load_text (STREAMING, "{\"format\": \"sora\", \"version\": 1, \"causal\": false, \"default_latents\": 5, \"text_length\": 64, "
          "\"prompt_cleaning\": \"wan\", "
          "\"frame_rate\": [30000, 1001], \"sizes\": [[64, 32]], \"sampler\": \"renoise\", \"steps\": 4, \"shift\": 5, "
          "\"guidance_scale\": 1, \"prediction_type\": \"flow\"}", &configs, &error));
  g_assert_no_error (error);
  g_assert_null (configs.streaming.name);
  g_assert_cmpuint (configs.streaming.block_latents, ==, 5);
  g_assert_cmpuint (configs.streaming.window_latents, ==, 5);
  g_assert_cmpint (configs.streaming.sampler, ==, SORA_SAMPLER_RENOISE);
  g_assert_cmpint (configs.streaming.prediction, ==, SORA_PREDICTION_FLOW);
  clear (&configs);
}

/* as diffusers writes it for Wan */
static const gchar wan_scheduler[] = "{\"_class_name\": \"UniPCMultistepScheduler\", \"beta_end\": 0.02, \"disable_corrector\": [], "
    "\"final_sigmas_type\": \"zero\", \"flow_shift\": 5.0, \"lower_order_final\": true, \"num_train_timesteps\": 1000, \"predict_x0\": true, "
    "\"prediction_type\": \"flow_prediction\", \"sample_max_value\": 1.0, \"solver_order\": 2, \"solver_p\": null, \"solver_type\": \"bh2\", "
    "\"thresholding\": false, \"timestep_spacing\": \"linspace\", \"use_flow_sigmas\": true, \"use_karras_sigmas\": false}";

static void
test_wan_defaults (void)
{
  SoraStreamingConfig config;
  g_autoptr (GError) error = NULL;

  g_assert_true (g_file_set_contents (path, "{\"_class_name\": \"FlowMatchEulerDiscreteScheduler\", \"shift\": 8.0}", -1, NULL));
  g_assert_true (sora_streaming_config_init_wan (&config, 16, path, &error));
  g_assert_cmpint (config.sampler, ==, SORA_SAMPLER_EULER);
  g_assert_false (config.causal);
  g_assert_cmpfloat (config.shift, ==, 8);
  g_assert_cmpuint (config.default_latents, ==, 21);    /* 81 frames */
  g_assert_cmpuint (config.text_length, ==, 512);
  g_assert_cmpint (config.prompt_cleaning, ==, SORA_PROMPT_WAN);
  g_assert_true (g_file_set_contents (path, wan_scheduler, -1, NULL));
  g_assert_true (sora_streaming_config_init_wan (&config, 48, path, &error));
  g_assert_cmpint (config.sampler, ==, SORA_SAMPLER_UNIPC);
  g_assert_cmpint (config.prediction, ==, SORA_PREDICTION_FLOW);
  g_assert_cmpfloat (config.shift, ==, 5);
  g_assert_cmpint (config.frame_rate[0], ==, 24);
  g_assert_no_error (error);
  g_assert_true (g_file_set_contents (path, "{}", -1, NULL));
  g_assert_false (sora_streaming_config_init_wan (&config, 48, path, &error));
  g_assert_error (error, SORA_MODEL_ERROR, SORA_MODEL_ERROR_FORMAT);
}

/* DPM-Solver++ in place of UniPC; and every variant that is not computed is refused, by the name of its field. */
static void
test_wan_schedulers (void)
{
  static const struct { const gchar *from, *to, *words; } alien[] = {
    { "UniPCMultistepScheduler", "EulerDiscreteScheduler", "found \"EulerDiscreteScheduler\"" },
    { "flow_prediction", "epsilon", "\"prediction_type\"" },
    { "bh2", "bh1", "\"solver_type\"" },
    { "\"zero\"", "\"sigma_min\"", "\"final_sigmas_type\"" },
    { "use_flow_sigmas\": true", "use_flow_sigmas\": false", "\"use_flow_sigmas\" must be true" },
    { "\"use_flow_sigmas\": true, ", "", "\"use_flow_sigmas\" must be true" },
    { "lower_order_final\": true", "lower_order_final\": false", "\"lower_order_final\"" },
    { "predict_x0\": true", "predict_x0\": false", "\"predict_x0\"" },
    { "solver_order\": 2", "solver_order\": 3", "\"solver_order\": only 2" },
    { "num_train_timesteps\": 1000", "num_train_timesteps\": 100", "\"num_train_timesteps\": only 1000" },
    { "disable_corrector\": []", "disable_corrector\": [0]", "\"disable_corrector\"" },
    { "karras_sigmas\": false", "karras_sigmas\": true", "\"use_karras_sigmas\"" },
  };
  SoraStreamingConfig config;
  g_autoptr (GError) error = NULL;
  g_autoptr (GString) dpm = g_string_new (wan_scheduler);

  g_string_replace (dpm, "UniPC", "DPMSolver", 1);
  g_string_replace (dpm, "bh2", "midpoint", 1);
  g_assert_true (g_file_set_contents (path, dpm->str, -1, NULL));
  g_assert_true (sora_streaming_config_init_wan (&config, 16, path, &error));
  g_assert_no_error (error);
  g_assert_cmpint (config.sampler, ==, SORA_SAMPLER_DPMPP_2M);
  for (guint i = 0; i < G_N_ELEMENTS (alien); i++) {
    g_autoptr (GString) text = g_string_new (wan_scheduler);
    g_autoptr (GError) refusal = NULL;
    g_assert_cmpuint (g_string_replace (text, alien[i].from, alien[i].to, 0), ==, 1);
    g_assert_true (g_file_set_contents (path, text->str, -1, NULL));
    g_assert_false (sora_streaming_config_init_wan (&config, 16, path, &refusal));
    g_assert_error (refusal, SORA_MODEL_ERROR, SORA_MODEL_ERROR_UNSUPPORTED);
    if (!strstr (refusal->message, alien[i].words) || !strstr (refusal->message, path))
      g_error ("expected the path and %s in %s", alien[i].words, refusal->message);
  }
}

static void
test_text_encoder (void)
{
  Configs configs = { 0 };
  SoraTextEncoderConfig *config = &configs.text_encoder;
  g_autoptr (GError) error = NULL;

  g_assert_true (load_text (TEXT_ENCODER, sound[TEXT_ENCODER], &configs, &error));
  g_assert_no_error (error);
  g_assert_cmpuint (config->vocab_size, ==, 2304);
  g_assert_cmpuint (config->d_model, ==, 256);
  g_assert_cmpuint (config->d_kv, ==, 64);
  g_assert_cmpuint (config->d_ff, ==, 512);
  g_assert_cmpuint (config->num_layers, ==, 3);
  g_assert_cmpuint (config->num_heads, ==, 4);
  g_assert_cmpuint (config->relative_attention_num_buckets, ==, 32);
  g_assert_cmpuint (config->relative_attention_max_distance, ==, 128);  /* transformers' default */
  g_assert_cmpfloat (config->layer_norm_epsilon, ==, 1e-6);
}

static void
test_transformer (void)
{
  Configs configs = { 0 };
  SoraTransformerConfig *config = &configs.transformer;
  g_autoptr (GError) error = NULL;

  g_assert_true (load_text (TRANSFORMER, sound[TRANSFORMER], &configs, &error));
  g_assert_no_error (error);
  g_assert_cmpuint (config->patch_size[2], ==, 2);
  g_assert_cmpuint (config->num_attention_heads, ==, 4);
  g_assert_cmpuint (config->attention_head_dim, ==, 64);
  g_assert_cmpuint (config->in_channels, ==, 32);
  g_assert_cmpuint (config->out_channels, ==, 32);      /* diffusers' default: as many */
  g_assert_cmpuint (config->text_dim, ==, 256);
  g_assert_cmpuint (config->freq_dim, ==, 256);
  g_assert_cmpuint (config->ffn_dim, ==, 768);
  g_assert_cmpuint (config->num_layers, ==, 8);
  g_assert_true (config->cross_attn_norm);
  g_assert_cmpuint (config->image_dim, ==, 0);
}

static void
test_image_conditioning (void)
{
  g_autoptr (GString) text = g_string_new (sound[TRANSFORMER]);
  Configs configs = { 0 };
  g_autoptr (GError) error = NULL;

  g_string_replace (text, "\"image_dim\": null", "\"image_dim\": 1280, \"added_kv_proj_dim\": 256, \"pos_embed_seq_len\": 514", 1);
  g_assert_true (load_text (TRANSFORMER, text->str, &configs, &error));
  g_assert_no_error (error);
  g_assert_cmpuint (configs.transformer.image_dim, ==, 1280);
  g_assert_cmpuint (configs.transformer.image_positions, ==, 514);
}

static void
test_vae (void)
{
  Configs configs = { 0 };
  SoraVaeConfig *config = &configs.vae;
  g_autoptr (GError) error = NULL;

  g_assert_true (load_text (VAE, sound[VAE], &configs, &error));
  g_assert_no_error (error);
  g_assert_cmpuint (config->patch_size, ==, 4);
  g_assert_cmpuint (config->latent_channels, ==, 2);
  g_assert_cmpuint (config->encoder.n_levels, ==, 2);
  g_assert_cmpuint (config->encoder.widths[2], ==, 24);
  g_assert_cmpuint (config->decoder.n_levels, ==, 3);
  g_assert_cmpuint (config->decoder.blocks[2], ==, 1);
  g_assert_false (config->decoder.space[2]);
  g_assert_cmpuint (config->spatial_scale, ==, 16);
  g_assert_cmpuint (config->time_scale, ==, 4);
  g_assert_cmpuint (config->frames_to_trim, ==, 3);
  g_assert_cmpfloat (config->latents_mean[1], ==, -1);
  g_assert_cmpfloat (config->latents_std[1], ==, 2.5);
  clear (&configs);
}

static void
test_wan_vae (void)
{
  Configs configs = { 0 };
  SoraVaeConfig *config = &configs.vae;
  g_autoptr (GError) error = NULL;

  g_assert_true (load_text (WAN_VAE, sound[WAN_VAE], &configs, &error));
  g_assert_no_error (error);
  g_assert_cmpint (config->kind, ==, SORA_VAE_WAN);
  g_assert_cmpuint (config->latent_channels, ==, 2);
  g_assert_cmpuint (config->patch_size, ==, 1);
  g_assert_cmpuint (config->wan.base_dim, ==, 96);
  g_assert_cmpuint (config->wan.decoder_base_dim, ==, 96);
  g_assert_cmpuint (config->wan.n_levels, ==, 4);
  g_assert_cmpuint (config->wan.dim_mult[2], ==, 4);
  g_assert_cmpuint (config->wan.num_res_blocks, ==, 2);
  g_assert_false (config->wan.temperal_downsample[0]);
  g_assert_true (config->wan.temperal_downsample[2]);
  g_assert_cmpuint (config->spatial_scale, ==, 8);
  g_assert_cmpuint (config->time_scale, ==, 4);
  g_assert_cmpuint (config->frames_to_trim, ==, 3);
  g_assert_cmpfloat (config->latents_std[1], ==, 2.5);
  clear (&configs);
}

/* @from replaced by @to in the sound file of its kind */
typedef struct {
  Kind kind;
  const gchar *from, *to;
  gint code;
  const gchar *words;
} Fault;

#define BAD SORA_MODEL_ERROR_FORMAT
#define ALIEN SORA_MODEL_ERROR_UNSUPPORTED

static const Fault faults[] = {
  { STREAMING, "\"sora\"", "\"other\"", BAD, "\"format\"" },
  { STREAMING, "\"version\": 1", "\"version\": 2", ALIEN, "version 2" },
  { STREAMING, "\"version\": 1,", "", BAD, "\"version\" is missing" },
  { STREAMING, "\"causal\": true", "\"causal\": 1", BAD, "\"causal\": expected true or false, found 1" },
  { STREAMING, "\"block_latents\": 2", "\"block_latents\": 0", BAD, "\"block_latents\": expected an integer from 1" },
  { STREAMING, "\"block_latents\": 2,", "", BAD, "\"block_latents\" is missing" },
  { STREAMING, "\"window_latents\": 8", "\"window_latents\": 7", BAD, "\"window_latents\" must be a multiple" },
  { STREAMING, "\"window_latents\": 8", "\"window_latents\": 8, \"sink_latents\": 3", BAD, "\"sink_latents\" must be a multiple" },
  { STREAMING, "\"window_latents\": 8", "\"window_latents\": 8, \"sink_latents\": 8", BAD, "leave room for a block" },
  { STREAMING, "\"window_latents\": 8", "\"window_latents\": 8, \"sink_latents\": -2", BAD, "\"sink_latents\": expected an integer from 0" },
  { STREAMING, "\"window_latents\": 8", "\"window_latents\": 8, \"sink_latents\": 2, \"change_noise\": 1.5", BAD, "\"change_noise\": expected a number from 0" },
  { STREAMING, "\"window_latents\": 8", "\"window_latents\": 8, \"change_noise\": 0.5", BAD, "\"change_noise\" is for models with \"sink_latents\"" },
  { STREAMING, "\"window_latents\": 8", "\"window_latents\": 8, \"context_alone\": 1", BAD, "\"context_alone\": expected true or false" },
  { STREAMING, "\"window_latents\": 8", "\"window_latents\": 8, \"coring_threshold\": -0.1", BAD, "\"coring_threshold\": expected a number from 0" },
  { STREAMING, "\"window_latents\": 8", "\"window_latents\": 8, \"coring_threshold\": \"0.1\"", BAD, "\"coring_threshold\"" },
  { STREAMING, "\"context_timestep\": 50", "\"context_timestep\": 1001", BAD, "\"context_timestep\"" },
  { STREAMING, "\"context_noise\": 0.05", "\"context_noise\": \"0.05\"", BAD, "\"context_noise\"" },
  { STREAMING, "\"text_length\": 64", "\"text_length\": 6.4", BAD, "\"text_length\"" },
  { STREAMING, "\"text_length\": 64", "\"text_length\": 64, \"prompt_cleaning\": \"clip\"", BAD, "expected \"whitespace\" or \"wan\"" },
  { STREAMING, "\"text_length\": 64", "\"text_length\": 64, \"prompt_cleaning\": 1", BAD, "\"prompt_cleaning\"" },
  { STREAMING, "[16, 1]", "[16, 0]", BAD, "\"frame_rate\"" },
  { STREAMING, "[16, 1]", "[16]", BAD, "\"frame_rate\": expected an array of 2" },
  { STREAMING, "[[256, 256], [320, 192]]", "[]", BAD, "\"sizes\"" },
  { STREAMING, "[[256, 256], [320, 192]]", "[[256]]", BAD, "\"sizes\"" },
  { STREAMING, "[[256, 256], [320, 192]]", "[256, 256]", BAD, "\"sizes\"" },
  { STREAMING, "[[256, 256], [320, 192]]", "[[0, 256]]", BAD, "\"sizes\"" },
  { STREAMING, "\"euler\"", "\"heun\"", BAD, "expected \"euler\" or \"unipc\" or \"dpmpp-2m\" or \"renoise\", found \"heun\"" },
  { STREAMING, "\"euler\"", "\"default\"", BAD, "found \"default\"" },
  { STREAMING, "\"steps\": 6", "\"steps\": 0", BAD, "\"steps\"" },
  { STREAMING, "\"shift\": 3.0", "\"shift\": 0", BAD, "\"shift\"" },
  { STREAMING, "\"shift\": 3.0", "\"shift\": null", BAD, "\"shift\" is missing" },
  { STREAMING, "\"sample\"", "\"epsilon\"", BAD, "\"prediction_type\"" },
  { STREAMING, "\"steps\": 6", "\"steps\": 6, \"steps\": 7", BAD, "twice" },
  { STREAMING, "}", "", BAD, "not JSON" },
  { TEXT_ENCODER, "umt5", "t5", ALIEN, "\"model_type\"" },
  { TEXT_ENCODER, "gated-gelu", "relu", ALIEN, "\"feed_forward_proj\"" },
  { TEXT_ENCODER, "\"d_model\": 256", "\"d_model\": -1", BAD, "\"d_model\"" },
  { TEXT_ENCODER, "\"num_heads\": 4, ", "", BAD, "\"num_heads\" is missing" },
  { TEXT_ENCODER, "buckets\": 32", "buckets\": 31", BAD, "\"relative_attention_num_buckets\"" },
  { TRANSFORMER, "WanTransformer3DModel", "WanVACETransformer3DModel", ALIEN, "\"_class_name\"" },
  { TRANSFORMER, "rms_norm_across_heads", "rms_norm", ALIEN, "\"qk_norm\"" },
  { TRANSFORMER, "\"image_dim\": null", "\"image_dim\": 1280", BAD, "\"added_kv_proj_dim\" must be" },
  { TRANSFORMER, "\"image_dim\": null", "\"added_kv_proj_dim\": 256", BAD, "\"added_kv_proj_dim\" must be" },
  { TRANSFORMER, "\"image_dim\": null", "\"image_dim\": 1280, \"added_kv_proj_dim\": 128", BAD, "\"added_kv_proj_dim\" must be" },
  { TRANSFORMER, "\"image_dim\": null", "\"pos_embed_seq_len\": 514", BAD, "\"pos_embed_seq_len\" must be" },
  { TRANSFORMER, "[1, 2, 2]", "[2, 2, 2]", ALIEN, "\"patch_size\"" },
  { TRANSFORMER, "[1, 2, 2]", "[1, 2]", BAD, "\"patch_size\"" },
  { TRANSFORMER, "head_dim\": 64", "head_dim\": 63", BAD, "\"attention_head_dim\" must be even" },
  { TRANSFORMER, "\"ffn_dim\": 768, ", "", BAD, "\"ffn_dim\" is missing" },
  { TRANSFORMER, "\"eps\": 1e-06", "\"eps\": -1", BAD, "\"eps\"" },
  { VAE, "\"TAEHV\"", "\"AutoencoderKLMagvit\"", ALIEN, "\"_class_name\"" },
  { VAE, "\"image_channels\": 3", "\"image_channels\": 4", ALIEN, "\"image_channels\"" },
  { VAE, "[8, 16, 24]", "[8]", BAD, "\"encoder_widths\"" },
  { VAE, "[32, 16, 8, 8]", "[32, 16, 8, 8, 8, 8]", BAD, "\"decoder_widths\"" },
  { VAE, "\"encoder_blocks\": [1, 2]", "\"encoder_blocks\": [1]", BAD, "\"encoder_blocks\": expected an array of 2" },
  { VAE, "[true, true, false]", "[true, 1, false]", BAD, "true or false" },
  { VAE, "\"decoder_space_upscale\": [true, true, false]", "\"decoder_space_upscale\": [true, false, false]", BAD, "differ in scale" },
  { VAE, "\"frames_to_trim\": 3", "\"frames_to_trim\": 4", BAD, "\"frames_to_trim\"" },
  { VAE, "[0.5, -1]", "[0.5]", BAD, "\"latents_mean\": expected an array of 2" },
  { VAE, "[1, 2.5]", "[1, 0]", BAD, "\"latents_std\"" },
  { WAN_VAE, "\"base_dim\": 96", "\"base_dim\": 95", BAD, "must be even" },
  { WAN_VAE, "\"base_dim\": 96, ", "", BAD, "\"base_dim\" is missing" },
  { WAN_VAE, "\"attn_scales\": []", "\"attn_scales\": [0.5]", ALIEN, "\"attn_scales\"" },
  { WAN_VAE, "[1, 2, 4, 4]", "[1, 2, 4, 4, 4]", BAD, "\"dim_mult\"" },
  { WAN_VAE, "[1, 2, 4, 4]", "[1, 2, 4]", BAD, "\"temperal_downsample\": expected an array of 2" },
  { WAN_VAE, "\"num_res_blocks\": 2", "\"num_res_blocks\": 0", BAD, "\"num_res_blocks\"" },
  { WAN_VAE, "[1, 2, 4, 4], \"is_residual\": false", "[5, 5, 5, 5], \"is_residual\": true", BAD, "the encoder's shortcuts" },
  { WAN_VAE, "[1, 2, 4, 4], \"is_residual\": false", "[4, 4, 8, 3], \"is_residual\": true", BAD, "the encoder's shortcuts" },
  { WAN_VAE, "[1, 2, 4, 4], \"is_residual\": false", "[1, 1, 8, 4], \"is_residual\": true", BAD, "the decoder's shortcuts" },
  { WAN_VAE, "\"is_residual\": false", "\"is_residual\": 1", BAD, "\"is_residual\"" },
  { WAN_VAE, "\"in_channels\": 3", "\"in_channels\": 12", BAD, "\"in_channels\" is 12, but the other fields make it 3" },
  { WAN_VAE, "spatial\": 8", "spatial\": 16", BAD, "\"scale_factor_spatial\" is 16" },
  { WAN_VAE, "[false, true, true]", "[false, false, true]", BAD, "\"scale_factor_temporal\" is 4, but the other fields make it 2" },
  { WAN_VAE, "\"z_dim\": 2", "\"z_dim\": 3", BAD, "\"latents_mean\": expected an array of 3" },
};

static void
test_faults (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (faults); i++) {
    const Fault *fault = &faults[i];
    g_autoptr (GError) error = NULL;
    g_autoptr (GString) text = g_string_new (sound[fault->kind]);
    Configs configs = { 0 };

    if (g_string_replace (text, fault->from, fault->to, 1) != 1)
      g_error ("no %s in file %d", fault->from, fault->kind);
    if (load_text (fault->kind, text->str, &configs, &error))
      g_error ("accepted %s", fault->to);
    g_test_message ("%s", error->message);
    g_assert_error (error, SORA_MODEL_ERROR, fault->code);
    if (!strstr (error->message, fault->words) || !strstr (error->message, path))
      g_error ("expected the path and %s in %s", fault->words, error->message);
  }
}

static void
test_missing (void)
{
  SoraTransformerConfig config;
  g_autoptr (GError) error = NULL;

  g_assert_false (sora_transformer_config_load (&config, "/nonexistent/config.json", &error));
  g_assert_error (error, SORA_MODEL_ERROR, SORA_MODEL_ERROR_NOT_FOUND);
}

int
main (int argc, char **argv)
{
  g_autofree gchar *folder = NULL;
  int status;

  g_test_init (&argc, &argv, NULL);
  folder = g_dir_make_tmp ("sora-test-XXXXXX", NULL);
  path = g_build_filename (folder, "config.json", NULL);
  g_test_add_func ("/config/streaming", test_streaming);
  g_test_add_func ("/config/clip", test_clip);
  g_test_add_func ("/config/sink", test_sink);
  g_test_add_func ("/config/wan-defaults", test_wan_defaults);
  g_test_add_func ("/config/wan-schedulers", test_wan_schedulers);
  g_test_add_func ("/config/text-encoder", test_text_encoder);
  g_test_add_func ("/config/image-conditioning", test_image_conditioning);
  g_test_add_func ("/config/transformer", test_transformer);
  g_test_add_func ("/config/vae", test_vae);
  g_test_add_func ("/config/wan-vae", test_wan_vae);
  g_test_add_func ("/config/faults", test_faults);
  g_test_add_func ("/config/missing", test_missing);
  status = g_test_run ();
  g_unlink (path);
  g_rmdir (folder);
  g_free (path);
  return status;
}
