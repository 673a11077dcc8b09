/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the catalogue's files share: its models, the paths that may be models, and how a name becomes a path. */
#pragma once

#include <sora/catalogue.h>

#include "model-layout.h"
#include "part-summary.h"

G_BEGIN_DECLS

struct _SoraCatalogueModel {
  gchar *name;                  /* of the folder or file */
  gchar *title;                 /* what sora.json calls it; NULL: nothing else */
  gchar *path;
  guint place;                  /* number of the place that it was found in */
  gchar *family;
  SoraPartSummary transformer, text_encoder, vae;
  SoraPartSummary transformer_2, image_encoder; /* which few models have */
  gchar *tokenizer;             /* path; NULL: missing */
  GPtrArray *types;             /* (element-type utf8): static names, then NULL */
  SoraStreamingConfig streaming;        /* zeroes if nothing says it */
  guint clip_frames;            /* 0: it makes no clips, or nothing says how long */
  SoraAbilities abilities;
  gchar **missing;
  GError *error;
};

/* A path that is a model, or claims to be one */
typedef struct {
  gchar *path;
  guint place;
  GError *error;                /* why it can be none; or NULL */
} SoraCandidate;

/**
 * sora_catalogue_walk:
 * @places: ended by %NULL
 * @n_required: of the first so many it is an error not to exist
 * @max_entries: folders and weight files of one place; beyond, it is no place for models alone
 * @cache: keeps the files that were looked at
 *
 * Returns: (transfer full) (element-type SoraCandidate).
 */
GPtrArray *sora_catalogue_walk (const gchar *const *places, guint n_required, guint max_entries, SoraWeightCache *cache);

/* Whether @path, which may be NULL, could only be a name: of no file, and without a folder */
gboolean sora_catalogue_is_name (const gchar *path);
/* (transfer full): the path of the model called @name in the usual places, else NULL with an error */
gchar *sora_catalogue_resolve (const gchar *name, GError **error);

G_END_DECLS
