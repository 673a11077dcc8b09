# SPDX-License-Identifier: LGPL-2.1-or-later
"""One stage of a model in PyTorch and diffusers, timed in a process of its own: peers_torch.py STAGE FOLDER WIDTH HEIGHT FRAMES STEPS DTYPE PROMPT.

Prints the seconds that the quicker of two runs took, loading left out; "whole" prints nothing, since its process is what is timed.
"""
import os
import sys
import time

import torch
from diffusers import AutoencoderKLWan, WanPipeline, WanTransformer3DModel
from transformers import AutoTokenizer, UMT5EncoderModel

RUNS = 2
TEXT_ROWS = 512                 # to which Wan's pipelines pad every prompt


def load_text_encoder(job):
    model = UMT5EncoderModel.from_pretrained(job.folder, subfolder="text_encoder", dtype=job.dtype)
    tokens = AutoTokenizer.from_pretrained(job.folder, subfolder="tokenizer")(
        job.prompt, padding="max_length", max_length=TEXT_ROWS, truncation=True, return_tensors="pt")
    return lambda: model(tokens.input_ids, tokens.attention_mask).last_hidden_state


def draw_latents(job, channels, vae):
    scale = vae.get("scale_factor_spatial", 8)
    latents = (job.frames - 1) // vae.get("scale_factor_temporal", 4) + 1
    return torch.randn(1, channels, latents, job.height // scale, job.width // scale, dtype=job.dtype)


def load_transformer(job):
    model = WanTransformer3DModel.from_pretrained(job.folder, subfolder="transformer", torch_dtype=job.dtype)
    latents = draw_latents(job, model.config.in_channels, AutoencoderKLWan.load_config(job.folder, subfolder="vae"))
    text = torch.randn(1, TEXT_ROWS, model.config.text_dim, dtype=job.dtype)
    return lambda: model(latents, torch.tensor([500]), text, return_dict=False)


def load_vae_decoder(job):
    model = AutoencoderKLWan.from_pretrained(job.folder, subfolder="vae", torch_dtype=job.dtype)
    latents = draw_latents(job, model.config.z_dim, dict(model.config))
    return lambda: model.decode(latents, return_dict=False)


def run_whole(job):
    pipeline = WanPipeline.from_pretrained(job.folder, torch_dtype=job.dtype)
    pipeline(job.prompt, width=job.width, height=job.height, num_frames=job.frames, num_inference_steps=job.steps, guidance_scale=5.0,
             output_type="np")


class Job:
    def __init__(self, folder, width, height, frames, steps, dtype, prompt):
        self.folder, self.prompt = folder, prompt
        self.width, self.height, self.frames, self.steps = int(width), int(height), int(frames), int(steps)
        self.dtype = getattr(torch, dtype)


def main():
    stage, job = sys.argv[1], Job(*sys.argv[2:])
    torch.set_grad_enabled(False)
    torch.set_num_threads(int(os.environ.get("SORA_PEERS_THREADS", os.cpu_count())))
    if stage == "whole":
        run_whole(job)
        return
    run = {"text-encoder": load_text_encoder, "transformer": load_transformer, "vae-decoder": load_vae_decoder}[stage](job)
    seconds = []
    for _ in range(RUNS):
        begin = time.monotonic()
        run()
        seconds.append(time.monotonic() - begin)
    print(min(seconds))


main()
