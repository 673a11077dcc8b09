# SPDX-License-Identifier: LGPL-2.1-or-later
"""A scene: actors in a place under a camera in a look; draws any moment of it and says what it shows."""

import random
import zlib
from dataclasses import dataclass, field

import cairo
import numpy as np

from . import cameras, captions, looks, motions, places, things

SIZE = places.SIZE
FRAME_RATE = 16


@dataclass
class Actor:
    thing: things.Thing
    motion: motions.Motion
    x: float
    y: float
    size: float          # the picture's height, in widths of the frame
    pace: float = 1.0
    phase: float = 0.0
    colour: str = ""
    mirrored: bool = False


@dataclass
class Options:
    """What may be drawn: the curriculum widens it."""
    actors: tuple = (0.7, 0.25, 0.05)      # chances of 1, 2, 3
    tiers: tuple = (0.3, 0.3, 0.4)         # chances that an actor is a starter, a starter or core, any thing
    camera: float = 0.25
    look: float = 0.12
    colour: float = 0.5                    # of a thing that can be painted
    still_poses: tuple = ()                # motions left out
    held_out: bool = False                 # only the combinations kept from training


def is_held_out(thing, place, motion):
    """One in ten combinations of thing, place and motion is never trained on."""
    return zlib.crc32(f"{thing.name}|{place.name}|{motion.name}".encode()) % 10 == 0


@dataclass
class Scene:
    place: places.Place
    actors: list
    camera: cameras.Camera = cameras.CAMERAS[0]
    look: looks.Look = looks.LOOKS[0]
    seed: float = 0.0
    layers: list = field(default=None, repr=False)

    def caption(self, rng=random):
        return captions.caption(rng, self)

    def frame(self, seconds):
        """The moment as (SIZE, SIZE, 3) uint8."""
        if self.layers is None:
            self.layers = self.place.layers(random.Random(self.seed))
        surface = cairo.ImageSurface(cairo.FORMAT_RGB24, SIZE, SIZE)
        ctx = cairo.Context(surface)
        slide, zoom = self.camera.view(seconds)
        if zoom != 1:
            ctx.translate(SIZE / 2, SIZE / 2)
            ctx.scale(zoom, zoom)
            ctx.translate(-SIZE / 2, -SIZE / 2)
        self._paint_place(ctx, slide, seconds)
        for actor in self.actors:
            _paint_actor(ctx, actor, seconds)
        surface.flush()
        frame = np.ndarray((SIZE, SIZE, 4), np.uint8, surface.get_data())[:, :, 2::-1]
        return self.look.paint(frame)

    def coverage(self, seconds, cells=16):
        """Where actors are, (cells, cells) of 0 and 1: the squares around them, for the weight of the loss."""
        centre = (np.arange(cells) + 0.5) / cells
        zoom = self.camera.view(seconds)[1]
        out = np.zeros((cells, cells), np.float32)
        for actor in self.actors:
            x, y, _, scale = actor.motion.pose(actor, seconds)
            half = 0.5 * actor.size * scale * zoom
            inside = [np.abs(centre - 0.5 - zoom * (c - 0.5)) < half for c in (x, y)]
            out[np.outer(inside[1], inside[0])] = 1
        return out

    def _paint_place(self, ctx, slide, seconds):
        for surface, parallax in self.layers:
            shift = round(slide * parallax * SIZE) % surface.get_width()
            for x in (shift - surface.get_width(), shift):
                if -surface.get_width() < x < SIZE:
                    ctx.set_source_surface(surface, x, 0)
                    ctx.paint()
        if self.place.living:
            self.place.living(ctx, self.seed, slide, seconds)

    def frames(self, count, start=0.0):
        """(count, SIZE, SIZE, 3) uint8 from `start` seconds on."""
        out = np.empty((count, SIZE, SIZE, 3), np.uint8)
        for i in range(count):
            out[i] = self.frame(start + i / FRAME_RATE)
        return out


def _paint_actor(ctx, actor, seconds):
    x, y, angle, scale = actor.motion.pose(actor, seconds)
    surface, _ = things.picture(actor.thing, actor.mirrored, actor.colour)
    scale *= actor.size * SIZE / things.HEIGHT
    ctx.save()
    ctx.translate(x * SIZE, y * SIZE)
    ctx.rotate(angle)
    ctx.scale(scale, scale)
    ctx.set_source_surface(surface, -things.WIDTH / 2, -things.HEIGHT / 2)
    ctx.get_source().set_filter(cairo.FILTER_BILINEAR)
    ctx.paint()
    ctx.restore()


def _pick_thing(rng, options):
    lowest = rng.choices((2, 1, 0), options.tiers)[0]
    return rng.choice([t for t in things.THINGS if t.tier >= lowest])


def make_actor(rng, thing, motion, index=0, count=1, colour=""):
    """An actor at a random start; several share the picture from the left to the right."""
    size = rng.uniform(0.38, 0.5) if count == 1 else rng.uniform(0.28, 0.36)
    x0, x1, y0, y1 = motion.start
    x = rng.uniform(x0, x1)
    if count > 1:
        x = (index + 0.5) / count + rng.uniform(-0.06, 0.06)
    mirrored = bool(motion.turns and thing.facing and thing.facing != motion.turns)
    pace = rng.choice([p for p, _ in motions.PACES]) if motion.paced else 1.0
    return Actor(thing, motion, x, rng.uniform(y0, y1), size, pace, rng.random(), colour, mirrored)


def _try_sample(rng, options):
    place = rng.choice(places.PLACES)
    count = rng.choices((1, 2, 3), options.actors)[0]
    moving = [m for m in motions.MOTIONS if m.name not in options.still_poses]
    together = rng.choice(moving) if rng.random() < 0.2 else None
    actors = []
    for i in range(count):
        thing = _pick_thing(rng, options)
        colour = rng.choice(list(things.HUES)) if thing.colour and rng.random() < options.colour else ""
        actors.append(make_actor(rng, thing, together or rng.choice(moving), i, count, colour))
    if together:
        for a in actors:
            a.pace = actors[0].pace
    scene = Scene(place, actors, seed=rng.random())
    if rng.random() < options.camera:
        scene.camera = rng.choice(cameras.CAMERAS[1:])
    if rng.random() < options.look:
        scene.look = rng.choice(looks.LOOKS[1:])
    return scene


def sample(rng, options=Options()):
    """A random scene; held-out combinations only where they are asked for."""
    while True:
        scene = _try_sample(rng, options)
        held = [is_held_out(a.thing, scene.place, a.motion) for a in scene.actors]
        if (all(held) if options.held_out else not any(held)):
            return scene
