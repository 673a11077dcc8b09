# SPDX-License-Identifier: LGPL-2.1-or-later
"""Places at, on and under water: each paints its layers from far to near."""

import math

import cairo

from .kit import mix, shade


def _surface(k, far, near, top, bottom=1.0):
    """Water from `top` down with glints that grow towards the viewer."""
    def paint(ctx):
        k.shaded(ctx, top, 1.0, far, near)
        ctx.rectangle(0, top, k.wide, bottom - top)
        ctx.fill()
        for _ in range(k.many(70)):
            v = k.rng.random() ** 1.5
            y, w = top + (bottom - top) * v, 0.01 + 0.05 * v
            x = k.rng.uniform(0, k.wide - w)
            k.ink(ctx, mix(far, (1, 1, 1), 0.55), 0.14 + 0.24 * k.rng.random())
            ctx.rectangle(x, y, w, 0.002 + 0.004 * v)
            ctx.fill()
    k.layer(0.35, paint, top, bottom)


def _waves(k, depth, y, high, colour, speed, deep=0.2, alpha=1.0):
    """A wave line that runs by itself, with a light crest; filled down to y + deep."""
    body, crest = shade(colour, 1.0), mix(colour, (1, 1, 1), 0.62)
    count = max(2, round(2.6 * k.wide))

    def living(ctx, t, way):
        k.depth = depth
        right = k.size[0] / k.size[1] + 0.15
        points = []
        x = -0.15
        while x < right:
            u = math.tau * count * (x + way + speed * t) / k.wide
            points.append((x, y - high * (math.sin(u) + 0.3 * math.sin(2 * u + t))))
            x += 0.03
        ctx.move_to(-0.15, y + deep)
        for px, py in points:
            ctx.line_to(px, py)
        ctx.line_to(right, y + deep)
        ctx.close_path()
        k.shaded(ctx, y - high, y + deep, mix(body, (1, 1, 1), 0.12), shade(body, 0.75))
        ctx.fill()
        for px, py in points:
            ctx.line_to(px, py)
        k.ink(ctx, crest, 0.75 * alpha)
        ctx.set_line_width(0.006)
        ctx.stroke()
    k.living(depth, living)


def sea(k):
    k.sky()
    k.clouds(1.4, 0.1, 0.3)

    def island(ctx):
        x = k.rng.uniform(0.3, 0.7) * k.wide
        k.ink(ctx, (0.42, 0.50, 0.44))
        ctx.move_to(x - 0.2, 0.525)
        ctx.curve_to(x - 0.1, 0.46, x - 0.04, 0.44, x, 0.47)
        ctx.curve_to(x + 0.06, 0.45, x + 0.12, 0.49, x + 0.2, 0.525)
        ctx.fill()
    k.layer(0.12, island, 0.42, 0.53)
    _surface(k, (0.30, 0.62, 0.82), (0.05, 0.26, 0.50), 0.52)
    _waves(k, 0.6, 0.64, 0.008, (0.17, 0.48, 0.70), 0.05)
    _waves(k, 0.85, 0.74, 0.011, (0.11, 0.40, 0.64), -0.07)
    _waves(k, 1.05, k.stage.ground + 0.005, 0.015, (0.07, 0.33, 0.57), 0.09, 0.3)
    _waves(k, 1.4, 0.965, 0.016, (0.05, 0.26, 0.48), -0.12, 0.2)


