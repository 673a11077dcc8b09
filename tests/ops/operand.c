/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Matrices for tests, placed among NaN and taken back; and the variants of kernels that a test runs. */
#include "operand.h"

#include <math.h>
#include <string.h>

#include "test-support.h"

const Variant variants[] = {
  { "vector", "packed", 0 },
  { "vector-16", "packed", 16 },
  { "vector-8", "packed", 8 },
  { "vector-4", "packed", 4 },
  { "group", "clblast", 0 },
  { "group-small", "clblast", 0, 4096 },
  { NULL },
};

void
variants_add_test (const gchar *group, const gchar *name, GTestDataFunc function)
{
  for (const Variant *variant = variants; variant->name; variant++) {
    g_autofree gchar *path = g_strdup_printf ("/%s/%s/%s", group, variant->name, name);

    g_test_add_data_func (path, variant, function);
  }
}

SoraQueue *
variant_queue_new (const Variant *variant)
{
  static guint own_width;
  static guint64 own_local_memory;
  SoraQueue *queue = sora_test_queue_new_linear (variant->linear);
  SoraDevice *device = sora_queue_get_device (queue);

  /* devices stay open for the life of the process, so that this one's limits are still what the last variant made them */
  if (own_width == 0) {
    own_width = device->vector_width;
    own_local_memory = device->local_memory;
  }
  device->vector_width = variant->width ? variant->width : own_width;
  device->local_memory = variant->local_memory ? variant->local_memory : own_local_memory;
  return queue;
}

gboolean
variant_is_small (const Variant *variant)
{
  return sora_test_is_small () || variant->width || variant->local_memory;
}

/* where row @r of all batches begins */
static gsize
row_start (const Operand *operand, gsize r)
{
  return operand->matrix.offset + r / operand->rows * operand->batch_stride + r % operand->rows * operand->matrix.stride;
}

Operand
operand_new (SoraQueue *queue, const gfloat *data, guint batch, guint rows, guint columns, guint pad)
{
  Operand operand = { { NULL, pad * 3, columns + pad }, rows * (columns + pad) + pad * 5, batch, rows, columns, 0 };
  g_autofree gfloat *host = NULL;

  operand.size = operand.matrix.offset + (gsize) batch * operand.batch_stride;
  host = g_new (gfloat, operand.size);
  for (gsize i = 0; i < operand.size; i++)
    host[i] = NAN;
  for (gsize r = 0; data && r < (gsize) batch * rows; r++)
    memcpy (host + row_start (&operand, r), data + r * columns, columns * sizeof (gfloat));
  operand.matrix.mem = sora_test_upload (queue, host, operand.size);
  return operand;
}

void
operand_clear (Operand *operand)
{
  clReleaseMemObject (operand->matrix.mem);
}

gfloat *
operand_download (SoraQueue *queue, const Operand *operand)
{
  g_autofree gfloat *host = sora_test_download (queue, operand->matrix.mem, operand->size);
  gsize rows = (gsize) operand->batch * operand->rows, n = rows * operand->columns, untouched = 0;
  gfloat *data = g_new (gfloat, n);

  for (gsize r = 0; r < rows; r++) {
    gfloat *row = host + row_start (operand, r);

    memcpy (data + r * operand->columns, row, operand->columns * sizeof (gfloat));
    for (guint c = 0; c < operand->columns; c++)
      row[c] = NAN;
  }
  for (gsize i = 0; i < operand->size; i++)
    untouched += isnan (host[i]) != 0;
  g_assert_cmpuint (untouched, ==, operand->size);
  return data;
}
