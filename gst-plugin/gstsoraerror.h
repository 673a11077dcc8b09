/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The errors of libsora and of picture files as messages on the bus. */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

/* Posts @error as an error (or warning) message of the GStreamer domain and code that say the same; its text stays. Hold
 * no lock. */
void gst_sora_post_error (GstElement *element, const GError *error);
void gst_sora_post_warning (GstElement *element, const GError *error);

G_END_DECLS
