/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* safetensors: reading one file or an index of shards, mapped and checked; writing one file. */
#pragma once

#include "weights/tensor.h"

G_BEGIN_DECLS

/* Tensors of one or several mapped files. Immutable and safe to share once opened. */
typedef struct _SoraWeightFile SoraWeightFile;

/**
 * sora_weight_file_open:
 * @path: a .safetensors file, or an .index.json of shards
 *
 * Header length, types, shapes, offsets and overlaps are checked, so a tensor found later can be read blindly.
 */
SoraWeightFile *sora_weight_file_open (const gchar *path, GError **error);
void sora_weight_file_free (SoraWeightFile *file);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SoraWeightFile, sora_weight_file_free)

const gchar *sora_weight_file_get_path (SoraWeightFile *file);
/* NULL if there is none */
const SoraTensor *sora_weight_file_peek (SoraWeightFile *file, const gchar *name);
/* The tensor with exactly this shape, else NULL and SORA_MODEL_ERROR_WEIGHT naming file, tensor, expected and found. A dimension
 * of 0 accepts any size; dimensions are passed as guint. */
const SoraTensor *sora_weight_file_find (SoraWeightFile *file, GError **error, const gchar *name, guint n_dims, ...);
/* (element-type utf8) (transfer container): names, sorted */
GPtrArray *sora_weight_file_get_names (SoraWeightFile *file);
guint64 sora_weight_file_get_bytes (SoraWeightFile *file);

/* Collects float tensors and writes them as one F32 safetensors file. For one thread at a time. */
typedef struct _SoraTensorWriter SoraTensorWriter;
SoraTensorWriter *sora_tensor_writer_new (void);
void sora_tensor_writer_add (SoraTensorWriter *writer, const gchar *name, const gfloat *data, const gint64 *shape, guint n_dims);
gboolean sora_tensor_writer_save (SoraTensorWriter *writer, const gchar *path, GError **error);
void sora_tensor_writer_free (SoraTensorWriter *writer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SoraTensorWriter, sora_tensor_writer_free)

G_END_DECLS
