/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `sora models`: every model that is found, what it can do, and what it lacks; for a person, or as JSON. */

#include <json-glib/json-glib.h>
#include <stdio.h>

#include "catalogue-private.h"
#include "tool/command.h"

static const struct {
  SoraAbilities ability;
  const gchar *name;
} abilities[] = {
  { SORA_ABILITY_TEXT, "text" }, { SORA_ABILITY_IMAGE, "image" }, { SORA_ABILITY_LAST_IMAGE, "last image" },
  { SORA_ABILITY_STREAM, "stream" },
};

static gboolean
is_ready (const SoraCatalogueModel *model)
{
  return !model->error && !model->missing[0];
}

/* For a person */

/* "text, image": (transfer full) */
static gchar *
join_abilities (const SoraCatalogueModel *model)
{
  g_autoptr (GString) text = g_string_new (NULL);

  for (guint i = 0; i < G_N_ELEMENTS (abilities); i++) {
    if (model->abilities & abilities[i].ability)
      g_string_append_printf (text, "%s%s", text->len > 0 ? ", " : "", abilities[i].name);
  }
  return g_strdup (text->str);
}

static void
print_pictures (const SoraCatalogueModel *model)
{
  const SoraStreamingConfig *streaming = &model->streaming;

  if (streaming->n_sizes == 0)
    return;
  printf ("    ");
  for (guint i = 0; i < streaming->n_sizes; i++)
    printf ("%ux%u%s", streaming->sizes[i][0], streaming->sizes[i][1], i + 1 < streaming->n_sizes ? ", " : "");
  printf (" at %g frames/s%s", (gdouble) streaming->frame_rate[0] / streaming->frame_rate[1],
      streaming->causal ? ", without end" : "");
  if (model->clip_frames > 0)
    printf (", clips of %u frames", model->clip_frames);
  printf ("\n");
}

static void
print_weights (const SoraCatalogueModel *model)
{
  g_autofree gchar *parameters = sora_format_parameters (sora_catalogue_model_get_n_parameters (model));
  g_autofree gchar *memory = g_format_size (sora_catalogue_model_get_memory (model));
  g_autofree gchar *types = g_strjoinv (", ", (gchar **) sora_catalogue_model_get_types (model));

  if (sora_catalogue_model_get_n_parameters (model) > 0)
    printf ("    %s (%s), %s of memory for weights\n", parameters, types, memory);
}

static void
print_model (const SoraCatalogueModel *model)
{
  g_autofree gchar *can = join_abilities (model);

  printf ("%s: %s%s%s%s\n", model->name, model->family, *can ? "; " : "", can, is_ready (model) ? "" : "; cannot be run");
  print_pictures (model);
  print_weights (model);
  printf ("    %s\n", model->path);
  for (guint i = 0; model->missing[i]; i++)
    printf ("    missing: %s\n", model->missing[i]);
  if (model->error)
    printf ("    error: %s\n", model->error->message);
}

static void
print_models (SoraCatalogue *catalogue)
{
  guint n = sora_catalogue_get_n_models (catalogue);

  for (guint i = 0; i < n; i++)
    print_model (sora_catalogue_get_model (catalogue, i));
  if (n == 0)
    printf ("No models were found; SORA_MODEL_PATH says where to look\n");
}

/* JSON. Paths may be no UTF-8, which JSON is. */

static void
add_text (JsonBuilder *builder, const gchar *name, const gchar *text)
{
  g_autofree gchar *valid = text ? g_utf8_make_valid (text, -1) : NULL;

  json_builder_set_member_name (builder, name);
  if (valid)
    json_builder_add_string_value (builder, valid);
  else
    json_builder_add_null_value (builder);
}

static void
add_number (JsonBuilder *builder, const gchar *name, gint64 number)
{
  json_builder_set_member_name (builder, name);
  json_builder_add_int_value (builder, number);
}

static void
add_texts (JsonBuilder *builder, const gchar *name, const gchar *const *texts)
{
  json_builder_set_member_name (builder, name);
  json_builder_begin_array (builder);
  for (guint i = 0; texts[i]; i++) {
    g_autofree gchar *valid = g_utf8_make_valid (texts[i], -1);
    json_builder_add_string_value (builder, valid);
  }
  json_builder_end_array (builder);
}

static void
add_pair (JsonBuilder *builder, gint64 a, gint64 b)
{
  json_builder_begin_array (builder);
  json_builder_add_int_value (builder, a);
  json_builder_add_int_value (builder, b);
  json_builder_end_array (builder);
}

