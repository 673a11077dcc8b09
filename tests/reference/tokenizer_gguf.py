# SPDX-License-Identifier: LGPL-2.1-or-later
"""Makes tests/golden/tokenizer-bytes.gguf and .json, and tokenizer-embedded.gguf for the model directory named on the command line: sentencepiece
models taken apart into GGUF's metadata as llama.cpp's converter does it, with the gguf package.

The first is a vocabulary of its own, trained here, with pieces for bytes and without a table of characters; its ids are sentencepiece's.
The other's ids are those of tokenizer-embedded.json. And text-encoder-tiny.gguf: the tiny model's encoder in one file with its tokenizer."""

import hashlib
import io
import json
import re
import sys
from pathlib import Path

import sentencepiece
import torch
from gguf import GGMLQuantizationType, GGUFWriter
from safetensors.torch import load_file
from sentencepiece import sentencepiece_model_pb2

from tokenizer import GOLDEN, PROMPTS, clean
from weights import ENCODER

PADS = 7            # unused pieces that fill the vocabulary up to the rows of the text encoder's table


def add_tensors(writer, tensors):
    """In llama.cpp's names"""
    for key, tensor in tensors.items():
        name = ENCODER[re.sub(r"block\.\d+", "block.0", key)][1].replace("enc.blk.0", "enc.blk." + "".join(re.findall(r"block\.(\d+)", key)))
        writer.add_tensor(name, tensor.view(torch.uint8).numpy(), raw_dtype=GGMLQuantizationType.BF16)


def make_gguf(name, model, tensors):
    proto = sentencepiece_model_pb2.ModelProto.FromString(model)
    writer = GGUFWriter(GOLDEN / f"{name}.gguf", "t5encoder")
    writer.add_string("test.sha256", hashlib.sha256(model).hexdigest())
    writer.add_tokenizer_model("t5")
    writer.add_tokenizer_pre("default")
    n, pads = len(proto.pieces), len(tensors["shared.weight"]) - len(proto.pieces) if tensors else PADS
    writer.add_token_list([piece.piece.encode() for piece in proto.pieces] + [f"[PAD{n + i}]".encode() for i in range(pads)])
    writer.add_token_scores([piece.score for piece in proto.pieces] + [-10000.0] * pads)
    writer.add_token_types([int(piece.type) for piece in proto.pieces] + [int(proto.SentencePiece.UNUSED)] * pads)
    writer.add_add_space_prefix(proto.normalizer_spec.add_dummy_prefix)
    writer.add_remove_extra_whitespaces(proto.normalizer_spec.remove_extra_whitespaces)
    if proto.normalizer_spec.precompiled_charsmap:
        writer.add_precompiled_charsmap(proto.normalizer_spec.precompiled_charsmap)
    for add, token in ((writer.add_eos_token_id, proto.trainer_spec.eos_id), (writer.add_pad_token_id, proto.trainer_spec.pad_id),
                       (writer.add_unk_token_id, proto.trainer_spec.unk_id)):
        add(token)
    writer.add_add_bos_token(False)
    writer.add_add_eos_token(True)
    add_tensors(writer, tensors)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def train():
    """Special pieces with other texts than by default, no space in front, and characters that only bytes can make up"""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([prompt for prompt in PROMPTS if prompt.isascii()] * 3), model_writer=model, model_type="unigram", vocab_size=320, byte_fallback=True,
        normalization_rule_name="identity", add_dummy_prefix=False, user_defined_symbols=["12:30"], hard_vocab_limit=False,
        pad_id=0, eos_id=1, unk_id=2, bos_id=-1, eos_piece="<end>", unk_piece="<what>", pad_piece="<fill>", num_threads=1, minloglevel=2)
    return model.getvalue()


def make_cases(model):
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    return [{"prompt": prompt, "max_tokens": length, "ids": processor.encode(clean(prompt))[:length - 1] + [processor.eos_id()]}
            for prompt in PROMPTS for length in (64, 5)]


if __name__ == "__main__":
    trained = train()
    make_gguf("tokenizer-bytes", trained, {})
    golden = {"sha256": hashlib.sha256(trained).hexdigest(), "cases": make_cases(trained)}
    (GOLDEN / "tokenizer-bytes.json").write_text(json.dumps(golden, indent=1) + "\n")
    if len(sys.argv) > 1:
        make_gguf("tokenizer-embedded", (Path(sys.argv[1]) / "tokenizer" / "spiece.model").read_bytes(), {})
    tiny = GOLDEN / "tiny-model"
    make_gguf("text-encoder-tiny", (tiny / "tokenizer" / "spiece.model").read_bytes(), load_file(tiny / "text_encoder" / "model.safetensors"))
