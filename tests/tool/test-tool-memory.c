/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How much memory `sora generate` takes for a model of some size: weights and arena as it says itself, and next to nothing else. */

#include <gio/gio.h>
#include <glib/gstdio.h>
#include <string.h>

#include "test-support.h"
#include "weights/tensor-writer.h"

/* A transformer of 34 million weights, 134 MB in the file and 67 MB as bf16 */
#define DIM 512
#define FFN_DIM 2048
#define LAYERS 8

/* Of what the process takes anyway, from one run to the next */
#define NOISE (16 << 20)

static gchar *folder, *model;

static void
add_tensor (SoraTensorWriter *writer, const gchar *name, guint n_dims, ...)
{
  static guint32 seed = 1;
  gint64 shape[5], n = 1;
  g_autofree gfloat *values = NULL;
  va_list args;

  va_start (args, n_dims);
  for (guint i = 0; i < n_dims; i++)
    n *= shape[i] = va_arg (args, guint);
  va_end (args);
  values = sora_test_random (seed++, n, n_dims > 1 ? 0.05 : 0.1);
  sora_tensor_writer_add (writer, name, values, shape, n_dims);
}

/* PREFIX.NAME.weight [n, k] and its bias */
static void
add_linear (SoraTensorWriter *writer, const gchar *prefix, const gchar *name, guint n, guint k)
{
  g_autofree gchar *weight = g_strconcat (prefix, name, ".weight", NULL), *bias = g_strconcat (prefix, name, ".bias", NULL);

  add_tensor (writer, weight, 2, n, k);
  add_tensor (writer, bias, 1, n);
}

static void
add_attention (SoraTensorWriter *writer, const gchar *block, const gchar *name)
{
  static const gchar *const parts[] = { "to_q", "to_k", "to_v", "to_out.0" };
  g_autofree gchar *prefix = g_strconcat (block, name, ".", NULL);
  g_autofree gchar *norm_q = g_strconcat (prefix, "norm_q.weight", NULL), *norm_k = g_strconcat (prefix, "norm_k.weight", NULL);

  for (guint i = 0; i < G_N_ELEMENTS (parts); i++)
    add_linear (writer, prefix, parts[i], DIM, DIM);
  add_tensor (writer, norm_q, 1, DIM);
  add_tensor (writer, norm_k, 1, DIM);
}

static void
add_block (SoraTensorWriter *writer, guint index)
{
  g_autofree gchar *prefix = g_strdup_printf ("blocks.%u.", index), *table = g_strconcat (prefix, "scale_shift_table", NULL);
  g_autofree gchar *norm_weight = g_strconcat (prefix, "norm2.weight", NULL), *norm_bias = g_strconcat (prefix, "norm2.bias", NULL);

  add_attention (writer, prefix, "attn1");
  add_attention (writer, prefix, "attn2");
  add_linear (writer, prefix, "ffn.net.0.proj", FFN_DIM, DIM);
  add_linear (writer, prefix, "ffn.net.2", DIM, FFN_DIM);
  add_tensor (writer, norm_weight, 1, DIM);
  add_tensor (writer, norm_bias, 1, DIM);
  add_tensor (writer, table, 3, 1, 6, DIM);
}

/* A transformer that fits the other parts of the tiny model */
static void
write_transformer (const gchar *path)
{
  g_autoptr (SoraTensorWriter) writer = sora_tensor_writer_new ();
  g_autoptr (GError) error = NULL;

  add_tensor (writer, "patch_embedding.weight", 5, DIM, 4, 1, 2, 2);
  add_tensor (writer, "patch_embedding.bias", 1, DIM);
  add_linear (writer, "condition_embedder.", "text_embedder.linear_1", DIM, 24);
  add_linear (writer, "condition_embedder.", "text_embedder.linear_2", DIM, DIM);
  add_linear (writer, "condition_embedder.", "time_embedder.linear_1", DIM, 32);
  add_linear (writer, "condition_embedder.", "time_embedder.linear_2", DIM, DIM);
  add_linear (writer, "condition_embedder.", "time_proj", 6 * DIM, DIM);
  add_tensor (writer, "scale_shift_table", 3, 1, 2, DIM);
  add_linear (writer, "", "proj_out", 16, DIM);
  for (guint i = 0; i < LAYERS; i++)
    add_block (writer, i);
  sora_tensor_writer_save (writer, path, &error);
  g_assert_no_error (error);
}

static const gchar *const other_files[] = {
  "sora.json", "model_index.json", "tokenizer/spiece.model", "text_encoder/config.json", "text_encoder/model.safetensors",
  "vae/config.json", "vae/diffusion_pytorch_model.safetensors", "transformer/config.json",
};

