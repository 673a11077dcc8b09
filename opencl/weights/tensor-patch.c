/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Adds low-rank products, products of two of them and differences to a tensor's numbers, so that whoever reads them sees merged weights. */

#include "weights/tensor-private.h"

#include <math.h>

/* Rows of a tile, and rows of the lower factor that are added to them in one walk: each of both is loaded a quarter as often */
#define TILE 4
/* Columns that are gone over at a time: with a tile's rows, those of the lower factor stay in the first cache. */
#define COLUMNS 128

/* Compiled for several widths of vectors, of which the machine's is taken when the library is loaded. Nothing is fused, so all give the same. */
#if defined (__x86_64__) && defined (__GLIBC__) && defined (__GNUC__) && !defined (__clang__)
#define VECTOR_WIDTHS __attribute__ ((target_clones ("avx512f", "avx2", "default")))
#else
#define VECTOR_WIDTHS
#endif

/* out += factors · rows; @rows: [TILE, ...], a row @k behind the other */
static void
add_rows (gfloat *restrict out, const gfloat *restrict rows, guint64 k, guint64 n, const gfloat *factors)
{
  const gfloat *a = rows, *b = a + k, *c = b + k, *d = c + k;

  for (guint64 i = 0; i < n; i++)
    out[i] += (factors[0] * a[i] + factors[1] * b[i]) + (factors[2] * c[i] + factors[3] * d[i]);
}

/* The same for TILE rows at once, in the same order, so that the sums are the same; @p ... @s: their factors */
VECTOR_WIDTHS static void
add_tile (gfloat *restrict x, gfloat *restrict y, gfloat *restrict z, gfloat *restrict w, const gfloat *restrict rows, guint64 k, guint64 n,
    const gfloat *p, const gfloat *q, const gfloat *r, const gfloat *s)
{
  const gfloat *a = rows, *b = a + k, *c = b + k, *d = c + k;

  for (guint64 i = 0; i < n; i++) {
    x[i] += (p[0] * a[i] + p[1] * b[i]) + (p[2] * c[i] + p[3] * d[i]);
    y[i] += (q[0] * a[i] + q[1] * b[i]) + (q[2] * c[i] + q[3] * d[i]);
    z[i] += (r[0] * a[i] + r[1] * b[i]) + (r[2] * c[i] + r[3] * d[i]);
    w[i] += (s[0] * a[i] + s[1] * b[i]) + (s[2] * c[i] + s[3] * d[i]);
  }
}

static void
add_row (gfloat *restrict out, const gfloat *restrict row, guint64 n, gfloat factor)
{
  for (guint64 i = 0; i < n; i++)
    out[i] += factor * row[i];
}

/* Columns of one row: out += up · down; @down: [rank, k] of which @n columns count */
static void
add_product_row (gfloat *out, const gfloat *up, const gfloat *down, guint64 rank, guint64 k, guint64 n)
{
  guint64 i = 0;

  for (; i + TILE <= rank; i += TILE)
    add_rows (out, down + i * k, k, n, up + i);
  for (; i < rank; i++)
    add_row (out, down + i * k, n, up[i]);
}

/* The same for TILE rows */
static void
add_product_tile (gfloat *out, const gfloat *up, const gfloat *down, guint64 rank, guint64 k, guint64 n)
{
  guint64 i = 0;

  for (; i + TILE <= rank; i += TILE)
    add_tile (out, out + k, out + 2 * k, out + 3 * k, down + i * k, k, n, up + i, up + rank + i, up + 2 * rank + i, up + 3 * rank + i);
  for (guint row = 0; row < TILE; row++)
    for (guint64 j = i; j < rank; j++)
      add_row (out + row * k, down + j * k, n, up[row * rank + j]);
}

