# SPDX-License-Identifier: LGPL-2.1-or-later
"""Places in the open country: each paints its layers from far to near."""

import math

from .kit import mix, shade

GREEN = (0.36, 0.66, 0.26)


def _firs(k, depth, per_height, base, low, high, colour, snow=False):
    def paint(ctx):
        k.each([(x, k.rng.uniform(low, high)) for x in k.row(per_height)], lambda x, h: k.fir(ctx, x, base, h, k.jitter(colour, 0.06), snow),
               0.4 * high)
    k.layer(depth, paint, max(0.0, base - high), base + 0.02)


def _trees(k, depth, per_height, base, low, high, colours):
    def paint(ctx):
        k.each([(x, k.rng.uniform(low, high)) for x in k.row(per_height)], lambda x,
               h: k.tree(ctx, x, base, h, k.jitter(k.rng.choice(colours), 0.06)), 0.6 * high)
    k.layer(depth, paint, max(0.0, base - 1.05 * high), base + 0.02)


def meadow(k):
    k.sky()
    k.clouds(1.6, 0.08, 0.26)
    k.hills(0.3, (0.45, 0.66, 0.44), 0.56, 0.05, 1.2)
    _trees(k, 0.45, 2.2, 0.62, 0.09, 0.14, [(0.28, 0.52, 0.24), (0.36, 0.58, 0.25)])
    k.hills(0.6, (0.42, 0.70, 0.32), 0.645, 0.035, 0.8)

    def detail(ctx):
        k.tufts(ctx, (0.26, 0.55, 0.18), 90, 0.74, 1.0)
        k.flowers(ctx, 26, 0.75, 0.99, [(1, 1, 1), (1, 0.85, 0.2), (0.95, 0.4, 0.55), (0.6, 0.5, 0.95)])
    k.plane((0.45, 0.74, 0.30), (0.24, 0.52, 0.17), 0.72, detail)
    k.blades((0.26, 0.56, 0.18))


def forest(k):
    k.sky(body=False)
    _firs(k, 0.2, 9, 0.77, 0.36, 0.52, (0.36, 0.56, 0.44))
    _firs(k, 0.45, 6, 0.78, 0.4, 0.62, (0.22, 0.46, 0.30))

    def trunks(ctx):
        for x in k.row(1.5):
            w = k.rng.uniform(0.03, 0.055)
            k.lit(ctx, x - w, x + w, (0.40, 0.29, 0.20), 0.5)
            ctx.rectangle(x - w, 0, 2 * w, 0.8)
            ctx.fill()
            k.ink(ctx, (0.22, 0.15, 0.1), 0.5)
            for i in range(9):
                y = 0.04 + 0.085 * i + k.rng.uniform(-0.02, 0.02)
                ctx.rectangle(x - w * k.rng.uniform(0.2, 0.8), y, w * 0.25, 0.05)
            ctx.fill()
    k.layer(0.8, trunks, 0.0, 0.81)

    def detail(ctx):
        k.tufts(ctx, (0.24, 0.44, 0.18), 60, 0.78, 1.0)
        k.stones(ctx, 3, 0.8, 0.97, (0.5, 0.5, 0.48), 0.02)
    k.plane((0.32, 0.48, 0.22), (0.17, 0.30, 0.13), 0.75, detail)

    def leaves(ctx):
        for x in k.row(5):
            k.bush(ctx, x, 0.03, k.rng.uniform(0.09, 0.15), (0.2, 0.42, 0.2))
    k.layer(0.9, leaves, 0.0, 0.16)
    k.blades((0.14, 0.34, 0.14), 0.13, 1.4, 12)


