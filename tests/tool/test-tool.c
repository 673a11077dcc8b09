/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The sora command with the tiny model: files of every kind agree with each other, noise goes out and in again, errors are one line. */

#include <gdk-pixbuf/gdk-pixbuf.h>
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <json-glib/json-glib.h>
#include <math.h>
#include <string.h>

#include "weights/tensor-writer.h"
#include "weights/weight-file.h"

#define WIDTH 96
#define HEIGHT 64
#define FRAMES 11               /* a block of 5 and a part of one of 8 */
#define PIXELS (WIDTH * HEIGHT)

static gchar *folder, *model;

static gchar *
in_folder (const gchar *name)
{
  return g_build_filename (folder, name, NULL);
}

/* Runs sora with @arguments (NULL-terminated); returns the exit status, and its streams. */
static gint
run (const gchar *const *arguments, gchar **out, gchar **err)
{
  g_autoptr (GStrvBuilder) builder = g_strv_builder_new ();
  g_auto (GStrv) argv = NULL;
  g_autoptr (GError) error = NULL;
  gint status;

  g_strv_builder_add (builder, g_getenv ("SORA_TEST_TOOL"));
  g_strv_builder_addv (builder, (const gchar **) arguments);
  argv = g_strv_builder_end (builder);
  g_spawn_sync (NULL, argv, NULL, 0, NULL, NULL, out, err, &status, &error);
  g_assert_no_error (error);
  g_assert_true (WIFEXITED (status));
  return WEXITSTATUS (status);
}

/* sora generate to the file @output in the scratch folder, with more options after it */
static gchar *
generate (const gchar *output, gsize *length, const gchar *const *more)
{
  g_autofree gchar *path = in_folder (output), *err = NULL;
  const gchar *device = g_getenv ("SORA_TEST_DEVICE");
  g_autoptr (GPtrArray) arguments = g_ptr_array_new ();
  const gchar *const fixed[] = { "generate", "--model", model, "--prompt", "a red balloon", "--frames", "11", "--size", "96x64",
    "--device", device ? device : "", "--output", path };
  gchar *data;

  for (guint i = 0; i < G_N_ELEMENTS (fixed); i++)
    g_ptr_array_add (arguments, (gpointer) fixed[i]);
  for (guint i = 0; more && more[i]; i++)
    g_ptr_array_add (arguments, (gpointer) more[i]);
  g_ptr_array_add (arguments, NULL);
  if (run ((const gchar *const *) arguments->pdata, NULL, &err) != 0)
    g_error ("%s", err);
  g_assert_true (g_file_get_contents (path, &data, length, NULL));
  return data;
}

/* Past the header and @frame frame lines, each before @frame_size bytes. */
static const guint8 *
y4m_frame (const gchar *data, gsize length, const gchar *chroma, guint frame_size, guint frame)
{
  g_autofree gchar *header = g_strdup_printf ("YUV4MPEG2 W%d H%d F16:1 Ip A1:1 %s XCOLORRANGE=LIMITED\n", WIDTH, HEIGHT, chroma);
  gsize offset = strlen (header) + frame * (gsize) (6 + frame_size);

  g_assert_true (g_str_has_prefix (data, header));
  g_assert_cmpuint (length, ==, strlen (header) + FRAMES * (6 + frame_size));
  g_assert_cmpmem (data + offset, 6, "FRAME\n", 6);
  return (const guint8 *) data + offset + 6;
}

/* ITU-R BT.601: from what was written back to RGB, within the rounding of three values of 219 and 224 levels */
static void
assert_inverse (const guint8 *rgb, gdouble y, gdouble cb, gdouble cr)
{
  gdouble luma = (y - 16) / 219, blue = luma + 1.772 * (cb - 128) / 224, red = luma + 1.402 * (cr - 128) / 224;
  gdouble green = (luma - 0.299 * red - 0.114 * blue) / 0.587;

  g_assert_cmpfloat_with_epsilon (255 * red, rgb[0], 1.5);
  g_assert_cmpfloat_with_epsilon (255 * green, rgb[1], 1.5);
  g_assert_cmpfloat_with_epsilon (255 * blue, rgb[2], 1.6);
}

