/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads GGUF, versions 2 and 3: counts, metadata, tensor infos, then the data at multiples of an alignment. */

#include "weights/gguf.h"

#include <string.h>

#define MAX_METADATA (1 << 16)
#define MAX_TENSORS (1 << 17)
#define MAX_KEY 4096
/* A vocabulary has some 256,000. */
#define MAX_ARRAY (1 << 22)
/* Arrays in arrays */
#define MAX_DEPTH 4
#define DEFAULT_ALIGNMENT 32
#define MAX_ALIGNMENT (1 << 20)

enum { VALUE_UINT8, VALUE_INT8, VALUE_UINT16, VALUE_INT16, VALUE_UINT32, VALUE_INT32, VALUE_FLOAT32, VALUE_BOOL, VALUE_STRING,
  VALUE_ARRAY, VALUE_UINT64, VALUE_INT64, VALUE_FLOAT64, N_VALUE_TYPES };

/* Bytes of a value; 0 where it depends. And the GVariant that it becomes: there is none of 8-bit signed integers or of floats. */
static const struct {
  guint size;
  const gchar *variant;
} value_types[N_VALUE_TYPES] = {
  [VALUE_UINT8] = { 1, "y" }, [VALUE_INT8] = { 1, "n" }, [VALUE_UINT16] = { 2, "q" }, [VALUE_INT16] = { 2, "n" },
  [VALUE_UINT32] = { 4, "u" }, [VALUE_INT32] = { 4, "i" }, [VALUE_FLOAT32] = { 4, "d" }, [VALUE_BOOL] = { 1, "b" },
  [VALUE_STRING] = { 0, "s" }, [VALUE_ARRAY] = { 0, "av" }, [VALUE_UINT64] = { 8, "t" }, [VALUE_INT64] = { 8, "x" },
  [VALUE_FLOAT64] = { 8, "d" },
};

/* By the number that stands in the file */
static const struct {
  const gchar *name;
  gint dtype;                   /* SoraDType, or -1 */
} tensor_types[] = {
  [0] = { "F32", SORA_DTYPE_F32 }, [1] = { "F16", SORA_DTYPE_F16 }, [2] = { "Q4_0", SORA_DTYPE_Q4_0 },
  [3] = { "Q4_1", SORA_DTYPE_Q4_1 }, [6] = { "Q5_0", SORA_DTYPE_Q5_0 }, [7] = { "Q5_1", SORA_DTYPE_Q5_1 },
  [8] = { "Q8_0", SORA_DTYPE_Q8_0 }, [9] = { "Q8_1", -1 }, [10] = { "Q2_K", SORA_DTYPE_Q2_K }, [11] = { "Q3_K", SORA_DTYPE_Q3_K },
  [12] = { "Q4_K", SORA_DTYPE_Q4_K }, [13] = { "Q5_K", SORA_DTYPE_Q5_K }, [14] = { "Q6_K", SORA_DTYPE_Q6_K }, [15] = { "Q8_K", -1 },
  [16] = { "IQ2_XXS", -1 }, [17] = { "IQ2_XS", -1 }, [18] = { "IQ3_XXS", -1 }, [19] = { "IQ1_S", -1 }, [20] = { "IQ4_NL", -1 },
  [21] = { "IQ3_S", -1 }, [22] = { "IQ2_S", -1 }, [23] = { "IQ4_XS", -1 }, [24] = { "I8", -1 }, [25] = { "I16", -1 },
  [26] = { "I32", -1 }, [27] = { "I64", -1 }, [28] = { "F64", -1 }, [29] = { "IQ1_M", -1 }, [30] = { "BF16", SORA_DTYPE_BF16 },
  [34] = { "TQ1_0", -1 }, [35] = { "TQ2_0", -1 }, [39] = { "MXFP4", -1 },
};

/* A metadata value that was checked when the file was opened */
typedef struct {
  guint32 type;
  guint64 at;
} Metadata;

/* The first error sticks: its words are in @fault, and reads give zeros. */
typedef struct {
  const guint8 *data;
  guint64 size, at;
  const gchar *fault;
} Reader;

static const guint8 *
take (Reader *r, guint64 n)
{
  const guint8 *bytes = r->data + r->at;

  if (!r->fault && n > r->size - r->at)
    r->fault = "it is truncated";
  if (r->fault)
    return NULL;
  r->at += n;
  return bytes;
}

/* A little-endian integer of @width bytes */
static guint64
take_uint (Reader *r, guint width)
{
  const guint8 *bytes = take (r, width);
  guint64 value = 0;

  for (guint i = 0; bytes && i < width; i++)
    value |= (guint64) bytes[i] << (8 * i);
  return value;
}

