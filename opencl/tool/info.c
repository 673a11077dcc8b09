/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `sora info [MODEL]`: says which files a model is made of, checks them and describes it; or describes a LoRA, or a part of a model alone. */

#include <stdio.h>

#include "model-private.h"
#include "part-summary.h"
#include "stages/tokenizer.h"
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

/* Which option takes a part of @kind; NULL: it is none of the parts that go with a transformer */
static const gchar *
find_option (SoraWeightsKind kind)
{
  switch (kind) {
    case SORA_WEIGHTS_TEXT_ENCODER:
      return "--text-encoder";
    case SORA_WEIGHTS_IMAGE_ENCODER:
      return "--image-encoder";
    case SORA_WEIGHTS_TAEHV:
    case SORA_WEIGHTS_WAN_VAE:
      return "--vae";
    default:
      return NULL;
  }
}

static void
print_types (const SoraPartSummary *part)
{
  g_autofree gchar *size = g_format_size (part->bytes), *parameters = sora_format_parameters (part->n_parameters);

  printf ("size          %s, %s", parameters, size);
  for (guint i = 0; i < SORA_N_DTYPES; i++) {
    if (part->dtypes[i])
      printf (", %s", sora_dtype_name (i));
  }
  printf ("\n");
}

/* Whether @path is the file of a part that goes with a transformer, which is described then. */
static gboolean
print_part (const gchar *path)
{
  g_autoptr (SoraWeightFile) file = path && !g_file_test (path, G_FILE_TEST_IS_DIR) ? sora_weight_file_open (path, NULL) : NULL;
  const gchar *option = file ? find_option (sora_weights_recognise (file)) : NULL;
  g_auto (SoraPartSummary) part = { 0 };

  if (!option)
    return FALSE;
  sora_part_summary_init_file (&part, file);
  printf ("path          %s\nkind          %s, a part of a model\n", path, part.family);
  print_types (&part);
  if (part.kind == SORA_WEIGHTS_TEXT_ENCODER)
    printf ("tokenizer     %s\n", sora_tokenizer_is_inside (file) ? "inside" : "not inside: spiece.model is needed too");
  else if (sora_weights_get_latent_channels (file) > 0)
    printf ("channels      %u of latents\n", sora_weights_get_latent_channels (file));
  printf ("to use it     name it with %s, or put it where the transformer finds it\n", option);
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

  if (!sora_command_parse (&argc, &argv, "[MODEL]", "Checks every file of a model (a name of \"sora models\", or a path; default: the embedded model), or describes a "
          "part of one, or a LoRA.",
          entries, 1, error))
    return FALSE;
  files = sora_command_parts_get_files (&parts, argc > 1 ? argv[1] : NULL);
  if (print_lora (files.path, &cause)) {
    if (cause)
      g_propagate_error (error, cause);
    return !cause;
  }
  if (print_part (files.path))
    return TRUE;
  model = sora_model_open_files (&files, error);
  if (!model) {
    print_parts (&files);
    return FALSE;
  }
  text = sora_model_describe (model);
  fputs (text, stdout);
  return TRUE;
}
