# SPDX-License-Identifier: LGPL-2.1-or-later
"""Makes tests/golden/wan-causal (.json: configuration and shapes; .safetensors: numbers): a stream of a small Wan that is taken for one
distilled to four steps, block after block, as Self-Forcing's checkpoints are.

The network is the class in models/, without any cache, as in stream.py: for every evaluation the clean past, at timestep 0, and the noisy block
go through it in one pass under the banded block-causal mask. Between the steps the estimate gets fresh noise, which is the engine's own. Weights
are drawn as those of pipelines.py are."""

import sys

import torch

import philox
from common import GOLDEN, SEED, draw_weights, save, write_shapes
from stream import PROMPT, ROOT

sys.path.insert(0, str(ROOT / "models"))

import export  # noqa: E402
import sampler  # noqa: E402
import tokenizer  # noqa: E402
import transformer  # noqa: E402

CONFIG = {"num_attention_heads": 1, "attention_head_dim": 128, "in_channels": 4, "out_channels": 4, "text_dim": 24, "freq_dim": 32,
          "ffn_dim": 64, "num_layers": 2}
BLOCK, WINDOW, BLOCKS, ROWS = 3, 21, 9, 512
SIZE = (4, 6)       # height, width of a latent
STEPS = (1000, 750, 500, 250)   # as Self-Forcing's configurations have them
STREAM_SEED = 42


def warp(timestep):
    """Self-Forcing's warp_denoising_step: the sigma that a schedule of 1000 steps with a shift of 5 has at this timestep."""
    u = timestep / 1000
    return 5 * u / (1 + 4 * u)


def fresh_noise(block, step):
    """What sora_noise_fill () gives behind step number `step` of a block: (1, C, BLOCK, h, w)."""
    return philox.normal(STREAM_SEED, block, 1 + step, (1, CONFIG["in_channels"], BLOCK, *SIZE))


def denoise(model, past, x, text, block):
    mask = transformer.block_causal_mask(past.shape[2] + BLOCK, SIZE[0] * SIZE[1] // 4, BLOCK, WINDOW)
    sigmas = [warp(t) for t in STEPS] + [0]
    for i, (now, later) in enumerate(zip(sigmas, sigmas[1:])):
        timestep = torch.zeros(1, past.shape[2] + BLOCK)
        timestep[:, past.shape[2]:] = 1000 * now
        v = model(torch.cat([past, x], 2), timestep, text, mask)[:, :, past.shape[2]:]
        clean = x - now * v
        x = (1 - later) * clean + (later * fresh_noise(block, i) if later else 0)
    return x


@torch.no_grad()
def main():
    torch.set_num_threads(1)
    torch.manual_seed(17)
    model = draw_weights(transformer.WanTransformer(CONFIG), SEED)
    write_shapes("wan-causal", model, {"_class_name": "WanTransformer3DModel"} | CONFIG)
    directory = GOLDEN / "tiny-model"
    parts, _ = export.load(directory)
    text = sampler.encode_texts(parts["text_encoder"], tokenizer.Tokenizer(directory / "tokenizer"), [PROMPT], ROWS)
    noise = torch.randn(1, CONFIG["in_channels"], BLOCKS * BLOCK, *SIZE)
    latents = noise[:, :, :0]
    for block in range(BLOCKS):
        x = noise[:, :, block * BLOCK:(block + 1) * BLOCK]
        latents = torch.cat([latents, denoise(model, latents, x, text, block)], 2)
    save("wan-causal", {"noise": noise[0], "latents": latents[0]})


if __name__ == "__main__":
    main()
