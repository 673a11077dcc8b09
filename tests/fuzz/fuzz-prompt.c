/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Any text cleaned as a prompt, by an HTML parser too: it stays text, with no white space to spare. For libFuzzer: scripts/fuzz. */

#include <string.h>

#include "stages/prompt.h"

int LLVMFuzzerTestOneInput (const guint8 *data, size_t size);

static void
check_cleaned (const gchar *text)
{
  g_autofree gchar *again = sora_prompt_collapse_spaces (text);

  g_assert_true (g_utf8_validate (text, -1, NULL));
  g_assert_cmpstr (again, ==, text);
}

int
LLVMFuzzerTestOneInput (const guint8 *data, size_t size)
{
  g_autofree gchar *bytes = g_strndup ((const gchar *) data, size), *prompt = g_utf8_make_valid (bytes, -1);
  g_autofree gchar *collapsed = sora_prompt_collapse_spaces (prompt), *cleaned = sora_prompt_clean_wan (prompt);

  check_cleaned (collapsed);
  check_cleaned (cleaned);
  return 0;
}
