/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Convolution for CPU devices with a matrix unit: a work-item rounds a box of pixels to bf16, and multiplies where they lie. Put behind bf16.cl
 * and convolution-tile.cl, with VECTOR=16 and TILE_N=2.
 *
 * As the channels of neighbouring pixels follow each other, 16 positions of a row are the 16 rows of a matrix whose stride is a pixel, and the
 * taps of a run its columns: nothing is gathered for a tile of it. */

#define STEP 32                 /* columns of such a matrix that a tile has */
#define PAIRS 16                /* the same in pairs */
#define STRIP 16                /* positions that a tile has */
#define CHUNK 8

/* What a work-item works on, (frame, row, column): positions, pixels that they read, and their place in local memory, in numbers: from
 * position to position, and from pixel to pixel. */
typedef struct {
  int4 positions, pixels, stride, pitch;
  bool by_row;                  /* strips end with a row; else with a frame, and go through what lies between the rows */
  int strips_per_line;          /* a line is a row or a frame */
  int n_strips;
} Box;

/* Runs of taps: their first pixels in the box, how many, how many steps each. */
typedef struct {
  global const int4 *first;
  int count, steps;
} Runs;

static inline int
along (int4 at, int4 pitch)
{
  return at.x * pitch.x + at.y * pitch.y + at.z * pitch.z;
}

/* Either strips of each row, or of all rows of a frame as if the pixels between them were positions too: which are fewer. */
static Box
make_box (int4 positions, int4 kernel_size, int4 stride)
{
  Box box = { positions, (positions - 1) * stride + kernel_size };
  int channels = kernel_size.w, row = box.pixels.z, frame = row * box.pixels.y;
  int by_row = (positions.z + STRIP - 1) / STRIP, by_frame = ((positions.y - 1) * row + positions.z + STRIP - 1) / STRIP;

  box.pitch = (int4) (frame, row, 1, 0) * channels;
  box.stride = stride * box.pitch;
  box.by_row = stride.y > 1 || positions.y * by_row <= by_frame;
  box.strips_per_line = box.by_row ? by_row : by_frame;
  box.n_strips = box.strips_per_line * positions.x * (box.by_row ? positions.y : 1);
  return box;
}

/* (frame, row, column) of a strip's first position; in strips of a frame the column counts on over its rows */
static int4
find_strip (const Box *box, int strip)
{
  int line = strip / box->strips_per_line, column = strip % box->strips_per_line * STRIP;

  return box->by_row ? (int4) (line / box->positions.y, line % box->positions.y, column, 0) : (int4) (line, 0, column, 0);
}

/* @count numbers, rounded */
static void
round_row (global const float *x, int count, local ushort *pixels)
{
  int i = 0;

#pragma unroll 1
  for (; i + STEP <= count; i += STEP) {
    int16 rounded = round_to_bf16 (vload16 (0, x + i), vload16 (1, x + i));
    vstore16 (as_ushort16 (rounded.lo), 0, pixels + i);
    vstore16 (as_ushort16 (rounded.hi), 1, pixels + i);
  }
#pragma unroll 1
  for (; i < count; i += 4) {
    float4 rest = i + 4 <= count ? vload4 (0, x + i) : (float4) (x[i], i + 1 < count ? x[i + 1] : 0, i + 2 < count ? x[i + 2] : 0, 0);
    ushort4 rounded = as_ushort4 (round_to_bf16 ((float16) (rest, rest, rest, rest), 0).lo.lo.lo);
    if (i + 4 <= count) {
      vstore4 (rounded, 0, pixels + i);
    } else {
      pixels[i] = rounded.x;
      if (i + 1 < count)
        pixels[i + 1] = rounded.y;
      if (i + 2 < count)
        pixels[i + 2] = rounded.z;
    }
  }
}

