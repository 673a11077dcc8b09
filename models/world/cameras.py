# SPDX-License-Identifier: LGPL-2.1-or-later
"""Camera moves: how far the places have slid and how close the view is; the camera follows the actors."""

from dataclasses import dataclass
from typing import Callable


@dataclass(frozen=True)
class Camera:
    name: str
    phrases: tuple
    view: Callable  # seconds -> slide of the nearest layer in widths of the picture, zoom


CAMERAS = [
    Camera("", ("",), lambda t: (0.0, 1.0)),
    Camera("pans left", ("the camera pans left", "camera moving left", "panning left"), lambda t: (0.22 * t, 1.0)),
    Camera("pans right", ("the camera pans right", "camera moving right", "panning right"), lambda t: (-0.22 * t, 1.0)),
    Camera("zooms in", ("the camera zooms in", "zooming in", "the camera moves closer"), lambda t: (0.0, 1 + 0.18 * min(t, 3.0))),
    Camera("zooms out", ("the camera zooms out", "zooming out", "the camera moves away"), lambda t: (0.0, 1.54 - 0.18 * min(t, 3.0))),
]
BY_NAME = {c.name: c for c in CAMERAS}
