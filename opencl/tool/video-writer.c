/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Writes frames as YUV4MPEG2, packed RGB, or a contact sheet in PPM. */

#include "tool/video-writer.h"

#include <errno.h>
#include <gio/gio.h>
#include <stdio.h>
#include <string.h>

#define SHEET_FRAMES 8
#define SHEET_COLUMNS 4

typedef enum { Y4M, RGB, SHEET } Container;

struct _SoraVideoWriter {
  SoraVideoFormat format;
  Container container;
  gchar *path;
  FILE *file;                   /* stdout is not closed */
  guint64 n_added;
  gfloat red, blue;             /* weights of luma; green is the rest */
  guint8 *planes;               /* Y4M: one frame of Y, Cb, Cr */
  guint8 *sheet;                /* SHEET: the whole picture */
  guint n_tiles;
};

static gboolean
fail (SoraVideoWriter *writer, GError **error)
{
  gint saved = errno;
  g_set_error (error, G_IO_ERROR, g_io_error_from_errno (saved), "%s: %s", writer->path, g_strerror (saved));
  return FALSE;
}

static gboolean
write_bytes (SoraVideoWriter *writer, const void *data, gsize size, GError **error)
{
  return fwrite (data, 1, size, writer->file) == size || fail (writer, error);
}

static gsize
chroma_size (const SoraVideoFormat *format)
{
  if (format->full_chroma)
    return (gsize) format->width * format->height;
  return (gsize) ((format->width + 1) / 2) * ((format->height + 1) / 2);
}

static guint
sheet_rows (SoraVideoWriter *writer)
{
  return (writer->n_tiles + SHEET_COLUMNS - 1) / SHEET_COLUMNS;
}

static guint
sheet_columns (SoraVideoWriter *writer)
{
  return MIN (writer->n_tiles, SHEET_COLUMNS);
}

static gboolean
set_up (SoraVideoWriter *writer, GError **error)
{
  const SoraVideoFormat *format = &writer->format;
  gsize n_pixels = (gsize) format->width * format->height;
  g_autofree gchar *header = NULL;

  if (writer->container == SHEET) {
    writer->n_tiles = MIN (format->n_frames, SHEET_FRAMES);
    writer->sheet = g_malloc0 (3 * n_pixels * sheet_rows (writer) * sheet_columns (writer));
    return TRUE;
  }
  if (writer->container == RGB)
    return TRUE;
  writer->planes = g_malloc (n_pixels + 2 * chroma_size (format));
  header = g_strdup_printf ("YUV4MPEG2 W%u H%u F%d:%d Ip A1:1 %s XCOLORRANGE=LIMITED\n", format->width, format->height,
      format->frame_rate[0], format->frame_rate[1], format->full_chroma ? "C444" : "C420jpeg");
  return write_bytes (writer, header, strlen (header), error);
}

SoraVideoWriter *
sora_video_writer_new (const gchar *path, const SoraVideoFormat *format, GError **error)
{
  g_autoptr (SoraVideoWriter) writer = g_new0 (SoraVideoWriter, 1);
  gboolean standard = g_str_equal (path, "-");

  writer->format = *format;
  writer->path = g_strdup (path);
  writer->red = format->height >= 720 ? 0.2126f : 0.299f;
  writer->blue = format->height >= 720 ? 0.0722f : 0.114f;
  if (standard || g_str_has_suffix (path, ".y4m")) {
    writer->container = Y4M;
  } else if (g_str_has_suffix (path, ".rgb")) {
    writer->container = RGB;
  } else if (g_str_has_suffix (path, ".ppm")) {
    writer->container = SHEET;
  } else {
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, "%s: the name must end with .y4m, .rgb or .ppm", path);
    return NULL;
  }
  writer->file = standard ? stdout : fopen (path, "wb");
  if (!writer->file) {
    fail (writer, error);
    return NULL;
  }
  return set_up (writer, error) ? g_steal_pointer (&writer) : NULL;
}

static guint8
quantise (gfloat value, gfloat offset)
{
  return (guint8) CLAMP (value + offset + 0.5f, 0.0f, 255.0f);
}

