# SPDX-License-Identifier: LGPL-2.1-or-later
"""Shows what a model directory can do: contact sheets for fixed prompts, the autoencoder's PSNR and SSIM, colours."""

import argparse
import json
import random
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw

import export
import sampler
import tokenizer
import train_vae
import training
from world import light, places, scene, sprites, things

PROMPTS = [
    "a red balloon flies up over a city", "a cat stands still in a meadow", "a rocket flies up in the sky at night",
    "a car moves left in the city", "a penguin jumps in the snow", "a sailboat moves right at sea",
    "a pizza spins in space", "an elephant grows in the desert", "a ghost swings in a forest", "a robot moves right in the desert at sunset",
    "a fish moves left under water", "a strawberry falls down in the sky", "a fire floats on the moon",
    "a sunflower shakes in a garden", "a blue heart bounces on the beach", "a castle stands still in the mountains",
    "a green ball jumps in a room", "a butterfly circles in the jungle", "a pumpkin shrinks in the city at night",
    "a frog and a duck jump in a meadow", "a bus moves left in the city, the camera pans left",
    "a snowman stands still in the snow, black and white", "a crown spins slowly on a stage, the camera zooms in", "a tree stands still in the desert",
]


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


@torch.no_grad()
def evaluate_vae(vae, directory, count=12):
    clips = train_vae.validation_clips(count, 17)
    device = next(vae.parameters()).device
    output = torch.cat([vae.decode_video(vae.encode_video(c[None].to(device))).cpu() for c in clips])
    rows = [torch.cat(list(torch.cat([c[::8], o[::8]])), 2) for c, o in zip(clips[:6], output)]
    save_image(directory / "vae.png", torch.cat(rows, 1))
    return {"vae_psnr": round(train_vae.psnr(output, clips), 2),
            "vae_ssim": round(ssim(output.flatten(0, 1), clips.flatten(0, 1)), 4)}


