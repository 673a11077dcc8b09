# SPDX-License-Identifier: LGPL-2.1-or-later
"""Random models of Wan 2.1 T2V 1.3B's size for scripts/bench-peers: peers_models.py FOLDER [--small]

    FOLDER/diffusers                        in diffusers' layout, with Wan's own VAE
    FOLDER/comfyui                          the same transformer and text encoder as ComfyUI has them, with a TAEHV

How long a model takes does not depend on its numbers. 17 GB, written tensor by tensor; with --small 40 MB, two layers of everything.
"""
import json
import shutil
import struct
import sys
from pathlib import Path

import torch
from diffusers import AutoencoderKLWan, UniPCMultistepScheduler, WanTransformer3DModel
from transformers import UMT5Config, UMT5EncoderModel

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
TRANSFORMER = {"in_channels": 16, "out_channels": 16, "num_attention_heads": 12, "num_layers": 30, "ffn_dim": 8960, "text_dim": 4096}
SMALL_TRANSFORMER = {**TRANSFORMER, "num_attention_heads": 2, "num_layers": 2, "ffn_dim": 512, "text_dim": 64}
UMT5 = {"vocab_size": 256384, "d_model": 4096, "d_kv": 64, "d_ff": 10240, "num_layers": 24, "num_heads": 64}
SMALL_UMT5 = {**UMT5, "vocab_size": 512, "d_model": 64, "d_kv": 16, "d_ff": 128, "num_layers": 2, "num_heads": 4}
INDEX = {"_class_name": "WanPipeline", "_diffusers_version": "0.35.0", "scheduler": ["diffusers", "UniPCMultistepScheduler"],
         "text_encoder": ["transformers", "UMT5EncoderModel"], "tokenizer": ["transformers", "T5Tokenizer"],
         "transformer": ["diffusers", "WanTransformer3DModel"], "vae": ["diffusers", "AutoencoderKLWan"]}

# From diffusers' names to Wan's, in this order: norm2 and norm3 change places.
WANS = [("condition_embedder.text_embedder.linear_1", "text_embedding.0"), ("condition_embedder.text_embedder.linear_2", "text_embedding.2"),
        ("condition_embedder.time_embedder.linear_1", "time_embedding.0"), ("condition_embedder.time_embedder.linear_2", "time_embedding.2"),
        ("condition_embedder.time_proj", "time_projection.1"), ("proj_out", "head.head"), ("attn1.", "self_attn."), ("attn2.", "cross_attn."),
        (".to_q", ".q"), (".to_k", ".k"), (".to_v", ".v"), (".to_out.0", ".o"), (".norm2.", ".norm3."), ("ffn.net.0.proj", "ffn.0"),
        ("ffn.net.2", "ffn.2"), (".scale_shift_table", ".modulation")]


def wans_name(name):
    if name == "scale_shift_table":
        return "head.modulation"
    for ours, wans in WANS:
        name = name.replace(ours, wans)
    return name


def draw(name, shape, generator):
    """Norms about 1, and else a scale that keeps the variance of what flows through"""
    values = torch.randn(shape, generator=generator)
    if len(shape) < 2:
        return 1 + 0.1 * values if "norm" in name and name.endswith("weight") else 0.1 * values
    return values * shape[1:].numel() ** -0.5


def write(path, shapes, rename=lambda name: name):
    """Safetensors in bfloat16, of which one tensor at a time is in memory; the same numbers under whatever names"""
    path.parent.mkdir(parents=True, exist_ok=True)
    header, offset = {}, 0
    for name, shape in shapes.items():
        header[rename(name)] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [offset, offset + 2 * shape.numel()]}
        offset += 2 * shape.numel()
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    generator = torch.Generator().manual_seed(1)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name, shape in shapes.items():
            file.write(draw(name, shape, generator).to(torch.bfloat16).contiguous().view(torch.int16).numpy().tobytes())


def shapes_of(make):
    """Of a model that has no memory; tensors that are one under two names count once, under the first."""
    with torch.device("meta"):
        model = make()
    shapes, seen = {}, set()
    for name, tensor in model.named_parameters():
        if id(tensor) not in seen:
            seen.add(id(tensor))
            shapes[name] = tensor.shape
    return model, shapes


def link(target, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.symlink_to(target)


def make_diffusers(folder, transformer, umt5, vae):
    model, shapes = shapes_of(lambda: WanTransformer3DModel(**transformer))
    write(folder / "transformer/diffusion_pytorch_model.safetensors", shapes)
    model.save_config(folder / "transformer")
    model, vae_shapes = shapes_of(lambda: AutoencoderKLWan(**vae))
    write(folder / "vae/diffusion_pytorch_model.safetensors", vae_shapes)
    model.save_config(folder / "vae")
    config = UMT5Config(**umt5, feed_forward_proj="gated-gelu", architectures=["UMT5EncoderModel"])
    _, encoder_shapes = shapes_of(lambda: UMT5EncoderModel(config))
    write(folder / "text_encoder/model.safetensors", encoder_shapes)
    config.save_pretrained(folder / "text_encoder")
    UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0).save_pretrained(folder / "scheduler")
    shutil.copytree(GOLDEN / "tiny-model/tokenizer", folder / "tokenizer", dirs_exist_ok=True)
    (folder / "model_index.json").write_text(json.dumps(INDEX))
    return shapes


def make_comfyui(folder, diffusers, shapes):
    write(folder / "diffusion_models/wan2.1_t2v_random_bf16.safetensors", shapes, wans_name)
    link(diffusers.resolve() / "text_encoder/model.safetensors", folder / "text_encoders/umt5_xxl_random_bf16.safetensors")
    link(diffusers.resolve() / "tokenizer/spiece.model", folder / "text_encoders/spiece.model")
    public = json.loads((GOLDEN / "vae-public.json").read_text())["tensors"]
    write(folder / "vae_approx/taew2_1_random.safetensors", {name: torch.Size(shape) for name, shape in public.items()})


def main():
    arguments = [argument for argument in sys.argv[1:] if argument != "--small"]
    if len(arguments) != 1:
        sys.exit(__doc__)
    small, folder = "--small" in sys.argv, Path(arguments[0])
    sizes = (SMALL_TRANSFORMER, SMALL_UMT5, {"base_dim": 16}) if small else (TRANSFORMER, UMT5, {})
    shapes = make_diffusers(folder / "diffusers", *sizes)
    make_comfyui(folder / "comfyui", folder / "diffusers", shapes)


if __name__ == "__main__":
    main()