static void
add_pictures (JsonBuilder *builder, const SoraCatalogueModel *model)
{
  const SoraStreamingConfig *streaming = &model->streaming;

  json_builder_set_member_name (builder, "sizes");
  json_builder_begin_array (builder);
  for (guint i = 0; i < streaming->n_sizes; i++)
    add_pair (builder, streaming->sizes[i][0], streaming->sizes[i][1]);
  json_builder_end_array (builder);
  json_builder_set_member_name (builder, "frame_rate");
  if (streaming->n_sizes > 0)
    add_pair (builder, streaming->frame_rate[0], streaming->frame_rate[1]);
  else
    json_builder_add_null_value (builder);
  add_number (builder, "clip_frames", model->clip_frames);
}

static void
add_abilities (JsonBuilder *builder, const SoraCatalogueModel *model)
{
  json_builder_set_member_name (builder, "can");
  json_builder_begin_array (builder);
  for (guint i = 0; i < G_N_ELEMENTS (abilities); i++) {
    if (model->abilities & abilities[i].ability)
      json_builder_add_string_value (builder, abilities[i].name);
  }
  json_builder_end_array (builder);
}

static void
add_parts (JsonBuilder *builder, const SoraCatalogueModel *model)
{
  json_builder_set_member_name (builder, "parts");
  json_builder_begin_object (builder);
  add_text (builder, "transformer", model->transformer.path);
  add_text (builder, "transformer_2", model->transformer_2.path);
  add_text (builder, "text_encoder", model->text_encoder.path);
  add_text (builder, "vae", model->vae.path);
  add_text (builder, "tokenizer", model->tokenizer);
  add_text (builder, "image_encoder", model->image_encoder.path);
  json_builder_end_object (builder);
}

static void
add_model (JsonBuilder *builder, const SoraCatalogueModel *model)
{
  json_builder_begin_object (builder);
  add_text (builder, "name", model->name);
  add_text (builder, "title", model->title ? model->title : model->name);
  add_text (builder, "family", model->family);
  add_text (builder, "path", model->path);
  json_builder_set_member_name (builder, "ready");
  json_builder_add_boolean_value (builder, is_ready (model));
  add_abilities (builder, model);
  add_pictures (builder, model);
  add_number (builder, "parameters", sora_catalogue_model_get_n_parameters (model));
  add_texts (builder, "types", sora_catalogue_model_get_types (model));
  add_number (builder, "bytes", model->transformer.bytes + model->transformer_2.bytes + model->text_encoder.bytes + model->vae.bytes
      + model->image_encoder.bytes);
  add_number (builder, "weight_memory", sora_catalogue_model_get_memory (model));
  add_parts (builder, model);
  add_texts (builder, "missing", (const gchar *const *) model->missing);
  add_text (builder, "error", model->error ? model->error->message : NULL);
  json_builder_end_object (builder);
}

static void
print_json (SoraCatalogue *catalogue)
{
  g_autoptr (JsonBuilder) builder = json_builder_new ();
  g_autoptr (JsonGenerator) generator = json_generator_new ();
  g_autoptr (JsonNode) root = NULL;
  g_autofree gchar *text = NULL;

  json_builder_begin_array (builder);
  for (guint i = 0; i < sora_catalogue_get_n_models (catalogue); i++)
    add_model (builder, sora_catalogue_get_model (catalogue, i));
  json_builder_end_array (builder);
  root = json_builder_get_root (builder);
  json_generator_set_root (generator, root);
  json_generator_set_pretty (generator, TRUE);
  text = json_generator_to_data (generator, NULL);
  printf ("%s\n", text);
}

/* A place that was named must be there; of the usual ones some mostly are not. */
static gboolean
check_places (gchar **places, GError **error)
{
  for (guint i = 0; places[i]; i++) {
    if (!g_file_test (places[i], G_FILE_TEST_EXISTS)) {
      g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, "there is no %s; name a folder of models, or a model", places[i]);
      return FALSE;
    }
  }
  return TRUE;
}

gboolean
sora_command_models (gint argc, gchar **argv, GError **error)
{
  gboolean json = FALSE;
  const GOptionEntry entries[] = { { "json", 0, 0, G_OPTION_ARG_NONE, &json, "as a JSON array", NULL }, { NULL } };
  g_autoptr (SoraCatalogue) catalogue = NULL;

  if (!sora_command_parse (&argc, &argv, "[PLACE...]", "Lists every model that is found, in SORA_MODEL_PATH, XDG_DATA_HOME and the data "
          "directory, or in the folders given instead.", entries, G_MAXINT, error)
      || !check_places (argv + 1, error))
    return FALSE;
  catalogue = sora_catalogue_new (argc > 1 ? (const gchar *const *) argv + 1 : NULL);
  if (json)
    print_json (catalogue);
  else
    print_models (catalogue);
  return TRUE;
}
