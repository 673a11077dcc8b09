/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Picture files, decoded and fitted to a stream's size. For the command and the element: libsora takes pixels. */
#include "picture.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <math.h>
#include <unistd.h>

/* 1 GiB once decoded. A file of a few bytes may say that it is larger. */
#define MAX_PIXELS (1 << 28)

/* What can be said of a file before it is opened; a pipe or a device, which may never end, is not. */
static gboolean
check_file (const gchar *path, GError **error)
{
  g_autofree gchar *name = g_filename_display_name (path);

  if (!g_file_test (path, G_FILE_TEST_EXISTS))
    g_set_error (error, G_FILE_ERROR, G_FILE_ERROR_NOENT, "There is no file %s", name);
  else if (!g_file_test (path, G_FILE_TEST_IS_REGULAR))
    g_set_error (error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "%s is not a file", name);
  else if (g_access (path, R_OK) != 0)
    g_set_error (error, G_FILE_ERROR, g_file_error_from_errno (errno), "The file %s cannot be read: %s", name, g_strerror (errno));
  else
    return TRUE;
  return FALSE;
}

static gboolean
check_pixels (const gchar *path, GError **error)
{
  g_autofree gchar *name = NULL;
  gint width = 0, height = 0;

  if (!gdk_pixbuf_get_file_info (path, &width, &height) || (gint64) width * height <= MAX_PIXELS)
    return TRUE;
  name = g_filename_display_name (path);
  g_set_error (error, GDK_PIXBUF_ERROR, GDK_PIXBUF_ERROR_INSUFFICIENT_MEMORY,
      "The picture %s has %dx%d pixels, more than %d million: scale it down", name, width, height, MAX_PIXELS / 1000000);
  return FALSE;
}

GdkPixbuf *
sora_picture_load (const gchar *path, GError **error)
{
  g_autoptr (GdkPixbuf) stored = NULL;
  GdkPixbuf *upright;

  if (!check_file (path, error) || !check_pixels (path, error))
    return NULL;
  stored = gdk_pixbuf_new_from_file (path, error);
  if (!stored)
    return NULL;
  upright = gdk_pixbuf_apply_embedded_orientation (stored);
  if (!upright)
    g_set_error (error, GDK_PIXBUF_ERROR, GDK_PIXBUF_ERROR_INSUFFICIENT_MEMORY, "There is no memory to turn a picture of %dx%d pixels",
        gdk_pixbuf_get_width (stored), gdk_pixbuf_get_height (stored));
  return upright;
}

gdouble
sora_picture_get_aspect_ratio (GdkPixbuf *picture)
{
  return (gdouble) gdk_pixbuf_get_width (picture) / gdk_pixbuf_get_height (picture);
}

/* Along one axis: a picture of @length pixels at @scale in a frame of @frame. Sets which of the frame's pixels it covers, and where its
 * own first pixel lies, outside the frame if it is cut. */
static void
place (gint length, gdouble scale, gint frame, gint *start, gint *covered, gdouble *origin)
{
  *covered = (gint) CLAMP (round (length * scale), 1, frame);
  *start = (frame - *covered) / 2;
  *origin = *covered < frame ? *start : (frame - length * scale) / 2;
}

GdkPixbuf *
sora_picture_fit (GdkPixbuf *picture, guint width, guint height, SoraPictureFit fit, GError **error)
{
  gint own_width = gdk_pixbuf_get_width (picture), own_height = gdk_pixbuf_get_height (picture);
  gdouble across = (gdouble) width / own_width, down = (gdouble) height / own_height, origin_x, origin_y;
  GdkPixbuf *frame = gdk_pixbuf_new (GDK_COLORSPACE_RGB, FALSE, 8, width, height);
  gint x, y, covered_width, covered_height;

  if (!frame) {
    g_set_error (error, GDK_PIXBUF_ERROR, GDK_PIXBUF_ERROR_INSUFFICIENT_MEMORY, "There is no memory for a picture of %ux%u pixels",
        width, height);
    return NULL;
  }
  if (fit == SORA_PICTURE_FIT_CROP)
    across = down = MAX (across, down);
  else if (fit == SORA_PICTURE_FIT_LETTERBOX)
    across = down = MIN (across, down);
  place (own_width, across, width, &x, &covered_width, &origin_x);
  place (own_height, down, height, &y, &covered_height, &origin_y);
  gdk_pixbuf_fill (frame, 0x000000ff);
  gdk_pixbuf_composite (picture, frame, x, y, covered_width, covered_height, origin_x, origin_y, across, down, GDK_INTERP_BILINEAR, 255);
  return frame;
}
