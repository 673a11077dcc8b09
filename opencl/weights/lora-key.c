/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Takes the keys of LoRA files apart: prefixes that say which tool wrote them, the layer's name, and a suffix that says what is there. */

#include "weights/lora-private.h"

#include <string.h>

/* Before a layer's name, also several. Longer ones come before those they begin with. */
static const struct {
  const gchar *text;
  SoraLoraPart part;
} prefixes[] = {
  { "base_model.model.", SORA_LORA_ANY },       /* peft */
  { "model.", SORA_LORA_ANY },
  { "diffusion_model.", SORA_LORA_TRANSFORMER },        /* ComfyUI and most trainers */
  { "transformer.", SORA_LORA_TRANSFORMER },    /* diffusers */
  { "pipe.dit.", SORA_LORA_TRANSFORMER },       /* DiffSynth */
  { "dit.", SORA_LORA_TRANSFORMER },
  { "lora_unet__", SORA_LORA_TRANSFORMER },     /* Wan Fun */
  { "lora_unet_", SORA_LORA_TRANSFORMER },     /* kohya, musubi-tuner */
  { "lora_transformer_", SORA_LORA_TRANSFORMER },
  { "lycoris_", SORA_LORA_TRANSFORMER },
  { "text_encoders.umt5xxl.transformer.", SORA_LORA_TEXT_ENCODER },
  { "text_encoders.umt5xxl.", SORA_LORA_TEXT_ENCODER },
  { "text_encoders.", SORA_LORA_TEXT_ENCODER },
  { "text_encoder.", SORA_LORA_TEXT_ENCODER },
  { "lora_te1_", SORA_LORA_TEXT_ENCODER },
  { "lora_te_", SORA_LORA_TEXT_ENCODER },
};

/* What PyTorch puts anywhere into names while it trains */
static const gchar *const wrappers[] = { "_fsdp_wrapped_module.", "_checkpoint_wrapped_module.", "_orig_mod." };

/* A half of a pair, and DoRA's magnitudes in peft's words, may have the name of their adapter in them, which is "default" if nobody gave it one. */
#define SUFFIX "^(.+?)\\.(?|lora[_.](A|B|down|up)(?:\\.[^.]+)?\\.(weight|bias)|(alpha|diff|diff_b|diff_m" \
  "|hada_w[12]_[ab]|lokr_w[12](?:_[ab])?|dora_scale)|(lora_magnitude_vector)(?:\\.[^.]+){0,2})$"

static const struct {
  const gchar *word, *leaf;
  SoraLoraRole role;
} suffixes[] = {
  { "A", "weight", SORA_LORA_DOWN }, { "down", "weight", SORA_LORA_DOWN },
  { "B", "weight", SORA_LORA_UP }, { "up", "weight", SORA_LORA_UP },
  { "B", "bias", SORA_LORA_UP_BIAS }, { "up", "bias", SORA_LORA_UP_BIAS },
  { "alpha", "", SORA_LORA_ALPHA },
  { "diff", "", SORA_LORA_DIFFERENCE }, { "diff_b", "", SORA_LORA_BIAS_DIFFERENCE }, { "diff_m", "", SORA_LORA_TABLE_DIFFERENCE },
  { "hada_w1_a", "", SORA_LORA_HADA_W1_A }, { "hada_w1_b", "", SORA_LORA_HADA_W1_B },
  { "hada_w2_a", "", SORA_LORA_HADA_W2_A }, { "hada_w2_b", "", SORA_LORA_HADA_W2_B },
  { "lokr_w1", "", SORA_LORA_LOKR_W1 }, { "lokr_w1_a", "", SORA_LORA_LOKR_W1_A }, { "lokr_w1_b", "", SORA_LORA_LOKR_W1_B },
  { "lokr_w2", "", SORA_LORA_LOKR_W2 }, { "lokr_w2_a", "", SORA_LORA_LOKR_W2_A }, { "lokr_w2_b", "", SORA_LORA_LOKR_W2_B },
  { "dora_scale", "", SORA_LORA_MAGNITUDE }, { "lora_magnitude_vector", "", SORA_LORA_MAGNITUDE },
};

static const GRegex *
get_suffix_regex (void)
{
  static GRegex *regex;

  if (g_once_init_enter (&regex))
    g_once_init_leave (&regex, g_regex_new (SUFFIX, G_REGEX_OPTIMIZE, 0, NULL));
  return regex;
}

/* FALSE for a suffix of none of the roles */
static gboolean
find_role (SoraLoraKey *parsed, const gchar *word, const gchar *leaf)
{
  for (guint i = 0; i < G_N_ELEMENTS (suffixes); i++) {
    if (g_str_equal (suffixes[i].word, word) && g_str_equal (suffixes[i].leaf, leaf)) {
      parsed->role = suffixes[i].role;
      return TRUE;
    }
  }
  return FALSE;
}

/* Moves one prefix from @name to @parsed; FALSE if there is none. */
static gboolean
strip_prefix (SoraLoraKey *parsed, GString *name)
{
  for (guint i = 0; i < G_N_ELEMENTS (prefixes); i++) {
    if (!g_str_has_prefix (name->str, prefixes[i].text))
      continue;
    g_string_append (parsed->prefix, prefixes[i].text);
    g_string_erase (name, 0, strlen (prefixes[i].text));
    parsed->part = MAX (parsed->part, prefixes[i].part);
    return TRUE;
  }
  return FALSE;
}

static void
strip (SoraLoraKey *parsed, const gchar *name)
{
  GString *rest = g_string_new (name);

  parsed->prefix = g_string_new (NULL);
  for (guint i = 0; i < G_N_ELEMENTS (wrappers); i++)
    g_string_replace (rest, wrappers[i], "", 0);
  while (strip_prefix (parsed, rest));
  parsed->layer = g_string_free (rest, FALSE);
}

gboolean
sora_lora_key_parse (SoraLoraKey *parsed, const gchar *key)
{
  g_autoptr (GMatchInfo) match = NULL;
  g_autofree gchar *name = NULL, *word = NULL, *leaf = NULL;

  *parsed = (SoraLoraKey) { 0 };
  if (!g_regex_match (get_suffix_regex (), key, 0, &match))
    return FALSE;
  name = g_match_info_fetch (match, 1);
  word = g_match_info_fetch (match, 2);
  leaf = g_match_info_fetch (match, 3);
  if (!find_role (parsed, word, leaf ? leaf : ""))
    return FALSE;
  strip (parsed, name);
  return TRUE;
}

void
sora_lora_key_clear (SoraLoraKey *parsed)
{
  g_clear_pointer (&parsed->layer, g_free);
  if (parsed->prefix)
    g_string_free (g_steal_pointer (&parsed->prefix), TRUE);
}
