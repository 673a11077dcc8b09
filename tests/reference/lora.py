# SPDX-License-Identifier: LGPL-2.1-or-later
"""Makes the files of tests/golden/lora: the same small LoRA in every dialect of names, another one of everything that a file can hold, and
tests/golden/lora.safetensors, what diffusers' WanTransformer3DModel and transformers' UMT5EncoderModel give with them merged:
W + weight · alpha / rank · up · down; of LoHa and LoKr, with LyCORIS's formulas; and of DoRA, with its paper's. The models are those of transformer.safetensors and text-encoder.safetensors; two more LoRAs are for the tiny
model of stream.py."""

import json

import torch
from safetensors.torch import load_file, save_file

import text_encoder
import transformer
from common import GOLDEN, save

FOLDER = GOLDEN / "lora"
RANK, ALPHA = 2, 1.0
OTHER_RANK, OTHER_ALPHA = 3, 6
BOTH = 0.75, -0.5       # weights of the two, together
SIZE = 0.3              # of a difference against the weight's own numbers

# Layers of the transformer: diffusers' names, and Wan's own
LAYERS = {"blocks.0.attn1.to_q": "blocks.0.self_attn.q", "blocks.1.attn1.to_v": "blocks.1.self_attn.v",
          "blocks.0.attn1.to_out.0": "blocks.0.self_attn.o", "blocks.1.attn2.to_k": "blocks.1.cross_attn.k",
          "blocks.0.ffn.net.0.proj": "blocks.0.ffn.0", "blocks.1.ffn.net.2": "blocks.1.ffn.2",
          "condition_embedder.time_proj": "time_projection.1", "proj_out": "head.head", "patch_embedding": "patch_embedding"}
# The same layers as peft's patterns
PATTERNS = ["to_q", "^blocks.1.attn1.to_v$", "attn1.to_out.0", "blocks.1.attn2.to_k", "^blocks.0.ffn.net.0.proj", "net.2$", "time_proj",
            "^proj_out", "patch_embedding"]
OTHER_LAYERS = {"blocks.0.attn1.to_q": "blocks.0.self_attn.q", "blocks.0.attn2.to_q": "blocks.0.cross_attn.q",
                "condition_embedder.text_embedder.linear_2": "text_embedding.2", "condition_embedder.time_embedder.linear_1": "time_embedding.0"}
# What the other one changes as a whole: tensors by diffusers' names, and keys
DIFFERENCES = {"blocks.0.attn1.to_k.weight": "blocks.0.self_attn.k.diff", "blocks.0.attn1.to_q.bias": "blocks.0.self_attn.q.diff_b",
               "blocks.1.attn2.norm_k.weight": "blocks.1.cross_attn.norm_k.diff", "blocks.0.norm2.weight": "blocks.0.norm3.diff",
               "blocks.0.norm2.bias": "blocks.0.norm3.diff_b", "blocks.1.scale_shift_table": "blocks.1.diff_m",
               "scale_shift_table": "head.diff_m"}
# Layers of the text encoder: transformers' names, and Wan's own
ENCODER = {"encoder.block.0.layer.0.SelfAttention.q": "blocks.0.attn.q", "encoder.block.1.layer.0.SelfAttention.v": "blocks.1.attn.v",
           "encoder.block.1.layer.1.DenseReluDense.wi_0": "blocks.1.ffn.gate.0", "encoder.block.0.layer.1.DenseReluDense.wo": "blocks.0.ffn.fc2"}


def draw(weights, layers, rank):
    """To layer: (down, up) in numbers that bf16 holds exactly"""
    pairs = {}
    for layer in layers:
        weight = weights[f"{layer}.weight"]
        ones = [1] * (weight.ndim - 2)
        down = torch.randn(rank, *weight.shape[1:]) * (SIZE / weight[0].numel()) ** 0.5
        up = torch.randn(len(weight), rank, *ones) * (SIZE / rank) ** 0.5
        pairs[layer] = down.bfloat16().float(), up.bfloat16().float()
    return pairs


