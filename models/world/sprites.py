# SPDX-License-Identifier: LGPL-2.1-or-later
"""Pictures of things: the font's flat glyph, recoloured, shaded by a soft light from the upper left, cut to its outline."""

import os
from dataclasses import dataclass
from functools import lru_cache

import cairo
import numpy as np
from PIL import Image, ImageDraw, ImageFont

FONT_PATH = os.environ.get("SORA_EMOJI_FONT", "/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf")
WIDTH, HEIGHT = 136, 128  # the size of a bitmap in the font
BORDER = 3                # pixels around the outline

HUES = {"red": 0.0, "orange": 0.075, "yellow": 0.14, "green": 0.34, "blue": 0.6, "purple": 0.77, "pink": 0.9}
COLOURS = (*HUES, "white", "black")


@dataclass(frozen=True)
class Sprite:
    levels: tuple        # (cairo surface, its memory) at scales 1, 1/2, 1/4
    width: int           # pixels of the first level without its border
    height: int
    base: float          # width of what touches the ground, in widths


def _hue(rgb):
    top, low = rgb.max(-1), rgb.min(-1)
    span = np.maximum(top - low, 1e-6)
    r, g, b = np.moveaxis(rgb, -1, 0)
    hue = np.where(top == r, ((g - b) / span) % 6, np.where(top == g, (b - r) / span + 2, (r - g) / span + 4)) / 6
    return hue, top, span


def _paint(rgb, base, colour):
    """Turns the hue of the pixels near the picture's own colour; rgb (H, W, 3) in 0..1."""
    hue, top, span = _hue(rgb)
    near = np.clip(2.4 - 12 * np.abs((hue - HUES[base] + 0.5) % 1 - 0.5), 0, 1) * np.clip(4 * span, 0, 1)
    if colour in ("white", "black"):
        grey = rgb @ np.array([0.35, 0.45, 0.2], np.float32)
        grey = 0.62 + 0.38 * grey if colour == "white" else 0.05 + 0.3 * grey
        painted = np.repeat(grey[..., None], 3, -1)
    else:
        turned = (hue + HUES[colour] - HUES[base]) % 1
        k = (np.array([5.0, 3.0, 1.0])[None, None] + turned[..., None] * 6) % 6
        painted = top[..., None] - span[..., None] * np.clip(np.minimum(k, 4 - k), 0, 1)
        if colour in ("yellow", "orange") and base not in ("yellow", "orange"):
            painted = painted + 0.25 * span[..., None] * (1 - painted)
    return rgb + near[..., None] * (painted - rgb)


@lru_cache(maxsize=1)
def _font():
    if not os.path.exists(FONT_PATH):
        raise SystemExit(f"no {FONT_PATH}: apt-get install fonts-noto-color-emoji, or name the font in SORA_EMOJI_FONT")
    return ImageFont.truetype(FONT_PATH, 109)


@lru_cache(maxsize=400)
def _glyph(thing):
    """The font's bitmap as straight RGBA, cut to its outline, uint8."""
    image = Image.new("RGBA", (WIDTH, HEIGHT), (0, 0, 0, 0))
    ImageDraw.Draw(image).text((0, 0), thing.glyph, font=_font(), embedded_color=True)
    return np.asarray(image.crop(image.getbbox()))


def _moved(alpha, x, y):
    """alpha moved by whole pixels, nothing coming in."""
    out = np.zeros_like(alpha)
    h, w = alpha.shape
    out[max(0, y):h + min(0, y), max(0, x):w + min(0, x)] = alpha[max(0, -y):h + min(0, -y), max(0, -x):w + min(0, -x)]
    return out


def _shade(rgba):
    """Soft light from the upper left: brighter there, a rim along the edge, darker below; in place."""
    h, w = rgba.shape[:2]
    rgb, alpha = rgba[..., :3], rgba[..., 3]
    y, x = np.linspace(0, 1, h, dtype=np.float32)[:, None], np.linspace(0, 1, w, dtype=np.float32)[None]
    rgb *= (1.08 - 0.16 * y * y - 0.12 * x * y)[..., None]
    lit = np.clip(alpha - _moved(alpha, 2, 2), 0, 1)[..., None]
    dark = np.clip(alpha - _moved(alpha, -3, -3), 0, 1)[..., None]
    rgb += 0.3 * lit * (1 - rgb)
    rgb *= 1 - 0.22 * dark
    np.clip(rgb, 0, 1, rgb)


