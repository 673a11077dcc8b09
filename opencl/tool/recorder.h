/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Collects a stream's tensors over its blocks, and writes them as safetensors. */
#pragma once

#include <sora/stream.h>

G_BEGIN_DECLS

/* For one thread at a time. */
typedef struct _SoraRecorder SoraRecorder;

/* @with_steps: whether the tensors "step_..." are kept */
SoraRecorder *sora_recorder_new (gboolean with_steps);
/* A SoraTapFunc; @user_data is the recorder. Tensors [channels, latents, height, width] of one name are joined along the latents; of any other only the last
 * one is kept. */
void sora_recorder_tap (const gchar *name, const gfloat *data, const gint64 *shape, guint n_dims, gpointer user_data);
/* Joins the block's frames to "frames": [frames, height, width, 3], 0 to 1. */
void sora_recorder_add_frames (SoraRecorder *recorder, SoraBlock *block);
gboolean sora_recorder_save (SoraRecorder *recorder, const gchar *path, GError **error);
void sora_recorder_free (SoraRecorder *recorder);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SoraRecorder, sora_recorder_free)

G_END_DECLS
