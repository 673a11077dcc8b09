/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Finds what a LoRA changes among a model's tensors, and makes a file in which those tensors carry it. */

#include "weights/lora-private.h"

#include <string.h>

#include "weights/names.h"

/* One part of the model */
typedef struct {
  SoraWeightFile *base;
  GHashTable *layers;           /* layers and tensors by what LoRAs may call them, with underscores → our name; made when one asks */
  GHashTable *patched;          /* our name of a tensor → Patched */
} Part;

struct _SoraLoraMerger {
  Part parts[SORA_LORA_N_PARTS];        /* ANY has none */
  GPtrArray *loras;             /* those that were added; the files that are made hold it too */
};

/* What is added to a tensor so far */
typedef struct {
  GArray *items;                /* SoraTensorPatch */
  GString *id;
} Patched;

static void
patched_free (Patched *patched)
{
  g_array_unref (patched->items);
  g_string_free (patched->id, TRUE);
  g_free (patched);
}

SoraLoraMerger *
sora_lora_merger_new (SoraWeightFile *transformer, SoraWeightFile *text_encoder)
{
  SoraLoraMerger *merger = g_new0 (SoraLoraMerger, 1);

  merger->parts[SORA_LORA_TRANSFORMER].base = transformer;
  merger->parts[SORA_LORA_TEXT_ENCODER].base = text_encoder;
  for (guint i = 0; i < SORA_LORA_N_PARTS; i++)
    merger->parts[i].patched = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify) patched_free);
  merger->loras = g_ptr_array_new_with_free_func ((GDestroyNotify) sora_lora_unref);
  return merger;
}

void
sora_lora_merger_free (SoraLoraMerger *merger)
{
  for (guint i = 0; i < SORA_LORA_N_PARTS; i++) {
    g_hash_table_unref (merger->parts[i].patched);
    g_clear_pointer (&merger->parts[i].layers, g_hash_table_unref);
  }
  g_ptr_array_unref (merger->loras);
  g_free (merger);
}

/* --- names ------------------------------------------------------------------------------------------------------- */

/* As LoRAs have it that know no dots: (transfer full) */
static gchar *
underscore (const gchar *name)
{
  return g_strdelimit (g_strdup (name), ".", '_');
}

/* Notes that @spelling is our @layer, unless it is another's. */
static void
add_spelling (GHashTable *layers, const gchar *spelling, const gchar *layer)
{
  gchar *underscored = underscore (spelling);

  if (g_hash_table_contains (layers, underscored))
    g_free (underscored);
  else
    g_hash_table_insert (layers, underscored, g_strdup (layer));
}

/* A tensor's layer, or the tensor itself if it is no weight and no bias: (transfer full) */
static gchar *
get_layer (const gchar *name)
{
  static const gchar *const leaves[] = { ".weight", ".bias" };

  for (guint i = 0; i < G_N_ELEMENTS (leaves); i++) {
    if (g_str_has_suffix (name, leaves[i]))
      return g_strndup (name, strlen (name) - strlen (leaves[i]));
  }
  return g_strdup (name);
}

/* Our own names come before those of other dialects, which swap some. */
static void
list_layers (Part *part)
{
  g_autoptr (GPtrArray) names = sora_weight_file_get_names (part->base);

  part->layers = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  for (guint i = 0; i < names->len; i++) {
    g_autofree gchar *layer = get_layer (names->pdata[i]);
    add_spelling (part->layers, layer, layer);
  }
  for (guint i = 0; i < names->len; i++) {
    g_autofree gchar *layer = get_layer (names->pdata[i]);
    g_autoptr (GPtrArray) spellings = sora_name_list_spellings (layer);
    for (guint j = 1; j < spellings->len; j++)
      add_spelling (part->layers, spellings->pdata[j], layer);
  }
}

