# SPDX-License-Identifier: LGPL-2.1-or-later
"""What actors do by themselves: a pose for every moment, without an end. Speeds are in heights of the picture a second.

They are made for what has to learn them: the autoencoder has cells of 16 pixels, of 256 in height, and one latent for four frames, a quarter of a
second. What moves by less than half a cell in a latent did not come across to the transformer, so most go farther; and what goes by whole or half
cells, and comes round in a whole number of latents, shows it a few pictures again and again instead of ever new ones. So speeds are multiples of
0.125 heights a second, or half of one where walking pace asks for it, and periods are multiples of a quarter of a second on Earth and at the usual pace.
"""

import math
from dataclasses import dataclass
from typing import Callable

from . import sprites
from .stage import Pose, smooth, wrapped

TAU = math.tau
RARE = ("slides", "dashes", "soars", "zigzags", "turns cartwheels", "flutters down", "rocks", "nods", "wobbles", "loops the loop",
        "flies a figure of eight", "tips over")
GRAVITY = 2.2          # heights a second squared: a picture is about four metres high


@dataclass(frozen=True)
class Motion:
    name: str                  # with " left" or " right" after it where it goes somewhere
    phrases: tuple             # (third person, plural, gerund), synonyms
    pose: Callable             # (actor, seconds, stage) -> Pose
    where: str = "any"         # ground, air, any
    speed: float = 0.0         # of its way to the left or right on average; 0: stays in place
    paced: bool = True         # "slowly", "quickly" mean something
    simple: bool = False       # learned first
    turns: bool = False        # far enough to be as wide as its diagonal
    ends: float = 0.0          # seconds after which it hardly moves any more; 0: never

    @property
    def rare(self):
        """Drawn only where the options ask for it."""
        return self.name in RARE


def _wave(t, rate, phase=0.0):
    return math.sin(TAU * (rate * t + phase))


def _cycle(t, period, phase=0.0):
    """Seconds into the cycle and its number."""
    turns = t / period + phase
    return (turns % 1) * period, math.floor(turns)


def _support(a, angle):
    """How far the middle of a turned thing has to rise so that its lowest corner touches the ground; round things roll smoothly."""
    if a.thing.round or a.altitude is not None:
        return 0.0
    w, h = sprites.proportions(a.thing)
    return 0.46 * a.size * max(0.0, w * abs(math.sin(angle)) + h * abs(math.cos(angle)) - h)


# Ways to go -------------------------------------------------------------------------------------------------------------------

def _along(speed):
    """Seconds to the way gone."""
    return lambda a, t: a.heading * speed * t


def _moves(a, t, s):
    return Pose(0.25 * a.heading * t)


def _walks(a, t, s):
    step = _wave(t, 1.0, a.phase)
    return Pose(0.1875 * a.heading * t, 0.03 * a.size * abs(step), 0.05 * step, 0.0)


def _runs(a, t, s):
    step = _wave(t, 1.0, a.phase)
    return Pose(0.375 * a.heading * t, 0.14 * a.size * abs(step), a.heading * (0.09 + 0.09 * _wave(t, 2.0, 2 * a.phase)), 0.2,
                1 + 0.04 * abs(step), 1 - 0.03 * abs(step))


def _hop_of(seconds, flight, rest, height):
    """Crouch, free fall, landing: (share of the way, lift, stretch) `seconds` into a hop of flight + rest seconds."""
    if seconds < rest:
        u = seconds / rest
        return 0.0, 0.0, 1 - 0.16 * math.sin(math.pi * u) ** 2
    u = (seconds - rest) / flight
    return u, height * 4 * u * (1 - u), 1 + 0.08 * (1 - 4 * u * (1 - u)) * math.sin(math.pi * min(1.0, 6 * min(u, 1 - u)))


def _flight(height, s):
    """Seconds in the air of a jump of that height."""
    return 2 * math.sqrt(2 * height / (GRAVITY * s.gravity))


def _hops_along(a, t, s):
    height = 0.42 * a.size
    flight = _flight(height, s)
    seconds, number = _cycle(t, flight + 0.22, a.phase)
    share, lift, stretch = _hop_of(seconds, flight, 0.22, height)
    start = math.floor(a.phase) + a.phase
    return Pose(a.heading * 0.25 * (flight + 0.22) * (number + share - start), lift, 0.0, 0.0, 2 - stretch, stretch)


