/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Writes frames to a file: YUV4MPEG2, packed RGB, or a contact sheet. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct {
  guint width, height;          /* pixels */
  gint frame_rate[2];
  guint64 n_frames;             /* that will be written */
  gboolean full_chroma;         /* 4:4:4 instead of 4:2:0 */
} SoraVideoFormat;

/* For one thread at a time. */
typedef struct _SoraVideoWriter SoraVideoWriter;

/**
 * sora_video_writer_new:
 * @path: ends with .y4m, .rgb or .ppm; "-" is YUV4MPEG2 to standard output
 *
 * YUV is of limited range (16 to 235 and 240), by the matrix that players assume: BT.709 from 720 lines on, BT.601 below. 4:2:0 is sited
 * in the middle of four pixels (C420jpeg). A .ppm is a contact sheet of up to 8 frames, evenly spaced, 4 in a row.
 */
SoraVideoWriter *sora_video_writer_new (const gchar *path, const SoraVideoFormat *format, GError **error);
/* @rgb: width * height packed R, G, B bytes */
gboolean sora_video_writer_add (SoraVideoWriter *writer, const guint8 *rgb, GError **error);
/* Writes what is left and closes; the writer is then only to be freed. */
gboolean sora_video_writer_finish (SoraVideoWriter *writer, GError **error);
void sora_video_writer_free (SoraVideoWriter *writer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SoraVideoWriter, sora_video_writer_free)

G_END_DECLS
