"""Shapes as drawings: with a fill and a colour, or as the outline of anything else.

A shape is a list of corners in a square whose sides run from 0 to 1, y downwards. Where another
drawing should have a shape, it is drawn square and `cut` to it.
"""

from collections.abc import Callable

import numpy as np

from minidalle.world.canvas import Colour, Drawing, Pen, Point, drawing, shade

MARGIN = 0.01  # between a shape and its box


def _polygon(corners: int, notch: float = 1, turn: float = 0) -> np.ndarray:
    """A regular polygon, one corner up; a `notch` under 1 puts a dent into every side."""
    steps = np.arange(2 * corners)
    angles = np.pi * steps / corners + np.radians(turn)
    radii = np.where(steps % 2, notch * np.cos(np.pi / corners), 1)
    return np.stack([np.sin(angles) * radii, -np.cos(angles) * radii], 1)


def _heart() -> np.ndarray:
    t = np.linspace(0, 2 * np.pi, 96, endpoint=False)
    y = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    return np.stack([16 * np.sin(t) ** 3, -y], 1)


def _cross(arm: float = 0.4) -> np.ndarray:
    quarter = np.array([(-arm, -1), (arm, -1), (arm, -arm)])
    turned = [quarter @ np.array([[c, s], [-s, c]]) for c, s in [(1, 0), (0, 1), (-1, 0), (0, -1)]]
    return np.concatenate(turned)


def _moon(tip: float = 50, middle: float = 0.7) -> np.ndarray:
    """A crescent: a circle from tip to tip (in degrees), and back along one about (middle, 0)."""
    outer = np.radians(np.linspace(tip, 360 - tip, 64))
    x, y = np.cos(outer[-1]) - middle, np.sin(outer[-1])
    start = np.arctan2(y, x) % (2 * np.pi)
    inner = np.linspace(start, 2 * np.pi - start, 48)
    bow = np.stack([middle + np.hypot(x, y) * np.cos(inner), np.hypot(x, y) * np.sin(inner)], 1)
    return np.concatenate([np.stack([np.cos(outer), np.sin(outer)], 1), bow])


