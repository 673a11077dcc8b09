/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Finds a model's parts on disk, in the layouts that users have: which file is the transformer, the text encoder, the VAE, the tokenizer. */

#include "model-layout.h"

#include <string.h>

#include "catalogue-private.h"
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

gchar **
sora_model_places (void)
{
  g_autoptr (GStrvBuilder) places = g_strv_builder_new ();
  const gchar *variable = g_getenv ("SORA_MODEL_PATH");
  g_auto (GStrv) entries = g_strsplit (variable ? variable : "", G_SEARCHPATH_SEPARATOR_S, -1);
  g_autofree gchar *home = g_build_filename (g_get_user_data_dir (), "sora", "models", NULL);
  g_autofree gchar *installed = g_build_filename (SORA_DATA_DIR, "models", NULL);

  for (guint i = 0; entries[i]; i++) {
    if (*entries[i])
      g_strv_builder_add (places, entries[i]);
  }
  g_strv_builder_add (places, home);
  g_strv_builder_add (places, installed);
  return g_strv_builder_end (places);
}

/* The embedded model in the first place that has it; an entry of SORA_MODEL_PATH (all but the last two) may be the model itself. Each that
 * was tried is noted in @tried. */
static gchar *
find_embedded (GString *tried)
{
  g_auto (GStrv) places = sora_model_places ();
  guint n = g_strv_length (places);

  for (guint i = 0; i < 2 * n; i++) {
    g_autofree gchar *place = i % 2 ? g_build_filename (places[i / 2], "embedded", NULL) : g_strdup (places[i / 2]);
    g_autofree gchar *index = g_build_filename (place, "model_index.json", NULL);
    if (i % 2 == 0 && i / 2 + 2 >= n)
      continue;
    if (g_file_test (index, G_FILE_TEST_EXISTS))
      return g_steal_pointer (&place);
    g_string_append_printf (tried, "%s%s", tried->len > 0 ? ", " : "", place);
  }
  return NULL;
}

/* Lists of weight files */

/* A shard is no file of its own: its index is. */
gboolean
sora_is_weight_file_name (const gchar *name)
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

gboolean
sora_is_special_file (const gchar *path)
{
  return g_file_test (path, G_FILE_TEST_EXISTS) && !g_file_test (path, G_FILE_TEST_IS_REGULAR) && !g_file_test (path, G_FILE_TEST_IS_DIR);
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
    } else if (sora_is_weight_file_name (name) && !sora_is_special_file (path)) {
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
  if (paths->len == MAX_FILES)
    g_warning ("%s: only %u weight files of this folder are looked at; name the files of the other parts too", folder, MAX_FILES);
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

/* Bits a weight on average; more than 16 are no better. */
static guint
count_bits (SoraWeightFile *file)
{
  g_autoptr (GPtrArray) names = sora_weight_file_get_names (file);
  guint64 n = 0;

  for (guint i = 0; i < names->len; i++)
    n += sora_weight_file_peek (file, names->pdata[i])->n_elements;
  return n > 0 ? MIN (8 * (gdouble) sora_weight_file_get_bytes (file) / n + 0.5, 16) : 0;
}

/* What a part must be */
typedef struct {
  SoraWeightsKind kind;
  guint width;                  /* an encoder's; 0: any */
  guint channels;               /* the VAE's; 0: any */
  const gchar *word;            /* in the file's name; NULL: any */
} Wanted;

static gboolean
fits (SoraWeightFile *file, const Wanted *wanted)
{
  return sora_weights_recognise (file) == wanted->kind
      && (!wanted->channels || sora_weights_get_latent_channels (file) == wanted->channels)
      && (!wanted->width || has_width (file, wanted->kind, wanted->width));
}

/* The one of @paths, which lie in the same place, that has the most bits of those that are @wanted; the first of equals: (transfer full),
 * or NULL. Files that cannot be read are no part, but why the first could not is kept in @unreadable for whoever finds nothing. */
static gchar *
find_best (GPtrArray *paths, const Wanted *wanted, SoraWeightCache *cache, gchar **unreadable)
{
  const gchar *best = NULL;
  guint most_bits = 0;

  for (guint i = 0; i < paths->len; i++) {
    g_autoptr (GError) cause = NULL;
    g_autoptr (SoraWeightFile) file = NULL;
    guint bits;
    if (wanted->word && !name_has (paths->pdata[i], wanted->word))
      continue;
    file = sora_weight_cache_open (cache, paths->pdata[i], &cause);
    if (!file && !*unreadable)
      *unreadable = g_strdup (cause->message);
    if (!file || !fits (file, wanted))
      continue;
    bits = count_bits (file);
    if (!best || bits > most_bits) {
      best = paths->pdata[i];
      most_bits = bits;
    }
  }
  return g_strdup (best);
}

/* Where the parts of a transformer may lie */

const gchar *const sora_transformer_folders[] = { "diffusion_models", "unet", "checkpoints", "transformer", NULL };
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
    if (g_strv_contains (sora_transformer_folders, name))
      return parent;
    g_free (place);
    place = parent;
  }
  return NULL;
}

