/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A model in words: stages with sizes, types and bytes, and the defaults of generation. */

#include "model-private.h"
#include "part-summary.h"

/* "2.5 M parameters, 4.9 MB, BF16", and the file in a line of its own */
static void
append_summary (GString *text, const SoraPartSummary *part)
{
  g_autofree gchar *size = g_format_size (part->bytes), *parameters = sora_format_parameters (part->n_parameters);

  g_string_append_printf (text, "%s, %s", parameters, size);
  for (guint i = 0; i < SORA_N_DTYPES; i++) {
    if (part->dtypes[i])
      g_string_append_printf (text, ", %s", sora_dtype_name (i));
  }
  g_string_append_printf (text, "\n              %s\n", part->path);
}

static void
append_file (GString *text, SoraWeightFile *file)
{
  g_auto (SoraPartSummary) part = { 0 };

  sora_part_summary_init_file (&part, file);
  append_summary (text, &part);
}

static void
append_stages (GString *text, SoraModel *model)
{
  const SoraTextEncoderConfig *encoder = &model->text_encoder;
  const SoraTransformerConfig *transformer = &model->transformer;
  const SoraVaeConfig *vae = &model->vae;
  g_auto (SoraPartSummary) transformer_part = { 0 };

  sora_part_summary_init_file (&transformer_part, model->transformer_file);
  g_string_append_printf (text, "tokenizer     sentencepiece, %u pieces; up to %u tokens%s\n              %s\n",
      sora_tokenizer_get_vocab_size (model->tokenizer), model->streaming.text_length,
      model->streaming.prompt_cleaning == SORA_PROMPT_WAN ? "; prompts cleaned as Wan's" : "", model->parts.tokenizer);
  g_string_append_printf (text, "text encoder  UMT5, %u layers, %u wide, %u heads: ", encoder->num_layers, encoder->d_model,
      encoder->num_heads);
  append_file (text, model->text_encoder_file);
  g_string_append_printf (text, "transformer   %s, %u layers, %u heads of %u, feed-forward %u: ",
      transformer_part.family, transformer->num_layers, transformer->num_attention_heads,
      transformer->attention_head_dim, transformer->ffn_dim);
  append_summary (text, &transformer_part);
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

  if (streaming->causal) {
    g_string_append_printf (text, "length        endless, in blocks of %u frames, each seeing %u frames back",
        streaming->block_latents * model->vae.time_scale,
        (streaming->window_latents - streaming->sink_latents - streaming->block_latents) * model->vae.time_scale);
    if (streaming->sink_latents > 0)
      g_string_append (text, " and the beginning");
    g_string_append (text, "\n");
  } else {
    g_string_append_printf (text, "length        clips of %u frames\n", sora_model_get_clip_frames (model));
  }
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
  if (*sora_model_get_negative_prompt (model))
    g_string_append_printf (text, "against       %s\n", sora_model_get_negative_prompt (model));
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
  g_auto (SoraPartSummary) part = { 0 };

  sora_part_summary_init (&part, path, NULL);
  g_string_append_printf (text, "%-13s ", what);
  if (!part.path) {
    g_string_append (text, "missing\n");
  } else if (part.error) {
    g_string_append_printf (text, "%s\n", part.error->message);
  } else {
    g_string_append_printf (text, "%s: ", part.family);
    append_summary (text, &part);
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
  if (parts->needs_image_encoder)
    append_part (text, "image encoder", parts->image_encoder.weights);
  g_string_append_printf (text, "tokenizer     %s\n", parts->tokenizer ? parts->tokenizer : "missing");
  return g_string_free (text, FALSE);
}