/* Our name of the layer or tensor @name, of any dialect; NULL if @part has none */
static const gchar *
find_layer (Part *part, const gchar *name)
{
  g_autofree gchar *underscored = underscore (name);

  if (!part->base)
    return NULL;
  if (!part->layers)
    list_layers (part);
  return g_hash_table_lookup (part->layers, underscored);
}

/* --- targets ----------------------------------------------------------------------------------------------------- */

/* A LoRA that is being added */
typedef struct {
  SoraLoraMerger *merger;
  SoraLora *lora;
  gdouble weight;
  GHashTable *taken;            /* part and our name of what it has changed already, and whether by a pair → its key, which is the file's */
} Addition;

/* What one key changes */
typedef struct {
  Part *part;
  gchar *name;                  /* ours, of the tensor */
  const SoraTensor *tensor;
} Target;

static void
target_clear (Target *target)
{
  g_free (target->name);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Target, target_clear)

static gboolean
is_bias (SoraLoraRole role)
{
  return role == SORA_LORA_UP_BIAS || role == SORA_LORA_BIAS_DIFFERENCE;
}

/* Sets @target if @part has it. */
static gboolean
find_in_part (Target *target, Part *part, const gchar *layer, SoraLoraRole role)
{
  static const gchar *const leaves[] = { ".weight", "" };

  target->part = part;
  for (guint i = 0; i < G_N_ELEMENTS (leaves) && !target->tensor; i++) {
    g_free (target->name);
    target->name = g_strconcat (layer, is_bias (role) ? ".bias" : leaves[i], NULL);
    target->tensor = sora_weight_file_peek (part->base, target->name);
  }
  return target->tensor != NULL;
}

/* Looks where the key says; where it does not, in the transformer first. */
static gboolean
find_target (const Addition *addition, Target *target, const SoraLoraLayer *layer, SoraLoraRole role, GError **error)
{
  g_autofree gchar *name = g_strconcat (layer->name, role == SORA_LORA_TABLE_DIFFERENCE ? ".modulation" : "", NULL);
  gboolean found = FALSE;

  for (guint i = SORA_LORA_TRANSFORMER; i < SORA_LORA_N_PARTS; i++) {
    const gchar *ours = layer->part == SORA_LORA_ANY || layer->part == i ? find_layer (&addition->merger->parts[i], name) : NULL;
    if (ours && find_in_part (target, &addition->merger->parts[i], ours, role))
      return TRUE;
    found |= ours != NULL;
  }
  return sora_weight_file_fail_tensor (addition->lora->file, error, SORA_MODEL_ERROR_WEIGHT, layer->keys[role],
      "the model has no %s \"%s\": the LoRA is for another one", !found ? "layer" : is_bias (role) ? "bias in" : "weight in", name);
}

/* Whether the same but for sizes of 1 */
static gboolean
same_shape (const SoraTensor *a, const SoraTensor *b)
{
  guint i = 0, j = 0;

  while (TRUE) {
    for (; i < a->n_dims && a->shape[i] == 1; i++);
    for (; j < b->n_dims && b->shape[j] == 1; j++);
    if (i == a->n_dims || j == b->n_dims)
      return i == a->n_dims && j == b->n_dims;
    if (a->shape[i++] != b->shape[j++])
      return FALSE;
  }
}

static guint64
count_rows (const SoraTensorMatrix *m)
{
  return m->up ? m->up->shape[0] : m->down->shape[0];
}

static guint64
count_columns (const SoraTensorMatrix *m)
{
  return m->down->n_elements / m->down->shape[0];
}

static gboolean
matrix_fits (const SoraTensorMatrix *m, guint64 n, guint64 k)
{
  return count_rows (m) == n && count_columns (m) == k;
}

