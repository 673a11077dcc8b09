/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Makes the list of models: each path that the walk found is opened as far as its headers, and what they say is kept. */

#include "catalogue-private.h"

#include <string.h>

#include "model-private.h"

#define MAX_ENTRIES 20000

struct _SoraCatalogue {
  gatomicrefcount ref_count;
  GPtrArray *models;            /* SoraCatalogueModel */
};

static void
model_free (SoraCatalogueModel *model)
{
  SoraPartSummary *parts[] = { &model->transformer, &model->transformer_2, &model->text_encoder, &model->vae, &model->image_encoder };

  for (guint i = 0; i < G_N_ELEMENTS (parts); i++)
    sora_part_summary_clear (parts[i]);
  g_free (model->name);
  g_free (model->title);
  g_free (model->path);
  g_free (model->family);
  g_free (model->tokenizer);
  g_ptr_array_unref (model->types);
  sora_streaming_config_clear (&model->streaming);
  g_strfreev (model->missing);
  g_clear_error (&model->error);
  g_free (model);
}

/* What a model's parts say, each once in the order of the parts */
static void
add_types (SoraCatalogueModel *model, const SoraPartSummary *part)
{
  for (guint i = 0; i < SORA_N_DTYPES; i++) {
    const gchar *name = sora_dtype_name (i);
    if (part->dtypes[i] && !g_ptr_array_find (model->types, name, NULL))
      g_ptr_array_add (model->types, (gpointer) name);
  }
}

static void
summarise_parts (SoraCatalogueModel *model, const SoraModelParts *parts)
{
  sora_part_summary_init (&model->transformer, parts->transformer.weights, parts->cache);
  sora_part_summary_init (&model->transformer_2, parts->transformer_2.weights, parts->cache);
  sora_part_summary_init (&model->text_encoder, parts->text_encoder.weights, parts->cache);
  sora_part_summary_init (&model->vae, parts->vae.weights, parts->cache);
  sora_part_summary_init (&model->image_encoder, parts->image_encoder.weights, parts->cache);
  model->tokenizer = g_strdup (parts->tokenizer);
  add_types (model, &model->transformer);
  add_types (model, &model->transformer_2);
  add_types (model, &model->text_encoder);
  add_types (model, &model->vae);
  add_types (model, &model->image_encoder);
}

/* The embedded model is what is called so and has our sora.json; all others go by their transformer, of which two make a model of
 * Wan 2.2. */
static void
set_family (SoraCatalogueModel *model, const SoraModelParts *parts)
{
  g_autofree gchar *config = parts->folder ? g_build_filename (parts->folder, "sora.json", NULL) : NULL;

  if (config && g_str_equal (model->name, "embedded") && g_file_test (config, G_FILE_TEST_EXISTS))
    model->family = g_strdup ("embedded");
  else if (model->transformer_2.family && g_str_equal (model->transformer_2.family, "Wan T2V-14B"))
    model->family = g_strdup ("Wan 2.2 T2V-A14B");
  else
    model->family = g_strdup (model->transformer.family ? model->transformer.family : "unknown");
}

/* A model that streams goes on from clean latents of the past, and an image is one; of others Wan 2.2 TI2V (48 channels) knows images, and
 * those that are given one with the latents. Of these, those that attend to its embeddings too take a last one only if they have places
 * for two. */
static void
set_abilities (SoraCatalogueModel *model, const SoraTransformerConfig *config)
{
  gboolean goes_on = config->in_channels > config->out_channels;

  if (!goes_on)
    model->abilities |= SORA_ABILITY_TEXT;
  if (model->streaming.causal)
    model->abilities |= SORA_ABILITY_STREAM;
  if (goes_on || model->streaming.causal || config->in_channels == 48)
    model->abilities |= SORA_ABILITY_IMAGE;
  if (goes_on && (config->image_dim == 0 || config->image_positions > 0))
    model->abilities |= SORA_ABILITY_LAST_IMAGE;
}

static void
describe_opened (SoraCatalogueModel *model, SoraModel *opened)
{
  model->streaming = opened->streaming;
  model->streaming.name = g_strdup (opened->streaming.name);
  set_abilities (model, &opened->transformer);
  if (opened->vae_file)
    model->clip_frames = sora_model_get_clip_frames (opened);
}

/* What is at the path is no model that can be run; a file's header may say more than why. */
static void
describe_refused (SoraCatalogueModel *model, SoraWeightCache *cache)
{
  if (g_file_test (model->path, G_FILE_TEST_IS_DIR))
    return;
  sora_part_summary_init (&model->transformer, model->path, cache);
  add_types (model, &model->transformer);
}

