# SPDX-License-Identifier: LGPL-2.1-or-later
"""A scene: actors in a place under a light, seen by a camera in a look; draws any moment of it and says what it shows."""

from __future__ import annotations  # fields are named as the modules of their classes

import random
from dataclasses import dataclass, field, replace

import cairo
import numpy as np

from . import actors, cameras, captions, light, looks, motions, stage, weather
from .places import kit as kits
from .places import Place

FRAME_RATE = 16
SIZES = ((256, 256), (320, 192), (192, 320))     # width, height in pixels
SKIES = {"moonlight": "night", "golden hour": "dawn", "backlight": "sunset"}


def on_grid(seconds):
    """The nearest moment at which a latent of a stream begins: the first one is of the first frame, the others of four frames each."""
    return (4 * max(0, round((seconds * FRAME_RATE - 1) / 4)) + 1) / FRAME_RATE


@dataclass
class Scene:
    place: Place = None
    actors: list = field(default_factory=list)
    time: light.Time = light.TIMES[0]
    weather: weather.Weather = weather.WEATHERS[0]
    light: light.Light = light.LIGHTS[0]
    camera: cameras.Camera = cameras.CAMERAS[0]
    look: looks.Look = looks.LOOKS[0]
    interaction: object = None            # between the first two actors
    abstract: object = None               # an abstract picture instead of a place with actors
    seed: float = 0.0
    size: tuple = SIZES[0]
    held_out_words: bool = False          # captions may use the words and forms that are kept from training
    prepared: object = field(default=None, repr=False, compare=False)

    @property
    def aspect(self):
        return self.size[0] / self.size[1]

    @property
    def ends(self):
        """Seconds after which something that the caption names hardly moves any more; 0: never."""
        return min(filter(None, [self.camera.ends, *(a.motion.ends / (a.pace if a.motion.paced else 1.0) for a in self.actors)]), default=0.0)

    def at_size(self, size):
        """The same scene in another size of the picture."""
        return replace(self, size=size, prepared=None)

    def caption(self, rng=random):
        return captions.caption(rng, self)

    def labels(self):
        return captions.labels(self)

    def frame(self, seconds):
        """The moment as (H, W, 3) uint8."""
        out = np.empty((self.size[1], self.size[0], 3), np.uint8)
        self._draw(seconds, out)
        return out

    def frames(self, count, start=0.0):
        """(count, H, W, 3) uint8 from `start` seconds on."""
        out = np.empty((count, self.size[1], self.size[0], 3), np.uint8)
        for i in range(count):
            self._draw(start + i / FRAME_RATE, out[i])
        return out

    def coverage(self, seconds, rows=16, columns=None):
        """Where actors are, (rows, columns) of 0 and 1: the boxes around them as the camera sees them, for the weight of the loss."""
        columns = columns or round(rows * self.aspect)
        out = np.zeros((rows, columns), np.float32)
        for x0, y0, x1, y1 in self.boxes(seconds):
            across = np.abs((np.arange(columns) + 0.5) / columns * self.aspect - (x0 + x1) / 2) < (x1 - x0) / 2
            down = np.abs((np.arange(rows) + 0.5) / rows - (y0 + y1) / 2) < (y1 - y0) / 2
            out[np.outer(down, across)] = 1
        return out

    def boxes(self, seconds):
        """(left, top, right, bottom) in heights of every body on the picture."""
        return [box for _, box in self.named_boxes(seconds)]

    def named_boxes(self, seconds):
        """(the thing's name, its box) of every body."""
        if self.abstract:
            return []
        view = self.view(seconds)
        out = []
        for body in self.bodies(seconds, view, None):
            zoom, x, y = _seen(view, body.depth, self.aspect)
            box = body.box()
            out.append((body.actor.thing.name, (zoom * box[0] + x, zoom * box[1] + y, zoom * box[2] + x, zoom * box[3] + y)))
        return out

    # geometry

    def stage(self):
        tile = 2 if self.camera.slides else 1
        waves = random.Random(self.seed)
        return stage.Stage(self.aspect, self.place.medium, self.place.ground, self.place.gravity, self.place.slope,
                           (waves.uniform(0, 6), waves.uniform(0, 6)), tile * self.aspect)

    def view(self, seconds):
        """What the camera sees; it follows the first actor where it tracks."""
        way = 0.0
        if self.camera.name == "tracks" and self.actors:
            lead = self.actors[0]
            speed = self.interaction.speed if self.interaction and self.interaction.speed else lead.motion.speed
            way = lead.heading * speed * seconds * (lead.pace if lead.motion.paced else 1.0)
        return self.camera.view(seconds, way)

    def bodies(self, seconds, view, grade):
        """All bodies from far to near, settled as the camera at `view` sees them; without pictures if grade is None."""
        ground, cut_out = self._stage(), self.look.cut_out
        poses = [None] * len(self.actors)
        if self.interaction and self.interaction.poses:
            poses[:2] = self.interaction.poses(self.actors[0], self.actors[1], seconds, self.aspect)
        out = []
        for actor, pose in zip(self.actors, poses):
            out += actors.bodies(actor, seconds, ground, grade, cut_out, pose)
        margin = max((actors.reach(b.actor, self.interaction) for b in out), default=0.0)
        for body in out:
            actors.settle(body, ground, view.x, margin)
        return sorted(out, key=lambda body: body.depth)

    def _stage(self):
        return self.prepared.stage if self.prepared else self.stage()

    # drawing

    def _draw(self, seconds, out):
        if self.prepared is None:
            self.prepared = Prepared(self)
        ready = self.prepared
        if self.abstract:
            ready.abstract(seconds)
        else:
            self._draw_place(ready, seconds)
        ready.surface.flush()
        number = round(seconds * FRAME_RATE)
        if self.look.name:
            for c in range(3):
                ready.rgb[..., c] = ready.pixels[..., 2 - c]
            out[:] = self.look.paint(ready.rgb, number)
        else:
            for c in range(3):
                out[..., c] = ready.pixels[..., 2 - c]

    def _draw_place(self, ready, seconds):
        ctx, view, height = ready.ctx, self.view(seconds), self.size[1]
        for element in ready.behind:
            _draw_element(ctx, element, view, seconds, self.size)
        weather.paint(ctx, self.weather, self.size, seconds, view.x, False, ready.bright)
        bodies = self.bodies(seconds, view, ready.grade)
        for body in bodies:
            _enter(ctx, view, body.depth, self.size)
            actors.paint_shadow(ctx, body, ready.stage, ready.shadow)
            actors.paint(ctx, body, ready.stage, height, ready.wet)
            ctx.restore()
        for element in ready.before:
            _draw_element(ctx, element, view, seconds, self.size)
        weather.paint(ctx, self.weather, self.size, seconds, view.x, True, ready.bright)
        bright = weather.flash(self.weather, seconds, self.seed)
        if bright > 0:
            weather.paint_flash(ctx, self.size, bright, seconds, self.seed)
        if self.light.overlay:
            light.paint_overlay(ctx, self.light, self.size, *self._lit(bodies, view), seconds)

    def _lit(self, bodies, view):
        """Where a spotlight falls and how wide it is: x, y in pixels, radius in heights. It follows a single actor that stays."""
        middle = self.size[0] / 2, 0.6 * self.size[1]
        goes = any(a.motion.speed or a.motion.name in motions.VERTICAL for a in self.actors) or (self.interaction and self.interaction.speed)
        if not bodies or (goes and self.camera.name != "tracks") or self.camera.slides and not goes:
            return *middle, 0.56
        boxes = [b.box() for b in bodies]
        x, y = sum(b[0] + b[2] for b in boxes) / 2 / len(boxes), sum(b[1] + b[3] for b in boxes) / 2 / len(boxes)
        reach = max(max(abs(b[0] - x), abs(b[2] - x)) for b in boxes) + 0.16
        zoom, dx, dy = _seen(view, bodies[0].depth, self.aspect)
        x, y = (zoom * x + dx) * self.size[1], (zoom * y + dy) * self.size[1]
        return min(self.size[0], max(0, x)), min(self.size[1], max(0, y)), min(0.9, reach)


