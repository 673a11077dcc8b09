# SPDX-License-Identifier: LGPL-2.1-or-later
"""Contact sheets: a few frames of each clip with its prompt, for the eye."""

import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw

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


def contact_sheet(path, frames, texts, size=128, shown=6):
    """frames (B, T, 3, H, W) in 0..1: each prompt's frames side by side with the prompt above; two clips, or six pictures, a row."""
    if frames.shape[1] > shown:
        frames = frames[:, torch.linspace(0, frames.shape[1] - 1, shown).round().long()]
    columns = 6 if frames.shape[1] == 1 else 2
    small = F.interpolate(frames.flatten(0, 1), (size, size), mode="area").view(*frames.shape[:3], size, size)
    wide, high = size * frames.shape[1] + 4, size + 14
    sheet = Image.new("RGB", (wide * columns, high * -(-len(texts) // columns)), (255, 255, 255))
    draw = ImageDraw.Draw(sheet)
    for i, (row, text) in enumerate(zip(small, texts)):
        x, y = i % columns * wide, i // columns * high
        strip = (torch.cat(list(row), 2).clamp(0, 1) * 255).byte().permute(1, 2, 0).numpy()
        sheet.paste(Image.fromarray(strip), (x, y + 14))
        draw.text((x + 2, y + 1), text, fill=(0, 0, 0))
    sheet.save(path)
