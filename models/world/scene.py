# SPDX-License-Identifier: LGPL-2.1-or-later
"""The world as its users see it: options, scenes and stories."""

from .composition import FRAME_RATE, SIZES, Scene, on_grid
from .sampling import EVERYTHING, STARTER, Options, between, is_held_out, sample
from .story import Story, sample_story
from .words import load as load_words

__all__ = ["EVERYTHING", "FRAME_RATE", "SIZES", "STARTER", "Options", "Scene", "Story", "between", "is_held_out", "load_words", "on_grid", "sample",
           "sample_story"]
