/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Philox against the known answers of its authors, and the noise made of it: distribution, independence, prefixes. */

#include <math.h>
#include <string.h>

#include "stages/noise.h"

/* philox4x32 with 10 rounds, from kat_vectors of the authors' library Random123 */
static const struct {
  guint32 counter[4], key[2], expected[4];
} known[] = {
  { { 0, 0, 0, 0 }, { 0, 0 }, { 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8 } },
  { { 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff }, { 0xffffffff, 0xffffffff }, { 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd } },
  { { 0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344 }, { 0xa4093822, 0x299f31d0 }, { 0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1 } },
};

static void
test_known (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (known); i++) {
    guint32 out[4];
    sora_philox (known[i].counter, known[i].key, out);
    g_assert_cmpmem (out, sizeof (out), known[i].expected, sizeof (out));
  }
}

/* The first words for counter 0 and key 0, through Box-Muller by hand in double precision. */
static void
test_box_muller (void)
{
  gdouble u = (0x6627e8d5 + 0.5) / 4294967296.0, v = (0xe169c58d + 0.5) / 4294967296.0;
  gfloat out[2];

  sora_noise_fill (0, 0, 0, 2, out);
  g_assert_cmpfloat_with_epsilon (out[0], sqrt (-2 * log (u)) * cos (2 * G_PI * v), 1e-6);
  g_assert_cmpfloat_with_epsilon (out[1], sqrt (-2 * log (u)) * sin (2 * G_PI * v), 1e-6);
}

#define N 400000

/* Each bound is 5 standard errors of the statistic of N standard normal numbers: mean 1/sqrt(N), variance sqrt(2/N), third moment
 * sqrt(15/N), fourth moment sqrt(96/N), lag-1 correlation 1/sqrt(N). */
static void
test_distribution (void)
{
  g_autofree gfloat *x = g_new (gfloat, N);
  gdouble m1 = 0, m2 = 0, m3 = 0, m4 = 0, lag = 0;

  sora_noise_fill (42, 7, 1, N, x);
  for (guint i = 0; i < N; i++) {
    g_assert_true (isfinite (x[i]));
    m1 += x[i] / (gdouble) N;
    m2 += pow (x[i], 2) / N;
    m3 += pow (x[i], 3) / N;
    m4 += pow (x[i], 4) / N;
    lag += i > 0 ? (gdouble) x[i] * x[i - 1] / N : 0;
  }
  g_assert_cmpfloat (fabs (m1), <, 5 / sqrt (N));
  g_assert_cmpfloat (fabs (m2 - 1), <, 5 * sqrt (2.0 / N));
  g_assert_cmpfloat (fabs (m3), <, 5 * sqrt (15.0 / N));
  g_assert_cmpfloat (fabs (m4 - 3), <, 5 * sqrt (96.0 / N));
  g_assert_cmpfloat (fabs (lag), <, 5 / sqrt (N));
}

static gdouble
correlation (const gfloat *a, const gfloat *b, guint n)
{
  gdouble ab = 0, aa = 0, bb = 0;
  for (guint i = 0; i < n; i++) {
    ab += (gdouble) a[i] * b[i];
    aa += (gdouble) a[i] * a[i];
    bb += (gdouble) b[i] * b[i];
  }
  return ab / sqrt (aa * bb);
}

/* Seeds, blocks and purposes that differ in any bit give noise that is unrelated: correlation within 5 / sqrt (n). */
static void
test_independence (void)
{
  static const struct {
    guint64 seed, block;
    guint32 purpose;
  } others[] = { { 1, 0, 0 }, { G_GUINT64_CONSTANT (1) << 32, 0, 0 }, { 0, 1, 0 }, { 0, G_GUINT64_CONSTANT (1) << 32, 0 }, { 0, 0, 1 },
    { 0, 0, G_MAXUINT32 } };
  const guint n = 20000;
  g_autofree gfloat *a = g_new (gfloat, n), *b = g_new (gfloat, n);

  sora_noise_fill (0, 0, 0, n, a);
  for (guint i = 0; i < G_N_ELEMENTS (others); i++) {
    sora_noise_fill (others[i].seed, others[i].block, others[i].purpose, n, b);
    g_assert_cmpfloat (fabs (correlation (a, b, n)), <, 5 / sqrt (n));
  }
}

/* A shorter request is the beginning of a longer one, and nothing is written after it. */
static void
test_prefix (void)
{
  gfloat longer[13], shorter[13];

  sora_noise_fill (5, 6, 7, 13, longer);
  for (guint n = 0; n <= 12; n++) {
    shorter[n] = 99;
    sora_noise_fill (5, 6, 7, n, shorter);
    g_assert_cmpmem (shorter, n * sizeof (gfloat), longer, n * sizeof (gfloat));
    g_assert_cmpfloat (shorter[n], ==, 99);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/noise/known-answers", test_known);
  g_test_add_func ("/noise/box-muller", test_box_muller);
  g_test_add_func ("/noise/distribution", test_distribution);
  g_test_add_func ("/noise/independence", test_independence);
  g_test_add_func ("/noise/prefix", test_prefix);
  return g_test_run ();
}
