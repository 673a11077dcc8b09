# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the transformer learns from: scenes by the curriculum, drawn, encoded, and kept to be used several times."""

import random

import numpy as np
import torch

import drawing
import teach_text
import train_vae
import training
from world import scene

BLOCK, TEXT_ROWS = 2, 28
SIZE_SHARES = (0.6, 0.2, 0.2)
STORY_SHARE = 0.2      # of the clips in the whole world: the prompt changes part-way
WARM_UP = 8            # frames drawn before a clip from mid-stream, for the encoder's memory
LATEST = 8             # seconds after the start of its stream, at which a clip from mid-stream begins
SINK_FRAMES = 4 * BLOCK    # the block that a stream begins with, which later ones still see
TIERS = (0.0, 0.4, 0.6)    # what the fold stage draws things from: its starters are there, the others have been seen too seldom
SINK_LATER = 0.3       # of the sinks: another moment of the past, as where the prompt has changed


class Curriculum:
    """What is drawn: large single starters first, the rest of the world as training goes on."""

    def __init__(self, stage, wide):
        self.stage, self.wide = stage, wide
        scene.load_words(teach_text.kin_path())  # before the drawing processes are forked

    def options(self, share, size=scene.SIZES[0]):
        """`share` of the stage is over; `wide` is where its end stands between the starters (0) and everything (1)."""
        w = self.wide * (share if self.stage == "image" else 1.0)
        clip = self.stage != "image"
        more = {"tiers": TIERS} if self.stage == "fold" else {}
        return scene.between(w, size=size, camera=0.5 * w if clip else 0.0, **more)


