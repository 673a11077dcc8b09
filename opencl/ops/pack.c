/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Weights on the host: rows of several tensors as floats, and their conversion to stored panels. */
#include "ops/pack.h"

#include <math.h>
#include <string.h>

#include "weights/half.h"

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

guint64
sora_pack_count_blocks (guint64 k)
{
  return (k + SORA_BLOCK_VALUES - 1) / SORA_BLOCK_VALUES;
}

/* The scale of @n values. One that is not finite makes it NaN, which every value of the block then is: it must not look sound. */
static guint16
measure_scale (const gfloat *values, guint n)
{
  gboolean finite = TRUE;
  gfloat largest = 0;

  for (guint i = 0; i < n; i++) {
    finite = finite && isfinite (values[i]);
    largest = MAX (largest, fabsf (values[i]));
  }
  return sora_f16_from_float_up (finite ? largest / 127 : NAN);
}

/* Of rows of one tensor, @first_row counted from its own; a row must be whole blocks for them to be the tensor's. */
static void
scales_of_part (const SoraTensor *part, guint64 first_row, guint64 n_rows, guint64 k, const gfloat *rows, guint16 *scales)
{
  guint64 blocks = sora_pack_count_blocks (k);

  if (k % SORA_BLOCK_VALUES == 0 && sora_tensor_get_scales (part, first_row * blocks, n_rows * blocks, scales))
    return;
  for (guint64 row = 0; row < n_rows; row++) {
    for (guint64 block = 0; block < blocks; block++) {
      guint64 first = block * SORA_BLOCK_VALUES;
      scales[row * blocks + block] = measure_scale (rows + row * k + first, MIN (SORA_BLOCK_VALUES, k - first));
    }
  }
}

void
sora_pack_scales (guint n_parts, const SoraTensor *const *parts, guint64 first_row, guint64 n_rows, guint64 k, const gfloat *rows,
    guint16 *scales)
{
  guint64 part_first = 0, end = first_row + n_rows, blocks = sora_pack_count_blocks (k);

  memset (scales, 0, n_rows * blocks * sizeof *scales);
  for (guint i = 0; i < n_parts; i++) {
    guint64 part_end = part_first + parts[i]->shape[0];
    guint64 from = MAX (first_row, part_first), to = MIN (end, part_end);

    if (from < to)
      scales_of_part (parts[i], from - part_first, to - from, k, rows + (from - first_row) * k, scales + (from - first_row) * blocks);
    part_first = part_end;
  }
}

gsize
sora_pack_get_size (SoraWeightType type, guint64 k, guint width)
{
  if (type == SORA_WEIGHT_TYPE_Q8)
    return sora_pack_count_blocks (k) * width * (sizeof (guint16) + SORA_BLOCK_VALUES);
  if (type == SORA_WEIGHT_TYPE_Q4)
    return sora_pack_count_blocks (k) * width * SORA_Q4_BYTES;
  return k * width * (type == SORA_WEIGHT_TYPE_FP32 ? sizeof (gfloat) : sizeof (guint16));
}

/* Transposes in squares, so that rows and panel both stay in the caches. */
#define TRANSPOSE(PANEL, VALUE) \
  for (guint64 first = 0; first < k; first += BLOCK) { \
    guint64 end = MIN (first + BLOCK, k); \
    for (guint row = 0; row < width; row++) \
      for (guint64 column = first; column < end; column++) \
        (PANEL)[column * width + row] = VALUE (rows[row * k + column]); \
  }

static void
pack_fp32 (const gfloat *rows, guint64 k, guint width, gfloat *panel)
{
  TRANSPOSE (panel, )
}

static void
pack_fp16 (const gfloat *rows, guint64 k, guint width, guint16 *panel)
{
  TRANSPOSE (panel, sora_f16_from_float)
}

static void
pack_bf16 (const gfloat *rows, guint64 k, guint width, guint16 *panel)
{
  TRANSPOSE (panel, sora_bf16_from_float)
}

