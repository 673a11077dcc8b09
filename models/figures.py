# SPDX-License-Identifier: LGPL-2.1-or-later
"""The figures of a model: what the judge sees in clips that it makes, its autoencoder, its streams."""

import random
import subprocess

import numpy as np
import torch
import torch.nn.functional as F

import judge as judging
import sampler
import train_vae
from world import scene

LATENTS = 8            # of a judged clip
STREAMS = ("a red balloon floats over a city", "a cat walks through a meadow", "a sailing boat on the sea at sunset", "a dog runs on a beach, pan right",
           "a car drives along a street at night", "an apple on a table in a kitchen, still camera")


def to_frames(clip):
    """(T, H, W, 3) uint8 to (T, 3, H, W) in 0..1."""
    return torch.from_numpy(clip).permute(0, 3, 1, 2).float() / 255


def ssim(a, b):
    """Mean structural similarity (Wang 2004) of luma, 8x8 windows; a, b (N, 3, H, W) in 0..1."""
    weight = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    a, b = (a * weight).sum(1, keepdim=True), (b * weight).sum(1, keepdim=True)

    def mean(x):
        return F.avg_pool2d(x, 8, 4)
    ma, mb = mean(a), mean(b)
    va, vb, cov = mean(a * a) - ma * ma, mean(b * b) - mb * mb, mean(a * b) - ma * mb
    c1, c2 = 0.01**2, 0.03**2
    return (((2 * ma * mb + c1) * (2 * cov + c2)) / ((ma**2 + mb**2 + c1) * (va + vb + c2))).mean().item()


class Subject:
    """The model that is looked at: its parts, its sora.json, its tokenizer; with `tool`, the sora command, its directory too."""

    def __init__(self, parts, sora, words, directory=None, tool=None):
        self.parts, self.sora, self.words, self.directory, self.tool = parts, sora, words, directory, tool

    def clips(self, texts, seed, batch=16, **more):
        """Yields frames (B, 29, 3, H, W) in 0..1 for the texts, a batch at a time; by the engine where there is one, one by one."""
        if self.tool and not more:
            options = ["--steps", str(self.sora["steps"]), "--guidance-scale", str(self.sora["guidance_scale"])]
            for k, text in enumerate(texts):
                frames = engine_frames(self.tool, self.directory, text, judging.CLIP_FRAMES, seed=seed + k, options=options)
                yield to_frames(np.stack(list(frames)))[None]
            return
        for begin in range(0, len(texts), batch):
            latents = sampler.generate(self.parts, self.words, texts[begin:begin + batch], self.sora, LATENTS, seed=seed + begin, **more)
            yield sampler.decode(self.parts["vae"], latents).cpu()


class Prompts:
    """Scenes of a seed that no training uses, each with a caption and its labels."""

    def __init__(self, count, seed, options):
        rng = random.Random(seed)
        self.scenes = [scene.sample(rng, options) for _ in range(count)]
        self.texts = [s.caption(rng) for s in self.scenes]
        self.labels = [s.labels() for s in self.scenes]

    def drawn(self):
        """What the judge sees of the scenes as drawn."""
        return torch.stack([judging.pick_moments(to_frames(s.frames(judging.CLIP_FRAMES))) for s in self.scenes])


def judged(judge, subject, prompts, seed):
    """What the judge sees of the clips that the subject makes for the prompts."""
    return torch.cat([judging.pick_moments(frames) for frames in subject.clips(prompts.texts, seed)])


def share(count):
    return count[0] / count[1] if count[1] else float("nan")


def compare(judge, seen, drawn, labels):
    """{question: (right on these clips, right on the drawn ones)}, shares."""
    mine, best = (judging.score(judge, x, labels) for x in (seen, drawn))
    return {q: (share(mine[q]), share(best[q])) for q in mine if best.get(q, (0, 0))[1] >= 5}


@torch.no_grad()
def features(judge, seen, batch=32):
    """One vector a clip (N, width), for distances between sets of clips."""
    return torch.cat([judge.features(part)[0].mean((1, 3, 4)) for part in seen.split(batch)])


def frechet(a, b):
    """Fréchet distance of two sets of vectors taken as normal distributions (Heusel 2017)."""
    def moments(x):
        centred = x.double() - x.double().mean(0)
        return x.double().mean(0), centred.T @ centred / (len(x) - 1)
    (ma, ca), (mb, cb) = moments(a), moments(b)
    # The trace of the root of ca cb, by the eigenvalues of the symmetric root(ca) cb root(ca).
    values, vectors = torch.linalg.eigh(ca)
    root = vectors @ torch.diag(values.clamp(min=0).sqrt()) @ vectors.T
    cross = torch.linalg.eigvalsh(root @ cb @ root).clamp(min=0).sqrt().sum()
    return ((ma - mb).pow(2).sum() + ca.trace() + cb.trace() - 2 * cross).item()


