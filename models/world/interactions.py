# SPDX-License-Identifier: LGPL-2.1-or-later
"""What two actors do with each other, and how they stand to each other: both poses for every moment."""

import math
from dataclasses import dataclass
from typing import Callable

from . import sprites
from .stage import Pose, smooth

TAU = math.tau


@dataclass(frozen=True)
class Interaction:
    name: str
    phrases: tuple          # (third person, plural, gerund) between the two nouns
    arrange: Callable       # (a, b): sets where they start; x in widths of the picture
    poses: Callable         # (a, b, seconds, aspect) -> (pose of a, pose of b); None: each does its own motion
    speed: float = 0.0      # of both to the left or right, in heights a second
    live: bool = True       # the first one has to be able to act
    light: bool = False     # the second one is small enough to be moved


def _wide(actor):
    return sprites.proportions(actor.thing)[0] * actor.size


def _high(actor):
    return sprites.proportions(actor.thing)[1] * actor.size


def _step(actor, t, rate):
    return abs(math.sin(TAU * (0.5 * rate * t + actor.phase))), 0.06 * math.sin(TAU * (0.5 * rate * t + actor.phase))


def _gait(actor, t, way, rate, height):
    lift, lean = _step(actor, t, rate)
    if actor.thing.kind in ("car", "train", "boat"):
        lift, lean = 0.05 * lift, 0.2 * lean
    return Pose(way, height * actor.size * lift, lean, 0.0)


def _same_heading(a, b, lead):
    """b leads and a comes behind."""
    a.heading = b.heading = a.thing.own_way
    b.x = 0.5 + lead * a.heading
    a.x = 0.5 - lead * a.heading
    a.depth = b.depth = 1.0


def _arrange_chase(a, b):
    _same_heading(a, b, 0.22)


def _chase(a, b, t, aspect):
    gap = 0.05 * aspect * math.sin(TAU / 8 * a.pace * t)
    way = 0.375 * a.heading * a.pace * t
    return _gait(a, a.pace * t, way + a.heading * gap, 2.0, 0.12), _gait(b, a.pace * t, way - 0.5 * a.heading * gap, 2.0, 0.12)


def _follow(a, b, t, aspect):
    way = 0.1875 * a.heading * a.pace * t
    return _gait(a, a.pace * t, way, 2.0, 0.05), _gait(b, a.pace * t, way, 2.0, 0.05)


def _arrange_over(a, b):
    b.x, b.depth, b.size = 0.5, 1.0, min(b.size, 0.24)
    a.heading, a.depth = a.thing.own_way, 1.0
    a.x = b.x
    a.size = min(a.size, 0.3)


def _jump_over(a, b, t, aspect):
    """Jumps from one side to the other, waits, turns and jumps back."""
    reach = 0.5 * (_wide(a) + _wide(b)) + 0.08
    period = 2.5 / a.pace
    turns = t / period + 0.3 * a.phase
    u, back = turns % 1, math.floor(turns) % 2
    way, side = 0.0, -1 if back else 1
    lift = 0.0
    if u > 0.5:
        way = (u - 0.5) / 0.5
        lift = (_high(b) + 0.12) * 4 * way * (1 - way)
    crouch = 0.14 * math.sin(math.pi * min(1.0, max(0.0, (u - 0.3) / 0.2))) ** 2
    turned = side if u > 0.2 else -side * math.cos(math.pi * u / 0.2)
    turned = math.copysign(max(0.08, abs(turned)), turned)
    return (Pose(side * a.heading * reach * (2 * way - 1), lift, -0.25 * side * a.heading * math.sin(TAU * way) * 0.4, 0.5,
                 turned * (1 + crouch), 1 - crouch),
            Pose(sy=1 + 0.015 * math.sin(2 * t)))


def _arrange_orbit(a, b):
    b.x, b.depth = 0.5, 0.95
    a.x, a.depth, a.heading = 0.5, 0.95, 1
    a.size = min(a.size, 0.24)


def _orbit(a, b, t, aspect):
    """Around in depth: in front to the right, behind to the left."""
    angle = TAU * (0.25 * a.pace * t + a.phase)
    reach = min(0.5 * _wide(b) + 0.55 * _wide(a) + 0.06, 0.5 * aspect - 0.25 * _wide(a))
    turned = math.sin(angle)
    turned = math.copysign(max(0.1, min(1.0, 1.6 * abs(turned))), turned)
    lift, lean = _step(a, a.pace * t, 2.0)
    return (Pose(-reach * math.cos(angle), 0.04 * a.size * lift, lean, 0.0, turned, depth=1 + 0.2 * math.sin(angle)),
            Pose(sy=1 + 0.01 * math.sin(2 * t)))


