# SPDX-License-Identifier: LGPL-2.1-or-later
"""What actors do: a position, an angle and a size for every moment, without an end."""

import math
from dataclasses import dataclass
from typing import Callable


@dataclass(frozen=True)
class Motion:
    name: str                # as the evaluation calls it
    phrases: tuple           # (third person, plural, gerund), synonyms
    pose: Callable           # (actor, seconds) -> x, y, angle, scale; lengths in widths of the picture
    start: tuple             # x from, to, y from, to at the start; widths of the picture
    turns: int = 0           # -1: the actor faces left, 1: right, 0: as drawn
    paced: bool = True       # "slowly", "quickly" mean something


def _wrap(value, half):
    """Leaves on one side, comes back on the other as soon as it cannot be seen."""
    return (value + half) % (1 + 2 * half) - half


def _left(a, t):
    return _wrap(a.x - 0.27 * a.pace * t, a.size / 2), a.y, 0.0, 1.0


def _right(a, t):
    return _wrap(a.x + 0.27 * a.pace * t, a.size / 2), a.y, 0.0, 1.0


def _up(a, t):
    return a.x, _wrap(a.y - 0.27 * a.pace * t, a.size / 2), 0.0, 1.0


def _down(a, t):
    return a.x, _wrap(a.y + 0.27 * a.pace * t, a.size / 2), 0.0, 1.0


def _hop(height, rate):
    """Free fall and rebound without loss: a parabola between two touches of the ground."""
    def pose(a, t):
        phase = (a.phase + rate * a.pace * t) % 1
        lift = 4 * phase * (1 - phase)
        squash = 1 - 0.12 * max(0.0, 1 - 6 * min(phase, 1 - phase))
        return a.x, 0.8 - a.size / 2 - height * lift, 0.0, squash
    return pose


def _spin(a, t):
    return a.x, a.y, 3.0 * a.pace * t + math.tau * a.phase, 1.0


def _still(a, t):
    return a.x, a.y, 0.0, 1.0


def _grow(a, t):
    return a.x, a.y, 0.0, 0.6 + 0.7 * min(1.0, 0.4 * a.pace * t)


def _shrink(a, t):
    return a.x, a.y, 0.0, 1.3 - 0.75 * min(1.0, 0.4 * a.pace * t)


def _swing(a, t):
    return a.x, a.y, 0.5 * math.sin(math.tau * (a.phase + 0.6 * a.pace * t)), 1.0


def _circle(a, t):
    angle = math.tau * (a.phase + 0.3 * a.pace * t)
    return a.x + 0.17 * math.cos(angle), a.y + 0.13 * math.sin(angle), 0.0, 1.0


def _float(a, t):
    return a.x, a.y + 0.06 * math.sin(math.tau * (a.phase + 0.35 * a.pace * t)), 0.0, 1.0


def _shake(a, t):
    return a.x + 0.035 * math.sin(math.tau * (a.phase + 2.4 * a.pace * t)), a.y, 0.0, 1.0


_MIDDLE = (0.38, 0.62, 0.42, 0.6)

MOTIONS = [
    Motion("moves left", (("moves left", "move left", "moving left"), ("goes to the left", "go to the left", "going to the left"),
                          ("heads left", "head left", "heading left")), _left, (0.52, 0.75, 0.42, 0.62), -1),
    Motion("moves right", (("moves right", "move right", "moving right"), ("goes to the right", "go to the right", "going to the right"),
                           ("heads right", "head right", "heading right")), _right, (0.25, 0.48, 0.42, 0.62), 1),
    Motion("flies up", (("flies up", "fly up", "flying up"), ("rises", "rise", "rising"), ("goes up", "go up", "going up")), _up, (0.36, 0.64, 0.5, 0.72)),
    Motion("falls down", (("falls down", "fall down", "falling down"), ("falls", "fall", "falling"), ("drops", "drop", "dropping")), _down, (0.36, 0.64, 0.28, 0.5)),
    Motion("bounces", (("bounces", "bounce", "bouncing"),), _hop(0.32, 0.9), (0.36, 0.64, 0.5, 0.5)),
    Motion("jumps", (("jumps", "jump", "jumping"), ("hops", "hop", "hopping")), _hop(0.14, 1.4), (0.36, 0.64, 0.5, 0.5)),
    Motion("spins", (("spins", "spin", "spinning"), ("turns round and round", "turn round and round", "turning round and round"), ("rotates", "rotate", "rotating")), _spin, _MIDDLE),
    Motion("stands still", (("stands still", "stand still", "standing still"), ("stays", "stay", "staying"), ("is there", "are there", "standing")), _still, _MIDDLE, 0, False),
    Motion("grows", (("grows", "grow", "growing"), ("gets bigger", "get bigger", "getting bigger")), _grow, (0.42, 0.58, 0.45, 0.58)),
    Motion("shrinks", (("shrinks", "shrink", "shrinking"), ("gets smaller", "get smaller", "getting smaller")), _shrink, (0.42, 0.58, 0.45, 0.58)),
    Motion("swings", (("swings", "swing", "swinging"), ("sways", "sway", "swaying"), ("rocks", "rock", "rocking")), _swing, _MIDDLE),
    Motion("circles", (("circles", "circle", "circling"), ("goes round in circles", "go round in circles", "going round in circles")), _circle, (0.42, 0.58, 0.45, 0.58)),
    Motion("floats", (("floats", "float", "floating"), ("hovers", "hover", "hovering"), ("drifts", "drift", "drifting")), _float, _MIDDLE),
    Motion("shakes", (("shakes", "shake", "shaking"), ("trembles", "tremble", "trembling")), _shake, _MIDDLE),
]
BY_NAME = {m.name: m for m in MOTIONS}

PACES = ((0.55, ("slowly", "gently")), (1.0, ("",)), (1.7, ("quickly", "fast")))
