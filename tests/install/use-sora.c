/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The smallest user of the installed library: opens the model that it finds and prints its name. */
#include <sora/sora.h>
#include <stdio.h>

int
main (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (SoraModel) model = sora_model_open (NULL, &error);

  puts (model ? sora_model_get_name (model) : error->message);
  return model == NULL;
}
