/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Finds a model's parts on disk, in the layouts that users have: which file is the transformer, the text encoder, the VAE, the tokenizer. */

#include "model-layout.h"

#include <string.h>

#include "model-experts.h"
#include "stages/tokenizer.h"

/* Folders that are looked into, and how deep */
#define MAX_DEPTH 2
#define MAX_FILES 1000

const gchar *
sora_layout_name (SoraLayout layout)
{
  static const gchar *const names[] = { "diffusers folder", "original Wan folder", "single files" };

  return names[layout];
}

static gboolean fail (GError **error, SoraModelError code, const gchar *format, ...) G_GNUC_PRINTF (3, 4);

static gboolean
fail (GError **error, SoraModelError code, const gchar *format, ...)
{
  va_list args;

  va_start (args, format);
  if (error)
    *error = g_error_new_valist (SORA_MODEL_ERROR, code, format, args);
  va_end (args);
  return FALSE;
}

/* FOLDER/NAME, if it exists: (transfer full) */
static gchar *
find_file (const gchar *folder, const gchar *name)
{
  g_autofree gchar *path = g_build_filename (folder, name, NULL);

  return g_file_test (path, G_FILE_TEST_EXISTS) ? g_steal_pointer (&path) : NULL;
}

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

/* Lists of weight files */

/* A shard is no file of its own: its index is. */
static gboolean
is_weight_file (const gchar *name)
{
  static const gchar *const suffixes[] = { ".safetensors", ".safetensors.index.json", ".gguf", ".pth", ".pt" };

  if (g_regex_match_simple ("-\\d{5}-of-\\d{5}", name, 0, 0))
    return FALSE;
  for (guint i = 0; i < G_N_ELEMENTS (suffixes); i++) {
    if (g_str_has_suffix (name, suffixes[i]))
      return TRUE;
  }
  return FALSE;
}

static gint
compare_paths (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const gchar * const *) a, *(const gchar * const *) b);
}

static void
add_weight_files (GPtrArray *paths, const gchar *folder, guint depth)
{
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  const gchar *name;

  while (dir && (name = g_dir_read_name (dir)) && paths->len < MAX_FILES) {
    g_autofree gchar *path = g_build_filename (folder, name, NULL);
    if (g_file_test (path, G_FILE_TEST_IS_DIR)) {
      if (depth > 0)
        add_weight_files (paths, path, depth - 1);
    } else if (is_weight_file (name)) {
      g_ptr_array_add (paths, g_steal_pointer (&path));
    }
  }
}

/* (transfer full) (element-type filename): sorted. @depth: 0 = not into its folders */
static GPtrArray *
list_weight_files (const gchar *folder, guint depth)
{
  GPtrArray *paths = g_ptr_array_new_with_free_func (g_free);

  add_weight_files (paths, folder, depth);
  g_ptr_array_sort (paths, compare_paths);
  return paths;
}

static gboolean
name_has (const gchar *path, const gchar *word)
{
  g_autofree gchar *name = g_path_get_basename (path), *lower = g_ascii_strdown (name, -1);

  return strstr (lower, word) != NULL;
}

/* Whether the embeddings of a text or image encoder are so wide */
static gboolean
has_width (SoraWeightFile *file, SoraWeightsKind kind, guint width)
{
  SoraTextEncoderConfig encoder;
  SoraClipConfig clip;

  if (kind == SORA_WEIGHTS_IMAGE_ENCODER)
    return sora_clip_config_from_shapes (&clip, file, NULL) && clip.hidden_size == width;
  return sora_text_encoder_config_from_shapes (&encoder, file, NULL) && encoder.d_model == width;
}

/* The first of @paths that is of @kind and for a transformer of @width (an encoder's) or @channels (the VAE's), 0 = any, and has
 * @word in its name: (transfer full), or NULL. Files that cannot be read are no part. */
