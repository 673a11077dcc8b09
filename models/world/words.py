# SPDX-License-Identifier: LGPL-2.1-or-later
"""Words: other names of things from Unicode CLDR and WordNet, plurals, articles, and which of them are kept from training."""

import json
import os
import xml.etree.ElementTree as ElementTree
import zlib
from functools import lru_cache
from pathlib import Path

from . import things

CLDR_PATH = os.environ.get("SORA_CLDR_ANNOTATIONS", "/usr/share/unicode/cldr/common/annotations/en.xml")
WORDNET_PATH = os.environ.get("SORA_WORDNET", "/usr/share/wordnet")

# Noun files of WordNet (lexnames) in which a thing of the kind has to be: the first sense of "seal" is not the animal.
ANIMAL, ARTEFACT, FOOD, OBJECT, PERSON, PLANT = 5, 6, 13, 17, 18, 20
FILES = {
    **dict.fromkeys(("walker", "hopper", "crawler", "bird", "insect", "fish", "swimmer"), {ANIMAL}), "person": {PERSON, ARTEFACT},
    **dict.fromkeys(("car", "train", "boat", "aircraft", "balloon", "building"), {ARTEFACT}), "plant": {PLANT}, "food": {FOOD, PLANT},
    "object": {ARTEFACT, OBJECT, PLANT}, "sky": {OBJECT},
}
# Lemmas of the right synset that nobody says, or that say something else first.
STOPPED = {w.replace("_", " ") for w in """
    ace adept aerial_tramway aguacate alarm alligator_pear anuran army_hut artificial_satellite auto automaton autumn_pumpkin
    avocado_pear back_pack banana_tree batrachian beefburger bicycler biddy bird_of_night breadstuff buffoon bulb cable_tramway
    camelopard caprine_animal cervid champion chapeau charabanc chiropteran chute cock cocoa coconut_meat collapsible_shelter coney
    contrabandist cony cooky coon_bear cornet crescent_roll cruiser cycle dolphinfish domestic_dog double-decker drinking_chocolate
    eggbeater electric_light electric-light_bulb emmet fiddle field_hut fisher fisher_cat foreigner french-fried_potatoes frock genius
    giant_panda globe golem ground_tackle grunter hack handbasket haversack helianthus hooter hot_chocolate hotshot ice_bear ice_lolly
    icecream incandescent_lamp jersey jitney kangaroo_bear king_of_beasts kiwi_vine knapsack lady_beetle ladybeetle ladybird_beetle
    landrover lid lightbulb lolly lounge machine mad_apple mahimahi major_planet maven mavin membranophone moo-cow moon_curser
    moon-curser motorbus motorcar motorcoach motortruck native_bear noncitizen omnibus ophidian outlander packsack panda_bear
    passenger_vehicle peach_tree peacock_butterfly pekan phone photographic_camera pineapple_plant pismire pizza_pie poodle_dog popsicle
    porcupine professional_dancer projectile prowl_car pumpkin_vine railroad_train river_horse ropeway rosebush rucksack salientian
    scope sea_scooter sensation sinker smuggler spaceman squad_car squealer staff_of_life star superstar tabasco_pepper tabasco_plant
    taper taxicab telephone_set terpsichorean toad_frog tramway true_cat true_fir trump tympan virtuoso water_scooter watermelon_vine
    wax_light wheel wheeler whirlybird whiz whizz wiz world
    """.split()}

# Names in CLDR that describe the picture, not the thing, or name a colour that may be another one.
ODD = {w.replace("_", " ") for w in """
    snowman_without_snow person_running person_biking woman_dancing nesting_dolls merperson hourglass_done billed_cap Tokyo_tower tennis red_circle
    high_voltage large_blue_diamond red_triangle_pointed_up closed_book couch_and_lamp pool_8_ball spouting_whale soft_ice_cream hot_beverage
    cheese_wedge game_die bug ice red_paper_lantern red_heart red_apple
    """.split()}


def checksum(text):
    return zlib.crc32(text.encode())


def is_held_out(kind, first, other):
    """One in ten other words for something is never trained on."""
    return checksum(f"{kind}|{first}|{other}") % 10 == 0


@lru_cache(maxsize=1)
def cldr_annotations():
    """Unicode CLDR's English names and keywords: {glyph: (name, keywords)}."""
    if not os.path.exists(CLDR_PATH):
        raise SystemExit(f"no {CLDR_PATH}: apt-get install unicode-cldr-core, or name the file in SORA_CLDR_ANNOTATIONS")
    names, words = {}, {}
    for a in ElementTree.parse(CLDR_PATH).getroot().iter("annotation"):
        if a.get("type") == "tts":
            names[a.get("cp")] = a.text
        else:
            words[a.get("cp")] = tuple(w.strip() for w in a.text.split("|"))
    return {cp: (name, words.get(cp, ())) for cp, name in names.items()}


