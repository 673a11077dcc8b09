/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Collects a stream's tensors over its blocks, and writes them as safetensors. */

#include "tool/recorder.h"

#include <string.h>

#include "weights/tensor-writer.h"

/* The parts of one name, to be joined along @axis. */
typedef struct {
  gchar *name;
  guint n_dims, axis;
  gint64 shape[SORA_TENSOR_MAX_DIMS];   /* of the joined tensor */
  GArray *extents;              /* gint64: each part's size along the axis */
  GPtrArray *parts;             /* gfloat arrays */
} Record;

struct _SoraRecorder {
  gboolean with_steps;
  GPtrArray *records;           /* in the order of first sight */
};

static void
record_free (Record *record)
{
  g_free (record->name);
  g_array_unref (record->extents);
  g_ptr_array_unref (record->parts);
  g_free (record);
}

SoraRecorder *
sora_recorder_new (gboolean with_steps)
{
  SoraRecorder *recorder = g_new0 (SoraRecorder, 1);

  recorder->with_steps = with_steps;
  recorder->records = g_ptr_array_new_with_free_func ((GDestroyNotify) record_free);
  return recorder;
}

void
sora_recorder_free (SoraRecorder *recorder)
{
  if (!recorder)
    return;
  g_ptr_array_unref (recorder->records);
  g_free (recorder);
}

static Record *
get_record (SoraRecorder *recorder, const gchar *name)
{
  Record *record;

  for (guint i = 0; i < recorder->records->len; i++) {
    record = g_ptr_array_index (recorder->records, i);
    if (g_str_equal (record->name, name))
      return record;
  }
  record = g_new0 (Record, 1);
  record->name = g_strdup (name);
  record->extents = g_array_new (FALSE, FALSE, sizeof (gint64));
  record->parts = g_ptr_array_new_with_free_func (g_free);
  g_ptr_array_add (recorder->records, record);
  return record;
}

static gsize
product (const gint64 *shape, guint first, guint end)
{
  gsize n = 1;
  for (guint i = first; i < end; i++)
    n *= shape[i];
  return n;
}

/* Takes @data. A part that does not fit the others replaces them, as does any part if @join is FALSE. */
static void
add_part (SoraRecorder *recorder, const gchar *name, gfloat *data, const gint64 *shape, guint n_dims, guint axis, gboolean join)
{
  Record *record = get_record (recorder, name);
  gboolean fits = join && record->parts->len > 0 && record->n_dims == n_dims;

  for (guint i = 0; fits && i < n_dims; i++)
    fits = i == axis || shape[i] == record->shape[i];
  if (!fits) {
    g_ptr_array_set_size (record->parts, 0);
    g_array_set_size (record->extents, 0);
    record->n_dims = n_dims;
    record->axis = axis;
    memcpy (record->shape, shape, n_dims * sizeof (gint64));
    record->shape[axis] = 0;
  }
  record->shape[axis] += shape[axis];
  g_array_append_val (record->extents, shape[axis]);
  g_ptr_array_add (record->parts, data);
}

void
sora_recorder_tap (const gchar *name, const gfloat *data, const gint64 *shape, guint n_dims, gpointer user_data)
{
  SoraRecorder *recorder = user_data;

  if (n_dims == 0 || n_dims > SORA_TENSOR_MAX_DIMS || (g_str_has_prefix (name, "step_") && !recorder->with_steps))
    return;
  add_part (recorder, name, g_memdup2 (data, product (shape, 0, n_dims) * sizeof (gfloat)), shape, n_dims, n_dims == 4 ? 1 : 0,
      n_dims == 4);
}

void
sora_recorder_add_frames (SoraRecorder *recorder, SoraBlock *block)
{
  const gint64 shape[] = { sora_block_get_n_frames (block), sora_block_get_height (block), sora_block_get_width (block), 3 };
  gsize n = product (shape, 1, 4);
  gfloat *data = g_new (gfloat, n * shape[0]);

  for (guint i = 0; i < shape[0]; i++) {
    const guint8 *rgb = sora_block_get_rgb (block, i);
    for (gsize j = 0; j < n; j++)
      data[i * n + j] = rgb[j] / 255.0f;
  }
  add_part (recorder, "frames", data, shape, 4, 0, TRUE);
}

/* (transfer full): all parts side by side along the axis */
static gfloat *
join (const Record *record)
{
  gsize outer = product (record->shape, 0, record->axis), inner = product (record->shape, record->axis + 1, record->n_dims);
  gsize row = record->shape[record->axis] * inner, offset = 0;
  gfloat *joined = g_new (gfloat, outer * row);

  for (guint i = 0; i < record->parts->len; i++) {
    const gfloat *part = g_ptr_array_index (record->parts, i);
    gsize n = g_array_index (record->extents, gint64, i) * inner;
    for (gsize o = 0; o < outer; o++)
      memcpy (joined + o * row + offset, part + o * n, n * sizeof (gfloat));
    offset += n;
  }
  return joined;
}

gboolean
sora_recorder_save (SoraRecorder *recorder, const gchar *path, GError **error)
{
  g_autoptr (SoraTensorWriter) writer = sora_tensor_writer_new ();

  for (guint i = 0; i < recorder->records->len; i++) {
    const Record *record = g_ptr_array_index (recorder->records, i);
    g_autofree gfloat *joined = join (record);
    sora_tensor_writer_add (writer, record->name, joined, record->shape, record->n_dims);
  }
  return sora_tensor_writer_save (writer, path, error);
}
