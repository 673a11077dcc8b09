/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A named tensor in a mapped weight file, and its conversion to floats. */
#pragma once

#include <glib.h>
#include <sora/error.h>

G_BEGIN_DECLS

#define SORA_TENSOR_MAX_DIMS 6

typedef enum {
  SORA_DTYPE_F32,
  SORA_DTYPE_F16,
  SORA_DTYPE_BF16,
} SoraDType;

/* Immutable; lives as long as the file it was found in. */
typedef struct {
  const gchar *name;
  const gchar *file;            /* path, for messages */
  SoraDType dtype;
  guint n_dims;
  guint64 shape[SORA_TENSOR_MAX_DIMS];
  guint64 n_elements;
  const guint8 *data;           /* mapped, little-endian, may be unaligned */
} SoraTensor;

gsize sora_dtype_size (SoraDType dtype);
const gchar *sora_dtype_name (SoraDType dtype);

/* Converts elements first ... first + count - 1 to @out. */
void sora_tensor_to_float (const SoraTensor *tensor, guint64 first, guint64 count, gfloat *out);

G_END_DECLS
