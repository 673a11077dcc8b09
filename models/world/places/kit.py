# SPDX-License-Identifier: LGPL-2.1-or-later
"""What places are painted with: layers that repeat, colours under the scene's light and haze, hills, plants, clouds.

Lengths are in heights of the picture, y points down. A layer at depth 1 moves with the actors, at 0 it never moves,
above 1 it is in front of them.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Callable

import cairo
import numpy as np

HAZE = 0.55            # share of the horizon's colour in what is far away


@dataclass
class Layer:
    surface: cairo.ImageSurface
    depth: float
    top: float             # heights
    scale: float           # pixels of the surface a height
    drift: float = 0.0     # heights a second to the right by itself


@dataclass
class Living:
    """What moves in the place by itself: paint (ctx in heights, seconds, way to the left in heights)."""
    paint: Callable
    depth: float


@lru_cache(maxsize=1)
def _noise():
    """A repeating tile of smooth noise as a mask of 256 x 256."""
    random = np.random.default_rng(5)
    total = np.zeros((256, 256))
    for cells, weight in ((16, 0.5), (32, 0.6), (64, 0.8), (256, 1.0)):
        coarse = random.standard_normal((cells, cells))
        fine = np.repeat(np.repeat(coarse, 256 // cells, 0), 256 // cells, 1)
        if cells < 256:
            k = 256 // cells
            fine = sum(np.roll(fine, i, 0) for i in range(k)) / k
            fine = sum(np.roll(fine, i, 1) for i in range(k)) / k
        total += weight * fine
    memory = np.ascontiguousarray((255 * np.clip(0.5 + 0.24 * total, 0, 1)).astype(np.uint8))
    return cairo.ImageSurface.create_for_data(memory, cairo.FORMAT_A8, 256, 256), memory


def mix(a, b, share):
    return tuple(x + share * (y - x) for x, y in zip(a, b))


def shade(colour, factor):
    return tuple(min(1.0, c * factor) for c in colour)


class Kit:
    def __init__(self, rng, size, stage, grade, sky, *, time=None, tile=1, detail=1.0, cut_out=False, haze=HAZE, clear=True):
        self.rng, self.stage, self.grade, self.time, self.cut_out, self.haze, self.clear = rng, stage, grade, time, cut_out, haze, clear
        self.size, self.detail, self.sky_colours = size, detail, sky
        self.wide = tile * size[0] / size[1]    # after this many heights layers repeat
        self.layers, self.depth = [], 0.0
        self.night = time is not None and time.name == "night"

    # colours

    def rgb(self, colour):
        """A colour under the light, behind the haze of the current depth."""
        far = max(0.0, 1 - self.depth) ** 1.5 * self.haze
        return mix(self.grade.colour(colour), self.sky_colours[-1], far)

    def ink(self, ctx, colour, alpha=1.0):
        ctx.set_source_rgba(*self.rgb(colour), alpha)

    def jitter(self, colour, amount=0.05):
        k = 1 + self.rng.uniform(-amount, amount) * 2
        return tuple(min(1.0, max(0.0, c * k)) for c in colour)

    def shaded(self, ctx, y0, y1, *colours):
        """A vertical gradient as source."""
        gradient = cairo.LinearGradient(0, y0, 0, y1)
        for i, colour in enumerate(colours):
            gradient.add_color_stop_rgb(i / (len(colours) - 1), *self.rgb(colour))
        ctx.set_source(gradient)

    def lit(self, ctx, x0, x1, colour, strength=0.3):
        """A horizontal gradient as source: light from the left."""
        gradient = cairo.LinearGradient(x0, 0, x1, 0)
        gradient.add_color_stop_rgb(0, *self.rgb(mix(colour, (1, 1, 1), 0.5 * strength)))
        gradient.add_color_stop_rgb(1, *self.rgb(shade(colour, 1 - strength)))
        ctx.set_source(gradient)

    # layers

    def layer(self, depth, paint, top=0.0, bottom=1.0, drift=0.0, grain=0.0):
        scale = self.size[1] * self.detail
        y0, y1 = math.floor(top * scale), math.ceil(bottom * scale)
        surface = cairo.ImageSurface(cairo.FORMAT_ARGB32, round(self.wide * scale), max(1, y1 - y0))
        ctx = cairo.Context(surface)
        ctx.translate(0, -y0)
        ctx.scale(surface.get_width() / self.wide, scale)
        self.depth = depth
        paint(ctx)
        if grain:
            self._grain(ctx, grain, scale)
        if self.cut_out and depth > 0:
            surface = _paper(surface)
        surface.flush()
        self.layers.append(Layer(surface, depth, y0 / scale, scale, drift))

    def living(self, depth, paint):
        self.layers.append(Living(paint, depth))

    def _grain(self, ctx, strength, scale):
        pattern = cairo.SurfacePattern(_noise()[0])
        pattern.set_extend(cairo.EXTEND_REPEAT)
        pattern.set_matrix(cairo.Matrix(scale, 0, 0, scale * 1.7, 0, 0))
        ctx.set_operator(cairo.OPERATOR_ATOP)
        ctx.set_source_rgba(*self.rgb((0.05, 0.05, 0.02)), strength)
        ctx.mask(pattern)
        ctx.set_operator(cairo.OPERATOR_OVER)

    def many(self, per_height, low=1):
        """A number of things for the layer's width."""
        return max(low, round(per_height * self.wide))

    def row(self, per_height, jitter=0.7):
        """x of a number of things, about equally spaced."""
        count = self.many(per_height)
        step = self.wide / count
        return [(i + self.rng.uniform(0, jitter)) * step for i in range(count)]

    def each(self, places, draw, reach=0.2):
        """draw (x, ...) for every item, again beside the edge where it reaches over it, so that the layer repeats."""
        for item in places:
            x, *rest = item if isinstance(item, tuple) else (item,)
            for shift in (-self.wide, 0, self.wide):
                if -reach < x + shift < self.wide + reach:
                    draw(x + shift, *rest)

    # skies

    def sky(self, body=True):
        """The whole height; with the sun or moon of the time of day and, at night, stars."""
        def paint(ctx):
            gradient = cairo.LinearGradient(0, 0, 0, 0.72)
            for i, colour in enumerate(self.sky_colours):
                gradient.add_color_stop_rgb(i / (len(self.sky_colours) - 1), *colour)
            ctx.set_source(gradient)
            ctx.paint()
        self.haze, kept = 0.0, self.haze
        self.layer(0.0, paint)
        if self.clear and self.night:
            self.stars(50, 0.6)
        if self.clear and body and self.time is not None and self.time.body:
            self.layer(0.03, self._body, 0.0, 0.75)
        self.haze = kept

    def _body(self, ctx):
        r, g, b, height, radius = self.time.body
        x = self.rng.uniform(0.25, 0.75) * self.size[0] / self.size[1]
        for k, alpha in ((3.2, 0.10), (2.1, 0.16), (1.45, 0.28)):
            ctx.set_source_rgba(r, g, b, alpha)
            ctx.arc(x, height, radius * k, 0, math.tau)
            ctx.fill()
        ctx.set_source_rgb(r, g, b)
        ctx.arc(x, height, radius, 0, math.tau)
        ctx.fill()
        if self.night:
            ctx.set_source_rgba(0.8, 0.79, 0.7, 0.7)
            for dx, dy, k in ((-0.3, -0.2, 0.25), (0.25, 0.3, 0.2), (0.2, -0.35, 0.14)):
                ctx.arc(x + dx * radius, height + dy * radius, k * radius, 0, math.tau)
                ctx.fill()

    def stars(self, per_height, bottom=1.0, depth=0.02):
        def paint(ctx):
            for _ in range(self.many(per_height)):
                ctx.set_source_rgba(1, 1, self.rng.uniform(0.75, 1), self.rng.uniform(0.4, 1))
                ctx.arc(self.rng.uniform(0, self.wide), bottom * self.rng.random() ** 1.2, self.rng.choice((0.002, 0.003, 0.003, 0.005)), 0,
                        math.tau)
                ctx.fill()
        self.layer(depth, paint, 0.0, bottom)

    def clouds(self, per_height, low, high, depth=0.15, size=0.05, drift=0.008, alpha=0.95):
        bright = self.grade.colour((1, 1, 1))
        dark = mix(self.grade.colour((0.70, 0.76, 0.86)), self.sky_colours[1], 0.4)

        def cloud(ctx, x, y, s, blobs):
            for dy, colour, k in ((0.22 * s, dark, 1.0), (0.0, bright, 0.94)):
                ctx.set_source_rgba(*colour, alpha)
                for bx, by, r in blobs:
                    ctx.new_sub_path()
                    ctx.arc(x + bx * s, y + by * s + dy, r * s * k, 0, math.tau)
                ctx.fill()

        def paint(ctx):
            items = []
            for x in self.row(per_height):
                blobs = [(u * 1.5 + self.rng.uniform(-0.15, 0.15), -0.5 * (1 - u * u) * self.rng.uniform(0.5, 1),
                          (1 - 0.55 * abs(u)) * self.rng.uniform(0.6, 0.85))
                         for u in (-1, -0.5, 0, 0.5, 1)]
                items.append((x, self.rng.uniform(low, high), size * self.rng.uniform(0.7, 1.4), blobs))
            self.each(items, lambda x, y, s, blobs: cloud(ctx, x, y, s, blobs), 4 * size)
        self.layer(depth, paint, max(0.0, low - 3 * size), min(1.0, high + 3 * size), drift)

    # grounds

    def crest(self, waves, sharp=False):
        """A line that repeats: x -> -1 .. 1."""
        phases = [self.rng.uniform(0, math.tau) for _ in range(4)]
        base = max(1, round(waves * self.wide))

        def height(x):
            u = math.tau * base * x / self.wide
            y = sum(math.sin(k * u + p) / k for k, p in zip((1, 2, 3), phases)) / 1.5
            return 1 - 1.8 * abs(y) if sharp else y
        return height

    def outline(self, ctx, crest, base, height, bottom=1.0, step=0.012):
        """A path below the line base - height * crest; bottom None: the line alone."""
        if bottom is not None:
            ctx.move_to(0, bottom)
        count = max(8, int(self.wide / step))
        for i in range(count + 1):
            x = i * self.wide / count
            ctx.line_to(x, base - height * crest(x))
        if bottom is not None:
            ctx.line_to(self.wide, bottom)
            ctx.close_path()

    def hills(self, depth, colour, base, height, waves, sharp=False, rim=0.3, grain=0.12, detail=None, fall=0.22):
        """A ridge with a lit edge that darkens downwards; `detail` (ctx, crest) paints on it."""
        crest = self.crest(waves, sharp)
        colour = self.jitter(colour, 0.03)

        def paint(ctx):
            self.outline(ctx, crest, base, height, step=0.008 if sharp else 0.014)
            self.shaded(ctx, base - height, base + fall, mix(colour, (1, 1, 0.9), 0.1), shade(colour, 0.72))
            path = ctx.copy_path()
            ctx.fill()
            if detail:
                ctx.save()
                ctx.append_path(path)
                ctx.clip()
                detail(ctx, lambda x: base - height * crest(x))
                ctx.restore()
            if rim:
                self.outline(ctx, crest, base, height, None, 0.008 if sharp else 0.014)
                self.ink(ctx, mix(colour, (1, 1, 0.92), 0.6), rim)
                ctx.set_line_width(0.007)
                ctx.stroke()
        self.layer(depth, paint, max(0.0, base - 1.15 * height - 0.01), 1.0, grain=grain)

    def plane(self, far, near, top, detail=None, grain=0.16, depth=1.0, rim=0.35):
        """The ground that actors stand on, from `top` to the bottom; its edge rises with the stage's slope."""
        def paint(ctx):
            def edge(x):
                return self.stage.rise(x)
            self.outline(ctx, edge, top, 1.0)
            self.shaded(ctx, top - 0.04, 1.0, far, near)
            path = ctx.copy_path()
            ctx.fill()
            if detail:
                ctx.save()
                ctx.append_path(path)
                ctx.clip()
                detail(ctx)
                ctx.restore()
            if rim:
                self.outline(ctx, edge, top, 1.0, None)
                self.ink(ctx, mix(far, (1, 1, 0.92), 0.5), rim)
                ctx.set_line_width(0.006)
                ctx.stroke()
        self.layer(depth, paint, max(0.0, top - 1.6 * self.stage.slope - 0.01), 1.0, grain=grain)

    # plants and stones

    def tufts(self, ctx, colour, per_height, top, bottom, size=0.03):
        """Strokes of grass, larger towards the viewer."""
        rng = self.rng
        ctx.set_line_cap(cairo.LINE_CAP_ROUND)
        for tone in (0.75, 1.0, 1.25):
            self.ink(ctx, shade(colour, tone))
            ctx.set_line_width(0.005)
            for _ in range(self.many(per_height / 3)):
                x, y = rng.uniform(0, self.wide), top + (bottom - top) * math.sqrt(rng.random())
                high = size * (0.5 + (y - top) / (bottom - top + 1e-6))
                for lean in (-0.4, 0.1, 0.5):
                    ctx.move_to(x + 0.2 * lean * high, y)
                    ctx.line_to(x + lean * high, y - high)
            ctx.stroke()

    def flowers(self, ctx, per_height, top, bottom, colours):
        for _ in range(self.many(per_height)):
            y = top + (bottom - top) * self.rng.random()
            r = 0.005 + 0.007 * (y - top) / (bottom - top)
            x = self.rng.uniform(r, self.wide - r)
            self.ink(ctx, self.rng.choice(colours))
            for k in range(5):
                ctx.arc(x + r * math.cos(k * 1.257), y + r * math.sin(k * 1.257), 0.7 * r, 0, math.tau)
                ctx.new_sub_path()
            ctx.fill()
            self.ink(ctx, (1, 0.8, 0.2))
            ctx.arc(x, y, 0.55 * r, 0, math.tau)
            ctx.fill()

    def stones(self, ctx, per_height, top, bottom, colour, size=0.03):
        items = [(self.rng.uniform(0, self.wide), top + (bottom - top) * self.rng.random(), size * self.rng.uniform(0.4, 1.2))
                 for _ in range(self.many(per_height))]
        items.sort(key=lambda item: item[1])

        def draw(x, y, r):
            ctx.save()
            ctx.translate(x, y)
            ctx.scale(r, 0.62 * r)
            self.lit(ctx, -1, 1, colour, 0.45)
            ctx.arc(0, 0, 1, math.pi, 0)
            ctx.curve_to(1.1, 0.5, -1.1, 0.5, -1, 0)
            ctx.fill()
            ctx.restore()
        self.each(items, draw, size)

    def tree(self, ctx, x, y, high, leaves, trunk=(0.38, 0.26, 0.17)):
        """A round tree that stands at (x, y)."""
        rng = self.rng
        self.lit(ctx, x - 0.05 * high, x + 0.06 * high, trunk, 0.5)
        ctx.move_to(x - 0.05 * high, y)
        ctx.line_to(x - 0.03 * high, y - 0.55 * high)
        ctx.line_to(x + 0.03 * high, y - 0.55 * high)
        ctx.line_to(x + 0.055 * high, y)
        ctx.fill()
        blobs = [(rng.uniform(-0.24, 0.24), -0.65 + rng.uniform(-0.16, 0.16), rng.uniform(0.16, 0.24)) for _ in range(6)]
        for tone, dx, dy, k in ((0.62, 0.03, 0.03, 1.0), (0.9, 0.0, 0.0, 0.9), (1.16, -0.05, -0.06, 0.52)):
            self.ink(ctx, shade(leaves, tone))
            for bx, by, r in blobs:
                ctx.new_sub_path()
                ctx.arc(x + (bx + dx) * high, y + (by + dy) * high, r * k * high, 0, math.tau)
            ctx.fill()

    def fir(self, ctx, x, y, high, colour, snow=False):
        self.ink(ctx, (0.33, 0.22, 0.15))
        ctx.rectangle(x - 0.03 * high, y - 0.14 * high, 0.06 * high, 0.14 * high)
        ctx.fill()
        for k in range(4):
            top, half, deep = y - high + 0.19 * k * high, (0.13 + 0.065 * k) * high, 0.34 * high
            for side, tone in ((-1, 1.15), (1, 0.75)):
                self.ink(ctx, shade(colour, tone))
                ctx.move_to(x, top)
                ctx.line_to(x + side * half, top + deep)
                ctx.line_to(x, top + 0.85 * deep)
                ctx.close_path()
                ctx.fill()
            if snow:
                self.ink(ctx, (0.95, 0.97, 1.0), 0.9)
                ctx.move_to(x, top)
                ctx.line_to(x - 0.62 * half, top + 0.62 * deep)
                ctx.line_to(x - 0.2 * half, top + 0.48 * deep)
                ctx.line_to(x + 0.15 * half, top + 0.5 * deep)
                ctx.close_path()
                ctx.fill()

    def palm(self, ctx, x, y, high, leaf=(0.2, 0.55, 0.22)):
        lean = self.rng.uniform(-0.2, 0.2) * high
        self.ink(ctx, (0.50, 0.36, 0.22))
        ctx.set_line_width(0.06 * high)
        ctx.move_to(x, y)
        ctx.curve_to(x, y - 0.4 * high, x + lean, y - 0.6 * high, x + lean, y - high)
        ctx.stroke()
        for k in range(7):
            angle = math.pi * (0.02 + 0.16 * k) + self.rng.uniform(-0.1, 0.1)
            dx, dy = -math.cos(angle) * 0.5 * high, -math.sin(angle) * 0.26 * high
            self.ink(ctx, shade(leaf, 0.75 + 0.09 * k))
            top = y - high
            ctx.move_to(x + lean, top)
            ctx.curve_to(x + lean + 0.4 * dx, top + dy - 0.1 * high, x + lean + 0.8 * dx, top + dy, x + lean + dx, top + dy + 0.28 * high)
            ctx.curve_to(x + lean + 0.6 * dx, top + dy + 0.1 * high, x + lean + 0.3 * dx, top + dy + 0.05 * high, x + lean, top)
            ctx.fill()

    def bush(self, ctx, x, y, size, colour):
        for tone, dy, k in ((0.7, 0.0, 1.0), (1.0, -0.08, 0.85), (1.2, -0.2, 0.5)):
            self.ink(ctx, shade(colour, tone))
            for u, r in ((-0.7, 0.45), (-0.25, 0.62), (0.3, 0.58), (0.75, 0.42)):
                ctx.new_sub_path()
                ctx.arc(x + u * size, y - 0.35 * size + dy * size, r * k * size, 0, math.tau)
            ctx.fill()

    def blades(self, colour, size=0.1, depth=1.35, per_height=16):
        """Grass at the lower edge, in front of everything."""
        rng = self.rng

        def paint(ctx):
            def draw(x, high, lean, tone):
                self.ink(ctx, shade(colour, tone))
                ctx.move_to(x - 0.008, 1.0)
                ctx.curve_to(x - 0.004, 1 - 0.6 * high, x, 1 - 0.8 * high, x + lean * high, 1 - high)
                ctx.curve_to(x + 0.008, 1 - 0.7 * high, x + 0.01, 1 - 0.4 * high, x + 0.012, 1.0)
                ctx.fill()
            self.each([(x, size * rng.uniform(0.4, 1), rng.uniform(-0.6, 0.6), rng.uniform(0.5, 0.85)) for x in self.row(per_height, 1.0)], draw)
        self.layer(depth, paint, 1 - size, 1.0)


def _paper(surface):
    """A layer as paper: its shadow falls on what is behind, above and to the left of it."""
    out = cairo.ImageSurface(cairo.FORMAT_ARGB32, surface.get_width(), surface.get_height())
    ctx = cairo.Context(out)
    for offset, alpha in ((5, 0.12), (3, 0.16)):
        ctx.set_source_rgba(0, 0, 0.05, alpha)
        ctx.mask_surface(surface, -offset, -offset)
        ctx.mask_surface(surface, offset - 2, -offset)
    ctx.set_source_rgba(1, 1, 1, 0.9)
    ctx.mask_surface(surface, 0, -1.5)
    ctx.set_source_surface(surface, 0, 0)
    ctx.paint()
    return out
