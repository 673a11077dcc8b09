/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Converts tensors of a mapped file to floats. */

#include "weights/tensor-private.h"

#include <string.h>

/* The loops below read through memcpy(), as the data may be unaligned, and have no branches, so that compilers turn them into vector
 * code. */

static void
float_from_f32 (const guint8 *restrict in, guint64 count, gfloat *restrict out)
{
#if G_BYTE_ORDER == G_LITTLE_ENDIAN
  memcpy (out, in, count * sizeof (gfloat));
#else
  for (guint64 i = 0; i < count; i++) {
    guint32 bits;
    memcpy (&bits, in + 4 * i, sizeof (bits));
    bits = GUINT32_FROM_LE (bits);
    memcpy (out + i, &bits, sizeof (bits));
  }
#endif
}

static void
float_from_bf16 (const guint8 *restrict in, guint64 count, gfloat *restrict out)
{
  for (guint64 i = 0; i < count; i++) {
    guint16 half;
    guint32 bits;
    memcpy (&half, in + 2 * i, sizeof (half));
    bits = (guint32) GUINT16_FROM_LE (half) << 16;
    memcpy (out + i, &bits, sizeof (bits));
  }
}

/* IEEE 754 binary16: normal numbers move the exponent's bias from 15 to 127, infinity and NaN to 255; a subnormal is its
 * mantissa times 2^-24. */
void
sora_float_from_f16 (const guint8 *restrict in, guint64 count, gfloat *restrict out)
{
  for (guint64 i = 0; i < count; i++) {
    guint16 half;
    guint32 magnitude, bits, small_bits;
    gfloat small;
    memcpy (&half, in + 2 * i, sizeof (half));
    half = GUINT16_FROM_LE (half);
    magnitude = half & 0x7fff;
    small = (gfloat) (gint32) magnitude * 0x1p-24f;
    memcpy (&small_bits, &small, sizeof (small));
    bits = (magnitude << 13) + (magnitude < 0x7c00 ? 0x38000000u : 0x70000000u);
    bits = magnitude < 0x0400 ? small_bits : bits;
    bits |= (guint32) (half & 0x8000) << 16;
    memcpy (out + i, &bits, sizeof (bits));
  }
}

/* Values of a block at most */
#define MAX_BLOCK 256

typedef struct {
  const gchar *name;
  guint elements, bytes;        /* of a block */
  SoraToFloat to_float;
  SoraToQ4 to_q4;               /* NULL: not of 4 bits in groups of 32 */
} TypeInfo;

static const TypeInfo types[SORA_N_DTYPES] = {
  [SORA_DTYPE_F32] = { "F32", 1, 4, float_from_f32 },
  [SORA_DTYPE_F16] = { "F16", 1, 2, sora_float_from_f16 },
  [SORA_DTYPE_BF16] = { "BF16", 1, 2, float_from_bf16 },
  [SORA_DTYPE_F8_E4M3] = { "F8_E4M3", 1, 1, sora_float_from_f8_e4m3 },
  [SORA_DTYPE_F8_E5M2] = { "F8_E5M2", 1, 1, sora_float_from_f8_e5m2 },
  [SORA_DTYPE_Q4_0] = { "Q4_0", 32, 18, sora_float_from_q4_0, sora_q4_from_q4_0 },
  [SORA_DTYPE_Q4_1] = { "Q4_1", 32, 20, sora_float_from_q4_1, sora_q4_from_q4_1 },
  [SORA_DTYPE_Q5_0] = { "Q5_0", 32, 22, sora_float_from_q5_0 },
  [SORA_DTYPE_Q5_1] = { "Q5_1", 32, 24, sora_float_from_q5_1 },
  [SORA_DTYPE_Q8_0] = { "Q8_0", 32, 34, sora_float_from_q8_0 },
  [SORA_DTYPE_Q2_K] = { "Q2_K", 256, 84, sora_float_from_q2_k },
  [SORA_DTYPE_Q3_K] = { "Q3_K", 256, 110, sora_float_from_q3_k },
  [SORA_DTYPE_Q4_K] = { "Q4_K", 256, 144, sora_float_from_q4_k, sora_q4_from_q4_k },
  [SORA_DTYPE_Q5_K] = { "Q5_K", 256, 176, sora_float_from_q5_k },
  [SORA_DTYPE_Q6_K] = { "Q6_K", 256, 210, sora_float_from_q6_k },
};

