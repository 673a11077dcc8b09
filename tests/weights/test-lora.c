/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* LoRA files without a device: every dialect merges to the same numbers, any part of a patched tensor can be read, what is not understood is
 * refused by its key, and a file says in words what it is. */

#include "weights/lora.h"

#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

#include "weight-support.h"
#include "weights/lora-private.h"

#define MAX_TENSORS 5

static gchar *
golden_path (const gchar *name)
{
  return g_build_filename (g_getenv ("SORA_TEST_GOLDEN"), name, NULL);
}

static SoraWeightFile *
open_golden (const gchar *name)
{
  g_autofree gchar *path = golden_path (name);
  g_autoptr (GError) error = NULL;
  SoraWeightFile *file = sora_weight_file_open (path, &error);

  g_assert_no_error (error);
  return file;
}

static SoraLora *
open_golden_lora (const gchar *name)
{
  g_autofree gchar *path = golden_path (name);
  g_autoptr (GError) error = NULL;
  SoraLora *lora = sora_lora_open (path, &error);

  g_assert_no_error (error);
  return lora;
}

/* (transfer full): @base with one LoRA merged */
static SoraWeightFile *
merge_golden (SoraWeightFile *base, const gchar *name, gdouble weight)
{
  g_autoptr (SoraLoraMerger) merger = sora_lora_merger_new (base, NULL);
  g_autoptr (SoraLora) lora = open_golden_lora (name);
  g_autoptr (GError) error = NULL;

  sora_lora_merger_add (merger, lora, weight, &error);
  g_assert_no_error (error);
  return sora_lora_merger_get_file (merger, SORA_LORA_TRANSFORMER);
}

/* --- numbers ----------------------------------------------------------------------------------------------------- */

static gfloat *
read_all (const SoraTensor *tensor)
{
  gfloat *values = g_new (gfloat, tensor->n_elements);

  sora_tensor_to_float (tensor, 0, tensor->n_elements, values);
  return values;
}

/* Their factors are powers of 2, so that they agree bit by bit, wherever the factor was written. */
static void
test_dialects (void)
{
  static const gchar *const others[] = { "comfyui-alpha.safetensors", "kohya.safetensors", "wan-fun.safetensors", "lycoris.safetensors",
    "diffusers.safetensors", "diffusers-metadata.safetensors", "diffusers-old.safetensors", "one-trainer.safetensors",
    "diffsynth.safetensors", "peft.safetensors", "bare.safetensors", "checkpoint.pt" };
  g_autoptr (SoraWeightFile) base = open_golden ("transformer.safetensors");
  g_autoptr (SoraWeightFile) first = merge_golden (base, "lora/comfyui.safetensors", 0.5);
  g_autoptr (GPtrArray) names = sora_weight_file_get_names (base);
  guint n_patched = 0;

  for (guint i = 0; i < G_N_ELEMENTS (others); i++) {
    g_autofree gchar *name = g_strconcat ("lora/", others[i], NULL);
    g_autoptr (SoraWeightFile) other = merge_golden (base, name, 0.5);
    for (guint j = 0; j < names->len; j++) {
      const SoraTensor *a = sora_weight_file_peek (first, names->pdata[j]), *b = sora_weight_file_peek (other, names->pdata[j]);
      const SoraTensor *plain = sora_weight_file_peek (base, names->pdata[j]);
      g_autofree gfloat *x = read_all (a), *y = read_all (b), *z = read_all (plain);
      g_assert_true (sora_tensor_is_patched (a) == sora_tensor_is_patched (b));
      g_assert_false (sora_tensor_is_patched (plain));
      g_assert_cmpmem (x, a->n_elements * sizeof (gfloat), y, b->n_elements * sizeof (gfloat));
      g_assert_true ((memcmp (x, z, a->n_elements * sizeof (gfloat)) != 0) == sora_tensor_is_patched (a));
      n_patched += sora_tensor_is_patched (a);
    }
  }
  g_assert_cmpuint (n_patched, ==, 9 * G_N_ELEMENTS (others));
}

static void
check_parts (SoraWeightFile *merged, const gchar *name)
{
  const SoraTensor *tensor = sora_weight_file_peek (merged, name);
  g_autofree gfloat *all = read_all (tensor), *part = g_new (gfloat, tensor->n_elements);

  g_assert_true (sora_tensor_is_patched (tensor));
  for (guint64 first = 0; first < MIN (tensor->n_elements, 100); first += 7)
    for (guint64 count = 0; first + count <= tensor->n_elements; count += 1 + count) {
      sora_tensor_to_float (tensor, first, count, part);
      for (guint64 j = 0; j < count; j++)
        g_assert_cmpfloat_with_epsilon (part[j], all[first + j], 1e-6);
    }
}

