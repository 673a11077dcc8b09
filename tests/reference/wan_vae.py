# SPDX-License-Identifier: LGPL-2.1-or-later
"""Makes tests/golden/wan-vae and wan-vae-residual (.json: config and tensor shapes; .safetensors: numbers) with diffusers'
AutoencoderKLWan: the kind of Wan 2.1, and that of Wan 2.2 TI2V.

The weights are not stored: tensor number i of the .json, in the order of names, is drawn from uniform (1000 + i), as the test draws it too.

And wan-vae-16.json and wan-vae-48.json, without numbers: the same two kinds with the channels and the statistics of Wan's latents, as narrow as
goes, and what Wan's checkpoints call each tensor."""

import json
import re

import numpy
import torch
from diffusers import AutoencoderKLWan
from diffusers.loaders.single_file_utils import convert_wan_vae_to_diffusers

from common import GOLDEN, frames, save, uniform

STEP = 17           # every so many of the decoder's numbers are kept
SMALL = {"base_dim": 16, "z_dim": 4, "dim_mult": [1, 2, 4, 4], "num_res_blocks": 1, "attn_scales": [],
         "temperal_downsample": [False, True, True]}
RESIDUAL = SMALL | {"base_dim": 8, "decoder_base_dim": 12, "z_dim": 6, "is_residual": True, "patch_size": 2, "in_channels": 12,
                    "out_channels": 12, "scale_factor_spatial": 16}
# As in the published models, but for the widths
FILE = {"base_dim": 4, "dim_mult": [1, 2, 4, 4], "num_res_blocks": 2, "attn_scales": [], "temperal_downsample": [False, True, True]}
FILE_48 = FILE | {"decoder_base_dim": 6, "z_dim": 48, "is_residual": True, "patch_size": 2, "in_channels": 12, "out_channels": 12,
                  "scale_factor_spatial": 16}
# Constants of Wan 2.2's vae2_2.py; those of 2.1 are diffusers' defaults.
MEAN_48 = [-0.2289, -0.0052, -0.1323, -0.2339, -0.2799, 0.0174, 0.1838, 0.1557, -0.1382, 0.0542, 0.2813, 0.0891, 0.1570, -0.0098, 0.0375,
           -0.1825, -0.2246, -0.1207, -0.0698, 0.5109, 0.2665, -0.2108, -0.2158, 0.2502, -0.2055, -0.0322, 0.1109, 0.1567, -0.0729,
           0.0899, -0.2799, -0.1230, -0.0313, -0.1649, 0.0117, 0.0723, -0.2839, -0.2083, -0.0520, 0.3748, 0.0152, 0.1957, 0.1433,
           -0.2944, 0.3573, -0.0548, -0.1681, -0.0667]
STD_48 = [0.4765, 1.0364, 0.4514, 1.1677, 0.5313, 0.4990, 0.4818, 0.5013, 0.8158, 1.0344, 0.5894, 1.0901, 0.6885, 0.6165, 0.8454, 0.4978,
          0.5759, 0.3523, 0.7135, 0.6804, 0.5833, 1.4146, 0.8986, 0.5659, 0.7069, 0.5338, 0.4889, 0.4917, 0.4069, 0.4999, 0.6866, 0.4093,
          0.5709, 0.6065, 0.6415, 0.4944, 0.5726, 1.2042, 0.5458, 1.6887, 0.3971, 1.0600, 0.3943, 0.5537, 0.5444, 0.4089, 0.7468, 0.7744]


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


def original_name(name, config):
    """What Wan's checkpoints call diffusers' @name: layers of a Sequential by number, of the first kind all levels' in one"""
    name = re.sub(r"^quant_conv", "conv1", re.sub(r"^post_quant_conv", "conv2", name))
    for old, new in (("conv_in", "conv1"), ("conv_out", "head.2"), ("norm_out", "head.0"), ("mid_block.resnets.0", "middle.0"),
                     ("mid_block.attentions.0", "middle.1"), ("mid_block.resnets.1", "middle.2")):
        name = name.replace(f"coder.{old}.", f"coder.{new}.")
    if re.search(r"middle\.[02]|_blocks", name):
        for old, new in (("norm1", "residual.0"), ("conv1", "residual.2"), ("norm2", "residual.3"), ("conv2", "residual.6"),
                         ("conv_shortcut", "shortcut")):
            name = name.replace(f".{old}.", f".{new}.")
    blocks = config["num_res_blocks"]
    if not config.get("is_residual"):
        name = name.replace("down_blocks.", "downsamples.")
        name = re.sub(r"up_blocks\.(\d)\.resnets\.(\d)", lambda m: f"upsamples.{int(m[1]) * (blocks + 2) + int(m[2])}", name)
        return re.sub(r"up_blocks\.(\d)\.upsamplers\.0", lambda m: f"upsamples.{int(m[1]) * (blocks + 2) + blocks + 1}", name)
    name = re.sub(r"(down|up)_blocks\.(\d)\.resnets\.", r"\1samples.\2.\1samples.", name)
    name = re.sub(r"down_blocks\.(\d)\.downsampler", rf"downsamples.\1.downsamples.{blocks}", name)
    return re.sub(r"up_blocks\.(\d)\.upsampler", rf"upsamples.\1.upsamples.{blocks + 1}", name)


def make_names(name, config):
    model = AutoencoderKLWan(**config)
    state = model.state_dict()
    original = {key: original_name(key, config) for key in sorted(state)}
    assert len(set(original.values())) == len(original)
    if not config.get("is_residual"):      # diffusers' own converter knows this kind only
        back = convert_wan_vae_to_diffusers({original[key]: key for key in state})
        assert all(key == value for key, value in back.items()) and len(back) == len(state)
    text = {"_class_name": "AutoencoderKLWan"} | {key: v for key, v in model.config.items() if not key.startswith("_")}
    text |= {"tensors": {key: list(tensor.shape) for key, tensor in sorted(state.items())}, "original": original}
    (GOLDEN / f"{name}.json").write_text(json.dumps(text) + "\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    make("wan-vae", SMALL, 4, 4, 6)
    make("wan-vae-residual", RESIDUAL, 4, 2, 3)
    make_names("wan-vae-16", FILE | {"z_dim": 16})
    make_names("wan-vae-48", FILE_48 | {"latents_mean": MEAN_48, "latents_std": STD_48})