/* NAME of the tiny model goes to the new one; the transformer's sizes change. */
static void
copy (const gchar *tiny, const gchar *name)
{
  g_autofree gchar *from = g_build_filename (tiny, name, NULL), *to = g_build_filename (model, name, NULL), *data = NULL;
  g_autofree gchar *parent = g_path_get_dirname (to);
  g_autoptr (GString) text = NULL;
  gsize length;

  g_mkdir_with_parents (parent, 0700);
  g_assert_true (g_file_get_contents (from, &data, &length, NULL));
  text = g_string_new_len (data, length);
  if (g_str_equal (name, "transformer/config.json")) {
    g_assert_cmpuint (g_string_replace (text, "\"num_attention_heads\": 2", "\"num_attention_heads\": 8", 0), ==, 1);
    g_assert_cmpuint (g_string_replace (text, "\"attention_head_dim\": 16", "\"attention_head_dim\": 64", 0), ==, 1);
    g_assert_cmpuint (g_string_replace (text, "\"ffn_dim\": 72", "\"ffn_dim\": 2048", 0), ==, 1);
    g_assert_cmpuint (g_string_replace (text, "\"num_layers\": 2", "\"num_layers\": 8", 0), ==, 1);
  }
  g_assert_true (g_file_set_contents (to, text->str, text->len, NULL));
}

/* The value of line NAME of what --stats printed */
static guint64
read_stat (const gchar *stats, const gchar *name)
{
  g_autofree gchar *line = g_strdup_printf ("\n%s ", name);
  const gchar *at = strstr (stats, line);

  if (!at)
    g_error ("no %s in: %s", name, stats);
  return g_ascii_strtoull (at + strlen (line), NULL, 10);
}

/* (transfer full): what --stats prints. Run twice, as the first time compilers take memory as well. */
static gchar *
measure (const gchar *path)
{
  g_autofree gchar *output = g_build_filename (folder, "out.rgb", NULL);
  const gchar *device = g_getenv ("SORA_TEST_DEVICE");
  const gchar *const argv[] = { g_getenv ("SORA_TEST_TOOL"), "generate", "--model", path, "--prompt", "a ball", "--frames", "5", "--size",
    "96x64", "--weights", "bf16", "--device", device ? device : "", "--output", output, "--stats", NULL };
  gchar *stats = NULL;

  for (guint i = 0; i < 2; i++) {
    g_autoptr (GError) error = NULL;
    gint status;
    g_free (stats);
    g_spawn_sync (NULL, (gchar **) argv, NULL, 0, NULL, NULL, &stats, NULL, &status, &error);
    g_assert_no_error (error);
    g_assert_cmpint (status, ==, 0);
  }
  return stats;
}

/* What the process takes for itself is what it takes with the tiny model. Were the file's pages kept (134 MB), or weights expanded to fp32 (67 MB
 * more, or a copy of them for a while), that would be well over. */
static void
test_bound (void)
{
#ifdef __SANITIZE_ADDRESS__
  g_test_skip ("the sanitizer's own memory counts too");
  return;
#endif
  g_autofree gchar *tiny = g_build_filename (g_getenv ("SORA_TEST_GOLDEN"), "tiny-model", NULL);
  g_autofree gchar *small = measure (tiny), *large = measure (model);
  guint64 own = read_stat (small, "peak_rss_bytes") - read_stat (small, "weight_bytes") - read_stat (small, "stream_bytes");
  guint64 planned = read_stat (large, "weight_bytes") + read_stat (large, "stream_bytes"), peak = read_stat (large, "peak_rss_bytes");

  g_test_message ("the process %" G_GUINT64_FORMAT " MiB, planned %" G_GUINT64_FORMAT ", peak %" G_GUINT64_FORMAT, own >> 20, planned >> 20,
      peak >> 20);
  g_assert_cmpuint (read_stat (large, "transformer_weight_bytes"), >, 67 << 20);
  g_assert_cmpuint (read_stat (large, "transformer_weight_bytes"), <, 80 << 20);
  g_assert_cmpuint (peak, >, read_stat (large, "transformer_weight_bytes"));    /* which are all in use */
  g_assert_cmpuint (peak, <=, own + planned + planned / 10 + NOISE);
}

static void
remove_all (const gchar *path)
{
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  const gchar *name;

  while (dir && (name = g_dir_read_name (dir))) {
    g_autofree gchar *child = g_build_filename (path, name, NULL);
    remove_all (child);
  }
  g_remove (path);
}

int
main (int argc, char **argv)
{
  g_autofree gchar *tiny = g_build_filename (g_getenv ("SORA_TEST_GOLDEN"), "tiny-model", NULL), *weights = NULL;
  int status;

  g_test_init (&argc, &argv, NULL);
  folder = g_dir_make_tmp ("sora-memory-XXXXXX", NULL);
  model = g_build_filename (folder, "model", NULL);
  for (guint i = 0; i < G_N_ELEMENTS (other_files); i++)
    copy (tiny, other_files[i]);
  weights = g_build_filename (model, "transformer", "diffusion_pytorch_model.safetensors", NULL);
  write_transformer (weights);
  g_test_add_func ("/tool/memory", test_bound);
  status = g_test_run ();
  remove_all (folder);
  return status;
}
