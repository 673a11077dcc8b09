# SPDX-License-Identifier: LGPL-2.1-or-later
"""Rooms: each paints its layers from far to near; no weather comes in."""

import math

from .kit import mix, shade


def _wall(k, colour, pattern=None):
    k.haze = 0.12

    def paint(ctx):
        k.shaded(ctx, 0, 0.8, mix(colour, (1, 1, 1), 0.12), shade(colour, 0.86))
        ctx.paint()
        if pattern:
            pattern(ctx)
    k.layer(0.35, paint, 0.0, 0.8, grain=0.05)


def _stripes(k, colour, width=0.04):
    def pattern(ctx):
        k.ink(ctx, colour, 0.4)
        count = max(2, round(k.wide / (2 * width)))
        for i in range(count):
            ctx.rectangle(i * k.wide / count, 0, 0.5 * k.wide / count, 0.8)
        ctx.fill()
    return pattern


def _boards(k, colour, top=0.75):
    """A wooden floor in perspective lines, with a skirting board."""
    def detail(ctx):
        for i, y in enumerate((0.0, 0.035, 0.08, 0.14, 0.21)):
            k.ink(ctx, shade(colour, 0.62), 0.55)
            ctx.rectangle(0, top + y, k.wide, 0.003 + 0.0008 * i)
            ctx.fill()
            for x in k.row(2.2 - 0.2 * i, 0.6):
                ctx.rectangle(x, top + y, 0.004, 0.045 + 0.01 * i)
            ctx.fill()
    k.plane(mix(colour, (1, 1, 1), 0.08), shade(colour, 0.74), top, detail, 0.1, rim=0)

    def skirting(ctx):
        k.ink(ctx, (0.97, 0.96, 0.93))
        ctx.rectangle(0, top - 0.03, k.wide, 0.034)
        ctx.fill()
        k.ink(ctx, (0.6, 0.58, 0.55))
        ctx.rectangle(0, top + 0.001, k.wide, 0.005)
        ctx.fill()
    k.layer(0.9, skirting, top - 0.04, top + 0.01)


def _window(k, ctx, x, y, w, h):
    sky = k.sky_colours
    for i in range(8):
        ctx.set_source_rgb(*mix(sky[0], sky[-1], i / 7))
        ctx.rectangle(x, y + h * i / 8, w, h / 8 + 0.002)
        ctx.fill()
    if not k.night:
        ctx.set_source_rgba(0.4, 0.62, 0.34, 0.9)
        ctx.arc(x + 0.3 * w, y + h * 1.12, 0.32 * h, math.pi * 1.12, math.pi * 1.88)
        ctx.arc(x + 0.75 * w, y + h * 1.1, 0.26 * h, math.pi * 1.12, math.pi * 1.88)
        ctx.fill()
    k.ink(ctx, (0.98, 0.97, 0.95))
    ctx.set_line_width(0.018)
    ctx.rectangle(x, y, w, h)
    ctx.move_to(x + 0.5 * w, y)
    ctx.line_to(x + 0.5 * w, y + h)
    ctx.move_to(x, y + 0.5 * h)
    ctx.line_to(x + w, y + 0.5 * h)
    ctx.stroke()
    ctx.rectangle(x - 0.025, y + h, w + 0.05, 0.022)
    ctx.fill()