static void
test_full_chroma (void)
{
  static const gchar *const full[] = { "--chroma", "444", NULL };
  gsize rgb_length, length;
  g_autofree gchar *rgb = generate ("a.rgb", &rgb_length, NULL), *y4m = generate ("a.y4m", &length, full);
  const guint8 *y = y4m_frame (y4m, length, "C444", 3 * PIXELS, 7), *pixels = (const guint8 *) rgb + 7 * 3 * PIXELS;

  g_assert_cmpuint (rgb_length, ==, FRAMES * 3 * PIXELS);
  for (guint i = 0; i < PIXELS; i++)
    assert_inverse (pixels + 3 * i, y[i], y[PIXELS + i], y[2 * PIXELS + i]);
}

/* Luma is that of 4:4:4; chroma the mean of four, to which each rounds by a half: within 1. */
static void
test_half_chroma (void)
{
  static const gchar *const full[] = { "--chroma", "444", NULL };
  gsize full_length, length;
  g_autofree gchar *a = generate ("b.y4m", &full_length, full), *b = generate ("c.y4m", &length, NULL);
  const guint8 *from = y4m_frame (a, full_length, "C444", 3 * PIXELS, 10);
  const guint8 *to = y4m_frame (b, length, "C420jpeg", 3 * PIXELS / 2, 10);

  g_assert_cmpmem (from, PIXELS, to, PIXELS);
  for (guint c = 0; c < 2; c++) {
    const guint8 *plane = from + (1 + c) * PIXELS;
    for (guint y = 0; y < HEIGHT / 2; y++)
      for (guint x = 0; x < WIDTH / 2; x++) {
        const guint8 *p = plane + 2 * y * WIDTH + 2 * x;
        gdouble mean = (p[0] + p[1] + p[WIDTH] + p[WIDTH + 1]) / 4.0;
        g_assert_cmpfloat_with_epsilon (to[PIXELS + c * PIXELS / 4 + y * WIDTH / 2 + x], mean, 1.0);
      }
  }
}

/* tile 0 is frame 0 and tile 7, at the right end of the second row, the last */
static void
test_sheet (void)
{
  static const gchar header[] = "P6\n384 128\n255\n";
  gsize rgb_length, length;
  g_autofree gchar *rgb = generate ("d.rgb", &rgb_length, NULL), *sheet = generate ("d.ppm", &length, NULL);
  const gchar *tiles = sheet + strlen (header);

  g_assert_cmpmem (sheet, strlen (header), header, strlen (header));
  g_assert_cmpuint (length, ==, strlen (header) + 8 * 3 * PIXELS);
  g_assert_cmpmem (tiles, 3 * WIDTH, rgb, 3 * WIDTH);
  g_assert_cmpmem (sheet + length - 3 * WIDTH, 3 * WIDTH, rgb + rgb_length - 3 * WIDTH, 3 * WIDTH);
}

static const SoraTensor *
find (SoraWeightFile *file, const gchar *name, guint a, guint b, guint c, guint d)
{
  g_autoptr (GError) error = NULL;
  const SoraTensor *tensor = sora_weight_file_find (file, &error, name, 4, a, b, c, d);

  g_assert_no_error (error);
  return tensor;
}

/* The model's 3 Euler steps with shift 3 and guidance 2 from the noise: u = 1, 2/3, 1/3, 0 and sigma = 3u / (1 + 2u). Only the
 * rounding of a few sums of numbers of the order of 1 lies between what was saved and what follows from it. */
