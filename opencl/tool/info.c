/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `sora info [MODEL]`: says which files a model is made of, checks them and describes it. */

#include <stdio.h>

#include "model-private.h"
#include "tool/command.h"

/* Where the model cannot be opened, what was found says why. */
static void
print_parts (const gchar *path, const gchar *text_encoder, const gchar *vae, const gchar *tokenizer)
{
  g_auto (SoraModelParts) parts = { 0 };
  g_autofree gchar *text = NULL;

  if (!sora_model_parts_find (&parts, path, text_encoder, vae, tokenizer, NULL))
    return;
  text = sora_model_parts_describe (&parts);
  fputs (text, stdout);
}

gboolean
sora_command_info (gint argc, gchar **argv, GError **error)
{
  g_autofree gchar *text_encoder = NULL, *vae = NULL, *tokenizer = NULL, *text = NULL;
  const GOptionEntry entries[] = { SORA_COMMAND_PARTS (&text_encoder, &vae, &tokenizer), { NULL } };
  g_autoptr (SoraModel) model = NULL;
  const gchar *path;

  if (!sora_command_parse (&argc, &argv, "[MODEL]", "Checks every file of a model (a name of \"sora models\", or a path; default: the embedded model) and describes it.",
          entries, 1, error))
    return FALSE;
  path = argc > 1 ? argv[1] : NULL;
  model = sora_model_open_parts (path, text_encoder, vae, tokenizer, error);
  if (!model) {
    print_parts (path, text_encoder, vae, tokenizer);
    return FALSE;
  }
  text = sora_model_describe (model);
  fputs (text, stdout);
  return TRUE;
}
