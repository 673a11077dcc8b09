/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The operand types that operations share: a row-major matrix in device memory, and per-latent-frame modulation. */
#pragma once

#include "runtime/queue.h"

G_BEGIN_DECLS

/* Row-major floats: element (row, column) lies at mem[offset + row * stride + column]. */
typedef struct {
  cl_mem mem;
  guint offset;                 /* floats */
  guint stride;                 /* floats from one row to the next */
} SoraMatrix;

#define SORA_MATRIX(mem_, stride_) ((SoraMatrix) { (mem_), 0, (stride_) })
#define SORA_MATRIX_AT(mem_, offset_, stride_) ((SoraMatrix) { (mem_), (offset_), (stride_) })

/* One vector for each latent frame: row r of the data uses frame (r / rows_per_frame) % n_frames, whose vector begins at
 * mem[offset + frame * stride]. mem NULL: none. */
typedef struct {
  cl_mem mem;
  guint offset, stride;         /* floats */
  guint rows_per_frame, n_frames;
} SoraFrameVector;

G_END_DECLS
