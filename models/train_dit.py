# SPDX-License-Identifier: LGPL-2.1-or-later
"""Trains the text encoder and the transformer together: on single latents, on causal clips, and last to do without guidance."""

import argparse
import copy
import math
import random
import shutil
from functools import partial
from pathlib import Path

import torch

import export
import teach_text
import tokenizer
import train_vae
import training
from course import BLOCK, TEXT_ROWS, Course
from text_encoder import UMT5Encoder
from transformer import WanTransformer, block_causal_mask, rope_table

ALL_ROWS = 64
TOKENS = 60            # of a latent frame: all that the smallest size has, so that batches of all sizes are alike for the compiler
HISTORY_NOISE = 0.12   # of history, at most; the sampler's context noise is below it
WEAR_GAIN = 0.6        # of history, at most: by what its fine detail is too strong in a channel
WEAR_NOISE = 0.3       # and the deviation of what is added, of that of the fine detail
GIVEN_SHARE = 0.2      # of the clips that begin a stream have their first latent given, as by a picture
ACTOR_PULL = 0.7       # how far tokens under an actor are ahead in the draw of those that are kept
ACTOR_WEIGHT = 2.0     # places are learned with a twentieth of the samples that things need
FOLDED = {"guidance_scale": 1.0, "steps": 4, "shift": 4.5, "coring_threshold": 0.13}    # of sora.json: fewer steps want more noise and jitter more
CHANGE_NOISE = 0.8     # of sora.json: near the second of four levels; composition and colours go on through it, things need not
DEFAULTS = {"cpu": {"batch": 48, "fresh": 6, "fill": 240, "pool": 15000},
            "cuda": {"batch": 768, "fresh": 96, "fill": 1024, "pool": 200000}}


class Model(torch.nn.Module):
    """Both networks; the loss is taken on the velocity, the network predicts the clean latents."""

    def __init__(self, text_encoder, transformer):
        super().__init__()
        self.text_encoder, self.transformer = text_encoder, transformer
        # Padding rows are all zero and so all alike: one row stands for them, log(their number) in its scores.
        bias = torch.zeros(TEXT_ROWS + 1)
        bias[-1] = math.log(ALL_ROWS - TEXT_ROWS)
        self.register_buffer("bias", bias, persistent=False)

    def forward(self, patches, sigma, ids, mask, rope):
        """Clean patches (B, T, tokens, 4 * C) from noisy ones (B, T, tokens, C * 4), whose positions `rope` knows; ids (B, n), or (1, n) for all."""
        text = torch.nn.functional.pad(self.text_encoder(ids), (0, 0, 0, 1)).expand(len(patches), -1, -1)
        return self.transformer.evaluate(patches, 1000 * sigma, text, rope, mask, self.bias)


def shifted(u, shift=3.0):
    return shift * u / (1 + (shift - 1) * u)


