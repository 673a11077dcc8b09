# SPDX-License-Identifier: LGPL-2.1-or-later
"""A small grammar that says in words what a scene shows, with synonyms and several orders."""

import os
import xml.etree.ElementTree as ElementTree
from functools import lru_cache

from . import motions, things

CLDR_PATH = os.environ.get("SORA_CLDR_ANNOTATIONS", "/usr/share/unicode/cldr/common/annotations/en.xml")


@lru_cache(maxsize=1)
def cldr_annotations():
    """Unicode CLDR's English names and keywords: {glyph: (name, keywords)}."""
    names, words = {}, {}
    for a in ElementTree.parse(CLDR_PATH).getroot().iter("annotation"):
        if a.get("type") == "tts":
            names[a.get("cp")] = a.text
        else:
            words[a.get("cp")] = tuple(w.strip() for w in a.text.split("|"))
    return {cp: (name, words.get(cp, ())) for cp, name in names.items()}


@lru_cache(maxsize=None)
def names_of(thing):
    """Other names: our own synonyms, then CLDR's name where it is a plain one."""
    cldr = cldr_annotations().get(thing.glyph, ("", ()))[0]
    extra = (cldr,) if cldr and "face" not in cldr and "o’" not in cldr and cldr != thing.name else ()
    return thing.others + tuple(e for e in extra if e not in thing.others)


def with_article(rng, noun):
    kind = rng.random()
    if kind < 0.08:
        return "the " + noun
    if kind < 0.14:
        return "one " + noun
    if noun.endswith(("cherries", "grapes")) or noun == "fire" and kind < 0.5:
        return noun
    return ("an " if noun[0] in "aeiou" and not noun.startswith(("uni", "one", "ufo")) else "a ") + noun


def _noun(rng, actor):
    others = names_of(actor.thing)
    name = rng.choice(others) if others and rng.random() < 0.2 else actor.thing.name
    colour = actor.colour
    if not colour and actor.thing.colour and rng.random() < 0.4:
        colour = actor.thing.colour
    words = [colour, name]
    if rng.random() < 0.06:
        words.insert(0, rng.choice(["big", "large", "lovely", "little", "funny", "nice"]))
    return with_article(rng, " ".join(w for w in words if w))


def _pace(rng, actor):
    words = dict(motions.PACES).get(actor.pace, ("",)) if actor.motion.paced else ("",)
    return rng.choice(words)


def _clause(rng, actor, form):
    """One actor and what it does; form 0: does, 2: doing."""
    phrases = actor.motion.phrases[0] if rng.random() < 0.65 else rng.choice(actor.motion.phrases)
    link = "is " if form == 2 and rng.random() < 0.4 else ""
    return " ".join(w for w in (_noun(rng, actor), link + phrases[form], _pace(rng, actor)) if w)


def _together(rng, actors):
    """Several actors that do the same, in one clause."""
    nouns = [_noun(rng, a) for a in actors]
    phrases = rng.choice(actors[0].motion.phrases)
    return " and ".join(nouns) + " " + phrases[1] + (" " + p if (p := _pace(rng, actors[0])) else "")


def caption(rng, scene):
    same = len(scene.actors) > 1 and len({(a.motion.name, a.pace) for a in scene.actors}) == 1
    form = 2 if rng.random() < 0.25 else 0
    text = _together(rng, scene.actors) if same else " and ".join(_clause(rng, a, form) for a in scene.actors)
    place = scene.place.phrases[0] if rng.random() < 0.6 else rng.choice(scene.place.phrases)
    text = f"{place}, {text}" if rng.random() < 0.12 else f"{text} {place}"
    for part in (scene.camera, scene.look):
        if part.name:
            text += ", " + rng.choice(part.phrases)
    if rng.random() < 0.05:
        text = rng.choice(["a video of ", "a film of ", "animation of "]) + text
    return text


def vocabulary():
    """Every word the grammar and CLDR's annotations of our things know, for the tokenizer."""
    words = set()
    for glyph, (name, keywords) in cldr_annotations().items():
        words.add(name)
        words.update(keywords)
    for thing in things.THINGS:
        words.update((thing.name, *thing.others))
    return sorted(words)
