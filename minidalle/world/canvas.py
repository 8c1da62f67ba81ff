"""Vector drawings, and the canvas on which a picture is put together from them.

A `Drawing` is a thing that can be drawn at any size: some are code, written with a `Pen`, some
come from the emoji pack, and some are made from others. It is drawn once for each size, eight
times too large, averaged down (that is the anti-aliasing), and kept. A picture is then a few
multiplications and additions: several thousand a second on one core.

Positions and sizes on a `Canvas` are in units: a picture is 64 units a side, whatever its pixels.
Colours are (red, green, blue) from 0 to 255. Art is float32 (height, width, 4): red, green and
blue from 0 to 255, already multiplied by the cover, and the cover from 0 to 1.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, wraps

import numpy as np
from PIL import Image, ImageDraw

UNITS = 64  # a picture's side
FINE = 8  # sub-pixels per pixel and side

Colour = tuple[int, int, int]
Point = tuple[float, float]


@dataclass(frozen=True)
class Drawing:
    """A function (height, width, *look) → art, and the look. Equal drawings are drawn once."""

    function: Callable[..., np.ndarray]
    look: tuple = ()

    def art(self, height: int, width: int) -> np.ndarray:
        """The drawing at this size in pixels: float32 (height, width, 4). Not to be changed."""
        return _art(self, height, width)


@lru_cache(maxsize=16_384)
def _art(drawing: Drawing, height: int, width: int) -> np.ndarray:
    art = drawing.function(height, width, *drawing.look).astype(np.float32)
    art.flags.writeable = False
    return art


@lru_cache(maxsize=16_384)
def _layer(drawing: Drawing, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Colours, and how much of what lies below shows through, both (height, width, 3).

    Numpy is several times as fast with arrays of one shape, without gaps, as with art's parts.
    """
    art = drawing.art(height, width)
    return np.ascontiguousarray(art[..., :3]), np.repeat(1 - art[..., 3:], 3, 2)


