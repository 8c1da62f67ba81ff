"""Eras: "a telephone from the 1920s", "a camera from the future".

What an era does is the same for every thing: it gives the materials (dark wood and brass, pastel
enamel and chrome, black plastic with neon edges, white shells that glow), the corners, what a
thing stands on, an ornament, and the place: wallpaper, a chequered floor, a neon grid, the stars.
`gadgets.py` draws the things in these looks.

The sceptic's question: is "the 1920s" a look that can be given to anything, or a part of the
names of eight pictures? Held out are an eighth of the pairs of a thing and an era. The things
that training shows tell what becomes of them: it never shows a fan from the future, but a lamp
from the future that hovers, and all else from there.
"""

from itertools import pairwise, product

import numpy as np

from minidalle.world.ability import Ability, Facts, one_in
from minidalle.world.canvas import UNITS, Canvas, Colour, Pen, Point, drawing
from minidalle.world.gadgets import LOOKS, THINGS, WHITE, disc, made_in

SIDE, FLOOR = 46, 46  # units: the box of a thing, and where the wall ends


@drawing
def backdrop(pen: Pen, era: str) -> None:
    """Where things from an era stand: a wall or a sky, and below it a floor."""
    wall, floor = {
        "the 1920s": ((40, 78, 68), (170, 126, 84)),
        "the 1950s": ((255, 205, 208), WHITE),
        "the 1980s": ((58, 18, 92), (24, 10, 46)),
        "the future": ((12, 18, 54), (40, 56, 104)),
    }[era]
    pen.box(0, 0, 1, 1, wall)
    if era == "the 1920s":  # the scales of its wallpaper
        for row, column in product(range(4), range(6)):
            x, y = 12 * column - 6 * (row % 2), 12 * row
            _arc(pen, x, y, 6, (150, 132, 72))
            _arc(pen, x, y, 2, (150, 132, 72))
    if era == "the 1980s":  # the sun goes down
        pen.ellipse(0.14, 0.1, 0.86, 0.82, (255, 120, 80))
        for y in (0.4, 0.52, 0.64):
            pen.box(0, y, 1, y + 0.045, wall)
    if era == "the future":  # stars, and a planet with a ring
        for x, y in ((5, 6), (18, 3), (32, 8), (3, 26), (40, 3), (10, 40), (60, 38), (61, 26)):
            pen.ellipse((x - 1) / 64, (y - 1) / 64, (x + 1) / 64, (y + 1) / 64, WHITE)
        pen.line([(0.66, 0.24), (0.98, 0.08)], 0.035, (250, 200, 150))
        disc(pen, 0.82, 0.16, 0.1, (200, 120, 220), (200, 120, 220))
    pen.box(0, FLOOR / UNITS, 1, 1, floor)
    _floor(pen, era)


def _arc(pen: Pen, x: float, y: float, radius: float, colour: Colour) -> None:
    left, top, right, bottom = (s / UNITS for s in (x - radius, y - radius, x + radius, y + radius))
    pen.arc(left, top, right, bottom, 0, 180, 1.2 / UNITS, colour)


def _floor(pen: Pen, era: str) -> None:
    """Boards, squares, or lines of neon, which meet far behind the wall."""

    def at(column: float, y: float) -> Point:
        return 0.5 + column * (y - 30) / UNITS / 3, y / UNITS

    for (near, y), (_, below) in pairwise(enumerate((46, 51, 57, 65))):
        for column in range(-6, 7):
            if era == "the 1950s" and (column + near) % 2:
                square = (column, y), (column + 1, y), (column + 1, below), (column, below)
                pen.polygon([at(*corner) for corner in square], (70, 84, 100))
            if era == "the 1980s":
                pen.line([at(column, y), at(column, below)], 0.018, (170, 40, 190))
        line = {"the 1920s": (120, 84, 56), "the 1980s": (170, 40, 190)}.get(era)
        if line:
            pen.line([(0, y / UNITS), (1, y / UNITS)], 0.02, line)
    if era == "the future":
        pen.line([(0, FLOOR / UNITS), (1, FLOOR / UNITS)], 0.03, LOOKS[era].edge)


def draw(size: int, place: tuple[int, int], thing: str, era: str) -> np.ndarray:
    """A thing, its left edge and its lower edge at `place`, in units."""
    canvas = Canvas(size, backdrop(era))
    left, bottom = place
    canvas.put(made_in(thing, era), left, bottom - SIDE, SIDE)
    return canvas.picture()


def held_out(facts: Facts) -> bool:
    """An eighth of the pairs, the telephone from the 1920s among them."""
    return one_in(8, facts["era"], "today", facts["thing"])


ERAS = Ability(
    "eras",
    fields={"thing": tuple(THINGS), "era": tuple(LOOKS)},
    free={"place": tuple(product((5, 9, 13), (54, 58, 62)))},
    templates=("{a thing} from {era}",),
    draw=draw,
    held_out=held_out,
)
