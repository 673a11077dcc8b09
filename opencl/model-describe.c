/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A model in words: stages with sizes, types and bytes, and the defaults of generation. */

#include "model-private.h"

/* Published sizes of Wan, by width, layers and channels */
static const struct {
  guint dim, n_layers, channels;        /* channels: in */
  gboolean has_image;           /* attends to an image's embeddings */
  const gchar *name;
} families[] = {
  { 1536, 30, 16, FALSE, "Wan 2.1 T2V-1.3B" },
  { 5120, 40, 16, FALSE, "Wan T2V-14B" },       /* of Wan 2.2 T2V-A14B each expert */
  { 3072, 30, 48, FALSE, "Wan 2.2 TI2V-5B" },
  { 5120, 40, 36, TRUE, "Wan 2.1 I2V-14B" },
  { 5120, 40, 36, FALSE, "Wan 2.2 I2V-A14B" },
};

static const gchar *
find_family (SoraWeightFile *file)
{
  SoraTransformerConfig config;

  if (sora_weights_recognise (file) != SORA_WEIGHTS_TRANSFORMER)
    return sora_weights_kind_name (sora_weights_recognise (file));
  for (guint i = 0; sora_transformer_config_from_shapes (&config, file, NULL) && i < G_N_ELEMENTS (families); i++) {
    if (config.num_attention_heads * config.attention_head_dim == families[i].dim && config.num_layers == families[i].n_layers
        && config.in_channels == families[i].channels && (config.image_dim > 0) == families[i].has_image)
      return families[i].name;
  }
  return "Wan";
}

/* "2.5 M parameters, 4.9 MB, BF16", and the file in a line of its own */
static void
append_file (GString *text, SoraWeightFile *file)
{
  g_autoptr (GPtrArray) names = sora_weight_file_get_names (file);
  g_autofree gchar *size = g_format_size (sora_weight_file_get_bytes (file));
  gboolean used[SORA_N_DTYPES] = { FALSE };
  guint64 n = 0;

  for (guint i = 0; i < names->len; i++) {
    const SoraTensor *tensor = sora_weight_file_peek (file, g_ptr_array_index (names, i));
    n += tensor->n_elements;
    used[tensor->dtype] = TRUE;
  }
  g_string_append_printf (text, n < 1e6 ? "%.1f K parameters, %s" : "%.1f M parameters, %s", n / (n < 1e6 ? 1e3 : 1e6), size);
  for (guint i = 0; i < G_N_ELEMENTS (used); i++) {
    if (used[i])
      g_string_append_printf (text, ", %s", sora_dtype_name (i));
  }
  g_string_append_printf (text, "\n              %s\n", sora_weight_file_get_path (file));
}

static void
append_stages (GString *text, SoraModel *model)
{
  const SoraTextEncoderConfig *encoder = &model->text_encoder;
  const SoraTransformerConfig *transformer = &model->transformer;
  const SoraVaeConfig *vae = &model->vae;

  g_string_append_printf (text, "tokenizer     sentencepiece, %u pieces; up to %u tokens%s\n              %s\n",
      sora_tokenizer_get_vocab_size (model->tokenizer), model->streaming.text_length,
      model->streaming.prompt_cleaning == SORA_PROMPT_WAN ? "; prompts cleaned as Wan's" : "", model->parts.tokenizer);
  g_string_append_printf (text, "text encoder  UMT5, %u layers, %u wide, %u heads: ", encoder->num_layers, encoder->d_model,
      encoder->num_heads);
  append_file (text, model->text_encoder_file);
  g_string_append_printf (text, "transformer   %s, %u layers, %u heads of %u, feed-forward %u: ",
      find_family (model->transformer_file), transformer->num_layers, transformer->num_attention_heads,
      transformer->attention_head_dim, transformer->ffn_dim);
  append_file (text, model->transformer_file);
  if (model->transformer_2_file) {
    g_string_append_printf (text, "              for timesteps below %g: ", 1000 * model->streaming.boundary_ratio);
    append_file (text, model->transformer_2_file);
  }
  g_string_append_printf (text, "VAE           %s, %u channels, a latent covers %ux%u pixels of %u frames: ",
      vae->kind == SORA_VAE_WAN ? "Wan" : "TAEHV", vae->latent_channels, vae->spatial_scale, vae->spatial_scale, vae->time_scale);
  append_file (text, model->vae_file);
  if (model->image_encoder_file) {
    g_string_append_printf (text, "image encoder CLIP, %u layers, %u wide, %u heads: ", model->image_encoder.num_hidden_layers,
        model->image_encoder.hidden_size, model->image_encoder.num_attention_heads);
    append_file (text, model->image_encoder_file);
  }
}

