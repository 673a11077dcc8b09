/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names of tensors: which dialect and prefix a file is taken to have, what stays as it is, and names that collide. */

#include <string.h>

#include "weight-support.h"

#define MAX_NAMES 8

/* A file of one-element tensors with these names */
static GByteArray *
make (const gchar *const *names)
{
  WeightTestTensor tensors[MAX_NAMES];
  guint n = 0;

  for (; names[n]; n++)
    tensors[n] = (WeightTestTensor) { names[n], "F32", "[1]", 4 };
  return weight_test_safetensors (tensors, n);
}

typedef struct {
  const gchar *name;
  const gchar *before[MAX_NAMES], *after[MAX_NAMES];    /* in no order */
} Case;

static const Case cases[] = {
  { "plain", { "a.weight", "model.b.weight" }, { "a.weight", "model.b.weight" } },
  { "diffusers", { "scale_shift_table", "blocks.0.norm2.weight", "blocks.0.attn1.to_q.weight" },
    { "scale_shift_table", "blocks.0.norm2.weight", "blocks.0.attn1.to_q.weight" } },
  { "diffusers-prefix", { "transformer.scale_shift_table", "transformer.proj_out.weight", "other" },
    { "scale_shift_table", "proj_out.weight", "other" } },
  { "norms-change-places", { "head.modulation", "blocks.3.norm2.weight", "blocks.3.norm3.weight" },
    { "scale_shift_table", "blocks.3.norm3.weight", "blocks.3.norm2.weight" } },
  { "image", { "head.modulation", "img_emb.proj.0.bias", "blocks.12.cross_attn.k_img.weight", "blocks.12.cross_attn.norm_k_img.weight" },
    { "scale_shift_table", "condition_embedder.image_embedder.norm1.bias", "blocks.12.attn2.add_k_proj.weight",
      "blocks.12.attn2.norm_added_k.weight" } },
  { "vace", { "head.modulation", "vace_blocks.0.before_proj.weight", "vace_blocks.0.self_attn.o.bias", "vace_patch_embedding.bias" },
    { "scale_shift_table", "vace_blocks.0.proj_in.weight", "vace_blocks.0.attn1.to_out.0.bias", "vace_patch_embedding.bias" } },
  { "no-layers", { "head.modulation", "blocks.x.self_attn.q.weight", "blocks.0.self_attn.qq.weight", "blocks.0.self_attn", "head.heads",
      "blocks..modulation", "xblocks.0.modulation" },
    { "scale_shift_table", "blocks.x.self_attn.q.weight", "blocks.0.self_attn.qq.weight", "blocks.0.self_attn", "head.heads",
      "blocks..modulation", "xblocks.0.modulation" } },
  { "prefix", { "model.diffusion_model.head.modulation", "model.diffusion_model.head.head.bias", "first_stage_model.x" },
    { "scale_shift_table", "proj_out.bias", "first_stage_model.x" } },
  { "short-prefix", { "model.head.modulation", "model.blocks.0.modulation" }, { "scale_shift_table", "blocks.0.scale_shift_table" } },
  { "averaged-first", { "generator.model.head.modulation", "generator_ema.model.head.modulation" },
    { "generator.model.head.modulation", "scale_shift_table" } },
  { "last", { "generator.model.head.modulation", "critic.model.head.modulation" },
    { "scale_shift_table", "critic.model.head.modulation" } },
  { "wrapped", { "generator_ema.model._fsdp_wrapped_module.head.modulation",
      "generator_ema.model._fsdp_wrapped_module.blocks.1.norm3.bias" },
    { "scale_shift_table", "blocks.1.norm2.bias" } },
  { "umt5", { "token_embedding.weight", "blocks.0.pos_embedding.embedding.weight", "norm.weight", "blocks.10.ffn.gate.0.weight" },
    { "shared.weight", "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight", "encoder.final_layer_norm.weight",
      "encoder.block.10.layer.1.DenseReluDense.wi_0.weight" } },
  { "umt5-prefix", { "text_encoders.umt5xxl.transformer.encoder.block.0.layer.0.SelfAttention.q.weight",
      "text_encoders.umt5xxl.transformer.shared.weight" },
    { "encoder.block.0.layer.0.SelfAttention.q.weight", "shared.weight" } },
  { "umt5-gguf", { "enc.blk.0.attn_q.weight", "token_embd.weight", "enc.blk.23.ffn_up.weight" },
    { "encoder.block.0.layer.0.SelfAttention.q.weight", "shared.weight", "encoder.block.23.layer.1.DenseReluDense.wi_1.weight" } },
  { "vae", { "decoder.middle.0.residual.0.gamma", "conv1.bias" }, { "decoder.middle.0.residual.0.gamma", "conv1.bias" } },
  { "vae-prefix", { "model.decoder.middle.0.residual.0.gamma", "model.conv1.bias" }, { "decoder.middle.0.residual.0.gamma", "conv1.bias" } },
  { "vae-diffusers-prefix", { "vae.decoder.mid_block.resnets.0.norm1.gamma", "vae.quant_conv.bias" },
    { "decoder.mid_block.resnets.0.norm1.gamma", "quant_conv.bias" } },
};