class Prepared:
    """What stays the same over a clip: the painted layers, the grades, the surface."""

    def __init__(self, scene):
        width, height = scene.size
        self.surface = cairo.ImageSurface(cairo.FORMAT_RGB24, width, height)
        self.ctx = cairo.Context(self.surface)
        self.pixels = np.ndarray((height, width, 4), np.uint8, self.surface.get_data(), strides=(self.surface.get_stride(), 4, 1))
        self.rgb = np.empty((height, width, 3), np.uint8)
        if scene.abstract:
            self.abstract = scene.abstract.painter(self.ctx, self.pixels, scene.size, random.Random(scene.seed))
            return
        self.stage = scene.stage()
        time = light.TIME_BY_NAME[SKIES.get(scene.light.name, scene.time.name)]
        graded = light.NEUTRAL if scene.light.name in SKIES else scene.time.grade
        place = graded.then(scene.weather.grade).then(scene.light.place)
        self.grade = graded.half(0.5).then(scene.weather.grade.half(0.6)).then(scene.light.actor)
        self.shadow = (0.5 if not scene.weather.grey else 0.34) * (0.7 if time.name == "night" else 1.0)
        self.wet = scene.place.paved and scene.weather.name in ("rain", "storm")
        self.bright = 0.55 if time.name == "night" else 1.0
        if self.stage.medium == "water":
            self.shadow = 0.22
        self._paint_place(scene, time, place)

    def _paint_place(self, scene, time, grade):
        greys = [kits.mix(c, grade.colour((0.9, 0.9, 0.9)), 0.3) for c in weather.GREYS]
        if time.name == "night":
            greys = [kits.shade(c, 0.3) for c in greys]
        sky = tuple(kits.mix(c, g, scene.weather.grey) for c, g in zip(time.sky, greys))
        if scene.weather.name == "storm":
            sky = tuple(kits.shade(c, 0.62) for c in sky)
        camera = scene.camera
        kit = kits.Kit(random.Random(scene.seed), scene.size, self.stage, grade, sky, time=time, tile=2 if camera.slides else 1,
                       detail=camera.detail,
                       cut_out=scene.look.cut_out, haze=min(0.9, kits.HAZE + scene.weather.haze), clear=scene.weather.grey < 0.5)
        scene.place.paint(kit)
        still = not camera.name
        self.behind = _merged([e for e in kit.layers if e.depth <= 1.0], scene.size, still, cairo.FORMAT_RGB24)
        self.before = _merged([e for e in kit.layers if e.depth > 1.0], scene.size, still, cairo.FORMAT_ARGB32)


