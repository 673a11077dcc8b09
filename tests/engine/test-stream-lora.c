/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* LoRAs of a stream: as merged weights on disk would be, changed and taken away while it runs, beside streams with others, and refused. */
#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

#include "memory-meter.h"
#include "model-private.h"
#include "stages/text-encoder-private.h"
#include "stages/transformer-private.h"
#include "stream-support.h"
#include "weights/tensor-writer.h"

#define RANK 3
#define ALPHA 1.5f
#define SIZE 0.4                /* of a difference against the weights, about 1 / sqrt (k) each */

static gchar *scratch;          /* a folder of this run */

/* A layer of the tiny model: the tensor's name, n, k */
typedef struct {
  const gchar *name;
  gint64 n, k;
} Layer;

static const Layer style[] = {
  { "blocks.0.attn1.to_q", 32, 32 }, { "blocks.0.attn1.to_v", 32, 32 }, { "blocks.1.attn2.to_out.0", 32, 32 },
  { "condition_embedder.time_proj", 192, 32 }, { "condition_embedder.text_embedder.linear_1", 32, 24 }, { NULL },
};
static const Layer motion[] = { { "blocks.1.ffn.net.0.proj", 72, 32 }, { "blocks.1.attn2.to_k", 32, 32 }, { NULL } };
static const Layer words[] = {
  { "encoder.block.0.layer.0.SelfAttention.q", 24, 24 },
  { "encoder.block.1.layer.1.DenseReluDense.wo", 24, 40 }, { NULL }
};

/* (transfer full): numbers of a half, the same for the same layer */
static gfloat *
draw_half (const Layer *layer, gboolean up)
{
  gdouble scale = up ? sqrt (3 * SIZE / RANK) : sqrt (3 * SIZE / layer->k);

  return sora_test_random (g_str_hash (layer->name) + up, up ? layer->n * RANK : RANK * layer->k, scale);
}

/* (transfer full): the path of a LoRA of @layers, each called "@prefixNAME" */
static gchar *
write_lora (const gchar *name, const Layer *layers, const gchar *prefix)
{
  g_autoptr (SoraTensorWriter) writer = sora_tensor_writer_new ();
  g_autoptr (GError) error = NULL;
  gchar *path = g_build_filename (scratch, name, NULL);
  const gfloat alpha = ALPHA;

  for (; layers->name; layers++) {
    g_autofree gchar *down_key = g_strconcat (prefix, layers->name, ".lora_A.weight", NULL);
    g_autofree gchar *up_key = g_strconcat (prefix, layers->name, ".lora_B.weight", NULL);
    g_autofree gchar *alpha_key = g_strconcat (prefix, layers->name, ".alpha", NULL);
    g_autofree gfloat *down = draw_half (layers, FALSE), *up = draw_half (layers, TRUE);
    const gint64 down_shape[] = { RANK, layers->k }, up_shape[] = { layers->n, RANK };
    sora_tensor_writer_add (writer, down_key, down, down_shape, 2);
    sora_tensor_writer_add (writer, up_key, up, up_shape, 2);
    sora_tensor_writer_add (writer, alpha_key, &alpha, NULL, 0);
  }
  sora_tensor_writer_save (writer, path, &error);
  g_assert_no_error (error);
  return path;
}

static gchar *style_path, *motion_path, *words_path;

static void
set_loras (SoraStream *stream, const gchar *a, gdouble a_weight, const gchar *b, gdouble b_weight)
{
  g_autoptr (GError) error = NULL;
  const gchar *paths[] = { a, b, NULL };
  const gdouble weights[] = { a_weight, b_weight };

  g_assert_true (sora_stream_set_loras (stream, paths, weights, &error));
  g_assert_no_error (error);
}

/* With one LoRA from the start; NULL: none */
static SoraStream *
open_with (SoraModel *model, const gchar *path, gdouble weight)
{
  g_autoptr (SoraStreamOptions) options = default_options ();
  const gchar *paths[] = { path, NULL };

  sora_stream_options_set_loras (options, paths, &weight);
  return open_stream (model, options);
}

static void
assert_differ (SoraStream *a, SoraStream *b)
{
  g_autoptr (SoraBlock) x = pull (a);
  g_autoptr (SoraBlock) y = pull (b);

  g_assert_false (same_frames (x, y));
}

/* --- against merged weights -------------------------------------------------------------------------------------- */

