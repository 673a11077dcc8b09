# SPDX-License-Identifier: LGPL-2.1-or-later
"""Places that people built, seen from outside: each paints its layers from far to near."""

import math

from .kit import mix, shade


def _window(k, ctx, x, y, w, h, lit, glass=(0.62, 0.78, 0.88)):
    if lit:
        ctx.set_source_rgb(1.0, 0.82, 0.42)
    else:
        k.ink(ctx, glass)
    ctx.rectangle(x, y, w, h)
    ctx.fill()


def _towers(k, depth, base, low, high, walls, per_height):
    """High houses with rows of windows."""
    def paint(ctx):
        items, x = [], 0.0
        count = max(2, round(k.wide * per_height))
        widths = [k.rng.uniform(0.7, 1.3) for _ in range(count)]
        total = sum(widths)
        for w in widths:
            w *= k.wide / total
            items.append((x, w * 0.96, k.rng.uniform(low, high), k.jitter(k.rng.choice(walls), 0.05), k.rng.randrange(3)))
            x += w

        def draw(x, w, h, wall, roof):
            top = base - h
            k.lit(ctx, x, x + w, wall, 0.35)
            ctx.rectangle(x, top, w, h)
            ctx.fill()
            k.ink(ctx, mix(wall, (1, 1, 1), 0.35))
            ctx.rectangle(x, top, w, 0.008)
            ctx.fill()
            if roof == 0:
                k.ink(ctx, shade(wall, 0.6))
                ctx.rectangle(x + 0.46 * w, top - 0.07, 0.012, 0.07)
                ctx.rectangle(x + 0.2 * w, top - 0.02, 0.3 * w, 0.02)
                ctx.fill()
            rows, columns = int(h / 0.055), max(2, int(w / 0.05))
            for row in range(rows):
                for column in range(columns):
                    lit = k.rng.random() < (0.6 if k.night else 0.04)
                    _window(k, ctx, x + w * (column + 0.25) / columns, top + 0.028 + 0.055 * row, 0.5 * w / columns, 0.03, lit,
                            shade(mix(wall, (0.5, 0.68, 0.85), 0.6), 0.85))
        k.each(items, draw, 0.01)
    k.layer(depth, paint, max(0.0, base - high - 0.08), base)


def _road(k, top, pavement=(0.66, 0.64, 0.62), asphalt=(0.32, 0.32, 0.35)):
    def detail(ctx):
        k.ink(ctx, mix(pavement, (1, 1, 1), 0.3))
        ctx.rectangle(0, top + 0.055, k.wide, 0.008)
        ctx.fill()
        k.shaded(ctx, top + 0.06, 1.0, mix(asphalt, (1, 1, 1), 0.1), shade(asphalt, 0.85))
        ctx.rectangle(0, top + 0.063, k.wide, 1)
        ctx.fill()
        k.ink(ctx, (0.92, 0.90, 0.82))
        count = max(2, round(2.6 * k.wide))
        for i in range(count):
            x = i * k.wide / count
            ctx.move_to(x, 0.93)
            ctx.line_to(x + 0.55 / 2.6, 0.93)
            ctx.line_to(x + 0.53 / 2.6, 0.948)
            ctx.line_to(x - 0.02 / 2.6, 0.948)
        ctx.fill()
        k.ink(ctx, shade(pavement, 0.8))
        for i in range(max(4, round(9 * k.wide))):
            ctx.rectangle(i * k.wide / max(4, round(9 * k.wide)), top, 0.004, 0.055)
        ctx.fill()
    k.plane(pavement, shade(pavement, 0.9), top, detail, 0.1, rim=0.2)


