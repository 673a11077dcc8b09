/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Convolution, tanh clamp, pixel shuffle and shortcuts against plain C over a table of shapes, odd sizes, strides and up-samplings. */
#include <math.h>

#include "ops/pixel-shuffle.h"
#include "ops/shortcut.h"
#include "ops/tanh-clamp.h"
#include "reference-convolution.h"
#include "runtime/matrix-unit.h"
#include "test-support.h"
#include "weights/half.h"

/* The reference sums in double; ours in float, one product after the other, over up to 4608 products of values in [-1, 1). Rounding errors grow as the
 * square root of their number (68 · 6e-8 = 4e-6 of the rms), and the maximum over 1e5 outputs is some five times that. Summed up-sampling
 * weights, Winograd's sums of inputs and another order of adding stay within it; a wrong tap or channel errs by 1e-2 at least. */
#define TOLERANCE 4e-5

/* Between bf16 and the portable kernel, which rounds no operand: each of the two of a product errs by 2^-9 at most, by 1e-3 in the rms, and so does
 * a sum of such, of its own rms; the maximum over 1e5 outputs is some five times that. Seen: 0.015. */
#define PORTABLE_TOLERANCE 0.03

typedef struct {
  SoraConvolutionShape shape;
  guint frames, height, width;
  gboolean bias, residual, relu;
} Case;

/*     in   out  kernel   stride  scale   frames h w   bias, residual, relu */
static const Case cases[] = {
  { { 3, 5, 1, 3, 3, 1, 1, 1, 1 }, 1, 4, 5, TRUE, FALSE, FALSE },
  { { 1, 1, 1, 3, 3, 1, 1, 1, 1 }, 1, 1, 1, FALSE, FALSE, TRUE },
  { { 4, 48, 2, 3, 3, 1, 1, 1, 1 }, 2, 3, 3, TRUE, FALSE, TRUE },
  { { 5, 17, 1, 3, 3, 1, 1, 1, 1 }, 2, 3, 7, TRUE, TRUE, TRUE },
  { { 3, 7, 1, 3, 3, 1, 1, 2, 2 }, 1, 3, 2, FALSE, FALSE, FALSE },
  { { 4, 9, 2, 3, 3, 2, 2, 1, 1 }, 4, 4, 6, FALSE, FALSE, FALSE },
  { { 6, 8, 1, 1, 1, 1, 1, 1, 2 }, 2, 2, 3, FALSE, FALSE, FALSE },
  { { 3, 4, 3, 3, 3, 1, 1, 1, 1 }, 3, 3, 4, TRUE, FALSE, FALSE },
  { { 3, 5, 1, 3, 3, 2, 1, 1, 1, 1 }, 2, 4, 6, TRUE, FALSE, FALSE },
  { { 4, 7, 3, 1, 1, 1, 1, 1, 2 }, 2, 2, 3, TRUE, FALSE, FALSE },
  { { 16, 33, 2, 3, 3, 1, 1, 1, 1 }, 1, 3, 3, TRUE, TRUE, TRUE },
  /* from here on too much for an interpreter */
  { { 192, 192, 2, 3, 3, 1, 1, 1, 1 }, 2, 3, 8, TRUE, FALSE, TRUE },
  { { 96, 96, 1, 3, 3, 1, 1, 1, 1 }, 2, 7, 13, TRUE, TRUE, TRUE },
  { { 192, 96, 1, 3, 3, 1, 1, 2, 2 }, 1, 5, 3, FALSE, FALSE, FALSE },
  { { 96, 48, 1, 3, 3, 1, 1, 2, 2 }, 2, 8, 8, FALSE, FALSE, TRUE },
  { { 48, 48, 1, 3, 3, 1, 1, 2, 1 }, 3, 5, 6, FALSE, FALSE, TRUE },
  { { 64, 64, 2, 3, 3, 1, 1, 1, 1 }, 3, 11, 9, TRUE, FALSE, TRUE },
  { { 64, 3, 1, 3, 3, 1, 1, 1, 1 }, 2, 17, 19, TRUE, FALSE, FALSE },
  { { 64, 16, 1, 3, 3, 1, 1, 1, 1 }, 1, 12, 10, TRUE, FALSE, FALSE },
  { { 64, 96, 2, 3, 3, 2, 2, 1, 1 }, 6, 10, 14, FALSE, FALSE, FALSE },
  { { 33, 130, 1, 3, 3, 2, 1, 1, 1 }, 2, 9, 11, TRUE, FALSE, TRUE },
  { { 40, 50, 1, 1, 1, 1, 1, 1, 1 }, 2, 9, 11, TRUE, TRUE, FALSE },
  { { 20, 30, 1, 1, 3, 1, 1, 1, 1 }, 1, 5, 6, TRUE, FALSE, FALSE },
  { { 20, 30, 1, 3, 1, 1, 1, 2, 1 }, 1, 5, 6, TRUE, FALSE, FALSE },
  { { 96, 96, 3, 3, 3, 1, 1, 1, 1 }, 4, 6, 6, TRUE, FALSE, FALSE },
  { { 32, 32, 3, 1, 1, 1, 2, 1, 1 }, 4, 5, 5, TRUE, FALSE, FALSE },
  { { 256, 256, 2, 3, 3, 1, 1, 1, 1 }, 1, 3, 4, TRUE, FALSE, TRUE },
  { { 48, 40, 1, 3, 3, 2, 1, 1, 1, 1 }, 2, 8, 10, TRUE, FALSE, FALSE },
  { { 40, 50, 3, 1, 1, 1, 1, 1, 2 }, 2, 5, 7, TRUE, FALSE, FALSE },
};

