"""Eight animals seen from the side, facing left, whose bodies all fill the same box.

So they can be cut in two in the middle, and the halves put together anew: see `halves.py`. More
of them, which have more in common, are in `beasts.py`.
"""

import numpy as np

from minidalle.world.canvas import Colour, Pen, drawing, shade

BACK, BELLY, EDGE = 0.42, 0.74, 0.025  # heights of all bodies, and the width of their outlines
INK, WHITE, CREAM = (45, 40, 50), (255, 255, 255), (255, 245, 225)
SAND, PATCH = (252, 205, 95), (165, 90, 40)
GREEN, SHELL, PLATE = (120, 190, 90), (120, 75, 40), (190, 130, 70)
GREY, PINK = (155, 162, 180), (235, 165, 175)
CROCODILE, BLUE = (75, 140, 60), (30, 85, 190)
GOLD, MANE = (240, 180, 85), (165, 80, 30)
ORANGE = (255, 125, 35)


def torso(pen: Pen, colour: Colour, left: float = 0.2, right: float = 0.84) -> None:
    """What is the same in most animals."""
    pen.box(left, BACK, right, BELLY, shade(colour, -0.4), 0.14)
    pen.box(left + EDGE, BACK + EDGE, right - EDGE, BELLY - EDGE, colour, 0.12)


def legs(pen: Pen, colour: Colour, width: float, foot: Colour, top: float = 0.62) -> None:
    """Two in front and two behind, the farther ones darker."""
    for x, far in ((0.38, True), (0.64, True), (0.25, False), (0.77, False)):
        left, right = x - width / 2, x + width / 2
        pen.box(left, top, right, 1, shade(colour, -0.4), 0.03)
        inner = shade(colour, -0.2) if far else colour
        pen.box(left + EDGE, top, right - EDGE, 0.98, inner, 0.02)
        pen.box(left, 0.93, right, 1, foot, 0.02)


def eye(pen: Pen, x: float, y: float) -> None:
    """An eye of about three units."""
    pen.ellipse(x - 0.032, y - 0.036, x + 0.032, y + 0.036, INK)
    pen.ellipse(x - 0.02, y - 0.026, x + 0.002, y - 0.004, WHITE)


@drawing
def giraffe(pen: Pen) -> None:
    """A long neck, two horns and brown patches."""
    dark = shade(SAND, -0.4)
    legs(pen, SAND, 0.09, PATCH)
    pen.line([(0.82, 0.5), (0.92, 0.62), (0.92, 0.76)], 0.04, dark)
    pen.ellipse(0.88, 0.72, 0.97, 0.86, PATCH)
    torso(pen, SAND)
    for x in (0.15, 0.24):
        pen.line([(x + 0.01, 0.1), (x, 0.02)], 0.04, PATCH)
    pen.polygon([(0.12, 0.08), (0.3, 0.08), (0.44, 0.46), (0.42, 0.6), (0.2, 0.62)], dark)
    pen.polygon([(0.15, 0.08), (0.28, 0.1), (0.41, 0.47), (0.4, 0.6), (0.23, 0.62)], SAND)
    pen.box(0, 0.07, 0.29, 0.2, dark, 0.06)
    pen.box(0.02, 0.09, 0.27, 0.18, SAND, 0.05)
    pen.ellipse(0.01, 0.11, 0.11, 0.19, CREAM)
    eye(pen, 0.18, 0.12)
    boxes = ((0.2, 0.23, 0.27, 0.32), (0.26, 0.35, 0.34, 0.45), (0.21, 0.46, 0.29, 0.58))
    boxes += ((0.33, 0.48, 0.44, 0.58), (0.3, 0.62, 0.4, 0.7), (0.44, 0.61, 0.56, 0.7))
    boxes += ((0.51, 0.47, 0.62, 0.57), (0.66, 0.5, 0.77, 0.6), (0.61, 0.63, 0.72, 0.7))
    for box in boxes:
        pen.box(*box, PATCH, 0.025)


