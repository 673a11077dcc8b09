/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The dialects in which the same tensors are named: each is recognised by one tensor, and translated into the names of diffusers' and
 * transformers' classes, which the stages ask for. Also shapes that some writers fold. */

#include "weights/names.h"

#include <string.h>

/* A layer's or tensor's name: # stands for a number. What follows in a name, from a dot on, stays. */
typedef struct {
  const gchar *from, *to;
} Rule;

/* Wan's own names, also those of ComfyUI and GGUF files. The original runs norm1, norm3, norm2; diffusers counts them in that order. */
static const Rule wan_rules[] = {
  { "text_embedding.0", "condition_embedder.text_embedder.linear_1" },
  { "text_embedding.2", "condition_embedder.text_embedder.linear_2" },
  { "time_embedding.0", "condition_embedder.time_embedder.linear_1" },
  { "time_embedding.2", "condition_embedder.time_embedder.linear_2" },
  { "time_projection.1", "condition_embedder.time_proj" },
  { "head.head", "proj_out" },
  { "head.modulation", "scale_shift_table" },
  { "img_emb.proj.0", "condition_embedder.image_embedder.norm1" },
  { "img_emb.proj.1", "condition_embedder.image_embedder.ff.net.0.proj" },
  { "img_emb.proj.3", "condition_embedder.image_embedder.ff.net.2" },
  { "img_emb.proj.4", "condition_embedder.image_embedder.norm2" },
  { "img_emb.emb_pos", "condition_embedder.image_embedder.pos_embed" },
  { "vace_blocks.#.before_proj", "vace_blocks.#.proj_in" },
  { "vace_blocks.#.after_proj", "vace_blocks.#.proj_out" },
#define WAN_ATTENTION(block, from, to) \
  { block ".#." from ".q", block ".#." to ".to_q" }, \
  { block ".#." from ".k", block ".#." to ".to_k" }, \
  { block ".#." from ".v", block ".#." to ".to_v" }, \
  { block ".#." from ".o", block ".#." to ".to_out.0" }, \
  { block ".#." from ".norm_q", block ".#." to ".norm_q" }, \
  { block ".#." from ".norm_k", block ".#." to ".norm_k" }
#define WAN_BLOCK(block) \
  WAN_ATTENTION (block, "self_attn", "attn1"), \
  WAN_ATTENTION (block, "cross_attn", "attn2"), \
  { block ".#.cross_attn.k_img", block ".#.attn2.add_k_proj" }, \
  { block ".#.cross_attn.v_img", block ".#.attn2.add_v_proj" }, \
  { block ".#.cross_attn.norm_k_img", block ".#.attn2.norm_added_k" }, \
  { block ".#.norm3", block ".#.norm2" }, \
  { block ".#.norm2", block ".#.norm3" }, \
  { block ".#.ffn.0", block ".#.ffn.net.0.proj" }, \
  { block ".#.ffn.2", block ".#.ffn.net.2" }, \
  { block ".#.modulation", block ".#.scale_shift_table" }
  WAN_BLOCK ("blocks"),
  WAN_BLOCK ("vace_blocks"),
  { NULL }
};

#define UMT5_LAYER(block, from_0, from_1, q, k, v, o, bias, norm_0, gate, up, down, norm_1) \
  { block ".#." from_0 q, "encoder.block.#.layer.0.SelfAttention.q" }, \
  { block ".#." from_0 k, "encoder.block.#.layer.0.SelfAttention.k" }, \
  { block ".#." from_0 v, "encoder.block.#.layer.0.SelfAttention.v" }, \
  { block ".#." from_0 o, "encoder.block.#.layer.0.SelfAttention.o" }, \
  { block ".#." bias, "encoder.block.#.layer.0.SelfAttention.relative_attention_bias" }, \
  { block ".#." norm_0, "encoder.block.#.layer.0.layer_norm" }, \
  { block ".#." from_1 gate, "encoder.block.#.layer.1.DenseReluDense.wi_0" }, \
  { block ".#." from_1 up, "encoder.block.#.layer.1.DenseReluDense.wi_1" }, \
  { block ".#." from_1 down, "encoder.block.#.layer.1.DenseReluDense.wo" }, \
  { block ".#." norm_1, "encoder.block.#.layer.1.layer_norm" }

