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

typedef struct _SoraTensorPatches SoraTensorPatches;

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
  const SoraTensorPatches *patches;     /* what is added to the numbers in data; NULL: nothing */
} SoraTensor;

/* A matrix [n, k...]: up · down, or down as it is */
typedef struct {
  const SoraTensor *up;         /* [n, rank]; NULL: down is all of it */
  const SoraTensor *down;       /* [rank, k...] */
} SoraTensorMatrix;

/* What two matrices make together */
typedef enum {
  SORA_TENSOR_ONE,              /* nothing: there is one */
  SORA_TENSOR_HADAMARD,         /* each number times the same one of the other */
  SORA_TENSOR_KRONECKER,        /* each number of the first times all of the second, [n, k]: row i, column j is a[i / n, j / k] b[i % n, j % k] */
} SoraTensorProduct;

/* Added to a tensor [n, k...], times the factor: matrix a; or a and b together. With magnitudes (DoRA) each row of the sum is then given the length
 * of its magnitude, and of what the row has changed in all, weight times is added. */
typedef struct {
  SoraTensorMatrix a, b;
  gfloat factor;
  SoraTensorProduct product;
  const SoraTensor *magnitudes; /* n numbers; NULL: rows keep their lengths */
  gfloat weight;                /* counts with magnitudes only */
} SoraTensorPatch;

struct _SoraTensorPatches {
  const gchar *id;              /* the same for what adds the same numbers */
  const SoraTensorPatch *items;
  guint n;
};

/* Whether something is added to the numbers in data. */
static inline gboolean
sora_tensor_is_patched (const SoraTensor *tensor)
{
  return tensor->patches != NULL;
}

/* Whether data has the very numbers that count, so that it may be copied as it is. */
static inline gboolean
sora_tensor_is_plain (const SoraTensor *tensor)
{
  return !tensor->is_scaled && !sora_tensor_is_patched (tensor);
}

/* Values are stored in blocks of so many elements along the last dimension, each of so many bytes; 1 element for plain types. */
guint sora_dtype_get_block_elements (SoraDType dtype);
guint sora_dtype_get_block_bytes (SoraDType dtype);
const gchar *sora_dtype_name (SoraDType dtype);

/* Converts elements first ... first + count - 1, scaled and patched, to @out. Whole blocks are the fastest, and many rows of patched tensors. */
void sora_tensor_to_float (const SoraTensor *tensor, guint64 first, guint64 count, gfloat *out);

/* Values of a block of the types below, and of stored ones that are like them */
#define SORA_BLOCK_VALUES 32

/* A block of values of 4 bits, as q4 stores it: halves d and e, bytes s and t, then 16 bytes of two values each, the first in the lower bits.
 * Value q stands for d · s · q - e · t, where both products are exact in single precision. */
#define SORA_Q4_BYTES 22

/* Whether the tensor's numbers are such blocks, in rows of whole ones: plain Q4_0, Q4_1 and Q4_K */
gboolean sora_tensor_has_q4 (const SoraTensor *tensor);
/* Blocks first_block ... first_block + n_blocks - 1 of a tensor that has them, to @blocks [n_blocks, SORA_Q4_BYTES], halves in the host's order */
void sora_tensor_get_q4 (const SoraTensor *tensor, guint64 first_block, guint64 n_blocks, guint8 *blocks);

/* The scales, in binary16, of blocks first_block ... first_block + n_blocks - 1 of SORA_BLOCK_VALUES values, if each value of the tensor is
 * a whole number of 8 bits times its block's scale: Q8_0, Q5_0 and Q4_0. FALSE, and nothing is written, if not. */
gboolean sora_tensor_get_scales (const SoraTensor *tensor, guint64 first_block, guint64 n_blocks, guint16 *scales);

G_END_DECLS