/* A string: not terminated; NULL after an error */
static const gchar *
take_string (Reader *r, guint64 *length)
{
  const gchar *text;

  *length = take_uint (r, 8);
  text = (const gchar *) take (r, *length);
  if (text && !g_utf8_validate_len (text, *length, NULL))
    r->fault = "a string in it is not UTF-8";
  return r->fault ? NULL : text;
}

/* A name: (transfer full), NULL after an error */
static gchar *
take_name (Reader *r, guint64 max_length)
{
  guint64 length;
  const gchar *text = take_string (r, &length);

  if (text && length > max_length)
    r->fault = "a name in it is too long";
  return r->fault ? NULL : g_strndup (text, length);
}

static void skip_value (Reader *r, guint32 type, guint depth);

static void
skip_array (Reader *r, guint depth)
{
  guint32 item = take_uint (r, 4);
  guint64 n = take_uint (r, 8);

  if (!r->fault && item >= N_VALUE_TYPES)
    r->fault = "a metadata array of an unknown type";
  else if (!r->fault && n > MAX_ARRAY)
    r->fault = "a metadata array of more values than any vocabulary has";
  else if (!r->fault && value_types[item].size > 0)
    take (r, n * value_types[item].size);
  for (guint64 i = 0; !r->fault && value_types[item].size == 0 && i < n; i++)
    skip_value (r, item, depth + 1);
}

/* Passes over a value, checking it. */
static void
skip_value (Reader *r, guint32 type, guint depth)
{
  guint64 length;

  if (r->fault)
    return;
  if (type >= N_VALUE_TYPES || depth > MAX_DEPTH)
    r->fault = "a metadata value of an unknown type, or arrays nested too deeply";
  else if (type == VALUE_STRING)
    take_string (r, &length);
  else if (type == VALUE_ARRAY)
    skip_array (r, depth);
  else
    take (r, value_types[type].size);
}

static GVariant *
take_number (Reader *r, guint32 type)
{
  guint64 bits = take_uint (r, value_types[type].size);
  guint32 bits32 = bits;
  gdouble number;
  gfloat single;

  memcpy (&number, &bits, sizeof (number));
  memcpy (&single, &bits32, sizeof (single));
  switch (type) {
    case VALUE_UINT8:
      return g_variant_new_byte (bits);
    case VALUE_INT8:
      return g_variant_new_int16 ((gint8) bits);
    case VALUE_UINT16:
      return g_variant_new_uint16 (bits);
    case VALUE_INT16:
      return g_variant_new_int16 ((gint16) bits);
    case VALUE_UINT32:
      return g_variant_new_uint32 (bits);
    case VALUE_INT32:
      return g_variant_new_int32 ((gint32) bits);
    case VALUE_FLOAT32:
      return g_variant_new_double (single);
    case VALUE_BOOL:
      return g_variant_new_boolean (bits != 0);
    case VALUE_UINT64:
      return g_variant_new_uint64 (bits);
    case VALUE_INT64:
      return g_variant_new_int64 (bits);
    default:
      return g_variant_new_double (number);
  }
}

/* A value that skip_value() has passed before: (transfer floating) */
static GVariant *
take_value (Reader *r, guint32 type)
{
  GVariantBuilder builder;
  const gchar *text;
  guint64 n, length;
  guint32 item;

  if (type == VALUE_STRING) {
    text = take_string (r, &length);
    return g_variant_new_take_string (g_strndup (text, length));
  }
  if (type != VALUE_ARRAY)
    return take_number (r, type);
  item = take_uint (r, 4);
  n = take_uint (r, 8);
  if (item == VALUE_ARRAY) {
    g_variant_builder_init (&builder, G_VARIANT_TYPE ("av"));
    for (guint64 i = 0; i < n; i++)
      g_variant_builder_add (&builder, "v", take_value (r, item));
  } else {
    g_autofree gchar *array = g_strconcat ("a", value_types[item].variant, NULL);
    g_variant_builder_init (&builder, G_VARIANT_TYPE (array));
    for (guint64 i = 0; i < n; i++)
      g_variant_builder_add_value (&builder, take_value (r, item));
  }
  return g_variant_builder_end (&builder);
}