def merge(weights, pairs, scale):
    for layer, (down, up) in pairs.items():
        weight = weights[f"{layer}.weight"]
        weights[f"{layer}.weight"] = weight + (scale * up.flatten(1) @ down.flatten(1)).reshape(weight.shape)


def spell(pairs, names, pattern, halves, alpha=None, dtype=torch.bfloat16, underscores=False):
    """Keys of `pattern`, in which {layer} and {half} stand for their names. Without alpha the upper half has its factor."""
    tensors = {}
    for layer, (down, up) in pairs.items():
        name = names.get(layer, layer)
        name = name.replace(".", "_") if underscores else name
        if alpha is None:
            up = up * (ALPHA / RANK)
        else:
            key = pattern[:pattern.index("{layer}")] + name + ".alpha"
            tensors[key] = alpha
        tensors[pattern.format(layer=name, half=halves[0])] = down.to(dtype)
        tensors[pattern.format(layer=name, half=halves[1])] = up.to(dtype)
    return tensors


def write(name, tensors, metadata=None):
    save_file({key: tensor.contiguous().clone() for key, tensor in tensors.items()}, FOLDER / name, metadata)


def write_transformer_dialects(pairs):
    ab, kohya = ("lora_A", "lora_B"), ("lora_down", "lora_up")
    alpha = torch.tensor(ALPHA)
    write("comfyui.safetensors", spell(pairs, LAYERS, "diffusion_model.{layer}.{half}.weight", ab))
    write("comfyui-alpha.safetensors", spell(pairs, LAYERS, "diffusion_model.{layer}.{half}.weight", kohya, alpha))
    write("kohya.safetensors", spell(pairs, LAYERS, "lora_unet_{layer}.{half}.weight", kohya, torch.tensor(1), underscores=True))
    write("wan-fun.safetensors", spell(pairs, LAYERS, "lora_unet__{layer}.{half}.weight", kohya, alpha.bfloat16(), underscores=True))
    write("lycoris.safetensors", spell(pairs, LAYERS, "lycoris_{layer}.{half}.weight", kohya, alpha, torch.float32, underscores=True))
    write("diffusers.safetensors", spell(pairs, {}, "transformer.{layer}.{half}.weight", ab))
    whole = {layer: (down, up * (RANK / ALPHA)) for layer, (down, up) in pairs.items()}   # spell() takes it back
    config = {"transformer.r": RANK, "transformer.lora_alpha": 7 * ALPHA, "transformer.use_rslora": False,
              "transformer.alpha_pattern": {pattern: ALPHA for pattern in PATTERNS}}
    write("diffusers-metadata.safetensors", spell(whole, {}, "transformer.{layer}.{half}.weight", ab),
          {"format": "pt", "lora_adapter_metadata": json.dumps(config)})
    write("diffusers-old.safetensors", spell(pairs, {}, "transformer.{layer}.lora.{half}.weight", ("down", "up")))
    write("one-trainer.safetensors", spell(pairs, {}, "lora_transformer_{layer}.{half}.weight", kohya, alpha.double(), underscores=True))
    write("diffsynth.safetensors", spell(pairs, LAYERS, "pipe.dit.{layer}.{half}.default.weight", ab))
    write("peft.safetensors", spell(pairs, {}, "base_model.model.{layer}.{half}.weight", ab))
    write("bare.safetensors", spell(pairs, LAYERS, "{layer}.{half}.default.weight", ab))
    some = spell(pairs, LAYERS, "base_model.model._fsdp_wrapped_module.{layer}.{half}.weight", ab)
    critic = spell({"proj_out": pairs["proj_out"]}, LAYERS, "base_model.model.{layer}.{half}.weight", ab)
    torch.save({"generator_lora": some, "critic_lora": critic, "step": 3}, FOLDER / "checkpoint.pt")


def make_other(weights):
    """Pairs and differences of the other one, and its file"""
    pairs = draw(weights, OTHER_LAYERS, OTHER_RANK)
    differences = {name: (SIZE * torch.randn(weights[name].shape)).bfloat16().float() for name in DIFFERENCES}
    tensors = spell(pairs, OTHER_LAYERS, "diffusion_model.{layer}.{half}.weight", ("lora_down", "lora_up"), torch.tensor(OTHER_ALPHA))
    tensors |= {"diffusion_model." + key: differences[name].bfloat16() for name, key in DIFFERENCES.items()}
    write("other.safetensors", tensors)
    return pairs, differences