/* The box's pixels, from the map whose pixel of the box's corner is at @x, and a step of zeros after them, which the last run's filling reads */
static void
round_box (const Box *box, global const float *x, int4 x_map, local ushort *pixels)
{
  int row_numbers = box->pixels.z * box->pitch.z;

#pragma unroll 1
  for (int frame = 0; frame < box->pixels.x; frame++) {
#pragma unroll 1
    for (int row = 0; row < box->pixels.y; row++)
      round_row (x + frame * x_map.y + row * x_map.z, row_numbers, pixels + frame * box->pitch.x + row * box->pitch.y);
  }
  pixels += box->pixels.x * box->pitch.x;
  vstore16 ((ushort16) 0, 0, pixels);
  vstore16 ((ushort16) 0, 1, pixels);
}

#if UNIT == AMX_BF16

/* Two strips by a panel, or by half a panel: each tile is loaded once for two products. */
#define MULTIPLY_WHOLE \
  "tileloadd (%2, %4, 1), %%tmm6\n\t" \
  "tileloadd (%0, %3, 1), %%tmm4\n\t" \
  "tdpbf16ps %%tmm6, %%tmm4, %%tmm0\n\t" \
  "tileloadd 64(%2, %4, 1), %%tmm7\n\t" \
  "tdpbf16ps %%tmm7, %%tmm4, %%tmm1\n\t" \
  "tileloadd (%1, %3, 1), %%tmm5\n\t" \
  "tdpbf16ps %%tmm6, %%tmm5, %%tmm2\n\t" \
  "tdpbf16ps %%tmm7, %%tmm5, %%tmm3"
#define MULTIPLY_HALF \
  "tileloadd (%2, %4, 1), %%tmm6\n\t" \
  "tileloadd (%0, %3, 1), %%tmm4\n\t" \
  "tdpbf16ps %%tmm6, %%tmm4, %%tmm0\n\t" \
  "tileloadd (%1, %3, 1), %%tmm5\n\t" \
  "tdpbf16ps %%tmm6, %%tmm5, %%tmm2"
#define MULTIPLY(WAY) \
  for (int run = 0; run < runs.count; run++) { \
    int offset = along (runs.first[run], box->pitch); \
    local const ushort *first = a0 + offset, *second = a1 + offset; \
    for (int step = 0; step < runs.steps; step++, first += STEP, second += STEP, panel += PAIRS * PANEL) \
      __asm__ volatile (WAY :: "r" (first), "r" (second), "r" (panel), "r" (stride), "r" (panel_stride) : "memory"); \
  }

/* sums [2 · STRIP][PANEL]: the strips at a0 and a1, by a panel, of which @channels are needed */
static void
multiply_strips (const Box *box, Runs runs, local const ushort *a0, local const ushort *a1, global const int *panel, int channels, float *sums)
{
  const ulong stride = box->stride.z * sizeof (ushort), panel_stride = PANEL * sizeof (int);

  __asm__ volatile ("tilezero %%tmm0\n\t" "tilezero %%tmm1\n\t" "tilezero %%tmm2\n\t" "tilezero %%tmm3" ::: "memory");
  if (channels > PANEL / 2) {
    MULTIPLY (MULTIPLY_WHOLE)
  } else {
    MULTIPLY (MULTIPLY_HALF)
  }
  __asm__ volatile (
      "tilestored %%tmm0, (%0, %2, 1)\n\t"
      "tilestored %%tmm1, 64(%0, %2, 1)\n\t"
      "tilestored %%tmm2, (%1, %2, 1)\n\t"
      "tilestored %%tmm3, 64(%1, %2, 1)"
      :: "r" (sums), "r" (sums + STRIP * PANEL), "r" (panel_stride) : "memory");
}

#else

#define tiles_begin()
#define tiles_end()

