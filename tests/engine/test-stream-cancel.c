/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Blocks that are cancelled at each place in turn where the engine asks whether they are. Linked with
 * --wrap=g_cancellable_set_error_if_cancelled. */
#include "stream-support.h"

gboolean __real_g_cancellable_set_error_if_cancelled (GCancellable *cancellable, GError **error);
gboolean __wrap_g_cancellable_set_error_if_cancelled (GCancellable *cancellable, GError **error);

static GCancellable *watched;   /* NULL: none */
static guint questions_left;    /* that are answered with no */

gboolean
__wrap_g_cancellable_set_error_if_cancelled (GCancellable *cancellable, GError **error)
{
  if (cancellable && cancellable == watched && questions_left-- == 0)
    g_cancellable_cancel (cancellable);
  return __real_g_cancellable_set_error_if_cancelled (cancellable, error);
}

/* Denoised latents stay when a call is cancelled after them, so decoding has its own count: it is cancelled at its first question too. */
static void
on_latents (const gchar *name, const gfloat *data, const gint64 *shape, guint n_dims, gpointer attempt)
{
  if (g_str_equal (name, "latents"))
    questions_left = *(guint *) attempt = 0;
}

/* (transfer full): the next block, cancelled at the first question, then at the second, until it is done */
static SoraBlock *
pull_in_pieces (SoraStream *stream, guint *n_cancelled)
{
  guint attempt = 0;

  sora_stream_set_tap (stream, on_latents, &attempt);
  for (*n_cancelled = 0;; (*n_cancelled)++, attempt++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (GCancellable) cancellable = g_cancellable_new ();
    SoraBlock *block;

    watched = cancellable;
    questions_left = attempt;
    block = sora_stream_next_block (stream, cancellable, &error);
    watched = NULL;
    if (block)
      return block;
    g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  }
}

/* Until the window is full, and then when it slides; with all that a block may carry over from the one before. */
static void
test_everywhere (void)
{
  g_autofree gchar *path = copy_model ();
  replace_in_file (path, "sora.json", "\"window_latents\": 6", "\"window_latents\": 6, \"coring_threshold\": 0.3");
  g_autoptr (SoraModel) model = open_model (path);
  g_autoptr (SoraStreamOptions) options = default_options ();
  g_autoptr (SoraStream) disturbed = NULL, steady = NULL;
  guint n_cancelled;

  sora_stream_options_set_steps (options, 2);
  disturbed = open_stream (model, options);
  steady = open_stream (model, options);
  for (guint i = 0; i < 5; i++) {
    g_autoptr (SoraBlock) x = pull_in_pieces (disturbed, &n_cancelled), y = pull (steady);
    g_test_message ("block %u was cancelled %u times", i, n_cancelled);
    g_assert_cmpuint (n_cancelled, >, 50);
    g_assert_true (same_frames (x, y));
  }
  remove_copy (path);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/stream-cancel/everywhere", test_everywhere);
  return g_test_run ();
}
