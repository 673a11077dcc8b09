/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the header of a part's weight file says about it, in numbers and in words. */
#pragma once

#include "weights/config-shapes.h"
#include "weights/weight-cache.h"

G_BEGIN_DECLS

typedef struct {
  gchar *path;                  /* NULL: the part is missing, and nothing below counts */
  GError *error;                /* why it cannot be read; NULL: it can */
  SoraWeightsKind kind;
  const gchar *family;          /* "Wan 2.1 T2V-1.3B", "a UMT5 text encoder" */
  guint64 n_parameters;
  guint64 bytes;                /* on disk */
  guint64 memory;               /* bytes that its weights take on this machine's processor with much memory, stored as is the default there */
  gboolean is_large;            /* a text encoder of which is released once a prompt is encoded */
  gboolean dtypes[SORA_N_DTYPES];
} SoraPartSummary;

/* @path: (nullable); the file is opened through @cache, which may be NULL */
void sora_part_summary_init (SoraPartSummary *part, const gchar *path, SoraWeightCache *cache);
/* Of a file that is open */
void sora_part_summary_init_file (SoraPartSummary *part, SoraWeightFile *file);
void sora_part_summary_clear (SoraPartSummary *part);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (SoraPartSummary, sora_part_summary_clear)

/* (transfer full): "1.4 G parameters" */
gchar *sora_format_parameters (guint64 n);

G_END_DECLS