/* Adds @weight times the difference of @layer to @data. */
static void
merge (gfloat *data, const Layer *layer, gdouble weight)
{
  g_autofree gfloat *down = draw_half (layer, FALSE), *up = draw_half (layer, TRUE);

  for (gint64 i = 0; i < layer->n; i++)
    for (gint64 j = 0; j < layer->k; j++) {
      gdouble sum = 0;
      for (guint r = 0; r < RANK; r++)
        sum += (gdouble) up[i * RANK + r] * down[r * layer->k + j];
      data[i * layer->k + j] += weight * ALPHA / RANK * sum;
    }
}

static void
merge_into (gfloat *data, const gchar *tensor, const Layer *layers, gdouble weight)
{
  for (; layers->name; layers++) {
    g_autofree gchar *name = g_strconcat (layers->name, ".weight", NULL);
    if (g_str_equal (name, tensor))
      merge (data, layers, weight);
  }
}

/* Rewrites a weight file of a copy of the tiny model with differences merged. */
static void
merge_file (const gchar *model, const gchar *file, const Layer *const *layers, const gdouble *weights)
{
  g_autofree gchar *path = g_build_filename (model, file, NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (SoraWeightFile) weight_file = sora_weight_file_open (path, &error);
  g_autoptr (SoraTensorWriter) writer = sora_tensor_writer_new ();
  g_autoptr (GPtrArray) names = NULL;

  g_assert_no_error (error);
  names = sora_weight_file_get_names (weight_file);
  for (guint i = 0; i < names->len; i++) {
    const SoraTensor *tensor = sora_weight_file_peek (weight_file, names->pdata[i]);
    g_autofree gfloat *data = g_new (gfloat, tensor->n_elements);
    gint64 shape[SORA_TENSOR_MAX_DIMS];

    for (guint j = 0; j < tensor->n_dims; j++)
      shape[j] = tensor->shape[j];
    sora_tensor_to_float (tensor, 0, tensor->n_elements, data);
    for (guint j = 0; layers[j]; j++)
      merge_into (data, names->pdata[i], layers[j], weights[j]);
    sora_tensor_writer_add (writer, names->pdata[i], data, shape, tensor->n_dims);
  }
  g_unlink (path);              /* the mapped file stays what it was */
  sora_tensor_writer_save (writer, path, &error);
  g_assert_no_error (error);
}

typedef struct {
  gfloat *data;
  gsize n;
} Latents;

static void
keep_latents (const gchar *name, const gfloat *data, const gint64 *shape, guint n_dims, gpointer user_data)
{
  Latents *latents = user_data;

  if (!g_str_equal (name, "latents"))
    return;
  latents->n = shape[0] * shape[1] * shape[2] * shape[3];
  g_free (latents->data);
  latents->data = g_memdup2 (data, latents->n * sizeof (gfloat));
}

/* Another order of sums before the weights are rounded to single precision; what follows is the same arithmetic. */
static void
test_merged (void)
{
  static const Layer *const layers[] = { style, motion, words, NULL };
  static const gdouble weights[] = { 0.75, -0.5, 1.25 };
  const gchar *paths[] = { style_path, motion_path, words_path, NULL };
  g_autofree gchar *copy = copy_model ();
  merge_file (copy, "transformer/diffusion_pytorch_model.safetensors", layers, weights);
  merge_file (copy, "text_encoder/model.safetensors", layers, weights);
  g_autoptr (SoraModel) merged_model = open_model (copy), model = open_tiny_model ();
  g_autoptr (SoraStreamOptions) options = default_options ();
  g_autoptr (SoraStream) merged = open_stream (merged_model, options);
  sora_stream_options_set_loras (options, paths, weights);
  g_autoptr (SoraStream) stream = open_stream (model, options);
  Latents expected = { 0 }, actual = { 0 };

  sora_stream_set_tap (merged, keep_latents, &expected);
  sora_stream_set_tap (stream, keep_latents, &actual);
  for (guint i = 0; i < 4; i++) {
    sora_block_unref (pull (merged));
    sora_block_unref (pull (stream));
    g_assert_cmpuint (actual.n, ==, expected.n);
    sora_test_assert_close (actual.data, expected.data, actual.n, TOLERANCE, "block %u", i);
  }
  g_free (expected.data);
  g_free (actual.data);
  remove_copy (copy);
}

#define EXPERT "transformer/diffusion_pytorch_model.safetensors"
#define EXPERT_2 "transformer_2/diffusion_pytorch_model.safetensors"

/* (transfer full): a copy of the tiny model as one of clips, with a second expert beside the first, which the motion is merged into */
static gchar *
make_experts (void)
{
  static const gchar *const files[] = { "config.json", "diffusion_pytorch_model.safetensors" };
  static const Layer *const layers[] = { motion, NULL };
  static const gdouble weight = 1;
  gchar *copy = copy_model ();
  g_autofree gchar *second = g_build_filename (copy, "transformer_2", NULL);

  g_assert_cmpint (g_mkdir (second, 0700), ==, 0);
  for (guint i = 0; i < G_N_ELEMENTS (files); i++) {
    g_autofree gchar *from = g_build_filename (copy, "transformer", files[i], NULL), *to = g_build_filename (second, files[i], NULL), *data = NULL;
    gsize length;
    g_assert_true (g_file_get_contents (from, &data, &length, NULL));
    g_assert_true (g_file_set_contents (to, data, length, NULL));
  }
  replace_in_file (copy, "model_index.json", "{", "{\"boundary_ratio\": 0.9, \"transformer_2\": [\"diffusers\", \"WanTransformer3DModel\"],");
  replace_in_file (copy, "sora.json", "\"causal\": true", "\"causal\": false");
  replace_in_file (copy, "sora.json", "\"default_latents\": 0", "\"default_latents\": 3");
  merge_file (copy, EXPERT_2, layers, &weight);
  return copy;
}

/* The LoRA in the file @path against experts that it was merged into: the first, the second, or both */
static void
check_experts (const gchar *path, gboolean in_first, gboolean in_second)
{
  static const Layer *const layers[] = { style, NULL };
  static const gdouble weight = 0.75;
  const gchar *paths[] = { path, NULL };
  g_autofree gchar *copy = make_experts (), *merged_copy = make_experts ();
  if (in_first)
    merge_file (merged_copy, EXPERT, layers, &weight);
  if (in_second)
    merge_file (merged_copy, EXPERT_2, layers, &weight);
  g_autoptr (SoraModel) model = open_model (copy), merged_model = open_model (merged_copy);
  g_autoptr (SoraStreamOptions) options = default_options ();
  g_autoptr (SoraStream) plain = open_stream (model, options), merged = open_stream (merged_model, options);
  sora_stream_options_set_loras (options, paths, &weight);
  g_autoptr (SoraStream) stream = open_stream (model, options);
  Latents expected = { 0 }, actual = { 0 };

  assert_differ (plain, stream);
  sora_stream_restart (stream);
  sora_stream_set_tap (merged, keep_latents, &expected);
  sora_stream_set_tap (stream, keep_latents, &actual);
  sora_block_unref (pull (merged));
  sora_block_unref (pull (stream));
  g_assert_cmpuint (actual.n, ==, expected.n);
  sora_test_assert_close (actual.data, expected.data, actual.n, TOLERANCE, "two experts, %d %d", in_first, in_second);
  g_free (expected.data);
  g_free (actual.data);
  remove_copy (copy);
  remove_copy (merged_copy);
}

/* A LoRA changes both, unless its file is called after one. */
static void
test_experts (void)
{
  static const gchar *const names[] = { "style_high_noise.safetensors", "style-LOW.safetensors" };
  g_autofree gchar *folder = g_dir_make_tmp ("sora-test-XXXXXX", NULL), *data = NULL;
  gsize length;

  g_assert_nonnull (folder);
  g_assert_true (g_file_get_contents (style_path, &data, &length, NULL));
  check_experts (style_path, TRUE, TRUE);
  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    g_autofree gchar *path = g_build_filename (folder, names[i], NULL);
    g_assert_true (g_file_set_contents (path, data, length, NULL));
    check_experts (path, i == 0, i == 1);
    g_remove (path);
  }
  g_rmdir (folder);
}

