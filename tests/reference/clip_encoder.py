# SPDX-License-Identifier: LGPL-2.1-or-later
"""Makes tests/golden/clip-encoder (.json: config and tensor shapes; .safetensors: numbers) with transformers' CLIPVisionModel.

The picture is made square and small as in Wan's own code, by PyTorch's bicubic interpolation of the whole. The weights are not stored: tensor
number i of the .json, in the order of names, is drawn from uniform (SEED + i), as the test draws it too."""

import torch
from transformers import CLIPVisionConfig, CLIPVisionModel

from common import SEED, draw_weights, frames, save, write_shapes

CONFIG = {"hidden_size": 48, "intermediate_size": 80, "num_hidden_layers": 3, "num_attention_heads": 3, "image_size": 28, "patch_size": 7}
MEAN, DEVIATION = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
SIZES = {"wide": (41, 60), "tall": (30, 17)}    # height, width: smaller than it was, and larger in one direction


def pixels(rgb, size):
    """[1, 3, size, size] of bytes [height, width, 3]"""
    mean, deviation = (torch.tensor(v).view(3, 1, 1) for v in (MEAN, DEVIATION))
    square = torch.nn.functional.interpolate(rgb.permute(2, 0, 1)[None] / 127.5 - 1, (size, size), mode="bicubic", align_corners=False)
    return (square * 0.5 + 0.5 - mean) / deviation


def make(activation="gelu"):
    return draw_weights(CLIPVisionModel(CLIPVisionConfig(**CONFIG, hidden_act=activation)), SEED)


def embed(model, rgb):
    """[tokens, hidden_size]: the penultimate layer's output"""
    return model(pixels(rgb, model.config.image_size), output_hidden_states=True).hidden_states[-2][0]


@torch.no_grad()
def main():
    torch.set_num_threads(1)
    model, quick = make(), make("quick_gelu")
    write_shapes("clip-encoder", model, {"model_type": "clip_vision_model", "hidden_act": "gelu"} | CONFIG)
    numbers = {}
    for name, (height, width) in SIZES.items():
        rgb = frames(1, height, width)[0]
        numbers |= {f"{name}.pixels": pixels(rgb, CONFIG["image_size"])[0], f"{name}.gelu": embed(model, rgb),
                    f"{name}.quick_gelu": embed(quick, rgb)}
    save("clip-encoder", numbers)


if __name__ == "__main__":
    main()
