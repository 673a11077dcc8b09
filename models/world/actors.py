# SPDX-License-Identifier: LGPL-2.1-or-later
"""Actors: where each body is at a moment, its picture and its shadow. Lengths are in heights of the picture."""

import math
from dataclasses import dataclass, field, replace

import cairo

from . import light, motions, sprites, things
from .stage import Pose, mixed, smooth, wrapped


@dataclass
class Actor:
    """One noun of the caption: a thing, or up to four of them that do the same."""
    thing: things.Thing
    motion: motions.Motion
    x: float = 0.5              # in widths of the picture
    size: float = 0.4           # of the larger side of its outline
    pace: float = 1.0
    phase: float = 0.0
    colour: str = ""
    heading: int = 1
    depth: float = 1.0
    altitude: float = None      # y of the middle where it hangs in air or water; None: it stands
    count: int = 1
    size_word: str = ""
    members: tuple = ((0.0, 1.0, 0.0),)     # way to the right, factor of the depth, phase of each
    arrival: tuple = None       # (seconds, "left", "right" or "above"): it is not there before
    earlier: tuple = None       # (seconds, Actor) whose motion it had before
    former: tuple = None        # (seconds, Actor) that it was before

    def pose(self, seconds, stage):
        return self.motion.pose(self, seconds * (self.pace if self.motion.paced else 1.0), stage)


@dataclass
class Body:
    """What is drawn: x and foot are of its lowest middle point, in the world that the camera moves over."""
    actor: Actor
    x: float
    foot: float
    ground: float               # y below it where it stands or throws its shadow
    width: float
    height: float
    depth: float
    pose: Pose
    sprite: sprites.Sprite = field(default=None, repr=False)
    member: int = 0             # of the actor's count

    def box(self):
        """Left, top, right, bottom of the turned outline."""
        p = self.pose
        w, h = self.width * abs(p.sx), self.height * p.sy
        up = p.pivot * self.height
        cos, sin = math.cos(p.angle), math.sin(p.angle)
        middle = up - h / 2
        x, y = self.x - middle * sin, self.foot - up + middle * cos
        half_w, half_h = (w * abs(cos) + h * abs(sin)) / 2, (w * abs(sin) + h * abs(cos)) / 2
        return x - half_w, y - half_h, x + half_w, y + half_h


def _copy_for(actor, phase, depth):
    """The actor as one of several, for its motion and the one before."""
    earlier = actor.earlier and (actor.earlier[0], _copy_for(actor.earlier[1], phase, depth))
    return replace(actor, phase=actor.phase + phase, depth=actor.depth * depth, earlier=earlier)


def _motion_pose(actor, seconds, stage):
    """The pose; after a change of motion it flows from what the earlier one would be over to this one."""
    pose = actor.pose(seconds, stage)
    if actor.earlier and seconds < actor.earlier[0] + 0.9:
        before = actor.earlier[1].pose(seconds, stage)
        pose = mixed(before, pose, smooth((seconds - actor.earlier[0]) / 0.9))
    return pose


def _arrive(actor, pose, seconds, stage):
    """What comes in later: from outside, slower and slower, until it is where it belongs; None before."""
    start, side = actor.arrival
    if seconds < start:
        return None
    left = (1 - min(1.0, (seconds - start) / 1.4)) ** 2
    if side == "above":
        pose.lift += left * (1.1 + actor.size)
    else:
        pose.dx += left * (stage.aspect + actor.size) * (-1 if side == "left" else 1)
    return pose


def _changed(actor, pose, seconds):
    """(thing, colour) at a moment and the pose of a thing that turns into another: it spins up, narrow when it changes."""
    if not actor.former:
        return actor.thing, actor.colour
    start, before = actor.former
    u = (seconds - start) / 1.2
    if 0 <= u < 1:
        turn = math.cos(3 * math.pi * smooth(u))
        pose.sx *= math.copysign(max(0.07, abs(turn)), turn if u < 0.5 else -turn)
        pose.sy *= 1 - 0.25 * math.sin(math.pi * u)
        pose.lift += 0.06 * math.sin(math.pi * u)
    return (actor.thing, actor.colour) if u >= 0.5 else (before.thing, before.colour)


def bodies(actor, seconds, stage, grade, cut_out, pose=None):
    """The bodies of an actor; `pose` where an interaction has set it."""
    out = []
    for member, (way, factor, phase) in enumerate(actor.members):
        own = pose
        if own is None:
            copy = _copy_for(actor, phase, factor) if actor.count > 1 else actor
            own = _motion_pose(copy, seconds, stage)
        if actor.arrival:
            own = _arrive(actor, own, seconds, stage)
            if own is None:
                continue
        thing, colour = _changed(actor, own, seconds)
        mirrored = bool(thing.facing and thing.facing != actor.heading)
        sprite = sprites.sprite(thing, mirrored, colour, grade, cut_out) if grade is not None else None
        depth = actor.depth * factor * own.depth
        w, h = sprites.proportions(thing)
        width, height = actor.size * depth * w, actor.size * depth * h
        x = actor.x * stage.aspect + way + own.dx
        out.append(Body(actor, x, 0.0, 0.0, width, height, depth, own, sprite, member))
    return out