def room(k):
    colour = k.rng.choice([(0.93, 0.83, 0.68), (0.70, 0.82, 0.85), (0.86, 0.74, 0.74), (0.78, 0.84, 0.70)])
    _wall(k, colour, _stripes(k, mix(colour, (1, 1, 1), 0.5)) if k.rng.random() < 0.6 else None)

    def things(ctx):
        def draw(x, kind):
            if kind == 0:
                _window(k, ctx, x, 0.14, 0.3, 0.36)
                for side in (-1, 1):
                    edge = x + 0.15 + side * 0.19
                    k.lit(ctx, edge - 0.05, edge + 0.05, (0.75, 0.35, 0.32), 0.4)
                    ctx.move_to(edge - side * 0.05, 0.1)
                    ctx.line_to(edge + side * 0.05, 0.1)
                    ctx.line_to(edge + side * 0.06, 0.56)
                    ctx.curve_to(edge, 0.58, edge, 0.55, edge - side * 0.01, 0.56)
                    ctx.fill()
            elif kind == 1:
                k.ink(ctx, (0.55, 0.38, 0.22))
                ctx.rectangle(x, 0.2, 0.22, 0.17)
                ctx.fill()
                k.shaded(ctx, 0.215, 0.355, (0.55, 0.75, 0.9), (0.5, 0.65, 0.35))
                ctx.rectangle(x + 0.015, 0.215, 0.19, 0.14)
                ctx.fill()
            else:
                wood = (0.52, 0.34, 0.21)
                k.lit(ctx, x, x + 0.3, wood, 0.3)
                ctx.rectangle(x, 0.36, 0.28, 0.38)
                ctx.fill()
                for row in range(3):
                    k.ink(ctx, shade(wood, 0.6))
                    ctx.rectangle(x + 0.015, 0.375 + 0.12 * row, 0.25, 0.105)
                    ctx.fill()
                    u = x + 0.02
                    while u < x + 0.25:
                        w = k.rng.uniform(0.012, 0.024)
                        h = k.rng.uniform(0.06, 0.095)
                        k.ink(ctx, k.rng.choice([(0.75, 0.25, 0.25), (0.25, 0.42, 0.65), (0.85, 0.7, 0.35), (0.3, 0.55, 0.4),
                                                 (0.9, 0.88, 0.82)]))
                        ctx.rectangle(u, 0.48 + 0.12 * row - h, w, h)
                        ctx.fill()
                        u += w + 0.002
        first = k.rng.randrange(3)
        k.each([(x, (i + first) % 3) for i, x in enumerate(k.row(2.0, 0.2))], draw, 0.4)
    k.layer(0.5, things, 0.08, 0.76)
    _boards(k, (0.66, 0.45, 0.27))

    def rug(ctx):
        def draw(x):
            for s, colour in ((1.0, (0.66, 0.24, 0.26)), (0.82, (0.92, 0.82, 0.66)), (0.7, (0.36, 0.44, 0.6))):
                k.ink(ctx, colour)
                ctx.save()
                ctx.translate(x, 0.9)
                ctx.scale(0.36 * s, 0.075 * s)
                ctx.arc(0, 0, 1, 0, math.tau)
                ctx.restore()
                ctx.fill()
        k.each([0.5 * k.wide], draw, 0.4)
    k.layer(1.0, rug, 0.8, 0.99, grain=0.14)


