# SPDX-License-Identifier: LGPL-2.1-or-later
"""The places: layers painted once a scene that slide at their own speed, and what moves in them by itself."""

import math
from dataclasses import dataclass
from typing import Callable

import cairo

SIZE = 256
TILE = 512  # layers repeat after this many pixels


@dataclass(frozen=True)
class Place:
    name: str
    phrases: tuple
    layers: Callable          # rng -> [(surface, parallax)]
    living: Callable = None   # (ctx, rng state, slide, seconds): drawn over the layers, behind the actors


def _surface(paint, width=TILE):
    surface = cairo.ImageSurface(cairo.FORMAT_ARGB32, width, SIZE)
    paint(cairo.Context(surface))
    surface.flush()
    return surface


def _gradient(*stops):
    """A layer that does not slide: (offset, red, green, blue) from the top to the bottom."""
    def paint(ctx):
        gradient = cairo.LinearGradient(0, 0, 0, SIZE)
        for stop in stops:
            gradient.add_color_stop_rgb(*stop)
        ctx.set_source(gradient)
        ctx.paint()
    return _surface(paint, TILE), 0.0


def _jitter(rng, colour, amount=0.03):
    shift = rng.uniform(-amount, amount)
    return [min(1.0, max(0.0, c + shift)) for c in colour]


def _ridge(rng, colour, base, height, waves, sharp=False):
    """A hill line that repeats after TILE; base and height in heights of the picture."""
    phases = [rng.uniform(0, math.tau) for _ in range(3)]

    def paint(ctx):
        ctx.set_source_rgb(*_jitter(rng, colour))
        ctx.move_to(0, SIZE)
        for x in range(0, TILE + 1, 4):
            u = math.tau * x / TILE
            y = sum(math.sin(k * waves * u + p) / k for k, p in zip((1, 2, 3), phases)) / 1.6
            y = 1 - 2 * abs(y) if sharp else y
            ctx.line_to(x, SIZE * (base - height * y))
        ctx.line_to(TILE, SIZE)
        ctx.close_path()
        ctx.fill()
    return paint


def _repeat(items, draw):
    """Draws every item (its first entry is x) at x and beside the tile's edges, so that the layer repeats."""
    def paint(ctx):
        for item in items:
            for shift in (-TILE, 0, TILE):
                draw(ctx, item[0] + shift, *item[1:])
    return paint


def _disc(ctx, x, y, radius, colour):
    ctx.set_source_rgba(*colour)
    ctx.arc(x, y, radius, 0, math.tau)
    ctx.fill()


def _clouds(rng, count, top, bottom, alpha=0.9):
    def draw(ctx, x, y, s):
        for dx, dy, r in ((0, 0, 1), (-1.1, 0.3, 0.7), (1.1, 0.3, 0.75), (0.4, -0.4, 0.7)):
            _disc(ctx, x + dx * s, y + dy * s, r * s, (1, 1, 1, alpha))
    step = TILE / count
    return _repeat([(i * step + rng.uniform(0, 0.7 * step), rng.uniform(top, bottom) * SIZE, rng.uniform(9, 18))
                    for i in range(count)], draw)


def _stars(rng, count, bottom=1.0):
    return _repeat([(rng.uniform(0, TILE), rng.uniform(0, bottom) * SIZE, rng.uniform(0.8, 2.0), (1, 1, 0.9, 1))
                    for _ in range(count)], _disc)


def _blue_sky(rng):
    return [_gradient((0, 0.27, 0.55, 0.95), (1, 0.75, 0.89, 1)), (_surface(_clouds(rng, 5, 0.1, 0.75)), 0.4)]


def _night_sky(rng):
    return [_gradient((0, 0.01, 0.02, 0.12), (1, 0.10, 0.12, 0.34)), (_surface(_stars(rng, 90)), 0.2),
            (_surface(_ridge(rng, (0.04, 0.06, 0.13), 0.9, 0.04, 2)), 0.7)]


