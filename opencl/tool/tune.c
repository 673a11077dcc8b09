/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `sora tune`: measures both linear kernels at a model's shapes, and stores the faster for later runs. */

#include <sora/sora.h>
#include <stdio.h>

#include "ops/linear-tune.h"
#include "tool/command.h"

static void
report (guint n, guint k, gdouble packed_ns, gdouble clblast_ns, SoraLinearKind kind, gpointer user_data)
{
  printf ("%6u x %-6u  packed %9.1f ns  CLBlast %9.1f ns  → %s\n", n, k, packed_ns, clblast_ns,
      kind == SORA_LINEAR_PACKED ? "packed" : "CLBlast");
  fflush (stdout);
}

gboolean
sora_command_tune (gint argc, gchar **argv, GError **error)
{
  g_autofree gchar *model_path = NULL, *selector = NULL, *table = NULL;
  const GOptionEntry entries[] = {
    { "model", 'm', 0, G_OPTION_ARG_FILENAME, &model_path, "model directory (default: the embedded model)", "DIRECTORY" },
    { "device", 'd', 0, G_OPTION_ARG_STRING, &selector, "see \"sora devices\" (default: the first GPU, else a CPU)", "DEVICE" },
    { NULL },
  };
  g_autoptr (SoraModel) model = NULL;
  g_autoptr (SoraDevice) device = NULL;
  g_autoptr (SoraStream) stream = NULL;

  if (!sora_command_parse (&argc, &argv, NULL, "Measures both linear kernels at a model's shapes, and stores which is faster.", entries,
          0, error))
    return FALSE;
  model = sora_model_open (model_path, error);
  if (!model)
    return FALSE;
  device = sora_device_open (selector, error);
  if (!device)
    return FALSE;
  /* loading the model asks for the kind of each weight's shape, and so collects the shapes */
  stream = sora_stream_new (model, device, NULL, NULL, NULL, NULL, error);
  if (!stream)
    return FALSE;
  printf ("%s, per row of input:\n", sora_device_get_name (device));
  if (!sora_linear_tune (device, report, NULL, NULL, error))
    return FALSE;
  table = sora_tune_get_path ();
  printf ("stored in %s\n", table);
  return TRUE;
}
