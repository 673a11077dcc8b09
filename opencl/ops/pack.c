/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Weights on the host: rows of several tensors as floats, and their transposition into panels. */
#include "ops/pack.h"

#include <string.h>

/* Columns that are transposed at a time: with 32 rows they stay in the first cache. */
#define BLOCK 64

void
sora_pack_rows (guint n_parts, const SoraTensor *const *parts, guint64 first_row, guint64 n_rows, guint64 k, gfloat *rows)
{
  guint64 part_first = 0, end = first_row + n_rows;

  memset (rows, 0, n_rows * k * sizeof *rows);
  for (guint i = 0; i < n_parts; i++) {
    guint64 part_end = part_first + parts[i]->shape[0];
    guint64 from = MAX (first_row, part_first), to = MIN (end, part_end);

    if (from < to)
      sora_tensor_to_float (parts[i], (from - part_first) * k, (to - from) * k, rows + (from - first_row) * k);
    part_first = part_end;
  }
}

void
sora_pack_panel (const gfloat *rows, guint64 k, guint width, gfloat *panel)
{
  for (guint64 first = 0; first < k; first += BLOCK) {
    guint64 end = MIN (first + BLOCK, k);

    for (guint row = 0; row < width; row++) {
      for (guint64 column = first; column < end; column++)
        panel[column * width + row] = rows[row * k + column];
    }
  }
}
