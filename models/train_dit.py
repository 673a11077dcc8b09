# SPDX-License-Identifier: LGPL-2.1-or-later
"""Trains the text encoder and the transformer together: first on single latents, then on causal clips."""

import argparse
import math
import shutil
from pathlib import Path

import numpy as np
import torch

import drawing
import export
import tokenizer
import train_vae
import training
from text_encoder import UMT5Encoder
from transformer import WanTransformer, block_causal_mask, rope_table
from world import scene

BLOCK, TEXT_ROWS, ALL_ROWS = 2, 28, 64
SIDE = 8               # tokens along a side of a latent frame
TOKENS = SIDE * SIDE
GIVEN_SHARE = 0.2      # of the clips that begin a stream have their first latent given, as by a picture
ACTOR_PULL = 0.7       # how far tokens under an actor are ahead in the draw of those that are kept
ACTOR_WEIGHT = 2.0     # places are learned with a twentieth of the samples that things need
WARM_UP = 8            # frames drawn before a clip from mid-stream, for the encoder's memory
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

    def forward(self, patches, sigma, ids, mask, kept=None):
        """Clean patches (B, T, tokens, 4 * C) from noisy ones (B, T, tokens, C * 4); kept (B, tokens) says which of a frame they are, None: all."""
        text = torch.nn.functional.pad(self.text_encoder(ids), (0, 0, 0, 1))
        rope = rope_table(patches.shape[1], SIDE, SIDE, self.transformer.config["attention_head_dim"], patches.device)
        if kept is not None:
            rope = [t.view(-1, TOKENS, t.shape[-1])[:, kept].transpose(0, 1).flatten(1, 2).unsqueeze(1) for t in rope]
        return self.transformer.evaluate(patches, 1000 * sigma, text, rope, mask, self.bias)


class Curriculum:
    """What is drawn: large single starters first, the rest of the world as training goes on."""

    def __init__(self, stage, wide):
        self.stage, self.wide = stage, wide
        scene.load_words()  # before the drawing processes are forked

    def options(self, share):
        """`share` of the stage is over; `wide` is where its end stands between the starters (0) and everything (1)."""
        w = self.wide * (share if self.stage == "image" else 1.0)
        clip = self.stage == "clip"
        return scene.between(w, camera=0.4 * w if clip else 0.0, still_poses=() if clip or share > 0.4 else ("spins",))


def draw_image(rng, options):
    """(one frame, caption, coverage, True): the first frame of a stream (or another moment)."""
    s = scene.sample(rng, options)
    seconds = 0.0 if rng.random() < 0.7 else rng.uniform(0, 6)
    return s.frame(seconds)[None], s.caption(rng), s.coverage(seconds)[None], True


def draw_clip(rng, options, latents):
    """(frames, caption, coverage, from the start?): WARM_UP frames more than needed in both cases, so that all are as long."""
    s = scene.sample(rng, options)
    started = rng.random() < 0.5
    first = 0.0 if started else rng.uniform(0.5, 15) + WARM_UP / scene.FRAME_RATE
    middle = [first + (4 * k + (-2 if started else 1)) / scene.FRAME_RATE for k in range(latents)]
    coverage = np.stack([s.coverage(max(0.0, t)) for t in middle])
    if started:
        clip = s.frames(1 + 4 * (latents - 1))
        clip = np.concatenate([np.repeat(clip[:1], 3, 0), clip, np.zeros((WARM_UP, *clip.shape[1:]), np.uint8)])
    else:
        clip = s.frames(WARM_UP + 4 * latents, first - WARM_UP / scene.FRAME_RATE)
    return clip, s.caption(rng), coverage, started


def draw_sample(rng, options, length, words):
    """(frames, token ids, coverage, from the start?) of a clip of `length` latents."""
    frames, text, coverage, started = draw_image(rng, options) if length == 1 else draw_clip(rng, options, length)
    return frames, words.ids(text, TEXT_ROWS), coverage > 0, started


