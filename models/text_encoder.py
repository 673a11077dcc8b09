# SPDX-License-Identifier: LGPL-2.1-or-later
"""The text encoder: transformers' UMT5EncoderModel by name and number, small enough to train with the transformer."""

import json
import math
from pathlib import Path

import torch
import torch.nn as nn
import torch.nn.functional as F

EMBEDDED_CONFIG = {
    "architectures": ["UMT5EncoderModel"],
    "model_type": "umt5",
    "vocab_size": 2304,
    "d_model": 256,
    "d_kv": 64,
    "d_ff": 512,
    "num_layers": 3,
    "num_heads": 4,
    "relative_attention_num_buckets": 32,
    "relative_attention_max_distance": 128,
    "dropout_rate": 0.0,
    "layer_norm_epsilon": 1e-6,
    "initializer_factor": 1.0,
    "feed_forward_proj": "gated-gelu",
    "is_gated_act": True,
    "dense_act_fn": "gelu_new",
    "is_encoder_decoder": False,
    "use_cache": False,
    "tie_word_embeddings": True,
    "pad_token_id": 0,
    "eos_token_id": 1,
    "decoder_start_token_id": 0,
    "torch_dtype": "bfloat16",
}


def relative_buckets(length, buckets, max_distance, device=None):
    """(length, length) bucket of key minus query, both directions, as T5 counts them."""
    place = torch.arange(length, device=device)
    distance = place[None] - place[:, None]
    half = buckets // 2
    exact = half // 2
    size = distance.abs()
    large = exact + (torch.log(size.clamp(min=1).float() / exact) / math.log(max_distance / exact)
                     * (half - exact)).long()
    return (distance > 0) * half + torch.where(size < exact, size, large.clamp(max=half - 1))


class RMSNorm(nn.Module):
    def __init__(self, dim, eps):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))
        self.eps = eps

    def forward(self, x):
        return F.rms_norm(x.float(), self.weight.shape, self.weight.float(), self.eps)


class SelfAttention(nn.Module):
    def __init__(self, c):
        super().__init__()
        inner = c["num_heads"] * c["d_kv"]
        self.heads = c["num_heads"]
        self.q = nn.Linear(c["d_model"], inner, bias=False)
        self.k = nn.Linear(c["d_model"], inner, bias=False)
        self.v = nn.Linear(c["d_model"], inner, bias=False)
        self.o = nn.Linear(inner, c["d_model"], bias=False)
        self.relative_attention_bias = nn.Embedding(c["relative_attention_num_buckets"], self.heads)
        self.buckets = c["relative_attention_num_buckets"], c["relative_attention_max_distance"]

    def forward(self, x, hidden):
        q, k, v = (f(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for f in (self.q, self.k, self.v))
        bias = self.relative_attention_bias(relative_buckets(x.shape[1], *self.buckets, x.device)).permute(2, 0, 1)
        scores = (q @ k.transpose(-1, -2)).float() + bias.float() + hidden
        y = scores.softmax(-1).to(v.dtype) @ v
        return self.o(y.transpose(1, 2).flatten(2))


class AttentionLayer(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.SelfAttention = SelfAttention(c)
        self.layer_norm = RMSNorm(c["d_model"], c["layer_norm_epsilon"])

    def forward(self, x, hidden):
        return x + self.SelfAttention(self.layer_norm(x), hidden)


class DenseReluDense(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.wi_0 = nn.Linear(c["d_model"], c["d_ff"], bias=False)
        self.wi_1 = nn.Linear(c["d_model"], c["d_ff"], bias=False)
        self.wo = nn.Linear(c["d_ff"], c["d_model"], bias=False)

    def forward(self, x):
        return self.wo(F.gelu(self.wi_0(x), approximate="tanh") * self.wi_1(x))


class FeedForwardLayer(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.DenseReluDense = DenseReluDense(c)
        self.layer_norm = RMSNorm(c["d_model"], c["layer_norm_epsilon"])

    def forward(self, x, hidden):
        return x + self.DenseReluDense(self.layer_norm(x))


class Layer(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.layer = nn.ModuleList([AttentionLayer(c), FeedForwardLayer(c)])

    def forward(self, x, hidden):
        for layer in self.layer:
            x = layer(x, hidden)
        return x


class Stack(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.block = nn.ModuleList([Layer(c) for _ in range(c["num_layers"])])
        self.final_layer_norm = RMSNorm(c["d_model"], c["layer_norm_epsilon"])


class UMT5Encoder(nn.Module):
    def __init__(self, config=None):
        super().__init__()
        self.config = c = dict(EMBEDDED_CONFIG, **(config or {}))
        self.shared = nn.Embedding(c["vocab_size"], c["d_model"])
        self.encoder = Stack(c)

    def initialise(self):
        """Weights to start training from; attention has no 1/sqrt(d_kv), so queries start smaller."""
        c = self.config
        for name, p in self.named_parameters():
            if p.ndim == 2:
                std = 0.7 * p.shape[1] ** -0.5
                if name.endswith("SelfAttention.q.weight"):
                    std *= c["d_kv"] ** -0.5
                if "relative_attention_bias" in name:
                    std = 0.02
                nn.init.normal_(p, std=1.0 if name == "shared.weight" else std)
        return self

    def forward(self, ids):
        """ids (B, rows), 0 is padding, to (B, rows, d_model), padding rows zero."""
        hidden = torch.where(ids == 0, torch.finfo(torch.float32).min, 0.0)[:, None, None]
        x = self.shared(ids).float()
        for block in self.encoder.block:
            x = block(x, hidden)
        return self.encoder.final_layer_norm(x) * (ids != 0)[..., None]

    def save(self, directory, dtype=torch.bfloat16):
        from safetensors.torch import save_file
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "config.json").write_text(json.dumps(self.config, indent=2) + "\n")
        state = {k: v.to(dtype).contiguous() for k, v in self.state_dict().items()}
        save_file(state, directory / "model.safetensors", metadata={"format": "pt"})

    @classmethod
    def load(cls, directory):
        from safetensors.torch import load_file
        directory = Path(directory)
        model = cls(json.loads((directory / "config.json").read_text()))
        state = load_file(directory / "model.safetensors")
        model.load_state_dict({k: v.float() for k, v in state.items()})
        return model
