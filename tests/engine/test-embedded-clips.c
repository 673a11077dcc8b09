/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Clips of the embedded model, prompt to pixels, against what PyTorch made of the same prompts and seeds and the judge approved of. */
#include "stream-support.h"

/* The clips of tests/reference/embedded_clips.py, in its order */
static const struct {
  const gchar *prompt;
  gint64 seed;
} clips[] = {
  { "a red balloon flies up over a city", 5 }, { "a penguin jumps in the snow", 1 }, { "a pizza spins in space", 2 },
};

/* And the one of which the prompt changes */
#define CHANGED_PROMPT "a sunflower sways in a garden"
#define CHANGED_SEED 1
#define CHANGE 13               /* frame */
#define LATER_PROMPT "a fire in a garden"

static const guint frames[] = { 0, 4, 12, 28 };

#define CELL 32                 /* pixels of a side */
#define CELLS 8                 /* of a side */
#define SIGNATURE (3 * CELLS * CELLS)
/* Single precision on both sides, through 4 blocks of 4 steps, of which each sees those before: a latent differs by some
 * thousandths, a cell's mean by less than a byte's rounding, which is 1/510 at most. Another prompt differs by a hundred times as
 * much, which is tested too. */
#define CELL_TOLERANCE 0.003

/* @out [3, CELLS, CELLS]: the mean colours of a frame's cells, in 0 ... 1 */
static void
sign_frame (SoraBlock *block, guint frame, gfloat *out)
{
  const guint8 *rgb = sora_block_get_rgb (block, frame);

  for (guint i = 0; i < SIGNATURE; i++)
    out[i] = 0;
  for (guint y = 0; y < CELL * CELLS; y++)
    for (guint x = 0; x < CELL * CELLS; x++)
      for (guint c = 0; c < 3; c++)
        out[(c * CELLS + y / CELL) * CELLS + x / CELL] += *rgb++ / (255.0f * CELL * CELL);
}

/* In bf16, where the device can, each evaluation of the transformer is off by some hundredths of its rms, which the steps of each block sum up. */
#define BF16_CELL_TOLERANCE 0.1

/* @later: (nullable): the prompt from CHANGE on; @out: a signature of each of frames[] */
static void
sign_clip (SoraModel *model, SoraPrecision precision, const gchar *prompt, gint64 seed, const gchar *later, gfloat *out)
{
  g_autoptr (SoraStreamOptions) options = sora_stream_options_new ();
  g_autoptr (SoraStream) stream = NULL;
  guint first = 0, n_signed = 0;

  sora_stream_options_set_prompt (options, prompt);
  sora_stream_options_set_seed (options, seed);
  sora_stream_options_set_precision (options, precision);
  stream = open_stream (model, options);
  while (n_signed < G_N_ELEMENTS (frames)) {
    if (later && first == CHANGE)
      g_assert_true (sora_stream_set_prompt (stream, later, NULL));
    g_autoptr (SoraBlock) block = pull (stream);
    guint n = sora_block_get_n_frames (block);

    g_assert_cmpuint (sora_block_get_width (block), ==, CELL * CELLS);
    g_assert_cmpuint (sora_block_get_height (block), ==, CELL * CELLS);
    for (; n_signed < G_N_ELEMENTS (frames) && frames[n_signed] < first + n; n_signed++)
      sign_frame (block, frames[n_signed] - first, out + n_signed * SIGNATURE);
    first += n;
  }
}

/* The picture follows the new prompt as it does in PyTorch, and not as it would have gone on. */
static void
test_change (void)
{
  g_autoptr (SoraModel) model = open_model (g_getenv ("SORA_TEST_MODEL"));
  g_autoptr (SoraWeightFile) golden = open_golden ("clips-embedded.safetensors");
  const SoraTensor *tensor;
  g_autofree gfloat *expected = golden_floats (golden, "golden.changed", &tensor);
  gfloat actual[G_N_ELEMENTS (frames) * SIGNATURE], unchanged[G_N_ELEMENTS (actual)];
  gdouble distance = 0;

  g_assert_cmpuint (tensor->n_elements, ==, G_N_ELEMENTS (actual));
  sign_clip (model, SORA_PRECISION_FP32, CHANGED_PROMPT, CHANGED_SEED, LATER_PROMPT, actual);
  sora_test_assert_close (actual, expected, G_N_ELEMENTS (actual), CELL_TOLERANCE, "\"%s\", then \"%s\"", CHANGED_PROMPT, LATER_PROMPT);
  sign_clip (model, SORA_PRECISION_FP32, CHANGED_PROMPT, CHANGED_SEED, NULL, unchanged);
  for (guint k = 0; k < G_N_ELEMENTS (actual); k++)
    distance = MAX (distance, ABS (unchanged[k] - expected[k]));
  g_assert_cmpfloat (distance, >, 50 * CELL_TOLERANCE);
}

static void
test_clips (void)
{
  g_autoptr (SoraModel) model = open_model (g_getenv ("SORA_TEST_MODEL"));
  g_autoptr (SoraWeightFile) golden = open_golden ("clips-embedded.safetensors");
  gfloat other[G_N_ELEMENTS (frames) * SIGNATURE];

  sign_clip (model, SORA_PRECISION_FP32, "green waves, abstract", 1, NULL, other);
  for (guint i = 0; i < G_N_ELEMENTS (clips); i++) {
    g_autofree gchar *name = g_strdup_printf ("golden.clip.%u", i);
    const SoraTensor *tensor;
    g_autofree gfloat *expected = golden_floats (golden, name, &tensor);
    gfloat actual[G_N_ELEMENTS (other)];
    gdouble distance = 0;

    g_assert_cmpuint (tensor->n_elements, ==, G_N_ELEMENTS (actual));
    sign_clip (model, SORA_PRECISION_FP32, clips[i].prompt, clips[i].seed, NULL, actual);
    sora_test_assert_close (actual, expected, G_N_ELEMENTS (actual), CELL_TOLERANCE,
        "\"%s\" (after a change of weights: tests/reference/make-golden embedded_clips.py)", clips[i].prompt);
    for (guint k = 0; k < G_N_ELEMENTS (other); k++)
      distance = MAX (distance, ABS (other[k] - expected[k]));
    g_assert_cmpfloat (distance, >, 50 * CELL_TOLERANCE);
    if (i == G_N_ELEMENTS (clips) - 1) {
      sign_clip (model, SORA_PRECISION_AUTO, clips[i].prompt, clips[i].seed, NULL, actual);
      sora_test_assert_close (actual, expected, G_N_ELEMENTS (actual), BF16_CELL_TOLERANCE, "\"%s\" in bf16", clips[i].prompt);
    }
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/embedded-clips", test_clips);
  g_test_add_func ("/embedded-clips/change", test_change);
  return g_test_run ();
}
