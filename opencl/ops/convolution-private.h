/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the three ways of convolution share: the resident weight and its tile. */
#pragma once

#include "ops/convolution.h"

G_BEGIN_DECLS

/* A tile of a product as the kernels are compiled for it: rows positions (or patches) times vectors · vector channels. */
typedef struct {
  guint vector, rows, vectors, local;
  const gchar *options;
} SoraConvolutionTile;

#define SORA_CONVOLUTION_PROGRAM "convolution-tile+convolution"
#define SORA_CONVOLUTION_WINOGRAD_PROGRAM "convolution-tile+convolution-winograd"
#define SORA_CONVOLUTION_BF16_PROGRAM "bf16+convolution-tile+convolution-bf16"

struct _SoraConvolution {
  SoraConvolutionShape shape;   /* without zeros */
  gboolean winograd;
  SoraMatrixUnit unit;          /* that multiplies in bf16, or none */
  const SoraConvolutionTile *tile;
  guint panels;
  guint phases, n_runs, run_length;     /* convolution.cl: n_runs and run_length of one phase; in bf16 of all terms */
  cl_mem weight, bias, runs;    /* runs: convolution.cl and convolution-bf16.cl */
  guint64 size;
};

/* Device memory that counts as the convolution's; NULL with the queue's error. */
cl_mem sora_convolution_upload (SoraConvolution *conv, SoraQueue *queue, const void *data, gsize size);

/* Whether the device and the shape gain by Winograd's way. */
gboolean sora_convolution_winograd_fits (SoraDevice *device, const SoraConvolutionShape *shape);
const SoraConvolutionTile *sora_convolution_winograd_tile (SoraDevice *device, guint out_channels);
/* @weight: as sora_convolution_new() has it */
void sora_convolution_winograd_upload (SoraConvolution *conv, SoraQueue *queue, const gfloat *weight);
void sora_convolution_winograd_run (SoraQueue *queue, const SoraConvolution *conv, const SoraFeatureMap *x, const SoraFeatureMap *y,
    guint frames, const SoraConvolutionEpilogue *epilogue);

/* The unit that multiplies in bf16, or none where the device or the shape gains nothing by it. */
SoraMatrixUnit sora_convolution_bf16_unit (SoraDevice *device, const SoraConvolutionShape *shape);
const SoraConvolutionTile *sora_convolution_bf16_tile (SoraMatrixUnit unit);
/* @packed: the weight in the order of convolution.cl, which is changed; @runs: its runs; @exact: a weight that bf16 has not becomes a sum */
void sora_convolution_bf16_upload (SoraConvolution *conv, SoraQueue *queue, gfloat *packed, const cl_int4 *runs, gboolean exact);
void sora_convolution_bf16_run (SoraQueue *queue, const SoraConvolution *conv, const SoraFeatureMap *x, const SoraFeatureMap *y, guint frames,
    const SoraConvolutionEpilogue *epilogue);

G_END_DECLS