/* sums [8][PANEL] of 8 positions from @a */
static void
multiply_eight (const Box *box, Runs runs, local const ushort *a, global const int *panel, float *sums)
{
  int stride = box->stride.z;

#define BEGIN_ROW(i) float16 c##i##0 = 0, c##i##1 = 0;
  ROWS_8 (BEGIN_ROW)
#pragma unroll 1
  for (int run = 0; run < runs.count; run++) {
    local const ushort *first = a + along (runs.first[run], box->pitch);
#pragma unroll 1
    for (int pair = 0; pair < runs.steps * PAIRS; pair++, first += 2, panel += PANEL) {
      int16 b0 = vload16 (0, panel), b1 = vload16 (1, panel);
#define MULTIPLY_ROW(i) { \
        int16 v = (int16) (first[i * stride] | first[i * stride + 1] << 16); \
        c##i##0 = multiply_pairs (c##i##0, v, b0); \
        c##i##1 = multiply_pairs (c##i##1, v, b1); }
      ROWS_8 (MULTIPLY_ROW)
    }
  }
#define KEEP_ROW(i) vstore16 (c##i##0, 2 * i, sums); vstore16 (c##i##1, 2 * i + 1, sums);
  ROWS_8 (KEEP_ROW)
}

/* As with tiles */
static void
multiply_strips (const Box *box, Runs runs, local const ushort *a0, local const ushort *a1, global const int *panel, int channels, float *sums)
{
#pragma unroll 1
  for (int i = 0; i < 2 * STRIP; i += 8)
    multiply_eight (box, runs, (i < STRIP ? a0 : a1) + i % STRIP * box->stride.z, panel, sums + i * PANEL);
}

#endif

/* Where a panel's sums go: strides (offset, frame, row, pixel) of positions, first channel included, and how many channels are left. */
typedef struct {
  global const float *bias, *residual;
  global float *y;
  int4 y_map, residual_map;
  int relu, channels;
} Target;

/* What walks over the positions of a strip: those of the box, and those that only fill it up, and where they are in the output and in what is added. */
typedef struct {
  int row, column, end;         /* the column at which the next row begins */
  int y, residual;              /* in numbers */
} Walk;

static Walk
begin_walk (const Box *box, const Target *target, int4 origin, int4 at)
{
  Walk walk = { at.y, at.z, box->by_row ? INT_MAX : box->pixels.z };
  int4 position;

  if (!box->by_row) {
    walk.row = at.z / box->pixels.z;
    walk.column = at.z % box->pixels.z;
  }
  position = origin + (int4) (at.x, walk.row, walk.column, 0);
  walk.y = target->y_map.x + along (position, target->y_map.yzww);
  walk.residual = target->residual_map.x + along (position, target->residual_map.yzww);
  return walk;
}

static void
step_walk (Walk *walk, const Target *target)
{
  walk->column++;
  walk->y += target->y_map.w;
  walk->residual += target->residual_map.w;
  if (walk->column == walk->end) {
    walk->column = 0;
    walk->row++;
    walk->y += target->y_map.z - walk->end * target->y_map.w;
    walk->residual += target->residual_map.z - walk->end * target->residual_map.w;
  }
}

static bool
is_position (const Walk *walk, const Box *box)
{
  return walk->column < box->positions.z && walk->row < box->positions.y;
}

/* Calls for what store_strip() will need, while the products before it are made. */
static void
fetch_strip (const Box *box, const Target *target, int4 origin, int4 at)
{
  Walk walk = begin_walk (box, target, origin, at);
  int last = min (target->channels, PANEL) - 1;

#pragma unroll 1
  for (int i = 0; i < STRIP; i++, step_walk (&walk, target)) {
    if (!is_position (&walk, box))
      continue;
    global float *y = target->y + walk.y;
    __asm__ volatile ("prefetchw (%0)\n\t" "prefetchw (%1)" :: "r" (y), "r" (y + last));
    if (target->residual) {
      global const float *residual = target->residual + walk.residual;
      __asm__ volatile ("prefetcht0 (%0)\n\t" "prefetcht0 (%1)" :: "r" (residual), "r" (residual + last));
    }
  }
}

