"""A clock, a bear and other things that can have any outline.

Each is drawn over a square, about a middle (x, y) from which r is free to all sides, and cut to
its shape, with a rim. Ten are drawn here. The others come from the emoji pack: a thing's commonest
colour fills the square, so that the thing in its middle has no edge of its own.
"""

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from minidalle.world.canvas import (
    UNITS,
    Canvas,
    Colour,
    Drawing,
    Pen,
    Point,
    around,
    drawing,
    shade,
)
from minidalle.world.coloured import colours_of
from minidalle.world.objects import emoji
from minidalle.world.shapes import SHAPES, cut, rim
from minidalle.world.things import named

MIDDLES = {  # shape → x, y, r
    "circle": (0.5, 0.5, 0.4),
    "square": (0.5, 0.5, 0.42),
    "triangle": (0.5, 0.62, 0.29),
    "pentagon": (0.5, 0.53, 0.36),
    "hexagon": (0.5, 0.5, 0.36),
    "star": (0.5, 0.54, 0.31),
    "heart": (0.5, 0.46, 0.34),
    "diamond": (0.5, 0.5, 0.31),
}
WHITE, DARK, GOLD = (255, 255, 255), (45, 40, 50), (235, 175, 30)


def _scattered(step: float, turn: float = 0) -> Iterator[Point]:
    """Points all over the square, every other row moved by half a step."""
    for row in range(-4, 5):
        for column in range(-4, 5):
            yield 0.5 + (column + row % 2 / 2) * step + turn, 0.5 + row * step * 0.87


def _dot(pen: Pen, at: Point, r: float, colour: Colour) -> None:
    pen.ellipse(at[0] - r, at[1] - r, at[0] + r, at[1] + r, colour)


def _clock(pen: Pen, x, y, r) -> None:
    for hour, at in enumerate(around(x, y, 0.8 * r, 0.8 * r, *range(0, 360, 30))):
        if hour % 3 == 0:
            _dot(pen, at, 0.035, (60, 75, 125))
    pen.line([(x, y), (x - r * 0.52, y - r * 0.32)], 0.07, DARK)
    pen.line([(x, y), (x + r * 0.46, y - r * 0.66)], 0.055, DARK)
    _dot(pen, (x, y), 0.05, (220, 50, 50))


def _pizza(pen: Pen, x, y, r) -> None:
    for at in _scattered(0.29):
        _dot(pen, at, 0.09, (165, 35, 30))
        _dot(pen, at, 0.07, (215, 60, 45))
    for left, top in _scattered(0.29, 0.145):
        pen.ellipse(left - 0.04, top - 0.02, left + 0.04, top + 0.02, (60, 150, 60))


def _cookie(pen: Pen, x, y, r) -> None:
    for at in _scattered(0.26):
        _dot(pen, at, 0.065, (85, 48, 28))
    for left, top in _scattered(0.26, 0.13):
        _dot(pen, (left, top), 0.02, (235, 190, 130))


def _cake(pen: Pen, x, y, r) -> None:
    for number, at in enumerate(_scattered(0.16)):
        _dot(pen, at, 0.022, [(255, 255, 255), (90, 190, 250), (255, 225, 90)][number % 3])
    k = r / 0.36
    for across, colour in ((-0.15, (50, 140, 235)), (0, (110, 65, 200)), (0.15, (40, 155, 75))):
        left, top = x + across * k, y - 0.06 * k
        pen.line([(left, top), (left, y + 0.17 * k)], 0.09 * k, WHITE)
        pen.line([(left, top), (left, y + 0.17 * k)], 0.065 * k, colour)
        pen.ellipse(left - 0.055 * k, top - 0.19 * k, left + 0.055 * k, top, (255, 130, 20))
        pen.ellipse(left - 0.03 * k, top - 0.1 * k, left + 0.03 * k, top, (255, 235, 90))


def _sign(pen: Pen, x, y, r) -> None:
    """An exclamation mark."""
    top = [(x - r * 0.24, y - r * 0.78), (x + r * 0.24, y - r * 0.78)]
    pen.polygon([*top, (x + r * 0.12, y + r * 0.22), (x - r * 0.12, y + r * 0.22)], DARK)
    _dot(pen, (x, y + r * 0.54), r * 0.19, DARK)


def _window(pen: Pen, x, y, r) -> None:
    pen.box(0, y + r * 0.35, 1, 1, (115, 195, 95))
    _dot(pen, (x + r * 0.5, y - r * 0.42), r * 0.26, (255, 225, 80))
    pen.box(x - 0.04, 0, x + 0.04, 1, (150, 95, 50))
    pen.box(0, y - 0.04, 1, y + 0.04, (150, 95, 50))


def _mirror(pen: Pen, x, y, r) -> None:
    for left, width in ((-0.22, 0.18), (0.06, 0.08)):
        slant = [(x + left + 0.5, 0), (x + left + 0.5 + width, 0)]
        slant += [(x + left - 0.5 + width, 1), (x + left - 0.5, 1)]
        pen.polygon(slant, (245, 252, 255))


def _watermelon(pen: Pen, x, y, r) -> None:
    for left, top in _scattered(0.22):
        pen.ellipse(left - 0.028, top - 0.045, left + 0.028, top + 0.045, DARK)


