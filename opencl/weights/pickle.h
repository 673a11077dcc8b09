/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads the pickle of a PyTorch archive as data: tensors and plain containers, and nothing else. */
#pragma once

#include "weights/tensor.h"

G_BEGIN_DECLS

/* More values than this are no table of weights; one of a model with thousands of tensors has some 100,000. */
#define SORA_PICKLE_MAX_VALUES (1 << 20)

typedef enum {
  SORA_PICKLE_NONE,
  SORA_PICKLE_BOOL,
  SORA_PICKLE_INT,
  SORA_PICKLE_FLOAT,
  SORA_PICKLE_STRING,
  SORA_PICKLE_TUPLE,
  SORA_PICKLE_LIST,
  SORA_PICKLE_DICT,
  SORA_PICKLE_STORAGE,
  SORA_PICKLE_TENSOR,
  SORA_PICKLE_GLOBAL,           /* a function or class, on the stack only */
  SORA_PICKLE_MARK,             /* likewise */
} SoraPickleType;

typedef struct _SoraPickleValue SoraPickleValue;

/* UTF-8 in the pickle, not terminated */
typedef struct {
  const gchar *text;
  gsize length;
} SoraPickleString;

/* An entry of the archive, as PyTorch's typed storages name it */
typedef struct {
  const gchar *type;            /* "F32", "I64" ... */
  SoraPickleString key;
  gint64 n_elements;
} SoraPickleStorage;

typedef struct {
  const SoraPickleStorage *storage;
  gint64 offset;                /* in elements; not checked */
  const GPtrArray *shape, *stride;      /* of SoraPickleValue, integers; of equal length */
} SoraPickleTensor;

struct _SoraPickleValue {
  SoraPickleType type;
  union {
    gint64 integer;             /* BOOL, INT */
    gdouble number;             /* FLOAT */
    SoraPickleString string;
    GPtrArray *items;           /* TUPLE, LIST; DICT: key, value, key, value ... May contain itself. */
    SoraPickleStorage storage;
    SoraPickleTensor tensor;
    gconstpointer global;
  };
};

typedef struct _SoraPickle SoraPickle;

/**
 * sora_pickle_parse:
 * @data: must outlive what is returned
 * @file: for messages
 *
 * Protocols 2 to 5. Nothing is executed: of functions only those that rebuild tensors are known, and any other, any other opcode
 * and any other class is an error that names it. Takes time and memory in proportion to @size at most.
 *
 * Returns: (transfer full): or %NULL with SORA_MODEL_ERROR_FORMAT. Any thread.
 */
SoraPickle *sora_pickle_parse (const guint8 *data, gsize size, const gchar *file, GError **error);
const SoraPickleValue *sora_pickle_get_root (SoraPickle *pickle);
void sora_pickle_free (SoraPickle *pickle);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SoraPickle, sora_pickle_free)

gboolean sora_pickle_string_equal (const SoraPickleString *string, const gchar *text);

G_END_DECLS
