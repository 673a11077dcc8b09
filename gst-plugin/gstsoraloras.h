/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The property that lists LoRA files and their weights, taken apart. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/**
 * gst_sora_loras_parse:
 * @text: (nullable): "PATH[:WEIGHT],PATH[:WEIGHT]"; a comma or backslash in a path has a backslash before it. Empty entries count nothing.
 * @weights: (out) (transfer full): one for each path
 *
 * Returns: (transfer full): the paths, possibly none.
 */
GStrv gst_sora_loras_parse (const gchar *text, gdouble **weights);

G_END_DECLS
