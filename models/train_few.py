# SPDX-License-Identifier: LGPL-2.1-or-later
"""Stage 5: teaches the transformer to make a block in few evaluations, on streams that it makes itself.

The teacher is the model of the stage before, with more steps, and guidance if it has not learned to do without. The student
streams with its own past, as it will when it is used; at one random step of each block it learns to jump to where the teacher gets
from the same noisy latents by several steps (progressive distillation, Salimans and Ho 2022, on the student's own trajectories as
in Self-Forcing, Huang 2025). No clip is drawn: only captions are needed.
"""

import argparse
import copy
import math
import random
from pathlib import Path

import torch

import export
import sampler
import tokenizer
import training
from course import SIZE_SHARES, Curriculum
from transformer import block_causal_mask
from world import scene

STEPS = 4
DEFAULTS = {"cpu": {"batch": 6}, "cuda": {"batch": 96}}


class Streams:
    """A batch of streams of the student: what each remembers, and its prompt, which now and then changes."""

    def __init__(self, args, words, encoder, sora, curriculum, rng):
        self.args, self.words, self.encoder, self.sora, self.curriculum, self.rng = args, words, encoder, sora, curriculum, rng
        self.empty = self.encode([""] * args.batch)
        self.restart()

    def encode(self, texts):
        with torch.no_grad(), training.autocast(self.args.device):
            return sampler.encode_texts(self.encoder, self.words, texts, self.sora["text_length"]).float()

    def caption(self):
        return scene.sample(self.rng, self.curriculum.options(1.0)).caption(self.rng)

    def restart(self):
        """Begins new streams, all of one size."""
        self.context = sampler.Context(self.sora)
        self.left = self.rng.randint(2, self.args.blocks)
        width, height = self.rng.choices(scene.SIZES, SIZE_SHARES)[0]
        self.area = height // 16, width // 16
        self.texts = [self.caption() for _ in range(self.args.batch)]
        self.text = self.encode(self.texts)

    def advance(self, latents):
        """Takes a finished block in (B, C, n, h, w), with the context's noise."""
        self.context.add(latents, torch.randn_like(latents))
        self.left -= 1
        if self.left <= 0:
            return self.restart()
        changed = [i for i in range(self.args.batch) if self.rng.random() < self.args.change]
        if changed:
            for i in changed:
                self.texts[i] = self.caption()
            self.text = self.encode(self.texts)
            self.context.renew()


def evaluate(model, context, x, sigma, text, sora):
    """Clean latents of the block x (B, C, n, h, w) at level sigma, after the `sampler.Context`."""
    past = context.latents
    m, n = 0 if past is None else past.shape[2], x.shape[2]
    frames = x if past is None else torch.cat([past, x], 2)
    time = torch.tensor([[*context.timesteps, *[1000.0 * sigma] * n]], device=x.device).expand(len(x), -1)
    tokens = x.shape[3] * x.shape[4] // 4
    mask = block_causal_mask(m + n, tokens, sora["block_latents"], sora["window_latents"], sora.get("context_alone", False)).to(x.device)
    with training.autocast(x.device):
        return model(frames, time, text, mask)[:, :, m:].float()


def step(x, clean, now, later):
    """Euler from level now to later, given the clean latents that the network sees."""
    return x + (later - now) * (x - clean) / max(now, 0.05)


@torch.no_grad()
def teach(teacher, streams, x, now, later, substeps, scale):
    """Where the teacher, guided if it still is, gets from x at level now to level later in `substeps` steps."""
    levels = torch.linspace(now, later, substeps + 1).tolist()
    for a, b in zip(levels, levels[1:]):
        clean = evaluate(teacher, streams.context, x, a, streams.text, streams.sora)
        if scale != 1:
            empty = evaluate(teacher, streams.context, x, a, streams.empty, streams.sora)
            clean = empty + scale * (clean - empty)
        x = step(x, clean, a, b)
    return x


def checkpoint_path():
    return training.checkpoint_directory() / "few.pt"


