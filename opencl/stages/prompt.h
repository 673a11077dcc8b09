/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Cleaning of prompts before they are tokenized, as the models' Python pipelines do it. Prompts are valid UTF-8. Any thread. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* (transfer full): each run of what Python takes for white space becomes one space, and none is left at either end. */
gchar *sora_prompt_collapse_spaces (const gchar *prompt);

/**
 * sora_prompt_clean_wan:
 *
 * What Wan's pipelines do: ftfy's fix_text() but for the repair of broken encodings, then HTML unescaped twice, then the white space as
 * above. References that were escaped again and again are undone up to a depth of some ten.
 *
 * Returns: (transfer full): in Unicode's form C
 */
gchar *sora_prompt_clean_wan (const gchar *prompt);

G_END_DECLS
