/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The transformer against diffusers' WanTransformer3DModel (tests/reference/transformer.py): one block, whole, and block after
 * block over the cache, past the window's end, against one pass under a mask. */

#include "stages/transformer.h"

#include <math.h>
#include "stage-support.h"

/* Of max |a - b| over the reference's rms. Both sides compute in single precision, in different orders: 1e-6 to 5e-6 was seen
 * on random weights; trained ones, and a device's own exp and rsqrt, may add some. The smallest mistake (a key too many, a
 * place in time one off, the padding's weight) gives 1e-3 and more. */
#define TOLERANCE 5e-5

#define SCALE 1.75f             /* of uniform inputs, as in transformer.py */
#define EMBEDDED_STEP 97

static const guint n_tokens[] = { 5, 1 };       /* of the two branches' prompts */

/* A stream with everything that it needs. */
typedef struct {
  SoraTransformerConfig config;
  SoraTransformerShape shape;
  SoraWeightType type;          /* of the stored matrices */
  SoraPrecision precision;
  gdouble share;                /* of the weights, which are on the device; the others are streamed. 0: all are */
  SoraQueue *queue;
  SoraArena *arena;
  SoraTransformer *transformer;
  SoraTransformerState *state;
  cl_mem latents, output;
  gsize latent_in, latent_out;  /* floats of a latent frame of one branch */
} Stream;

static SoraTransformerConfig
golden_config (SoraWeightFile *golden)
{
  g_autofree gfloat *v = stage_golden (golden, NULL, "config");

  return (SoraTransformerConfig) {
    .in_channels = v[0], .out_channels = v[1], .num_attention_heads = v[2], .attention_head_dim = v[3], .num_layers = v[4],
    .ffn_dim = v[5], .text_dim = v[6], .freq_dim = v[7], .patch_size = { v[8], v[9], v[10] }, .cross_attn_norm = TRUE, .eps = 1e-6,
  };
}

/* @config and @shape are set */
static void
stream_open (Stream *s, SoraWeightFile *weights, const gchar *linear)
{
  g_autoptr (GError) error = NULL;

  s->queue = linear ? sora_test_queue_new_linear (linear) : sora_test_queue_new ();
  s->arena = sora_arena_new (sora_queue_get_device (s->queue));
  s->transformer = sora_transformer_new (&s->config, weights, s->type, s->precision, G_MAXUINT64, s->queue, &error);
  g_assert_no_error (error);
  if (s->share > 0) {
    guint64 size = sora_transformer_get_size (s->transformer);
    sora_transformer_free (s->transformer);
    s->transformer = sora_transformer_new (&s->config, weights, s->type, s->precision, s->share * size, s->queue, &error);
    g_assert_no_error (error);
    g_assert_true (sora_transformer_is_streamed (s->transformer));
  }
  s->state = sora_transformer_state_new (&s->config, &s->shape, s->arena);
  sora_arena_commit (s->arena, &error);
  g_assert_no_error (error);
  sora_transformer_state_prepare (s->transformer, s->state, s->queue);
  s->latent_in = (gsize) s->shape.height * s->shape.width * s->config.in_channels;
  s->latent_out = (gsize) s->shape.height * s->shape.width * s->config.out_channels;
  s->latents = sora_test_alloc (s->queue, s->shape.block_latents * s->latent_in);
  s->output = sora_test_alloc (s->queue, s->shape.n_branches * s->shape.block_latents * s->latent_out);
}

static void
stream_close (Stream *s)
{
  clReleaseMemObject (s->latents);
  clReleaseMemObject (s->output);
  sora_transformer_state_free (s->state);
  sora_transformer_free (s->transformer);
  sora_arena_free (s->arena);
  sora_queue_free (s->queue);
}

static void
set_texts (Stream *s)
{
  for (guint b = 0; b < s->shape.n_branches; b++) {
    g_autofree gfloat *text = sora_test_random (100 + b, n_tokens[b] * s->config.text_dim, SCALE);
    cl_mem embeddings = sora_test_upload (s->queue, text, n_tokens[b] * s->config.text_dim);

    sora_transformer_set_text (s->transformer, s->state, s->queue, b, SORA_MATRIX (embeddings, s->config.text_dim), n_tokens[b]);
    clReleaseMemObject (embeddings);
  }
}

