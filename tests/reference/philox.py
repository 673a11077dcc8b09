# SPDX-License-Identifier: LGPL-2.1-or-later
"""The engine's noise in numpy: Philox4x32-10 (Salmon 2011) and Box-Muller, counted by seed, block and purpose."""

import numpy
import torch

MULTIPLIERS, INCREMENTS, ROUNDS = (0xD2511F53, 0xCD9E8D57), (0x9E3779B9, 0xBB67AE85), 10
INITIAL, CONTEXT = 0, 0xFFFFFFFF    # purposes
LOW = numpy.uint64(0xFFFFFFFF)


def words(seed, block, purpose, n):
    """(n, 4) random words."""
    x = [numpy.arange(n, dtype=numpy.uint64), *(numpy.full(n, v, numpy.uint64) for v in (purpose, block & 0xFFFFFFFF, block >> 32))]
    key = [seed & 0xFFFFFFFF, seed >> 32]
    for _ in range(ROUNDS):
        p, q = x[0] * numpy.uint64(MULTIPLIERS[0]), x[2] * numpy.uint64(MULTIPLIERS[1])
        x = [(q >> numpy.uint64(32)) ^ x[1] ^ numpy.uint64(key[0]), q & LOW, (p >> numpy.uint64(32)) ^ x[3] ^ numpy.uint64(key[1]), p & LOW]
        key = [(k + i) & 0xFFFFFFFF for k, i in zip(key, INCREMENTS)]
    return numpy.stack(x, 1)


def normal(seed, block, purpose, shape):
    """Standard normal numbers (1, channels, frames, height, width), drawn frame by frame, pixel by pixel, as the engine keeps them."""
    _, channels, frames, height, width = shape
    count = channels * frames * height * width
    uniform = (words(seed, block, purpose, -(-count // 4)).astype(numpy.float64) + 0.5) * 2.0**-32
    radius, angle = numpy.sqrt(-2 * numpy.log(uniform[:, 0::2])), 2 * numpy.pi * uniform[:, 1::2]
    pairs = numpy.stack([radius * numpy.cos(angle), radius * numpy.sin(angle)], -1).reshape(-1)[:count]
    return torch.from_numpy(pairs.astype(numpy.float32).reshape(frames, height, width, channels)).permute(3, 0, 1, 2)[None]