static void
assert_steps (SoraWeightFile *file, const SoraTensor *noise, const SoraTensor *latents)
{
  static const gdouble sigmas[] = { 1, 6.0 / 7, 3.0 / 5, 0 };
  const SoraTensor *before = noise;

  for (guint step = 0; step < 3; step++) {
    g_autofree gchar *name = g_strdup_printf ("step_%u_output", step), *negative_name = g_strdup_printf ("step_%u_negative_output", step);
    g_autofree gchar *latents_name = g_strdup_printf ("step_%u_latents", step);
    const SoraTensor *after = find (file, latents_name, 4, 4, HEIGHT / 16, WIDTH / 16);
    const SoraTensor *output = find (file, name, 4, 4, HEIGHT / 16, WIDTH / 16);
    const SoraTensor *negative = find (file, negative_name, 4, 4, HEIGHT / 16, WIDTH / 16);
    for (gsize i = 0; i < after->n_elements; i++) {
      gfloat x, v, n, y;
      sora_tensor_to_float (before, i, 1, &x);
      sora_tensor_to_float (output, i, 1, &v);
      sora_tensor_to_float (negative, i, 1, &n);
      sora_tensor_to_float (after, i, 1, &y);
      g_assert_cmpfloat_with_epsilon (y, x + (sigmas[step + 1] - sigmas[step]) * (n + 2 * (v - n)), 1e-5);
    }
    before = after;
  }
  g_assert_cmpmem (before->data, 4 * before->n_elements, latents->data, 4 * latents->n_elements);
}

/* Two blocks of two latents: 4 channels of 4 x 6. The frames are those written; and the noise, read again under
 * another seed, gives them again. */
static void
test_tensors (void)
{
  g_autofree gchar *path = in_folder ("t.safetensors"), *other = in_folder ("u.safetensors");
  const gchar *const save[] = { "--save-tensors", path, "--save-steps", NULL };
  const gchar *const load[] = { "--noise", path, "--seed", "99", "--save-tensors", other, NULL };
  const gchar *const seed[] = { "--seed", "99", NULL };
  gsize length, again_length, different_length;
  g_autofree gchar *rgb = generate ("e.rgb", &length, save), *again = generate ("f.rgb", &again_length, load);
  g_autofree gchar *different = generate ("g.rgb", &different_length, seed);
  g_autoptr (GError) error = NULL;
  g_autoptr (SoraWeightFile) file = sora_weight_file_open (path, &error);
  const SoraTensor *frames;
  g_autofree gfloat *values = NULL;

  g_assert_no_error (error);
  g_assert_nonnull (sora_weight_file_find (file, &error, "text_embeddings", 2, 0, 24));
  g_assert_nonnull (sora_weight_file_find (file, &error, "negative_tokens", 1, 1));       /* the end token of an empty prompt */
  assert_steps (file, find (file, "noise", 4, 4, HEIGHT / 16, WIDTH / 16), find (file, "latents", 4, 4, HEIGHT / 16, WIDTH / 16));
  frames = find (file, "frames", FRAMES, HEIGHT, WIDTH, 3);
  values = g_new (gfloat, frames->n_elements);
  sora_tensor_to_float (frames, 0, frames->n_elements, values);
  for (gsize i = 0; i < frames->n_elements; i++)
    g_assert_cmpfloat_with_epsilon (255 * values[i], (guint8) rgb[i], 1e-4);
  g_assert_cmpmem (rgb, length, again, again_length);
  g_assert_cmpuint (different_length, ==, length);
  g_assert_cmpint (memcmp (rgb, different, length), !=, 0);
}

/* (transfer full): the path of a PNG file of @width x @height pixels, red on the left and blue on the right */
static gchar *
draw_picture (const gchar *name, guint width, guint height)
{
  gchar *path = in_folder (name);
  g_autoptr (GdkPixbuf) picture = gdk_pixbuf_new (GDK_COLORSPACE_RGB, FALSE, 8, width, height);
  g_autoptr (GdkPixbuf) right = gdk_pixbuf_new_subpixbuf (picture, width / 2, 0, width - width / 2, height);
  g_autoptr (GError) error = NULL;

  gdk_pixbuf_fill (picture, 0xff0000ff);
  gdk_pixbuf_fill (right, 0x0000ffff);
  gdk_pixbuf_save (picture, path, "png", &error, NULL);
  g_assert_no_error (error);
  return path;
}

