"""Fruits and vegetables from outside and from inside: a silhouette, a skin, and what is in them.

Everything inside is drawn in `Tones`, so the same drawing serves a cut through the fruit, where
they follow from the colour of its skin, and an x-ray, where they are those of the film.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from minidalle.world import silhouettes
from minidalle.world.canvas import Colour, Pen, Point, around, drawing, shade
from minidalle.world.silhouettes import Silhouette, outline

SEED, STONE, GREEN, WOOD = (50, 32, 28), (134, 82, 46), (74, 150, 60), (110, 74, 44)


@dataclass(frozen=True)
class Tones:
    """The colours of a fruit; those of its inside follow from its skin, unless it is x-rayed."""

    skin: Colour
    edge: Colour  # of the skin
    flesh: Colour
    pale: Colour  # pith and core
    seed: Colour
    stone: Colour
    green: Colour  # leaves
    wood: Colour  # stalks


def cut(skin: Colour) -> Tones:
    """The flesh is as bright as a colour of the skin's hue can be, and paler."""
    bright = 235 / max(skin)
    red, green, blue = (round(c * bright) for c in skin)
    flesh = shade((red, green, blue), 0.35)
    return Tones(skin, shade(skin, -0.35), flesh, shade(flesh, 0.65), SEED, STONE, GREEN, WOOD)


X_RAYED = Tones(
    skin=(120, 176, 216),
    edge=(70, 116, 156),
    flesh=(40, 70, 104),
    pale=(62, 98, 136),
    seed=(235, 248, 255),
    stone=(205, 232, 250),
    green=(60, 98, 136),
    wood=(60, 98, 136),
)


# ---- what sticks out of a fruit, what is on its skin, and what is in it: pen, tones → -------


def leaf(pen: Pen, tones: Tones) -> None:
    """A stalk, and a leaf to the right."""
    pen.line([(0.5, 0.24), (0.48, 0.03)], 0.05, tones.wood)
    pen.polygon([(0.5, 0.12), (0.6, 0.01), (0.8, 0.03), (0.68, 0.14)], tones.green)


def calyx(pen: Pen, tones: Tones) -> None:
    """The green star on a tomato."""
    for x, y in ((0.16, 0.3), (0.32, 0.4), (0.5, 0.44), (0.68, 0.4), (0.84, 0.3)):
        pen.polygon([(0.42, 0.17), (x, y), (0.58, 0.17)], tones.green)
    pen.line([(0.5, 0.19), (0.53, 0.05)], 0.06, tones.green)


def roots(pen: Pen, tones: Tones) -> None:
    """And the dry tip of an onion."""
    for x in (0.4, 0.5, 0.6):
        pen.line([(0.5, 0.88), (x, 0.98)], 0.03, tones.wood)
    pen.line([(0.5, 0.2), (0.5, 0.06)], 0.06, tones.wood)


def flames(pen: Pen, tones: Tones) -> None:
    """The scales of a dragon fruit, their tips green."""
    for turn in range(0, 360, 36):
        for out, wide, colour in ((0.5, 17, tones.green), (0.43, 21, tones.skin)):
            foot = around(0.5, 0.5, 0.35, 0.4, turn - wide, turn + wide)
            pen.polygon([*foot, *around(0.5, 0.5, out, out, turn + 7)], colour)


def stalk(pen: Pen, tones: Tones) -> None:
    """Of a pear."""
    pen.line([(0.5, 0.2), (0.55, 0.03)], 0.06, tones.wood)


def dots(*rings: tuple[float, float, int]) -> Callable[[Pen, Tones], None]:
    """Short marks in ovals (half the width, half the height, how many)."""

    def mark(pen: Pen, tones: Tones) -> None:
        for x, y in _spread(rings):
            pen.ellipse(x - 0.02, y - 0.02, x + 0.02, y + 0.02, tones.edge)

    return mark


def cleft(pen: Pen, tones: Tones) -> None:
    """From the dent of a peach downwards."""
    pen.arc(0.36, 0.1, 0.7, 0.84, -80, 70, 0.035, tones.edge)


def ribs(pen: Pen, tones: Tones) -> None:
    """Lines from the tip of an onion to its roots."""
    for wide in (0.14, 0.32):
        pen.arc(0.5 - wide, 0.16, 0.5 + wide, 0.9, 0, 360, 0.025, tones.edge)


def scales(pen: Pen, tones: Tones) -> None:
    """On a dragon fruit."""
    for x, y in ((0.36, 0.34), (0.62, 0.3), (0.5, 0.52), (0.3, 0.62), (0.68, 0.58), (0.48, 0.76)):
        pen.line([(x - 0.08, y + 0.05), (x, y - 0.04), (x + 0.08, y + 0.05)], 0.045, tones.green)


def bare(pen: Pen, tones: Tones) -> None:
    """Nothing."""


def kiwi_seeds(pen: Pen, tones: Tones) -> None:
    """A ring of seeds round a pale core."""
    for x, y in _spread([(0.36, 0.29, 10)]):
        pen.line([(0.5, 0.5), (x, y)], 0.02, tones.pale)
    pen.ellipse(0.36, 0.4, 0.64, 0.6, tones.pale)
    for x, y in _spread([(0.25, 0.2, 10)]):
        pen.ellipse(x - 0.04, y - 0.04, x + 0.04, y + 0.04, tones.seed)


def segments(across: float, down: float) -> Callable[[Pen, Tones], None]:
    """Of an orange or a lemon, with a pip in every other one."""

    def inside(pen: Pen, tones: Tones) -> None:
        for x, y in _spread([(across, down, 8)]):
            pen.line([(0.5, 0.5), (x, y)], 0.04, tones.pale)
        for x, y in _spread([(across / 2, down / 2, 4)], turn=23):
            pen.ellipse(x - 0.045, y - 0.045, x + 0.045, y + 0.045, tones.seed)

    return inside


