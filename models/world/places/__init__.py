# SPDX-License-Identifier: LGPL-2.1-or-later
"""The places: how they are called, what is possible in them, and who paints them."""

from dataclasses import dataclass
from typing import Callable

from . import heavens, indoors, nature, town, water

DAY = ("dawn", "noon", "sunset", "night")
WEATHER = ("rain", "fog", "storm", "wind")
LIGHTS = ("golden hour", "moonlight", "backlight", "spotlight")
LAMPS = ("spotlight", "neon light", "candle light")


@dataclass(frozen=True)
class Place:
    name: str
    phrases: tuple
    paint: Callable              # (kit)
    medium: str = "ground"       # see stage.Stage
    ground: float = 0.86
    slope: float = 0.0
    gravity: float = 1.0
    times: tuple = DAY
    weathers: tuple = WEATHER
    lights: tuple = LIGHTS
    paved: bool = False          # the wet ground mirrors what stands on it


PLACES = [
    Place("meadow", ("in a meadow", "on the grass", "in a green field", "on a pasture"), nature.meadow, slope=0.02),
    Place("forest", ("in a forest", "in the woods", "among the trees"), nature.forest, ground=0.87),
    Place("autumn park", ("in an autumn park", "among autumn leaves", "in autumn", "in a park in fall"), nature.autumn),
    Place("jungle", ("in the jungle", "in the rainforest", "in a tropical forest"), nature.jungle, ground=0.87),
    Place("savanna", ("in the savanna", "on the african plain", "on a dry plain"), nature.savanna, ground=0.84,
          weathers=("storm", "wind", "fog")),
    Place("desert", ("in the desert", "among sand dunes", "on hot sand"), nature.desert, slope=0.03, weathers=("wind", "fog")),
    Place("snow", ("in the snow", "in winter", "in a snowy landscape"), nature.snow, slope=0.028, weathers=("snow", "snow", "fog", "wind")),
    Place("mountains", ("in the mountains", "in front of mountains", "in the alps", "on a mountain pasture"), nature.mountains, ground=0.85,
          slope=0.02,
          weathers=("rain", "fog", "storm", "snow")),
    Place("canyon", ("in a canyon", "among red rocks", "in the wild west"), nature.canyon, ground=0.85, weathers=("storm", "wind", "fog")),
    Place("cave", ("in a cave", "inside a cave", "underground"), nature.cave, ground=0.87, times=(), weathers=(), lights=LAMPS),
    Place("sea", ("at sea", "on the sea", "on the ocean", "on the open water"), water.sea, "surface", 0.8, weathers=("rain", "fog", "storm")),
    Place("lake", ("on a lake", "on a pond", "on a quiet lake"), water.lake, "surface", 0.8, weathers=("rain", "fog", "storm")),
    Place("beach", ("on the beach", "by the sea", "at the seaside", "on the shore"), water.beach, ground=0.87,
          weathers=("rain", "storm", "fog", "wind")),
    Place("under water", ("under water", "in the deep sea", "underwater", "at the bottom of the sea"), water.under_water, "water", 0.91, 0.0,
          0.35,
          times=("night",), weathers=(), lights=("neon light", "spotlight")),
    Place("city", ("in the city", "in town", "in a big city", "downtown"), town.city, ground=0.89, weathers=("rain", "fog", "storm", "snow"),
          lights=LIGHTS + ("neon light",), paved=True),
    Place("street", ("in a street", "on the street", "in front of the shops"), town.street, ground=0.89,
          weathers=("rain", "fog", "storm", "snow"),
          lights=LIGHTS + ("neon light",), paved=True),
    Place("farm", ("on a farm", "in front of a barn", "in the countryside"), town.farm),
    Place("garden", ("in a garden", "in the backyard", "among flowers"), town.garden, ground=0.87),
    Place("castle", ("in front of a castle", "at a castle", "by a fairy-tale castle"), town.castle, ground=0.86),
    Place("village", ("in a village", "in a small village", "in a valley with houses"), town.village, ground=0.87,
          weathers=("rain", "fog", "storm", "snow")),
    Place("playground", ("on a playground", "at the playground", "in the park"), town.playground, ground=0.86),
    Place("room", ("in a room", "at home", "indoors", "in the living room"), indoors.room, ground=0.9, times=("night",), weathers=(),
          lights=LAMPS),
    Place("kitchen", ("in a kitchen", "in the kitchen"), indoors.kitchen, ground=0.89, times=("night",), weathers=(), lights=LAMPS),
    Place("bedroom", ("in a bedroom", "in the bedroom", "in a nursery"), indoors.bedroom, ground=0.89, times=("night",), weathers=(),
          lights=LAMPS),
    Place("stage", ("on a stage", "on stage", "in a theatre"), indoors.stage, ground=0.88, times=(), weathers=(), lights=LAMPS + ("spotlight",)),
    Place("sky", ("in the sky", "high in the sky", "up in the air"), heavens.sky, "sky", 0.92, weathers=("rain", "fog", "storm")),
    Place("clouds", ("above the clouds", "over a sea of clouds", "among the clouds"), heavens.clouds, "sky", 0.92, weathers=()),
    Place("space", ("in space", "in outer space", "among the planets", "in the galaxy"), heavens.space, "space", 0.92, 0.0, 0.3, times=(),
          weathers=(),
          lights=("neon light", "spotlight")),
    Place("moon", ("on the moon", "on the surface of the moon"), heavens.moon, ground=0.86, gravity=0.25, times=(), weathers=(),
          lights=("spotlight",)),
    Place("mars", ("on mars", "on a red planet", "on the planet mars"), heavens.mars, ground=0.86, gravity=0.4, times=(),
          weathers=("wind", "fog"),
          lights=("backlight", "golden hour")),
]
BY_NAME = {p.name: p for p in PLACES}
