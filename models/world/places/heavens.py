# SPDX-License-Identifier: LGPL-2.1-or-later
"""Places above the ground and beyond it: each paints its layers from far to near."""

import math

import cairo

from .kit import mix, shade


def sky(k):
    k.sky()
    k.clouds(2.4, 0.2, 0.4, 0.15, 0.035, 0.006)
    k.clouds(1.8, 0.4, 0.65, 0.4, 0.06, 0.012)
    k.clouds(1.3, 0.14, 0.75, 0.8, 0.085, 0.02)


def clouds(k):
    """Above a sea of clouds."""
    k.sky()
    k.clouds(2.0, 0.2, 0.4, 0.12, 0.03, 0.004, 0.7)
    for depth, base, size, tone in ((0.35, 0.66, 0.06, 0.86), (0.65, 0.77, 0.09, 0.93), (1.0, 0.9, 0.12, 1.0)):
        _bank(k, depth, base, size, tone)


def _bank(k, depth, base, size, tone):
    bright, dark = k.grade.colour((1, 1, 1)), mix(k.grade.colour((0.66, 0.72, 0.86)), k.sky_colours[1], 0.3)

    def paint(ctx):
        items = [(x, k.rng.uniform(0.6, 1.2) * size) for x in k.row(0.55 / size)]

        def lower(x, r):
            ctx.set_source_rgb(*mix(dark, bright, 0.45 * tone))
            ctx.arc(x, base + 0.25 * r, r, 0, math.tau)
            ctx.fill()

        def upper(x, r):
            ctx.set_source_rgb(*mix(dark, bright, tone))
            ctx.arc(x - 0.06 * r, base - 0.02 * r, 0.93 * r, 0, math.tau)
            ctx.fill()
        k.each(items, lower, 2 * size)
        k.each(items, upper, 2 * size)
        gradient = cairo.LinearGradient(0, base, 0, base + 0.3)
        gradient.add_color_stop_rgb(0, *mix(dark, bright, tone))
        gradient.add_color_stop_rgb(1, *mix(dark, bright, 0.5 * tone))
        ctx.set_source(gradient)
        ctx.rectangle(0, base + 0.25 * size, k.wide, 1)
        ctx.fill()
    k.layer(depth, paint, base - 1.3 * size, 1.0)


def _nebula(k, ctx):
    for _ in range(5):
        x, y, r = k.rng.uniform(0.2, k.wide - 0.2), k.rng.uniform(0.1, 0.9), k.rng.uniform(0.18, 0.34)
        colour = k.rng.choice([(0.5, 0.15, 0.6), (0.15, 0.3, 0.7), (0.6, 0.2, 0.35), (0.1, 0.45, 0.5)])
        for dx in (-k.wide, 0, k.wide):
            gradient = cairo.RadialGradient(x + dx, y, 0, x + dx, y, r)
            gradient.add_color_stop_rgba(0, *colour, 0.4)
            gradient.add_color_stop_rgba(1, *colour, 0)
            ctx.set_source(gradient)
            ctx.rectangle(x + dx - r, y - r, 2 * r, 2 * r)
            ctx.fill()


def _planet(k, ctx, x, y, r, colour, ring):
    ctx.save()
    ctx.translate(x, y)
    ctx.scale(r, r)
    ctx.arc(0, 0, 1, 0, math.tau)
    gradient = cairo.RadialGradient(-0.4, -0.4, 0.1, 0, 0, 1.15)
    gradient.add_color_stop_rgb(0, *mix(colour, (1, 1, 1), 0.45))
    gradient.add_color_stop_rgb(0.55, *colour)
    gradient.add_color_stop_rgb(1, *shade(colour, 0.2))
    ctx.set_source(gradient)
    ctx.fill_preserve()
    ctx.clip()
    for i in range(4):
        ctx.set_source_rgba(*shade(colour, 0.6), 0.3)
        ctx.rectangle(-1, -0.7 + 0.42 * i, 2, 0.13 + 0.03 * i)
        ctx.fill()
    ctx.restore()
    if ring:
        ctx.save()
        ctx.translate(x, y)
        ctx.rotate(-0.35)
        ctx.scale(1.75 * r, 0.42 * r)
        ctx.arc(0, 0, 1, -0.5, math.pi + 0.5)
        ctx.restore()
        ctx.set_source_rgba(0.92, 0.82, 0.62, 0.85)
        ctx.set_line_width(0.16 * r)
        ctx.stroke()


