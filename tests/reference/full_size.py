# SPDX-License-Identifier: LGPL-2.1-or-later
"""A model of Wan 2.1 T2V 1.3B's true size with random weights, and what diffusers and transformers make of it, to compare with what
`sora generate` made: memory and time at that size, and that nothing is off there which small models do not show.

    full_size.py make DIRECTORY             writes the model, 9.5 GB
    full_size.py compare DIRECTORY TENSORS  compares with TENSORS, what --save-tensors wrote

The README has the whole command. The references compute in single precision with the weights as the files have them, the text encoder layer
by layer, as all of it at once would take 22 GB."""

import json
import shutil
import sys
import time
from pathlib import Path

import numpy
import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from gguf import GGMLQuantizationType, GGUFReader, GGUFWriter, dequantize
from safetensors.torch import load_file, save_file
from transformers import UMT5Config
from transformers.models.umt5.modeling_umt5 import UMT5Block, UMT5LayerNorm

from common import GOLDEN
from scheduler import make as make_scheduler

TRANSFORMER = {"in_channels": 16, "out_channels": 16, "patch_size": (1, 2, 2), "num_attention_heads": 12, "attention_head_dim": 128,
               "num_layers": 30, "ffn_dim": 8960, "text_dim": 4096, "freq_dim": 256}
LAYERS, D_MODEL, D_KV, D_FF, HEADS, BUCKETS, VOCABULARY = 24, 4096, 64, 10240, 64, 32, 256384
ENCODER = "text_encoder/umt5-xxl-encoder-Q8_0.gguf"
NOISE = "noise.safetensors"
LATENTS = (16, 3, 32, 32)       # 9 frames of 256x256
TEXT_LENGTH, STEPS, SHIFT = 512, 2, 3.0

# A layer's matrices: name in GGUF, name in transformers, rows, columns, and the scale at which T5 begins (activations then stay near 1)
MATRICES = [
    ("attn_q", "layer.0.SelfAttention.q", HEADS * D_KV, D_MODEL, (D_MODEL * D_KV) ** -0.5),
    ("attn_k", "layer.0.SelfAttention.k", HEADS * D_KV, D_MODEL, D_MODEL ** -0.5),
    ("attn_v", "layer.0.SelfAttention.v", HEADS * D_KV, D_MODEL, D_MODEL ** -0.5),
    ("attn_o", "layer.0.SelfAttention.o", D_MODEL, HEADS * D_KV, (HEADS * D_KV) ** -0.5),
    ("ffn_gate", "layer.1.DenseReluDense.wi_0", D_FF, D_MODEL, D_MODEL ** -0.5),
    ("ffn_up", "layer.1.DenseReluDense.wi_1", D_FF, D_MODEL, D_MODEL ** -0.5),
    ("ffn_down", "layer.1.DenseReluDense.wo", D_MODEL, D_FF, D_FF ** -0.5),
]
NORMS = [("attn_norm", "layer.0.layer_norm"), ("ffn_norm", "layer.1.layer_norm")]


# The text encoder, tensor by tensor

