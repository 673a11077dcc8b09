/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Opens a model: reads the configuration of its parts, maps their weights, and checks that all of it fits together. */

#include "model-private.h"

#include <math.h>
#include <string.h>

#include "stages/clip-encoder.h"
#include "weights/config-index.h"

gboolean
sora_model_parts_read_index (const SoraModelParts *parts, gdouble *boundary_ratio, GError **error)
{
  g_autofree gchar *path = g_build_filename (parts->path, "model_index.json", NULL);
  SoraPipelineIndex index;

  if (parts->layout != SORA_LAYOUT_DIFFUSERS)
    return TRUE;
  if (!sora_pipeline_index_load (&index, path, error))
    return FALSE;
  if (index.has_transformer_2)
    *boundary_ratio = index.boundary_ratio;
  if (!index.has_transformer_2 || parts->transformer_2.weights)
    return TRUE;
  g_set_error (error, SORA_MODEL_ERROR, SORA_MODEL_ERROR_NOT_FOUND, "%s: it has a second transformer, but %s/transformer_2 has neither "
      "diffusion_pytorch_model.safetensors nor an index of one", path, parts->path);
  return FALSE;
}

guint
sora_model_get_condition_channels (SoraModel *model)
{
  return model->transformer.in_channels - model->transformer.out_channels;
}

guint
sora_model_get_image_tokens (SoraModel *model)
{
  if (model->transformer.image_dim == 0)
    return 0;
  return sora_clip_config_count_tokens (&model->image_encoder) * (model->transformer.image_positions > 0 ? 2 : 1);
}

static gboolean
goes_on_from_image (SoraModel *model)
{
  return sora_model_get_condition_channels (model) > 0;
}

/* Of what sora.json leaves open, model_index.json says where the second expert takes over, or Wan's defaults do. */
static void
complete_experts (SoraModel *model)
{
  SoraStreamingConfig *streaming = &model->streaming;

  if (!model->transformer_2_file)
    streaming->boundary_ratio = 0;
  else if (streaming->boundary_ratio == 0 && model->boundary_ratio > 0)
    streaming->boundary_ratio = model->boundary_ratio;
  else if (streaming->boundary_ratio == 0)
    streaming->boundary_ratio = goes_on_from_image (model) ? SORA_WAN_IMAGE_BOUNDARY : SORA_WAN_BOUNDARY;
  if (streaming->guidance_scale_2 < 0)
    streaming->guidance_scale_2 = streaming->guidance_scale;
}

/* Whether the transformer was saved by the training that makes a generator of it, with a critic and a teacher, in a few steps and block after
 * block, as Self-Forcing does. No other file has such names, and nothing else tells such a transformer from the one that it began as. */
static gboolean
has_generator_names (SoraModel *model)
{
  return g_str_has_prefix (sora_weight_file_get_prefix (model->transformer_file), "generator");
}

/* Without sora.json */
static gboolean
init_streaming (SoraModel *model, guint text_length, GError **error)
{
  const SoraModelParts *parts = &model->parts;
  SoraStreamingConfig *streaming = &model->streaming;
  g_autofree gchar *scheduler = parts->layout == SORA_LAYOUT_DIFFUSERS
      ? g_build_filename (parts->folder, "scheduler", "scheduler_config.json", NULL) : NULL;

  if (!sora_streaming_config_init_wan (streaming, model->transformer.out_channels, scheduler, error))
    return FALSE;
  streaming->text_length = text_length ? text_length : streaming->text_length;
  if (model->transformer_2_file)
    sora_streaming_config_set_wan_experts (streaming, goes_on_from_image (model), scheduler);
  if (parts->causal || has_generator_names (model))
    sora_streaming_config_set_wan_causal (streaming);
  return TRUE;
}

/* What the caller says must not contradict a file. */
static gboolean
load_streaming_file (SoraModel *model, GError **error)
{
  if (!sora_streaming_config_load (&model->streaming, model->parts.streaming, error))
    return FALSE;
  if (!model->parts.causal || model->streaming.causal)
    return TRUE;
  g_set_error (error, SORA_MODEL_ERROR, SORA_MODEL_ERROR_UNSUPPORTED, "%s says that the model is not causal, which it is asked to be; change "
      "the file, or do not ask for it", model->parts.streaming);
  return FALSE;
}

