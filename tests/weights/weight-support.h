/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the tests of weight files share: files in memory, and errors that must say what is wrong. */
#pragma once

#include "weights/weight-file.h"

G_BEGIN_DECLS

/* Opens @length bytes as a file named "test", whose memory ends where the data ends, so that reading beyond is noticed by sanitizers. */
SoraWeightFile *weight_test_open (const guint8 *data, gsize length, GError **error);
/* The same must fail with @code and with "test" and @words in the message. */
void weight_test_refused (const guint8 *data, gsize length, gint code, const gchar *words);
/* The file cut at every length, and with every byte changed in some ways, must open or give an error. */
void weight_test_damage (const guint8 *data, gsize length);
/* Converts all of every tensor, so that data outside of the file is noticed. */
void weight_test_convert_all (SoraWeightFile *file);

/* One tensor of a safetensors file, which lies behind the one before */
typedef struct {
  const gchar *name, *dtype, *shape;    /* "w", "F32", "[2,3]" */
  gsize n_bytes;
  const guint8 *data;           /* NULL: zeros */
} WeightTestTensor;

/* (transfer full): a safetensors file of @n tensors */
GByteArray *weight_test_safetensors (const WeightTestTensor *tensors, guint n);

typedef struct {
  const gchar *name;
  const guint8 *data;
  gsize size;
} WeightTestEntry;

/* (transfer full): a ZIP archive of stored entries. Sums are left 0: nobody reads them. */
GByteArray *weight_test_zip (const WeightTestEntry *entries, guint n);

/* A golden file, tests/golden/weights/NAME: its path, its content (transfer full) */
gchar *weight_test_golden (const gchar *name);
GByteArray *weight_test_load (const gchar *name);

/* Little-endian numbers and text at the end of @bytes */
void weight_test_put (GByteArray *bytes, guint width, guint64 value);
void weight_test_put_text (GByteArray *bytes, const gchar *text);

G_END_DECLS
