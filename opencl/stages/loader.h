/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Loading a stage's weights: one walk over the names either only checks the file or also uploads, and takes over what is there already. */
#pragma once

#include "ops/linear.h"
#include "weights/weight-file.h"

G_BEGIN_DECLS

/* Linears by the tensors that they were made of and what LoRAs add to them, so that the same one need not be made twice. Holds them. */
typedef GHashTable SoraLinearTable;

/* For one thread at a time. */
typedef struct {
  SoraWeightFile *file;
  SoraQueue *queue;             /* NULL: shapes are checked, no data is read */
  SoraWeightType type;          /* of linears; auto: of each what its numbers in the file ask for */
  SoraPrecision precision;      /* of linears */
  guint64 bytes;                /* on the device so far */
  SoraDevice *device;           /* without a queue: (nullable): what everything would take there is counted instead, in bytes and in these: */
  guint64 weight_bytes, largest;        /* of all linears' weights, and of the largest of them */
  gboolean is_limited;          /* only so many bytes of linears' weights are put on the device; the rest is streamed: */
  guint64 weight_budget;
  guint64 least;                /* bytes that the stage takes if all of them are streamed, the places included */
  GPtrArray *others;            /* (element-type SoraLinearTable) (nullable): of stages on the same device, to share linears with */
  SoraLinearTable *linears;     /* of what is loaded; NULL: nobody asks */
} SoraLoader;

/* (transfer full): an empty table */
SoraLinearTable *sora_linear_table_new (void);

/**
 * sora_loader_limit:
 * @needed: has counted what the stage takes
 * @max_bytes: that it may take, with the two places that streamed weights use
 *
 * Lets @loader stream weights if they do not all fit. Returns: %FALSE with SORA_DEVICE_ERROR_NO_MEMORY if not even that is possible.
 */
gboolean sora_loader_limit (SoraLoader *loader, const SoraLoader *needed, guint64 max_bytes, GError **error);

/**
 * sora_loader_linear:
 * @linear: (out): set unless the loader only checks
 * @prefix: what the parts' names begin with, its last dot included
 * @parts: names separated by commas, stacked into one linear: "to_k,to_v"
 * @n: rows of each part's weight [n, k] and bias [n]
 *
 * Returns: %FALSE with a #SoraModelError or #SoraDeviceError.
 */
gboolean sora_loader_linear (SoraLoader *loader, SoraLinear **linear, const gchar *prefix, const gchar *parts, guint n, guint k,
    gboolean with_bias, GError **error);

/* The same from tensors already found; @biases: (nullable). */
gboolean sora_loader_linear_from (SoraLoader *loader, SoraLinear **linear, guint n_parts, const SoraTensor *const *weights,
    const SoraTensor *const *biases, GError **error);

/* Uploads tensors, one after the other, as floats into one new buffer. */
gboolean sora_loader_upload (SoraLoader *loader, cl_mem *mem, guint n_tensors, const SoraTensor *const *tensors, GError **error);

/* Finds @prefix@name of shape [count] and uploads it. */
gboolean sora_loader_vector (SoraLoader *loader, cl_mem *mem, const gchar *prefix, const gchar *name, guint count, GError **error);

/* Releases *@mem, which may be NULL. */
void sora_clear_mem (cl_mem *mem);

G_END_DECLS
