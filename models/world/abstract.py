# SPDX-License-Identifier: LGPL-2.1-or-later
"""Pictures of nothing: colours, waves, rings and lights in motion, without a place or an actor."""

import math
from dataclasses import dataclass
from typing import Callable

import cairo
import numpy as np

from . import light

PALETTES = {
    "red and orange": ((0.25, 0.02, 0.08), (0.85, 0.12, 0.15), (1.0, 0.55, 0.12), (1.0, 0.88, 0.5)),
    "blue and white": ((0.02, 0.06, 0.25), (0.08, 0.35, 0.8), (0.45, 0.75, 1.0), (0.97, 0.99, 1.0)),
    "blue and orange": ((0.04, 0.1, 0.35), (0.1, 0.45, 0.85), (0.98, 0.6, 0.2), (1.0, 0.9, 0.65)),
    "green and yellow": ((0.02, 0.16, 0.1), (0.1, 0.55, 0.25), (0.65, 0.85, 0.2), (1.0, 0.98, 0.6)),
    "purple and pink": ((0.12, 0.02, 0.28), (0.5, 0.15, 0.75), (0.98, 0.4, 0.75), (1.0, 0.85, 0.95)),
    "gold and black": ((0.02, 0.02, 0.02), (0.35, 0.22, 0.03), (0.85, 0.62, 0.15), (1.0, 0.93, 0.65)),
    "rainbow": ((0.9, 0.15, 0.2), (0.98, 0.8, 0.15), (0.15, 0.7, 0.4), (0.25, 0.3, 0.9)),
}


@dataclass(frozen=True)
class Kind:
    name: str
    phrases: tuple            # with {} for the colours
    paint: Callable           # (tools, seconds)


@dataclass(frozen=True)
class Abstract:
    kind: Kind
    palette: str
    pace: float

    def painter(self, ctx, pixels, size, rng):
        tools = _Tools(ctx, pixels, size, rng, PALETTES[self.palette])
        return lambda seconds: self.kind.paint(tools, seconds * self.pace)


