/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Strict reading of JSON on top of json-glib, which by itself accepts comments, duplicate names and any depth. */

#include "weights/json.h"

#include <math.h>

#define MAX_DEPTH 32
#define MAX_FILE (16 * 1024 * 1024)

/* json-glib recurses at each bracket, takes comments, and of several values the last, losing the memory of the others: all are refused
 * before it sees the text. */
static const gchar *
find_fault (const gchar *data, gsize length)
{
  gboolean quoted = FALSE, ended = FALSE;
  guint depth = 0;

  if (!g_utf8_validate_len (data, length, NULL))
    return "not UTF-8";
  for (gsize i = 0; i < length; i++) {
    gchar c = data[i];
    if (quoted) {
      if (c == '\\')
        i++;
      else if (c == '"')
        quoted = FALSE;
    } else if (ended && !g_ascii_isspace (c)) {
      return "not JSON: something follows its end";
    } else if (depth == 0 && !g_ascii_isspace (c) && c != '{' && c != '[') {
      return "expected a JSON object";
    } else if (c == '"') {
      quoted = TRUE;
    } else if (c == '{' || c == '[') {
      if (++depth > MAX_DEPTH)
        return "nested too deeply";
    } else if ((c == '}' || c == ']') && depth > 0) {
      ended = --depth == 0;
    } else if (c == '/' || c == '#' || c == '\'') {
      return "not JSON: a comment or a single quote";
    }
  }
  return NULL;
}

static void
count_member (JsonParser *parser, JsonObject *object, const gchar *name, gpointer count)
{
  ++*(guint64 *) count;
}

static guint64
count_members (JsonNode *node)
{
  guint64 n = 0;

  if (JSON_NODE_HOLDS_OBJECT (node)) {
    JsonObjectIter iter;
    JsonNode *member;
    json_object_iter_init (&iter, json_node_get_object (node));
    while (json_object_iter_next (&iter, NULL, &member))
      n += 1 + count_members (member);
  } else if (JSON_NODE_HOLDS_ARRAY (node)) {
    JsonArray *array = json_node_get_array (node);
    for (guint i = 0; i < json_array_get_length (array); i++)
      n += count_members (json_array_get_element (array, i));
  }
  return n;
}

JsonNode *
sora_json_parse (const gchar *data, gsize length, const gchar *file, GError **error)
{
  g_autoptr (JsonParser) parser = json_parser_new_immutable ();
  g_autoptr (GError) cause = NULL;
  guint64 n_parsed = 0;
  JsonNode *root;
  const gchar *fault = find_fault (data, length);

  if (fault) {
    g_set_error (error, SORA_MODEL_ERROR, SORA_MODEL_ERROR_FORMAT, "%s: %s", file, fault);
    return NULL;
  }
  /* each member parsed is counted, so that one that replaced another of the same name shows */
  g_signal_connect (parser, "object-member", G_CALLBACK (count_member), &n_parsed);
  if (!json_parser_load_from_data (parser, data, length, &cause)) {
    g_set_error (error, SORA_MODEL_ERROR, SORA_MODEL_ERROR_FORMAT, "%s: not JSON: %s", file, cause->message);
    return NULL;
  }
  root = json_parser_get_root (parser);
  if (!root || !JSON_NODE_HOLDS_OBJECT (root)) {
    g_set_error (error, SORA_MODEL_ERROR, SORA_MODEL_ERROR_FORMAT, "%s: expected a JSON object", file);
    return NULL;
  }
  if (count_members (root) != n_parsed) {
    g_set_error (error, SORA_MODEL_ERROR, SORA_MODEL_ERROR_FORMAT, "%s: a name occurs twice in one JSON object", file);
    return NULL;
  }
  return json_node_ref (root);
}

JsonNode *
sora_json_load (const gchar *path, GError **error)
{
  g_autoptr (GError) cause = NULL;
  g_autoptr (GMappedFile) file = g_mapped_file_new (path, FALSE, &cause);

  if (!file) {
    g_set_error (error, SORA_MODEL_ERROR, SORA_MODEL_ERROR_NOT_FOUND, "%s", cause->message);
    return NULL;
  }
  if (g_mapped_file_get_length (file) == 0 || g_mapped_file_get_length (file) > MAX_FILE) {
    g_set_error (error, SORA_MODEL_ERROR, SORA_MODEL_ERROR_FORMAT, "%s: %" G_GSIZE_FORMAT " bytes is no size for a configuration file",
        path, g_mapped_file_get_length (file));
    return NULL;
  }
  return sora_json_parse (g_mapped_file_get_contents (file), g_mapped_file_get_length (file), path, error);
}

