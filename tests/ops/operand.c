/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Matrices for tests: rows placed with an offset, a stride and a batch stride among NaN, and taken back. */
#include "operand.h"

#include <math.h>
#include <string.h>

#include "test-support.h"

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
