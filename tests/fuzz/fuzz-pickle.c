/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Any bytes read as a pickle. For libFuzzer: scripts/fuzz. */

#include "weights/pickle.h"

int LLVMFuzzerTestOneInput (const guint8 *data, size_t size);

int
LLVMFuzzerTestOneInput (const guint8 *data, size_t size)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (SoraPickle) pickle = sora_pickle_parse (data, size, "fuzz", &error);

  g_assert ((pickle == NULL) == (error != NULL));
  if (pickle)
    g_assert (sora_pickle_get_root (pickle) != NULL);
  return 0;
}
