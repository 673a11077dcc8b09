/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads TAEHV's convolutions from a weight file by their module numbers, or only checks that they are there. */
#pragma once

#include "stages/taehv-private.h"

G_BEGIN_DECLS

/* Where reading stands. Without a queue nothing but names and shapes is looked at. */
typedef struct {
  SoraWeightFile *file;
  SoraQueue *queue;             /* (nullable) */
  SoraPrecision precision;
  const SoraTensor *parts[2];   /* [n_parts]: the weights of the convolution at hand */
  guint n_parts;
  const gchar *half;            /* "encoder" or "decoder" */
  guint module;                 /* number of the next module in the Sequential */
  guint64 size;                 /* bytes on the device so far */
} SoraTaehvReader;

gboolean sora_taehv_read_decoder (SoraTaehvReader *reader, const SoraVaeConfig *config, SoraTaehvHalf *half, GError **error);
gboolean sora_taehv_read_encoder (SoraTaehvReader *reader, const SoraVaeConfig *config, SoraTaehvHalf *half, GError **error);

G_END_DECLS