def lake(k):
    k.sky()
    k.clouds(1.2, 0.08, 0.22)
    k.hills(0.15, (0.46, 0.54, 0.62), 0.5, 0.13, 1.0, True)
    k.hills(0.25, (0.34, 0.52, 0.36), 0.54, 0.05, 1.2)

    def firs(ctx):
        k.each([(x, k.rng.uniform(0.06, 0.11)) for x in k.row(8)], lambda x, h: k.fir(ctx, x, 0.575, h, k.jitter((0.2, 0.4, 0.28))), 0.05)
    k.layer(0.32, firs, 0.44, 0.58)
    _surface(k, (0.52, 0.72, 0.78), (0.16, 0.40, 0.50), 0.57)
    _waves(k, 0.8, 0.72, 0.004, (0.30, 0.56, 0.64), 0.03)
    _waves(k, 1.05, k.stage.ground + 0.005, 0.006, (0.21, 0.48, 0.57), -0.04, 0.3)

    def reeds(ctx):
        def draw(x, h, lean):
            k.ink(ctx, (0.25, 0.42, 0.17))
            ctx.set_line_width(0.008)
            ctx.move_to(x, 1.0)
            ctx.curve_to(x, 1 - 0.5 * h, x + 0.3 * lean, 1 - 0.8 * h, x + lean, 1 - h)
            ctx.stroke()
            k.ink(ctx, (0.42, 0.26, 0.14))
            ctx.set_line_width(0.018)
            ctx.move_to(x + 0.8 * lean, 1 - 0.88 * h)
            ctx.line_to(x + lean, 1 - 1.08 * h)
            ctx.stroke()
        k.each([(x + d, k.rng.uniform(0.1, 0.2), k.rng.uniform(-0.04, 0.04)) for x in k.row(2.5) for d in (0, 0.03, 0.055)], draw)
    k.layer(1.35, reeds, 0.75, 1.0)


def beach(k):
    k.sky()
    k.clouds(1.5, 0.08, 0.26)
    _surface(k, (0.24, 0.58, 0.80), (0.38, 0.80, 0.84), 0.5, 0.76)

    def surf(ctx, t, way):
        k.depth = 0.7
        right = k.size[0] / k.size[1]
        for i, base in enumerate((0.6, 0.66, 0.705)):
            y = base + 0.012 * math.sin(0.9 * t + 1.7 * i)
            x = 0.0
            while x < right + 0.06:
                u = math.tau * round((3 - i) * 1.3 * k.wide) * (x + 0.7 * way) / k.wide
                ctx.line_to(x, y + 0.007 * math.sin(u + 0.6 * t * (i - 1)))
                x += 0.04
            k.ink(ctx, (1, 1, 1), 0.55 + 0.15 * i)
            ctx.set_line_width(0.006 + 0.004 * i)
            ctx.stroke()
    k.living(0.7, surf)

    def detail(ctx):
        for _ in range(k.many(60)):
            k.ink(ctx, (0.62, 0.5, 0.34), 0.5)
            ctx.arc(k.rng.uniform(0, k.wide), k.rng.uniform(0.77, 1), k.rng.uniform(0.002, 0.004), 0, math.tau)
            ctx.fill()
        for x in k.row(1.6):
            y = k.rng.uniform(0.9, 0.97)
            k.ink(ctx, k.rng.choice([(0.98, 0.86, 0.8), (0.95, 0.6, 0.5)]))
            ctx.arc(x, y, 0.016, math.pi, 0)
            ctx.fill()
    k.plane((0.97, 0.90, 0.70), (0.88, 0.74, 0.48), 0.725, detail, rim=0.8)

    def palms(ctx):
        k.each([(x, k.rng.uniform(0.4, 0.52)) for x in k.row(0.55)], lambda x, h: k.palm(ctx, x, 0.77, h), 0.4)
    k.layer(0.92, palms, 0.15, 0.78)