@lru_cache(maxsize=600)
def _shaded(thing, mirrored, colour):
    """Straight RGBA uint8 with a border; before the scene's light."""
    rgba = _glyph(thing).astype(np.float32) / 255
    if colour and thing.colour and colour != thing.colour:
        rgba[..., :3] = _paint(rgba[..., :3], thing.colour, colour)
    if mirrored:
        rgba = np.ascontiguousarray(rgba[:, ::-1])
    rgba = np.pad(rgba, ((BORDER, BORDER), (BORDER, BORDER), (0, 0)))
    _shade(rgba)
    return (rgba * 255).round().astype(np.uint8)


def _cut_out(rgba):
    """A white border around the outline, as scissors leave it."""
    alpha = rgba[..., 3]
    wide = alpha
    for x, y in ((3, 0), (-3, 0), (0, 3), (0, -3), (2, 2), (-2, 2), (2, -2), (-2, -2)):
        wide = np.maximum(wide, _moved(alpha, x, y))
    rgba[..., :3] = rgba[..., :3] * alpha[..., None] + 0.97 * (1 - alpha[..., None])
    rgba[..., 3] = wide


def _levels(pixels):
    """(surface, memory) of premultiplied BGRA in 0..1 at scales 1, 1/2, 1/4."""
    out = []
    for _ in range(3):
        memory = np.ascontiguousarray((pixels * 255).round().astype(np.uint8))
        out.append((cairo.ImageSurface.create_for_data(memory, cairo.FORMAT_ARGB32, memory.shape[1], memory.shape[0]), memory))
        pixels = np.pad(pixels, ((0, pixels.shape[0] % 2), (0, pixels.shape[1] % 2), (0, 0)))
        pixels = (pixels[::2, ::2] + pixels[1::2, ::2] + pixels[::2, 1::2] + pixels[1::2, 1::2]) / 4
    return tuple(out)


@lru_cache(maxsize=400)
def sprite(thing, mirrored, colour, grade, cut_out=False):
    rgba = _shaded(thing, mirrored, colour).astype(np.float32) / 255
    rgba[..., :3] = grade.pixels(rgba[..., :3])
    if cut_out:
        _cut_out(rgba)
    alpha = rgba[..., 3:]
    h, w = rgba.shape[0] - 2 * BORDER, rgba.shape[1] - 2 * BORDER
    touching = (alpha[-BORDER - max(3, h // 8):, :, 0] > 0.4).any(0).nonzero()[0]
    base = (touching[-1] - touching[0] + 1) / w if len(touching) else 0.5
    return Sprite(_levels(np.concatenate([rgba[..., 2::-1] * alpha, alpha], -1)), w, h, float(base))


@lru_cache(maxsize=400)
def proportions(thing):
    """Width and height of the outline, the larger one being 1."""
    h, w = _glyph(thing).shape[:2]
    return w / max(w, h), h / max(w, h)


@lru_cache(maxsize=800)
def mean_colour(thing, colour=""):
    """Mean RGB in 0..1 of what is opaque, for the evaluation."""
    rgba = _shaded(thing, False, colour).astype(np.float32) / 255
    alpha = rgba[..., 3:]
    return (rgba[..., :3] * alpha).sum((0, 1)) / alpha.sum()


@lru_cache(maxsize=1)
def shadow():
    """A soft ellipse as a mask of 64 x 32."""
    y, x = np.mgrid[-1:1:32j, -1:1:64j]
    alpha = np.clip(1 - np.sqrt(x * x + y * y), 0, 1) ** 0.8
    memory = np.ascontiguousarray((255 * np.clip(1.5 * alpha, 0, 1)).astype(np.uint8))
    return cairo.ImageSurface.create_for_data(memory, cairo.FORMAT_A8, 64, 32), memory