@torch.no_grad()
def autoencoder(vae, count=12):
    """(PSNR in dB, SSIM) on held-out drawn clips of 17 frames."""
    clips, device = train_vae.validation_clips(count, 17), next(vae.parameters()).device
    output = torch.cat([vae.decode_video(vae.encode_video(c[None].to(device))).cpu() for c in clips])
    return train_vae.psnr(output, clips), ssim(output.flatten(0, 1), clips.flatten(0, 1))


def _border(picture):
    """The colours along the border of a picture (3, 256, 256), where the actor is not, in cells of 16 x 16 pixels."""
    cells, edge = F.avg_pool2d(picture, 16), torch.ones(16, 16, dtype=torch.bool)
    edge[3:13, 3:13] = False
    return cells[:, edge].flatten()


def _known_places(rng, options, count=420):
    """(borders, names) of the places of drawn first frames."""
    drawn = [scene.sample(rng, options) for _ in range(count)]
    return torch.stack([_border(to_frames(s.frames(1))[0]) for s in drawn]), [s.labels()["place"] for s in drawn]


def simple_pictures(subject, count=96, batch=16):
    """What needs no judge, of first latents for captions of simple scenes, beside the scenes as drawn.

    Returns {"place": (right, right of the drawn ones), "colour": (distance of the middle to the drawn one's, to another's), "picture": distance
    in cells of 16 x 16 pixels}: a place is the one of the nearest known border, distances are root mean squares of colours in 0..1.
    """
    options, rng = scene.between(0.0), random.Random(99)
    borders, names = _known_places(random.Random(5), options)
    scenes = [scene.sample(rng, options) for _ in range(count)]
    texts, truth = [s.caption(rng) for s in scenes], [s.labels()["place"] for s in scenes]
    drawn = torch.stack([to_frames(s.frames(1))[0] for s in scenes])
    made = torch.cat([sampler.decode(subject.parts["vae"], sampler.generate(
        subject.parts, subject.words, texts[k:k + batch], subject.sora, 1, single=True, seed=7 + k)).cpu()[:, 0] for k in range(0, count, batch)])

    def right(pictures):
        nearest = torch.cdist(torch.stack([_border(p) for p in pictures]), borders).argmin(1)
        return sum(names[k] == place for k, place in zip(nearest.tolist(), truth)) / count

    def distance(a, b):
        return (a - b).pow(2).mean().sqrt().item()
    middle = [p[:, :, 72:184, 72:184].mean((2, 3)) for p in (made, drawn)]
    return {"place": (right(made), right(drawn)), "colour": (distance(*middle), distance(middle[0], middle[1].roll(1, 0))),
            "picture": distance(F.avg_pool2d(made, 16), F.avg_pool2d(drawn, 16))}


def _speed(frames):
    """Pixels a frame, to the right, by which the middle of what differs from the clip's median moves in frames (T, 3, H, W); 0 where nothing does."""
    apart = ((frames - frames.median(0).values).abs().sum(1) - 0.2).clamp(min=0)
    mass, across = apart.sum((1, 2)), torch.arange(frames.shape[3], dtype=frames.dtype)
    steps = ((apart.sum(1) * across).sum(1) / mass.clamp(min=1e-6)).diff()
    there = mass > 0.3 * mass.max()
    steps = steps[there[1:] & there[:-1] & (steps.abs() < frames.shape[3] / 4)]      # farther: it left, and comes back at the other side
    return steps.median().item() if len(steps) else 0.0


def directions(subject, count=48, slowest=0.1):
    """(right, right of the drawn ones): shares of clips of one starter and a still camera that go left or right as named, at `slowest` pixels a frame at least."""
    rng, scenes = random.Random(91), []
    while len(scenes) < count:
        s = scene.sample(rng, scene.between(0.0, camera=0.0))
        if s.labels()["motions"][0].split()[-1] in ("left", "right"):
            scenes.append(s)
    texts = [s.caption(rng) for s in scenes]
    signs = [-1 if s.labels()["motions"][0].endswith("left") else 1 for s in scenes]

    def right(clips):
        return sum(sign * _speed(clip) >= slowest for sign, clip in zip(signs, clips)) / count
    return right(clip for batch in subject.clips(texts, 101) for clip in batch), right(to_frames(s.frames(judging.CLIP_FRAMES)) for s in scenes)


