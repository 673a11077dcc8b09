/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How a model's weights lie in a device's memory, and what they are multiplied in. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/**
 * SoraWeightType:
 * @SORA_WEIGHT_TYPE_AUTO: by the file's own type and the size of each part of the model, so that nothing is lost that the file has (see
 *   docs/architecture.md)
 * @SORA_WEIGHT_TYPE_FP32: 4 bytes a weight; exact for every file
 * @SORA_WEIGHT_TYPE_FP16: 2 bytes; exact for files in F16
 * @SORA_WEIGHT_TYPE_BF16: 2 bytes; exact for files in BF16
 * @SORA_WEIGHT_TYPE_Q8: 34 bytes for 32 weights, whole numbers of 8 bits with one scale; exact for files in Q8_0, Q5_0 and Q4_0
 * @SORA_WEIGHT_TYPE_Q4: 22 bytes for 32 weights, whole numbers of 4 bits with a scale and an offset; what auto has files in Q4_0, Q4_1 and
 *   Q4_K as, exactly. Cannot be asked for.
 *
 * What the matrices of the text encoder and the transformer are stored as. Sums are in single precision with each of them; what is not a
 * matrix (biases, norms) is fp32 always, and so is the VAE. What is multiplied in bf16 (#SoraPrecision) is stored as bf16.
 */
typedef enum {
  SORA_WEIGHT_TYPE_AUTO,
  SORA_WEIGHT_TYPE_FP32,
  SORA_WEIGHT_TYPE_FP16,
  SORA_WEIGHT_TYPE_BF16,
  SORA_WEIGHT_TYPE_Q8,
  SORA_WEIGHT_TYPE_Q4,
} SoraWeightType;

/**
 * SoraPrecision:
 * @SORA_PRECISION_AUTO: a matrix whose numbers are exactly bf16, in the file or by the weight type that was asked for, is multiplied in bf16,
 *   every other one in fp32: no weight is rounded
 * @SORA_PRECISION_FP32: all in fp32
 * @SORA_PRECISION_BF16: all in bf16, for which weights are rounded that are more precise
 *
 * What the matrices of a model, its transformer's attention, and its VAE's convolutions, are multiplied in, on a device that has instructions for bf16 (sora_device_get_matrix_unit()); on others it is
 * fp32 always. In bf16 what a matrix is multiplied with is rounded to 8 bits of mantissa, as PyTorch does; sums, and all that is not a product of
 * matrices, are in single precision.
 */
typedef enum {
  SORA_PRECISION_AUTO,
  SORA_PRECISION_FP32,
  SORA_PRECISION_BF16,
} SoraPrecision;

/**
 * SoraTextEncoderPolicy:
 * @SORA_TEXT_ENCODER_POLICY_AUTO: release a large text encoder (more than 1 GiB as fp32, or than an eighth of the device's memory), keep
 *   a small one
 * @SORA_TEXT_ENCODER_POLICY_RELEASE: its weights are on the device only while prompts are encoded: when a stream is made before the
 *   transformer's are there, and again for each prompt that is changed
 * @SORA_TEXT_ENCODER_POLICY_KEEP: they stay as long as the stream
 */
typedef enum {
  SORA_TEXT_ENCODER_POLICY_AUTO,
  SORA_TEXT_ENCODER_POLICY_RELEASE,
  SORA_TEXT_ENCODER_POLICY_KEEP,
} SoraTextEncoderPolicy;

G_END_DECLS