/* [past + frames, height, width, channels] placed inside a border of zeros, on the device; @map's mem is set */
static void
upload_map (SoraQueue *queue, SoraFeatureMap *map, guint frames, const gfloat *plain)
{
  gsize n = sora_feature_map_floats (map, frames), row = map->width * map->channels;
  g_autofree gfloat *bordered = g_new0 (gfloat, n);

  for (guint r = 0; r < (map->past + frames) * map->height; r++)
    memcpy (bordered + r / map->height * sora_feature_map_frame (map)
        + (r % map->height + map->border) * sora_feature_map_row (map) + map->border * map->channels,
        plain + r * row, row * sizeof (gfloat));
  map->mem = sora_test_upload (queue, bordered, n);
}

/* (transfer full): what lies inside the border, past frames left out; the border must still be zero */
static gfloat *
download_map (SoraQueue *queue, const SoraFeatureMap *map, guint frames)
{
  gsize n = sora_feature_map_floats (map, frames), at = 0;
  g_autofree gfloat *bordered = sora_test_download (queue, map->mem, n);
  gfloat *plain = g_new (gfloat, (gsize) frames * map->height * map->width * map->channels);

  for (guint f = 0; f < map->past + frames; f++)
    for (guint y = 0; y < map->height + 2 * map->border; y++)
      for (guint x = 0; x < map->width + 2 * map->border; x++)
        for (guint c = 0; c < map->channels; c++) {
          gfloat value = bordered[f * sora_feature_map_frame (map) + y * sora_feature_map_row (map) + x * map->channels + c];

          if (f >= map->past && y - map->border < map->height && x - map->border < map->width)
            plain[at++] = value;
          else
            g_assert_cmpfloat (value, ==, 0);
        }
  return plain;
}

/* (transfer full): @n floats, rounded as bf16 has them */
static gfloat *
round_to_bf16 (const gfloat *values, gsize n)
{
  gfloat *rounded = g_new (gfloat, n);

  for (gsize i = 0; i < n; i++) {
    guint32 bits = (guint32) sora_bf16_from_float (values[i]) << 16;
    memcpy (&rounded[i], &bits, sizeof bits);
  }
  return rounded;
}

/* In bf16 the reference has the rounded operands: inputs always; weights, which the test rounds, too, as what up-sampling makes of them is not
 * rounded once more. So its sums are the device's but for rounding in fp32. */