/* --- while it runs ----------------------------------------------------------------------------------------------- */

/* From the next block on; taken away, the frames are those without, bit by bit. */
static void
test_change (void)
{
  g_autoptr (SoraModel) model = open_tiny_model (), other_model = open_tiny_model ();
  g_autoptr (SoraStream) changed = open_with (model, NULL, 1), plain = open_with (other_model, NULL, 1);
  g_autoptr (SoraStream) styled = open_with (other_model, style_path, 0.5);

  assert_same_blocks (changed, plain, 2);
  set_loras (changed, style_path, 0.5, NULL, 0);
  assert_differ (changed, plain);
  sora_stream_restart (changed);        /* without LoRAs, as it began */
  sora_stream_restart (plain);
  assert_same_blocks (changed, plain, 3);

  sora_stream_restart (changed);
  set_loras (changed, style_path, 0.5, NULL, 0);
  assert_same_blocks (changed, styled, 3);

  sora_stream_restart (changed);
  sora_stream_restart (plain);
  set_loras (changed, motion_path, 1, words_path, 1);
  set_loras (changed, NULL, 1, NULL, 1);        /* the last one counts */
  assert_same_blocks (changed, plain, 3);
  sora_stream_restart (changed);
  sora_stream_restart (styled);
  set_loras (changed, style_path, 0.5, motion_path, 0);
  assert_same_blocks (changed, styled, 3);
}

