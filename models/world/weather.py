# SPDX-License-Identifier: LGPL-2.1-or-later
"""Weather: what it does to colours and what falls and drifts through the picture. Lengths in heights unless said otherwise."""

import math
import random
from dataclasses import dataclass
from functools import lru_cache

import cairo
import numpy as np

from .light import Grade, NEUTRAL


@dataclass(frozen=True)
class Weather:
    name: str
    phrases: tuple
    grade: Grade = NEUTRAL
    grey: float = 0.0       # share of grey in the sky
    haze: float = 0.0       # more haze
    layers: tuple = ()      # (kind, depth, speed down, speed to the right) of repeating tiles


WEATHERS = [
    Weather("", ("",)),
    Weather("rain", ("in the rain", "on a rainy day", "while it rains"), Grade((0.78, 0.82, 0.88), (0.0, 0.0, 0.01), 0.75), 0.75, 0.15,
            (("far rain", 0.4, 1.1, -0.12), ("rain", 1.1, 1.7, -0.2))),
    Weather("snow", ("in falling snow", "while it snows", "in a snowfall"), Grade((0.92, 0.94, 0.98), (0.02, 0.02, 0.03), 0.85), 0.6, 0.15,
            (("far snow", 0.4, 0.10, 0.03), ("snow", 0.9, 0.17, 0.05), ("near snow", 1.3, 0.26, 0.08))),
    Weather("fog", ("in the fog", "in thick fog", "in the mist"), Grade((0.86, 0.88, 0.9), (0.08, 0.08, 0.085), 0.65), 0.8, 0.4,
            (("fog", 0.5, 0.0, 0.03), ("fog", 1.2, 0.0, -0.05))),
    Weather("storm", ("in a thunderstorm", "in a storm with lightning", "in a storm"), Grade((0.56, 0.6, 0.7), (0.0, 0.0, 0.02), 0.65), 0.92,
            0.2,
            (("far rain", 0.4, 1.3, -0.5), ("rain", 1.1, 2.0, -0.8))),
    Weather("wind", ("in the wind", "on a windy day", "in a strong wind"), NEUTRAL, 0.15, 0.0, (("dust", 1.1, 0.05, 1.1),)),
]
BY_NAME = {w.name: w for w in WEATHERS}
GREYS = ((0.44, 0.47, 0.53), (0.60, 0.63, 0.68), (0.74, 0.76, 0.79))


@lru_cache(maxsize=64)
def _tile(kind, width, height):
    """A tile of the picture's size that repeats in both directions."""
    surface = cairo.ImageSurface(cairo.FORMAT_ARGB32, width, height)
    ctx, rng = cairo.Context(surface), random.Random(kind)
    ctx.scale(height, height)
    aspect = width / height
    ctx.set_line_cap(cairo.LINE_CAP_ROUND)

    def again(draw, x, y):
        for dx in (-aspect, 0, aspect):
            for dy in (-1, 0, 1):
                draw(x + dx, y + dy)
    if kind.endswith("rain"):
        far = kind.startswith("far")
        ctx.set_line_width(0.0035 if far else 0.006)
        for _ in range(round((70 if far else 36) * aspect)):
            ctx.set_source_rgba(0.85, 0.9, 1.0, rng.uniform(0.25, 0.45) if far else rng.uniform(0.35, 0.65))
            long = rng.uniform(0.04, 0.06) if far else rng.uniform(0.07, 0.11)

            def streak(x, y, long=long):
                ctx.move_to(x, y)
                ctx.line_to(x - 0.14 * long, y + long)
                ctx.stroke()
            again(streak, rng.uniform(0, aspect), rng.random())
    elif kind.endswith("snow"):
        size, count = {"far snow": (0.005, 60), "snow": (0.009, 30), "near snow": (0.016, 10)}[kind]
        for _ in range(round(count * aspect)):
            r = size * rng.uniform(0.7, 1.3)
            ctx.set_source_rgba(1, 1, 1, 0.7 if kind == "near snow" else 0.92)

            def flake(x, y, r=r):
                ctx.arc(x, y, r, 0, math.tau)
                ctx.fill()
            again(flake, rng.uniform(0, aspect), rng.random())
    elif kind == "dust":
        ctx.set_line_width(0.004)
        for _ in range(round(16 * aspect)):
            ctx.set_source_rgba(1, 1, 0.96, rng.uniform(0.25, 0.5))
            long = rng.uniform(0.08, 0.22)

            def streak(x, y, long=long):
                ctx.move_to(x, y)
                ctx.curve_to(x + 0.3 * long, y - 0.02, x + 0.7 * long, y + 0.02, x + long, y)
                ctx.stroke()
            again(streak, rng.uniform(0, aspect), rng.random())
    else:
        return _fog(width, height)
    return surface, None


