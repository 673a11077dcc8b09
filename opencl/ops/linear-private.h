/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the two kinds of linear share: the resident weight, and the epilogue as kernel arguments. */
#pragma once

#include "ops/linear.h"

G_BEGIN_DECLS

struct _SoraLinear {
  gatomicrefcount ref_count;
  SoraLinearKind kind;
  cl_uint n, k;
  /* PACKED: panels [n / panel][k][panel], then the bias padded alike. CLBLAST: [n, k], then the bias. Without biases: zeros. */
  cl_mem weight;
  guint64 size;                 /* of weight, bytes */
  guint panel, tile;            /* PACKED: columns and rows of a tile */
  const gchar *options;         /* PACKED: of the program */
};

/* The epilogue as both kernels take it: operands that are absent get a valid buffer that is never read. */
typedef struct {
  cl_uint activation, operands;
  SoraMatrix multiplier, residual;
  SoraFrameVector gate;
} SoraEpilogueArgs;

#define SORA_EPILOGUE_ARGS(e) \
  SORA_ARG ((e).activation), SORA_ARG ((e).operands), \
  SORA_ARG ((e).multiplier.mem), SORA_ARG ((e).multiplier.offset), SORA_ARG ((e).multiplier.stride), \
  SORA_ARG ((e).gate.mem), SORA_ARG ((e).gate.offset), SORA_ARG ((e).gate.stride), \
  SORA_ARG ((e).gate.rows_per_frame), SORA_ARG ((e).gate.n_frames), \
  SORA_ARG ((e).residual.mem), SORA_ARG ((e).residual.offset), SORA_ARG ((e).residual.stride)

/* The product by CLBlast, then the epilogue as a kernel of its own. */
void sora_linear_clblast_run (SoraQueue *queue, const SoraLinear *linear, SoraMatrix x, SoraMatrix y, cl_uint m,
    const SoraEpilogueArgs *epilogue);

G_END_DECLS
