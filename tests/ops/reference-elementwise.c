/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The element-wise operations, written plainly. */
#include "reference-elementwise.h"

#include <math.h>

gfloat *
sora_reference_combine (const gfloat *x, const gfloat *p, const gfloat *n, const gfloat *e, const gdouble weights[4],
    gsize count)
{
  gfloat *y = g_new (gfloat, count);

  for (gsize i = 0; i < count; i++)
    y[i] = weights[0] * x[i] + (p ? weights[1] * p[i] : 0) + (n ? weights[2] * n[i] : 0) + (e ? weights[3] * e[i] : 0);
  return y;
}

gfloat *
sora_reference_modulation (const gfloat *table, const gfloat *embedding, const guint *rows, guint layers, guint n_frames,
    guint columns)
{
  gfloat *out = g_new (gfloat, (gsize) layers * n_frames * columns), *end = out;

  for (guint layer = 0; layer < layers; layer++)
    for (guint frame = 0; frame < n_frames; frame++)
      for (guint c = 0; c < columns; c++)
        *end++ = table[(gsize) layer * columns + c] + embedding[(gsize) rows[frame] * columns + c];
  return out;
}

/* Where the value of a latent lies among the tokens. */
static gsize
token_index (SoraReferenceOrder order, guint frame, guint y, guint x, guint channel, guint height, guint width, guint channels,
    guint ph, guint pw)
{
  gsize token = ((gsize) frame * (height / ph) + y / ph) * (width / pw) + x / pw;
  guint py = y % ph, px = x % pw;

  if (order == SORA_REFERENCE_CHANNEL_FIRST)
    return ((token * channels + channel) * ph + py) * pw + px;
  return ((token * ph + py) * pw + px) * channels + channel;
}

/* Copies between latents and tokens; @back: from tokens. */
static gfloat *
rearrange (const gfloat *from, gboolean back, SoraReferenceOrder order, guint frames, guint height, guint width, guint channels,
    guint ph, guint pw)
{
  gsize n = (gsize) frames * height * width * channels;
  gfloat *to = g_new (gfloat, n);

  for (gsize i = 0; i < n; i++) {
    guint channel = i % channels, x = i / channels % width, y = i / channels / width % height;
    guint frame = i / channels / width / height;
    gsize t = token_index (order, frame, y, x, channel, height, width, channels, ph, pw);

    to[back ? i : t] = from[back ? t : i];
  }
  return to;
}

gfloat *
sora_reference_patchify (const gfloat *latents, SoraReferenceOrder order, guint frames, guint height, guint width,
    guint channels, guint ph, guint pw)
{
  return rearrange (latents, FALSE, order, frames, height, width, channels, ph, pw);
}

gfloat *
sora_reference_unpatchify (const gfloat *tokens, SoraReferenceOrder order, guint frames, guint height, guint width,
    guint channels, guint ph, guint pw)
{
  return rearrange (tokens, TRUE, order, frames, height, width, channels, ph, pw);
}

/* The mean square over channels of y - x, rows of @channels */
static gdouble
mean_square_change (const gfloat *x, const gfloat *y, guint channels)
{
  gdouble sum = 0;

  for (guint c = 0; c < channels; c++)
    sum += ((gdouble) y[c] - x[c]) * ((gdouble) y[c] - x[c]);
  return sum / channels;
}

/* How much of a pixel's change coring keeps, by the frames [height, width, channels] before and as made */
static gdouble
kept_by_coring (const gfloat *x, const gfloat *y, gint row, gint column, const SoraReferenceCoring *coring)
{
  gint height = coring->height, width = coring->width;
  gdouble sum = 0, own = 0, change;
  guint n = 0;

  for (gint i = MAX (row - 3, 0); i <= MIN (row + 3, height - 1); i++)
    for (gint j = MAX (column - 3, 0); j <= MIN (column + 3, width - 1); j++, n++) {
      gsize at = ((gsize) i * width + j) * coring->channels;
      gdouble square = mean_square_change (x + at, y + at, coring->channels);
      sum += square;
      if (i == row && j == column)
        own = square;
    }
  change = sqrt (MAX (sum / n, own / 4));
  return change > coring->threshold ? MIN (2 * (change - coring->threshold) / change, 1) : 0;
}

gfloat *
sora_reference_coring (const gfloat *before, const gfloat *latents, guint frames, const SoraReferenceCoring *coring)
{
  guint channels = coring->channels;
  gsize frame = (gsize) coring->height * coring->width * channels;
  gfloat *out = g_new (gfloat, frames * frame);

  for (guint t = 0; t < frames; t++) {
    const gfloat *x = t ? out + (t - 1) * frame : before, *y = latents + t * frame;
    for (guint row = 0; row < coring->height; row++)
      for (guint column = 0; column < coring->width; column++) {
        gdouble kept = kept_by_coring (x, y, row, column, coring);
        gsize at = ((gsize) row * coring->width + column) * channels;
        for (gsize c = at; c < at + channels; c++)
          out[t * frame + c] = x[c] + kept * ((gdouble) y[c] - x[c]);
      }
  }
  return out;
}