def reach(actor, interaction=None):
    """How far from its middle it can be seen at most, to the left and right."""
    w, h = sprites.proportions(actor.thing)
    if actor.former:
        w, h = (max(a, b) for a, b in zip((w, h), sprites.proportions(actor.former[1].thing)))
    half = 0.5 * math.hypot(w, h) if actor.motion.turns or interaction else 0.56 * w + 0.06 * h
    return 0.05 + half * actor.size * max(1.0, 1.12 * actor.depth if actor.motion.name == "comes closer" or interaction else actor.depth,
                                          *(actor.depth * m[1] for m in actor.members))


def settle(body, stage, camera_x, margin):
    """Puts a body on its ground as the camera sees it; what leaves at one side comes back at the other."""
    actor, pose = body.actor, body.pose
    body.x = wrapped(body.x - camera_x * body.depth, -margin, stage.aspect + margin)
    over = body.x + camera_x * body.depth
    body.ground = stage.foot(body.depth, over)
    if actor.altitude is not None:
        body.foot = actor.altitude + 0.5 * body.height - pose.lift
    else:
        body.foot = body.ground - pose.lift * body.depth
        if stage.slope and pose.lift < 0.02 and actor.motion.speed:
            pose.angle -= 0.8 * math.atan(stage.incline(over))
        if stage.medium == "surface":
            body.foot += 0.13 * body.height
    return body


def paint_shadow(ctx, body, stage, strength):
    """A soft ellipse on the ground, fainter and wider the higher the body is."""
    high = body.ground - body.foot
    if not stage.has_ground or high > 0.75 or strength <= 0:
        return
    base = 0.5 * (body.sprite.base + 0.9) * body.width * abs(body.pose.sx)
    lean = 0.35 * body.height * math.sin(body.pose.angle) * (0.5 - body.pose.pivot + 0.5)
    half = (0.5 * base + 0.012) * (1 + 0.5 * max(0.0, high))
    flat = 0.16 * half + 0.006
    surface, _ = sprites.shadow()
    pattern = cairo.SurfacePattern(surface)
    pattern.set_matrix(cairo.Matrix(32 / half, 0, 0, 16 / flat, 32 - 32 * (body.x + lean + 0.06 * half) / half,
                                    16 - 16 * (body.ground - 0.1 * flat) / flat))
    ctx.set_source_rgba(0.02, 0.02, 0.06, strength * max(0.0, 1 - 1.25 * max(0.0, high)))
    ctx.mask(pattern)


def _level(sprite, pixels):
    """The smallest picture that is not enlarged much, and its scale."""
    k = pixels / max(sprite.width, sprite.height)
    level = 2 if k < 0.3 else 1 if k < 0.6 else 0
    return sprite.levels[level][0], 0.5**level


def _paint_picture(ctx, body, pixels, alpha=1.0):
    """The picture with its foot's middle at the origin; ctx in heights, pixels a height."""
    surface, scale = _level(body.sprite, max(body.width, body.height) * pixels)
    k = body.height / body.sprite.height / scale
    ctx.scale(k, k)
    border = sprites.BORDER * scale
    pattern = cairo.SurfacePattern(surface)
    pattern.set_filter(cairo.FILTER_BILINEAR)
    pattern.set_matrix(cairo.Matrix(1, 0, 0, 1, 0.5 * body.sprite.width * scale + border, body.sprite.height * scale + border))
    ctx.set_source(pattern)
    ctx.paint_with_alpha(alpha) if alpha < 1 else ctx.paint()


def paint(ctx, body, stage, pixels, wet=False):
    """Draws a body; in water that it swims on, only what is above the surface, and its mirror image."""
    pose, thing = body.pose, body.actor.thing
    if thing.glows:
        light.paint_glow(ctx, body.x, body.foot - 0.5 * body.height, 1.15 * max(body.width, body.height), thing.glows, 0.5)
    swims = stage.medium == "surface" and body.actor.altitude is None
    up = pose.pivot * body.height
    if swims or (wet and stage.has_ground):
        line = body.ground
        ctx.save()
        ctx.rectangle(-2, line, 6, 2)
        ctx.clip()
        ctx.translate(body.x, 2 * line - body.foot)
        ctx.scale(pose.sx, -0.8 * pose.sy)
        _paint_picture(ctx, body, pixels, 0.22)
        ctx.restore()
    ctx.save()
    if swims:
        ctx.rectangle(-2, -3, 6, 3 + body.ground)
        ctx.clip()
    ctx.translate(body.x, body.foot - up)
    ctx.rotate(pose.angle)
    ctx.translate(0, up)
    ctx.scale(pose.sx, pose.sy)
    _paint_picture(ctx, body, pixels, pose.alpha)
    ctx.restore()
    if swims:
        ctx.set_source_rgba(1, 1, 1, 0.5)
        ctx.set_line_width(0.005)
        ctx.save()
        ctx.translate(body.x, body.ground + 0.002)
        ctx.scale(0.5 * body.width + 0.01, 0.012)
        ctx.arc(0, 0, 1, 0, math.tau)
        ctx.restore()
        ctx.stroke()