/* sora.json; without it Wan's defaults, as the layout has them. @text_length: 0 = nothing says it */
static gboolean
load_streaming (SoraModel *model, guint text_length, GError **error)
{
  if (!(model->parts.streaming ? load_streaming_file (model, error) : init_streaming (model, text_length, error)))
    return FALSE;
  complete_experts (model);
  if (!model->streaming.name)
    model->streaming.name = sora_model_path_make_name (model->parts.path);
  return TRUE;
}

/* (transfer full): the weights of @part, which is of kind @expected, or @other. Of a part that was mistaken for another the error says so, rather
 * than what its configuration lacks. */
static SoraWeightFile *
open_part (SoraModel *model, const SoraModelPart *part, SoraWeightsKind expected, SoraWeightsKind other, GError **error)
{
  g_autoptr (SoraWeightFile) file = sora_weight_cache_open (model->parts.cache, part->weights, error);
  SoraWeightsKind kind = file ? sora_weights_recognise (file) : SORA_WEIGHTS_UNKNOWN;

  if (kind == SORA_WEIGHTS_UNKNOWN || kind == expected || kind == other || sora_weights_expect (file, expected, error))
    return g_steal_pointer (&file);
  return NULL;
}

static gboolean
load_text_encoder (SoraModel *model, GError **error)
{
  const SoraModelPart *part = &model->parts.text_encoder;
  SoraTextEncoderConfig *config = &model->text_encoder;

  model->text_encoder_file = open_part (model, part, SORA_WEIGHTS_TEXT_ENCODER, SORA_WEIGHTS_TEXT_ENCODER, error);
  return model->text_encoder_file
      && (!part->config || sora_text_encoder_config_load (config, part->config, error))
      && (part->config || sora_text_encoder_config_from_shapes (config, model->text_encoder_file, error))
      && sora_text_encoder_validate (config, model->text_encoder_file, error);
}

static gboolean
load_transformer_part (SoraModel *model, const SoraModelPart *part, SoraTransformerConfig *config, SoraWeightFile **file, guint *text_length,
    GError **error)
{
  *file = open_part (model, part, SORA_WEIGHTS_TRANSFORMER, SORA_WEIGHTS_TRANSFORMER, error);
  return *file && sora_transformer_config_read (config, *file, part->config, text_length, error)
      && sora_transformer_validate (config, *file, error);
}

/* A field in which two experts must agree: what they are given and give, and what a stream has room for */
static gboolean
expect_same_experts (SoraModel *model, const gchar *what, guint first, guint second, GError **error)
{
  if (first == second)
    return TRUE;
  g_set_error (error, SORA_MODEL_ERROR, SORA_MODEL_ERROR_UNSUPPORTED, "the two experts differ: %s of %s is %u, but of %s %u", what,
      model->parts.transformer.weights, first, model->parts.transformer_2.weights, second);
  return FALSE;
}

static gboolean
check_experts (SoraModel *model, const SoraTransformerConfig *second, GError **error)
{
  const SoraTransformerConfig *first = &model->transformer;

  return expect_same_experts (model, "in_channels", first->in_channels, second->in_channels, error)
      && expect_same_experts (model, "out_channels", first->out_channels, second->out_channels, error)
      && expect_same_experts (model, "num_attention_heads", first->num_attention_heads, second->num_attention_heads, error)
      && expect_same_experts (model, "attention_head_dim", first->attention_head_dim, second->attention_head_dim, error)
      && expect_same_experts (model, "num_layers", first->num_layers, second->num_layers, error)
      && expect_same_experts (model, "ffn_dim", first->ffn_dim, second->ffn_dim, error)
      && expect_same_experts (model, "text_dim", first->text_dim, second->text_dim, error)
      && expect_same_experts (model, "freq_dim", first->freq_dim, second->freq_dim, error)
      && expect_same_experts (model, "image_dim", first->image_dim, second->image_dim, error)
      && expect_same_experts (model, "pos_embed_seq_len", first->image_positions, second->image_positions, error)
      && expect_same_experts (model, "patch height", first->patch_size[1], second->patch_size[1], error)
      && expect_same_experts (model, "patch width", first->patch_size[2], second->patch_size[2], error);
}