def _sunset(rng):
    def sun(ctx):
        _disc(ctx, SIZE * rng.uniform(0.35, 0.65), SIZE * 0.66, SIZE * 0.13, (1, 0.87, 0.45, 1))
    return [_gradient((0, 0.34, 0.14, 0.46), (0.55, 0.93, 0.40, 0.30), (1, 1.0, 0.68, 0.25)), (_surface(sun, SIZE), 0.0),
            (_surface(_ridge(rng, (0.23, 0.10, 0.22), 0.84, 0.05, 2)), 0.7)]


def _sea(rng):
    def water(ctx):
        gradient = cairo.LinearGradient(0, 0.6 * SIZE, 0, SIZE)
        gradient.add_color_stop_rgb(0, 0.12, 0.45, 0.75)
        gradient.add_color_stop_rgb(1, 0.03, 0.20, 0.46)
        ctx.set_source(gradient)
        ctx.rectangle(0, 0.6 * SIZE, TILE, SIZE)
        ctx.fill()
    return [_gradient((0, 0.45, 0.72, 0.96), (0.6, 0.88, 0.96, 1), (1, 0.88, 0.96, 1)),
            (_surface(_clouds(rng, 3, 0.08, 0.35, 0.8)), 0.2), (_surface(water), 0.0)]


def _waves(ctx, seed, slide, t):
    ctx.set_source_rgba(1, 1, 1, 0.4)
    ctx.set_line_width(2.5)
    for i in range(4):
        y = 0.66 * SIZE + i * 22
        for x in range(0, SIZE + 9, 8):
            ctx.line_to(x, y + 3 * math.sin((x - slide * SIZE + i * 23 + t * 25) * 0.0736))
        ctx.stroke()


def _under_water(rng):
    def plants(ctx, x, height, lean):
        ctx.set_source_rgb(0.08, 0.42, 0.30)
        ctx.set_line_width(7)
        ctx.move_to(x, 0.95 * SIZE)
        ctx.curve_to(x + lean, SIZE - height * 0.5, x - lean, SIZE - height * 0.7, x + lean, SIZE - height)
        ctx.stroke()
    weeds = [(rng.uniform(0, TILE), rng.uniform(40, 100), rng.uniform(-14, 14)) for _ in range(9)]
    return [_gradient((0, 0.16, 0.62, 0.78), (1, 0.02, 0.16, 0.38)), (_surface(_repeat(weeds, plants)), 0.6),
            (_surface(_ridge(rng, (0.72, 0.66, 0.46), 0.93, 0.02, 3)), 1.0)]


def _bubbles(ctx, seed, slide, t):
    for i in range(10):
        x = (seed * 997 * (i + 1) % 1 + 0.8 * slide) % 1 * SIZE
        y = (seed * 331 * (i + 1) % 1 - (0.12 + 0.02 * (i % 4)) * t) % 1 * SIZE
        _disc(ctx, x, y, 2.5 + i % 4, (0.8, 0.95, 1, 0.5))


def _meadow(rng):
    flowers = [(rng.uniform(0, TILE), rng.uniform(0.84, 0.98) * SIZE, 2.5,
                rng.choice([(1, 1, 1, 1), (1, 0.85, 0.2, 1), (0.95, 0.4, 0.5, 1)])) for _ in range(26)]
    return [_gradient((0, 0.42, 0.68, 0.98), (1, 0.86, 0.95, 1)), (_surface(_clouds(rng, 3, 0.06, 0.3)), 0.2),
            (_surface(_ridge(rng, (0.46, 0.75, 0.40), 0.64, 0.05, 2)), 0.5),
            (_surface(_ridge(rng, (0.26, 0.62, 0.25), 0.79, 0.03, 2)), 1.0), (_surface(_repeat(flowers, _disc)), 1.0)]