static gchar *
find_kind (GPtrArray *paths, SoraWeightsKind kind, guint width, guint channels, const gchar *word)
{
  for (guint i = 0; i < paths->len; i++) {
    g_autoptr (SoraWeightFile) file = name_has (paths->pdata[i], word) ? sora_weight_file_open (paths->pdata[i], NULL) : NULL;
    if (!file || sora_weights_recognise (file) != kind || (channels && sora_weights_get_latent_channels (file) != channels)
        || (width && !has_width (file, kind, width)))
      continue;
    return g_strdup (paths->pdata[i]);
  }
  return NULL;
}

/* Where the parts of a transformer may lie */

static const gchar *const transformer_folders[] = { "diffusion_models", "unet", "checkpoints", "transformer", NULL };
static const gchar *const text_encoder_folders[] = { "text_encoders", "clip", "text_encoder", NULL };
static const gchar *const image_encoder_folders[] = { "clip_vision", "image_encoder", NULL };
static const gchar *const vae_folders[] = { "vae", "vae_approx", NULL };
/* In the order of preference: Wan's own first, as the transformer was trained with it. Other models' VAEs, Qwen-Image's for one, have the
 * same tensors with other numbers, and are told by their names only. */
static const struct {
  SoraWeightsKind kind;
  const gchar *word;            /* in the file's name */
} vae_kinds[] = { { SORA_WEIGHTS_WAN_VAE, "wan" }, { SORA_WEIGHTS_TAEHV, "" }, { SORA_WEIGHTS_WAN_VAE, "" } };

/* The folder that holds the one with transformers that @folder is, or is in: ComfyUI's "models". (transfer full), or NULL */
static gchar *
find_root (const gchar *folder)
{
  g_autofree gchar *place = g_canonicalize_filename (folder, NULL);

  for (guint i = 0; i <= MAX_DEPTH; i++) {
    g_autofree gchar *name = g_path_get_basename (place);
    gchar *parent = g_path_get_dirname (place);
    if (g_strv_contains (transformer_folders, name))
      return parent;
    g_free (place);
    place = parent;
  }
  return NULL;
}

/* Weight files beside the transformer, then those in @names of ComfyUI's folder: (transfer full) */
static GPtrArray *
list_candidates (const gchar *folder, const gchar *root, const gchar *const *names)
{
  GPtrArray *paths = list_weight_files (folder, 0);

  for (guint i = 0; root && names[i]; i++) {
    g_autofree gchar *sibling = g_build_filename (root, names[i], NULL);
    g_autoptr (GPtrArray) more = list_weight_files (sibling, MAX_DEPTH);
    g_ptr_array_extend_and_steal (paths, g_steal_pointer (&more));
  }
  return paths;
}

static gchar *
find_tokenizer_near (const gchar *folder)
{
  static const gchar *const names[] = { "spiece.model", "google/umt5-xxl/spiece.model", "umt5-xxl/spiece.model", "tokenizer/spiece.model",
    "../tokenizer/spiece.model" };
  gchar *found = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (names) && !found; i++)
    found = find_file (folder, names[i]);
  return found;
}

static gboolean
has_tokenizer (const gchar *weights)
{
  g_autoptr (SoraWeightFile) file = weights ? sora_weight_file_open (weights, NULL) : NULL;

  return file && sora_tokenizer_is_inside (file);
}

/* In the text encoder's file, beside the transformer, or beside the text encoder */
static void
find_tokenizer (SoraModelParts *parts, const gchar *folder)
{
  if (!parts->tokenizer && has_tokenizer (parts->text_encoder.weights))
    parts->tokenizer = g_strdup (parts->text_encoder.weights);
  if (!parts->tokenizer)
    parts->tokenizer = find_tokenizer_near (folder);
  if (!parts->tokenizer && parts->text_encoder.weights) {
    g_autofree gchar *beside = g_path_get_dirname (parts->text_encoder.weights);
    parts->tokenizer = find_tokenizer_near (beside);
  }
}

