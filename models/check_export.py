# SPDX-License-Identifier: LGPL-2.1-or-later
"""Shows that diffusers and transformers load an exported model unchanged and give our numbers."""

import sys
from pathlib import Path

import torch
from diffusers import FlowMatchEulerDiscreteScheduler, WanTransformer3DModel
from transformers import T5Tokenizer, UMT5EncoderModel

import export
import tokenizer

TEXTS = ["a red balloon flies up over a city", "A CAT bounces slowly in a meadow, the camera pans left", "", "zebras é & 7"]


def compare(name, ours, theirs, limit=2e-4):
    """Largest difference over the reference's RMS; fp32 sums in another order stay far below the limit."""
    error = ((ours - theirs).abs().max() / theirs.pow(2).mean().sqrt()).item()
    print(f"{name}: max |a - b| / RMS = {error:.2e}")
    return error < limit


def check_text(directory, parts):
    words = tokenizer.Tokenizer(directory / "tokenizer")
    theirs = T5Tokenizer.from_pretrained(directory / "tokenizer")
    ids = torch.tensor([words.ids(t, 64) for t in TEXTS])
    other = theirs(TEXTS, padding="max_length", max_length=64, truncation=True, return_tensors="pt")
    same = torch.equal(ids, other.input_ids)
    print("token ids:", "equal" if same else f"differ\n{ids[:, :16]}\n{other.input_ids[:, :16]}")
    encoder = UMT5EncoderModel.from_pretrained(directory / "text_encoder", dtype=torch.float32).eval()
    reference = encoder(ids, attention_mask=(ids != 0).long()).last_hidden_state * (ids != 0)[..., None]
    return compare("text encoder", parts["text_encoder"](ids), reference) and same


def check_transformer(directory, parts):
    reference = WanTransformer3DModel.from_pretrained(directory / "transformer", torch_dtype=torch.float32).eval()
    x, text = torch.randn(2, 32, 3, 16, 16), torch.randn(2, 64, 256)
    time = torch.tensor([[50.0, 400.0, 900.0], [1000.0, 700.0, 20.0]])
    theirs = reference(x, time.repeat_interleave(64, 1), text).sample
    return compare("transformer", parts["transformer"](x, time, text), theirs)


@torch.no_grad()
def main():
    torch.manual_seed(0)
    directory = Path(sys.argv[1])
    parts, _ = export.load(directory)
    FlowMatchEulerDiscreteScheduler.from_pretrained(directory / "scheduler")
    good = [check_text(directory, parts), check_transformer(directory, parts)]
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