def _lamps(k, depth, base, high):
    def paint(ctx):
        def draw(x):
            k.ink(ctx, (0.2, 0.22, 0.25))
            ctx.rectangle(x - 0.006, base - high, 0.012, high)
            ctx.rectangle(x - 0.006, base - high, 0.06, 0.01)
            ctx.fill()
            if k.night:
                for r, alpha in ((0.11, 0.12), (0.06, 0.25), (0.025, 0.9)):
                    ctx.set_source_rgba(1, 0.88, 0.55, alpha)
                    ctx.arc(x + 0.048, base - high + 0.02, r, 0, math.tau)
                    ctx.fill()
            else:
                k.ink(ctx, (0.95, 0.93, 0.85))
                ctx.arc(x + 0.048, base - high + 0.016, 0.014, 0, math.tau)
                ctx.fill()
        k.each(k.row(1.1, 0.2), draw)
    k.layer(depth, paint, max(0.0, base - high - 0.12), base)


def city(k):
    k.sky()
    k.clouds(1.0, 0.06, 0.16)
    _towers(k, 0.2, 0.74, 0.3, 0.56, [(0.62, 0.70, 0.80), (0.70, 0.72, 0.78)], 6)
    _towers(k, 0.5, 0.78, 0.2, 0.42, [(0.66, 0.52, 0.46), (0.56, 0.58, 0.66), (0.78, 0.70, 0.58), (0.48, 0.56, 0.60)], 4.5)
    _road(k, 0.77)
    _lamps(k, 0.95, 0.8, 0.34)


def street(k):
    """A row of small shops and houses close by."""
    k.sky()
    k.clouds(1.2, 0.05, 0.14)
    _towers(k, 0.3, 0.6, 0.25, 0.4, [(0.68, 0.70, 0.78)], 5)

    def houses(ctx):
        colours = [(0.90, 0.62, 0.48), (0.60, 0.74, 0.80), (0.94, 0.84, 0.58), (0.72, 0.80, 0.60), (0.86, 0.70, 0.78), (0.95, 0.93, 0.88)]
        count = max(2, round(2.4 * k.wide))
        w = k.wide / count

        def draw(x, wall, h, awning, gable):
            top = 0.79 - h
            k.lit(ctx, x, x + w, wall, 0.22)
            ctx.rectangle(x, top, w, h)
            ctx.fill()
            k.ink(ctx, (0.58, 0.30, 0.24))
            ctx.move_to(x - 0.01, top)
            ctx.line_to(x + (0.5 * w if gable else 0.06), top - 0.09)
            ctx.line_to(x + (0.5 * w if gable else w - 0.06), top - 0.09)
            ctx.line_to(x + w + 0.01, top)
            ctx.fill()
            for row in range(int((h - 0.22) / 0.13)):
                for u in (0.12, 0.42, 0.72):
                    k.ink(ctx, (0.98, 0.97, 0.94))
                    ctx.rectangle(x + u * w - 0.008, top + 0.03 + 0.13 * row - 0.008, 0.17 * w + 0.016, 0.086)
                    ctx.fill()
                    _window(k, ctx, x + u * w, top + 0.03 + 0.13 * row, 0.17 * w, 0.07, k.night and k.rng.random() < 0.6)
            _window(k, ctx, x + 0.1 * w, 0.64, 0.46 * w, 0.12, k.night, (0.5, 0.66, 0.74))
            k.ink(ctx, (0.42, 0.27, 0.2))
            ctx.rectangle(x + 0.66 * w, 0.63, 0.2 * w, 0.16)
            ctx.fill()
            for i in range(6):
                k.ink(ctx, awning if i % 2 else (0.97, 0.96, 0.93))
                ctx.move_to(x + w * (0.08 + 0.083 * i), 0.595)
                ctx.line_to(x + w * (0.08 + 0.083 * (i + 1)), 0.595)
                ctx.line_to(x + w * (0.06 + 0.088 * (i + 1)), 0.645)
                ctx.line_to(x + w * (0.06 + 0.088 * i), 0.645)
                ctx.fill()
        k.each([(i * w, k.rng.choice(colours), k.rng.choice((0.38, 0.44, 0.5)),
                 k.rng.choice([(0.8, 0.25, 0.25), (0.2, 0.5, 0.4), (0.25, 0.4, 0.7)]), k.rng.random() < 0.5)
                for i in range(count)], draw, 0.02)
    k.layer(0.75, houses, 0.18, 0.79, grain=0.05)
    _road(k, 0.78)
    _lamps(k, 1.0, 0.82, 0.42)