/* Cb and Cr from the means of red, green and blue, 0 ... 255 */
static void
convert_chroma (SoraVideoWriter *writer, const gfloat rgb[3], guint8 *cb, guint8 *cr)
{
  gfloat luma = writer->red * rgb[0] + (1 - writer->red - writer->blue) * rgb[1] + writer->blue * rgb[2];

  *cb = quantise (224.0f / 255.0f * (rgb[2] - luma) / (2 * (1 - writer->blue)), 128);
  *cr = quantise (224.0f / 255.0f * (rgb[0] - luma) / (2 * (1 - writer->red)), 128);
}

static void
convert_frame (SoraVideoWriter *writer, const guint8 *rgb)
{
  guint width = writer->format.width, height = writer->format.height, step = writer->format.full_chroma ? 1 : 2;
  gsize n_pixels = (gsize) width * height;
  guint8 *cb = writer->planes + n_pixels, *cr = cb + chroma_size (&writer->format);

  for (gsize i = 0; i < n_pixels; i++) {
    const guint8 *p = rgb + 3 * i;
    gfloat luma = writer->red * p[0] + (1 - writer->red - writer->blue) * p[1] + writer->blue * p[2];
    writer->planes[i] = quantise (219.0f / 255.0f * luma, 16);
  }
  for (guint y = 0; y < height; y += step) {
    for (guint x = 0; x < width; x += step) {
      gfloat sum[3] = { 0 };
      guint n = 0;
      for (guint j = y; j < MIN (y + step, height); j++)
        for (guint i = x; i < MIN (x + step, width); i++, n++)
          for (guint c = 0; c < 3; c++)
            sum[c] += rgb[3 * ((gsize) j * width + i) + c];
      for (guint c = 0; c < 3; c++)
        sum[c] /= n;
      convert_chroma (writer, sum, cb++, cr++);
    }
  }
}

/* Puts the frame into every tile that it is nearest to. */
static void
fill_tiles (SoraVideoWriter *writer, const guint8 *rgb)
{
  guint width = writer->format.width, height = writer->format.height;
  gsize stride = (gsize) 3 * width * sheet_columns (writer);

  for (guint i = 0; i < writer->n_tiles; i++) {
    guint64 frame = writer->n_tiles > 1 ? (writer->format.n_frames - 1) * i / (writer->n_tiles - 1) : 0;
    guint8 *tile = writer->sheet + (i / SHEET_COLUMNS) * height * stride + (gsize) 3 * width * (i % SHEET_COLUMNS);
    for (guint y = 0; frame == writer->n_added && y < height; y++)
      memcpy (tile + y * stride, rgb + (gsize) 3 * width * y, 3 * width);
  }
}

gboolean
sora_video_writer_add (SoraVideoWriter *writer, const guint8 *rgb, GError **error)
{
  gsize n_pixels = (gsize) writer->format.width * writer->format.height;
  gboolean success = TRUE;

  switch (writer->container) {
    case Y4M:
      convert_frame (writer, rgb);
      success = write_bytes (writer, "FRAME\n", 6, error)
          && write_bytes (writer, writer->planes, n_pixels + 2 * chroma_size (&writer->format), error);
      break;
    case RGB:
      success = write_bytes (writer, rgb, 3 * n_pixels, error);
      break;
    case SHEET:
      fill_tiles (writer, rgb);
      break;
  }
  writer->n_added++;
  return success;
}

static gboolean
write_sheet (SoraVideoWriter *writer, GError **error)
{
  guint width = writer->format.width * sheet_columns (writer), height = writer->format.height * sheet_rows (writer);
  g_autofree gchar *header = g_strdup_printf ("P6\n%u %u\n255\n", width, height);

  return write_bytes (writer, header, strlen (header), error)
      && write_bytes (writer, writer->sheet, (gsize) 3 * width * height, error);
}

gboolean
sora_video_writer_finish (SoraVideoWriter *writer, GError **error)
{
  FILE *file = writer->file;

  if (writer->container == SHEET && !write_sheet (writer, error))
    return FALSE;
  writer->file = NULL;
  if (file == stdout ? fflush (file) == 0 : fclose (file) == 0)
    return TRUE;
  return fail (writer, error);
}

void
sora_video_writer_free (SoraVideoWriter *writer)
{
  if (!writer)
    return;
  if (writer->file && writer->file != stdout)
    fclose (writer->file);
  g_free (writer->planes);
  g_free (writer->sheet);
  g_free (writer->path);
  g_free (writer);
}