def noise_levels(length, started, changed, sink=0):
    """Sigma (B, length) and which latents count in the loss, of clips that begin a stream or whose prompt has changed (B), or neither; the first
    `sink` latents are a sink.

    Each block has a level of its own. Half of those that have a later block are history at a small level, as
    the sampler's cache holds them; the first block of a clip from mid-stream always is, and its sink. Some clips that begin a stream have their
    first latent given in the same way: that is how a picture begins one. History from before a change of the prompt is noisier, as in the sampler.
    """
    size, blocks, device = len(started), max(1, length // BLOCK), started.device
    sigma = shifted(torch.sigmoid(torch.randn(size, blocks, device=device)))
    history = torch.rand(size, blocks, device=device) < 0.5
    history[:, -1] = False
    if blocks > 1:
        history[:, :1 + sink // BLOCK] |= ~started[:, None]
    past = HISTORY_NOISE * torch.rand(size, blocks, device=device)
    sigma = torch.where(history, torch.where(changed[:, None], CHANGE_NOISE, past), sigma)
    sigma, history = (x.repeat_interleave(length // blocks, 1) for x in (sigma, history))
    if blocks > 1:
        given = started & (torch.rand(size, device=device) < GIVEN_SHARE)
        sigma[:, 0] = torch.where(given, 0.12 * torch.rand(size, device=device), sigma[:, 0])
        history[:, 0] |= given
    return sigma, (~history).float()


def windows_of(rows, columns, count):
    """The tokens (N, count) of every window of 4 rows or 4 columns that has `count` of them."""
    grid, out = torch.arange(rows * columns).view(rows, columns), []
    for high, wide in {(4, count // 4), (count // 4, 4)}:
        if high * wide == count and high <= rows and wide <= columns:
            out.append(grid.unfold(0, high, 1).unfold(1, wide, 1).flatten(0, 1).flatten(1))
    return torch.cat(out) if out else None


def pick_tokens(coverage, count):
    """Which `count` tokens of a frame to learn from (B, count): a draw in which those under an actor are ahead.

    A network that sees half of the tokens learns about as much from a sample for half of the work (MaskDiT, Zheng 2023);
    places are learned long before things, so it is the actors' half that is kept. Of clips it is a window that is kept: what
    moves comes from the neighbours, which have to be there. coverage (B, T, 2 rows, 2 columns).
    """
    covered = torch.nn.functional.max_pool2d(coverage.amax(1, keepdim=True), 2)
    windows = windows_of(*covered.shape[2:], count) if coverage.shape[1] > 1 else None
    covered = covered.flatten(1)
    if windows is None:
        return (torch.rand_like(covered) + ACTOR_PULL * covered).topk(count, 1).indices
    windows = windows.to(covered.device)
    share = covered[:, windows].mean(2)
    order = torch.rand_like(share) + ACTOR_PULL * share / share.amax(1, keepdim=True).clamp(min=1e-6)
    return windows[order.argmax(1)]


def take(patches, kept):
    """The kept tokens of patches (B, T, tokens, n)."""
    return patches.gather(2, kept[:, None, :, None].expand(-1, patches.shape[1], -1, patches.shape[3]))


def rope_of(kept, frames, rows, columns, head_dim):
    """Rotations (B, 1, frames * kept, head_dim / 2), cosine and sine, of the kept tokens."""
    table = rope_table(frames, rows, columns, head_dim, kept.device)
    return [t.view(frames, rows * columns, -1)[:, kept].transpose(0, 1).flatten(1, 2).unsqueeze(1) for t in table]


def worn(latents):
    """Latents (B, C, T, h, w) as those of a long stream are: fine detail too strong, and some that is not in the scene, alike at all times.

    What a network adds to its past adds up from block to block: by a hundredth a block, in which 20 seconds made outlines half as hard again
    (exposure bias; that a past with faults as input, and without as target, pulls streams back: Li 2025, Stable Video Infinity). The timestep does
    not tell the network of this, as nothing tells it in a stream.
    """
    fine = latents - torch.nn.functional.avg_pool3d(latents, (1, 3, 3), 1, (0, 1, 1), count_include_pad=False)
    size, channels, _, *area = latents.shape
    strength = torch.rand(size, 1, 1, 1, 1, device=latents.device)
    gain = WEAR_GAIN * strength * torch.rand(size, channels, 1, 1, 1, device=latents.device)
    deviation = WEAR_NOISE * strength * fine.pow(2).mean((1, 2, 3, 4), keepdim=True).sqrt()
    return latents + gain * fine + deviation * torch.randn(size, channels, 1, *area, device=latents.device)


def with_worn_past(latents, counted, share, sink=0):
    """Latents (B, C, T, h, w), of a share of the clips the blocks worn that are history, with `counted` (B, T) zero; no block that is learned is changed,
    nor is the sink, which no stream wears."""
    past = (counted.unflatten(1, (-1, BLOCK)).sum(2) == 0).repeat_interleave(BLOCK, 1)
    past[:, :sink] = False
    past &= torch.rand(len(latents), 1, device=latents.device) < share
    return torch.where(past[:, None, :, None, None], worn(latents), latents)


def empty_like(ids):
    """The ids of an empty text, as many."""
    empty = torch.zeros_like(ids)
    empty[:, 0] = tokenizer.EOS
    return empty


@torch.no_grad()
def guided(model, scale, clean, target, noisy, sigma, ids, mask, rope):
    """What a model that folds a guidance of `scale` in is to see in noisy patches (B, T, tokens, 4, C), where it sees `clean` now: the drawn ones,
    `target`, and beyond them a share of what the text changes in its own sight, so that it rests where that is `scale` times what it is without guidance.

    Model guidance (Tang 2025, Diffusion Models without Classifier-free Guidance). What another model makes with guidance would hand that model's faults on, as many times.
    """
    empty = model(noisy, sigma, empty_like(ids[:1]), mask, rope).float().unflatten(-1, (4, -1))
    return target + (1 - 1 / scale) * (clean - empty)


def loss_of(model, latents, ids, coverage, started, changed, mask, count=TOKENS, wear=0.0, guidance=1.0, sink=0):
    """Mean square error of the velocity over the latents that are not history, actors weighing more.

    `model` is a `Model`; only `count` tokens of each frame are computed;
    wear: share of the clips whose history is worn; guidance: the scale that is folded in.
    """
    sigma, counted = noise_levels(latents.shape[2], started, changed, sink)
    ids = torch.where(torch.rand(len(ids), 1, device=ids.device) < 0.1, empty_like(ids), ids)
    kept, transformer = pick_tokens(coverage, count), model.transformer
    split = transformer.patches
    rope = rope_of(kept, latents.shape[2], coverage.shape[2] // 2, coverage.shape[3] // 2, transformer.config["attention_head_dim"])
    target = take(split(latents), kept)
    given = target if latents.shape[2] <= BLOCK else take(split(with_worn_past(latents, counted, wear, sink)), kept)
    s = sigma[:, :, None, None]
    noisy = (1 - s) * given + s * torch.randn_like(target)
    # A patch goes in as channels of 2x2 cells and comes out as 2x2 cells of channels.
    target = target.unflatten(-1, (-1, 4)).transpose(-1, -2)
    with training.autocast(ids.device):
        clean = model(noisy, sigma, ids, mask, rope).float().unflatten(-1, (4, -1))
        if guidance != 1:
            target = guided(model, guidance, clean, target, noisy, sigma, ids, mask, rope)
    difference = clean - target
    error = (difference / s.clamp(min=0.05).unsqueeze(-1)).pow(2).mean(-1)
    weight = (1 + ACTOR_WEIGHT * take(split(coverage[:, None]), kept)) * counted[:, :, None, None]
    return (error * weight).sum() / weight.sum()


def split_parameters(model):
    """(name, parameter) of the blocks' matrices, for Muon, and of everything else, for AdamW."""
    matrices, others = [], []
    for name, p in model.named_parameters():
        block = ".blocks." in name or ".block." in name
        muon = block and p.ndim == 2 and "relative_attention_bias" not in name
        (matrices if muon else others).append((name, p))
    return matrices, others


def make_optimisers(model, args, team):
    """A text encoder that has been taught learns at a rate of its own."""
    def scale(name):
        return args.text_rate if name.startswith("text_encoder.") else 1.0
    matrices, others = split_parameters(model)
    groups = [{"params": [p for name, p in others if scale(name) == s], "scale": s} for s in sorted({scale(name) for name, _ in others})]
    muon = training.Muon([p for _, p in matrices], team=team, scales=[scale(name) for name, _ in matrices])
    return muon, torch.optim.AdamW(groups, args.rate, betas=(0.9, 0.98), weight_decay=0.01, fused=True)


def checkpoint_path(stage="clip"):
    """That of the last stage is a file of its own: the ones before can go on without it."""
    return training.checkpoint_directory() / ("fold.pt" if stage == "fold" else "dit.pt")


def newest_vae(from_model=None):
    """The autoencoder of the newest checkpoint, else that of the model directory."""
    for name in ("vae-decoder.pt", "vae.pt"):
        path = training.checkpoint_directory() / name
        if path.exists():
            return train_vae.load(path)[0]
    if not from_model:
        raise SystemExit("no autoencoder: train_vae.py first, or --from-model")
    return export.load(from_model)[0]["vae"]


def new_model(weights=None):
    """Untrained, or with the weights of a checkpoint and as many layers as they have."""
    if not weights:
        return Model(UMT5Encoder().initialise(), WanTransformer().initialise())
    layers = len({name.split(".")[2] for name in weights if name.startswith("transformer.blocks.")})
    model = Model(UMT5Encoder(), WanTransformer({"num_layers": layers}))
    model.load_state_dict(weights)
    return model


def prepare_words(args):
    """The tokenizer: of the model that training starts from, or a new one."""
    words = training.checkpoint_directory() / "tokenizer"
    if args.taught and not teach_text.checkpoint_path().exists():
        raise SystemExit("no text encoder has been taught: teach_text.py first, or without --taught")
    if args.from_model and not args.taught and not checkpoint_path(args.stage).exists():
        shutil.copytree(Path(args.from_model) / "tokenizer", words, dirs_exist_ok=True)
    elif not (words / "spiece.model").exists():
        tokenizer.train(words)
    if not teach_text.kin_path().exists():
        teach_text.write_kin()


def begin(args):
    """(model, average, vae, tokenizer directory, checkpoint or None)."""
    words = training.checkpoint_directory() / "tokenizer"
    path = checkpoint_path(args.stage)
    if args.from_model and not path.exists():
        parts, sora = export.load(args.from_model)
        if args.stage != "fold" and sora.get("guidance_scale") == 1:
            raise SystemExit(f"{args.from_model} does without guidance, which drawn clips alone would undo: start from the model with guidance, or "
                             "go on with --stage fold")
        if args.taught:
            parts["text_encoder"] = teach_text.load()
        if args.layers and args.layers >= parts["transformer"].config["num_layers"]:
            parts["transformer"] = parts["transformer"].grown(args.layers)
        model = Model(parts["text_encoder"], parts["transformer"])
        return model, copy.deepcopy(model), newest_vae(args.from_model), words, None
    if path.exists():
        state = torch.load(path, map_location="cpu", weights_only=True)
        return new_model(state["model"]), new_model(state["average"]), newest_vae(args.from_model), words, state
    model = new_model()
    if args.taught:
        model.text_encoder.load_state_dict(teach_text.load().state_dict())
    return model, copy.deepcopy(model), newest_vae(args.from_model), words, None


def export_average(directory, average, vae, words, sora=None):
    export.export(directory, {"vae": vae, "text_encoder": average.text_encoder, "transformer": average.transformer}, words, sora)


def of_sora(state):
    """What a checkpoint says of sora.json. Where a clip is two blocks, no past that was learned from had a past of its own."""
    fields = {"window_latents": state["window"], "sink_latents": 0, "context_alone": False, "change_noise": 0.0}
    if state["window"] == 2 * BLOCK:
        fields = {"window_latents": state["window"] + BLOCK, "sink_latents": BLOCK, "context_alone": True, "change_noise": CHANGE_NOISE}
    return dict(fields, **FOLDED) if state.get("folded") else fields


def go_beyond(module, before, reach):
    """Moves the weights of a module on, from those of `before` past where they are, to `reach` times the way."""
    old = dict(before.named_parameters())
    with torch.no_grad():
        for name, p in module.named_parameters():
            p.copy_(torch.lerp(old[name].float(), p.float(), reach))


def export_checkpoint(directory, checkpoint=None, base=None, reach=1.0):
    """Exports the average weights of a checkpoint with the newest autoencoder; what has no checkpoint comes from `base`.

    With `reach` over 1 the weights go beyond the checkpoint's, that much of the way from `base` to it: further where training was going and had not come.
    """
    parts, sora = export.load(base) if base else ({}, {})
    words = training.checkpoint_directory() / "tokenizer"
    path = Path(checkpoint or checkpoint_path())
    if not path.exists() and (checkpoint or reach != 1):
        raise SystemExit(f"{path}: no such checkpoint")
    if path.exists() or not base:
        state = torch.load(path, map_location="cpu", weights_only=True)
        average = new_model(state["average"])
        if reach != 1:
            parts["transformer"] = parts["transformer"].grown(average.transformer.config["num_layers"])
            for name in ("text_encoder", "transformer"):
                go_beyond(getattr(average, name), parts[name], reach)
        parts.update(text_encoder=average.text_encoder, transformer=average.transformer)
        sora.update(of_sora(state))
    else:
        words = Path(base) / "tokenizer"
    parts["vae"] = newest_vae(base)
    export.export(directory, parts, words, sora)


class Trainer:
    def __init__(self, args, team):
        self.args, self.team = args, team
        self.path = checkpoint_path(args.stage)
        torch.manual_seed(args.seed)
        if team.first:
            prepare_words(args)
        team.barrier()
        self.model, self.average, self.vae, self.words, state = begin(args)
        layers = self.model.transformer.config["num_layers"]
        if args.layers and args.layers != layers:
            raise SystemExit(f"{self.path if state else args.from_model} has {layers} layers: --layers only adds some, and only where a stage begins")
        self.step = state["step"] if state else 0
        self.prepare_drawing()
        self.model, self.average = self.model.to(args.device), self.average.to(args.device)
        self.parameters = list(self.model.parameters())
        self.guidance = args.guidance if args.stage == "fold" else 1.0
        self.muon, self.adam = make_optimisers(self.model, args, team)
        self.seconds, self.samples = {}, {"image": 0, "clip": 0, "sink": 0}
        if state:
            self.adam.load_state_dict(state["adam"])
            for mine, saved in zip(self.muon.state, state["muon"]):
                mine.copy_(saved)
            self.seconds = state["seconds"]
            self.samples.update(state["samples"])
        self.clock = training.Clock(args.minutes, self.seconds.get(args.stage, 0.0), args.until)
        self.share = self.clock.share
        self.log(f"{args.stage}: {sum(p.numel() for p in self.parameters) / 1e6:.2f} M parameters, from step {self.step}, "
                 f"{self.clock.seconds / 60:.1f} of {args.minutes} min, on {args.device}, {team.size} workers")

    def prepare_drawing(self):
        """Before the device is used: the drawing processes are forks."""
        args, words = self.args, tokenizer.Tokenizer(self.words)
        self.seed = args.seed + self.step + 100000 * self.team.rank
        stage = "image" if args.stage == "image" else "clip"
        singles, sinks = args.singles, args.sinks * (1 - args.singles)
        shares = {"image": 1.0} if stage == "image" else {"clip": 1 - singles - sinks, "image": singles, "sink": sinks}
        self.courses = [Course(args, name, words, self.seed + 51 * k, share) for k, (name, share) in enumerate(shares.items()) if share > 0]

    def log(self, text):
        if self.team.first:
            training.log(self.path.with_suffix(".log"), text)

    def save(self):
        if not self.team.first:
            return
        self.seconds[self.args.stage] = self.clock.seconds
        state = {
            "model": self.model.state_dict(), "average": self.average.state_dict(), "adam": self.adam.state_dict(),
            "muon": self.muon.state, "seconds": self.seconds, "step": self.step, "samples": self.samples,
            "window": self.args.latents, "folded": self.args.stage == "fold"}
        training.save_checkpoint(self.path, state)
        if self.args.export:
            export_average(self.args.export, self.average, self.vae, self.words, of_sora(state))

    def update(self, local_step):
        """One optimiser step from the gradients; the average follows."""
        floor, decay = (0.2, 0.3) if self.args.stage == "image" else (0.02, 0.8)
        rate = training.rate(self.share, local_step, 30, decay, floor)
        for group in self.adam.param_groups:
            group["lr"] = self.args.rate * rate * group["scale"]
        self.team.mean_gradients(self.parameters)
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.adam.step()
        self.muon.step(self.args.muon_rate * rate)
        self.step += 1
        keep = min(0.9985, 1 - 5 / (self.step + 10))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.parameters()), self.parameters, 1 - keep)

    def gradients(self, course):
        loss = loss_of(self.model, *course.batch(), course.mask, self.count, self.args.wear, self.guidance, course.sink)
        self.adam.zero_grad()
        self.muon.zero_grad()
        loss.backward()
        return loss.detach()

    def compile(self, count):
        """The networks' blocks for `count` tokens of each latent frame, once for each course."""
        blocks = [*self.model.transformer.blocks, *self.model.text_encoder.encoder.block]
        self.count = count
        for course in self.courses:
            frames = course.length
            mask = block_causal_mask(frames, count, BLOCK, frames, alone=course.sink > 0)
            course.mask = None if frames == 1 else mask.to(self.args.device)
            training.compile_blocks(self.team, blocks, partial(self.gradients, course), self.log)

    def check(self):
        if not all(course.loss is None or math.isfinite(course.loss) for course in self.courses):
            raise SystemExit("the loss is not finite; the last checkpoint stays as it is")

    def drawn(self):
        return sum(course.drawn() for course in self.courses)

    def run(self):
        args, clock = self.args, self.clock
        torch.manual_seed(self.seed)
        random.seed(self.seed)
        for course in self.courses:
            course.fill(self.vae, self.share)
        self.log(f"pools filled with {self.drawn()} a worker at {clock.seconds / 60:.1f} min")
        self.compile(args.tokens)
        choice = random.Random(args.seed + self.step)     # the same for all workers, so that none waits for another's longer step
        local_step, drawing, began, done = 0, 0.0, clock.seconds, 0
        for self.share in clock.shares(self.team):
            if self.count < TOKENS and self.share >= args.whole_from:
                self.compile(TOKENS)
            before = clock.seconds
            course = choice.choices(self.courses, [c.chance for c in self.courses])[0]
            course.draw(self.share)
            drawing += clock.seconds - before
            course.note(self.gradients(course))
            self.update(local_step)
            local_step += 1
            done += course.size * self.team.size
            self.samples[course.stage] += course.size * self.team.size
            if self.team.first and clock.every("log", 60):
                self.check()
                spent = clock.seconds - began
                self.log(f"{clock.seconds / 60:.1f} min, step {self.step}, {self.losses()}, {self.drawn() * self.team.size} drawn, "
                         f"{done / spent:.1f} samples/s, drawing {drawing / spent:.2f}")
            if self.team.first and clock.every("save", args.save_every * 60):
                self.check()
                self.save()
        self.check()
        self.save()
        self.log(f"end of {args.stage}: step {self.step}, {self.losses()}")
        self.team.barrier()

    def losses(self):
        return ", ".join(f"{course.stage} loss {course.loss or 0:.4f}, {self.samples[course.stage]} samples of {course.length}" for course in self.courses)


def train(args, team):
    Trainer(args, team).run()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stage", choices=("image", "clip", "fold"), default="image")
    training.add_arguments(parser, minutes=50, save_every=5)
    parser.add_argument("--latents", type=int, default=2 * BLOCK,
                        help="of a clip, which is also the window of the exported model; of two blocks, the sink comes on top of it")
    parser.add_argument("--sinks", type=float, help="share of the clips that learn behind a sink, the beginning of their stream (default: 0.4 if a clip is two blocks)")
    parser.add_argument("--singles", type=float, default=0.4, help="share of the clip stage's steps that learn from single latents")
    parser.add_argument("--wear", type=float, default=0.5, help="share of the clips whose history is worn, as the past of a long stream is")
    parser.add_argument("--guidance", type=float, default=3.0, help="the scale that the fold stage folds in")
    parser.add_argument("--layers", type=int, help="of the transformer, more than --from-model's has: the new ones change nothing at first")
    parser.add_argument("--taught", action="store_true", help="begin with the text encoder, and its tokenizer, that teach_text.py left")
    parser.add_argument("--text-rate", type=float, help="of the text encoder's learning rate, as a share (default: 0.1 if taught, else 1)")
    parser.add_argument("--wide", type=float, default=0.35, help="0: only single starters, 1: the whole world")
    parser.add_argument("--tokens", type=int, default=32, help="of a latent frame that are computed, at first")
    parser.add_argument("--whole-from", type=float, default=0.7, help="share of the stage after which all are")
    parser.add_argument("--batch", type=int, help="of a worker, in single latents; fewer clips")
    parser.add_argument("--fresh", type=int, help="scenes a worker draws for each step, at most; fewer clips")
    parser.add_argument("--fill", type=int, help="scenes a worker draws before the first step")
    parser.add_argument("--pool", type=int, help="latents or clips a worker keeps")
    parser.add_argument("--rate", type=float, default=1e-3, help="AdamW's")
    parser.add_argument("--muon-rate", type=float, default=0.02)
    parser.add_argument("--export", help="write a model directory at every save")
    args = training.parse_arguments(parser, DEFAULTS)
    if args.stage == "fold" and not args.from_model:
        parser.error("--from-model: the model of the stage before, or one that has guidance folded in")
    if args.layers and not args.from_model:
        parser.error("--layers grows what --from-model names")
    if args.sinks is None:
        args.sinks = 0.4 if args.latents == 2 * BLOCK else 0.0
    if args.sinks and args.latents != 2 * BLOCK:
        parser.error(f"--sinks needs clips of two blocks (--latents {2 * BLOCK}), whose past is seen alone")
    if args.text_rate is None:
        args.text_rate = 0.1 if args.taught else 1.0
    training.launch(train, args)


if __name__ == "__main__":
    main()