class Pool:
    """Encoded latents with their token ids, each used several times before a fresh one takes its place."""

    def __init__(self, length, vae, source, size, device):
        self.length, self.source, self.device = length, source, device
        self.vae = vae.to(device).eval().requires_grad_(False)
        self.latents = torch.zeros(size, length, 32, 16, 16, dtype=torch.bfloat16, device=device)
        self.coverage = torch.zeros(size, length, 16, 16, dtype=torch.bool, device=device)
        self.ids = torch.zeros(size, TEXT_ROWS, dtype=torch.int32, device=device)
        self.started = torch.ones(size, dtype=torch.bool, device=device)
        self.count = 0

    @torch.no_grad()
    def add(self, number, share, wait=False):
        """Takes up to `number` drawn samples in, all of them with `wait`."""
        clips, known = self.source.take(number, share, wait)
        if not known:
            return
        if self.length == 1:
            clips = clips.expand(-1, 4, -1, -1, -1)  # a stream's first frame, as often as the encoder wants it
        with training.autocast(self.device):
            latents = self.vae.normalise(self.vae.encode(train_vae.to_frames(clips)).float())
        ids, coverage, started = (training.upload(np.array(column), self.device) for column in zip(*known))
        where = torch.arange(self.count, self.count + len(known), device=self.device) % len(self.latents)
        choice = started.view(-1, 1, 1, 1, 1)
        self.latents[where] = torch.where(choice, latents[:, :self.length], latents[:, -self.length:]).bfloat16()
        self.ids[where], self.coverage[where], self.started[where] = ids.int(), coverage, started
        self.count += len(known)

    def batch(self, size):
        """Latents (B, C, length, h, w), ids, coverage (B, length, h, w), and whether each begins a stream."""
        pick = torch.randint(0, min(self.count, len(self.latents)), (size,), device=self.device)
        return self.latents[pick].float().transpose(1, 2), self.ids[pick].long(), self.coverage[pick].float(), self.started[pick]


def shifted(u, shift=3.0):
    return shift * u / (1 + (shift - 1) * u)


