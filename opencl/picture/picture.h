/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Picture files, decoded and fitted to a stream's size. For the command and the element: libsora takes pixels. */
#pragma once

#include <gdk-pixbuf/gdk-pixbuf.h>

G_BEGIN_DECLS

/**
 * SoraPictureFit:
 * @SORA_PICTURE_FIT_CROP: fill the frame, cut what sticks out
 * @SORA_PICTURE_FIT_LETTERBOX: show the whole picture, with black bars
 * @SORA_PICTURE_FIT_STRETCH: fill the frame with the whole picture, whatever its proportions become
 */
typedef enum {
  SORA_PICTURE_FIT_CROP,
  SORA_PICTURE_FIT_LETTERBOX,
  SORA_PICTURE_FIT_STRETCH,
} SoraPictureFit;

/**
 * sora_picture_load:
 * @path: a file of any kind that gdk-pixbuf has a loader for
 *
 * Decodes the file, and turns the picture as its embedded orientation says.
 *
 * Returns: (transfer full): the picture in its own size; or %NULL with a #GFileError where the file cannot be read, a #GdkPixbufError
 *   where it is not a picture, a damaged one or too large a one. Any thread.
 */
GdkPixbuf *sora_picture_load (const gchar *path, GError **error);

/* width over height, in pixels */
gdouble sora_picture_get_aspect_ratio (GdkPixbuf *picture);

/**
 * sora_picture_fit:
 * @width, @height: pixels
 *
 * Returns: (transfer full): R, G, B bytes of that size; what is transparent is black. %NULL with a #GdkPixbufError where memory does not
 *   suffice. Any thread.
 */
GdkPixbuf *sora_picture_fit (GdkPixbuf *picture, guint width, guint height, SoraPictureFit fit, GError **error);

G_END_DECLS
