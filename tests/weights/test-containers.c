/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The same tensors in every container, number type and dialect of names (tests/reference/weights.py) give the same floats in the same
 * shapes under the same names. They are multiples of 1/8 below 2, which every type holds exactly: so nothing may differ. */

#include <string.h>

#include "test-support.h"
#include "weight-support.h"

typedef struct {
  const gchar *name, *reference;
} Case;

static const Case cases[] = {
  { "transformer-sharded.safetensors.index.json", "transformer.safetensors" },  /* Wan's own names */
  { "transformer-original.safetensors", "transformer.safetensors" },    /* the same in F16 */
  { "transformer-fp8.safetensors", "transformer.safetensors" }, /* F8 without scales; diffusion_model. */
  { "transformer-comfyui.safetensors", "transformer.safetensors" },     /* F8 with scales, BF16; model.diffusion_model. */
  { "transformer-comfyui-new.safetensors", "transformer.safetensors" }, /* the newer spelling of scales */
  { "transformer.pth", "transformer.safetensors" },     /* F32, views of one storage, a parameter */
  { "transformer-nested.pt", "transformer.safetensors" },       /* BF16; generator_ema.model. beside generator.model. */
  { "transformer.gguf", "transformer.safetensors" },    /* Q8_0, F16, F32; patch embedding folded, original shape noted */
  { "transformer-folded.gguf", "transformer.safetensors" },     /* likewise, not noted; leading ones dropped */
  { "text-encoder-original.pth", "text-encoder.safetensors" },
  { "text-encoder-fp8.safetensors", "text-encoder.safetensors" },
  { "text-encoder-comfyui.safetensors", "text-encoder.safetensors" },
  { "text-encoder.gguf", "text-encoder.safetensors" },
};

static SoraWeightFile *
open_golden (const gchar *name)
{
  g_autofree gchar *path = weight_test_golden (name);
  g_autoptr (GError) error = NULL;
  SoraWeightFile *file = sora_weight_file_open (path, &error);

  g_assert_no_error (error);
  return file;
}

static void
assert_same (const SoraTensor *actual, const SoraTensor *expected, const gchar *name)
{
  g_autofree gfloat *a = g_new (gfloat, expected->n_elements), *e = g_new (gfloat, expected->n_elements);

  g_assert_cmpuint (actual->n_dims, ==, expected->n_dims);
  g_assert_cmpmem (actual->shape, actual->n_dims * sizeof (guint64), expected->shape, expected->n_dims * sizeof (guint64));
  g_assert_cmpuint (actual->n_elements, ==, expected->n_elements);
  sora_tensor_to_float (actual, 0, actual->n_elements, a);
  sora_tensor_to_float (expected, 0, expected->n_elements, e);
  sora_test_assert_same (a, e, expected->n_elements, "%s", name);
}

static void
test_same (gconstpointer data)
{
  const Case *c = data;
  g_autoptr (SoraWeightFile) actual = open_golden (c->name);
  g_autoptr (SoraWeightFile) expected = open_golden (c->reference);
  g_autoptr (GPtrArray) names = sora_weight_file_get_names (expected);
  g_autoptr (GPtrArray) actual_names = sora_weight_file_get_names (actual);
  guint n_more = 0;

  g_assert_cmpuint (names->len, >=, 22);
  for (guint i = 0; i < names->len; i++) {
    const SoraTensor *tensor = sora_weight_file_peek (actual, names->pdata[i]);
    if (!tensor)
      g_error ("%s has no %s", c->name, (const gchar *) names->pdata[i]);
    assert_same (tensor, sora_weight_file_peek (expected, names->pdata[i]), names->pdata[i]);
  }
  for (guint i = 0; i < actual_names->len; i++)        /* but for the other half of a checkpoint */
    n_more += !g_str_has_prefix (actual_names->pdata[i], "generator.model.");
  g_assert_cmpuint (n_more, ==, names->len);
}

/* Errors speak of tensors as the file spells them. */
static void
test_spelling (void)
{
  static const struct {
    const gchar *file, *name, *spelled;
  } table[] = {
    { "transformer.safetensors", "blocks.0.norm2.weight", "\"blocks.0.norm2.weight\"" },
    { "transformer-original.safetensors", "blocks.0.norm2.weight", "\"blocks.0.norm3.weight\"" },
    { "transformer-comfyui.safetensors", "proj_out.odd", "\"model.diffusion_model.head.head.odd\"" },
    { "transformer-comfyui.safetensors", "odd", "\"model.diffusion_model.odd\"" },
    { "text-encoder.gguf", "encoder.block.33.layer.1.DenseReluDense.wo.weight", "\"enc.blk.33.ffn_down.weight\"" },
    { "text-encoder-original.pth", "encoder.block.7.layer.0.SelfAttention.relative_attention_bias.weight",
      "\"blocks.7.pos_embedding.embedding.weight\"" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (table); i++) {
    g_autoptr (SoraWeightFile) file = open_golden (table[i].file);
    g_autoptr (GError) error = NULL;
    g_assert_null (sora_weight_file_find (file, &error, table[i].name, 1, 4));
    g_assert_error (error, SORA_MODEL_ERROR, SORA_MODEL_ERROR_WEIGHT);
    if (!strstr (error->message, table[i].spelled))
      g_error ("expected %s in %s", table[i].spelled, error->message);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree gchar *name = g_strconcat ("/containers/same/", cases[i].name, NULL);
    g_test_add_data_func (name, &cases[i], test_same);
  }
  g_test_add_func ("/containers/spelling", test_spelling);
  return g_test_run ();
}