/* A strip's sums; what of it are no positions of the box is left out. */
static void
store_strip (const Box *box, const Target *target, int4 origin, int4 at, const float *sums)
{
  Walk walk = begin_walk (box, target, origin, at);

#pragma unroll 1
  for (int i = 0; i < STRIP; i++, sums += PANEL, step_walk (&walk, target)) {
    if (!is_position (&walk, box))
      continue;
    global const float *residual = target->residual ? target->residual + walk.residual : 0;
    global float *y = target->y + walk.y;
    store_vector (vload16 (0, sums), target->bias, residual, y, target->relu, target->channels);
    if (target->channels > VECTOR)
      store_vector (vload16 (1, sums), target->bias + VECTOR, residual ? residual + VECTOR : 0, y + VECTOR, target->relu, target->channels - VECTOR);
  }
}

/* Work-item (i, j) makes the i-th box of positions of the j-th panels. Of each phase there are panels.y; panels.x is how many of all phases' a
 * work-item makes.
 * x_map: strides (offset, frame, row, pixel) of the input
 * weight: [phases, panels, runs, steps, PAIRS, PANEL] pairs, the last step of a run filled up with zeros
 * runs: [phases, n_runs]: (frame, row, column) of the run's first pixel in the box of one position
 * bias: [output frames of a position, panels, PANEL]
 * y_map: strides from one position to the next in the output; y_phase: of the output itself (frame, row, pixel), and the scale
 * size: of all positions, and the output's channels; box_size: of a box; kernel_size: and the input's channels; stride: of positions in pixels;
 * shift: of the first position's first pixel, all (frame, row, column)
 * pixels: room for a box's pixels, a strip and a step */
__attribute__ ((reqd_work_group_size (1, 1, 1)))
kernel void
convolution_bf16 (global const float *restrict x, int4 x_map, global const int *restrict weight, global const int4 *restrict runs,
    int n_runs, int n_steps, global const float *restrict bias, global float *restrict y, int4 y_map, int4 y_phase,
    global const float *restrict residual, int4 residual_map, int relu, int4 size, int4 box_size, int4 kernel_size, int4 stride, int4 shift,
    int2 panels, local ushort *pixels)
{
  float sums[2 * STRIP * PANEL] __attribute__ ((aligned (64)));
  int4 boxes = (size + box_size - 1) / box_size;
  int index = get_global_id (0), scale = y_phase.w, n_phases = y_phase.w * y_phase.w * stride.w;
  int4 origin = (int4) (index / (boxes.z * boxes.y), index / boxes.z % boxes.y, index % boxes.z, 0) * box_size;
  int4 corner = origin * stride + shift;
  Box box = make_box (min (size - origin, box_size), kernel_size, stride);
  int end = min (n_phases * panels.y, (int) (get_global_id (1) + 1) * panels.x);

  round_box (&box, x + x_map.x + along (corner, x_map.yzww), x_map, pixels);
  tiles_begin ();
#pragma unroll 1
  for (int begin = 0; begin < box.n_strips; begin += CHUNK) {
#pragma unroll 1
    for (int i = get_global_id (1) * panels.x; i < end; i++) {
      int phase = i / panels.y, panel = i % panels.y, channel = panel * PANEL;
      int offset = phase / (scale * scale) * y_phase.x + phase / scale % scale * y_phase.y + phase % scale * y_phase.z + channel;
      Runs taps = { runs + phase * n_runs, n_runs, n_steps };
      Target target = { bias + phase / (scale * scale) * panels.y * PANEL + channel, residual ? residual + channel : 0, y + offset, y_map,
        residual_map, relu, size.w - channel };
#pragma unroll 1
      for (int strip = begin; strip < min (begin + CHUNK, box.n_strips); strip += 2) {
        int4 first = find_strip (&box, strip), second = find_strip (&box, min (strip + 1, box.n_strips - 1));
        fetch_strip (&box, &target, origin, first);
        if (strip + 1 < box.n_strips)
          fetch_strip (&box, &target, origin, second);
        multiply_strips (&box, taps, pixels + along (first, box.stride), pixels + along (second, box.stride),
            weight + (size_t) i * n_runs * n_steps * PAIRS * PANEL, target.channels, sums);
        store_strip (&box, &target, origin, first, sums);
        if (strip + 1 < box.n_strips)
          store_strip (&box, &target, origin, second, sums + STRIP * PANEL);
      }
    }
  }
  tiles_end ();
}
