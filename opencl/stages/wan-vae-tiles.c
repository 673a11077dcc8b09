/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decodes with Wan's VAE tile by tile: the first layers on the whole picture for all latents of a call, then the others tile after tile,
 * each through all of these latents, so that only one tile's past is on the device. */
#include "stages/wan-vae-cut.h"
#include "stages/wan-vae-private.h"

#include <string.h>

/* Latents that are worked on at once: what lies between the two parts of the layers is kept for so many. */
#define MAX_LATENTS 32

struct _SoraWanVaeTiles {
  const SoraVaeConfig *config;
  SoraWanVaeState *whole, *tile;        /* the first layers on all of the picture, the others on a tile */
  SoraCut columns, rows;
  guint scale;                  /* pixels of frames for one of the map that is cut */
  guint channels, frames;       /* of that map for a latent, the stream's first but */
  guint max_latents;
  guint64 n_latents;            /* of the stream; 0: without end */
  gfloat *between;              /* [max_latents, frames, rows.total, columns.total, channels] on the host; NULL until needed, as the next */
  gfloat *input;                /* [frames, rows.size, columns.size, channels] on the host */
  guint n_frames[MAX_LATENTS];  /* of each latent between */
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
  tiles->columns = columns;
  tiles->rows = rows;
  tiles->scale = scale;
  tiles->max_latents = MIN (max_latents, MAX_LATENTS);
  tiles->n_latents = n_latents;
  tiles->saved = g_new0 (gfloat *, columns.n * rows.n);
  tiles->whole = sora_wan_vae_part_new (half, 0, first, &latent, 1, FALSE, arena);
  map = *sora_wan_vae_state_get_features (tiles->whole);
  tiles->frames = sora_wan_vae_state_get_n_frames (tiles->whole);
  tiles->channels = map.channels;
  map.height = rows.size;
  map.width = columns.size;
  tiles->tile = sora_wan_vae_part_new (half, first, half->n_layers, &map, tiles->frames, FALSE, arena);
  return tiles;
}

static void
forget (SoraWanVaeTiles *tiles)
{
  for (guint i = 0; i < tiles->columns.n * tiles->rows.n; i++)
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
  g_free (tiles->between);
  g_free (tiles->input);
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
  return tiles->max_latents;
}

guint64
sora_wan_vae_tiles_get_largest (const SoraWanVaeTiles *tiles)
{
  return MAX (sora_wan_vae_state_get_largest (tiles->whole), sora_wan_vae_state_get_largest (tiles->tile));
}

/* floats of one frame of the map that is cut */
static gsize
frame_floats (const SoraWanVaeTiles *tiles)
{
  return (gsize) tiles->rows.total * tiles->columns.total * tiles->channels;
}

guint64
sora_wan_vae_tiles_get_host_size (const SoraWanVaeTiles *tiles)
{
  gboolean goes_on = tiles->n_latents == 0 || tiles->n_latents > tiles->max_latents;
  guint64 n = tiles->max_latents * tiles->frames * frame_floats (tiles);

  if (goes_on)
    n += (guint64) tiles->columns.n * tiles->rows.n * sora_wan_vae_state_get_cache_floats (tiles->tile);
  return n * sizeof (gfloat);
}

static gfloat *
between_of (SoraWanVaeTiles *tiles, guint latent)
{
  return tiles->between + latent * tiles->frames * frame_floats (tiles);
}

/* The next latent through the first layers, and to the host. FALSE: the queue has failed, and the same is to be done again */
static gboolean
pass_first_layers (SoraWanVaeTiles *tiles, SoraQueue *queue, cl_mem latents)
{
  GError *error = NULL;

  if (!tiles->is_computed)
    sora_wan_vae_decode_latent (tiles->whole, queue, latents, tiles->n_between, NULL);
  if (sora_queue_has_failed (queue))
    return FALSE;
  tiles->is_computed = TRUE;
  tiles->n_frames[tiles->n_between] = sora_wan_vae_state_get_n_frames (tiles->whole);
  if (!sora_queue_read (queue, sora_wan_vae_state_get_features (tiles->whole)->mem, 0,
          tiles->n_frames[tiles->n_between] * frame_floats (tiles) * sizeof (gfloat), between_of (tiles, tiles->n_between), &error)) {
    sora_queue_fail (queue, error);
    return FALSE;
  }
  tiles->is_computed = FALSE;
  tiles->n_between++;
  return TRUE;
}

/* A tile's part of what the first layers gave for a latent, into the input */
static void
gather (SoraWanVaeTiles *tiles, guint latent, guint top, guint left)
{
  const gfloat *source = between_of (tiles, latent) + ((gsize) top * tiles->columns.total + left) * tiles->channels;
  gsize row = (gsize) tiles->columns.size * tiles->channels, source_row = (gsize) tiles->columns.total * tiles->channels;
  gfloat *target = tiles->input;

  for (guint frame = 0; frame < tiles->n_frames[latent]; frame++)
    for (guint y = 0; y < tiles->rows.size; y++, target += row)
      memcpy (target, source + frame * frame_floats (tiles) + y * source_row, row * sizeof (gfloat));
}

/* Latent number @latent of the call through the other layers, of the tile at hand */
static void
run_tile (SoraWanVaeTiles *tiles, SoraQueue *queue, guint latent, cl_mem rgb)
{
  const SoraVaeConfig *c = tiles->config;
  const SoraCut *columns = &tiles->columns, *rows = &tiles->rows;
  guint x, left, y, top, scale = tiles->scale;
  SoraByteFrames frames = { rgb, latent * c->time_scale, c->image_channels, c->patch_size, -1 };

  sora_cut_locate (columns, tiles->n_tiles % columns->n, &x, &left);
  sora_cut_locate (rows, tiles->n_tiles / columns->n, &y, &top);
  frames.window = (SoraByteWindow) {
    .x = (x - left) * scale, .y = (y - top) * scale,
    .width = sora_cut_get_width (columns, tiles->n_tiles % columns->n) * scale,
    .height = sora_cut_get_width (rows, tiles->n_tiles / columns->n) * scale,
    .left = x * scale, .top = y * scale, .frame_width = columns->total * scale, .frame_height = rows->total * scale,
  };
  gather (tiles, latent, top, left);
  sora_wan_vae_part_run (tiles->tile, queue, tiles->input, tiles->channels, tiles->n_frames[latent], &frames);
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

static void
allocate (SoraWanVaeTiles *tiles)
{
  gsize tile = (gsize) tiles->rows.size * tiles->columns.size * tiles->channels;

  if (tiles->between != NULL)
    return;
  tiles->between = g_new (gfloat, tiles->max_latents * tiles->frames * frame_floats (tiles));
  tiles->input = g_new (gfloat, tiles->frames * tile);
}

void
sora_wan_vae_tiles_decode (SoraWanVaeTiles *tiles, SoraQueue *queue, cl_mem latents, guint n_latents, cl_mem rgb)
{
  g_return_if_fail (n_latents <= tiles->max_latents);

  allocate (tiles);
  while (tiles->n_between < n_latents)
    if (!pass_first_layers (tiles, queue, latents))
      return;
  while (tiles->n_tiles < tiles->columns.n * tiles->rows.n)
    if (!pass_tile (tiles, queue, n_latents, rgb))
      return;
  tiles->n_before += n_latents;
  begin_call (tiles);
}