static void
run_case (SoraQueue *queue, const Case *c, guint number, SoraConvolutionPrecision precision)
{
  const SoraConvolutionShape *s = &c->shape;
  guint past = s->kernel_time - s->time_stride, out_frames = c->frames / s->time_stride * s->time_scale;
  SoraFeatureMap x = { NULL, past, 1, c->height, c->width, s->in_channels };
  SoraFeatureMap y = { NULL, number % 2, number % 3, (c->height * s->scale + s->stride - 1) / s->stride,
    (c->width * s->scale + s->stride - 1) / s->stride, s->out_channels };
  SoraConvolutionEpilogue epilogue = { c->relu, { NULL, 1, 1, y.height, y.width, s->out_channels } };
  gsize y_frame = (gsize) y.height * y.width * s->out_channels, n = out_frames * y_frame;
  gsize kernel = s->in_channels * s->kernel_time * s->kernel_height * s->kernel_width;
  gsize n_x = (gsize) (past + c->frames) * c->height * c->width * s->in_channels, n_weight = s->time_scale * s->out_channels * kernel;
  g_autofree gfloat *x_host = sora_test_random (1 + number, n_x, 1), *x_rounded = round_to_bf16 (x_host, n_x);
  g_autofree gfloat *weight = sora_test_random (100 + number, n_weight, 1), *weight_rounded = round_to_bf16 (weight, n_weight);
  g_autofree gfloat *bias = sora_test_random (200 + number, s->time_scale * s->out_channels, 4);
  g_autofree gfloat *residual = sora_test_random (300 + number, y_frame + n, 8);
  g_autofree gfloat *zeros = g_new0 (gfloat, y.past * y_frame + n);
  g_autoptr (GError) error = NULL;
  g_autoptr (SoraConvolution) conv = sora_convolution_new (queue, s, precision,
      precision == SORA_CONVOLUTION_BF16_EXACT ? weight_rounded : weight, c->bias ? bias : NULL, &error);
  gboolean bf16 = sora_convolution_is_bf16 (conv);
  g_autofree gfloat *expected = sora_reference_convolution (s, bf16 ? x_rounded : x_host, c->frames, c->height, c->width,
      bf16 || precision == SORA_CONVOLUTION_BF16_EXACT ? weight_rounded : weight, c->bias ? bias : NULL, c->residual ? residual + y_frame : NULL, c->relu);
  g_autofree gfloat *actual = NULL;

  g_assert_no_error (error);
  upload_map (queue, &x, c->frames, x_host);
  upload_map (queue, &y, out_frames, zeros);
  if (c->residual)
    upload_map (queue, &epilogue.residual, out_frames, residual);
  sora_convolution_run (queue, conv, &x, &y, c->frames, &epilogue);
  actual = download_map (queue, &y, out_frames);
  sora_test_assert_close (actual, expected, n, TOLERANCE, "%u to %u channels, kernel %ux%ux%u, stride %u/%u, scale %u/%u, %ux%ux%u",
      s->in_channels, s->out_channels, s->kernel_time, s->kernel_height, s->kernel_width, s->time_stride, s->stride, s->time_scale,
      s->scale, c->frames, c->height, c->width);
  if (bf16) {
    g_autoptr (SoraConvolution) portable = sora_convolution_new (queue, s, SORA_CONVOLUTION_FP32, weight, c->bias ? bias : NULL, &error);
    g_autofree gfloat *unrounded = NULL;

    sora_convolution_run (queue, portable, &x, &y, c->frames, &epilogue);
    unrounded = download_map (queue, &y, out_frames);
    sora_test_assert_close (actual, unrounded, n, PORTABLE_TOLERANCE, "bf16 beside the portable kernel");
  }
  clReleaseMemObject (x.mem);
  clReleaseMemObject (y.mem);
  g_clear_pointer (&epilogue.residual.mem, clReleaseMemObject);
}

/* The whole table with the tiles of one kind of device: vectors of @width floats (0: the device's own). */
static void
run_table (const gchar *kind, guint width)
{
  g_autoptr (SoraQueue) queue = sora_test_queue_new_linear (kind);
  SoraDevice *device = sora_queue_get_device (queue);
  guint n_cases = sora_test_is_small () ? 11 : G_N_ELEMENTS (cases), own_width = device->vector_width;

  if (width != 0)
    device->vector_width = width;
  for (guint i = 0; i < n_cases; i++)
    run_case (queue, &cases[i], i, SORA_CONVOLUTION_FP32);
  device->vector_width = own_width;
}

