# SPDX-License-Identifier: LGPL-2.1-or-later
"""Makes tests/golden/wan-*.json (configurations and shapes of small transformers) and tests/golden/pipelines.safetensors: clips of
diffusers' WanPipeline with two experts.

Text encoder and tokenizer are those of tests/golden/tiny-model. Weights are not stored: tensor number i of a .json, in the order of names,
is drawn from uniform (SEED + i), as the test draws it too; a second expert's from uniform (SEED_2 + i)."""

import json
import sys

import numpy
import torch
from diffusers import UniPCMultistepScheduler, WanPipeline, WanTransformer3DModel

from common import GOLDEN, save, uniform
from stream import NEGATIVE, PROMPT, ROOT

sys.path.insert(0, str(ROOT / "models"))

import export  # noqa: E402
import sampler  # noqa: E402
import tokenizer  # noqa: E402

SEED, SEED_2 = 1000, 5000
WIDTH, HEIGHT, FRAMES = 96, 64, 9
LATENTS = (3, HEIGHT // 8, WIDTH // 8)
CHANNELS, ROWS, STEPS, SHIFT = 4, 512, 4, 3.0
CONFIG = {"in_channels": CHANNELS, "out_channels": CHANNELS, "patch_size": (1, 2, 2), "num_attention_heads": 2, "attention_head_dim": 16,
          "num_layers": 2, "ffn_dim": 72, "text_dim": 24, "freq_dim": 32}


def draw(name, shape, seed):
    """A scale that keeps the variance of what flows through; norms about 1, biases small."""
    if name.endswith("gamma") or "norm" in name and name.endswith(".weight"):
        return 1 + uniform(seed, shape, 0.5)
    if len(shape) == 1:
        return uniform(seed, shape, float(numpy.float32(0.1)))
    return uniform(seed, shape, float(numpy.float32(numpy.sqrt(3.0 * shape[0] / numpy.prod(shape)))))


def draw_weights(module, seed):
    state = module.state_dict()
    module.load_state_dict({name: draw(name, tuple(state[name].shape), seed + i) for i, name in enumerate(sorted(state))})
    return module.eval()


def write_shapes(name, module, config):
    table = {key: list(tensor.shape) for key, tensor in sorted(module.state_dict().items())}
    (GOLDEN / f"{name}.json").write_text(json.dumps(config | {"tensors": table}, indent=1) + "\n")


def transformers(name, **changes):
    """Both experts, or whatever takes the first one alone."""
    config = CONFIG | changes
    models = [draw_weights(WanTransformer3DModel(**config), seed) for seed in (SEED, SEED_2)]
    write_shapes(name, models[0], {"_class_name": "WanTransformer3DModel"} | config)
    return models


def scheduler():
    return UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=SHIFT)


def texts():
    directory = GOLDEN / "tiny-model"
    parts, _ = export.load(directory)
    words = tokenizer.Tokenizer(directory / "tokenizer")
    return [sampler.encode_texts(parts["text_encoder"], words, [text], ROWS) for text in (PROMPT, NEGATIVE)]


def clip(pipeline, noise, text, **options):
    """Clean latents [channels, latents, height, width]"""
    pipeline.set_progress_bar_config(disable=True)
    return pipeline(prompt_embeds=text[0], negative_prompt_embeds=text[1], height=HEIGHT, width=WIDTH, num_frames=FRAMES,
                    num_inference_steps=STEPS, latents=noise[None], output_type="latent", return_dict=False, **options)[0][0]


def experts(noise, text):
    """With a scale of guidance for both, and with one for each."""
    first, second = transformers("wan-t2v")
    pipeline = WanPipeline(tokenizer=None, text_encoder=None, vae=None, scheduler=scheduler(), transformer=first, transformer_2=second,
                           boundary_ratio=0.875)
    return {"experts": clip(pipeline, noise, text, guidance_scale=4.0),
            "experts_2": clip(pipeline, noise, text, guidance_scale=4.0, guidance_scale_2=1.5)}


@torch.no_grad()
def main():
    torch.set_num_threads(1)
    torch.manual_seed(13)
    noise, text = torch.randn(CHANNELS, *LATENTS), texts()
    save("pipelines", {"noise": noise} | experts(noise, text))


if __name__ == "__main__":
    main()