/* Whole rows: out += up · down; @out: [n_rows, k], @up: [n_rows, rank], @down: [rank, k] */
static void
add_product (gfloat *out, const gfloat *up, const gfloat *down, guint64 n_rows, guint64 rank, guint64 k)
{
  for (guint64 column = 0; column < k; column += COLUMNS) {
    guint64 n = MIN (COLUMNS, k - column), row = 0;

    for (; row + TILE <= n_rows; row += TILE)
      add_product_tile (out + row * k + column, up + row * rank, down + column, rank, k, n);
    for (; row < n_rows; row++)
      add_product_row (out + row * k + column, up + row * rank, down + column, rank, k, n);
  }
}

/* Elements [@first, @end) of one row, from the row's begin: what lies outside is computed and dropped. */
static void
add_part (gfloat *out, const gfloat *up, const gfloat *down, guint64 rank, guint64 k, guint64 first, guint64 end)
{
  g_autofree gfloat *row = g_new0 (gfloat, k);

  add_product (row, up, down, 1, rank, k);
  add_row (out, row + first, end - first, 1);
}

/* Of a tensor [n, k]: its elements from @first on may begin within a row, and end within one. */
static void
add_pair (const SoraTensor *tensor, const SoraTensorPatch *patch, guint64 first, guint64 count, gfloat *out)
{
  guint64 k = tensor->n_elements / tensor->shape[0], rank = patch->a.down->shape[0], end = first + count;
  guint64 row = first / k, n_rows = (end + k - 1) / k - row, whole;
  g_autofree gfloat *down = g_new (gfloat, rank * k), *factors = g_new (gfloat, n_rows * rank);
  const gfloat *up = factors;

  sora_tensor_to_float (patch->a.down, 0, rank * k, down);
  sora_tensor_to_float (patch->a.up, row * rank, n_rows * rank, factors);
  for (guint64 i = 0; i < n_rows * rank; i++)
    factors[i] *= patch->factor;
  if (first % k > 0) {
    guint64 part_end = MIN (end - row * k, k);

    add_part (out, up, down, rank, k, first % k, part_end);
    out += part_end - first % k;
    up += rank;
    row++;
  }
  whole = end / k > row ? end / k - row : 0;
  add_product (out, up, down, whole, rank, k);
  if (row + whole < (end + k - 1) / k)
    add_part (out + whole * k, up + whole * rank, down, rank, k, 0, end % k);
}

static void
add_difference (const SoraTensorPatch *patch, guint64 first, guint64 count, gfloat *out)
{
  g_autofree gfloat *difference = g_new (gfloat, count);

  sora_tensor_to_float (patch->a.down, first, count, difference);
  add_row (out, difference, count, patch->factor);
}

/* (transfer full): rows @first ... of a matrix of @k columns, [n, k] */
static gfloat *
make_rows (const SoraTensorMatrix *matrix, guint64 first, guint64 n, guint64 k)
{
  guint64 rank = matrix->down->shape[0];
  g_autofree gfloat *up = NULL, *down = NULL;
  gfloat *rows = g_new0 (gfloat, n * k);

  if (!matrix->up) {
    sora_tensor_to_float (matrix->down, first * k, n * k, rows);
    return rows;
  }
  up = g_new (gfloat, n * rank);
  down = g_new (gfloat, rank * k);
  sora_tensor_to_float (matrix->up, first * rank, n * rank, up);
  sora_tensor_to_float (matrix->down, 0, rank * k, down);
  add_product (rows, up, down, n, rank, k);
  return rows;
}

static guint64
count_rows (const SoraTensorMatrix *matrix)
{
  return matrix->up ? matrix->up->shape[0] : matrix->down->shape[0];
}

static guint64
count_columns (const SoraTensorMatrix *matrix)
{
  return matrix->down->n_elements / matrix->down->shape[0];
}

/* (transfer full): rows @first ... of what two matrices make, of @k columns, without the factor */
static gfloat *
make_hadamard (const SoraTensorPatch *patch, guint64 first, guint64 n, guint64 k)
{
  g_autofree gfloat *b = make_rows (&patch->b, first, n, k);
  gfloat *a = make_rows (&patch->a, first, n, k);

  for (guint64 i = 0; i < n * k; i++)
    a[i] *= b[i];
  return a;
}

