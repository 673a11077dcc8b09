/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The text encoder's weights, shared by the file that loads them and the file that runs them. */
#pragma once

#include "stages/loader.h"
#include "stages/text-encoder.h"

G_BEGIN_DECLS

/* inner = num_heads * d_kv */
typedef struct {
  SoraLinear *qkv;              /* [3 inner, d_model] */
  SoraLinear *o;                /* [d_model, inner] */
  SoraLinear *wi_0, *wi_1;      /* [d_ff, d_model]: the activated half, and what multiplies it */
  SoraLinear *wo;               /* [d_model, d_ff] */
  cl_mem norm_attention, norm_ff;       /* [d_model] */
  gfloat *relative_bias;        /* on the host: [buckets, num_heads] */
} SoraTextEncoderLayer;

struct _SoraTextEncoder {
  SoraTextEncoderConfig config;
  guint inner;
  guint64 size;                 /* bytes on the device */
  guint64 least;                /* bytes that it could do with beside scratch memory, if all matrices were streamed */
  const SoraTensor *embedding;  /* [vocab_size, d_model], mapped */
  SoraTextEncoderLayer *layers;
  cl_mem final_norm;            /* [d_model] */
  SoraLinearTable *linears;     /* all of them */
};

G_END_DECLS