/* A queue of a CPU device that has @unit and, from now on, no better one; NULL, with a reason to skip, where it has not */
static SoraQueue *
open_unit (SoraMatrixUnit unit)
{
  static SoraMatrixUnit best;
  g_autoptr (SoraQueue) queue = sora_test_queue_new_linear ("packed");
  SoraDevice *device = sora_queue_get_device (queue);

  best = MAX (best, sora_matrix_unit_get (device));
  if (best < unit) {
    g_test_skip ("this device has no such unit");
    return NULL;
  }
  device->matrix_unit = unit;
  return g_steal_pointer (&queue);
}

/* With tiles all cases; without, those that gain by it: the others must be as in fp32. */
static void
test_bf16 (gconstpointer unit)
{
  g_autoptr (SoraQueue) queue = open_unit (GPOINTER_TO_UINT (unit));

  for (guint i = 0; queue && i < G_N_ELEMENTS (cases); i++) {
    run_case (queue, &cases[i], i, SORA_CONVOLUTION_BF16_EXACT);
    if (cases[i].shape.scale == 1)      /* else sums are rounded, which the reference does not know */
      run_case (queue, &cases[i], i, SORA_CONVOLUTION_BF16);
  }
}

static void
test_packed (gconstpointer width)
{
  run_table ("packed", GPOINTER_TO_UINT (width));
}

static void
test_gpu (void)
{
  run_table ("clblast", 0);
}

/* A NaN must reach the output through ReLU, in whole vectors and in the last channels, so that it is not taken for a zero. */
static void
check_nan (SoraQueue *queue, SoraConvolutionPrecision precision)
{
  const SoraConvolutionShape shape = { 1, 17, 1, 1, 1 };
  const SoraConvolutionEpilogue relu = { TRUE };
  SoraFeatureMap x = { NULL, 0, 0, 1, 1, 1 }, y = { NULL, 0, 0, 1, 1, 17 };
  gfloat nan = NAN;
  g_autofree gfloat *weight = sora_test_random (1, 17, 1), *actual = NULL;
  g_autoptr (SoraConvolution) conv = sora_convolution_new (queue, &shape, precision, weight, NULL, NULL);

  x.mem = sora_test_upload (queue, &nan, 1);
  y.mem = sora_test_upload (queue, weight, 17);
  sora_convolution_run (queue, conv, &x, &y, 1, &relu);
  actual = sora_test_download (queue, y.mem, 17);
  for (guint i = 0; i < 17; i++)
    g_assert_true (isnan (actual[i]));
  clReleaseMemObject (x.mem);
  clReleaseMemObject (y.mem);
}

static void
test_nan (void)
{
  g_autoptr (SoraQueue) queue = sora_test_queue_new ();

  check_nan (queue, SORA_CONVOLUTION_FP32);
}

static void
test_nan_bf16 (gconstpointer unit)
{
  g_autoptr (SoraQueue) queue = open_unit (GPOINTER_TO_UINT (unit));

  if (queue)
    check_nan (queue, SORA_CONVOLUTION_BF16);
}

static void
test_tanh_clamp (void)
{
  g_autoptr (SoraQueue) queue = sora_test_queue_new ();
  SoraFeatureMap x = { NULL, 1, 0, 3, 5, 6 }, y = { NULL, 0, 1, 3, 5, 6 };
  guint frame = 3 * 5 * 6, n = 2 * frame;
  g_autofree gfloat *x_host = sora_test_random (1, frame + n, 6), *mean = sora_test_random (2, 6, 1), *std = sora_test_random (3, 6, 3);
  g_autofree gfloat *expected = g_new (gfloat, n), *zeros = g_new0 (gfloat, n), *actual = NULL;
  cl_mem mean_mem = sora_test_upload (queue, mean, 6), std_mem = sora_test_upload (queue, std, 6);

  upload_map (queue, &x, 2, x_host);
  upload_map (queue, &y, 2, zeros);
  for (guint i = 0; i < n; i++)
    expected[i] = 3 * tanh (((gdouble) x_host[frame + i] * std[i % 6] + mean[i % 6]) / 3);
  sora_tanh_clamp_run (queue, &x, mean_mem, std_mem, &y, 2);
  actual = download_map (queue, &y, 2);
  sora_test_assert_close (actual, expected, n, 2e-6, "tanh clamp");    /* OpenCL's tanh: 5 ulp */
  clReleaseMemObject (x.mem);
  clReleaseMemObject (y.mem);
  clReleaseMemObject (mean_mem);
  clReleaseMemObject (std_mem);
}

