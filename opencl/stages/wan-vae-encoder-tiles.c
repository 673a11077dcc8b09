/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Encodes with Wan's VAE tile by tile: the layers down to the size of latents tile after tile, each through all latents of the video, so that only one
 * tile's past is on the device; then the others, which take little, on the whole picture. */
#include "stages/wan-vae-cut.h"
#include "stages/wan-vae-private.h"

#include <string.h>

struct _SoraWanVaeEncoderTiles {
  const SoraVaeConfig *config;
  SoraWanVaeState *tile, *whole;        /* the first layers on a tile, the others on all of the picture */
  SoraCut columns, rows;        /* of the map between the two, which is as large as latents are */
  guint channels, frames;       /* of that map for a latent, the stream's first but */
  guint n_latents;              /* of the video, at most */
  gfloat *between;              /* [n_latents, frames, rows.total, columns.total, channels] on the host; NULL until needed, as the next */
  gfloat *output;               /* [frames, rows.size, columns.size, channels] on the host */
  guint *n_frames;              /* [n_latents]: of each latent between */
};

/* The layer before which the map is whole again: the first one behind the last change of size, and not within a shortcut. Attention, which sees all
 * of the picture, lies behind. */
static guint
find_cut (const SoraWanVaeHalf *half)
{
  guint i = half->n_layers - 1;

  while (half->layers[i].type != SORA_WAN_DOWN)
    i--;
  return half->layers[i + 1].type == SORA_WAN_JOIN ? i + 2 : i + 1;
}

/* Pixels of the picture that any pixel before layer @end is made of, in each direction; what makes it half as large looks at two more, of which
 * one is its own. */
static guint
count_context (const SoraWanVaeHalf *half, guint end)
{
  guint context = 0;

  for (guint i = end; i-- > 0;) {
    switch (half->layers[i].type) {
      case SORA_WAN_CAUSAL:
        context++;
        break;
      case SORA_WAN_BLOCK:
        context += 2;
        break;
      case SORA_WAN_DOWN:
        context = 2 * context + 2;
        break;
      default:                  /* pixel by pixel */
        break;
    }
  }
  return context;
}

SoraWanVaeEncoderTiles *
sora_wan_vae_encoder_tiles_new (const SoraWanVaeHalf *half, guint height, guint width, guint n_latents, gboolean is_still, guint size,
    SoraArena *arena)
{
  const SoraVaeConfig *c = half->config;
  guint end = find_cut (half), scale = c->spatial_scale / c->patch_size, context = (count_context (half, end) + scale - 1) / scale;
  guint core = MAX (1, size / c->spatial_scale), frames = is_still ? 1 : c->time_scale;
  SoraCut columns = sora_cut_make (width, core, context, 1), rows = sora_cut_make (height, core, context, 1);
  SoraFeatureMap picture = { NULL, 0, 0, rows.size * scale, columns.size * scale, c->image_channels * c->patch_size * c->patch_size };
  SoraWanVaeEncoderTiles *tiles;
  SoraFeatureMap map;

  if (columns.n * rows.n == 1)
    return NULL;
  tiles = g_new0 (SoraWanVaeEncoderTiles, 1);
  tiles->config = c;
  tiles->columns = columns;
  tiles->rows = rows;
  tiles->n_latents = n_latents;
  tiles->n_frames = g_new0 (guint, n_latents);
  tiles->tile = sora_wan_vae_part_new (half, 0, end, &picture, frames, is_still, arena);
  map = *sora_wan_vae_state_get_features (tiles->tile);
  tiles->frames = sora_wan_vae_state_get_n_frames (tiles->tile);
  tiles->channels = map.channels;
  map.height = height;
  map.width = width;
  tiles->whole = sora_wan_vae_part_new (half, end, half->n_layers, &map, tiles->frames, is_still, arena);
  return tiles;
}

void
sora_wan_vae_encoder_tiles_free (SoraWanVaeEncoderTiles *tiles)
{
  if (tiles == NULL)
    return;
  sora_wan_vae_state_free (tiles->tile);
  sora_wan_vae_state_free (tiles->whole);
  g_free (tiles->between);
  g_free (tiles->output);
  g_free (tiles->n_frames);
  g_free (tiles);
}

guint64
sora_wan_vae_encoder_tiles_get_largest (const SoraWanVaeEncoderTiles *tiles)
{
  return MAX (sora_wan_vae_state_get_largest (tiles->whole), sora_wan_vae_state_get_largest (tiles->tile));
}

/* floats of one frame of the map that is cut */
static gsize
frame_floats (const SoraWanVaeEncoderTiles *tiles)
{
  return (gsize) tiles->rows.total * tiles->columns.total * tiles->channels;
}

