/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the tests of streams share: the tiny model and changed copies of it, streams and their blocks, golden numbers. */
#include "stream-support.h"

#include <glib/gstdio.h>
#include <string.h>

gchar *
golden_path (const gchar *name)
{
  return g_build_filename (g_getenv ("SORA_TEST_GOLDEN"), name, NULL);
}

SoraWeightFile *
open_golden (const gchar *name)
{
  g_autofree gchar *path = golden_path (name);
  g_autoptr (GError) error = NULL;
  SoraWeightFile *golden = sora_weight_file_open (path, &error);

  g_assert_no_error (error);
  return golden;
}

SoraDevice *
open_device (void)
{
  g_autoptr (GError) error = NULL;
  SoraDevice *device = sora_device_open (g_getenv ("SORA_TEST_DEVICE"), &error);

  g_assert_no_error (error);
  return device;
}

SoraModel *
open_model (const gchar *path)
{
  g_autoptr (GError) error = NULL;
  SoraModel *model = sora_model_open (path, &error);

  g_assert_no_error (error);
  return model;
}

SoraResident *
find_resident (SoraModel *model, SoraPartType type)
{
  for (guint i = 0; i < model->residents->len; i++) {
    SoraResident *resident = model->residents->pdata[i];
    if (resident->type == type)
      return resident;
  }
  return NULL;
}

SoraModel *
open_tiny_model (void)
{
  g_autofree gchar *path = golden_path ("tiny-model");

  return open_model (path);
}

SoraStream *
open_stream (SoraModel *model, SoraStreamOptions *options)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (SoraDevice) device = open_device ();
  SoraStream *stream = sora_stream_new (model, device, options, NULL, NULL, NULL, &error);

  g_assert_no_error (error);
  return stream;
}

SoraStreamOptions *
default_options (void)
{
  SoraStreamOptions *options = sora_stream_options_new ();

  sora_stream_options_set_prompt (options, PROMPT);
  sora_stream_options_set_negative_prompt (options, "");
  sora_stream_options_set_seed (options, SEED);
  sora_stream_options_set_precision (options, SORA_PRECISION_FP32);
  return options;
}

SoraBlock *
pull (SoraStream *stream)
{
  g_autoptr (GError) error = NULL;
  SoraBlock *block = sora_stream_next_block (stream, NULL, &error);

  g_assert_no_error (error);
  g_assert_nonnull (block);
  return block;
}

gboolean
same_frames (SoraBlock *a, SoraBlock *b)
{
  gsize size = (gsize) sora_block_get_n_frames (a) * 3 * sora_block_get_width (a) * sora_block_get_height (a);

  return sora_block_get_n_frames (a) == sora_block_get_n_frames (b)
      && memcmp (sora_block_get_rgb (a, 0), sora_block_get_rgb (b, 0), size) == 0;
}

void
assert_same_blocks (SoraStream *a, SoraStream *b, guint n)
{
  for (guint i = 0; i < n; i++) {
    g_autoptr (SoraBlock) x = pull (a);
    g_autoptr (SoraBlock) y = pull (b);
    g_assert_cmpuint (sora_block_get_index (x), ==, sora_block_get_index (y));
    g_assert_true (same_frames (x, y));
  }
}

gfloat *
golden_floats (SoraWeightFile *file, const gchar *name, const SoraTensor **tensor)
{
  *tensor = sora_weight_file_peek (file, name);
  g_assert_nonnull (*tensor);
  gfloat *data = g_new (gfloat, (*tensor)->n_elements);
  sora_tensor_to_float (*tensor, 0, (*tensor)->n_elements, data);
  return data;
}

