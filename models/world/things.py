# SPDX-License-Identifier: LGPL-2.1-or-later
"""The actors: everyday things, their picture in Noto Color Emoji, other words for them, where they face."""

import os
from dataclasses import dataclass
from functools import lru_cache

import cairo
import numpy as np
from PIL import Image, ImageDraw, ImageFont

FONT_PATH = os.environ.get("SORA_EMOJI_FONT", "/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf")
WIDTH, HEIGHT = 136, 128  # the size of a bitmap in the font


@dataclass(frozen=True)
class Thing:
    name: str
    glyph: str
    others: tuple = ()      # synonyms
    facing: int = 0         # -1: the picture looks left, 1: right, 0: neither
    tier: int = 0           # 2: a starter, learned first; 1: core; 0: the rest
    colour: str = ""        # of the picture in the font, where it can be painted in another one


STARTERS = {
    "cat", "dog", "elephant", "fish", "duck", "penguin", "butterfly", "whale", "turtle", "octopus", "frog", "car", "bus", "train", "rocket",
    "helicopter", "sailboat", "balloon", "tree", "sunflower", "mushroom", "house", "castle", "apple", "strawberry", "pizza", "robot", "ghost",
    "pumpkin", "snowman", "heart", "star", "ball", "sun", "moon", "fire",
}


def _t(name, glyph, others="", facing=0, core=0, colour=""):
    return Thing(name, glyph, tuple(w for w in others.split(",") if w), facing, 2 if name in STARTERS else core, colour)


