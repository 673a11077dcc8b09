/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Writes float tensors as one safetensors file. */
#pragma once

#include "weights/tensor.h"

G_BEGIN_DECLS

/* Collects float tensors and writes them as one F32 safetensors file. For one thread at a time. */
typedef struct _SoraTensorWriter SoraTensorWriter;
SoraTensorWriter *sora_tensor_writer_new (void);
void sora_tensor_writer_add (SoraTensorWriter *writer, const gchar *name, const gfloat *data, const gint64 *shape, guint n_dims);
gboolean sora_tensor_writer_save (SoraTensorWriter *writer, const gchar *path, GError **error);
void sora_tensor_writer_free (SoraTensorWriter *writer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SoraTensorWriter, sora_tensor_writer_free)

G_END_DECLS