class _Tools:
    def __init__(self, ctx, pixels, size, rng, palette):
        self.ctx, self.pixels, self.size, self.palette = ctx, pixels, size, palette
        self.aspect = size[0] / size[1]
        self.numbers = [rng.random() for _ in range(200)]
        stops = [*palette, palette[0]]
        ramp = np.stack([np.interp(np.arange(256) / 255 * (len(stops) - 1), range(len(stops)), [s[c] for s in stops]) for c in (2, 1, 0)], -1)
        self.ramp = np.concatenate([(255 * ramp).astype(np.uint8), np.full((256, 1), 255, np.uint8)], -1)
        self.half = (size[1] // 2, size[0] // 2)
        y, x = np.mgrid[0:self.half[0], 0:self.half[1]].astype(np.float32)
        self.y = (y + 0.5) / self.half[0] - 0.5
        self.x = ((x + 0.5) / self.half[1] - 0.5) * np.float32(self.aspect)
        self.radius = np.hypot(self.x, self.y)
        self.angle = np.arctan2(self.y, self.x)
        self.kept = {}

    def field(self, value):
        """Shows a field (H/2, W/2) of turns through the palette over the whole picture."""
        index = (value * np.float32(256)).astype(np.int32) & 255
        image = np.ascontiguousarray(np.take(self.ramp, index, axis=0))
        surface = cairo.ImageSurface.create_for_data(image, cairo.FORMAT_RGB24, self.half[1], self.half[0])
        pattern = cairo.SurfacePattern(surface)
        pattern.set_matrix(cairo.Matrix(self.half[1] / self.size[0], 0, 0, self.half[0] / self.size[1], 0, 0))
        pattern.set_extend(cairo.EXTEND_PAD)
        self.ctx.set_source(pattern)
        self.ctx.paint()

    def back(self, colour):
        self.ctx.set_source_rgb(*colour)
        self.ctx.paint()

    def heights(self):
        """The context in heights with the middle at (0, 0); restore ends it."""
        self.ctx.save()
        self.ctx.translate(self.size[0] / 2, self.size[1] / 2)
        self.ctx.scale(self.size[1], self.size[1])


def _sin(x):
    return np.sin(x, dtype=np.float32)


def _swirl(k, t):
    n = k.numbers
    twist = k.angle + 5 * np.exp(-2.5 * k.radius) * math.sin(0.35 * t + n[0]) + np.float32(0.5 * t)
    value = 0.18 * _sin(3 * twist + 9 * k.radius - np.float32(1.2 * t)) + 0.16 * _sin(5 * k.x + 4 * _sin(3 * k.y + np.float32(0.6 * t)))
    k.field(value + np.float32(0.5 + 0.03 * t))


def _plasma(k, t):
    n = k.numbers
    value = 0
    for i in range(3):
        across = k.x * math.cos(6 * n[i + 9]) + k.y * math.sin(6 * n[i + 9])
        value += _sin(np.float32(4 + 5 * n[i]) * across + np.float32((0.5 + n[i + 4]) * t))
    k.field(0.14 * value + 0.12 * _sin(11 * k.radius - np.float32(1.4 * t)) + np.float32(0.5))


def _tunnel(k, t):
    value = np.float32(0.09) / (k.radius + 0.05) + np.float32(0.35 * t) + 0.12 * _sin(4 * k.angle + np.float32(0.6 * t))
    k.field(value)


def _spiral(k, t):
    k.field(k.angle * np.float32(2 / math.tau) + 1.4 * k.radius - np.float32(0.35 * t))


def _kaleidoscope(k, t):
    """One wedge of moving blobs, mirrored six times around the middle."""
    folded = np.abs((k.angle / np.float32(math.pi / 3) + np.float32(0.08 * t)) % 2 - 1) * np.float32(math.pi / 3)
    x, y = k.radius * np.cos(folded), k.radius * np.sin(folded)
    value = _sin(13 * x + np.float32(1.1 * t)) + _sin(17 * y - np.float32(0.8 * t)) + _sin(9 * (x + y) + np.float32(0.5 * t))
    k.field(0.16 * value + np.float32(0.5))


def _waves(k, t):
    k.back(k.palette[0])
    k.heights()
    ctx, n = k.ctx, k.numbers
    for i in range(6):
        colour = [a + (b - a) * (i % 2) / 2 for a, b in zip(k.palette[1 + i // 2], k.palette[min(3, 2 + i // 2)])]
        x = -0.5 * k.aspect - 0.05
        ctx.move_to(x, 0.6)
        while x < 0.5 * k.aspect + 0.06:
            ctx.line_to(x, -0.32 + 0.14 * i + 0.06 * math.sin(5 * x + 6 * n[i] + (0.7 + 0.15 * i) * t) + 0.03 * math.sin(11 * x - 0.9 * t + i))
            x += 0.03
        ctx.line_to(x, 0.6)
        ctx.close_path()
        ctx.set_source_rgb(*colour)
        ctx.fill()
    ctx.restore()


def _rings(k, t):
    k.back(k.palette[0])
    k.heights()
    reach = 0.72 * max(1.0, k.aspect)
    for i in range(12):
        u = (i / 12 + 0.12 * t) % 1
        k.ctx.set_source_rgba(*k.palette[1 + i % 3], min(1.0, 4 * u, 3 * (1 - u)))
        k.ctx.set_line_width(0.012 + 0.03 * u)
        k.ctx.arc(0.04 * math.sin(0.7 * t), 0.04 * math.cos(0.9 * t), 0.01 + reach * u, 0, math.tau)
        k.ctx.stroke()
    k.ctx.restore()


def _particles(k, t):
    """Sparks that fly out of the middle and fall."""
    k.back([0.5 * c for c in k.palette[0]])
    k.heights()
    for i in range(56):
        u = (k.numbers[i] + 0.42 * t) % 1
        angle, speed = math.tau * k.numbers[i + 56], 0.35 + 0.5 * k.numbers[i + 112]
        x, y = speed * u * math.cos(angle), 0.15 + speed * u * math.sin(angle) - 0.3 * u + 0.5 * u * u
        r = 0.03 * (1 - 0.7 * u)
        light.paint_glow(k.ctx, x, y, r, k.palette[1 + i % 3], min(1.0, 5 * u) * (1 - u))
    k.ctx.restore()


def _bokeh(k, t):
    """Soft lights out of focus that drift and breathe."""
    k.back([0.6 * c for c in k.palette[0]])
    k.heights()
    for i in range(24):
        n = k.numbers[4 * i:4 * i + 4]
        x = ((n[0] + 0.02 * (n[3] - 0.5) * t) % 1.3 - 0.65) * k.aspect
        y = (n[1] + 0.03 * t * (0.3 + n[2])) % 1.3
        r = 0.04 + 0.07 * n[2]
        k.ctx.set_source_rgba(*k.palette[1 + i % 3], 0.25 + 0.15 * math.sin(0.8 * t + 6 * n[3]))
        k.ctx.arc(x, 0.65 - y, r, 0, math.tau)
        k.ctx.fill_preserve()
        k.ctx.set_line_width(0.004)
        k.ctx.stroke()
    k.ctx.restore()


def _fireworks(k, t):
    k.back((0.01, 0.01, 0.06))
    k.heights()
    for rocket in range(3):
        turns = 0.45 * t + rocket / 3 + k.numbers[rocket]
        u, n = turns % 1, k.numbers[(int(turns) * 7 + rocket * 31) % 150:][:3]
        x, y = (n[0] - 0.5) * 0.8 * k.aspect, -0.3 + 0.3 * n[1]
        if u < 0.3:
            light.paint_glow(k.ctx, x, 0.55 + (y - 0.55) * math.sin(u / 0.3 * math.pi / 2), 0.03, (1, 0.9, 0.6))
            continue
        v = (u - 0.3) / 0.7
        for i in range(20):
            angle = math.tau * i / 20
            reach = 0.3 * (1 - (1 - v) ** 2) * (0.55 if i % 2 else 1)
            light.paint_glow(k.ctx, x + reach * math.cos(angle), y + reach * math.sin(angle) + 0.14 * v * v, 0.045,
                             k.palette[1 + (i + rocket) % 3], (1 - v) ** 0.6)
    k.ctx.restore()


def _shapes(k, t):
    """Squares and triangles that turn and drift."""
    k.back(k.palette[0])
    k.heights()
    for i in range(14):
        n = k.numbers[5 * i:5 * i + 5]
        size = 0.05 + 0.09 * n[2]
        x = ((n[0] + 0.03 * (n[3] - 0.5) * t) % 1.4 - 0.7) * k.aspect
        y = (n[1] + 0.04 * (n[4] - 0.5) * t) % 1.4 - 0.7
        k.ctx.save()
        k.ctx.translate(x, y)
        k.ctx.rotate((n[3] - 0.5) * 2.5 * t + 6 * n[4])
        k.ctx.set_source_rgba(*k.palette[1 + i % 3], 0.88)
        corners = 3 + i % 4
        for c in range(corners):
            k.ctx.line_to(size * math.cos(math.tau * c / corners), size * math.sin(math.tau * c / corners))
        k.ctx.close_path()
        k.ctx.fill()
        k.ctx.restore()
    k.ctx.restore()


KINDS = [
    Kind("swirl", ("swirling {} colours", "a swirl of {} paint", "abstract {} swirls"), _swirl),
    Kind("plasma", ("flowing {} colours", "abstract {} liquid", "soft {} plasma"), _plasma),
    Kind("tunnel", ("a tunnel of {} light", "flying through a {} tunnel", "an endless {} tunnel"), _tunnel),
    Kind("spiral", ("a turning {} spiral", "a hypnotic {} spiral", "abstract {} spiral"), _spiral),
    Kind("kaleidoscope", ("a {} kaleidoscope", "kaleidoscope patterns in {}", "mirrored {} patterns"), _kaleidoscope),
    Kind("waves", ("abstract {} waves", "rolling waves of {}", "layered {} waves"), _waves),
    Kind("rings", ("expanding {} rings", "{} rings on a dark ground", "concentric {} circles"), _rings),
    Kind("particles", ("{} particles", "a fountain of {} sparks", "{} sparks flying"), _particles),
    Kind("bokeh", ("{} bokeh lights", "soft {} lights out of focus", "drifting {} lights"), _bokeh),
    Kind("fireworks", ("{} fireworks", "{} fireworks in the dark", "exploding {} fireworks"), _fireworks),
    Kind("shapes", ("{} geometric shapes", "turning {} triangles and squares", "abstract {} shapes"), _shapes),
]
BY_NAME = {k.name: k for k in KINDS}
