# SPDX-License-Identifier: LGPL-2.1-or-later
"""Trains the video autoencoder on crops of drawn clips; later its decoder alone, the encoder frozen."""

import argparse
import random

import numpy as np
import torch

import drawing
import export
import training
from vae import TAEHV
from world import scene

FRAMES = 8
DEFAULTS = {"cpu": {"batch": 3, "crop": 96, "fresh": 1, "fill": 60, "pool": 300},
            "cuda": {"batch": 64, "crop": 128, "fresh": 16, "fill": 512, "pool": 6000}}
NOISE = 0.05         # on normalised latents the decoder must bear what the sampler leaves
OPTIONS = scene.between(1.0, tiers=(0.3, 0.3, 0.4), look=0.15, rare=True)
WIDTH, HEIGHT = OPTIONS.size


def draw_clip(rng, frames=FRAMES, options=OPTIONS):
    """A clip (frames, H, W, 3) uint8; half of them begin as streams do, with the first frame repeated."""
    s = scene.sample(rng, options)
    if rng.random() < 0.5:
        return s.frames(frames, rng.uniform(0, 8))
    clip = s.frames(frames - 3)
    return np.concatenate([np.repeat(clip[:1], 3, 0), clip])


def to_frames(clips):
    """Clips (N, T, H, W, 3) uint8, an array or a tensor, to (N, T, 3, H, W) in 0..1."""
    return torch.as_tensor(clips).permute(0, 1, 4, 2, 3).float() / 255


class Pool:
    """Clips that are used several times, a few fresh ones a step."""

    def __init__(self, source, rng, args):
        self.source, self.rng, self.batch, self.crop, self.fresh = source, rng, args.batch, args.crop, args.fresh
        self.clips = torch.zeros(args.pool, FRAMES, HEIGHT, WIDTH, 3, dtype=torch.uint8, device=args.device)
        self.count = 0
        while self.count < args.fill:
            self.add(min(args.fill - self.count, 64), wait=True)

    def add(self, number, wait=False):
        for clip in self.source.take(number, wait=wait)[0]:
            size = len(self.clips)
            self.clips[self.count if self.count < size else self.rng.randrange(size)] = clip
            self.count += 1

    def crops(self):
        self.add(self.fresh)
        out = []
        for i in self.rng.sample(range(min(self.count, len(self.clips))), self.batch):
            y, x = (self.rng.randrange(0, side + 1 - self.crop, 4) for side in (HEIGHT, WIDTH))
            out.append(self.clips[i, :, y:y + self.crop, x:x + self.crop])
        return to_frames(torch.stack(out))


def loss_of(frames, output, latents):
    """L1, L2 and L1 of the differences in x, y and t; latents kept near mean 0 and deviation 1."""
    error = output - frames
    loss = error.abs().mean() + 2 * error.pow(2).mean()
    loss = loss + error.diff(dim=4).abs().mean() + error.diff(dim=3).abs().mean() + 0.5 * error.diff(dim=1).abs().mean()
    if latents.requires_grad:
        loss = loss + 0.01 * (latents.std((0, 1, 3, 4)) - 1).pow(2).mean() + 0.003 * latents.mean((0, 1, 3, 4)).pow(2).mean()
    return loss


def psnr(output, frames):
    return -10 * torch.log10((output.clamp(0, 1) - frames).pow(2).mean()).item()


def validation_clips(count=3, frames=9):
    rng = random.Random(20)
    options = scene.between(1.0, tiers=(0.3, 0.3, 0.4), look=0.0, held_out=True, actors=(0.8, 0.2, 0.0), together=0.0, rare=True)
    return to_frames(np.stack([scene.sample(rng, options).frames(frames) for _ in range(count)]))


@torch.no_grad()
def validate(model, frames):
    device = next(model.parameters()).device
    with training.autocast(device):
        output = torch.cat([model.decode_video(model.encode_video(f[None].to(device))).cpu() for f in frames])
    return psnr(output.float(), frames)


@torch.no_grad()
def measure_latents(model, count=160):
    """Puts mean and standard deviation of each latent channel into the config."""
    rng, latents, device = random.Random(21), [], next(model.parameters()).device
    for _ in range(count):
        with training.autocast(device):
            latents.append(model.encode(to_frames(draw_clip(rng)[None]).to(device)).float())
    latents = torch.cat(latents)
    model.config["latents_mean"] = [round(v, 5) for v in latents.mean((0, 1, 3, 4)).tolist()]
    model.config["latents_std"] = [round(v, 5) for v in latents.std((0, 1, 3, 4)).tolist()]


def save(path, model, adam, muon, clock, step):
    training.save_checkpoint(path, {"model": model.state_dict(), "config": model.config, "adam": adam.state_dict(),
                                    "muon": muon.state, "seconds": clock.seconds, "step": step})


