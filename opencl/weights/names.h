/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Translates the names that a file's tensors have into those that the stages ask for. */
#pragma once

#include "weights/weight-file-private.h"

G_BEGIN_DECLS

/* Renames the tensors if their dialect is one that is known and not ours, and unfolds shapes. FALSE with SORA_MODEL_ERROR_FORMAT if
 * two get the same name. */
gboolean sora_weight_file_translate_names (SoraWeightFile *file, GError **error);
/* (transfer full) (element-type utf8): what a layer or tensor is called in every dialect; @name itself, which is ours, comes first. */
GPtrArray *sora_name_list_spellings (const gchar *name);
/* What @file would call the tensor @name: (transfer full); NULL if the same */
gchar *sora_weight_file_spell (SoraWeightFile *file, const gchar *name);

G_END_DECLS