/* Latent frames @first ... of the clip with this seed. */
static void
set_latents (Stream *s, guint32 seed, guint first, guint n)
{
  g_autofree gfloat *clip = sora_test_random (seed, (first + n) * s->latent_in, SCALE);

  sora_queue_write (s->queue, s->latents, 0, sizeof (gfloat) * n * s->latent_in, clip + first * s->latent_in);
}

/* One bidirectional evaluation of 3 latent frames, with matrices stored as @type; @linear: which kind */
static void
check_stored (const gchar *linear, SoraWeightType type, SoraPrecision precision, SoraWeightFile *weights, SoraWeightFile *golden,
    SoraTransformerConfig config, guint n_branches, guint text_length, guint block_latents, gdouble tolerance, const gchar *name)
{
  static const gdouble timesteps[] = { 50, 700, 312.5, 1000 };
  static const guint rows[] = { 1, 2, 3 };
  Stream s = { .config = config, .type = type, .precision = precision, .shape = { n_branches, block_latents, block_latents, 4, 6, text_length, 4 } };

  stream_open (&s, weights, linear);
  sora_transformer_set_timesteps (s.transformer, s.state, s.queue, timesteps, 4);
  set_texts (&s);
  set_latents (&s, 1, 0, 3);
  sora_transformer_run (s.transformer, s.state, s.queue, s.latents, 3, rows, n_branches, s.output, FALSE);
  stage_assert_golden (s.queue, s.output, 0, n_branches * 3 * s.latent_out, 1, golden, 0, tolerance, name);
  stream_close (&s);
}

static void
check_whole (const gchar *linear, SoraWeightFile *weights, SoraWeightFile *golden, SoraTransformerConfig config, guint n_branches, guint text_length,
    guint block_latents, const gchar *name)
{
  check_stored (linear, SORA_WEIGHT_TYPE_FP32, SORA_PRECISION_FP32, weights, golden, config, n_branches, text_length, block_latents, TOLERANCE, name);
}

static void
test_block (gconstpointer linear)
{
  g_autoptr (SoraWeightFile) golden = stage_golden_open ("transformer");
  SoraTransformerConfig config = golden_config (golden);

  config.num_layers = 1;
  check_whole (linear, golden, golden, config, 2, 8, 3, "block");
}

/* Also with room for more latents than are given, without padding rows, and with one branch only. */
static void
test_whole (gconstpointer linear)
{
  g_autoptr (SoraWeightFile) golden = stage_golden_open ("transformer");
  SoraTransformerConfig config = golden_config (golden);

  check_whole (linear, golden, golden, config, 2, 8, 3, "whole");
  check_whole (linear, golden, golden, config, 2, 8, 5, "whole");
  check_whole (linear, golden, golden, config, 1, 8, 3, "whole");
  check_whole (linear, golden, golden, config, 1, n_tokens[0], 3, "whole.unpadded");
}

/* The file's weights are in BF16. So bf16 and auto lose nothing, nor does fp16 but of weights below 2^-14, which it keeps to 2^-25. q8 rounds each
 * weight by 1/440 of its block's largest (rms), 1/250 of the weights' rms as they are uniform: about as much of each matrix's result, and of the
 * ten such results that an output passes through the root of ten times that, 0.013; the largest of 864 outputs is off by up to 4 times as
 * much. */
static void
test_stored (gconstpointer linear)
{
  g_autoptr (SoraWeightFile) golden = stage_golden_open ("transformer");
  SoraTransformerConfig config = golden_config (golden);

  check_stored (linear, SORA_WEIGHT_TYPE_BF16, SORA_PRECISION_FP32, golden, golden, config, 2, 8, 3, TOLERANCE, "whole");
  check_stored (linear, SORA_WEIGHT_TYPE_AUTO, SORA_PRECISION_FP32, golden, golden, config, 2, 8, 3, TOLERANCE, "whole");
  check_stored (linear, SORA_WEIGHT_TYPE_FP16, SORA_PRECISION_FP32, golden, golden, config, 2, 8, 3, TOLERANCE, "whole");
  check_stored (linear, SORA_WEIGHT_TYPE_Q8, SORA_PRECISION_FP32, golden, golden, config, 2, 8, 3, 0.05, "whole");
}

