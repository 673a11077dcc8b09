/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Adds low-rank products and differences to a tensor's numbers, so that whoever reads them sees merged weights. */

#include "weights/tensor-private.h"

/* Rows of the lower factor that are added in one walk over the output, which is then loaded and stored a quarter as often */
#define WALK 4

/* out += factors · rows; @rows: [WALK, n] */
static void
add_rows (gfloat *restrict out, const gfloat *restrict rows, guint64 n, const gfloat *factors)
{
  const gfloat *a = rows, *b = a + n, *c = b + n, *d = c + n;

  for (guint64 i = 0; i < n; i++)
    out[i] += (factors[0] * a[i] + factors[1] * b[i]) + (factors[2] * c[i] + factors[3] * d[i]);
}

static void
add_row (gfloat *restrict out, const gfloat *restrict row, guint64 n, gfloat factor)
{
  for (guint64 i = 0; i < n; i++)
    out[i] += factor * row[i];
}

/* Columns of one row: out += up · down; @down: [rank, n] */
static void
add_product (gfloat *out, const gfloat *up, const gfloat *down, guint rank, guint64 n)
{
  guint i = 0;

  for (; i + WALK <= rank; i += WALK)
    add_rows (out, down + i * n, n, up + i);
  for (; i < rank; i++)
    add_row (out, down + i * n, n, up[i]);
}

/* Rows [first_row, end_row) of a tensor [n, k] are begun at element @first and end with @first + @count. Elements of its first and last row
 * that lie outside are computed and dropped. */
static void
add_pair (const SoraTensor *tensor, const SoraTensorPatch *patch, guint64 first, guint64 count, gfloat *out)
{
  guint64 k = tensor->n_elements / tensor->shape[0], rank = patch->down->shape[0];
  guint64 first_row = first / k, end_row = (first + count + k - 1) / k;
  g_autofree gfloat *down = g_new (gfloat, rank * k), *up = g_new (gfloat, (end_row - first_row) * rank), *row = g_new (gfloat, k);

  sora_tensor_to_float (patch->down, 0, rank * k, down);
  sora_tensor_to_float (patch->up, first_row * rank, (end_row - first_row) * rank, up);
  for (guint64 i = 0; i < (end_row - first_row) * rank; i++)
    up[i] *= patch->factor;
  for (guint64 i = first_row; i < end_row; i++) {
    guint64 from = MAX (first, i * k), to = MIN (first + count, (i + 1) * k);

    if (to - from == k) {
      add_product (out + (from - first), up + (i - first_row) * rank, down, rank, k);
      continue;
    }
    for (guint64 j = 0; j < k; j++)
      row[j] = 0;
    add_product (row, up + (i - first_row) * rank, down, rank, k);
    add_row (out + (from - first), row + (from - i * k), to - from, 1);
  }
}

static void
add_difference (const SoraTensorPatch *patch, guint64 first, guint64 count, gfloat *out)
{
  g_autofree gfloat *difference = g_new (gfloat, count);

  sora_tensor_to_float (patch->down, first, count, difference);
  add_row (out, difference, count, patch->factor);
}

void
sora_tensor_add_patches (const SoraTensor *tensor, guint64 first, guint64 count, gfloat *out)
{
  for (guint i = 0; i < tensor->patches->n && count > 0; i++) {
    const SoraTensorPatch *patch = &tensor->patches->items[i];

    if (patch->up)
      add_pair (tensor, patch, first, count, out);
    else
      add_difference (patch, first, count, out);
  }
}