def _rolls(a, t, s):
    way = 0.25 * a.heading * t
    angle = way / (0.5 * a.size * a.depth)
    return Pose(way, _support(a, angle), angle)


def _drives(a, t, s):
    return Pose(0.375 * a.heading * t, 0.004 * abs(_wave(t, 4.0, a.phase)), 0.012 * _wave(t, 1.0, a.phase), 0.0)


def _slides(a, t, s):
    """Pushes that friction uses up: the way of a push goes as 1 - (1 - u)^2."""
    seconds, number = _cycle(t, 1.7, a.phase)
    u = min(1.0, seconds / 1.5)
    u = 0.12 * u + 0.88 * (1 - (1 - u) ** 2) if seconds < 1.5 else 1.0
    first = min(1.0, a.phase * 1.7 / 1.5)
    start = math.floor(a.phase) + 0.12 * first + 0.88 * (1 - (1 - first) ** 2)
    return Pose(a.heading * 0.36 * (number + u - start), 0.0, -0.05 * a.heading * (1 - u), 0.0)


def _dashes(a, t, s):
    """Stops and goes again with ease."""
    seconds, number = _cycle(t, 1.8, a.phase)
    u = seconds / 1.8

    def gone(v):
        return smooth((v - 0.25) / 0.6)
    pull = 6 * max(0.0, (u - 0.25) / 0.6) * max(0.0, 1 - (u - 0.25) / 0.6) if 0.25 < u < 0.85 else 0.0
    return Pose(a.heading * 0.6 * (number + gone(u) - gone(a.phase % 1) - math.floor(a.phase)), 0.0, 0.08 * a.heading * pull, 0.0,
                1 + 0.06 * pull, 1 - 0.04 * pull)


def _flies(a, t, s):
    rate, high, speed = 0.25, 0.09, 0.375
    climb = high * TAU * rate * math.cos(TAU * (rate * t + a.phase))
    flap = 0.10 * _wave(t, 4.0, a.phase) if a.thing.kind in ("bird", "insect") else 0.0
    return Pose(speed * a.heading * t, high * _wave(t, rate, a.phase) + 0.05 * flap, -a.heading * math.atan2(climb, speed) * 0.7, 0.5,
                1 - 0.3 * flap, 1 + flap)


def _glides(a, t, s):
    rate, high, speed = 0.16, 0.15, 0.25
    climb = high * TAU * rate * math.cos(TAU * (rate * t + a.phase))
    return Pose(speed * a.heading * t, high * _wave(t, rate, a.phase), -a.heading * math.atan2(climb, speed) * 0.8)


def _swims(a, t, s):
    beat = _wave(t, 1.0, a.phase)
    return Pose(0.25 * a.heading * t + 0.012 * a.heading * _wave(t, 1.0, a.phase + 0.2), 0.03 * _wave(t, 0.5, a.phase), 0.07 * beat, 0.5,
                1 + 0.045 * beat, 1 - 0.03 * beat)


def _sails(a, t, s):
    return Pose(0.1875 * a.heading * t, 0.014 * _wave(t, 0.5, a.phase), 0.07 * _wave(t, 0.5, a.phase + 0.2), 0.0)


def _crawls(a, t, s):
    reach = _wave(t, 1.0, a.phase)
    way = 0.125 * (t - 0.8 * (math.sin(TAU * (t + a.phase)) - math.sin(TAU * a.phase)) / TAU)
    return Pose(a.heading * way, 0.0, 0.0, 0.0, 1 + 0.09 * reach, 1 - 0.08 * reach)


def _zigzags(a, t, s):
    rate, high, speed = 0.55, 0.12, 0.27
    u = (rate * t + a.phase) % 1
    height = high * (4 * abs(u - 0.5) - 1)
    return Pose(speed * a.heading * t, height, a.heading * 0.35 * math.tanh(6 * _wave(t, rate, a.phase)))


def _cartwheels(a, t, s):
    way = 0.26 * a.heading * t
    turn = way / (0.42 * a.size)
    return Pose(way, _support(a, turn), turn)


# Up and down ------------------------------------------------------------------------------------------------------------------

def _vertical(a, way, half=0.74):
    """Lift from a way upwards that wraps where the actor cannot be seen."""
    margin = half * a.size * a.depth
    return a.altitude - wrapped(a.altitude - way, -margin, 1 + margin)