/* The first frame is the picture's under every seed, another one with another fit, and what follows is the seed's. */
static void
test_image (void)
{
  g_autofree gchar *path = draw_picture ("i.png", 300, 100);
  const gchar *const one[] = { "--image", path, NULL }, *const other[] = { "--image", path, "--seed", "9", NULL };
  const gchar *const bars[] = { "--image", path, "--fit", "letterbox", NULL };
  gsize length;
  g_autofree gchar *a = generate ("i.rgb", &length, one), *b = generate ("j.rgb", &length, other), *c = generate ("k.rgb", &length, bars);
  g_autofree gchar *plain = generate ("m.rgb", &length, NULL);

  g_assert_cmpmem (a, 3 * PIXELS, b, 3 * PIXELS);
  g_assert_cmpint (memcmp (a + 3 * PIXELS, b + 3 * PIXELS, length - 3 * PIXELS), !=, 0);
  g_assert_cmpint (memcmp (a, c, 3 * PIXELS), !=, 0);
  g_assert_cmpint (memcmp (a, plain, 3 * PIXELS), !=, 0);
}

/* The tiny model has the sizes 96x64 and 64x96: with none asked for, that of the picture's proportions. */
static void
test_image_size (void)
{
  static const guint sides[][2] = { { 300, 200 }, { 20, 31 }, { 48, 48 } };
  static const gchar *const headers[] = { "YUV4MPEG2 W96 H64 ", "YUV4MPEG2 W64 H96 ", "YUV4MPEG2 W96 H64 " };

  for (guint i = 0; i < G_N_ELEMENTS (sides); i++) {
    g_autofree gchar *path = draw_picture ("s.png", sides[i][0], sides[i][1]), *out = NULL, *err = NULL;
    const gchar *const arguments[] = { "generate", "--model", model, "--prompt", "x", "--frames", "1", "--image", path, "--output", "-", NULL };

    g_assert_cmpint (run (arguments, &out, &err), ==, 0);
    g_assert_true (g_str_has_prefix (out, headers[i]));
  }
}

/* The tiny model's own sampler is Euler's. Others, a shift, and guidance in some steps only give other frames of the same length. */
static void
test_sampling (void)
{
  static const gchar *const own[] = { "--sampler", "default", NULL };
  static const gchar *const euler[] = { "--sampler", "euler", "--guidance-interval", "0:1", NULL };
  static const gchar *const others[][5] = { { "--sampler", "unipc" }, { "--sampler", "dpmpp-2m" }, { "--sampler", "renoise" },
    { "--shift", "5" }, { "--guidance-interval", "0.2:0.8" } };
  gsize length, other_length;
  g_autofree gchar *a = generate ("o.rgb", &length, own), *b = generate ("p.rgb", &length, euler);

  g_assert_cmpmem (a, length, b, length);
  for (guint i = 0; i < G_N_ELEMENTS (others); i++) {
    g_autofree gchar *c = generate ("q.rgb", &other_length, others[i]);
    g_assert_cmpuint (other_length, ==, length);
    g_assert_cmpint (memcmp (a, c, length), !=, 0);
  }
}

/* A LoRA of one layer of the tiny model, 32 wide, called @name: its path */
static gchar *
write_lora (const gchar *name, const gchar *layer)
{
  g_autoptr (SoraTensorWriter) writer = sora_tensor_writer_new ();
  g_autofree gchar *down = g_strconcat (layer, ".lora_A.weight", NULL), *up = g_strconcat (layer, ".lora_B.weight", NULL);
  const gint64 down_shape[] = { 1, 32 }, up_shape[] = { 32, 1 };
  gchar *path = in_folder (name);
  gfloat data[32];

  for (guint i = 0; i < G_N_ELEMENTS (data); i++)
    data[i] = i % 7 / 7.0f - 0.4f;
  sora_tensor_writer_add (writer, down, data, down_shape, 2);
  sora_tensor_writer_add (writer, up, data, up_shape, 2);
  g_assert_true (sora_tensor_writer_save (writer, path, NULL));
  return path;
}

