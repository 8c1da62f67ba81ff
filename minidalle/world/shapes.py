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


def filled(pen: Pen, shape: str, colour: Colour) -> None:
    """One colour; its edge is a little darker."""
    pen.box(0, 0, 1, 1, colour)
    rim(pen, shape, 0.05, shade(colour, -0.3))


def outlined(pen: Pen, shape: str, colour: Colour) -> None:
    """Only a broad border: what lies behind is seen through it."""
    rim(pen, shape, 0.125, colour)


def striped(pen: Pen, shape: str, colour: Colour) -> None:
    """Seven level bands, the colour and almost white by turns."""
    pen.box(0, 0, 1, 1, colour)
    for band in (1, 3, 5):
        pen.box(0, band / 7, 1, (band + 1) / 7, shade(colour, 0.85))
    rim(pen, shape, 0.05, colour)


def dotted(pen: Pen, shape: str, colour: Colour) -> None:
    """Almost white dots on the colour, every other row moved by half a step."""
    pen.box(0, 0, 1, 1, colour)
    for row in range(-2, 3):
        for column in range(-2, 3):
            x, y, r = 0.5 + (2 * column - row % 2) / 7, 0.5 + 2 * row / 7, 0.09
            pen.ellipse(x - r, y - r, x + r, y + r, shade(colour, 0.85))
    rim(pen, shape, 0.05, shade(colour, -0.3))


FILLS: dict[str, Callable] = {
    "filled": filled,
    "outlined": outlined,
    "striped": striped,
    "dotted": dotted,
}


@drawing
def _uncut(pen: Pen, shape: str, fill: str, colour: Colour) -> None:
    FILLS[fill](pen, shape, colour)


def figure(name: str, fill: str, colour: Colour) -> Drawing:
    """A shape, filled, outlined, striped or dotted."""
    return cut(_uncut(name, fill, colour), name)
