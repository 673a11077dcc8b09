# SPDX-License-Identifier: LGPL-2.1-or-later
"""A model of Wan 2.1 T2V 1.3B's true size with random weights, in the files that ComfyUI, stable-diffusion.cpp, diffusers and `sora` all read,
and what diffusers and transformers make of it, to compare with what `sora generate` made: that nothing is off at that size which small
models do not show. scripts/bench-peers takes its times with the same files.

    full_size.py make DIRECTORY             writes the model, 9.1 GB
    full_size.py reference DIRECTORY        writes what the public packages make of PROMPT
    full_size.py compare DIRECTORY TENSORS  compares that with TENSORS, what --save-tensors wrote

The README has the whole command. The references compute in single precision with the weights as the files have them, the text encoder layer
by layer, as all of it at once would take 22 GB."""

import shutil
import sys
import time
from pathlib import Path

import numpy
import sentencepiece
import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from gguf import GGMLQuantizationType, GGUFReader, GGUFWriter, dequantize
from safetensors.torch import load_file, save_file
from transformers import UMT5Config
from transformers.models.umt5.modeling_umt5 import UMT5Block, UMT5LayerNorm

from common import GOLDEN
from scheduler import make as make_scheduler
from wan_vae import original_name

TRANSFORMER = {"in_channels": 16, "out_channels": 16, "patch_size": (1, 2, 2), "num_attention_heads": 12, "attention_head_dim": 128,
               "num_layers": 30, "ffn_dim": 8960, "text_dim": 4096, "freq_dim": 256}
LAYERS, D_MODEL, D_KV, D_FF, HEADS, BUCKETS, VOCABULARY = 24, 4096, 64, 10240, 64, 32, 256384
# As ComfyUI has them; diffusers takes the configurations of single files from the folders named last.
TRANSFORMER_FILE = "diffusion_models/wan2.1_t2v_1.3B_random_bf16.safetensors"
ENCODER_FILE, TOKENIZER_FILE = "text_encoders/umt5-xxl-encoder-random-Q8_0.gguf", "text_encoders/spiece.model"
VAE_FILE = "vae/wan_2.1_vae_random.safetensors"
TRANSFORMER_CONFIG, VAE_CONFIG = "configs/transformer", "configs/vae"
NOISE, REFERENCE = "noise.safetensors", "reference.safetensors"
LATENTS = (16, 3, 32, 32)       # 9 frames of 256x256
PROMPT, TEXT_LENGTH, STEPS, SHIFT = "a red ball bounces", 512, 2, 3.0

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

# A transformer's names in diffusers, and what they are in Wan's files, in this order: norm2 and norm3 change places.
WANS = [("condition_embedder.text_embedder.linear_1", "text_embedding.0"), ("condition_embedder.text_embedder.linear_2", "text_embedding.2"),
        ("condition_embedder.time_embedder.linear_1", "time_embedding.0"), ("condition_embedder.time_embedder.linear_2", "time_embedding.2"),
        ("condition_embedder.time_proj", "time_projection.1"), ("proj_out", "head.head"), ("attn1.", "self_attn."), ("attn2.", "cross_attn."),
        (".to_q", ".q"), (".to_k", ".k"), (".to_v", ".v"), (".to_out.0", ".o"), (".norm2.", ".norm3."), ("ffn.net.0.proj", "ffn.0"),
        ("ffn.net.2", "ffn.2"), (".scale_shift_table", ".modulation")]


def wans_name(name):
    if name == "scale_shift_table":
        return "head.modulation"
    for new, old in WANS:
        name = name.replace(new, old)
    return name


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
    tensors = {t.name: t for t in GGUFReader(directory / ENCODER_FILE).tensors}

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


def make_part(model, rename, path, config, dtype, seed):
    """The weights of a diffusers model on the meta device, drawn one after the other, under Wan's names, and its configuration"""
    generator = torch.Generator().manual_seed(seed)
    state = {rename(name): draw(name, p.shape, generator).to(dtype) for name, p in sorted(model.state_dict().items())}
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(state, path)
    model.save_config(config)


def make(directory):
    (directory / "text_encoders").mkdir(parents=True, exist_ok=True)
    shutil.copy(GOLDEN / "tiny-model" / "tokenizer" / "spiece.model", directory / TOKENIZER_FILE)
    make_encoder(directory / ENCODER_FILE)
    with torch.device("meta"):
        transformer, vae = WanTransformer3DModel(**TRANSFORMER), AutoencoderKLWan()
    make_part(transformer, wans_name, directory / TRANSFORMER_FILE, directory / TRANSFORMER_CONFIG, torch.bfloat16, 2)
    make_part(vae, lambda name: original_name(name, vae.config), directory / VAE_FILE, directory / VAE_CONFIG, torch.bfloat16, 3)
    noise = torch.randn(LATENTS, generator=torch.Generator().manual_seed(4))
    save_file({"noise": noise}, directory / NOISE)


def load_transformer(directory, dtype):
    return WanTransformer3DModel.from_single_file(str(directory / TRANSFORMER_FILE), config=str(directory / TRANSFORMER_CONFIG),
                                                  torch_dtype=dtype).eval()


def load_vae(directory, dtype):
    return AutoencoderKLWan.from_single_file(str(directory / VAE_FILE), config=str(directory / VAE_CONFIG), torch_dtype=dtype).eval()


def denoise(directory, text):
    """The clean latents after STEPS of Euler's method without guidance; text: [tokens, text_dim]"""
    model = load_transformer(directory, torch.float32)
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
    """The largest error, of the reference's rms"""
    error = (ours - theirs).abs().max() / theirs.square().mean().sqrt()
    cosine = torch.nn.functional.cosine_similarity(ours.flatten().double(), theirs.flatten().double(), 0)
    print(f"{what}: rms {theirs.square().mean().sqrt():.3f}, largest error {error:.2e} of it, cosine {cosine:.9f}", flush=True)
    return error.item()


def reference(directory):
    """What the public packages make of the prompt and the noise"""
    words = sentencepiece.SentencePieceProcessor(model_file=str(directory / TOKENIZER_FILE))
    start = time.monotonic()
    text = encode(directory, words.encode(PROMPT) + [words.eos_id()])
    print(f"  transformers' text encoder: {time.monotonic() - start:.1f} s", flush=True)
    save_file({"text_embeddings": text, "latents": denoise(directory, text)}, directory / REFERENCE)


def compare(directory, path):
    """Both sides add in single precision in other orders. Of 24 and 30 layers 1e-3 is left at most; a mistake gives 1."""
    ours, theirs = load_file(path), load_file(directory / REFERENCE)
    return 0 if max(report(name, ours[name], theirs[name]) for name in theirs) < 1e-3 else 1


def main():
    torch.set_num_threads(1)
    commands = {"make": make, "reference": reference, "compare": compare}
    if len(sys.argv) < 3 or sys.argv[1] not in commands:
        sys.exit(__doc__)
    with torch.no_grad():
        return commands[sys.argv[1]](*map(Path, sys.argv[2:]))


if __name__ == "__main__":
    sys.exit(main())
