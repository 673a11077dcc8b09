/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Opens a model: reads the configuration of its parts, maps their weights, and checks that all of it fits together. */

#include "model-private.h"

#include <math.h>
#include <string.h>

#include "weights/json.h"

/* The index only says which pipeline it is. */
static gboolean
check_index (SoraModel *model, GError **error)
{
  g_autofree gchar *path = g_build_filename (model->parts.path, "model_index.json", NULL);
  const gchar *name = "";
  SoraJsonReader reader;

  if (model->parts.layout != SORA_LAYOUT_DIFFUSERS)
    return TRUE;
  sora_json_reader_open (&reader, path);
  sora_json_read_string (&reader, "_class_name", SORA_JSON_REQUIRED, &name);
  if (!reader.error && !g_str_equal (name, "WanPipeline"))
    sora_json_reader_fail (&reader, SORA_MODEL_ERROR_UNSUPPORTED, "\"_class_name\": only WanPipeline is supported, found %s", name);
  if (sora_json_reader_has (&reader, "transformer_2")) {
    JsonNode *second = json_object_get_member (reader.object, "transformer_2");
    /* [null, null] in models with one transformer */
    if (JSON_NODE_HOLDS_ARRAY (second) && json_array_get_length (json_node_get_array (second)) > 0
        && !json_array_get_null_element (json_node_get_array (second), 0))
      sora_json_reader_fail (&reader, SORA_MODEL_ERROR_UNSUPPORTED, "models with a second transformer are not supported");
  }
  return sora_json_reader_close (&reader, error);
}

/* "wan2.1_t2v_1.3B_fp16" of .../wan2.1_t2v_1.3B_fp16.safetensors; a folder's whole name */
static gchar *
make_name (const SoraModelParts *parts)
{
  gchar *name = g_path_get_basename (parts->path), *dot = strrchr (name, '.');

  if (dot && dot > name && !g_file_test (parts->path, G_FILE_TEST_IS_DIR))
    *dot = '\0';
  return name;
}

/* sora.json; without it Wan's defaults, as the layout has them. @text_length: 0 = nothing says it */
static gboolean
load_streaming (SoraModel *model, guint text_length, GError **error)
{
  const SoraModelParts *parts = &model->parts;
  g_autofree gchar *path = parts->folder ? g_build_filename (parts->folder, "sora.json", NULL) : NULL;
  g_autofree gchar *scheduler = parts->layout == SORA_LAYOUT_DIFFUSERS
      ? g_build_filename (parts->folder, "scheduler", "scheduler_config.json", NULL) : NULL;

  if (path && g_file_test (path, G_FILE_TEST_EXISTS)) {
    if (!sora_streaming_config_load (&model->streaming, path, error))
      return FALSE;
  } else {
    if (!sora_streaming_config_init_wan (&model->streaming, model->vae.latent_channels, scheduler, error))
      return FALSE;
    model->streaming.text_length = text_length ? text_length : model->streaming.text_length;
  }
  if (!model->streaming.name)
    model->streaming.name = make_name (parts);
  return TRUE;
}

static gboolean
load_text_encoder (SoraModel *model, GError **error)
{
  const SoraModelPart *part = &model->parts.text_encoder;
  SoraTextEncoderConfig *config = &model->text_encoder;

  if (part->config && !sora_text_encoder_config_load (config, part->config, error))
    return FALSE;
  model->text_encoder_file = sora_weight_file_open (part->weights, error);
  return model->text_encoder_file
      && (part->config || sora_text_encoder_config_from_shapes (config, model->text_encoder_file, error))
      && sora_text_encoder_validate (config, model->text_encoder_file, error);
}

static gboolean
load_transformer (SoraModel *model, guint *text_length, GError **error)
{
  const SoraModelPart *part = &model->parts.transformer;
  SoraTransformerConfig *config = &model->transformer;
  gboolean is_diffusers = model->parts.layout == SORA_LAYOUT_DIFFUSERS;

  if (is_diffusers && !sora_transformer_config_load (config, part->config, error))
    return FALSE;
  model->transformer_file = sora_weight_file_open (part->weights, error);
  if (!model->transformer_file)
    return FALSE;
  if (!is_diffusers && part->config) {
    if (!sora_transformer_config_read_wan (config, model->transformer_file, part->config, text_length, error))
      return FALSE;
  } else if (!is_diffusers && !sora_transformer_config_from_shapes (config, model->transformer_file, error)) {
    return FALSE;
  }
  return sora_transformer_validate (config, model->transformer_file, error);
}