static gfloat *
make_kronecker (const SoraTensorPatch *patch, guint64 first, guint64 n, guint64 k)
{
  guint64 b_rows = count_rows (&patch->b), b_columns = count_columns (&patch->b), a_columns = k / b_columns;
  guint64 a_first = first / b_rows, n_a = (first + n - 1) / b_rows + 1 - a_first;
  /* those of the second come again for each row of the first */
  guint64 b_first = n_a > 1 ? 0 : first % b_rows, n_b = n_a > 1 ? b_rows : n;
  g_autofree gfloat *a = make_rows (&patch->a, a_first, n_a, a_columns), *b = make_rows (&patch->b, b_first, n_b, b_columns);
  gfloat *rows = g_new0 (gfloat, n * k);

  for (guint64 i = 0; i < n; i++) {
    const gfloat *factors = a + ((first + i) / b_rows - a_first) * a_columns, *row = b + ((first + i) % b_rows - b_first) * b_columns;
    for (guint64 j = 0; j < a_columns; j++)
      add_row (rows + i * k + j * b_columns, row, b_columns, factors[j]);
  }
  return rows;
}

/* Whole rows are made of which elements from @first on are added. */
static void
add_made (const SoraTensor *tensor, const SoraTensorPatch *patch, guint64 first, guint64 count, gfloat *out)
{
  guint64 k = tensor->n_elements / tensor->shape[0], row = first / k, n = (first + count + k - 1) / k - row;
  g_autofree gfloat *rows = patch->product == SORA_TENSOR_HADAMARD ? make_hadamard (patch, row, n, k) : make_kronecker (patch, row, n, k);

  add_row (out, rows + first % k, count, patch->factor);
}

static void
add_patch (const SoraTensor *tensor, const SoraTensorPatch *patch, guint64 first, guint64 count, gfloat *out)
{
  if (patch->product != SORA_TENSOR_ONE)
    add_made (tensor, patch, first, count, out);
  else if (patch->a.up)
    add_pair (tensor, patch, first, count, out);
  else
    add_difference (patch, first, count, out);
}

/* What makes a row as long as @magnitude; a row of zeros, which has no direction, stays one. */
static gfloat
find_stretch (const gfloat *row, guint64 k, gfloat magnitude)
{
  gdouble sum = 0;

  for (guint64 i = 0; i < k; i++)
    sum += (gdouble) row[i] * row[i];
  return sum > 0 ? magnitude / sqrt (sum) : 0;
}

/* Whole rows: out += weight · (magnitude · (out + difference) / |out + difference| - out) */
static void
decompose (const SoraTensor *tensor, const SoraTensorPatch *patch, guint64 first, guint64 count, gfloat *out)
{
  guint64 k = tensor->n_elements / tensor->shape[0], n = count / k;
  g_autofree gfloat *changed = g_memdup2 (out, count * sizeof (gfloat)), *magnitudes = g_new (gfloat, n);

  add_patch (tensor, patch, first, count, changed);
  sora_tensor_to_float (patch->magnitudes, first / k, n, magnitudes);
  for (guint64 row = 0; row < n; row++) {
    gfloat stretch = find_stretch (changed + row * k, k, magnitudes[row]);
    for (guint64 i = row * k; i < (row + 1) * k; i++)
      out[i] += patch->weight * (stretch * changed[i] - out[i]);
  }
}

gboolean
sora_tensor_needs_rows (const SoraTensor *tensor)
{
  for (guint i = 0; tensor->patches && i < tensor->patches->n; i++) {
    if (tensor->patches->items[i].magnitudes)
      return TRUE;
  }
  return FALSE;
}

void
sora_tensor_add_patches (const SoraTensor *tensor, guint64 first, guint64 count, gfloat *out)
{
  for (guint i = 0; i < tensor->patches->n && count > 0; i++) {
    const SoraTensorPatch *patch = &tensor->patches->items[i];

    if (patch->magnitudes)
      decompose (tensor, patch, first, count, out);
    else
      add_patch (tensor, patch, first, count, out);
  }
}
