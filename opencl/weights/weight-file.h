/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Weight files of every container, mapped and checked: safetensors (or an index of shards), PyTorch archives, GGUF. */
#pragma once

#include "weights/tensor.h"

G_BEGIN_DECLS

/* Tensors of one or several mapped files. Immutable and safe to share once opened. */
typedef struct _SoraWeightFile SoraWeightFile;

/**
 * sora_weight_file_open:
 * @path: a weight file, whose container is recognised by its content, or an .index.json of shards
 *
 * Lengths, types, shapes, offsets and overlaps are checked, so a tensor found later can be read blindly. Tensors have the names of
 * diffusers' and transformers' classes, whatever the file calls them; scaled 8-bit weights carry their scales.
 *
 * Returns: (transfer full): or %NULL with a #SoraModelError that names the file. Any thread.
 */
SoraWeightFile *sora_weight_file_open (const gchar *path, GError **error);
/* The same from memory, which is kept; @path is for messages, and is where shards lie. */
SoraWeightFile *sora_weight_file_open_bytes (GBytes *bytes, const gchar *path, GError **error);
void sora_weight_file_free (SoraWeightFile *file);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SoraWeightFile, sora_weight_file_free)

const gchar *sora_weight_file_get_path (SoraWeightFile *file);
/* NULL if there is none */
const SoraTensor *sora_weight_file_peek (SoraWeightFile *file, const gchar *name);
/* What is before the names of all tensors of the model in the file, "" or for instance "generator_ema.model."; "" too if it is of no known
 * dialect */
const gchar *sora_weight_file_get_prefix (SoraWeightFile *file);
/* The row of bytes (U8) @name as the file calls it, which lives as long as @file: ComfyUI keeps a tokenizer like that. NULL if there is none, and
 * in files of several shards. */
GBytes *sora_weight_file_peek_octets (SoraWeightFile *file, const gchar *name);
/* The tensor with exactly this shape, else NULL and SORA_MODEL_ERROR_WEIGHT naming file, tensor, expected and found. A dimension
 * of 0 accepts any size; dimensions are passed as guint. */
const SoraTensor *sora_weight_file_find (SoraWeightFile *file, GError **error, const gchar *name, guint n_dims, ...);
/* (element-type utf8) (transfer container): names, sorted */
GPtrArray *sora_weight_file_get_names (SoraWeightFile *file);
guint64 sora_weight_file_get_bytes (SoraWeightFile *file);
/* Gives back the memory of what was read so far, which counts as the process's own though it is the file's; reading it again is possible, and
 * costs some time. Any thread. */
void sora_weight_file_forget (SoraWeightFile *file);

/**
 * sora_weight_file_get_metadata:
 * @key: "general.architecture", "tokenizer.ggml.tokens" ...
 *
 * Returns: (transfer full) (nullable): a GGUF file's metadata value, %NULL if there is none: integers, "b", "s", "d" for floats of both
 *     sizes, "n" for 8-bit signed integers, arrays of these, and "av" for arrays of arrays.
 */
GVariant *sora_weight_file_get_metadata (SoraWeightFile *file, const gchar *key);

G_END_DECLS