/* One after the other within a stream: as a stream that had them at those blocks. */
static void
test_sequence (void)
{
  const gchar *const steps[] = { words_path, style_path, motion_path, NULL };
  g_autoptr (SoraModel) model = open_tiny_model ();
  g_autoptr (SoraStream) a = open_with (model, NULL, 1), b = open_with (model, motion_path, 1);

  set_loras (b, NULL, 1, NULL, 1);
  assert_same_blocks (a, b, 1);
  for (guint i = 0; steps[i]; i++) {
    set_loras (a, steps[i], 0.5, NULL, 0);
    set_loras (b, steps[i], 0.5, NULL, 0);
    assert_same_blocks (a, b, 2);
  }
  sora_stream_restart (b);      /* its first LoRA is there again */
  g_autoptr (SoraStream) fresh = open_with (model, motion_path, 1);
  assert_same_blocks (b, fresh, 2);
}

/* Each of two streams of a model has its own, whatever the other does. */
static void
test_two_streams (void)
{
  g_autoptr (SoraModel) model = open_tiny_model (), first = open_tiny_model (), second = open_tiny_model (), third = open_tiny_model ();
  g_autoptr (SoraStream) styled = open_with (model, style_path, 1), moved = open_with (model, motion_path, 1);
  g_autoptr (SoraStream) plain = open_with (model, NULL, 1);
  g_autoptr (SoraStream) lone_styled = open_with (first, style_path, 1), lone_moved = open_with (second, motion_path, 1);
  g_autoptr (SoraStream) lone_plain = open_with (third, NULL, 1);

  for (guint i = 0; i < 3; i++) {
    assert_same_blocks (styled, lone_styled, 1);
    assert_same_blocks (moved, lone_moved, 1);
    assert_same_blocks (plain, lone_plain, 1);
  }
  assert_differ (plain, moved);
}

/* Bytes of the device that a stream with these options and at most @limit takes for weights; 0: it is refused. *@whole, if not NULL, is all it takes. */
static guint64
measure_weights (SoraStreamOptions *options, guint64 limit, guint64 *whole)
{
  g_autoptr (SoraModel) model = open_tiny_model ();
  g_autoptr (SoraDevice) device = open_device ();
  g_autoptr (SoraStream) stream = NULL;
  guint64 stream_bytes, weight_bytes;

  sora_stream_options_set_max_memory (options, limit);
  if (!(stream = sora_stream_new (model, device, options, NULL, NULL, NULL, NULL)))
    return 0;
  sora_stream_get_memory (stream, &stream_bytes, &weight_bytes);
  if (whole)
    *whole = stream_bytes + weight_bytes;
  return weight_bytes;
}

/* Limits the memory to the most with which a stream with these options streams weights. What a device needs beside them (CLBlast's scratch, say) is
 * planned for the longest prompt, so it is sought from above; in steps of less than a layer of the tiny model. */
static void
limit_to_streaming (SoraStreamOptions *options)
{
  guint64 limit = 0, weights;
  const guint64 all = measure_weights (options, 0, &limit);

  for (limit *= 2; (weights = measure_weights (options, limit, NULL)) == all; limit -= 20000)
    ;
  g_assert_cmpuint (weights, >, 0);
  g_assert_cmpuint (weights, <, all);
}

