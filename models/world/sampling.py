# SPDX-License-Identifier: LGPL-2.1-or-later
"""Draws scenes by chance: what may happen, how often, and what is kept from training."""

import random
from dataclasses import dataclass

from . import abstract, actors, cameras, composition, interactions, light, looks, motions, places, sprites, things, weather, words


@dataclass
class Options:
    """What may be drawn; the curriculum widens it. Numbers are chances from 0 to 1."""
    size: tuple = composition.SIZES[0]     # of the picture: width, height in pixels
    actors: tuple = (0.7, 0.25, 0.05)      # chances of 1, 2, 3 nouns
    tiers: tuple = (0.3, 0.3, 0.4)         # chances that an actor is a starter, a starter or core, any thing
    simple: float = 0.2                    # a motion from the ones that are learned first
    usual: float = 0.75                    # a motion and a place that one expects of the thing
    camera: float = 0.25
    look: float = 0.15
    colour: float = 0.5                    # of a thing whose colour is free
    sizes: float = 0.15                    # tiny, big, giant
    counts: float = 0.12                   # two to four of a thing
    together: float = 0.5                  # of two nouns: an interaction or a relation
    time: float = 0.25                     # a time of day
    weather: float = 0.15
    light: float = 0.12
    abstract: float = 0.04
    rare: bool = False                     # rare things and motions too: the world is wider than what hours of training can draw well
    held_out: bool = False                 # only the combinations of thing, place and motion kept from training
    held_out_words: bool = False           # captions may use the synonyms and sentence forms kept from training


STARTER = Options(actors=(1.0, 0.0, 0.0), tiers=(1.0, 0.0, 0.0), simple=1.0, camera=0.0, look=0.0, sizes=0.0, counts=0.0, time=0.0, weather=0.0,
                  light=0.0,
                  abstract=0.0)
EVERYTHING = Options(actors=(0.6, 0.33, 0.07), tiers=(0.2, 0.4, 0.4), camera=0.4, look=0.25, sizes=0.2, counts=0.18, time=0.3, weather=0.2,
                     light=0.18, abstract=0.06)


def between(wide, **changes):
    """Options from STARTER (wide 0) to EVERYTHING (wide 1)."""
    out = {}
    for name in Options.__dataclass_fields__:
        a, b = getattr(STARTER, name), getattr(EVERYTHING, name)
        if isinstance(a, float):
            out[name] = a + wide * (b - a)
        elif name in ("actors", "tiers"):
            out[name] = tuple(p + wide * (q - p) for p, q in zip(a, b))
    return Options(**(out | changes))


def is_held_out(thing, place, motion):
    """One in ten combinations of thing, place and motion is never trained on."""
    return words.checksum(f"{thing.name}|{place.name}|{motion.name}") % 10 == 0


USUAL_PLACES = {
    "fish": "under_water under_water under_water sea",
    "swimmer": "under_water sea sea beach",
    "boat": "sea sea lake lake",
    "aircraft": "sky clouds city mountains sea",
    "balloon": "sky clouds city meadow village playground",
    "car": "street city farm village desert street",
    "train": "mountains village farm city canyon",
    "bird": "sky meadow lake garden farm forest",
    "insect": "meadow garden forest jungle garden",
    "plant": "meadow garden forest farm room mountains",
    "building": "meadow village mountains beach snow desert",
    "food": "kitchen kitchen room garden stage",
    "object": "room bedroom stage beach street kitchen",
    "sky": "sky clouds mountains sea meadow space",
    "walker": "meadow forest farm savanna jungle snow garden mountains village",
    "person": "stage street city castle playground snow moon",
    "hopper": "meadow garden forest lake savanna",
    "crawler": "meadow garden forest beach desert jungle",
}
USUAL_PLACES = {kind: [places.BY_NAME[n.replace("_", " ")] for n in names.split()] for kind, names in USUAL_PLACES.items()}
SIZES = (0.44, 0.37, 0.27)     # of actors, in heights of the picture, if there are one, two or three
FLOATING = ("aircraft", "balloon", "sky", "insect")        # they hang in the air unless they walk
SWIMMING = ("fish", "swimmer")
ABLE = ("walker", "hopper", "crawler", "bird", "person", "insect", "fish", "swimmer", "car", "train")    # they act on others