def autumn(k):
    colours = [(0.86, 0.48, 0.16), (0.90, 0.66, 0.2), (0.72, 0.28, 0.14), (0.80, 0.56, 0.24)]
    k.sky()
    k.clouds(1.2, 0.08, 0.2)
    k.hills(0.25, (0.72, 0.56, 0.36), 0.58, 0.04, 1.0)
    _trees(k, 0.45, 3.4, 0.66, 0.24, 0.34, colours)
    _trees(k, 0.75, 1.6, 0.75, 0.44, 0.58, colours)

    def detail(ctx):
        for _ in range(k.many(90)):
            y = 0.76 + 0.24 * k.rng.random()
            k.ink(ctx, k.rng.choice(colours))
            ctx.arc(k.rng.uniform(0.01, k.wide - 0.01), y, 0.004 + 0.006 * (y - 0.7), 0, math.tau)
            ctx.fill()
    k.plane((0.62, 0.58, 0.26), (0.42, 0.36, 0.15), 0.73, detail)

    def falling(ctx, t, way):
        k.depth = 1.0
        for i in range(9):
            u = (0.137 * i + 0.09 * t) % 1
            x = (0.371 * i + 0.05 * math.sin(1.7 * t + i) - way) % k.wide
            ctx.save()
            ctx.translate(x, u * 1.1 - 0.05)
            ctx.rotate(math.sin(1.7 * t + i))
            ctx.scale(0.014, 0.007)
            k.ink(ctx, colours[i % 4])
            ctx.arc(0, 0, 1, 0, math.tau)
            ctx.fill()
            ctx.restore()
    k.living(1.2, falling)


def jungle(k):
    k.sky(body=False)

    def haze(ctx):
        k.shaded(ctx, 0.0, 0.8, (0.62, 0.80, 0.48), (0.30, 0.54, 0.28))
        ctx.paint()
    k.layer(0.15, haze, 0.0, 0.85)

    def palms(ctx):
        k.each([(x, k.rng.uniform(0.45, 0.62)) for x in k.row(2.6)], lambda x, h: k.palm(ctx, x, 0.74, h, (0.24, 0.52, 0.24)), 0.4)
    k.layer(0.4, palms, 0.0, 0.76)

    def bushes(ctx):
        k.each([(x, k.rng.uniform(0.1, 0.16)) for x in k.row(6)], lambda x, s: k.bush(ctx, x, 0.78, s, k.jitter((0.16, 0.44, 0.18))), 0.2)
    k.layer(0.7, bushes, 0.55, 0.8)

    def lianas(ctx):
        ctx.set_line_width(0.012)
        for x in k.row(2.4):
            k.ink(ctx, (0.16, 0.34, 0.14))
            deep = k.rng.uniform(0.2, 0.5)
            ctx.move_to(x, 0)
            ctx.curve_to(x + 0.05, 0.4 * deep, x - 0.05, 0.7 * deep, x + 0.02, deep)
            ctx.stroke()
            for i in range(5):
                y = deep * (0.2 + 0.2 * i)
                ctx.arc(x + 0.02 * (-1) ** i, y, 0.018, 0, math.tau)
                ctx.fill()
    k.layer(0.85, lianas, 0.0, 0.55)

    def detail(ctx):
        k.tufts(ctx, (0.16, 0.42, 0.14), 80, 0.78, 1.0, 0.04)
        k.flowers(ctx, 5, 0.8, 0.96, [(0.95, 0.3, 0.4), (1.0, 0.6, 0.2)])
    k.plane((0.26, 0.46, 0.18), (0.12, 0.27, 0.10), 0.76, detail)

    def leaf(ctx):
        def draw(x, high, lean):
            k.ink(ctx, k.jitter((0.07, 0.26, 0.1), 0.1))
            ctx.move_to(x, 1.02)
            ctx.curve_to(x - 0.1 + lean, 1 - 0.6 * high, x + lean, 1 - high, x + 1.4 * lean, 1 - high)
            ctx.curve_to(x + 0.08 + lean, 1 - 0.8 * high, x + 0.06, 1 - 0.4 * high, x, 1.02)
            ctx.fill()
        k.each([(x, k.rng.uniform(0.08, 0.18), k.rng.uniform(-0.12, 0.12)) for x in k.row(6)], draw)
    k.layer(1.45, leaf, 0.8, 1.0)