@drawing
def turtle(pen: Pen) -> None:
    """A brown shell of plates; the rest is green."""
    dark = shade(GREEN, -0.4)
    pen.polygon([(0.8, 0.68), (0.98, 0.8), (0.8, 0.78)], dark)
    legs(pen, GREEN, 0.17, dark, 0.68)
    pen.line([(0.13, 0.52), (0.26, 0.66)], 0.16, dark)
    pen.line([(0.13, 0.52), (0.26, 0.66)], 0.12, GREEN)
    pen.ellipse(0, 0.36, 0.24, 0.6, dark)
    pen.ellipse(EDGE, 0.36 + EDGE, 0.24 - EDGE, 0.6 - EDGE, GREEN)
    eye(pen, 0.1, 0.45)
    turns = np.linspace(np.pi, 2 * np.pi, 40)
    for grow, colour in ((1, SHELL), (0.92, PLATE)):
        dome = [(0.52 + 0.36 * grow * np.cos(t), 0.74 + 0.33 * grow * np.sin(t)) for t in turns]
        pen.polygon(dome, colour)
    for x, top in ((0.28, 0.54), (0.42, 0.44), (0.6, 0.44), (0.76, 0.54)):
        pen.line([(x, top), (x, 0.7)], 0.035, SHELL)
    pen.line([(0.24, 0.58), (0.8, 0.58)], 0.035, SHELL)
    pen.box(0.15, 0.69, 0.89, 0.77, SHELL, 0.04)


@drawing
def elephant(pen: Pen) -> None:
    """Trunk, tusk, a large ear, and legs like pillars."""
    dark = shade(GREY, -0.4)
    pen.line([(0.83, 0.5), (0.93, 0.6), (0.93, 0.72)], 0.04, dark)
    pen.ellipse(0.89, 0.7, 0.97, 0.82, INK)
    legs(pen, GREY, 0.17, shade(GREY, 0.5))
    torso(pen, GREY, 0.16, 0.87)
    trunk = [(0.1, 0.42), (0.06, 0.6), (0.06, 0.78), (0.11, 0.86)]
    pen.line(trunk, 0.13, dark)
    pen.ellipse(0.03, 0.24, 0.36, 0.6, dark)
    pen.line(trunk, 0.085, GREY)
    pen.ellipse(0.03 + EDGE, 0.24 + EDGE, 0.36 - EDGE, 0.6 - EDGE, GREY)
    pen.line([(0.15, 0.56), (0.13, 0.68), (0.17, 0.74)], 0.05, WHITE)
    pen.ellipse(0.21, 0.26, 0.47, 0.66, dark)
    pen.ellipse(0.235, 0.285, 0.445, 0.635, shade(GREY, 0.2))
    pen.ellipse(0.28, 0.34, 0.41, 0.58, PINK)
    eye(pen, 0.14, 0.39)


@drawing
def zebra(pen: Pen) -> None:
    """Black stripes on white, and a bristling mane."""
    legs(pen, WHITE, 0.1, INK)
    pen.line([(0.83, 0.5), (0.92, 0.6)], 0.05, INK)
    pen.line([(0.93, 0.64), (0.93, 0.8)], 0.08, INK)
    torso(pen, WHITE)
    pen.line([(0.24, 0.1), (0.46, 0.42)], 0.1, INK)
    pen.polygon([(0.1, 0.12), (0.27, 0.1), (0.48, 0.46), (0.4, 0.62), (0.2, 0.62)], (150, 150, 155))
    pen.polygon([(0.13, 0.13), (0.26, 0.13), (0.45, 0.46), (0.39, 0.62), (0.23, 0.62)], WHITE)
    pen.polygon([(0.2, 0.12), (0.24, 0), (0.29, 0.13)], INK)
    pen.line([(0.21, 0.17), (0.08, 0.29)], 0.17, (150, 150, 155))
    pen.line([(0.21, 0.17), (0.08, 0.29)], 0.13, WHITE)
    pen.ellipse(0, 0.22, 0.15, 0.37, INK)
    eye(pen, 0.17, 0.18)
    for x, y in ((0.32, 0.24), (0.38, 0.35), (0.44, 0.45)):
        pen.line([(x - 0.12, y + 0.05), (x, y)], 0.04, INK)
    for x in (0.3, 0.41, 0.52, 0.63, 0.74):
        pen.line([(x, 0.46), (x - 0.02, 0.7)], 0.045, INK)
    for x in (0.25, 0.77):
        pen.line([(x - 0.03, 0.81), (x + 0.03, 0.81)], 0.04, INK)