/* What was not named, and fits @transformer, in @folder */
static void
find_others (SoraModelParts *parts, const SoraTransformerConfig *transformer, const gchar *folder)
{
  g_autofree gchar *root = find_root (folder);

  if (!parts->text_encoder.weights) {
    g_autoptr (GPtrArray) paths = list_candidates (folder, root, text_encoder_folders);
    parts->text_encoder.weights = find_kind (paths, SORA_WEIGHTS_TEXT_ENCODER, transformer->text_dim, 0, "");
  }
  if (!parts->vae.weights) {
    g_autoptr (GPtrArray) paths = list_candidates (folder, root, vae_folders);
    for (guint i = 0; i < G_N_ELEMENTS (vae_kinds) && !parts->vae.weights; i++)
      parts->vae.weights = find_kind (paths, vae_kinds[i].kind, 0, transformer->out_channels, vae_kinds[i].word);
  }
  if (!parts->image_encoder.weights && transformer->image_dim > 0) {
    g_autoptr (GPtrArray) paths = list_candidates (folder, root, image_encoder_folders);
    parts->image_encoder.weights = find_kind (paths, SORA_WEIGHTS_IMAGE_ENCODER, transformer->image_dim, 0, "");
  }
  find_tokenizer (parts, folder);
}

/* Diffusers' layout */

/* FOLDER/STEM.safetensors, or the index of its shards: (transfer full), or NULL */
static gchar *
find_stem (const gchar *folder, const gchar *stem)
{
  g_autofree gchar *file = g_strconcat (stem, ".safetensors", NULL), *index = g_strconcat (file, ".index.json", NULL);
  gchar *found = find_file (folder, file);

  return found ? found : find_file (folder, index);
}

static void
set_diffusers_part (SoraModelPart *part, const gchar *model, const gchar *name, const gchar *stem)
{
  g_autofree gchar *folder = g_build_filename (model, name, NULL);

  if (part->weights)
    return;
  part->weights = find_stem (folder, stem);
  part->config = g_build_filename (folder, "config.json", NULL);
}

static void
set_diffusers (SoraModelParts *parts, const gchar *path)
{
  parts->layout = SORA_LAYOUT_DIFFUSERS;
  parts->folder = g_strdup (path);
  set_diffusers_part (&parts->transformer, path, "transformer", "diffusion_pytorch_model");
  set_diffusers_part (&parts->transformer_2, path, "transformer_2", "diffusion_pytorch_model");
  set_diffusers_part (&parts->text_encoder, path, "text_encoder", "model");
  set_diffusers_part (&parts->image_encoder, path, "image_encoder", "model");
  set_diffusers_part (&parts->vae, path, "vae", "diffusion_pytorch_model");
  if (!parts->tokenizer)
    parts->tokenizer = g_build_filename (path, "tokenizer", "spiece.model", NULL);
}

/* The others */

/* Wan's config.json lies beside many things; that of its transformer has "dim". */
static gchar *
find_wan_config (const gchar *folder)
{
  g_autofree gchar *path = find_file (folder, "config.json");

  return path && sora_transformer_config_is_wan (path) ? g_steal_pointer (&path) : NULL;
}

static void
set_beside (SoraModelPart *part)
{
  g_autofree gchar *folder = g_path_get_dirname (part->weights);

  if (!part->config)
    part->config = find_wan_config (folder);
}

