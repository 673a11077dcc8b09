# SPDX-License-Identifier: LGPL-2.1-or-later
"""The judge: a small network that names what a clip shows. It learns from drawn clips only and scores generated ones."""

import argparse
import json
import random
from pathlib import Path

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

import training
from world import captions, scene

CLIP_FRAMES = 29       # eight latents
MOMENTS = range(1, CLIP_FRAMES, 4)   # looked at, each with the frame before it
SHRINK = 4             # pixels of a side that become one
SINGLE = ("place", "camera", "look", "light", "weather", "time", "relation", "interaction", "abstract")   # one answer a clip
ACTOR = {"motion": "motions", "colour": "colours", "size": "sizes", "pace": "paces", "count": "count"}    # one a thing: key in the labels


def pick_moments(frames):
    """Frames (..., CLIP_FRAMES, 3, H, W) in 0..1 to what the judge sees (..., moments, 6, H / 4, W / 4): frames and their change."""
    now = frames[..., list(MOMENTS), :, :, :]
    change = now - frames[..., [m - 1 for m in MOMENTS], :, :, :]
    both = torch.cat([now - 0.5, 4 * change], -3)
    small = F.avg_pool2d(both.flatten(0, -4), SHRINK)
    return small.view(*both.shape[:-2], *small.shape[-2:])


