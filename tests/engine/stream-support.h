/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the tests of streams share: the tiny model and changed copies of it, streams and their blocks, golden numbers. */
#pragma once

#include <sora/sora.h>

#include "model-private.h"
#include "test-support.h"
#include "weights/weight-file.h"

G_BEGIN_DECLS

#define PROMPT "a red ball bounces"
#define SEED 42

/* fp32 against fp32 with other orders of summation, through up to 6 blocks of 3 guided steps of 2 layers each on activations of
 * the order of 1: rounding (6e-8) grows by a few hundred. */
#define TOLERANCE 1e-4

/* (transfer full): $SORA_TEST_GOLDEN/@name */
gchar *golden_path (const gchar *name);
SoraWeightFile *open_golden (const gchar *name);
/* (transfer full): the tensor's numbers */
gfloat *golden_floats (SoraWeightFile *file, const gchar *name, const SoraTensor **tensor);
/* Compares a block's latents, @data [channels, n, height, width], with those from latent @first on of the whole stream's tensor @name. */
void assert_golden_latents (SoraWeightFile *golden, const gchar *name, guint first, const gfloat *data, const gint64 *shape);

SoraDevice *open_device (void);
SoraModel *open_tiny_model (void);
/* (transfer full): a copy of the tiny model, to be changed and then removed with remove_copy() */
gchar *copy_model (void);
void remove_copy (const gchar *path);
/* A folder with all that is in it, but not through symbolic links */
void remove_tree (const gchar *path);
/* Replaces @old, which is there once. */
void replace_in_file (const gchar *folder, const gchar *name, const gchar *old, const gchar *new);
SoraModel *open_model (const gchar *path);
/* (transfer none): the first part of @type that a stream uses at present, or NULL */
SoraResident *find_resident (SoraModel *model, SoraPartType type);

/* PROMPT and SEED, in fp32, as the golden numbers are */
SoraStreamOptions *default_options (void);
SoraStream *open_stream (SoraModel *model, SoraStreamOptions *options);
SoraBlock *pull (SoraStream *stream);
gboolean same_frames (SoraBlock *a, SoraBlock *b);
/* The next @n blocks of both have the same frames. */
void assert_same_blocks (SoraStream *a, SoraStream *b, guint n);
/* The same, though @disturbed is cancelled at random moments, the first time at once. */
void assert_same_though_cancelled (SoraStream *disturbed, SoraStream *steady, guint n);

G_END_DECLS
