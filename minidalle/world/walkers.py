"""Vegetables, fruits and other plants with arms, legs and a face: see `walks.py`.

Each is drawn in the same sheet: the top of the head at 0.2, the face at 0.42, the feet at 1. The
body of some is code, that of most a thing of the emoji pack.
"""

from collections.abc import Callable

import numpy as np

from minidalle.world.canvas import Pen, shade
from minidalle.world.objects import emoji
from minidalle.world.things import named

INK, WHITE, LEAF, LIMB = (45, 40, 50), (255, 255, 255), (70, 155, 65), (95, 65, 45)


def limbs(pen: Pen) -> None:
    """Arms, of which the right one holds the leash, and legs with shoes."""
    pen.line([(0.3, 0.56), (0.1, 0.68)], 0.06, LIMB)
    pen.line([(0.7, 0.58), (0.92, 0.5)], 0.06, LIMB)
    for x in (0.4, 0.6):
        pen.line([(x, 0.74), (x, 0.95)], 0.07, LIMB)
        pen.box(x - 0.05, 0.92, x + 0.1, 1, INK, 0.03)


def face(pen: Pen) -> None:
    """Eyes, cheeks and a smile."""
    for x in (0.41, 0.59):
        pen.ellipse(x - 0.055, 0.34, x + 0.055, 0.46, WHITE)
        pen.ellipse(x - 0.025, 0.37, x + 0.045, 0.45, INK)
    pen.arc(0.42, 0.4, 0.58, 0.52, 20, 160, 0.03, INK)


def cabbage(pen: Pen) -> None:
    """A green head of leaves with pale veins."""
    dark, pale = (70, 140, 60), (170, 220, 120)
    for left, top, right, low in ((0.1, 0.26, 0.6, 0.82), (0.4, 0.26, 0.9, 0.82)):
        pen.ellipse(left, top, right, low, dark)
        pen.ellipse(left + 0.03, top + 0.03, right - 0.03, low - 0.03, (105, 180, 80))
    for x, end in ((0.22, 0.14), (0.78, 0.86)):
        pen.line([(0.5, 0.82), (x, 0.62), (end, 0.44)], 0.035, pale)
    pen.ellipse(0.22, 0.16, 0.78, 0.78, dark)
    pen.ellipse(0.25, 0.19, 0.75, 0.75, (135, 205, 95))
    for end in (0.34, 0.5, 0.66):
        pen.line([(0.5, 0.74), (end, 0.58)], 0.035, (215, 240, 170))
    pen.arc(0.3, 0.22, 0.7, 0.6, 200, 340, 0.03, dark)


def radish(pen: Pen) -> None:
    """A magenta globe, white at the tip, with tall leaves."""
    for x, y in ((0.28, 0.04), (0.72, 0.04), (0.5, 0)):
        pen.line([(0.5, 0.26), (x, y + 0.06)], 0.13, shade(LEAF, -0.35))
        pen.line([(0.5, 0.26), (x, y + 0.06)], 0.08, LEAF)
    for inset, colour in ((0, (150, 20, 75)), (0.03, (230, 55, 125))):
        pen.ellipse(0.18 + inset, 0.2 + inset, 0.82 - inset, 0.8 - inset, colour)
    tip = [(0.25, 0.64), (0.75, 0.64), (0.63, 0.78), (0.5, 0.93), (0.37, 0.78)]
    pen.polygon(tip, (243, 135, 180))
    pen.polygon([(0.36, 0.77), (0.64, 0.77), (0.5, 0.93)], (255, 235, 242))


