# SPDX-License-Identifier: LGPL-2.1-or-later
"""Says in words what a scene shows, from keywords to sentences as film makers write them; and as labels for a judge."""

from . import abstract, cameras, interactions, light, looks, motions, places, sprites, things, weather, words

KIN_SHARE = 0.08      # of the nouns that are another one, for which the thing is taken
LONGEST = 20          # words, about what the text encoder reads
SIZE_WORDS = {"tiny": ("tiny", "very small", "little"), "big": ("big", "large"), "giant": ("giant", "huge", "enormous", "gigantic")}
NUMBERS = {2: ("two", "two", "2", "a pair of"), 3: ("three", "three", "3"), 4: ("four", "four", "4")}
SHOTS = ("cinematic wide shot", "medium shot", "long shot", "film still", "beautiful shot", "cinematic shot")
FILLERS = ("highly detailed", "4k", "high quality", "beautiful", "professional footage", "masterpiece", "sharp focus", "great colours",
           "stunning", "best quality")
ADJECTIVES = ("lovely", "nice", "cute", "funny", "beautiful", "pretty")


def _is_many(actor):
    """Whether the noun takes the plural's verb: "three ducks", "grapes"."""
    return actor.count > 1 or (actor.thing.mass and actor.thing.name.endswith("s"))


