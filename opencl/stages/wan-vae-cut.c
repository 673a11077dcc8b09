/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The map between layers that work on the whole picture and layers that work on tiles: where tiles lie in it, and what is copied. */
#include "stages/wan-vae-cut.h"

#include <string.h>

void
sora_cut_map_clear (SoraCutMap *map)
{
  g_clear_pointer (&map->whole, g_free);
  g_clear_pointer (&map->tile, g_free);
  g_clear_pointer (&map->n_frames, g_free);
}

void
sora_cut_map_prepare (SoraCutMap *map)
{
  if (map->whole)
    return;
  map->whole = g_new (gfloat, map->max_latents * map->frames * sora_cut_map_whole_frame (map));
  map->tile = g_new (gfloat, map->frames * sora_cut_map_tile_frame (map));
  map->n_frames = g_new0 (guint, map->max_latents);
}

guint64
sora_cut_map_get_size (const SoraCutMap *map)
{
  return (guint64) map->max_latents * map->frames * sora_cut_map_whole_frame (map) * sizeof (gfloat);
}

guint
sora_cut_map_count_tiles (const SoraCutMap *map)
{
  return map->columns.n * map->rows.n;
}

/* Of tile @i along one side: where its pixels begin that count, and how many do; where those that it works on begin */
static void
locate (const SoraCut *cut, guint i, guint *core, guint *width, guint *origin)
{
  *core = i * cut->core;
  *width = MIN (cut->core, cut->total - *core);
  *origin = MIN (MAX (*core, cut->context) - cut->context, cut->total - cut->size);
}

SoraCutTile
sora_cut_map_find_tile (const SoraCutMap *map, guint index)
{
  SoraCutTile tile;

  locate (&map->columns, index % map->columns.n, &tile.x, &tile.width, &tile.left);
  locate (&map->rows, index / map->columns.n, &tile.y, &tile.height, &tile.top);
  return tile;
}

gsize
sora_cut_map_whole_frame (const SoraCutMap *map)
{
  return (gsize) map->rows.total * map->columns.total * map->channels;
}

gsize
sora_cut_map_tile_frame (const SoraCutMap *map)
{
  return (gsize) map->rows.size * map->columns.size * map->channels;
}

gfloat *
sora_cut_map_get_latent (const SoraCutMap *map, guint latent)
{
  return map->whole + (gsize) latent * map->frames * sora_cut_map_whole_frame (map);
}

/* Floats from the beginning of a map's frame of @columns to a pixel */
static gsize
offset (const SoraCutMap *map, guint columns, guint x, guint y)
{
  return ((gsize) y * columns + x) * map->channels;
}

void
sora_cut_map_gather (SoraCutMap *map, const SoraCutTile *tile, guint latent)
{
  const gfloat *source = sora_cut_map_get_latent (map, latent);
  gsize row = (gsize) map->columns.size * map->channels;
  gfloat *target = map->tile;

  for (guint frame = 0; frame < map->n_frames[latent]; frame++, source += sora_cut_map_whole_frame (map))
    for (guint y = 0; y < map->rows.size; y++, target += row)
      memcpy (target, source + offset (map, map->columns.total, tile->left, tile->top + y), row * sizeof (gfloat));
}

void
sora_cut_map_place (SoraCutMap *map, const SoraCutTile *tile, guint latent)
{
  const gfloat *source = map->tile;
  gfloat *target = sora_cut_map_get_latent (map, latent);
  gsize row = (gsize) tile->width * map->channels;

  for (guint frame = 0; frame < map->n_frames[latent]; frame++) {
    for (guint y = tile->y; y < tile->y + tile->height; y++)
      memcpy (target + offset (map, map->columns.total, tile->x, y),
          source + offset (map, map->columns.size, tile->x - tile->left, y - tile->top), row * sizeof (gfloat));
    source += sora_cut_map_tile_frame (map);
    target += sora_cut_map_whole_frame (map);
  }
}
