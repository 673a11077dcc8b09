/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The smallest user of the installed library: finds a model in the catalogue, opens it by its name, and prints that. */
#include <sora/sora.h>
#include <stdio.h>

int
main (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (SoraCatalogue) catalogue = sora_catalogue_new (NULL);
  const SoraCatalogueModel *found = sora_catalogue_find_model (catalogue, "embedded", &error);
  g_autoptr (SoraModel) model = found ? sora_model_open (sora_catalogue_model_get_name (found), &error) : NULL;

  puts (model ? sora_model_get_name (model) : error->message);
  return model == NULL;
}