def _fence(k, depth, base, colour=(0.93, 0.91, 0.86)):
    def paint(ctx):
        for y in (base - 0.085, base - 0.045):
            k.ink(ctx, shade(colour, 0.88))
            ctx.rectangle(0, y, k.wide, 0.014)
            ctx.fill()
        count = max(4, round(13 * k.wide))
        for i in range(count):
            x = (i + 0.5) * k.wide / count
            k.lit(ctx, x - 0.013, x + 0.013, colour, 0.25)
            ctx.move_to(x - 0.013, base)
            ctx.line_to(x - 0.013, base - 0.11)
            ctx.line_to(x, base - 0.13)
            ctx.line_to(x + 0.013, base - 0.11)
            ctx.line_to(x + 0.013, base)
            ctx.fill()
    k.layer(depth, paint, base - 0.14, base)


def _barn(k, ctx, x, base, s):
    red = (0.72, 0.22, 0.18)
    k.lit(ctx, x - 0.5 * s, x + 0.5 * s, red, 0.3)
    ctx.move_to(x - 0.5 * s, base)
    for u, v in ((-0.5, 0.5), (-0.34, 0.78), (0, 0.95), (0.34, 0.78), (0.5, 0.5), (0.5, 0)):
        ctx.line_to(x + u * s, base - v * s)
    ctx.fill()
    k.ink(ctx, (0.4, 0.33, 0.32))
    ctx.set_line_width(0.06 * s)
    for i, (u, v) in enumerate(((-0.54, 0.48), (-0.36, 0.79), (0, 0.97), (0.36, 0.79), (0.54, 0.48))):
        (ctx.line_to if i else ctx.move_to)(x + u * s, base - v * s)
    ctx.stroke()
    k.ink(ctx, (0.96, 0.94, 0.9))
    ctx.set_line_width(0.03 * s)
    ctx.rectangle(x - 0.2 * s, base - 0.42 * s, 0.4 * s, 0.42 * s)
    ctx.stroke()
    for side in (1, -1):
        ctx.move_to(x - side * 0.2 * s, base - 0.42 * s)
        ctx.line_to(x + side * 0.2 * s, base)
    ctx.stroke()
    ctx.rectangle(x - 0.08 * s, base - 0.68 * s, 0.16 * s, 0.14 * s)
    ctx.stroke()


def farm(k):
    k.sky()
    k.clouds(1.4, 0.07, 0.22)
    k.hills(0.25, (0.56, 0.70, 0.40), 0.57, 0.04, 1.0)

    def fields(ctx, crest):
        for i in range(max(3, round(5 * k.wide))):
            x = i * k.wide / max(3, round(5 * k.wide))
            k.ink(ctx, k.rng.choice([(0.86, 0.76, 0.34), (0.54, 0.68, 0.28), (0.64, 0.52, 0.30)]), 0.7)
            ctx.move_to(x, 0.58)
            ctx.line_to(x + 0.14, 0.58)
            ctx.line_to(x + 0.1, 0.72)
            ctx.line_to(x - 0.1, 0.72)
            ctx.fill()
    k.hills(0.4, (0.62, 0.72, 0.34), 0.62, 0.025, 0.8, detail=fields)

    def buildings(ctx):
        def draw(x, s):
            _barn(k, ctx, x, 0.74, s)
            k.lit(ctx, x + 0.58 * s, x + 0.8 * s, (0.78, 0.80, 0.82), 0.4)
            ctx.rectangle(x + 0.58 * s, 0.74 - 0.9 * s, 0.22 * s, 0.9 * s)
            ctx.arc(x + 0.69 * s, 0.74 - 0.9 * s, 0.11 * s, math.pi, 0)
            ctx.fill()
        k.each([(x, k.rng.uniform(0.28, 0.34)) for x in k.row(0.75, 0.4)], draw, 0.3)
    k.layer(0.65, buildings, 0.35, 0.75)
    k.plane((0.56, 0.70, 0.30), (0.42, 0.50, 0.20), 0.73, lambda ctx: k.tufts(ctx, (0.40, 0.56, 0.2), 70, 0.78, 1.0))
    _fence(k, 0.85, 0.785)
    k.blades((0.80, 0.68, 0.3), 0.1)


