# SPDX-License-Identifier: LGPL-2.1-or-later
"""Makes tests/golden/weights/quantised.gguf: blocks of every quantised type, TYPE.blocks, and their values by the gguf package,
TYPE.values in F32."""

import numpy
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, GGUFWriter
from gguf.quants import dequantize

from common import GOLDEN

# Where the half scales and minima stand in a block
HALVES = {"Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2],
          "Q5_K": [0, 2], "Q6_K": [208]}
# Ordinary; zero; negative; subnormal and the smallest normal; the largest; all but the first for scale and minimum in turn
EDGES = [(0.0123, 0.456), (0.0, -0.75), (-0.031, -0.0), (6e-8, -5.9e-5), (65504.0, -65504.0), (0.5, 0.0)]


def blocks_of(name, random):
    """Every block of random bits, but for the halves"""
    size = GGML_QUANT_SIZES[GGMLQuantizationType[name]][1]
    blocks = random.integers(0, 256, (len(EDGES), size), dtype=numpy.uint8)
    for block, edge in zip(blocks, EDGES):
        for at, value in zip(HALVES[name], edge):
            block[at:at + 2] = numpy.frombuffer(numpy.float16(value).tobytes(), numpy.uint8)
    return blocks


def main():
    random = numpy.random.default_rng(1)
    path = GOLDEN / "weights" / "quantised.gguf"
    path.parent.mkdir(exist_ok=True)
    writer = GGUFWriter(path, "test")
    for name in HALVES:
        blocks = blocks_of(name, random)
        values = dequantize(blocks, GGMLQuantizationType[name]).astype(numpy.float32)
        writer.add_tensor(f"{name}.blocks", blocks, raw_dtype=GGMLQuantizationType[name])
        writer.add_tensor(f"{name}.values", values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    print(f"{path}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
