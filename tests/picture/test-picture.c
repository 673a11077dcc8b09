/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Picture files: what is decoded, turned and fitted, and what is refused. */
#include <glib/gstdio.h>
#include <string.h>

#include "picture.h"

#define RED 0xff0000
#define GREEN 0x00ff00
#define BLUE 0x0000ff
#define WHITE 0xffffff
#define BLACK 0x000000

static gchar *folder;

static gchar *
in_folder (const gchar *name)
{
  return g_build_filename (folder, name, NULL);
}

/* Quadrants: red, green | blue, white */
static GdkPixbuf *
draw (guint width, guint height)
{
  static const guint32 colours[] = { RED, GREEN, BLUE, WHITE };
  GdkPixbuf *picture = gdk_pixbuf_new (GDK_COLORSPACE_RGB, FALSE, 8, width, height);

  for (guint i = 0; i < 4; i++) {
    g_autoptr (GdkPixbuf) quadrant = gdk_pixbuf_new_subpixbuf (picture, i % 2 * (width / 2), i / 2 * (height / 2), width / 2, height / 2);
    gdk_pixbuf_fill (quadrant, colours[i] << 8 | 0xff);
  }
  return picture;
}

/* 0xRRGGBB */
static guint32
pixel (GdkPixbuf *picture, guint x, guint y)
{
  const guint8 *p = gdk_pixbuf_read_pixels (picture) + y * gdk_pixbuf_get_rowstride (picture) + x * gdk_pixbuf_get_n_channels (picture);

  return p[0] << 16 | p[1] << 8 | p[2];
}

static GdkPixbuf *
load (const gchar *path)
{
  g_autoptr (GError) error = NULL;
  GdkPixbuf *picture = sora_picture_load (path, &error);

  g_assert_no_error (error);
  return picture;
}

static GdkPixbuf *
fit (GdkPixbuf *picture, guint width, guint height, SoraPictureFit how)
{
  g_autoptr (GError) error = NULL;
  GdkPixbuf *frame = sora_picture_fit (picture, width, height, how, &error);

  g_assert_no_error (error);
  g_assert_cmpint (gdk_pixbuf_get_width (frame), ==, width);
  g_assert_cmpint (gdk_pixbuf_get_height (frame), ==, height);
  g_assert_cmpint (gdk_pixbuf_get_n_channels (frame), ==, 3);
  return frame;
}

static void
test_load (void)
{
  g_autoptr (GError) error = NULL;
  g_autofree gchar *path = in_folder ("a.png");
  g_autoptr (GdkPixbuf) drawn = draw (30, 20);

  g_assert_true (gdk_pixbuf_save (drawn, path, "png", &error, NULL));
  g_autoptr (GdkPixbuf) picture = load (path);
  g_assert_cmpint (gdk_pixbuf_get_width (picture), ==, 30);
  g_assert_cmpint (gdk_pixbuf_get_height (picture), ==, 20);
  g_assert_cmpfloat (sora_picture_get_aspect_ratio (picture), ==, 1.5);
  g_assert_cmphex (pixel (picture, 14, 9), ==, RED);
  g_assert_cmphex (pixel (picture, 15, 9), ==, GREEN);
  g_assert_cmphex (pixel (picture, 14, 10), ==, BLUE);
  g_assert_cmphex (pixel (picture, 15, 10), ==, WHITE);
}

/* A JPEG file whose EXIF says that the top of the picture is its right side ("6"), as of a camera held upright. */
static void
test_orientation (void)
{
  static const guint8 exif[] = { 0xff, 0xe1, 0, 34, 'E', 'x', 'i', 'f', 0, 0, 'I', 'I', 42, 0, 8, 0, 0, 0, 1, 0,
    0x12, 0x01, 3, 0, 1, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0 };
  g_autoptr (GError) error = NULL;
  g_autofree gchar *path = in_folder ("camera.jpg"), *jpeg = NULL;
  g_autoptr (GdkPixbuf) drawn = draw (64, 32);
  g_autoptr (GByteArray) file = g_byte_array_new ();
  gsize size;

  g_assert_true (gdk_pixbuf_save_to_buffer (drawn, &jpeg, &size, "jpeg", &error, "quality", "100", NULL));
  g_byte_array_append (file, (guint8 *) jpeg, 2);       /* the start of the image */
  g_byte_array_append (file, exif, sizeof exif);
  g_byte_array_append (file, (guint8 *) jpeg + 2, size - 2);
  g_assert_true (g_file_set_contents (path, (gchar *) file->data, file->len, &error));
  g_autoptr (GdkPixbuf) picture = load (path);
  g_assert_cmpint (gdk_pixbuf_get_width (picture), ==, 32);
  g_assert_cmpint (gdk_pixbuf_get_height (picture), ==, 64);
  /* turned clockwise: blue, red | white, green; JPEG is not exact */
  g_assert_cmphex (pixel (picture, 4, 4) & 0xe0e0e0, ==, BLUE & 0xe0e0e0);
  g_assert_cmphex (pixel (picture, 28, 4) & 0xe0e0e0, ==, RED & 0xe0e0e0);
  g_assert_cmphex (pixel (picture, 28, 60) & 0xe0e0e0, ==, GREEN & 0xe0e0e0);
}