/* byte of frame f, row y, column x, image channel c, from plain features [frames, height, width, channels · patch²] in low ... 1 */
static gdouble
shuffled (const gfloat *features, guint height, guint width, guint channels, guint patch, gdouble low, guint f, guint y, guint x, guint c)
{
  gsize feature = ((f * height + y / patch) * width + x / patch) * channels * patch * patch;
  gdouble value = (features[feature + (c * patch + y % patch) * patch + x % patch] - low) / (1 - low);

  return rint (CLAMP (value, 0, 1) * 255);
}

/* Features to bytes from frame 1 of three, and those bytes back to features. The bytes may differ by one where a float product meets a
 * tie; there are none in these features, which are multiples of 1/1024. */
static void
test_pixel_shuffle (guint patch, guint height, guint width, gdouble low)
{
  g_autoptr (SoraQueue) queue = sora_test_queue_new ();
  SoraFeatureMap map = { NULL, 1, 1, height, width, 3 * patch * patch }, back = { NULL, 0, 1, height, width, 3 * patch * patch };
  gsize frame = (gsize) height * width * 3 * patch * patch, at = 0;
  g_autofree gfloat *features = sora_test_random (patch, 3 * frame, 1.5), *zeros = g_new0 (gfloat, 2 * frame), *actual = NULL;
  g_autofree gfloat *expected = g_new (gfloat, 2 * frame);
  g_autofree guint8 *rgb = g_new (guint8, 3 * frame);
  g_autoptr (GError) error = NULL;
  SoraByteFrames bytes = { sora_queue_alloc (queue, 3 * frame), 1, 3, patch, low };

  for (gsize i = 0; i < 3 * frame; i++)
    features[i] = rint (features[i] * 1024) / 1024;
  upload_map (queue, &map, 2, features);
  upload_map (queue, &back, 2, zeros);
  sora_pixel_shuffle_run (queue, &map, &bytes, 2);
  g_assert_true (sora_queue_read (queue, bytes.mem, 0, 3 * frame, rgb, &error));
  for (guint f = 0; f < 2; f++)
    for (guint y = 0; y < height * patch; y++)
      for (guint x = 0; x < width * patch; x++)
        for (guint c = 0; c < 3; c++)
          g_assert_cmpint (rgb[frame + at++], ==, shuffled (features + frame, height, width, 3, patch, low, f, y, x, c));
  sora_pixel_unshuffle_run (queue, &bytes, &back, 2);
  actual = download_map (queue, &back, 2);
  for (gsize i = 0; i < 2 * frame; i++)
    expected[i] = low + (1 - low) * rint (CLAMP ((features[frame + i] - low) / (1 - low), 0, 1) * 255) / 255;
  sora_test_assert_close (actual, expected, 2 * frame, 1e-6, "pixel unshuffle by %u", patch);  /* one division */
  clReleaseMemObject (map.mem);
  clReleaseMemObject (back.mem);
  clReleaseMemObject (bytes.mem);
}

