/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is written beside a LoRA's tensors, in words: alpha in the metadata of diffusers' files, or in the adapter_config.json of peft's. */

#include "weights/lora-private.h"

#include <math.h>
#include <string.h>

#include "weights/json.h"

#define METADATA "lora_adapter_metadata"

/* One adapter's fields */
typedef struct {
  SoraLora *lora;
  SoraJsonReader *reader;
  SoraLoraPart part;            /* ANY: for all layers */
  gdouble alpha;
  guint rank;                   /* 0: not said */
  gboolean root_of_rank;        /* divide by the rank's root: rsLoRA */
} Config;

/* peft's patterns are expressions that a layer's name matches whole, or from a dot on. Of these, names are understood, between ^ and $ or
 * without. */
static gboolean
matches (Config *config, const gchar *pattern, const gchar *layer)
{
  gboolean whole = *pattern == '^';
  g_autofree gchar *name = g_strdup (pattern + whole);
  gsize length = strlen (name);

  if (length > 0 && name[length - 1] == '$')
    name[--length] = '\0';
  if (strspn (name, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "._") != length) {
    sora_json_reader_fail (config->reader, SORA_MODEL_ERROR_UNSUPPORTED, "\"alpha_pattern\": \"%s\" is no layer's name, and other expressions are not "
        "understood", pattern);
    return FALSE;
  }
  return g_str_equal (layer, name)
      || (!whole && g_str_has_suffix (layer, name) && layer[strlen (layer) - length - 1] == '.');
}

/* The first pattern that matches gives a layer an alpha of its own. */
static void
read_pattern (Config *config, JsonObject *patterns, const SoraLoraLayer *layer, gdouble *alpha)
{
  SoraJsonReader reader = { .file = config->reader->file, .object = patterns };
  JsonObjectIter iter;
  const gchar *pattern;

  json_object_iter_init_ordered (&iter, patterns);
  while (!config->reader->error && json_object_iter_next_ordered (&iter, &pattern, NULL)) {
    if (!matches (config, pattern, layer->name))
      continue;
    sora_json_read_double (&reader, pattern, SORA_JSON_REQUIRED, -SORA_LORA_MAX_ALPHA, SORA_LORA_MAX_ALPHA, alpha);
    if (reader.error)
      config->reader->error = g_steal_pointer (&reader.error);
    return;
  }
}

static void
apply (Config *config, JsonObject *patterns)
{
  for (guint i = 0; i < config->lora->layers->len && !config->reader->error; i++) {
    SoraLoraLayer *layer = config->lora->layers->pdata[i];
    gdouble alpha = config->alpha;
    if (layer->has_alpha || !layer->form || (config->part != SORA_LORA_ANY && config->part != layer->part))
      continue;
    if (patterns)
      read_pattern (config, patterns, layer, &alpha);
    if (layer->rank == 0)       /* peft has the factor for two whole matrices, too */
      layer->rank = config->rank;
    layer->alpha = config->root_of_rank ? alpha * sqrt (layer->rank) : alpha;
    layer->has_alpha = TRUE;
  }
}

/* (transfer full): the name of alpha's field, which in a LoHa's or LoKr's configuration is "alpha" alone; NULL: there is none */
static gchar *
find_alpha (SoraJsonReader *reader, const gchar *prefix)
{
  static const gchar *const names[] = { "lora_alpha", "alpha" };

  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    g_autofree gchar *name = g_strconcat (prefix, names[i], NULL);
    if (sora_json_reader_has (reader, name))
      return g_steal_pointer (&name);
  }
  return NULL;
}

static void
read_adapter (SoraLora *lora, SoraJsonReader *reader, const gchar *prefix, SoraLoraPart part)
{
  Config config = { .lora = lora, .reader = reader, .part = part };
  g_autofree gchar *alpha = find_alpha (reader, prefix), *root = g_strconcat (prefix, "use_rslora", NULL);
  g_autofree gchar *patterns = g_strconcat (prefix, "alpha_pattern", NULL), *rank = g_strconcat (prefix, "r", NULL);
  JsonNode *node;

  if (!alpha)
    return;
  node = sora_json_reader_has (reader, patterns) ? json_object_get_member (reader->object, patterns) : NULL;
  if (node && !JSON_NODE_HOLDS_OBJECT (node))
    sora_json_reader_fail (reader, SORA_MODEL_ERROR_FORMAT, "\"%s\": expected an object of layers' names and numbers", patterns);
  sora_json_read_double (reader, alpha, SORA_JSON_REQUIRED, -SORA_LORA_MAX_ALPHA, SORA_LORA_MAX_ALPHA, &config.alpha);
  sora_json_read_boolean (reader, root, SORA_JSON_OPTIONAL, &config.root_of_rank);
  sora_json_read_uint (reader, rank, SORA_JSON_OPTIONAL, 0, G_MAXINT32, &config.rank);
  if (reader->error)
    return;
  apply (&config, node ? json_node_get_object (node) : NULL);
}

static gboolean
read_metadata (SoraLora *lora, const gchar *text, GError **error)
{
  SoraJsonReader reader = { .file = sora_weight_file_get_path (lora->file) };

  reader.root = sora_json_parse (text, strlen (text), reader.file, &reader.error);
  if (reader.root) {
    reader.object = json_node_get_object (reader.root);
    read_adapter (lora, &reader, "transformer.", SORA_LORA_TRANSFORMER);
    read_adapter (lora, &reader, "text_encoder.", SORA_LORA_TEXT_ENCODER);
  }
  return sora_json_reader_close (&reader, error);
}

/* (transfer full): beside a file that has peft's name; NULL if there is none */
static gchar *
find_config (SoraLora *lora)
{
  const gchar *path = sora_weight_file_get_path (lora->file);
  g_autofree gchar *name = g_path_get_basename (path), *folder = g_path_get_dirname (path);
  g_autofree gchar *config = g_build_filename (folder, "adapter_config.json", NULL);

  return g_str_has_prefix (name, "adapter_model.") && g_file_test (config, G_FILE_TEST_EXISTS) ? g_steal_pointer (&config) : NULL;
}

gboolean
sora_lora_read_config (SoraLora *lora, GError **error)
{
  const gchar *text = sora_weight_file_peek_note (lora->file, METADATA);
  g_autofree gchar *path = text ? NULL : find_config (lora);
  SoraJsonReader reader;

  if (text)
    return read_metadata (lora, text, error);
  if (!path)
    return TRUE;
  sora_json_reader_open (&reader, path);
  if (!reader.error)
    read_adapter (lora, &reader, "", SORA_LORA_ANY);
  return sora_json_reader_close (&reader, error);
}
