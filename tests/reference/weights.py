# SPDX-License-Identifier: LGPL-2.1-or-later
"""Makes the files of tests/golden/weights: the same few numbers in every container, number type and dialect of names, so that all must
give what transformer.safetensors and text-encoder.safetensors hold; and some archives that must be refused.

The numbers are multiples of 1/8 up to 15/8, which every type holds exactly. Shapes are as small as a type's blocks allow."""

import json
import zipfile

import numpy
import torch
from gguf import GGMLQuantizationType, GGUFWriter
from safetensors.torch import save_file

from common import GOLDEN

FOLDER = GOLDEN / "weights"
F8 = torch.float8_e4m3fn
ROW = 32            # a block of Q8_0

# Layers by their names in diffusers, and in the original
LAYERS = {"condition_embedder.text_embedder.linear_1": "text_embedding.0", "condition_embedder.text_embedder.linear_2": "text_embedding.2",
          "condition_embedder.time_embedder.linear_1": "time_embedding.0", "condition_embedder.time_embedder.linear_2": "time_embedding.2",
          "condition_embedder.time_proj": "time_projection.1", "proj_out": "head.head",
          "blocks.11.ffn.net.0.proj": "blocks.11.ffn.0", "blocks.11.ffn.net.2": "blocks.11.ffn.2"}
NORMS = {"blocks.11.norm2": "blocks.11.norm3"}
for new, old in {"attn1": "self_attn", "attn2": "cross_attn"}.items():
    for part, original in {"to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "o"}.items():
        LAYERS[f"blocks.11.{new}.{part}"] = f"blocks.11.{old}.{original}"
TABLES = {"scale_shift_table": ("head.modulation", (1, 2, 4)), "blocks.11.scale_shift_table": ("blocks.11.modulation", (1, 6, 4)),
          "patch_embedding.bias": ("patch_embedding.bias", (4,)), "patch_embedding.weight": ("patch_embedding.weight", (4, 2, 1, 2, 2))}
for new, old in {"attn1": "self_attn", "attn2": "cross_attn"}.items():
    for part in ("norm_q", "norm_k"):
        TABLES[f"blocks.11.{new}.{part}.weight"] = (f"blocks.11.{old}.{part}.weight", (4,))

# A text encoder's names in transformers, in the original, in GGUF
ENCODER = {"shared.weight": ("token_embedding.weight", "token_embd.weight"),
           "encoder.final_layer_norm.weight": ("norm.weight", "enc.output_norm.weight")}
for new, (old, gguf) in {
        "layer.0.SelfAttention.q": ("attn.q", "attn_q"), "layer.0.SelfAttention.k": ("attn.k", "attn_k"),
        "layer.0.SelfAttention.v": ("attn.v", "attn_v"), "layer.0.SelfAttention.o": ("attn.o", "attn_o"),
        "layer.0.SelfAttention.relative_attention_bias": ("pos_embedding.embedding", "attn_rel_b"),
        "layer.0.layer_norm": ("norm1", "attn_norm"), "layer.1.layer_norm": ("norm2", "ffn_norm"),
        "layer.1.DenseReluDense.wi_0": ("ffn.gate.0", "ffn_gate"), "layer.1.DenseReluDense.wi_1": ("ffn.fc1", "ffn_up"),
        "layer.1.DenseReluDense.wo": ("ffn.fc2", "ffn_down")}.items():
    for i in (0, 10):
        ENCODER[f"encoder.block.{i}.{new}.weight"] = (f"blocks.{i}.{old}.weight", f"enc.blk.{i}.{gguf}.weight")


def draw(shape):
    return torch.randint(-15, 16, shape).float() / 8


def make_transformer():
    """Tensors by their names in diffusers, and what the original calls them"""
    tensors, names = {}, {}
    for layers, shape in ((LAYERS, (1, ROW)), (NORMS, (4,))):
        for new, old in layers.items():
            for leaf, size in (("weight", shape), ("bias", shape[:1])):
                tensors[f"{new}.{leaf}"] = draw(size)
                names[f"{new}.{leaf}"] = f"{old}.{leaf}"
    for new, (old, shape) in TABLES.items():
        tensors[new] = draw(shape)
        names[new] = old
    return tensors, names


def rename(tensors, names, prefix=""):
    return {prefix + names[name]: tensor for name, tensor in tensors.items()}


def save(name, tensors):
    save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, FOLDER / name)