static gboolean
fits (const SoraTensorPatch *patch, const SoraTensor *target)
{
  guint64 n, k;

  if (patch->product == SORA_TENSOR_ONE && !patch->a.up)
    return same_shape (patch->a.down, target);
  if (target->n_dims < 2 || target->n_elements == 0)
    return FALSE;
  n = target->shape[0];
  k = target->n_elements / n;
  if (patch->product == SORA_TENSOR_KRONECKER)
    return n % count_rows (&patch->b) == 0 && k % count_columns (&patch->b) == 0
        && matrix_fits (&patch->a, n / count_rows (&patch->b), k / count_columns (&patch->b));
  return matrix_fits (&patch->a, n, k) && (patch->product == SORA_TENSOR_ONE || matrix_fits (&patch->b, n, k));
}

/* (transfer full): "[4, 2] by [2, 6]" */
static gchar *
format_matrix (const SoraTensorMatrix *m)
{
  g_autofree gchar *up = m->up ? sora_shape_format (m->up->shape, m->up->n_dims, "0") : NULL;
  g_autofree gchar *down = sora_shape_format (m->down->shape, m->down->n_dims, "0");

  return g_strconcat (up ? up : "", up ? " by " : "", down, NULL);
}

static gboolean
check_shape (const Addition *addition, const gchar *key, const SoraTensorPatch *patch, const SoraTensor *target, GError **error)
{
  g_autofree gchar *a = NULL, *b = NULL, *wanted = NULL;

  if (fits (patch, target))
    return TRUE;
  a = format_matrix (&patch->a);
  b = patch->product == SORA_TENSOR_ONE ? NULL : format_matrix (&patch->b);
  wanted = sora_shape_format (target->shape, target->n_dims, "0");
  return sora_weight_file_fail_tensor (addition->lora->file, error, SORA_MODEL_ERROR_WEIGHT, key, "its shape %s%s%s does not fit the model's \"%s\", "
      "which has %s: the LoRA is for another one", a, b ? " with " : "", b ? b : "", target->name, wanted);
}

/* One magnitude a row: [n], ones behind it or, of peft's convolutions, around it. Those of columns, [1, k], would take the whole matrix for each row. */
static gboolean
check_magnitudes (const Addition *addition, const gchar *key, const SoraTensor *magnitudes, const SoraTensor *target, GError **error)
{
  guint64 n = target->shape[0];
  g_autofree gchar *shape = NULL, *wanted = NULL;

  if (magnitudes->n_elements == n && (magnitudes->n_dims == 1 || magnitudes->shape[0] == n
          || (magnitudes->n_dims > 2 && magnitudes->shape[1] == n)))
    return TRUE;
  shape = sora_shape_format (magnitudes->shape, magnitudes->n_dims, "0");
  if (magnitudes->n_dims == 2 && magnitudes->shape[0] == 1)
    return sora_weight_file_fail_tensor (addition->lora->file, error, SORA_MODEL_ERROR_UNSUPPORTED, key, "its shape %s is that of the magnitudes of "
        "inputs, but only those of outputs, [n] or [n, 1], are understood: they are what training gives on the output axis (LyCORIS: wd_on_output)", shape);
  wanted = sora_shape_format (target->shape, target->n_dims, "0");
  return sora_weight_file_fail_tensor (addition->lora->file, error, SORA_MODEL_ERROR_WEIGHT, key, "its shape %s is not one number for each row of the "
      "model's \"%s\", which has %s: the LoRA is for another one", shape, target->name, wanted);
}

/* Two keys for one tensor, in two dialects say, would count twice. A pair and a difference may both be there. */
static gboolean
take_target (Addition *addition, const Target *target, SoraLoraRole role, const gchar *key, GError **error)
{
  gboolean is_difference = role >= SORA_LORA_DIFFERENCE && role <= SORA_LORA_TABLE_DIFFERENCE;
  gchar *mark = g_strdup_printf ("%u %u %s", (guint) (target->part - addition->merger->parts), is_difference, target->name);
  const gchar *other = g_hash_table_lookup (addition->taken, mark);

  g_hash_table_insert (addition->taken, mark, (gpointer) key);
  return !other || sora_weight_file_fail_tensor (addition->lora->file, error, SORA_MODEL_ERROR_FORMAT, key, "it changes the same as \"%s\"", other);
}

