# SPDX-License-Identifier: LGPL-2.1-or-later
"""Light and styles: what is done to a finished frame."""

from dataclasses import dataclass
from typing import Callable

import numpy as np


@dataclass(frozen=True)
class Look:
    name: str
    phrases: tuple
    paint: Callable  # (H, W, 3) uint8 -> the same


def _grey(frame):
    return (frame[..., 0] * np.float32(0.3) + frame[..., 1] * np.float32(0.59) + frame[..., 2] * np.float32(0.11))


def _black_and_white(frame):
    return np.repeat(_grey(frame).astype(np.uint8)[..., None], 3, -1)


def _sepia(frame):
    return (_grey(frame)[..., None] * np.array([1.0, 0.86, 0.66], np.float32)).astype(np.uint8)


def _tint(red, green, blue):
    table = np.stack([np.clip(np.arange(256) * k, 0, 255) for k in (red, green, blue)], -1).astype(np.uint8)

    def paint(frame):
        return np.stack([table[:, c][frame[..., c]] for c in range(3)], -1)
    return paint


def _pencil(frame):
    grey = _grey(frame)
    edges = np.zeros_like(grey)
    edges[1:-1, 1:-1] = np.abs(grey[1:-1, 2:] - grey[1:-1, :-2]) + np.abs(grey[2:, 1:-1] - grey[:-2, 1:-1])
    return np.repeat(np.clip(250 - 2.2 * edges, 20, 250).astype(np.uint8)[..., None], 3, -1)


def _poster(frame):
    return (frame & 0xC0) + 32


LOOKS = [
    Look("", ("",), lambda frame: frame),
    Look("black and white", ("black and white", "in black and white", "monochrome"), _black_and_white),
    Look("sepia", ("sepia", "an old photograph", "sepia film"), _sepia),
    Look("warm light", ("warm light", "golden light"), _tint(1.12, 0.95, 0.72)),
    Look("blue light", ("blue light", "moonlight"), _tint(0.5, 0.62, 1.0)),
    Look("pencil", ("pencil drawing", "a pencil sketch"), _pencil),
    Look("poster", ("poster", "flat colours"), _poster),
]
BY_NAME = {k.name: k for k in LOOKS}
