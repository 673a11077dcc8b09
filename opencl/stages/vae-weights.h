/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads the VAE's convolutions from a weight file by TAEHV's module numbers, or only checks that they are there. */
#pragma once

#include "stages/vae-private.h"

G_BEGIN_DECLS

/* Where reading stands. Without a queue nothing but names and shapes is looked at. */
typedef struct {
  SoraWeightFile *file;
  SoraQueue *queue;             /* (nullable) */
  const gchar *half;            /* "encoder" or "decoder" */
  guint module;                 /* number of the next module in the Sequential */
  guint64 size;                 /* bytes on the device so far */
} SoraVaeReader;

gboolean sora_vae_read_decoder (SoraVaeReader *reader, const SoraVaeConfig *config, SoraVaeHalf *half, GError **error);
gboolean sora_vae_read_encoder (SoraVaeReader *reader, const SoraVaeConfig *config, SoraVaeHalf *half, GError **error);

G_END_DECLS