THINGS = [
    # animals
    _t("cat", "🐈", "kitty,kitten", -1, 1), _t("dog", "🐕", "puppy,hound", -1, 1), _t("horse", "🐎", "pony,stallion", -1, 1),
    _t("cow", "🐄", "", -1), _t("pig", "🐖", "hog", -1, 1), _t("sheep", "🐑", "lamb", -1, 1),
    _t("elephant", "🐘", "", -1, 1), _t("tiger", "🐅", "", -1), _t("rabbit", "🐇", "bunny,hare", -1, 1),
    _t("mouse", "🐁", "", -1), _t("monkey", "🐒", "ape", -1), _t("chicken", "🐓", "rooster,hen", -1),
    _t("chick", "🐥", "baby chick"), _t("duck", "🦆", "", -1, 1), _t("owl", "🦉", "", 0, 1), _t("eagle", "🦅", "hawk", -1),
    _t("parrot", "🦜", "", -1), _t("swan", "🦢", "", -1), _t("flamingo", "🦩", "", -1), _t("peacock", "🦚", "", -1),
    _t("penguin", "🐧", "", 0, 1), _t("fish", "🐟", "", -1, 1), _t("tropical fish", "🐠", "colourful fish", -1, 1),
    _t("pufferfish", "🐡", "blowfish", -1), _t("shark", "🦈", "", -1, 1), _t("whale", "🐳", "", -1, 1),
    _t("dolphin", "🐬", "", -1, 1), _t("octopus", "🐙", "squid", 0, 1), _t("crab", "🦀", "", 0, 1), _t("lobster", "🦞", ""),
    _t("snail", "🐌", "", -1, 1), _t("butterfly", "🦋", "moth", 0, 1), _t("bee", "🐝", "honeybee", -1, 1),
    _t("ladybug", "🐞", "ladybird,beetle", -1, 1), _t("caterpillar", "🐛", "worm", -1), _t("spider", "🕷", ""),
    _t("turtle", "🐢", "tortoise", -1, 1), _t("snake", "🐍", "serpent"), _t("lizard", "🦎", "gecko", -1),
    _t("crocodile", "🐊", "alligator"), _t("dinosaur", "🦕", "sauropod", -1, 1), _t("dragon", "🐉", "", -1),
    _t("unicorn", "🦄", "", -1, 1), _t("lion", "🦁", "", 0, 1), _t("bear", "🐻", "", 0, 1), _t("panda", "🐼", "", 0, 1),
    _t("koala", "🐨", ""), _t("fox", "🦊", "", 0, 1), _t("frog", "🐸", "toad", 0, 1), _t("giraffe", "🦒", "", -1, 1),
    _t("zebra", "🦓", "", -1), _t("camel", "🐪", "dromedary", -1, 1), _t("kangaroo", "🦘", "", -1), _t("hedgehog", "🦔", "", -1),
    _t("squirrel", "🐿", "chipmunk", -1), _t("sloth", "🦥", "", 0), _t("bat", "🦇", ""),
    # what drives, flies and floats
    _t("car", "🚗", "automobile", -1, 1, "red"), _t("bus", "🚌", "coach", -1, 1), _t("truck", "🚚", "lorry", -1),
    _t("fire engine", "🚒", "fire truck", -1, 1), _t("police car", "🚓", "", -1), _t("ambulance", "🚑", "", -1),
    _t("taxi", "🚕", "cab", -1, 1), _t("racing car", "🏎", "race car", -1), _t("tractor", "🚜", "", -1, 1),
    _t("bicycle", "🚲", "bike", -1, 1), _t("motorcycle", "🏍", "motorbike", -1), _t("scooter", "🛵", "moped", -1),
    _t("train", "🚂", "locomotive,steam train", -1, 1), _t("airplane", "✈", "plane,aeroplane", 1, 1),
    _t("helicopter", "🚁", "chopper", -1, 1), _t("rocket", "🚀", "spaceship", 1, 1),
    _t("flying saucer", "🛸", "ufo", 0, 1), _t("satellite", "🛰", ""), _t("sailboat", "⛵", "sailing boat,yacht", 0, 1),
    _t("ship", "🚢", "liner,boat", 0), _t("speedboat", "🚤", "motorboat", -1), _t("balloon", "🎈", "", 0, 1, "red"),
    _t("kite", "🪁", "", 0), _t("parachute", "🪂", "skydiver", 0),
    # plants and buildings
    _t("tree", "🌳", "", 0, 1), _t("fir tree", "🌲", "pine tree,fir", 0, 1), _t("palm tree", "🌴", "palm", 0, 1),
    _t("cactus", "🌵", "", 0, 1), _t("sunflower", "🌻", "", 0, 1), _t("rose", "🌹", "", 0, 1), _t("tulip", "🌷", "", 0, 1, "pink"),
    _t("mushroom", "🍄", "toadstool", 0, 1, "red"), _t("maple leaf", "🍁", "leaf", 0), _t("christmas tree", "🎄", "", 0, 1),
    _t("house", "🏠", "home", 0, 1), _t("castle", "🏰", "fortress", 0, 1), _t("tent", "⛺", "", 0), _t("tower", "🗼", ""),
    _t("ferris wheel", "🎡", "big wheel", 0, 1),
    _t("fountain", "⛲", ""), _t("church", "⛪", "chapel"), _t("volcano", "🌋", ""),
    # food
    _t("apple", "🍎", "", 0, 1, "red"), _t("banana", "🍌", "", 0, 1), _t("strawberry", "🍓", "", 0, 1), _t("cherries", "🍒", "cherry"),
    _t("orange", "🍊", "tangerine"), _t("lemon", "🍋", "", 0, 1), _t("watermelon", "🍉", "melon", 0, 1), _t("pineapple", "🍍", "", 0, 1),
    _t("grapes", "🍇", "bunch of grapes"), _t("carrot", "🥕", ""), _t("tomato", "🍅", ""), _t("corn", "🌽", "maize"),
    _t("pizza", "🍕", "slice of pizza", 0, 1), _t("cake", "🎂", "birthday cake", 0, 1), _t("ice cream", "🍦", "ice-cream cone", 0, 1),
    _t("hamburger", "🍔", "burger", 0, 1), _t("donut", "🍩", "doughnut", 0, 1), _t("cookie", "🍪", "biscuit"),
    _t("lollipop", "🍭", "candy"), _t("egg", "🥚", ""), _t("cup of coffee", "☕", "coffee", 0),
    # toys, tools, music
    _t("soccer ball", "⚽", "football", 0, 1), _t("basketball", "🏀", "", 0, 1), _t("tennis racket", "🎾", "racket"), _t("volleyball", "🏐", ""),
    _t("teddy bear", "🧸", "teddy", 0, 1), _t("guitar", "🎸", "electric guitar", 0, 1), _t("drum", "🥁", "", 0), _t("trumpet", "🎺", "horn", 0),
    _t("violin", "🎻", "fiddle"), _t("robot", "🤖", "android", 0, 1), _t("ghost", "👻", "spirit,spook", 0, 1), _t("alien", "👽", "", 0, 1),
    _t("pumpkin", "🎃", "jack-o'-lantern", 0, 1), _t("snowman", "⛄", "", 0, 1), _t("crown", "👑", "", 0, 1), _t("gift", "🎁", "present", 0, 1),
    _t("hat", "🎩", "top hat"), _t("shoe", "👟", "sneaker", 0), _t("umbrella", "☂", "parasol", 0, 1, "blue"), _t("key", "🔑", ""),
    _t("clock", "🕐", ""), _t("camera", "📷", ""), _t("book", "📕", "", 0, 1, "red"), _t("candle", "🕯", "", 0), _t("bell", "🔔", "", 0, 1),
    _t("diamond", "💎", "gem,jewel", 0, 1), _t("light bulb", "💡", "bulb", 0), _t("magnet", "🧲", ""), _t("paint palette", "🎨", "palette"),
    _t("television", "📺", "tv"), _t("telephone", "☎", "phone"), _t("anchor", "⚓", ""), _t("trophy", "🏆", "cup"),
    # sky and shapes
    _t("star", "⭐", "", 0, 1), _t("heart", "❤", "", 0, 1, "red"), _t("sun", "🌞", "", 0, 1), _t("moon", "🌙", "crescent moon", 0, 1),
    _t("cloud", "☁", "", 0, 1), _t("rainbow", "🌈", "", 0, 1), _t("fire", "🔥", "flame", 0, 1), _t("snowflake", "❄", ""),
    _t("planet", "🪐", "ringed planet,saturn", 0, 1), _t("earth", "🌍", "globe", 0, 1), _t("ball", "🔴", "", 0, 1, "red"),
]
BY_NAME = {t.name: t for t in THINGS}
assert all(name in BY_NAME for name in STARTERS)

