"""Silhouettes of fruits: functions from an angle, clockwise from the top, to a point in a box.

A circle is `sin t` to the right and `-cos t` down. Whatever else a fruit is, is added to that: a
waist, a dent, a tip. A high power of the sine or cosine is 0 nearly everywhere, so it makes a
bump at one place.
"""

import math
from collections.abc import Callable

import numpy as np

from minidalle.world.canvas import Point

Silhouette = Callable[[float], Point]


def outline(silhouette: Silhouette, share: float) -> list[Point]:
    """The points of a silhouette, this share as large, about the middle of the fruit."""
    around = np.array([silhouette(t) for t in np.linspace(0, 2 * math.pi, 180)])
    middle = (around.min(0) + around.max(0)) / 2
    return [(x, y) for x, y in middle + share * (around - middle)]


def oval(across: float, down: float) -> Silhouette:
    """Half the width and half the height."""
    return lambda t: (0.5 + across * math.sin(t), 0.5 - down * math.cos(t))


def lemon(t: float) -> Point:
    """Pointed at both sides."""
    return 0.5 + 0.41 * math.sin(t) + 0.09 * math.sin(t) ** 15, 0.5 - 0.37 * math.cos(t)


def avocado(t: float) -> Point:
    """Narrower above."""
    return 0.5 + math.sin(t) * (0.31 - 0.13 * math.cos(t)), 0.5 - 0.49 * math.cos(t)


def pear(t: float) -> Point:
    """With a waist."""
    wide = 0.27 - 0.19 * math.cos(t) + 0.07 * math.cos(2 * t)
    return 0.5 + math.sin(t) * wide, 0.56 - 0.42 * math.cos(t)


def tomato(t: float) -> Point:
    """Flat, and dented at the top."""
    dent = 0.07 * math.exp(-8 * (1 - math.cos(t)))
    return 0.5 + 0.49 * math.sin(t), 0.54 - 0.41 * math.cos(t) + dent


def peach(t: float) -> Point:
    """A dent at the top, and a point below."""
    dent = 0.1 * math.exp(-12 * (1 - math.cos(t))) + 0.06 * max(0, -math.cos(t)) ** 9
    return 0.5 + 0.45 * math.sin(t), 0.53 - 0.4 * math.cos(t) + dent


def onion(t: float) -> Point:
    """A bulb that runs out into a tip."""
    return 0.5 + 0.45 * math.sin(t), 0.56 - 0.36 * math.cos(t) - 0.2 * max(0, math.cos(t)) ** 12
