# SPDX-License-Identifier: LGPL-2.1-or-later
"""The video autoencoder: TAEHV's blocks and tensor names with every width as a parameter."""

import json
from pathlib import Path

import torch
import torch.nn as nn
import torch.nn.functional as F

# 16x16 in space (pixel shuffle 4, two strides of 2), 4 in time, 32 channels.
EMBEDDED_CONFIG = {
    "_class_name": "TAEHV",
    "image_channels": 3,
    "patch_size": 4,
    "latent_channels": 32,
    "encoder_widths": [64, 96, 128],
    "encoder_blocks": [1, 2],
    "encoder_time_downscale": [True, True],
    "encoder_space_downscale": [True, True],
    "decoder_widths": [192, 96, 48, 48],
    "decoder_blocks": [2, 2, 1],
    "decoder_time_upscale": [True, True, False],
    "decoder_space_upscale": [True, True, False],
    "frames_to_trim": 3,
    "latents_mean": [0.0] * 32,
    "latents_std": [1.0] * 32,
}


def public_config(latent_channels=16, patch_size=1, encoder_time_downscale=(True, True, False),
                  decoder_time_upscale=(False, True, True), decoder_space_upscale=(True, True, True)):
    """The config of TAEHV's public checkpoints (taehv, taew2_1, taew2_2, taehv1_5, ...)."""
    times = 2 ** sum(decoder_time_upscale)
    return dict(EMBEDDED_CONFIG, patch_size=patch_size, latent_channels=latent_channels,
                encoder_widths=[64] * 4, encoder_blocks=[3] * 3,
                encoder_time_downscale=list(encoder_time_downscale),
                encoder_space_downscale=[True] * 3,
                decoder_widths=[256, 128, 64, 64], decoder_blocks=[3] * 3,
                decoder_time_upscale=list(decoder_time_upscale),
                decoder_space_upscale=list(decoder_space_upscale),
                frames_to_trim=times - 1,
                latents_mean=[0.0] * latent_channels, latents_std=[1.0] * latent_channels)


def conv(n_in, n_out, **kwargs):
    return nn.Conv2d(n_in, n_out, 3, padding=1, **kwargs)


class Clamp(nn.Module):
    def forward(self, x):
        return torch.tanh(x / 3) * 3


class MemBlock(nn.Module):
    """Residual block that also sees the previous frame's input at its level (zeros before the first)."""

    def __init__(self, n_in, n_out):
        super().__init__()
        self.conv = nn.Sequential(conv(n_in * 2, n_out), nn.ReLU(), conv(n_out, n_out), nn.ReLU(),
                                  conv(n_out, n_out))
        self.skip = nn.Conv2d(n_in, n_out, 1, bias=False) if n_in != n_out else nn.Identity()
        with torch.no_grad():
            self.conv[4].weight.mul_(0.3)
            self.conv[4].bias.zero_()

    def forward(self, x, past):
        return F.relu(self.conv(torch.cat([x, past], 1)) + self.skip(x))


class TPool(nn.Module):
    """Joins `stride` frames into one; starts as their mean."""

    def __init__(self, n, stride):
        super().__init__()
        self.stride = stride
        self.conv = nn.Conv2d(n * stride, n, 1, bias=False)
        with torch.no_grad():
            self.conv.weight.mul_(0.3)
            self.conv.weight += torch.cat([torch.eye(n)] * stride, 1)[..., None, None] / stride

    def forward(self, x):
        return self.conv(x.reshape(-1, self.stride * x.shape[1], *x.shape[2:]))


class TGrow(nn.Module):
    """Splits a frame into `stride` frames; starts as copies."""

    def __init__(self, n, stride):
        super().__init__()
        self.stride = stride
        self.conv = nn.Conv2d(n, n * stride, 1, bias=False)
        with torch.no_grad():
            self.conv.weight.mul_(0.3)
            self.conv.weight += torch.cat([torch.eye(n)] * stride, 0)[..., None, None]

    def forward(self, x):
        n = x.shape[1]
        return self.conv(x).reshape(-1, n, *x.shape[2:])