static const struct {
  guint width, height;          /* of the picture */
  guint to_width, to_height;
  SoraPictureFit how;
  guint32 top_left, bottom_right;
  guint32 left, top;            /* of that side, three eighths from its top or left end: not where colours change */
} fits[] = {
  { 40, 40, 40, 40, SORA_PICTURE_FIT_CROP, RED, WHITE, RED, RED },
  { 40, 20, 32, 32, SORA_PICTURE_FIT_CROP, RED, WHITE, RED, RED },
  { 40, 20, 32, 32, SORA_PICTURE_FIT_STRETCH, RED, WHITE, RED, RED },
  { 40, 20, 32, 32, SORA_PICTURE_FIT_LETTERBOX, BLACK, BLACK, RED, BLACK },
  { 20, 40, 32, 32, SORA_PICTURE_FIT_LETTERBOX, BLACK, BLACK, BLACK, RED },
  { 400, 400, 32, 64, SORA_PICTURE_FIT_LETTERBOX, BLACK, BLACK, RED, BLACK },
  { 16, 16, 64, 32, SORA_PICTURE_FIT_CROP, RED, WHITE, RED, RED },
  { 2000, 20, 32, 32, SORA_PICTURE_FIT_STRETCH, RED, WHITE, RED, RED },
};

static void
test_fit (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (fits); i++) {
    guint width = fits[i].to_width, height = fits[i].to_height;
    g_autoptr (GdkPixbuf) picture = draw (fits[i].width, fits[i].height);
    g_autoptr (GdkPixbuf) frame = fit (picture, width, height, fits[i].how);

    g_test_message ("%u", i);
    g_assert_cmphex (pixel (frame, 0, 0), ==, fits[i].top_left);
    g_assert_cmphex (pixel (frame, width - 1, height - 1), ==, fits[i].bottom_right);
    g_assert_cmphex (pixel (frame, 0, 3 * height / 8), ==, fits[i].left);
    g_assert_cmphex (pixel (frame, 3 * width / 8, 0), ==, fits[i].top);
  }
}

/* A crop shows the middle: of 96x32 the square from 32 to 64, in which the colours change in the middle too. A stretch shows it all. */
static void
test_crop_is_centred (void)
{
  g_autoptr (GdkPixbuf) picture = draw (96, 32);
  g_autoptr (GdkPixbuf) left = gdk_pixbuf_new_subpixbuf (picture, 0, 0, 32, 32);
  gdk_pixbuf_fill (left, 0x000000ff);
  g_autoptr (GdkPixbuf) cropped = fit (picture, 32, 32, SORA_PICTURE_FIT_CROP);
  g_autoptr (GdkPixbuf) stretched = fit (picture, 32, 32, SORA_PICTURE_FIT_STRETCH);

  g_assert_cmphex (pixel (cropped, 0, 0), ==, RED);
  g_assert_cmphex (pixel (cropped, 15, 15), ==, RED);
  g_assert_cmphex (pixel (cropped, 16, 15), ==, GREEN);
  g_assert_cmphex (pixel (cropped, 31, 31), ==, WHITE);
  g_assert_cmphex (pixel (stretched, 0, 0), ==, BLACK);
}

