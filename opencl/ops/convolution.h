/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Convolution: causal in time, same-padded in space, with strides, nearest-neighbour up-sampling before it and an epilogue after it. */
#pragma once

#include <sora/weights.h>
#include "ops/feature-map.h"
#include "weights/weight-file.h"

G_BEGIN_DECLS

/**
 * SoraConvolutionShape:
 *
 * Output frame t reads the input frames up to t · time_stride + time_stride - 1 (so the input map keeps kernel_time - time_stride
 * past frames); output pixel (y, x) is centred on input (y · stride + shift, x · stride + shift) of the input after up-sampling.
 * Zero means one, for every field but the channels and the shift.
 */
typedef struct {
  guint in_channels, out_channels;
  guint kernel_time, kernel_height, kernel_width;       /* height, width: 1 or 3 */
  guint stride;                 /* in space */
  guint time_stride;
  guint scale;                  /* 1, or 2: nearest-neighbour up-sampling in space first */
  guint time_scale;             /* output frames for each input frame, each with its own weight and bias */
  guint shift;                  /* 1 with stride 2 and an even height and width: the padding lies below and to the right only */
} SoraConvolutionShape;

/**
 * SoraConvolutionPrecision:
 * @SORA_CONVOLUTION_FP32: products of fp32 numbers
 * @SORA_CONVOLUTION_BF16: of inputs and weights that are rounded to bf16
 * @SORA_CONVOLUTION_BF16_EXACT: of inputs that are; a weight that bf16 does not have is the sum of two that it has, if any is so. Such come of
 *   weights that bf16 has: by up-sampling, and where two layers are made one
 *
 * What is asked for; where the device has no instructions for bf16, or gains nothing by them, it is fp32. Sums are fp32 always.
 */
typedef enum {
  SORA_CONVOLUTION_FP32,
  SORA_CONVOLUTION_BF16,
  SORA_CONVOLUTION_BF16_EXACT,
} SoraConvolutionPrecision;

/* What a convolution that is made of @n_parts tensors is asked for. */
SoraConvolutionPrecision sora_convolution_choose_precision (SoraPrecision precision, guint n_parts, const SoraTensor *const *parts);

/**
 * SoraConvolution:
 *
 * Weights on a device, packed for its tile. Immutable after creation, so any queue of the same device may use it.
 */
typedef struct _SoraConvolution SoraConvolution;

/**
 * sora_convolution_new:
 * @weight: [time_scale, out_channels, in_channels, kernel_time, kernel_height, kernel_width], in PyTorch's order
 * @bias: (nullable): [time_scale, out_channels]
 *
 * With @shape's scale 2 the up-sampled map is never made: each of its four phases is a 2x2 convolution of the small map, whose
 * weights are sums of the 3x3 ones (4/9 of the work). Uploads through @queue. Returns: the convolution, or %NULL with @error.
 */
SoraConvolution *sora_convolution_new (SoraQueue *queue, const SoraConvolutionShape *shape, SoraConvolutionPrecision precision,
    const gfloat *weight, const gfloat *bias, GError **error);
void sora_convolution_free (SoraConvolution *convolution);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SoraConvolution, sora_convolution_free)

gboolean sora_convolution_is_bf16 (const SoraConvolution *convolution);

/* bytes on the device */
guint64 sora_convolution_get_size (const SoraConvolution *convolution);

/* What follows the product; zero-initialised = nothing but the bias. y = relu (product + bias + residual) */
typedef struct {
  gboolean relu;
  SoraFeatureMap residual;      /* as large as y, where nothing is up-sampled; mem NULL = none */
} SoraConvolutionEpilogue;

/**
 * sora_convolution_run:
 * @x: with a border of kernel / 2 at least, and enough past frames
 * @y: its height and width are x's / stride · scale (rounded up)
 * @frames: input frames; a multiple of time_stride
 * @epilogue: (nullable)
 *
 * Enqueues only. @y gets frames / time_stride · time_scale frames and must not overlap @x.
 */
void sora_convolution_run (SoraQueue *queue, const SoraConvolution *convolution, const SoraFeatureMap *x,
    const SoraFeatureMap *y, guint frames, const SoraConvolutionEpilogue *epilogue);

G_END_DECLS
