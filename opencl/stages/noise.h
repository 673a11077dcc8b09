/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Gaussian noise by a counter-based generator (Philox4x32-10): the same for every device, thread and order of calls. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* The generator itself: four words from a counter and a key, as in the paper. Any thread. */
void sora_philox (const guint32 counter[4], const guint32 key[2], guint32 out[4]);

/**
 * sora_noise_fill:
 * @seed: the stream's seed
 * @block: index of the block
 * @purpose: 0 = initial noise, 1 + i = re-noising after step i, and so on: independent sequences
 * @n: floats to write to @out, standard normal (Box-Muller)
 */
void sora_noise_fill (guint64 seed, guint64 block, guint32 purpose, gsize n, gfloat *out);

G_END_DECLS