def _desert(rng):
    return [_gradient((0, 0.50, 0.72, 0.95), (1, 0.99, 0.92, 0.76)), (_surface(_ridge(rng, (0.92, 0.77, 0.48), 0.66, 0.06, 2)), 0.5),
            (_surface(_ridge(rng, (0.82, 0.62, 0.34), 0.82, 0.04, 2)), 1.0)]


def _fir(shade):
    def draw(ctx, x, y, h):
        ctx.set_source_rgb(*shade)
        for k in range(3):
            top, wide = y - h + k * h * 0.24, h * 0.2 * (1 + 0.35 * k)
            ctx.move_to(x, top)
            ctx.line_to(x - wide, top + h * 0.4)
            ctx.line_to(x + wide, top + h * 0.4)
            ctx.close_path()
        ctx.fill()
    return draw


def _row(rng, count, y, low, high):
    step = TILE / count
    return [(i * step + rng.uniform(0, 0.7 * step), y * SIZE, rng.uniform(low, high)) for i in range(count)]


def _snow(rng):
    return [_gradient((0, 0.58, 0.71, 0.87), (1, 0.86, 0.91, 0.97)),
            (_surface(_repeat(_row(rng, 9, 0.76, 36, 64), _fir((0.30, 0.44, 0.48)))), 0.5),
            (_surface(_ridge(rng, (0.95, 0.97, 1.0), 0.75, 0.03, 2)), 1.0)]


def _flakes(ctx, seed, slide, t):
    for i in range(26):
        x = (seed * 997 * (i + 1) % 1 + 0.8 * slide + 0.03 * math.sin(2 * t + i)) % 1 * SIZE
        y = (seed * 331 * (i + 1) % 1 + 0.2 * t) % 1 * SIZE
        _disc(ctx, x, y, 2.0 + i % 3, (1, 1, 1, 0.95))


def _houses(rng, wall, window, low, high):
    """A row of buildings with lit windows, standing on the road."""
    items, x = [], 0.0
    while x < TILE - 24:
        width = min(rng.uniform(34, 60), TILE - x)
        items.append((x, width, rng.uniform(low, high), rng.uniform(0.75, 1.1)))
        x += width + 3

    def draw(ctx, x, width, height, shade):
        ctx.set_source_rgb(*[min(1, c * shade) for c in wall])
        ctx.rectangle(x, 0.84 * SIZE - height, width, height)
        ctx.fill()
        ctx.set_source_rgb(*window)
        for wy in range(int(0.84 * SIZE - height) + 8, int(0.84 * SIZE) - 12, 18):
            for wx in range(6, int(width) - 8, 13):
                ctx.rectangle(x + wx, wy, 7, 9)
        ctx.fill()
    return _repeat(items, draw)


def _road(colour):
    def paint(ctx):
        ctx.set_source_rgb(*colour)
        ctx.rectangle(0, 0.84 * SIZE, TILE, SIZE)
        ctx.fill()
        ctx.set_source_rgb(0.85, 0.85, 0.8)
        for x in range(0, TILE, 64):
            ctx.rectangle(x, 0.915 * SIZE, 34, 5)
        ctx.fill()
    return paint


def _city(rng):
    return [_gradient((0, 0.52, 0.70, 0.92), (1, 0.93, 0.92, 0.88)),
            (_surface(_houses(rng, (0.68, 0.73, 0.80), (0.78, 0.84, 0.90), 90, 150)), 0.4),
            (_surface(_houses(rng, (0.60, 0.50, 0.47), (1, 0.93, 0.62), 45, 95)), 0.8), (_surface(_road((0.34, 0.34, 0.37))), 1.0)]


def _city_night(rng):
    return [_gradient((0, 0.02, 0.03, 0.14), (1, 0.20, 0.15, 0.34)), (_surface(_stars(rng, 40, 0.4)), 0.1),
            (_surface(_houses(rng, (0.12, 0.13, 0.24), (0.75, 0.62, 0.30), 90, 150)), 0.4),
            (_surface(_houses(rng, (0.07, 0.07, 0.14), (1, 0.84, 0.38), 45, 95)), 0.8), (_surface(_road((0.13, 0.13, 0.17))), 1.0)]


