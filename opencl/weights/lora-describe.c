/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A LoRA file in words, without the model that it is for. */

#include "weights/lora-private.h"

#include <string.h>

/* How layers of the text encoder begin in every dialect, with underscores; a transformer has none of them */
static const gchar *const encoder_layers[] = {
  "encoder_", "shared", "token_embedding", "token_embd", "enc_", "blocks_#_attn_", "blocks_#_ffn_gate", "blocks_#_ffn_fc", "norm",
  "blocks_#_pos_embedding",
};
/* What only diffusers calls the layers of a transformer */
static const gchar *const diffusers_words[] = { "_attn1_", "_attn2_", "_ffn_net_", "condition_embedder_", "proj_out", "scale_shift_table" };

/* Whether @name begins as @pattern does, in which # stands for a number */
static gboolean
begins_as (const gchar *name, const gchar *pattern)
{
  for (; *pattern; pattern++) {
    guint digits = strspn (name, "0123456789");
    if (*pattern == '#' ? digits == 0 : *pattern != *name)
      return FALSE;
    name += *pattern == '#' ? digits : 1;
  }
  return TRUE;
}

static SoraLoraPart
guess_part (const SoraLoraLayer *layer)
{
  g_autofree gchar *name = g_strdelimit (g_strdup (layer->name), ".", '_');

  if (layer->part != SORA_LORA_ANY)
    return layer->part;
  for (guint i = 0; i < G_N_ELEMENTS (encoder_layers); i++) {
    if (begins_as (name, encoder_layers[i]))
      return SORA_LORA_TEXT_ENCODER;
  }
  return SORA_LORA_TRANSFORMER;
}

static gboolean
is_diffusers (const SoraLoraLayer *layer)
{
  g_autofree gchar *name = g_strdelimit (g_strdup (layer->name), ".", '_');

  for (guint i = 0; i < G_N_ELEMENTS (diffusers_words); i++) {
    if (strstr (name, diffusers_words[i]))
      return TRUE;
  }
  return FALSE;
}

/* ", WHAT 4 to 8": the range of @values, if there are any */
static void
append_range (GString *text, const gchar *what, GArray *values)
{
  gdouble least = G_MAXDOUBLE, most = -G_MAXDOUBLE;

  for (guint i = 0; i < values->len; i++) {
    least = MIN (least, g_array_index (values, gdouble, i));
    most = MAX (most, g_array_index (values, gdouble, i));
  }
  if (values->len == 0)
    return;
  g_string_append_printf (text, ", %s %g", what, least);
  if (most > least)
    g_string_append_printf (text, " to %g", most);
}

/* "10 layers, rank 4 to 8, alpha 4, 2 whole differences" */
static void
append_part (GString *text, SoraLora *lora, SoraLoraPart part, const gchar *what)
{
  g_autoptr (GArray) ranks = g_array_new (FALSE, FALSE, sizeof (gdouble)), alphas = g_array_new (FALSE, FALSE, sizeof (gdouble));
  guint n = 0, n_differences = 0, n_magnitudes = 0, n_forms[SORA_LORA_LOKR + 1] = { 0 };

  for (guint i = 0; i < lora->layers->len; i++) {
    const SoraLoraLayer *layer = lora->layers->pdata[i];
    if (guess_part (layer) != part)
      continue;
    n++;
    for (guint role = SORA_LORA_DIFFERENCE; role <= SORA_LORA_TABLE_DIFFERENCE; role++)
      n_differences += layer->keys[role] != NULL;
    n_magnitudes += layer->keys[SORA_LORA_MAGNITUDE] != NULL;
    n_forms[layer->form]++;
    if (layer->rank > 0) {
      gdouble rank = layer->rank;
      g_array_append_val (ranks, rank);
      if (layer->has_alpha)
        g_array_append_val (alphas, layer->alpha);
    }
  }
  if (n == 0)
    return;
  g_string_append_printf (text, "%-13s %u layer%s", what, n, n == 1 ? "" : "s");
  if (n_forms[SORA_LORA_LOHA] > 0)
    g_string_append (text, ", LoHa");
  if (n_forms[SORA_LORA_LOKR] > 0)
    g_string_append (text, ", LoKr");
  if (n_magnitudes > 0)
    g_string_append (text, ", DoRA");
  append_range (text, "rank", ranks);
  append_range (text, "alpha", alphas);
  if (n_differences > 0)
    g_string_append_printf (text, ", %u whole difference%s", n_differences, n_differences == 1 ? "" : "s");
  g_string_append_c (text, '\n');
}

/* Of the first layer, which speaks for the others */
static void
append_names (GString *text, SoraLora *lora)
{
  const SoraLoraLayer *first = lora->layers->pdata[0];
  const gchar *dialect = guess_part (first) == SORA_LORA_TEXT_ENCODER ? "a text encoder's names" : "Wan's own names";

  for (guint i = 0; i < lora->layers->len; i++) {
    if (is_diffusers (lora->layers->pdata[i]))
      dialect = "diffusers' names";
  }
  g_string_append_printf (text, "names         %s", dialect);
  if (!strchr (first->name, '.') && strchr (first->name, '_'))
    g_string_append (text, " with underscores");
  if (*first->prefix)
    g_string_append_printf (text, " after \"%s\"", first->prefix);
  for (guint role = 0; role < SORA_LORA_N_ROLES; role++) {
    if (first->keys[role]) {
      g_string_append_printf (text, ", as %s\n", first->keys[role]);
      return;
    }
  }
}

static void
append_size (GString *text, SoraLora *lora)
{
  g_autofree gchar *size = g_format_size (sora_weight_file_get_bytes (lora->file));
  gboolean used[SORA_N_DTYPES] = { FALSE };

  for (guint i = 0; i < lora->layers->len; i++) {
    const SoraLoraLayer *layer = lora->layers->pdata[i];
    for (guint role = 0; role < SORA_LORA_N_ROLES; role++) {
      if (layer->tensors[role] && role != SORA_LORA_ALPHA)
        used[layer->tensors[role]->dtype] = TRUE;
    }
  }
  g_string_append_printf (text, "size          %s", size);
  for (guint i = 0; i < G_N_ELEMENTS (used); i++) {
    if (used[i])
      g_string_append_printf (text, ", %s", sora_dtype_name (i));
  }
  g_string_append_c (text, '\n');
}

gchar *
sora_lora_describe (SoraLora *lora)
{
  GString *text = g_string_new (NULL);

  g_string_append_printf (text, "path          %s\nkind          LoRA\n", sora_weight_file_get_path (lora->file));
  append_part (text, lora, SORA_LORA_TRANSFORMER, "transformer");
  append_part (text, lora, SORA_LORA_TEXT_ENCODER, "text encoder");
  append_names (text, lora);
  append_size (text, lora);
  return g_string_free (text, FALSE);
}