void
sora_json_reader_open (SoraJsonReader *reader, const gchar *path)
{
  *reader = (SoraJsonReader) { .file = path };
  reader->root = sora_json_load (path, &reader->error);
  if (reader->root)
    reader->object = json_node_get_object (reader->root);
}

gboolean
sora_json_reader_close (SoraJsonReader *reader, GError **error)
{
  gboolean success = reader->error == NULL;

  g_clear_pointer (&reader->root, json_node_unref);
  reader->object = NULL;
  if (!success)
    g_propagate_error (error, g_steal_pointer (&reader->error));
  return success;
}

void
sora_json_reader_fail (SoraJsonReader *reader, SoraModelError code, const gchar *format, ...)
{
  g_autofree gchar *text = NULL;
  va_list args;

  if (reader->error)
    return;
  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);
  reader->error = g_error_new (SORA_MODEL_ERROR, code, "%s: %s", reader->file, text);
}

gboolean
sora_json_reader_has (SoraJsonReader *reader, const gchar *name)
{
  JsonNode *node = reader->error ? NULL : json_object_get_member (reader->object, name);
  return node && !JSON_NODE_HOLDS_NULL (node);
}

/* NULL if it is absent, which is an error if it is needed. */
static JsonNode *
get_field (SoraJsonReader *reader, const gchar *name, SoraJsonNeed need)
{
  if (sora_json_reader_has (reader, name))
    return json_object_get_member (reader->object, name);
  if (need == SORA_JSON_REQUIRED)
    sora_json_reader_fail (reader, SORA_MODEL_ERROR_FORMAT, "\"%s\" is missing", name);
  return NULL;
}

gboolean
sora_json_node_get_uint64 (JsonNode *node, guint64 minimum, guint64 maximum, guint64 *value)
{
  gint64 i;

  if (!JSON_NODE_HOLDS_VALUE (node) || json_node_get_value_type (node) != G_TYPE_INT64)
    return FALSE;
  i = json_node_get_int (node);
  if (i < 0 || (guint64) i < minimum || (guint64) i > maximum)
    return FALSE;
  *value = i;
  return TRUE;
}

static gboolean
node_get_double (JsonNode *node, gdouble minimum, gdouble maximum, gdouble *value)
{
  GType type = JSON_NODE_HOLDS_VALUE (node) ? json_node_get_value_type (node) : G_TYPE_INVALID;
  gdouble d;

  if (type != G_TYPE_INT64 && type != G_TYPE_DOUBLE)
    return FALSE;
  d = type == G_TYPE_INT64 ? (gdouble) json_node_get_int (node) : json_node_get_double (node);
  if (!(d >= minimum && d <= maximum))
    return FALSE;
  *value = d;
  return TRUE;
}

static gboolean
node_get_boolean (JsonNode *node, gboolean *value)
{
  if (!JSON_NODE_HOLDS_VALUE (node) || json_node_get_value_type (node) != G_TYPE_BOOLEAN)
    return FALSE;
  *value = json_node_get_boolean (node);
  return TRUE;
}

/* @expected, and what stands there */
static void
fail_field (SoraJsonReader *reader, const gchar *name, JsonNode *node, const gchar *expected)
{
  g_autofree gchar *found = json_to_string (node, FALSE);

  if (strlen (found) > 60)
    strcpy (found + 57, "...");
  if (!g_utf8_validate (found, -1, NULL))
    g_clear_pointer (&found, g_free);
  sora_json_reader_fail (reader, SORA_MODEL_ERROR_FORMAT, "\"%s\": expected %s, found %s", name, expected, found ? found : "a long value");
}