def save_image(path, picture):
    array = (picture.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    Image.fromarray(array).save(path)


def contact_sheet(path, frames, texts, columns=1, size=128):
    """frames (B, T, 3, H, W): each prompt's frames side by side with the prompt above, `columns` prompts a row."""
    shown = F.interpolate(frames.flatten(0, 1), (size, size), mode="area").view(*frames.shape[:3], size, size)
    wide, high = size * frames.shape[1] + 4, size + 14
    sheet = Image.new("RGB", (wide * columns, high * -(-len(texts) // columns)), (255, 255, 255))
    draw = ImageDraw.Draw(sheet)
    for i, (row, text) in enumerate(zip(shown, texts)):
        x, y = i % columns * wide, i // columns * high
        strip = (torch.cat(list(row), 2).clamp(0, 1) * 255).byte().permute(1, 2, 0).numpy()
        sheet.paste(Image.fromarray(strip), (x, y + 14))
        draw.text((x + 2, y + 1), text, fill=(0, 0, 0))
    sheet.save(path)


def place_colours(frames, texts):
    """Share of clips whose border looks most like the place that the prompt names.

    The border (24 pixels at the top, left and right) is compared in mean absolute difference with the mean border
    of eight scenes of each place at the prompt's time of day, so it needs no other network; the actor is seldom there.
    """
    def border(x):
        return torch.cat([x[..., :24, :].flatten(-2), x[..., :24].flatten(-2), x[..., -24:].flatten(-2)], -1)

    @lru_cache(maxsize=None)
    def means(time):
        rng, out = random.Random(3), []
        for place in places.PLACES:
            drawn = [scene.Scene(place, time=time, seed=rng.random()).frame(0.0) for _ in range(8)]
            out.append(border(train_vae.to_frames(np.stack(drawn)[None])[0]).mean(0))
        return torch.stack(out)
    right = total = 0
    for clip, text in zip(frames, texts):
        named = [i for i, p in enumerate(places.PLACES) if p.phrases[0] in text]
        if not named or "," in text:
            continue
        time = next((t for t in light.TIMES[1:] if t.phrases[0] in text), light.TIMES[0])
        distance = (border(clip[0])[None] - means(time)).abs().mean((1, 2))
        right += int(distance.argmin()) == max(named, key=lambda i: len(places.PLACES[i].phrases[0]))
        total += 1
    return right / max(total, 1)


def thing_colours(frames, texts):
    """Mean distance in RGB between the picture's middle and the thing's own mean colour, and to all things' on average."""
    own, other = [], []
    colours = np.array([sprites.mean_colour(t) for t in things.THINGS])
    everything = np.abs(colours[:, None] - colours[None]).mean()
    for clip, text in zip(frames, texts):
        named = [t for t in things.THINGS if f" {t.name} " in f" {text} "]
        if len(named) != 1 or "," in text:
            continue
        colour = next((c for c in sprites.COLOURS if f" {c} {named[0].name}" in f" {text}" and named[0].colour), "")
        middle = clip[0, :, 104:152, 104:152].mean((1, 2)).numpy()
        own.append(np.abs(middle - sprites.mean_colour(named[0], colour)).mean())
        other.append(everything)
    return float(np.mean(own)), float(np.mean(other))


DIRECTIONS = {"moves left": (-1, 0), "moves right": (1, 0), "flies up": (0, -1), "falls down": (0, 1)}


def motion_directions(frames, texts):
    """Share of clips whose moving part goes where the prompt says, and how many clips say it.

    The moving part is what differs from the clip's own median picture; its centre in the first quarter of the clip is
    compared with that in the last quarter, along the prompt's axis.
    """
    right = total = 0
    axis = torch.linspace(0, 1, frames.shape[-1])
    for clip, text in zip(frames, texts):
        direction = next((d for name, d in DIRECTIONS.items() if name in text), None)
        if direction is None or "," in text or len(clip) < 8:
            continue
        moving = (clip - clip.median(0).values).abs().mean(1).pow(2)
        quarter = len(clip) // 4
        centres = []
        for part in (moving[:quarter].sum(0), moving[-quarter:].sum(0)):
            part = part / part.sum().clamp(min=1e-6)
            centres.append(((part.sum(0) * axis).sum(), (part.sum(1) * axis).sum()))
        moved = sum(d * (b - a) for d, a, b in zip(direction, *centres))
        right += int(moved > 0.02)
        total += 1
    return right, total


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--output", default="evaluation")
    parser.add_argument("--latents", type=int, default=8, help="of a clip; 1: only first latents")
    parser.add_argument("--prompts", type=int, default=len(PROMPTS))
    parser.add_argument("--steps", type=int)
    parser.add_argument("--guidance", type=float)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", choices=("cpu", "cuda"), default=training.default_device())
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--no-vae", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    directory = Path(args.output)
    directory.mkdir(parents=True, exist_ok=True)
    parts, sora = export.load(args.model)
    parts = {name: part.to(args.device) for name, part in parts.items()}
    sora["steps"] = args.steps or sora["steps"]
    sora["guidance_scale"] = sora["guidance_scale"] if args.guidance is None else args.guidance
    words, texts = tokenizer.Tokenizer(Path(args.model) / "tokenizer"), PROMPTS[: args.prompts]
    latents = sampler.generate(parts, words, texts, sora, args.latents, seed=args.seed, single=args.latents == 1)
    frames = sampler.decode(parts["vae"], latents).cpu()
    shown = frames if args.latents == 1 else frames[:, torch.linspace(0, frames.shape[1] - 1, 6).round().long()]
    contact_sheet(directory / "sheet.png", shown, texts, 6 if args.latents == 1 else 2)
    own, other = thing_colours(frames, texts)
    moved, moving = motion_directions(frames, texts)
    result = {"steps": sora["steps"], "guidance": sora["guidance_scale"], "place_right": round(place_colours(frames, texts), 3),
              "thing_colour_distance": round(own, 3), "any_thing_colour_distance": round(other, 3), "direction_right": f"{moved} of {moving}"}
    if not args.no_vae:
        result.update(evaluate_vae(parts["vae"], directory))
    (directory / "figures.json").write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