static void
append_time (GString *text, SoraModel *model)
{
  const SoraStreamingConfig *streaming = &model->streaming;

  if (streaming->causal)
    g_string_append_printf (text, "length        endless, in blocks of %u frames, each seeing %u frames back\n",
        streaming->block_latents * model->vae.time_scale,
        (streaming->window_latents - streaming->block_latents) * model->vae.time_scale);
  else
    g_string_append_printf (text, "length        clips of %u frames\n", sora_model_get_clip_frames (model));
}

static const gchar *const sampler_words[] = {
  [SORA_SAMPLER_EULER] = "Euler", [SORA_SAMPLER_UNIPC] = "UniPC", [SORA_SAMPLER_DPMPP_2M] = "DPM-Solver++ (2M)",
  [SORA_SAMPLER_RENOISE] = "few-step with re-noising",
};

static void
append_defaults (GString *text, SoraModel *model)
{
  const SoraStreamingConfig *streaming = &model->streaming;

  g_string_append (text, "sizes        ");
  for (guint i = 0; i < streaming->n_sizes; i++)
    g_string_append_printf (text, " %ux%u", streaming->sizes[i][0], streaming->sizes[i][1]);
  g_string_append_printf (text, "\nframe rate    %d/%d\n", streaming->frame_rate[0], streaming->frame_rate[1]);
  g_string_append_printf (text, "sampler       %s, %u steps, shift %g, guidance scale %g\n",
      sampler_words[streaming->sampler], streaming->steps, streaming->shift, streaming->guidance_scale);
  if (model->transformer_2_file)
    g_string_append_printf (text, "              guidance scale %g of the second expert\n", streaming->guidance_scale_2);
}

static const gchar *
kind_words (SoraModel *model)
{
  if (model->transformer.image_positions > 0)
    return "first and last image to video";
  return sora_model_get_condition_channels (model) > 0 ? "image to video" : "text to video";
}

gchar *
sora_model_describe (SoraModel *model)
{
  GString *text = g_string_new (NULL);

  g_string_append_printf (text, "name          %s\n", model->streaming.name);
  g_string_append_printf (text, "path          %s\n", model->parts.path);
  g_string_append_printf (text, "layout        %s\n", sora_layout_name (model->parts.layout));
  g_string_append_printf (text, "kind          %s%s%s\n", kind_words (model), model->transformer_2_file ? ", two experts" : "",
      model->streaming.causal ? ", causal" : "");
  if (model->streaming.causal)
    g_string_append_printf (text, "              by %s\n", sora_model_get_causal_reason (model));
  append_stages (text, model);
  append_time (text, model);
  append_defaults (text, model);
  return g_string_free (text, FALSE);
}

static void
append_part (GString *text, const gchar *what, const gchar *path)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (SoraWeightFile) file = path ? sora_weight_file_open (path, &error) : NULL;

  g_string_append_printf (text, "%-13s ", what);
  if (!path) {
    g_string_append (text, "missing\n");
  } else if (!file) {
    g_string_append_printf (text, "%s\n", error->message);
  } else {
    g_string_append_printf (text, "%s: ", find_family (file));
    append_file (text, file);
  }
}

gchar *
sora_model_parts_describe (const SoraModelParts *parts)
{
  GString *text = g_string_new (NULL);

  g_string_append_printf (text, "path          %s\nlayout        %s\n", parts->path, sora_layout_name (parts->layout));
  append_part (text, "transformer", parts->transformer.weights);
  if (parts->transformer_2.weights)
    append_part (text, "", parts->transformer_2.weights);
  append_part (text, "text encoder", parts->text_encoder.weights);
  append_part (text, "VAE", parts->vae.weights);
  if (parts->image_encoder.weights)
    append_part (text, "image encoder", parts->image_encoder.weights);
  g_string_append_printf (text, "tokenizer     %s\n", parts->tokenizer ? parts->tokenizer : "missing");
  return g_string_free (text, FALSE);
}