/* Parts of rows are summed in another order than whole ones. */
static void
test_parts (void)
{
  static const gchar *const names[] = { "blocks.0.attn1.to_q.weight", "blocks.0.attn1.to_k.weight", "blocks.0.attn1.to_q.bias",
    "blocks.1.scale_shift_table" };
  static const gchar *const layers[] = { "blocks.0.attn1.to_q.weight", "blocks.1.attn1.to_v.weight", "blocks.0.attn1.to_out.0.weight",
    "blocks.1.attn2.to_k.weight", "patch_embedding.weight" };
  g_autoptr (SoraWeightFile) base = open_golden ("transformer.safetensors");
  g_autoptr (SoraWeightFile) merged = merge_golden (base, "lora/other.safetensors", 1);
  g_autoptr (SoraWeightFile) loha = merge_golden (base, "lora/loha.safetensors", 1);
  g_autoptr (SoraWeightFile) lokr = merge_golden (base, "lora/lokr.safetensors", 1);
  g_autoptr (SoraWeightFile) dora = merge_golden (base, "lora/dora.safetensors", 1);

  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    check_parts (merged, names[i]);
  for (guint i = 0; i < G_N_ELEMENTS (layers); i++) {
    check_parts (loha, layers[i]);
    check_parts (lokr, layers[i]);
    check_parts (dora, layers[i]);
  }
}

static SoraTensor
make_tensor (const gfloat *data, guint64 n, guint64 k)
{
  return (SoraTensor) { .name = "", .dtype = SORA_DTYPE_F32, .n_dims = 2, .shape = { n, k }, .n_elements = n * k, .data = (const guint8 *) data };
}

/* DoRA's magnitudes in peft's words, and shape for a convolution, are those of LyCORIS. */
static void
test_magnitudes (void)
{
  g_autoptr (SoraWeightFile) base = open_golden ("transformer.safetensors");
  g_autoptr (SoraWeightFile) a = merge_golden (base, "lora/dora.safetensors", 0.5), b = merge_golden (base, "lora/dora-peft.safetensors", 0.5);
  g_autoptr (GPtrArray) names = sora_weight_file_get_names (base);
  guint n_patched = 0;

  for (guint i = 0; i < names->len; i++) {
    const SoraTensor *ours = sora_weight_file_peek (a, names->pdata[i]), *pefts = sora_weight_file_peek (b, names->pdata[i]);
    g_autofree gfloat *x = read_all (ours), *y = read_all (pefts);
    if (!sora_tensor_is_patched (pefts))
      continue;
    g_assert_cmpmem (x, ours->n_elements * sizeof (gfloat), y, pefts->n_elements * sizeof (gfloat));
    n_patched++;
  }
  g_assert_cmpuint (n_patched, ==, 7);  /* of 9; the others are no pairs */
}

/* A row that changed to nothing has no direction; at half the weight half of it is left. */
static void
test_no_direction (void)
{
  static const gfloat weights[] = { 3, -4, 1, 1 }, downs[] = { -3, 4 }, ups[] = { 1, 0 }, lengths[] = { 7, 10 };
  const SoraTensor up = make_tensor (ups, 2, 1), down = make_tensor (downs, 1, 2), magnitudes = make_tensor (lengths, 2, 1);
  const SoraTensorPatch patch = { .a = { &up, &down }, .factor = 1, .magnitudes = &magnitudes, .weight = 0.5 };
  const SoraTensorPatches patches = { "", &patch, 1 };
  SoraTensor tensor = make_tensor (weights, 2, 2);
  g_autofree gfloat *out = NULL;

  tensor.patches = &patches;
  out = read_all (&tensor);
  g_assert_cmpfloat (out[0], ==, 1.5);
  g_assert_cmpfloat (out[1], ==, -2);
  g_assert_cmpfloat_with_epsilon (out[2], 0.5 + 0.5 * 10 * G_SQRT2 / 2, 1e-6);
}

/* As peft writes them, with alpha and rank in adapter_config.json: the same but for LoKrs of two whole matrices, for which LyCORIS has no factor. */
static void
test_peft (void)
{
  static const gchar *const kinds[] = { "loha", "lokr" };
  g_autoptr (SoraWeightFile) base = open_golden ("transformer.safetensors");
  g_autoptr (GPtrArray) names = sora_weight_file_get_names (base);
  guint n_patched = 0, n_halved = 0;

  for (guint i = 0; i < G_N_ELEMENTS (kinds); i++) {
    g_autofree gchar *own = g_strdup_printf ("lora/%s.safetensors", kinds[i]);
    g_autofree gchar *pefts = g_strdup_printf ("lora-peft/%s/adapter_model.safetensors", kinds[i]);
    g_autoptr (SoraWeightFile) a = merge_golden (base, own, 1), b = merge_golden (base, pefts, 1);
    for (guint j = 0; j < names->len; j++) {
      const SoraTensor *plain = sora_weight_file_peek (base, names->pdata[j]), *patched = sora_weight_file_peek (a, names->pdata[j]);
      g_autofree gfloat *w = read_all (plain), *x = read_all (patched), *y = read_all (sora_weight_file_peek (b, names->pdata[j]));
      gdouble factor = 1;
      if (!sora_tensor_is_patched (patched))
        continue;
      if (fabs (2 * (y[0] - w[0]) - (x[0] - w[0])) < 1e-3 * fabs (x[0] - w[0]))
        factor = 0.5;
      for (guint64 k = 0; k < plain->n_elements; k++)
        g_assert_cmpfloat_with_epsilon (y[k] - w[k], factor * (x[k] - w[k]), 1e-6);
      n_patched++;
      n_halved += factor < 1;
    }
  }
  g_assert_cmpuint (n_patched, ==, 2 * 9);
  g_assert_cmpuint (n_halved, ==, 3);   /* of LoKr's layers the first, and every fourth after it */
}

static gfloat *
make_floats (guint n)
{
  gfloat *values = g_new (gfloat, n);

  for (guint i = 0; i < n; i++)
    values[i] = g_test_rand_double_range (-1, 1);
  return values;
}

