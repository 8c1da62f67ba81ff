"""A judge of emoji drawings: which picture of the pack is nearest?

P pictures of the pack, C concepts, B pictures to judge, all on white.

Emoji have no grammar that could be read back. But a drawing of an octopus should look more like
some vendor's octopus than like anything else. Both are blurred over 3×3 pixels, so that it is
the shape that counts, and the drawing may be shifted by one pixel. Nothing is learnt, and CLIP,
which chose the drawing, is not asked.

How good a judge is it? A real picture is its own nearest. With itself taken out of the pack, the
nearest of the others, by another vendor, shows the same concept in over half of the cases.
"""

from functools import cache
from itertools import product

import numpy as np

from minidalle.world import emoji, objects
from minidalle.world.spoil import blur

WHITE = (255, 255, 255)
SHIFTS = tuple(product((-1, 0, 1), repeat=2))  # down and to the right


def nearest(pictures: np.ndarray, without: np.ndarray | None = None) -> tuple[np.ndarray, ...]:
    """The nearest picture of the pack, and how far it is, for each of uint8 (B, S, S, 3).

    S is 32 or 64.

    Picture `without[b]` of the pack (B,) is left out for picture b. Returns indices (B,) into the
    pack and root mean square distances (B,) of blurred pixel values from 0 to 255.
    """
    pack = _blurred_pack(pictures.shape[1])  # (P, S · S · 3)
    best = np.full((len(pictures), len(pack)), np.inf, np.float32)
    for down, right in SHIFTS:
        moved = _shifted(pictures, down, right)
        blurred = blur(moved, 3).reshape(len(pictures), -1).astype(np.float32)
        squares = (blurred**2).sum(1)[:, None] - 2 * blurred @ pack.T + (pack**2).sum(1)
        best = np.minimum(best, squares)
    if without is not None:
        best[np.arange(len(best)), without] = np.inf
    which = best.argmin(1)
    distance = np.sqrt(best[np.arange(len(best)), which].clip(0) / pack.shape[1])
    return which, distance


@cache
def _blurred_pack(size: int) -> np.ndarray:
    pixels = objects.pixels() if size == 64 else emoji.load_pack().pixels
    pictures = emoji.compose(pixels, WHITE)
    return blur(pictures, 3).reshape(len(pictures), -1).astype(np.float32)


def _shifted(pictures: np.ndarray, down: int, right: int) -> np.ndarray:
    """Pictures moved down and to the right by at most a pixel; the border is repeated."""
    padded = np.pad(pictures, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    height, width = pictures.shape[1:3]
    return padded[:, 1 - down : 1 - down + height, 1 - right : 1 - right + width]
