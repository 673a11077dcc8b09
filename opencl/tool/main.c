/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The `sora` command: picks the subcommand, prints its error as one line, and exits with 1 after one. */

#include <locale.h>
#include <stdio.h>
#include <string.h>

#include "tool/command.h"

static const struct {
  const gchar *name, *summary;
  gboolean (*run) (gint argc, gchar **argv, GError **error);
} commands[] = {
  { "devices", "list the OpenCL devices", sora_command_devices },
  { "info", "describe a model", sora_command_info },
  { "generate", "make a video from a prompt", sora_command_generate },
  { "tune", "measure which linear kernels suit a device best", sora_command_tune },
};

gboolean
sora_command_parse (gint *argc, gchar ***argv, const gchar *rest, const gchar *summary, const GOptionEntry *entries,
    gint max_rest, GError **error)
{
  g_autoptr (GOptionContext) context = g_option_context_new (rest);

  g_option_context_set_summary (context, summary);
  g_option_context_add_main_entries (context, entries, NULL);
  if (!g_option_context_parse (context, argc, argv, error))
    return FALSE;
  if (*argc - 1 <= max_rest)
    return TRUE;
  g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_FAILED, "unexpected argument \"%s\"", (*argv)[1 + max_rest]);
  return FALSE;
}

SoraModelFiles
sora_command_parts_get_files (const SoraCommandParts *parts, const gchar *path)
{
  return (SoraModelFiles) {
    .path = path, .transformer_2 = parts->transformer_2, .text_encoder = parts->text_encoder, .vae = parts->vae,
    .tokenizer = parts->tokenizer, .image_encoder = parts->image_encoder,
    .causal = parts->causal,
  };
}

void
sora_command_parts_clear (SoraCommandParts *parts)
{
  g_free (parts->transformer_2);
  g_free (parts->text_encoder);
  g_free (parts->vae);
  g_free (parts->tokenizer);
  g_free (parts->image_encoder);
}

static void
print_usage (FILE *file)
{
  fprintf (file, "Usage: sora COMMAND [OPTION...]\n\n");
  for (guint i = 0; i < G_N_ELEMENTS (commands); i++)
    fprintf (file, "  %-10s %s\n", commands[i].name, commands[i].summary);
  fprintf (file, "\nsora COMMAND --help lists a command's options.\n");
}

/* An error may carry a compiler's log: its first line says what happened, and the rest follows as it is. */
static int
run_command (guint i, gint argc, gchar **argv)
{
  g_autoptr (GError) error = NULL;
  g_autofree gchar *name = g_strconcat ("sora ", commands[i].name, NULL);

  g_set_prgname (name);
  if (commands[i].run (argc, argv, &error))
    return 0;
  fflush (stdout);
  fprintf (stderr, "%s: %s\n", name, error->message);
  return 1;
}

int
main (int argc, char **argv)
{
  const gchar *command = argc > 1 ? argv[1] : "";

  setlocale (LC_ALL, "");
  for (guint i = 0; i < G_N_ELEMENTS (commands); i++) {
    if (g_str_equal (command, commands[i].name))
      return run_command (i, argc - 1, argv + 1);
  }
  if (g_str_equal (command, "--help") || g_str_equal (command, "-h")) {
    print_usage (stdout);
    return 0;
  }
  if (g_str_equal (command, "--version")) {
    printf ("sora %s\n", SORA_VERSION);
    return 0;
  }
  if (*command)
    fprintf (stderr, "sora: there is no command \"%s\"\n", command);
  print_usage (stderr);
  return 1;
}