def savanna(k):
    k.sky()
    k.clouds(1.0, 0.1, 0.2, alpha=0.7)
    k.hills(0.2, (0.62, 0.58, 0.46), 0.57, 0.025, 1.0)

    def acacias(ctx):
        def draw(x, h):
            k.ink(ctx, (0.34, 0.25, 0.16))
            ctx.set_line_width(0.08 * h)
            ctx.move_to(x, 0.68)
            ctx.line_to(x, 0.68 - 0.55 * h)
            ctx.line_to(x - 0.25 * h, 0.68 - 0.85 * h)
            ctx.move_to(x, 0.68 - 0.55 * h)
            ctx.line_to(x + 0.25 * h, 0.68 - 0.85 * h)
            ctx.stroke()
            for tone, dy in ((0.75, 0.03), (1.05, -0.02)):
                k.ink(ctx, shade((0.46, 0.54, 0.22), tone))
                for u, r in ((-0.4, 0.16), (-0.1, 0.2), (0.2, 0.2), (0.45, 0.15)):
                    ctx.save()
                    ctx.translate(x + u * h, 0.68 - 0.88 * h + dy * h)
                    ctx.scale(r * h * 1.5, r * h * 0.7)
                    ctx.arc(0, 0, 1, 0, math.tau)
                    ctx.restore()
                    ctx.fill()
        k.each([(x, k.rng.uniform(0.22, 0.34)) for x in k.row(1.6)], draw, 0.3)
    k.layer(0.45, acacias, 0.3, 0.7)

    def detail(ctx):
        k.tufts(ctx, (0.70, 0.56, 0.22), 120, 0.7, 1.0, 0.035)
    k.plane((0.86, 0.74, 0.40), (0.66, 0.50, 0.22), 0.66, detail)
    k.blades((0.76, 0.62, 0.26), 0.12)


def desert(k):
    k.sky()
    k.hills(0.2, (0.88, 0.74, 0.56), 0.58, 0.05, 0.9, rim=0.5)
    k.hills(0.5, (0.92, 0.74, 0.46), 0.66, 0.055, 0.8, rim=0.5)

    def cacti(ctx):
        def draw(x, h):
            ctx.set_line_cap(1)
            for tone, dx in ((0.75, 0.006), (1.05, -0.003)):
                k.ink(ctx, shade((0.34, 0.52, 0.28), tone))
                ctx.set_line_width(0.17 * h)
                ctx.move_to(x + dx, 0.74)
                ctx.line_to(x + dx, 0.74 - h)
                ctx.stroke()
                ctx.set_line_width(0.11 * h)
                for side, y in ((-1, 0.4), (1, 0.55)):
                    ctx.move_to(x + dx, 0.74 - y * h)
                    ctx.line_to(x + dx + side * 0.26 * h, 0.74 - y * h)
                    ctx.line_to(x + dx + side * 0.26 * h, 0.74 - (y + 0.28) * h)
                    ctx.stroke()
        k.each([(x, k.rng.uniform(0.1, 0.18)) for x in k.row(1.2)], draw, 0.1)
    k.layer(0.65, cacti, 0.5, 0.76)

    def detail(ctx):
        ctx.set_line_width(0.004)
        for i in range(9):
            y = 0.78 + 0.026 * i
            k.ink(ctx, (0.66, 0.46, 0.24), 0.35)
            phase = k.rng.uniform(0, 6)
            for j in range(int(k.wide / 0.03) + 2):
                ctx.line_to(0.03 * j, y + 0.006 * math.sin(math.tau * 3 * 0.03 * j / k.wide + phase) - 0.5 * k.stage.rise(0.03 * j) * (1 - y))
            ctx.stroke()
        k.stones(ctx, 2, 0.8, 0.97, (0.62, 0.45, 0.32), 0.02)
    k.plane((0.93, 0.74, 0.45), (0.78, 0.55, 0.28), 0.74, detail, rim=0.5)


def snow(k):
    k.sky()
    k.clouds(1.2, 0.08, 0.2, alpha=0.7)
    k.hills(0.2, (0.80, 0.86, 0.94), 0.56, 0.09, 0.9, True, rim=0.5)
    _firs(k, 0.4, 5, 0.66, 0.12, 0.2, (0.28, 0.44, 0.42), True)
    _firs(k, 0.65, 2.4, 0.74, 0.24, 0.36, (0.22, 0.40, 0.36), True)

    def detail(ctx):
        ctx.set_line_width(0.006)
        for _ in range(k.many(9)):
            x, y, w = k.rng.uniform(0, k.wide), k.rng.uniform(0.77, 0.98), k.rng.uniform(0.05, 0.16)
            k.ink(ctx, (0.70, 0.78, 0.90), 0.5)
            ctx.move_to(x, y)
            ctx.curve_to(x + 0.3 * w, y - 0.012, x + 0.7 * w, y - 0.012, x + w, y)
            ctx.stroke()
    k.plane((0.97, 0.98, 1.0), (0.80, 0.86, 0.95), 0.72, detail, 0.05, rim=0.6)


