/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Modulation: every layer's table plus the timestep embedding of every latent frame; a work-group a frame and layer. Follows vector.cl. */

/* out[layer][first_frame + f] = table[layer] + embedding[rows[f]], f = group 0, layer = group 1; embedding_row: offset, stride in floats */
__attribute__ ((reqd_work_group_size (GROUP, 1, 1)))
kernel void
modulation (global const float *table, global const float *embedding, uint2 embedding_row, uint16 rows, uint first_frame,
    uint n_frames, global float *out, uint columns)
{
  const uint frame = get_group_id (0), layer = get_group_id (1), whole = columns / WIDTH * WIDTH;
  const uint *row = (const uint *) &rows;

  table += (size_t) layer * columns;
  embedding += embedding_row.x + (size_t) row[frame] * embedding_row.y;
  out += ((size_t) layer * n_frames + first_frame + frame) * columns;
#pragma unroll 1
  for (uint c = get_local_id (0) * WIDTH; c < whole; c += GROUP * WIDTH)
    STORE (LOAD (0, table + c) + LOAD (0, embedding + c), 0, out + c);
REST_LOOP
  for (uint c = whole + get_local_id (0); c < columns; c += GROUP)
    out[c] = table[c] + embedding[c];
}
