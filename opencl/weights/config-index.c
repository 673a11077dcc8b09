/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What diffusers' model_index.json says of a pipeline. */
#include "weights/config-index.h"

#include "weights/json.h"

/* Whether it has the part @name: [null, null] stands for none. */
static gboolean
has_part (SoraJsonReader *reader, const gchar *name)
{
  JsonNode *part = sora_json_reader_has (reader, name) ? json_object_get_member (reader->object, name) : NULL;

  return part && JSON_NODE_HOLDS_ARRAY (part) && json_array_get_length (json_node_get_array (part)) > 0
      && !json_array_get_null_element (json_node_get_array (part), 0);
}

gboolean
sora_pipeline_index_load (SoraPipelineIndex *index, const gchar *path, GError **error)
{
  const gchar *name = "";
  SoraJsonReader reader;

  *index = (SoraPipelineIndex) { 0 };
  sora_json_reader_open (&reader, path);
  sora_json_read_string (&reader, "_class_name", SORA_JSON_REQUIRED, &name);
  if (!reader.error && !g_str_equal (name, "WanPipeline") && !g_str_equal (name, "WanImageToVideoPipeline"))
    sora_json_reader_fail (&reader, SORA_MODEL_ERROR_UNSUPPORTED,
        "\"_class_name\": only WanPipeline and WanImageToVideoPipeline are supported, found %s", name);
  index->has_transformer_2 = !reader.error && has_part (&reader, "transformer_2");
  if (index->has_transformer_2)
    sora_json_read_double (&reader, "boundary_ratio", SORA_JSON_REQUIRED, 0, 1, &index->boundary_ratio);
  return sora_json_reader_close (&reader, error);
}