GVariant *
sora_gguf_get_metadata (SoraWeightFile *file, const gchar *key)
{
  Reader reader = { 0 };
  const Metadata *metadata = file->metadata ? g_hash_table_lookup (file->metadata, key) : NULL;
  gsize size;

  if (!metadata)
    return NULL;
  reader.data = g_bytes_get_data (file->bytes, &size);
  reader.size = size;
  reader.at = metadata->at;
  return g_variant_ref_sink (take_value (&reader, metadata->type));
}

static void
read_metadata (SoraWeightFile *file, Reader *r, guint64 n)
{
  file->metadata = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  for (guint64 i = 0; i < n; i++) {
    g_autofree gchar *key = take_name (r, MAX_KEY);
    Metadata metadata;

    metadata.type = take_uint (r, 4);
    metadata.at = r->at;
    skip_value (r, metadata.type, 0);
    if (r->fault)
      return;
    if (!g_hash_table_insert (file->metadata, g_steal_pointer (&key), g_memdup2 (&metadata, sizeof (metadata)))) {
      r->fault = "a metadata key occurs twice";
      return;
    }
  }
}

static void
get_alignment (SoraWeightFile *file, Reader *r, guint64 *alignment)
{
  g_autoptr (GVariant) value = sora_gguf_get_metadata (file, "general.alignment");

  *alignment = DEFAULT_ALIGNMENT;
  if (value && g_variant_is_of_type (value, G_VARIANT_TYPE_UINT32))
    *alignment = g_variant_get_uint32 (value);
  else if (value)
    *alignment = 0;
  if (*alignment == 0 || *alignment > MAX_ALIGNMENT || (*alignment & (*alignment - 1)) != 0)
    r->fault = "general.alignment is not a power of two up to a million";
}

/* What stands in the file about a tensor */
typedef struct {
  SoraTensor tensor;            /* its name is owned here */
  guint32 type;
  guint64 offset;
} Info;

static void
info_clear (Info *info)
{
  g_free ((gchar *) info->tensor.name);
}

/* Sizes stand in the file with the fastest first. */
static void
read_info (Reader *r, Info *info)
{
  SoraTensor *tensor = &info->tensor;

  tensor->name = take_name (r, SORA_TENSOR_MAX_NAME);
  tensor->n_dims = take_uint (r, 4);
  if (!r->fault && tensor->n_dims > SORA_TENSOR_MAX_DIMS)
    r->fault = "a tensor has more than 6 dimensions";
  for (guint i = 0; !r->fault && i < tensor->n_dims; i++)
    tensor->shape[tensor->n_dims - 1 - i] = take_uint (r, 8);
  info->type = take_uint (r, 4);
  info->offset = take_uint (r, 8);
}

static GArray *
read_infos (Reader *r, guint64 n)
{
  GArray *infos = g_array_new (FALSE, TRUE, sizeof (Info));

  g_array_set_clear_func (infos, (GDestroyNotify) info_clear);
  for (guint64 i = 0; i < n && !r->fault; i++) {
    g_array_set_size (infos, infos->len + 1);
    read_info (r, &g_array_index (infos, Info, i));
  }
  return infos;
}

static gboolean
add_foreign (SoraWeightFile *file, const Info *info, GError **error)
{
  const gchar *name = info->type < G_N_ELEMENTS (tensor_types) ? tensor_types[info->type].name : NULL;
  g_autofree gchar *what = name ? g_strdup_printf ("dtype %s, which is not supported", name)
      : g_strdup_printf ("GGUF's dtype number %u, which is unknown", info->type);

  return sora_weight_file_add (file, &info->tensor, 0, what, error);
}

/* The shape before it was folded into fewer dimensions, as city96's tools note it, slowest first; FALSE if it cannot be right. */
static gboolean
restore_shape (SoraWeightFile *file, SoraTensor *tensor)
{
  g_autofree gchar *key = g_strconcat ("comfy.gguf.orig_shape.", tensor->name, NULL);
  g_autoptr (GVariant) shape = sora_gguf_get_metadata (file, key);
  guint64 n_elements = 1;
  gsize n_dims;

  if (!shape)
    return TRUE;
  n_dims = g_variant_is_of_type (shape, G_VARIANT_TYPE ("ai")) ? g_variant_n_children (shape) : G_MAXSIZE;
  if (n_dims > SORA_TENSOR_MAX_DIMS)
    return FALSE;
  for (gsize i = 0; i < n_dims; i++) {
    gint32 size;
    g_variant_get_child (shape, i, "i", &size);
    if (size < 0 || !g_uint64_checked_mul (&n_elements, n_elements, size))
      return FALSE;
    tensor->shape[i] = size;
  }
  tensor->n_dims = n_dims;
  return n_elements == tensor->n_elements;
}