@drawing
def crocodile(pen: Pen) -> None:
    """A long jaw full of teeth, and a tail with a crest."""
    dark = shade(CROCODILE, -0.4)
    for x in (0.28, 0.38, 0.48, 0.58, 0.68, 0.78, 0.88):
        y = max(BACK, BACK + 0.9 * (x - 0.7))
        pen.polygon([(x, y + 0.06), (x + 0.05, y - 0.07), (x + 0.1, y + 0.09)], dark)
    pen.polygon([(0.66, BACK), (0.8, 0.46), (1, 0.72), (1, 0.84), (0.8, 0.76), (0.66, BELLY)], dark)
    legs(pen, CROCODILE, 0.13, dark, 0.68)
    torso(pen, CROCODILE, 0.18, 0.8)
    pen.polygon([(0.7, 0.445), (0.79, 0.49), (0.97, 0.73), (0.97, 0.8), (0.7, 0.715)], CROCODILE)
    pen.box(0.26, 0.64, 0.74, 0.72, (205, 215, 130), 0.03)
    pen.polygon([(0.02, 0.72), (0.02, 0.64), (0.3, 0.6), (0.36, 0.72)], dark)
    pen.polygon([(0, 0.44), (0.14, 0.46), (0.2, 0.34), (0.34, 0.36), (0.4, 0.6), (0, 0.58)], dark)
    pen.polygon(
        [(0.03, 0.47), (0.16, 0.48), (0.22, 0.37), (0.33, 0.39), (0.38, 0.58), (0.03, 0.55)],
        CROCODILE,
    )
    for x in (0.02, 0.1, 0.18):
        pen.polygon([(x, 0.56), (x + 0.08, 0.56), (x + 0.04, 0.66)], WHITE)
    pen.ellipse(0.2, 0.35, 0.32, 0.48, (250, 235, 120))
    eye(pen, 0.25, 0.42)


@drawing
def peacock(pen: Pen) -> None:
    """A blue neck with a crown, and a fan of feathers with eyes."""
    for reach, count in ((0.38, 5), (0.23, 4)):
        for turn in np.radians(np.linspace(-70, 26, count)):
            x, y = 0.53 + reach * np.cos(turn), 0.52 + reach * np.sin(turn)
            pen.line([(0.52, 0.58), (x, y)], 0.13, (20, 110, 85))
            pen.line([(0.52, 0.58), (x, y)], 0.08, (50, 165, 105))
            for size, colour in ((0.085, (235, 195, 70)), (0.055, (40, 90, 200))):
                pen.ellipse(x - size, y - size, x + size, y + size, colour)
    for x in (0.4, 0.64):
        pen.line([(x, 0.7), (x, 0.96), (x - 0.08, 0.97)], 0.045, (150, 105, 40))
    torso(pen, BLUE, 0.18, 0.68)
    pen.line([(0.22, 0.22), (0.27, 0.56)], 0.19, shade(BLUE, -0.4))
    pen.line([(0.22, 0.22), (0.27, 0.56)], 0.14, BLUE)
    for x in (0.12, 0.22, 0.32):
        pen.line([(0.22, 0.18), (x, 0.05)], 0.025, shade(BLUE, -0.4))
        pen.ellipse(x - 0.04, 0, x + 0.04, 0.08, (60, 190, 190))
    pen.polygon([(0.14, 0.2), (0, 0.26), (0.14, 0.3)], (245, 190, 60))
    pen.ellipse(0.15, 0.15, 0.27, 0.27, WHITE)
    eye(pen, 0.2, 0.21)