static gboolean
load_transformers (SoraModel *model, guint *text_length, GError **error)
{
  const SoraModelParts *parts = &model->parts;

  if (!load_transformer_part (model, &parts->transformer, &model->transformer, &model->transformer_file, text_length, error))
    return FALSE;
  if (!parts->transformer_2.weights)
    return TRUE;
  return load_transformer_part (model, &parts->transformer_2, &model->transformer_2, &model->transformer_2_file, text_length, error)
      && check_experts (model, &model->transformer_2, error);
}

static gboolean
load_vae (SoraModel *model, GError **error)
{
  const SoraModelPart *part = &model->parts.vae;
  SoraVaeConfig *config = &model->vae;

  model->vae_file = open_part (model, part, SORA_WEIGHTS_TAEHV, SORA_WEIGHTS_WAN_VAE, error);
  return model->vae_file && (!part->config || sora_vae_config_load (config, part->config, error))
      && (part->config || sora_vae_config_from_shapes (config, model->vae_file, error))
      && sora_vae_validate (config, model->vae_file, error);
}

/* Only if the transformer attends to an image's embeddings */
static gboolean
load_image_encoder (SoraModel *model, GError **error)
{
  const SoraModelPart *part = &model->parts.image_encoder;
  SoraClipConfig *config = &model->image_encoder;

  if (model->transformer.image_dim == 0)
    return TRUE;
  model->image_encoder_file = open_part (model, part, SORA_WEIGHTS_IMAGE_ENCODER, SORA_WEIGHTS_IMAGE_ENCODER, error);
  return model->image_encoder_file && (!part->config || sora_clip_config_load (config, part->config, error))
      && (part->config || sora_clip_config_from_shapes (config, model->image_encoder_file, error))
      && sora_clip_encoder_validate (config, model->image_encoder_file, error);
}

static gboolean
load_parts (SoraModel *model, GError **error)
{
  guint text_length = 0;

  return load_text_encoder (model, error) && load_transformers (model, &text_length, error) && load_vae (model, error)
      && load_image_encoder (model, error) && load_streaming (model, text_length, error);
}

/* The same without the other parts, which may be missing */
static gboolean
load_generation (SoraModel *model, GError **error)
{
  guint text_length = 0;

  return load_transformers (model, &text_length, error) && load_streaming (model, text_length, error);
}

static gboolean
expect_equal (SoraModel *model, const gchar *what, guint a, const gchar *other, guint b, GError **error)
{
  if (a == b)
    return TRUE;
  g_set_error (error, SORA_MODEL_ERROR, SORA_MODEL_ERROR_UNSUPPORTED, "%s: %s is %u, but %s is %u", model->parts.path, what, a, other, b);
  return FALSE;
}

/* A size must be whole patches. */
static gboolean
check_sizes (SoraModel *model, GError **error)
{
  const SoraStreamingConfig *streaming = &model->streaming;
  guint unit_x = model->vae.spatial_scale * model->transformer.patch_size[2];
  guint unit_y = model->vae.spatial_scale * model->transformer.patch_size[1];

  for (guint i = 0; i < streaming->n_sizes; i++) {
    if (streaming->sizes[i][0] % unit_x == 0 && streaming->sizes[i][1] % unit_y == 0)
      continue;
    g_set_error (error, SORA_MODEL_ERROR, SORA_MODEL_ERROR_FORMAT,
        "%s: \"sizes\": %ux%u is not a multiple of %ux%u, what one token covers",
        model->parts.streaming ? model->parts.streaming : model->parts.path, streaming->sizes[i][0], streaming->sizes[i][1], unit_x, unit_y);
    return FALSE;
  }
  return TRUE;
}

/* The latents alone, or with them what an image-to-video model has of its image; control models take something else. */
static gboolean
check_in_channels (SoraModel *model, GError **error)
{
  guint found = model->transformer.in_channels, latents = model->vae.latent_channels, with_image = 2 * latents + model->vae.time_scale;

  if (found == latents || found == with_image)
    return TRUE;
  g_set_error (error, SORA_MODEL_ERROR, SORA_MODEL_ERROR_UNSUPPORTED, "%s: the transformer's in_channels is %u, but with a VAE of %u "
      "latent_channels a text-to-video model has %u and an image-to-video model %u; others, as control models, are not supported",
      model->parts.path, found, latents, latents, with_image);
  return FALSE;
}