/* In bf16, where the device can, the weights are the file's own and what they are multiplied with is rounded, by 1/650 of its rms in the mean, of
 * which each matrix's result is off by as much. Along the ten results of test_stored() that adds up to 0.005; the largest of 864 outputs is off by
 * up to 4 times as much. A pair that is swapped, or a tile in a wrong place, gives 1. */
static void
test_bf16 (void)
{
  g_autoptr (SoraWeightFile) golden = stage_golden_open ("transformer");
  SoraTransformerConfig config = golden_config (golden);

  check_stored ("packed", SORA_WEIGHT_TYPE_FP32, SORA_PRECISION_AUTO, golden, golden, config, 2, 8, 3, 0.02, "whole");
  check_stored ("packed", SORA_WEIGHT_TYPE_AUTO, SORA_PRECISION_BF16, golden, golden, config, 2, 8, 3, 0.02, "whole");
}

static void
test_without_cross_attn_norm (gconstpointer linear)
{
  g_autoptr (SoraWeightFile) golden = stage_golden_open ("transformer");
  SoraTransformerConfig config = golden_config (golden);

  config.cross_attn_norm = FALSE;
  check_whole (linear, golden, golden, config, 2, 8, 3, "plain");
}

/* LoRAs merged, in every dialect and several at once: what diffusers gives with the sum (tests/reference/lora.py) */
static void
test_loras (gconstpointer linear)
{
  static const struct { const gchar *name, *files[2]; gdouble weights[2]; } cases[] = {
    { "one", { "comfyui.safetensors" }, { 1 } }, { "one", { "comfyui-alpha.safetensors" }, { 1 } }, { "one", { "kohya.safetensors" }, { 1 } },
    { "one", { "wan-fun.safetensors" }, { 1 } }, { "one", { "lycoris.safetensors" }, { 1 } }, { "one", { "diffusers.safetensors" }, { 1 } },
    { "one", { "diffusers-old.safetensors" }, { 1 } }, { "one", { "diffusers-metadata.safetensors" }, { 1 } },
    { "one", { "one-trainer.safetensors" }, { 1 } },
    { "one", { "diffsynth.safetensors" }, { 1 } }, { "one", { "peft.safetensors" }, { 1 } }, { "one", { "bare.safetensors" }, { 1 } },
    { "one", { "checkpoint.pt" }, { 1 } }, { "one", { "kohya.safetensors", "other.safetensors" }, { 1, 0 } },
    { "one", { "diffusers.safetensors", "bare.safetensors" }, { 1.5, -0.5 } }, { "other", { "other.safetensors" }, { 1 } },
    { "both", { "kohya.safetensors", "other.safetensors" }, { 0.75, -0.5 } }, { "bias", { "bias.safetensors" }, { 1 } },
    { "loha", { "loha.safetensors" }, { 1 } }, { "lokr", { "lokr.safetensors" }, { 1 } },
    { "loha", { "loha.safetensors", "lokr.safetensors" }, { 1, 0 } }, { "dora", { "dora.safetensors" }, { 1 } },
    { "dora-both", { "other.safetensors", "dora.safetensors" }, { -0.5, 0.75 } },
  };
  g_autoptr (SoraWeightFile) base = stage_golden_open ("transformer");
  g_autoptr (SoraWeightFile) golden = stage_golden_open ("lora");
  SoraTransformerConfig config = golden_config (base);

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (SoraLoraMerger) merger = sora_lora_merger_new (base, NULL);
    g_autoptr (SoraWeightFile) merged = NULL;

    for (guint j = 0; j < G_N_ELEMENTS (cases[i].files) && cases[i].files[j]; j++)
      stage_add_lora (merger, cases[i].files[j], cases[i].weights[j]);
    merged = sora_lora_merger_get_file (merger, SORA_LORA_TRANSFORMER);
    g_test_message ("%s", cases[i].files[0]);
    check_whole (linear, merged, golden, config, 2, 8, 3, cases[i].name);
  }
}

#define IMAGE_TOKENS 7
#define CONDITION 5             /* channels */