def _lollipop(pen: Pen, x, y, r) -> None:
    turns = [i / 24 for i in range(24 * 5)]
    spiral = [(0.135 * t * math.sin(6.283 * t), 0.135 * t * math.cos(6.283 * t)) for t in turns]
    pen.line([(x + across, y + down) for across, down in spiral], 0.07, (235, 50, 110))


def _present(pen: Pen, x, y, r) -> None:
    pen.box(x - 0.07, 0, x + 0.07, 1, (255, 215, 60))
    pen.box(0, y - 0.07, 1, y + 0.07, (255, 215, 60))
    for side in (-1, 1):
        loop = [(x, y), (x + side * r * 0.75, y - r * 0.7), (x + side * r * 0.85, y)]
        pen.line([*loop, loop[0]], 0.07, (200, 130, 10))
        pen.polygon(loop, (255, 215, 60))
    _dot(pen, (x, y), 0.08, (200, 130, 10))


class Look(NamedTuple):
    """How a thing is drawn."""

    features: Callable
    body: Colour
    rim: Colour
    rim_width: float = 0.08
    within: Colour | None = None  # a second rim, inside the first
    handle: Colour | None = None  # if it stands on one


LOOKS = {
    "clock": Look(_clock, (255, 250, 235), (60, 75, 125)),
    "pizza": Look(_pizza, (255, 208, 90), (200, 122, 50)),
    "cookie": Look(_cookie, (212, 155, 92), (165, 105, 52), 0.05),
    "cake": Look(_cake, (250, 150, 190), (150, 75, 40), 0.04, WHITE),
    "sign": Look(_sign, (255, 250, 240), (215, 40, 45), 0.1, None, (120, 125, 135)),
    "window": Look(_window, (135, 205, 250), (150, 95, 50)),
    "mirror": Look(_mirror, (175, 210, 230), GOLD, 0.09, None, GOLD),
    "watermelon": Look(_watermelon, (240, 70, 80), (30, 125, 55), 0.07, (205, 240, 180)),
    "lollipop": Look(_lollipop, (255, 235, 240), (235, 50, 110), 0.04, None, (235, 225, 210)),
    "present": Look(_present, (120, 80, 200), (80, 45, 150), 0.05),
}


@drawing
def _uncut(pen: Pen, name: str, shape: str) -> None:
    look = LOOKS[name]
    pen.box(0, 0, 1, 1, look.body)
    look.features(pen, *MIDDLES[shape])
    if look.within:
        rim(pen, shape, look.rim_width + 0.05, look.within)
    rim(pen, shape, look.rim_width, look.rim)
    rim(pen, shape, 0.025, shade(look.rim, -0.25))


# What captions call a face → its name in the pack.
FACES = {name: f"{name}-face" for name in "dog cat mouse rabbit tiger pig monkey clown".split()}
FACES |= {name: name for name in "fox bear panda lion frog wolf raccoon hedgehog".split()}
FACES |= {name: name for name in "robot alien skull ghost".split()} | {"polar bear": "polar-bear"}
# The same for things that are known by what is in their middle.
PATTERNED = named(
    *"""ladybug owl bee butterfly turtle peacock mushroom sunflower avocado burger cupcake doughnut
    kiwi strawberry soccer-ball basketball camera castle radio waffle""".split()
)
PACK = FACES | PATTERNED
REACH = 1.2  # how far they reach, times the r of the shape


@drawing
def _border(pen: Pen, shape: str, width: float) -> None:
    rim(pen, shape, width, WHITE)


def _spread(height: int, width: int, slug: str, shape: str) -> np.ndarray:
    """A square of a thing's commonest colour with the thing in its middle, and the rim."""
    main, *_ = colours_of(emoji(slug))
    x, y, r = (UNITS * share for share in MIDDLES[shape])
    reach = round(REACH * r)
    canvas = Canvas(height, main)
    canvas.put(emoji(slug), round(x) - reach, round(y) - reach, 2 * reach)
    for wide, by in ((0.07, -0.3), (0.025, -0.5)):
        edge = _border(shape, wide).art(height, width)[..., 3:]
        canvas.pixels += edge * (np.float32(shade(main, by)) - canvas.pixels)
    return np.dstack([canvas.pixels, np.ones((height, width))])


def outlined(name: str, shape: str) -> Drawing:
    """The thing in the shape of a star, a heart, …"""
    if name in LOOKS:
        return cut(_uncut(name, shape), shape)
    return cut(Drawing(_spread, (PACK[name], shape)), shape)


def handle_of(name: str) -> Colour | None:
    """The colour of what a thing is held by, if it has a handle."""
    return LOOKS[name].handle if name in LOOKS else None


@drawing
def handle(pen: Pen, colour: Colour) -> None:
    """What a sign, a mirror and a lollipop are held by: 8 by 36 units."""
    pen.box(0, 0, 1, 1, shade(colour, -0.3), 0.3)
    pen.box(0.25, 0, 0.6, 1, shade(colour, 0.15))


THINGS = (*LOOKS, *PACK)
OUTLINES = tuple(name for name in SHAPES if name in MIDDLES)