def _space(rng):
    def planet(ctx, x, y, r, colour):
        _disc(ctx, x, y, r, (*colour, 1))
        _disc(ctx, x - 0.3 * r, y - 0.3 * r, 0.45 * r, (1, 1, 1, 0.18))
    planets = [(rng.uniform(0, TILE), rng.choice([0.14, 0.86]) * SIZE, rng.uniform(16, 34),
                rng.choice([(0.80, 0.45, 0.25), (0.35, 0.55, 0.85), (0.75, 0.70, 0.45), (0.55, 0.35, 0.65)])) for _ in range(2)]
    return [_gradient((0, 0.03, 0.0, 0.09), (1, 0.13, 0.03, 0.22)), (_surface(_stars(rng, 110)), 0.2),
            (_surface(_repeat(planets, planet)), 0.5)]


def _forest(rng):
    return [_gradient((0, 0.62, 0.84, 0.88), (1, 0.80, 0.92, 0.72)),
            (_surface(_repeat(_row(rng, 12, 0.8, 90, 140), _fir((0.34, 0.58, 0.42)))), 0.4),
            (_surface(_repeat(_row(rng, 9, 0.84, 80, 130), _fir((0.14, 0.40, 0.20)))), 0.8),
            (_surface(_ridge(rng, (0.22, 0.45, 0.20), 0.83, 0.015, 3)), 1.0)]


def _beach(rng):
    def water(ctx):
        ctx.set_source_rgb(0.15, 0.60, 0.78)
        ctx.rectangle(0, 0.52 * SIZE, TILE, SIZE)
        ctx.fill()
    return [_gradient((0, 0.36, 0.66, 0.97), (1, 0.90, 0.97, 1)), (_surface(_clouds(rng, 3, 0.06, 0.3)), 0.2), (_surface(water), 0.0),
            (_surface(_ridge(rng, (0.96, 0.99, 1.0), 0.72, 0.015, 2)), 0.9), (_surface(_ridge(rng, (0.95, 0.85, 0.60), 0.745, 0.015, 2)), 1.0)]


def _mountains(rng):
    return [_gradient((0, 0.42, 0.62, 0.90), (1, 0.92, 0.95, 1)), (_surface(_ridge(rng, (0.64, 0.70, 0.82), 0.55, 0.20, 1, True)), 0.25),
            (_surface(_ridge(rng, (0.42, 0.48, 0.62), 0.70, 0.16, 1, True)), 0.5),
            (_surface(_ridge(rng, (0.30, 0.50, 0.32), 0.86, 0.03, 2)), 1.0)]


def _room(rng):
    wall = rng.choice([(0.93, 0.84, 0.70), (0.74, 0.84, 0.86), (0.88, 0.76, 0.76)])

    def paint(ctx):
        ctx.set_source_rgb(*wall)
        ctx.paint()
        ctx.set_source_rgb(0.56, 0.36, 0.20)
        ctx.rectangle(0, 0.78 * SIZE, TILE, SIZE)
        ctx.fill()
        ctx.set_source_rgb(1, 1, 1)
        ctx.rectangle(0, 0.765 * SIZE, TILE, 5)
        ctx.fill()
        for x in range(20, TILE, 256):
            ctx.set_source_rgb(1, 1, 1)
            ctx.rectangle(x, 34, 70, 84)
            ctx.fill()
            for dx in (5, 38):
                for dy in (5, 45):
                    ctx.set_source_rgb(0.55, 0.78, 0.96)
                    ctx.rectangle(x + dx, 34 + dy, 27, 34)
                    ctx.fill()
    return [(_surface(paint), 1.0)]


