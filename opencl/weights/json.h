/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Strict reading of JSON from files that are not trusted: bounded depth, no duplicate names, every field's type and range checked. */
#pragma once

#include <json-glib/json-glib.h>
#include <sora/error.h>

G_BEGIN_DECLS

/* (transfer full): the root, which is an object; or NULL with SORA_MODEL_ERROR_FORMAT naming @file. */
JsonNode *sora_json_parse (const gchar *data, gsize length, const gchar *file, GError **error);
/* Likewise from @path, at most 16 MB; SORA_MODEL_ERROR_NOT_FOUND if it cannot be read. */
JsonNode *sora_json_load (const gchar *path, GError **error);

/* Reads fields of one object; the first error sticks, and later reads do nothing. For one thread at a time. */
typedef struct {
  const gchar *file;            /* for messages; borrowed */
  JsonNode *root;
  JsonObject *object;
  GError *error;
} SoraJsonReader;

/* Opens the file at @path, which must outlive the reader. */
void sora_json_reader_open (SoraJsonReader *reader, const gchar *path);
/* Moves the first error to @error, frees, and returns whether there was none. */
gboolean sora_json_reader_close (SoraJsonReader *reader, GError **error);
/* Records an error, "FILE: ...", if it is the first. */
void sora_json_reader_fail (SoraJsonReader *reader, SoraModelError code, const gchar *format, ...) G_GNUC_PRINTF (3, 4);

/* present, and not null */
gboolean sora_json_reader_has (SoraJsonReader *reader, const gchar *name);

/* A field that is absent or null keeps what *@value holds if @need is SORA_JSON_OPTIONAL, and is an error otherwise. Numbers must lie in
 * minimum ... maximum. A string is owned by the reader. */
typedef enum { SORA_JSON_REQUIRED, SORA_JSON_OPTIONAL } SoraJsonNeed;
void sora_json_read_uint (SoraJsonReader *reader, const gchar *name, SoraJsonNeed need, guint minimum, guint maximum, guint *value);
void sora_json_read_double (SoraJsonReader *reader, const gchar *name, SoraJsonNeed need, gdouble minimum, gdouble maximum,
    gdouble *value);
void sora_json_read_boolean (SoraJsonReader *reader, const gchar *name, SoraJsonNeed need, gboolean *value);
void sora_json_read_string (SoraJsonReader *reader, const gchar *name, SoraJsonNeed need, const gchar **value);
/* Required arrays; the length must lie in minimum_length ... maximum_length, and is returned (0 after an error). */
guint sora_json_read_uints (SoraJsonReader *reader, const gchar *name, guint minimum_length, guint maximum_length, guint minimum,
    guint maximum, guint *values);
guint sora_json_read_booleans (SoraJsonReader *reader, const gchar *name, guint minimum_length, guint maximum_length,
    gboolean *values);
guint sora_json_read_floats (SoraJsonReader *reader, const gchar *name, guint minimum_length, guint maximum_length, gdouble minimum,
    gdouble maximum, gfloat *values);

/* Whether @node is an integer in minimum ... maximum, which *@value then is. */
gboolean sora_json_node_get_uint64 (JsonNode *node, guint64 minimum, guint64 maximum, guint64 *value);

G_END_DECLS
