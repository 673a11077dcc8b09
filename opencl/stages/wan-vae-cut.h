/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How one side of a picture is cut into overlapping tiles. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* In pixels of the map that is cut. Tiles have one size; where each begins is a multiple of the unit. */
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

/* Where tile @i's pixels begin that count, and where those that it works on do */
static inline void
sora_cut_locate (const SoraCut *cut, guint i, guint *core, guint *origin)
{
  *core = i * cut->core;
  *origin = MIN (MAX (*core, cut->context) - cut->context, cut->total - cut->size);
}

/* Of tile @i's pixels, how many count */
static inline guint
sora_cut_get_width (const SoraCut *cut, guint i)
{
  return MIN (cut->core, cut->total - i * cut->core);
}

G_END_DECLS