def save_shards(name, tensors):
    keys = sorted(tensors)
    halves = keys[::2], keys[1::2]
    files = [f"{name}-0000{i + 1}-of-00002.safetensors" for i in range(2)]
    for file, half in zip(files, halves):
        save(file, {key: tensors[key] for key in half})
    index = {"metadata": {}, "weight_map": {key: file for file, half in zip(files, halves) for key in half}}
    (FOLDER / f"{name}.safetensors.index.json").write_text(json.dumps(index, indent=1) + "\n")


def is_matrix(name, tensor):
    return tensor.ndim == 2 and tensor.shape[-1] % ROW == 0


def scaled(tensors, suffix, marker):
    """Matrices in 8 bits with a scale of 1/4, as ComfyUI has them; the rest in bf16"""
    result = dict(marker)
    for name, tensor in tensors.items():
        if is_matrix(name, tensor):
            layer = name.removesuffix(".weight")
            result[name] = (tensor * 4).to(F8)
            result[layer + suffix[0]] = torch.tensor(0.25) if suffix[0] == ".scale_weight" else torch.tensor([0.25])
            result[layer + suffix[1]] = torch.tensor(3.0)
        else:
            result[name] = tensor.bfloat16()
    return result


def q8_0(values):
    """Blocks with the scale 1/8"""
    rows = (values * 8).numpy().astype(numpy.int8).reshape(-1, ROW)
    scale = numpy.full((len(rows), 1), 0.125, numpy.float16).view(numpy.uint8)
    return numpy.concatenate([scale, rows.view(numpy.uint8)], axis=1).reshape(*values.shape[:-1], -1)


