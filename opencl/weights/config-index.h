/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What diffusers' model_index.json says of a pipeline. */
#pragma once

#include <sora/error.h>

G_BEGIN_DECLS

typedef struct {
  gboolean has_transformer_2;   /* a second transformer takes over from the first, */
  gdouble boundary_ratio;       /* at this share of the timesteps; 0 without one */
} SoraPipelineIndex;

/* FALSE with an error that names @path if it is malformed, or of a pipeline that cannot be run. Any thread. */
gboolean sora_pipeline_index_load (SoraPipelineIndex *index, const gchar *path, GError **error);

G_END_DECLS