class Parts:
    """The pieces of one caption; every use of a piece may choose other words."""

    def __init__(self, rng, scene):
        self.rng, self.scene, self.held_out = rng, scene, scene.held_out_words

    def choose(self, kind, phrases, first=0.6):
        return words.choose(self.rng, kind, phrases, first, self.held_out)

    def noun(self, actor, article=True):
        rng, thing = self.rng, actor.thing
        name = self.choose("thing", (thing.name, *words.names_of(thing)), 0.74)
        kin = words.kin_of(thing, self.held_out) if rng.random() < KIN_SHARE else ()
        if kin:
            name = rng.choice(kin)
        colour = actor.colour
        if not colour and thing.colour and rng.random() < 0.3:
            colour = thing.colour
        if colour and thing.name == "black cat":
            colour = ""
        size = self.choose("size", SIZE_WORDS[actor.size_word]) if actor.size_word else ""
        nice = rng.choice(ADJECTIVES) if rng.random() < 0.05 else ""
        if actor.count > 1:
            return " ".join(w for w in (rng.choice(NUMBERS[actor.count]), nice, size, colour, words.plural_of(thing, name)) if w)
        noun = " ".join(w for w in (nice, size, colour, name) if w)
        if not article:
            return noun
        if thing.mass and name in (thing.name, *thing.others[1:]) or name.endswith("s") and name in ("fries", "chips", "stairs"):
            return noun
        kind = rng.random()
        return "the " + noun if kind < 0.06 else "one " + noun if kind < 0.09 else words.with_article(noun)

    def doing(self, actor, form, many=False):
        """What it does; form 0: third person, 1: plural, 2: gerund; with direction and pace."""
        motion = actor.motion
        verb = self.choose("motion", motion.phrases, 0.7)[1 if form == 0 and (many or _is_many(actor)) else form]
        if motion.speed and (actor.heading != actor.thing.own_way or self.rng.random() < 0.75):
            side = "left" if actor.heading < 0 else "right"
            verb += self.rng.choice((f" {side}", f" {side}", f" to the {side}", f" towards the {side}"))
        return f"{verb} {self.pace(actor)}".strip()

    def pace(self, actor):
        if not actor.motion.paced:
            return ""
        return self.choose("pace", dict(motions.PACES)[actor.pace])

    def subject(self, article=True):
        """All nouns."""
        if not self.scene.actors:
            return self.rng.choice(("an empty scene", "landscape", "nobody"))
        if self.scene.interaction:
            a, b = self.scene.actors[:2]
            return f"{self.noun(a, article)} and {self.noun(b, article)}"
        return " and ".join(self.noun(a, article) for a in self.scene.actors)

    def clause(self, form, article=True):
        """Everybody and what they do; form as in doing; 3: 'is doing'."""
        scene = self.scene
        gerund = form >= 2

        def link(many):
            return ("are " if many else "is ") if form == 3 else ""
        if not scene.actors:
            return self.subject()
        if scene.interaction:
            a, b = scene.actors[:2]
            between = self.choose("interaction", scene.interaction.phrases, 0.65)
            many = _is_many(a)
            if scene.interaction.live:
                text = f"{self.noun(a, article)} {link(many)}{between[2 if gerund else 1 if many else 0]} {self.noun(b, article)}"
                text = f"{text} {self.pace(a)}".strip()
            elif a.motion.name == "stands still":
                stands = link(many) or (self.rng.choice(("are ", "stand ") if many else ("is ", "stands ")) if form == 0 else "")
                text = f"{self.noun(a, article)} {stands}{between[0]} {self.noun(b, article)}"
            else:
                text = f"{self.noun(a, article)} {between[0]} {self.noun(b, article)} {link(many)}{self.doing(a, 2 if gerund else 0)}"
            return text
        same = len(scene.actors) > 1 and len({(a.motion.name, a.pace, a.heading) for a in scene.actors}) == 1
        if same:
            nouns = " and ".join(self.noun(a, article) for a in scene.actors)
            return f"{nouns} {link(True)}{self.doing(scene.actors[0], 2 if gerund else 0, True)}"
        return " and ".join(f"{self.noun(a, article)} {link(_is_many(a))}{self.doing(a, 2 if gerund else 0)}" for a in scene.actors)

    def place(self):
        return self.choose("place", self.scene.place.phrases)

    def when(self):
        """Time of day, weather and light."""
        out = [self.choose(kind, part.phrases) for kind, part in (("time", self.scene.time), ("weather", self.scene.weather),
                                                                  ("light", self.scene.light)) if part.name]
        return " ".join(out)

    def camera(self):
        camera = self.scene.camera
        if not camera.name:
            return self.rng.choice(camera.phrases[1:]) if self.rng.random() < 0.04 else ""
        return self.choose("camera", camera.phrases, 0.4)

    def look(self):
        look = self.scene.look
        if not look.name:
            return self.rng.choice(look.phrases[1:]) if self.rng.random() < 0.06 else ""
        return self.choose("look", look.phrases, 0.4)

    def where(self):
        return f"{self.place()} {self.when()}".strip()

    def keywords(self):
        scene, out = self.scene, []
        for actor in scene.actors:
            out.append(self.noun(actor, False))
            if scene.interaction is None and actor.motion.name != "stands still" and self.rng.random() < 0.6:
                out[-1] += " " + self.doing(actor, 2)
        if scene.interaction:
            out.insert(1, scene.interaction.phrases[0][2 if scene.interaction.live else 0])
        out.append(scene.place.name)
        out += [part.name for part in (scene.time, scene.weather, scene.light) if part.name]
        return out


def _joined(*pieces):
    return ", ".join(p for p in pieces if p)


def _the_shot(p):
    return p.rng.choice(SHOTS)


