/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* LoRA files of every dialect: opened, understood key by key, and merged into the tensors of a weight file. */
#pragma once

#include "weights/weight-file.h"

G_BEGIN_DECLS

/* What a LoRA changes. ANY: its key does not say, and the names of layers do. */
typedef enum {
  SORA_LORA_ANY,
  SORA_LORA_TRANSFORMER,
  SORA_LORA_TEXT_ENCODER,
  SORA_LORA_N_PARTS
} SoraLoraPart;

/* A LoRA file, mapped. Immutable, reference-counted, safe to share between threads. */
typedef struct _SoraLora SoraLora;

/**
 * sora_lora_open:
 * @path: a weight file of any container
 *
 * Every key is understood and every half of a pair has its other, or the file is refused.
 *
 * Returns: (transfer full): or %NULL with a #SoraModelError that names file and key. Any thread.
 */
SoraLora *sora_lora_open (const gchar *path, GError **error);
/* The same from a file already opened, which is taken, also on failure. */
SoraLora *sora_lora_new (SoraWeightFile *file, GError **error);
SoraLora *sora_lora_ref (SoraLora *lora);
void sora_lora_unref (SoraLora *lora);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SoraLora, sora_lora_unref)

/* Text that another file has otherwise, and the same one changed on disk too */
const gchar *sora_lora_get_id (SoraLora *lora);
/* Whether one of @file's tensors is called as those of LoRAs are. */
gboolean sora_lora_recognise (SoraWeightFile *file);
/* (transfer full): lines for a person: parts, layers, ranks, dialect, size. */
gchar *sora_lora_describe (SoraLora *lora);

/* Collects what LoRAs add to the files of a model. For one thread at a time. */
typedef struct _SoraLoraMerger SoraLoraMerger;

/* @transformer, @text_encoder: must outlive the merger and what it makes; (nullable): the model has none */
SoraLoraMerger *sora_lora_merger_new (SoraWeightFile *transformer, SoraWeightFile *text_encoder);
void sora_lora_merger_free (SoraLoraMerger *merger);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SoraLoraMerger, sora_lora_merger_free)

/**
 * sora_lora_merger_add:
 * @weight: what its differences are multiplied by; at 0 it is only checked
 *
 * Returns: %FALSE with SORA_MODEL_ERROR_WEIGHT that names file and key, where the model lacks what it changes or has another shape; then
 *     the merger is of no use any more.
 */
gboolean sora_lora_merger_add (SoraLoraMerger *merger, SoraLora *lora, gdouble weight, GError **error);

/* (transfer full) (nullable): the file of @part with all that was added in its tensors' patches, and all else as it was; NULL if nothing was. It
 * holds the LoRAs. */
SoraWeightFile *sora_lora_merger_get_file (SoraLoraMerger *merger, SoraLoraPart part);

G_END_DECLS
