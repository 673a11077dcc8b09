# SPDX-License-Identifier: LGPL-2.1-or-later
"""Makes tests/golden/transformer.safetensors, and transformer-embedded.safetensors for the model directory named on the
command line, with diffusers' WanTransformer3DModel.

The causal numbers come from one pass without any cache over the clean blocks, followed by the noisy ones, under a banded
block-causal mask: a clean block, at the context timestep, sees itself and the clean blocks before it that the window holds,
which is what a pass that fills the cache sees; a noisy block sees itself and the same clean blocks. Both copies of a latent
frame have the same place in time. Rotations only depend on the difference of two places, so a window that moves gives the
same numbers.

With a sink places differ, so the numbers with one come from a cache of un-rotated keys, made here in the plainest way."""

import json
import sys
from pathlib import Path

import torch
from diffusers import WanTransformer3DModel
from diffusers.models.transformers.transformer_wan import WanAttnProcessor

from common import fingerprint, randomise, save, uniform

CONFIG = {"in_channels": 4, "out_channels": 6, "patch_size": (1, 2, 2), "num_attention_heads": 2, "attention_head_dim": 24,
          "num_layers": 2, "ffn_dim": 72, "text_dim": 20, "freq_dim": 32}
TIMESTEPS = [50.0, 700.0, 312.5, 1000.0]    # the first: of the context
SIZE = (4, 6)       # height, width of the random model's latents
FRAMES = 3          # of the bidirectional passes
N_TOKENS = (5, 1)   # of the two branches' prompts
TEXT_LENGTH = 8
BLOCK, WINDOW, BLOCKS = 2, 6, 6     # latent frames, latent frames, blocks: three beyond the window
SINK_BLOCKS, RENEWED = 9, 4         # with a sink of one block: blocks; before which of them the prompt changes, and the sink is to be renewed
EMBEDDED_STRIDE = 97  # every so many of the embedded model's numbers are kept
SCALE = 1.75        # of uniform inputs, for a variance near 1


def latents(seed, frames, size, channels):
    """As the engine has them, [frames, height, width, channels], and as diffusers does, [1, channels, frames, height, width]."""
    return uniform(seed, (frames, *size, channels), SCALE).permute(3, 0, 1, 2)[None]


def texts(n_tokens, length, text_dim):
    """The prompts of all branches, padded with zero rows."""
    rows = torch.zeros(len(n_tokens), length, text_dim)
    for i, n in enumerate(n_tokens):
        rows[i, :n] = uniform(100 + i, (n, text_dim), SCALE)
    return rows


def evaluate(model, x, timesteps, text):
    """x: [1, channels, frames, height, width]; timesteps: one a frame; to [branches, frames, height, width, channels]."""
    patch = model.config.patch_size
    tokens = (x.shape[3] // patch[1]) * (x.shape[4] // patch[2])
    timestep = torch.tensor(timesteps).repeat_interleave(tokens)[None].expand(len(text), -1)
    y = model(x.expand(len(text), -1, -1, -1, -1), timestep, text, return_dict=False)[0]
    return y.permute(0, 2, 3, 4, 1)


class MaskedProcessor(WanAttnProcessor):
    """Self-attention under a mask; cross-attention as it was."""

    def __init__(self, mask):
        super().__init__()
        self.mask = mask

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, attention_mask=None, rotary_emb=None):
        mask = self.mask if encoder_hidden_states is None else None
        return super().__call__(attn, hidden_states, encoder_hidden_states, mask, rotary_emb)


def causal_mask(frames, tokens, block, window):
    """[2 frames · tokens]²: clean latents, then noisy ones; a query's row is true where it sees."""
    latent = torch.arange(frames).repeat_interleave(tokens)
    start = latent // block * block     # of the block that a latent is in
    past = (latent[None] < start[:, None]) & (latent[None] >= start[:, None] - (window - block))
    own = start[None] == start[:, None]
    none = torch.zeros_like(own)
    return torch.cat([torch.cat([past | own, none], 1), torch.cat([past, own], 1)])


