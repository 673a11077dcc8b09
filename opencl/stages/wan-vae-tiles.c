/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decodes with Wan's VAE tile by tile: the first layers on the whole picture for all latents of a call, then the others tile after tile,
 * each through all of these latents, so that only one tile's past is on the device. */
#include "stages/wan-vae-cut.h"
#include "stages/wan-vae-private.h"

/* Latents that are worked on at once: what lies between the two parts of the layers is kept for so many. */
#define MAX_LATENTS 32

struct _SoraWanVaeTiles {
  const SoraVaeConfig *config;
  SoraWanVaeState *whole, *tile;        /* the first layers on all of the picture, the others on a tile */
  SoraCutMap between;           /* what the first layers give for each latent of a call */
  guint scale;                  /* pixels of frames for one of that map */
  guint64 n_latents;            /* of the stream; 0: without end */
  gfloat **saved;               /* [tiles]: what each remembers from one call to the next; NULL: nothing */
  guint64 n_before;             /* latents of the calls before */
  /* how far the call at hand is */
  guint n_between, n_tiles;     /* latents that have passed the first layers; tiles that are done */
  gboolean is_computed;         /* one more has passed, but is still on the device */
  gboolean is_restored;         /* the tile at hand has its past */
  guint latent;                 /* its next one */
};

/* The layer before which the picture is cut: the first on the doubled picture. Attention, which sees all of it, lies before. */
static guint
find_cut (const SoraWanVaeHalf *half)
{
  guint i = 0;

  while (half->layers[i].type != SORA_WAN_UP)
    i++;
  return half->layers[i + 1].type == SORA_WAN_JOIN ? i + 2 : i + 1;
}

/* Pixels of the map before layer @first that any pixel of the frames is made of, in each direction */
static guint
count_context (const SoraWanVaeHalf *half, guint first)
{
  guint context = 0;

  for (guint i = half->n_layers; i-- > first;) {
    switch (half->layers[i].type) {
      case SORA_WAN_CAUSAL:
        context++;
        break;
      case SORA_WAN_BLOCK:
        context += 2;
        break;
      case SORA_WAN_UP:         /* a convolution after the doubling */
        context = (context + 2) / 2;
        break;
      default:                  /* pixel by pixel */
        break;
    }
  }
  return context;
}

/* Where a tile begins is even, as Winograd's patches, two pixels wide, must lie as in the whole picture to give the same numbers. */
#define UNIT 2

SoraWanVaeTiles *
sora_wan_vae_tiles_new (const SoraWanVaeHalf *half, guint height, guint width, guint max_latents, guint64 n_latents, guint size,
    SoraArena *arena)
{
  const SoraFeatureMap latent = { NULL, 0, 0, height, width, half->config->latent_channels };
  guint first = find_cut (half), context = count_context (half, first), scale = half->config->spatial_scale / 2;
  guint core = MAX (2, size / scale / 2 * 2);
  SoraCut columns = sora_cut_make (2 * width, core, context, UNIT), rows = sora_cut_make (2 * height, core, context, UNIT);
  SoraWanVaeTiles *tiles;
  SoraFeatureMap map;

  if (columns.n * rows.n == 1)
    return NULL;
  tiles = g_new0 (SoraWanVaeTiles, 1);
  tiles->config = half->config;
  tiles->scale = scale;
  tiles->n_latents = n_latents;
  tiles->saved = g_new0 (gfloat *, columns.n * rows.n);
  tiles->whole = sora_wan_vae_part_new (half, 0, first, &latent, 1, FALSE, arena);
  map = *sora_wan_vae_state_get_features (tiles->whole);
  tiles->between = (SoraCutMap) {
    .columns = columns, .rows = rows, .channels = map.channels, .frames = sora_wan_vae_state_get_n_frames (tiles->whole),
    .max_latents = MIN (max_latents, MAX_LATENTS),
  };
  map.height = rows.size;
  map.width = columns.size;
  tiles->tile = sora_wan_vae_part_new (half, first, half->n_layers, &map, tiles->between.frames, FALSE, arena);
  return tiles;
}

static void
forget (SoraWanVaeTiles *tiles)
{
  for (guint i = 0; i < sora_cut_map_count_tiles (&tiles->between); i++)
    g_clear_pointer (&tiles->saved[i], g_free);
}

void
sora_wan_vae_tiles_free (SoraWanVaeTiles *tiles)
{
  if (tiles == NULL)
    return;
  forget (tiles);
  sora_wan_vae_state_free (tiles->whole);
  sora_wan_vae_state_free (tiles->tile);
  sora_cut_map_clear (&tiles->between);
  g_free (tiles->saved);
  g_free (tiles);
}

static void
begin_call (SoraWanVaeTiles *tiles)
{
  tiles->n_between = tiles->n_tiles = tiles->latent = 0;
  tiles->is_computed = tiles->is_restored = FALSE;
}

void
sora_wan_vae_tiles_reset (SoraWanVaeTiles *tiles, SoraQueue *queue)
{
  sora_wan_vae_state_reset (tiles->whole, queue);
  forget (tiles);
  tiles->n_before = 0;
  begin_call (tiles);
}