def _flies_up(a, t, s):
    return Pose(0.02 * _wave(t, 0.5, a.phase), _vertical(a, 0.25 * t), 0.05 * _wave(t, 0.5, a.phase))


def _falls(a, t, s):
    return Pose(0.0, _vertical(a, -0.25 * t), 0.12 * _wave(t, 0.5, a.phase))


def _rises(a, t, s):
    """As smoke or a bubble drifts: wobbling from side to side."""
    return Pose(0.06 * (_wave(t, 0.5, a.phase) - math.sin(TAU * a.phase)), _vertical(a, 0.125 * t), 0.10 * _wave(t, 0.5, a.phase + 0.2), 0.5,
                1 + 0.03 * _wave(t, 1.0), 1 - 0.03 * _wave(t, 1.0))


def _flutters_down(a, t, s):
    """As a leaf: the side-way swing tilts it, and it sinks fastest in the middle of a swing."""
    swing = 0.11 * (_wave(t, 0.45, a.phase) - math.sin(TAU * a.phase))
    return Pose(swing, _vertical(a, -0.17 * t + 0.02 * _wave(t, 0.9, a.phase)), 0.6 * math.cos(TAU * (0.45 * t + a.phase)))


# In place ---------------------------------------------------------------------------------------------------------------------

def _still(a, t, s):
    breath = 0.012 * _wave(t, 0.25, a.phase)
    return Pose(sy=1 + breath, sx=1 - 0.5 * breath)


JUMP = GRAVITY / 8 * (1.25 - 0.3) ** 2     # heights: on Earth, flight and rest take five latents


def _jumps(a, t, s):
    flight = _flight(JUMP, s)
    seconds, _ = _cycle(t, flight + 0.3, a.phase)
    _, lift, stretch = _hop_of(seconds, flight, 0.3, JUMP)
    return Pose(0.0, lift, 0.0, 0.0, 2 - stretch, stretch)


LOSS = 0.78            # of the speed that is left after a bounce
BOUNCES = 7


def _bounces(a, t, s):
    """Each bounce keeps LOSS of the speed; after BOUNCES of them a new push."""
    first = math.sqrt(2 * 0.3134 * GRAVITY * s.gravity)     # on Earth, all bounces take 16 latents
    gravity = GRAVITY * s.gravity
    flights = [2 * first * LOSS**k / gravity for k in range(BOUNCES)]
    seconds, _ = _cycle(t, sum(flights), a.phase)
    for k, flight in enumerate(flights):
        if seconds < flight:
            break
        seconds -= flight
    lift = max(0.0, first * LOSS**k * seconds - gravity * seconds**2 / 2)
    touch = max(0.0, 1 - min(seconds, flight - seconds) / 0.09) * 0.2 * LOSS**k
    return Pose(0.0, lift, 0.0, 0.0, 1 + 0.7 * touch, 1 - touch)


def _spins(a, t, s):
    angle = TAU * (0.5 * t + a.phase)
    return Pose(lift=_support(a, angle), angle=angle)


def _turns_around(a, t, s):
    """About the upright axis: the picture narrows, shows its back and comes round."""
    c = math.cos(TAU * (0.5 * t + a.phase))
    return Pose(sx=math.copysign(max(0.06, abs(c)), c))


def _swings(a, t, s):
    """A pendulum that hangs from a hinge above it."""
    return Pose(angle=0.5 * _wave(t, 0.5, a.phase), pivot=1.25)


def _sways(a, t, s):
    return Pose(angle=0.15 * _wave(t, 0.5, a.phase) + 0.05 * _wave(t, 1.0, a.phase), pivot=0.0)


def _rocks(a, t, s):
    """On a round foot: it rolls a little to the side that it leans to."""
    lean = 0.32 * _wave(t, 0.7, a.phase)
    return Pose(dx=0.25 * a.size * lean, angle=lean, pivot=0.12)


def _grows(a, t, s):
    k = 1.22 - 0.72 * math.exp(-0.8 * t) + 0.012 * _wave(t, 1.0)
    return Pose(sx=k, sy=k)


def _shrinks(a, t, s):
    k = 0.45 + 0.77 * math.exp(-0.8 * t) + 0.01 * _wave(t, 1.0)
    return Pose(sx=k, sy=k)


