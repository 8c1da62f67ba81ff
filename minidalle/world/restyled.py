"""Things of the emoji pack in the look of any era, by one rule for all of them.

The commonest brightness of a thing is its body, which becomes what the bodies of an era are made
of. What is darker, brighter or far brighter becomes its other materials, and an edge goes round
all of it. So the body tells the era, and the edge and whatever is not body tell the thing.
"""

import numpy as np
from PIL import Image, ImageFilter

from minidalle.world.canvas import Drawing, shade
from minidalle.world.gadgets import EDGE, LOOKS
from minidalle.world.objects import emoji, standing

FINE = 2  # sub-pixels per pixel and side
BIN = 16  # of brightness, from 0 to 255: as equal as this is the same
BOUNDS = (-28, 28, 80)  # of darker, brighter and far brighter than the body
MATERIALS = {  # era → darker, the body, brighter, far brighter
    "the 1920s": lambda look: (look.edge, look.body, look.trim, look.face),
    "the 1950s": lambda look: (look.ink, look.body, look.trim, look.face),
    "the 1980s": lambda look: (look.face, look.body, look.trim, look.light),
    "the future": lambda look: (look.face, look.body, look.trim, look.light),
}


def restyled(slug: str, era: str) -> Drawing:
    """A thing of the pack with the look of an era, standing on the lower edge of its box."""
    return Drawing(_restyled, (slug, era))


def _restyled(height: int, width: int, slug: str, era: str) -> np.ndarray:
    look, h, w = LOOKS[era], FINE * height, FINE * width
    rim, bottom = max(1, round(EDGE * w / 2)), round(0.84 * h) if era == "the future" else h
    thing = np.zeros((h, w, 4), np.float32)
    box = np.s_[rim : bottom - rim, rim : w - rim]
    thing[box] = standing(emoji(slug)).art(bottom - 2 * rim, w - 2 * rim)
    inside = thing[..., 3] > 0.5
    materials = _materials(thing, inside)
    colours = np.array(MATERIALS[era](look), np.float32)[materials]
    _finish(colours, materials, inside, era)
    art = np.zeros((h, w, 4), np.float32)
    art[_grown(inside, rim)] = (*look.edge, 1)
    art[inside, :3] = colours[inside]
    if era == "the future":
        _cushion(art, inside)
    return art.reshape(height, FINE, width, FINE, 4).mean((1, 3))


def _materials(thing: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """0 where a thing is darker than its body, 1 there, 2 and 3 where it is brighter."""
    brightness = thing[..., :3] @ np.float32((0.3, 0.59, 0.11)) / np.maximum(thing[..., 3], 0.01)
    body = int(np.bincount((brightness[inside] // BIN).astype(int)).argmax())
    return np.digitize(brightness - BIN * (body + 0.5), BOUNDS)


def _finish(colours: np.ndarray, materials: np.ndarray, inside: np.ndarray, era: str) -> None:
    """The grain of wood, a band of chrome, or neon where two materials meet."""
    look, body = LOOKS[era], inside & (materials == 1)
    y = np.linspace(0, 1, len(colours))[:, None]
    if era == "the 1920s":
        colours[body & (y % 0.13 < 0.025)] = shade(look.body, -0.22)
    if era == "the 1950s":
        top, *_, low = y[inside.any(1)]
        colours[body & (abs(y - top - 0.64 * (low - top)) < 0.025)] = look.trim
    if era == "the 1980s":
        for number in range(4):
            part = inside & (materials == number)
            colours[_grown(part, 1) & ~part] = look.ink


def _cushion(art: np.ndarray, inside: np.ndarray) -> None:
    """Light, on which things from the future hover."""
    look, (h, w) = LOOKS["the future"], inside.shape
    left, right = np.flatnonzero(inside.any(0))[[0, -1]]
    y, x = np.ogrid[:h, :w]
    for share, high, colour in ((1, 0.045, shade(look.edge, -0.45)), (0.8, 0.03, look.light)):
        across = (2 * x - left - right) / (right - left) / share
        art[across**2 + ((y / h - 0.95) / high) ** 2 < 1] = (*colour, 1)


def _grown(mask: np.ndarray, by: int) -> np.ndarray:
    grown = Image.fromarray(mask).convert("L").filter(ImageFilter.MaxFilter(2 * by + 1))
    return np.asarray(grown) > 0