def kitchen(k):
    tile = k.rng.choice([(0.92, 0.94, 0.93), (0.80, 0.90, 0.88), (0.96, 0.92, 0.80)])

    def tiles(ctx):
        k.ink(ctx, shade(tile, 0.82))
        n = max(4, round(11 * k.wide))
        for i in range(n):
            ctx.rectangle(i * k.wide / n, 0.0, 0.004, 0.8)
        for i in range(9):
            ctx.rectangle(0, 0.09 * i, k.wide, 0.004)
        ctx.fill()
    _wall(k, tile, tiles)
    front = k.rng.choice([(0.40, 0.58, 0.56), (0.82, 0.66, 0.44), (0.90, 0.88, 0.84), (0.45, 0.52, 0.66)])

    def cupboards(ctx):
        n = max(3, round(3.4 * k.wide))
        w = k.wide / n
        for i in range(n):
            x = i * w
            if i % 4 == 1:
                _window(k, ctx, x + 0.02, 0.08, w - 0.04, 0.3)
            else:
                k.lit(ctx, x, x + w, front, 0.18)
                ctx.rectangle(x + 0.006, 0.0, w - 0.012, 0.26)
                ctx.fill()
                k.ink(ctx, shade(front, 0.7))
                ctx.rectangle(x + 0.03, 0.03, w - 0.06, 0.2)
                ctx.set_line_width(0.005)
                ctx.stroke()
            k.lit(ctx, x, x + w, front, 0.18)
            ctx.rectangle(x + 0.004, 0.55, w - 0.008, 0.2)
            ctx.fill()
            if i % 4 == 2:
                k.ink(ctx, (0.2, 0.2, 0.22))
                ctx.rectangle(x + 0.03, 0.6, w - 0.06, 0.12)
                ctx.fill()
                for j in range(3):
                    k.ink(ctx, (0.85, 0.85, 0.85))
                    ctx.arc(x + w * (0.25 + 0.25 * j), 0.577, 0.011, 0, math.tau)
                    ctx.fill()
            else:
                k.ink(ctx, (0.9, 0.88, 0.82))
                ctx.rectangle(x + 0.5 * w - 0.03, 0.575, 0.06, 0.01)
                ctx.fill()
        k.shaded(ctx, 0.52, 0.56, (0.80, 0.66, 0.48), (0.55, 0.42, 0.28))
        ctx.rectangle(0, 0.525, k.wide, 0.03)
        ctx.fill()

        def pot(x, colour, tall):
            k.lit(ctx, x - 0.04, x + 0.04, colour, 0.5)
            ctx.rectangle(x - 0.035, 0.525 - tall, 0.07, tall)
            ctx.fill()
            k.ink(ctx, shade(colour, 0.6))
            ctx.rectangle(x - 0.04, 0.52 - tall, 0.08, 0.01)
            ctx.fill()
        k.each([(x, k.rng.choice([(0.8, 0.3, 0.25), (0.7, 0.72, 0.75), (0.9, 0.75, 0.4), (0.35, 0.55, 0.45)]), k.rng.uniform(0.05, 0.1))
                for x in k.row(2.6)], pot, 0.05)
    k.layer(0.6, cupboards, 0.0, 0.76)

    def lamps(ctx):
        def draw(x, colour):
            k.ink(ctx, (0.25, 0.25, 0.28))
            ctx.rectangle(x - 0.003, 0, 0.006, 0.1)
            ctx.fill()
            k.lit(ctx, x - 0.06, x + 0.06, colour, 0.4)
            ctx.arc(x, 0.15, 0.06, math.pi, 0)
            ctx.fill()
            ctx.set_source_rgb(1, 0.93, 0.7)
            ctx.arc(x, 0.152, 0.022, 0, math.pi)
            ctx.fill()
        k.each([(x, k.rng.choice([(0.8, 0.32, 0.26), (0.25, 0.45, 0.5), (0.9, 0.72, 0.3)])) for x in k.row(1.0)], draw, 0.1)
    k.layer(0.8, lamps, 0.0, 0.2)

    def chequers(ctx):
        n = 2 * max(2, round(3.4 * k.wide))
        rows = (0.75, 0.785, 0.83, 0.895, 1.0)
        for row, (y0, y1) in enumerate(zip(rows, rows[1:])):
            k.ink(ctx, (0.34, 0.42, 0.46), 0.85)
            for i in range(row % 2, n, 2):
                ctx.rectangle(i * k.wide / n, y0, k.wide / n, y1 - y0)
            ctx.fill()
    k.plane((0.94, 0.93, 0.90), (0.84, 0.83, 0.80), 0.75, chequers, 0.05, rim=0)