/* With its weight, in a file with a colon in its name, several; and what is said of the file */
static void
test_loras (void)
{
  g_autofree gchar *path = write_lora ("some.safetensors", "blocks.0.attn1.to_q"), *colon = write_lora ("some:2", "blocks.0.attn1.to_q");
  g_autofree gchar *other = write_lora ("other.safetensors", "diffusion_model.blocks.9.self_attn.q");
  g_autofree gchar *half = g_strconcat (path, ":0.5", NULL), *none = g_strconcat (path, ":0", NULL), *colon_half = g_strconcat (colon, ":5e-1", NULL);
  const gchar *const once[] = { "--lora", path, NULL }, *const twice[] = { "--lora", half, "--lora", colon_half, NULL };
  const gchar *const halved[] = { "--lora", half, NULL }, *const without[] = { "-l", none, NULL };
  const gchar *const info[] = { "info", path, NULL };
  const gchar *const bad[] = { "generate", "--model", model, "--prompt", "x", "--output", "x.y4m", "--lora", other, NULL };
  gsize length;
  g_autofree gchar *plain = generate ("l.rgb", &length, NULL), *a = generate ("m.rgb", &length, once), *b = generate ("n.rgb", &length, halved);
  g_autofree gchar *c = generate ("o.rgb", &length, without), *d = generate ("p.rgb", &length, twice), *out = NULL, *err = NULL;
  guint n_other = 0;

  g_assert_cmpmem (plain, length, c, length);
  g_assert_cmpint (memcmp (plain, a, length), !=, 0);
  g_assert_cmpint (memcmp (a, b, length), !=, 0);
  for (gsize i = 0; i < length; i++)    /* two halves: the same but for rounding, which may turn a byte */
    n_other += a[i] != d[i];
  g_assert_cmpuint (n_other, <, length / 1000);
  g_assert_cmpint (run (info, &out, NULL), ==, 0);
  g_assert_nonnull (strstr (out, "kind          LoRA\ntransformer   1 layer, rank 1\n"));
  g_assert_cmpint (run (bad, NULL, &err), ==, 1);
  g_assert_nonnull (strstr (err, other));
  g_assert_nonnull (strstr (err, "blocks.9.self_attn.q.lora_A.weight"));
}

static void
test_reports (void)
{
  const gchar *const arguments[] = { "generate", "--model", model, "--prompt", "cat", "--frames", "5", "--output", "-", "--stats", "--profile",
    "--vae-tile", "off", NULL };
  g_autofree gchar *out = NULL, *err = NULL;

  g_assert_cmpint (run (arguments, &out, &err), ==, 0);
  g_assert_true (g_str_has_prefix (out, "YUV4MPEG2 "));
  g_assert_nonnull (strstr (err, "peak_rss_bytes "));
  g_assert_nonnull (strstr (err, "realtime_ratio "));
  g_assert_nonnull (strstr (err, "vae_tile 0\n"));
  g_assert_nonnull (strstr (err, "linear"));
}

static void
test_info (void)
{
  const gchar *const info[] = { "info", model, NULL }, *const devices[] = { "devices", NULL }, *const version[] = { "--version", NULL };
  g_autofree gchar *info_out = NULL, *devices_out = NULL, *version_out = NULL;

  g_assert_cmpint (run (info, &info_out, NULL), ==, 0);
  g_assert_nonnull (strstr (info_out, "UMT5"));
  g_assert_cmpint (run (devices, &devices_out, NULL), ==, 0);
  g_assert_nonnull (strstr (devices_out, "compute units"));
  g_assert_cmpint (run (version, &version_out, NULL), ==, 0);
  g_assert_true (g_str_has_prefix (version_out, "sora "));
}

/* Parts that are named, and what is said of those of a model that does not open */
static void
test_info_parts (void)
{
  g_autofree gchar *encoder = g_build_filename (model, "text_encoder", NULL), *vae = g_build_filename (model, "vae", NULL);
  g_autofree gchar *tokenizer = g_build_filename (model, "tokenizer", "spiece.model", NULL);
  const gchar *const sound[] = { "info", model, "--text-encoder", encoder, "--vae", vae, "--tokenizer", tokenizer, NULL };
  const gchar *const broken[] = { "info", model, "--vae", tokenizer, NULL };
  g_autofree gchar *sound_out = NULL, *broken_out = NULL, *err = NULL, *expected = NULL;

  g_assert_cmpint (run (sound, &sound_out, NULL), ==, 0);
  g_assert_nonnull (strstr (sound_out, "layout        diffusers folder\n"));
  g_assert_cmpint (run (broken, &broken_out, &err), ==, 1);
  expected = g_strdup_printf ("VAE           %s: not a weight file", tokenizer);
  g_assert_nonnull (strstr (broken_out, expected));
  g_assert_nonnull (strstr (broken_out, "text encoder  a UMT5 text encoder: "));
  g_assert_nonnull (strstr (err, "spiece.model: not a weight file"));
}