/* Adding and taking away again rounds a float of less than 2^22 to a whole number, ties to even. */
#define ROUNDER 0x1.8p23f

/* @n values of one row to every @width-th byte of @values; nothing where the scale is 0 or not finite */
static void
quantise (const gfloat *row, guint n, gfloat scale, guint width, gint8 *values)
{
  if (scale == 0 || !isfinite (scale))
    return;
  for (guint i = 0; i < n; i++) {
    gfloat rounded = row[i] / scale + ROUNDER - ROUNDER;
    values[i * width] = CLAMP (rounded, -128.0f, 127.0f);
  }
}

static void
pack_q8 (const gfloat *rows, const guint16 *scales, guint64 k, guint width, guint8 *panel)
{
  guint64 blocks = sora_pack_count_blocks (k);

  for (guint64 block = 0; block < blocks; block++) {
    guint64 first = block * SORA_BLOCK_VALUES;
    gint8 *values = (gint8 *) panel + width * sizeof *scales;

    memset (values, 0, width * SORA_BLOCK_VALUES);
    for (guint row = 0; row < width; row++) {
      guint16 scale = scales[row * blocks + block];
      memcpy (panel + row * sizeof scale, &scale, sizeof scale);
      quantise (rows + row * k + first, MIN (SORA_BLOCK_VALUES, k - first), sora_f16_to_float (scale), width, values + row);
    }
    panel += width * (sizeof *scales + SORA_BLOCK_VALUES);
  }
}

void
sora_pack_panel (SoraWeightType type, const gfloat *rows, const guint16 *scales, guint64 k, guint width, gpointer panel)
{
  switch (type) {
    case SORA_WEIGHT_TYPE_FP16:
      pack_fp16 (rows, k, width, panel);
      break;
    case SORA_WEIGHT_TYPE_BF16:
      pack_bf16 (rows, k, width, panel);
      break;
    case SORA_WEIGHT_TYPE_Q8:
      pack_q8 (rows, scales, k, width, panel);
      break;
    default:
      pack_fp32 (rows, k, width, panel);
  }
}

/* Row @row of a panel of numbers of @size bytes, for columns first ... end - 1 */
static void
place_numbers (const guint8 *values, guint size, guint64 first, guint64 end, guint row, guint width, guint8 *panel)
{
  for (guint64 column = first; column < end; column++) {
    if (size == sizeof (guint16))
      memcpy (panel + (column * width + row) * sizeof (guint16), values + column * sizeof (guint16), sizeof (guint16));
    else
      memcpy (panel + (column * width + row) * sizeof (gfloat), values + column * sizeof (gfloat), sizeof (gfloat));
  }
}

static void
pack_stored_numbers (const guint8 *const *rows, guint size, guint64 k, guint width, guint8 *panel)
{
  for (guint64 first = 0; first < k; first += BLOCK) {
    for (guint row = 0; row < width; row++) {
      if (rows[row])
        place_numbers (rows[row], size, first, MIN (first + BLOCK, k), row, width, panel);
    }
  }
}

static void
pack_stored_blocks (const guint8 *const *rows, guint64 k, guint width, guint8 *panel)
{
  guint64 blocks = sora_pack_count_blocks (k);

  for (guint64 block = 0; block < blocks; block++, panel += width * (sizeof (guint16) + SORA_BLOCK_VALUES)) {
    guint8 *values = panel + width * sizeof (guint16);

    for (guint row = 0; row < width; row++) {
      const guint8 *stored = rows[row] ? rows[row] + block * (sizeof (guint16) + SORA_BLOCK_VALUES) : NULL;
      if (!stored)
        continue;
      memcpy (panel + row * sizeof (guint16), stored, sizeof (guint16));
      for (guint i = 0; i < SORA_BLOCK_VALUES; i++)
        values[i * width + row] = stored[sizeof (guint16) + i];
    }
  }
}

