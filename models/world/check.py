# SPDX-License-Identifier: LGPL-2.1-or-later
"""Checks the drawn world on random scenes: python -m world.check [number of scenes]. Exits with 1 and says what is wrong."""

import random
import sys
import tempfile
import time

import numpy as np

import tokenizer
from . import cameras, captions, light, motions, places, sampling, scene, stage, things, words

NEAR = 0.18           # heights that a body's middle may go between neighbouring frames: what bounces quickly, squashed, comes to 0.165
TEXT_ROWS = 28        # tokens that training reads, the end token among them
FRAMES = 17           # of the clips that are timed: 5 latents
LABELS = {"things", "colours", "sizes", "motions", "paces", "count", "place", "weather", "time", "light", "camera", "look", "relation",
          "interaction",
          "abstract", "palette"}


class Checks:
    def __init__(self):
        self.wrong, self.longest, self.tokens = [], 0, []

    def that(self, right, what):
        if not right:
            self.wrong.append(what)


def options_of(rng, i):
    """From the narrowest to the widest, in all sizes; each tenth scene is of those held out."""
    return scene.between(rng.choice((0.0, 0.35, 1.0, 1.0)), size=scene.SIZES[i % 3], held_out=i % 10 == 9, held_out_words=i % 5 == 4,
                         rare=i % 2 == 0)


def check_labels(check, s, text):
    found = s.labels()
    check.that(set(found) == LABELS, f"labels of {text!r}: {sorted(set(found) ^ LABELS)}")
    check.that(bool(text.strip()), f"no caption for {found}")
    check.that(len({len(found[k]) for k in ("things", "colours", "sizes", "motions", "count")}) == 1,
               f"labels of {text!r} are not of one length")


def check_held_out(check, s, options, text):
    if s.abstract:
        return
    held, number = sampling.held_out_share(s)
    check.that(held == number if options.held_out else held == 0,
               f"{held} of {number} combinations held out in {text!r}, asked for: {options.held_out}")


def check_tokens(check, words_of, text):
    ids = words_of.model.encode(text)
    check.that(tokenizer.UNK not in ids, f"unknown token in {text!r}")
    check.tokens.append(len(ids) + 1)


def check_motion(check, s, text, seconds=12.0):
    """No body jumps while it can be seen; what is gone at one side may come back at the other."""
    check_flow(check, s.aspect, (sorted_bodies(s, i / scene.FRAME_RATE) for i in range(int(seconds * scene.FRAME_RATE))), text)


def check_flow(check, aspect, moments, text):
    """The same of the bodies at successive frames."""
    before = None
    for i, boxes in enumerate(moments):
        if before is not None and len(before) == len(boxes):
            for (x, y, w, h), (x1, y1, w1, h1) in zip(before, boxes):
                gone = any(a + b / 2 < 0.01 or a - b / 2 > end - 0.01 for a, b,
                           end in ((x, w, aspect), (x1, w1, aspect), (y, h, 1.0), (y1, h1, 1.0)))
                check.that(gone or np.hypot(x1 - x, y1 - y) < NEAR,
                           f"a jump of {np.hypot(x1 - x, y1 - y):.2f} at {i / scene.FRAME_RATE:.2f} s in {text!r}")
                check.that(0.02 < max(w1, h1) < 1.6, f"a body of {w1:.2f} x {h1:.2f} in {text!r}")
        before = boxes


def sorted_bodies(s, seconds):
    """(middle x, y, width, height) of every body in a fixed order."""
    view = s.view(seconds)
    bodies = s.bodies(seconds, view, None)
    order = sorted(bodies, key=lambda b: ([a is b.actor for a in s.actors].index(True), b.member))
    return [((b[0] + b[2]) / 2, (b[1] + b[3]) / 2, b[2] - b[0], b[3] - b[1]) for b in (body.box() for body in order)]


def check_size(check, s, options, text):
    """A single actor of the usual size is large, several are at least a fifth of the height, unless they are wide, tiny or told to be far."""
    if s.abstract or s.interaction:
        return
    for actor in s.actors:
        wide = max(w for w in (actor.size,))
        narrow = s.aspect < 1 or actor.size_word == "tiny"
        low = 0.1 if narrow else 0.3 if len(s.actors) == 1 and actor.count == 1 else 0.19
        check.that(wide >= low, f"an actor of {wide:.2f} in {text!r}")


