/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Frames that were generated together. */
#include "stream-private.h"

SoraBlock *
sora_block_ref (SoraBlock *block)
{
  g_atomic_ref_count_inc (&block->ref_count);
  return block;
}

void
sora_block_unref (SoraBlock *block)
{
  if (!block || !g_atomic_ref_count_dec (&block->ref_count))
    return;
  g_free (block->rgb);
  g_free (block->prompt);
  g_free (block);
}

guint64
sora_block_get_index (SoraBlock *block)
{
  return block->index;
}

guint64
sora_block_get_first_frame (SoraBlock *block)
{
  return block->first_frame;
}

guint
sora_block_get_n_frames (SoraBlock *block)
{
  return block->n_frames;
}

guint
sora_block_get_width (SoraBlock *block)
{
  return block->width;
}

guint
sora_block_get_height (SoraBlock *block)
{
  return block->height;
}

const guint8 *
sora_block_get_rgb (SoraBlock *block, guint i)
{
  g_return_val_if_fail (i < block->n_frames, NULL);
  return block->rgb + (block->skipped_frames + i) * 3 * block->width * block->height;
}

gdouble
sora_block_get_seconds (SoraBlock *block)
{
  return block->seconds;
}

const gchar *
sora_block_get_prompt (SoraBlock *block)
{
  return block->prompt;
}
