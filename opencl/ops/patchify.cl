/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Latents to tokens and back: a work-group a token. Follows vector.cl. Its loops are not vectorized: they take microseconds a step either way,
 * and their compilation 0.1 s more. */

/* the first pixel of patch row @py of a token, in pixels; size: height, width, patch height, patch width */
static inline size_t
patch_pixel (uint token, uint4 size, uint py)
{
  const uint tokens_wide = size.y / size.w, row = token / tokens_wide, column = token % tokens_wide;
  return ((size_t) row * size.z + py) * size.y + column * size.w;
}

/* latents [frames, height, width, channels] to tokens, columns (channel, py, px). A token's row of tokens counts through all frames, which
 * lie one below the other. */
__attribute__ ((reqd_work_group_size (GROUP, 1, 1)))
kernel void
patchify (global const float *latents, uint latents_offset, global float *tokens, uint2 token_row, uint4 size, uint channels)
{
  const uint token = get_group_id (0), area = size.z * size.w;

  tokens += token_row.x + (size_t) token * token_row.y;
  for (uint py = 0; py < size.z; py++) {
    global const float *source = latents + latents_offset + patch_pixel (token, size, py) * channels;
    for (uint px = 0; px < size.w; px++)
#pragma clang loop vectorize(disable) interleave(disable) unroll(disable)
      for (uint channel = get_local_id (0); channel < channels; channel += GROUP)
        tokens[channel * area + py * size.w + px] = source[px * channels + channel];
  }
}

/* tokens, columns (py, px, channel), to latents: each patch row is one run of floats in both */
__attribute__ ((reqd_work_group_size (GROUP, 1, 1)))
kernel void
unpatchify (global const float *tokens, uint2 token_row, global float *latents, uint latents_offset, uint4 size, uint channels)
{
  const uint token = get_group_id (0), run = size.w * channels;

  tokens += token_row.x + (size_t) token * token_row.y;
  for (uint py = 0; py < size.z; py++) {
    global float *target = latents + latents_offset + patch_pixel (token, size, py) * channels;
#pragma clang loop vectorize(disable) interleave(disable) unroll(disable)
    for (uint i = get_local_id (0); i < run; i += GROUP)
      target[i] = tokens[py * run + i];
  }
}
