# SPDX-License-Identifier: LGPL-2.1-or-later
"""Makes tests/golden/wan-vae and wan-vae-residual (.json: config and tensor shapes; .safetensors: numbers) with diffusers'
AutoencoderKLWan: the kind of Wan 2.1, and that of Wan 2.2 TI2V.

The weights are not stored: tensor number i of the .json, in the order of names, is drawn from uniform (1000 + i), as the test draws it too."""

import json

import numpy
import torch
from diffusers import AutoencoderKLWan

from common import GOLDEN, frames, save, uniform

STEP = 17           # every so many of the decoder's numbers are kept
SMALL = {"base_dim": 16, "z_dim": 4, "dim_mult": [1, 2, 4, 4], "num_res_blocks": 1, "attn_scales": [],
         "temperal_downsample": [False, True, True]}
RESIDUAL = SMALL | {"base_dim": 8, "decoder_base_dim": 12, "z_dim": 6, "is_residual": True, "patch_size": 2, "in_channels": 12,
                    "out_channels": 12, "scale_factor_spatial": 16}


def statistics(channels):
    """Neither zero nor one, so that forgetting them shows."""
    return {"latents_mean": [0.25 * (i % 5 - 2) for i in range(channels)],
            "latents_std": [0.5 + 0.25 * (i % 4) for i in range(channels)]}


def draw(name, shape, seed):
    """A scale that keeps the variance of what flows through; norms about 1, biases small."""
    if name.endswith("gamma"):
        return 1 + uniform(seed, shape, 0.5)
    if name.endswith("bias"):
        return uniform(seed, shape, float(numpy.float32(0.1)))
    return uniform(seed, shape, float(numpy.float32(numpy.sqrt(3.0 / numpy.prod(shape[1:])))))


def make_model(config):
    model = AutoencoderKLWan(**config)
    state = model.state_dict()
    model.load_state_dict({name: draw(name, tuple(state[name].shape), 1000 + i) for i, name in enumerate(sorted(state))})
    return model.eval()


def channels_last(x, step=STEP):
    """[1, channels, frames, height, width] to every so many of the numbers of [frames, height, width, channels]"""
    return x[0].permute(1, 2, 3, 0).flatten()[::step]


def features(model, latents):
    """What the decoder's last convolution gives, latent by latent, a patch's channels as (image channel, y, x), and the pixels."""
    kept = []
    hook = model.decoder.register_forward_hook(lambda module, args, output: kept.append(output.clone()))
    decoded = model.decode(latents).sample
    hook.remove()
    patch = model.config.patch_size or 1
    return torch.cat(kept, 2).unflatten(1, (3, patch, patch)).transpose(2, 3).flatten(1, 3), decoded


def numbers(model, n_latents, height, width):
    """height, width: of the latents"""
    config = model.config
    mean, std = (torch.tensor(config[key]).view(1, -1, 1, 1, 1) for key in ("latents_mean", "latents_std"))
    space, n_frames = config.scale_factor_spatial, 1 + 4 * (n_latents - 1)
    rgb = frames(n_frames, height * space, width * space) / 127.5 - 1
    latents = uniform(1, (n_latents, height, width, config.z_dim), 2).permute(3, 0, 1, 2)[None]
    with torch.no_grad():
        encoded = (model.encode(rgb.permute(3, 0, 1, 2)[None]).latent_dist.mode() - mean) / std
        last, decoded = features(model, latents * std + mean)
    print(f"decoded rms {decoded.square().mean().sqrt():.3f}, clamped {(decoded.abs() == 1).float().mean():.3f}")
    return {"size": torch.tensor([n_latents, height, width]), "encoded": channels_last(encoded, 1), "features": channels_last(last),
            "bytes": channels_last(127.5 * (decoded + 1))}


def make(name, config, n_latents, height, width):
    model = make_model(config | statistics(config["z_dim"]))
    table = {key: list(tensor.shape) for key, tensor in sorted(model.state_dict().items())}
    text = {"_class_name": "AutoencoderKLWan"} | {key: v for key, v in model.config.items() if not key.startswith("_")}
    (GOLDEN / f"{name}.json").write_text(json.dumps(text | {"tensors": table}, indent=1) + "\n")
    save(name, numbers(model, n_latents, height, width))


if __name__ == "__main__":
    torch.set_num_threads(1)
    make("wan-vae", SMALL, 4, 4, 6)
    make("wan-vae-residual", RESIDUAL, 4, 2, 3)
