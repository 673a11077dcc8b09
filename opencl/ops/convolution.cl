/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Convolution of channels-last maps as a matrix product whose rows are gathered: TILE_M output positions × PANEL channels a tile. */

/* Follows convolution-tile.cl. Options: its own, and LOCAL work-items a group. */

/* floats to position @at = (frame, row, column) of a map whose strides (offset, frame, row, column) are @map */
int
locate (int4 at, int4 map)
{
  return map.x + at.x * map.y + at.y * map.z + at.z * map.w;
}

int4
next_position (int4 at, int4 size)
{
  at.z++;
  if (at.z == size.z) {
    at.z = 0;
    at.y++;
  }
  if (at.y == size.y) {
    at.y = 0;
    at.x++;
  }
  return at;
}

/* Group (i, panel, phase) makes tiles_per_item · LOCAL tiles of PANEL channels.
 * x_map: strides from one position to the next in the input, (offset, frame, row, pixel); x_pixel: of the input itself
 * weight: [phases, panels, runs, run_length, PANEL]; a run is run_length = kernel width · channels contiguous floats of the input
 * runs: [phases, n_runs]: (frame, y, x) of the run's first pixel relative to the position
 * bias: [output frames of a position, panels, PANEL]
 * y_map: strides from one position to the next in the output; y_phase: of the output itself (frame, row, pixel), and the scale
 * size: positions, height, width, out channels */
#if LOCAL == 1
__attribute__ ((reqd_work_group_size (1, 1, 1)))
#endif
kernel void
convolution (global const float *restrict x, int4 x_map, int4 x_pixel, global const float *restrict weight,
    global const int4 *restrict runs, int n_runs, int run_length, global const float *restrict bias,
    global float *restrict y, int4 y_map, int4 y_phase, global const float *restrict residual, int4 residual_map, int relu,
    int4 size, int tiles_per_item)
{
  int panel = get_global_id (1), phase = get_global_id (2), scale = y_phase.w;
  int phase_offset = phase / (scale * scale) * y_phase.x + phase / scale % scale * y_phase.y + phase % scale * y_phase.z;
  int first = get_global_id (0) * tiles_per_item * TILE_M;
  int end = min (size.x, first + tiles_per_item * TILE_M);
  int4 at = (int4) (first / (size.y * size.z), first / size.z % size.y, first % size.z, 0);
  weight += ((size_t) phase * get_global_size (1) + panel) * n_runs * run_length * PANEL;
  runs += phase * n_runs;
  bias += phase / (scale * scale) * get_global_size (1) * PANEL;

  for (int p = first; p < end; p += TILE_M) {
    int x_at[TILE_M], y_at[TILE_M], residual_at[TILE_M];
#pragma unroll 1
    for (int i = 0; i < TILE_M; i++) {
      x_at[i] = locate (at, x_map);
      y_at[i] = locate (at, y_map) + phase_offset;
      residual_at[i] = locate (at, residual_map);
      if (p + i + 1 < size.x)   /* rows past the end repeat the last one */
        at = next_position (at, size);
    }
    global const float *b = weight;
#define DECLARE(i, j) VEC c##i##_##j = 0;
#define START(i) COLUMNS (DECLARE, i)
    ROWS (START)
#pragma unroll 1
    for (int r = 0; r < n_runs; r++) {
      global const float *run = x + runs[r].x * x_pixel.y + runs[r].y * x_pixel.z + runs[r].z * x_pixel.w;
#define POINT(i) global const float *a##i = run + x_at[i];
      ROWS (POINT)
      for (int k = 0; k < run_length; k++, b += PANEL) {
#define LOAD(i, j) VEC b##j = VLOAD (j, b);
        COLUMNS (LOAD, 0)
#define ACCUMULATE(i, j) c##i##_##j = MULTIPLY_ADD (av, b##j, c##i##_##j);
#define MULTIPLY(i) { VEC av = (VEC) a##i[k]; COLUMNS (ACCUMULATE, i) }
        ROWS (MULTIPLY)
      }
    }
    VEC tile[TILE_M * TILE_N];
#define KEEP(i, j) tile[i * TILE_N + j] = c##i##_##j;
#define FINISH(i) COLUMNS (KEEP, i)
    ROWS (FINISH)
#pragma unroll 1
    for (int i = 0; i < TILE_M && p + i < end; i++) {
#pragma unroll 1
      for (int j = 0; j < TILE_N; j++) {
        int channel = panel * PANEL + j * VECTOR;
        if (channel < size.w)
          store_vector (tile[i * TILE_N + j], bias + channel, residual ? residual + residual_at[i] + channel : 0,
              y + y_at[i] + channel, relu, size.w - channel);
      }
    }
  }
}