def _pulses(a, t, s):
    """As a heart beats: two quick strokes, then rest."""
    u = (t + a.phase) % 1
    k = 1 + 0.16 * (math.exp(-((u - 0.2) / 0.07) ** 2) + 0.7 * math.exp(-((u - 0.42) / 0.08) ** 2))
    return Pose(sx=k, sy=k)


def _floats(a, t, s):
    return Pose(0.02 * _wave(t, 0.25, a.phase), 0.09 * _wave(t, 0.5, a.phase), 0.07 * _wave(t, 0.5, a.phase + 0.3))


def _shakes(a, t, s):
    return Pose(0.045 * _wave(t, 2.0, a.phase), 0.0, 0.05 * _wave(t, 2.0, a.phase + 0.25))


def _nods(a, t, s):
    return Pose(angle=a.heading * 0.15 * (1 - math.cos(TAU * (0.8 * t + a.phase))) / 2, pivot=0.0)


def _wobbles(a, t, s):
    """Like jelly: pushed, it quivers, and comes to rest before the next push."""
    seconds, _ = _cycle(t, 1.9, a.phase)
    k = 0.2 * math.exp(-1.7 * seconds) * math.sin(TAU * 2.0 * seconds)
    return Pose(angle=0.5 * k, pivot=0.0, sx=1 - 0.8 * k, sy=1 + k)


def _dances(a, t, s):
    beat = _wave(t, 1.0, a.phase)
    return Pose(0.07 * beat, 0.05 * a.size * abs(_wave(t, 1.0, a.phase + 0.25)), 0.17 * beat, 0.0, 1 - 0.04 * abs(beat), 1 + 0.04 * abs(beat))


def _circles(a, t, s):
    angle = TAU * (0.25 * t + a.phase)
    return Pose(0.17 * math.cos(angle), -0.12 * math.sin(angle), 0.12 * math.sin(angle))


def _loops(a, t, s):
    """Loops the loop: the actor's nose follows the circle."""
    angle = TAU * 0.36 * t + TAU * a.phase
    return Pose(0.17 * a.heading * math.sin(angle), -0.17 * math.cos(angle), -a.heading * angle)


def _eight(a, t, s):
    angle = TAU * (0.24 * t + a.phase)
    return Pose(0.24 * math.sin(angle), 0.09 * math.sin(2 * angle), 0.25 * math.cos(angle))


def _comes_closer(a, t, s):
    step = _wave(t, 1.0, a.phase)
    return Pose(0.0, 0.02 * a.size * abs(step), 0.04 * step, 0.0, depth=1.12 - 0.62 * math.exp(-0.55 * t))


def _goes_away(a, t, s):
    step = _wave(t, 1.0, a.phase)
    return Pose(0.0, 0.02 * a.size * abs(step), 0.04 * step, 0.0, depth=0.46 + 0.66 * math.exp(-0.55 * t))


def _flaps(a, t, s):
    beat = _wave(t, 2.0, a.phase)
    return Pose(0.0, 0.02 * beat, 0.0, 0.5, 1 - 0.16 * beat, 1 + 0.08 * beat)


def _tips_over(a, t, s):
    """Falls on its side, faster and faster, bounces once, lies, and gets up."""
    seconds, _ = _cycle(t, 3.6, a.phase)
    if seconds < 0.8:
        lean = 0.03 * math.sin(TAU * 2 * seconds)
    elif seconds < 1.5:
        lean = 1.45 * ((seconds - 0.8) / 0.7) ** 2
    elif seconds < 1.8:
        u = (seconds - 1.5) / 0.3
        lean = 1.45 - 0.9 * u * (1 - u)
    else:
        lean = 1.45 * (1 - smooth((seconds - 2.5) / 1.0))
    wide, high = (a.size * side for side in sprites.proportions(a.thing))
    return Pose(-0.3 * high * a.heading * math.sin(lean), 0.45 * wide * math.sin(lean), a.heading * lean, 0.0)


def _words(*forms):
    """'moves/move/moving' for each."""
    return tuple(tuple(form.split("/")) for form in forms)