void
sora_json_read_uint (SoraJsonReader *reader, const gchar *name, SoraJsonNeed need, guint minimum, guint maximum, guint *value)
{
  JsonNode *node = get_field (reader, name, need);
  guint64 found;

  if (!node)
    return;
  if (sora_json_node_get_uint64 (node, minimum, maximum, &found)) {
    *value = found;
  } else {
    g_autofree gchar *expected = g_strdup_printf ("an integer from %u to %u", minimum, maximum);
    fail_field (reader, name, node, expected);
  }
}

void
sora_json_read_double (SoraJsonReader *reader, const gchar *name, SoraJsonNeed need, gdouble minimum, gdouble maximum,
    gdouble *value)
{
  JsonNode *node = get_field (reader, name, need);

  if (node && !node_get_double (node, minimum, maximum, value)) {
    g_autofree gchar *expected = g_strdup_printf ("a number from %g to %g", minimum, maximum);
    fail_field (reader, name, node, expected);
  }
}

void
sora_json_read_boolean (SoraJsonReader *reader, const gchar *name, SoraJsonNeed need, gboolean *value)
{
  JsonNode *node = get_field (reader, name, need);

  if (node && !node_get_boolean (node, value))
    fail_field (reader, name, node, "true or false");
}

void
sora_json_read_string (SoraJsonReader *reader, const gchar *name, SoraJsonNeed need, const gchar **value)
{
  JsonNode *node = get_field (reader, name, need);

  if (!node)
    return;
  if (JSON_NODE_HOLDS_VALUE (node) && json_node_get_value_type (node) == G_TYPE_STRING)
    *value = json_node_get_string (node);
  else
    fail_field (reader, name, node, "a string");
}

static JsonArray *
get_array (SoraJsonReader *reader, const gchar *name, guint minimum_length, guint maximum_length)
{
  JsonNode *node = get_field (reader, name, SORA_JSON_REQUIRED);
  JsonArray *array = node && JSON_NODE_HOLDS_ARRAY (node) ? json_node_get_array (node) : NULL;

  if (!node)
    return NULL;
  if (!array || json_array_get_length (array) < minimum_length || json_array_get_length (array) > maximum_length) {
    g_autofree gchar *expected = minimum_length == maximum_length ? g_strdup_printf ("an array of %u", minimum_length)
        : g_strdup_printf ("an array of %u to %u", minimum_length, maximum_length);
    fail_field (reader, name, node, expected);
    return NULL;
  }
  return array;
}

guint
sora_json_read_uints (SoraJsonReader *reader, const gchar *name, guint minimum_length, guint maximum_length, guint minimum,
    guint maximum, guint *values)
{
  JsonArray *array = get_array (reader, name, minimum_length, maximum_length);
  guint n = array ? json_array_get_length (array) : 0;

  for (guint i = 0; i < n; i++) {
    JsonNode *node = json_array_get_element (array, i);
    guint64 found;
    if (!sora_json_node_get_uint64 (node, minimum, maximum, &found)) {
      g_autofree gchar *expected = g_strdup_printf ("integers from %u to %u", minimum, maximum);
      fail_field (reader, name, node, expected);
      return 0;
    }
    values[i] = found;
  }
  return n;
}

guint
sora_json_read_booleans (SoraJsonReader *reader, const gchar *name, guint minimum_length, guint maximum_length,
    gboolean *values)
{
  JsonArray *array = get_array (reader, name, minimum_length, maximum_length);
  guint n = array ? json_array_get_length (array) : 0;

  for (guint i = 0; i < n; i++) {
    JsonNode *node = json_array_get_element (array, i);
    if (!node_get_boolean (node, values + i)) {
      fail_field (reader, name, node, "true or false in it");
      return 0;
    }
  }
  return n;
}

guint
sora_json_read_floats (SoraJsonReader *reader, const gchar *name, guint minimum_length, guint maximum_length, gdouble minimum,
    gdouble maximum, gfloat *values)
{
  JsonArray *array = get_array (reader, name, minimum_length, maximum_length);
  guint n = array ? json_array_get_length (array) : 0;

  for (guint i = 0; i < n; i++) {
    JsonNode *node = json_array_get_element (array, i);
    gdouble found;
    if (!node_get_double (node, minimum, maximum, &found)) {
      g_autofree gchar *expected = g_strdup_printf ("numbers from %g to %g", minimum, maximum);
      fail_field (reader, name, node, expected);
      return 0;
    }
    values[i] = (gfloat) found;
  }
  return n;
}