def _round(radius: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """A function from angles, clockwise from the top, to distances from the middle."""
    t = np.linspace(0, 2 * np.pi, 120, endpoint=False)
    return np.stack([np.sin(t), -np.cos(t)], 1) * radius(t)[:, None]


def _drop() -> np.ndarray:
    t = np.linspace(0, 2 * np.pi, 96, endpoint=False)
    return np.stack([1.15 * np.sin(t) * np.sin(t / 2) ** 1.6, -np.cos(t)], 1)


def _shield() -> np.ndarray:
    t = np.linspace(0, np.pi, 48)
    return np.concatenate([[(-0.85, -1), (0.85, -1)], np.stack([0.85 * np.cos(t), np.sin(t)], 1)])


def _cloud() -> np.ndarray:
    """What circles cover, above a level base."""
    turns, reach = np.linspace(0, 2 * np.pi, 180, endpoint=False), np.linspace(0, 1.2, 241)
    x, y = np.outer(np.cos(turns), reach), np.outer(np.sin(turns), reach)
    circles = ((-0.58, 0.12, 0.38), (0.6, 0.14, 0.36), (-0.2, -0.2, 0.42), (0.28, -0.1, 0.38))
    inside = np.any([np.hypot(x - a, y - b) < r for a, b, r in circles], 0) | (abs(x) < 0.5) & (
        y > 0
    )
    far = (reach * (inside & (y < 0.5))).max(1)
    return np.stack([np.cos(turns) * far, np.sin(turns) * far], 1)


def _twin(*right: Point) -> np.ndarray:
    """The right side from the top down, and its mirror image."""
    return np.array([*right, *((-x, y) for x, y in reversed(right))])


def _fitted(corners: np.ndarray) -> list[Point]:
    """The corners moved and scaled so that they fill a square, up to its margin."""
    low, high = corners.min(0), corners.max(0)
    scale = (1 - 2 * MARGIN) / (high - low).max()
    return [(float(x), float(y)) for x, y in (corners - (low + high) / 2) * scale + 0.5]


SHAPES = {
    name: _fitted(corners)
    for name, corners in {
        "circle": _polygon(48),
        "square": _polygon(4, turn=45),
        "triangle": _polygon(3),
        "star": _polygon(5, notch=0.58),
        "heart": _heart(),
        "diamond": _polygon(4) * [0.78, 1],
        "cross": _cross(),
        "moon": _moon(),
        "hexagon": _polygon(6, turn=30),
        "pentagon": _polygon(5),
        "semicircle": _polygon(48)[24:73],
        "trapezoid": _twin((0.5, -0.7), (1, 0.7)),
        "arrow": _twin((0, -1), (0.75, -0.1), (0.32, -0.1), (0.32, 1)) @ [[0, -1], [-1, 0]],
        "drop": _drop(),
        "shield": _shield(),
        "cloud": _cloud(),
        "flower": _round(lambda t: 0.6 + 0.4 * abs(np.cos(2.5 * t)) ** 0.6),
        "gear": _round(lambda t: 1 + 0.14 * np.tanh(3 * np.cos(8 * t))),
        "crown": _twin((0, -0.8), (0.45, 0), (1, -0.6), (0.85, 0.7)),
        "house": _twin((0, -1), (1, -0.1), (0.75, -0.1), (0.75, 1)),
        "tree": _twin((0, -1), (0.5, -0.35), (0.3, -0.35), (0.85, 0.6), (0.2, 0.6), (0.2, 1)),
    }.items()
}


# ---- fills ------------------------------------------------------------------------------


@drawing
def silhouette(pen: Pen, shape: str) -> None:
    """The shape in white, for `cut`."""
    pen.polygon(SHAPES[shape], (255, 255, 255))


def cut(thing: Drawing, shape: str) -> Drawing:
    """The part of a drawing that lies inside a shape."""
    return Drawing(_cut, (thing, shape))


def _cut(height: int, width: int, thing: Drawing, shape: str) -> np.ndarray:
    return thing.art(height, width) * silhouette(shape).art(height, width)[..., 3:]


def rim(pen: Pen, shape: str, width: float, colour: Colour) -> None:
    """A border along the inside of a shape, if what is drawn is then cut to it."""
    corners = SHAPES[shape]
    pen.line([*corners, *corners[:2]], 2 * width, colour)


# A fill is drawn once, in these three, and then gets its colour, a pale kind and a dark one of it.
COLOUR, PALE, DARK = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def filled(pen: Pen, shape: str) -> None:
    """One colour; its edge is a little darker."""
    pen.box(0, 0, 1, 1, COLOUR)
    rim(pen, shape, 0.05, DARK)


def outlined(pen: Pen, shape: str) -> None:
    """Only a broad border: what lies behind is seen through it."""
    rim(pen, shape, 0.125, COLOUR)


def striped(pen: Pen, shape: str) -> None:
    """Seven level bands, the colour and almost white by turns."""
    pen.box(0, 0, 1, 1, COLOUR)
    for band in (1, 3, 5):
        pen.box(0, band / 7, 1, (band + 1) / 7, PALE)
    rim(pen, shape, 0.05, COLOUR)


def dotted(pen: Pen, shape: str) -> None:
    """Almost white dots on the colour, every other row moved by half a step."""
    pen.box(0, 0, 1, 1, COLOUR)
    for row in range(-2, 3):
        for column in range(-2, 3):
            x, y, r = 0.5 + (2 * column - row % 2) / 7, 0.5 + 2 * row / 7, 0.09
            pen.ellipse(x - r, y - r, x + r, y + r, PALE)
    rim(pen, shape, 0.05, DARK)


def checked(pen: Pen, shape: str) -> None:
    """Squares of the colour and almost white by turns."""
    pen.box(0, 0, 1, 1, COLOUR)
    for row in range(7):
        for column in range(1 - row % 2, 7, 2):
            left, top = (column - 0.5) / 6, (row - 0.5) / 6
            pen.box(left, top, left + 1 / 6, top + 1 / 6, PALE)
    rim(pen, shape, 0.05, COLOUR)


FILLS: dict[str, Callable[[Pen, str], None]] = {
    "filled": filled,
    "outlined": outlined,
    "striped": striped,
    "dotted": dotted,
    "checked": checked,
}


@drawing
def _uncut(pen: Pen, shape: str, fill: str) -> None:
    FILLS[fill](pen, shape)


def figure(name: str, fill: str, colour: Colour) -> Drawing:
    """A shape with a fill of `FILLS`."""
    return Drawing(_figure, (name, fill, colour))


def _figure(height: int, width: int, name: str, fill: str, colour: Colour) -> np.ndarray:
    art = cut(_uncut(name, fill), name).art(height, width)
    tones = np.float32([colour, shade(colour, 0.85), shade(colour, -0.3)])
    return np.concatenate([art[..., :3] / 255 @ tones, art[..., 3:]], 2)
