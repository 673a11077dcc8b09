/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The subcommands of the `sora` command. */
#pragma once

#include <sora/model.h>

G_BEGIN_DECLS

/* Each gets its own arguments, the subcommand's name first, and returns FALSE with an error that main() prints. */
gboolean sora_command_devices (gint argc, gchar **argv, GError **error);
gboolean sora_command_models (gint argc, gchar **argv, GError **error);
gboolean sora_command_info (gint argc, gchar **argv, GError **error);
gboolean sora_command_generate (gint argc, gchar **argv, GError **error);
gboolean sora_command_tune (gint argc, gchar **argv, GError **error);

/* A model's parts that the command line names; NULL: to be looked for */
typedef struct {
  gchar *transformer_2, *text_encoder, *vae, *tokenizer, *image_encoder;
  gboolean causal;
} SoraCommandParts;

#define SORA_COMMAND_PARTS(parts) \
  { "transformer-2", 0, 0, G_OPTION_ARG_FILENAME, &(parts)->transformer_2, "of two experts the one for low noise (default: called as the model, " \
    "with low for high)", "PATH" }, \
  { "text-encoder", 0, 0, G_OPTION_ARG_FILENAME, &(parts)->text_encoder, "UMT5 weights (default: found beside the model)", "PATH" }, \
  { "vae", 0, 0, G_OPTION_ARG_FILENAME, &(parts)->vae, "VAE weights (default: found beside the model)", "PATH" }, \
  { "tokenizer", 0, 0, G_OPTION_ARG_FILENAME, &(parts)->tokenizer, "spiece.model, or its folder (default: found beside the model)", "PATH" }, \
  { "image-encoder", 0, 0, G_OPTION_ARG_FILENAME, &(parts)->image_encoder, "CLIP weights of an image-to-video model (default: found beside " \
    "the model)", "PATH" }, \
  { "causal", 0, 0, G_OPTION_ARG_NONE, &(parts)->causal, "the transformer streams in few steps, as by Self-Forcing, though nothing beside it " \
    "says so", NULL }

/* With these parts, the model at @path; borrows all. */
SoraModelFiles sora_command_parts_get_files (const SoraCommandParts *parts, const gchar *path);
void sora_command_parts_clear (SoraCommandParts *parts);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (SoraCommandParts, sora_command_parts_clear)

/* Parses the options @entries of a subcommand; at most @max_rest arguments may be left over. @rest is what follows the options,
 * @summary what --help begins with. */
gboolean sora_command_parse (gint *argc, gchar ***argv, const gchar *rest, const gchar *summary, const GOptionEntry *entries,
    gint max_rest, GError **error);

G_END_DECLS