static gboolean
load_vae (SoraModel *model, GError **error)
{
  const SoraModelPart *part = &model->parts.vae;
  SoraVaeConfig *config = &model->vae;

  if (part->config && !sora_vae_config_load (config, part->config, error))
    return FALSE;
  model->vae_file = sora_weight_file_open (part->weights, error);
  return model->vae_file && (part->config || sora_vae_config_from_shapes (config, model->vae_file, error))
      && sora_vae_validate (config, model->vae_file, error);
}

/* A file of its own, or in the text encoder's */
static gboolean
load_tokenizer (SoraModel *model, GError **error)
{
  const gchar *path = model->parts.tokenizer;

  if (g_str_equal (path, model->parts.text_encoder.weights) && sora_tokenizer_is_inside (model->text_encoder_file))
    model->tokenizer = sora_tokenizer_new_from_inside (model->text_encoder_file, error);
  else
    model->tokenizer = sora_tokenizer_new (path, error);
  if (!model->tokenizer)
    return FALSE;
  sora_tokenizer_set_cleaning (model->tokenizer, model->streaming.prompt_cleaning);
  return TRUE;
}

static gboolean
load_parts (SoraModel *model, GError **error)
{
  guint text_length = 0;

  return load_text_encoder (model, error) && load_transformer (model, &text_length, error) && load_vae (model, error)
      && load_streaming (model, text_length, error) && load_tokenizer (model, error);
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
        "%s/sora.json: \"sizes\": %ux%u is not a multiple of %ux%u, what one token covers", model->parts.path, streaming->sizes[i][0],
        streaming->sizes[i][1], unit_x, unit_y);
    return FALSE;
  }
  return TRUE;
}

/* What one file says about another. */
static gboolean
check_agreement (SoraModel *model, GError **error)
{
  guint latent_channels = model->vae.latent_channels, vocab_size = sora_tokenizer_get_vocab_size (model->tokenizer);

  if (vocab_size > model->text_encoder.vocab_size)
    return expect_equal (model, "the tokenizer's vocabulary", vocab_size, "the text encoder's", model->text_encoder.vocab_size, error);
  return expect_equal (model, "the transformer's text_dim", model->transformer.text_dim, "the text encoder's d_model",
          model->text_encoder.d_model, error)
      && expect_equal (model, "the transformer's in_channels", model->transformer.in_channels, "the VAE's latent_channels",
          latent_channels, error)
      && expect_equal (model, "the transformer's out_channels", model->transformer.out_channels, "the VAE's latent_channels",
          latent_channels, error)
      && check_sizes (model, error);
}

static void
model_free (SoraModel *model)
{
  g_clear_pointer (&model->tokenizer, sora_tokenizer_free);
  g_clear_pointer (&model->text_encoder_file, sora_weight_file_free);
  g_clear_pointer (&model->transformer_file, sora_weight_file_free);
  g_clear_pointer (&model->vae_file, sora_weight_file_free);
  sora_streaming_config_clear (&model->streaming);
  sora_vae_config_clear (&model->vae);
  g_ptr_array_unref (model->weights);
  g_mutex_clear (&model->lock);
  g_cond_clear (&model->changed);
  sora_model_parts_clear (&model->parts);
  g_free (model);
}

SoraModel *
sora_model_open_parts (const gchar *path, const gchar *text_encoder, const gchar *vae, const gchar *tokenizer, GError **error)
{
  g_autoptr (SoraModel) model = NULL;
  SoraModelParts parts;

  if (!sora_model_parts_find (&parts, path, text_encoder, vae, tokenizer, error))
    return NULL;
  model = g_new0 (SoraModel, 1);
  g_atomic_ref_count_init (&model->ref_count);
  g_mutex_init (&model->lock);
  g_cond_init (&model->changed);
  model->weights = g_ptr_array_new ();
  model->parts = parts;
  if (!check_index (model, error) || !sora_model_parts_check (&model->parts, error) || !load_parts (model, error)
      || !check_agreement (model, error))
    return NULL;
  return g_steal_pointer (&model);
}

SoraModel *
sora_model_open (const gchar *path, GError **error)
{
  return sora_model_open_parts (path, NULL, NULL, NULL, error);
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
