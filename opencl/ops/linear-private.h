/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the kinds of linear share: the resident weight, and the epilogue as kernel arguments. */
#pragma once

#include "ops/linear.h"

G_BEGIN_DECLS

struct _SoraLinear {
  gatomicrefcount ref_count;
  SoraLinearKind kind;
  SoraWeightType type;          /* of weight */
  cl_uint n, k;
  SoraMatrixUnit unit;          /* PACKED: that multiplies in bf16; none: in fp32 */
  cl_mem weight;                /* panels [n / panel][k][panel] as sora_pack_panel() makes them, or pairs with a unit; NULL: streamed from these
                                 * tensors */
  const SoraTensor **parts;     /* [n_parts], of a streamed weight */
  guint n_parts;
  SoraWeightFile *file;         /* theirs */
  cl_mem bias;                  /* floats, as many as the panels have rows; without biases zeros */
  guint64 size;                 /* of both, bytes */
  guint panel, tile;            /* PACKED: columns and rows of a tile. CLBLAST: a panel is 1 */
  const gchar *program, *options;       /* PACKED */
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

/* The scratch memory of a product with @m rows, bytes of each kind */
void sora_linear_clblast_predict (SoraQueue *queue, const SoraLinear *linear, cl_uint m, gsize sizes[SORA_N_SCRATCHES]);
/* The product by CLBlast, then the epilogue as a kernel of its own. */
void sora_linear_clblast_run (SoraQueue *queue, const SoraLinear *linear, SoraMatrix x, SoraMatrix y, cl_uint m,
    const SoraEpilogueArgs *epilogue);

G_END_DECLS