/* Rows and ranks that are whole tiles and not, columns of more than one walk, and elements from within a row to within another, against sums in
 * double: of up to 13 products of numbers below 1, each rounded by 6e-8 of a sum below 13, 1e-5 at the very most. */
static void
test_products (void)
{
  static const guint sizes[][3] = { { 1, 1, 1 }, { 4, 128, 4 }, { 5, 129, 13 }, { 11, 300, 7 }, { 8, 3, 8 }, { 9, 257, 3 } };

  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++) {
    guint n = sizes[i][0], k = sizes[i][1], rank = sizes[i][2];
    g_autofree gfloat *weights = make_floats (n * k), *ups = make_floats (n * rank), *downs = make_floats (rank * k), *out = g_new (gfloat, n * k);
    g_autofree gdouble *expected = g_new (gdouble, n * k);
    const SoraTensor up = make_tensor (ups, n, rank), down = make_tensor (downs, rank, k);
    const SoraTensorPatch patch = { .a = { &up, &down }, .factor = 0.5 };
    const SoraTensorPatches patches = { "", &patch, 1 };
    SoraTensor tensor = make_tensor (weights, n, k);

    tensor.patches = &patches;
    for (guint j = 0; j < n * k; j++) {
      expected[j] = weights[j];
      for (guint r = 0; r < rank; r++)
        expected[j] += 0.5 * ups[j / k * rank + r] * downs[r * k + j % k];
    }
    for (guint first = 0; first < n * k; first += 1 + n * k / 17)
      for (guint count = 0; first + count <= n * k; count += 1 + n * k / 13) {
        sora_tensor_to_float (&tensor, first, count, out);
        for (guint j = 0; j < count; j++)
          g_assert_cmpfloat_with_epsilon (out[j], expected[first + j], 1e-5);
      }
  }
}

/* The weight 0 is no change, and what was added once more with the opposite sign is gone but for rounding. */
static void
test_weights (void)
{
  g_autoptr (SoraWeightFile) base = open_golden ("transformer.safetensors");
  g_autoptr (SoraLoraMerger) merger = sora_lora_merger_new (base, NULL);
  g_autoptr (SoraLora) lora = open_golden_lora ("lora/other.safetensors");
  g_autoptr (SoraWeightFile) merged = NULL;
  g_autoptr (GPtrArray) names = sora_weight_file_get_names (base);
  g_autoptr (GError) error = NULL;

  g_assert_null (merge_golden (base, "lora/other.safetensors", 0));
  for (gint sign = -1; sign <= 1; sign += 2) {
    sora_lora_merger_add (merger, lora, 0.7 * sign, &error);
    g_assert_no_error (error);
  }
  merged = sora_lora_merger_get_file (merger, SORA_LORA_TRANSFORMER);
  for (guint i = 0; i < names->len; i++) {
    const SoraTensor *a = sora_weight_file_peek (base, names->pdata[i]), *b = sora_weight_file_peek (merged, names->pdata[i]);
    g_autofree gfloat *x = read_all (a), *y = read_all (b);
    for (guint64 j = 0; j < a->n_elements; j++)
      g_assert_cmpfloat_with_epsilon (x[j], y[j], 1e-6);
  }
}

/* --- what is refused --------------------------------------------------------------------------------------------- */

/* Floats 1, 2, 3, ..., and a few other values */
static const gfloat floats[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24 };
static const gfloat not_finite[] = { INFINITY };
static const gdouble not_finite_double[] = { NAN };

#define F32(name, shape, n) { name, "F32", shape, 4 * (n), (const guint8 *) floats }
#define Q "blocks.0.attn1.to_q"
#define DOWN F32 (Q ".lora_A.weight", "[2,6]", 12)
#define UP F32 (Q ".lora_B.weight", "[4,2]", 8)

static const WeightTestTensor model[] = {
  F32 ("scale_shift_table", "[1,2,4]", 8), F32 (Q ".weight", "[4,6]", 24), F32 (Q ".bias", "[4]", 4), F32 ("blocks.0.attn1.to_k.weight", "[4,6]", 24),
  F32 ("blocks.0.norm2.weight", "[4]", 4),
};

typedef struct {
  const gchar *name, *key, *said;       /* the key that must be named, and words */
  WeightTestTensor tensors[MAX_TENSORS];
} Fault;