/* Wherever a cancellation hits, also in the change itself, and where the old weights have to go before it. */
static void
test_cancel (gconstpointer limited)
{
  g_autoptr (SoraModel) model = open_tiny_model (), other_model = open_tiny_model ();
  g_autoptr (SoraStreamOptions) options = default_options ();
  g_autoptr (SoraStream) steady = open_stream (other_model, options), disturbed = NULL;
  const gchar *const steps[] = { style_path, NULL, words_path, motion_path, style_path, NULL };

  if (limited)
    limit_to_streaming (options);
  disturbed = open_stream (model, options);
  for (guint i = 0; i < G_N_ELEMENTS (steps); i++) {
    set_loras (disturbed, steps[i], 0.5, NULL, 0);
    set_loras (steady, steps[i], 0.5, NULL, 0);
    assert_same_though_cancelled (disturbed, steady, 2);
  }
}

/* --- what is shared ---------------------------------------------------------------------------------------------- */

/* The parts that LoRAs concern, with one, and the VAE */
typedef struct {
  SoraModel *model;
  SoraResident *vae, *text_encoder, *transformer;
} Set;

static Set
get_set (SoraModel *model, SoraQueue *queue, SoraWeightType type, const gchar *path, gdouble weight)
{
  g_autoptr (GError) error = NULL;
  const gchar *paths[] = { path, NULL };
  g_autoptr (SoraModelLoras) loras = sora_model_loras_new (model, paths, &weight, &error);
  const SoraWeightRequest request = { .loras = loras, .type = type, .precision = SORA_PRECISION_FP32, .max_memory = G_MAXUINT64, .limits = { .max_bytes = G_MAXUINT64, .max_new_bytes = G_MAXUINT64 } };
  Set set = { .model = model };

  g_assert_no_error (error);
  set.vae = sora_model_take (model, SORA_PART_VAE, queue, &request, &error);
  g_assert_no_error (error);
  set.text_encoder = sora_model_take (model, SORA_PART_TEXT_ENCODER, queue, &request, &error);
  g_assert_no_error (error);
  set.transformer = sora_model_take (model, SORA_PART_TRANSFORMER, queue, &request, &error);
  g_assert_no_error (error);
  return set;
}

static void
set_clear (Set *set)
{
  sora_model_release (set->model, set->vae);
  sora_model_release (set->model, set->text_encoder);
  sora_model_release (set->model, set->transformer);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Set, set_clear)

/* Only what a LoRA concerns is there twice; the same LoRA is there once. What is stored otherwise is not shared. */
static void
test_sharing (void)
{
  g_autoptr (SoraModel) model = open_tiny_model ();
  g_autoptr (SoraQueue) queue = sora_test_queue_new ();
  g_auto (Set) moved = get_set (model, queue, SORA_WEIGHT_TYPE_FP32, motion_path, 1);
  g_auto (Set) plain = get_set (model, queue, SORA_WEIGHT_TYPE_FP32, NULL, 1), again = get_set (model, queue, SORA_WEIGHT_TYPE_FP32, motion_path, 1);
  g_auto (Set) weaker = get_set (model, queue, SORA_WEIGHT_TYPE_FP32, motion_path, 0.5);
  g_auto (Set) none = get_set (model, queue, SORA_WEIGHT_TYPE_FP32, motion_path, 0);
  g_auto (Set) worded = get_set (model, queue, SORA_WEIGHT_TYPE_FP32, words_path, 1);
  g_auto (Set) halved = get_set (model, queue, SORA_WEIGHT_TYPE_BF16, motion_path, 1);
  SoraTransformerLayer *a = moved.transformer->transformer->layers, *b = plain.transformer->transformer->layers;
  SoraTransformerLayer *c = weaker.transformer->transformer->layers, *d = halved.transformer->transformer->layers;
  SoraTextEncoderLayer *x = worded.text_encoder->text_encoder->layers, *y = plain.text_encoder->text_encoder->layers;

  g_assert_true (again.transformer == moved.transformer && none.transformer == plain.transformer && moved.transformer != plain.transformer);
  g_assert_true (moved.text_encoder == plain.text_encoder && moved.vae == plain.vae && weaker.vae == plain.vae);
  g_assert_true (worded.transformer == plain.transformer && worded.text_encoder != plain.text_encoder);
  g_assert_true (x[0].o == y[0].o && x[0].qkv != y[0].qkv);
  for (guint i = 0; i < 2; i++)
    g_assert_true (a[i].self.q == b[i].self.q && a[i].self.kv == b[i].self.kv && a[i].cross.out == b[i].cross.out && a[i].ffn_out == b[i].ffn_out);
  g_assert_true (a[0].ffn_in == b[0].ffn_in && a[0].cross.kv == b[0].cross.kv && c[0].ffn_in == b[0].ffn_in);
  g_assert_true (a[1].ffn_in != b[1].ffn_in && a[1].cross.kv != b[1].cross.kv);
  g_assert_true (c[1].ffn_in != b[1].ffn_in && c[1].ffn_in != a[1].ffn_in);
  g_assert_true (d[0].self.q != b[0].self.q && halved.vae == plain.vae);
}

