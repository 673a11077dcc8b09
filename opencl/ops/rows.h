/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The program that holds the small operations on rows (norms, RoPE, element-wise) and pixels, and how those on rows are launched. */
#pragma once

#include "ops/matrix.h"

G_BEGIN_DECLS

/* One program for all of them: each further program would add a compiler's fixed costs to a cold start. */
#define SORA_ROWS_PROGRAM "vector+rms-norm+layer-norm+rope+combine+modulation+patchify+check-finite+coring+tanh-clamp+pixel-shuffle"

/* What it is compiled with */
const gchar *sora_rows_options (SoraDevice *device);

/* floats in a vector of kernels that follow vector.cl: 4, 8 or 16 */
guint sora_vector_width (SoraDevice *device);
/* work-items that share a row or chunk: 1 on devices that run the packed linear (CPUs), a power of two on others */
guint sora_rows_group (SoraDevice *device);

/* @columns x @rows work-groups of @kernel, of sora_rows_group() work-items each. Any thread. */
SoraLaunch sora_rows_launch (SoraQueue *queue, const gchar *kernel, guint columns, guint rows, guint64 flops);

/* Builds the program meanwhile: see sora_queue_expect(). */
void sora_rows_expect (SoraQueue *queue);

G_END_DECLS