void
sora_pack_stored (SoraWeightType type, const guint8 *const *rows, guint64 k, guint width, guint8 *panel)
{
  memset (panel, 0, sora_pack_get_size (type, k, width));
  if (type == SORA_WEIGHT_TYPE_Q8)
    pack_stored_blocks (rows, k, width, panel);
  else
    pack_stored_numbers (rows, type == SORA_WEIGHT_TYPE_FP32 ? sizeof (gfloat) : sizeof (guint16), k, width, panel);
}

/* Blocks of one row, to row @row of the panel */
static void
place_q4 (const guint8 *blocks, guint64 n_blocks, guint row, guint width, guint8 *panel)
{
  for (guint64 i = 0; i < n_blocks; i++, blocks += SORA_Q4_BYTES, panel += width * SORA_Q4_BYTES) {
    memcpy (panel + 2 * row, blocks, 2);
    memcpy (panel + 2 * (width + row), blocks + 2, 2);
    for (guint j = 4; j < SORA_Q4_BYTES; j++)
      panel[j * width + row] = blocks[j];
  }
}

void
sora_pack_q4 (guint n_parts, const SoraTensor *const *parts, guint64 first_row, guint64 k, guint width, guint8 *panel)
{
  guint64 n_blocks = sora_pack_count_blocks (k), part_first = 0;
  g_autofree guint8 *blocks = g_malloc (n_blocks * SORA_Q4_BYTES);

  memset (panel, 0, sora_pack_get_size (SORA_WEIGHT_TYPE_Q4, k, width));
  for (guint i = 0; i < n_parts; part_first += parts[i++]->shape[0]) {
    guint64 from = MAX (first_row, part_first), to = MIN (first_row + width, part_first + parts[i]->shape[0]);

    for (guint64 row = from; row < to; row++) {
      sora_tensor_get_q4 (parts[i], (row - part_first) * n_blocks, n_blocks, blocks);
      place_q4 (blocks, n_blocks, row - first_row, width, panel);
    }
  }
}

gsize
sora_pack_get_pairs_size (guint64 k, guint width)
{
  return (k + SORA_PAIRS_STEP - 1) / SORA_PAIRS_STEP * SORA_PAIRS_STEP * width * sizeof (guint16);
}

/* Number @column of row @row of the panel, counted in numbers */
static guint64
pair_place (guint64 column, guint row, guint width)
{
  return (column / 2 * width + row) * 2 + column % 2;
}

void
sora_pack_pairs (const gfloat *rows, guint64 k, guint width, guint16 *panel)
{
  memset (panel, 0, sora_pack_get_pairs_size (k, width));
  for (guint64 first = 0; first < k; first += BLOCK) {
    guint64 end = MIN (first + BLOCK, k);

    for (guint row = 0; row < width; row++)
      for (guint64 column = first; column < end; column++)
        panel[pair_place (column, row, width)] = sora_bf16_from_float (rows[row * k + column]);
  }
}

/* Columns first ... end - 1 of one row; whole pairs are copied as they are. */
static void
place_pairs (const guint8 *values, guint64 first, guint64 end, guint row, guint width, guint8 *panel)
{
  guint64 column = first;

  for (; column + 1 < end; column += 2)
    memcpy (panel + pair_place (column, row, width) * sizeof (guint16), values + column * sizeof (guint16), 2 * sizeof (guint16));
  if (column < end)
    memcpy (panel + pair_place (column, row, width) * sizeof (guint16), values + column * sizeof (guint16), sizeof (guint16));
}

void
sora_pack_stored_pairs (const guint8 *const *rows, guint64 k, guint width, guint8 *panel)
{
  memset (panel, 0, sora_pack_get_pairs_size (k, width));
  for (guint64 first = 0; first < k; first += BLOCK) {
    for (guint row = 0; row < width; row++) {
      if (rows[row])
        place_pairs (rows[row], first, MIN (first + BLOCK, k), row, width, panel);
    }
  }
}