HUES = {"red": 0.0, "orange": 0.075, "yellow": 0.14, "green": 0.34, "blue": 0.6, "purple": 0.77, "pink": 0.9}


def _shift_hue(rgb, turn):
    """Turns the hue of saturated pixels; rgb (H, W, 3) in 0..1."""
    top, low = rgb.max(-1), rgb.min(-1)
    span = np.maximum(top - low, 1e-6)
    r, g, b = np.moveaxis(rgb, -1, 0)
    hue = np.where(top == r, ((g - b) / span) % 6, np.where(top == g, (b - r) / span + 2, (r - g) / span + 4)) / 6
    hue = (hue + turn) % 1
    k = (np.array([5.0, 3.0, 1.0])[None, None] + hue[..., None] * 6) % 6
    return top[..., None] - span[..., None] * np.clip(np.minimum(k, 4 - k), 0, 1)


def _glyph(thing):
    """The font's bitmap as straight RGBA in 0..1."""
    font = ImageFont.truetype(FONT_PATH, 109)
    image = Image.new("RGBA", (WIDTH, HEIGHT), (0, 0, 0, 0))
    ImageDraw.Draw(image).text((0, 0), thing.glyph, font=font, embedded_color=True)
    return np.asarray(image).astype(np.float32) / 255


@lru_cache(maxsize=1024)
def picture(thing, mirrored=False, colour=""):
    """A cairo surface of the thing, WIDTH x HEIGHT, and the array that holds its memory."""
    rgba = _glyph(thing)
    if colour and colour != thing.colour:
        rgb = _shift_hue(rgba[..., :3], HUES[colour] - HUES[thing.colour])
        if colour in ("yellow", "orange"):
            saturation = (rgb.max(-1) - rgb.min(-1))[..., None]
            rgb = rgb + 0.25 * saturation * (1 - rgb)
        rgba = np.concatenate([rgb, rgba[..., 3:]], -1)
    if mirrored:
        rgba = rgba[:, ::-1]
    alpha = rgba[..., 3:]
    pixels = np.concatenate([rgba[..., 2::-1] * alpha, alpha], -1)
    memory = np.ascontiguousarray((pixels * 255).round().astype(np.uint8))
    return cairo.ImageSurface.create_for_data(memory, cairo.FORMAT_ARGB32, WIDTH, HEIGHT), memory


def mean_colour(thing, colour=""):
    """Mean RGB in 0..1 of what is opaque, for the evaluation."""
    _, memory = picture(thing, False, colour)
    alpha = memory[..., 3:].astype(np.float32)
    return (memory[..., 2::-1].astype(np.float32).sum((0, 1)) / alpha.sum()).clip(0, 1)
