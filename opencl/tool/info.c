/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `sora info [MODEL]`: says which files a model is made of, checks them and describes it; or describes a LoRA. */

#include <stdio.h>

#include "model-private.h"
#include "tool/command.h"

/* Where the model cannot be opened, what was found says why. */
static void
print_parts (const SoraModelFiles *files)
{
  g_auto (SoraModelParts) parts = { 0 };
  g_autofree gchar *text = NULL;

  if (!sora_model_parts_find (&parts, files, NULL))
    return;
  text = sora_model_parts_describe (&parts);
  fputs (text, stdout);
}

/* Whether @path is a file of LoRA tensors, which is described then, or its error set. */
static gboolean
print_lora (const gchar *path, GError **error)
{
  SoraWeightFile *file = path && !g_file_test (path, G_FILE_TEST_IS_DIR) ? sora_weight_file_open (path, NULL) : NULL;
  g_autoptr (SoraLora) lora = NULL;
  g_autofree gchar *text = NULL;

  if (!file || !sora_lora_recognise (file)) {
    g_clear_pointer (&file, sora_weight_file_free);
    return FALSE;
  }
  lora = sora_lora_new (file, error);
  if (!lora)
    return TRUE;
  text = sora_lora_describe (lora);
  fputs (text, stdout);
  return TRUE;
}

gboolean
sora_command_info (gint argc, gchar **argv, GError **error)
{
  g_auto (SoraCommandParts) parts = { 0 };
  const GOptionEntry entries[] = { SORA_COMMAND_PARTS (&parts), { NULL } };
  g_autofree gchar *text = NULL;
  g_autoptr (SoraModel) model = NULL;
  SoraModelFiles files;
  GError *cause = NULL;

  if (!sora_command_parse (&argc, &argv, "[MODEL]", "Checks every file of a model (a name of \"sora models\", or a path; default: the embedded model), or a LoRA, "
          "and describes it.",
          entries, 1, error))
    return FALSE;
  files = sora_command_parts_get_files (&parts, argc > 1 ? argv[1] : NULL);
  if (print_lora (files.path, &cause)) {
    if (cause)
      g_propagate_error (error, cause);
    return !cause;
  }
  model = sora_model_open_files (&files, error);
  if (!model) {
    print_parts (&files);
    return FALSE;
  }
  text = sora_model_describe (model);
  fputs (text, stdout);
  return TRUE;
}
