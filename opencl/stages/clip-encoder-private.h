/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The image encoder's weights, shared by the file that loads them and the file that runs them. */
#pragma once

#include "stages/clip-encoder.h"

G_BEGIN_DECLS

/* dim = hidden_size */
typedef struct {
  cl_mem norm1_weight, norm1_bias, norm2_weight, norm2_bias;    /* [dim] */
  SoraLinear *qkv;              /* [3 dim, dim] */
  SoraLinear *out;              /* [dim, dim] */
  SoraLinear *fc1, *fc2;        /* [intermediate_size, dim], [dim, intermediate_size] */
} SoraClipLayer;

struct _SoraClipEncoder {
  SoraClipConfig config;
  guint n_layers;               /* that are run: all but the last */
  SoraLinear *patch_embedding;  /* [dim, 3 patch_size²] */
  cl_mem class_embedding;       /* [dim] */
  cl_mem positions;             /* [tokens, dim] */
  cl_mem pre_norm_weight, pre_norm_bias;        /* [dim] */
  SoraClipLayer *layers;
};

G_END_DECLS
