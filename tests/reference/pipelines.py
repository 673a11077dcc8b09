# SPDX-License-Identifier: LGPL-2.1-or-later
"""Makes tests/golden/wan-*.json (configurations and shapes of small transformers) and tests/golden/pipelines.safetensors: clips of
diffusers' WanPipeline with two experts, and of its WanImageToVideoPipeline with and without CLIP, with one image and with two.

Text encoder and tokenizer are those of tests/golden/tiny-model, the VAE is that of wan_vae.py and the image encoder that of clip_encoder.py.
Weights are not stored: tensor number i of a .json, in the order of names, is drawn from uniform (SEED + i), as the test draws it too; a second
expert's from uniform (SEED_2 + i)."""

import sys

import torch
from diffusers import UniPCMultistepScheduler, WanImageToVideoPipeline, WanPipeline, WanTransformer3DModel
from PIL import Image

import clip_encoder
import wan_vae
from common import GOLDEN, SEED, draw_weights, frames, save, write_shapes
from stream import NEGATIVE, PROMPT, ROOT

sys.path.insert(0, str(ROOT / "models"))

import export  # noqa: E402
import sampler  # noqa: E402
import tokenizer  # noqa: E402

SEED_2 = 5000
WIDTH, HEIGHT, FRAMES = 96, 64, 9
LATENTS = (3, HEIGHT // 8, WIDTH // 8)
CHANNELS, ROWS, STEPS, SHIFT = 4, 512, 4, 3.0
CONFIG = {"in_channels": CHANNELS, "out_channels": CHANNELS, "patch_size": (1, 2, 2), "num_attention_heads": 2, "attention_head_dim": 16,
          "num_layers": 2, "ffn_dim": 72, "text_dim": 24, "freq_dim": 32}


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


def pictures():
    """The first frame, and the last one: the same upside down"""
    first = frames(1, HEIGHT, WIDTH)[0]
    return first, first.flip(0)


def images(noise, text):
    """Wan 2.1's way, which attends to CLIP's embeddings too; FLF2V's, to those of two images; Wan 2.2's, two experts without them."""
    vae, encoder = wan_vae.make_model(wan_vae.SMALL | wan_vae.statistics(CHANNELS)), clip_encoder.make()
    width = {"in_channels": 2 * CHANNELS + 4}
    added = {"image_dim": clip_encoder.CONFIG["hidden_size"], "added_kv_proj_dim": 32}
    first, last = pictures()
    embeddings = torch.stack([clip_encoder.embed(encoder, picture) for picture in (first, last)])
    first, last = (Image.fromarray(picture.byte().numpy()) for picture in (first, last))
    numbers = {}

    def run(name, models, embeddings=None, **options):
        pipeline = WanImageToVideoPipeline(tokenizer=None, text_encoder=None, vae=vae, scheduler=scheduler(), transformer=models[0],
                                           transformer_2=models[1], boundary_ratio=0.9 if models[1] else None)
        pipeline.encode_image = lambda image, device: embeddings    # what it makes of a picture before CLIP is not Wan's way
        numbers[name] = clip(pipeline, noise, text, image=first, guidance_scale=3.5, **options)
        return pipeline

    pipeline = run("image", (transformers("wan-i2v", **width, **added)[0], None), embeddings[:1])
    run("images", (transformers("wan-flf2v", **width, **added, pos_embed_seq_len=2 * embeddings.shape[1])[0], None), embeddings, last_image=last)
    models = transformers("wan-i2v-experts", **width)
    run("image_experts", models)
    run("images_experts", models, last_image=last)
    ready = [pipeline.video_processor.preprocess(picture, height=HEIGHT, width=WIDTH) for picture in (first, last)]
    for name, end in (("condition", None), ("condition_2", ready[1])):
        numbers[name] = pipeline.prepare_latents(ready[0], 1, CHANNELS, HEIGHT, WIDTH, FRAMES, torch.float32, "cpu", None, noise[None], end)[1][0]
    return numbers


@torch.no_grad()
def main():
    torch.set_num_threads(1)
    torch.manual_seed(13)
    noise, text = torch.randn(CHANNELS, *LATENTS), texts()
    save("pipelines", {"noise": noise} | experts(noise, text) | images(noise, text))


if __name__ == "__main__":
    main()