static const Fault faults[] = {
  { "nothing", "", "no tensors", { { NULL } } },
  { "no-up", Q ".lora_A.weight", "lora_B", { DOWN } },
  { "no-down", Q ".lora_B.weight", "lora_A", { UP } },
  { "only-alpha", Q ".alpha", "lora_A and lora_B", { F32 (Q ".alpha", "[]", 1) } },
  { "only-bias", Q ".lora_B.bias", "lora_A and lora_B", { F32 (Q ".lora_B.bias", "[4]", 4) } },
  { "other-suffix", Q ".lora_C.weight", "not a key", { DOWN, UP, F32 (Q ".lora_C.weight", "[2,6]", 12) } },
  { "lokr-one", Q ".lokr_w1", "lokr_w2", { F32 (Q ".lokr_w1", "[2,6]", 12) } },
  { "lokr-half", Q ".lokr_w1", "_a and _b", { F32 (Q ".lokr_w1", "[2,2]", 4), F32 (Q ".lokr_w2_a", "[2,1]", 2) } },
  { "lokr-twice", Q ".lokr_w1", "twice", { F32 (Q ".lokr_w1", "[2,2]", 4), F32 (Q ".lokr_w1_a", "[2,1]", 2), F32 (Q ".lokr_w2", "[2,3]", 6) } },
  { "lokr-size", Q ".lokr_w1", "[2, 2] with [2, 2] does not fit", { F32 (Q ".lokr_w1", "[2,2]", 4), F32 (Q ".lokr_w2", "[2,2]", 4) } },
  { "lokr-vector", Q ".lokr_w2", "a matrix", { F32 (Q ".lokr_w1", "[2,2]", 4), F32 (Q ".lokr_w2", "[6]", 6) } },
  { "lokr-empty", Q ".lokr_w1", "a matrix", { F32 (Q ".lokr_w1", "[0,2]", 0), F32 (Q ".lokr_w2", "[2,3]", 6) } },
  { "loha-half", Q ".hada_w1_b", "hada_w2_a",
    { F32 (Q ".hada_w1_a", "[4,2]", 8), F32 (Q ".hada_w1_b", "[2,6]", 12), F32 (Q ".hada_w2_b", "[2,6]", 12) } },
  { "loha-ranks", Q ".hada_w2_a", "3 columns", { F32 (Q ".hada_w1_a", "[4,2]", 8), F32 (Q ".hada_w1_b", "[2,6]", 12),
    F32 (Q ".hada_w2_a", "[4,2]", 8), F32 (Q ".hada_w2_b", "[3,6]", 18) } },
  { "loha-size", Q ".hada_w1_b", "does not fit", { F32 (Q ".hada_w1_a", "[4,2]", 8), F32 (Q ".hada_w1_b", "[2,6]", 12),
    F32 (Q ".hada_w2_a", "[4,2]", 8), F32 (Q ".hada_w2_b", "[2,5]", 10) } },
  { "two-forms", Q ".lokr_w1", "another kind than " Q ".lora_A.weight",
    { DOWN, UP, F32 (Q ".lokr_w1", "[2,2]", 4), F32 (Q ".lokr_w2", "[2,3]", 6) } },
  { "tucker", Q ".hada_t1", "not a key", { F32 (Q ".hada_t1", "[2,2,1,1]", 4) } },
  { "dora-alone", Q ".dora_scale", "lora_A and lora_B", { F32 (Q ".dora_scale", "[4,1]", 4), F32 (Q ".diff", "[4,6]", 24) } },
  { "dora-inputs", Q ".dora_scale", "[1, 6] is that of the magnitudes of inputs", { DOWN, UP, F32 (Q ".dora_scale", "[1,6]", 6) } },
  { "dora-rows", Q ".lora_magnitude_vector", "[6] is not one number for each row", { DOWN, UP, F32 (Q ".lora_magnitude_vector", "[6]", 6) } },
  { "dora-square", Q ".dora_scale", "[2, 2] is not one number", { DOWN, UP, F32 (Q ".dora_scale", "[2,2]", 4) } },
  { "dora-number", Q ".dora_scale", "[] is not one number", { DOWN, UP, F32 (Q ".dora_scale", "[]", 1) } },
  { "dora-twice", Q ".lora_magnitude_vector", "the same as",
    { DOWN, UP, F32 (Q ".dora_scale", "[4]", 4), F32 (Q ".lora_magnitude_vector", "[4]", 4) } },
  { "model", Q ".weight", "not a key", { F32 (Q ".weight", "[4,6]", 24) } },
  { "down-bias", Q ".lora_A.bias", "not a key", { DOWN, UP, F32 (Q ".lora_A.bias", "[2]", 2) } },
  { "no-layer", "blocks.0.attn1.to_z.lora_A.weight", "no layer",
    { F32 ("blocks.0.attn1.to_z.lora_A.weight", "[2,6]", 12), F32 ("blocks.0.attn1.to_z.lora_B.weight", "[4,2]", 8) } },
  { "no-such-block", "lora_unet_blocks_1_self_attn_q.lora_down.weight", "no layer",
    { F32 ("lora_unet_blocks_1_self_attn_q.lora_down.weight", "[2,6]", 12), F32 ("lora_unet_blocks_1_self_attn_q.lora_up.weight", "[4,2]", 8) } },
  { "of-text-encoder", "text_encoder." Q ".lora_A.weight", "no layer",
    { F32 ("text_encoder." Q ".lora_A.weight", "[2,6]", 12), F32 ("text_encoder." Q ".lora_B.weight", "[4,2]", 8) } },
  { "wide", Q ".lora_A.weight", "[4, 2] by [2, 5] does not fit", { F32 (Q ".lora_A.weight", "[2,5]", 10), UP } },
  { "high", Q ".lora_A.weight", "[5, 2] by [2, 6] does not fit", { DOWN, F32 (Q ".lora_B.weight", "[5,2]", 10) } },
  { "ranks", Q ".lora_B.weight", "2 columns", { DOWN, F32 (Q ".lora_B.weight", "[4,3]", 12) } },
  { "no-rank", Q ".lora_A.weight", "the rank", { F32 (Q ".lora_A.weight", "[0,6]", 0), F32 (Q ".lora_B.weight", "[4,0]", 0) } },
  { "vector", Q ".lora_A.weight", "the rank", { F32 (Q ".lora_A.weight", "[6]", 6), F32 (Q ".lora_B.weight", "[4]", 4) } },
  { "no-number", Q ".lora_A.weight", "dtype I32", { { Q ".lora_A.weight", "I32", "[2,6]", 48 }, UP } },
  { "alphas", Q ".alpha", "one number", { DOWN, UP, F32 (Q ".alpha", "[2]", 2) } },
  { "alpha-infinite", Q ".alpha", "one number", { DOWN, UP, { Q ".alpha", "F32", "[]", 4, (const guint8 *) not_finite } } },
  { "alpha-nan", Q ".alpha", "one number", { DOWN, UP, { Q ".alpha", "F64", "[1]", 8, (const guint8 *) not_finite_double } } },
  { "alpha-exponent", Q ".alpha", "one number", { DOWN, UP, { Q ".alpha", "F8_E8M0", "[1]", 1 } } },
  { "difference", Q ".diff", "[6, 4] does not fit", { F32 (Q ".diff", "[6,4]", 24) } },
  { "no-bias", "blocks.0.attn1.to_k.diff_b", "no bias", { F32 ("blocks.0.attn1.to_k.diff_b", "[4]", 4) } },
  { "no-weight", "blocks.0.diff", "no layer", { F32 ("blocks.0.diff", "[4]", 4) } },
  { "pair-of-vector", "blocks.0.norm2.lora_A.weight", "does not fit",
    { F32 ("blocks.0.norm2.lora_A.weight", "[1,1]", 1), F32 ("blocks.0.norm2.lora_B.weight", "[4,1]", 4) } },
  { "two-dialects", "blocks.0.self_attn.q.lora_A.weight", "the same as",
    { DOWN, UP, F32 ("blocks.0.self_attn.q.lora_A.weight", "[2,6]", 12), F32 ("blocks.0.self_attn.q.lora_B.weight", "[4,2]", 8) } },
  { "two-tables", "head.modulation.diff", "the same as", { F32 ("head.diff_m", "[1,2,4]", 8), F32 ("head.modulation.diff", "[1,2,4]", 8) } },
  { "two-adapters", Q ".lora_A.two.weight", "the same as",
    { F32 (Q ".lora_A.one.weight", "[2,6]", 12), F32 (Q ".lora_A.two.weight", "[2,6]", 12), UP } },
};

