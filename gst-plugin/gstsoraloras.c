/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The property that lists LoRA files and their weights, taken apart. */
#include "gstsoraloras.h"

#include <sora/sora.h>

/* (transfer full): the entry that *@text begins with, without its escapes; *@text is moved behind its comma, or to the end. */
static gchar *
take_entry (const gchar **text)
{
  GString *entry = g_string_new (NULL);
  const gchar *p = *text;

  for (; *p && *p != ','; p++) {
    if (*p == '\\' && (p[1] == ',' || p[1] == '\\'))
      p++;
    g_string_append_c (entry, *p);
  }
  *text = *p ? p + 1 : p;
  return g_string_free (entry, FALSE);
}

GStrv
gst_sora_loras_parse (const gchar *text, gdouble **weights)
{
  GPtrArray *paths = g_ptr_array_new ();
  GArray *numbers = g_array_new (FALSE, FALSE, sizeof (gdouble));

  while (text && *text) {
    g_autofree gchar *entry = take_entry (&text);
    gdouble weight;
    if (*entry == '\0')
      continue;
    g_ptr_array_add (paths, sora_lora_parse (entry, &weight));
    g_array_append_val (numbers, weight);
  }
  g_ptr_array_add (paths, NULL);
  *weights = (gdouble *) g_array_free (numbers, FALSE);
  return (GStrv) g_ptr_array_free (paths, FALSE);
}
