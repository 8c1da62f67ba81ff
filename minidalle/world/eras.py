"""Eras: "a telephone from the 1920s", "a camera from the future".

What an era does is the same for every thing: it gives the materials (dark wood and brass, pastel
enamel and chrome, black plastic with neon edges, white shells that glow), the corners, what a
thing stands on, an ornament, and the place: wallpaper, a chequered floor, a neon grid, the stars.
`gadgets.py` draws eight things in these looks, and `restyled.py` gives them to many more.

The sceptic's question: is "the 1920s" a look that can be given to anything, or a part of the
names of some pictures? Held out are an eighth of the pairs of a thing and an era. The things
that training shows tell what becomes of them: it never shows a fan from the future, but a lamp
from the future that hovers, and all else from there.
"""

from itertools import pairwise, product

import numpy as np

from minidalle.world.ability import Ability, Facts, one_in
from minidalle.world.canvas import UNITS, Canvas, Drawing, Pen, Point, drawing
from minidalle.world.gadgets import GADGETS, LOOKS, WHITE, disc, made_in
from minidalle.world.restyled import restyled
from minidalle.world.things import named

SIDE, FLOOR = 44, 44  # units: the box of a thing, and where the wall ends
RESTYLED = named(
    *"airplane bicycle bus fire-engine helicopter locomotive motorcycle racing-car rocket".split(),
    *"sailboat scooter skateboard tractor truck castle church house".split(),
    *"accordion anchor backpack bell boot bucket candle chair coat crown diamond door".split(),
    *"dress drum gear gift guitar handbag high-heel hourglass key laptop lock magnet".split(),
    *"microscope saxophone shield shopping-cart sneaker t-shirt teapot teddy-bear".split(),
    *"telescope toolbox top-hat trophy trumpet umbrella violin birthday-cake burger".split(),
    *"cupcake doughnut ice-cream lollipop butterfly cat dinosaur dog elephant owl t-rex".split(),
    *"turtle".split(),
)


# ---- places, each a wall or a sky, and a floor ------------------------------------------------


def parlour(pen: Pen) -> None:
    """Wallpaper with scales, and boards: of the 1920s."""
    pen.box(0, 0, 1, 1, (128, 156, 130))
    for row, column in product(range(6), range(5)):
        middle, top = (16 * column - 8 * (row % 2)) / UNITS, (10 * row - 9) / UNITS
        pen.arc(middle - 0.125, top, middle + 0.125, top + 0.25, 0, 180, 0.03, (170, 182, 132))
    pen.box(0, FLOOR / UNITS, 1, 1, (178, 134, 92))
    for y in ROWS:
        pen.line([_on_floor(-9, y), _on_floor(9, y)], 0.025, (138, 98, 64))


def diner(pen: Pen) -> None:
    """Pink, with a chequered floor: of the 1950s."""
    pen.box(0, 0, 1, 1, (255, 205, 208))
    pen.box(0, FLOOR / UNITS, 1, 1, WHITE)
    for (number, y), (_, below) in pairwise(enumerate(ROWS)):
        for x in range(-7 + number % 2, 7, 2):
            square = (x, y), (x + 1, y), (x + 1, below), (x, below)
            pen.polygon([_on_floor(*corner) for corner in square], (70, 84, 100))


def grid(pen: Pen) -> None:
    """Neon lines under a sun that goes down: of the 1980s."""
    pen.box(0, 0, 1, 1, (70, 24, 112))
    pen.ellipse(0.14, 0.06, 0.86, 0.78, (255, 132, 84))
    pen.box(0, 0.38, 1, 0.42, (70, 24, 112))
    pen.box(0, 0.5, 1, 0.55, (70, 24, 112))
    pen.box(0, FLOOR / UNITS, 1, 1, (34, 14, 62))
    for x in range(-6, 7, 2):
        pen.line([_on_floor(x, ROWS[0]), _on_floor(x, ROWS[-1])], 0.025, (190, 50, 210))
    for y in ROWS:
        pen.line([_on_floor(-9, y), _on_floor(9, y)], 0.025, (190, 50, 210))


def space(pen: Pen) -> None:
    """Stars, and a planet with a ring, seen from a deck: of the future."""
    pen.box(0, 0, 1, 1, (14, 20, 62))
    for x, y in ((5, 6), (18, 3), (32, 8), (3, 26), (40, 3), (10, 40), (60, 38), (61, 26)):
        pen.ellipse(
            (x - 1.2) / UNITS, (y - 1.2) / UNITS, (x + 1.2) / UNITS, (y + 1.2) / UNITS, WHITE
        )
    pen.line([(0.66, 0.24), (0.98, 0.08)], 0.04, (250, 200, 150))
    disc(pen, 0.82, 0.16, 0.1, (200, 120, 220), (200, 120, 220))
    pen.box(0, FLOOR / UNITS, 1, 1, (44, 62, 116))
    pen.line([_on_floor(-9, FLOOR), _on_floor(9, FLOOR)], 0.04, LOOKS["the future"].edge)


ROWS = (FLOOR, 51, 57, 65)  # nearer, they are wider


def _on_floor(x: float, y: float) -> Point:
    """Lines from the horizon towards us; they would meet at a point behind the wall."""
    return 0.5 + x * (y - 30) / UNITS / 3, y / UNITS


PLACES = {"the 1920s": parlour, "the 1950s": diner, "the 1980s": grid, "the future": space}


@drawing
def backdrop(pen: Pen, era: str) -> None:
    """Where things from an era stand."""
    PLACES[era](pen)


# ---- the ability ----------------------------------------------------------------------------


def thing_from(thing: str, era: str) -> Drawing:
    """A thing with the look of its era, standing on the lower edge of its box."""
    return made_in(thing, era) if thing in GADGETS else restyled(RESTYLED[thing], era)


def draw(size: int, place: tuple[int, int], thing: str, era: str) -> np.ndarray:
    """A thing, its left edge and its lower edge at `place`, in units."""
    canvas = Canvas(size, backdrop(era))
    left, bottom = place
    canvas.put(thing_from(thing, era), left, bottom - SIDE, SIDE)
    return canvas.picture()


def held_out(facts: Facts) -> bool:
    """An eighth of the pairs, the telephone from the 1920s among them."""
    return one_in(8, facts["era"], "today", facts["thing"])


ERAS = Ability(
    "eras",
    fields={"thing": (*GADGETS, *RESTYLED), "era": tuple(LOOKS)},
    free={"place": tuple(product((4, 8, 12), (56, 60)))},
    templates=("{a thing} from {era}",),
    draw=draw,
    held_out=held_out,
    kind_of=lambda facts: facts["era"],
)