/* A part alone: what it is, its size and types, and how to use it */
static void
test_info_part (void)
{
  static const struct { const gchar *file, *said[4]; } table[] = {
    { "text-encoder-tiny.gguf", { "kind          a UMT5 text encoder, a part of a model\n", " parameters, ", "tokenizer     inside\n", "name it with --text-encoder" } },
    { "tiny-model/text_encoder/model.safetensors", { "a UMT5 text encoder", ", BF16\n", "not inside: spiece.model is needed too\n" } },
    { "tiny-model/vae/diffusion_pytorch_model.safetensors", { "kind          a TAEHV, a part", ", BF16\n", "4 of latents", "name it with --vae" } },
  };

  for (guint i = 0; i < G_N_ELEMENTS (table); i++) {
    g_autofree gchar *path = g_build_filename (g_getenv ("SORA_TEST_GOLDEN"), table[i].file, NULL), *out = NULL;
    const gchar *const info[] = { "info", path, NULL };

    g_assert_cmpint (run (info, &out, NULL), ==, 0);
    for (guint j = 0; j < G_N_ELEMENTS (table[i].said) && table[i].said[j]; j++) {
      if (!strstr (out, table[i].said[j]))
        g_error ("no \"%s\" in:\n%s", table[i].said[j], out);
    }
  }
}

/* The golden files as a place for models: one model, and what is none but cannot be told */
static void
test_models (void)
{
  const gchar *place = g_getenv ("SORA_TEST_GOLDEN");
  const gchar *const models[] = { "models", place, NULL }, *const json[] = { "models", "--json", model, NULL };
  const gchar *const nothing[] = { "models", folder, NULL };
  g_autofree gchar *out = NULL, *json_out = NULL, *nothing_out = NULL;
  g_autoptr (JsonParser) parser = json_parser_new ();
  JsonObject *object;

  g_assert_cmpint (run (models, &out, NULL), ==, 0);
  g_assert_nonnull (strstr (out, "\ntiny-model: Wan; text, image, stream\n    96x64, 64x96 at 16 frames/s, without end\n"));
  g_assert_nonnull (strstr (out, "\nlegacy: unknown; cannot be run\n"));
  g_assert_nonnull (strstr (out, "\n    error: "));
  g_assert_cmpint (run (json, &json_out, NULL), ==, 0);
  g_assert_true (json_parser_load_from_data (parser, json_out, -1, NULL));
  g_assert_cmpuint (json_array_get_length (json_node_get_array (json_parser_get_root (parser))), ==, 1);
  object = json_array_get_object_element (json_node_get_array (json_parser_get_root (parser)), 0);
  g_assert_cmpstr (json_object_get_string_member (object, "name"), ==, "tiny-model");
  g_assert_cmpstr (json_object_get_string_member (object, "title"), ==, "tiny");
  g_assert_cmpstr (json_object_get_string_member (object, "path"), ==, model);
  g_assert_true (json_object_get_boolean_member (object, "ready"));
  g_assert_true (json_object_get_null_member (object, "error"));
  g_assert_cmpint (run (nothing, &nothing_out, NULL), ==, 0);
  g_assert_true (g_str_has_prefix (nothing_out, "No models were found"));
}