static SoraTransformerConfig
golden_image_config (SoraWeightFile *golden)
{
  g_autofree gfloat *v = stage_golden (golden, NULL, "config");

  return (SoraTransformerConfig) {
    .in_channels = v[0], .out_channels = v[1], .num_attention_heads = v[2], .attention_head_dim = v[3], .num_layers = v[4],
    .ffn_dim = v[5], .text_dim = v[6], .freq_dim = v[7], .image_dim = v[8], .patch_size = { v[10], v[11], v[12] },
    .cross_attn_norm = TRUE, .eps = 1e-6,
  };
}

/* Given a condition with the latents, and the embeddings of one image or of two; again with one branch only. */
static void
check_image (const gchar *linear, guint n_images, gdouble share, const gchar *name)
{
  static const gdouble timesteps[] = { 50, 700, 312.5, 1000 };
  static const guint rows[] = { 1, 2, 3 };
  g_autoptr (SoraWeightFile) golden = stage_golden_open ("transformer-image");
  guint n_rows = n_images * IMAGE_TOKENS;
  Stream s = { .config = golden_image_config (golden), .precision = SORA_PRECISION_FP32, .share = share, .shape = { 2, 3, 3, 4, 6, 512, 4, n_rows, CONDITION } };
  gsize n_condition = 3 * 4 * 6 * CONDITION, n_image = n_rows * s.config.image_dim;
  g_autofree gfloat *image = sora_test_random (5, n_image, SCALE), *condition = sora_test_random (4, n_condition, SCALE);
  g_autofree gfloat *latents = sora_test_random (1, 3 * 4 * 6 * 4, SCALE);
  cl_mem embeddings, condition_mem;

  s.config.image_positions = n_images > 1 ? n_rows : 0;
  stream_open (&s, golden, linear);
  embeddings = sora_test_upload (s.queue, image, n_image);
  condition_mem = sora_test_upload (s.queue, condition, n_condition);
  sora_transformer_set_timesteps (s.transformer, s.state, s.queue, timesteps, 4);
  set_texts (&s);
  sora_transformer_set_image (s.transformer, s.state, s.queue, SORA_MATRIX (embeddings, s.config.image_dim));
  sora_transformer_set_condition (s.state, condition_mem);
  sora_queue_write (s.queue, s.latents, 0, sizeof (gfloat) * 3 * 4 * 6 * 4, latents);
  for (guint branches = 2; branches > 0; branches--) {
    sora_transformer_run (s.transformer, s.state, s.queue, s.latents, 3, rows, branches, s.output, FALSE);
    stage_assert_golden (s.queue, s.output, 0, branches * 3 * s.latent_out, 1, golden, 0, TOLERANCE, name);
  }
  clReleaseMemObject (embeddings);
  clReleaseMemObject (condition_mem);
  stream_close (&s);
}

static void
test_image (gconstpointer linear)
{
  check_image (linear, 1, 0, "whole");
  check_image (linear, 2, 0, "pair");
  check_image (linear, 1, 0.7, "whole");
}

/* Block by block: twice at the noisy timesteps, with the prompt's branch alone and with both, since an evaluation must leave the cache
 * alone; then the pass that enters the cache, with its output or (@silent) without. */
static void
check_causal (Stream *s, SoraWeightFile *golden, const gchar *name, guint n_blocks, guint renewed, guint step, gboolean silent)
{
  g_autofree gchar *noisy_name = g_strconcat (name, ".noisy", NULL), *clean_name = g_strconcat (name, ".clean", NULL);
  guint n = s->shape.block_latents;
  gsize floats = s->shape.n_branches * n * s->latent_out, kept = (floats + step - 1) / step;
  g_autofree guint *context = g_new0 (guint, n), *noisy = g_new (guint, n);

  for (guint i = 0; i < n; i++)
    noisy[i] = 1 + i;
  for (guint block = 0; block < n_blocks; block++) {
    if (block == renewed)
      sora_transformer_renew_sink (s->state);
    set_latents (s, 3, block * n, n);
    for (guint branches = 1; branches <= s->shape.n_branches; branches++) {
      sora_transformer_run (s->transformer, s->state, s->queue, s->latents, n, noisy, branches, s->output, FALSE);
      stage_assert_golden (s->queue, s->output, 0, branches * n * s->latent_out, step, golden, block * kept, TOLERANCE, noisy_name);
    }
    set_latents (s, 2, block * n, n);
    sora_transformer_run (s->transformer, s->state, s->queue, s->latents, n, context, s->shape.n_branches, silent ? NULL : s->output,
        TRUE);
    if (!silent)
      stage_assert_golden (s->queue, s->output, 0, floats, step, golden, block * kept, TOLERANCE, clean_name);
  }
}

