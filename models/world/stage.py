# SPDX-License-Identifier: LGPL-2.1-or-later
"""Where actors can be: the ground and its slope, water, gravity. Lengths are in heights of the picture, y points down."""

import math
from dataclasses import dataclass

HORIZON = 0.56     # where the ground plane would end


@dataclass
class Stage:
    aspect: float                # width / height of the picture
    medium: str = "ground"       # ground, surface (of water), water, sky, space
    ground: float = 0.86         # y where things at depth 1 stand
    gravity: float = 1.0         # of the Earth's
    slope: float = 0.0           # height of the ground's waves
    waves: tuple = (0.3, 1.1)    # their phases
    period: float = 2.0          # after which the ground repeats

    @property
    def has_ground(self):
        return self.medium in ("ground", "water")

    def rise(self, x):
        """How far the ground at depth 1 is above its mean at x."""
        u = math.tau * x / self.period
        return self.slope * (math.sin(u + self.waves[0]) + 0.4 * math.sin(2 * u + self.waves[1]))

    def incline(self, x):
        """The ground's slope at x: rise per run."""
        return (self.rise(x + 0.02) - self.rise(x - 0.02)) / 0.04 if self.slope else 0.0

    def foot(self, depth, x):
        """y of the ground under a thing at that depth and place."""
        near = HORIZON + (self.ground - HORIZON) * depth
        return near - (self.rise(x) * depth if self.slope else 0.0)


@dataclass
class Pose:
    """Where a motion has brought an actor, relative to where it started."""
    dx: float = 0.0        # to the right
    lift: float = 0.0      # above its rest
    angle: float = 0.0     # clockwise, radians
    pivot: float = 0.5     # what it turns about: 0 its foot, 1 its top
    sx: float = 1.0        # stretched about its foot
    sy: float = 1.0
    depth: float = 1.0     # factor of its depth
    alpha: float = 1.0


def mixed(a, b, share):
    """`share` of the way from pose a to pose b."""
    def between(name):
        return getattr(a, name) + share * (getattr(b, name) - getattr(a, name))
    turn = math.remainder(b.angle - a.angle, math.tau)
    return Pose(between("dx"), between("lift"), a.angle + share * turn, between("pivot"), between("sx"), between("sy"),
                between("depth"), between("alpha"))


def smooth(u):
    """Ease in and out, 0 to 1."""
    u = min(1.0, max(0.0, u))
    return u * u * (3 - 2 * u)


def wrapped(value, low, high):
    """What leaves at one end comes back at the other."""
    return (value - low) % (high - low) + low
