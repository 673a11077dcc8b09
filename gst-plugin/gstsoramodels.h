/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The models that elements of this process have open, so that those of the same files share one, and its weights. */
#pragma once

#include <sora/sora.h>

G_BEGIN_DECLS

/**
 * gst_sora_models_acquire:
 * @files: as in sora_model_open_files()
 *
 * Opens and validates the model. Where another element has the same files open, the model that it has is returned, so
 * the weights are on a device only once; files that were changed meanwhile are seen when the last element has let go.
 *
 * Returns: (transfer full): to be given to gst_sora_models_release(); or %NULL with a #SoraModelError. Any thread.
 */
SoraModel *gst_sora_models_acquire (const SoraModelFiles *files, GError **error);
void gst_sora_models_release (SoraModel *model);

G_END_DECLS