static void
test_causal (gconstpointer linear)
{
  static const gdouble timesteps[] = { 50, 700, 312.5 };
  g_autoptr (SoraWeightFile) golden = stage_golden_open ("transformer");
  Stream s = { .config = golden_config (golden), .type = SORA_WEIGHT_TYPE_FP32, .precision = SORA_PRECISION_FP32, .shape = { 2, 2, 6, 4, 6, 8, 3 } };
  guint n_blocks = sora_test_is_small ()? 4 : 6;

  stream_open (&s, golden, linear);
  sora_transformer_set_timesteps (s.transformer, s.state, s.queue, timesteps, 3);
  set_texts (&s);
  check_causal (&s, golden, "causal", n_blocks, 0, 1, FALSE);
  sora_transformer_reset (s.state);
  check_causal (&s, golden, "causal", n_blocks, 0, 1, TRUE);
  stream_close (&s);
}

/* A past whose first block stays, until the prompt changes before the fifth block; the cache filled by passes that see it and by passes that do
 * not. The first renewal comes too early, as there is no past yet, and must do nothing. */
static void
test_sink (gconstpointer linear)
{
  static const gdouble timesteps[] = { 50, 700, 312.5 };
  static const gchar *const names[] = { "sink", "alone" };
  g_autoptr (SoraWeightFile) golden = stage_golden_open ("transformer");

  for (guint alone = 0; alone < 2; alone++) {
    Stream s = { .config = golden_config (golden), .type = SORA_WEIGHT_TYPE_FP32, .precision = SORA_PRECISION_FP32, .shape = { 2, 2, 6, 4, 6, 8, 3 } };
    guint n_blocks = sora_test_is_small ()? 6 : 9;

    s.shape.sink_latents = 2;
    s.shape.context_alone = alone;
    stream_open (&s, golden, linear);
    sora_transformer_set_timesteps (s.transformer, s.state, s.queue, timesteps, 3);
    set_texts (&s);
    sora_transformer_renew_sink (s.state);
    check_causal (&s, golden, names[alone], n_blocks, 4, 1, FALSE);
    sora_transformer_reset (s.state);
    check_causal (&s, golden, names[alone], n_blocks, 4, 1, TRUE);
    stream_close (&s);
  }
}

/* Blocks of one latent frame where the window is made for two: the past is what fits before a whole block, 4 frames. So after
 * frames 0 ... 4, the cache must hold 1 ... 4, as if 0 had never been. With one layer, as further up a cached key depends on
 * what its latent saw. */
static void
test_short_blocks (gconstpointer linear)
{
  static const gdouble timesteps[] = { 50, 700 };
  static const guint context[] = { 0, 0 }, noisy[] = { 1, 1 };
  g_autoptr (SoraWeightFile) golden = stage_golden_open ("transformer");
  g_autofree gfloat *expected = NULL, *actual = NULL;

  for (guint first = 0; first < 2; first++) {
    Stream s = { .config = golden_config (golden), .type = SORA_WEIGHT_TYPE_FP32, .precision = SORA_PRECISION_FP32, .shape = { 2, 2, 6, 4, 6, 8, 2 } };

    s.config.num_layers = 1;
    stream_open (&s, golden, linear);
    sora_transformer_set_timesteps (s.transformer, s.state, s.queue, timesteps, 2);
    set_texts (&s);
    for (guint i = first; i < 5; i++) {
      set_latents (&s, 2, i, 1);
      sora_transformer_run (s.transformer, s.state, s.queue, s.latents, 1, context, 2, NULL, TRUE);
    }
    set_latents (&s, 3, 5, 1);
    sora_transformer_run (s.transformer, s.state, s.queue, s.latents, 1, noisy, 2, s.output, FALSE);
    *(first ? &actual : &expected) = sora_test_download (s.queue, s.output, 2 * s.latent_out);
    if (first)
      sora_test_assert_close (actual, expected, 2 * s.latent_out, TOLERANCE, "short blocks");
    stream_close (&s);
  }
}

