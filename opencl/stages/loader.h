/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Loading a stage's weights: one walk over the names either only checks the file or also uploads, and takes over what is there already. */
#pragma once

#include "ops/linear.h"
#include "weights/weight-file.h"

G_BEGIN_DECLS

/* Linears by the tensors that they were made of and what LoRAs add to them, so that the same one need not be made twice. Holds them. */
typedef GHashTable SoraLinearTable;

/* The most rows of a stage's activations that its linears are given at once; 0: none */
typedef struct {
  guint tokens, text, image, timesteps;
} SoraRows;

/* What a stage may take of a device's memory */
typedef struct {
  guint64 max_bytes;            /* in the end: weights, and what the queue's places for streamed ones and scratch memory grow by */
  guint64 max_new_bytes;        /* of these, what is not shared with stages that are there already */
  SoraRows rows;                /* that scratch memory is for */
} SoraStageLimits;

/* For one thread at a time. */
typedef struct {
  SoraWeightFile *file;
  SoraQueue *queue;             /* NULL: shapes are checked, no data is read */
  SoraWeightType type;          /* of linears; auto: of each what its numbers in the file ask for */
  SoraPrecision precision;      /* of linears */
  guint64 bytes;                /* on the device so far */
  SoraQueue *counts_for;        /* without a queue: (nullable): what everything would take there is counted instead, in bytes and in these: */
  guint64 weight_bytes, largest;        /* of all linears' weights, and of the largest of them */
  guint64 shared_bytes;         /* of bytes, what @others have */
  SoraRows rows;                /* of activations; the next is those of the linears that follow */
  guint n_rows;
  gsize scratch[SORA_N_SCRATCHES];      /* bytes that one linear or another takes with so many */
  gboolean is_limited;          /* only so many bytes of linears' weights are put on the device; the rest is streamed: */
  guint64 weight_budget;
  guint64 least;                /* bytes that the stage takes if all of them are streamed: with the places for them, without scratch, which stays */
  GPtrArray *others;            /* (element-type SoraLinearTable) (nullable): of stages on the same device, to share linears with */
  SoraLinearTable *linears;     /* of what is loaded; NULL: nobody asks */
} SoraLoader;

/* (transfer full): an empty table */
SoraLinearTable *sora_linear_table_new (void);

/**
 * sora_loader_limit:
 * @needed: has counted what the stage takes
 *
 * Lets @loader stream weights if they do not all fit, and makes scratch memory for its products. Returns: %FALSE with
 * SORA_DEVICE_ERROR_NO_MEMORY if not even that is possible, or if more would be new than may be.
 */
gboolean sora_loader_limit (SoraLoader *loader, const SoraLoader *needed, const SoraStageLimits *limits, GError **error);

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
