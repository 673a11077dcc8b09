# SPDX-License-Identifier: LGPL-2.1-or-later
"""Makes tests/golden/vae-small, vae-public (.json: config and tensor shapes; .safetensors: numbers) and, for the model directory named on
the command line, vae-embedded.safetensors, with models/vae.py in PyTorch.

The weights of the first two are not stored: tensor number i of the .json is uniform (1000 + i), as the test draws it too. Public is
the layout of TAEHV's published checkpoints.

And taew2_1 and taew2_2: the same layout with the channels and patches of the checkpoints of these names, only narrower, and loaded as they
are: without a config, and in the first of them with weights of a first level that grows more than it should."""

import json
import sys
import tempfile
from pathlib import Path

import numpy
import torch

from common import GOLDEN, fingerprint, frames, save, uniform

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "models"))
import vae  # noqa: E402

SMALL = {"latent_channels": 6, "encoder_widths": [10, 20, 12], "encoder_blocks": [1, 2], "decoder_widths": [24, 20, 12, 9],
         "decoder_blocks": [2, 0, 1]}
STEP = 23           # every so many of the numbers are kept


def statistics(channels):
    """Neither zero nor one, so that forgetting them shows."""
    return {"latents_mean": [0.25 * (i % 5 - 2) for i in range(channels)],
            "latents_std": [0.5 + 0.25 * (i % 4) for i in range(channels)]}


def draw_weights(model):
    """A scale that keeps the variance of what flows through; biases small."""
    state = {}
    for i, (name, tensor) in enumerate(sorted(model.state_dict().items())):
        fan_in = tensor[0].numel()
        scale = numpy.float32(0.1 if tensor.ndim == 1 else numpy.sqrt(3.0 / fan_in))
        state[name] = uniform(1000 + i, tensor.shape, float(scale))
    model.load_state_dict(state)
    return model.eval()


def channels_last(x):
    """[1, frames, channels, height, width] to every STEP-th number of [frames, height, width, channels]"""
    return x[0].permute(0, 2, 3, 1).flatten()[::STEP]


def numbers(model, n_latents, height, width, latents=None):
    """latents: [n, height, width, channels], normalised; those that the frames were encoded to if None"""
    space = model.config["patch_size"] * 2 ** sum(model.config["decoder_space_upscale"])
    rgb = frames(n_latents * model.frames_per_latent, height * space, width * space) / 255
    with torch.no_grad():
        encoded = model.normalise(model.encode(rgb.permute(0, 3, 1, 2)[None]))
        x = encoded if latents is None else latents.permute(0, 3, 1, 2)[None]
        features = vae.run(model.decoder, model.denormalise(x))
        decoded = model.decode(model.denormalise(x)).clamp(0, 1) * 255
    return {"size": torch.tensor([n_latents, height, width]), "latents": x[0].permute(0, 2, 3, 1),
            "encoded": channels_last(encoded), "features": channels_last(features), "bytes": channels_last(decoded)}


def make_random(name, config, n_latents, height, width):
    channels = config["latent_channels"]
    model = draw_weights(vae.TAEHV(dict(config, **statistics(channels))))
    table = {name: list(tensor.shape) for name, tensor in sorted(model.state_dict().items())}
    text = json.dumps(dict(model.config, tensors=table), indent=1)
    (GOLDEN / f"{name}.json").write_text(text + "\n")
    save(name, numbers(model, n_latents, height, width, uniform(1, (n_latents, height, width, channels), 2)))


def make_file(name, config, wide, n_latents, height, width):
    """wide: names of tensors with more rows than the model uses"""
    model = vae.TAEHV(config | {"encoder_widths": [8] * 4, "decoder_widths": [16, 12, 8, 8]})
    shapes = {name: tensor.shape for name, tensor in sorted(model.state_dict().items())}
    shapes |= {name: (2 * shapes[name][0], *shapes[name][1:]) for name in wide}
    state = {}
    for i, (key, shape) in enumerate(shapes.items()):
        scale = numpy.float32(0.1 if len(shape) == 1 else numpy.sqrt(3.0 / numpy.prod(shape[1:])))
        state[key] = uniform(1000 + i, shape, float(scale))
    with tempfile.TemporaryDirectory() as folder:
        torch.save(state, Path(folder) / "file.pth")
        model.load_public(Path(folder) / "file.pth")
    text = json.dumps(dict(model.config, tensors={key: list(shape) for key, shape in shapes.items()}), indent=1)
    (GOLDEN / f"{name}.json").write_text(text + "\n")
    save(name, numbers(model.eval(), n_latents, height, width, uniform(1, (n_latents, height, width, config["latent_channels"]), 2)))


def make_embedded(directory):
    model = vae.TAEHV.load(Path(directory) / "vae").eval()
    weights = Path(directory) / "vae" / "diffusion_pytorch_model.safetensors"
    save("vae-embedded", numbers(model, 2, 4, 4) | {"fingerprint": fingerprint(weights)})


if __name__ == "__main__":
    make_random("vae-small", dict(vae.EMBEDDED_CONFIG, **SMALL), 4, 3, 5)
    make_random("vae-public", vae.public_config(), 3, 2, 3)
    make_file("taew2_1", vae.public_config(), ["decoder.7.conv.weight"], 3, 2, 3)
    make_file("taew2_2", vae.public_config(48, 2), [], 3, 2, 3)
    for directory in sys.argv[1:]:
        make_embedded(directory)
