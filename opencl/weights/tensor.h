/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A named tensor in a mapped weight file, and its conversion to floats. */
#pragma once

#include <glib.h>
#include <sora/error.h>

G_BEGIN_DECLS

#define SORA_TENSOR_MAX_DIMS 6

/* The types that a weight can have; those with Q are GGUF's blocks. */
typedef enum {
  SORA_DTYPE_F32,
  SORA_DTYPE_F16,
  SORA_DTYPE_BF16,
  SORA_DTYPE_F8_E4M3,
  SORA_DTYPE_F8_E5M2,
  SORA_DTYPE_Q4_0,
  SORA_DTYPE_Q4_1,
  SORA_DTYPE_Q5_0,
  SORA_DTYPE_Q5_1,
  SORA_DTYPE_Q8_0,
  SORA_DTYPE_Q2_K,
  SORA_DTYPE_Q3_K,
  SORA_DTYPE_Q4_K,
  SORA_DTYPE_Q5_K,
  SORA_DTYPE_Q6_K,
  SORA_N_DTYPES
} SoraDType;

/* Immutable; lives as long as the file it was found in. */
typedef struct {
  const gchar *name;            /* as the file has it */
  const gchar *file;            /* path, for messages */
  SoraDType dtype;
  guint n_dims;
  guint64 shape[SORA_TENSOR_MAX_DIMS];
  guint64 n_elements;
  const guint8 *data;           /* mapped, little-endian, may be unaligned */
  gboolean is_scaled;           /* whether the data times this is what counts; 8-bit floats of many files */
  gfloat scale;
} SoraTensor;

/* Values are stored in blocks of so many elements along the last dimension, each of so many bytes; 1 element for plain types. */
guint sora_dtype_get_block_elements (SoraDType dtype);
guint sora_dtype_get_block_bytes (SoraDType dtype);
const gchar *sora_dtype_name (SoraDType dtype);

/* Converts elements first ... first + count - 1, scaled, to @out. Whole blocks are the fastest. */
void sora_tensor_to_float (const SoraTensor *tensor, guint64 first, guint64 count, gfloat *out);

/* Values of a block of the types below, and of stored ones that are like them */
#define SORA_BLOCK_VALUES 32

/* The scales, in binary16, of blocks first_block ... first_block + n_blocks - 1 of SORA_BLOCK_VALUES values, if each value of the tensor is
 * a whole number of 8 bits times its block's scale: Q8_0, Q5_0 and Q4_0. FALSE, and nothing is written, if not. */
gboolean sora_tensor_get_scales (const SoraTensor *tensor, guint64 first_block, guint64 n_blocks, guint16 *scales);

G_END_DECLS
