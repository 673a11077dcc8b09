/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How a LoRA file and its weight are written in one text. */
#include <sora/lora.h>

#include <math.h>
#include <string.h>

gchar *
sora_lora_parse (const gchar *text, gdouble *weight)
{
  const gchar *colon = strrchr (text, ':');
  gchar *end;

  *weight = 1;
  if (!colon || colon == text || colon[1] == '\0' || g_ascii_isspace (colon[1]))
    return g_strdup (text);
  *weight = g_ascii_strtod (colon + 1, &end);
  if (*end == '\0' && isfinite (*weight))
    return g_strndup (text, colon - text);
  *weight = 1;
  return g_strdup (text);
}