/* --- merging ----------------------------------------------------------------------------------------------------- */

static void
add_patch (const Addition *addition, const Target *target, const SoraTensorPatch *patch)
{
  Patched *patched = g_hash_table_lookup (target->part->patched, target->name);

  if (addition->weight == 0)
    return;
  if (!patched) {
    patched = g_new0 (Patched, 1);
    patched->items = g_array_new (FALSE, FALSE, sizeof (SoraTensorPatch));
    patched->id = g_string_new (NULL);
    g_hash_table_insert (target->part->patched, g_strdup (target->name), patched);
  }
  g_array_append_val (patched->items, *patch);
  g_string_append_printf (patched->id, "%s*%a;", addition->lora->id, addition->weight);
}

/* Adds @patch, which is what @layer has for @role; its factor is without the LoRA's weight. With magnitudes it stays so, as the difference is to make
 * the rows that were trained, to which the weight is the way. */
static gboolean
add_change (Addition *addition, const SoraLoraLayer *layer, SoraLoraRole role, SoraTensorPatch patch, GError **error)
{
  g_auto (Target) target = { 0 };

  patch.weight = addition->weight;
  if (!patch.magnitudes)
    patch.factor *= addition->weight;
  if (!find_target (addition, &target, layer, role, error) || !check_shape (addition, layer->keys[role], &patch, target.tensor, error)
      || !take_target (addition, &target, role, layer->keys[role], error))
    return FALSE;
  if (patch.magnitudes && !check_magnitudes (addition, layer->keys[SORA_LORA_MAGNITUDE], patch.magnitudes, target.tensor, error))
    return FALSE;
  add_patch (addition, &target, &patch);
  return TRUE;
}

/* A whole difference, if there is one of that role */
static gboolean
add_role (Addition *addition, const SoraLoraLayer *layer, SoraLoraRole role, gdouble factor, GError **error)
{
  const SoraTensorPatch patch = { .a.down = layer->tensors[role], .factor = factor };

  return !layer->keys[role] || add_change (addition, layer, role, patch, error);
}

static SoraTensorMatrix
get_matrix (const SoraLoraLayer *layer, SoraLoraRole whole, SoraLoraRole up, SoraLoraRole down)
{
  if (layer->tensors[whole])
    return (SoraTensorMatrix) { NULL, layer->tensors[whole] };
  return (SoraTensorMatrix) { layer->tensors[up], layer->tensors[down] };
}

/* What the layer's form says; @scale: alpha / rank */
static gboolean
add_form (Addition *addition, const SoraLoraLayer *layer, gdouble scale, GError **error)
{
  SoraTensorPatch patch = { .factor = scale, .magnitudes = layer->tensors[SORA_LORA_MAGNITUDE] };
  SoraLoraRole role = SORA_LORA_DOWN;   /* that errors name */

  switch (layer->form) {
    case SORA_LORA_PAIR:
      patch.a = (SoraTensorMatrix) { layer->tensors[SORA_LORA_UP], layer->tensors[SORA_LORA_DOWN] };
      break;
    case SORA_LORA_LOHA:
      role = SORA_LORA_HADA_W1_B;
      patch.product = SORA_TENSOR_HADAMARD;
      patch.a = (SoraTensorMatrix) { layer->tensors[SORA_LORA_HADA_W1_A], layer->tensors[SORA_LORA_HADA_W1_B] };
      patch.b = (SoraTensorMatrix) { layer->tensors[SORA_LORA_HADA_W2_A], layer->tensors[SORA_LORA_HADA_W2_B] };
      break;
    case SORA_LORA_LOKR:
      role = layer->keys[SORA_LORA_LOKR_W1] ? SORA_LORA_LOKR_W1 : SORA_LORA_LOKR_W1_B;
      patch.product = SORA_TENSOR_KRONECKER;
      patch.a = get_matrix (layer, SORA_LORA_LOKR_W1, SORA_LORA_LOKR_W1_A, SORA_LORA_LOKR_W1_B);
      patch.b = get_matrix (layer, SORA_LORA_LOKR_W2, SORA_LORA_LOKR_W2_A, SORA_LORA_LOKR_W2_B);
      break;
    default:
      return TRUE;
  }
  return add_change (addition, layer, role, patch, error);
}

