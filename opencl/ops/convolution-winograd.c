/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Winograd's F(2x2, 3x3) for 3x3 convolutions of CPU devices: transforms and packs the weight, and launches convolution-winograd.cl. */
#include "ops/convolution-private.h"

/* A work-item holds 16 · rows · (MAX_CHUNK + MAX_OUT) floats: 74 to 221 kB, which stay in the second-level cache. */
#define MAX_CHUNK 96
#define MAX_OUT 192

#define TILE(vector, rows, vectors, panels) { vector, rows, vectors, 1, \
    "-DVECTOR=" #vector " -DTILE_M=" #rows " -DTILE_N=" #vectors " -DMAX_CHUNK=96 -DMAX_PANELS=" #panels }

/* rows · vectors accumulators, vectors weights and one broadcast input fill the 32 or 16 vector registers. */
static const SoraConvolutionTile tiles_16[] = { TILE (16, 8, 3, 4), TILE (16, 12, 2, 6) };
static const SoraConvolutionTile tiles_8[] = { TILE (8, 4, 3, 8), TILE (8, 6, 2, 12) };
static const SoraConvolutionTile tiles_4[] = { TILE (4, 4, 3, 16), TILE (4, 6, 2, 24) };

static guint
device_vector (SoraDevice *device)
{
  return device->vector_width >= 16 ? 16 : device->vector_width >= 8 ? 8 : 4;
}

/* Few channels are not worth the transforms: 32 additions a patch and input channel, 24 an output channel. */
gboolean
sora_convolution_winograd_fits (SoraDevice *device, const SoraConvolutionShape *s)
{
  return device->linear_kind == SORA_LINEAR_PACKED && s->kernel_height == 3 && s->kernel_width == 3 && s->stride == 1
      && s->time_stride == 1 && s->scale == 1 && s->time_scale == 1 && s->shift == 0
      && s->in_channels % device_vector (device) == 0
      && s->in_channels >= 16 && s->out_channels >= 32;
}

/* The tile that computes the fewest padded channels. */
const SoraConvolutionTile *
sora_convolution_winograd_tile (SoraDevice *device, guint out_channels)
{
  guint vector = device_vector (device);
  const SoraConvolutionTile *tiles = vector == 16 ? tiles_16 : vector == 8 ? tiles_8 : tiles_4;
  guint wide = tiles[0].vector * tiles[0].vectors, narrow = tiles[1].vector * tiles[1].vectors;

  return (out_channels + wide - 1) / wide * wide <= (out_channels + narrow - 1) / narrow * narrow ? &tiles[0] : &tiles[1];
}

/* channels of one input frame that are worked on at a time: they divide all of them */
static guint
chunk_channels (const SoraConvolution *conv)
{
  guint vector = conv->tile->vector, channels = conv->shape.in_channels, chunk = MIN (channels, MAX_CHUNK) / vector * vector;

  while (channels % chunk != 0)
    chunk -= vector;
  return chunk;
}

/* G g G' of a 3x3 kernel: @u [4][4] */
static void
transform_kernel (const gfloat *g, gfloat *u)
{
  gfloat half[4][3];

  for (guint j = 0; j < 3; j++) {
    half[0][j] = g[j];
    half[1][j] = (g[j] + g[3 + j] + g[6 + j]) / 2;
    half[2][j] = (g[j] - g[3 + j] + g[6 + j]) / 2;
    half[3][j] = g[6 + j];
  }
  for (guint i = 0; i < 4; i++) {
    u[4 * i] = half[i][0];
    u[4 * i + 1] = (half[i][0] + half[i][1] + half[i][2]) / 2;
    u[4 * i + 2] = (half[i][0] - half[i][1] + half[i][2]) / 2;
    u[4 * i + 3] = half[i][2];
  }
}

/* The kernels of one input channel and frame to up to @channels output channels, all together so as to write in order.
 * @weight: the first one's, the others @one floats apart; @packed: [16], @step floats apart, of [panel] */