static void
describe (SoraCatalogueModel *model, SoraWeightCache *cache)
{
  g_autoptr (SoraModel) opened = NULL;
  gdouble boundary_ratio = 0;
  SoraModelParts parts;

  if (!sora_model_parts_find_cached (&parts, model->path, cache, &model->error)) {
    describe_refused (model, cache);
    return;
  }
  summarise_parts (model, &parts);
  set_family (model, &parts);
  if (!sora_model_parts_read_index (&parts, &boundary_ratio, &model->error)) {
    sora_model_parts_clear (&parts);
    return;
  }
  g_strfreev (model->missing);
  model->missing = sora_model_parts_list_missing (&parts);
  opened = sora_model_open_headers (&parts, model->missing[0] != NULL, &model->error);
  if (opened)
    describe_opened (model, opened);
}

static SoraCatalogueModel *
model_new (SoraCandidate *candidate, SoraWeightCache *cache)
{
  SoraCatalogueModel *model = g_new0 (SoraCatalogueModel, 1);

  model->name = sora_model_path_make_name (candidate->path);
  model->path = g_strdup (candidate->path);
  model->place = candidate->place;
  model->types = g_ptr_array_new ();
  model->missing = g_new0 (gchar *, 1);
  model->error = g_steal_pointer (&candidate->error);
  if (!model->error)
    describe (model, cache);
  if (!model->family)
    model->family = g_strdup (model->transformer.family ? model->transformer.family : "unknown");
  if (model->streaming.name && !g_str_equal (model->streaming.name, model->name))
    model->title = g_strdup (model->streaming.name);
  g_ptr_array_add (model->types, NULL);
  return model;
}

SoraCatalogue *
sora_catalogue_new (const gchar *const *places)
{
  SoraCatalogue *catalogue = g_new0 (SoraCatalogue, 1);
  g_autoptr (SoraWeightCache) cache = sora_weight_cache_new ();
  g_auto (GStrv) usual = places ? NULL : sora_model_places ();
  guint n_required = places ? g_strv_length ((gchar **) places) : g_strv_length (usual) - 2;
  g_autoptr (GPtrArray) candidates = sora_catalogue_walk (places ? places : (const gchar *const *) usual, n_required, MAX_ENTRIES, cache);

  g_atomic_ref_count_init (&catalogue->ref_count);
  catalogue->models = g_ptr_array_new_with_free_func ((GDestroyNotify) model_free);
  for (guint i = 0; i < candidates->len; i++)
    g_ptr_array_add (catalogue->models, model_new (candidates->pdata[i], cache));
  return catalogue;
}

SoraCatalogue *
sora_catalogue_ref (SoraCatalogue *catalogue)
{
  g_atomic_ref_count_inc (&catalogue->ref_count);
  return catalogue;
}

void
sora_catalogue_unref (SoraCatalogue *catalogue)
{
  if (!catalogue || !g_atomic_ref_count_dec (&catalogue->ref_count))
    return;
  g_ptr_array_unref (catalogue->models);
  g_free (catalogue);
}

guint
sora_catalogue_get_n_models (SoraCatalogue *catalogue)
{
  return catalogue->models->len;
}

const SoraCatalogueModel *
sora_catalogue_get_model (SoraCatalogue *catalogue, guint index)
{
  g_return_val_if_fail (index < catalogue->models->len, NULL);
  return catalogue->models->pdata[index];
}

const gchar *
sora_catalogue_model_get_name (const SoraCatalogueModel *model)
{
  return model->name;
}

const gchar *
sora_catalogue_model_get_path (const SoraCatalogueModel *model)
{
  return model->path;
}

const gchar *
sora_catalogue_model_get_family (const SoraCatalogueModel *model)
{
  return model->family;
}

guint64
sora_catalogue_model_get_n_parameters (const SoraCatalogueModel *model)
{
  return model->transformer.n_parameters + model->transformer_2.n_parameters + model->text_encoder.n_parameters + model->vae.n_parameters
      + model->image_encoder.n_parameters;
}

guint64
sora_catalogue_model_get_memory (const SoraCatalogueModel *model)
{
  guint64 resident = model->transformer.memory + model->transformer_2.memory + model->vae.memory;

  return model->text_encoder.is_large ? MAX (model->text_encoder.memory, resident) : model->text_encoder.memory + resident;
}

const gchar *const *
sora_catalogue_model_get_types (const SoraCatalogueModel *model)
{
  return (const gchar *const *) model->types->pdata;
}

guint
sora_catalogue_model_get_n_sizes (const SoraCatalogueModel *model)
{
  return model->streaming.n_sizes;
}

void
sora_catalogue_model_get_size (const SoraCatalogueModel *model, guint index, guint *width, guint *height)
{
  g_return_if_fail (index < model->streaming.n_sizes);
  *width = model->streaming.sizes[index][0];
  *height = model->streaming.sizes[index][1];
}

SoraAbilities
sora_catalogue_model_get_abilities (const SoraCatalogueModel *model)
{
  return model->abilities;
}

const gchar *const *
sora_catalogue_model_get_missing (const SoraCatalogueModel *model)
{
  return (const gchar *const *) model->missing;
}

const GError *
sora_catalogue_model_get_error (const SoraCatalogueModel *model)
{
  return model->error;
}