def noise_levels(size, length, started):
    """Sigma (B, length) and which latents count in the loss.

    Each block has a level of its own. Half of those that have a later block are history at a small level, as
    the sampler's cache holds them; the first block of a clip from mid-stream always is. Some clips that begin a stream have their
    first latent given in the same way: that is how a picture begins one.
    """
    blocks, device = max(1, length // BLOCK), started.device
    sigma = shifted(torch.sigmoid(torch.randn(size, blocks, device=device)))
    history = torch.rand(size, blocks, device=device) < 0.5
    history[:, -1] = False
    if blocks > 1:
        history[:, 0] |= ~started
    sigma = torch.where(history, 0.12 * torch.rand(size, blocks, device=device), sigma)
    sigma, history = (x.repeat_interleave(length // blocks, 1) for x in (sigma, history))
    if blocks > 1:
        given = started & (torch.rand(size, device=device) < GIVEN_SHARE)
        sigma[:, 0] = torch.where(given, 0.12 * torch.rand(size, device=device), sigma[:, 0])
        history[:, 0] |= given
    return sigma, (~history).float()


def pick_tokens(coverage, count):
    """Which `count` tokens of a frame to learn from (B, count): a draw in which those under an actor are ahead.

    A network that sees half of the tokens learns about as much from a sample for half of the work (MaskDiT, Zheng 2023);
    places are learned long before things, so it is the actors' half that is kept. coverage (B, T, 2 SIDE, 2 SIDE).
    """
    covered = torch.nn.functional.max_pool2d(coverage.amax(1, keepdim=True), 2).flatten(1)
    order = torch.rand_like(covered) + ACTOR_PULL * covered
    return order.topk(count, 1).indices


def take(patches, kept):
    """The kept tokens of patches (B, T, tokens, n)."""
    return patches if kept is None else patches.gather(2, kept[:, None, :, None].expand(-1, patches.shape[1], -1, patches.shape[3]))


def loss_of(model, split, latents, ids, coverage, started, mask, count=TOKENS):
    """Mean square error of the velocity over the latents that are not history, actors weighing more.

    `split` cuts latents into patches; only `count` tokens of each frame are computed.
    """
    sigma, counted = noise_levels(len(latents), latents.shape[2], started)
    empty = torch.zeros_like(ids)
    empty[:, 0] = tokenizer.EOS
    ids = torch.where(torch.rand(len(ids), 1, device=ids.device) < 0.1, empty, ids)
    kept = pick_tokens(coverage, count) if count < TOKENS else None
    target = take(split(latents), kept)
    s = sigma[:, :, None, None]
    noisy = (1 - s) * target + s * torch.randn_like(target)
    with training.autocast(ids.device):
        clean = model(noisy, sigma, ids, mask, kept)
    # A patch goes in as channels of 2x2 cells and comes out as 2x2 cells of channels.
    difference = clean.float().unflatten(-1, (4, -1)) - target.unflatten(-1, (-1, 4)).transpose(-1, -2)
    error = (difference / s.clamp(min=0.05).unsqueeze(-1)).pow(2).mean(-1)
    weight = (1 + ACTOR_WEIGHT * take(split(coverage[:, None]), kept)) * counted[:, :, None, None]
    return (error * weight).sum() / weight.sum()


def split_parameters(model):
    """Matrices of the blocks for Muon, everything else for AdamW."""
    matrices, others = [], []
    for name, p in model.named_parameters():
        block = ".blocks." in name or ".block." in name
        muon = block and p.ndim == 2 and "relative_attention_bias" not in name
        (matrices if muon else others).append(p)
    return matrices, others


def checkpoint_path():
    return training.checkpoint_directory() / "dit.pt"


def newest_vae():
    for name in ("vae-decoder.pt", "vae.pt"):
        path = training.checkpoint_directory() / name
        if path.exists():
            return train_vae.load(path)[0]
    raise SystemExit("no autoencoder: train_vae.py first, or --from-model")


def new_model():
    return Model(UMT5Encoder().initialise(), WanTransformer().initialise())


def prepare_words(args):
    """The tokenizer: of the model that training starts from, or a new one."""
    words = training.checkpoint_directory() / "tokenizer"
    if args.from_model and not checkpoint_path().exists():
        shutil.copytree(Path(args.from_model) / "tokenizer", words, dirs_exist_ok=True)
    elif not (words / "spiece.model").exists():
        tokenizer.train(words)


def begin(args):
    """(model, average, vae, tokenizer directory, checkpoint or None)."""
    words = training.checkpoint_directory() / "tokenizer"
    if args.from_model and not checkpoint_path().exists():
        parts, _ = export.load(args.from_model)
        both = [Model(parts["text_encoder"], parts["transformer"]), new_model()]
        both[1].load_state_dict(both[0].state_dict())
        return *both, parts["vae"], words, None
    model, average = new_model(), new_model()
    state = None
    if checkpoint_path().exists():
        state = torch.load(checkpoint_path(), map_location="cpu", weights_only=True)
        model.load_state_dict(state["model"])
    average.load_state_dict(state["average"] if state else model.state_dict())
    vae = export.load(args.from_model)[0]["vae"] if args.from_model else newest_vae()
    return model, average, vae, words, state


def export_average(directory, average, vae, words, sora=None):
    export.export(directory, {"vae": vae, "text_encoder": average.text_encoder, "transformer": average.transformer}, words, sora)


def export_checkpoint(directory, checkpoint=None, base=None):
    """Exports the average weights of a checkpoint with the newest autoencoder; what has no checkpoint comes from `base`."""
    parts, sora = export.load(base) if base else ({}, {})
    words = training.checkpoint_directory() / "tokenizer"
    path = Path(checkpoint or checkpoint_path())
    if path.exists() or not base:
        state = torch.load(path, map_location="cpu", weights_only=True)
        average = new_model()
        average.load_state_dict(state["average"])
        parts.update(text_encoder=average.text_encoder, transformer=average.transformer)
        sora["window_latents"] = state["window"]
    else:
        words = Path(base) / "tokenizer"
    if not base or any((training.checkpoint_directory() / name).exists() for name in ("vae-decoder.pt", "vae.pt")):
        parts["vae"] = newest_vae()
    export.export(directory, parts, words, sora)


class Trainer:
    def __init__(self, args, team):
        self.args, self.team = args, team
        torch.manual_seed(args.seed)
        if team.first:
            prepare_words(args)
        team.barrier()
        self.model, self.average, self.vae, self.words, state = begin(args)
        self.step = state["step"] if state else 0
        self.prepare_drawing()
        self.model, self.average = self.model.to(args.device), self.average.to(args.device)
        self.parameters = list(self.model.parameters())
        matrices, others = split_parameters(self.model)
        self.muon = training.Muon(matrices, team=team)
        self.adam = torch.optim.AdamW(others, args.rate, betas=(0.9, 0.98), weight_decay=0.01, fused=True)
        self.seconds, self.samples = {}, {"image": 0, "clip": 0}
        if state:
            self.adam.load_state_dict(state["adam"])
            for mine, saved in zip(self.muon.state, state["muon"]):
                mine.copy_(saved)
            self.seconds, self.samples = state["seconds"], state["samples"]
        self.clock = training.Clock(args.minutes, self.seconds.get(args.stage, 0.0), args.until)
        self.share = self.clock.share
        self.log(f"{args.stage}: {sum(p.numel() for p in self.parameters) / 1e6:.2f} M parameters, from step {self.step}, "
                 f"{self.clock.seconds / 60:.1f} of {args.minutes} min, on {args.device}, {team.size} workers")

    def prepare_drawing(self):
        """Before the device is used: the drawing processes are forks."""
        args = self.args
        self.length = 1 if args.stage == "image" else args.latents
        self.seed = args.seed + self.step + 100000 * self.team.rank
        curriculum, words, length = Curriculum(args.stage, args.wide), tokenizer.Tokenizer(self.words), self.length
        frames = 1 if length == 1 else WARM_UP + 4 * length
        self.source = drawing.source(lambda rng, share: draw_sample(rng, curriculum.options(share), length, words),
                                     (frames, *scene.Options().size[::-1], 3), args, self.seed)

    def log(self, text):
        if self.team.first:
            training.log(checkpoint_path().with_suffix(".log"), text)

    def save(self):
        if not self.team.first:
            return
        self.seconds[self.args.stage] = self.clock.seconds
        training.save_checkpoint(checkpoint_path(), {
            "model": self.model.state_dict(), "average": self.average.state_dict(), "adam": self.adam.state_dict(),
            "muon": self.muon.state, "seconds": self.seconds, "step": self.step, "samples": self.samples,
            "window": self.args.latents})
        if self.args.export:
            export_average(self.args.export, self.average, self.vae, self.words, {"window_latents": self.args.latents})

    def update(self, local_step):
        """One optimiser step from the gradients; the average follows."""
        floor, decay = (0.2, 0.3) if self.args.stage == "image" else (0.02, 0.5)
        rate = training.rate(self.share, local_step, 30, decay, floor)
        for group in self.adam.param_groups:
            group["lr"] = self.args.rate * rate
        self.team.mean_gradients(self.parameters)
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.adam.step()
        self.muon.step(self.args.muon_rate * rate)
        self.step += 1
        keep = min(0.9985, 1 - 5 / (self.step + 10))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.parameters()), self.parameters, 1 - keep)

    def gradients(self, forward):
        loss = loss_of(forward, self.model.transformer.patches, *self.pool.batch(self.batch), self.mask, self.count)
        self.adam.zero_grad()
        self.muon.zero_grad()
        loss.backward()
        return loss.detach()

    def compile(self, count):
        """The network for `count` tokens of each latent frame."""
        self.count = count
        self.mask = None if self.length == 1 else block_causal_mask(self.length, count, BLOCK, self.length).to(self.args.device)
        return training.compile_in_turn(self.team, self.model, self.gradients, self.log)

    def fill(self, fresh):
        while self.pool.count < self.args.fill:
            self.pool.add(fresh, self.share, wait=True)
        self.log(f"pool filled with {self.pool.count} a worker at {self.clock.seconds / 60:.1f} min")

    def run(self):
        args, clock, length = self.args, self.clock, self.length
        torch.manual_seed(self.seed)
        self.batch = args.batch if length == 1 else max(1, args.batch * 4 // 3 // length)
        self.pool = Pool(length, self.vae, self.source.to(args.device), args.pool, args.device)
        fresh = args.fresh if args.stage == "image" else max(1, args.fresh // 6)
        self.fill(fresh)
        forward = self.compile(args.tokens)
        local_step, mean, drawing, began, done = 0, None, 0.0, clock.seconds, 0
        for self.share in clock.shares(self.team):
            if self.count < TOKENS and self.share >= args.whole_from:
                forward = self.compile(TOKENS)
            before = clock.seconds
            self.pool.add(fresh, self.share)
            drawing += clock.seconds - before
            loss = self.gradients(forward)
            self.update(local_step)
            local_step += 1
            done += self.batch * self.team.size
            self.samples[args.stage] += self.batch * self.team.size
            mean = loss if mean is None else 0.98 * mean + 0.02 * loss
            if self.team.first and clock.every("log", 60):
                spent = clock.seconds - began
                self.log(f"{clock.seconds / 60:.1f} min, step {self.step}, loss {mean:.4f}, {self.samples[args.stage]} {args.stage} samples of {length} latents, "
                         f"{self.pool.count * self.team.size} drawn, {done / spent:.1f} samples/s, drawing {drawing / spent:.2f}")
            if self.team.first and clock.every("save", args.save_every * 60):
                self.save()
        self.save()
        self.log(f"end of {args.stage}: step {self.step}, loss {mean or 0:.4f}")
        self.team.barrier()


def train(args, team):
    Trainer(args, team).run()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stage", choices=("image", "clip"), default="image")
    training.add_arguments(parser, minutes=50, save_every=5)
    parser.add_argument("--latents", type=int, default=8, help="of a clip, which is also the window of the exported model")
    parser.add_argument("--wide", type=float, default=0.35, help="0: only single starters, 1: the whole world")
    parser.add_argument("--tokens", type=int, default=TOKENS // 2, help="of a latent frame that are computed, at first")
    parser.add_argument("--whole-from", type=float, default=0.7, help="share of the stage after which all are")
    parser.add_argument("--batch", type=int, help="of a worker, in single latents; fewer clips")
    parser.add_argument("--fresh", type=int, help="scenes a worker draws for each step, at most; fewer clips")
    parser.add_argument("--fill", type=int, help="scenes a worker draws before the first step")
    parser.add_argument("--pool", type=int, help="latents or clips a worker keeps")
    parser.add_argument("--rate", type=float, default=1e-3, help="AdamW's")
    parser.add_argument("--muon-rate", type=float, default=0.02)
    parser.add_argument("--export", help="write a model directory at every save")
    training.launch(train, training.parse_arguments(parser, DEFAULTS))


if __name__ == "__main__":
    main()
