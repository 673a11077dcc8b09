# SPDX-License-Identifier: LGPL-2.1-or-later
"""Makes tests/golden/clips-embedded.safetensors: what clips of the embedded model look like from afar, by the sampler in models/.

MODEL names the model directory. SORA_JUDGE names the judge (models/judge.py) that has to see in each clip the thing and the place of its
prompt; without it, nothing is judged. The prompts, seeds and cells are those of tests/engine/test-embedded-clips.c.
"""

import os
import sys
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "models"))

import common  # noqa: E402
import export  # noqa: E402
import philox  # noqa: E402
import sampler  # noqa: E402
import tokenizer  # noqa: E402
import training  # noqa: E402

training.bf16_gains = lambda device: False  # what is compared with is in fp32, on every processor

CLIPS = (("a red balloon flies up over a city", 5, "balloon", "city"), ("a penguin jumps in the snow", 1, "penguin", "snow"),
         ("a pizza spins in space", 2, "pizza", "space"))
CHANGED = ("a sunflower sways in a garden", 1, "a fire in a garden")    # the last one is the prompt from CHANGE on
CHANGE = 4                  # latents
FRAMES = (0, 4, 12, 28)     # of eight latents
CELL = 32                   # pixels of a side


def make_clip(parts, words, sora, prompt, seed, later=None):
    """Frames (29, 3, 256, 256) in 0..1, from the engine's own noise; `later` as the sampler has it."""
    def noise(block, shape):
        return [philox.normal(seed, block, purpose, shape) for purpose in (philox.INITIAL, philox.CONTEXT)]
    return sampler.decode(parts["vae"], sampler.generate(parts, words, [prompt], sora, later=later, noise=noise))[0]


def signature(frames):
    """Means of the cells of FRAMES, (4, 3, 8, 8)."""
    return torch.nn.functional.avg_pool2d(frames[list(FRAMES)], CELL)


def check(judge, judging, frames, thing, place):
    """Ends the program unless the judge sees the thing and the place in the frames."""
    features = judge.features(judging.pick_moments(frames[None]))
    seen = [judge.answers["thing"][judge.things(features).argmax()], judge.answers["place"][judge.whole(features)["place"].argmax()]]
    print(f"  the judge sees {seen}")
    if seen != [thing, place]:
        sys.exit(f"expected {[thing, place]}: choose another seed or prompt, here and in the test")


@torch.no_grad()
def main(directory):
    parts, sora = export.load(directory)
    words, judge = tokenizer.Tokenizer(Path(directory) / "tokenizer"), None
    if os.environ.get("SORA_JUDGE"):
        import judge as judging
        judge = judging.load(os.environ["SORA_JUDGE"])
    golden = {}
    for i, (prompt, seed, thing, place) in enumerate(CLIPS):
        frames = make_clip(parts, words, sora, prompt, seed)
        if judge:
            check(judge, judging, frames, thing, place)
        golden[f"clip.{i}"] = signature(frames)
    golden["changed"] = signature(make_clip(parts, words, sora, *CHANGED[:2], later=(CHANGE, [CHANGED[2]])))
    common.save("clips-embedded", golden)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else str(ROOT / "models" / "embedded"))
