#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Draws the losses of training logs over the minutes as a picture: plot_losses.py PICTURE.png LOG..."""

import argparse
import re
from pathlib import Path

import cairo

WIDTH, HEIGHT, MARGIN = 720, 320, 44     # pixels
COLOURS = ((0.12, 0.35, 0.7), (0.85, 0.33, 0.1), (0.2, 0.55, 0.25), (0.5, 0.25, 0.6))


def read_losses(path):
    """{name of a loss: [(minutes, loss), …]} of a log; of a run that went on from an older checkpoint, what it overtook is left out."""
    losses = {}
    for line in Path(path).read_text().splitlines():
        minutes = re.search(r"([\d.]+) min, step \d+", line)
        for name, loss in re.findall(r"(\w* ?loss) ([\d.]+)", line) if minutes else ():
            now, points = float(minutes[1]), losses.setdefault(name, [])
            while points and points[-1][0] >= now:
                points.pop()
            if float(loss) > 0:     # 0: no step of this kind yet
                points.append((now, float(loss)))
    return {name: points for name, points in losses.items() if points}


def draw_axes(c, end, top):
    c.set_source_rgb(0.4, 0.4, 0.4)
    c.set_line_width(0.5)
    for k in range(6):
        x, y = MARGIN + k / 5 * (WIDTH - 2 * MARGIN), HEIGHT - MARGIN - k / 5 * (HEIGHT - 2 * MARGIN)
        c.move_to(MARGIN, y)
        c.line_to(WIDTH - MARGIN, y)
        c.stroke()
        c.move_to(4, y + 4)
        c.show_text(f"{k / 5 * top:.2f}")
        c.move_to(x - 8, HEIGHT - MARGIN + 16)
        c.show_text(f"{k / 5 * end:.0f}")
    c.move_to(WIDTH - MARGIN - 40, HEIGHT - MARGIN + 32)
    c.show_text("minutes")


def draw_series(c, series, end, top):
    for k, (name, points) in enumerate(series):
        c.set_source_rgb(*COLOURS[k % len(COLOURS)])
        c.set_line_width(1.5)
        c.new_path()     # text leaves a point behind
        for minutes, loss in points:
            c.line_to(MARGIN + minutes / end * (WIDTH - 2 * MARGIN), HEIGHT - MARGIN - min(1.0, loss / top) * (HEIGHT - 2 * MARGIN))
        c.stroke()
        c.move_to(MARGIN + 8 + 160 * k, MARGIN - 16)
        c.show_text(name)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("picture")
    parser.add_argument("logs", nargs="+")
    args = parser.parse_args()
    series = [(f"{Path(log).stem}: {name}", points) for log in args.logs for name, points in read_losses(log).items()]
    if not series:
        parser.error("there is no loss in these logs")
    end = max(points[-1][0] for _, points in series)
    top = 1.1 * max(loss for _, points in series for _, loss in points)
    surface = cairo.ImageSurface(cairo.FORMAT_RGB24, WIDTH, HEIGHT)
    c = cairo.Context(surface)
    c.set_source_rgb(1, 1, 1)
    c.paint()
    c.select_font_face("sans-serif")
    c.set_font_size(11)
    draw_axes(c, end, top)
    draw_series(c, series, end, top)
    surface.write_to_png(args.picture)


if __name__ == "__main__":
    main()