/* Where a transformer is called an expert, the other one is called alike, unless it is named. */
static gboolean
find_second_expert (SoraModelParts *parts, GError **error)
{
  const gchar *first = parts->transformer.weights;
  gboolean is_low = sora_expert_is_low (first);
  g_autofree gchar *other = sora_expert_get_other (first);

  if (parts->transformer_2.weights && is_low)
    return fail (error, SORA_MODEL_ERROR_UNSUPPORTED, "%s: by its name the expert for low noise, which is the second transformer; name the one "
        "for high noise as the model", first);
  if (other && !parts->transformer_2.weights) {
    if (!g_file_test (other, G_FILE_TEST_EXISTS))
      return fail (error, SORA_MODEL_ERROR_NOT_FOUND, "%s: by its name one of the two experts of a Wan 2.2 A14B model, of which each makes a "
          "part of the steps, but there is no %s; put it there, or name the one for low noise as the second transformer", first, other);
    parts->transformer_2.weights = g_steal_pointer (&other);
  }
  if (parts->transformer_2.weights)
    set_beside (&parts->transformer_2);
  if (is_low) {
    SoraModelPart low = parts->transformer;
    parts->transformer = parts->transformer_2;
    parts->transformer_2 = low;
  }
  return TRUE;
}

/* The folder of a transformer's file, or where it is in one of an expert's own, the folder that holds it: (transfer full) */
static gchar *
find_home (const gchar *weights)
{
  g_autofree gchar *folder = g_path_get_dirname (weights), *name = g_path_get_basename (folder);

  return sora_expert_is_named (name) ? g_path_get_dirname (folder) : g_steal_pointer (&folder);
}

/* sora.json of the model's folder; beside a single file, which may have others there, NAME.sora.json (of NAME.gguf and so on). */
static void
find_streaming (SoraModelParts *parts)
{
  static const gchar *const suffixes[] = { ".index.json", ".safetensors", ".gguf", ".pth", ".pt" };
  g_autofree gchar *stem = g_strdup (parts->transformer.weights), *path = NULL;

  for (guint i = 0; !parts->folder && i < G_N_ELEMENTS (suffixes); i++) {
    if (g_str_has_suffix (stem, suffixes[i]))
      stem[strlen (stem) - strlen (suffixes[i])] = '\0';
  }
  path = parts->folder ? g_build_filename (parts->folder, "sora.json", NULL) : g_strconcat (stem, ".sora.json", NULL);
  if (g_file_test (path, G_FILE_TEST_EXISTS))
    parts->streaming = g_steal_pointer (&path);
}

/* The transformer is known, and all else is found from it. */
static gboolean
complete_files (SoraModelParts *parts, GError **error)
{
  g_autofree gchar *home = find_home (parts->transformer.weights);
  g_autoptr (SoraWeightFile) file = sora_weight_file_open (parts->transformer.weights, error);
  SoraTransformerConfig config;
  guint text_length;

  if (!file)
    return FALSE;
  set_beside (&parts->transformer);
  if (!find_second_expert (parts, error)
      || !sora_transformer_config_read (&config, file, parts->transformer.config, &text_length, error))
    return FALSE;
  find_others (parts, &config, home);
  return TRUE;
}

/* Names of all transformers in @folder, as a list for a message: (transfer full), NULL if there are none; *@first is one of them. */
static gchar *
list_transformers (const gchar *folder, guint depth, gchar **first, guint *n, GError **unreadable)
{
  g_autoptr (GPtrArray) paths = list_weight_files (folder, depth);
  g_autoptr (GString) list = g_string_new (NULL);

  *n = 0;
  for (guint i = 0; i < paths->len; i++) {
    g_autoptr (GError) cause = NULL;
    g_autoptr (SoraWeightFile) file = sora_weight_file_open (paths->pdata[i], &cause);
    if (!file && !*unreadable)
      *unreadable = g_steal_pointer (&cause);
    if (!file || sora_weights_recognise (file) != SORA_WEIGHTS_TRANSFORMER)
      continue;
    g_string_append_printf (list, "%s%s", (*n)++ ? ", " : "", (gchar *) paths->pdata[i]);
    if (!*first)
      *first = g_strdup (paths->pdata[i]);
  }
  return *n ? g_strdup (list->str) : NULL;
}

