# SPDX-License-Identifier: LGPL-2.1-or-later
"""Makes tests/golden/tiny-model (a whole model of a few kilobytes) and tests/golden/stream.safetensors: a stream of it, block after block.

The stream is computed here without any cache: for every evaluation the whole past, at the context timestep, and the block
that is being denoised go through the transformer in one pass, under the banded block-causal mask.
"""

import json
import sys
from pathlib import Path

import sentencepiece
import torch
from safetensors.torch import save_file

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "golden"
sys.path.insert(0, str(ROOT / "models"))

import export  # noqa: E402
import text_encoder  # noqa: E402
import tokenizer  # noqa: E402
import transformer  # noqa: E402
import vae  # noqa: E402

PROMPT, NEGATIVE = "a red ball bounces", ""
BLOCKS = 6          # the window holds 3 of them
WIDTH, HEIGHT = 96, 64
SORA = {
    "name": "tiny", "block_latents": 2, "window_latents": 6, "context_timestep": 50, "context_noise": 0.0, "text_length": 16,
    "sizes": [[WIDTH, HEIGHT], [HEIGHT, WIDTH]], "steps": 3, "shift": 3.0, "guidance_scale": 2.0, "prediction_type": "flow",
}


def train_tokenizer(directory):
    words = ["a red ball bounces", "a blue ball stands still", "the ball moves left quickly", "abcdefghijklmnopqrstuvwxyz"]
    directory.mkdir(parents=True, exist_ok=True)
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(words * 10), model_prefix=str(directory / "spiece"), model_type="unigram", vocab_size=48,
        pad_id=tokenizer.PAD, eos_id=tokenizer.EOS, unk_id=tokenizer.UNK, bos_id=-1, hard_vocab_limit=False, minloglevel=2,
        normalization_rule_name="identity")
    (directory / "spiece.vocab").unlink()
    tokenizer.write_config(directory)


def make_model(directory):
    """Random weights, rounded to bf16 by the export, every tensor large enough to matter."""
    torch.manual_seed(7)
    words = directory.with_name("tiny-tokenizer")
    train_tokenizer(words)
    vocabulary = sentencepiece.SentencePieceProcessor(model_file=str(words / "spiece.model")).get_piece_size()
    parts = {
        "vae": vae.TAEHV({
            "latent_channels": 4, "encoder_widths": [8, 8, 8], "encoder_blocks": [1, 1], "encoder_time_downscale": [True, True],
            "encoder_space_downscale": [True, True], "decoder_widths": [16, 8, 8, 8], "decoder_blocks": [1, 1, 1],
            "latents_mean": [0.1, -0.2, 0.0, 0.3], "latents_std": [1.2, 0.8, 1.0, 0.6]}),
        "text_encoder": text_encoder.UMT5Encoder({
            "vocab_size": vocabulary, "d_model": 24, "d_kv": 8, "d_ff": 40, "num_layers": 2, "num_heads": 3}).initialise(),
        "transformer": transformer.WanTransformer({
            "num_attention_heads": 2, "attention_head_dim": 16, "in_channels": 4, "out_channels": 4, "text_dim": 24,
            "freq_dim": 32, "ffn_dim": 72, "num_layers": 2}),
    }
    for name, p in parts["transformer"].named_parameters():
        if p.ndim >= 2 and not name.endswith("scale_shift_table"):
            torch.nn.init.normal_(p, std=1.0 * p.flatten(1).shape[1] ** -0.5)
        elif name.endswith("bias"):
            torch.nn.init.normal_(p, std=0.1)
    for p in parts["vae"].parameters():
        torch.nn.init.normal_(p, std=1.4 * p[0].numel() ** -0.5 if p.ndim > 1 else 0.1)
    with torch.no_grad():
        parts["vae"].decoder[-1].weight *= 0.05
        parts["vae"].decoder[-1].bias += 0.5
    export.export(directory, parts, words, SORA)
    for path in words.iterdir():
        path.unlink()
    words.rmdir()


def denoise(model, noise, past, texts):
    """Clean latents (C, 2, h, w) of the block after the committed `past` latents, by Euler steps with guidance."""
    steps, shift, guidance = SORA["steps"], SORA["shift"], SORA["guidance_scale"]
    u = 1 - torch.arange(steps + 1, dtype=torch.float64) / steps
    sigmas = shift * u / (1 + (shift - 1) * u)
    frames = past.shape[1] + SORA["block_latents"]
    tokens = noise.shape[2] * noise.shape[3] // 4
    mask = transformer.block_causal_mask(frames, tokens, SORA["block_latents"], SORA["window_latents"])
    x = noise.double()
    for i in range(steps):
        timestep = torch.full((1, frames), float(SORA["context_timestep"]))
        timestep[:, past.shape[1]:] = 1000 * sigmas[i]
        latents = torch.cat([past, x.float()], 1)[None]
        v = [model(latents, timestep, text, mask)[0, :, past.shape[1]:].double() for text in texts]
        x = x + (sigmas[i + 1] - sigmas[i]) * (v[1] + guidance * (v[0] - v[1]))
    return x.float()


def run_stream(directory):
    parts, _ = export.load(directory)
    words = tokenizer.Tokenizer(directory / "tokenizer")
    texts = []
    for prompt in (PROMPT, NEGATIVE):
        ids = torch.tensor([words.ids(prompt, SORA["text_length"])])
        texts.append(parts["text_encoder"](ids))
    n_tokens = sum(1 for i in words.ids(PROMPT, SORA["text_length"]) if i)
    noise = torch.randn(4, BLOCKS * 2, HEIGHT // 16, WIDTH // 16)
    latents = noise[:, :0]
    for block in range(BLOCKS):
        clean = denoise(parts["transformer"], noise[:, 2 * block:2 * block + 2], latents, texts)
        latents = torch.cat([latents, clean], 1)
    z = parts["vae"].denormalise(latents.transpose(0, 1)[None])
    frames = parts["vae"].decode_video(z)[0]
    return {"noise": noise, "text_embeddings": texts[0][0, :n_tokens], "latents": latents,
            "frames": frames[[0, 5, -1]]}


def main():
    directory = GOLDEN / "tiny-model"
    make_model(directory)
    with torch.no_grad():
        tensors = run_stream(directory)
    save_file({k: v.float().contiguous() for k, v in tensors.items()}, GOLDEN / "stream.safetensors")
    print(json.dumps({k: [list(v.shape), round(v.float().std().item(), 3)] for k, v in tensors.items()}))


if __name__ == "__main__":
    main()