static gboolean
add_layer (Addition *addition, const SoraLoraLayer *layer, GError **error)
{
  gdouble scale = layer->rank > 0 ? layer->alpha / layer->rank : 1;

  return add_form (addition, layer, scale, error) && add_role (addition, layer, SORA_LORA_UP_BIAS, scale, error)
      && add_role (addition, layer, SORA_LORA_DIFFERENCE, 1, error) && add_role (addition, layer, SORA_LORA_BIAS_DIFFERENCE, 1, error)
      && add_role (addition, layer, SORA_LORA_TABLE_DIFFERENCE, 1, error);
}

gboolean
sora_lora_merger_add (SoraLoraMerger *merger, SoraLora *lora, gdouble weight, GError **error)
{
  g_autoptr (GHashTable) taken = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  Addition addition = { merger, lora, weight, taken };

  for (guint i = 0; i < lora->layers->len; i++) {
    if (!add_layer (&addition, lora->layers->pdata[i], error))
      return FALSE;
  }
  g_ptr_array_add (merger->loras, sora_lora_ref (lora));
  return TRUE;
}

static void
patches_free (SoraTensorPatches *patches)
{
  g_free ((gpointer) patches->items);
  g_free ((gpointer) patches->id);
  g_free (patches);
}

static SoraTensorPatches *
patches_new (const Patched *patched)
{
  SoraTensorPatches *patches = g_new (SoraTensorPatches, 1);

  *patches = (SoraTensorPatches) { .id = g_strdup (patched->id->str), .n = patched->items->len,
    .items = g_memdup2 (patched->items->data, patched->items->len * sizeof (SoraTensorPatch)) };
  return patches;
}

/* @tensor, with its patches if it has any */
static SoraTensor *
copy_tensor (SoraWeightFile *file, const SoraTensor *tensor, const Patched *patched)
{
  SoraTensor *copy = g_memdup2 (tensor, sizeof (*tensor));

  copy->name = g_strdup (tensor->name);
  if (patched) {
    SoraTensorPatches *patches = patches_new (patched);
    g_ptr_array_add (file->patches, patches);
    copy->patches = patches;
  }
  return copy;
}

/* What is kept in a file beside its weights is not asked of this one. */
SoraWeightFile *
sora_lora_merger_get_file (SoraLoraMerger *merger, SoraLoraPart part)
{
  GHashTable *patched = merger->parts[part].patched;
  SoraWeightFile *base = merger->parts[part].base, *file;
  GHashTableIter iter;
  gpointer name, value;

  if (g_hash_table_size (patched) == 0)
    return NULL;
  file = sora_weight_file_new (base->path);
  file->base = base;
  file->dialect = base->dialect;
  file->prefix = base->prefix;
  file->size = base->size;
  file->patches = g_ptr_array_new_with_free_func ((GDestroyNotify) patches_free);
  file->loras = g_ptr_array_ref (merger->loras);
  g_hash_table_iter_init (&iter, base->tensors);
  while (g_hash_table_iter_next (&iter, &name, &value))
    g_hash_table_insert (file->tensors, g_strdup (name), copy_tensor (file, value, g_hash_table_lookup (patched, name)));
  g_hash_table_iter_init (&iter, base->foreign);
  while (g_hash_table_iter_next (&iter, &name, &value))
    g_hash_table_insert (file->foreign, g_strdup (name), g_strdup (value));
  return file;
}
