# SPDX-License-Identifier: LGPL-2.1-or-later
"""Camera moves: where the camera is, what it is turned to and how close the view is, for every moment."""

import math
from dataclasses import dataclass
from typing import Callable


@dataclass
class View:
    """Lengths in heights of the picture."""
    x: float = 0.0         # way of the camera to the right
    y: float = 0.0         # way of the view downwards
    zoom: float = 1.0      # of everything; at least 1 and enough for y
    dolly: float = 1.0     # zoom of what is at depth 1; what is far grows less
    orbit: float = 0.0     # way of what is at depth 2 to the left; what is at depth 0 goes as far to the right


@dataclass(frozen=True)
class Camera:
    name: str
    phrases: tuple
    view: Callable         # (seconds, way of a tracked actor in heights) -> View
    slides: bool = False   # for ever: the layers need to be wide
    detail: float = 1.0    # resolution of the layers
    ends: float = 0.0      # seconds after which it hardly moves any more; 0: never


def _eased(t, seconds):
    """From 0 to 1 as a move that begins gently and never quite ends."""
    return 1 - math.exp(-max(0.0, t) / seconds)


_SWAY_ZOOM = 1.25      # what a hand-held camera needs for its way


def _hand_held(t, way):
    u = math.tau * t / 4     # comes round in 16 latents
    x = 0.06 * math.sin(u) + 0.025 * math.sin(3 * u + 1) + 0.004 * math.sin(6 * u + 2)
    y = 0.04 * math.sin(2 * u + 0.5) + 0.022 * math.sin(3 * u) + 0.004 * math.sin(5 * u)
    return View(x, y, _SWAY_ZOOM)


# A pan goes 16 pixels of 256 while four frames pass: one cell of the autoencoder in one latent, so that what is near is the same
# latents, moved. Slower moves, of less than half a cell, did not come across to the transformer.
_PAN = 0.25

# A tilt has an end; in its first two seconds it goes 11 pixels of 256 in a latent on average. One of 6 did not come across.
_TILT_ZOOM = 1.45


def _tilt(up, t):
    return View(0.0, up * (0.22 - 0.44 * _eased(t, 1.4)), _TILT_ZOOM)


def _zoom(share):
    """Partly of the lens, partly of the way: what is near grows most."""
    return View(zoom=1 + 0.2 * share, dolly=1 + 0.45 * share)


CAMERAS = [
    Camera("", ("", "static camera", "the camera stands still", "static shot", "locked-off camera"), lambda t, way: View()),
    Camera("pans left", ("the camera pans left", "camera moving left", "panning left", "slow pan to the left"), lambda t, way: View(-_PAN * t),
           True),
    Camera("pans right", ("the camera pans right", "camera moving right", "panning right", "slow pan to the right"), lambda t,
           way: View(_PAN * t), True),
    Camera("tilts up", ("the camera tilts up", "tilting up", "camera tilting upwards"),
           lambda t, way: _tilt(1, t), False, _TILT_ZOOM, 3.0),
    Camera("tilts down", ("the camera tilts down", "tilting down", "camera tilting downwards"),
           lambda t, way: _tilt(-1, t), False, _TILT_ZOOM, 3.0),
    Camera("zooms in", ("the camera zooms in", "zooming in", "the camera moves closer", "slow push in"),
           lambda t, way: _zoom(_eased(t, 1.3)), False, 1.5, 3.0),
    Camera("zooms out", ("the camera zooms out", "zooming out", "the camera moves away", "slow pull out"),
           lambda t, way: _zoom(1 - _eased(t, 1.3)), False, 1.5, 3.0),
    Camera("tracks", ("tracking shot", "the camera follows", "slow tracking shot", "the camera moves along"), lambda t, way: View(way), True),
    Camera("orbits", ("the camera orbits", "orbiting camera", "orbit shot", "the camera circles around"),
           lambda t, way: View(zoom=1.06, orbit=0.18 * math.sin(math.tau * t / 4))),
    Camera("hand-held", ("hand-held camera", "handheld camera", "shaky camera", "hand-held shot"), _hand_held, False, _SWAY_ZOOM),
]
BY_NAME = {c.name: c for c in CAMERAS}