def _moon_ground(rng):
    craters = [(rng.uniform(0, TILE), rng.uniform(0.84, 0.97) * SIZE, rng.uniform(5, 13), (0.45, 0.45, 0.50, 1)) for _ in range(14)]
    return [_gradient((0, 0, 0, 0.02), (1, 0.03, 0.03, 0.08)), (_surface(_stars(rng, 70, 0.8)), 0.1),
            (_surface(_ridge(rng, (0.64, 0.64, 0.68), 0.79, 0.03, 2)), 1.0), (_surface(_repeat(craters, _disc)), 1.0)]


def _jungle(rng):
    def leaf(ctx, x, y, r, shade):
        ctx.set_source_rgb(0.1 * shade, 0.55 * shade, 0.22 * shade)
        for k in range(5):
            angle = math.pi * (0.1 + 0.2 * k)
            ctx.move_to(x, y)
            ctx.curve_to(x - r * math.cos(angle) * 0.5, y - r * math.sin(angle), x - r * math.cos(angle), y - r * math.sin(angle),
                         x - r * 1.2 * math.cos(angle), y - r * 0.6 * math.sin(angle))
            ctx.close_path()
        ctx.fill()
    back = [(x, y, h, 0.75) for x, y, h in _row(rng, 12, 0.75, 50, 90)]
    front = [(x, y, h, 0.5) for x, y, h in _row(rng, 12, 0.98, 40, 70)]
    return [_gradient((0, 0.70, 0.88, 0.55), (1, 0.30, 0.55, 0.28)), (_surface(_repeat(back, leaf)), 0.5), (_surface(_repeat(front, leaf)), 1.0)]


def _rain_street(rng):
    return [_gradient((0, 0.38, 0.42, 0.50), (1, 0.58, 0.62, 0.68)),
            (_surface(_houses(rng, (0.42, 0.44, 0.50), (0.72, 0.70, 0.55), 60, 120)), 0.6), (_surface(_road((0.25, 0.26, 0.30))), 1.0)]


def _drops(ctx, seed, slide, t):
    ctx.set_source_rgba(0.85, 0.9, 1, 0.6)
    ctx.set_line_width(1.6)
    for i in range(34):
        x = (seed * 997 * (i + 1) % 1 + 0.8 * slide) % 1 * SIZE
        y = (seed * 331 * (i + 1) % 1 + 1.1 * t) % 1 * SIZE
        ctx.move_to(x, y)
        ctx.line_to(x - 2, y + 12)
    ctx.stroke()


PLACES = [
    Place("blue sky", ("in the blue sky", "in the sky", "above the clouds"), _blue_sky),
    Place("night sky", ("in the night sky", "under the stars", "at night"), _night_sky),
    Place("sunset", ("at sunset", "in the evening", "in front of the setting sun"), _sunset),
    Place("sea", ("at sea", "on the sea", "on the ocean"), _sea, _waves),
    Place("under water", ("under water", "in the deep sea", "underwater"), _under_water, _bubbles),
    Place("meadow", ("in a meadow", "on the grass", "on a green hill"), _meadow),
    Place("desert", ("in the desert", "among sand dunes"), _desert),
    Place("snow", ("in the snow", "in winter", "in falling snow"), _snow, _flakes),
    Place("city", ("in the city", "in town", "over a city"), _city),
    Place("city at night", ("in the city at night", "in town at night", "over a city at night"), _city_night),
    Place("space", ("in space", "in outer space", "among the planets"), _space),
    Place("forest", ("in a forest", "in the woods", "among the trees"), _forest),
    Place("beach", ("on the beach", "by the sea", "at the seaside"), _beach),
    Place("mountains", ("in the mountains", "in front of mountains", "in the alps"), _mountains),
    Place("room", ("in a room", "at home", "indoors"), _room),
    Place("moon", ("on the moon", "on the surface of the moon"), _moon_ground),
    Place("jungle", ("in the jungle", "in the rainforest"), _jungle),
    Place("rain", ("in the rain", "on a rainy day", "in a rainy street"), _rain_street, _drops),
]
BY_NAME = {p.name: p for p in PLACES}