/* Wan's UMT5: the gate, not fc1, is what the activation is applied to */
static const Rule umt5_rules[] = {
  { "token_embedding", "shared" },
  { "norm", "encoder.final_layer_norm" },
  UMT5_LAYER ("blocks", "attn.", "ffn.", "q", "k", "v", "o", "pos_embedding.embedding", "norm1", "gate.0", "fc1", "fc2", "norm2"),
  { NULL }
};

/* llama.cpp's names of a T5 encoder */
static const Rule umt5_gguf_rules[] = {
  { "token_embd", "shared" },
  { "enc.output_norm", "encoder.final_layer_norm" },
  UMT5_LAYER ("enc.blk", "", "", "attn_q", "attn_k", "attn_v", "attn_o", "attn_rel_b", "attn_norm", "ffn_gate", "ffn_up", "ffn_down",
      "ffn_norm"),
  { NULL }
};

/* Wan's CLIP, the image half of which is below "visual."; queries, keys and values are one layer, as in no other */
static const Rule clip_rules[] = {
  { "cls_embedding", "embeddings.class_embedding" },
  { "pos_embedding", "embeddings.position_embedding.weight" },
  { "patch_embedding", "embeddings.patch_embedding" },
  { "pre_norm", "pre_layrnorm" },
  { "post_norm", "post_layernorm" },
  { "transformer.#.norm1", "encoder.layers.#.layer_norm1" },
  { "transformer.#.attn.to_qkv", "encoder.layers.#.self_attn.qkv_proj" },
  { "transformer.#.attn.proj", "encoder.layers.#.self_attn.out_proj" },
  { "transformer.#.norm2", "encoder.layers.#.layer_norm2" },
  { "transformer.#.mlp.0", "encoder.layers.#.mlp.fc1" },
  { "transformer.#.mlp.2", "encoder.layers.#.mlp.fc2" },
  { NULL }
};

static const Rule no_rules[] = { { NULL } };

struct _SoraDialect {
  const gchar *marker;          /* a tensor that every such file has, and no other */
  const Rule *rules;
};

static const SoraDialect dialects[] = {
  { "head.modulation", wan_rules },
  { "scale_shift_table", no_rules },
  { "blocks.0.pos_embedding.embedding.weight", umt5_rules },
  { "enc.blk.0.attn_q.weight", umt5_gguf_rules },
  { "encoder.block.0.layer.0.SelfAttention.q.weight", no_rules },
  { "cls_embedding", clip_rules },
  { "embeddings.class_embedding", no_rules },
  /* Wan's VAE, whose two spellings its stage knows: the numbers in one follow from all sizes, not from those in the other */
  { "decoder.middle.0.residual.0.gamma", no_rules },
  { "decoder.mid_block.resnets.0.norm1.gamma", no_rules },
};

/* Before every name of the model; the first that the marker has counts, so averaged weights (ema) come before the last ones. */
static const gchar *const prefixes[] = {
  "", "model.diffusion_model.", "diffusion_model.", "model.", "transformer.",   /* ComfyUI, diffusers */
  "generator_ema.model.", "generator_ema.model._fsdp_wrapped_module.", "generator_ema.",        /* training's checkpoints */
  "generator.model.", "generator.model._fsdp_wrapped_module.", "generator.", "state_dict.model.", "state_dict.",
  "text_encoders.umt5xxl.transformer.", "first_stage_model.", "vae.",   /* ComfyUI, all in one file */
  "visual.", "vision_model.",   /* the image half of CLIP, Wan's and transformers' */
};

/* Shapes in diffusers, of tensors that some writers of GGUF, which knows 4 dimensions and drops leading ones, have folded */
static const struct {
  const gchar *name;
  guint n_dims;
} folded[] = {
  { "scale_shift_table", 3 },
  { "blocks.#.scale_shift_table", 3 },
  { "vace_blocks.#.scale_shift_table", 3 },
  { "condition_embedder.image_embedder.pos_embed", 3 },
};