/* @weights is the transformer of @folder, which is Wan's own if its config.json is there: takes @weights. */
static gboolean
find_from_weights (SoraModelParts *parts, gchar *weights, GError **error)
{
  parts->transformer.weights = weights;
  set_beside (&parts->transformer);
  parts->layout = parts->transformer.config ? SORA_LAYOUT_WAN : SORA_LAYOUT_FILES;
  parts->folder = parts->transformer.config ? find_home (weights) : NULL;
  return complete_files (parts, error);
}

/* Whether the two transformers of @list are experts that belong together, @first being one of them */
static gboolean
are_experts (const gchar *first, const gchar *list)
{
  g_autofree gchar *other = sora_expert_get_other (first);

  return other && strstr (list, other);
}

/* A folder of Wan's, of single files, or ComfyUI's "models" */
static gboolean
find_in_folder (SoraModelParts *parts, const gchar *path, GError **error)
{
  g_autoptr (GError) unreadable = NULL;
  g_autofree gchar *first = NULL, *inner_first = NULL, *expert = find_file (path, "high_noise_model"), *list = NULL, *inner = NULL;
  guint n, n_inner;

  list = list_transformers (path, 0, &first, &n, &unreadable);
  if (!list && expert)
    list = list_transformers (expert, 0, &first, &n, &unreadable);
  if (n == 1 || (n == 2 && are_experts (first, list)))
    return find_from_weights (parts, g_steal_pointer (&first), error);
  if (n > 1)
    return fail (error, SORA_MODEL_ERROR_UNSUPPORTED, "%s holds several transformers; name one of them: %s", path, list);
  if (unreadable) {
    g_propagate_error (error, g_steal_pointer (&unreadable));
    return FALSE;
  }
  inner = list_transformers (path, MAX_DEPTH, &inner_first, &n_inner, &unreadable);
  if (inner)
    return fail (error, SORA_MODEL_ERROR_NOT_FOUND,
        "%s is not a model (it has no model_index.json), but has transformers in it; name one of them: %s", path, inner);
  return fail (error, SORA_MODEL_ERROR_NOT_FOUND,
      "%s is not a model: it has no model_index.json (diffusers), and no file in it is a Wan transformer", path);
}

static gboolean
find_from_file (SoraModelParts *parts, const gchar *path, GError **error)
{
  parts->layout = SORA_LAYOUT_FILES;
  parts->transformer.weights = g_strdup (path);
  return complete_files (parts, error);
}

static gboolean
find_transformer (SoraModelParts *parts, const gchar *path, GError **error)
{
  g_autoptr (GString) tried = g_string_new (NULL);
  g_autofree gchar *index = NULL;

  parts->path = path && *path ? g_strdup (path) : find_embedded (tried);
  if (!parts->path)
    return fail (error, SORA_MODEL_ERROR_NOT_FOUND,
        "The embedded model is in none of %s; install it, or set SORA_MODEL_PATH to its directory", tried->str);
  index = find_file (parts->path, "model_index.json");
  if (index) {
    set_diffusers (parts, parts->path);
    return TRUE;
  }
  if (g_file_test (parts->path, G_FILE_TEST_IS_DIR))
    return find_in_folder (parts, parts->path, error);
  if (g_file_test (parts->path, G_FILE_TEST_EXISTS))
    return find_from_file (parts, parts->path, error);
  return fail (error, SORA_MODEL_ERROR_NOT_FOUND, "There is no model %s", parts->path);
}

