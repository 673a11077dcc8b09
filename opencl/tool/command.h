/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The subcommands of the `sora` command. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Each gets its own arguments, the subcommand's name first, and returns FALSE with an error that main() prints. */
gboolean sora_command_devices (gint argc, gchar **argv, GError **error);
gboolean sora_command_models (gint argc, gchar **argv, GError **error);
gboolean sora_command_info (gint argc, gchar **argv, GError **error);
gboolean sora_command_generate (gint argc, gchar **argv, GError **error);
gboolean sora_command_tune (gint argc, gchar **argv, GError **error);

/* Options for a model's parts, which are not looked for then; each argument is a gchar ** */
#define SORA_COMMAND_PARTS(text_encoder, vae, tokenizer) \
  { "text-encoder", 0, 0, G_OPTION_ARG_FILENAME, text_encoder, "UMT5 weights (default: found beside the model)", "PATH" }, \
  { "vae", 0, 0, G_OPTION_ARG_FILENAME, vae, "VAE weights (default: found beside the model)", "PATH" }, \
  { "tokenizer", 0, 0, G_OPTION_ARG_FILENAME, tokenizer, "spiece.model (default: found beside the model)", "FILE" }

/* Parses the options @entries of a subcommand; at most @max_rest arguments may be left over. @rest is what follows the options,
 * @summary what --help begins with. */
gboolean sora_command_parse (gint *argc, gchar ***argv, const gchar *rest, const gchar *summary, const GOptionEntry *entries,
    gint max_rest, GError **error);

G_END_DECLS
