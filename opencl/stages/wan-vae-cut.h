/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How a picture is cut into overlapping tiles, and the map between whole and cut layers, which is kept on the host. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* One side of the picture, in pixels of the map that is cut. Tiles have one size; where each begins is a multiple of the unit. */
typedef struct {
  guint n, total;               /* tiles; pixels of the whole */
  guint core, size;             /* pixels that a tile gives, the last one perhaps fewer, and that it works on */
  guint context;                /* pixels around those that it gives, at least, where the picture goes on */
} SoraCut;

/* @total, @core: multiples of @unit; @core is the most that a tile gives */
static inline SoraCut
sora_cut_make (guint total, guint core, guint context, guint unit)
{
  SoraCut cut = { .total = total, .context = (context + unit - 1) / unit * unit };
  guint n = (total + core - 1) / core;

  cut.core = ((total + n - 1) / n + unit - 1) / unit * unit;
  cut.n = (total + cut.core - 1) / cut.core;
  cut.size = MIN (total, cut.core + 2 * cut.context);
  return cut;
}

/* The map of all latents of a call */
typedef struct {
  SoraCut columns, rows;
  guint channels, frames;       /* of a pixel; of a latent, the stream's first but */
  guint max_latents;
  gfloat *whole;                /* [max_latents, frames, rows.total, columns.total, channels]; NULL until needed, as the next two */
  gfloat *tile;                 /* [frames, rows.size, columns.size, channels]: the one at hand */
  guint *n_frames;              /* [max_latents]: of each latent that is there */
} SoraCutMap;

/* A tile's pixels */
typedef struct {
  guint x, y, width, height;    /* those that count */
  guint left, top;              /* where those that it works on begin */
} SoraCutTile;

void sora_cut_map_clear (SoraCutMap *map);
/* Allocates what is not there. */
void sora_cut_map_prepare (SoraCutMap *map);
/* Host bytes of the whole */
guint64 sora_cut_map_get_size (const SoraCutMap *map);

guint sora_cut_map_count_tiles (const SoraCutMap *map);
/* Tiles are numbered row after row. */
SoraCutTile sora_cut_map_find_tile (const SoraCutMap *map, guint index);

/* Floats of one frame of the whole, and of the tile */
gsize sora_cut_map_whole_frame (const SoraCutMap *map);
gsize sora_cut_map_tile_frame (const SoraCutMap *map);
/* Frames of @latent of the whole */
gfloat *sora_cut_map_get_latent (const SoraCutMap *map, guint latent);
/* Copies all that @tile works on from @latent of the whole; and what counts of it to there. */
void sora_cut_map_gather (SoraCutMap *map, const SoraCutTile *tile, guint latent);
void sora_cut_map_place (SoraCutMap *map, const SoraCutTile *tile, guint latent);

G_END_DECLS