static GByteArray *
make (const WeightTestTensor *tensors)
{
  guint n = 0;

  while (n < MAX_TENSORS && tensors[n].name)
    n++;
  return weight_test_safetensors (tensors, n);
}

/* Opens @tensors as a LoRA and adds it to the model above. */
static gboolean
add (const WeightTestTensor *tensors, GError **error)
{
  g_autoptr (GByteArray) bytes = make (tensors), model_bytes = make (model);
  SoraWeightFile *file = weight_test_open (bytes->data, bytes->len, error);
  g_autoptr (SoraWeightFile) base = weight_test_open (model_bytes->data, model_bytes->len, NULL);
  g_autoptr (SoraLoraMerger) merger = sora_lora_merger_new (base, NULL);
  g_autoptr (SoraLora) lora = NULL;

  g_assert_nonnull (file);
  lora = sora_lora_new (file, error);
  return lora && sora_lora_merger_add (merger, lora, 1, error);
}

static void
test_fault (gconstpointer data)
{
  const Fault *fault = data;
  g_autoptr (GError) error = NULL;

  g_assert_false (add (fault->tensors, &error));
  g_assert_nonnull (error);
  g_test_message ("%s", error->message);
  g_assert_true (error->domain == SORA_MODEL_ERROR);
  if (!strstr (error->message, "test: ") || !strstr (error->message, fault->key) || !strstr (error->message, fault->said))
    g_error ("expected \"test: \", \"%s\" and \"%s\" in \"%s\"", fault->key, fault->said, error->message);
}

/* What differs from the faults above in one thing */
static void
test_sound (void)
{
  static const WeightTestTensor sound[][MAX_TENSORS] = {
    { DOWN, UP }, { DOWN, UP, F32 (Q ".alpha", "[1]", 1), F32 (Q ".lora_B.bias", "[4]", 4), F32 (Q ".diff", "[4,6]", 24) },
    { F32 (Q ".diff", "[1,4,6]", 24), F32 (Q ".alpha", "[]", 1) }, { F32 (Q ".diff_b", "[4]", 4) },
    { F32 (Q ".lokr_w1", "[2,2]", 4), F32 (Q ".lokr_w2", "[2,3]", 6), F32 (Q ".alpha", "[]", 1), F32 (Q ".diff_b", "[4]", 4) },
    { F32 (Q ".lokr_w1_a", "[2,1]", 2), F32 (Q ".lokr_w1_b", "[1,2]", 2), F32 (Q ".lokr_w2_a", "[2,1]", 2), F32 (Q ".lokr_w2_b", "[1,3]", 3) },
    { F32 (Q ".hada_w1_a", "[4,2]", 8), F32 (Q ".hada_w1_b", "[2,6]", 12), F32 (Q ".hada_w2_a", "[4,3]", 12), F32 (Q ".hada_w2_b", "[3,6]", 18) },
    { DOWN, UP, F32 (Q ".dora_scale", "[4]", 4) }, { DOWN, UP, F32 (Q ".dora_scale", "[4,1,1]", 4), F32 (Q ".diff", "[4,6]", 24) },
    { DOWN, UP, F32 (Q ".lora_magnitude_vector", "[4]", 4) }, { DOWN, UP, F32 (Q ".lora_magnitude_vector.default.weight", "[4]", 4) },
    { F32 (Q ".lokr_w1", "[2,2]", 4), F32 (Q ".lokr_w2", "[2,3]", 6), F32 (Q ".dora_scale", "[4,1]", 4) },
    { F32 ("head.diff_m", "[1,2,4]", 8) }, { F32 ("blocks.0.norm3.diff", "[4]", 4) }, { F32 ("lora_unet_blocks_0_norm3.diff", "[4]", 4) },
    { F32 ("base_model.model.model.diffusion_model.blocks.0._orig_mod.self_attn.q.lora_A.x.weight", "[2,6]", 12),
      F32 ("base_model.model.model.diffusion_model.blocks.0._orig_mod.self_attn.q.lora_B.x.weight", "[4,2]", 8) },
  };

  for (guint i = 0; i < G_N_ELEMENTS (sound); i++) {
    g_autoptr (GError) error = NULL;
    g_assert_true (add (sound[i], &error));
    g_assert_no_error (error);
  }
}