@lru_cache(maxsize=1)
def wordnet_synonyms():
    """{name of a thing: lemmas of its first noun synset}, read from WordNet's index.noun and data.noun (their format: wndb(5WN))."""
    path = Path(WORDNET_PATH)
    if not (path / "index.noun").exists():
        raise SystemExit(f"no WordNet in {path}: apt-get install wordnet-base, or name its folder in SORA_WORDNET")
    wanted = {t.name.replace(" ", "_"): t for t in things.THINGS}
    offsets = {}
    with open(path / "index.noun", encoding="ascii") as index:
        for line in index:
            lemma = line.partition(" ")[0]
            if lemma in wanted:
                fields = line.split()
                offsets[lemma] = int(fields[6 + int(fields[3])])
    out = {}
    with open(path / "data.noun", "rb") as data:
        for lemma, offset in offsets.items():
            data.seek(offset)
            fields = data.readline().decode("ascii").split()
            thing = wanted[lemma]
            if int(fields[1]) not in FILES[thing.kind]:
                continue
            lemmas = [fields[4 + 2 * i].replace("_", " ") for i in range(int(fields[3], 16))]
            out[thing.name] = tuple(w for w in lemmas if w == w.lower() and w != thing.name and w not in STOPPED)
    return out


@lru_cache(maxsize=None)
def names_of(thing):
    """Other names: our own, then CLDR's name where it is a plain one, then WordNet's."""
    cldr = cldr_annotations().get(thing.glyph, ("", ()))[0]
    plain = cldr and cldr not in ODD and not set("’:-") & set(cldr) and "face" not in cldr
    found = [*thing.others, *((cldr.lower(),) if plain else ()), *wordnet_synonyms().get(thing.name, ())]
    taken = set(things.BY_NAME)
    return tuple(dict.fromkeys(w for w in found if w not in taken or w in thing.others))


KIN = {}        # {name of a thing: nouns outside the world that are nearest to it}, where they have been found


def load(kin=None):
    """Reads what is needed from CLDR and WordNet, once for all processes that are forked later; kin: path of {noun: thing} in JSON."""
    for thing in things.THINGS:
        names_of(thing)
    KIN.clear()
    if kin and Path(kin).exists():
        for noun, name in json.loads(Path(kin).read_text()).items():
            KIN.setdefault(name, []).append(noun)


def kin_of(thing, held_out):
    """Nouns that are taken for the thing, those kept from training or the others."""
    return [noun for noun in KIN.get(thing.name, ()) if is_held_out("kin", thing.name, noun) == held_out]


def plural(noun):
    """The plural of a noun or of a phrase, whose head is its last word or the one before "of"."""
    if " of " in noun:
        head, _, rest = noun.partition(" of ")
        return f"{plural(head)} of {rest}"
    first, _, last = noun.rpartition(" ")
    before = first + " " if first else ""
    irregular = {"mouse": "mice", "goose": "geese", "wolf": "wolves", "leaf": "leaves", "woman": "women", "man": "men", "fish": "fish", "sheep": "sheep",
                 "loaf": "loaves", "calf": "calves", "buffalo": "buffaloes", "tomato": "tomatoes", "potato": "potatoes"}
    if last in irregular:
        return before + irregular[last]
    for end, many in irregular.items():
        if end in ("man", "woman", "fish", "mouse") and last.endswith(end):
            return before + last[:-len(end)] + many
    if last.endswith(("s", "x", "z", "ch", "sh")):
        many = last.endswith("s") and not last.endswith(("ss", "us", "is"))     # "scissors" is a plural already
        return before + (last if many else last + "es")
    if last.endswith("y") and last[-2:-1] not in "aeiou":
        return before + last[:-1] + "ies"
    return before + last + "s"


def plural_of(thing, name):
    return thing.plural if name == thing.name and thing.plural else plural(name)


def with_article(noun):
    vowel = noun[0] in "aeio" or noun.startswith("hour") or noun.startswith(("um", "un", "ug")) and not noun.startswith(("uni", "use"))
    return ("an " if vowel and not noun.startswith(("one", "eu")) else "a ") + noun


def choose(rng, kind, phrases, first=0.6, held_out=False):
    """One of the phrases: the first with that chance, else another; those kept from training only where they are asked for."""
    if len(phrases) == 1 or rng.random() < (0.3 if held_out else first):
        return phrases[0]
    others = phrases[1:]
    kept = [p for p in others if is_held_out(kind, str(phrases[0]), str(p))]
    if held_out and kept:
        return rng.choice(kept)
    allowed = [p for p in others if p not in kept]
    return rng.choice(allowed) if allowed else phrases[0]
