/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Encodes with Wan's VAE tile by tile: the layers down to the size of latents tile after tile, each through all latents of the video, so that only one
 * tile's past is on the device; then the others, which take little, on the whole picture. */
#include "stages/wan-vae-cut.h"
#include "stages/wan-vae-private.h"

struct _SoraWanVaeEncoderTiles {
  const SoraVaeConfig *config;
  SoraWanVaeState *tile, *whole;        /* the first layers on a tile, the others on all of the picture */
  SoraCutMap between;           /* what the first give for each latent of the video; as large as latents are */
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
  tiles->tile = sora_wan_vae_part_new (half, 0, end, &picture, frames, is_still, arena);
  map = *sora_wan_vae_state_get_features (tiles->tile);
  tiles->between = (SoraCutMap) {
    .columns = columns, .rows = rows, .channels = map.channels, .frames = sora_wan_vae_state_get_n_frames (tiles->tile), .max_latents = n_latents,
  };
  map.height = height;
  map.width = width;
  tiles->whole = sora_wan_vae_part_new (half, end, half->n_layers, &map, tiles->between.frames, is_still, arena);
  return tiles;
}

void
sora_wan_vae_encoder_tiles_free (SoraWanVaeEncoderTiles *tiles)
{
  if (tiles == NULL)
    return;
  sora_wan_vae_state_free (tiles->tile);
  sora_wan_vae_state_free (tiles->whole);
  sora_cut_map_clear (&tiles->between);
  g_free (tiles);
}

guint64
sora_wan_vae_encoder_tiles_get_largest (const SoraWanVaeEncoderTiles *tiles)
{
  return MAX (sora_wan_vae_state_get_largest (tiles->whole), sora_wan_vae_state_get_largest (tiles->tile));
}

guint64
sora_wan_vae_encoder_tiles_get_host_size (const SoraWanVaeEncoderTiles *tiles)
{
  return sora_cut_map_get_size (&tiles->between);
}

/* One latent's frames through the first layers, of one tile. FALSE: the queue has failed */
static gboolean
encode_tile (SoraWanVaeEncoderTiles *tiles, SoraQueue *queue, guint index, guint latent, cl_mem rgb, guint n_grey)
{
  const SoraVaeConfig *c = tiles->config;
  SoraCutMap *between = &tiles->between;
  SoraCutTile tile = sora_cut_map_find_tile (between, index);
  guint scale = c->spatial_scale, n_frames;
  SoraByteFrames frames = { rgb, 0, c->image_channels, c->patch_size, -1 };
  GError *error = NULL;

  frames.window = (SoraByteWindow) {
    .width = between->columns.size * scale, .height = between->rows.size * scale, .left = tile.left * scale, .top = tile.top * scale,
    .frame_width = between->columns.total * scale, .frame_height = between->rows.total * scale,
  };
  sora_wan_vae_part_encode (tiles->tile, queue, &frames, n_grey);
  if (sora_queue_has_failed (queue))
    return FALSE;
  n_frames = between->n_frames[latent] = sora_wan_vae_state_get_n_frames (tiles->tile);
  if (!sora_queue_read (queue, sora_wan_vae_state_get_features (tiles->tile)->mem, 0,
          n_frames * sora_cut_map_tile_frame (between) * sizeof (gfloat), between->tile, &error)) {
    sora_queue_fail (queue, error);
    return FALSE;
  }
  sora_cut_map_place (between, &tile, latent);
  return TRUE;
}

/* What lies between for a latent through the other layers */
static void
encode_whole (SoraWanVaeEncoderTiles *tiles, SoraQueue *queue, guint latent, cl_mem result)
{
  const SoraByteFrames nowhere = { NULL };
  const SoraCutMap *between = &tiles->between;
  const SoraFeatureMap *features;

  sora_wan_vae_part_run (tiles->whole, queue, sora_cut_map_get_latent (between, latent), between->channels, between->n_frames[latent], &nowhere);
  features = sora_wan_vae_state_get_features (tiles->whole);
  sora_queue_copy (queue, features->mem, 0, result, 0, sora_feature_map_frame (features) * sizeof (gfloat));
}

void
sora_wan_vae_encoder_tiles_run (SoraWanVaeEncoderTiles *tiles, SoraQueue *queue, const SoraVaeVideo *video)
{
  g_return_if_fail (video->n_latents <= tiles->between.max_latents);

  sora_cut_map_prepare (&tiles->between);
  for (guint tile = 0; tile < sora_cut_map_count_tiles (&tiles->between); tile++) {
    sora_wan_vae_state_reset (tiles->tile, queue);
    for (guint i = 0; i < video->n_latents; i++) {
      guint n_grey = video->source (i, video->user_data);
      if (!encode_tile (tiles, queue, tile, i, video->rgb, n_grey))
        return;
    }
  }
  sora_wan_vae_state_reset (tiles->whole, queue);
  for (guint i = 0; i < video->n_latents && !sora_queue_has_failed (queue); i++) {
    encode_whole (tiles, queue, i, video->latent);
    video->sink (i, video->user_data);
  }
}