static void
pack_kernels (const gfloat *weight, gsize one, guint channels, gfloat *packed, gsize step)
{
  gfloat u[16];

  for (guint n = 0; n < channels; n++) {
    transform_kernel (weight + n * one, u);
    for (guint i = 0; i < 16; i++)
      packed[i * step + n] = u[i];
  }
}

/* [chunks, panels, 16, chunk, panel] of the weight [out, in, time, 3, 3] */
void
sora_convolution_winograd_upload (SoraConvolution *conv, SoraQueue *queue, const gfloat *weight)
{
  const SoraConvolutionShape *s = &conv->shape;
  gsize panel = conv->tile->vector * conv->tile->vectors, chunk = chunk_channels (conv), chunks_per_frame = s->in_channels / chunk;
  gsize n_floats = 16 * s->kernel_time * s->in_channels * conv->panels * panel, one = (gsize) s->in_channels * s->kernel_time * 9;
  g_autofree gfloat *packed = g_new0 (gfloat, n_floats);

  for (guint p = 0; p < conv->panels; p++)
    for (guint t = 0; t < s->kernel_time; t++)
      for (guint c = 0; c < s->in_channels; c++) {
        gsize at = (t * chunks_per_frame + c / chunk) * conv->panels + p;

        pack_kernels (weight + p * panel * one + (c * s->kernel_time + t) * 9, one, MIN (panel, s->out_channels - p * panel),
            packed + (at * 16 * chunk + c % chunk) * panel, chunk * panel);
      }
  conv->weight = sora_convolution_upload (conv, queue, packed, n_floats * sizeof (gfloat));
}

void
sora_convolution_winograd_run (SoraQueue *queue, const SoraConvolution *conv, const SoraFeatureMap *x, const SoraFeatureMap *y,
    guint frames, const SoraConvolutionEpilogue *epilogue)
{
  const SoraConvolutionShape *s = &conv->shape;
  guint panel = conv->tile->vector * conv->tile->vectors, group = conv->tile->rows;
  guint patches = frames * ((y->height + 1) / 2) * ((y->width + 1) / 2), groups = (patches + group - 1) / group;
  guint items = MIN (groups, 16 * sora_queue_get_device (queue)->compute_units);
  guint panel_groups = (conv->panels * panel + MAX_OUT - 1) / MAX_OUT;
  cl_int4 x_map = sora_feature_map_strides (x), y_map = sora_feature_map_strides (y), residual_map = { { 0 } };
  cl_int4 size = { { frames, y->height, y->width, s->out_channels } };
  cl_int4 channels = { { s->in_channels, chunk_channels (conv), conv->panels, s->kernel_time - 1 } };
  cl_int relu = epilogue != NULL && epilogue->relu, patches_per_item = (groups + items - 1) / items * group;
  cl_mem residual = epilogue != NULL ? epilogue->residual.mem : NULL;
  SoraLaunch launch = { SORA_CONVOLUTION_WINOGRAD_PROGRAM, conv->tile->options, "convolution_winograd", 2 };

  if (residual != NULL)
    residual_map = sora_feature_map_strides (&epilogue->residual);
  launch.global[0] = (patches + patches_per_item - 1) / patches_per_item;
  launch.global[1] = panel_groups;
  launch.local[0] = launch.local[1] = 1;
  launch.flops = 2 * 16 * (guint64) patches * s->out_channels * s->kernel_time * s->in_channels;
  SORA_LAUNCH (queue, &launch, SORA_ARG (x->mem), SORA_ARG (x_map), SORA_ARG (conv->weight), SORA_ARG (conv->bias), SORA_ARG (y->mem),
      SORA_ARG (y_map), SORA_ARG (residual), SORA_ARG (residual_map), SORA_ARG (relu), SORA_ARG (size), SORA_ARG (channels),
      SORA_ARG (patches_per_item));
}
