# SPDX-License-Identifier: LGPL-2.1-or-later
"""One stage of tests/reference/full_size.py's model in PyTorch, with diffusers' and transformers' own classes: peers_torch.py STAGE FOLDER WIDTH
HEIGHT FRAMES TOKENS RUNS DTYPE.

Prints a line of JSON: seconds and processor seconds of the quickest of RUNS, and bytes by which the process grew beyond the loaded weights."""

import json
import os
import re
import sys
import time
from pathlib import Path

import torch
from transformers import UMT5Config, UMT5EncoderModel

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "reference"))
import full_size        # noqa: E402: from the folder just named

TEXT_ROWS = 512                 # to which Wan's pipelines pad every prompt
VOCABULARY = 512                # the table of UMT5's 256384 tokens is only looked up in, and would take 2 GB


class Job:
    def __init__(self, folder, width, height, frames, tokens, runs, dtype):
        self.folder = Path(folder)
        self.latents = ((int(frames) - 1) // 4 + 1, int(height) // 8, int(width) // 8)
        self.tokens, self.runs, self.dtype = int(tokens), int(runs), getattr(torch, dtype)


def text_encoder(job):
    """transformers has no 8-bit weights that it computes with; random ones in memory of their own take as long as those of a file."""
    config = UMT5Config(d_model=full_size.D_MODEL, d_kv=full_size.D_KV, d_ff=full_size.D_FF, num_heads=full_size.HEADS,
                        num_layers=full_size.LAYERS, vocab_size=VOCABULARY, feed_forward_proj="gated-gelu")
    with torch.device("meta"):
        model = UMT5EncoderModel(config).to(job.dtype).eval()
    model.to_empty(device="cpu")
    row = (torch.randn(full_size.D_FF) * full_size.D_MODEL ** -0.5).to(job.dtype)
    for weight in model.parameters():
        weight.copy_(row[:weight.shape[-1]])
    ids = torch.arange(TEXT_ROWS)[None] % VOCABULARY
    mask = (torch.arange(TEXT_ROWS) < job.tokens).long()[None]
    return lambda: model(ids, mask).last_hidden_state


def in_memory(model):
    """Files are mapped: what is read of them when it is first used would count as the stage's."""
    for weight in model.parameters():
        weight.data = weight.data.clone()
    return model


def transformer(job):
    model = in_memory(full_size.load_transformer(job.folder, job.dtype))
    latents = torch.randn(1, model.config.in_channels, *job.latents, dtype=job.dtype)
    text = torch.randn(1, TEXT_ROWS, model.config.text_dim, dtype=job.dtype)
    return lambda: model(latents, torch.tensor([500]), text, return_dict=False)


def vae_decoder(job):
    model = in_memory(full_size.load_vae(job.folder, job.dtype))
    latents = torch.randn(1, model.config.z_dim, *job.latents, dtype=job.dtype)
    return lambda: model.decode(latents, return_dict=False)


def resident(key):
    """VmRSS: bytes in memory; VmHWM: the most of it since the process began or the peak was reset"""
    return 1024 * int(re.search(rf"{key}:\s+(\d+)", Path("/proc/self/status").read_text())[1])


def main():
    stage, job = sys.argv[1], Job(*sys.argv[2:])
    torch.set_grad_enabled(False)
    torch.set_num_threads(int(os.environ.get("SORA_PEERS_THREADS", os.cpu_count())))
    run = {"text-encoder": text_encoder, "transformer": transformer, "vae-decoder": vae_decoder}[stage](job)
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")       # resets the peak
    seconds, processor = [], []
    for _ in range(job.runs):
        begin, processor_begin = time.monotonic(), time.process_time()
        run()
        seconds.append(time.monotonic() - begin)
        processor.append(time.process_time() - processor_begin)
    print(json.dumps({"seconds": min(seconds), "first_seconds": seconds[0], "processor_seconds": min(processor),
                      "memory": resident("VmHWM") - before}))


main()