def _thing(rng, options):
    lowest = rng.choices((2, 1, -1 if options.rare else 0), options.tiers)[0]
    return rng.choice([t for t in things.THINGS if t.tier >= lowest])


def allowed_motions(options, among=motions.MOTIONS):
    return [m for m in among if options.rare or not m.rare]


def _motion(rng, thing, options):
    allowed = allowed_motions(options)
    if rng.random() < options.simple:
        allowed = [m for m in allowed if m.simple]
    usual = [m for m in motions.USUAL[thing.kind] + (motions.ROUND if thing.round else []) if m in allowed]
    return rng.choice(usual if usual and rng.random() < options.usual else allowed)


def _hang(actor, place, motion):
    """Decides whether it hangs in the air or water, and where; the middle of what hangs is at `altitude`."""
    medium, kind = place.medium, actor.thing.kind
    airborne = motion.where == "air" or (motion.where in ("any", "water") and kind in FLOATING)
    if medium in ("space", "sky"):
        airborne = True
    elif medium == "water":
        airborne = airborne or kind in SWIMMING or motion.where == "water" or (motion.where == "any"
                                                                               and kind not in ("crawler", "plant", "building", "car"))
    elif medium == "surface" and kind in SWIMMING + ("boat",) and motion.name in ("floats", "swims", "moves", "dashes", "sails", "stands still",
                                                                                  "turns around"):
        airborne = False
    if not airborne:
        actor.altitude = None
        return
    actor.altitude = 0.46


def make_actor(rng, thing, motion, place, options, index=0, number=1, colour=""):
    """An actor at its start, which is always the same: what the prompt does not say is not left to chance, as a blur of all chances is what
    a small model makes of it. Several share the picture from the left to the right."""
    aspect = options.size[0] / options.size[1]
    wide, _ = sprites.proportions(thing)
    heading = rng.choice((-1, 1)) if motion.speed else thing.own_way
    actor = actors.Actor(thing, motion, size=SIZES[number - 1], colour=colour, heading=heading)
    if rng.random() < options.sizes:
        actor.size_word = rng.choice(("tiny", "big", "giant") if number == 1 else ("tiny", "big"))
        actor.size *= {"tiny": 0.5, "big": 1.3, "giant": 1.7}[actor.size_word]
    if rng.random() < options.counts and number < 3:
        actor.count = rng.choice((2, 3, 4)) if number == 1 else 2
        actor.size = min(actor.size, {2: 0.4, 3: 0.28, 4: 0.24}[actor.count] if number == 1 else 0.22)
    actor.size = min(actor.size, (0.8 if number == 1 else 0.6) * aspect / wide)
    if motion.name in ("swings", "loops the loop", "circles", "grows", "comes closer") and not actor.size_word:
        actor.size *= 0.88
    actor.x = (index + 0.5) / number
    actor.pace = rng.choice([p for p, _ in motions.PACES]) if motion.paced else 1.0
    _hang(actor, place, motion)
    _members(actor, aspect, number)
    return actor


def _members(actor, aspect, number):
    """Where the second to fourth of a count are."""
    n = actor.count
    if n == 1:
        return
    wide = sprites.proportions(actor.thing)[0] * actor.size
    step = min(1.02 * wide + 0.02, 0.86 * aspect / number / n)
    actor.members = tuple(((i - (n - 1) / 2) * step, 1.07 if i % 2 else 0.93, 0.3 * i) for i in range(n))


def _place(rng, first, options):
    if rng.random() < options.usual * 0.8:
        return rng.choice(USUAL_PLACES[first.kind])
    return rng.choice(places.PLACES)


def _conditions(rng, scene, options):
    """Time of day, weather and light that the place allows."""
    place = scene.place
    if rng.random() < options.time and place.times:
        scene.time = light.TIME_BY_NAME[rng.choice(place.times)]
    if rng.random() < options.weather and place.weathers:
        scene.weather = weather.BY_NAME[rng.choice(place.weathers)]
    if rng.random() < options.light and place.lights:
        chosen = light.LIGHT_BY_NAME[rng.choice(place.lights)]
        if chosen.name in composition.SKIES and (scene.time.name or scene.weather.grey > 0.5):
            return
        if chosen.name == "spotlight" and place.medium == "ground" and place.times == places.DAY:
            scene.time = light.TIME_BY_NAME["night"]
        scene.light = chosen