/* A part that was named: a file, whose shapes say all, or a folder of diffusers' layout */
static gboolean
set_named_part (SoraModelPart *part, const gchar *path, GError **error)
{
  static const gchar *const stems[] = { "model", "diffusion_pytorch_model" };

  if (!path || !*path)
    return TRUE;
  if (!g_file_test (path, G_FILE_TEST_EXISTS))
    return fail (error, SORA_MODEL_ERROR_NOT_FOUND, "There is no file %s", path);
  if (!g_file_test (path, G_FILE_TEST_IS_DIR)) {
    part->weights = g_strdup (path);
    return TRUE;
  }
  for (guint i = 0; i < G_N_ELEMENTS (stems) && !part->weights; i++)
    part->weights = find_stem (path, stems[i]);
  part->config = find_file (path, "config.json");
  return part->weights || fail (error, SORA_MODEL_ERROR_NOT_FOUND,
      "%s has neither model.safetensors nor diffusion_pytorch_model.safetensors, nor an index of one", path);
}

gboolean
sora_model_parts_find (SoraModelParts *parts, const SoraModelFiles *files, GError **error)
{
  *parts = (SoraModelParts) { .tokenizer = files->tokenizer && *files->tokenizer ? g_strdup (files->tokenizer) : NULL,
    .causal = files->causal };
  if (set_named_part (&parts->text_encoder, files->text_encoder, error) && set_named_part (&parts->vae, files->vae, error)
      && set_named_part (&parts->transformer_2, files->transformer_2, error)
      && set_named_part (&parts->image_encoder, files->image_encoder, error) && find_transformer (parts, files->path, error)) {
    find_streaming (parts);
    return TRUE;
  }
  sora_model_parts_clear (parts);
  return FALSE;
}

void
sora_model_parts_clear (SoraModelParts *parts)
{
  SoraModelPart *each[] = { &parts->transformer, &parts->transformer_2, &parts->text_encoder, &parts->vae, &parts->image_encoder };

  for (guint i = 0; i < G_N_ELEMENTS (each); i++) {
    g_free (each[i]->weights);
    g_free (each[i]->config);
  }
  g_free (parts->path);
  g_free (parts->folder);
  g_free (parts->streaming);
  g_free (parts->tokenizer);
  memset (parts, 0, sizeof (*parts));
}

/* In diffusers' layout each part has its place. */
static gboolean
check_diffusers_part (const SoraModelParts *parts, const SoraModelPart *part, const gchar *name, const gchar *stem, GError **error)
{
  if (part->weights)
    return TRUE;
  return fail (error, SORA_MODEL_ERROR_NOT_FOUND, "%s/%s has neither %s.safetensors nor %s.safetensors.index.json", parts->path, name,
      stem, stem);
}

/* In the others they may lie in several. */
static gboolean
check_files (const SoraModelParts *parts, GError **error)
{
  if (!parts->text_encoder.weights)
    return fail (error, SORA_MODEL_ERROR_NOT_FOUND, "%s: the text encoder is missing. No UMT5 that fits lies beside the transformer or in "
        "ComfyUI's text_encoders; put one there (umt5-xxl, an encoder for Wan), or name it as the text encoder", parts->path);
  if (!parts->vae.weights)
    return fail (error, SORA_MODEL_ERROR_NOT_FOUND, "%s: the VAE is missing. None that fits lies beside the transformer or in ComfyUI's vae; "
        "put one there (wan_2.1_vae or taew2_1 for Wan 2.1, wan2.2_vae or taew2_2 for Wan 2.2 TI2V), or name it as the VAE", parts->path);
  return parts->tokenizer || fail (error, SORA_MODEL_ERROR_NOT_FOUND, "%s: the tokenizer is missing. Put UMT5's spiece.model (from "
      "google/umt5-xxl) beside the text encoder or the transformer, or name it as the tokenizer", parts->path);
}

gboolean
sora_model_parts_check (const SoraModelParts *parts, GError **error)
{
  if (parts->layout != SORA_LAYOUT_DIFFUSERS)
    return check_files (parts, error);
  return check_diffusers_part (parts, &parts->text_encoder, "text_encoder", "model", error)
      && check_diffusers_part (parts, &parts->transformer, "transformer", "diffusion_pytorch_model", error)
      && check_diffusers_part (parts, &parts->vae, "vae", "diffusion_pytorch_model", error);
}