/* Shapes in transformers, of tensors that Wan's CLIP has leading ones before */
static const struct {
  const gchar *name;
  guint n_dims;
} wrapped[] = {
  { "embeddings.class_embedding", 1 },
  { "embeddings.position_embedding.weight", 2 },
};

/* A number that # stands for, in a name */
static guint
span_digits (const gchar *text)
{
  return strspn (text, "0123456789");
}

/* The rest of @name behind what @pattern matches, and in *@number what its # does; NULL if it does not match */
static const gchar *
match (const gchar *pattern, const gchar *name, const gchar **number)
{
  *number = "";
  for (; *pattern; pattern++) {
    if (*pattern == '#') {
      *number = name;
      if (span_digits (name) == 0)
        return NULL;
      name += span_digits (name);
    } else if (*pattern != *name++) {
      return NULL;
    }
  }
  return *name == '\0' || *name == '.' ? name : NULL;
}

/* @name by the first rule that fits, forwards or backwards: (transfer full), NULL if none does */
static gchar *
translate (const Rule *rules, gboolean backwards, const gchar *name)
{
  for (const Rule *rule = rules; rule->from; rule++) {
    const gchar *number, *rest = match (backwards ? rule->to : rule->from, name, &number);
    const gchar *result = backwards ? rule->from : rule->to, *hash = strchr (result, '#');

    if (rest && !hash)
      return g_strconcat (result, rest, NULL);
    if (rest)
      return g_strdup_printf ("%.*s%.*s%s%s", (int) (hash - result), result, (int) span_digits (number), number, hash + 1, rest);
  }
  return NULL;
}

static gboolean
has_tensor (SoraWeightFile *file, const gchar *prefix, const gchar *marker)
{
  g_autofree gchar *name = g_strconcat (prefix, marker, NULL);

  return g_hash_table_contains (file->tensors, name) || g_hash_table_contains (file->foreign, name);
}

/* @table with its keys renamed; @new_names: old → new */
static GHashTable *
rename_keys (GHashTable *table, GHashTable *new_names, GDestroyNotify free_value)
{
  GHashTable *renamed = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, free_value);
  g_autoptr (GHashTable) old = table;
  GHashTableIter iter;
  gpointer name, value;

  g_hash_table_iter_init (&iter, old);
  while (g_hash_table_iter_next (&iter, &name, &value)) {
    g_hash_table_insert (renamed, g_strdup (g_hash_table_lookup (new_names, name)), value);
    g_hash_table_iter_steal (&iter);
    g_free (name);
  }
  return renamed;
}

/* @name without @prefix, in our dialect; as it is if it does not have the prefix: (transfer full) */
static gchar *
translate_with_prefix (const SoraDialect *dialect, const gchar *prefix, const gchar *name)
{
  gchar *translated;

  if (!g_str_has_prefix (name, prefix))
    return g_strdup (name);
  name += strlen (prefix);
  translated = translate (dialect->rules, FALSE, name);
  return translated ? translated : g_strdup (name);
}

static gboolean
apply_dialect (SoraWeightFile *file, const SoraDialect *dialect, const gchar *prefix, GError **error)
{
  g_autoptr (GPtrArray) names = sora_weight_file_copy_all_names (file);
  g_autoptr (GHashTable) new_names = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, g_free);
  g_autoptr (GHashTable) taken = g_hash_table_new (g_str_hash, g_str_equal);

  for (guint i = 0; i < names->len; i++) {
    gchar *new_name = translate_with_prefix (dialect, prefix, names->pdata[i]);
    g_hash_table_insert (new_names, names->pdata[i], new_name);
    if (!g_hash_table_add (taken, new_name))
      return sora_weight_file_fail_tensor (file, error, SORA_MODEL_ERROR_FORMAT, names->pdata[i],
          "it is there in another dialect of names too, as %s", new_name);
  }
  file->tensors = rename_keys (file->tensors, new_names, (GDestroyNotify) sora_tensor_free);
  file->foreign = rename_keys (file->foreign, new_names, g_free);
  return TRUE;
}

