/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `sora info [MODEL]`: checks a model directory and describes it. */

#include <sora/model.h>
#include <stdio.h>

#include "tool/command.h"

gboolean
sora_command_info (gint argc, gchar **argv, GError **error)
{
  static const GOptionEntry entries[] = { { NULL } };
  g_autoptr (SoraModel) model = NULL;
  g_autofree gchar *text = NULL;

  if (!sora_command_parse (&argc, &argv, "[MODEL]", "Checks every file of a model directory (default: the embedded model) and describes it.",
          entries, 1, error))
    return FALSE;
  model = sora_model_open (argc > 1 ? argv[1] : NULL, error);
  if (!model)
    return FALSE;
  text = sora_model_describe (model);
  fputs (text, stdout);
  return TRUE;
}