def mountains(k):
    k.sky()
    k.clouds(1.4, 0.08, 0.24)

    def peaks(depth, colour, base, height, snow_line, count):
        def paint(ctx):
            step = k.wide / max(2, round(count * k.wide))
            items = [((i + k.rng.uniform(0.3, 0.7)) * step, height * k.rng.uniform(0.65, 1.0), step * k.rng.uniform(0.8, 1.1))
                     for i in range(max(2, round(count * k.wide)))]

            def draw(x, h, w):
                top = base - h
                for side, tone in ((-1, 1.12), (1, 0.74)):
                    k.shaded(ctx, top, base, shade(colour, tone), shade(mix(colour, (0.4, 0.5, 0.36), 0.35), tone))
                    ctx.move_to(x, top)
                    ctx.line_to(x + side * 0.45 * w, top + 0.52 * h)
                    ctx.line_to(x + side * w, base + 0.02)
                    ctx.line_to(x + 0.08 * w, base + 0.02)
                    ctx.line_to(x - 0.05 * w, top + 0.6 * h)
                    ctx.line_to(x + 0.05 * w, top + 0.3 * h)
                    ctx.close_path()
                    ctx.fill()
                    k.ink(ctx, shade((0.97, 0.98, 1.0), 1.0 if side < 0 else 0.84))
                    ctx.move_to(x, top)
                    ctx.line_to(x + side * 0.45 * snow_line * w, top + 0.52 * snow_line * h)
                    ctx.line_to(x + side * 0.22 * snow_line * w, top + 0.42 * snow_line * h)
                    ctx.line_to(x + side * 0.1 * snow_line * w, top + 0.62 * snow_line * h)
                    ctx.line_to(x + 0.02 * w, top + 0.4 * snow_line * h)
                    ctx.close_path()
                    ctx.fill()
            k.each(items, draw, 0.8)
        k.layer(depth, paint, max(0.0, base - height), base + 0.03, grain=0.1)
    peaks(0.15, (0.60, 0.66, 0.80), 0.6, 0.42, 0.6, 1.5)
    peaks(0.35, (0.46, 0.50, 0.60), 0.68, 0.34, 0.42, 1.3)
    k.hills(0.5, (0.36, 0.52, 0.32), 0.66, 0.02, 1.0)
    _firs(k, 0.6, 6, 0.72, 0.06, 0.11, (0.2, 0.4, 0.28))
    k.plane((0.44, 0.64, 0.32), (0.27, 0.44, 0.2), 0.71, lambda ctx: (k.tufts(ctx, (0.28, 0.5, 0.2), 60, 0.75, 1.0),
                                                                      k.stones(ctx, 5, 0.76, 0.97, (0.6, 0.6, 0.6))))


def canyon(k):
    k.sky()

    def mesas(depth, base, height, per_height, colour):
        def paint(ctx):
            def draw(x, w, h):
                ctx.move_to(x - w, base)
                for u, v in ((-0.8, 0.3), (-0.7, 0.92), (-0.6, 1.0), (0.6, 1.0), (0.72, 0.9), (0.82, 0.3), (1.0, 0.0)):
                    ctx.line_to(x + u * w, base - v * h)
                ctx.close_path()
                k.lit(ctx, x - w, x + w, colour, 0.4)
                path = ctx.copy_path()
                ctx.fill()
                ctx.save()
                ctx.append_path(path)
                ctx.clip()
                for i in range(6):
                    k.ink(ctx, shade(colour, k.rng.choice((0.78, 0.86, 1.12))), 0.7)
                    ctx.rectangle(x - w, base - h * (0.95 - 0.16 * i), 2 * w, h * k.rng.uniform(0.03, 0.07))
                    ctx.fill()
                ctx.restore()
            k.each([(x, k.rng.uniform(0.12, 0.24), height * k.rng.uniform(0.6, 1)) for x in k.row(per_height)], draw, 0.3)
        k.layer(depth, paint, base - height - 0.01, base + 0.01, grain=0.12)
    mesas(0.2, 0.6, 0.26, 1.8, (0.80, 0.50, 0.38))
    k.hills(0.35, (0.84, 0.58, 0.42), 0.59, 0.015, 1.0)
    mesas(0.5, 0.71, 0.36, 1.0, (0.78, 0.42, 0.26))
    k.plane((0.86, 0.56, 0.36), (0.64, 0.36, 0.2), 0.69, lambda ctx: (k.stones(ctx, 8, 0.73, 0.98, (0.7, 0.42, 0.28)),
                                                                      k.tufts(ctx, (0.5, 0.5, 0.24), 12, 0.74, 0.98)))


