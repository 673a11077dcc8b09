/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the tests of the stages share: golden files, and the embedded model that some of them are about. */
#pragma once

#include "test-support.h"
#include "weights/lora.h"

G_BEGIN_DECLS

/* (transfer full): $SORA_TEST_GOLDEN/NAME.safetensors; fails the test if it cannot be read */
SoraWeightFile *stage_golden_open (const gchar *name);
/* Adds the LoRA $SORA_TEST_GOLDEN/lora/@name; fails the test if it does not fit. */
void stage_add_lora (SoraLoraMerger *merger, const gchar *name, gdouble weight);
/* (transfer full): the numbers of "golden.NAME"; @n: (out) (nullable): how many */
gfloat *stage_golden (SoraWeightFile *golden, gsize *n, const gchar *name, ...) G_GNUC_PRINTF (3, 4);

/* Compares every @step-th of @n floats of @mem, from @offset on, with numbers from @first on of "golden.NAME". */
void stage_assert_golden (SoraQueue *queue, cl_mem mem, gsize offset, gsize n, guint step, SoraWeightFile *golden, gsize first,
    gdouble tolerance, const gchar *name);

/* Whether the device can multiply in bf16; else the test is skipped. */
gboolean stage_has_matrix_unit (void);

/* (transfer full): the path of @name in the model directory $SORA_TEST_MODEL; NULL, and the test is skipped, if it is not there */
gchar *stage_model_path (const gchar *name);
/* Fails the test unless "golden.fingerprint" is that of these weights: the first 4 values of every tensor, by name. */
void stage_assert_fingerprint (SoraWeightFile *golden, SoraWeightFile *weights);

G_END_DECLS
