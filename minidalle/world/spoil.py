"""Ways to spoil pictures, to see whether a judge notices. B pictures, uint8 (B, 32, 32, 3)."""

from random import Random

import numpy as np

from minidalle.world.painting import SQUARES
from minidalle.world.scenes import COLOURS


def blur(pictures: np.ndarray, width: int) -> np.ndarray:
    """Each pixel becomes the mean of the width × width pixels around it; `width` is odd."""
    room = width // 2
    padded = np.pad(pictures, ((0, 0), (room, room), (room, room), (0, 0)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (width, width), axis=(1, 2))
    return np.rint(windows.mean((-2, -1))).astype(np.uint8)


def paint_over(pictures: np.ndarray, rng: Random, share: float = 0.25) -> np.ndarray:
    """Paint this share of each picture's 8×8 patches over, each in one of the world's colours."""
    spoilt, patch = pictures.copy(), pictures.shape[1] // SQUARES
    for picture in spoilt:
        for place in rng.sample(range(SQUARES**2), round(share * SQUARES**2)):
            _patch(picture, place, patch)[:] = COLOURS[rng.choice(list(COLOURS))]
    return spoilt


def erase(pictures: np.ndarray, rng: Random) -> np.ndarray:
    """Take one patch out of a thing: paint it in the colour of the background.

    It is a random one of the patches that differ from the background by more than half as much
    as the one that differs most.
    """
    spoilt, patch = pictures.copy(), pictures.shape[1] // SQUARES
    for picture in spoilt:
        border = [*picture[0], *picture[-1], *picture[:, 0], *picture[:, -1]]
        ground = np.median(border, axis=0)
        places = range(SQUARES**2)
        contrast = [((_patch(picture, p, patch) - ground) ** 2).mean() for p in places]
        inside = [p for p in places if contrast[p] > max(contrast) / 2]
        _patch(picture, rng.choice(inside), patch)[:] = ground.astype(np.uint8)
    return spoilt


def _patch(picture: np.ndarray, place: int, patch: int) -> np.ndarray:
    """A view of one patch of a picture; places are numbered row by row."""
    down, right = (patch * i for i in divmod(place, SQUARES))
    return picture[down : down + patch, right : right + patch]