/* Sets @part's weights: beside the transformer in @folder, or in the first of @names in ComfyUI's folder @root that has what is @wanted */
static void
find_part (SoraModelPart *part, const gchar *folder, const gchar *root, const gchar *const *names, const Wanted *wanted,
    SoraWeightCache *cache)
{
  g_autoptr (GPtrArray) beside = list_weight_files (folder, 0);

  part->weights = find_best (beside, wanted, cache, &part->unreadable);
  for (guint i = 0; root && names[i] && !part->weights; i++) {
    g_autofree gchar *sibling = g_build_filename (root, names[i], NULL);
    g_autoptr (GPtrArray) paths = list_weight_files (sibling, MAX_DEPTH);
    part->weights = find_best (paths, wanted, cache, &part->unreadable);
  }
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
has_tokenizer (const gchar *weights, SoraWeightCache *cache)
{
  g_autoptr (SoraWeightFile) file = weights ? sora_weight_cache_open (cache, weights, NULL) : NULL;

  return file && sora_tokenizer_is_inside (file);
}

/* In the text encoder's file, beside the transformer, or beside the text encoder */
static void
find_tokenizer (SoraModelParts *parts, const gchar *folder)
{
  if (!parts->tokenizer && has_tokenizer (parts->text_encoder.weights, parts->cache))
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
    const Wanted wanted = { SORA_WEIGHTS_TEXT_ENCODER, .width = transformer->text_dim };
    find_part (&parts->text_encoder, folder, root, text_encoder_folders, &wanted, parts->cache);
  }
  for (guint i = 0; i < G_N_ELEMENTS (vae_kinds) && !parts->vae.weights; i++) {
    const Wanted wanted = { vae_kinds[i].kind, .word = vae_kinds[i].word, .channels = transformer->out_channels };
    find_part (&parts->vae, folder, root, vae_folders, &wanted, parts->cache);
  }
  parts->needs_image_encoder = transformer->image_dim > 0;
  if (!parts->image_encoder.weights && parts->needs_image_encoder) {
    const Wanted wanted = { SORA_WEIGHTS_IMAGE_ENCODER, .width = transformer->image_dim };
    find_part (&parts->image_encoder, folder, root, image_encoder_folders, &wanted, parts->cache);
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

/* A transformer that cannot be read needs nothing. */
static gboolean
is_for_images (const SoraModelPart *transformer)
{
  SoraTransformerConfig config;

  return sora_transformer_config_load (&config, transformer->config, NULL) && config.image_dim > 0;
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
  parts->needs_image_encoder = is_for_images (&parts->transformer);
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
          "part of the steps, but there is no %s; put it there, or name the one for high noise as the model and the one for low noise as the "
          "second transformer", first, other);
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
  g_autoptr (SoraWeightFile) file = sora_weight_cache_open (parts->cache, parts->transformer.weights, error);
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

gboolean
sora_is_wan_folder (const gchar *folder)
{
  g_autofree gchar *config = find_wan_config (folder), *expert = g_build_filename (folder, "high_noise_model", NULL);

  return config != NULL || g_file_test (expert, G_FILE_TEST_IS_DIR);
}

/* Names of all transformers in @folder, as a list for a message: (transfer full), NULL if there are none; *@first is one of them. */
static gchar *
list_transformers (const gchar *folder, guint depth, SoraWeightCache *cache, gchar **first, guint *n, GError **unreadable)
{
  g_autoptr (GPtrArray) paths = list_weight_files (folder, depth);
  g_autoptr (GString) list = g_string_new (NULL);

  *n = 0;
  for (guint i = 0; i < paths->len; i++) {
    g_autoptr (GError) cause = NULL;
    g_autoptr (SoraWeightFile) file = sora_weight_cache_open (cache, paths->pdata[i], &cause);
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

  list = list_transformers (path, 0, parts->cache, &first, &n, &unreadable);
  if (!list && expert)
    list = list_transformers (expert, 0, parts->cache, &first, &n, &unreadable);
  if (n == 1 || (n == 2 && are_experts (first, list)))
    return find_from_weights (parts, g_steal_pointer (&first), error);
  if (n > 1)
    return fail (error, SORA_MODEL_ERROR_UNSUPPORTED, "%s holds several transformers; name one of them: %s", path, list);
  if (unreadable) {
    g_propagate_error (error, g_steal_pointer (&unreadable));
    return FALSE;
  }
  inner = list_transformers (path, MAX_DEPTH, parts->cache, &inner_first, &n_inner, &unreadable);
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

/* Other files are found from where the transformer's is, and experts by the names of folders too, so its path must be whole. */
static gboolean
find_transformer (SoraModelParts *parts, const gchar *path, GError **error)
{
  g_autoptr (GString) tried = g_string_new (NULL);
  g_autofree gchar *index = NULL, *whole = NULL;

  parts->path = path && *path ? g_strdup (path) : find_embedded (tried);
  if (!parts->path)
    return fail (error, SORA_MODEL_ERROR_NOT_FOUND,
        "The embedded model is in none of %s; install it, or set SORA_MODEL_PATH to its directory", tried->str);
  index = find_file (parts->path, "model_index.json");
  if (index) {
    set_diffusers (parts, parts->path);
    return TRUE;
  }
  whole = g_canonicalize_filename (parts->path, NULL);
  if (g_file_test (whole, G_FILE_TEST_IS_DIR))
    return find_in_folder (parts, whole, error);
  if (g_file_test (whole, G_FILE_TEST_EXISTS))
    return find_from_file (parts, whole, error);
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

/* The tokenizer, if it was named: a file, or a folder that holds it */
static gboolean
set_named_tokenizer (SoraModelParts *parts, const gchar *path, GError **error)
{
  if (!path || !*path)
    return TRUE;
  if (!g_file_test (path, G_FILE_TEST_EXISTS))
    return fail (error, SORA_MODEL_ERROR_NOT_FOUND, "There is no file %s", path);
  parts->tokenizer = g_file_test (path, G_FILE_TEST_IS_DIR) ? find_file (path, "spiece.model") : g_strdup (path);
  return parts->tokenizer || fail (error, SORA_MODEL_ERROR_NOT_FOUND, "%s has no spiece.model", path);
}

gboolean
sora_model_parts_find (SoraModelParts *parts, const SoraModelFiles *files, GError **error)
{
  g_autofree gchar *named = NULL;

  if (sora_catalogue_is_name (files->path) && !(named = sora_catalogue_resolve (files->path, error)))
    return FALSE;
  *parts = (SoraModelParts) { .causal = files->causal };
  if (set_named_tokenizer (parts, files->tokenizer, error) && set_named_part (&parts->text_encoder, files->text_encoder, error)
      && set_named_part (&parts->vae, files->vae, error)
      && set_named_part (&parts->transformer_2, files->transformer_2, error)
      && set_named_part (&parts->image_encoder, files->image_encoder, error)
      && find_transformer (parts, named ? named : files->path, error)) {
    find_streaming (parts);
    return TRUE;
  }
  sora_model_parts_clear (parts);
  return FALSE;
}

gboolean
sora_model_parts_find_cached (SoraModelParts *parts, const gchar *path, SoraWeightCache *cache, GError **error)
{
  *parts = (SoraModelParts) { .cache = cache };
  if (find_transformer (parts, path, error)) {
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
    g_free (each[i]->unreadable);
  }
  g_free (parts->path);
  g_free (parts->folder);
  g_free (parts->streaming);
  g_free (parts->tokenizer);
  memset (parts, 0, sizeof (*parts));
}

/* What is missing */

/* In diffusers' layout each part has its place. */
static void
list_missing_in_folder (const SoraModelParts *parts, GStrvBuilder *missing)
{
  const struct {
    const SoraModelPart *part;
    const gchar *name, *stem;
    gboolean is_needed;
  } places[] = {
    { &parts->text_encoder, "text_encoder", "model", TRUE },
    { &parts->transformer, "transformer", "diffusion_pytorch_model", TRUE },
    { &parts->vae, "vae", "diffusion_pytorch_model", TRUE },
    { &parts->image_encoder, "image_encoder", "model", parts->needs_image_encoder },
  };

  for (guint i = 0; i < G_N_ELEMENTS (places); i++) {
    g_autofree gchar *text = g_strdup_printf ("%s has neither %s.safetensors nor %s.safetensors.index.json", places[i].name,
        places[i].stem, places[i].stem);
    if (places[i].is_needed && !places[i].part->weights)
      g_strv_builder_add (missing, text);
  }
}

static void
add_missing (GStrvBuilder *missing, const SoraModelPart *part, const gchar *what)
{
  g_autofree gchar *text = g_strdup_printf ("%s%s%s", what, part->unreadable ? ". This file could not be read: " : "",
      part->unreadable ? part->unreadable : "");

  g_strv_builder_add (missing, text);
}

/* In the others they may lie in several. */
static void
list_missing_files (const SoraModelParts *parts, GStrvBuilder *missing)
{
  if (!parts->text_encoder.weights)
    add_missing (missing, &parts->text_encoder, "the text encoder is missing. No UMT5 that fits lies beside the transformer or in "
        "ComfyUI's text_encoders; put one there (umt5-xxl, an encoder for Wan), or name it as the text encoder");
  if (!parts->vae.weights)
    add_missing (missing, &parts->vae, "the VAE is missing. None that fits lies beside the transformer or in ComfyUI's vae; "
        "put one there (wan_2.1_vae or taew2_1 for Wan 2.1, wan2.2_vae or taew2_2 for Wan 2.2 TI2V), or name it as the VAE");
  if (!parts->image_encoder.weights && parts->needs_image_encoder)
    add_missing (missing, &parts->image_encoder, "the image encoder is missing, which this image-to-video model needs. Put CLIP's ViT-H/14 of "
        "XLM-RoBERTa CLIP (Wan's models_clip_open-clip-xlm-roberta-large-vit-huge-14.pth, ComfyUI's clip_vision_h) beside the transformer or in "
        "ComfyUI's clip_vision, or name it as the image encoder");
  if (!parts->tokenizer)
    g_strv_builder_add (missing, "the tokenizer is missing. Put UMT5's spiece.model (from google/umt5-xxl) beside the text encoder or the "
        "transformer, or name it as the tokenizer");
}

gchar **
sora_model_parts_list_missing (const SoraModelParts *parts)
{
  g_autoptr (GStrvBuilder) missing = g_strv_builder_new ();

  if (parts->layout == SORA_LAYOUT_DIFFUSERS)
    list_missing_in_folder (parts, missing);
  else
    list_missing_files (parts, missing);
  return g_strv_builder_end (missing);
}

gboolean
sora_model_parts_check (const SoraModelParts *parts, GError **error)
{
  g_auto (GStrv) missing = sora_model_parts_list_missing (parts);

  return !missing[0] || fail (error, SORA_MODEL_ERROR_NOT_FOUND, "%s: %s", parts->path, missing[0]);
}

/* How the files are called */

/* "wan" of models--someone--wan, where the hub's cache has @folder as snapshots/REVISION: (transfer full), else NULL */
static gchar *
make_name_in_cache (const gchar *folder)
{
  g_autofree gchar *parent = g_path_get_dirname (folder), *parent_name = g_path_get_basename (parent);
  g_autofree gchar *repository = g_path_get_dirname (parent), *name = g_path_get_basename (repository);

  if (!g_str_equal (parent_name, "snapshots") || !g_str_has_prefix (name, "models--"))
    return NULL;
  return g_strdup (g_strrstr (name, "--") + 2);
}

static gchar *
make_folder_name (const gchar *folder)
{
  gchar *name = make_name_in_cache (folder);

  return name ? name : g_path_get_basename (folder);
}

/* What every model's file is called says nothing: there the folder's name counts. */
gchar *
sora_model_path_make_name (const gchar *path)
{
  static const gchar *const suffixes[] = { ".index.json", ".safetensors", ".gguf", ".pth", ".pt" };
  g_autofree gchar *full = g_canonicalize_filename (path, NULL), *folder = g_path_get_dirname (full);
  g_autofree gchar *name = g_path_get_basename (full);

  if (g_file_test (path, G_FILE_TEST_IS_DIR))
    return make_folder_name (full);
  for (guint i = 0; i < G_N_ELEMENTS (suffixes); i++) {
    if (g_str_has_suffix (name, suffixes[i]))
      name[strlen (name) - strlen (suffixes[i])] = '\0';
  }
  return g_str_equal (name, "diffusion_pytorch_model") ? make_folder_name (folder) : g_steal_pointer (&name);
}