def _merged(elements, size, still, form):
    """Runs of layers that stand still become one."""
    if not still:
        return elements
    out, run = [], []
    for element in [*elements, None]:
        if isinstance(element, kits.Layer) and not element.drift:
            run.append(element)
            continue
        if len(run) > 1 or (run and form == cairo.FORMAT_RGB24 and not out):
            out.append(_merge(run, size, form if not out else cairo.FORMAT_ARGB32))
        else:
            out += run
        run = []
        if element is not None:
            out.append(element)
    return out


def _merge(run, size, form):
    surface = cairo.ImageSurface(form, *size)
    ctx = cairo.Context(surface)
    for layer in run:
        _draw_element(ctx, layer, cameras.View(), 0.0, size)
    surface.flush()
    return surface


def _seen(view, depth, aspect):
    """(zoom, x, y): a point p at that depth is seen at zoom * p + (x, y), in heights; the camera's way in x not counted."""
    zoom = view.zoom * (1 + (view.dolly - 1) * (0.35 + 0.65 * min(1.0, depth)))
    return zoom, aspect / 2 * (1 - zoom) - view.orbit * (depth - 1), (1 - zoom) / 2 - view.y


def _enter(ctx, view, depth, size):
    """Heights at that depth become pixels; ctx.restore ends it. The camera's way is left to what is drawn."""
    zoom, x, y = _seen(view, depth, size[0] / size[1])
    ctx.save()
    ctx.scale(size[1], size[1])
    ctx.translate(x, y)
    ctx.scale(zoom, zoom)


def _draw_element(ctx, element, view, seconds, size):
    if isinstance(element, kits.Living):
        _enter(ctx, view, element.depth, size)
        element.paint(ctx, seconds, view.x)
        ctx.restore()
    elif isinstance(element, kits.Layer):
        _draw_layer(ctx, element, view, seconds, size)
    else:
        ctx.set_source_surface(element, 0, 0)
        ctx.paint()


def _draw_layer(ctx, layer, view, seconds, size):
    """Blits a layer, which repeats to both sides, in the rows that it has."""
    width, height = size
    zoom, x, y = _seen(view, layer.depth, width / height)
    x += zoom * (layer.drift * seconds - view.x * layer.depth)
    rows = layer.surface.get_height() / layer.scale
    top, bottom = (zoom * layer.top + y) * height, (zoom * (layer.top + rows) + y) * height
    first = 0 if top <= 0.5 else int(top + 1.0)
    last = height if layer.top + rows > 0.99 else min(height, int(bottom))
    pattern = cairo.SurfacePattern(layer.surface)
    k = layer.scale / (zoom * height)
    x0, y0 = -x * height * k, -y * height * k - layer.top * layer.scale
    if abs(k - 1) < 1e-9 and zoom == 1:
        y0 = round(y0)
        x0 = round(x0) if not (layer.drift or view.x) else x0
    pattern.set_matrix(cairo.Matrix(k, 0, 0, k, x0, y0))
    pattern.set_extend(cairo.EXTEND_REPEAT)
    pattern.set_filter(cairo.FILTER_BILINEAR)
    ctx.set_source(pattern)
    ctx.rectangle(0, first, width, max(0, last - first))
    ctx.fill()
