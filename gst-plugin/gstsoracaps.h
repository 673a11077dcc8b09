/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which caps are chosen among those that downstream accepts, and which of the model's sizes fits them. */
#pragma once

#include <gst/video/video.h>
#include <sora/sora.h>

G_BEGIN_DECLS

/* Every raw format in system memory, any size, any rate. */
#define GST_SORA_CAPS_TEMPLATE GST_VIDEO_CAPS_MAKE (GST_VIDEO_FORMATS_ALL)

/**
 * gst_sora_caps_fixate:
 * @aspect_ratio: width over height of what is going to be shown; 0: of anything
 * @caps: (transfer full): not empty
 *
 * What is open becomes the model's size that is nearest to @aspect_ratio, or its own choice (in its proportions where only one side
 * is open), the model's rate, square pixels, and of the formats the one that is nearest to RGB and widely played.
 *
 * Returns: (transfer full): the first structure of @caps with all but fields unknown here fixed
 */
GstCaps *gst_sora_caps_fixate (SoraModel *model, gdouble aspect_ratio, GstCaps *caps);

/* Sets @width and @height to the model's size whose proportions are nearest to those of @info on display. */
void gst_sora_caps_get_model_size (SoraModel *model, const GstVideoInfo *info, guint *width, guint *height);

G_END_DECLS
