/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011) and Box-Muller. */

#include "stages/noise.h"

#include <math.h>

#define ROUNDS 10

/* Multipliers and Weyl increments of the paper, section 3.3. */
#define MULTIPLIER_0 0xD2511F53u
#define MULTIPLIER_1 0xCD9E8D57u
#define INCREMENT_0 0x9E3779B9u
#define INCREMENT_1 0xBB67AE85u

void
sora_philox (const guint32 counter[4], const guint32 key[2], guint32 out[4])
{
  guint32 x0 = counter[0], x1 = counter[1], x2 = counter[2], x3 = counter[3], k0 = key[0], k1 = key[1];

  for (guint i = 0; i < ROUNDS; i++) {
    guint64 p0 = (guint64) MULTIPLIER_0 * x0, p1 = (guint64) MULTIPLIER_1 * x2;
    x0 = (guint32) (p1 >> 32) ^ x1 ^ k0;
    x1 = (guint32) p1;
    x2 = (guint32) (p0 >> 32) ^ x3 ^ k1;
    x3 = (guint32) p0;
    k0 += INCREMENT_0;
    k1 += INCREMENT_1;
  }
  out[0] = x0;
  out[1] = x1;
  out[2] = x2;
  out[3] = x3;
}

/* Two independent normal numbers from two words; both uniforms lie strictly between 0 and 1. */
static void
box_muller (guint32 a, guint32 b, gfloat out[2])
{
  gdouble radius = sqrt (-2.0 * log ((a + 0.5) * 0x1p-32));
  gdouble angle = 2.0 * G_PI * ((b + 0.5) * 0x1p-32);

  out[0] = (gfloat) (radius * cos (angle));
  out[1] = (gfloat) (radius * sin (angle));
}

/* Key: the seed. Counter: which four floats (32 bits, so 2^34 floats a sequence), purpose, block. */
void
sora_noise_fill (guint64 seed, guint64 block, guint32 purpose, gsize n, gfloat *out)
{
  const guint32 key[2] = { (guint32) seed, (guint32) (seed >> 32) };
  guint32 counter[4] = { 0, purpose, (guint32) block, (guint32) (block >> 32) };

  for (gsize i = 0; i < n; i += 4) {
    guint32 words[4];
    gfloat normal[4];
    counter[0] = (guint32) (i / 4);
    sora_philox (counter, key, words);
    box_muller (words[0], words[1], normal);
    box_muller (words[2], words[3], normal + 2);
    for (gsize j = 0; j < MIN (n - i, 4); j++)
      out[i + j] = normal[j];
  }
}