/* Part of a map, whose patches it cuts, into part of larger frames, and back: all else stays as it was. */
static void
test_pixel_window (void)
{
  const guint height = 3, width = 4, patch = 2;
  const SoraByteWindow w = { 3, 1, 4, 5, 6, 2, 13, 9 };
  g_autoptr (SoraQueue) queue = sora_test_queue_new ();
  SoraFeatureMap map = { NULL, 0, 0, height, width, 3 * patch * patch }, back = map;
  gsize n = (gsize) 2 * height * width * 3 * patch * patch, n_bytes = (gsize) 3 * w.frame_height * w.frame_width * 3;
  g_autofree gfloat *features = sora_test_random (5, n, 1), *nines = g_new (gfloat, n), *actual = NULL;
  g_autofree guint8 *rgb = g_malloc (n_bytes);
  SoraByteFrames bytes = { sora_queue_alloc (queue, n_bytes), 1, 3, patch, -1, w };
  g_autoptr (GError) error = NULL;
  guint n_same = 0;
  gsize at = 0;

  for (gsize i = 0; i < n; i++) {
    features[i] = rint (features[i] * 1024) / 1024;
    nines[i] = 9;
  }
  memset (rgb, 7, n_bytes);
  sora_queue_write (queue, bytes.mem, 0, n_bytes, rgb);
  upload_map (queue, &map, 2, features);
  upload_map (queue, &back, 2, nines);
  sora_pixel_shuffle_run (queue, &map, &bytes, 2);
  g_assert_true (sora_queue_read (queue, bytes.mem, 0, n_bytes, rgb, &error));
  for (guint f = 0; f < 3; f++)
    for (guint y = 0; y < w.frame_height; y++)
      for (guint x = 0; x < w.frame_width; x++)
        for (guint c = 0; c < 3; c++) {
          gboolean inside = f >= 1 && x >= w.left && x < w.left + w.width && y >= w.top && y < w.top + w.height;

          g_assert_cmpint (rgb[at++], ==, inside
              ? shuffled (features, height, width, 3, patch, -1, f - 1, w.y + y - w.top, w.x + x - w.left, c) : 7);
        }
  sora_pixel_unshuffle_run (queue, &bytes, &back, 2);
  actual = download_map (queue, &back, 2);
  for (gsize i = 0; i < n; i++) {
    if (actual[i] == 9)
      n_same++;
    else        /* half of a byte's step, of which there are 255 from -1 to 1 */
      g_assert_cmpfloat (fabs (actual[i] - features[i]), <=, 1 / 255.0 + 1e-6);
  }
  g_assert_cmpuint (n_same, ==, n - 2 * w.width * w.height * 3);
  clReleaseMemObject (map.mem);
  clReleaseMemObject (back.mem);
  clReleaseMemObject (bytes.mem);
}

static void
test_pixel_shuffles (void)
{
  test_pixel_shuffle (4, 3, 5, 0);
  test_pixel_shuffle (1, 4, 6, -1);
  test_pixel_shuffle (2, 7, 8, 0);
  test_pixel_shuffle (2, 3, 4, -1);
}

typedef struct {
  SoraShortcut shortcut;
  guint small_channels, large_channels;
  guint frames, height, width;  /* of the small map */
  guint offset;                 /* frames that the large map begins late */
} ShortcutCase;

static const ShortcutCase shortcut_cases[] = {
  { { 1, 2 }, 6, 3, 2, 2, 3, 0 },
  { { 2, 2 }, 4, 4, 2, 3, 2, 0 },
  { { 2, 2 }, 16, 6, 1, 2, 2, 1 },
  { { 1, 1 }, 5, 5, 2, 2, 2, 0 },
  { { 2, 1 }, 3, 9, 2, 1, 4, 1 },
};

/* The number in the small map, as a place among (channel, frame, row, column) of the large one, for value @i of the large map. */
static guint
shortcut_part (const ShortcutCase *c, gsize i, gsize *small_pixel)
{
  const SoraShortcut *s = &c->shortcut;
  guint channel = i % c->large_channels, column = i / c->large_channels % (c->width * s->space);
  guint row = i / c->large_channels / (c->width * s->space) % (c->height * s->space);
  guint frame = i / c->large_channels / (c->width * s->space) / (c->height * s->space) + c->offset;

  *small_pixel = ((gsize) frame / s->time * c->height + row / s->space) * c->width + column / s->space;
  return ((channel * s->time + frame % s->time) * s->space + row % s->space) * s->space + column % s->space;
}