def carrot(pen: Pen) -> None:
    """An orange cone, with notches and feathery leaves."""
    for x in (0.3, 0.42, 0.58, 0.7):
        pen.line([(0.5, 0.26), (x, 0.04)], 0.07, LEAF if 0.4 < x < 0.6 else shade(LEAF, -0.3))
    for inset, colour in ((0, (185, 85, 15)), (0.03, (250, 140, 35))):
        pen.box(0.2 + inset, 0.2 + inset, 0.8 - inset, 0.56, colour, 0.16)
        pen.polygon([(0.2 + inset, 0.42), (0.8 - inset, 0.42), (0.58, 0.88), (0.42, 0.88)], colour)
    for x, end, y in (
        (0.24, 0.34, 0.56),
        (0.76, 0.66, 0.54),
        (0.34, 0.46, 0.7),
        (0.68, 0.58, 0.68),
    ):
        pen.line([(x, y), (end, y)], 0.03, (185, 85, 15))


def eggplant(pen: Pen) -> None:
    """Deep purple, with a green cap."""
    for inset, colour in ((0, (55, 20, 80)), (0.03, (105, 50, 145))):
        pen.ellipse(0.18 + inset, 0.34 + inset, 0.82 - inset, 0.86 - inset, colour)
        pen.ellipse(0.26 + inset, 0.18 + inset, 0.74 - inset, 0.7, colour)
    pen.line([(0.5, 0.2), (0.55, 0.05)], 0.09, shade(LEAF, -0.3))
    pen.polygon(
        [
            (0.26, 0.34),
            (0.32, 0.18),
            (0.5, 0.12),
            (0.68, 0.18),
            (0.74, 0.34),
            (0.62, 0.27),
            (0.5, 0.34),
            (0.38, 0.27),
        ],
        LEAF,
    )


def pear(pen: Pen) -> None:
    """Yellow-green and narrow above, with a stalk and a leaf."""
    pen.line([(0.5, 0.24), (0.46, 0.07)], 0.06, LIMB)
    pen.ellipse(0.5, 0.05, 0.78, 0.18, LEAF)
    for inset, colour in ((0, (140, 150, 35)), (0.03, (220, 225, 90))):
        pen.ellipse(0.16 + inset, 0.42 + inset, 0.84 - inset, 0.88 - inset, colour)
        pen.ellipse(0.28 + inset, 0.17 + inset, 0.72 - inset, 0.62, colour)
        pen.polygon(
            [(0.28 + inset, 0.4), (0.72 - inset, 0.4), (0.8 - inset, 0.56), (0.2 + inset, 0.56)],
            colour,
        )


def mushroom(pen: Pen) -> None:
    """A red cap with white dots on a pale stem."""
    for inset, colour in ((0, (170, 140, 110)), (0.03, (250, 232, 205))):
        pen.box(0.26 + inset, 0.2, 0.74 - inset, 0.86 - inset, colour, 0.14)
    turns = np.linspace(np.pi, 2 * np.pi, 40)
    for inset, colour in ((0, (150, 20, 30)), (0.03, (228, 45, 50))):
        across, down = (0.42 - inset) * np.cos(turns), (0.24 - inset) * np.sin(turns)
        pen.polygon(list(zip(0.5 + across, 0.31 + down)), colour)
    pen.box(0.08, 0.28, 0.92, 0.35, (150, 20, 30), 0.04)
    for x, y in ((0.22, 0.24), (0.5, 0.18), (0.78, 0.24)):
        pen.ellipse(x - 0.07, y - 0.06, x + 0.07, y + 0.06, WHITE)


def body(slug: str) -> Callable[[Pen], None]:
    """A thing of the emoji pack."""

    def stamp(pen: Pen) -> None:
        pen.stamp(emoji(slug), 0.1, 0.14, 0.9, 0.88)

    return stamp


DRAWN = {f.__name__: f for f in (cabbage, radish, carrot, eggplant, pear, mushroom)}
FROM_EMOJI = named(
    *"apple avocado bell-pepper burger cactus clover cookie cupcake doughnut egg fir-tree".split(),
    *"green-apple lemon mango maple-leaf melon onion orange peach potato rose".split(),
    *"strawberry sunflower tomato tree tulip".split(),
)
WALKERS = DRAWN | {name: body(slug) for name, slug in FROM_EMOJI.items()}
