/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The conversions to floats, one for each type of weights, and what is added to them. */
#pragma once

#include "weights/tensor.h"

G_BEGIN_DECLS

/* @in: @n_blocks blocks, which may be unaligned, without gaps. @out: as many times a block's elements. */
typedef void (*SoraToFloat) (const guint8 *restrict in, guint64 n_blocks, gfloat *restrict out);

/* Group @group of 32 values of the block at @in as a block of q4 */
typedef void (*SoraToQ4) (const guint8 *in, guint group, guint8 *out);
void sora_q4_from_q4_0 (const guint8 *in, guint group, guint8 *out);
void sora_q4_from_q4_1 (const guint8 *in, guint group, guint8 *out);
void sora_q4_from_q4_k (const guint8 *in, guint group, guint8 *out);

/* Whether the patches change a number by what else is in its row, so that only whole rows can be patched. */
gboolean sora_tensor_needs_rows (const SoraTensor *tensor);
/* Adds what @tensor's patches say to its elements @first ... @first + @count - 1 at @out, which are whole rows if it needs them. */
void sora_tensor_add_patches (const SoraTensor *tensor, guint64 first, guint64 count, gfloat *out);

void sora_float_from_f16 (const guint8 *restrict in, guint64 n, gfloat *restrict out);
void sora_float_from_f8_e4m3 (const guint8 *restrict in, guint64 n, gfloat *restrict out);
void sora_float_from_f8_e5m2 (const guint8 *restrict in, guint64 n, gfloat *restrict out);
void sora_float_from_q4_0 (const guint8 *restrict in, guint64 n_blocks, gfloat *restrict out);
void sora_float_from_q4_1 (const guint8 *restrict in, guint64 n_blocks, gfloat *restrict out);
void sora_float_from_q5_0 (const guint8 *restrict in, guint64 n_blocks, gfloat *restrict out);
void sora_float_from_q5_1 (const guint8 *restrict in, guint64 n_blocks, gfloat *restrict out);
void sora_float_from_q8_0 (const guint8 *restrict in, guint64 n_blocks, gfloat *restrict out);
void sora_float_from_q2_k (const guint8 *restrict in, guint64 n_blocks, gfloat *restrict out);
void sora_float_from_q3_k (const guint8 *restrict in, guint64 n_blocks, gfloat *restrict out);
void sora_float_from_q4_k (const guint8 *restrict in, guint64 n_blocks, gfloat *restrict out);
void sora_float_from_q5_k (const guint8 *restrict in, guint64 n_blocks, gfloat *restrict out);
void sora_float_from_q6_k (const guint8 *restrict in, guint64 n_blocks, gfloat *restrict out);

G_END_DECLS