static void
test_names (gconstpointer data)
{
  const Case *c = data;
  g_autoptr (GByteArray) bytes = make (c->before);
  g_autoptr (GError) error = NULL;
  g_autoptr (SoraWeightFile) file = weight_test_open (bytes->data, bytes->len, &error);
  g_autoptr (GPtrArray) names = NULL;
  guint n = 0;

  g_assert_no_error (error);
  for (; c->after[n]; n++) {
    const SoraTensor *tensor = sora_weight_file_peek (file, c->after[n]);
    if (!tensor)
      g_error ("no %s", c->after[n]);
    g_assert_cmpstr (tensor->name, ==, c->before[n]);   /* for messages */
  }
  names = sora_weight_file_get_names (file);
  g_assert_cmpuint (names->len, ==, n);
}

/* Each prefix that may stand before all names of a model is found, and goes. */
static void
test_prefixes (void)
{
  static const gchar *const prefixes[] = { "model.diffusion_model.", "diffusion_model.", "model.", "transformer.", "generator_ema.model.",
    "generator_ema.model._fsdp_wrapped_module.", "generator_ema.", "generator.model.", "generator.model._fsdp_wrapped_module.", "generator.",
    "state_dict.model.", "state_dict.", "text_encoders.umt5xxl.transformer.", "first_stage_model.", "vae.", "visual.", "vision_model." };

  for (guint i = 0; i < G_N_ELEMENTS (prefixes); i++) {
    g_autofree gchar *marker = g_strconcat (prefixes[i], "head.modulation", NULL);
    g_autofree gchar *norm = g_strconcat (prefixes[i], "blocks.2.norm3.bias", NULL);
    const gchar *const names[] = { marker, norm, NULL };
    g_autoptr (GByteArray) bytes = make (names);
    g_autoptr (GError) error = NULL;
    g_autoptr (SoraWeightFile) file = weight_test_open (bytes->data, bytes->len, &error);

    g_assert_no_error (error);
    g_assert_cmpstr (sora_weight_file_get_prefix (file), ==, prefixes[i]);
    g_assert_nonnull (sora_weight_file_peek (file, "scale_shift_table"));
    g_assert_cmpstr (sora_weight_file_peek (file, "blocks.2.norm2.bias")->name, ==, norm);
  }
}

static void
test_collisions (void)
{
  static const gchar *const dialects[] = { "head.modulation", "blocks.0.self_attn.q.weight", "blocks.0.attn1.to_q.weight", NULL };
  static const gchar *const prefixes[] = { "model.head.modulation", "model.a", "a", NULL };
  g_autoptr (GByteArray) two_dialects = make (dialects);
  g_autoptr (GByteArray) with_and_without = make (prefixes);

  weight_test_refused (two_dialects->data, two_dialects->len, SORA_MODEL_ERROR_FORMAT, "blocks.0.attn1.to_q.weight");
  weight_test_refused (with_and_without->data, with_and_without->len, SORA_MODEL_ERROR_FORMAT, "in another dialect");
}

