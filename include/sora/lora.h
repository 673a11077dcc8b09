/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How a LoRA file and its weight are written in one text. */
#pragma once

#include <sora/error.h>

G_BEGIN_DECLS

/**
 * sora_lora_parse:
 * @text: "PATH" or "PATH:WEIGHT"
 * @weight: (out): what follows the last colon if that is a finite number, else 1
 *
 * So a path with colons is written as it is; one that ends in a colon and a number needs its weight behind it.
 *
 * Returns: (transfer full): the path, for sora_stream_options_set_loras() and sora_stream_set_loras(). Any thread.
 */
SORA_API gchar *sora_lora_parse (const gchar *text, gdouble *weight);

G_END_DECLS
