/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the readers of shapes share. */
#pragma once

#include "weights/config-shapes.h"

G_BEGIN_DECLS

/* Sets @error to "FILE: " and @what, and returns FALSE. */
gboolean sora_shapes_fail (SoraWeightFile *file, SoraModelError code, GError **error, const gchar *what);
/* Sizes of the tensor @name, which must have @n_dims (2, 4 or 5), each from 1 to what a configuration may hold. */
gboolean sora_shapes_get (SoraWeightFile *file, const gchar *name, guint n_dims, guint *sizes, GError **error);

G_END_DECLS
