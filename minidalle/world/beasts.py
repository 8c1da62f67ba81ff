"""More animals in the frame of `side_views.py`: four legs, a head, a tail, and what makes them.

A beast is a coat, a few colours, and functions that draw its tail, its marks, and what is on its
head. They are shared: a tiger's stripes go on its tail as well, and two beasts have hooves.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from minidalle.world.canvas import Colour, Pen, Point, around, drawing, shade
from minidalle.world.side_views import BACK, BELLY, CREAM, EDGE, INK, WHITE, eye, legs, torso

Part = Callable[[Pen], None]
BROWN, BLUSH, GREY = (95, 55, 30), (245, 150, 165), (90, 85, 95)


@dataclass(frozen=True)
class Beast:
    """How an animal differs from the others. Positions are shares of the sheet."""

    coat: Colour
    limb: Colour  # of the legs
    foot: Colour
    muzzle: Colour
    tail: Sequence[Part]
    marks: Sequence[Part] = ()  # on the body
    behind: Sequence[Part] = ()  # the head: ears, manes
    before: Sequence[Part] = ()  # and on it
    head: Point = (0.22, 0.4)
    long: bool = False  # the muzzle
    leg: float = 0.13


@drawing
def beast(pen: Pen, name: str) -> None:
    """An animal of `BEASTS`, facing left."""
    it = BEASTS[name]
    (x, y), dark = it.head, shade(it.coat, -0.4)
    for part in it.tail:
        part(pen)
    legs(pen, it.limb, it.leg, it.foot)
    torso(pen, it.coat)
    for part in (*it.marks, *it.behind):
        part(pen)
    if y < 0.35:
        pen.line([(x + 0.02, y), (0.33, 0.56)], 0.2, dark)
        pen.line([(x + 0.02, y), (0.33, 0.56)], 0.15, it.coat)
    pen.ellipse(x - 0.15, y - 0.15, x + 0.15, y + 0.15, dark)
    pen.ellipse(x - 0.125, y - 0.125, x + 0.125, y + 0.125, it.coat)
    out = 0.2 if it.long else 0.15
    pen.box(x - out - 0.02, y - 0.025, x + 0.04, y + 0.15, shade(it.muzzle, -0.4), 0.08)
    pen.box(x - out + 0.005, y, x + 0.02, y + 0.125, it.muzzle, 0.06)
    pen.ellipse(x - out - 0.01, y + 0.01, x - out + 0.055, y + 0.065, INK)
    for part in it.before:
        part(pen)
    eye(pen, x - 0.02, y - 0.05)


# ---- tails --------------------------------------------------------------------------------


def tail(points: Sequence[Point], width: float, colour: Colour, tuft: Colour | None = None) -> Part:
    """A line, with a tuft at its end."""

    def draw(pen: Pen) -> None:
        pen.line(points, width + 2 * EDGE, shade(colour, -0.4))
        pen.line(points, width, colour)
        if tuft:
            x, y = points[-1]
            pen.ellipse(x - 0.05, y - 0.04, x + 0.05, y + 0.1, tuft)

    return draw


def bushy(colour: Colour, tip: Colour) -> Sequence[Part]:
    """A tail that widens, upright."""
    foot = tail([(0.8, 0.55), (0.9, 0.45)], 0.12, colour)
    return foot, ovals(colour, (0.79, 0.18, 1, 0.54)), ovals(tip, (0.82, 0.08, 0.99, 0.34))


# ---- marks --------------------------------------------------------------------------------


def strokes(colour: Colour, width: float, *lines: Sequence[Point]) -> Part:
    """Lines, each through its points."""

    def draw(pen: Pen) -> None:
        for line in lines:
            pen.line(line, width, colour)

    return draw


def ovals(colour: Colour, *boxes: tuple[float, float, float, float]) -> Part:
    """Spots, cheeks, humps, wool: ellipses with an edge in their boxes."""

    def draw(pen: Pen) -> None:
        for left, top, right, bottom in boxes:
            pen.ellipse(left, top, right, bottom, shade(colour, -0.35))
        for left, top, right, bottom in boxes:
            pen.ellipse(left + EDGE, top + EDGE, right - EDGE, bottom - EDGE, colour)

    return draw


def spikes(colour: Colour, *points: tuple[float, float, float, float]) -> Part:
    """Triangles (middle of the foot x, y, half its width, height): ears, horns, plates."""

    def draw(pen: Pen) -> None:
        for grow, tone in ((EDGE, shade(colour, -0.4)), (0, colour)):
            for x, y, wide, high in points:
                corners = [(x - wide, y), (x, y - high), (x + wide, y)]
                pen.polygon(corners, tone)
                pen.line([*corners, corners[0]], 2 * grow, tone)

    return draw


def stripes(colour: Colour, *across: float) -> Part:
    """Bands on the body, at these places."""
    return strokes(colour, 0.05, *[[(x, BACK + 0.05), (x - 0.02, BELLY - 0.06)] for x in across])


def underside(colour: Colour) -> Part:
    """A belly of another colour."""
    return lambda pen: pen.box(0.3, BELLY - 0.12, 0.76, BELLY - EDGE, colour, 0.05)


WOOL = ovals(CREAM, *[
    (x - 0.1, y - 0.09, x + 0.1, y + 0.09)
    for x, y in [*around(0.52, 0.58, 0.27, 0.13, *range(0, 360, 36)), (0.44, 0.58), (0.6, 0.58)]
])  # fmt: skip
HANGING = [(0.82, 0.5), (0.91, 0.56), (0.93, 0.74)]
MANED = [(0.28, 0.12), (0.4, 0.28), (0.46, 0.46)]

COW, PIG, TIGER, FOX = (250, 248, 245), (252, 165, 182), (245, 140, 30), (222, 92, 32)
HORSE, CAMEL, SKUNK, UNICORN = (140, 80, 42), (205, 158, 92), (62, 58, 70), (226, 205, 250)
DRAGON, WING, DINOSAUR, PLATE = (128, 72, 190), (255, 190, 60), (50, 175, 178), (250, 120, 60)
ROSE = (245, 90, 170)

BEASTS = {
    "cow": Beast(
        COW, COW, INK, BLUSH,
        [tail(HANGING, 0.03, COW, INK)],
        marks=[ovals(INK, (0.3, 0.4, 0.48, 0.6), (0.56, 0.42, 0.8, 0.64))],
        behind=[spikes(CREAM, (0.14, 0.3, 0.04, 0.14), (0.3, 0.3, 0.04, 0.14)),
                ovals(INK, (0.3, 0.28, 0.46, 0.4))],
        long=True,
    ),
    "pig": Beast(
        PIG, PIG, (190, 90, 110), (255, 130, 155),
        [tail([(0.82, 0.54), (0.9, 0.44), (0.97, 0.52), (0.9, 0.6), (0.86, 0.5)], 0.02, PIG)],
        behind=[spikes(PIG, (0.16, 0.3, 0.05, 0.14), (0.3, 0.3, 0.05, 0.14))],
        leg=0.15,
    ),
    "tiger": Beast(
        TIGER, TIGER, WHITE, WHITE,
        [tail([(0.8, 0.52), (0.92, 0.5), (0.93, 0.3)], 0.06, TIGER),
         strokes(INK, 0.03, [(0.89, 0.4), (0.96, 0.4)], [(0.89, 0.3), (0.96, 0.3)])],
        marks=[stripes(INK, 0.4, 0.5, 0.6, 0.7)],
        behind=[ovals(TIGER, (0.06, 0.2, 0.2, 0.36), (0.24, 0.2, 0.38, 0.36))],
        before=[strokes(INK, 0.03, [(0.22, 0.27), (0.22, 0.32)], [(0.3, 0.34), (0.36, 0.34)],
                        [(0.3, 0.42), (0.36, 0.42)])],
    ),
    "panda": Beast(
        WHITE, INK, INK, WHITE,
        [ovals(INK, (0.8, 0.46, 0.94, 0.6))],
        marks=[strokes(INK, 0.16, [(0.32, 0.5), (0.32, 0.66)])],
        behind=[ovals(INK, (0.05, 0.18, 0.21, 0.36), (0.25, 0.18, 0.41, 0.36))],
        before=[ovals(INK, (0.14, 0.28, 0.27, 0.42))],
        leg=0.17,
    ),
    "fox": Beast(
        FOX, FOX, INK, WHITE,
        bushy(FOX, WHITE),
        marks=[underside(WHITE)],
        behind=[spikes(FOX, (0.14, 0.3, 0.06, 0.2), (0.3, 0.3, 0.06, 0.2)),
                spikes(INK, (0.14, 0.2, 0.03, 0.08), (0.3, 0.2, 0.03, 0.08))],
        leg=0.1,
    ),
    "sheep": Beast(
        GREY, GREY, INK, GREY,
        [ovals(CREAM, (0.8, 0.46, 0.98, 0.62))],
        marks=[WOOL],
        behind=[ovals(CREAM, (0.06, 0.18, 0.24, 0.36), (0.18, 0.16, 0.38, 0.36)),
                ovals(GREY, (0.3, 0.34, 0.46, 0.44))],
        leg=0.09,
    ),
    "horse": Beast(
        HORSE, HORSE, INK, shade(HORSE, 0.3),
        [tail([(0.82, 0.5), (0.92, 0.56), (0.93, 0.84)], 0.09, BROWN)],
        behind=[spikes(HORSE, (0.24, 0.14, 0.04, 0.12)), strokes(BROWN, 0.12, MANED)],
        head=(0.22, 0.22), long=True, leg=0.11,
    ),
    "camel": Beast(
        CAMEL, CAMEL, BROWN, shade(CAMEL, 0.3),
        [tail(HANGING, 0.03, CAMEL, BROWN)],
        marks=[ovals(CAMEL, (0.3, 0.22, 0.52, 0.62), (0.56, 0.22, 0.78, 0.62)),
               strokes(CAMEL, 0.2, [(0.34, 0.55), (0.72, 0.55)])],
        behind=[spikes(CAMEL, (0.26, 0.12, 0.03, 0.08))],
        head=(0.19, 0.22), long=True, leg=0.1,
    ),
    "skunk": Beast(
        SKUNK, SKUNK, INK, shade(SKUNK, 0.25),
        bushy(SKUNK, WHITE),
        marks=[strokes(WHITE, 0.08, [(0.36, 0.5), (0.78, 0.5)])],
        behind=[ovals(SKUNK, (0.08, 0.22, 0.2, 0.34), (0.24, 0.22, 0.36, 0.34))],
        before=[strokes(WHITE, 0.06, [(0.22, 0.29), (0.31, 0.34), (0.36, 0.44)])],
    ),
    "unicorn": Beast(
        UNICORN, UNICORN, WING, WHITE,
        [tail([(0.82, 0.5), (0.92, 0.54), (0.93, 0.84)], 0.09, ROSE)],
        behind=[spikes(WING, (0.16, 0.16, 0.04, 0.14)), strokes(ROSE, 0.12, MANED)],
        head=(0.22, 0.26), long=True, leg=0.11,
    ),
    "dragon": Beast(
        DRAGON, DRAGON, WING, DRAGON,
        [tail([(0.78, 0.6), (0.9, 0.66), (0.93, 0.5)], 0.08, DRAGON),
         spikes(WING, (0.93, 0.46, 0.05, 0.14))],
        marks=[underside(WING), spikes(WING, *[(x, 0.44, 0.05, 0.14) for x in (0.44, 0.56, 0.68)])],
        behind=[spikes(WING, (0.16, 0.28, 0.035, 0.18), (0.3, 0.28, 0.035, 0.18))],
        long=True,
    ),
    "dinosaur": Beast(
        DINOSAUR, DINOSAUR, PLATE, DINOSAUR,
        [tail([(0.78, 0.6), (0.9, 0.7), (0.97, 0.8)], 0.1, DINOSAUR)],
        marks=[spikes(PLATE, *[(x, 0.46, 0.07, 0.22) for x in (0.4, 0.56, 0.72)])],
        leg=0.16,
    ),
}  # fmt: skip