def make_optimisers(model, rate, team):
    """Muon for the kernels inside, AdamW for the ends, the 1x1 convolutions over time and the biases."""
    ends = {id(m[i].weight) for m, i in ((model.encoder, 0), (model.encoder, -1), (model.decoder, 1), (model.decoder, -1))}
    trained = [p for p in model.parameters() if p.requires_grad]
    kernels = [p for p in trained if p.ndim == 4 and p.shape[-1] == 3 and id(p) not in ends]
    inside = {id(p) for p in kernels}
    adam = torch.optim.AdamW([p for p in trained if id(p) not in inside], rate, betas=(0.9, 0.98), weight_decay=0.01, fused=True)
    return trained, adam, training.Muon(kernels, 0.9, team=team)


def checkpoint_path(decoder_only):
    return training.checkpoint_directory() / ("vae-decoder.pt" if decoder_only else "vae.pt")


def load(path):
    """The model of a checkpoint and the checkpoint."""
    state = torch.load(path, map_location="cpu", weights_only=True)
    model = TAEHV(state["config"])
    model.load_state_dict(state["model"])
    return model, state


def begin(args, path):
    """The model to train, and the checkpoint it goes on from, if any."""
    if path.exists():
        return load(path)
    if args.from_model:
        return export.load(args.from_model)[0]["vae"], None
    joint = path.with_name("vae.pt")
    return load(joint)[0] if args.decoder_only else TAEHV(), None


def train(args, team):
    path = checkpoint_path(args.decoder_only)
    torch.manual_seed(args.seed)
    model, state = begin(args, path)
    step = state["step"] if state else 0
    seed = args.seed + 1000 * team.rank + step
    # Before the device is used: the drawing processes are forks.
    source = drawing.source(lambda rng, share: (draw_clip(rng),), (FRAMES, HEIGHT, WIDTH, 3), args, seed)
    model = model.to(args.device, memory_format=torch.channels_last)
    model.encoder.requires_grad_(not args.decoder_only)
    trained, adam, muon = make_optimisers(model, args.rate, team)
    if state:
        adam.load_state_dict(state["adam"])
        for mine, saved in zip(muon.state, state["muon"]):
            mine.copy_(saved)
    clock = training.Clock(args.minutes, state["seconds"] if state else 0.0, args.until)
    torch.manual_seed(seed)
    pool, validation = Pool(source.to(args.device), random.Random(seed), args), validation_clips()

    def log(text):
        if team.first:
            training.log(path.with_suffix(".log"), text)

    log(f"{sum(p.numel() for p in trained) / 1e6:.2f} M trained parameters, from step {step}, on {args.device}, {team.size} workers")

    def forward(frames, noise):
        latents = model.encode(frames)
        return latents, model.decode(latents + noise)

    def loss_and_gradients(forward):
        frames = pool.crops()
        side = args.crop // 16
        noise = NOISE * torch.randn(args.batch, FRAMES // 4, model.config["latent_channels"], side, side, device=args.device)
        with training.autocast(args.device):
            latents, output = forward(frames, noise)
        loss = loss_of(frames, output.float(), latents.float())
        adam.zero_grad()
        muon.zero_grad()
        loss.backward()
        return loss.detach(), latents.detach().float().std()

    forward = training.compile_in_turn(team, forward, loss_and_gradients, log)
    first, began, mean = step, clock.seconds, None
    for share in clock.shares(team):
        rate = training.rate(share, step, args.warmup)
        for group in adam.param_groups:
            group["lr"] = args.rate * rate
        loss, deviation = loss_and_gradients(forward)
        team.mean_gradients(trained)
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        adam.step()
        muon.step(args.muon_rate * rate)
        step += 1
        mean = loss if mean is None else 0.95 * mean + 0.05 * loss
        if team.first and clock.every("log", 60):
            speed = (step - first) * team.size * args.batch * FRAMES / (clock.seconds - began)
            log(f"{clock.seconds / 60:.1f} min, step {step}, loss {mean:.4f}, latent deviation {deviation:.2f}, {speed:.0f} crop frames/s")
        if team.first and clock.every("save", 60 * args.save_every):
            save(path, model, adam, muon, clock, step)
            log(f"validation {validate(model, validation):.2f} dB")
    if team.first:
        if not args.decoder_only:
            measure_latents(model)
        save(path, model, adam, muon, clock, step)
        log(f"end: step {step}, validation {validate(model, validation):.2f} dB")
    team.barrier()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    training.add_arguments(parser, minutes=30, save_every=3)
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument("--muon-rate", type=float, default=0.01)
    parser.add_argument("--warmup", type=int, default=40, help="steps")
    parser.add_argument("--decoder-only", action="store_true", help="the encoder, and so the latents, stay as they are")
    parser.add_argument("--batch", type=int, help="crops of a worker")
    parser.add_argument("--crop", type=int, help="pixels of a side")
    parser.add_argument("--fresh", type=int, help="clips a worker draws for each step, at most")
    parser.add_argument("--fill", type=int, help="clips a worker draws before the first step")
    parser.add_argument("--pool", type=int, help="clips a worker keeps")
    training.launch(train, training.parse_arguments(parser, DEFAULTS))


if __name__ == "__main__":
    main()