guint64
sora_wan_vae_encoder_tiles_get_host_size (const SoraWanVaeEncoderTiles *tiles)
{
  return tiles->n_latents * tiles->frames * frame_floats (tiles) * sizeof (gfloat);
}

static void
allocate (SoraWanVaeEncoderTiles *tiles)
{
  if (tiles->between != NULL)
    return;
  tiles->between = g_new (gfloat, tiles->n_latents * tiles->frames * frame_floats (tiles));
  tiles->output = g_new (gfloat, (gsize) tiles->frames * tiles->rows.size * tiles->columns.size * tiles->channels);
}

/* The part of a tile's output that counts, to where the others go on */
static void
place (SoraWanVaeEncoderTiles *tiles, guint column, guint row, guint latent)
{
  const SoraCut *columns = &tiles->columns, *rows = &tiles->rows;
  guint x, left, y, top, width = sora_cut_get_width (columns, column), height = sora_cut_get_width (rows, row);

  sora_cut_locate (columns, column, &x, &left);
  sora_cut_locate (rows, row, &y, &top);
  for (guint frame = 0; frame < tiles->n_frames[latent]; frame++) {
    gfloat *target = tiles->between + (latent * tiles->frames + frame) * frame_floats (tiles);

    for (guint i = 0; i < height; i++)
      memcpy (target + ((gsize) (y + i) * columns->total + x) * tiles->channels,
          tiles->output + (((gsize) frame * rows->size + y - top + i) * columns->size + x - left) * tiles->channels,
          (gsize) width * tiles->channels * sizeof (gfloat));
  }
}

/* One latent's frames through the first layers, of one tile. FALSE: the queue has failed */
static gboolean
encode_tile (SoraWanVaeEncoderTiles *tiles, SoraQueue *queue, guint column, guint row, guint latent, cl_mem rgb, guint n_grey)
{
  const SoraVaeConfig *c = tiles->config;
  guint x, left, y, top, scale = c->spatial_scale;
  SoraByteFrames frames = { rgb, 0, c->image_channels, c->patch_size, -1 };
  GError *error = NULL;

  sora_cut_locate (&tiles->columns, column, &x, &left);
  sora_cut_locate (&tiles->rows, row, &y, &top);
  frames.window = (SoraByteWindow) {
    .width = tiles->columns.size * scale, .height = tiles->rows.size * scale, .left = left * scale, .top = top * scale,
    .frame_width = tiles->columns.total * scale, .frame_height = tiles->rows.total * scale,
  };
  sora_wan_vae_part_encode (tiles->tile, queue, &frames, n_grey);
  if (sora_queue_has_failed (queue))
    return FALSE;
  tiles->n_frames[latent] = sora_wan_vae_state_get_n_frames (tiles->tile);
  if (!sora_queue_read (queue, sora_wan_vae_state_get_features (tiles->tile)->mem, 0,
          (gsize) tiles->n_frames[latent] * tiles->rows.size * tiles->columns.size * tiles->channels * sizeof (gfloat), tiles->output, &error))
    sora_queue_fail (queue, error);
  place (tiles, column, row, latent);
  return !sora_queue_has_failed (queue);
}

/* What lies between for a latent through the other layers */
static void
encode_whole (SoraWanVaeEncoderTiles *tiles, SoraQueue *queue, guint latent, cl_mem result)
{
  const SoraByteFrames nowhere = { NULL };
  const SoraFeatureMap *features;

  sora_wan_vae_part_run (tiles->whole, queue, tiles->between + latent * tiles->frames * frame_floats (tiles), tiles->channels,
      tiles->n_frames[latent], &nowhere);
  features = sora_wan_vae_state_get_features (tiles->whole);
  sora_queue_copy (queue, features->mem, 0, result, 0, sora_feature_map_frame (features) * sizeof (gfloat));
}

void
sora_wan_vae_encoder_tiles_run (SoraWanVaeEncoderTiles *tiles, SoraQueue *queue, const SoraVaeVideo *video)
{
  g_return_if_fail (video->n_latents <= tiles->n_latents);

  allocate (tiles);
  for (guint tile = 0; tile < tiles->columns.n * tiles->rows.n; tile++) {
    sora_wan_vae_state_reset (tiles->tile, queue);
    for (guint i = 0; i < video->n_latents; i++) {
      guint n_grey = video->source (i, video->user_data);
      if (!encode_tile (tiles, queue, tile % tiles->columns.n, tile / tiles->columns.n, i, video->rgb, n_grey))
        return;
    }
  }
  sora_wan_vae_state_reset (tiles->whole, queue);
  for (guint i = 0; i < video->n_latents && !sora_queue_has_failed (queue); i++) {
    encode_whole (tiles, queue, i, video->latent);
    video->sink (i, video->user_data);
  }
}
