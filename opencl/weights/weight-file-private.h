/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the readers of containers share: the opened file, and adding a tensor to it. */
#pragma once

#include "weights/weight-file.h"

G_BEGIN_DECLS

/* Names are longer only in files that were made to hurt. */
#define SORA_TENSOR_MAX_NAME 512

/* How a file names its tensors, see names.c */
typedef struct _SoraDialect SoraDialect;

struct _SoraWeightFile {
  gchar *path;
  GBytes *bytes;                /* the file; NULL for an index */
  gboolean is_mapped;           /* bytes are read from the file whenever they are used, and may be forgotten */
  GPtrArray *shards;            /* SoraWeightFile, whose bytes and paths the tensors point to */
  GHashTable *tensors;          /* name → SoraTensor */
  GHashTable *foreign;          /* name → what it is, of tensors that cannot be used as floats */
  GHashTable *octets;           /* name → GBytes, of those of them that are rows of bytes: no weights, but what else is kept in the file */
  GHashTable *metadata;         /* of GGUF, see gguf.c; or NULL */
  const SoraDialect *dialect;   /* what the names were translated from, or NULL */
  const gchar *prefix;          /* before all of them in the file */
  guint64 size;                 /* bytes of all tensors */
};

/* Sets @tensor's n_elements, and the bytes they take in blocks along the last dimension; FALSE if the shape overflows or is no
 * whole number of blocks. */
gboolean sora_tensor_measure (SoraTensor *tensor, guint block_elements, guint block_bytes, guint64 *bytes);

/* Each checks @size bytes at @data, at least 8, and adds the tensors in it to @file. */
gboolean sora_safetensors_read (SoraWeightFile *file, const guint8 *data, guint64 size, GError **error);
gboolean sora_torch_archive_read (SoraWeightFile *file, const guint8 *data, guint64 size, GError **error);

/**
 * sora_weight_file_add:
 * @tensor: copied, its name too; its file is set here. Its data is @bytes long and lies within the file
 * @foreign: (nullable): why the tensor cannot be used as floats, as a noun phrase: "dtype I64, which ..."; then dtype and data do not
 *     matter
 */
gboolean sora_weight_file_add (SoraWeightFile *file, const SoraTensor *tensor, guint64 bytes, const gchar *foreign, GError **error);

/* A type of numbers, by the name that safetensors gives it */
typedef struct {
  const gchar *name;
  guint size;                   /* bytes */
  gint dtype;                   /* SoraDType, or -1: no type of weights */
} SoraElementType;

/* NULL if there is none of this name */
const SoraElementType *sora_element_type_find (const gchar *name);
/* As sora_weight_file_add(), with the dtype set by @type */
gboolean sora_weight_file_add_elements (SoraWeightFile *file, SoraTensor *tensor, const SoraElementType *type, guint64 bytes,
    GError **error);

/* Sets @error to "FILE: tensor "NAME": " and the rest, and returns FALSE. */
gboolean sora_weight_file_fail_tensor (SoraWeightFile *file, GError **error, SoraModelError code, const gchar *name,
    const gchar *format, ...) G_GNUC_PRINTF (5, 6);
/* Sets SORA_MODEL_ERROR_FORMAT, "FILE: " and the rest, and returns FALSE. */
gboolean sora_weight_file_fail (SoraWeightFile *file, GError **error, const gchar *format, ...) G_GNUC_PRINTF (3, 4);

void sora_tensor_free (SoraTensor *tensor);
/* (transfer full) (element-type utf8): names of all tensors, those that cannot be used too */
GPtrArray *sora_weight_file_copy_all_names (SoraWeightFile *file);
/* Joins scaled weights with their scales, and drops what is written beside them; where that fails, a weight cannot be used. */
void sora_weight_file_apply_scales (SoraWeightFile *file);

/* Where one tensor's data lies, to find overlaps. */
typedef struct {
  const gchar *name;
  guint64 begin, end;
} SoraExtent;

/* For g_array_sort(): by begin, then by end */
gint sora_extent_compare (gconstpointer a, gconstpointer b);

G_END_DECLS