def under_water(k):
    k.sky_colours, k.haze = ((0.30, 0.76, 0.86), (0.10, 0.46, 0.70), (0.04, 0.28, 0.52)), 0.7
    k.sky_colours = tuple(k.grade.colour(c) for c in k.sky_colours)
    k.haze, kept = 0.0, k.haze

    def water(ctx):
        gradient = cairo.LinearGradient(0, 0, 0, 1)
        for i, colour in enumerate(k.sky_colours):
            gradient.add_color_stop_rgb(i / 2, *colour)
        ctx.set_source(gradient)
        ctx.paint()
    k.layer(0.0, water)
    k.haze = kept
    rays = [(k.rng.uniform(0, k.wide), k.rng.uniform(0.04, 0.1), k.rng.uniform(0, 6)) for _ in range(4)]

    def light(ctx, t, way):
        for x, w, phase in rays:
            gradient = cairo.LinearGradient(0, 0, 0, 0.8)
            gradient.add_color_stop_rgba(0, 0.8, 1, 1, 0.26 + 0.1 * math.sin(0.8 * t + phase))
            gradient.add_color_stop_rgba(1, 0.8, 1, 1, 0)
            x = (x + 0.03 * math.sin(0.3 * t + phase) - 0.1 * way) % (k.wide + 0.3) - 0.15
            ctx.set_source(gradient)
            ctx.move_to(x, 0)
            ctx.line_to(x + w, 0)
            ctx.line_to(x + 2.2 * w - 0.15, 0.8)
            ctx.line_to(x - 0.6 * w - 0.15, 0.8)
            ctx.fill()
    k.living(0.1, light)
    k.hills(0.3, (0.16, 0.42, 0.52), 0.74, 0.09, 1.4, rim=0.15)

    def corals(ctx):
        def draw(x, h, colour, kind):
            k.ink(ctx, colour)
            ctx.set_line_cap(cairo.LINE_CAP_ROUND)
            if kind:
                for lean in (-0.5, -0.22, 0.05, 0.3, 0.55):
                    ctx.set_line_width(0.1 * h)
                    ctx.move_to(x, 0.85)
                    ctx.curve_to(x + 0.2 * lean * h, 0.85 - 0.4 * h, x + lean * h, 0.85 - 0.5 * h, x + lean * h,
                                 0.85 - h * (1 - 0.4 * abs(lean)))
                    ctx.stroke()
            else:
                for u, r in ((-0.4, 0.3), (0.35, 0.34), (0.0, 0.44)):
                    ctx.arc(x + u * h, 0.84 - 0.2 * h, r * h, math.pi, 0)
                    ctx.fill()
        colours = [(0.95, 0.45, 0.5), (0.98, 0.65, 0.3), (0.75, 0.45, 0.85), (0.95, 0.8, 0.4)]
        k.each([(x, k.rng.uniform(0.08, 0.16), k.rng.choice(colours), k.rng.random() < 0.6) for x in k.row(3.4)], draw, 0.15)
    k.layer(0.75, corals, 0.65, 0.87)
    weeds = [(x, k.rng.uniform(0.15, 0.32), k.rng.uniform(0, 6)) for x in k.row(3.0)]

    def weed(ctx, t, way):
        k.depth = 0.8
        ctx.set_line_width(0.02)
        ctx.set_line_cap(cairo.LINE_CAP_ROUND)
        for i, (x, h, phase) in enumerate(weeds):
            k.ink(ctx, (0.10, 0.46 + 0.06 * (i % 3), 0.30))
            x, bend = (x - 0.8 * way + 0.1) % k.wide - 0.1, 0.05 * math.sin(1.1 * t + phase)
            ctx.move_to(x, 0.87)
            ctx.curve_to(x - bend, 0.87 - 0.4 * h, x + bend, 0.87 - 0.7 * h, x + 1.5 * bend, 0.87 - h)
            ctx.stroke()
    k.living(0.8, weed)

    def detail(ctx):
        k.stones(ctx, 6, 0.86, 0.98, (0.6, 0.58, 0.52))
    k.plane((0.86, 0.80, 0.58), (0.62, 0.58, 0.44), 0.83, detail, 0.2)
    bubbles = [(k.rng.uniform(0, k.wide), k.rng.random(), k.rng.uniform(0.005, 0.013), k.rng.uniform(0.1, 0.17)) for _ in range(9)]

    def rise(ctx, t, way):
        for i, (x, y, r, speed) in enumerate(bubbles):
            y = (y - speed * t) % 1.1 - 0.05
            x = (x + 0.02 * math.sin(2.2 * t + i) - way) % k.wide
            ctx.set_source_rgba(0.85, 0.97, 1, 0.35)
            ctx.arc(x, y, r, 0, math.tau)
            ctx.fill_preserve()
            ctx.set_source_rgba(1, 1, 1, 0.7)
            ctx.set_line_width(0.003)
            ctx.stroke()
    k.living(1.1, rise)