class Pen:
    """Draws opaque shapes, each over the last, on a transparent sheet.

    Coordinates are shares of the sheet: x from 0 at the left to 1, y from 0 at the top to 1. So
    are widths of lines, of the sheet's width.
    """

    def __init__(self, height: int, width: int):
        self.size = width * FINE, height * FINE
        self.sheet = Image.new("RGBA", self.size)
        self.ink = ImageDraw.Draw(self.sheet)

    def polygon(self, points: Sequence[Point], colour: Colour | None) -> None:
        """A filled polygon. The colour None cuts a hole, here and below."""
        self.ink.polygon([self._at(*p) for p in points], fill=_rgba(colour))

    def ellipse(self, left, top, right, bottom, colour: Colour | None) -> None:
        """A filled ellipse that fits this box."""
        self.ink.ellipse(self._box(left, top, right, bottom), fill=_rgba(colour))

    def box(self, left, top, right, bottom, colour: Colour | None, radius: float = 0) -> None:
        """A filled rectangle, its corners rounded with this radius."""
        box = self._box(left, top, right, bottom)
        self.ink.rounded_rectangle(box, radius * self.size[0], fill=_rgba(colour))

    def line(self, points: Sequence[Point], width: float, colour: Colour | None) -> None:
        """A line through the points, with round ends and joints."""
        at = [self._at(*p) for p in points]
        thick = max(1, round(width * self.size[0]))
        self.ink.line(at, fill=_rgba(colour), width=thick)
        for x, y in at:
            r = thick / 2
            self.ink.ellipse((x - r, y - r, x + r, y + r), fill=_rgba(colour))

    def arc(self, left, top, right, bottom, start, end, width: float, colour: Colour) -> None:
        """Part of an ellipse's outline; angles in degrees, clockwise from three o'clock."""
        turns = np.radians(np.linspace(start, end, 48))
        x, y, across, down = (left + right) / 2, (top + bottom) / 2, right - left, bottom - top
        points = [(x + across / 2 * math.cos(t), y + down / 2 * math.sin(t)) for t in turns]
        self.line(points, width, colour)

    def stamp(self, drawing: Drawing, left, top, right, bottom) -> None:
        """Another drawing, in this box."""
        box = [round(side) for side in self._box(left, top, right, bottom)]
        art = drawing.art(box[3] - box[1], box[2] - box[0])
        rgba = np.concatenate(
            [art[..., :3] / np.maximum(art[..., 3:], 1e-6), art[..., 3:] * 255], 2
        )
        layer = Image.fromarray(np.rint(rgba.clip(0, 255)).astype(np.uint8), "RGBA")
        self.sheet.alpha_composite(layer, (box[0], box[1]))

    def art(self) -> np.ndarray:
        """What was drawn, averaged down."""
        rgba = np.asarray(self.sheet, np.float32)
        cover = rgba[..., 3:] / 255
        art = np.concatenate([rgba[..., :3] * cover, cover], axis=2)
        width, height = (side // FINE for side in self.size)
        return art.reshape(height, FINE, width, FINE, 4).mean((1, 3))

    def _at(self, x: float, y: float) -> Point:
        return x * self.size[0], y * self.size[1]

    def _box(self, left, top, right, bottom) -> tuple[float, float, float, float]:
        right, bottom = self._at(right, bottom)
        return *self._at(left, top), right - 1, bottom - 1  # Pillow paints the last pixel as well


def drawing(function: Callable) -> Callable[..., Drawing]:
    """Make `function(pen, *look)`, which draws with a pen, a function from a look to a Drawing."""

    def with_pen(height: int, width: int, *look) -> np.ndarray:
        pen = Pen(height, width)
        function(pen, *look)
        return pen.art()

    @wraps(function)
    def of_look(*look) -> Drawing:
        return Drawing(with_pen, look)

    return of_look


class Canvas:
    """A picture in the making: float32 (size, size, 3), from 0 to 255."""

    def __init__(self, size: int, ground: Colour | Drawing):
        self.size = size
        if isinstance(ground, Drawing):
            self.pixels = np.zeros((size, size, 3), np.float32)
            self.put(ground, 0, 0, UNITS)
        else:
            self.pixels = _plain(size, ground).copy()  # faster than to fill it anew

    def put(self, drawing: Drawing, left: int, top: int, width: int, height: int | None = None):
        """Lay a drawing into a box, in units, over what is there; it is square by default."""
        left, top, width, height = (
            round(side * self.size / UNITS) for side in (left, top, width, height or width)
        )
        colours, through = _layer(drawing, height, width)
        down, right = max(0, self.size - top), max(0, self.size - left)  # where the picture ends
        inside = np.s_[max(0, -top) : down, max(0, -left) : right]
        colours, through = colours[inside], through[inside]
        top, left = max(0, top), max(0, left)
        here = self.pixels[top : top + colours.shape[0], left : left + colours.shape[1]]
        here *= through
        here += colours

    def picture(self) -> np.ndarray:
        """What was put together: uint8 (size, size, 3)."""
        return (self.pixels + 0.5).astype(np.uint8)


@lru_cache(maxsize=256)
def _plain(size: int, colour: Colour) -> np.ndarray:
    """A picture of one colour: float32 (size, size, 3)."""
    return np.full((size, size, 3), colour, np.float32)


def around(x: float, y: float, across: float, down: float, *degrees: float) -> list[Point]:
    """Points on an oval about (x, y), at these angles clockwise from the top.

    >>> [(round(a, 3), round(b, 3)) for a, b in around(0.5, 0.5, 0.4, 0.2, 0, 90)]
    [(0.5, 0.3), (0.9, 0.5)]
    """
    turns = map(math.radians, degrees)
    return [(x + across * math.sin(t), y - down * math.cos(t)) for t in turns]


def shade(colour: Colour, by: float) -> Colour:
    """A darker (by < 0, black at -1) or paler (by > 0, white at 1) kind of the colour.

    >>> shade((100, 200, 50), -0.5), shade((100, 200, 50), 0.5)
    ((50, 100, 25), (178, 228, 152))
    """
    end = 255 if by > 0 else 0
    red, green, blue = (round(c + abs(by) * (end - c)) for c in colour)
    return red, green, blue


def _rgba(colour: Colour | None) -> tuple[int, int, int, int]:
    return (0, 0, 0, 0) if colour is None else (*colour, 255)
