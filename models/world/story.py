# SPDX-License-Identifier: LGPL-2.1-or-later
"""Stories: clips in which the prompt changes part-way and the picture flows on."""

import copy
import random
from dataclasses import dataclass

import numpy as np
from PIL import Image

from . import composition, light, looks, motions, places, sampling, sprites, weather

FADE = 0.6             # seconds of a cross-fade
LENGTH = (2.5, 5.0)    # seconds of an act


@dataclass
class Act:
    start: float         # seconds
    scene: composition.Scene
    fade: float = 0.0    # seconds of the cross-fade from the act before; 0: the scenes are the same at that moment
    change: str = ""     # what changes: see CHANGES


@dataclass
class Story:
    acts: list

    def act(self, seconds):
        return max((i for i, act in enumerate(self.acts) if act.start <= seconds), default=0)

    def frame(self, seconds):
        """The moment as (H, W, 3) uint8."""
        i = self.act(seconds)
        act = self.acts[i]
        frame = act.scene.frame(seconds)
        if i and seconds < act.start + act.fade:
            before = Image.fromarray(self.acts[i - 1].scene.frame(seconds))
            frame = np.asarray(Image.blend(before, Image.fromarray(frame), (seconds - act.start) / act.fade))
        return frame

    def frames(self, count, start=0.0):
        """(count, H, W, 3) uint8 from `start` seconds on."""
        return np.stack([self.frame(start + i / composition.FRAME_RATE) for i in range(count)])

    def captions(self, rng=random):
        """[(from these seconds on, text), ...]"""
        return [(act.start, act.scene.caption(rng)) for act in self.acts]

    def labels(self, seconds):
        return self.acts[self.act(seconds)].scene.labels()

    def coverage(self, seconds, rows=16, columns=None):
        return self.acts[self.act(seconds)].scene.coverage(seconds, rows, columns)


def _after(scene):
    """The scene to be changed; its actors are its own, and what has happened to them is over."""
    new = copy.copy(scene)
    new.prepared = None
    new.actors = [copy.copy(a) for a in scene.actors]
    for actor in new.actors:
        actor.arrival = actor.earlier = actor.former = None
    return new


def _arrives(rng, scene, start, options):
    if len(scene.actors) > 2 or scene.interaction or sum(a.count for a in scene.actors) > 3 or scene.light.overlay == "spot":
        return None
    new = _after(scene)
    thing = sampling._thing(rng, options)
    calm = [motions.BY_NAME[name] for name in ("stands still", "jumps", "dances", "floats", "wobbles", "nods")]
    motion = rng.choice(sampling.allowed_motions(options, calm))
    actor = sampling.make_actor(rng, thing, motion, scene.place, options, 0, 2)
    taken = scene.actors[0].x if scene.actors else 0.5
    actor.x = 0.22 if taken > 0.5 else 0.78
    side = "left" if actor.x < 0.5 else "right"
    actor.heading = 1 if side == "left" else -1
    actor.arrival = (start, "above" if actor.altitude is not None and rng.random() < 0.5 else side)
    new.actors.append(actor)
    return Act(start, new, 0.0, "arrives")


def _becomes(rng, scene, start, options):
    if scene.interaction:
        return None
    new = _after(scene)
    actor, old = new.actors[0], scene.actors[0]
    thing = sampling._thing(rng, options)
    if thing == old.thing:
        return None
    actor.thing, actor.colour = thing, ""
    actor.former = (start, old)
    actor.size = min(actor.size, 0.8 * scene.aspect / sprites.proportions(thing)[0])
    return Act(start, new, 0.0, "becomes")


def _recolours(rng, scene, start, options):
    old = scene.actors[0]
    if scene.interaction or not old.thing.colour:
        return None
    new = _after(scene)
    new.actors[0].colour = rng.choice([c for c in sprites.COLOURS if c != (old.colour or old.thing.colour)])
    new.actors[0].former = (start, old)
    return Act(start, new, 0.0, "recolours")


def _moves_on(rng, scene, start, options):
    """Another motion, flowing on from the old one; both stay in place, so that nothing jumps."""
    old = scene.actors[0]
    ending = (*motions.VERTICAL, "comes closer", "goes away", "spins")
    if scene.interaction or old.motion.speed or old.motion.name in ending:
        return None
    staying = [m for m in sampling.allowed_motions(options, motions.STAYING) if m.name not in (*ending, old.motion.name)]
    hanging = old.altitude is not None
    fitting = [m for m in staying if (m.where == "air") == (old.motion.where == "air") or m.where == "any" or hanging]
    new = _after(scene)
    new.actors[0].motion = rng.choice(fitting)
    new.actors[0].earlier = (start, old)
    return Act(start, new, 0.0, "moves on")


def _elsewhere(rng, scene, start, options):
    """The same actors in another place of the same kind."""
    same = [p for p in places.PLACES if p.medium == scene.place.medium and p != scene.place]
    if not same:
        return None
    new = _after(scene)
    new.place, new.time, new.weather, new.light = rng.choice(same), light.TIMES[0], weather.WEATHERS[0], light.LIGHTS[0]
    return Act(start, new, FADE, "place")


def _other_time(rng, scene, start, options):
    names = [n for n in ("", *scene.place.times) if n != scene.time.name]
    if not scene.place.times or scene.light.name:
        return None
    new = _after(scene)
    new.time = light.TIME_BY_NAME[rng.choice(names)]
    return Act(start, new, 1.2, "time")


def _other_weather(rng, scene, start, options):
    names = [n for n in ("", *scene.place.weathers) if n != scene.weather.name]
    if not scene.place.weathers or scene.light.name:
        return None
    new = _after(scene)
    new.weather = weather.BY_NAME[rng.choice(names)]
    return Act(start, new, 1.0, "weather")


def _other_light(rng, scene, start, options):
    names = [n for n in ("", *scene.place.lights) if n != scene.light.name]
    if len(names) < 2 or scene.time.name or scene.weather.name:
        return None
    new = _after(scene)
    new.light = light.LIGHT_BY_NAME[rng.choice(names)]
    return Act(start, new, FADE, "light")


def _other_look(rng, scene, start, options):
    new = _after(scene)
    new.look = rng.choice([k for k in looks.LOOKS if k != scene.look])
    return Act(start, new, FADE, "look")


CHANGES = {"arrives": _arrives, "becomes": _becomes, "recolours": _recolours, "moves on": _moves_on, "place": _elsewhere, "time": _other_time,
           "weather": _other_weather, "light": _other_light, "look": _other_look}


def _allowed(scene, options):
    held, number = sampling.held_out_share(scene)
    return True if options.held_out else held == 0


def sample_story(rng=random, options=sampling.Options(), acts=None):
    """A story of two or three acts; held-out combinations only where they are asked for."""
    scene = sampling.sample(rng, options)
    while scene.abstract or scene.camera.name == "tracks":
        scene = sampling.sample(rng, options)
    out, start = [Act(0.0, scene)], 0.0
    for _ in range(acts - 1 if acts else rng.choice((1, 1, 2))):
        start = composition.on_grid(start + rng.uniform(*LENGTH))
        while True:
            act = CHANGES[rng.choice(list(CHANGES))](rng, out[-1].scene, start, options)
            if act and _allowed(act.scene, options):
                break
        out.append(act)
    return Story(out)