def make_encoder(c):
    w = c["encoder_widths"]
    modules = [conv(c["image_channels"] * c["patch_size"] ** 2, w[0]), nn.ReLU()]
    for i, blocks in enumerate(c["encoder_blocks"]):
        modules.append(TPool(w[i], 2 if c["encoder_time_downscale"][i] else 1))
        stride = 2 if c["encoder_space_downscale"][i] else 1
        modules.append(conv(w[i], w[i + 1], stride=stride, bias=False))
        modules += [MemBlock(w[i + 1], w[i + 1]) for _ in range(blocks)]
    return nn.Sequential(*modules, conv(w[-1], c["latent_channels"]))


def make_decoder(c):
    w = c["decoder_widths"]
    modules = [Clamp(), conv(c["latent_channels"], w[0]), nn.ReLU()]
    for i, blocks in enumerate(c["decoder_blocks"]):
        modules += [MemBlock(w[i], w[i]) for _ in range(blocks)]
        modules.append(nn.Upsample(scale_factor=2 if c["decoder_space_upscale"][i] else 1))
        modules.append(TGrow(w[i], 2 if c["decoder_time_upscale"][i] else 1))
        modules.append(conv(w[i], w[i + 1], bias=False))
    last = conv(w[-1], c["image_channels"] * c["patch_size"] ** 2)
    with torch.no_grad():
        last.bias.fill_(0.5)
    return nn.Sequential(*modules, nn.ReLU(), last)


def run(modules, x):
    """Applies a Sequential to (N, T, C, H, W), all frames at once."""
    n = x.shape[0]
    x = x.flatten(0, 1)
    for m in modules:
        if isinstance(m, MemBlock):
            y = x.view(n, -1, *x.shape[1:])
            past = F.pad(y, (0, 0, 0, 0, 0, 0, 1, 0))[:, :-1].reshape(x.shape)
            x = m(x, past)
        else:
            x = m(x)
    return x.view(n, -1, *x.shape[1:])


class TAEHV(nn.Module):
    def __init__(self, config=None):
        super().__init__()
        self.config = dict(EMBEDDED_CONFIG, **(config or {}))
        self.encoder = make_encoder(self.config)
        self.decoder = make_decoder(self.config)

    @property
    def frames_per_latent(self):
        return 2 ** sum(self.config["decoder_time_upscale"])

    def encode(self, frames):
        """(N, T, 3, H, W) in 0..1, T a multiple of frames_per_latent, to raw latents (N, T', C, h, w)."""
        patch = self.config["patch_size"]
        return run(self.encoder, F.pixel_unshuffle(frames, patch) if patch > 1 else frames)

    def decode(self, latents):
        """Raw latents (N, T', C, h, w) to unclamped frames (N, T, 3, H, W), none trimmed."""
        patch = self.config["patch_size"]
        frames = run(self.decoder, latents)
        return F.pixel_shuffle(frames, patch) if patch > 1 else frames

    def encode_video(self, frames):
        """1 + 4n frames to n + 1 raw latents: the first frame is repeated in front."""
        front = frames[:, :1].expand(-1, self.config["frames_to_trim"], -1, -1, -1)
        return self.encode(torch.cat([front, frames], 1))

    def decode_video(self, latents):
        """n + 1 raw latents to 1 + 4n frames in 0..1."""
        return self.decode(latents)[:, self.config["frames_to_trim"]:].clamp(0, 1)

    def _statistic(self, name, like):
        return torch.tensor(self.config[name], dtype=like.dtype, device=like.device).view(-1, 1, 1)

    def normalise(self, latents):
        """Raw latents to what the transformer sees; the channel is the third dimension from the end."""
        return (latents - self._statistic("latents_mean", latents)) / self._statistic("latents_std", latents)

    def denormalise(self, latents):
        return latents * self._statistic("latents_std", latents) + self._statistic("latents_mean", latents)

    def load_public(self, path):
        """Loads a public TAEHV checkpoint; its unused first frames of a TGrow are cut off."""
        state = torch.load(path, map_location="cpu", weights_only=True)
        for name, tensor in self.state_dict().items():
            if state[name].shape != tensor.shape:
                state[name] = state[name][-tensor.shape[0]:]
        self.load_state_dict(state)

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
