/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sorasrc: video generated from a prompt. */
#pragma once

#include <gst/base/gstpushsrc.h>

G_BEGIN_DECLS

#define GST_TYPE_SORA_SRC (gst_sora_src_get_type ())
G_DECLARE_FINAL_TYPE (GstSoraSrc, gst_sora_src, GST, SORA_SRC, GstPushSrc)

G_END_DECLS
