/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What was understood of a LoRA file, for the files that read, merge and describe it. */
#pragma once

#include "weights/lora.h"
#include "weights/weight-file-private.h"

G_BEGIN_DECLS

/* Larger ones are no factors of a difference that anybody trained. */
#define SORA_LORA_MAX_ALPHA 1e6

/* What a key holds for its layer */
typedef enum {
  SORA_LORA_DOWN,               /* lora_A or lora_down: [rank, k...] */
  SORA_LORA_UP,                 /* lora_B or lora_up: [n, rank] */
  SORA_LORA_UP_BIAS,            /* lora_B's bias: [n] */
  SORA_LORA_DIFFERENCE,         /* diff: of the weight, or of what has the layer's own name */
  SORA_LORA_BIAS_DIFFERENCE,    /* diff_b */
  SORA_LORA_TABLE_DIFFERENCE,   /* diff_m: of the layer's table of modulation */
  SORA_LORA_ALPHA,              /* one number */
  SORA_LORA_HADA_W1_A,          /* LoHa: [n, rank] */
  SORA_LORA_HADA_W1_B,          /* [rank, k...] */
  SORA_LORA_HADA_W2_A,
  SORA_LORA_HADA_W2_B,
  SORA_LORA_LOKR_W1,            /* LoKr: [a, b], or the next two */
  SORA_LORA_LOKR_W1_A,          /* [a, rank] */
  SORA_LORA_LOKR_W1_B,          /* [rank, b] */
  SORA_LORA_LOKR_W2,            /* [n / a, k / b...], or the next two */
  SORA_LORA_LOKR_W2_A,
  SORA_LORA_LOKR_W2_B,
  SORA_LORA_MAGNITUDE,          /* dora_scale or lora_magnitude_vector: [n], ones around it */
  SORA_LORA_N_ROLES
} SoraLoraRole;

/* How a layer's weight changes, beside whole differences */
typedef enum {
  SORA_LORA_NO_FORM,
  SORA_LORA_PAIR,               /* up · down */
  SORA_LORA_LOHA,               /* (w1_a · w1_b) times (w2_a · w2_b), number by number */
  SORA_LORA_LOKR,               /* the Kronecker product of w1 and w2 */
} SoraLoraForm;

/* All keys of one layer */
typedef struct {
  SoraLoraPart part;
  gchar *name;                  /* of the layer: in any dialect, dots or underscores, no prefix */
  gchar *prefix;                /* before it in the file, with the folder of a training checkpoint */
  const gchar *keys[SORA_LORA_N_ROLES]; /* as the file has them; NULL: not there */
  const SoraTensor *tensors[SORA_LORA_N_ROLES]; /* NULL for alpha */
  SoraLoraForm form;
  guint64 rank;                 /* 0: there is none, nor a factor; a LoKr of two whole matrices */
  gboolean has_alpha;           /* whether the file says it, or what lies beside it */
  gdouble alpha;                /* else the rank */
} SoraLoraLayer;

struct _SoraLora {
  gatomicrefcount ref_count;
  SoraWeightFile *file;
  gchar *id;
  GPtrArray *layers;            /* SoraLoraLayer, in the order of their keys */
};

/* A key taken apart. */
typedef struct {
  SoraLoraPart part;
  SoraLoraRole role;
  GString *prefix;              /* one or several, or empty */
  gchar *layer;                 /* what lies between prefix and suffix */
} SoraLoraKey;

/* FALSE if @key is none of a LoRA's. On success @parsed is to be cleared. */
gboolean sora_lora_key_parse (SoraLoraKey *parsed, const gchar *key);
void sora_lora_key_clear (SoraLoraKey *parsed);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (SoraLoraKey, sora_lora_key_clear)

/* Sets alpha, and what has none the rank, where no key does and something else says it. */
gboolean sora_lora_read_config (SoraLora *lora, GError **error);

/* Sets form and rank, once all keys are there. FALSE with an error if something belongs to it that is not there, or does not fit. */
gboolean sora_lora_layer_check (SoraLora *lora, SoraLoraLayer *layer, GError **error);

G_END_DECLS
