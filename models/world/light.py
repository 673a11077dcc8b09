# SPDX-License-Identifier: LGPL-2.1-or-later
"""Light: how times of day, weather and lamps change colours, and what they lay over the picture."""

import math
from dataclasses import dataclass
from functools import lru_cache

import cairo
import numpy as np


@dataclass(frozen=True)
class Grade:
    """Colour' = gain * (colour with its saturation changed) + lift; all in 0..1."""
    gain: tuple = (1.0, 1.0, 1.0)
    lift: tuple = (0.0, 0.0, 0.0)
    saturation: float = 1.0

    def then(self, other):
        """This grade, then the other one; exact but for the other's saturation on this lift."""
        gain = tuple(a * b for a, b in zip(self.gain, other.gain))
        lift = tuple(a * b + c for a, b, c in zip(self.lift, other.gain, other.lift))
        return Grade(gain, lift, self.saturation * other.saturation)

    def half(self, share):
        """`share` of the way to this grade."""
        return Grade(tuple(1 + share * (g - 1) for g in self.gain), tuple(share * v for v in self.lift), 1 + share * (self.saturation - 1))

    def colour(self, rgb):
        grey = 0.3 * rgb[0] + 0.59 * rgb[1] + 0.11 * rgb[2]
        return tuple(min(1.0, max(0.0, (grey + (c - grey) * self.saturation) * g + v)) for c, g, v in zip(rgb, self.gain, self.lift))

    def pixels(self, rgb):
        """rgb (H, W, 3) float32 in 0..1."""
        if self == NEUTRAL:
            return rgb
        if self.saturation != 1:
            grey = rgb @ np.array([0.3, 0.59, 0.11], np.float32)
            rgb = grey[..., None] + (rgb - grey[..., None]) * np.float32(self.saturation)
        return np.clip(rgb * np.array(self.gain, np.float32) + np.array(self.lift, np.float32), 0, 1)


NEUTRAL = Grade()


@dataclass(frozen=True)
class Time:
    """A time of day: what it does to colours, and the sky from top to horizon."""
    name: str
    phrases: tuple
    grade: Grade
    sky: tuple            # colours from the top to the horizon
    body: tuple = ()      # the sun or moon: red, green, blue, its height in the sky, its radius


TIMES = [
    Time("", ("",), NEUTRAL, ((0.25, 0.54, 0.94), (0.56, 0.78, 0.98), (0.84, 0.94, 1.0))),
    Time("dawn", ("at dawn", "at sunrise", "early in the morning"), Grade((1.0, 0.88, 0.9), (0.05, 0.015, 0.03), 0.9),
         ((0.38, 0.47, 0.78), (0.86, 0.70, 0.80), (1.0, 0.80, 0.64)), (1.0, 0.93, 0.78, 0.54, 0.07)),
    Time("noon", ("at noon", "at midday", "in bright sunshine"), Grade((1.06, 1.05, 0.98), (0.02, 0.02, 0.0), 1.1),
         ((0.10, 0.42, 0.92), (0.36, 0.68, 0.98), (0.74, 0.91, 1.0)), (1.0, 0.98, 0.82, 0.12, 0.06)),
    Time("sunset", ("at sunset", "in the evening", "at dusk"), Grade((1.0, 0.74, 0.62), (0.05, 0.0, 0.03), 1.0),
         ((0.24, 0.16, 0.44), (0.86, 0.36, 0.36), (1.0, 0.72, 0.32)), (1.0, 0.84, 0.42, 0.5, 0.1)),
    Time("night", ("at night", "by night", "in the dark of night"), Grade((0.30, 0.36, 0.56), (0.0, 0.01, 0.04), 0.75),
         ((0.015, 0.02, 0.10), (0.05, 0.07, 0.22), (0.13, 0.16, 0.36)), (0.96, 0.95, 0.84, 0.16, 0.05)),
]
TIME_BY_NAME = {t.name: t for t in TIMES}


@dataclass(frozen=True)
class Light:
    name: str
    phrases: tuple
    place: Grade               # for the place
    actor: Grade               # for the actors
    overlay: str = ""          # what is laid over the picture: see paint_overlay


LIGHTS = [
    Light("", ("",), NEUTRAL, NEUTRAL),
    Light("golden hour", ("at golden hour", "in golden light", "in warm golden light"),
          Grade((1.1, 0.9, 0.6), (0.05, 0.02, 0.0), 1.0), Grade((1.12, 0.94, 0.68), (0.05, 0.02, 0.0), 1.0), "sun"),
    Light("moonlight", ("in moonlight", "lit by the moon", "in pale blue moonlight"),
          Grade((0.34, 0.46, 0.78), (0.0, 0.02, 0.06), 0.5), Grade((0.56, 0.68, 1.0), (0.0, 0.02, 0.05), 0.6), "moon"),
    Light("spotlight", ("in a spotlight", "lit by a spotlight", "in the beam of a spotlight"),
          Grade((0.86, 0.84, 0.86), (0.02, 0.02, 0.02), 0.9), Grade((1.14, 1.12, 1.04), (0.06, 0.06, 0.04), 1.05), "spot"),
    Light("neon light", ("in neon light", "lit by neon lights", "in pink and blue neon light"),
          Grade((0.52, 0.34, 0.74), (0.03, 0.0, 0.08), 0.9), Grade((0.92, 0.7, 1.02), (0.04, 0.0, 0.08), 1.0), "neon"),
    Light("candle light", ("by candle light", "in candlelight", "lit by candles"),
          Grade((0.86, 0.56, 0.30), (0.02, 0.0, 0.0), 0.85), Grade((1.04, 0.78, 0.48), (0.04, 0.01, 0.0), 0.95), "candle"),
    Light("backlight", ("as a silhouette", "in silhouette", "against the light"),
          Grade((1.05, 0.92, 0.78), (0.06, 0.03, 0.0), 0.8), Grade((0.08, 0.07, 0.1), (0.02, 0.01, 0.02), 0.5), ""),
]
LIGHT_BY_NAME = {k.name: k for k in LIGHTS}