def check_drawing(check, s, text, rng):
    """The right shape, the same again, something to see, coverage where actors are."""
    start = rng.uniform(0, 8)
    frames = s.frames(3, start)
    check.that(frames.shape == (3, s.size[1], s.size[0], 3) and frames.dtype == np.uint8, f"{frames.shape} {frames.dtype} of {text!r}")
    s.prepared = None
    check.that(np.array_equal(frames[1], s.frame(start + 1 / scene.FRAME_RATE)), f"another picture the second time of {text!r}")
    check.that(frames.std() > 3, f"nothing to see in {text!r}")
    cover = s.coverage(start, s.size[1] // 16, s.size[0] // 16)
    check.that(cover.shape == (s.size[1] // 16, s.size[0] // 16) and set(np.unique(cover)) <= {0, 1}, f"coverage of {text!r}")
    if s.labels()["motions"] == ["stands still"] and not s.camera.name:
        check.that(cover.any(), f"no coverage in {text!r}")


def check_words(check):
    """A share of the words and sentence forms is kept from training, and no caption for training has them."""
    pairs = [(t.name, other) for t in things.THINGS for other in words.names_of(t)]
    kept = [words.is_held_out("thing", *pair) for pair in pairs]
    check.that(0.05 < np.mean(kept) < 0.15, f"{np.mean(kept):.2f} of the synonyms are held out")
    forms = [captions.is_held_out_form(name) for name in captions.FORMS]
    check.that(2 <= sum(forms) <= len(forms) // 4, f"{sum(forms)} of {len(forms)} sentence forms are held out")
    rng = random.Random(4)
    for _ in range(3000):
        thing = rng.choice(things.THINGS)
        name = words.choose(rng, "thing", (thing.name, *words.names_of(thing)), 0.1)
        check.that(name == thing.name or not words.is_held_out("thing", thing.name, name),
                   f"{name!r} for {thing.name} is held out and was chosen")
        check.that(not captions.is_held_out_form(captions._form(rng, False)), "a sentence form that is held out was chosen")


def check_motions(check):
    """Every motion in every kind of place, long: no jumps."""
    for motion in motions.MOTIONS:
        for medium in ("ground", "water", "space"):
            place = next(p for p in places.PLACES if p.medium == medium)
            rng = random.Random(motion.name)
            actor = sampling.make_actor(rng, things.BY_NAME["duck"], motion, place, scene.STARTER)
            actor.pace = max(motions.PACE_NAMES)
            check_motion(check, scene.Scene(place, [actor]), f"duck {motion.name} {place.name}", 40.0)
    check.that(stage.smooth(0.5) == 0.5, "ease")


def check_places(check):
    """Every place has three depths at least, at every time of day."""
    depths = []
    for place in places.PLACES:
        for time_of_day in ("", *place.times):
            s = scene.Scene(place, time=light.TIME_BY_NAME[time_of_day], camera=cameras.BY_NAME["pans left"], seed=0.3)
            s.frame(0.0)
            depths.append(len({e.depth for e in s.prepared.behind + s.prepared.before}))
            check.that(depths[-1] >= 3, f"{depths[-1]} depths in {place.name} {time_of_day}")
    return min(depths), max(depths)


def check_cover(check):
    """Layers cover the whole picture however the camera moves: nothing of the frame before shows through."""
    for place in places.PLACES:
        for camera in cameras.CAMERAS[1:]:
            s = scene.Scene(place, camera=camera, seed=0.3)
            for seconds in (0.0, 1.0, 4.5):
                seen = []
                for before in (0, 255):
                    s.frame(0.0)
                    s.prepared.pixels[..., :3] = before
                    s.prepared.surface.mark_dirty()
                    seen.append(s.frame(seconds).astype(np.int16))
                check.that(np.abs(seen[0] - seen[1]).max() <= 1, f"{place.name}, {camera.name} at {seconds} s: not all is painted over")


def check_stories(check, rng, words_of, number):
    for i in range(number):
        story = scene.sample_story(rng, scene.between(1.0, size=scene.SIZES[i % 3]))
        texts = story.captions(rng)
        check.that(len(texts) > 1 and texts[0][0] == 0 and all(a[0] < b[0] for a, b in zip(texts, texts[1:])), f"story {texts}")
        for act, (_, text) in zip(story.acts, texts):
            check_labels(check, act.scene, text)
            check_tokens(check, words_of, text)
            check_held_out(check, act.scene, sampling.Options(), text)
        change = story.acts[1].start
        frames = story.frames(4, change - 2 / scene.FRAME_RATE).astype(np.int16)
        steps = np.abs(frames[1:] - frames[:-1]).mean((1, 2, 3))
        check.that(story.acts[1].fade or steps[1] < 30 + steps[0], f"a cut of {steps[1]:.0f} in {texts}")
        if not any(act.fade for act in story.acts):
            times = [k / scene.FRAME_RATE for k in range(int(16 * (story.acts[-1].start + 3)))]
            first = len(story.acts[0].scene.actors[0].members)
            moments = [sorted_bodies(story.acts[story.act(t)].scene, t)[:first] for t in times]
            check_flow(check, story.acts[0].scene.aspect, moments, str(texts))


def measure(rng, number):
    """Mean milliseconds a frame of clips, the painting of the place included, and of a scene's first frame."""
    clips = single = 0.0
    for _ in range(number):
        s = scene.sample(rng, scene.EVERYTHING)
        began = time.process_time()
        s.frame(0.0)
        single += time.process_time() - began
        s.frames(FRAMES - 1, 1 / scene.FRAME_RATE)
        clips += time.process_time() - began
    return 1000 * clips / number / FRAMES, 1000 * single / number


def main():
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    check, rng = Checks(), random.Random(11)
    check_words(check)
    check_motions(check)
    low, high = check_places(check)
    check_cover(check)
    with tempfile.TemporaryDirectory() as directory:
        tokenizer.train(directory)
        words_of = tokenizer.Tokenizer(directory)
        for i in range(number):
            options = options_of(rng, i)
            s = scene.sample(rng, options)
            text = s.caption(rng)
            check_labels(check, s, text)
            check_held_out(check, s, options, text)
            check_tokens(check, words_of, text)
            check_size(check, s, options, text)
            check_drawing(check, s, text, rng)
            if not s.abstract:
                check_motion(check, s, text)
        check_stories(check, rng, words_of, max(10, number // 10))
    cut = np.mean(np.array(check.tokens) > TEXT_ROWS)
    check.that(cut < 0.03, f"{cut:.1%} of the captions are longer than {TEXT_ROWS} tokens")
    clip, single = measure(rng, max(40, number // 3))
    print(f"{len(places.PLACES)} places of {low} to {high} layers; {number} scenes; captions of {np.mean(check.tokens):.1f} tokens on average, {cut:.1%} longer than {TEXT_ROWS}; "
          f"{clip:.2f} ms a frame in clips of {FRAMES}, {single:.1f} ms a first frame")
    for what in check.wrong[:40]:
        print("wrong:", what)
    print("all right" if not check.wrong else f"{len(check.wrong)} wrong")
    sys.exit(bool(check.wrong))


if __name__ == "__main__":
    main()
