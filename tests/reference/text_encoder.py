# SPDX-License-Identifier: LGPL-2.1-or-later
"""Makes tests/golden/text-encoder.safetensors, and text-encoder-embedded.safetensors for the model directory named on the
command line in double precision, with transformers' UMT5EncoderModel and its padding mask."""

import json
import sys
from pathlib import Path

import torch
from transformers import UMT5Config, UMT5EncoderModel

from common import fingerprint, randomise, save, uniform

CONFIG = {"vocab_size": 50, "d_model": 24, "d_kv": 8, "d_ff": 40, "num_layers": 2, "num_heads": 3,
          "relative_attention_num_buckets": 32, "relative_attention_max_distance": 128}
LENGTH = 160        # rows with the padding; the distances reach beyond relative_attention_max_distance
N_TOKENS = (1, 6, 150)
EMBEDDED_N_TOKENS = (9, 60)
EMBEDDED_STRIDE = 7  # every so many of the embedded model's numbers are kept


def ids(seed, n, vocab_size):
    """n token ids from 2 on, then the end of the text."""
    return torch.cat([(uniform(seed, (n - 1,), 0.5) + 0.5).double().mul(vocab_size - 2).long() + 2, torch.ones(1).long()])


def encode(model, tokens, length):
    padded = torch.zeros(1, max(length, len(tokens)), dtype=torch.long)
    padded[0, :len(tokens)] = tokens
    return model(input_ids=padded, attention_mask=(padded != 0).long()).last_hidden_state[0, :len(tokens)]


def draw_model():
    config = UMT5Config(**CONFIG, feed_forward_proj="gated-gelu", dropout_rate=0.0)
    model = randomise(UMT5EncoderModel(config), 1)
    with torch.no_grad():
        model.shared.weight.mul_(CONFIG["d_model"] ** 0.5).copy_(model.shared.weight.bfloat16())
    return model


def random_model():
    model = draw_model()
    numbers = {"config": torch.tensor(list(CONFIG.values()))}
    for n in N_TOKENS:
        tokens = ids(n, n, CONFIG["vocab_size"])
        numbers[f"tokens.{n}"] = tokens
        numbers[f"embeddings.{n}"] = encode(model, tokens, LENGTH)
    weights = {k: v for k, v in model.state_dict().items() if k != "encoder.embed_tokens.weight"}
    save("text-encoder", numbers, weights)


def embedded_model(directory):
    model = UMT5EncoderModel.from_pretrained(directory, dtype=torch.float64).eval()
    length = json.loads((directory.parent / "sora.json").read_text())["text_length"]
    numbers = {"fingerprint": fingerprint(directory / "model.safetensors")}
    for n in EMBEDDED_N_TOKENS:
        tokens = ids(n, n, model.config.vocab_size)
        numbers[f"tokens.{n}"] = tokens
        numbers[f"embeddings.{n}"] = encode(model, tokens, length).flatten()[::EMBEDDED_STRIDE].float()
    save("text-encoder-embedded", numbers)


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    random_model()
    if len(sys.argv) > 1:
        embedded_model(Path(sys.argv[1]) / "text_encoder")