# The sentence forms: each says everything that the scene shows.
FORMS = {
    "does": lambda p: _joined(f"{p.clause(0)} {p.where()}", p.camera(), p.look()),
    "is doing": lambda p: _joined(f"{p.clause(3)} {p.where()}", p.camera(), p.look()),
    "doing": lambda p: _joined(f"{p.clause(2)} {p.where()}", p.camera(), p.look()),
    "place first": lambda p: _joined(f"{p.place()}, {p.clause(0)} {p.when()}".strip(), p.camera(), p.look()),
    "time first": lambda p: _joined(p.when(), f"{p.clause(0)} {p.place()}", p.camera(), p.look()),
    "keywords": lambda p: _joined(*p.keywords(), p.camera(), p.look()),
    "look first": lambda p: _joined(p.look() or "footage", f"{p.clause(2)} {p.where()}", p.camera()),
    "camera first": lambda p: _joined(p.camera(), f"{p.clause(0)} {p.where()}", p.look()),
    "shot of": lambda p: _joined(f"{words.with_article(_the_shot(p))} of {p.clause(2)} {p.where()}", p.camera(), p.look()),
    "video of": lambda p: _joined(f"{p.rng.choice(('a video', 'a film', 'a clip', 'footage'))} of {p.clause(2)} {p.where()}", p.camera(),
                                  p.look()),
    "animation of": lambda p: _joined(f"{p.rng.choice(('an animation', 'animation', 'an animated scene'))} of {p.clause(2)} {p.place()}",
                                      p.when(), p.camera(), p.look()),
    "there is": lambda p: _joined(f"there {'are' if _several(p) else 'is'} {p.clause(2)} {p.where()}", p.camera(), p.look()),
    "we see": lambda p: _joined(f"we see {p.clause(2)} {p.where()}", p.camera(), p.look()),
    "watch": lambda p: _joined(f"watch {p.clause(2)} {p.where()}", p.camera(), p.look()),
    "where": lambda p: _joined(f"{p.where()}, where {p.clause(0)}", p.camera(), p.look()),
    "in which": lambda p: _joined(f"a scene in which {p.clause(0)} {p.where()}", p.camera(), p.look()),
    "show me": lambda p: _joined(f"{p.rng.choice(('show me', 'make a video of', 'i want to see'))} {p.clause(2)} {p.where()}", p.camera(),
                                 p.look()),
    "telegraphic": lambda p: _joined(f"{p.clause(0, False)} {p.place()}", p.when(), p.camera(), p.look()),
    "lists": lambda p: _joined(p.clause(2, False), p.place(), p.when(), p.camera(), p.look()),
    "title": lambda p: _joined(f"scene: {p.place()}", p.clause(0), p.when(), p.camera(), p.look()),
    "it is": lambda p: _joined(f"{p.place()} {p.when()}".strip(), p.camera(), p.clause(3), p.look()),
    "style last": lambda p: _joined(f"{p.clause(2)}", p.where(), p.camera()) + (f", {p.look()} style" if p.scene.look.name else ""),
    "close-up": lambda p: _joined(f"{p.rng.choice(('a picture', 'a view', 'a close look'))} of {p.clause(2)} {p.where()}", p.camera(), p.look()),
    "once": lambda p: _joined(f"once {p.place()}, {p.clause(0)}", p.when(), p.camera(), p.look()),
}


def _several(p):
    return bool(p.scene.actors) and _is_many(p.scene.actors[0])


def is_held_out_form(name):
    """About one sentence form in eight is never trained on."""
    return words.checksum(f"caption|{name}") % 8 == 0


def _form(rng, held_out):
    names = [n for n in FORMS if is_held_out_form(n)] if held_out and rng.random() < 0.5 else [n for n in FORMS if not is_held_out_form(n)]
    if not held_out and rng.random() < 0.3:
        return "does"
    return rng.choice(names)


def _abstract(p):
    kind = p.scene.abstract
    colours = kind.palette
    text = p.choose("abstract", kind.kind.phrases, 0.4).format(colours)
    pace = p.choose("pace", dict(motions.PACES)[kind.pace])
    if pace:
        text += f", moving {pace}"
    return _joined(p.rng.choice(("", "", "abstract video of ", "abstract, ")) + text, p.look())


def caption(rng, scene):
    """A caption of at most LONGEST words where the scene allows it."""
    parts, text = Parts(rng, scene), ""
    for _ in range(8):
        written = _abstract(parts) if scene.abstract else FORMS[_form(rng, scene.held_out_words)](parts)
        written = " ".join(written.split()).strip(" ,")
        if rng.random() < 0.1:
            filler = rng.choice(FILLERS)
            written = f"{filler}, {written}" if rng.random() < 0.3 else f"{written}, {filler}"
        if not text or len(written.split()) < len(text.split()):
            text = written
        if len(text.split()) <= LONGEST:
            break
    return text


