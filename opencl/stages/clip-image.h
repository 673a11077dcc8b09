/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A picture as a CLIP image encoder is given it: square, with CLIP's mean and deviation, patch by patch. On the host. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/**
 * sora_clip_image_prepare:
 * @rgb: bytes [@height, @width, 3]
 * @size: pixels of a side of the square; the whole picture goes into it, whatever its proportions, as in Wan's own code
 * @patch: pixels of a side of a patch, which divides @size
 *
 * Bicubic, as PyTorch's interpolate (mode="bicubic", align_corners=False), which does not blur first.
 *
 * Returns: (transfer full): floats [(@size / @patch)², 3 · @patch²], a row (channel, y, x) as in the columns of a convolution's weight
 */
gfloat *sora_clip_image_prepare (const guint8 *rgb, guint width, guint height, guint size, guint patch);

G_END_DECLS