/* Each prefix, what it says that the LoRA changes, and several of them; what training wraps layers in goes. */
static void
test_prefixes (void)
{
  static const struct { const gchar *prefix; SoraLoraPart part; } table[] = {
    { "", SORA_LORA_ANY }, { "base_model.model.", SORA_LORA_ANY }, { "model.", SORA_LORA_ANY },
    { "diffusion_model.", SORA_LORA_TRANSFORMER }, { "transformer.", SORA_LORA_TRANSFORMER }, { "pipe.dit.", SORA_LORA_TRANSFORMER },
    { "dit.", SORA_LORA_TRANSFORMER }, { "lora_unet_", SORA_LORA_TRANSFORMER }, { "lora_unet__", SORA_LORA_TRANSFORMER },
    { "lora_transformer_", SORA_LORA_TRANSFORMER }, { "lycoris_", SORA_LORA_TRANSFORMER },
    { "text_encoder.", SORA_LORA_TEXT_ENCODER }, { "text_encoders.", SORA_LORA_TEXT_ENCODER },
    { "text_encoders.umt5xxl.", SORA_LORA_TEXT_ENCODER }, { "text_encoders.umt5xxl.transformer.", SORA_LORA_TEXT_ENCODER },
    { "lora_te_", SORA_LORA_TEXT_ENCODER }, { "lora_te1_", SORA_LORA_TEXT_ENCODER },
    { "base_model.model.model.diffusion_model.", SORA_LORA_TRANSFORMER }, { "base_model.model.text_encoder.", SORA_LORA_TEXT_ENCODER },
  };
  static const gchar *const wrappers[] = { "", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module.", "_orig_mod." };

  for (guint i = 0; i < G_N_ELEMENTS (table); i++)
    for (guint j = 0; j < G_N_ELEMENTS (wrappers); j++) {
      g_autofree gchar *key = g_strconcat (table[i].prefix, "blocks.0.", wrappers[j], "q.lora_down.weight", NULL);
      g_auto (SoraLoraKey) parsed = { 0 };

      g_assert_true (sora_lora_key_parse (&parsed, key));
      g_assert_cmpint (parsed.part, ==, table[i].part);
      g_assert_cmpint (parsed.role, ==, SORA_LORA_DOWN);
      g_assert_cmpstr (parsed.prefix->str, ==, table[i].prefix);
      g_assert_cmpstr (parsed.layer, ==, "blocks.0.q");
    }
}

/* What a checkpoint of training has beside its LoRA does not count. */
static void
test_folders (void)
{
  static const gchar *const folders[] = { "generator_lora.", "state_dict." };

  for (guint i = 0; i < G_N_ELEMENTS (folders); i++) {
    g_autofree gchar *down = g_strconcat (folders[i], Q ".lora_A.weight", NULL), *up = g_strconcat (folders[i], Q ".lora_B.weight", NULL);
    const WeightTestTensor tensors[MAX_TENSORS] = { F32 (down, "[2,6]", 12), F32 (up, "[4,2]", 8), F32 ("optimizer.step", "[1]", 1) };
    g_autoptr (GError) error = NULL;

    g_assert_true (add (tensors, &error));
    g_assert_no_error (error);
  }
}

/* A tensor of the transformer and one of the text encoder may have the same name in their files. */
static void
test_same_names (void)
{
  static const WeightTestTensor tensors[MAX_TENSORS] = {
    F32 ("transformer.blocks.0.norm2.diff", "[4]", 4), F32 ("text_encoder.blocks.0.norm2.diff", "[4]", 4),
  };
  g_autoptr (GByteArray) bytes = make (tensors), model_bytes = make (model);
  g_autoptr (SoraWeightFile) base = weight_test_open (model_bytes->data, model_bytes->len, NULL);
  g_autoptr (SoraLora) lora = sora_lora_new (weight_test_open (bytes->data, bytes->len, NULL), NULL);
  g_autoptr (SoraLoraMerger) merger = sora_lora_merger_new (base, base);
  g_autoptr (GError) error = NULL;

  sora_lora_merger_add (merger, lora, 1, &error);
  g_assert_no_error (error);
  for (guint part = SORA_LORA_TRANSFORMER; part < SORA_LORA_N_PARTS; part++) {
    g_autoptr (SoraWeightFile) merged = sora_lora_merger_get_file (merger, part);
    g_autofree gfloat *values = read_all (sora_weight_file_peek (merged, "blocks.0.norm2.weight"));
    g_assert_cmpfloat (values[3], ==, 8);
  }
}

/* --- alpha ------------------------------------------------------------------------------------------------------- */

/* Every type that trainers have written it in: 6 of rank 2 is a factor of 3. */
static void
test_alpha_types (void)
{
  static const gint64 six = 6;
  static const gdouble six_double = 6;
  static const gfloat six_float = 6;
  static const guint16 six_bf16 = 0x40c0, six_f16 = 0x4600;
  static const struct { const gchar *type; gsize n_bytes; const void *data; } types[] = {
    { "I64", 8, &six }, { "U64", 8, &six }, { "I32", 4, &six }, { "U32", 4, &six }, { "I16", 2, &six }, { "U16", 2, &six }, { "I8", 1, &six },
    { "U8", 1, &six }, { "F64", 8, &six_double }, { "F32", 4, &six_float }, { "BF16", 2, &six_bf16 }, { "F16", 2, &six_f16 },
  };
  g_autoptr (GByteArray) model_bytes = make (model);
  g_autoptr (SoraWeightFile) base = weight_test_open (model_bytes->data, model_bytes->len, NULL);

  for (guint i = 0; i < G_N_ELEMENTS (types); i++) {
    const WeightTestTensor tensors[MAX_TENSORS] = { DOWN, UP, { Q ".alpha", types[i].type, "[]", types[i].n_bytes, types[i].data } };
    g_autoptr (GByteArray) bytes = make (tensors);
    g_autoptr (SoraLora) lora = sora_lora_new (weight_test_open (bytes->data, bytes->len, NULL), NULL);
    g_autoptr (SoraLoraMerger) merger = sora_lora_merger_new (base, NULL);
    g_autoptr (SoraWeightFile) merged = NULL;
    gfloat value;

    g_assert_true (sora_lora_merger_add (merger, lora, 0.5, NULL));
    merged = sora_lora_merger_get_file (merger, SORA_LORA_TRANSFORMER);
    sora_tensor_to_float (sora_weight_file_peek (merged, Q ".weight"), 7, 1, &value);
    g_assert_cmpfloat (value, ==, 8 + 0.5 * 3 * (3 * 2 + 4 * 8));        /* row 1, column 1: up [3, 4], down [2, 8] */
  }
}

static void
test_negative_alpha (void)
{
  static const gint32 minus_two = -2;
  const WeightTestTensor tensors[MAX_TENSORS] = { { "a", "I32", "[1]", 4, (const guint8 *) &minus_two }, { "b", "I32", "[2]", 8 } };
  g_autoptr (GByteArray) bytes = make (tensors);
  g_autoptr (SoraWeightFile) file = weight_test_open (bytes->data, bytes->len, NULL);
  gdouble number;

  g_assert_true (sora_weight_file_peek_number (file, "a", &number));
  g_assert_cmpfloat (number, ==, -2);
  g_assert_false (sora_weight_file_peek_number (file, "b", &number));
  g_assert_false (sora_weight_file_peek_number (file, "c", &number));
}

/* Written beside the file, as peft does: a plain factor, that of rsLoRA (rank 4: by 2), a layer's own, and what cannot be one */
static void
test_config (void)
{
  static const struct { const gchar *text; gdouble scale; gint code; } configs[] = {
    { "{\"lora_alpha\": 8, \"r\": 4, \"peft_type\": \"LORA\"}", 2, 0 },
    { "{\"lora_alpha\": 8, \"use_rslora\": true}", 4, 0 },
    { "{\"lora_alpha\": 8, \"alpha_pattern\": {\"q\": 1, \"attn1.to_q\": 2, \"to_q\": 3}}", 0.5, 0 },
    { "{\"lora_alpha\": 8, \"alpha_pattern\": {\"^attn1.to_q\": 2}}", 2, 0 },
    { "{\"r\": 4}", 1, 0 },
    { "{\"lora_alpha\": \"8\"}", 0, SORA_MODEL_ERROR_FORMAT },
    { "{\"lora_alpha\": 8, \"alpha_pattern\": {\"to_q\": \"2\"}}", 0, SORA_MODEL_ERROR_FORMAT },
    { "{\"lora_alpha\": 8, \"alpha_pattern\": {\"to_[qk]\": 2}}", 0, SORA_MODEL_ERROR_UNSUPPORTED },
    { "{\"lora_alpha\": 8, \"alpha_pattern\": null}", 2, 0 },
    { "{\"lora_alpha\": 8, \"alpha_pattern\": [\"to_q\"]}", 0, SORA_MODEL_ERROR_FORMAT },
    { "{\"lora_alpha\": 8", 0, SORA_MODEL_ERROR_FORMAT },
  };
  const WeightTestTensor tensors[MAX_TENSORS] = { F32 (Q ".lora_A.weight", "[4,6]", 24), F32 (Q ".lora_B.weight", "[4,4]", 16) };
  g_autoptr (GByteArray) bytes = make (tensors), model_bytes = make (model);
  g_autoptr (SoraWeightFile) base = weight_test_open (model_bytes->data, model_bytes->len, NULL);
  g_autofree gchar *folder = g_dir_make_tmp ("sora-test-XXXXXX", NULL);
  g_autofree gchar *path = g_build_filename (folder, "adapter_model.safetensors", NULL);
  g_autofree gchar *config = g_build_filename (folder, "adapter_config.json", NULL);

  g_assert_true (g_file_set_contents (path, (const gchar *) bytes->data, bytes->len, NULL));
  for (guint i = 0; i < G_N_ELEMENTS (configs); i++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (SoraLora) lora = NULL;
    g_autoptr (SoraLoraMerger) merger = sora_lora_merger_new (base, NULL);
    g_autoptr (SoraWeightFile) merged = NULL;
    gfloat value;

    g_assert_true (g_file_set_contents (config, configs[i].text, -1, NULL));
    lora = sora_lora_open (path, &error);
    if (configs[i].scale == 0) {
      g_assert_error (error, SORA_MODEL_ERROR, configs[i].code);
      continue;
    }
    g_assert_no_error (error);
    g_assert_true (sora_lora_merger_add (merger, lora, 1, NULL));
    merged = sora_lora_merger_get_file (merger, SORA_LORA_TRANSFORMER);
    sora_tensor_to_float (sora_weight_file_peek (merged, Q ".weight"), 0, 1, &value);
    g_assert_cmpfloat (value, ==, 1 + configs[i].scale * (1 * 1 + 2 * 7 + 3 * 13 + 4 * 19));
  }
  g_unlink (path);
  g_unlink (config);
  g_rmdir (folder);
}

/* --- in words ---------------------------------------------------------------------------------------------------- */

static void
test_describe (void)
{
  static const struct { const gchar *file, *said[4]; } table[] = {
    { "lora/kohya.safetensors", { "transformer   9 layers, rank 2, alpha 1\n", "underscores after \"lora_unet_\"", "Wan's own names", "BF16" } },
    { "lora/diffusers.safetensors", { "transformer   9 layers, rank 2\n", "diffusers' names after \"transformer.\"" } },
    { "lora/other.safetensors", { "rank 3, alpha 6, 7 whole differences" } },
    { "lora/checkpoint.pt", { "9 layers", "generator_lora.base_model.model." } },
    { "lora/encoder-bare.safetensors", { "text encoder  4 layers, rank 2\n" } },
    { "lora/bias.safetensors", { "1 layer, rank 2, alpha 1\n" } },
    { "lora/loha.safetensors", { "9 layers, LoHa, rank 2, alpha 1\n", "after \"lycoris_\"" } },
    { "lora/dora.safetensors", { "9 layers, LoHa, LoKr, DoRA, rank 2" } },
    { "lora-peft/lokr/adapter_model.safetensors", { "9 layers, LoKr, rank 2, alpha 1\n" } },
  };

  for (guint i = 0; i < G_N_ELEMENTS (table); i++) {
    g_autoptr (SoraLora) lora = open_golden_lora (table[i].file);
    g_autofree gchar *text = sora_lora_describe (lora);
    for (guint j = 0; j < G_N_ELEMENTS (table[i].said) && table[i].said[j]; j++) {
      if (!strstr (text, table[i].said[j]))
        g_error ("no \"%s\" in:\n%s", table[i].said[j], text);
    }
  }
}

/* No model is taken for a LoRA. */
static void
test_recognise (void)
{
  static const gchar *const loras[] = { "lora/kohya.safetensors", "lora/checkpoint.pt", "lora/encoder-bare.safetensors" };
  static const gchar *const models[] = { "transformer.safetensors", "text-encoder.safetensors", "weights/transformer.pth",
    "weights/transformer-comfyui.safetensors", "weights/text-encoder.gguf", "weights/transformer-nested.pt", "vae-small.safetensors" };

  for (guint i = 0; i < G_N_ELEMENTS (loras); i++) {
    g_autoptr (SoraWeightFile) file = open_golden (loras[i]);
    g_assert_true (sora_lora_recognise (file));
  }
  for (guint i = 0; i < G_N_ELEMENTS (models); i++) {
    g_autoptr (SoraWeightFile) file = open_golden (models[i]);
    g_assert_false (sora_lora_recognise (file));
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/lora/dialects", test_dialects);
  g_test_add_func ("/lora/parts", test_parts);
  g_test_add_func ("/lora/magnitudes", test_magnitudes);
  g_test_add_func ("/lora/no-direction", test_no_direction);
  g_test_add_func ("/lora/peft", test_peft);
  g_test_add_func ("/lora/products", test_products);
  g_test_add_func ("/lora/weights", test_weights);
  for (guint i = 0; i < G_N_ELEMENTS (faults); i++) {
    g_autofree gchar *name = g_strconcat ("/lora/fault/", faults[i].name, NULL);
    g_test_add_data_func (name, &faults[i], test_fault);
  }
  g_test_add_func ("/lora/sound", test_sound);
  g_test_add_func ("/lora/prefixes", test_prefixes);
  g_test_add_func ("/lora/folders", test_folders);
  g_test_add_func ("/lora/same-names", test_same_names);
  g_test_add_func ("/lora/alpha-types", test_alpha_types);
  g_test_add_func ("/lora/negative-alpha", test_negative_alpha);
  g_test_add_func ("/lora/config", test_config);
  g_test_add_func ("/lora/describe", test_describe);
  g_test_add_func ("/lora/recognise", test_recognise);
  return g_test_run ();
}
