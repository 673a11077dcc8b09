# SPDX-License-Identifier: LGPL-2.1-or-later
"""The things that act: their glyph in Noto Color Emoji, their kind, other words for them, where they face."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Thing:
    name: str
    glyph: str
    kind: str               # what it can be expected to do: see KINDS
    others: tuple = ()      # synonyms
    facing: int = 0         # -1: the picture looks left, 1: right, 0: neither
    tier: int = 0           # 2: a starter, learned first; 1: core; 0: the rest; -1: rare, drawn only where the options ask for it
    colour: str = ""        # of the picture in the font, where the thing's colour is free
    plural: str = ""        # where it is not regular
    round: bool = False     # it can roll
    glows: tuple = ()       # red, green, blue of the light it gives
    mass: bool = False      # no article: "fire", "cherries"

    @property
    def own_way(self):
        """Where it looks and goes if nothing is said: -1 left, 1 right."""
        return self.facing or -1


KINDS = ("walker", "hopper", "crawler", "bird", "insect", "fish", "swimmer", "person", "car", "train", "boat", "aircraft", "balloon",
         "plant", "building", "food", "object", "sky")

STARTERS = {
    "cat", "dog", "elephant", "fish", "duck", "penguin", "butterfly", "whale", "turtle", "octopus", "frog", "car", "bus", "train", "rocket",
    "helicopter", "sailboat", "balloon", "tree", "sunflower", "mushroom", "house", "castle", "apple", "strawberry", "pizza", "robot", "ghost",
    "pumpkin", "snowman", "heart", "star", "ball", "sun", "moon", "fire",
}


def _rows(kind, rows):
    """Rows of 'glyph name: other, other | key value ...'; a leading ! marks a core thing, a + another that training draws."""
    out = []
    for row in rows.strip().split("\n"):
        words, _, marks = row.strip().partition(" | ")
        glyph, _, names = words.partition(" ")
        name, _, others = names.partition(": ")
        given = dict(mark.split("=") for mark in marks.split() if "=" in mark)
        flags = [mark for mark in marks.split() if "=" not in mark]
        facing = -1 if "left" in flags else 1 if "right" in flags else 0
        glows = tuple(int(c, 16) / 15 for c in given["glows"]) if "glows" in given else ()
        tier = 2 if name in STARTERS else {"!": 1, "+": 0}.get(glyph[0], -1)
        out.append(Thing(name, glyph.lstrip("!+"), kind, tuple(o for o in others.split(", ") if o), facing, tier, given.get("colour", ""),
                         given.get("plural", "").replace("_", " "), "round" in flags, glows, "mass" in flags))
    return out


THINGS = _rows("walker", """
    !🐈 cat: kitty, kitten | left colour=yellow
    🐈‍⬛ black cat | left
    !🐕 dog: puppy, hound, doggy | left
    🐩 poodle | left
    !🐎 horse: pony, stallion | left
    !🐄 cow | left
    !🐖 pig: hog, piggy | left
    !🐑 sheep: lamb | left plural=sheep
    🐐 goat: billy goat | left
    🐏 ram | left
    !🐘 elephant | left
    🦣 mammoth | left
    +🐅 tiger | left
    🐆 leopard: cheetah | left
    +🐁 mouse | left plural=mice
    +🐒 monkey: ape | left
    🦍 gorilla | left
    !🦁 lion
    !🐻 bear: brown bear
    +🐻‍❄️ polar bear
    !🐼 panda: panda bear
    +🐨 koala
    !🦊 fox | plural=foxes
    +🐺 wolf | plural=wolves
    🦝 raccoon
    🐗 wild boar: boar | left
    !🦒 giraffe | left
    +🦓 zebra | left
    !🐪 camel: dromedary | left
    +🦌 deer: stag | left plural=deer
    🦏 rhinoceros: rhino | left plural=rhinoceroses
    +🦛 hippopotamus: hippo | left plural=hippopotamuses
    🦙 llama: alpaca | left
    🦬 bison: buffalo | left plural=bison
    🦔 hedgehog | left
    +🐿 squirrel: chipmunk | left
    🦥 sloth
    🦨 skunk | left
    🦡 badger | left
    🦫 beaver | left
    !🦕 dinosaur: sauropod, brontosaurus | left
    !🦖 t-rex: tyrannosaurus | left plural=t-rexes
    +🐉 dragon | left
    !🦄 unicorn | left
    🐧 penguin | left
    +🐓 rooster: cock | left
    +🐥 chick: baby chick
    🦃 turkey | left
    🦚 peacock | left
    +🦩 flamingo | left
    🦤 dodo | left
    🦭 seal: sea lion
    +🐊 crocodile: alligator | left
    """) + _rows("hopper", """
    !🐇 rabbit: bunny, hare | left
    !🐸 frog: toad
    +🦘 kangaroo | left
    🦗 cricket: grasshopper | left
    """) + _rows("crawler", """
    !🐌 snail: slug | left
    !🐢 turtle: tortoise | left
    +🐛 caterpillar: worm | left
    🐜 ant | left
    !🐞 ladybug: ladybird | left colour=red
    🪲 beetle | left
    +🕷 spider
    🦂 scorpion | left
    +🐍 snake: serpent | left
    🦎 lizard: gecko
    !🦀 crab
    🦞 lobster
    """) + _rows("bird", """
    !🐦 bird: little bird | left colour=blue
    !🦆 duck: drake, mallard | left
    +🦢 swan | left
    !🦉 owl
    +🦅 eagle: hawk | left
    +🦜 parrot | left
    🕊 dove: pigeon | left
    """) + _rows("insect", """
    !🦋 butterfly: moth | plural=butterflies colour=orange
    !🐝 bee: honeybee, bumblebee | left
    +🦇 bat
    🪰 fly: housefly | left plural=flies
    🦟 mosquito: gnat | left plural=mosquitoes
    +🧚 fairy: pixie | plural=fairies
    """) + _rows("fish", """
    !🐟 fish | left plural=fish colour=blue
    !🐠 tropical fish: angelfish | left plural=tropical_fish colour=yellow
    +🐡 pufferfish: blowfish | left plural=pufferfish colour=orange
    !🦈 shark | left
    !🐙 octopus | plural=octopuses colour=red
    🦑 squid | plural=squid colour=pink
    🦐 shrimp: prawn | left
    """) + _rows("swimmer", """
    !🐳 whale | left
    !🐬 dolphin: porpoise | left colour=blue
    🦦 otter: sea otter
    """) + _rows("person", """
    !🤖 robot: android
    !👻 ghost: spirit, spook
    !👽 alien: extraterrestrial
    !⛄ snowman: snow man | plural=snowmen
    +🧙 wizard: magician, sorcerer
    +🧜 mermaid
    +🤡 clown
    +👸 princess
    🤴 prince
    !🧑‍🚀 astronaut: spaceman, cosmonaut
    +🎅 santa claus: santa, father christmas
    +🥷 ninja
    +🦸 superhero: superheroine | plural=superheroes
    !💃 dancer: dancing woman | left
    +🏃 runner: jogger | left
    +🚴 cyclist | left
    +🧸 teddy bear: teddy
    🪆 nesting doll: doll
    👾 space monster: space invader
    💀 skull
    """) + _rows("car", """
    !🚗 car: automobile | left colour=red
    +🚙 jeep: suv | left colour=blue
    🛻 pickup truck: pickup | left colour=red
    🚐 van: minibus | left plural=vans
    !🚌 bus: coach | left plural=buses
    +🚚 truck: lorry, delivery truck | left
    !🚒 fire engine: fire truck | left
    +🚓 police car: patrol car | left
    +🚑 ambulance | left
    !🚕 taxi: cab | left
    !🏎 racing car: race car, racer | left colour=red
    !🚜 tractor | left colour=green
    !🚲 bicycle: bike | left
    +🏍 motorcycle: motorbike | left colour=red
    🛵 scooter: moped | left colour=yellow
    🛹 skateboard
    """) + _rows("train", """
    !🚂 train: locomotive, steam train | left
    +🚋 tram: streetcar, tramcar
    """) + _rows("boat", """
    !⛵ sailboat: sailing boat, yacht | left
    +🚢 ship: liner, ocean liner | left
    +🚤 speedboat: motorboat | left
    🛶 canoe: kayak
    """) + _rows("aircraft", """
    !✈ airplane: plane, aeroplane | right
    !🚁 helicopter: chopper | left
    !🚀 rocket: spaceship | right
    !🛸 flying saucer: ufo
    🛰 satellite
    """) + _rows("balloon", """
    !🎈 balloon | colour=red
    +🪁 kite
    +🪂 parachute: skydiver
    +🫧 bubbles: soap bubbles | mass
    +💨 puff of smoke: smoke | plural=puffs_of_smoke
    """) + _rows("plant", """
    !🌳 tree: oak
    !🌲 fir tree: pine tree, fir, conifer
    !🌴 palm tree: palm
    !🌵 cactus | plural=cacti
    !🌻 sunflower
    !🌹 rose | colour=red
    !🌷 tulip | colour=pink
    🌼 yellow flower: blossom, daisy | plural=yellow_flowers
    !🍄 mushroom: toadstool | colour=red
    +🪴 potted plant: houseplant
    🍀 four leaf clover: clover
    +🍁 maple leaf | plural=maple_leaves
    +🎄 christmas tree
    💐 bunch of flowers: bouquet | plural=bunches_of_flowers
    """) + _rows("building", """
    !🏠 house: home
    🛖 hut: cabin
    !🏰 castle: fortress
    +⛺ tent | colour=orange
    +🗼 tower
    !🎡 ferris wheel: big wheel
    🎠 carousel horse: carousel
    +⛲ fountain
    !⛪ church: chapel | plural=churches
    🗽 statue of liberty: statue | plural=statues_of_liberty
    🗿 stone head: moai
    +🌋 volcano | plural=volcanoes glows=f62
    """) + _rows("food", """
    !🍎 apple | round colour=red
    🍐 pear
    🍑 peach | round plural=peaches
    !🍌 banana
    !🍓 strawberry | plural=strawberries
    +🍒 cherries: cherry | mass
    +🍊 orange: tangerine, mandarin | round
    !🍋 lemon: citron | round
    !🍉 watermelon: melon
    +🍍 pineapple
    🥝 kiwi: kiwi fruit | round
    🥑 avocado
    +🍇 grapes: bunch of grapes | mass
    !🥕 carrot
    +🍅 tomato | round plural=tomatoes
    🌽 corn: maize | plural=corn_cobs mass
    🥦 broccoli | mass plural=broccoli
    🍆 eggplant: aubergine
    🌶 hot pepper: chili, chilli pepper
    🧀 cheese: piece of cheese | mass plural=pieces_of_cheese
    !🥐 croissant
    🍞 bread: loaf of bread | mass plural=loaves_of_bread
    !🍕 pizza: slice of pizza
    !🎂 cake: birthday cake
    +🧁 cupcake: muffin
    🍰 slice of cake: shortcake | plural=slices_of_cake
    !🍦 ice cream: ice-cream cone
    !🍔 hamburger: burger, cheeseburger
    🌭 hot dog: hotdog
    🍟 french fries: fries, chips | mass
    🍿 popcorn | mass
    !🍩 donut: doughnut | round
    +🍪 cookie: biscuit | round
    🍭 lollipop: candy
    🍫 chocolate: chocolate bar | mass plural=chocolate_bars
    🥚 egg
    🥥 coconut | round
    🍯 honey pot: pot of honey
    +☕ cup of coffee: coffee | plural=cups_of_coffee
    🫖 teapot | colour=red
    """) + _rows("object", """
    !🔴 ball | round colour=red
    !⚽ soccer ball: football | round
    !🏀 basketball | round
    🏐 volleyball | round
    ⚾ baseball | round
    🎾 tennis racket: racket
    🎱 billiard ball: eight ball | round
    🧶 ball of wool: yarn | round colour=pink plural=balls_of_wool
    !🎸 guitar: electric guitar | colour=red
    !🥁 drum
    🎺 trumpet: horn
    🎷 saxophone: sax | plural=saxophones
    🎻 violin: fiddle
    !🎃 pumpkin: jack-o'-lantern | round glows=fa2
    !👑 crown
    !🎁 gift: present | colour=red
    +🎩 hat: top hat
    🧢 cap: baseball cap | colour=blue
    👕 t-shirt: tee shirt | colour=blue
    👗 dress | plural=dresses colour=blue
    👟 shoe: sneaker | colour=blue
    👢 boot
    🎒 backpack: rucksack, school bag | colour=red
    !☂ umbrella: parasol | colour=purple
    +🔑 key
    +🕐 clock: wall clock | round
    ⏰ alarm clock
    ⌛ hourglass: sandglass | plural=hourglasses
    📷 camera: photo camera
    🔭 telescope
    !📕 book | colour=red
    ✏ pencil
    🎨 paint palette: palette
    ✂ scissors: pair of scissors | mass
    🔨 hammer
    🧲 magnet
    +🕯 candle | glows=fc6
    +🏮 lantern: paper lantern | colour=red glows=f84
    +💡 light bulb: bulb | glows=fe8
    🔮 crystal ball
    !🔔 bell
    !💎 diamond: gem, jewel
    +📺 television: tv, tv set
    ☎ telephone: phone
    📱 smartphone: mobile phone, cell phone
    💻 laptop: laptop computer
    🪑 chair: wooden chair
    🛋 sofa: couch
    +📦 box: cardboard box, parcel | plural=boxes
    🧺 basket
    🪣 bucket: pail | colour=blue
    🎲 die: dice | plural=dice
    🧩 puzzle piece: jigsaw piece
    ⚓ anchor
    +🏆 trophy: gold cup | plural=trophies
    🧊 ice cube
    🪨 rock: stone, boulder
    🛡 shield
    🪙 coin: gold coin | round
    🪶 feather: quill
    ⚡ lightning bolt: thunderbolt | glows=ff6
    🔷 square | colour=blue
    🔺 triangle | colour=red
    """) + _rows("sky", """
    !⭐ star | glows=fe8
    !❤ heart | colour=red
    !🌞 sun | round glows=fd6
    !🌙 moon: crescent moon | glows=fea
    !☁ cloud
    !🌈 rainbow
    !🔥 fire: flame | mass plural=fires glows=f83
    +❄ snowflake | round
    !🪐 planet: ringed planet, saturn
    !🌍 earth: globe | round
    +💧 drop of water: droplet | plural=drops_of_water
    +☄ comet
    """)
BY_NAME = {t.name: t for t in THINGS}
assert STARTERS <= BY_NAME.keys() and len(BY_NAME) == len(THINGS) and {t.kind for t in THINGS} == set(KINDS)