static void
test_embedded (void)
{
  g_autofree gchar *config_path = stage_model_path ("transformer/config.json");
  g_autofree gchar *path = stage_model_path ("transformer/diffusion_pytorch_model.safetensors");
  g_autoptr (GError) error = NULL;
  g_autoptr (SoraWeightFile) golden = NULL, weights = NULL;
  g_autofree gfloat *shape = NULL, *steps = NULL;
  gdouble timesteps[16];
  gsize n_timesteps;
  Stream s = { .type = SORA_WEIGHT_TYPE_FP32, .precision = SORA_PRECISION_FP32 };

  if (!config_path || !path)
    return;
  golden = stage_golden_open ("transformer-embedded");
  weights = sora_weight_file_open (path, &error);
  g_assert_no_error (error);
  sora_transformer_config_load (&s.config, config_path, &error);
  g_assert_no_error (error);
  stage_assert_fingerprint (golden, weights);
  shape = stage_golden (golden, NULL, "shape");
  steps = stage_golden (golden, &n_timesteps, "timesteps");
  g_assert_cmpuint (n_timesteps, <=, G_N_ELEMENTS (timesteps));
  for (guint i = 0; i < n_timesteps; i++)
    timesteps[i] = steps[i];
  s.shape = (SoraTransformerShape) { 2, shape[0], shape[1], shape[2], shape[3], shape[4], n_timesteps };
  stream_open (&s, weights, NULL);
  sora_transformer_set_timesteps (s.transformer, s.state, s.queue, timesteps, n_timesteps);
  set_texts (&s);
  check_causal (&s, golden, "causal", (shape[1] + 2 * shape[0]) / shape[0], 0, EMBEDDED_STEP, FALSE);
  stream_close (&s);
}

static void
test_validate (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (SoraWeightFile) golden = stage_golden_open ("transformer");
  SoraTransformerConfig config = golden_config (golden);

  g_assert_true (sora_transformer_validate (&config, golden, &error));
  g_assert_no_error (error);
  config.freq_dim += 2;
  g_assert_false (sora_transformer_validate (&config, golden, &error));
  g_assert_error (error, SORA_MODEL_ERROR, SORA_MODEL_ERROR_WEIGHT);
  g_assert_nonnull (strstr (error->message, "condition_embedder.time_embedder.linear_1.weight"));
  g_clear_error (&error);
  config.freq_dim -= 2;
  config.num_layers++;
  g_assert_false (sora_transformer_validate (&config, golden, &error));
  g_assert_error (error, SORA_MODEL_ERROR, SORA_MODEL_ERROR_WEIGHT);
  g_clear_error (&error);
  config.num_layers--;
  config.patch_size[0] = 2;
  g_assert_false (sora_transformer_validate (&config, golden, &error));
  g_assert_error (error, SORA_MODEL_ERROR, SORA_MODEL_ERROR_UNSUPPORTED);
}

static void
add (const gchar *name, GTestDataFunc function)
{
  static const gchar *const kinds[] = { "packed", "clblast" };

  for (guint i = 0; i < G_N_ELEMENTS (kinds); i++) {
    g_autofree gchar *path = g_strdup_printf ("/transformer/%s/%s", kinds[i], name);
    g_test_add_data_func (path, kinds[i], function);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  add ("block", test_block);
  add ("whole", test_whole);
  add ("stored", test_stored);
  add ("without-cross-attn-norm", test_without_cross_attn_norm);
  add ("image", test_image);
  add ("loras", test_loras);
  add ("causal", test_causal);
  add ("sink", test_sink);
  add ("short-blocks", test_short_blocks);
  g_test_add_func ("/transformer/embedded", test_embedded);
  g_test_add_func ("/transformer/validate", test_validate);
  g_test_add_func ("/transformer/bf16", test_bf16);
  return g_test_run ();
}