def merge_other(weights, other, weight):
    merge(weights, other[0], weight * OTHER_ALPHA / OTHER_RANK)
    for name, difference in other[1].items():
        weights[name] = weights[name] + weight * difference


def draw_matrix(rows, columns, size):
    """Numbers that bf16 holds exactly"""
    return (torch.randn(rows, columns) * size ** 0.5).bfloat16().float()


def draw_loha(weights, layers):
    """To layer: the four halves, as LyCORIS and peft call them"""
    halves = {}
    for layer in layers:
        rows, columns = weights[f"{layer}.weight"].flatten(1).shape
        size = (SIZE / columns) ** 0.5 / RANK   # of each product's numbers, SIZE / columns of both together
        halves[layer] = {"hada_w1_a": draw_matrix(rows, RANK, size), "hada_w1_b": draw_matrix(RANK, columns, 1),
                         "hada_w2_a": draw_matrix(rows, OTHER_RANK, size), "hada_w2_b": draw_matrix(OTHER_RANK, columns, 1)}
    return halves


def draw_lokr(weights, layers):
    """To layer: both matrices; each is whole in one layer and in halves in another. The first is 2x4."""
    halves = {}
    for i, layer in enumerate(layers):
        rows, columns = weights[f"{layer}.weight"].flatten(1).shape
        size = (SIZE / columns) ** 0.5
        a = {"lokr_w1": draw_matrix(2, 4, size)} if i % 2 == 0 else \
            {"lokr_w1_a": draw_matrix(2, RANK, size / RANK), "lokr_w1_b": draw_matrix(RANK, 4, 1)}
        b = {"lokr_w2": draw_matrix(rows // 2, columns // 4, size)} if i // 2 % 2 == 0 else \
            {"lokr_w2_a": draw_matrix(rows // 2, RANK, size / RANK), "lokr_w2_b": draw_matrix(RANK, columns // 4, 1)}
        halves[layer] = a | b
    return halves


def whole(halves, name):
    return halves[name] if name in halves else halves[f"{name}_a"] @ halves[f"{name}_b"]


def loha_difference(halves):
    return ALPHA / RANK * whole(halves, "hada_w1") * whole(halves, "hada_w2")


def lokr_difference(halves, scale_whole=1.0):
    """LyCORIS has no factor for two whole matrices; peft has the same for all."""
    scale = ALPHA / RANK if any(name.endswith("_b") for name in halves) else scale_whole
    return scale * torch.kron(whole(halves, "lokr_w1"), whole(halves, "lokr_w2"))


def make_lycoris(weights, changes, difference, name):
    """Two files of the same, as LyCORIS writes them and as peft does, the latter with its configuration beside it. What is merged is LyCORIS's."""
    ours, peft, merged = {}, {}, dict(weights)
    for layer, halves in changes.items():
        spelled = "lycoris_" + LAYERS[layer].replace(".", "_")
        ours |= {f"{spelled}.{half}": tensor.bfloat16() for half, tensor in halves.items()} | {f"{spelled}.alpha": torch.tensor(ALPHA)}
        peft |= {f"base_model.model.{layer}.{half}": tensor for half, tensor in halves.items()}
        weight = weights[f"{layer}.weight"]
        merged[f"{layer}.weight"] = weight + difference(halves).reshape(weight.shape)
    write(f"{name}.safetensors", ours)
    folder = FOLDER.parent / "lora-peft" / name
    folder.mkdir(parents=True, exist_ok=True)
    save_file({key: tensor.contiguous().clone() for key, tensor in peft.items()}, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": name.upper(), "r": RANK, "alpha": ALPHA, "alpha_pattern": {}}))
    return merged


def merge_dora(weights, differences, magnitudes, weight):
    """W + weight · (m · V / ‖V‖ - W) with V = W + difference, where norm and m are of rows: each output's"""
    for layer, difference in differences.items():
        old = weights[f"{layer}.weight"].flatten(1)
        changed = old + difference
        trained = magnitudes[layer][:, None] * changed / torch.linalg.norm(changed, dim=1, keepdim=True)
        weights[f"{layer}.weight"] = (old + weight * (trained - old)).reshape(weights[f"{layer}.weight"].shape)


def make_dora(weights, pairs, other):
    """Magnitudes with pairs, a LoHa and a LoKr, in one file as LyCORIS and ComfyUI have them; and as peft does. What is merged: with it, and with
    the other LoRA before it"""
    pairs = dict(pairs)
    lycoris = {"blocks.1.ffn.net.2": draw_loha(weights, ["blocks.1.ffn.net.2"])["blocks.1.ffn.net.2"],
               "proj_out": draw_lokr(weights, ["proj_out"])["proj_out"]}
    formulas = {"blocks.1.ffn.net.2": loha_difference, "proj_out": lokr_difference}
    for layer in lycoris:
        del pairs[layer]
    differences = {layer: ALPHA / RANK * up.flatten(1) @ down.flatten(1) for layer, (down, up) in pairs.items()}
    differences |= {layer: formulas[layer](halves) for layer, halves in lycoris.items()}
    magnitudes = {}
    for layer in differences:
        norms = torch.linalg.norm(weights[f"{layer}.weight"].flatten(1), dim=1)
        magnitudes[layer] = (norms * (1 + SIZE * torch.randn(len(norms)))).bfloat16().float()
    tensors = spell(pairs, LAYERS, "diffusion_model.{layer}.{half}.weight", ("lora_down", "lora_up"), torch.tensor(ALPHA))
    for layer, halves in lycoris.items():
        tensors |= {f"diffusion_model.{LAYERS[layer]}.{half}": tensor.bfloat16() for half, tensor in halves.items()}
        tensors[f"diffusion_model.{LAYERS[layer]}.alpha"] = torch.tensor(ALPHA)
    peft = spell(pairs, {}, "base_model.model.{layer}.{half}.weight", ("lora_A", "lora_B"))
    for layer, numbers in magnitudes.items():
        ones = [1] * (weights[f"{layer}.weight"].ndim - 1)
        tensors[f"diffusion_model.{LAYERS[layer]}.dora_scale"] = numbers.reshape(-1, *ones).bfloat16()
        if layer in pairs:
            numbers = numbers.reshape(1, -1, *ones[1:]) if len(ones) > 1 else numbers
            peft[f"base_model.model.{layer}.lora_magnitude_vector"] = numbers
    write("dora.safetensors", tensors)
    write("dora-peft.safetensors", peft)
    merged, both = dict(weights), dict(weights)
    merge_dora(merged, differences, magnitudes, 1)
    merge_other(both, other, BOTH[1])
    merge_dora(both, differences, magnitudes, BOTH[0])
    return merged, both


def make_bias(weights, pairs):
    """A pair whose upper half has a bias, as peft writes it"""
    layer = "blocks.0.attn1.to_q"
    bias = torch.randn(len(weights[f"{layer}.weight"])).bfloat16()
    tensors = spell({layer: pairs[layer]}, {}, "transformer.{layer}.{half}.weight", ("lora_A", "lora_B"), torch.tensor(ALPHA))
    write("bias.safetensors", tensors | {f"transformer.{layer}.lora_B.bias": bias})
    merge(weights, {layer: pairs[layer]}, ALPHA / RANK)
    weights[f"{layer}.bias"] = weights[f"{layer}.bias"] + ALPHA / RANK * bias.float()
    return weights


def copy_weights(model):
    return {key: tensor.clone() for key, tensor in model.state_dict().items()}


def run_transformer(model, weights):
    model.load_state_dict(weights)
    text = transformer.texts(transformer.N_TOKENS, transformer.TEXT_LENGTH, transformer.CONFIG["text_dim"])
    x = transformer.latents(1, transformer.FRAMES, transformer.SIZE, transformer.CONFIG["in_channels"])
    return transformer.evaluate(model, x, transformer.TIMESTEPS[1:], text)


def make_transformer():
    model = transformer.draw_model()
    weights = copy_weights(model)
    torch.manual_seed(11)
    pairs = draw(weights, LAYERS, RANK)
    write_transformer_dialects(pairs)
    other = make_other(weights)
    merged, both, others = dict(weights), dict(weights), dict(weights)
    merge(merged, pairs, ALPHA / RANK)
    merge_other(others, other, 1)
    merge(both, pairs, BOTH[0] * ALPHA / RANK)
    merge_other(both, other, BOTH[1])
    bias = make_bias(dict(weights), pairs)
    torch.manual_seed(13)
    loha = make_lycoris(weights, draw_loha(weights, LAYERS), loha_difference, "loha")
    lokr = make_lycoris(weights, draw_lokr(weights, LAYERS), lokr_difference, "lokr")
    torch.manual_seed(14)
    dora, dora_both = make_dora(weights, pairs, other)
    return {"one": run_transformer(model, merged), "other": run_transformer(model, others), "both": run_transformer(model, both),
            "bias": run_transformer(model, bias), "loha": run_transformer(model, loha), "lokr": run_transformer(model, lokr),
            "dora": run_transformer(model, dora), "dora-both": run_transformer(model, dora_both)}


def make_text_encoder():
    model = text_encoder.draw_model()
    weights = copy_weights(model)
    torch.manual_seed(12)
    pairs = draw(weights, ENCODER, RANK)
    ab, kohya = ("lora_A", "lora_B"), ("lora_down", "lora_up")
    write("encoder-diffusers.safetensors", spell(pairs, {}, "text_encoder.{layer}.{half}.weight", ab))
    write("encoder-kohya.safetensors", spell(pairs, {}, "lora_te_{layer}.{half}.weight", kohya, torch.tensor(ALPHA), underscores=True))
    write("encoder-comfyui.safetensors", spell(pairs, {}, "text_encoders.umt5xxl.transformer.{layer}.{half}.weight", ab))
    write("encoder-bare.safetensors", spell(pairs, ENCODER, "{layer}.{half}.weight", ab))
    merge(weights, pairs, ALPHA / RANK)
    model.load_state_dict(weights)
    n = text_encoder.N_TOKENS[1]
    tokens = text_encoder.ids(n, n, text_encoder.CONFIG["vocab_size"])
    return {f"tokens.{n}": tokens, f"embeddings.{n}": text_encoder.encode(model, tokens, text_encoder.LENGTH)}


def make_tiny():
    """Three LoRAs for tests/golden/tiny-model, without numbers, the last with magnitudes: its frames with them differ from each other."""
    weights = load_file(GOLDEN / "tiny-model" / "transformer" / "diffusion_pytorch_model.safetensors")
    for seed, (name, layers) in enumerate({"tiny-style": ("blocks.0.attn1.to_v", "proj_out"), "tiny-motion": ("blocks.1.ffn.net.2",)}.items()):
        torch.manual_seed(seed)
        write(f"{name}.safetensors", spell(draw(weights, layers, RANK), {}, "transformer.{layer}.{half}.weight", ("lora_A", "lora_B")))
    torch.manual_seed(2)
    layer = "blocks.1.ffn.net.2"    # the last one that is loaded, and the first that is streamed
    norms = torch.linalg.norm(weights[f"{layer}.weight"].float(), dim=1)
    magnitudes = {f"transformer.{layer}.lora_magnitude_vector": norms * (1 + SIZE * torch.randn(len(norms)))}
    pair = spell(draw(weights, (layer,), RANK), {}, "transformer.{layer}.{half}.weight", ("lora_A", "lora_B"))
    write("tiny-magnitudes.safetensors", pair | magnitudes)


def main():
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    FOLDER.mkdir(exist_ok=True)
    save("lora", make_transformer() | make_text_encoder())
    make_tiny()
    for path in sorted(FOLDER.iterdir()):
        path.chmod(0o644)
        print(f"{path}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