def draw_blocks(random, rows, columns, std):
    """Q8_0 of uniform numbers: [rows, columns / 32 * 34] bytes"""
    blocks = random.integers(-127, 128, (rows, columns // 32, 34), dtype=numpy.int8).view(numpy.uint8)
    scales = (std * 3 ** 0.5 / 127 * random.uniform(0.8, 1.2, (rows, columns // 32))).astype(numpy.float16)
    blocks[:, :, :2] = scales[..., None].view(numpy.uint8)
    return blocks.reshape(rows, -1)


def encoder_tensors():
    """Name, shape, and the scale of matrices in Q8_0 or None of what is in F32"""
    yield "token_embd.weight", (VOCABULARY, D_MODEL), 1.0
    for i in range(LAYERS):
        for name, _, rows, columns, std in MATRICES:
            yield f"enc.blk.{i}.{name}.weight", (rows, columns), std
        for name, _ in NORMS:
            yield f"enc.blk.{i}.{name}.weight", (D_MODEL,), None
        yield f"enc.blk.{i}.attn_rel_b.weight", (BUCKETS, HEADS), None
    yield "enc.output_norm.weight", (D_MODEL,), None


def make_encoder(path):
    random = numpy.random.default_rng(1)
    writer = GGUFWriter(path, "t5encoder")
    for name, shape, std in encoder_tensors():
        if std is None:
            writer.add_tensor_info(name, shape, numpy.dtype(numpy.float32), 4 * int(numpy.prod(shape)))
        else:
            size = (shape[0], shape[1] // 32 * 34)
            writer.add_tensor_info(name, size, numpy.dtype(numpy.uint8), size[0] * size[1], GGMLQuantizationType.Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for name, shape, std in encoder_tensors():
        if std is None:
            data = random.normal(0 if "rel_b" in name else 1, 0.5 if "rel_b" in name else 0.1, shape).astype(numpy.float32)
        else:
            data = draw_blocks(random, *shape, std)
        writer.write_tensor_data(data)
    writer.close()


def encode(directory, tokens):
    """[tokens, d_model] by transformers, one layer in memory at a time"""
    config = UMT5Config(d_model=D_MODEL, d_kv=D_KV, d_ff=D_FF, num_heads=HEADS, num_layers=LAYERS, vocab_size=VOCABULARY,
                        feed_forward_proj="gated-gelu", dropout_rate=0.0)
    config._attn_implementation = "eager"
    tensors = {t.name: t for t in GGUFReader(directory / ENCODER).tensors}

    def read(name, rows=slice(None)):
        t = tensors[name]
        return torch.from_numpy(dequantize(t.data[rows], t.tensor_type).astype(numpy.float32))

    x = read("token_embd.weight", tokens)[None]
    with torch.device("meta"):
        block = UMT5Block(config, layer_idx=0).eval()
    for i in range(LAYERS):
        state = {f"{theirs}.weight": read(f"enc.blk.{i}.{name}.weight") for name, theirs, *_ in MATRICES}
        state |= {f"{theirs}.weight": read(f"enc.blk.{i}.{name}.weight") for name, theirs in NORMS}
        state["layer.0.SelfAttention.relative_attention_bias.weight"] = read(f"enc.blk.{i}.attn_rel_b.weight")
        block.load_state_dict(state, assign=True)
        x = block(x)
        x = x[0] if isinstance(x, tuple) else x
    norm = UMT5LayerNorm(D_MODEL, eps=config.layer_norm_epsilon)
    norm.weight.data = read("enc.output_norm.weight")
    return norm(x)[0]


# The rest

def draw(name, shape, generator):
    """A scale that keeps the variance of what flows through; norms about 1, biases small."""
    values = torch.rand(shape, generator=generator) * 2 - 1
    if name.endswith(("gamma", "norm_q.weight", "norm_k.weight", "norm2.weight")):
        return 1 + 0.3 * values
    if name.endswith("bias"):
        return 0.1 * values
    if name.endswith("scale_shift_table"):
        return 0.7 * values
    return values * (3 / numpy.prod(shape[1:])) ** 0.5


def make_part(model, directory, dtype, seed):
    """The weights of a diffusers model on the meta device, drawn one after the other, and its configuration"""
    generator = torch.Generator().manual_seed(seed)
    state = {name: draw(name, p.shape, generator).to(dtype) for name, p in sorted(model.state_dict().items())}
    directory.mkdir(parents=True, exist_ok=True)
    save_file(state, directory / "diffusion_pytorch_model.safetensors")
    model.save_config(directory)


def make(directory):
    (directory / "text_encoder").mkdir(parents=True, exist_ok=True)
    (directory / "model_index.json").write_text(json.dumps({"_class_name": "WanPipeline"}))
    (directory / "scheduler").mkdir(exist_ok=True)
    (directory / "scheduler" / "scheduler_config.json").write_text(
        json.dumps({"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": SHIFT}))
    shutil.copytree(GOLDEN / "tiny-model" / "tokenizer", directory / "tokenizer", dirs_exist_ok=True)
    make_encoder(directory / ENCODER)
    with torch.device("meta"):
        transformer, vae = WanTransformer3DModel(**TRANSFORMER), AutoencoderKLWan()
    make_part(transformer, directory / "transformer", torch.bfloat16, 2)
    make_part(vae, directory / "vae", torch.float32, 3)
    noise = torch.randn(LATENTS, generator=torch.Generator().manual_seed(4))
    save_file({"noise": noise}, directory / NOISE)


def denoise(directory, text):
    """The clean latents after STEPS of Euler's method without guidance; text: [tokens, text_dim]"""
    model = WanTransformer3DModel.from_pretrained(directory / "transformer", torch_dtype=torch.float32).eval()
    rows = torch.zeros(1, TEXT_LENGTH, text.shape[1])
    rows[0, :len(text)] = text
    scheduler = make_scheduler("euler", "flow", STEPS, SHIFT)
    x = load_file(directory / NOISE)["noise"][None]
    for t in scheduler.timesteps:
        start = time.monotonic()
        v = model(x, t[None], rows, return_dict=False)[0]
        print(f"  a step of diffusers' transformer: {time.monotonic() - start:.1f} s", flush=True)
        x = scheduler.step(v, t, x, return_dict=False)[0]
    return x[0]


def report(what, ours, theirs):
    error = (ours - theirs).abs().max() / theirs.square().mean().sqrt()
    cosine = torch.nn.functional.cosine_similarity(ours.flatten().double(), theirs.flatten().double(), 0)
    print(f"{what}: rms {theirs.square().mean().sqrt():.3f}, largest error {error:.2e} of it, cosine {cosine:.9f}", flush=True)
    return error.item()


def compare(directory, path):
    """Both sides add in single precision in other orders. Of 24 and 30 layers 1e-3 is left at most; a mistake gives 1."""
    ours = load_file(path)
    start = time.monotonic()
    text = encode(directory, ours["tokens"].long().tolist())
    print(f"  transformers' text encoder: {time.monotonic() - start:.1f} s", flush=True)
    errors = [report("text embeddings", ours["text_embeddings"], text)]
    # from our embeddings, so that what the transformer adds is seen alone
    errors.append(report("latents", ours["latents"], denoise(directory, ours["text_embeddings"])))
    return 0 if max(errors) < 1e-3 else 1


def main():
    torch.set_num_threads(1)
    commands = {"make": make, "compare": compare}
    if len(sys.argv) < 3 or sys.argv[1] not in commands:
        sys.exit(__doc__)
    with torch.no_grad():
        return commands[sys.argv[1]](*map(Path, sys.argv[2:]))


if __name__ == "__main__":
    sys.exit(main())