/* Stored as q8, released and streamed: what a LoRA adds is there, and goes again. */
static void
test_memory (void)
{
  static const struct { SoraWeightType type; SoraTextEncoderPolicy policy; gboolean streamed; } ways[] = {
    { SORA_WEIGHT_TYPE_Q8, SORA_TEXT_ENCODER_POLICY_KEEP, FALSE }, { SORA_WEIGHT_TYPE_BF16, SORA_TEXT_ENCODER_POLICY_RELEASE, FALSE },
    { SORA_WEIGHT_TYPE_FP32, SORA_TEXT_ENCODER_POLICY_RELEASE, TRUE }, { SORA_WEIGHT_TYPE_Q8, SORA_TEXT_ENCODER_POLICY_RELEASE, TRUE },
    { SORA_WEIGHT_TYPE_FP32, SORA_TEXT_ENCODER_POLICY_KEEP, TRUE },
  };
  const gchar *const none[] = { NULL }, *const loras[] = { style_path, words_path, NULL };
  const gdouble weights[] = { 0.5, 1 };

  for (guint i = 0; i < G_N_ELEMENTS (ways); i++) {
    g_autoptr (SoraModel) model = open_tiny_model (), plain_model = open_tiny_model (), both_model = open_tiny_model ();
    g_autoptr (SoraStreamOptions) options = default_options ();
    sora_stream_options_set_weight_type (options, ways[i].type);
    sora_stream_options_set_text_encoder_policy (options, ways[i].policy);
    if (ways[i].streamed)
      limit_to_streaming (options);
    g_autoptr (SoraStream) changed = open_stream (model, options), plain = open_stream (plain_model, options);
    sora_stream_options_set_loras (options, loras, weights);
    g_autoptr (SoraStream) both = open_stream (both_model, options);

    g_assert_true (sora_stream_set_loras (changed, loras, weights, NULL));
    assert_same_blocks (changed, both, 2);
    sora_stream_restart (changed);
    g_assert_true (sora_stream_set_loras (changed, none, NULL, NULL));
    assert_same_blocks (changed, plain, 2);
    assert_differ (plain, both);
  }
}

/* DoRA's rows are made anew wherever weights are, floats or q8: streamed they are as they are when they stay. */
static void
test_magnitudes (void)
{
  static const SoraWeightType types[] = { SORA_WEIGHT_TYPE_FP32, SORA_WEIGHT_TYPE_Q8 };
  g_autofree gchar *path = golden_path ("lora/tiny-magnitudes.safetensors");
  const gchar *const loras[] = { path, NULL };
  const gdouble weights[] = { 0.75 };

  for (guint i = 0; i < G_N_ELEMENTS (types); i++) {
    g_autoptr (SoraModel) model = open_tiny_model (), plain_model = open_tiny_model (), streamed_model = open_tiny_model ();
    g_autoptr (SoraStreamOptions) options = default_options ();
    sora_stream_options_set_weight_type (options, types[i]);
    g_autoptr (SoraStream) plain = open_stream (plain_model, options);
    sora_stream_options_set_loras (options, loras, weights);
    g_autoptr (SoraStream) whole = open_stream (model, options);
    limit_to_streaming (options);
    g_autoptr (SoraStream) streamed = open_stream (streamed_model, options);

    assert_same_blocks (whole, streamed, 2);
    sora_stream_restart (whole);
    assert_differ (plain, whole);
  }
}

/* Frames of the next @n blocks: (transfer full), of *@size bytes */
static GBytes *
pull_bytes (SoraStream *stream, guint n)
{
  GByteArray *bytes = g_byte_array_new ();

  for (guint i = 0; i < n; i++) {
    g_autoptr (SoraBlock) block = pull (stream);
    g_byte_array_append (bytes, sora_block_get_rgb (block, 0),
        sora_block_get_n_frames (block) * 3 * sora_block_get_width (block) * sora_block_get_height (block));
  }
  return g_byte_array_free_to_bytes (bytes);
}