WAYS = [
    Motion("moves", _words("moves/move/moving", "goes/go/going", "heads/head/heading"), _moves, "any", 0.25, True, True),
    Motion("walks", _words("walks/walk/walking", "strolls/stroll/strolling", "wanders/wander/wandering"), _walks, "ground", 0.1875, True, True),
    Motion("runs", _words("runs/run/running", "races/race/racing", "sprints/sprint/sprinting"), _runs, "ground", 0.375, True, True),
    Motion("hops along", _words("hops along/hop along/hopping along", "skips/skip/skipping", "leaps/leap/leaping"), _hops_along, "ground", 0.25),
    Motion("rolls", _words("rolls/roll/rolling", "rolls along/roll along/rolling along"), _rolls, "ground", 0.25, turns=True),
    Motion("drives", _words("drives/drive/driving", "rides/ride/riding", "rolls by/roll by/rolling by"), _drives, "ground", 0.375, True, True),
    Motion("slides", _words("slides/slide/sliding", "glides over the ground/glide over the ground/gliding over the ground"), _slides, "ground",
           0.21),
    Motion("dashes", _words("dashes/dash/dashing", "rushes/rush/rushing", "darts/dart/darting"), _dashes, "any", 0.33),
    Motion("flies", _words("flies/fly/flying", "flies past/fly past/flying past"), _flies, "air", 0.375, True, True, turns=True),
    Motion("soars", _words("soars/soar/soaring", "sweeps/sweep/sweeping"), _glides, "air", 0.25, turns=True),
    Motion("swims", _words("swims/swim/swimming", "paddles/paddle/paddling"), _swims, "water", 0.25, True, True),
    Motion("sails", _words("sails/sail/sailing", "cruises/cruise/cruising"), _sails, "ground", 0.1875, True, True),
    Motion("crawls", _words("crawls/crawl/crawling", "creeps/creep/creeping"), _crawls, "ground", 0.125),
    Motion("zigzags", _words("zigzags/zigzag/zigzagging", "swerves/swerve/swerving"), _zigzags, "air", 0.27, turns=True),
    Motion("turns cartwheels", _words("turns cartwheels/turn cartwheels/turning cartwheels", "tumbles/tumble/tumbling"), _cartwheels, "any",
           0.26, turns=True),
]

