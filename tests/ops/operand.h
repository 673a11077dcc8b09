/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Matrices for tests: rows placed with an offset, a stride and a batch stride among NaN, and taken back. */
#pragma once

#include "ops/matrix.h"

G_BEGIN_DECLS

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
