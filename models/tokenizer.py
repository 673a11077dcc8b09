# SPDX-License-Identifier: LGPL-2.1-or-later
"""The sentencepiece tokenizer: trained on captions and CLDR's words, with T5's special ids."""

import json
import random
from pathlib import Path

import sentencepiece

from world import captions, scene

PAD, EOS, UNK = 0, 1, 2


def train(directory, size=2304, count=20000, seed=1):
    """Writes tokenizer/spiece.model and transformers' tokenizer_config.json."""
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    rng = random.Random(seed)
    options = scene.between(1.0, tiers=(0, 0.3, 0.7), rare=True)
    lines = [captions.caption(rng, scene.sample(rng, options)) for _ in range(count)]
    lines += captions.vocabulary() * 3
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_prefix=str(directory / "spiece"), model_type="unigram",
        vocab_size=size, pad_id=PAD, eos_id=EOS, unk_id=UNK, bos_id=-1, character_coverage=1.0,
        normalization_rule_name="nmt_nfkc_cf", num_threads=2, minloglevel=2)
    (directory / "spiece.vocab").unlink()
    write_config(directory)


def write_config(directory):
    config = {
        "tokenizer_class": "T5Tokenizer", "extra_ids": 0, "additional_special_tokens": [],
        "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>", "model_max_length": 64,
    }
    (Path(directory) / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")


class Tokenizer:
    def __init__(self, directory):
        self.model = sentencepiece.SentencePieceProcessor(model_file=str(Path(directory) / "spiece.model"))

    def __len__(self):
        return self.model.get_piece_size()

    def ids(self, text, rows):
        """Token ids with the end token, cut to and padded to `rows`."""
        ids = self.model.encode(text)[: rows - 1] + [EOS]
        return ids + [PAD] * (rows - len(ids))