def evaluate_causal(model, clean, noisy, timesteps, text, block, window):
    """timesteps: of the context, and of the latents of a noisy block. To the outputs of the clean and the noisy latents."""
    frames, patch = clean.shape[2], model.config.patch_size
    tokens = (clean.shape[3] // patch[1]) * (clean.shape[4] // patch[2])
    rope, processor = type(model.rope).forward, MaskedProcessor(causal_mask(frames, tokens, block, window))
    model.set_attn_processor(processor)
    model.rope.forward = lambda x: tuple(torch.cat([t, t], 1) for t in rope(model.rope, x[:, :, :frames]))
    every = [timesteps[0]] * frames + list(timesteps[1:]) * (frames // block)
    y = evaluate(model, torch.cat([clean, noisy], 2), every, text)
    del model.rope.forward
    model.set_attn_processor(WanAttnProcessor())
    return y.split(frames, 1)


class CachedProcessor(WanAttnProcessor):
    """Self-attention that sees `seen`, a list of (keys, values), and its own rows; cross-attention as it was."""

    def __init__(self):
        super().__init__()
        self.seen, self.own = [], None

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, attention_mask=None, rotary_emb=None):
        if encoder_hidden_states is not None:
            return super().__call__(attn, hidden_states, encoder_hidden_states, attention_mask, rotary_emb)
        self.own = attn.norm_k(attn.to_k(hidden_states)), attn.to_v(hidden_states)
        keys, values = (torch.cat(rows, 1).unflatten(2, (attn.heads, -1)) for rows in zip(*self.seen, self.own))
        queries = attn.norm_q(attn.to_q(hidden_states)).unflatten(2, (attn.heads, -1))
        end, first = keys.shape[1], keys.shape[1] - queries.shape[1]
        queries, keys = rotate(queries, rotary_emb, first, end), rotate(keys, rotary_emb, 0, end)
        y = torch.nn.functional.scaled_dot_product_attention(*(t.transpose(1, 2) for t in (queries, keys, values)))
        return attn.to_out[0](y.transpose(1, 2).flatten(2))


def rotate(x, tables, first, end):
    """Neighbouring pairs of x [batch, rows, heads, head_dim] by rows @first to @end of diffusers' tables, which have every number twice."""
    cos, sin = (t[:, first:end, :, ::2] for t in tables)
    a, b = x.unflatten(-1, (-1, 2)).unbind(-1)
    return torch.stack([a * cos - b * sin, a * sin + b * cos], -1).flatten(-2)


def evaluate_sink(model, clean, noisy, timesteps, text, block, window, alone, renewed):
    """As evaluate_causal(), with a sink of one block; alone: a clean block sees itself only."""
    rope = type(model.rope).forward
    processors = [CachedProcessor() for _ in model.blocks]
    for layer, processor in zip(model.blocks, processors):
        layer.attn1.set_processor(processor)
    model.rope.forward = lambda x: rope(model.rope, x.new_zeros(*x.shape[:2], window, *x.shape[3:]))
    cache, renewals, outputs = [], 0, ([], [])
    for index, blocks in enumerate(zip(clean.split(block, 2), noisy.split(block, 2))):
        if index == renewed:
            cache, renewals = cache[1:], 2
        for output, x, times, seen in zip(outputs, blocks, ([timesteps[0]] * block, timesteps[1:]), ([] if alone else cache, cache)):
            for i, processor in enumerate(processors):
                processor.seen = [layers[i] for layers in seen]
            output.append(evaluate(model, x, times, text))
            if output is outputs[0]:
                new = [processor.own for processor in processors]
        if renewals:
            cache, renewals = [new], renewals - 1
        else:
            cache = [*cache, new] if (len(cache) + 2) * block <= window else [cache[0], *cache[2:], new]
    del model.rope.forward
    model.set_attn_processor(WanAttnProcessor())
    return [torch.stack(y) for y in outputs]


def by_block(y, block):
    """[branches, frames, ...] to [blocks, branches, block, ...]"""
    return y.unflatten(1, (-1, block)).transpose(0, 1)


def draw_model():
    return randomise(WanTransformer3DModel(**CONFIG), 2)


def random_model():
    model = draw_model()
    channels = CONFIG["in_channels"]
    text = texts(N_TOKENS, TEXT_LENGTH, CONFIG["text_dim"])
    x = latents(1, FRAMES, SIZE, channels)
    config = [v for k, v in CONFIG.items() if k != "patch_size"] + list(CONFIG["patch_size"])
    numbers = {"config": torch.tensor(config), "whole": evaluate(model, x, TIMESTEPS[1:], text)}
    full = texts(N_TOKENS[:1], N_TOKENS[0], CONFIG["text_dim"])
    numbers["whole.unpadded"] = evaluate(model, x, TIMESTEPS[1:], full)
    for name, change in (("block", {"num_layers": 1}), ("plain", {"cross_attn_norm": False})):
        other = WanTransformer3DModel(**(CONFIG | change)).eval()
        other.load_state_dict({k: v for k, v in model.state_dict().items() if k in other.state_dict()})
        numbers[name] = evaluate(other, x, TIMESTEPS[1:], text)
    frames = BLOCK * BLOCKS
    clean, noisy = (latents(seed, frames, SIZE, channels) for seed in (2, 3))
    y = evaluate_causal(model, clean, noisy, TIMESTEPS[:3], text, BLOCK, WINDOW)
    numbers |= {"causal.clean": by_block(y[0], BLOCK), "causal.noisy": by_block(y[1], BLOCK)}
    frames = BLOCK * SINK_BLOCKS
    clean, noisy = (latents(seed, frames, SIZE, channels) for seed in (2, 3))
    for name, alone in (("sink", False), ("alone", True)):
        y = evaluate_sink(model, clean, noisy, TIMESTEPS[:3], text, BLOCK, WINDOW, alone, RENEWED)
        numbers |= {f"{name}.clean": y[0], f"{name}.noisy": y[1]}
    save("transformer", numbers, model.state_dict())


IMAGE = CONFIG | {"in_channels": 9, "image_dim": 12, "added_kv_proj_dim": 48}
CONDITION = 5       # of the 9 channels
IMAGE_TOKENS = 7
ROWS = 512          # of text, which diffusers takes for granted where there is an image


def image_model():
    """Given a condition with the latents, and the embeddings of an image with the text's; and of two, which have places of their own."""
    x = torch.cat([latents(1, FRAMES, SIZE, IMAGE["in_channels"] - CONDITION), latents(4, FRAMES, SIZE, CONDITION)], 1)
    text = texts(N_TOKENS, ROWS, IMAGE["text_dim"])
    images = uniform(5, (2, IMAGE_TOKENS, IMAGE["image_dim"]), SCALE)
    model = randomise(WanTransformer3DModel(**IMAGE, pos_embed_seq_len=2 * IMAGE_TOKENS), 6)
    single = WanTransformer3DModel(**IMAGE).eval()
    single.load_state_dict({k: v for k, v in model.state_dict().items() if k in single.state_dict()})
    numbers = {}
    for name, network, rows in (("whole", single, images[:1]), ("pair", model, images)):
        repeated = rows.repeat(len(text), 1, 1)
        network.register_forward_pre_hook(lambda module, args, kwargs, rows=repeated: (args, kwargs | {"encoder_hidden_states_image": rows}),
                                          with_kwargs=True)
        numbers[name] = evaluate(network, x, TIMESTEPS[1:], text)
    config = [v for k, v in IMAGE.items() if k != "patch_size"] + list(IMAGE["patch_size"])
    save("transformer-image", {"config": torch.tensor(config)} | numbers, model.state_dict())


def embedded_model(directory):
    model = WanTransformer3DModel.from_pretrained(directory, torch_dtype=torch.float32).eval()
    sora = json.loads((directory.parent / "sora.json").read_text())
    vae = json.loads((directory.parent / "vae" / "config.json").read_text())
    width, height = (n // (vae["patch_size"] * 2 ** sum(vae["decoder_space_upscale"])) for n in sora["sizes"][0])
    block, window = sora["block_latents"], sora["window_latents"]
    frames = window + 2 * block
    clean, noisy = (latents(seed, frames, (height, width), model.config.in_channels) for seed in (2, 3))
    timesteps = [float(sora["context_timestep"])] + (TIMESTEPS[1:] * block)[:block]
    text = texts(N_TOKENS, sora["text_length"], model.config.text_dim)
    y = evaluate_causal(model, clean, noisy, timesteps, text, block, window)
    outputs = {name: by_block(v, block).flatten(1)[:, ::EMBEDDED_STRIDE] for name, v in zip(("clean", "noisy"), y)}
    save("transformer-embedded", {
        "fingerprint": fingerprint(directory / "diffusion_pytorch_model.safetensors"),
        "shape": torch.tensor([block, window, height, width, sora["text_length"]]), "timesteps": torch.tensor(timesteps),
        "causal.clean": outputs["clean"], "causal.noisy": outputs["noisy"]})


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    random_model()
    image_model()
    if len(sys.argv) > 1:
        embedded_model(Path(sys.argv[1]) / "transformer")