def _stand(actor):
    actor.motion, actor.pace, actor.heading = motions.BY_NAME["stands still"], 1.0, actor.thing.own_way


def _pair(rng, scene):
    """An interaction or a relation between the first two actors."""
    del scene.actors[2:]
    a, b = scene.actors
    grounded = scene.place.medium == "ground"
    if a.thing.kind in ABLE and grounded and rng.random() < 0.6:
        heavy = b.thing.kind in ("building", "sky")
        choice = rng.choice([i for i in interactions.ACTIONS if not (i.light and heavy)])
        if choice.name in ("chases", "follows", "meets", "dances with") and b.thing.kind not in ABLE:
            choice = interactions.BY_NAME[rng.choice(("circles around", "jumps over", "passes in front of", "passes behind"))]
        _stand(a)
        _stand(b)
        a.altitude = b.altitude = None
        a.pace = rng.choice([p for p, _ in motions.PACES])
        b.pace = a.pace
    else:
        choice = rng.choice(interactions.RELATIONS if grounded else interactions.RELATIONS[:3])
        moving = choice.poses is None and rng.random() < 0.5
        for actor in (a, b):
            if not moving or actor is b or actor.motion.speed or actor.motion.name in (*motions.VERTICAL, "comes closer", "goes away"):
                _stand(actor)
            if grounded:
                actor.altitude = None
            if grounded and actor.motion.where == "air":
                _stand(actor)
    a.count = b.count = 1
    a.members = b.members = ((0.0, 1.0, 0.0),)
    for actor in (a, b):
        actor.size_word, actor.size = "", max(0.24, min(0.38, actor.size))
    scene.interaction = choice
    choice.arrange(a, b)


def _camera(rng, scene):
    names = [c for c in cameras.CAMERAS[1:]]
    lead = scene.actors[0]
    speed = scene.interaction.speed if scene.interaction else lead.motion.speed
    goes = speed > 0
    scene.camera = rng.choice(names)
    if goes and rng.random() < 0.45:
        scene.camera = cameras.BY_NAME["tracks"]
    elif scene.camera.name == "tracks":
        scene.camera = cameras.BY_NAME["" if not goes else "tracks"]


def _try_sample(rng, options):
    seed = rng.random()
    if rng.random() < options.abstract:
        kind = abstract.Abstract(rng.choice(abstract.KINDS), rng.choice(list(abstract.PALETTES)), rng.choice([p for p, _ in motions.PACES]))
        return composition.Scene(abstract=kind, seed=seed, size=options.size, held_out_words=options.held_out_words)
    number = rng.choices((1, 2, 3), options.actors)[0]
    chosen = [_thing(rng, options) for _ in range(number)]
    place = _place(rng, chosen[0], options)
    together = _motion(rng, chosen[0], options) if number > 1 and rng.random() < 0.25 else None
    acting = []
    for i, thing in enumerate(chosen):
        colour = rng.choice(sprites.COLOURS) if thing.colour and rng.random() < options.colour else ""
        acting.append(make_actor(rng, thing, together or _motion(rng, thing, options), place, options, i, number, colour))
    if together:
        for a in acting:
            a.pace, a.heading = acting[0].pace, acting[0].heading
    scene = composition.Scene(place, acting, seed=seed, size=options.size, held_out_words=options.held_out_words)
    if number > 1 and rng.random() < options.together:
        _pair(rng, scene)
    _conditions(rng, scene, options)
    if rng.random() < options.camera:
        _camera(rng, scene)
    if rng.random() < options.look:
        scene.look = rng.choice(looks.LOOKS[1:])
    return scene


def held_out_share(scene):
    """How many of the actors do what is kept from training, of how many."""
    held = [is_held_out(a.thing, scene.place, a.motion) for a in scene.actors]
    return sum(held), len(held)


def sample(rng=random, options=Options()):
    """A random scene; held-out combinations only where they are asked for."""
    while True:
        scene = _try_sample(rng, options)
        held, number = held_out_share(scene)
        if (held == number > 0 if options.held_out else held == 0):
            return scene