def save_gguf(name, architecture, tensors, shapes=None, metadata=None):
    """shapes: how some tensors are folded, and noted as their original shapes; metadata: called with the writer"""
    writer = GGUFWriter(FOLDER / name, architecture)
    if metadata:
        metadata(writer)
    for key, tensor in tensors.items():
        if key in (shapes or {}):
            writer.add_array(f"comfy.gguf.orig_shape.{key}", list(tensor.shape))
            tensor = tensor.reshape(shapes[key])
        if is_matrix(key, tensor):
            writer.add_tensor(key, q8_0(tensor), raw_dtype=GGMLQuantizationType.Q8_0)
        elif tensor.ndim == 1:
            writer.add_tensor(key, tensor.numpy())
        else:
            writer.add_tensor(key, tensor.numpy().astype(numpy.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def some_metadata(writer):
    """One value of every type"""
    writer.add_uint8("test.uint8", 200)
    writer.add_int8("test.int8", -100)
    writer.add_uint16("test.uint16", 60000)
    writer.add_int16("test.int16", -30000)
    writer.add_uint32("test.uint32", 4000000000)
    writer.add_int32("test.int32", -2000000000)
    writer.add_float32("test.float32", 1.5)
    writer.add_uint64("test.uint64", 2**63)
    writer.add_int64("test.int64", -2**62)
    writer.add_float64("test.float64", 0.1)
    writer.add_bool("test.bool", True)
    writer.add_string("test.string", "grün")
    writer.add_array("tokenizer.ggml.tokens", ["<pad>", "</s>", "▁a"])
    writer.add_array("tokenizer.ggml.scores", [0.0, -1.5, 2.25])
    writer.add_array("test.arrays", [[1, 2], [3]])


def share(tensors):
    """Vectors as parts of one storage, as a view has them; one tensor a parameter"""
    result = dict(tensors)
    vectors = [name for name, tensor in tensors.items() if tensor.ndim == 1]
    storage = torch.cat([tensors[name] for name in vectors])
    at = 0
    for name in vectors:
        result[name] = storage[at:at + len(tensors[name])]
        at += len(tensors[name])
    first = next(name for name, tensor in tensors.items() if tensor.ndim == 2)
    result[first] = torch.nn.Parameter(tensors[first])
    return result


class Module(torch.nn.Module):
    """Gives a state_dict with its _metadata attribute"""


def state_dict(tensors):
    state = Module().state_dict()
    state.update(tensors)
    return state


def repack(source, target, compression, limit=None):
    """The same archive, compressed, or in ZIP64 throughout"""
    before = zipfile.ZIP64_LIMIT
    zipfile.ZIP64_LIMIT = before if limit is None else limit
    with zipfile.ZipFile(FOLDER / source) as old, zipfile.ZipFile(FOLDER / target, "w", compression) as new:
        for entry in old.infolist():
            new.writestr(zipfile.ZipInfo(entry.filename, (2024, 1, 1, 0, 0, 0)), old.read(entry), compression)
    zipfile.ZIP64_LIMIT = before


def make_archives(original):
    torch.save(state_dict(share(original)), FOLDER / "transformer.pth")
    half = {name: tensor.bfloat16() for name, tensor in original.items()}
    ema = {"model." + name: tensor for name, tensor in half.items()}
    other = {"model." + name: half[name] + 1 for name in ("head.modulation", "head.head.weight", "blocks.11.modulation")}
    torch.save({"generator": other, "generator_ema": ema, "step": 3, "loss": [0.5, None], "betas": (0.9, True)},
               FOLDER / "transformer-nested.pt", pickle_protocol=4)
    few = {"half": draw((2, 3)).half(), "counter": torch.arange(3), "transposed": draw((2, 3)).t(), "scalar": torch.tensor(1.25),
           "row": torch.tensor([[0.5, 1, 2]]).t()[:, :1], "empty": torch.zeros(0, 3), "slice": draw((3, 4))[1:3]}
    torch.save(few, FOLDER / "few.pt")
    torch.save({"half": few["half"]}, FOLDER / "legacy.pth", _use_new_zipfile_serialization=False)
    torch.save(torch.nn.Linear(2, 2), FOLDER / "module.pt")
    torch.save({"half": few["half"]}, FOLDER / "one.pt")
    repack("one.pt", "deflated.pt", zipfile.ZIP_DEFLATED)
    repack("one.pt", "zip64.pt", zipfile.ZIP_STORED, 0)
    (FOLDER / "one.pt").unlink()


def make_encoder():
    tensors = {}
    for name in ENCODER:
        vector = "norm" in name
        tensors[name] = draw((4,) if vector else (3, 2) if "relative" in name else (1, ROW))
    save("text-encoder.safetensors", tensors)
    original = {names[0]: tensors[name] for name, names in ENCODER.items()}
    torch.save({name: tensor.bfloat16() for name, tensor in original.items()}, FOLDER / "text-encoder-original.pth")
    save("text-encoder-fp8.safetensors", {name: tensor.to(F8) for name, tensor in original.items()})
    extra = {"spiece_model": torch.arange(5, dtype=torch.uint8)}
    save("text-encoder-comfyui.safetensors",
         scaled(tensors, (".scale_weight", ".scale_input"), {"scaled_fp8": torch.zeros(0).to(F8)} | extra))
    save_gguf("text-encoder.gguf", "t5encoder", {names[1]: tensors[name] for name, names in ENCODER.items()}, metadata=some_metadata)


def main():
    torch.set_num_threads(1)
    torch.manual_seed(1)
    FOLDER.mkdir(exist_ok=True)
    tensors, names = make_transformer()
    original = rename(tensors, names)
    save("transformer.safetensors", tensors)
    save_shards("transformer-sharded", original)
    save("transformer-original.safetensors", {name: tensor.half() for name, tensor in original.items()})
    save("transformer-fp8.safetensors", {"diffusion_model." + name: tensor.to(F8) for name, tensor in original.items()})
    save("transformer-comfyui.safetensors",
         scaled(rename(tensors, names, "model.diffusion_model."), (".scale_weight", ".scale_input"), {"scaled_fp8": torch.zeros(2).to(F8)}))
    save("transformer-comfyui-new.safetensors", scaled(original, (".weight_scale", ".input_scale"), {
        "blocks.11.ffn.0.comfy_quant": torch.tensor(list(b'{"format": "float8_e4m3fn"}'), dtype=torch.uint8)}))
    save_gguf("transformer.gguf", "wan", original, {"patch_embedding.weight": (8, 1, 2, 2)})
    folded = dict(original)
    folded["patch_embedding.weight"] = original["patch_embedding.weight"].reshape(4, 8)
    for name in ("head.modulation", "blocks.11.modulation"):        # as ggml writes leading ones
        folded[name] = original[name].squeeze(0)
    save_gguf("transformer-folded.gguf", "pig", folded)
    make_archives(original)
    make_encoder()
    for path in sorted(FOLDER.iterdir()):
        path.chmod(0o644)
        print(f"{path}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