/* Blocks of a stream that has LoRAs set after the first one; the most bytes that it had on the device, and those without the change */
static GBytes *
run_change (SoraStreamOptions *options, guint64 *most, guint64 *plain)
{
  const gchar *const loras[] = { style_path, words_path, motion_path, NULL };
  g_autoptr (SoraModel) model = open_tiny_model ();
  g_autoptr (SoraStream) stream = NULL;
  g_autoptr (SoraBlock) first = NULL;

  memory_meter_wait ();
  memory_meter_take_peak ();
  stream = open_stream (model, options);
  first = pull (stream);
  *plain = memory_meter_take_peak ();
  g_assert_true (sora_stream_set_loras (stream, loras, NULL, NULL));
  GBytes *bytes = pull_bytes (stream, 2);
  *most = memory_meter_take_peak ();
  return bytes;
}

/* The change stays within the memory too: beside the old weights where they have room, else after them; frames do not depend on it. */
static void
test_bound (void)
{
  g_autoptr (SoraStreamOptions) options = default_options ();
  guint64 most, plain, unlimited;
  guint n_in_place = 0;

  sora_stream_options_set_weight_type (options, SORA_WEIGHT_TYPE_FP32);
  g_autoptr (GBytes) expected = run_change (options, &unlimited, &plain);
  g_assert_cmpuint (unlimited, >, plain);
  for (guint64 limit = unlimited + 40000; limit > unlimited - 180000; limit -= 30000) {
    sora_stream_options_set_max_memory (options, limit);
    g_autoptr (GBytes) frames = run_change (options, &most, &plain);
    g_test_message ("limit %" G_GUINT64_FORMAT ", before %" G_GUINT64_FORMAT ", in the change %" G_GUINT64_FORMAT, limit, plain, most);
    g_assert_cmpuint (most, <=, limit);
    g_assert_true (g_bytes_equal (frames, expected));
    n_in_place += most < unlimited;
  }
  g_assert_cmpuint (n_in_place, >=, 2);
}

/* What the device has no room for is refused by one error, also where the old weights had to go for the attempt; the stream goes on as if nothing
 * had been set, and takes the next ones. */
static void
test_no_room (void)
{
  g_autoptr (SoraModel) model = open_tiny_model (), other_model = open_tiny_model ();
  g_autoptr (SoraStream) stream = open_with (model, style_path, 1), steady = open_with (other_model, style_path, 1);
  g_autoptr (GError) error = NULL;

  assert_same_blocks (stream, steady, 1);
  set_loras (stream, motion_path, 1, words_path, 1);
  memory_meter_set_limit (memory_meter_get_bytes () - 1);
  g_assert_null (sora_stream_next_block (stream, NULL, &error));
  memory_meter_set_limit (G_MAXUINT64);
  g_assert_error (error, SORA_STREAM_ERROR, SORA_STREAM_ERROR_LORAS);
  g_test_message ("%s", error->message);
  assert_same_blocks (stream, steady, 2);
  set_loras (stream, motion_path, 1, NULL, 1);
  set_loras (steady, motion_path, 1, NULL, 1);
  assert_same_blocks (stream, steady, 2);
}

/* What one set makes first and another shares lives on without it. */
static void
test_lifetime (void)
{
  g_autoptr (SoraModel) model = open_tiny_model ();
  g_autoptr (SoraStream) plain = open_with (model, NULL, 1), moved = open_with (model, motion_path, 1);
  g_autoptr (SoraModel) other_model = open_tiny_model ();
  g_autoptr (SoraStream) expected = open_with (other_model, motion_path, 1);

  g_clear_pointer (&plain, sora_stream_free);
  assert_same_blocks (moved, expected, 1);
  set_loras (moved, style_path, 1, motion_path, 1);
  set_loras (expected, style_path, 1, motion_path, 1);
  assert_same_blocks (moved, expected, 1);
  g_assert_cmpuint (model->residents->len, ==, 3);
}

/* --- what is refused --------------------------------------------------------------------------------------------- */

static void
assert_refused (SoraStream *stream, const gchar *path, gdouble weight, GQuark domain, gint code, const gchar *said)
{
  g_autoptr (GError) error = NULL;
  const gchar *paths[] = { motion_path, path, NULL };
  const gdouble weights[] = { 1, weight };

  g_assert_false (sora_stream_set_loras (stream, paths, weights, &error));
  g_assert_error (error, domain, code);
  g_assert_nonnull (strstr (error->message, path));
  g_assert_nonnull (strstr (error->message, said));
}