def labels(scene):
    """What a judge is to find in the frames; lists are in the order of the caption."""
    if scene.abstract:
        return {"things": [], "colours": [], "sizes": [], "motions": [], "paces": [motions.PACE_NAMES[scene.abstract.pace]], "count": [],
                "place": "",
                "weather": "", "time": "", "light": "", "camera": "", "look": scene.look.name, "relation": "", "interaction": "",
                "abstract": scene.abstract.kind.name, "palette": scene.abstract.palette}
    acts = scene.interaction and scene.interaction.live
    return {
        "things": [a.thing.name for a in scene.actors], "colours": [a.colour or a.thing.colour for a in scene.actors],
        "sizes": [a.size_word for a in scene.actors], "motions": [motion_name(a) if not (acts and i < 2) else "" for i,
                                                                  a in enumerate(scene.actors)],
        "paces": [motions.PACE_NAMES[a.pace] if a.motion.paced else "" for a in scene.actors], "count": [a.count for a in scene.actors],
        "place": scene.place.name, "weather": scene.weather.name, "time": scene.time.name, "light": scene.light.name,
        "camera": scene.camera.name, "look": scene.look.name,
        "relation": scene.interaction.name if scene.interaction and not acts else "", "interaction": scene.interaction.name if acts else "",
        "abstract": "", "palette": "",
    }


def answers():
    """Every name that labels() can give, by question; "" where nothing is said. Lists in labels() have the plural as their key."""
    def names(table):
        return list(dict.fromkeys(["", *(item.name for item in table)]))
    moves = [m.name + side for m in motions.MOTIONS for side in ((" left", " right") if m.speed else ("",))]
    return {"thing": [t.name for t in things.THINGS], "motion": ["", *moves], "colour": ["", *sprites.COLOURS], "size": ["", *SIZE_WORDS],
            "pace": ["", *motions.PACE_NAMES.values()], "count": ["1", *(str(n) for n in NUMBERS)], "place": names(places.PLACES),
            "weather": names(weather.WEATHERS), "time": names(light.TIMES), "light": names(light.LIGHTS), "camera": names(cameras.CAMERAS),
            "look": names(looks.LOOKS), "relation": names(interactions.RELATIONS), "interaction": names(interactions.ACTIONS),
            "abstract": names(abstract.KINDS)}


def motion_name(actor):
    """A motion's name with its direction where it goes somewhere."""
    return actor.motion.name + ("" if not actor.motion.speed else " left" if actor.heading < 0 else " right")


def vocabulary():
    """Every word the grammar knows, and CLDR's names and keywords of everything, for the tokenizer."""
    out = set(sprites.COLOURS) | set(abstract.PALETTES) | set(FILLERS) | set(SHOTS) | set(ADJECTIVES)
    for name, keywords in words.cldr_annotations().values():
        out.update((name, *keywords))
    for thing in things.THINGS:
        names = (thing.name, *words.names_of(thing))
        out.update(names, (words.plural_of(thing, n) for n in names))
    for table in (motions.MOTIONS, interactions.ACTIONS, interactions.RELATIONS):
        for item in table:
            out.update(form for phrase in item.phrases for form in phrase)
    for table in (places.PLACES, light.TIMES, light.LIGHTS, weather.WEATHERS, cameras.CAMERAS, looks.LOOKS):
        for item in table:
            out.update(item.phrases, (item.name,))
    out.update(phrase.replace("{}", "").strip() for kind in abstract.KINDS for phrase in kind.phrases)
    out.update(w for _, phrases in motions.PACES for w in phrases)
    out.update(w for phrases in (*SIZE_WORDS.values(), *NUMBERS.values()) for w in phrases)
    return sorted(w for w in out if w)