def _shift(frames, axis, farthest=12):
    """Pixels by which the picture (T, 3, H, W) moves along rows (2) or columns (1) while a latent passes, the mean: at half the size, what fits best."""
    small = F.avg_pool2d(frames.mean(1), 2)[4::4]
    size, found = small.shape[axis], []
    for before, after in zip(small[:-1], small[1:]):
        off = [(after.narrow(axis - 1, max(0, d), size - abs(d)) - before.narrow(axis - 1, max(0, -d), size - abs(d))).abs().mean().item()
               + 1e-4 * abs(d) for d in range(-farthest, farthest + 1)]
        found.append(2 * (off.index(min(off)) - farthest))
    return sum(found) / len(found)


def camera_moves(subject, count=24, slowest=1.0):
    """{"pans": (right, right of the drawn ones), "tilts": …}: shares of `count` clips each, of one thing, whose picture moves as named, at `slowest` pixels a
    latent at least."""
    rng, options = random.Random(4), scene.between(1.0, actors=(1, 0, 0), camera=1.0, look=0.0, abstract=0.0, weather=0.0, counts=0.0)
    # What is in the picture goes the other way.
    ways = {"pans left": (2, 1), "pans right": (2, -1), "tilts up": (1, 1), "tilts down": (1, -1)}
    chosen = {name: [] for name in ways}
    while any(len(scenes) < count // 2 for scenes in chosen.values()):
        s = scene.sample(rng, options)
        name = s.labels().get("camera")
        if name in ways and len(chosen[name]) < count // 2:
            chosen[name].append((s, s.caption(rng)))
    right = {"pans": [0, 0], "tilts": [0, 0]}
    for name, scenes in chosen.items():
        axis, sign = ways[name]
        made = (clip for batch in subject.clips([text for _, text in scenes], 7) for clip in batch)
        for k, clips in enumerate((made, (to_frames(s.frames(judging.CLIP_FRAMES)) for s, _ in scenes))):
            right[name.split()[0]][k] += sum(sign * _shift(clip, axis) >= slowest for clip in clips)
    return {name: tuple(n / (2 * (count // 2)) for n in pair) for name, pair in right.items()}


@torch.no_grad()
def flicker(subject, count=24):
    """Mean absolute change from frame to frame of still scenes, over that of the drawn ones after the autoencoder."""
    rng, options = random.Random(31), scene.between(1.0, camera=0.0, weather=0.0, simple=1.0)
    still = []
    while len(still) < count:
        s = scene.sample(rng, options)
        label = s.labels()
        if set(label["motions"]) == {"stands still"} and not any(label.get(k) for k in ("camera", "weather")):
            still.append((s, s.caption(rng)))
    vae = subject.parts["vae"]
    device = next(vae.parameters()).device
    drawn = [vae.decode_video(vae.encode_video(to_frames(s.frames(17))[None].to(device))).cpu() for s, _ in still]
    made = torch.cat(list(subject.clips([text for _, text in still], 41)))
    own = torch.cat(drawn).diff(dim=1).abs().mean().item()
    return made.diff(dim=1).abs().mean().item() / max(own, 1e-6)


@torch.no_grad()
def changed_prompts(judge, subject, count=64, batch=16):
    """Shares of things and places that are right after the prompt changed in mid-stream, seen from two blocks after the change on."""
    rng = random.Random(51)
    before, after = (Prompts(count, rng.randrange(1 << 30), scene.between(1.0, actors=(1, 0, 0))) for _ in range(2))
    block = subject.sora["block_latents"]
    change, total = 2 * block, 2 * block + 2 * block + LATENTS
    seen = []
    for begin in range(0, count, batch):
        both = [p.texts[begin:begin + batch] for p in (before, after)]
        latents = sampler.generate(subject.parts, subject.words, both[0], subject.sora, total, seed=61 + begin, later=(change, both[1]))
        frames = sampler.decode(subject.parts["vae"], latents).cpu()[:, -judging.CLIP_FRAMES:]
        seen.append(judging.pick_moments(frames))
    return compare(judge, torch.cat(seen), after.drawn(), after.labels)


@torch.no_grad()
def first_frames(judge, subject, count=64, batch=16):
    """(PSNR of frame 0 to the picture given, the autoencoder's own, motions right) for clips that a drawn picture begins."""
    prompts = Prompts(count, 71, scene.between(1.0, actors=(1, 0, 0)))
    vae = subject.parts["vae"]
    device = next(vae.parameters()).device
    seen, own, made = [], [], []
    for begin in range(0, count, batch):
        pictures = torch.stack([to_frames(s.frames(1)) for s in prompts.scenes[begin:begin + batch]])
        raw = vae.encode_video(pictures.to(device))
        first = vae.normalise(raw).transpose(1, 2)
        latents = sampler.generate(subject.parts, subject.words, prompts.texts[begin:begin + batch], subject.sora, LATENTS, seed=81 + begin, image=first)
        frames = sampler.decode(vae, latents).cpu()
        made.append(train_vae.psnr(frames[:, :1], pictures))
        own.append(train_vae.psnr(vae.decode_video(raw).cpu(), pictures))
        seen.append(judging.pick_moments(frames))
    result = compare(judge, torch.cat(seen), prompts.drawn(), prompts.labels)
    return float(np.mean(made)), float(np.mean(own)), result.get("motion", (float("nan"),) * 2)


def engine_frames(tool, model, prompt, count, seed=0, options=(), side=256):
    """Frames that the engine makes, (H, W, 3) uint8 one by one."""
    command = [tool, "generate", "--quiet", "--model", str(model), "--prompt", prompt, "--frames", str(count), "--seed", str(seed),
               "--size", f"{side}x{side}", "--chroma", "444", "--output", "-", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        while process.stdout.readline().startswith(b"FRAME"):
            planes = np.frombuffer(process.stdout.read(3 * side * side), np.uint8).reshape(3, side, side).astype(np.float32)
            yield _rgb(planes)
    if process.returncode:
        raise RuntimeError(f"{tool} ended with {process.returncode}")


def _rgb(planes):
    """BT.601 limited range, what the tool writes at this size, to RGB bytes."""
    y, cb, cr = (planes[0] - 16) * 255 / 219, (planes[1] - 128) * 255 / 224, (planes[2] - 128) * 255 / 224
    rgb = np.stack([y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb], -1)
    return rgb.round().clip(0, 255).astype(np.uint8)


def _marks(frame):
    """Mean, deviation and sharpness of the brightness of a frame (H, W, 3) uint8."""
    grey = frame.mean(-1) / 255
    return grey.mean(), grey.std(), np.abs(np.diff(grey, axis=0)).mean() + np.abs(np.diff(grey, axis=1)).mean()


def hardening(sora_tool, model, seconds=20, rate=16):
    """How sharp the last two seconds of streams are over their first (from half a second on), geometric mean: 1 where outlines neither harden nor blur."""
    logs = []
    for seed, prompt in enumerate(STREAMS):
        frames = engine_frames(sora_tool, model, prompt, seconds * rate, seed=seed)
        sharp = np.array([_marks(frame)[2] for frame in frames])
        logs.append(np.log(sharp[-2 * rate:].mean() / sharp[rate // 2:rate // 2 + 2 * rate].mean()))
    return float(np.exp(np.mean(logs)))


def long_stream(judge, sora_tool, model, prompt, seconds=600, window=10, rate=16):
    """How far mean, deviation and sharpness of every window are from the first 30 s (worst share), and the judge's thing at both ends.

    Returns ({figure: worst |ratio - 1|}, probability of the prompt's thing in the last 30 s over that in the first).
    """
    marks, ends, kept = [], [[], []], []
    for i, frame in enumerate(engine_frames(sora_tool, model, prompt, int(seconds * rate))):
        if i % 4 == 0:
            marks.append(_marks(frame))
        kept.append(frame)
        if len(kept) == judging.CLIP_FRAMES:
            where = 0 if i < 30 * rate else 1 if i >= (seconds - 30) * rate else None
            if where is not None:
                ends[where].append(judging.pick_moments(to_frames(np.stack(kept))))
            kept = []
    marks = np.array(marks)
    step, first = window * rate // 4, marks[:30 * rate // 4].mean(0)
    windows = np.stack([marks[k:k + step].mean(0) for k in range(0, len(marks) - step + 1, step)])
    worst = np.abs(windows / first - 1).max(0)
    index = next(i for i, name in enumerate(judge.answers["thing"]) if f" {name} " in f" {prompt} ")
    with torch.no_grad():
        sure = [judge.things(judge.features(torch.stack(end)))[:, index].sigmoid().mean().item() for end in ends]
    return dict(zip(("mean", "deviation", "sharpness"), worst.tolist())), sure[1] / max(sure[0], 1e-6)
