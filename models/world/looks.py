# SPDX-License-Identifier: LGPL-2.1-or-later
"""Styles: what is done to a finished frame."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Callable

import numpy as np
from PIL import Image


@dataclass(frozen=True)
class Look:
    name: str
    phrases: tuple
    paint: Callable            # (frame (H, W, 3) uint8, number of the frame) -> the same
    cut_out: bool = False      # layers and actors are cut out of paper


def _grey(frame):
    """Luma (H, W) as uint16 in 0..255."""
    return (frame[..., 0] * np.uint16(77) + frame[..., 1] * np.uint16(150) + frame[..., 2] * np.uint16(29)) >> 8


def _edges(grey):
    """Sum of the differences in x and y of (H, W), int16."""
    grey = grey.astype(np.int16)
    edges = np.zeros_like(grey)
    edges[:, 1:-1] = np.abs(grey[:, 2:] - grey[:, :-2])
    edges[1:-1] += np.abs(grey[2:] - grey[:-2])
    return edges


def _curve(*points):
    """A table from (in, out) points."""
    return np.interp(np.arange(256), *zip(*points)).astype(np.uint8)


_CONTRAST = _curve((0, 0), (64, 56), (128, 136), (192, 214), (255, 255))
_SEPIA = np.stack([_curve((0, 18 * k), (255, 255 * g)) for k, g in ((1.6, 1.0), (1.0, 0.87), (0.5, 0.68))], -1)
_POSTER = _curve(*((i, min(255, (i // 43) * 43 + 24)) for i in range(256)))
_FADED = _curve((0, 22), (128, 136), (255, 240))


def _black_and_white(frame, number):
    return np.repeat(np.take(_CONTRAST, _grey(frame))[..., None], 3, -1)


def _sepia(frame, number):
    return np.take(_SEPIA, _grey(frame), axis=0)


@lru_cache(maxsize=1)
def _noise():
    return (12 * np.random.default_rng(3).standard_normal((600, 600))).astype(np.int16)


def _film_grain(frame, number):
    h, w = frame.shape[:2]
    y, x = number * 97 % (600 - h), number * 61 % (600 - w)
    noisy = np.take(_FADED, frame) + _noise()[y:y + h, x:x + w, None]
    return np.clip(noisy, 0, 255, noisy).astype(np.uint8)


@lru_cache(maxsize=8)
def _hatching(h, w):
    y, x = np.mgrid[0:h, 0:w]
    return (((x + y) % 5 < 2) * np.float32(1.0)), (((x - y) % 5 < 2) * np.float32(1.0))


def _pencil(frame, number):
    grey = _grey(frame)
    one, two = _hatching(*grey.shape)
    mean = np.float32(grey[::8, ::8].mean())          # dark pictures are drawn as if they were brighter
    tone = np.float32(248) - np.minimum(np.float32(1.9) * np.clip(110 / mean, 1, 3) * _edges(grey), 200)
    grey = grey.astype(np.float32) + max(np.float32(0), 135 - mean)
    tone -= one * np.clip(150 - grey, 0, 70) + two * np.clip(90 - grey, 0, 60)
    return np.repeat(np.clip(tone, 24, 250).astype(np.uint8)[..., None], 3, -1)


@lru_cache(maxsize=8)
def _paper(h, w):
    """A wobble (flat indices) and a paper's grain (H, W, 1) for water colours."""
    random = np.random.default_rng(4)

    def smooth(cells):
        image = Image.fromarray(random.standard_normal((cells, cells)).astype(np.float32))
        return np.asarray(image.resize((w, h), Image.BICUBIC))
    y, x = np.mgrid[0:h, 0:w]
    y = np.clip(y + 1.6 * smooth(20) + 0.4 * smooth(50), 0, h - 1).astype(np.int32)
    x = np.clip(x + 1.6 * smooth(20) + 0.4 * smooth(50), 0, w - 1).astype(np.int32)
    grain = np.clip(0.9 + 0.05 * smooth(100) + 0.07 * smooth(6), 0.6, 1.08)
    return (y * w + x), (256 * grain).astype(np.uint16)[..., None]


def _watercolour(frame, number):
    h, w = frame.shape[:2]
    wobble, grain = _paper(h, w)
    small = Image.fromarray(np.ascontiguousarray(frame)).reduce(2).resize((w, h), Image.BILINEAR)
    soft = np.take(np.asarray(small).reshape(-1, 3), wobble, axis=0)
    edges = np.minimum(_edges(soft[..., 1]), 90)[..., None]
    ink = (255 - soft).astype(np.uint16)
    return (255 - np.minimum((ink * grain >> 8) * 7 // 8 + (edges // 3).astype(np.uint16), 240)).astype(np.uint8)


def _pixel_art(frame, number):
    small = np.asarray(Image.fromarray(np.ascontiguousarray(frame)).reduce(4))
    small = (small & 0xE0) + (small >> 4)
    return np.repeat(np.repeat(small, 4, 0), 4, 1)


def _comic(frame, number):
    flat = np.take(_POSTER, frame)
    line = np.take(_curve((0, 255), (34, 255), (74, 0), (255, 0)), np.minimum(_edges(_grey(frame)), 255))
    return np.minimum(flat, line[..., None])


def _cut_out(frame, number):
    h, w = frame.shape[:2]
    grain = 256 - (276 - np.minimum(_paper(h, w)[1], 276)) // 4
    return (frame.astype(np.uint16) * grain >> 8).astype(np.uint8)


def _neon(frame, number):
    h, w = frame.shape[:2]
    edges = np.stack([_edges(frame[..., c]) for c in range(3)], -1)
    line = np.minimum(3 * edges, 255).astype(np.uint8)
    glow = np.asarray(Image.fromarray(line).reduce(4).resize((w, h), Image.BILINEAR)).astype(np.int16)
    base = np.array([10, 4, 26], np.int16) + (frame >> 4)
    return np.minimum(base + line + glow, 255).astype(np.uint8)


LOOKS = [
    Look("", ("", "photo-like", "realistic", "photorealistic"), lambda frame, number: frame),
    Look("black and white", ("black and white", "in black and white", "monochrome", "black-and-white film"), _black_and_white),
    Look("sepia", ("sepia", "an old photograph", "in sepia tones", "sepia film"), _sepia),
    Look("film grain", ("film grain", "grainy film", "16 mm film", "old film stock"), _film_grain),
    Look("pencil sketch", ("pencil sketch", "pencil drawing", "drawn with a pencil"), _pencil),
    Look("watercolour", ("watercolour", "watercolor painting", "painted in watercolour"), _watercolour),
    Look("pixel art", ("pixel art", "8-bit", "retro video game"), _pixel_art),
    Look("comic", ("comic", "comic book style", "cartoon with black outlines"), _comic),
    Look("paper cut-out", ("paper cut-out", "made of paper", "cut out of paper"), _cut_out, True),
    Look("neon", ("neon", "glowing neon lines", "neon outlines"), _neon),
]
BY_NAME = {k.name: k for k in LOOKS}
