# SPDX-License-Identifier: LGPL-2.1-or-later
"""Makes tests/golden/tokenizer-tiny.json, and tokenizer-embedded.json for the model directory named on the command line, with
transformers' T5Tokenizer."""

import hashlib
import json
import re
import sys
from pathlib import Path

from transformers import T5Tokenizer

GOLDEN = Path(__file__).resolve().parents[1] / "golden"

PROMPTS = [
    "",
    "a red balloon flies up over a city",
    "a red balloon flies up over a city, black and white, slowly",
    "A Red BALLOON",
    "  two\t cats\n\n play   in the snow  ",
    "no\u00a0break\u2003em\u3000wide\u2028line\x0btab\x1cfile\x85next",
    "don't stop \u2014 it\u2019s 12:30, \u201cquoted\u201d (50%)",
    "na\u00efve caf\u00e9, cafe\u0301",
    "\uff21\uff22\uff23 \ufb01sh \u2460 \u00bd x\u00b2",
    "\U0001f388 balloon \U0001f1e9\U0001f1ea",
    "zero\u200bwidth soft\u00adhyphen \ufeffmark",
    "\u98de\u673a \u0441\u043e\u043b\u043d\u0446\u0435 \u05e9\u05de\u05e9",
    "supercalifragilisticexpialidocious zzzzzzzzqqqq",
    "1234567890 3.14 -5 a_b c/d e\\f",
    "a dog and a cat and a bird and " * 12,
]


def clean(text):
    """diffusers' whitespace_clean()"""
    return re.sub(r"\s+", " ", text).strip()


def make(name, directory):
    tokenizer = T5Tokenizer.from_pretrained(directory / "tokenizer")
    model = (directory / "tokenizer" / "spiece.model").read_bytes()
    cases = []
    for prompt in PROMPTS:
        for length in (64, 5):
            cases.append({"prompt": prompt, "max_tokens": length,
                          "ids": tokenizer(clean(prompt), truncation=True, max_length=length)["input_ids"]})
    golden = {"sha256": hashlib.sha256(model).hexdigest(), "cases": cases}
    (GOLDEN / f"tokenizer-{name}.json").write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    make("tiny", GOLDEN / "tiny-model")
    if len(sys.argv) > 1:
        make("embedded", Path(sys.argv[1]))