def _arrange_meet(a, b):
    a.x, b.x, a.heading, b.heading, a.depth, b.depth = 0.5, 0.5, 1, -1, 1.0, 1.0


def _meet(a, b, t, aspect):
    """They come from both sides, stop, bow to each other, go back and come again."""
    period = 7.0 / a.pace
    u = (t / period + 0.25 * a.phase) % 1
    apart = 1 - smooth(u / 0.3) if u < 0.3 else smooth((u - 0.7) / 0.3) if u > 0.7 else 0.0
    near_a, near_b = 0.5 * _wide(a) + 0.02, 0.5 * _wide(b) + 0.02
    moving = 1.0 if u < 0.28 or u > 0.72 else 0.0
    bow = 0.16 * math.sin(math.pi * (u - 0.36) / 0.28) ** 2 * abs(math.sin(TAU * (u - 0.36) / 0.28)) if 0.36 < u < 0.64 else 0.0
    turn = math.cos(math.pi * smooth((u - 0.66) / 0.08)) if u < 0.9 else -math.cos(math.pi * smooth((u - 0.92) / 0.08))
    turn = math.copysign(max(0.08, abs(turn)), turn)
    out = []
    for actor, side, near in ((a, -1, near_a), (b, 1, near_b)):
        way = side * (near + apart * (0.5 * aspect - near - 0.2 * actor.size))
        lift, lean = _step(actor, a.pace * t, 2.0)
        out.append(Pose(way, moving * 0.04 * actor.size * lift, moving * lean - side * bow, 0.0, turn))
    return tuple(out)


def _arrange_pass(far):
    def arrange(a, b):
        b.x, b.depth = 0.5, 0.95
        a.heading, a.x, a.depth = a.thing.own_way, 0.5 - 0.3 * a.thing.own_way, 0.72 if far else 1.14
        if not far:
            a.size = min(a.size, 0.8 * b.size)
    return arrange


def _pass(a, b, t, aspect):
    return _gait(a, a.pace * t, 0.25 * a.heading * a.pace * t, 2.0, 0.05), Pose(sy=1 + 0.01 * math.sin(2 * t))


def _arrange_touching(a, b):
    _same_heading(a, b, 0.0)
    b.size = min(b.size, 0.3)


def _push(a, b, t, aspect):
    """In touch all the way: both go at one speed, the pusher leans in."""
    apart = 0.44 * (_wide(a) + _wide(b))
    speed = a.pace * t - 0.12 * math.sin(TAU * a.pace * t) / TAU * 4
    way = 0.125 * a.heading * speed
    lift, _ = _step(a, a.pace * t, 2.0)
    turn = way / (0.5 * b.size) if b.thing.round else 0.02 * math.sin(TAU * a.pace * t)
    return (Pose(way - 0.5 * a.heading * apart, 0.03 * a.size * lift, 0.12 * a.heading, 0.0),
            Pose(way + 0.5 * a.heading * apart, 0.0, turn, 0.5))


def _pull(a, b, t, aspect):
    first, second = _push(a, b, t, aspect)
    apart = 0.47 * (_wide(a) + _wide(b))
    return (Pose(second.dx + 0.5 * a.heading * (apart - 0.44 * (_wide(a) + _wide(b))), first.lift, 0.1 * a.heading, 0.0),
            Pose(first.dx - 0.5 * a.heading * (apart - 0.44 * (_wide(a) + _wide(b))), 0.0, second.angle if b.thing.round else 0.0, 0.5))


def _arrange_carry(a, b):
    _same_heading(a, b, 0.0)
    b.size = min(b.size, 0.62 * a.size)
    b.depth = 1.001      # drawn after a


def _carry(a, b, t, aspect):
    first = _gait(a, a.pace * t, 0.1875 * a.heading * a.pace * t, 2.0, 0.05)
    return first, Pose(first.dx, first.lift + 0.9 * _high(a), first.angle + 0.03 * math.sin(2.1 * t), 0.0)


def _throw(a, b, t, aspect):
    """Tosses it straight up and catches it: a parabola between two moments in the hands."""
    u = (0.8 * a.pace * t + a.phase) % 1
    flight = max(0.0, (u - 0.25) / 0.75)
    lift = 0.34 * 4 * flight * (1 - flight)
    hold = 0.1 * math.sin(math.pi * u / 0.25) if u < 0.25 else 0.0
    return Pose(sy=1 - hold, sx=1 + 0.5 * hold), Pose(0.0, (1 - hold) * 0.92 * _high(a) + lift, TAU * flight if flight else 0.0, 0.5)


def _arrange_throw(a, b):
    a.x = b.x = 0.5
    a.size, b.size, a.depth, b.depth = min(a.size, 0.34), min(b.size, 0.17), 1.0, 1.001