/* A patch embedding is unfolded where its size fits, and left alone otherwise. */
static void
test_patch_embedding (void)
{
  static const struct {
    const gchar *shape;
    guint n_dims, n_bytes;
    guint64 sizes[5];
  } table[] = {
    { "[3,8]", 5, 96, { 3, 2, 1, 2, 2 } },
    { "[6,1,2,2]", 5, 96, { 3, 2, 1, 2, 2 } },
    { "[3,2,1,2,2]", 5, 96, { 3, 2, 1, 2, 2 } },
    { "[3,2,4]", 3, 96, { 3, 2, 4 } },
    { "[3,6]", 2, 72, { 3, 6 } },       /* 6 inputs are no multiple of 2 x 2 */
    { "[4,4]", 2, 64, { 4, 4 } },       /* nor of 3 outputs */
  };

  for (guint i = 0; i < G_N_ELEMENTS (table); i++) {
    const WeightTestTensor tensors[] = { { "patch_embedding.weight", "F32", table[i].shape, table[i].n_bytes },
      { "patch_embedding.bias", "F32", "[3]", 12 }, { "head.modulation", "F32", "[2,5]", 40 } };
    g_autoptr (GByteArray) bytes = weight_test_safetensors (tensors, G_N_ELEMENTS (tensors));
    g_autoptr (GError) error = NULL;
    g_autoptr (SoraWeightFile) file = weight_test_open (bytes->data, bytes->len, &error);
    const SoraTensor *tensor;

    g_assert_no_error (error);
    tensor = sora_weight_file_peek (file, "patch_embedding.weight");
    g_assert_cmpuint (tensor->n_dims, ==, table[i].n_dims);
    g_assert_cmpmem (tensor->shape, tensor->n_dims * sizeof (guint64), table[i].sizes, table[i].n_dims * sizeof (guint64));
    g_assert_nonnull (sora_weight_file_find (file, &error, "scale_shift_table", 3, 1, 2, 5));
  }
}

/* Ones come before the places of two images, and go from before those of CLIP. */
static void
test_leading_ones (void)
{
  const WeightTestTensor transformer[] = { { "head.modulation", "F32", "[2,5]", 40 }, { "img_emb.emb_pos", "F32", "[4,3]", 48 } };
  const WeightTestTensor clip[] = { { "visual.cls_embedding", "F32", "[1,1,5]", 20 }, { "visual.pos_embedding", "F32", "[1,1,5]", 20 },
    { "visual.transformer.11.attn.to_qkv.bias", "F32", "[1,1,5]", 20 } };
  g_autoptr (GByteArray) one = weight_test_safetensors (transformer, G_N_ELEMENTS (transformer));
  g_autoptr (GByteArray) other = weight_test_safetensors (clip, G_N_ELEMENTS (clip));
  g_autoptr (GError) error = NULL;
  g_autoptr (SoraWeightFile) of_transformer = weight_test_open (one->data, one->len, &error);
  g_autoptr (SoraWeightFile) of_clip = weight_test_open (other->data, other->len, &error);

  g_assert_no_error (error);
  g_assert_nonnull (sora_weight_file_find (of_transformer, &error, "condition_embedder.image_embedder.pos_embed", 3, 1, 4, 3));
  g_assert_nonnull (sora_weight_file_find (of_clip, &error, "embeddings.class_embedding", 1, 5));
  g_assert_nonnull (sora_weight_file_find (of_clip, &error, "embeddings.position_embedding.weight", 2, 1, 5));
  g_assert_nonnull (sora_weight_file_find (of_clip, &error, "encoder.layers.11.self_attn.qkv_proj.bias", 3, 1, 1, 5));
  g_assert_cmpstr (sora_weight_file_get_prefix (of_transformer), ==, "");
  g_assert_cmpstr (sora_weight_file_get_prefix (of_clip), ==, "visual.");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree gchar *name = g_strconcat ("/names/", cases[i].name, NULL);
    g_test_add_data_func (name, &cases[i], test_names);
  }
  g_test_add_func ("/names/prefixes", test_prefixes);
  g_test_add_func ("/names/collisions", test_collisions);
  g_test_add_func ("/names/patch-embedding", test_patch_embedding);
  g_test_add_func ("/names/leading-ones", test_leading_ones);
  return g_test_run ();
}