static void
test_transparent (void)
{
  g_autoptr (GError) error = NULL;
  g_autofree gchar *path = in_folder ("b.png");
  g_autoptr (GdkPixbuf) drawn = gdk_pixbuf_new (GDK_COLORSPACE_RGB, TRUE, 8, 32, 32);
  g_autoptr (GdkPixbuf) right = gdk_pixbuf_new_subpixbuf (drawn, 16, 0, 16, 32);

  gdk_pixbuf_fill (drawn, 0xffffff00);
  gdk_pixbuf_fill (right, 0xff8000ff);
  g_assert_true (gdk_pixbuf_save (drawn, path, "png", &error, NULL));
  g_autoptr (GdkPixbuf) picture = load (path);
  g_autoptr (GdkPixbuf) frame = fit (picture, 32, 32, SORA_PICTURE_FIT_CROP);
  g_assert_cmphex (pixel (frame, 8, 8), ==, BLACK);
  g_assert_cmphex (pixel (frame, 24, 8), ==, 0xff8000);
}

/* --- errors ---------------------------------------------------------------------------------------------------- */

/* @code: -1: any, as loaders differ in theirs */
static void
assert_refused (const gchar *path, GQuark domain, gint code)
{
  g_autoptr (GError) error = NULL;
  g_autofree gchar *name = g_path_get_basename (path);

  g_assert_null (sora_picture_load (path, &error));
  g_test_message ("%s", error->message);
  g_assert_true (error->domain == domain);
  if (code >= 0)
    g_assert_cmpint (error->code, ==, code);
  g_assert_nonnull (strstr (error->message, name));
}

static gchar *
write_file (const gchar *name, const void *data, gsize size)
{
  gchar *path = in_folder (name);

  g_assert_true (g_file_set_contents (path, data, size, NULL));
  return path;
}

static void
test_not_a_picture (void)
{
  g_autofree gchar *missing = in_folder ("missing.png"), *text = write_file ("text.txt", "no picture\n", 11);
  g_autofree gchar *empty = write_file ("empty.png", "", 0);
  g_autofree gchar *whole = in_folder ("whole.png"), *data = NULL, *half = NULL;
  g_autoptr (GdkPixbuf) drawn = draw (200, 200);
  gsize size;

  g_assert_true (gdk_pixbuf_save (drawn, whole, "png", NULL, NULL));
  g_assert_true (g_file_get_contents (whole, &data, &size, NULL));
  half = write_file ("half.png", data, size / 2);
  assert_refused (missing, G_FILE_ERROR, G_FILE_ERROR_NOENT);
  assert_refused (folder, G_FILE_ERROR, G_FILE_ERROR_FAILED);
  assert_refused ("/dev/zero", G_FILE_ERROR, G_FILE_ERROR_FAILED);
  assert_refused (text, GDK_PIXBUF_ERROR, -1);
  assert_refused (empty, GDK_PIXBUF_ERROR, -1);
  assert_refused (half, GDK_PIXBUF_ERROR, -1);
}

/* PNG's checksum of a chunk's type and data */
static guint32
crc32 (const guint8 *data, gsize n)
{
  guint32 crc = 0xffffffff;

  for (gsize i = 0; i < n; i++) {
    crc ^= data[i];
    for (guint bit = 0; bit < 8; bit++)
      crc = crc & 1 ? crc >> 1 ^ 0xedb88320 : crc >> 1;
  }
  return ~crc;
}

/* A few bytes that say that they are 60000 x 60000 pixels: refused before memory is taken for them. */
static void
test_too_large (void)
{
  guint8 png[] = { 0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n', 0, 0, 0, 13, 'I', 'H', 'D', 'R', 0, 0, 0xea, 0x60, 0, 0, 0xea, 0x60, 8, 2, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 8, 'I', 'D', 'A', 'T', 0, 0, 0, 0, 0, 0, 0, 0 };
  guint32 crc = GUINT32_TO_BE (crc32 (png + 12, 17));
  g_autofree gchar *path = NULL;

  memcpy (png + 29, &crc, 4);
  path = write_file ("large.png", png, sizeof png);
  assert_refused (path, GDK_PIXBUF_ERROR, GDK_PIXBUF_ERROR_INSUFFICIENT_MEMORY);
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
  g_test_add_func ("/picture/load", test_load);
  g_test_add_func ("/picture/orientation", test_orientation);
  g_test_add_func ("/picture/fit", test_fit);
  g_test_add_func ("/picture/crop-is-centred", test_crop_is_centred);
  g_test_add_func ("/picture/transparent", test_transparent);
  g_test_add_func ("/picture/not-a-picture", test_not_a_picture);
  g_test_add_func ("/picture/too-large", test_too_large);
  status = g_test_run ();
  remove_folder ();
  return status;
}
