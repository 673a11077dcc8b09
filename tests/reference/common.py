# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the makers of golden files share: numbers that a C test can draw too, random weights, and the file."""

import json
from pathlib import Path

import numpy
import torch
from safetensors.torch import save_file

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
SEED = 1000         # of weights that a test draws too


def uniform(seed, shape, scale):
    """The numbers of sora_test_random (seed, n, scale): GLib's GRand is MT19937, two words a double, the first the finer one."""
    n = int(numpy.prod(shape))
    words = numpy.random.RandomState(seed)._bit_generator.random_raw(2 * n).astype(numpy.float64).reshape(n, 2)
    r = (words[:, 0] * 2.0**-32 + words[:, 1]) * 2.0**-32
    return torch.from_numpy((r * scale - (r - 1) * -scale).astype(numpy.float32).reshape(shape))


def frames(n, height, width):
    """Bytes [n, height, width, 3]: triangle waves, each channel with its own slope in x, y and time."""
    f, y, x, c = numpy.meshgrid(range(n), range(height), range(width), range(3), indexing="ij")
    v = (x * 3 + y * 5 * (c + 1) + f * 7 * (c + 2)) & 511
    return torch.from_numpy(numpy.where(v < 256, v, 511 - v)).float()


def randomise(module, seed):
    """Every parameter large enough to matter, and one that bf16 holds exactly."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, p in module.named_parameters():
            if "norm" in name:
                p.normal_(0.1 if name.endswith("bias") else 1.0, 0.2)
            elif name.endswith("bias"):
                p.normal_(0.0, 0.2)
            elif name.endswith("scale_shift_table") or "relative_attention_bias" in name:
                p.normal_(0.0, 0.5)
            else:
                p.normal_(0.0, p.flatten(1).shape[1] ** -0.5)
            p.copy_(p.to(torch.bfloat16))
    return module.eval()


def draw(name, shape, seed):
    """A scale that keeps the variance of what flows through; norms about 1, biases small."""
    if name.endswith("gamma") or "norm" in name and name.endswith(".weight"):
        return 1 + uniform(seed, shape, 0.5)
    if len(shape) == 1:
        return uniform(seed, shape, float(numpy.float32(0.1)))
    return uniform(seed, shape, float(numpy.float32(numpy.sqrt(3.0 * shape[0] / numpy.prod(shape)))))


def draw_weights(module, seed):
    """Those of sora_test_draw_weights_from (seed), in single precision."""
    state = module.state_dict()
    module.load_state_dict({name: draw(name, tuple(state[name].shape), seed + i) for i, name in enumerate(sorted(state))})
    return module.eval()


def write_shapes(name, module, config):
    table = {key: list(tensor.shape) for key, tensor in sorted(module.state_dict().items())}
    (GOLDEN / f"{name}.json").write_text(json.dumps(config | {"tensors": table}, indent=1) + "\n")


def fingerprint(path):
    """The first values of every tensor of a weight file, by name: a golden file belongs to these weights only."""
    from safetensors.torch import load_file
    tensors = load_file(path)
    return torch.cat([tensors[name].flatten()[:4].float() for name in sorted(tensors)])


def save(name, numbers, weights=None):
    """numbers: in single precision, named golden.*; weights: in bf16, named as they are."""
    tensors = {f"golden.{k}": v.detach().float().contiguous() for k, v in numbers.items()}
    tensors |= {k: v.detach().to(torch.bfloat16).contiguous() for k, v in (weights or {}).items()}
    GOLDEN.mkdir(exist_ok=True)
    path = GOLDEN / f"{name}.safetensors"
    save_file(tensors, path)
    path.chmod(0o644)
    print(f"{path}: {path.stat().st_size} bytes")
    for key, v in numbers.items():
        print(f"  {key} {list(v.shape)} rms {v.detach().float().square().mean().sqrt():.3f}")