def space(k):
    k.sky_colours, k.haze = ((0.02, 0.01, 0.07), (0.05, 0.02, 0.13), (0.08, 0.03, 0.17)), 0.0

    def deep(ctx):
        gradient = cairo.LinearGradient(0, 0, 0, 1)
        gradient.add_color_stop_rgb(0, 0.02, 0.01, 0.07)
        gradient.add_color_stop_rgb(1, 0.09, 0.03, 0.19)
        ctx.set_source(gradient)
        ctx.paint()
        _nebula(k, ctx)
    k.layer(0.0, deep)
    k.stars(90, 1.0, 0.05)
    k.stars(30, 1.0, 0.2)

    def planets(ctx):
        colours = [(0.85, 0.48, 0.26), (0.32, 0.56, 0.9), (0.82, 0.72, 0.46), (0.62, 0.4, 0.75), (0.4, 0.75, 0.6)]
        items = [(x, k.rng.choice((0.16, 0.24, 0.78, 0.86)), k.rng.uniform(0.06, 0.13), k.rng.choice(colours), k.rng.random() < 0.4)
                 for x in k.row(1.3, 0.8)]
        k.each(items, lambda *item: _planet(k, ctx, *item), 0.3)
    k.layer(0.45, planets)
    k.stars(10, 1.0, 0.9)


def moon(k):
    _barren(k, (0.66, 0.66, 0.70), ((0.0, 0.0, 0.02), (0.01, 0.01, 0.04), (0.03, 0.03, 0.08)), (0.3, 0.55, 0.9), 70)


def mars(k):
    _barren(k, (0.78, 0.42, 0.26), ((0.62, 0.40, 0.30), (0.84, 0.60, 0.44), (0.95, 0.78, 0.60)), None, 0)


def _barren(k, ground, sky_colours, earth, stars):
    """Dust, craters and rocks; over the moon the Earth hangs in a black sky."""
    k.sky_colours, k.haze = sky_colours, 0.35
    k.night, k.time = False, None
    k.sky()
    if stars:
        k.stars(stars, 0.75)
    if earth:
        k.layer(0.05, lambda ctx: _planet(k, ctx, k.rng.uniform(0.25, 0.75) * k.size[0] / k.size[1], 0.2, 0.085, earth, False), 0.0, 0.4)
    k.hills(0.25, ground, 0.62, 0.07, 1.2, True)
    k.hills(0.55, ground, 0.69, 0.035, 1.0)

    def craters(ctx):
        items = sorted(((k.rng.uniform(0, k.wide), 0.76 + 0.22 * k.rng.random()) for _ in range(k.many(8))), key=lambda item: item[1])

        def draw(x, y):
            r = 0.02 + 0.16 * (y - 0.72)
            for dy, tone, s in ((0.006, 1.25, 1.0), (0.0, 0.66, 0.94), (0.008, 0.8, 0.8)):
                k.ink(ctx, shade(ground, tone))
                ctx.save()
                ctx.translate(x, y + dy)
                ctx.scale(r * s, 0.3 * r * s)
                ctx.arc(0, 0, 1, 0, math.tau)
                ctx.restore()
                ctx.fill()
        k.each(items, draw)
        k.stones(ctx, 5, 0.77, 0.97, shade(ground, 0.85), 0.022)
    k.plane(mix(ground, (1, 1, 1), 0.12), shade(ground, 0.68), 0.73, craters, 0.2)