@drawing
def lion(pen: Pen) -> None:
    """A mane about the face, and a tail with a tuft."""
    pen.line([(0.8, 0.52), (0.93, 0.5), (0.92, 0.32)], 0.055, shade(GOLD, -0.4))
    pen.ellipse(0.83, 0.14, 0.99, 0.36, MANE)
    legs(pen, GOLD, 0.13, shade(GOLD, 0.5))
    torso(pen, GOLD)
    for turn in np.radians(np.arange(0, 360, 36)):
        x, y = 0.24 + 0.16 * np.cos(turn), 0.42 + 0.18 * np.sin(turn)
        pen.ellipse(x - 0.1, y - 0.1, x + 0.1, y + 0.1, MANE)
    for x in (0.11, 0.37):
        pen.ellipse(x - 0.055, 0.24, x + 0.055, 0.35, GOLD)
    pen.ellipse(0.09, 0.26, 0.39, 0.6, GOLD)
    pen.ellipse(0.15, 0.43, 0.33, 0.59, CREAM)
    pen.polygon([(0.18, 0.43), (0.3, 0.43), (0.24, 0.5)], INK)
    pen.line([(0.24, 0.48), (0.24, 0.55)], 0.03, INK)
    eye(pen, 0.17, 0.38)
    eye(pen, 0.31, 0.38)


@drawing
def fish(pen: Pen) -> None:
    """A clownfish: orange with white bands."""
    dark = shade(ORANGE, -0.45)
    fins = [(0.26, 0.48), (0.34, 0.26), (0.46, 0.3), (0.48, 0.46)]
    tail = [(0.76, 0.58), (0.92, 0.32), (1, 0.36), (0.95, 0.58), (1, 0.8), (0.92, 0.86)]
    for shape in (
        fins,
        [(1.02 - x, y) for x, y in fins],
        tail,
        [(0.56, 0.7), (0.62, 0.9), (0.74, 0.88), (0.72, 0.66)],
    ):
        pen.polygon(shape, dark)
        x, y = np.mean(shape, axis=0)
        pen.polygon([(x + 0.8 * (a - x), y + 0.8 * (b - y)) for a, b in shape], ORANGE)
    turns = np.linspace(0, 2 * np.pi, 60)
    for grow, colour in ((0, dark), (EDGE, ORANGE)):
        body = [(0.43 + (0.41 - grow) * np.cos(t), np.sin(t) ** 3) for t in turns]
        pen.polygon([(x, 0.58 + (0.16 - grow) * np.cbrt(y)) for x, y in body], colour)
    for x, high in ((0.34, 0.15), (0.63, 0.14)):
        pen.box(x - 0.075, 0.58 - high, x + 0.075, 0.58 + high, INK, 0.03)
        pen.box(x - 0.045, 0.58 - high, x + 0.045, 0.58 + high, WHITE, 0.02)
    pen.polygon([(0.4, 0.6), (0.49, 0.52), (0.49, 0.68)], dark)
    pen.ellipse(0.1, 0.46, 0.24, 0.6, WHITE)
    eye(pen, 0.16, 0.53)
    pen.line([(0.05, 0.65), (0.14, 0.67)], 0.03, INK)


DRAWN = {
    "giraffe": giraffe(),
    "turtle": turtle(),
    "elephant": elephant(),
    "zebra": zebra(),
    "crocodile": crocodile(),
    "peacock": peacock(),
    "lion": lion(),
    "fish": fish(),
}