static gboolean
check_image_encoder (SoraModel *model, GError **error)
{
  const SoraTransformerConfig *transformer = &model->transformer;

  if (transformer->image_dim == 0)
    return TRUE;
  if (!goes_on_from_image (model)) {
    g_set_error (error, SORA_MODEL_ERROR, SORA_MODEL_ERROR_UNSUPPORTED,
        "%s: the transformer attends to an image, but has no channels for one, which is not supported", model->parts.path);
    return FALSE;
  }
  return expect_equal (model, "the transformer's image_dim", transformer->image_dim, "the image encoder's hidden_size",
          model->image_encoder.hidden_size, error)
      && (transformer->image_positions == 0 || expect_equal (model, "the transformer's pos_embed_seq_len", transformer->image_positions,
              "the number of rows of two images", sora_model_get_image_tokens (model), error));
}

const gchar *
sora_model_get_causal_reason (SoraModel *model)
{
  if (model->parts.streaming)
    return model->parts.streaming;
  return model->parts.causal ? "request" : "the names of its tensors, generator ...";
}

/* Such models make whole clips. */
static gboolean
check_clips (SoraModel *model, GError **error)
{
  if (!model->streaming.causal || (!model->transformer_2_file && !goes_on_from_image (model)))
    return TRUE;
  g_set_error (error, SORA_MODEL_ERROR, SORA_MODEL_ERROR_UNSUPPORTED,
      "%s: causal, by %s, but a model with two experts, or one from image to video, makes whole clips only", model->parts.path,
      sora_model_get_causal_reason (model));
  return FALSE;
}

/* What one file says about another. */
static gboolean
check_agreement (SoraModel *model, GError **error)
{
  guint latent_channels = model->vae.latent_channels;

  return expect_equal (model, "the transformer's text_dim", model->transformer.text_dim, "the text encoder's d_model",
          model->text_encoder.d_model, error)
      && check_in_channels (model, error) && check_image_encoder (model, error) && check_clips (model, error)
      && expect_equal (model, "the transformer's out_channels", model->transformer.out_channels, "the VAE's latent_channels",
          latent_channels, error)
      && check_sizes (model, error);
}

/* A file of its own, or in the text encoder's, whose vocabulary may be larger */
static gboolean
load_tokenizer (SoraModel *model, GError **error)
{
  const gchar *path = model->parts.tokenizer;
  guint vocab_size;

  if (g_str_equal (path, model->parts.text_encoder.weights) && sora_tokenizer_is_inside (model->text_encoder_file))
    model->tokenizer = sora_tokenizer_new_from_inside (model->text_encoder_file, error);
  else
    model->tokenizer = sora_tokenizer_new (path, error);
  if (!model->tokenizer)
    return FALSE;
  sora_tokenizer_set_cleaning (model->tokenizer, model->streaming.prompt_cleaning);
  vocab_size = sora_tokenizer_get_vocab_size (model->tokenizer);
  return vocab_size <= model->text_encoder.vocab_size
      || expect_equal (model, "the tokenizer's vocabulary", vocab_size, "the text encoder's", model->text_encoder.vocab_size, error);
}

static void
model_free (SoraModel *model)
{
  g_clear_pointer (&model->tokenizer, sora_tokenizer_free);
  g_clear_pointer (&model->text_encoder_file, sora_weight_file_free);
  g_clear_pointer (&model->transformer_file, sora_weight_file_free);
  g_clear_pointer (&model->transformer_2_file, sora_weight_file_free);
  g_clear_pointer (&model->image_encoder_file, sora_weight_file_free);
  g_clear_pointer (&model->vae_file, sora_weight_file_free);
  sora_streaming_config_clear (&model->streaming);
  sora_vae_config_clear (&model->vae);
  g_ptr_array_unref (model->residents);
  g_mutex_clear (&model->lock);
  g_cond_clear (&model->changed);
  sora_model_parts_clear (&model->parts);
  g_free (model);
}

