#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The judge: a small network that names what a clip shows. It learns from drawn clips only and scores generated ones."""

import argparse
import json
import random

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import save_file

import drawing
import training
from world import captions, scene, things

CLIP_FRAMES = 29                     # eight latents
MOMENTS = range(1, CLIP_FRAMES, 4)   # looked at, each with the frame before it
SIDE = 64                            # of the pictures that it looks at; those of a clip are shrunk to that
CELLS = 8                            # along a side of its features
BODIES = 6                           # of a moment that training points at
SINGLE = ("place", "camera", "look", "light", "weather", "time", "relation", "interaction", "abstract")   # one answer a clip
ACTOR = {"motion": "motions", "colour": "colours", "size": "sizes", "pace": "paces", "count": "count"}    # one a thing: key in the labels
MOVING = ("camera", "interaction", "motion", "pace")           # these questions need the whole clip, the others one picture
WEIGHTS = {"place": 0.5, "camera": 0.7, "interaction": 0.4, "motion": 1.0, "abstract": 0.2}               # of the losses; others 0.3
TIERS = {name: [t.name for t in things.THINGS if t.tier >= tier] for name, tier in (("starters", 2), ("core things", 1))}


def shrink(now, before):
    """Frames (..., 3, H, W) in 0..255 and the ones before them to (..., 4, SIDE, SIDE) uint8: colours, and four times how much brighter it became."""
    luma = torch.tensor([0.299, 0.587, 0.114], device=now.device).view(3, 1, 1)
    change = ((now - before) * luma).sum(-3, keepdim=True)
    both = torch.cat([now, change], -3)
    small = F.avg_pool2d(both.flatten(0, -4), both.shape[-1] // SIDE).view(*both.shape[:-2], SIDE, SIDE)
    small[..., 3, :, :] = 4 * small[..., 3, :, :] + 128
    return small.round().clamp(0, 255).byte()


def pick_moments(frames):
    """Frames (..., CLIP_FRAMES, 3, H, W) in 0..1 to what the judge sees, (..., moments, 4, SIDE, SIDE) uint8."""
    frames = 255 * frames
    return shrink(frames[..., list(MOMENTS), :, :, :], frames[..., [m - 1 for m in MOMENTS], :, :, :])


class Residual(nn.Module):
    """Kernels see 32 channels at a time, which a CPU does in a third of the time; the second convolution mixes them."""

    def __init__(self, width):
        super().__init__()
        self.look = nn.Conv2d(width, width, 3, padding=1, groups=width // 32, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.mix = nn.Conv2d(width, width, 1)

    def forward(self, x):
        return x + self.mix(F.relu(self.norm(self.look(F.relu(x)))))


class Trunk(nn.Sequential):
    """Channels of a picture and where each pixel is, to (width, CELLS, CELLS)."""

    def __init__(self, channels, side, width, deep):
        stride = side // 16
        super().__init__(nn.Conv2d(channels + 2, width // 2, 2 * stride, stride, stride // 2), *(Residual(width // 2) for _ in range(deep[0])),
                         nn.ReLU(), nn.Conv2d(width // 2, width, 3, 2, 1), *(Residual(width) for _ in range(deep[1])), nn.BatchNorm2d(width), nn.ReLU())

    def forward(self, x):
        n, _, h, w = x.shape
        place = torch.stack(torch.meshgrid(torch.linspace(-1, 1, h), torch.linspace(-1, 1, w), indexing="ij"))
        x = torch.cat([x, place.to(x).expand(n, 2, h, w)], 1)
        return super().forward(x.contiguous(memory_format=torch.channels_last))


class Judge(nn.Module):
    """One trunk reads pictures one by one; another reads how the brightness goes on, all moments of a clip at once as its channels."""

    def __init__(self, answers, width=128):
        """answers: {question: names}, for "thing", SINGLE and ACTOR."""
        super().__init__()
        self.answers, self.width = answers, width
        self.picture = Trunk(3, SIDE, width, (1, 2))
        self.movement = Trunk(2 * len(MOMENTS), SIDE // 2, width, (1, 2))
        self.thing = nn.Conv2d(width, len(answers["thing"]), 1)
        self.sure = nn.Parameter(torch.tensor(1.0))
        self.hidden = nn.ModuleDict({name: nn.Linear(parts * width, 2 * width) for name, parts in (
            ("still", 2), ("moving", 4), ("still actor", 2), ("moving actor", 4))})
        self.heads = nn.ModuleDict({q: nn.Linear(2 * width, len(answers[q])) for q in (*SINGLE, *ACTOR)})

    def features(self, seen):
        """What pick_moments gives, (B, T, 4, SIDE, SIDE) uint8, to (pictures (B, T, width, CELLS, CELLS), movement (B, width, CELLS, CELLS))."""
        return self.look(seen[:, :, :3].float() / 255, brightness(seen))

    def look(self, pictures, movement):
        """The same of pictures (B, T, 3, SIDE, SIDE) in 0..1, not all moments' perhaps, and of what brightness gives."""
        return self.picture(2 * pictures.flatten(0, 1) - 1).unflatten(0, pictures.shape[:2]), self.movement(movement)

    def cells(self, features):
        """Logits (B, T, things, CELLS, CELLS) of a thing having its middle there."""
        return self.thing(features[0].flatten(0, 1)).unflatten(0, features[0].shape[:2])

    def things(self, features):
        """Logits (B, things) of being there, on average over time."""
        return self.cells(features).flatten(3).logsumexp(3).mean(1)

    def _answers(self, questions, still, moving, name):
        """still (B, T, channels), moving the same or None, where only the still questions are answered."""
        out = {}
        for hidden, x in ((f"still{name}", still), (f"moving{name}", moving)):
            if x is not None:
                x = F.relu(self.hidden[hidden](x))
                out |= {q: self.heads[q](x).mean(1) for q in questions if (q in MOVING) == hidden.startswith("moving")}
        return out

    def whole(self, features):
        """Logits of the questions about the clip, on average over time; features may be without movement: (pictures, None)."""
        pictures, movement = features
        still, moving = torch.cat([pictures.mean((3, 4)), pictures.amax((3, 4))], 2), None
        if movement is not None:
            moving = torch.cat([movement.mean((2, 3)), movement.amax((2, 3))], 1)[:, None].expand(-1, still.shape[1], -1)
            moving = torch.cat([still, moving], 2)
        return self._answers(SINGLE, still, moving, "")

    def asked(self, features, thing):
        """Logits of the questions about the thing (B,) asked for: from where it seems to be, and from everywhere."""
        pictures, movement = features
        mine = self.cells(features)[torch.arange(len(thing)), :, thing].flatten(2)                                # B, T, cells
        place = (self.sure * mine).softmax(2)

        def found(x):                                                                                             # B, T, channels, cells
            return torch.cat([torch.einsum("btn,btcn->btc", place, x), x.mean(3)], 2)
        still, moving = found(pictures.flatten(3)), None
        if movement is not None:
            moving = torch.cat([still, found(movement[:, None].expand(-1, pictures.shape[1], -1, -1, -1).flatten(3))], 2)
        return self._answers(ACTOR, still, moving, " actor")


def brightness(seen):
    """Luma and its change at all moments (B, 2 T, SIDE / 2, SIDE / 2), about zero, of what is seen (B, T, 4, SIDE, SIDE) uint8."""
    small = F.avg_pool2d(seen.flatten(0, 1).float(), 2).unflatten(0, seen.shape[:2])
    luma = 0.299 * small[:, :, 0] + 0.587 * small[:, :, 1] + 0.114 * small[:, :, 2]
    return torch.cat([luma / 127.5 - 1, (small[:, :, 3] - 128) / 64], 1)


def where_bodies_are(s, seconds):
    """(BODIES, 3): index of the thing, x and y of its middle in widths and heights; -1 for none."""
    out, index = np.full((BODIES, 3), -1, np.float32), {t.name: i for i, t in enumerate(things.THINGS)}
    boxes = [(name, (b[0] + b[2]) / 2 / s.aspect, (b[1] + b[3]) / 2) for name, b in s.named_boxes(seconds)]
    inside = [(index[name], x, y) for name, x, y in boxes if 0 < x < 1 and 0 < y < 1][-BODIES:]
    out[:len(inside)] = np.array(inside, np.float32).reshape(-1, 3)
    return out


def draw(rng, share=0.0, options=scene.EVERYTHING):
    """(what the judge sees of a drawn clip, labels, where things are (moments, BODIES, 3)), arrays; as a source of drawing.py.

    Half the side of the clips that are judged is enough to be shrunk, but for looks, which are made of pixels.
    """
    s = scene.sample(rng, options)
    if not s.look.name:
        s = s.at_size(tuple(side // 2 for side in s.size))
    frames = np.stack([[s.frame(k / scene.FRAME_RATE) for k in (m - 1, m)] for m in MOMENTS])
    tensor = torch.from_numpy(frames).permute(1, 0, 4, 2, 3).float()
    return shrink(tensor[1], tensor[0]).numpy(), s.labels(), np.stack([where_bodies_are(s, m / scene.FRAME_RATE) for m in MOMENTS])


def mirrored(name):
    """An answer in the mirror."""
    words = {"left": "right", "right": "left"}
    return " ".join(words.get(word, word) for word in name.split(" "))


def in_the_mirror(label):
    """Labels of a clip in the mirror."""
    return label | {"motions": [mirrored(m) for m in label["motions"]], "camera": mirrored(label["camera"]), "relation": mirrored(label["relation"])}


def weather_the_eye(pictures, movement):
    """Blurs, noise, colours a little off, so that the judge does not lean on what only drawings have; of what Judge.look takes."""
    def random(*shape):
        return torch.rand(len(pictures), *shape, 1, 1, device=pictures.device)
    flat = pictures.flatten(1, 2)
    blurred = F.avg_pool2d(flat, 3, 1, 1, count_include_pad=False)
    if torch.rand(1) < 0.5:
        blurred = F.avg_pool2d(blurred, 3, 1, 1, count_include_pad=False)
    pictures = torch.lerp(flat, blurred, random(1)).view_as(pictures)
    pictures = pictures * (0.92 + 0.16 * random(1, 1)) + 0.06 * (random(1, 3) - 0.5)
    return pictures + 0.04 * random(1, 1) * torch.randn_like(pictures), movement + 0.06 * random(1)[:len(movement)] * torch.randn_like(movement)


class Targets:
    """Labels as numbers."""

    def __init__(self, answers, device):
        self.device = device
        self.index = {q: {name: i for i, name in enumerate(names)} for q, names in answers.items()}

    def things(self, labels):
        hot = torch.zeros(len(labels), len(self.index["thing"]))
        for row, label in zip(hot, labels):
            for name in label["things"]:
                row[self.index["thing"][name]] = 1
        return hot.to(self.device)

    def numbers(self, question, names):
        return torch.tensor([self.index[question][name] for name in names], device=self.device)

    def single(self, labels, question):
        return self.numbers(question, [label[question] for label in labels])

    def actor(self, labels, picks, question):
        return self.numbers(question, [str(label[ACTOR[question]][k]) for label, k in zip(labels, picks)])

    def named(self, question, target):
        return target != self.index[question].get("", -1)


def loss_of_things(judge, features, hot, bodies):
    """Each named thing against all that are not there; and every body's thing at its middle. bodies (B, T, BODIES, 3)."""
    cells = judge.cells(features)
    logits = cells.flatten(3).logsumexp(3).mean(1)
    others = logits.masked_fill(hot > 0, -torch.inf).logsumexp(1, keepdim=True)
    named = ((torch.logaddexp(logits, others) - logits) * hot).sum() / hot.sum().clamp(min=1)
    row, moment, k = (bodies[..., 0] >= 0).nonzero(as_tuple=True)
    thing, x, y = bodies[row, moment, k].unbind(1)
    x, y = ((v * CELLS).long().clamp(0, CELLS - 1) for v in (x, y))
    there = F.cross_entropy(cells[row, moment, :, y, x], thing.long()) if len(row) else 0.0
    return named, there


def loss_of(judge, features, targets, labels, bodies, rng):
    """The loss and its parts; the movement of the first clips is enough, of which it is then the mean."""
    pictures, movement = features
    named, there = loss_of_things(judge, features, targets.things(labels), bodies)
    parts = {"thing": named, "thing there": there}
    moving = len(movement)

    def add(question, logits, target):
        if question == "motion":
            target[~targets.named(question, target)] = -100           # an interaction says how they move
        share = len(logits) / len(labels) if question not in MOVING else 1.0
        parts[question] = parts.get(question, 0.0) + share * WEIGHTS.get(question, 0.3) * F.cross_entropy(logits, target)
    for part, of_part in ((slice(0, moving), movement), (slice(moving, None), None)):
        for question, logits in judge.whole((pictures[part], of_part)).items():
            add(question, logits, targets.single(labels[part], question))
        with_actor = [i for i, label in enumerate(labels[part]) if label["things"]]
        if with_actor:
            some = [labels[part][i] for i in with_actor]
            picks = [rng.randrange(len(label["things"])) for label in some]
            asked = targets.numbers("thing", [label["things"][k] for label, k in zip(some, picks)])
            these = pictures[part][with_actor], None if of_part is None else of_part[with_actor]
            for question, logits in judge.asked(these, asked).items():
                add(question, logits, targets.actor(some, picks, question))
    return sum(parts.values()), parts


@torch.no_grad()
def score(judge, seen, labels, batch=32):
    """Right answers and how many were asked for: {question: (right, asked)}.

    "thing" is of clips with one thing, "all of several things" of the others: the named ones have to be the likeliest.
    What a caption does not name (an answer of "") is not asked for.
    """
    device = judge.sure.device
    targets, result = Targets(judge.answers, device), {}

    def count(question, right, valid):
        r, n = result.get(question, (0, 0))
        result[question] = (r + int((right & valid).sum()), n + int(valid.sum()))
    for begin in range(0, len(labels), batch):
        part, features = labels[begin:begin + batch], judge.features(seen[begin:begin + batch].to(device))
        hot, logits = targets.things(part), judge.things(features)
        for row, truth, label in zip(logits, hot, part):
            number = int(truth.sum())
            if number:
                right = truth[row.topk(number).indices].all()[None]
                for name in _names_of_thing(label["things"]) if number == 1 else ["all of several things"]:
                    count(name, right, torch.ones_like(right))
        for question, answer in judge.whole(features).items():
            target = targets.single(part, question)
            count(question, answer.argmax(1) == target, targets.named(question, target))
        for k in range(max(len(label["things"]) for label in part)):
            mine = [i for i, label in enumerate(part) if len(label["things"]) > k]
            some = [part[i] for i in mine]
            asked = targets.numbers("thing", [label["things"][k] for label in some])
            for question, answer in judge.asked([f[mine] for f in features], asked).items():
                target = targets.actor(some, [k] * len(some), question)
                right, named = answer.argmax(1) == target, targets.named(question, target)
                count(question, right, named)
                if question == "motion":
                    several = torch.tensor([len(label["things"]) > 1 for label in some], device=device)
                    count("motion of one of several", right, named & several)
    return result


@torch.no_grad()
def by_thing(judge, seen, labels, batch=32):
    """{thing: (right, asked)} of clips with one thing, and what the others were taken for: {thing: [names]}."""
    result, taken = {}, {}
    for begin in range(0, len(labels), batch):
        best = judge.things(judge.features(seen[begin:begin + batch])).argmax(1).tolist()
        for label, k in zip(labels[begin:begin + batch], best):
            if len(label["things"]) == 1:
                name, answer = label["things"][0], judge.answers["thing"][k]
                right, asked = result.get(name, (0, 0))
                result[name] = (right + (name == answer), asked + 1)
                if name != answer:
                    taken.setdefault(name, []).append(answer)
    return result, taken


def _names_of_thing(present):
    return ["thing", *(f"thing, of {tier}" for tier, names in TIERS.items() if present[0] in names)]


def save(path, judge):
    """In half precision, with the names of the answers."""
    tensors = {name: (t.half() if t.is_floating_point() else t).contiguous() for name, t in judge.state_dict().items()}
    save_file(tensors, path, {"answers": json.dumps(judge.answers), "width": str(judge.width)})


def load(path):
    with safe_open(path, "pt") as file:
        about = file.metadata()
        judge = Judge(json.loads(about["answers"]), int(about["width"]))
        judge.load_state_dict({name: file.get_tensor(name) for name in file.keys()})
    return judge.eval()


def drawn(count, seed, options):
    """`count` drawn clips: what the judge sees (N, T, 4, SIDE, SIDE), and their labels."""
    rng = random.Random(seed)
    clips = [draw(rng, options=options) for _ in range(count)]
    return torch.from_numpy(np.stack([clip[0] for clip in clips])), [clip[1] for clip in clips]


class Pool:
    """Drawn clips that are used several times; new ones take the place of old ones by chance."""

    def __init__(self, size, source, rng, device):
        self.size, self.source, self.rng, self.device, self.count = size, source, rng, device, 0
        self.seen = torch.empty(size, len(MOMENTS), 4, SIDE, SIDE, dtype=torch.uint8, device=device)
        self.bodies, self.labels = torch.empty(size, len(MOMENTS), BODIES, 3, device=device), []

    def grow(self, number, wait=False):
        for clip, (label, bodies) in zip(*self.source.take(number, wait=wait)):
            where = self.rng.randrange(self.size) if len(self.labels) == self.size else len(self.labels)
            self.labels[where:where + 1] = [label]
            self.seen[where], self.bodies[where] = clip, torch.from_numpy(bodies).to(self.device)
            self.count += 1

    def take(self, number, moving):
        """(a picture of each of `number` clips, movement of the first `moving`, labels, where bodies are in the picture).

        Every other clip is mirrored, all are weathered.
        """
        pick = [self.rng.randrange(len(self.labels)) for _ in range(number)]
        seen, labels, bodies = self.seen[pick], [self.labels[i] for i in pick], self.bodies[pick]
        seen[1::2] = seen[1::2].flip(-1)
        labels[1::2] = [in_the_mirror(label) for label in labels[1::2]]
        bodies[1::2, ..., 1] = 1 - bodies[1::2, ..., 1]
        down, right = (self.rng.randrange(-3, 4) for _ in range(2))
        seen = seen.roll((down, right), (3, 4))
        bodies[..., 1:] += torch.tensor([right, down], device=self.device) / SIDE
        rows, when = (torch.as_tensor(x, device=self.device) for x in (torch.arange(number)[:, None], torch.randint(len(MOMENTS), (number, 1))))
        return *weather_the_eye(seen[rows, when, :3].float() / 255, brightness(seen[:moving])), labels, bodies[rows, when]


class Stage:
    """The judge, its optimisers and its clock, as the checkpoint has them."""

    def __init__(self, args, team):
        self.args, self.team, self.path = args, team, training.checkpoint_directory() / "judge.pt"
        self.judge = load(args.from_model) if args.from_model else Judge(captions.answers())
        self.judge.train().to(args.device, memory_format=torch.channels_last)
        kernels = [p for name, p in self.judge.named_parameters() if name.startswith(("picture", "movement")) and p.dim() > 1]
        mine = {id(p) for p in kernels}
        self.muon = training.Muon(kernels, team=team)
        self.adam = torch.optim.AdamW([p for p in self.judge.parameters() if id(p) not in mine], args.rate, weight_decay=0.01)
        self.step, spent = 0, 0.0
        if self.path.exists():
            state = torch.load(self.path, map_location=args.device, weights_only=True)
            self.judge.load_state_dict(state["model"])
            self.adam.load_state_dict(state["adam"])
            self.muon.state = state["muon"]
            self.step, spent = state["step"], state["seconds"]
        self.clock = training.Clock(args.minutes, spent, args.until)

    def save(self):
        training.save_checkpoint(self.path, {"model": self.judge.state_dict(), "adam": self.adam.state_dict(), "muon": self.muon.state,
                                             "step": self.step, "seconds": self.clock.seconds})
        save(self.args.output, self.judge)

    def log(self, text):
        if self.team.first:
            training.log(self.path.with_suffix(".log"), text)

    def learn(self, loss, share):
        rate = training.rate(share, self.step, 50)
        for group in self.adam.param_groups:
            group["lr"] = self.args.rate * rate
        self.adam.zero_grad()
        self.muon.zero_grad()
        loss.backward()
        self.team.mean_gradients(list(self.judge.parameters()))
        self.adam.step()
        self.muon.step(self.args.muon_rate * rate)
        self.step += 1

    def check(self, held):
        """Its answers on drawn clips that it does not learn from."""
        self.judge.eval()
        result = score(self.judge, *held)
        self.judge.train()
        self.log(f"step {self.step}, on {len(held[1])} other drawn clips: " + json.dumps({q: round(r / max(n, 1), 3) for q, (r, n) in result.items()}))


def prepare(args, stage, team):
    """(the judge's look, compiled where it can be, the pool)."""
    rng = random.Random(args.seed + 1000 * team.rank + stage.step)
    shape = (len(MOMENTS), 4, SIDE, SIDE)
    pool = Pool(args.pool, drawing.source(draw, shape, args, rng.randrange(1 << 30)).to(args.device), rng, args.device)
    pool.grow(args.first, wait=True)

    def look(pictures, movement):
        with training.autocast(args.device):
            return [x.float() for x in stage.judge.look(pictures, movement)]

    def use(compiled):
        sum(x.sum() for x in compiled(*pool.take(args.batch, args.moving)[:2])).backward()
    return training.compile_in_turn(team, look, use, stage.log), pool


def train(args, team):
    torch.manual_seed(args.seed)                                       # the same weights to begin with
    stage = Stage(args, team)
    torch.manual_seed(args.seed + 1000 * team.rank + stage.step + 1)
    number = sum(p.numel() for p in stage.judge.parameters())
    stage.log(f"judge: {number / 1e6:.2f} M parameters, from step {stage.step}, {stage.clock.seconds / 60:.1f} of {args.minutes} min")
    held = drawn(args.check, 977, scene.EVERYTHING) if team.first else None
    look, pool = prepare(args, stage, team)
    targets, means = Targets(stage.judge.answers, args.device), {}
    for share in stage.clock.shares(team):
        pool.grow(args.fresh)
        pictures, movement, labels, bodies = pool.take(args.batch, args.moving)
        loss, parts = loss_of(stage.judge, look(pictures, movement), targets, labels, bodies, pool.rng)
        stage.learn(loss, share)
        for name, part in parts.items():
            means[name] = 0.98 * means.get(name, part.detach()) + 0.02 * part.detach()
        if stage.clock.every("log", 60):
            told = ", ".join(f"{name} {means[name]:.2f}" for name in ("thing", "thing there", "place", "camera", "motion"))
            stage.log(f"{stage.clock.seconds / 60:.1f} min, step {stage.step}, {pool.count} drawn, loss {sum(means.values()):.3f}: {told}")
        if team.first and stage.clock.every("save", args.save_every * 60):
            stage.save()
            stage.check(held)
    if team.first:
        stage.save()
        stage.check(held)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", help="where the judge is written (.safetensors)")
    training.add_arguments(parser, minutes=60, save_every=10, start="a judge that was written")
    parser.add_argument("--batch", type=int, help="of a worker (default: CPU 32, CUDA 512)")
    parser.add_argument("--moving", type=int, help="clips of a batch whose movement is looked at too; of each one picture is (default: CPU 12, CUDA 256)")
    parser.add_argument("--fresh", type=int, help="clips that a worker draws for each step (default: CPU 3, CUDA 256)")
    parser.add_argument("--first", type=int, default=600, help="clips drawn before the first step")
    parser.add_argument("--pool", type=int, default=8000, help="clips kept, 0.12 MB each")
    parser.add_argument("--check", type=int, default=120, help="new clips that the judge is tried on at every save")
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--muon-rate", type=float, default=0.02)
    training.launch(train, training.parse_arguments(parser, {"cpu": {"batch": 32, "moving": 12, "fresh": 3},
                                                             "cuda": {"batch": 512, "moving": 256, "fresh": 256}}))


if __name__ == "__main__":
    main()