/* One error that names the file, and nothing is changed. */
static void
test_refused (void)
{
  static const Layer far[] = { { "blocks.0.attn1.to_q", 32, 32 }, { "blocks.7.attn1.to_q", 32, 32 }, { NULL } };
  static const Layer wide[] = { { "blocks.0.attn1.to_q", 48, 48 }, { NULL } };
  g_autofree gchar *far_path = write_lora ("far.safetensors", far, "transformer."), *wide_path = write_lora ("wide.safetensors", wide, "");
  g_autofree gchar *none = g_build_filename (scratch, "none.safetensors", NULL), *text = g_build_filename (scratch, "text", NULL);
  g_autoptr (SoraModel) model = open_tiny_model ();
  g_autoptr (SoraStream) a = open_with (model, style_path, 1), b = open_with (model, style_path, 1);
  g_autoptr (SoraStreamOptions) options = default_options ();
  g_autoptr (SoraDevice) device = open_device ();
  g_autoptr (GError) error = NULL;
  const gchar *paths[] = { far_path, NULL };

  g_assert_true (g_file_set_contents (text, "not a LoRA at all", -1, NULL));
  assert_same_blocks (a, b, 1);
  assert_refused (a, far_path, 1, SORA_MODEL_ERROR, SORA_MODEL_ERROR_WEIGHT, "transformer.blocks.7.attn1.to_q.lora_A.weight");
  assert_refused (a, wide_path, 1, SORA_MODEL_ERROR, SORA_MODEL_ERROR_WEIGHT, "blocks.0.attn1.to_q.lora_A.weight");
  assert_refused (a, wide_path, 0, SORA_MODEL_ERROR, SORA_MODEL_ERROR_WEIGHT, "blocks.0.attn1.to_q.lora_A.weight");
  assert_refused (a, none, 1, SORA_MODEL_ERROR, SORA_MODEL_ERROR_NOT_FOUND, "No such file");
  assert_refused (a, text, 1, SORA_MODEL_ERROR, SORA_MODEL_ERROR_FORMAT, "not a weight file");
  assert_refused (a, style_path, NAN, SORA_STREAM_ERROR, SORA_STREAM_ERROR_OPTION, "weight");
  assert_refused (a, style_path, 101, SORA_STREAM_ERROR, SORA_STREAM_ERROR_OPTION, "weight");
  assert_same_blocks (a, b, 3);

  sora_stream_options_set_loras (options, paths, NULL);
  g_assert_null (sora_stream_new (model, device, options, NULL, NULL, NULL, &error));
  g_assert_error (error, SORA_MODEL_ERROR, SORA_MODEL_ERROR_WEIGHT);
  g_unlink (far_path);
  g_unlink (wide_path);
  g_unlink (text);
}

int
main (int argc, char **argv)
{
  int status;

  g_test_init (&argc, &argv, NULL);
  scratch = g_dir_make_tmp ("sora-test-XXXXXX", NULL);
  style_path = write_lora ("style.safetensors", style, "transformer.");
  motion_path = write_lora ("motion.safetensors", motion, "base_model.model.");
  words_path = write_lora ("words.safetensors", words, "text_encoder.");
  g_test_add_func ("/stream-lora/merged", test_merged);
  g_test_add_func ("/stream-lora/experts", test_experts);
  g_test_add_func ("/stream-lora/change", test_change);
  g_test_add_func ("/stream-lora/sequence", test_sequence);
  g_test_add_func ("/stream-lora/two-streams", test_two_streams);
  g_test_add_data_func ("/stream-lora/cancel", NULL, test_cancel);
  g_test_add_data_func ("/stream-lora/cancel-limited", GUINT_TO_POINTER (1), test_cancel);
  g_test_add_func ("/stream-lora/sharing", test_sharing);
  g_test_add_func ("/stream-lora/memory", test_memory);
  g_test_add_func ("/stream-lora/magnitudes", test_magnitudes);
  g_test_add_func ("/stream-lora/bound", test_bound);
  g_test_add_func ("/stream-lora/no-room", test_no_room);
  g_test_add_func ("/stream-lora/lifetime", test_lifetime);
  g_test_add_func ("/stream-lora/refused", test_refused);
  status = g_test_run ();
  g_unlink (style_path);
  g_unlink (motion_path);
  g_unlink (words_path);
  g_rmdir (scratch);
  g_free (style_path);
  g_free (motion_path);
  g_free (words_path);
  g_free (scratch);
  return status;
}
