/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `sora info [MODEL]`: says which files a model is made of, checks them and describes it. */

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

gboolean
sora_command_info (gint argc, gchar **argv, GError **error)
{
  g_auto (SoraCommandParts) parts = { 0 };
  const GOptionEntry entries[] = { SORA_COMMAND_PARTS (&parts), { NULL } };
  g_autofree gchar *text = NULL;
  g_autoptr (SoraModel) model = NULL;
  SoraModelFiles files;

  if (!sora_command_parse (&argc, &argv, "[MODEL]", "Checks every file of a model (default: the embedded model) and describes it.",
          entries, 1, error))
    return FALSE;
  files = sora_command_parts_get_files (&parts, argc > 1 ? argv[1] : NULL);
  model = sora_model_open_files (&files, error);
  if (!model) {
    print_parts (&files);
    return FALSE;
  }
  text = sora_model_describe (model);
  fputs (text, stdout);
  return TRUE;
}