guint
sora_dtype_get_block_elements (SoraDType dtype)
{
  return types[dtype].elements;
}

guint
sora_dtype_get_block_bytes (SoraDType dtype)
{
  return types[dtype].bytes;
}

const gchar *
sora_dtype_name (SoraDType dtype)
{
  return types[dtype].name;
}

/* Elements @first ... @first + @count - 1 of one block */
static void
convert_part (const TypeInfo *type, const guint8 *block, guint first, guint count, gfloat *out)
{
  gfloat values[MAX_BLOCK];

  type->to_float (block, 1, values);
  memcpy (out, values + first, count * sizeof (gfloat));
}

static void
convert (const SoraTensor *tensor, guint64 first, guint64 count, gfloat *out)
{
  const TypeInfo *type = &types[tensor->dtype];
  const guint8 *block = tensor->data + first / type->elements * type->bytes;
  guint64 skip = first % type->elements, n_blocks;

  if (skip > 0 && count > 0) {
    guint64 part = MIN (count, type->elements - skip);
    convert_part (type, block, skip, part, out);
    block += type->bytes;
    out += part;
    count -= part;
  }
  n_blocks = count / type->elements;
  if (n_blocks > 0)     /* else @out may be NULL */
    type->to_float (block, n_blocks, out);
  if (count % type->elements > 0)
    convert_part (type, block + n_blocks * type->bytes, 0, count % type->elements, out + n_blocks * type->elements);
}

/* Elements of rows that are read whole */
static void
copy_from_rows (const SoraTensor *tensor, guint64 first, guint64 count, gfloat *out)
{
  guint64 k = tensor->n_elements / tensor->shape[0], row = first / k, n = (first + count + k - 1) / k - row;
  g_autofree gfloat *rows = g_new (gfloat, n * k);

  sora_tensor_to_float (tensor, row * k, n * k, rows);
  memcpy (out, rows + first % k, count * sizeof (gfloat));
}

void
sora_tensor_to_float (const SoraTensor *tensor, guint64 first, guint64 count, gfloat *out)
{
  if (count > 0 && sora_tensor_needs_rows (tensor)) {
    guint64 k = tensor->n_elements / tensor->shape[0];
    if (first % k > 0 || count % k > 0) {
      copy_from_rows (tensor, first, count, out);
      return;
    }
  }
  convert (tensor, first, count, out);
  for (guint64 i = 0; tensor->is_scaled && i < count; i++)
    out[i] *= tensor->scale;
  if (sora_tensor_is_patched (tensor))
    sora_tensor_add_patches (tensor, first, count, out);
}

gboolean
sora_tensor_has_q4 (const SoraTensor *tensor)
{
  return types[tensor->dtype].to_q4 && sora_tensor_is_plain (tensor) && tensor->n_dims >= 2 && tensor->shape[0] > 0
      && tensor->n_elements / tensor->shape[0] % SORA_BLOCK_VALUES == 0;
}

void
sora_tensor_get_q4 (const SoraTensor *tensor, guint64 first_block, guint64 n_blocks, guint8 *blocks)
{
  const TypeInfo *type = &types[tensor->dtype];
  guint groups = type->elements / SORA_BLOCK_VALUES;

  for (guint64 i = first_block; i < first_block + n_blocks; i++, blocks += SORA_Q4_BYTES)
    type->to_q4 (tensor->data + i / groups * type->bytes, i % groups, blocks);
}

gboolean
sora_tensor_get_scales (const SoraTensor *tensor, guint64 first_block, guint64 n_blocks, guint16 *scales)
{
  guint64 bytes = types[tensor->dtype].bytes;
  const guint8 *block = tensor->data + first_block * bytes;

  if (!sora_tensor_is_plain (tensor) || (tensor->dtype != SORA_DTYPE_Q8_0 && tensor->dtype != SORA_DTYPE_Q5_0 && tensor->dtype != SORA_DTYPE_Q4_0))
    return FALSE;
  for (guint64 i = 0; i < n_blocks; i++, block += bytes) {
    memcpy (scales + i, block, sizeof *scales);
    scales[i] = GUINT16_FROM_LE (scales[i]);
  }
  return TRUE;
}