/* SORA_MODEL_PATH makes names of what lies there. */
static void
test_model_names (void)
{
  g_autofree gchar *output = in_folder ("n.rgb"), *info_out = NULL, *wrong_out = NULL, *err = NULL;
  const gchar *const info[] = { "info", "Tiny-Model", NULL }, *const wrong[] = { "info", "tinymodel", NULL };
  const gchar *const make[] = { "generate", "--model", "tiny", "--prompt", "x", "--frames", "1", "--output", output, NULL };

  g_setenv ("SORA_MODEL_PATH", g_getenv ("SORA_TEST_GOLDEN"), TRUE);
  g_assert_cmpint (run (info, &info_out, NULL), ==, 0);
  g_assert_nonnull (strstr (info_out, model));
  g_assert_cmpint (run (make, NULL, NULL), ==, 0);
  g_assert_cmpint (run (wrong, &wrong_out, &err), ==, 1);
  g_assert_cmpstr (wrong_out, ==, "");
  g_assert_nonnull (strstr (err, "near are \"tiny-model\""));
  g_unsetenv ("SORA_MODEL_PATH");
}

static void
test_errors (void)
{
  g_autofree gchar *no_picture = in_folder ("no-picture");
  const struct {
    const gchar *arguments[12];
    const gchar *words;
  } table[] = {
    { { "generate", "--output", "x.y4m" }, "--prompt" },
    { { "generate", "--prompt", "x" }, "--output" },
    { { "generate", "--prompt", "x", "--output", "x.y4m", "more" }, "more" },
    { { "generate", "--prompt", "x", "--output", "x.avi", "--model", model }, ".y4m" },
    { { "generate", "--prompt", "x", "--output", "/nonexistent/x.y4m", "--model", model }, "/nonexistent/x.y4m" },
    { { "generate", "--prompt", "x", "--output", "x.y4m", "--model", "/nonexistent" }, "/nonexistent" },
    { { "generate", "--prompt", "x", "--output", "x.y4m", "--model", model, "--vae", "/nonexistent" }, "There is no file /nonexistent" },
    { { "generate", "--prompt", "x", "--output", "x.y4m", "--model", model, "--text-encoder", model }, "neither model.safetensors" },
    { { "generate", "--prompt", "x", "--output", "x.y4m", "--model", model, "--tokenizer", "/nonexistent" }, "/nonexistent" },
    { { "generate", "--prompt", "x", "--output", "x.y4m", "--model", model, "--size", "96" }, "WIDTHxHEIGHT" },
    { { "generate", "--prompt", "x", "--output", "x.y4m", "--model", model, "--size", "97x64" }, "97x64" },
    { { "generate", "--prompt", "x", "--output", "x.y4m", "--model", model, "--steps", "1001" }, "1001" },
    { { "generate", "--prompt", "x", "--output", "x.y4m", "--model", model, "--steps", "0" }, "from 1 to 1000" },
    { { "generate", "--prompt", "x", "--output", "x.y4m", "--model", model, "--frames", "0" }, "from 1 to" },
    { { "generate", "--prompt", "x", "--output", "x.y4m", "--model", model, "--seed", "-1" }, "0 or more" },
    { { "generate", "--prompt", "x", "--negative-prompt", "caf\xe9", "--output", "x.y4m", "--model", model }, "negative prompt" },
    { { "generate", "--prompt", "x", "--output", "x.y4m", "--model", model, "--chroma", "422" }, "444" },
    { { "generate", "--prompt", "caf\xe9", "--output", "x.y4m", "--model", model }, "UTF-8" },
    { { "generate", "--prompt", "x", "--output", "x.y4m", "--model", model, "--device", "no such device" }, "no such device" },
    { { "generate", "--prompt", "x", "--output", "x.y4m", "--model", model, "--noise", "/nonexistent.safetensors" }, "/nonexistent" },
    { { "generate", "--prompt", "x", "--output", "x.y4m", "--model", model, "--save-steps" }, "--save-tensors" },
    { { "generate", "--prompt", "x", "--output", "x.y4m", "--model", model, "--image", "/nonexistent.png" }, "/nonexistent.png" },
    { { "generate", "--prompt", "x", "--output", "x.y4m", "--model", model, "--image", no_picture }, "no-picture" },
    { { "generate", "--prompt", "x", "--output", "x.y4m", "--model", model, "--fit", "crop" }, "--image" },
    { { "generate", "--prompt", "x", "--output", "x.y4m", "--image", "x.png", "--fit", "half" }, "letterbox" },
    { { "generate", "--prompt", "x", "--output", "x.y4m", "--sampler", "heun" }, "default, euler, unipc, dpmpp-2m, renoise" },
    { { "generate", "--prompt", "x", "--output", "x.y4m", "--weights", "q4" }, "auto, fp32, fp16, bf16, q8" },
    { { "generate", "--prompt", "x", "--output", "x.y4m", "--text-encoder-policy", "drop" }, "auto, release, keep" },
    { { "generate", "--prompt", "x", "--output", "x.y4m", "--max-memory", "6T" }, "as in 6G" },
    { { "generate", "--prompt", "x", "--output", "x.y4m", "--max-memory", "-1" }, "as in 6G" },
    { { "generate", "--prompt", "x", "--output", "x.y4m", "--max-memory", "99999999999G" }, "as in 6G" },
    { { "generate", "--prompt", "x", "--output", "x.y4m", "--model", model, "--max-memory", "100K" }, "takes at least" },
    { { "generate", "--prompt", "x", "--output", "x.y4m", "--guidance-interval", "0.5" }, "BEGIN:END" },
    { { "generate", "--prompt", "x", "--output", "x.y4m", "--guidance-interval", "0:1x" }, "BEGIN:END" },
    { { "generate", "--prompt", "x", "--output", "x.y4m", "--model", model, "--guidance-interval", "0.5:0.4" }, "the end of guidance is 0.4" },
    { { "generate", "--prompt", "x", "--output", "x.y4m", "--vae-tile", "small" }, "auto, off or a number" },
    { { "generate", "--prompt", "x", "--output", "x.y4m", "--model", model, "--vae-tile", "8" }, "16 to 16384" },
    { { "info", "/nonexistent" }, "/nonexistent" },
    { { "models", "--xml" }, "--xml" },
    { { "models", model, "/nonexistent" }, "there is no /nonexistent" },
  };

  g_assert_true (g_file_set_contents (no_picture, "text", -1, NULL));
  for (guint i = 0; i < G_N_ELEMENTS (table); i++) {
    g_autofree gchar *out = NULL, *err = NULL;
    g_assert_cmpint (run (table[i].arguments, &out, &err), ==, 1);
    g_assert_cmpstr (out, ==, "");
    g_test_message ("%s", err);
    if (!strstr (err, table[i].words))
      g_error ("expected \"%s\" in %s", table[i].words, err);
    g_assert_true (g_str_has_prefix (err, "sora "));
    g_assert_true (strchr (err, '\n') == err + strlen (err) - 1);
  }
}