guint
sora_wan_vae_tiles_get_chunk (const SoraWanVaeTiles *tiles)
{
  return tiles->between.max_latents;
}

guint64
sora_wan_vae_tiles_get_largest (const SoraWanVaeTiles *tiles)
{
  return MAX (sora_wan_vae_state_get_largest (tiles->whole), sora_wan_vae_state_get_largest (tiles->tile));
}

guint64
sora_wan_vae_tiles_get_host_size (const SoraWanVaeTiles *tiles)
{
  gboolean goes_on = tiles->n_latents == 0 || tiles->n_latents > tiles->between.max_latents;
  guint64 past = sora_wan_vae_state_get_cache_floats (tiles->tile) * sizeof (gfloat);

  return sora_cut_map_get_size (&tiles->between) + (goes_on ? sora_cut_map_count_tiles (&tiles->between) * past : 0);
}

/* The next latent through the first layers, and to the host. FALSE: the queue has failed, and the same is to be done again */
static gboolean
pass_first_layers (SoraWanVaeTiles *tiles, SoraQueue *queue, cl_mem latents)
{
  SoraCutMap *between = &tiles->between;
  guint n_frames;
  GError *error = NULL;

  if (!tiles->is_computed)
    sora_wan_vae_decode_latent (tiles->whole, queue, latents, tiles->n_between, NULL);
  if (sora_queue_has_failed (queue))
    return FALSE;
  tiles->is_computed = TRUE;
  n_frames = between->n_frames[tiles->n_between] = sora_wan_vae_state_get_n_frames (tiles->whole);
  if (!sora_queue_read (queue, sora_wan_vae_state_get_features (tiles->whole)->mem, 0,
          n_frames * sora_cut_map_whole_frame (between) * sizeof (gfloat), sora_cut_map_get_latent (between, tiles->n_between), &error)) {
    sora_queue_fail (queue, error);
    return FALSE;
  }
  tiles->is_computed = FALSE;
  tiles->n_between++;
  return TRUE;
}

/* Latent number @latent of the call through the other layers, of the tile at hand */
static void
run_tile (SoraWanVaeTiles *tiles, SoraQueue *queue, guint latent, cl_mem rgb)
{
  const SoraVaeConfig *c = tiles->config;
  SoraCutMap *between = &tiles->between;
  SoraCutTile tile = sora_cut_map_find_tile (between, tiles->n_tiles);
  guint scale = tiles->scale;
  SoraByteFrames frames = { rgb, latent * c->time_scale, c->image_channels, c->patch_size, -1 };

  frames.window = (SoraByteWindow) {
    .x = (tile.x - tile.left) * scale, .y = (tile.y - tile.top) * scale, .width = tile.width * scale, .height = tile.height * scale,
    .left = tile.x * scale, .top = tile.y * scale,
    .frame_width = between->columns.total * scale, .frame_height = between->rows.total * scale,
  };
  sora_cut_map_gather (between, &tile, latent);
  sora_wan_vae_part_run (tiles->tile, queue, between->tile, between->channels, between->n_frames[latent], &frames);
}

/* Keeps what the tile at hand remembers, unless the stream ends with this call's @n_latents. */
static gboolean
save_tile (SoraWanVaeTiles *tiles, SoraQueue *queue, guint n_latents)
{
  gfloat **saved = &tiles->saved[tiles->n_tiles];

  if (tiles->n_latents > 0 && tiles->n_before + n_latents >= tiles->n_latents)
    return TRUE;
  if (*saved == NULL)
    *saved = g_new (gfloat, sora_wan_vae_state_get_cache_floats (tiles->tile));
  return sora_wan_vae_state_save (tiles->tile, queue, *saved);
}

/* FALSE: the queue has failed, and the same is to be done again, from where it was */
static gboolean
pass_tile (SoraWanVaeTiles *tiles, SoraQueue *queue, guint n_latents, cl_mem rgb)
{
  if (!tiles->is_restored)
    sora_wan_vae_state_restore (tiles->tile, queue, tiles->n_before > 0 ? tiles->saved[tiles->n_tiles] : NULL);
  if (sora_queue_has_failed (queue))
    return FALSE;
  tiles->is_restored = TRUE;
  for (; tiles->latent < n_latents; tiles->latent++) {
    run_tile (tiles, queue, tiles->latent, rgb);
    if (sora_queue_has_failed (queue))
      return FALSE;
  }
  if (!save_tile (tiles, queue, n_latents))
    return FALSE;
  tiles->n_tiles++;
  tiles->latent = 0;
  tiles->is_restored = FALSE;
  return TRUE;
}

void
sora_wan_vae_tiles_decode (SoraWanVaeTiles *tiles, SoraQueue *queue, cl_mem latents, guint n_latents, cl_mem rgb)
{
  g_return_if_fail (n_latents <= tiles->between.max_latents);

  sora_cut_map_prepare (&tiles->between);
  while (tiles->n_between < n_latents)
    if (!pass_first_layers (tiles, queue, latents))
      return;
  while (tiles->n_tiles < sora_cut_map_count_tiles (&tiles->between))
    if (!pass_tile (tiles, queue, n_latents, rgb))
      return;
  tiles->n_before += n_latents;
  begin_call (tiles);
}