def garden(k):
    k.sky()
    k.clouds(1.2, 0.07, 0.2)

    def hedge(ctx):
        k.each([(x, k.rng.uniform(0.11, 0.17)) for x in k.row(7)], lambda x, s: k.bush(ctx, x, 0.7, s, k.jitter((0.26, 0.5, 0.22))), 0.2)
    k.layer(0.4, hedge, 0.45, 0.72)

    def trees(ctx):
        k.each([(x, k.rng.uniform(0.36, 0.46)) for x in k.row(0.9)], lambda x,
               h: k.tree(ctx, x, 0.73, h, k.rng.choice([(0.36, 0.6, 0.26), (0.95, 0.68, 0.78), (0.44, 0.64, 0.3)])), 0.3)
    k.layer(0.6, trees, 0.2, 0.75)
    _fence(k, 0.8, 0.765)

    def detail(ctx):
        k.tufts(ctx, (0.30, 0.58, 0.22), 70, 0.77, 1.0)
        k.ink(ctx, (0.84, 0.76, 0.62))
        count = max(3, round(4 * k.wide))
        for i in range(count):
            ctx.save()
            ctx.translate((i + 0.5) * k.wide / count, 0.93 + 0.012 * (-1) ** i)
            ctx.scale(0.085, 0.022)
            ctx.arc(0, 0, 1, 0, math.tau)
            ctx.restore()
            ctx.fill()
    k.plane((0.48, 0.74, 0.34), (0.30, 0.56, 0.2), 0.745, detail)

    def bed(ctx):
        colours = [(0.95, 0.25, 0.3), (1.0, 0.8, 0.2), (0.95, 0.5, 0.75), (0.98, 0.98, 1.0), (0.6, 0.4, 0.9)]

        def draw(x, h, colour):
            k.ink(ctx, (0.2, 0.46, 0.16))
            ctx.set_line_width(0.007)
            ctx.move_to(x, 1.0)
            ctx.line_to(x, 1 - h)
            ctx.stroke()
            k.ink(ctx, colour)
            for i in range(6):
                ctx.arc(x + 0.017 * math.cos(i * 1.047), 1 - h + 0.017 * math.sin(i * 1.047), 0.013, 0, math.tau)
                ctx.new_sub_path()
            ctx.fill()
            k.ink(ctx, (1, 0.85, 0.3))
            ctx.arc(x, 1 - h, 0.011, 0, math.tau)
            ctx.fill()
        k.each([(x, k.rng.uniform(0.03, 0.09), k.rng.choice(colours)) for x in k.row(7)], draw)
    k.layer(1.3, bed, 0.86, 1.0)