static void
remove_folder (void)
{
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  const gchar *name;

  while ((name = g_dir_read_name (dir))) {
    g_autofree gchar *path = in_folder (name);
    g_unlink (path);
  }
  g_rmdir (folder);
  g_free (folder);
}

int
main (int argc, char **argv)
{
  int status;

  g_test_init (&argc, &argv, NULL);
  folder = g_dir_make_tmp ("sora-test-XXXXXX", NULL);
  model = g_build_filename (g_getenv ("SORA_TEST_GOLDEN"), "tiny-model", NULL);
  g_test_add_func ("/tool/y4m-444", test_full_chroma);
  g_test_add_func ("/tool/y4m-420", test_half_chroma);
  g_test_add_func ("/tool/sheet", test_sheet);
  g_test_add_func ("/tool/tensors", test_tensors);
  g_test_add_func ("/tool/image", test_image);
  g_test_add_func ("/tool/image-size", test_image_size);
  g_test_add_func ("/tool/sampling", test_sampling);
  g_test_add_func ("/tool/reports", test_reports);
  g_test_add_func ("/tool/loras", test_loras);
  g_test_add_func ("/tool/info", test_info);
  g_test_add_func ("/tool/info-parts", test_info_parts);
  g_test_add_func ("/tool/info-part", test_info_part);
  g_test_add_func ("/tool/models", test_models);
  g_test_add_func ("/tool/model-names", test_model_names);
  g_test_add_func ("/tool/errors", test_errors);
  status = g_test_run ();
  remove_folder ();
  g_free (model);
  return status;
}
