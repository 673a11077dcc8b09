# SPDX-License-Identifier: LGPL-2.1-or-later
"""Makes tests/golden/stream-image.safetensors: a stream of tests/golden/tiny-model that begins with a picture, and a clip that does.

The picture's latent stands at the context timestep in every evaluation of the first block, as what lies before a block does; a clip
has no context, so there it is at timestep 0. As in stream.py, nothing is cached.
"""

import sys

import torch

from common import GOLDEN, frames, save
from stream import BLOCKS, HEIGHT, NEGATIVE, PROMPT, ROOT, SORA, WIDTH

sys.path.insert(0, str(ROOT / "models"))

import export  # noqa: E402
import sampler  # noqa: E402
import tokenizer  # noqa: E402

CLIP = dict(SORA, block_latents=3, window_latents=3, context_timestep=0)    # bidirectional: one block


def encode(vae):
    """The picture's normalised latent (1, C, 1, h, w)."""
    picture = frames(1, HEIGHT, WIDTH).permute(0, 3, 1, 2)[None] / 255
    return vae.normalise(vae.encode_video(picture)).transpose(1, 2)


def run(transformer, texts, given, noise, sora):
    """Clean latents (1, C, n, h, w), the first of them as given."""
    clean, block = noise[:, :, :0], sora["block_latents"]
    for start in range(0, noise.shape[2], block):
        rest = noise[:, :, start + given.shape[2]:start + block]
        clean = torch.cat([clean, given], 2)
        timesteps = [float(sora["context_timestep"])] * clean.shape[2]
        x = sampler.denoise_block(transformer, clean, timesteps, rest, *texts, sora, noise.shape[3] * noise.shape[4] // 4)
        clean, given = torch.cat([clean, x], 2), given[:, :, :0]
    return clean


@torch.no_grad()
def main():
    torch.manual_seed(11)
    directory = GOLDEN / "tiny-model"
    parts, _ = export.load(directory)
    words = tokenizer.Tokenizer(directory / "tokenizer")
    texts = [sampler.encode_texts(parts["text_encoder"], words, [text], SORA["text_length"]) for text in (PROMPT, NEGATIVE)]
    image, size = encode(parts["vae"]), (HEIGHT // 16, WIDTH // 16)
    noise = {"": torch.randn(1, 4, BLOCKS * SORA["block_latents"], *size), "clip_": torch.randn(1, 4, CLIP["block_latents"], *size)}
    numbers = {"image": image[0]}
    for name, sora in (("", SORA), ("clip_", CLIP)):
        numbers[name + "noise"] = noise[name][0]
        numbers[name + "latents"] = run(parts["transformer"], texts, image, noise[name], sora)[0]
    save("stream-image", numbers)


if __name__ == "__main__":
    main()