def avocado_stone(pen: Pen, tones: Tones) -> None:
    """Round and large."""
    pen.ellipse(0.3, 0.44, 0.7, 0.84, shade(tones.stone, -0.3))
    pen.ellipse(0.32, 0.45, 0.67, 0.8, tones.stone)
    pen.ellipse(0.39, 0.51, 0.48, 0.6, shade(tones.stone, 0.5))


def peach_stone(pen: Pen, tones: Tones) -> None:
    """Like an almond, and furrowed."""
    pen.ellipse(0.34, 0.36, 0.66, 0.74, tones.stone)
    for x in (0.43, 0.5, 0.57):
        pen.line([(x, 0.45), (x, 0.65)], 0.025, shade(tones.stone, -0.45))


def pips(pen: Pen, tones: Tones) -> None:
    """Two in the core of a pear."""
    pen.ellipse(0.33, 0.46, 0.67, 0.84, tones.pale)
    for side in (-1, 1):
        x = 0.5 + side * 0.075
        pen.ellipse(x - 0.045, 0.57, x + 0.045, 0.74, tones.seed)


def chambers(pen: Pen, tones: Tones) -> None:
    """Four in a tomato, in the colour of its skin, full of pale seeds."""
    for x, y in ((0.33, 0.42), (0.67, 0.42), (0.33, 0.7), (0.67, 0.7)):
        pen.ellipse(x - 0.14, y - 0.11, x + 0.14, y + 0.11, tones.edge)
        for dx in (-0.06, 0.06):
            pen.ellipse(x + dx - 0.035, y - 0.04, x + dx + 0.035, y + 0.04, shade(tones.stone, 0.5))


def layers(pen: Pen, tones: Tones) -> None:
    """An onion in an onion in an onion."""
    for share in (0.66, 0.4, 0.16):
        pen.polygon(outline(silhouettes.onion, share + 0.1), tones.skin)
        pen.polygon(outline(silhouettes.onion, share), tones.flesh)


def specks(pen: Pen, tones: Tones) -> None:
    """Everywhere in a dragon fruit."""
    for x, y in _spread([(0.26, 0.29, 11), (0.14, 0.16, 6), (0, 0, 1)]):
        pen.ellipse(x - 0.033, y - 0.033, x + 0.033, y + 0.033, tones.seed)


def _spread(rings, turn: float = 0) -> list[Point]:
    """Points evenly around ovals (half the width, half the height, how many)."""
    return [
        point
        for across, down, count in rings
        for point in around(0.5, 0.5, across, down, *np.linspace(turn, turn + 360, count, False))
    ]


# ---- the fruits ---------------------------------------------------------------------------

Part = Callable[[Pen, Tones], None]


@dataclass(frozen=True)
class Fruit:
    """A fruit or a vegetable."""

    skin: Colour
    silhouette: Silhouette
    inside: Part
    marks: Part = bare  # on the skin
    behind: Part = bare  # what sticks out, below the silhouette
    before: Part = bare  # and above it


FRUITS = {
    "kiwi": Fruit(
        (104, 112, 44),
        silhouettes.oval(0.49, 0.4),
        kiwi_seeds,
        dots((0.36, 0.28, 12), (0.18, 0.14, 7)),
    ),
    "orange": Fruit(
        (255, 140, 0),
        silhouettes.oval(0.45, 0.45),
        segments(0.36, 0.36),
        dots((0.3, 0.3, 9), (0.12, 0.12, 4)),
        before=leaf,
    ),
    "lemon": Fruit((252, 214, 36), silhouettes.lemon, segments(0.34, 0.29)),
    "avocado": Fruit(
        (50, 92, 42), silhouettes.avocado, avocado_stone, dots((0.2, 0.32, 9), (0.08, 0.14, 4))
    ),
    "pear": Fruit((176, 200, 50), silhouettes.pear, pips, before=stalk),
    "tomato": Fruit((226, 50, 36), silhouettes.tomato, chambers, before=calyx),
    "peach": Fruit((255, 150, 110), silhouettes.peach, peach_stone, cleft, before=leaf),
    "onion": Fruit((150, 52, 110), silhouettes.onion, layers, ribs, behind=roots),
    "dragon fruit": Fruit(
        (232, 40, 120), silhouettes.oval(0.38, 0.42), specks, scales, behind=flames
    ),
}


@drawing
def whole(pen: Pen, name: str) -> None:
    """A fruit from outside."""
    fruit = FRUITS[name]
    tones = cut(fruit.skin)
    fruit.behind(pen, tones)
    pen.polygon(outline(fruit.silhouette, 1), tones.edge)
    pen.polygon(outline(fruit.silhouette, 0.92), tones.skin)
    fruit.marks(pen, tones)
    x, y = outline(fruit.silhouette, 0.58)[-24]  # the gleam, above on the left
    pen.ellipse(x - 0.06, y - 0.05, x + 0.06, y + 0.05, shade(tones.skin, 0.5))
    fruit.before(pen, tones)


@drawing
def opened(pen: Pen, name: str, x_rayed: bool) -> None:
    """A fruit cut through the middle, or x-rayed."""
    fruit = FRUITS[name]
    tones = X_RAYED if x_rayed else cut(fruit.skin)
    fruit.behind(pen, tones)
    if x_rayed:
        fruit.before(pen, tones)
    pen.polygon(outline(fruit.silhouette, 1), tones.skin)
    pen.polygon(outline(fruit.silhouette, 0.86), tones.pale)
    pen.polygon(outline(fruit.silhouette, 0.78), tones.flesh)
    fruit.inside(pen, tones)