def bedroom(k):
    colour = k.rng.choice([(0.62, 0.66, 0.84), (0.84, 0.72, 0.84), (0.68, 0.82, 0.78)])

    def dots(ctx):
        k.ink(ctx, mix(colour, (1, 1, 1), 0.6), 0.6)
        n = max(3, round(8 * k.wide))
        for row in range(7):
            for i in range(n):
                ctx.arc((i + 0.5 * (row % 2)) * k.wide / n, 0.05 + 0.1 * row, 0.012, 0, math.tau)
                ctx.new_sub_path()
        ctx.fill()
    _wall(k, colour, dots)

    def furniture(ctx):
        def draw(x, kind):
            if kind:
                _window(k, ctx, x, 0.14, 0.26, 0.34)
                return
            k.lit(ctx, x, x + 0.5, (0.62, 0.42, 0.26), 0.3)
            ctx.rectangle(x, 0.46, 0.03, 0.3)
            ctx.rectangle(x + 0.49, 0.56, 0.03, 0.2)
            ctx.rectangle(x, 0.66, 0.5, 0.05)
            ctx.fill()
            k.shaded(ctx, 0.58, 0.68, (0.95, 0.45, 0.45), (0.75, 0.3, 0.34))
            ctx.rectangle(x + 0.13, 0.595, 0.36, 0.09)
            ctx.fill()
            k.shaded(ctx, 0.55, 0.66, (1, 1, 1), (0.82, 0.84, 0.9))
            ctx.rectangle(x + 0.03, 0.56, 0.12, 0.1)
            ctx.fill()
        first = k.rng.randrange(2)
        k.each([(x, (i + first) % 2) for i, x in enumerate(k.row(1.5, 0.2))], draw, 0.6)
    k.layer(0.55, furniture, 0.1, 0.77)
    _boards(k, (0.78, 0.62, 0.44))


def stage(k):
    """A theatre: curtains at the sides and a wooden floor."""
    k.haze = 0.1
    red = k.rng.choice([(0.66, 0.08, 0.12), (0.20, 0.14, 0.46), (0.10, 0.34, 0.26)])

    def back(ctx):
        k.shaded(ctx, 0, 0.8, (0.10, 0.07, 0.14), (0.30, 0.22, 0.34))
        ctx.paint()
    k.layer(0.2, back, 0.0, 0.84)    # under the boards, which a zoom moves further down

    def folds(ctx, x0, x1, top, bottom, count):
        w = (x1 - x0) / count
        for i in range(count):
            k.lit(ctx, x0 + i * w, x0 + (i + 1) * w, red, 0.65)
            ctx.rectangle(x0 + i * w, top, w + 0.001, bottom - top)
            ctx.fill()

    def curtain(ctx):
        folds(ctx, 0, k.wide, 0.0, 0.76, max(6, round(14 * k.wide)))
        ctx.set_source_rgba(0.02, 0.0, 0.05, 0.45)
        ctx.rectangle(0, 0, k.wide, 0.76)
        ctx.fill()
    k.layer(0.4, curtain, 0.0, 0.76)
    _boards(k, (0.58, 0.38, 0.22))

    def lamps(ctx):
        for x in k.row(2.6, 0.1):
            k.ink(ctx, (0.9, 0.75, 0.35))
            ctx.arc(x, 0.775, 0.02, math.pi, 0)
            ctx.fill()
            ctx.set_source_rgba(1, 0.9, 0.6, 0.25)
            ctx.arc(x, 0.765, 0.045, 0, math.tau)
            ctx.fill()
    k.layer(0.95, lamps, 0.7, 0.78)

    def valance(ctx):
        n = max(3, round(4 * k.wide))
        w = k.wide / n
        for i in range(n):
            k.shaded(ctx, 0, 0.16, shade(red, 1.15), shade(red, 0.6))
            ctx.move_to(i * w, 0)
            ctx.line_to(i * w, 0.07)
            ctx.curve_to(i * w + 0.2 * w, 0.15, i * w + 0.8 * w, 0.15, (i + 1) * w, 0.07)
            ctx.line_to((i + 1) * w, 0)
            ctx.fill()
            k.ink(ctx, (0.92, 0.76, 0.36))
            ctx.set_line_width(0.01)
            ctx.move_to(i * w, 0.07)
            ctx.curve_to(i * w + 0.2 * w, 0.15, i * w + 0.8 * w, 0.15, (i + 1) * w, 0.07)
            ctx.stroke()
    k.layer(0.9, valance, 0.0, 0.15)