/* Both ways between maps with borders and past frames of their own. Tolerance: a mean of up to 24 numbers. */
static void
test_shortcut (SoraQueue *queue, const ShortcutCase *c)
{
  const SoraShortcut *s = &c->shortcut;
  guint large_frames = c->frames * s->time - c->offset, parts = s->time * s->space * s->space;
  guint repeats = parts * c->large_channels / c->small_channels;
  SoraFeatureMap small = { NULL, 1, 1, c->height, c->width, c->small_channels }, small_y = { NULL, 0, 2, c->height, c->width, c->small_channels };
  SoraFeatureMap large = { NULL, 2, 0, c->height * s->space, c->width * s->space, c->large_channels }, large_y = large;
  gsize n_small = (gsize) c->frames * c->height * c->width * c->small_channels, small_past = n_small / c->frames;
  gsize n_large = (gsize) large_frames * large.height * large.width * c->large_channels, large_past = n_large / large_frames * 2;
  g_autofree gfloat *small_x = sora_test_random (1, small_past + n_small, 1), *large_x = sora_test_random (2, large_past + n_large, 1);
  g_autofree gfloat *grown = g_memdup2 (large_x + large_past, n_large * sizeof (gfloat)), *large_actual = NULL, *small_actual = NULL;
  g_autofree gfloat *shrunk = g_memdup2 (small_x + small_past, n_small * sizeof (gfloat)), *zeros = g_new0 (gfloat, 2 * (n_large + large_past + n_small));

  for (gsize i = 0; i < n_large; i++) {
    gsize pixel;
    gsize place = shortcut_part (c, i, &pixel) / repeats;

    grown[i] += small_x[small_past + pixel * c->small_channels + place];
    shrunk[pixel * c->small_channels + place] += large_x[large_past + i] / repeats;
  }
  large_y.past = 0;
  large_y.border = 1;
  upload_map (queue, &small, c->frames, small_x);
  upload_map (queue, &small_y, c->frames, zeros);
  upload_map (queue, &large, large_frames, large_x);
  upload_map (queue, &large_y, large_frames, zeros);
  sora_shortcut_grow_run (queue, s, &large, &small, c->offset, &large_y, large_frames);
  large_actual = download_map (queue, &large_y, large_frames);
  sora_test_assert_close (large_actual, grown, n_large, 1e-6, "shortcut to %u times the size", s->space);
  sora_shortcut_shrink_run (queue, s, &small, &large, c->offset, &small_y, c->frames);
  small_actual = download_map (queue, &small_y, c->frames);
  sora_test_assert_close (small_actual, shrunk, n_small, 2e-6, "shortcut from %u times the size", s->space);
  clReleaseMemObject (small.mem);
  clReleaseMemObject (small_y.mem);
  clReleaseMemObject (large.mem);
  clReleaseMemObject (large_y.mem);
}

static void
test_shortcuts (void)
{
  g_autoptr (SoraQueue) queue = sora_test_queue_new ();

  for (guint i = 0; i < G_N_ELEMENTS (shortcut_cases); i++)
    test_shortcut (queue, &shortcut_cases[i]);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_data_func ("/ops/convolution/vectors-of-16", GUINT_TO_POINTER (16), test_packed);
  g_test_add_data_func ("/ops/convolution/vectors-of-8", GUINT_TO_POINTER (8), test_packed);
  g_test_add_data_func ("/ops/convolution/vectors-of-4", GUINT_TO_POINTER (4), test_packed);
  g_test_add_func ("/ops/convolution/gpu", test_gpu);
  g_test_add_data_func ("/ops/convolution/avx512-bf16", GUINT_TO_POINTER (SORA_MATRIX_UNIT_AVX512_BF16), test_bf16);
  g_test_add_data_func ("/ops/convolution/amx-bf16", GUINT_TO_POINTER (SORA_MATRIX_UNIT_AMX_BF16), test_bf16);
  g_test_add_data_func ("/ops/convolution/nan/avx512-bf16", GUINT_TO_POINTER (SORA_MATRIX_UNIT_AVX512_BF16), test_nan_bf16);
  g_test_add_data_func ("/ops/convolution/nan/amx-bf16", GUINT_TO_POINTER (SORA_MATRIX_UNIT_AMX_BF16), test_nan_bf16);
  g_test_add_func ("/ops/convolution/nan", test_nan);
  g_test_add_func ("/ops/tanh-clamp", test_tanh_clamp);
  g_test_add_func ("/ops/pixel-shuffle", test_pixel_shuffles);
  g_test_add_func ("/ops/pixel-window", test_pixel_window);
  g_test_add_func ("/ops/shortcut", test_shortcuts);
  return g_test_run ();
}