@lru_cache(maxsize=32)
def glow(red, green, blue, size=64):
    """A round soft light, size x size, for painting with OPERATOR_ADD or OVER."""
    surface = cairo.ImageSurface(cairo.FORMAT_ARGB32, size, size)
    ctx = cairo.Context(surface)
    gradient = cairo.RadialGradient(size / 2, size / 2, 0, size / 2, size / 2, size / 2)
    for stop, alpha in ((0, 1.0), (0.25, 0.62), (0.5, 0.27), (0.75, 0.08), (1, 0)):
        gradient.add_color_stop_rgba(stop, red, green, blue, alpha)
    ctx.set_source(gradient)
    ctx.paint()
    return surface


def paint_glow(ctx, x, y, radius, rgb, alpha=1.0):
    surface = glow(*(round(c, 2) for c in rgb))
    pattern = cairo.SurfacePattern(surface)
    k = surface.get_width() / (2 * radius)
    pattern.set_matrix(cairo.Matrix(k, 0, 0, k, (radius - x) * k, (radius - y) * k))
    ctx.save()
    ctx.set_source(pattern)
    ctx.rectangle(x - radius, y - radius, 2 * radius, 2 * radius)
    ctx.clip()
    ctx.paint_with_alpha(alpha)
    ctx.restore()


@lru_cache(maxsize=16)
def _hole(width, height, radius):
    """A mask twice the picture's size: 0 in the middle, 1 outside `radius` pixels."""
    surface = cairo.ImageSurface(cairo.FORMAT_A8, 2 * width, 2 * height)
    ctx = cairo.Context(surface)
    gradient = cairo.RadialGradient(width, height, 0, width, height, radius)
    for stop, alpha in ((0, 0.0), (0.6, 0.04), (0.8, 0.45), (1, 1.0)):
        gradient.add_color_stop_rgba(stop, 0, 0, 0, alpha)
    ctx.set_source(gradient)
    ctx.paint()
    return surface


@lru_cache(maxsize=16)
def _sides(width, height):
    """Pink light from the left and cyan light from the right."""
    surface = cairo.ImageSurface(cairo.FORMAT_ARGB32, width, height)
    ctx = cairo.Context(surface)
    gradient = cairo.LinearGradient(0, 0, width, 0)
    for stop, rgba in ((0, (1, 0.1, 0.6, 0.42)), (0.45, (0.8, 0.1, 0.8, 0.02)), (0.55, (0.1, 0.6, 1, 0.02)), (1, (0.05, 0.8, 1, 0.42))):
        gradient.add_color_stop_rgba(stop, *rgba)
    ctx.set_source(gradient)
    ctx.paint()
    return surface


@lru_cache(maxsize=32)
def _corner(width, height, rgb):
    """Light that comes in from the upper right corner."""
    surface = cairo.ImageSurface(cairo.FORMAT_ARGB32, width, height)
    ctx = cairo.Context(surface)
    gradient = cairo.RadialGradient(width * 0.85, height * 0.1, 0, width * 0.85, height * 0.1, max(width, height))
    for stop, alpha in ((0, 0.5), (0.3, 0.22), (1, 0.0)):
        gradient.add_color_stop_rgba(stop, *rgb, alpha)
    ctx.set_source(gradient)
    ctx.paint()
    return surface


def paint_overlay(ctx, light, size, x, y, reach, seconds):
    """Lays the light over a finished picture; (x, y): pixels of where it falls, inside the picture; reach: its radius in heights at least."""
    width, height = size
    kind = light.overlay
    if kind == "spot":
        ctx.set_source_rgba(0.0, 0.0, 0.03, 0.8)
        ctx.mask_surface(_hole(width, height, int(max(0.44, 0.1 * math.ceil(10 * reach)) * height)), round(x) - width, round(y) - height)
    elif kind == "candle":
        flicker = 1 + 0.06 * math.sin(9 * seconds) + 0.05 * math.sin(23.7 * seconds + 1)
        ctx.set_source_rgba(0.06, 0.015, 0.0, min(1.0, 0.8 / flicker))
        ctx.mask_surface(_hole(width, height, int(0.75 * height)), round(x) - width, round(y) - height)
    elif kind == "neon":
        ctx.set_source_surface(_sides(width, height))
        ctx.paint_with_alpha(0.85 + 0.15 * math.sin(2.2 * seconds))
    elif kind in ("sun", "moon"):
        ctx.set_source_surface(_corner(width, height, (1.0, 0.8, 0.4) if kind == "sun" else (0.55, 0.7, 1.0)))
        ctx.paint_with_alpha(1.0 if kind == "sun" else 0.5)
