/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Opens a model directory: finds it, reads its configuration, maps its weights, and checks that all of it fits together. */

#include "model-private.h"

#include <math.h>

#include "weights/json.h"

/* The first of the places where the embedded model may be; each that was tried is noted in @tried. */
static gchar *
find_embedded (GString *tried)
{
  const gchar *variable = g_getenv ("SORA_MODEL_PATH");
  gchar *places[] = {
    variable && *variable ? g_strdup (variable) : NULL,
    variable && *variable ? g_build_filename (variable, "embedded", NULL) : NULL,
    g_build_filename (g_get_user_data_dir (), "sora", "models", "embedded", NULL),
    g_build_filename (SORA_DATA_DIR, "models", "embedded", NULL),
  };
  gchar *found = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (places); i++) {
    g_autofree gchar *place = places[i];
    g_autofree gchar *index = place && !found ? g_build_filename (place, "model_index.json", NULL) : NULL;
    if (!index)
      continue;
    if (g_file_test (index, G_FILE_TEST_EXISTS))
      found = g_steal_pointer (&place);
    else
      g_string_append_printf (tried, "%s%s", tried->len > 0 ? ", " : "", place);
  }
  return found;
}

static gchar *
find_model (const gchar *path, GError **error)
{
  g_autoptr (GString) tried = g_string_new (NULL);
  g_autofree gchar *index = NULL;
  gchar *found;

  if (!path || !*path) {
    found = find_embedded (tried);
    if (!found)
      g_set_error (error, SORA_MODEL_ERROR, SORA_MODEL_ERROR_NOT_FOUND,
          "The embedded model is in none of %s; install it, or set SORA_MODEL_PATH to its directory", tried->str);
    return found;
  }
  index = g_build_filename (path, "model_index.json", NULL);
  if (g_file_test (index, G_FILE_TEST_EXISTS))
    return g_strdup (path);
  if (g_file_test (path, G_FILE_TEST_IS_DIR))
    g_set_error (error, SORA_MODEL_ERROR, SORA_MODEL_ERROR_NOT_FOUND, "%s is not a model directory: it has no model_index.json", path);
  else
    g_set_error (error, SORA_MODEL_ERROR, SORA_MODEL_ERROR_NOT_FOUND, "There is no model directory %s", path);
  return NULL;
}

/* The index only says which pipeline it is. */
static gboolean
check_index (SoraModel *model, GError **error)
{
  g_autofree gchar *path = g_build_filename (model->path, "model_index.json", NULL);
  const gchar *name = "";
  SoraJsonReader reader;

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

static gboolean
load_streaming (SoraModel *model, GError **error)
{
  g_autofree gchar *path = g_build_filename (model->path, "sora.json", NULL);
  g_autofree gchar *scheduler = g_build_filename (model->path, "scheduler", "scheduler_config.json", NULL);
  gboolean success;

  if (g_file_test (path, G_FILE_TEST_EXISTS))
    success = sora_streaming_config_load (&model->streaming, path, error);
  else
    success = sora_streaming_config_init_wan (&model->streaming, model->vae.latent_channels, scheduler, error);
  if (success && !model->streaming.name)
    model->streaming.name = g_path_get_basename (model->path);
  return success;
}

static gboolean
load_configs (SoraModel *model, GError **error)
{
  g_autofree gchar *text_encoder = g_build_filename (model->path, "text_encoder", "config.json", NULL);
  g_autofree gchar *transformer = g_build_filename (model->path, "transformer", "config.json", NULL);
  g_autofree gchar *vae = g_build_filename (model->path, "vae", "config.json", NULL);

  return sora_text_encoder_config_load (&model->text_encoder, text_encoder, error)
      && sora_transformer_config_load (&model->transformer, transformer, error)
      && sora_vae_config_load (&model->vae, vae, error)
      && load_streaming (model, error);
}

/* FOLDER/STEM.safetensors, or the index of its shards. */
static SoraWeightFile *
open_weights (SoraModel *model, const gchar *folder, const gchar *stem, GError **error)
{
  static const gchar *const suffixes[] = { ".safetensors", ".safetensors.index.json" };

  for (guint i = 0; i < G_N_ELEMENTS (suffixes); i++) {
    g_autofree gchar *name = g_strconcat (stem, suffixes[i], NULL);
    g_autofree gchar *path = g_build_filename (model->path, folder, name, NULL);
    if (g_file_test (path, G_FILE_TEST_EXISTS))
      return sora_weight_file_open (path, error);
  }
  g_set_error (error, SORA_MODEL_ERROR, SORA_MODEL_ERROR_NOT_FOUND, "%s/%s has neither %s.safetensors nor %s.safetensors.index.json",
      model->path, folder, stem, stem);
  return NULL;
}

static gboolean
load_files (SoraModel *model, GError **error)
{
  g_autofree gchar *tokenizer = g_build_filename (model->path, "tokenizer", "spiece.model", NULL);

  model->tokenizer = sora_tokenizer_new (tokenizer, error);
  if (!model->tokenizer)
    return FALSE;
  model->text_encoder_file = open_weights (model, "text_encoder", "model", error);
  if (!model->text_encoder_file || !sora_text_encoder_validate (&model->text_encoder, model->text_encoder_file, error))
    return FALSE;
  model->transformer_file = open_weights (model, "transformer", "diffusion_pytorch_model", error);
  if (!model->transformer_file || !sora_transformer_validate (&model->transformer, model->transformer_file, error))
    return FALSE;
  model->vae_file = open_weights (model, "vae", "diffusion_pytorch_model", error);
  return model->vae_file && sora_vae_validate (&model->vae, model->vae_file, error);
}

static gboolean
expect_equal (SoraModel *model, const gchar *what, guint a, const gchar *other, guint b, GError **error)
{
  if (a == b)
    return TRUE;
  g_set_error (error, SORA_MODEL_ERROR, SORA_MODEL_ERROR_UNSUPPORTED, "%s: %s is %u, but %s is %u", model->path, what, a, other, b);
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
        "%s/sora.json: \"sizes\": %ux%u is not a multiple of %ux%u, what one token covers", model->path, streaming->sizes[i][0],
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
  g_free (model->path);
  g_free (model);
}

SoraModel *
sora_model_open (const gchar *path, GError **error)
{
  gchar *found = find_model (path, error);
  g_autoptr (SoraModel) model = NULL;

  if (!found)
    return NULL;
  model = g_new0 (SoraModel, 1);
  g_atomic_ref_count_init (&model->ref_count);
  g_mutex_init (&model->lock);
  g_cond_init (&model->changed);
  model->weights = g_ptr_array_new ();
  model->path = found;
  if (!check_index (model, error) || !load_configs (model, error) || !load_files (model, error) || !check_agreement (model, error))
    return NULL;
  return g_steal_pointer (&model);
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
  return model->path;
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