def _dance_together(a, b, t, aspect):
    """Side by side around each other, in step."""
    beat = a.pace * t + a.phase
    angle = TAU * 0.125 * a.pace * t + a.phase
    reach = 0.5 * (0.5 * (_wide(a) + _wide(b)) + 0.05)
    out = []
    for side in (0, math.pi):
        out.append(Pose(reach * math.cos(angle + side), 0.03 * abs(math.sin(TAU * beat)), 0.13 * math.sin(TAU * beat), 0.0,
                        depth=1 + 0.1 * math.sin(angle + side)))
    return tuple(out)


def _arrange_middle(a, b):
    a.x = b.x = 0.5
    a.depth = b.depth = 1.0


def _arrange_beside(side):
    def arrange(a, b):
        a.x, b.x, a.depth, b.depth = 0.5 + 0.24 * side, 0.5 - 0.24 * side, 1.0, 1.0
    return arrange


def _arrange_depth(near, far):
    """a at depth `near`, b at depth `far`, partly behind each other."""
    def arrange(a, b):
        a.x, b.x, a.depth, b.depth = 0.41, 0.59, near, far
        front, back = (a, b) if near > far else (b, a)
        back.size = max(back.size, 1.15 * front.size)
        front.size = max(0.2, min(front.size, 0.3))
    return arrange


def _arrange_far(a, b):
    a.x, b.x, a.depth, b.depth = 0.34, 0.7, 1.05, 0.5


def _arrange_on(a, b):
    a.x = b.x = 0.5
    b.depth, a.depth = 1.0, 1.001
    a.size = min(a.size, 0.8 * b.size)


def _on_top(a, b, t, aspect):
    sway = 0.02 * math.sin(1.7 * t)
    return Pose(0.0, 0.93 * _high(b), sway, 0.0, 1.0, 1 + 0.01 * math.sin(2.3 * t)), Pose(sy=1 + 0.01 * math.sin(1.9 * t))


def _words(*forms):
    return tuple(tuple(form.split("/")) for form in forms)


ACTIONS = [
    Interaction("chases", _words("chases/chase/chasing", "runs after/run after/running after", "hunts/hunt/hunting"), _arrange_chase, _chase,
                0.375),
    Interaction("follows", _words("follows/follow/following", "walks behind/walk behind/walking behind"), _arrange_chase, _follow, 0.1875),
    Interaction("jumps over", _words("jumps over/jump over/jumping over", "leaps over/leap over/leaping over"), _arrange_over, _jump_over),
    Interaction("circles around", _words("circles around/circle around/circling around", "runs around/run around/running around",
                                         "goes around/go around/going around"), _arrange_orbit, _orbit),
    Interaction("meets", _words("meets/meet/meeting", "comes to meet/come to meet/coming to meet", "greets/greet/greeting"), _arrange_meet,
                _meet),
    Interaction("passes behind", _words("passes behind/pass behind/passing behind", "walks past behind/walk past behind/walking past behind"),
                _arrange_pass(True), _pass),
    Interaction("passes in front of", _words("passes in front of/pass in front of/passing in front of",
                                             "walks in front of/walk in front of/walking in front of"), _arrange_pass(False), _pass),
    Interaction("pushes", _words("pushes/push/pushing", "shoves/shove/shoving"), _arrange_touching, _push, 0.125, True, True),
    Interaction("pulls", _words("pulls/pull/pulling", "drags/drag/dragging", "tows/tow/towing"), _arrange_touching, _pull, 0.125, True, True),
    Interaction("carries", _words("carries/carry/carrying", "transports/transport/transporting"), _arrange_carry, _carry, 0.1875, True, True),
    Interaction("juggles", _words("juggles/juggle/juggling", "throws up and catches/throw up and catch/throwing up and catching"),
                _arrange_throw, _throw,
                0.0, True, True),
    Interaction("dances with", _words("dances with/dance with/dancing with",), _arrange_middle, _dance_together),
]
RELATIONS = [
    Interaction("left of", _words("to the left of", "left of", "on the left of"), _arrange_beside(-1), None, 0.0, False),
    Interaction("right of", _words("to the right of", "right of", "on the right of"), _arrange_beside(1), None, 0.0, False),
    Interaction("next to", _words("next to", "beside", "near"), _arrange_beside(-1), None, 0.0, False),
    Interaction("in front of", _words("in front of", "before"), _arrange_depth(1.08, 0.72), None, 0.0, False),
    Interaction("behind", _words("behind", "in back of"), _arrange_depth(0.72, 1.08), None, 0.0, False),
    Interaction("nearer than", _words("nearer than", "much closer than", "in the foreground before"), _arrange_far, None, 0.0, False),
    Interaction("on top of", _words("on top of", "on", "standing on"), _arrange_on, _on_top, 0.0, False),
]
BY_NAME = {i.name: i for i in ACTIONS + RELATIONS}