def coverage_of(shown, seconds, size):
    """Where actors are in a latent frame, (H / 16, W / 16) of 0 and 1."""
    return shown.coverage(max(0.0, seconds), size[1] // 16, size[0] // 16)


def draw_image(rng, options):
    """(one frame, caption, coverage, True, False): the first frame of a stream."""
    s = scene.sample(rng, options)
    return s.frame(0.0)[None], s.caption(rng), coverage_of(s, 0.0, options.size)[None], True, False


def begin_stream(shown, seconds, latents):
    """The first frames of a stream that begins at `seconds`: the first one as often as the encoder wants it."""
    clip = shown.frames(1 + 4 * (latents - 1), seconds)
    return np.concatenate([np.repeat(clip[:1], 3, 0), clip])


def draw_clip(rng, options, latents, wide, sink=False):
    """(frames, caption, coverage, from the start?, has the prompt changed?): WARM_UP frames more than needed in both cases, so that all are as long.

    A clip from mid-stream has its first block as history only, and is from a time at which all still move. In some, the prompt has just changed there: the history is still of the
    old one, the caption and the rest of the clip are of the new one. With `sink` all are from mid-stream, and the SINK_FRAMES of how the stream
    began lie before them; the prompt has not changed there, as a change takes the sink away.
    """
    chance, first = rng.random(), 0.0
    started, changed = chance < 0.5 and not sink, chance > 1 - STORY_SHARE * wide and not sink
    if changed:
        shown = scene.sample_story(rng, options)
        change, text = rng.choice(shown.captions(rng)[1:])
        first = max(WARM_UP / scene.FRAME_RATE, change - 4 * BLOCK / scene.FRAME_RATE)
    else:
        shown = scene.sample(rng, options)
        text = shown.caption(rng)
        if not started:
            first = scene.on_grid(rng.uniform(0.5, shown.ends or LATEST)) + WARM_UP / scene.FRAME_RATE
    middle = [first + (4 * k + (-2 if started else 1)) / scene.FRAME_RATE for k in range(latents)]
    coverage = np.stack([coverage_of(shown, t, options.size) for t in middle])
    if started:
        clip = begin_stream(shown, 0.0, latents)
        clip = np.concatenate([clip, np.zeros((WARM_UP, *clip.shape[1:]), np.uint8)])
    else:
        clip = shown.frames(WARM_UP + 4 * latents, first - WARM_UP / scene.FRAME_RATE)
    if sink:
        seconds = rng.randrange(int(first * 4)) / 4 if rng.random() < SINK_LATER else 0.0
        clip = np.concatenate([begin_stream(shown, seconds, BLOCK), clip])
        coverage = np.concatenate([np.zeros((BLOCK, *coverage.shape[1:])), coverage])
    return clip, text, coverage, started, changed


def draw_sample(rng, options, length, words, wide, sink):
    """(frames, token ids, coverage, from the start?, has the prompt changed?) of a clip of `length` latents, behind a sink or not."""
    frames, text, coverage, started, changed = draw_image(rng, options) if length == 1 else draw_clip(rng, options, length, wide, sink)
    return frames, words.ids(text, TEXT_ROWS), coverage > 0, started, changed


class Pool:
    """Encoded latents with their token ids, each used several times before a fresh one takes its place."""

    def __init__(self, length, vae, source, size, device, shape, sink=False):
        """shape: height and width of a latent frame; sink: whether the first BLOCK latents are one."""
        self.length, self.source, self.device, self.sink = length, source, device, sink
        self.vae = vae.to(device).eval().requires_grad_(False)
        self.latents = torch.zeros(size, length, 32, *shape, dtype=torch.bfloat16, device=device)
        self.coverage = torch.zeros(size, length, *shape, dtype=torch.bool, device=device)
        self.ids = torch.zeros(size, TEXT_ROWS, dtype=torch.int32, device=device)
        self.started = torch.ones(size, dtype=torch.bool, device=device)
        self.changed = torch.zeros(size, dtype=torch.bool, device=device)
        self.count = 0

    def encode(self, clips):
        """Clips (N, T, H, W, 3) to normalised latents (N, T / 4, C, h, w)."""
        with training.autocast(self.device):
            return self.vae.normalise(self.vae.encode(train_vae.to_frames(clips)).float())

    @torch.no_grad()
    def add(self, number, share, wait=False):
        """Takes up to `number` drawn samples in, all of them with `wait`."""
        clips, known = self.source.take(number, share, wait)
        if not known:
            return
        if self.length == 1:
            clips = clips.expand(-1, 4, -1, -1, -1)  # a stream's first frame, as often as the encoder wants it
        sinks, clips = (clips[:, :SINK_FRAMES], clips[:, SINK_FRAMES:]) if self.sink else (clips[:, :0], clips)
        latents = self.encode(clips)
        ids, coverage, started, changed = (training.upload(np.array(column), self.device) for column in zip(*known))
        where = torch.arange(self.count, self.count + len(known), device=self.device) % len(self.latents)
        choice = started.view(-1, 1, 1, 1, 1)
        length = self.length - BLOCK if self.sink else self.length
        latents = torch.where(choice, latents[:, :length], latents[:, -length:])
        self.latents[where] = (torch.cat([self.encode(sinks), latents], 1) if self.sink else latents).bfloat16()
        self.ids[where], self.coverage[where], self.started[where], self.changed[where] = ids.int(), coverage, started, changed
        self.count += len(known)

    def batch(self, size):
        """Latents (B, C, length, h, w), ids, coverage (B, length, h, w), whether each begins a stream, and whether its prompt has changed in it."""
        pick = torch.randint(0, min(self.count, len(self.latents)), (size,), device=self.device)
        return self.latents[pick].float().transpose(1, 2), self.ids[pick].long(), self.coverage[pick].float(), self.started[pick], self.changed[pick]


class Course:
    """Latents of one length to learn from: a pool for each size, each in proportion to its share; their loss."""

    def __init__(self, args, stage, words, seed, chance=1.0):
        """stage: "image" (single latents), "clip", or "sink" (clips behind the beginning of their stream); chance: of a step to be this course's."""
        self.args, self.stage, self.chance = args, stage, chance
        self.loss = self.mask = None
        single, self.sink = stage == "image", BLOCK if stage == "sink" else 0
        clip = 1 if single else args.latents
        self.length = clip + self.sink
        self.size = args.batch if single else max(1, args.batch * 4 // 3 // self.length)   # of a batch
        self.fresh = args.fresh if single else max(1, args.fresh // 6)
        curriculum, frames = Curriculum(args.stage, args.wide), 1 if single else WARM_UP + 4 * self.length
        self.sources = []
        for i, (size, part) in enumerate(zip(scene.SIZES, SIZE_SHARES)):
            self.sources.append(drawing.source(
                lambda rng, share, size=size: draw_sample(rng, curriculum.options(share, size), clip, words, args.wide, self.sink > 0),
                (frames, size[1], size[0], 3), args, seed + 17 * i, part * chance))

    def fill(self, vae, share):
        """Draws what training begins with."""
        args = self.args
        self.pools = [Pool(self.length, vae, source.to(args.device), int(args.pool * part), args.device, (size[1] // 16, size[0] // 16), self.sink > 0)
                      for source, size, part in zip(self.sources, scene.SIZES, SIZE_SHARES)]
        for pool, part in zip(self.pools, SIZE_SHARES):
            while pool.count < args.fill * part:
                pool.add(self.fresh, share, wait=True)
        self.pool = self.pools[0]

    def draw(self, share):
        """Chooses the pool of the next batch and takes something new into it."""
        self.pool = random.choices(self.pools, SIZE_SHARES)[0]
        self.pool.add(self.fresh, share)

    def batch(self):
        return self.pool.batch(self.size)

    def drawn(self):
        return sum(pool.count for pool in self.pools)

    def note(self, loss):
        self.loss = loss if self.loss is None else 0.98 * self.loss + 0.02 * loss
