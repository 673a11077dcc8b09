/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Matrices for tests, placed among NaN and taken back; and the variants of kernels that a test runs. */
#pragma once

#include "ops/matrix.h"

G_BEGIN_DECLS

/* The kernels that kinds of devices take: vectors of a width for CPUs, work-groups for GPUs. */
typedef struct {
  const gchar *name, *linear;
  guint width;                  /* floats; 0: the device's own */
  guint64 local_memory;         /* bytes; 0: the device's own */
} Variant;

/* ends with a NULL name */
extern const Variant variants[];

/* Adds "/@group/VARIANT/@name" for every variant, which @function takes as its data. */
void variants_add_test (const gchar *group, const gchar *name, GTestDataFunc function);
/* A queue on the device under test that takes @variant's kernels, until the next call. */
SoraQueue *variant_queue_new (const Variant *variant);
/* Whether only the small shapes are to be run: in an interpreter, and for limits that are not the device's own. */
gboolean variant_is_small (const Variant *variant);

typedef struct {
  SoraMatrix matrix;
  guint batch_stride;           /* floats */
  guint batch, rows, columns;
  gsize size;                   /* floats of matrix.mem */
} Operand;

/* Device memory for @batch matrices, larger than need be if @pad > 0; all but @data (nullable, [batch, rows, columns]) is NaN. */
Operand operand_new (SoraQueue *queue, const gfloat *data, guint batch, guint rows, guint columns, guint pad);
void operand_clear (Operand *operand);
/* (transfer full): [batch, rows, columns]; fails the test unless all else is still NaN */
gfloat *operand_download (SoraQueue *queue, const Operand *operand);

G_END_DECLS