def castle(k):
    k.sky()
    k.clouds(1.2, 0.07, 0.2)
    k.hills(0.2, (0.46, 0.58, 0.50), 0.6, 0.08, 1.0)
    stone = (0.66, 0.64, 0.62)

    def battlements(ctx, x0, x1, y):
        n = max(2, round((x1 - x0) / 0.045))
        for i in range(n):
            ctx.rectangle(x0 + (x1 - x0) * i / n, y - 0.03, 0.6 * (x1 - x0) / n, 0.032)
        ctx.fill()

    def walls(ctx):
        k.shaded(ctx, 0.5, 0.76, stone, shade(stone, 0.8))
        ctx.rectangle(0, 0.52, k.wide, 0.24)
        ctx.fill()
        battlements(ctx, 0, k.wide, 0.52)
        k.ink(ctx, shade(stone, 0.72), 0.6)
        for row in range(6):
            for x in k.row(7, 0.4):
                ctx.rectangle(x, 0.54 + 0.036 * row, 0.05, 0.004)
        ctx.fill()

        def tower(x, w, h, colour):
            k.lit(ctx, x - w, x + w, stone, 0.4)
            ctx.rectangle(x - w, 0.76 - h, 2 * w, h)
            ctx.fill()
            k.lit(ctx, x - w, x + w, stone, 0.5)
            battlements(ctx, x - 1.15 * w, x + 1.15 * w, 0.76 - h)
            k.lit(ctx, x - w, x + w, colour, 0.45)
            ctx.move_to(x - 1.1 * w, 0.755 - h - 0.02)
            ctx.line_to(x, 0.76 - h - 2.9 * w)
            ctx.line_to(x + 1.1 * w, 0.755 - h - 0.02)
            ctx.fill()
            for y in (0.06, 0.17):
                _window(k, ctx, x - 0.012, 0.76 - h + y, 0.024, 0.05, k.night, (0.25, 0.25, 0.32))
            k.ink(ctx, (0.85, 0.2, 0.2))
            top = 0.76 - h - 2.9 * w
            ctx.move_to(x, top - 0.06)
            ctx.line_to(x + 0.06, top - 0.04)
            ctx.line_to(x, top - 0.02)
            ctx.fill()
            ctx.rectangle(x - 0.002, top - 0.06, 0.004, 0.07)
            ctx.fill()
        k.each([(x, k.rng.uniform(0.05, 0.075), k.rng.uniform(0.32, 0.46), k.rng.choice([(0.3, 0.42, 0.7), (0.7, 0.28, 0.26)]))
                for x in k.row(2.2, 0.3)], tower, 0.1)
    k.layer(0.5, walls, 0.02, 0.77, grain=0.12)
    k.plane((0.54, 0.68, 0.36), (0.34, 0.48, 0.22), 0.74, lambda ctx: (k.tufts(ctx, (0.32, 0.54, 0.22), 60, 0.78, 1.0),
                                                                       k.stones(ctx, 3, 0.8, 0.97, (0.64, 0.62, 0.6))))
    k.blades((0.26, 0.48, 0.2), 0.09)


def village(k):
    """Small houses in a valley."""
    k.sky()
    k.clouds(1.2, 0.06, 0.2)
    k.hills(0.2, (0.48, 0.62, 0.52), 0.54, 0.09, 1.1)

    def houses(depth, base, low, high, per_height):
        def paint(ctx):
            def draw(x, s, wall, roof):
                k.lit(ctx, x - 0.5 * s, x + 0.5 * s, wall, 0.25)
                ctx.rectangle(x - 0.5 * s, base - 0.6 * s, s, 0.6 * s)
                ctx.fill()
                k.lit(ctx, x - 0.6 * s, x + 0.6 * s, roof, 0.4)
                ctx.move_to(x - 0.62 * s, base - 0.56 * s)
                ctx.line_to(x, base - 1.1 * s)
                ctx.line_to(x + 0.62 * s, base - 0.56 * s)
                ctx.fill()
                for u in (-0.32, 0.14):
                    _window(k, ctx, x + u * s, base - 0.46 * s, 0.18 * s, 0.18 * s, k.night)
                k.ink(ctx, (0.4, 0.26, 0.18))
                ctx.rectangle(x - 0.07 * s, base - 0.26 * s, 0.15 * s, 0.26 * s)
                ctx.fill()
            walls, roofs = [(0.95, 0.92, 0.86), (0.93, 0.84, 0.66), (0.86, 0.78, 0.74)], [(0.72, 0.32, 0.24), (0.56, 0.36, 0.28),
                                                                                          (0.42, 0.42, 0.48)]
            k.each([(x, k.rng.uniform(low, high), k.rng.choice(walls), k.rng.choice(roofs)) for x in k.row(per_height)], draw, 0.2)
        k.layer(depth, paint, base - 1.15 * high, base)
    k.hills(0.35, (0.48, 0.68, 0.36), 0.6, 0.04, 0.9)
    houses(0.4, 0.64, 0.09, 0.13, 3.2)
    k.hills(0.55, (0.46, 0.66, 0.34), 0.68, 0.03, 0.8)
    houses(0.65, 0.73, 0.18, 0.24, 1.2)

    def detail(ctx):
        k.ink(ctx, (0.80, 0.70, 0.52))
        ctx.rectangle(0, 0.82, k.wide, 0.09)
        ctx.fill()
        k.tufts(ctx, (0.34, 0.58, 0.24), 60, 0.92, 1.0)
        k.stones(ctx, 6, 0.83, 0.9, (0.66, 0.6, 0.5), 0.014)
    k.plane((0.48, 0.70, 0.32), (0.30, 0.50, 0.2), 0.72, detail)