SoraModel *
sora_model_open_headers (SoraModelParts *parts, gboolean partial, GError **error)
{
  g_autoptr (SoraModel) model = g_new0 (SoraModel, 1);

  g_atomic_ref_count_init (&model->ref_count);
  g_mutex_init (&model->lock);
  g_cond_init (&model->changed);
  model->residents = g_ptr_array_new ();
  model->parts = *parts;
  if (!sora_model_parts_read_index (&model->parts, &model->boundary_ratio, error))
    return NULL;
  if (partial)
    return load_generation (model, error) ? g_steal_pointer (&model) : NULL;
  if (!sora_model_parts_check (&model->parts, error) || !load_parts (model, error) || !check_agreement (model, error))
    return NULL;
  return g_steal_pointer (&model);
}

SoraModel *
sora_model_open_files (const SoraModelFiles *files, GError **error)
{
  g_autoptr (SoraModel) model = NULL;
  SoraModelParts parts;

  if (!sora_model_parts_find (&parts, files, error))
    return NULL;
  model = sora_model_open_headers (&parts, FALSE, error);
  return model && load_tokenizer (model, error) ? g_steal_pointer (&model) : NULL;
}

SoraModel *
sora_model_open_parts (const gchar *path, const gchar *text_encoder, const gchar *vae, const gchar *tokenizer, GError **error)
{
  const SoraModelFiles files = { .path = path, .text_encoder = text_encoder, .vae = vae, .tokenizer = tokenizer };

  return sora_model_open_files (&files, error);
}

SoraModel *
sora_model_open (const gchar *path, GError **error)
{
  const SoraModelFiles files = { .path = path };

  return sora_model_open_files (&files, error);
}

SoraModel *
sora_model_ref (SoraModel *model)
{
  g_atomic_ref_count_inc (&model->ref_count);
  return model;
}

void
sora_model_unref (SoraModel *model)
{
  if (model && g_atomic_ref_count_dec (&model->ref_count))
    model_free (model);
}

const gchar *
sora_model_get_path (SoraModel *model)
{
  return model->parts.path;
}

const gchar *
sora_model_get_name (SoraModel *model)
{
  return model->streaming.name;
}

gboolean
sora_model_is_causal (SoraModel *model)
{
  return model->streaming.causal;
}

void
sora_model_get_frame_rate (SoraModel *model, gint *numerator, gint *denominator)
{
  *numerator = model->streaming.frame_rate[0];
  *denominator = model->streaming.frame_rate[1];
}

guint
sora_model_get_steps (SoraModel *model)
{
  return model->streaming.steps;
}

gdouble
sora_model_get_guidance_scale (SoraModel *model)
{
  return model->streaming.guidance_scale;
}

/* What Wan's makers guide all their models away from: overexposed, static, blurred, subtitles, a painting, worst quality, ugly, too many fingers,
 * badly drawn hands and faces, misshapen limbs, a still picture, a crowded background, three legs, walking backwards, and so on */
#define WAN_NEGATIVE_PROMPT "色调艳丽，过曝，静态，细节模糊不清，字幕，风格，作品，画作，画面，静止，整体发灰，最差质量，低质量，JPEG压缩残留，丑陋的，残缺的，多余的手指，" \
  "画得不好的手部，画得不好的脸部，畸形的，毁容的，形态畸形的肢体，手指融合，静止不动的画面，杂乱的背景，三条腿，背景人很多，倒着走"

const gchar *
sora_model_get_negative_prompt (SoraModel *model)
{
  return model->streaming.prompt_cleaning == SORA_PROMPT_WAN ? WAN_NEGATIVE_PROMPT : "";
}

guint
sora_model_get_clip_frames (SoraModel *model)
{
  if (model->streaming.causal)
    return 0;
  return model->streaming.default_latents * model->vae.time_scale - model->vae.frames_to_trim;
}

/* Nearest by the ratio of the ratios, so that 1:2 is as far from 1:1 as 2:1 is; the first of several. */
void
sora_model_get_best_size (SoraModel *model, gdouble aspect_ratio, guint *width, guint *height)
{
  const SoraStreamingConfig *streaming = &model->streaming;
  gdouble best_distance = G_MAXDOUBLE;
  guint best = 0;

  for (guint i = 0; i < streaming->n_sizes && aspect_ratio > 0; i++) {
    gdouble own = (gdouble) streaming->sizes[i][0] / streaming->sizes[i][1];
    gdouble distance = fabs (log (own / aspect_ratio));
    if (distance < best_distance - 1e-9) {
      best_distance = distance;
      best = i;
    }
  }
  *width = streaming->sizes[best][0];
  *height = streaming->sizes[best][1];
}
