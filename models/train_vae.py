# SPDX-License-Identifier: LGPL-2.1-or-later
"""Trains the video autoencoder on crops of drawn clips; later its decoder alone, the encoder frozen."""

import argparse
import random

import numpy as np
import torch

import export
import training
from vae import TAEHV
from world import scene

FRAMES, CROP, BATCH, POOL, FRESH = 8, 96, 3, 300, 1
NOISE = 0.05         # on normalised latents the decoder must bear what the sampler leaves
OPTIONS = scene.Options(tiers=(0.3, 0.3, 0.4), camera=0.4, look=0.15)


def draw_clip(rng, frames=FRAMES, options=OPTIONS):
    """A clip (frames, 256, 256, 3) uint8; half of them begin as streams do, with the first frame repeated."""
    s = scene.sample(rng, options)
    if rng.random() < 0.5:
        return s.frames(frames, rng.uniform(0, 8))
    clip = s.frames(frames - 3)
    return np.concatenate([np.repeat(clip[:1], 3, 0), clip])


def to_frames(clips):
    """Clips (N, T, H, W, 3) uint8 to (N, T, 3, H, W) in 0..1."""
    return torch.from_numpy(np.stack(clips)).permute(0, 1, 4, 2, 3).float() / 255


class Pool:
    """Clips that are used several times, a few fresh ones a step."""

    def __init__(self, rng):
        self.rng = rng
        self.clips = [draw_clip(rng) for _ in range(60)]

    def crops(self):
        for _ in range(FRESH):
            clip = draw_clip(self.rng)
            if len(self.clips) < POOL:
                self.clips.append(clip)
            else:
                self.clips[self.rng.randrange(POOL)] = clip
        out = []
        for clip in self.rng.sample(self.clips, BATCH):
            y, x = (self.rng.randrange(0, 257 - CROP, 4) for _ in range(2))
            out.append(clip[:, y:y + CROP, x:x + CROP])
        return to_frames(out)


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
    options = scene.Options(tiers=(0.3, 0.3, 0.4), camera=0.4, look=0.0, held_out=True, actors=(0.8, 0.2, 0.0))
    return to_frames([scene.sample(rng, options).frames(frames) for _ in range(count)])


@torch.no_grad()
def validate(model, frames):
    with torch.autocast("cpu", torch.bfloat16):
        output = torch.cat([model.decode_video(model.encode_video(f[None])) for f in frames])
    return psnr(output.float(), frames)


@torch.no_grad()
def measure_latents(model, count=160):
    """Puts mean and standard deviation of each latent channel into the config."""
    rng, latents = random.Random(21), []
    for _ in range(count):
        with torch.autocast("cpu", torch.bfloat16):
            latents.append(model.encode(to_frames([draw_clip(rng)])).float())
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
    path = training.checkpoint_directory() / ("vae-decoder.pt" if args.decoder_only else "vae.pt")
    torch.manual_seed(args.seed)
    model, state = begin(args, path)
    model = model.to(memory_format=torch.channels_last)
    model.encoder.requires_grad_(not args.decoder_only)
    trained, adam, muon = make_optimisers(model, args.rate, team)
    if state:
        adam.load_state_dict(state["adam"])
        for mine, saved in zip(muon.state, state["muon"]):
            mine.copy_(saved)
    clock, step = training.Clock(args.minutes, state["seconds"] if state else 0.0), state["step"] if state else 0
    seed = args.seed + 1000 * team.rank + step
    torch.manual_seed(seed)
    pool, validation = Pool(random.Random(seed)), validation_clips()

    def log(text):
        if team.first:
            training.log(path.with_suffix(".log"), text)

    log(f"{sum(p.numel() for p in trained) / 1e6:.2f} M trained parameters, from step {step}, {team.size} workers")

    def forward(frames, noise):
        latents = model.encode(frames)
        return latents, model.decode(latents + noise)

    forward = torch.compile(forward)

    def loss_and_gradients():
        frames = pool.crops()
        noise = NOISE * torch.randn(BATCH, FRAMES // 4, model.config["latent_channels"], CROP // 16, CROP // 16)
        with torch.autocast("cpu", torch.bfloat16):
            latents, output = forward(frames, noise)
        loss = loss_of(frames, output.float(), latents.float())
        adam.zero_grad()
        muon.zero_grad()
        loss.backward()
        return loss.item(), latents.float().std().item()

    training.compile_in_turn(team, loss_and_gradients)
    first, began, mean = step, clock.seconds, None
    while (share := team.agree(clock.share)) < 1:
        rate = training.rate(share, step, args.warmup)
        for group in adam.param_groups:
            group["lr"] = args.rate * rate
        loss, deviation = loss_and_gradients()
        team.mean_gradients(trained)
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        adam.step()
        muon.step(args.muon_rate * rate)
        step += 1
        mean = loss if mean is None else 0.95 * mean + 0.05 * loss
        if team.first and clock.every("log", 60):
            speed = (step - first) * team.size * BATCH * FRAMES / (clock.seconds - began)
            log(f"{clock.seconds / 60:.1f} min, step {step}, loss {mean:.4f}, latent deviation {deviation:.2f}, {speed:.0f} crop frames/s")
        if team.first and clock.every("save", 180):
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
    parser.add_argument("--minutes", type=float, default=30, help="of the whole stage, earlier runs of it counted in")
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument("--muon-rate", type=float, default=0.01)
    parser.add_argument("--warmup", type=int, default=40, help="steps")
    parser.add_argument("--decoder-only", action="store_true", help="the encoder, and so the latents, stay as they are")
    parser.add_argument("--from-model", help="start from an exported model directory")
    parser.add_argument("--workers", type=int, default=2, help="processes of one thread")
    parser.add_argument("--seed", type=int, default=1)
    training.launch(train, parser.parse_args())


if __name__ == "__main__":
    main()
