/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How the files of two experts are called: one for high noise and one for low, else alike. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Nothing in an expert's tensors tells it from a model of its own, so its name has to: "high_noise", "HighNoise", "low-noise" ... in any
 * case, or HIGH or LOW as a word, in the name of the file or of its folder. */
gboolean sora_expert_is_named (const gchar *path);
gboolean sora_expert_is_low (const gchar *path);

/* (transfer full): @path with high for low, or low for high, and - for _ before that, or the other way round, if only then it is there; NULL if it is
 * called neither. */
gchar *sora_expert_get_other (const gchar *path);

G_END_DECLS