void
assert_golden_latents (SoraWeightFile *golden, const gchar *name, guint first, const gfloat *data, const gint64 *shape)
{
  const SoraTensor *tensor;
  g_autofree gfloat *all = golden_floats (golden, name, &tensor);
  gsize n_pixels = shape[2] * shape[3], n_block = shape[1] * n_pixels;
  g_autofree gfloat *expected = g_new (gfloat, shape[0] * n_block);

  g_assert_cmpint (first + shape[1], <=, tensor->shape[1]);
  for (gint64 c = 0; c < shape[0]; c++)
    memcpy (expected + c * n_block, all + (c * tensor->shape[1] + first) * n_pixels, n_block * sizeof (gfloat));
  sora_test_assert_close (data, expected, shape[0] * n_block, TOLERANCE, "latents from %u", first);
}

static gpointer
cancel_later (gpointer data)
{
  g_usleep (g_random_int_range (0, 20000));
  g_cancellable_cancel (data);
  return NULL;
}

void
assert_same_though_cancelled (SoraStream *disturbed, SoraStream *steady, guint n)
{
  guint n_cancelled = 0;

  for (guint i = 0; i < n; i++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (GCancellable) cancellable = g_cancellable_new ();
    g_autoptr (GThread) thread = NULL;
    g_autoptr (SoraBlock) x = NULL;
    g_autoptr (SoraBlock) y = pull (steady);

    if (i == 0)
      g_cancellable_cancel (cancellable);
    else
      thread = g_thread_new ("cancel", cancel_later, cancellable);
    x = sora_stream_next_block (disturbed, cancellable, &error);
    if (thread)
      g_thread_join (g_steal_pointer (&thread));
    if (!x) {
      g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
      n_cancelled++;
      x = pull (disturbed);
    }
    g_assert_true (same_frames (x, y));
  }
  g_assert_cmpuint (n_cancelled, >=, 1);
}

static void
copy_file (const gchar *from, const gchar *to, const gchar *name)
{
  g_autofree gchar *source = g_build_filename (from, name, NULL);
  g_autofree gchar *target = g_build_filename (to, name, NULL);
  g_autofree gchar *folder = g_path_get_dirname (target);
  g_autofree gchar *data = NULL;
  gsize size;

  g_mkdir_with_parents (folder, 0700);
  g_assert_true (g_file_get_contents (source, &data, &size, NULL));
  g_assert_true (g_file_set_contents (target, data, size, NULL));
}

static const gchar *model_files[] = {
  "sora.json", "model_index.json", "tokenizer/spiece.model", "tokenizer/tokenizer_config.json", "text_encoder/config.json",
  "text_encoder/model.safetensors", "transformer/config.json", "transformer/diffusion_pytorch_model.safetensors",
  "scheduler/scheduler_config.json", "vae/config.json", "vae/diffusion_pytorch_model.safetensors",
};

gchar *
copy_model (void)
{
  g_autofree gchar *source = golden_path ("tiny-model");
  gchar *target = g_dir_make_tmp ("sora-test-XXXXXX", NULL);

  for (guint i = 0; i < G_N_ELEMENTS (model_files); i++)
    copy_file (source, target, model_files[i]);
  return target;
}

void
remove_tree (const gchar *path)
{
  g_autoptr (GDir) dir = g_file_test (path, G_FILE_TEST_IS_SYMLINK) ? NULL : g_dir_open (path, 0, NULL);
  const gchar *name;

  while (dir && (name = g_dir_read_name (dir))) {
    g_autofree gchar *inner = g_build_filename (path, name, NULL);
    remove_tree (inner);
  }
  g_remove (path);
}

void
remove_copy (const gchar *path)
{
  remove_tree (path);
}

void
replace_in_file (const gchar *folder, const gchar *name, const gchar *old, const gchar *new)
{
  g_autofree gchar *path = g_build_filename (folder, name, NULL);
  g_autofree gchar *text = NULL;
  g_autoptr (GString) edited = NULL;

  g_assert_true (g_file_get_contents (path, &text, NULL, NULL));
  edited = g_string_new (text);
  g_assert_cmpuint (g_string_replace (edited, old, new, 0), ==, 1);
  g_assert_true (g_file_set_contents (path, edited->str, edited->len, NULL));
}
