# SPDX-License-Identifier: LGPL-2.1-or-later
"""The diffusion transformer: diffusers' WanTransformer3DModel by name and number, with block-causal attention."""

import json
import math
from pathlib import Path

import torch
import torch.nn as nn
import torch.nn.functional as F

EMBEDDED_CONFIG = {
    "_class_name": "WanTransformer3DModel",
    "patch_size": [1, 2, 2],
    "num_attention_heads": 4,
    "attention_head_dim": 64,
    "in_channels": 32,
    "out_channels": 32,
    "text_dim": 256,
    "freq_dim": 256,
    "ffn_dim": 768,
    "num_layers": 8,
    "cross_attn_norm": True,
    "qk_norm": "rms_norm_across_heads",
    "eps": 1e-6,
    "image_dim": None,
    "added_kv_proj_dim": None,
    "rope_max_seq_len": 1024,
    "pos_embed_seq_len": None,
}


def rope_table(frames, height, width, head_dim, device=None, theta=10000.0):
    """Cosine and sine, (frames * height * width, head_dim / 2) each, as Wan splits them: time, row, column."""
    side = 2 * (head_dim // 6)
    angles = []
    for size, axis in ((head_dim - 2 * side, 0), (side, 1), (side, 2)):
        frequency = theta ** (-torch.arange(0, size, 2, dtype=torch.float64, device=device) / size)
        shape = [1, 1, 1, -1]
        shape[axis] = (frames, height, width)[axis]
        grid = torch.outer(torch.arange(shape[axis], dtype=torch.float64, device=device), frequency)
        angles.append(grid.view(shape).expand(frames, height, width, -1))
    angle = torch.cat(angles, -1).reshape(frames * height * width, -1)
    return angle.cos().float(), angle.sin().float()


def rotate(x, table):
    """Rotates neighbouring pairs of (B, heads, N, head_dim)."""
    cos, sin = (t.to(x.dtype) for t in table)
    a, b = x.unflatten(-1, (-1, 2)).unbind(-1)
    return torch.stack([a * cos - b * sin, a * sin + b * cos], -1).flatten(-2)


def block_causal_mask(frames, tokens, block=2, window=8, alone=False):
    """True where a query (row) sees a key (column): its own block, and window - block latents before it; with `alone` only those of the last
    block see more than their own."""
    latent = torch.arange(frames).repeat_interleave(tokens)
    start = latent // block * block
    sees = (latent[None] < start[:, None] + block) & (latent[None] >= start[:, None] - (window - block))
    if alone:
        sees &= (start == start[-1])[:, None] | (start[None] == start[:, None])
    return sees


def timestep_embedding(timestep, dim):
    """(B, T) in 0..1000 to (B, T, dim): cosines, then sines."""
    half = dim // 2
    frequency = torch.exp(-math.log(10000.0) * torch.arange(half, device=timestep.device) / half)
    angle = timestep.float()[..., None] * frequency
    return torch.cat([angle.cos(), angle.sin()], -1)


class RMSNorm(nn.RMSNorm):
    """In fp32, whatever the type of what comes in."""

    def forward(self, x):
        return F.rms_norm(x.float(), self.normalized_shape, self.weight, self.eps)


@torch.library.custom_op("sora::attention", mutates_args=())
def attention_products(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
    """Self-attention of (B, heads, N, head_dim), mask (N, N) true where seen: (what comes out, the weights (B * heads, N, N) for the gradient).

    PyTorch's fused one is the faster one forwards, but its gradient takes a CPU four to eleven times as long as these products'. An operation of its own, as
    compiled in bf16 the products' gradient is NaN behind rotated keys on CPUs with AMX, PyTorch 2.15.
    """
    flat = [x.reshape(-1, *x.shape[2:]) for x in (q, k, v)]
    unseen = q.new_zeros(()) if mask is None else q.new_zeros(mask.shape).masked_fill_(~mask, -math.inf)
    weights = torch.baddbmm(unseen, flat[0], flat[1].transpose(1, 2), alpha=q.shape[-1] ** -0.5).softmax(-1)
    return torch.bmm(weights, flat[2]).view(q.shape), weights


@attention_products.register_fake
def _(q, k, v, mask):
    return q.new_empty(q.shape), q.new_empty(q.shape[0] * q.shape[1], q.shape[2], q.shape[2])


@torch.library.custom_op("sora::attention_gradient", mutates_args=())
def attention_gradient(gradient: torch.Tensor, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor,
                       weights: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The gradients to q, k and v of `attention_products`."""
    shape, scale = q.shape, q.shape[-1] ** -0.5
    gradient, q, k, v = (x.reshape(-1, *x.shape[2:]) for x in (gradient, q, k, v))
    scores = torch._softmax_backward_data(torch.bmm(gradient, v.transpose(1, 2)), weights, -1, weights.dtype).mul_(scale)
    return (torch.bmm(scores, k).view(shape), torch.bmm(scores.transpose(1, 2), q).view(shape),
            torch.bmm(weights.transpose(1, 2), gradient).view(shape))


@attention_gradient.register_fake
def _(gradient, q, k, v, weights):
    return tuple(x.new_empty(x.shape) for x in (q, k, v))


def _keep(ctx, inputs, output):
    """What the gradient needs; PyTorch gives the arguments by these names."""
    ctx.save_for_backward(*inputs[:3], output[1])


attention_products.register_autograd(lambda context, gradient, _: (*attention_gradient(gradient, *context.saved_tensors), None), setup_context=_keep)


def attend(q, k, v, mask):
    """Self-attention of (B, heads, N, head_dim), mask (N, N) true where seen; fused but on a CPU that learns."""
    if q.device.type == "cpu" and torch.is_grad_enabled():
        return attention_products(q, k, v, mask)[0]
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)


def attend_to_text(q, k, v, bias):
    """Attention of (B, heads, N, head_dim) to a few rows of text, bias (1, rows) added to the scores.

    On a CPU as two matrix products: PyTorch's fused one takes three times as long there, most of it in its gradient.
    """
    scores = (q @ k.transpose(-1, -2)).float() * q.shape[-1] ** -0.5
    if bias is not None:
        scores = scores + bias
    return scores.softmax(-1).to(v.dtype) @ v


class Attention(nn.Module):
    def __init__(self, dim, heads, eps):
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(dim, dim)
        self.to_k = nn.Linear(dim, dim)
        self.to_v = nn.Linear(dim, dim)
        self.to_out = nn.ModuleList([nn.Linear(dim, dim)])
        self.norm_q = RMSNorm(dim, eps=eps)
        self.norm_k = RMSNorm(dim, eps=eps)

    def split(self, x):
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def forward(self, x, context=None, rope=None, mask=None):
        context = x if context is None else context
        v = self.to_v(context)
        q = self.split(self.norm_q(self.to_q(x)).to(v.dtype))
        k = self.split(self.norm_k(self.to_k(context)).to(v.dtype))
        if rope is not None:
            q, k = rotate(q, rope), rotate(k, rope)
            y = attend(q, k, self.split(v), mask)
        else:
            y = attend_to_text(q, k, self.split(v), mask)
        return self.to_out[0](y.transpose(1, 2).flatten(2))


class GELU(nn.Module):
    def __init__(self, dim, inner):
        super().__init__()
        self.proj = nn.Linear(dim, inner)

    def forward(self, x):
        """GELU by tanh, written with a sigmoid: the same number, and compiled for a CPU several times as quick."""
        x = self.proj(x).float()
        return x * torch.sigmoid(1.5957691216057308 * (x + 0.044715 * x * x * x))


class FeedForward(nn.Module):
    def __init__(self, dim, inner):
        super().__init__()
        self.net = nn.ModuleList([GELU(dim, inner), nn.Identity(), nn.Linear(inner, dim)])

    def forward(self, x):
        return self.net[2](self.net[0](x))


def modulate(x, scale, shift, eps):
    """LayerNorm without weights, then scale and shift a latent frame: x (B, T, HW, D), the others (B, T, 1, D)."""
    return F.layer_norm(x.float(), x.shape[-1:], eps=eps) * (1 + scale) + shift


class Block(nn.Module):
    def __init__(self, c):
        super().__init__()
        dim = c["num_attention_heads"] * c["attention_head_dim"]
        self.eps = c["eps"]
        self.attn1 = Attention(dim, c["num_attention_heads"], self.eps)
        self.attn2 = Attention(dim, c["num_attention_heads"], self.eps)
        self.norm2 = nn.LayerNorm(dim, self.eps)
        self.ffn = FeedForward(dim, c["ffn_dim"])
        self.scale_shift_table = nn.Parameter(torch.randn(1, 6, dim) / dim**0.5)

    def forward(self, x, text, modulation, rope, mask, text_bias):
        """x (B, T, HW, D), text (B, rows, D), modulation (B, T, 6, D)."""
        m = (self.scale_shift_table + modulation.float()).unsqueeze(3).unbind(2)
        frames = x.shape[1]
        h = modulate(x, m[1], m[0], self.eps).flatten(1, 2)
        x = x + self.attn1(h, None, rope, mask).unflatten(1, (frames, -1)) * m[2]
        h = self.norm2(x).flatten(1, 2)
        x = x + self.attn2(h, text, None, text_bias).unflatten(1, (frames, -1))
        return x + self.ffn(modulate(x, m[4], m[3], self.eps)) * m[5]


class TwoLayer(nn.Module):
    def __init__(self, n_in, dim, activation):
        super().__init__()
        self.linear_1 = nn.Linear(n_in, dim)
        self.linear_2 = nn.Linear(dim, dim)
        self.activation = activation

    def forward(self, x):
        return self.linear_2(self.activation(self.linear_1(x)))


class ConditionEmbedder(nn.Module):
    def __init__(self, c, dim):
        super().__init__()
        self.freq_dim = c["freq_dim"]
        self.time_embedder = TwoLayer(self.freq_dim, dim, F.silu)
        self.time_proj = nn.Linear(dim, 6 * dim)
        self.text_embedder = TwoLayer(c["text_dim"], dim, lambda x: F.gelu(x, approximate="tanh"))

    def forward(self, timestep, text):
        time = self.time_embedder(timestep_embedding(timestep, self.freq_dim))
        return time, self.time_proj(F.silu(time)).unflatten(-1, (6, -1)), self.text_embedder(text)


class WanTransformer(nn.Module):
    def __init__(self, config=None):
        super().__init__()
        self.config = c = dict(EMBEDDED_CONFIG, **(config or {}))
        dim = c["num_attention_heads"] * c["attention_head_dim"]
        patch = tuple(c["patch_size"])
        self.patch_embedding = nn.Conv3d(c["in_channels"], dim, patch, patch)
        self.condition_embedder = ConditionEmbedder(c, dim)
        self.blocks = nn.ModuleList([Block(c) for _ in range(c["num_layers"])])
        self.proj_out = nn.Linear(dim, c["out_channels"] * math.prod(patch))
        self.scale_shift_table = nn.Parameter(torch.randn(1, 2, dim) / dim**0.5)

    def initialise(self):
        """Weights to start training from: residual branches small, output zero."""
        for name, p in self.named_parameters():
            if p.ndim == 2 and not name.endswith("scale_shift_table"):
                nn.init.normal_(p, std=0.7 * p.shape[1] ** -0.5)
            elif name.endswith("bias"):
                nn.init.zeros_(p)
        for block in self.blocks:
            nn.init.normal_(block.scale_shift_table, std=0.02)
            with torch.no_grad():
                block.scale_shift_table[:, 2] += 0.5
                block.scale_shift_table[:, 5] += 0.5
            nn.init.zeros_(block.attn2.to_out[0].weight)
        nn.init.normal_(self.condition_embedder.time_proj.weight, std=0.002)
        nn.init.normal_(self.scale_shift_table, std=0.02)
        nn.init.zeros_(self.proj_out.weight)
        return self

    def patches(self, latents):
        """(B, C, T, H, W) to (B, T, tokens, C * 4): the convolution below as one matrix product."""
        b, c, t, h, w = latents.shape
        p = self.config["patch_size"][1]
        x = latents.view(b, c, t, h // p, p, w // p, p)
        return x.permute(0, 2, 3, 5, 1, 4, 6).reshape(b, t, (h // p) * (w // p), c * p * p)

    def unpatch(self, x, height, width):
        b, t, _, n = x.shape
        p = self.config["patch_size"][1]
        x = x.view(b, t, height, width, p, p, n // (p * p))
        return x.permute(0, 6, 1, 2, 4, 3, 5).reshape(b, n // (p * p), t, height * p, width * p)

    def forward(self, latents, timestep, text, mask=None, text_bias=None):
        """One evaluation of the network.

        latents (B, C, T, H, W); timestep (B, T) in 0..1000, one a latent frame; text (B, rows, text_dim);
        mask (N, N) bool from block_causal_mask, None sees everything; text_bias added to cross-attention's
        scores (a row that stands for n equal ones has log n). Returns (B, C, T, H, W).
        """
        p = self.config["patch_size"][1]
        t, height, width = latents.shape[2], latents.shape[3] // p, latents.shape[4] // p
        rope = rope_table(t, height, width, self.config["attention_head_dim"], latents.device)
        return self.unpatch(self.evaluate(self.patches(latents), timestep, text, rope, mask, text_bias), height, width).float()

    def evaluate(self, patches, timestep, text, rope, mask=None, text_bias=None):
        """The network on patches (B, T, tokens, C * 4), which need not be all of a latent frame; rope has a row for each."""
        weight = self.patch_embedding.weight.flatten(1)
        x = F.linear(patches, weight, self.patch_embedding.bias).float()
        time, modulation, text = self.condition_embedder(timestep, text)
        text_bias = None if text_bias is None else text_bias.view(1, -1)
        for block in self.blocks:
            x = block(x, text, modulation, rope, mask, text_bias)
        shift, scale = (self.scale_shift_table + time.float().unsqueeze(2)).unsqueeze(3).unbind(2)
        return self.proj_out(modulate(x, scale, shift, self.config["eps"]))

    def grown(self, layers):
        """The same network with `layers` layers, at least as many as it has: the new ones, spread between the others, are copies of those before
        them that add nothing yet (depth up-scaling, Kim 2023, SOLAR; zero at first as in Bachlechner 2020, ReZero)."""
        model, count = WanTransformer(dict(self.config, num_layers=layers)), self.config["num_layers"]
        if layers < count:
            raise ValueError(f"{layers} layers are fewer than the {count} that there are")
        model.load_state_dict({k: v for k, v in self.state_dict().items() if not k.startswith("blocks.")}, strict=False)
        source = [k * count // layers for k in range(layers)]
        for k, block in enumerate(model.blocks):
            block.load_state_dict(self.blocks[source[k]].state_dict())
            if k > 0 and source[k] == source[k - 1]:
                for last in (block.attn1.to_out[0], block.attn2.to_out[0], block.ffn.net[2]):
                    nn.init.zeros_(last.weight)
                    nn.init.zeros_(last.bias)
        return model

    def save(self, directory, dtype=torch.bfloat16):
        from safetensors.torch import save_file
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "config.json").write_text(json.dumps(self.config, indent=2) + "\n")
        state = {k: v.to(dtype).contiguous() for k, v in self.state_dict().items()}
        save_file(state, directory / "diffusion_pytorch_model.safetensors", metadata={"format": "pt"})

    @classmethod
    def load(cls, directory):
        from safetensors.torch import load_file
        directory = Path(directory)
        model = cls(json.loads((directory / "config.json").read_text()))
        state = load_file(directory / "diffusion_pytorch_model.safetensors")
        model.load_state_dict({k: v.float() for k, v in state.items()})
        return model