STAYING = [
    Motion("flies up", _words("flies up/fly up/flying up", "goes up/go up/going up", "takes off/take off/taking off"), _flies_up, "air", 0.0,
           True, True),
    Motion("falls down", _words("falls down/fall down/falling down", "falls/fall/falling", "drops/drop/dropping"), _falls, "air", 0.0, True,
           True, turns=True),
    Motion("rises", _words("rises/rise/rising", "drifts upwards/drift upwards/drifting upwards", "floats up/float up/floating up"), _rises,
           "air"),
    Motion("flutters down", _words("flutters down/flutter down/fluttering down", "drifts down/drift down/drifting down"), _flutters_down, "air",
           turns=True),
    Motion("stands still", _words("stands still/stand still/standing still", "stays/stay/staying", "rests/rest/resting", "waits/wait/waiting"),
           _still, "any", 0.0, False, True),
    Motion("jumps", _words("jumps/jump/jumping", "hops/hop/hopping", "jumps up and down/jump up and down/jumping up and down"), _jumps,
           "ground", 0.0, True, True),
    Motion("bounces", _words("bounces/bounce/bouncing", "bounces up and down/bounce up and down/bouncing up and down"), _bounces, "ground", 0.0,
           True, True),
    Motion("spins", _words("spins/spin/spinning", "rotates/rotate/rotating", "whirls/whirl/whirling"), _spins, "any", 0.0, True, True,
           turns=True),
    Motion("turns around", _words("turns around/turn around/turning around", "pirouettes/pirouette/pirouetting"), _turns_around),
    Motion("swings", _words("swings/swing/swinging", "swings back and forth/swing back and forth/swinging back and forth"), _swings, "air",
           turns=True),
    Motion("sways", _words("sways/sway/swaying", "sways in the wind/sway in the wind/swaying in the wind"), _sways, "ground"),
    Motion("rocks", _words("rocks/rock/rocking", "rocks from side to side/rock from side to side/rocking from side to side"), _rocks, "ground",
           turns=True),
    Motion("grows", _words("grows/grow/growing", "gets bigger/get bigger/getting bigger"), _grows, "any", 0.0, True, True, turns=True,
           ends=3.0),
    Motion("shrinks", _words("shrinks/shrink/shrinking", "gets smaller/get smaller/getting smaller"), _shrinks, "any", 0.0, True, True, ends=3.0),
    Motion("pulses", _words("pulses/pulse/pulsing", "throbs/throb/throbbing", "beats like a heart/beat like hearts/beating like a heart"),
           _pulses),
    Motion("floats", _words("floats/float/floating", "hovers/hover/hovering", "drifts/drift/drifting"), _floats, "air", 0.0, True, True),
    Motion("shakes", _words("shakes/shake/shaking", "trembles/tremble/trembling", "shivers/shiver/shivering"), _shakes, "any", 0.0, True, True),
    Motion("nods", _words("nods/nod/nodding", "bows/bow/bowing"), _nods, "ground", turns=True),
    Motion("wobbles", _words("wobbles/wobble/wobbling", "jiggles/jiggle/jiggling", "quivers/quiver/quivering"), _wobbles, "ground", turns=True),
    Motion("dances", _words("dances/dance/dancing", "grooves/groove/grooving"), _dances, "ground", turns=True),
    Motion("circles", _words("circles/circle/circling", "goes round in circles/go round in circles/going round in circles"), _circles, "air",
           0.0, True, True),
    Motion("loops the loop", _words("loops the loop/loop the loop/looping the loop", "flies loops/fly loops/flying loops"), _loops, "air",
           turns=True),
    Motion("flies a figure of eight", _words("flies a figure of eight/fly a figure of eight/flying a figure of eight",), _eight, "air",
           turns=True),
    Motion("comes closer", _words("comes closer/come closer/coming closer", "approaches/approach/approaching"), _comes_closer, "ground", ends=4.0),
    Motion("goes away", _words("goes away/go away/going away", "walks away/walk away/walking away"), _goes_away, "ground", ends=4.0),
    Motion("flaps", _words("flaps its wings/flap their wings/flapping its wings", "flutters/flutter/fluttering"), _flaps, "air"),
    Motion("tips over", _words("tips over/tip over/tipping over", "falls over/fall over/falling over"), _tips_over, "ground", turns=True),
]
MOTIONS = WAYS + STAYING
BY_NAME = {m.name: m for m in MOTIONS}
assert set(RARE) <= BY_NAME.keys()
VERTICAL = ("flies up", "falls down", "rises", "flutters down")     # these leave at the top or the bottom

PACES = ((0.5, ("slowly", "gently", "lazily")), (1.0, ("",)), (1.5, ("quickly", "fast", "swiftly")))
PACE_NAMES = {0.5: "slowly", 1.0: "", 1.5: "quickly"}

# What things of a kind can be expected to do; the rest is for fairy tales.
USUAL = {
    "walker": "walks walks runs runs stands_still jumps nods dances comes_closer goes_away turns_around moves",
    "hopper": "hops_along hops_along jumps jumps stands_still moves",
    "crawler": "crawls crawls stands_still moves walks",
    "bird": "flies flies flaps walks stands_still soars circles jumps moves",
    "insect": "flies flies flaps circles zigzags floats flies_a_figure_of_eight moves",
    "fish": "swims swims swims floats dashes turns_around moves",
    "swimmer": "swims swims floats jumps moves",
    "person": "walks dances jumps stands_still turns_around runs nods comes_closer goes_away moves floats",
    "car": "drives drives drives dashes stands_still shakes moves",
    "train": "drives drives shakes stands_still moves",
    "boat": "sails sails sails rocks dashes moves",
    "aircraft": "flies flies flies_up floats soars loops_the_loop moves",
    "balloon": "rises rises flies_up floats swings moves flutters_down",
    "plant": "sways sways stands_still grows shakes wobbles",
    "building": "stands_still stands_still shakes grows shrinks wobbles",
    "food": "rolls bounces falls_down spins wobbles stands_still rocks slides jumps",
    "object": "bounces spins swings falls_down rocks slides stands_still tips_over wobbles shakes",
    "sky": "floats pulses spins rises falls_down grows shrinks moves",
}
USUAL = {kind: [BY_NAME[name.replace("_", " ")] for name in names.split()] for kind, names in USUAL.items()}
ROUND = [BY_NAME["rolls"], BY_NAME["rolls"], BY_NAME["bounces"], BY_NAME["bounces"]]
