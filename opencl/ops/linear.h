/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Linear: Y = residual + gate · (activation (X Wᵀ + b) · multiplier), the weight resident on the device. */
#pragma once

#include <sora/weights.h>
#include "ops/matrix.h"
#include "weights/weight-file.h"

G_BEGIN_DECLS

typedef enum {
  SORA_ACTIVATION_NONE,
  SORA_ACTIVATION_SILU,
  SORA_ACTIVATION_GELU,         /* exact: x Φ(x) */
  SORA_ACTIVATION_GELU_TANH,
  SORA_ACTIVATION_RELU,
  SORA_ACTIVATION_GELU_QUICK,   /* x / (1 + exp (-1.702 x)) */
} SoraActivation;

/**
 * SoraLinear:
 *
 * A weight [n, k] (and bias [n]) on a device, in the layout of the device's kind of linear. Immutable after creation, so any queue of the
 * same device may use it, and several stages may hold it.
 */
typedef struct _SoraLinear SoraLinear;

/**
 * sora_linear_new:
 * @type: what the weight is stored as; auto: what its own numbers ask for
 * @precision: what it is multiplied in, where the device has a choice
 * @weights: n_parts tensors [n_i, k...] (trailing dimensions flattened into k), stacked along n: one launch for q, k and v
 * @biases: (nullable): n_parts tensors [n_i], or NULL entries
 *
 * Uploads through @queue. Returns: the linear, or %NULL with @error.
 */
SoraLinear *sora_linear_new (SoraQueue *queue, SoraWeightType type, SoraPrecision precision, guint n_parts,
    const SoraTensor *const *weights, const SoraTensor *const *biases, GError **error);
/**
 * sora_linear_new_streamed:
 * @file: that the tensors are of; both must outlive the linear
 *
 * The same, but of the weight nothing is on the device: it is packed and uploaded whenever the linear is run, into one of the queue's two places
 * for that, while what was launched before runs.
 */
SoraLinear *sora_linear_new_streamed (SoraQueue *queue, SoraWeightType type, SoraPrecision precision, SoraWeightFile *file, guint n_parts,
    const SoraTensor *const *weights, const SoraTensor *const *biases, GError **error);
/* Bytes that the weight takes on @device, and of *@bias (out) (nullable) the bias; of shapes that do not agree any number. Any thread. */
guint64 sora_linear_predict_size (SoraDevice *device, SoraWeightType type, SoraPrecision precision, guint n_parts,
    const SoraTensor *const *weights, guint64 *bias);
/* Raises @sizes to the scratch memory that a product with @rows rows takes of @queue, bytes; of shapes that do not agree not at all. */
void sora_linear_predict_scratch (SoraQueue *queue, SoraWeightType type, SoraPrecision precision, guint n_parts,
    const SoraTensor *const *weights, guint rows, gsize sizes[SORA_N_SCRATCHES]);
/* Whether it needs the tensors that it was made of. */
gboolean sora_linear_is_streamed (const SoraLinear *linear);
/* Another holder. Any thread. */
SoraLinear *sora_linear_ref (SoraLinear *linear);
/* Frees it with the last holder. */
void sora_linear_free (SoraLinear *linear);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SoraLinear, sora_linear_free)

/* Whether it is multiplied in bf16 */
gboolean sora_linear_is_bf16 (const SoraLinear *linear);
guint sora_linear_get_n (const SoraLinear *linear);
guint sora_linear_get_k (const SoraLinear *linear);
/* bytes on the device, for good */
guint64 sora_linear_get_size (const SoraLinear *linear);

/* What follows the product; zero-initialised = nothing but the bias. */
typedef struct {
  SoraActivation activation;
  SoraMatrix multiplier;        /* [m, n], mem NULL = 1 (the other half of a gated GELU) */
  SoraFrameVector gate;         /* n floats a latent frame, mem NULL = 1 */
  SoraMatrix residual;          /* [m, n], mem NULL = 0; may be y itself */
} SoraEpilogue;

/* @x: [m, k]; @y: [m, n], not overlapping x; @epilogue: (nullable) */
void sora_linear_run (SoraQueue *queue, const SoraLinear *linear, SoraMatrix x, SoraMatrix y, guint m,
    const SoraEpilogue *epilogue);

G_END_DECLS
