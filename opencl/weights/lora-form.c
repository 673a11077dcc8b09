/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The forms that a layer's change has (a pair, LoHa, LoKr): whether all that belongs to one is there and fits together. */

#include "weights/lora-private.h"

/* A matrix: whole, or of two halves [rows, rank] and [rank, columns...] */
typedef struct {
  SoraLoraRole whole;           /* N_ROLES: always of halves */
  SoraLoraRole up, down;
} Matrix;

#define NONE SORA_LORA_N_ROLES

static const struct {
  Matrix matrices[2];
  guint n;
  const gchar *keys;            /* for messages */
} forms[] = {
  [SORA_LORA_PAIR] = { { { NONE, SORA_LORA_UP, SORA_LORA_DOWN } }, 1, "lora_A and lora_B (or lora_down and lora_up)" },
  [SORA_LORA_LOHA] = { { { NONE, SORA_LORA_HADA_W1_A, SORA_LORA_HADA_W1_B }, { NONE, SORA_LORA_HADA_W2_A, SORA_LORA_HADA_W2_B } }, 2,
    "hada_w1_a, hada_w1_b, hada_w2_a and hada_w2_b" },
  [SORA_LORA_LOKR] = { { { SORA_LORA_LOKR_W1, SORA_LORA_LOKR_W1_A, SORA_LORA_LOKR_W1_B },
      { SORA_LORA_LOKR_W2, SORA_LORA_LOKR_W2_A, SORA_LORA_LOKR_W2_B } }, 2, "lokr_w1 and lokr_w2, each whole or as _a and _b" },
};

static const gchar *
get_key (const SoraLoraLayer *layer, SoraLoraRole role)
{
  return role == NONE ? NULL : layer->keys[role];
}

/* A key of the form, or NULL */
static const gchar *
find_key (const SoraLoraLayer *layer, SoraLoraForm form)
{
  const gchar *key = NULL;

  for (guint i = 0; i < forms[form].n && !key; i++) {
    const Matrix *m = &forms[form].matrices[i];
    key = get_key (layer, m->whole);
    key = key ? key : get_key (layer, m->down);
    key = key ? key : get_key (layer, m->up);
  }
  return key;
}

/* Either whole, or both halves, and not more */
static gboolean
is_complete (const SoraLoraLayer *layer, const Matrix *m)
{
  gboolean up = layer->keys[m->up] != NULL, down = layer->keys[m->down] != NULL;

  return get_key (layer, m->whole) ? !up && !down : up && down;
}

/* [n, rank], and ones behind it; [rank, k...]; neither is empty. */
static gboolean
check_halves (SoraLora *lora, const SoraLoraLayer *layer, const Matrix *m, GError **error)
{
  const SoraTensor *up = layer->tensors[m->up], *down = layer->tensors[m->down];

  if (down->n_dims < 2 || down->n_elements == 0)
    return sora_weight_file_fail_tensor (lora->file, error, SORA_MODEL_ERROR_WEIGHT, layer->keys[m->down],
        "expected a matrix of as many rows as the rank");
  if (up->n_dims < 2 || up->n_elements == 0 || up->n_elements != up->shape[0] * up->shape[1] || up->shape[1] != down->shape[0])
    return sora_weight_file_fail_tensor (lora->file, error, SORA_MODEL_ERROR_WEIGHT, layer->keys[m->up],
        "expected a matrix of %" G_GUINT64_FORMAT " columns, the rank of its other half", down->shape[0]);
  return TRUE;
}

static gboolean
check_matrix (SoraLora *lora, const SoraLoraLayer *layer, const Matrix *m, GError **error)
{
  const SoraTensor *whole;

  if (!get_key (layer, m->whole))
    return check_halves (lora, layer, m, error);
  whole = layer->tensors[m->whole];
  return (whole->n_dims >= 2 && whole->n_elements > 0)
      || sora_weight_file_fail_tensor (lora->file, error, SORA_MODEL_ERROR_WEIGHT, layer->keys[m->whole], "expected a matrix");
}

/* Of the first matrix that is of halves */
static guint64
find_rank (const SoraLoraLayer *layer)
{
  for (guint i = 0; i < forms[layer->form].n; i++) {
    const Matrix *m = &forms[layer->form].matrices[i];
    if (!get_key (layer, m->whole))
      return layer->tensors[m->down]->shape[0];
  }
  return 0;
}

/* What is nothing without a pair, or without a difference. FALSE with an error if that is not there */
static gboolean
check_rest (SoraLora *lora, const SoraLoraLayer *layer, GError **error)
{
  const gchar *const *keys = layer->keys;
  gboolean has_difference = keys[SORA_LORA_DIFFERENCE] || keys[SORA_LORA_BIAS_DIFFERENCE] || keys[SORA_LORA_TABLE_DIFFERENCE];
  SoraLoraRole role = keys[SORA_LORA_ALPHA] ? SORA_LORA_ALPHA : SORA_LORA_UP_BIAS;

  if (layer->form == SORA_LORA_PAIR)
    return TRUE;
  if (!keys[SORA_LORA_UP_BIAS] && (layer->form || !keys[SORA_LORA_ALPHA] || has_difference))
    return TRUE;
  return sora_weight_file_fail_tensor (lora->file, error, SORA_MODEL_ERROR_WEIGHT, keys[role] && !layer->form ? keys[role] : keys[SORA_LORA_UP_BIAS],
      "the file lacks what belongs to it: %s of the same layer", forms[SORA_LORA_PAIR].keys);
}

/* Magnitudes are of rows that a form changes. */
static gboolean
check_magnitudes (SoraLora *lora, const SoraLoraLayer *layer, GError **error)
{
  const gchar *key = layer->keys[SORA_LORA_MAGNITUDE];

  return !key || layer->form || sora_weight_file_fail_tensor (lora->file, error, SORA_MODEL_ERROR_WEIGHT, key,
      "the file lacks what belongs to it: %s of the same layer, or the keys of a LoHa or LoKr", forms[SORA_LORA_PAIR].keys);
}

/* One form, or none. FALSE with an error if keys of several are there */
static gboolean
find_form (SoraLora *lora, SoraLoraLayer *layer, GError **error)
{
  for (guint form = SORA_LORA_PAIR; form <= SORA_LORA_LOKR; form++) {
    const gchar *key = find_key (layer, form);
    if (!key)
      continue;
    if (layer->form)
      return sora_weight_file_fail_tensor (lora->file, error, SORA_MODEL_ERROR_FORMAT, key, "of another kind than %s of the same layer",
          find_key (layer, layer->form));
    layer->form = form;
  }
  return TRUE;
}

gboolean
sora_lora_layer_check (SoraLora *lora, SoraLoraLayer *layer, GError **error)
{
  if (!find_form (lora, layer, error))
    return FALSE;
  for (guint i = 0; i < forms[layer->form].n; i++) {
    const Matrix *m = &forms[layer->form].matrices[i];
    if (!is_complete (layer, m))
      return sora_weight_file_fail_tensor (lora->file, error, SORA_MODEL_ERROR_WEIGHT, find_key (layer, layer->form),
          "the file lacks what belongs to it, or has it twice: a layer needs %s", forms[layer->form].keys);
    if (!check_matrix (lora, layer, m, error))
      return FALSE;
  }
  if (!check_rest (lora, layer, error) || !check_magnitudes (lora, layer, error))
    return FALSE;
  layer->rank = find_rank (layer);
  layer->has_alpha = layer->keys[SORA_LORA_ALPHA] != NULL;
  if (!layer->has_alpha)
    layer->alpha = layer->rank;
  return TRUE;
}