class Trainer:
    def __init__(self, args, team):
        self.args, self.team = args, team
        torch.manual_seed(args.seed)
        parts, sora = export.load(args.from_model)
        self.scale = sora["guidance_scale"]
        self.sora = dict(sora, steps=args.steps, guidance_scale=1.0)
        self.levels = sampler.sigmas(args.steps, sora["shift"]).tolist()
        self.encoder = parts["text_encoder"].to(args.device).eval().requires_grad_(False)
        self.teacher = parts["transformer"].to(args.device).eval().requires_grad_(False)
        self.student, self.average = copy.deepcopy(self.teacher).requires_grad_(True), copy.deepcopy(self.teacher)
        self.parts = parts
        self.adam = torch.optim.AdamW(self.student.parameters(), args.rate, betas=(0.9, 0.98), weight_decay=0.0)
        self.step, spent = 0, 0.0
        if checkpoint_path().exists():
            state = torch.load(checkpoint_path(), map_location="cpu", weights_only=True)
            self.student.load_state_dict(state["student"])
            self.average.load_state_dict(state["average"])
            self.adam.load_state_dict(state["adam"])
            self.step, spent = state["step"], state["seconds"]
        self.clock = training.Clock(args.minutes, spent, args.until)
        words = tokenizer.Tokenizer(Path(args.from_model) / "tokenizer")
        rng = random.Random(args.seed + self.step + 100000 * team.rank)
        torch.manual_seed(args.seed + self.step + 100000 * team.rank)
        self.rng = rng
        self.streams = Streams(args, words, self.encoder, self.sora, Curriculum("clip", args.wide), rng)

    def log(self, text):
        if self.team.first:
            training.log(checkpoint_path().with_suffix(".log"), text)

    def save(self):
        if not self.team.first:
            return
        training.save_checkpoint(checkpoint_path(), {
            "student": self.student.state_dict(), "average": self.average.state_dict(), "adam": self.adam.state_dict(),
            "step": self.step, "seconds": self.clock.seconds})
        if self.args.export:
            export.export(self.args.export, dict(self.parts, transformer=self.average), Path(self.args.from_model) / "tokenizer", self.sora)

    def block(self):
        """One block of every stream; the gradient comes from one of its steps. Returns the loss."""
        streams, channels = self.streams, self.student.config["in_channels"]
        x = torch.randn(self.args.batch, channels, self.sora["block_latents"], *streams.area, device=self.args.device)
        learned = self.rng.randrange(self.args.steps)
        for i, (now, later) in enumerate(zip(self.levels, self.levels[1:])):
            if i == learned:
                goal = teach(self.teacher, streams, x, now, later, self.args.substeps, self.scale)
                clean = evaluate(self.student, streams.context, x, now, streams.text, self.sora)
                target = x + (goal - x) * now / (now - later)
                loss = ((clean - target) / now).pow(2).mean()
                loss.backward()
            else:
                with torch.no_grad():
                    clean = evaluate(self.student, streams.context, x, now, streams.text, self.sora)
            x = step(x, clean.detach(), now, later)
        streams.advance(x)
        return loss.detach()

    def run(self):
        parameters = list(self.student.parameters())
        local, mean = 0, None
        self.log(f"few steps: {self.args.steps}, from step {self.step}, on {self.args.device}, {self.team.size} workers")
        for share in self.clock.shares(self.team):
            for group in self.adam.param_groups:
                group["lr"] = self.args.rate * training.rate(share, local, 20)
            self.adam.zero_grad()
            loss = self.block()
            self.team.mean_gradients(parameters)
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            self.adam.step()
            self.step, local = self.step + 1, local + 1
            keep = min(0.99, 1 - 5 / (self.step + 10))
            with torch.no_grad():
                torch._foreach_lerp_(list(self.average.parameters()), parameters, 1 - keep)
            mean = loss if mean is None else 0.97 * mean + 0.03 * loss
            if not math.isfinite(mean):
                raise SystemExit("the loss is not finite: a lower --rate")
            if self.team.first and self.clock.every("log", 60):
                self.log(f"{self.clock.seconds / 60:.1f} min, step {self.step}, loss {mean:.4f}")
            if self.team.first and self.clock.every("save", self.args.save_every * 60):
                self.save()
        self.save()
        self.log(f"end of the few-step stage: step {self.step}, loss {mean or 0:.4f}")
        self.team.barrier()


def train(args, team):
    Trainer(args, team).run()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    training.add_arguments(parser, minutes=60, save_every=5)
    parser.add_argument("--steps", type=int, default=STEPS, help="evaluations of a block that the student has")
    parser.add_argument("--substeps", type=int, default=2, help="steps of the teacher for one of the student")
    parser.add_argument("--blocks", type=int, default=20, help="length of a stream at most, in blocks")
    parser.add_argument("--change", type=float, default=0.1, help="chance that a stream's prompt changes after a block")
    parser.add_argument("--wide", type=float, default=0.5, help="of what the captions are, as for the clips")
    parser.add_argument("--batch", type=int, help="streams of a worker")
    parser.add_argument("--rate", type=float, default=2e-4)
    parser.add_argument("--export", help="write a model directory at every save")
    args = training.parse_arguments(parser, DEFAULTS)
    if not args.from_model:
        parser.error("--from-model: the model of the stage before")
    training.launch(train, args)


if __name__ == "__main__":
    main()
