/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tanh clamp: a latent brought back to the decoder's scale and softly limited. */
#pragma once

#include "ops/feature-map.h"

G_BEGIN_DECLS

/* y = 3 tanh ((x · std + mean) / 3). @x, @y: maps of the same size; @mean, @std: [channels]. Enqueues only. */
void sora_tanh_clamp_run (SoraQueue *queue, const SoraFeatureMap *x, cl_mem mean, cl_mem std, const SoraFeatureMap *y,
    guint frames);

G_END_DECLS