/* Leading ones that were dropped */
static void
restore_leading_ones (SoraTensor *tensor, guint n_dims)
{
  guint missing = n_dims - tensor->n_dims;

  memmove (tensor->shape + missing, tensor->shape, tensor->n_dims * sizeof (*tensor->shape));
  for (guint i = 0; i < missing; i++)
    tensor->shape[i] = 1;
  tensor->n_dims = n_dims;
}

static void
drop_leading_ones (SoraWeightFile *file, const gchar *name, guint n_dims)
{
  SoraTensor *tensor = g_hash_table_lookup (file->tensors, name);

  while (tensor && tensor->n_dims > n_dims && tensor->shape[0] == 1) {
    tensor->n_dims--;
    memmove (tensor->shape, tensor->shape + 1, tensor->n_dims * sizeof (*tensor->shape));
  }
}

/* Wan's patch embedding is a convolution [outputs, inputs, 1, 2, 2], whose outputs its bias counts. */
static void
unfold_patch_embedding (SoraWeightFile *file)
{
  SoraTensor *weight = g_hash_table_lookup (file->tensors, "patch_embedding.weight");
  SoraTensor *bias = g_hash_table_lookup (file->tensors, "patch_embedding.bias");
  guint64 outputs = bias ? bias->n_elements : 0;

  if (!weight || (weight->n_dims != 2 && weight->n_dims != 4) || outputs == 0 || weight->n_elements / outputs % 4 != 0
      || weight->n_elements % outputs != 0)
    return;
  weight->n_dims = 5;
  weight->shape[0] = outputs;
  weight->shape[1] = weight->n_elements / outputs / 4;
  weight->shape[2] = 1;
  weight->shape[3] = weight->shape[4] = 2;
}

static void
unfold_shapes (SoraWeightFile *file)
{
  GHashTableIter iter;
  gpointer name, value;

  g_hash_table_iter_init (&iter, file->tensors);
  while (g_hash_table_iter_next (&iter, &name, &value)) {
    SoraTensor *tensor = value;
    for (guint i = 0; i < G_N_ELEMENTS (folded); i++) {
      const gchar *number, *rest = match (folded[i].name, name, &number);
      if (rest && *rest == '\0' && tensor->n_dims < folded[i].n_dims)
        restore_leading_ones (tensor, folded[i].n_dims);
    }
  }
  unfold_patch_embedding (file);
  for (guint i = 0; i < G_N_ELEMENTS (wrapped); i++)
    drop_leading_ones (file, wrapped[i].name, wrapped[i].n_dims);
}

gboolean
sora_weight_file_translate_names (SoraWeightFile *file, GError **error)
{
  for (guint i = 0; i < G_N_ELEMENTS (dialects); i++) {
    for (guint j = 0; j < G_N_ELEMENTS (prefixes); j++) {
      if (!has_tensor (file, prefixes[j], dialects[i].marker))
        continue;
      if (!apply_dialect (file, &dialects[i], prefixes[j], error))
        return FALSE;
      file->dialect = &dialects[i];
      file->prefix = prefixes[j];
      unfold_shapes (file);
      return TRUE;
    }
  }
  return TRUE;
}

GPtrArray *
sora_name_list_spellings (const gchar *name)
{
  GPtrArray *spellings = g_ptr_array_new_with_free_func (g_free);

  g_ptr_array_add (spellings, g_strdup (name));
  for (guint i = 0; i < G_N_ELEMENTS (dialects); i++) {
    gchar *spelling = translate (dialects[i].rules, TRUE, name);
    if (spelling)
      g_ptr_array_add (spellings, spelling);
  }
  return spellings;
}

gchar *
sora_weight_file_spell (SoraWeightFile *file, const gchar *name)
{
  g_autofree gchar *original = file->dialect ? translate (file->dialect->rules, TRUE, name) : NULL;

  if (!file->dialect || (!original && !*file->prefix))
    return NULL;
  return g_strconcat (file->prefix, original ? original : name, NULL);
}

const gchar *
sora_weight_file_get_prefix (SoraWeightFile *file)
{
  return file->dialect ? file->prefix : "";
}