/* Checks a tensor against the @size bytes of data and adds it. */
static gboolean
add_tensor (SoraWeightFile *file, Info *info, const guint8 *data, guint64 size, guint64 alignment, GArray *extents, GError **error)
{
  SoraTensor *tensor = &info->tensor;
  SoraExtent extent = { tensor->name, info->offset, 0 };
  guint64 bytes;

  if (info->type >= G_N_ELEMENTS (tensor_types) || !tensor_types[info->type].name || tensor_types[info->type].dtype < 0)
    return add_foreign (file, info, error);
  tensor->dtype = tensor_types[info->type].dtype;
  if (!sora_tensor_measure (tensor, sora_dtype_get_block_elements (tensor->dtype), sora_dtype_get_block_bytes (tensor->dtype), &bytes))
    return sora_weight_file_fail_tensor (file, error, SORA_MODEL_ERROR_FORMAT, tensor->name,
        "its shape overflows, or its rows are no whole blocks of %s", sora_dtype_name (tensor->dtype));
  if (info->offset % alignment != 0)
    return sora_weight_file_fail_tensor (file, error, SORA_MODEL_ERROR_FORMAT, tensor->name, "its offset is not aligned");
  if (!g_uint64_checked_add (&extent.end, info->offset, bytes) || extent.end > size)
    return sora_weight_file_fail_tensor (file, error, SORA_MODEL_ERROR_FORMAT, tensor->name,
        "it lies beyond the file's %" G_GUINT64_FORMAT " bytes of data (is it truncated?)", size);
  tensor->data = data + info->offset;
  if (!restore_shape (file, tensor))
    return sora_weight_file_fail_tensor (file, error, SORA_MODEL_ERROR_FORMAT, tensor->name,
        "its comfy.gguf.orig_shape is no list of up to 6 sizes with as many values");
  g_array_append_val (extents, extent);
  return sora_weight_file_add (file, tensor, bytes, NULL, error);
}

static gboolean
check_overlap (SoraWeightFile *file, GArray *extents, GError **error)
{
  g_array_sort (extents, sora_extent_compare);
  for (guint i = 1; i < extents->len; i++) {
    const SoraExtent *before = &g_array_index (extents, SoraExtent, i - 1), *extent = &g_array_index (extents, SoraExtent, i);
    if (extent->begin < before->end)
      return sora_weight_file_fail (file, error, "tensor \"%s\" overlaps %s", extent->name, before->name);
  }
  return TRUE;
}

/* The data begins at the next multiple of the alignment; without tensors there may be none. */
static gboolean
add_tensors (SoraWeightFile *file, const Reader *r, GArray *infos, guint64 alignment, GError **error)
{
  guint64 begin = MIN ((r->at + alignment - 1) / alignment * alignment, r->size);
  g_autoptr (GArray) extents = g_array_new (FALSE, FALSE, sizeof (SoraExtent));

  for (guint i = 0; i < infos->len; i++) {
    if (!add_tensor (file, &g_array_index (infos, Info, i), r->data + begin, r->size - begin, alignment, extents, error))
      return FALSE;
  }
  return check_overlap (file, extents, error);
}

static void
read_version (Reader *r)
{
  guint32 version;

  take (r, 4);
  version = take_uint (r, 4);
  if (version == 2 || version == 3)
    return;
  r->fault = version == 1 ? "version 1: convert it again with a newer tool"
      : version == 0x02000000 || version == 0x03000000 ? "it is big-endian: convert it to little-endian" : "neither version 2 nor 3";
}

gboolean
sora_gguf_read (SoraWeightFile *file, const guint8 *data, guint64 size, GError **error)
{
  Reader r = { data, size };
  g_autoptr (GArray) infos = NULL;
  guint64 n_tensors, n_metadata, alignment = 0;

  read_version (&r);
  n_tensors = take_uint (&r, 8);
  n_metadata = take_uint (&r, 8);
  if (!r.fault && (n_tensors > MAX_TENSORS || n_metadata > MAX_METADATA))
    r.fault = "it has more tensors or metadata than any model";
  if (!r.fault)
    read_metadata (file, &r, n_metadata);
  if (!r.fault)
    get_alignment (file, &r, &alignment);
  infos = read_infos (&r, r.fault ? 0 : n_tensors);
  if (r.fault)
    return sora_weight_file_fail (file, error, "GGUF, byte %" G_GUINT64_FORMAT ": %s", r.at, r.fault);
  return add_tensors (file, &r, infos, alignment, error);
}