def playground(k):
    """A park with a slide and swings."""
    k.sky()
    k.clouds(1.3, 0.07, 0.22)

    def trees(ctx):
        k.each([(x, k.rng.uniform(0.3, 0.4)) for x in k.row(2.4)], lambda x, h: k.tree(ctx, x, 0.7, h, k.jitter((0.34, 0.58, 0.26))), 0.25)
    k.layer(0.4, trees, 0.25, 0.72)

    def toys(ctx):
        def draw(x, kind):
            if kind:
                ctx.set_line_width(0.016)
                k.ink(ctx, (0.85, 0.25, 0.2))
                for dx in (0, 0.07):
                    ctx.move_to(x + dx, 0.77)
                    ctx.line_to(x + dx, 0.5)
                ctx.stroke()
                for i in range(4):
                    ctx.rectangle(x, 0.55 + 0.055 * i, 0.07, 0.01)
                ctx.fill()
                k.ink(ctx, (0.98, 0.78, 0.2))
                ctx.set_line_width(0.034)
                ctx.move_to(x + 0.07, 0.53)
                ctx.curve_to(x + 0.14, 0.56, x + 0.18, 0.74, x + 0.3, 0.755)
                ctx.stroke()
            else:
                k.ink(ctx, (0.25, 0.45, 0.75))
                ctx.set_line_width(0.016)
                for dx in (0.0, 0.3):
                    ctx.move_to(x + dx - 0.04, 0.77)
                    ctx.line_to(x + dx, 0.44)
                    ctx.line_to(x + dx + 0.04, 0.77)
                ctx.move_to(x, 0.44)
                ctx.line_to(x + 0.3, 0.44)
                ctx.stroke()
                ctx.set_line_width(0.004)
                for dx in (0.07, 0.11, 0.19, 0.23):
                    ctx.move_to(x + dx, 0.44)
                    ctx.line_to(x + dx, 0.66)
                ctx.stroke()
                k.ink(ctx, (0.9, 0.4, 0.25))
                ctx.rectangle(x + 0.06, 0.655, 0.06, 0.012)
                ctx.rectangle(x + 0.18, 0.655, 0.06, 0.012)
                ctx.fill()
        k.each([(x, i % 2) for i, x in enumerate(k.row(1.6, 0.3))], draw, 0.35)
    k.layer(0.75, toys, 0.4, 0.79)
    k.plane((0.52, 0.74, 0.36), (0.34, 0.56, 0.22), 0.7, lambda ctx: (k.tufts(ctx, (0.34, 0.6, 0.24), 70, 0.74, 1.0),
                                                                      k.flowers(ctx, 8, 0.76, 0.98, [(1, 1, 1), (1, 0.9, 0.3)])))