class Residual(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(width, width, 3, padding=1), nn.Conv2d(width, width, 3, padding=1)
        self.norm = nn.GroupNorm(8, width)

    def forward(self, x):
        return x + self.conv2(F.relu(self.conv1(F.relu(self.norm(x)))))


class Judge(nn.Module):
    """Pictures are read one by one, then along time; each thing that is asked about looks at the places where it is."""

    def __init__(self, answers, width=128):
        """answers: {question: names}, for "thing", SINGLE and ACTOR."""
        super().__init__()
        self.answers, self.width = answers, width
        few, half = width // 4, width // 2
        self.picture = nn.Sequential(nn.Conv2d(8, few, 5, stride=2, padding=2), Residual(few),
                                     nn.Conv2d(few, half, 3, stride=2, padding=1), Residual(half), Residual(half),
                                     nn.Conv2d(half, width, 3, stride=2, padding=1), Residual(width), Residual(width))
        self.time = nn.ModuleList([nn.Conv3d(width, width, (3, 1, 1), padding=(d, 0, 0), dilation=(d, 1, 1)) for d in (1, 2)])
        self.thing = nn.Conv2d(width, len(answers["thing"]), 1)
        self.key = nn.Embedding(len(answers["thing"]), width)
        self.single = nn.ModuleDict({q: nn.Linear(2 * width, len(answers[q])) for q in SINGLE})
        self.actor = nn.ModuleDict({q: nn.Linear(2 * width, len(answers[q])) for q in ACTOR})
        nn.init.constant_(self.thing.bias, -4.0)

    def features(self, seen):
        """What pick_moments gives, (B, T, 6, h, w), to (B, T, width, h / 8, w / 8)."""
        b, t, _, h, w = seen.shape
        place = torch.stack(torch.meshgrid(torch.linspace(-1, 1, h), torch.linspace(-1, 1, w), indexing="ij"))
        x = torch.cat([seen, place.to(seen).expand(b, t, 2, h, w)], 2)
        x = self.picture(x.flatten(0, 1)).unflatten(0, (b, t)).transpose(1, 2)
        for conv in self.time:
            x = x + conv(F.relu(x))
        return x.transpose(1, 2)

    def things(self, features):
        """Logits (B, things) of being there: at the best place, on average over time."""
        b, t = features.shape[:2]
        return self.thing(F.relu(features.flatten(0, 1))).amax((2, 3)).view(b, t, -1).mean(1)

    def whole(self, features):
        """Logits of the questions about the clip."""
        x = F.relu(features)
        pooled = torch.cat([x.mean((1, 3, 4)), x.amax((3, 4)).mean(1)], 1)
        return {q: head(pooled) for q, head in self.single.items()}

    def asked(self, features, thing):
        """Logits of the questions about the thing (B,) asked for: attention over places and times."""
        x = F.relu(features).permute(0, 1, 3, 4, 2).flatten(1, 3)
        score = torch.einsum("bnc,bc->bn", x, self.key(thing)) * x.shape[-1] ** -0.5
        found = torch.einsum("bn,bnc->bc", score.softmax(1), x)
        pooled = torch.cat([found, x.mean(1)], 1)
        return {q: head(pooled) for q, head in self.actor.items()}


def draw(rng, options):
    """(what the judge sees of a drawn clip, labels)."""
    s = scene.sample(rng, options)
    frames = np.zeros((CLIP_FRAMES, *s.frame(0.0).shape), np.uint8)
    for m in MOMENTS:
        frames[m - 1], frames[m] = (s.frame(k / scene.FRAME_RATE) for k in (m - 1, m))
    tensor = torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255
    return pick_moments(tensor), s.labels()


def weather_the_eye(seen, generator=None):
    """Small shifts and blurs, so that the judge does not lean on what only drawings have: seen (B, T, 6, h, w)."""
    b, t, c, h, w = seen.shape
    dy, dx = (int(v) for v in torch.randint(-2, 3, (2,), generator=generator))
    out = torch.roll(seen, (dy, dx), (3, 4)).flatten(1, 2)
    blurred = F.avg_pool2d(out, 3, 1, 1, count_include_pad=False)
    share = torch.rand(b, 1, 1, 1, generator=generator)
    noise = 0.03 * torch.rand(b, 1, 1, 1, generator=generator) * torch.randn(out.shape, generator=generator)
    return (out + share * (blurred - out) + noise).view(b, t, c, h, w)


class Targets:
    """Labels as numbers."""

    def __init__(self, answers):
        self.index = {q: {name: i for i, name in enumerate(names)} for q, names in answers.items()}

    def things(self, labels):
        hot = torch.zeros(len(labels), len(self.index["thing"]))
        for row, label in zip(hot, labels):
            for name in label["things"]:
                row[self.index["thing"][name]] = 1
        return hot

    def single(self, labels, question):
        return torch.tensor([self.index[question][label[question]] for label in labels])

    def actor(self, labels, picks, question):
        return torch.tensor([self.index[question][str(label[ACTOR[question]][k])] for label, k in zip(labels, picks)])

    def named(self, question, target):
        return target != self.index[question].get("", -1)


def loss_of(judge, targets, seen, labels, rng):
    with training.autocast(seen.device):
        features = judge.features(seen)
    features = features.float()
    loss = F.binary_cross_entropy_with_logits(judge.things(features), targets.things(labels), reduction="sum") / len(labels)
    for question, logits in judge.whole(features).items():
        loss = loss + F.cross_entropy(logits, targets.single(labels, question))
    with_actor = [i for i, label in enumerate(labels) if label["things"]]
    if with_actor:
        some = [labels[i] for i in with_actor]
        picks = [rng.randrange(len(label["things"])) for label in some]
        asked = torch.tensor([targets.index["thing"][label["things"][k]] for label, k in zip(some, picks)])
        for question, logits in judge.asked(features[with_actor], asked).items():
            loss = loss + F.cross_entropy(logits, targets.actor(some, picks, question))
    return loss


@torch.no_grad()
def score(judge, seen, labels, batch=32):
    """Right answers and how many were asked for: {question: (right, asked)}.

    "thing" is of clips with one thing, "all of several things" of the others: the named ones have to be the likeliest.
    What a caption does not name (an answer of "") is not asked for.
    """
    targets, result = Targets(judge.answers), {}

    def count(question, right, valid):
        r, n = result.get(question, (0, 0))
        result[question] = (r + int((right & valid).sum()), n + int(valid.sum()))
    for begin in range(0, len(labels), batch):
        part, features = labels[begin:begin + batch], judge.features(seen[begin:begin + batch])
        hot, logits = targets.things(part), judge.things(features)
        for row, truth in zip(logits, hot):
            number = int(truth.sum())
            if number:
                best = row.topk(number).indices
                name = "thing" if number == 1 else "all of several things"
                count(name, truth[best].all()[None], torch.ones(1, dtype=torch.bool))
        for question, answer in judge.whole(features).items():
            target = targets.single(part, question)
            count(question, answer.argmax(1) == target, targets.named(question, target))
        for k in range(max(len(label["things"]) for label in part)):
            mine = [i for i, label in enumerate(part) if len(label["things"]) > k]
            some = [part[i] for i in mine]
            asked = torch.tensor([targets.index["thing"][label["things"][k]] for label in some])
            for question, answer in judge.asked(features[mine], asked).items():
                target = targets.actor(some, [k] * len(some), question)
                right, named = answer.argmax(1) == target, targets.named(question, target)
                count(question, right, named)
                if question == "motion":
                    several = torch.tensor([len(label["things"]) > 1 for label in some])
                    count("motion of one of several", right, named & several)
    return result


def save(path, judge):
    torch.save({"answers": judge.answers, "width": judge.width, "model": judge.state_dict()}, path)


def load(path):
    state = torch.load(path, map_location="cpu", weights_only=True)
    judge = Judge(state["answers"], state["width"])
    judge.load_state_dict(state["model"])
    return judge.eval()


def drawn(count, seed, options):
    """`count` drawn clips: what the judge sees (N, T, 6, h, w), in half precision, and their labels."""
    rng, seen, labels = random.Random(seed), [], []
    for _ in range(count):
        clip, label = draw(rng, options)
        seen.append(clip.half())
        labels.append(label)
    return torch.stack(seen), labels


def train(args):
    """A pool of drawn clips grows, and is then renewed, while the judge learns from it."""
    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    rng, options = random.Random(args.seed), scene.EVERYTHING
    judge = Judge(captions.answers())
    targets = Targets(judge.answers)
    adam = torch.optim.AdamW(judge.parameters(), args.rate, weight_decay=0.02)
    seen, labels = drawn(4 * args.batch, args.seed + 1, options)
    seen, clock, step, mean, count = list(seen), training.Clock(args.minutes), 0, None, len(labels)
    path = Path(args.output)
    for share in clock.shares(training.Team()):
        for group in adam.param_groups:
            group["lr"] = args.rate * training.rate(share, step, 100)
        for _ in range(args.fresh):
            clip, label = draw(rng, options)
            count += 1
            if len(seen) < args.pool:
                seen.append(clip.half())
                labels.append(label)
            else:
                where = rng.randrange(args.pool)
                seen[where], labels[where] = clip.half(), label
        pick = [rng.randrange(len(labels)) for _ in range(args.batch)]
        loss = loss_of(judge, targets, weather_the_eye(torch.stack([seen[i] for i in pick]).float()), [labels[i] for i in pick], rng)
        adam.zero_grad()
        loss.backward()
        adam.step()
        step, mean = step + 1, loss.item() if mean is None else 0.98 * mean + 0.02 * loss.item()
        if clock.every("log", 30):
            training.log(path.with_suffix(".log"), f"{clock.seconds / 60:.1f} min, step {step}, loss {mean:.3f}, {count} clips drawn")
    save(path, judge.eval())
    check = drawn(args.check, 977, options)
    result = score(judge, check[0].float(), check[1])
    training.log(path.with_suffix(".log"), "on new drawn clips: " + json.dumps({q: round(r / max(n, 1), 3) for q, (r, n) in result.items()}))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", help="where the judge is written")
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--fresh", type=int, default=8, help="clips drawn for each step")
    parser.add_argument("--pool", type=int, default=8000, help="clips kept, 0.35 MB each")
    parser.add_argument("--check", type=int, default=500, help="new clips that the judge is tried on at the end")
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    train(parser.parse_args())


if __name__ == "__main__":
    main()
