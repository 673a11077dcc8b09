/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The rules that say what type a matrix of weights is stored as on a device, and whether it is multiplied in bf16. */
#include "weights/weight-type.h"

const gchar *const sora_weight_type_names[] = {
  [SORA_WEIGHT_TYPE_AUTO] = "auto",
  [SORA_WEIGHT_TYPE_FP32] = "fp32",
  [SORA_WEIGHT_TYPE_FP16] = "fp16",
  [SORA_WEIGHT_TYPE_BF16] = "bf16",
  [SORA_WEIGHT_TYPE_Q8] = "q8",
  NULL
};

const gchar *const sora_precision_names[] = {
  [SORA_PRECISION_AUTO] = "auto",
  [SORA_PRECISION_FP32] = "fp32",
  [SORA_PRECISION_BF16] = "bf16",
  NULL
};

/* A file is small if all its numbers take no more than this as fp32, and no more than this share of the device's memory. Small ones are
 * stored as fp32, which is the fastest to use and exact for all. */
#define SMALL_BYTES (G_GUINT64_CONSTANT (1) << 30)
#define SMALL_SHARE 8

/* What matrices of a large file are stored as, by the file's type. Nothing is lost in F32, F16, BF16, Q8_0, Q5_0, Q4_0, Q4_1 and Q4_K, and in
 * 8-bit floats without a scale. What the others lose is less than they have lost already: a scaled 8-bit float is rounded to 8 bits of mantissa,
 * where it had 4 at most; the rest are rounded to 1/254 of the largest of 32 values, where their
 * own steps are 1/32 of the largest of 16 or 32, or coarser. */
static const SoraWeightType types[SORA_N_DTYPES] = {
  [SORA_DTYPE_F32] = SORA_WEIGHT_TYPE_FP32,
  [SORA_DTYPE_F16] = SORA_WEIGHT_TYPE_FP16,
  [SORA_DTYPE_BF16] = SORA_WEIGHT_TYPE_BF16,
  [SORA_DTYPE_F8_E4M3] = SORA_WEIGHT_TYPE_BF16,
  [SORA_DTYPE_F8_E5M2] = SORA_WEIGHT_TYPE_BF16,
  [SORA_DTYPE_Q4_0] = SORA_WEIGHT_TYPE_Q4,
  [SORA_DTYPE_Q4_1] = SORA_WEIGHT_TYPE_Q4,
  [SORA_DTYPE_Q5_0] = SORA_WEIGHT_TYPE_Q8,
  [SORA_DTYPE_Q5_1] = SORA_WEIGHT_TYPE_Q8,
  [SORA_DTYPE_Q8_0] = SORA_WEIGHT_TYPE_Q8,
  [SORA_DTYPE_Q2_K] = SORA_WEIGHT_TYPE_Q8,
  [SORA_DTYPE_Q3_K] = SORA_WEIGHT_TYPE_Q8,
  [SORA_DTYPE_Q4_K] = SORA_WEIGHT_TYPE_Q4,
  [SORA_DTYPE_Q5_K] = SORA_WEIGHT_TYPE_Q8,
  [SORA_DTYPE_Q6_K] = SORA_WEIGHT_TYPE_Q8,
};

gboolean
sora_weight_file_is_large (SoraWeightFile *file, guint64 device_memory)
{
  g_autoptr (GPtrArray) names = sora_weight_file_get_names (file);
  guint64 bytes = 0;

  for (guint i = 0; i < names->len; i++)
    bytes += sora_weight_file_peek (file, names->pdata[i])->n_elements * sizeof (gfloat);
  return bytes > MIN (SMALL_BYTES, device_memory / SMALL_SHARE);
}

SoraWeightType
sora_weight_type_for_file (SoraWeightType wanted, SoraWeightFile *file, guint64 device_memory)
{
  if (wanted != SORA_WEIGHT_TYPE_AUTO || sora_weight_file_is_large (file, device_memory))
    return wanted;
  return SORA_WEIGHT_TYPE_FP32;
}

/* 4 bits are for what has them; what a LoRA adds would be lost in them. */
static SoraWeightType
own_type (const SoraTensor *tensor)
{
  SoraWeightType type = types[tensor->dtype];

  return type == SORA_WEIGHT_TYPE_Q4 && !sora_tensor_has_q4 (tensor) ? SORA_WEIGHT_TYPE_Q8 : type;
}

static gboolean
is_quantised (SoraWeightType type)
{
  return type == SORA_WEIGHT_TYPE_Q4 || type == SORA_WEIGHT_TYPE_Q8;
}

SoraWeightType
sora_weight_type_for_tensors (SoraWeightType wanted, guint n_parts, const SoraTensor *const *tensors)
{
  SoraWeightType type = own_type (tensors[0]);

  if (wanted != SORA_WEIGHT_TYPE_AUTO)
    return wanted;
  for (guint i = 1; i < n_parts; i++) {
    SoraWeightType other = own_type (tensors[i]);
    if (other != type)
      type = is_quantised (other) && is_quantised (type) ? SORA_WEIGHT_TYPE_Q8 : SORA_WEIGHT_TYPE_FP32;
  }
  return type;
}

/* Whether bf16 has all numbers of @tensor: it has 8 bits of mantissa and the exponents of fp32, 8-bit floats 4 bits at most. */
static gboolean
is_exactly_bf16 (const SoraTensor *tensor)
{
  return sora_tensor_is_plain (tensor)
      && (tensor->dtype == SORA_DTYPE_BF16 || tensor->dtype == SORA_DTYPE_F8_E4M3 || tensor->dtype == SORA_DTYPE_F8_E5M2);
}

gboolean
sora_precision_wants_bf16 (SoraPrecision precision, SoraWeightType type, guint n_parts, const SoraTensor *const *tensors)
{
  if (precision != SORA_PRECISION_AUTO)
    return precision == SORA_PRECISION_BF16;
  if (type != SORA_WEIGHT_TYPE_FP32)
    return type == SORA_WEIGHT_TYPE_BF16;
  for (guint i = 0; i < n_parts; i++) {
    if (!is_exactly_bf16 (tensors[i]))
      return FALSE;
  }
  return TRUE;
}

SoraWeightType
sora_weight_type_with_unit (SoraWeightType type, SoraPrecision precision, gboolean has_unit, guint n_parts, const SoraTensor *const *tensors)
{
  return has_unit && sora_precision_wants_bf16 (precision, type, n_parts, tensors) ? SORA_WEIGHT_TYPE_BF16 : type;
}

/* The host must be little-endian, as files are. */
const guint8 *
sora_weight_type_peek_stored (SoraWeightType type, const SoraTensor *tensor, gsize *size)
{
  static const SoraDType stored[] = {
    [SORA_WEIGHT_TYPE_FP32] = SORA_DTYPE_F32, [SORA_WEIGHT_TYPE_FP16] = SORA_DTYPE_F16, [SORA_WEIGHT_TYPE_BF16] = SORA_DTYPE_BF16,
    [SORA_WEIGHT_TYPE_Q8] = SORA_DTYPE_Q8_0,
  };
  guint64 row = tensor->n_elements / tensor->shape[0];

  if (type >= G_N_ELEMENTS (stored) || G_BYTE_ORDER != G_LITTLE_ENDIAN || tensor->dtype != stored[type] || !sora_tensor_is_plain (tensor)
      || row % sora_dtype_get_block_elements (tensor->dtype) != 0)
    return NULL;
  *size = tensor->n_elements / sora_dtype_get_block_elements (tensor->dtype) * sora_dtype_get_block_bytes (tensor->dtype);
  return tensor->data;
}