def _fog(width, height):
    """Banks of fog, thicker towards the ground."""
    y, x = np.mgrid[0:height, 0:width]
    u, v = math.tau * x / width, y / height
    cloud = 0.5 + 0.24 * np.sin(u + 5 * v) + 0.16 * np.sin(2 * u - 9 * v + 1) + 0.10 * np.sin(3 * u + 14 * v + 2)
    alpha = np.clip(cloud * (0.16 + 0.5 * np.exp(-((v - 0.72) / 0.24) ** 2)), 0, 0.72)
    memory = np.empty((height, width, 4), np.uint8)
    for channel, value in enumerate((0.90, 0.885, 0.87, 1.0)):
        memory[..., channel] = 255 * value * alpha
    return cairo.ImageSurface.create_for_data(memory, cairo.FORMAT_ARGB32, width, height), memory


def paint(ctx, weather, size, seconds, way, front, bright=1.0):
    """What is behind the actors or, with `front`, before them; ctx in pixels, way of the camera in heights; bright: 1 by day."""
    width, height = size
    for kind, depth, down, right in weather.layers:
        if (depth > 1) != front:
            continue
        sway = 0.02 * math.sin(1.3 * seconds + 3 * depth) if kind.endswith("snow") else 0.0
        pattern = cairo.SurfacePattern(_tile(kind, width, height)[0])
        pattern.set_extend(cairo.EXTEND_REPEAT)
        x = (right * seconds + sway - way * depth) * height
        if kind == "fog":
            pattern.set_matrix(cairo.Matrix(1, 0, 0, 1, -x % width, 0))
        else:
            pattern.set_matrix(cairo.Matrix(1, 0, 0, 1, round(-x) % width, round(-down * seconds * height) % height))
            pattern.set_filter(cairo.FILTER_NEAREST)
        ctx.set_source(pattern)
        ctx.paint_with_alpha(bright) if bright < 1 else ctx.paint()


def flash(weather, seconds, seed):
    """How bright lightning is, 0..1: every few seconds it strikes and flickers once."""
    if weather.name != "storm":
        return 0.0
    u = (seconds / 2.6 + seed) % 1 * 2.6
    return max(0.0, 1 - u / 0.12) if u < 0.12 else 0.8 * max(0.0, 1 - (u - 0.2) / 0.35) if u > 0.2 else 0.0


def paint_flash(ctx, size, bright, seconds, seed):
    """The sky lights up and a bolt comes down."""
    width, height = size
    ctx.set_source_rgba(0.85, 0.88, 1.0, 0.5 * bright)
    ctx.paint()
    rng = random.Random(int(seconds / 2.6 + seed) + int(1000 * seed))
    x, y = rng.uniform(0.15, 0.85) * width, 0.0
    ctx.move_to(x, y)
    while y < 0.55 * height:
        x, y = x + rng.uniform(-0.06, 0.06) * height, y + rng.uniform(0.05, 0.1) * height
        ctx.line_to(x, y)
    path = ctx.copy_path()
    for line, alpha in ((0.03, 0.3), (0.009, 1.0)):
        ctx.set_line_width(line * height)
        ctx.set_source_rgba(0.95, 0.95, 1.0, alpha * min(1.0, 1.6 * bright))
        ctx.stroke()
        ctx.append_path(path)
    ctx.new_path()
