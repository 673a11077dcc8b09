/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Winograd's F(2x2, 3x3) convolution (Lavin and Gray 2016): 16 products give 4 outputs, where the plain way takes 36. For CPU devices. */

/* Follows convolution-tile.cl; a row of a tile is a patch. Options: its own, MAX_CHUNK channels of the input and MAX_PANELS panels of the
 * output that are held at a time. */

/* A patch: 2x2 outputs at rows @row and columns @column of frame @frame, from the 4x4 inputs around them. */
typedef struct {
  int frame, row, column;
} Patch;

Patch
find_patch (int index, int rows, int columns)
{
  return (Patch) { index / (rows * columns), 2 * (index / columns % rows), 2 * (index % columns) };
}

/* B' d B of one vector of channels of a 4x4 patch. rows, columns: where they are, in floats; v: the 16 results, @step floats apart */
void
transform_input (global const float *x, int4 rows, int4 columns, float *v, int step)
{
  VEC t[16];
#define ROW(i, at) \
  { \
    VEC d0 = VLOAD (0, x + at + columns.x), d1 = VLOAD (0, x + at + columns.y); \
    VEC d2 = VLOAD (0, x + at + columns.z), d3 = VLOAD (0, x + at + columns.w); \
    t[4 * i] = d0 - d2; \
    t[4 * i + 1] = d1 + d2; \
    t[4 * i + 2] = d2 - d1; \
    t[4 * i + 3] = d1 - d3; \
  }
  ROW (0, rows.x) ROW (1, rows.y) ROW (2, rows.z) ROW (3, rows.w)
#define COLUMN(j) \
  VSTORE (t[j] - t[8 + j], 0, v + j * step); \
  VSTORE (t[4 + j] + t[8 + j], 0, v + (4 + j) * step); \
  VSTORE (t[8 + j] - t[4 + j], 0, v + (8 + j) * step); \
  VSTORE (t[4 + j] - t[12 + j], 0, v + (12 + j) * step);
  COLUMN (0) COLUMN (1) COLUMN (2) COLUMN (3)
}

/* c [TILE_M, PANEL] = a [TILE_M, length] · b [length, PANEL], added to what is there if @add */
void
multiply (const float *a, global const float *b, int length, float *c, int add)
{
#define POINT(i) const float *a##i = a + i * length;
  ROWS (POINT)
#define DECLARE(i, j) VEC c##i##_##j = 0;
#define START(i) COLUMNS (DECLARE, i)
  ROWS (START)
#pragma unroll 1
  for (int k = 0; k < length; k++, b += PANEL) {
#define LOAD(i, j) VEC b##j = VLOAD (j, b);
    COLUMNS (LOAD, 0)
#define ACCUMULATE(i, j) c##i##_##j = MULTIPLY_ADD (av, b##j, c##i##_##j);
#define MULTIPLY(i) { VEC av = (VEC) a##i[k]; COLUMNS (ACCUMULATE, i) }
    ROWS (MULTIPLY)
  }
#define KEEP(i, j) VSTORE (add ? VLOAD (j, c + i * PANEL) + c##i##_##j : c##i##_##j, j, c + i * PANEL);
#define FINISH(i) COLUMNS (KEEP, i)
  ROWS (FINISH)
}

/* Item (i, j) makes @patches_per_item patches of the j-th MAX_PANELS panels of channels.
 * x_map, y_map, residual_map: strides (offset, frame, row, pixel)
 * weight: [chunks, panels, 16, chunk, PANEL], transformed; a chunk is that many channels of one of the past frames: those of the earliest
 * frame, which is @past frames back, come first
 * size: frames, height, width, out channels; channels: of the input, chunk, panels, past */
__attribute__ ((reqd_work_group_size (1, 1, 1)))
kernel void
convolution_winograd (global const float *restrict x, int4 x_map, global const float *restrict weight,
    global const float *restrict bias, global float *restrict y, int4 y_map, global const float *restrict residual,
    int4 residual_map, int relu, int4 size, int4 channels, int patches_per_item)
{
  float v[16 * TILE_M * MAX_CHUNK], m[MAX_PANELS * 16 * TILE_M * PANEL];
  int rows = (size.y + 1) / 2, columns = (size.z + 1) / 2, n_patches = size.x * rows * columns;
  int chunk = channels.y, chunks_per_frame = channels.x / chunk, n_chunks = chunks_per_frame * (channels.w + 1);
  int begin = get_global_id (0) * patches_per_item, end = min (n_patches, begin + patches_per_item);
  int first_panel = get_global_id (1) * MAX_PANELS, n_panels = min (MAX_PANELS, channels.z - first_panel);
  int first_channel = first_panel * PANEL, end_channel = min (size.w, first_channel + n_panels * PANEL);

  for (int first = begin; first < end; first += TILE_M) {
    for (int c = 0; c < n_chunks; c++) {
      global const float *source = x + x_map.x + (c / chunks_per_frame - channels.w) * x_map.y + c % chunks_per_frame * chunk;
      for (int p = 0; p < TILE_M; p++) {
        Patch patch = find_patch (min (first + p, n_patches - 1), rows, columns);
        /* What lies past the map's border is not read: it only matters to outputs that the map does not have. */
        int4 row = min (patch.row + (int4) (-1, 0, 1, 2), (int4) size.y) * x_map.z;
        int4 column = min (patch.column + (int4) (-1, 0, 1, 2), (int4) size.z) * x_map.w;
        for (int k = 0; k < chunk; k += VECTOR)
          transform_input (source + patch.frame * x_map.y + k, row, column, v + p * chunk + k, TILE_M * chunk);
      }
      for (int panel = 0; panel < n_panels; panel++)
        for (int i = 0; i < 16; i++) {
          global const float *b = weight + (((size_t) c * channels.z + first_panel + panel) * 16 + i) * chunk * PANEL;
          multiply (v + i * TILE_M * chunk, b, chunk, m + (panel * 16 + i) * TILE_M * PANEL, c > 0);
        }
    }
    for (int p = 0; p < TILE_M && first + p < end; p++) {
      Patch patch = find_patch (first + p, rows, columns);
      for (int channel = first_channel; channel < end_channel; channel += VECTOR) {
        int column = channel - first_channel;
        const float *source = m + ((column / PANEL * 16) * TILE_M + p) * PANEL + column % PANEL;
        VEC t[8];
        for (int j = 0; j < 4; j++) {   /* A' m */
#define PRODUCT(i) VLOAD (0, source + (4 * i + j) * TILE_M * PANEL)
          VEC m1 = PRODUCT (1), m2 = PRODUCT (2);
          t[j] = PRODUCT (0) + m1 + m2;
          t[4 + j] = m1 - m2 - PRODUCT (3);
        }
        for (int i = 0; i < 2 && patch.row + i < size.y; i++)
          for (int j = 0; j < 2 && patch.column + j < size.z; j++) {
            const VEC *r = t + 4 * i;
            VEC out = j == 0 ? r[0] + r[1] + r[2] : r[1] - r[2] - r[3];
            int y_at = y_map.x + patch.frame * y_map.y + (patch.row + i) * y_map.z + (patch.column + j) * y_map.w + channel;
            int residual_at = residual_map.x + patch.frame * residual_map.y + (patch.row + i) * residual_map.z
                + (patch.column + j) * residual_map.w + channel;
            store_vector (out, bias + channel, residual ? residual + residual_at : 0, y + y_at, relu, size.w - channel);
          }
      }
    }
  }
}