def cave(k):
    k.sky_colours, k.haze = ((0.10, 0.09, 0.14), (0.16, 0.13, 0.19), (0.26, 0.22, 0.30)), 0.5

    def back(ctx):
        k.shaded(ctx, 0, 1, (0.2, 0.17, 0.24), (0.36, 0.3, 0.36))
        ctx.paint()
    k.layer(0.0, back, grain=0.3)

    def opening(ctx):
        x = 0.5 * k.size[0] / k.size[1]
        for r, alpha in ((0.27, 0.16), (0.23, 0.25), (0.19, 1.0)):
            ctx.set_source_rgba(*mix((0.6, 0.82, 0.95), (1, 1, 1), 0.2), alpha)
            ctx.save()
            ctx.translate(x, 0.5)
            ctx.scale(r, 0.85 * r)
            ctx.arc(0, 0, 1, 0, math.tau)
            ctx.restore()
            ctx.fill()
    k.layer(0.1, opening, 0.2, 0.8)

    def spikes(depth, per_height, long, colour):
        def paint(ctx):
            def draw(x, w, h, up):
                k.lit(ctx, x - w, x + w, colour, 0.5)
                ctx.move_to(x - w, 0.0 if not up else 0.78)
                ctx.curve_to(x - 0.4 * w, (0.3 * h) if not up else 0.78 - 0.3 * h, x - 0.1 * w, 0.7 * h if not up else 0.78 - 0.7 * h, x, h
                             if not up else 0.78 - h)
                ctx.curve_to(x + 0.1 * w, 0.7 * h if not up else 0.78 - 0.7 * h, x + 0.4 * w, 0.3 * h if not up else 0.78 - 0.3 * h, x + w, 0.0
                             if not up else 0.78)
                ctx.fill()
            k.each([(x, k.rng.uniform(0.04, 0.08), long * k.rng.uniform(0.5, 1), i % 3 == 2) for i, x in enumerate(k.row(per_height))], draw,
                   0.1)
        k.layer(depth, paint, 0.0, 0.8, grain=0.2)
    spikes(0.4, 6, 0.3, (0.36, 0.30, 0.36))
    spikes(0.8, 4, 0.22, (0.46, 0.38, 0.40))
    k.plane((0.48, 0.40, 0.42), (0.24, 0.19, 0.23), 0.74, lambda ctx: k.stones(ctx, 9, 0.77, 0.98, (0.5, 0.43, 0.45)), 0.3)

    def crystals(ctx):
        def draw(x, h, colour):
            for lean, tone in ((-0.35, 0.8), (0.3, 0.7), (0.0, 1.0)):
                ctx.set_source_rgb(*shade(colour, tone))
                ctx.move_to(x - 0.018, 0.8)
                ctx.line_to(x - 0.014 + lean * h, 0.8 - 0.8 * h)
                ctx.line_to(x + lean * h, 0.8 - h)
                ctx.line_to(x + 0.014 + lean * h, 0.8 - 0.8 * h)
                ctx.line_to(x + 0.018, 0.8)
                ctx.fill()
        k.each([(x, k.rng.uniform(0.05, 0.1), k.rng.choice([(0.5, 0.9, 1.0), (0.85, 0.55, 1.0), (0.5, 1.0, 0.75)])) for x in k.row(1.8)], draw,
               0.1)
    k.layer(0.95, crystals, 0.65, 0.82)
